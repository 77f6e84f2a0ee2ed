"""Warden as a provider of the Agent Approval Protocol: /aap. See docs/aap.md."""
