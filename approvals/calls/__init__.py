"""Calls of tools that AAP clients asked about: one request for one call, echoed as it was sent. See docs/aap.md."""
