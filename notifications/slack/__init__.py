"""Slack, as far as it carries messages: the installation, who is who, the cards that stand in channels."""
