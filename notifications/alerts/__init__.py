"""Alerts: a measure above its threshold fires once, and resolves once. State is in PostgreSQL; Celery only looks."""
