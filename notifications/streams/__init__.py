"""The record as it flows to a SIEM: at least once, in the order of its logs."""
