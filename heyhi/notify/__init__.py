"""Telling people: whom, in which form, and by which way a message gets there; of experiments this knows nothing."""
