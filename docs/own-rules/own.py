"""What the rules of own.smk do: `python workflows/own.py points OUT`, `python workflows/own.py figure TABLE OUT`."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path


def points(out: str) -> None:
    """Draw points around the line y = 3 x - 1."""
    draw = random.Random(0)
    xs = [draw.uniform(-1, 1) for _ in range(200)]
    Path(out).write_text(json.dumps([(x, 3 * x - 1 + draw.gauss(0, 0.1)) for x in xs]))


def figure(table: str, out: str) -> None:
    """Draw the loss of each experiment of a sweep over its learning rate, by plotly (`pip install plotly`)."""
    import pandas as pd
    import plotly.express as px

    px.scatter(pd.read_csv(table), x="lr", y="loss", log_x=True).write_html(out, include_plotlyjs=True)


if __name__ == "__main__":
    {"points": points, "figure": figure}[sys.argv[1]](*sys.argv[2:])
