"""The management API, /api: what people's scripts may do, with a personal access token. It adds no rules of its own."""
