"""Keeps open pages fresh: a stream of server-sent events, beside Django's own requests."""
