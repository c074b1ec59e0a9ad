# PYTHON_ARGCOMPLETE_OK (`heyhi completion bash` says how to complete this file's arguments)
"""The task file: HeyHi calls `main`, with the working directory set to the experiment's folder."""

from __future__ import annotations

import json
import logging
import random
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import heyhi

if TYPE_CHECKING:
    from heyhi.config.frozen import FrozenConfig

CHECKPOINT = Path("checkpoint.json")


def main(task: str, cfg: FrozenConfig, log_level: str) -> dict[str, Any]:
    """Run one experiment; what it returns becomes its result.json."""
    heyhi.setup_logging(log_level)
    logging.info("Task %s with\n%s", task, cfg)
    return {"fit": fit}[task](cfg)


def fit(cfg: FrozenConfig) -> dict[str, Any]:
    """Fit a line, or go on from the checkpoint that an interrupted run has left in this folder."""
    points = make_points(cfg)
    done, slope, offset = 0, 0.0, 0.0
    if CHECKPOINT.exists():
        done, slope, offset = json.loads(CHECKPOINT.read_text())
        logging.info("Going on after epoch %d", done)
    for epoch in range(done + 1, cfg.epochs + 1):
        for x, y in random.Random(cfg.seed + epoch).sample(points, len(points)):
            error = slope * x + offset - y
            slope -= cfg.lr * error * x
            offset -= cfg.lr * error
        # After a kill before the checkpoint, the epoch is computed and logged again: the later line counts.
        heyhi.log(epoch=epoch, loss=loss_of(slope, offset, points), total=cfg.epochs)
        replace(CHECKPOINT, json.dumps([epoch, slope, offset]))
    return {"slope": slope, "offset": offset, "loss": loss_of(slope, offset, points)}


def make_points(cfg: FrozenConfig) -> list[tuple[float, float]]:
    """Draw points around the line y = 2 x + 1, or read them from the file that the config names."""
    if cfg.data:
        return [(x, y) for x, y in json.loads(Path(cfg.data).read_text())]
    draw = random.Random(cfg.seed)
    xs = [draw.uniform(-1, 1) for _ in range(cfg.points)]
    return [(x, 2 * x + 1 + draw.gauss(0, cfg.noise)) for x in xs]


def loss_of(slope: float, offset: float, points: list[tuple[float, float]]) -> float:
    """Return the mean squared error."""
    return statistics.fmean((slope * x + offset - y) ** 2 for x, y in points)


def replace(path: Path, text: str) -> None:
    """Write a file atomically: whoever reads it finds the old text or the new one, whole."""
    part = path.with_suffix(".part")
    part.write_text(text)
    part.replace(path)


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
