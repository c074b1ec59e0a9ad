"""`heyhi serve`: the page of a report, live: experiments are looked at while they run, and what is new is sent.

What goes over the wire, `wire` says; who may ask for it, `guard`. Nothing here starts, ends or writes an experiment.
"""
