"""The task file of all examples: HeyHi calls `main` in the experiment's folder."""

import json
import random
from pathlib import Path

import heyhi

CHECKPOINT = Path("checkpoint.json")


def main(task, cfg, log_level):
    """Run one experiment; what it returns becomes its result.json."""
    heyhi.setup_logging(log_level)
    return {"descend": descend, "check": check}[task](cfg)


def descend(cfg):
    """Walk down, or go on from where a killed run had saved."""
    done, x, speed = 0, 0.0, 0.0
    if cfg.start:
        x = json.loads(Path(cfg.start).read_text())[0]
    if CHECKPOINT.exists():
        done, x, speed = json.loads(CHECKPOINT.read_text())
        print(f"going on after step {done}", flush=True)
    for step in range(done + 1, cfg.steps + 1):
        slope = 2 * (x - 3) + random.Random(f"{cfg.seed} {step}").gauss(0, cfg.noise)
        speed = (cfg.momentum.decay * speed if cfg.momentum else 0) - cfg.lr * slope
        x += speed
        heyhi.log(step=step, loss=(x - 3) ** 2, total=cfg.steps)
        part = CHECKPOINT.with_suffix(".part")
        part.write_text(json.dumps([step, x, speed]))
        part.replace(CHECKPOINT)  # the old one or the new one, whole
    return {"x": x, "loss": (x - 3) ** 2}


def check(cfg):
    """Measure another experiment."""
    result = json.loads((Path(cfg.walk) / "result.json").read_text())
    return {"distance": abs(result["x"] - 3)}


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
