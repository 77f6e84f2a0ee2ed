"""Composition: settings, addresses, the servers, health, home."""
