"""Verbs. Each writes its audit event in the transaction of what it changes."""
