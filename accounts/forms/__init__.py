"""What people type on the pages of this room. Rules that need a lock or a role live in the services, not here."""
