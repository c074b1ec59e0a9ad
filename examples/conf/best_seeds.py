"""The best of lengths.py, on five new seeds."""

import heyhi


def yield_sweep():
    for point in heyhi.grid(seed=range(10, 15)):
        yield "conf/bowl.prototxt", {"I": "{{best conf/lengths.py min=loss}}", **point}
