"""Tells people that an agent's permissions are due for their quarterly review."""
