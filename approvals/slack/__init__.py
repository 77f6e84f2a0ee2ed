"""Approvals in Slack: the card, the buttons and dialogs, and the door Slack knocks on."""
