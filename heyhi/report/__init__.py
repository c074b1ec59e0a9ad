"""The table of a sweep: read, shaped, and written where people look at it."""
