"""A composed config as `heyhi print` and `python run.py --print` show it: what would run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from heyhi.text import data_output

if TYPE_CHECKING:
    from heyhi.project import Project


def print_config(project: Project, cfg: str, overrides: Sequence[str], flat: str | None) -> None:
    """Print a composed config, with what the best ones of sweeps in it have turned out to be.

    Args:
        project: where configs and results are.
        cfg: config file.
        overrides: `key=value` texts.
        flat: as for `heyhi.config.describe.render`.

    Raises:
        HeyhiError: a file or an override is wrong.
    """
    from heyhi.config.compose import Composer
    from heyhi.config.describe import render
    from heyhi.config.schema import load_schema

    schema = load_schema(project)
    composer = Composer(project, schema)
    composed = composer.compose(cfg, overrides, as_typed=True)
    notes = composer.warnings
    if composed.bests:
        from heyhi.experiment.winners import known_winners

        winners = known_winners(project.results_root)
        unknown = [best.text for best in composed.bests if winners(best.words) is None]
        if not unknown:
            composed = Composer(project, schema, winners=winners).compose(cfg, overrides)
        notes += [f"{name} isn't chosen yet: what it gives isn't in this config" for name in unknown]
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)
    data_output().write(render(composed, flat=flat))
