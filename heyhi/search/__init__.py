"""Searches: how a point is chosen, what its trial is worth, and which trials are ended early."""
