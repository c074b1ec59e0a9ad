"""Measures what HeyHi costs beside doing the same without it: one module a claim, run by `make bench`."""
