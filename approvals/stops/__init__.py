"""The kill switch: stops, what they hold, and their release in two steps."""
