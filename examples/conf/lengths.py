"""A sweep file: which length of a step, by which optimizer, with three seeds each."""

import heyhi


def yield_sweep():
    for point in heyhi.grid(optimizer=["plain", "momentum"], lr=[0.05, 0.2], seed=range(3)):
        yield "conf/bowl.prototxt", point


def get_logs_data(handle):
    """What the table shows of an experiment; without this function, all that it logged and returned."""
    lines = handle.metrics()
    near = [line["step"] for line in lines if line["loss"] < 0.1]
    return {"loss": lines[-1]["loss"], "near_after": near[0] if near else None} if lines else {}
