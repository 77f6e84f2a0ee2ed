"""Checkpoints to where the operators of Warden do not reach: a folder, a webhook, a time-stamp authority."""
