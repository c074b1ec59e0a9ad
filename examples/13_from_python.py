"""All of it from Python, as in a notebook: run, ask, and take tables further."""

import os
from pathlib import Path

import heyhi

os.chdir(Path(__file__).parent)
from run import main  # noqa: E402 (the folder of this file is the project)

if __name__ == "__main__":
    for lr in (0.05, 0.1, 0.2):
        handle = heyhi.maybe_launch(main, cfg="bowl", overrides=[f"lr={lr}"], log_level="WARNING")
        print(lr, handle.get_status().value, handle.result()["x"])
    # > 0.05 DONE
    # > 0.1 DONE
    # > 0.2 DONE

    cfg = heyhi.load_config("bowl", ["lr=0.3"]).descend
    print(cfg.lr, cfg.which_optimizer, cfg.momentum, cfg.seed)
    # > 0.3 plain None 0
