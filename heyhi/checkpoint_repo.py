"""The first HeyHi's import path `heyhi.checkpoint_repo`: scripts import it, and need nothing of it any more."""

from __future__ import annotations

from typing import NoReturn


def __getattr__(name: str) -> NoReturn:
    raise AttributeError(
        f"module 'heyhi.checkpoint_repo' has no attribute '{name}': a Slurm launch copies the code by itself, and its"
        " jobs run the copy (heyhi.maybe_launch(…, snapshot=False) leaves that out)"
    )
