"""One experiment: its folder, status, claim, records, metrics and result."""
