"""What the tests of searches share: a search in a lab, whose trials are files that a test writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from heyhi.config.base import Base
from heyhi.config.compose import Composed
from heyhi.config.scheduling import Scheduling
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.slots import Choice, SearchDir, SlotEnd
from heyhi.search.choose import choose
from heyhi.sweep.search import Search
from heyhi.sweep.search_spec import SearchSpec
from heyhi.sweep.space import axes_of, included_in

if TYPE_CHECKING:
    from tests.unit.conftest import Lab

SPACE = {"lr": "loguniform(1e-4,1)", "i32": "16,32,64", "optimizer": "sgd,adam", "adam.beta1": "uniform(0,1)"}


class SearchInLab:
    """A search in a lab, and its trials."""

    def __init__(self, lab: Lab, space: Mapping[str, Any] = SPACE, config: str = "train {}", **given: Any) -> None:
        self.lab = lab
        lab.write("cfg.prototxt", config)
        aim = {} if "min" in given or "max" in given else {"max": "score"}
        search = Search(cfg="conf/cfg.prototxt", space=space, **{"trials": 50, **aim, **given})
        self.base = Base.of(lab.composer(), lab.root / "conf/cfg.prototxt", search.overrides or {})
        start = self.base.compose({})
        if includes := included_in(search.space, lab.schema, start.task_message):
            self.base = Base.of(lab.composer(), lab.root / "conf/cfg.prototxt", search.overrides or {}, includes)
        scheduling = Scheduling(lab.project.settings.identity_ignore)
        axes = axes_of(search.space, lab.schema, start.task_message, scheduling)
        self.spec: SearchSpec = search.spec(start.identity.cfg, start.identity.overrides, axes)
        self.folder = SearchDir(lab.project.results_root, self.spec.search_id)

    def choose(self, slot: int, others: Sequence[str] = ()) -> Choice:
        """Choose what a slot is."""
        return choose(self.lab.project, self.lab.schema, self.spec, self.base, self.folder.slot(slot), others)

    def end(self, slot: int, status: str = "DONE", value: float | None = 0.5) -> None:
        """Have the experiment of a slot be final for the search."""
        choice = self.folder.slot(slot).read_choice()
        assert choice is not None
        if status == "DONE":
            self.write_result(choice.exp_id, {} if value is None else {self.spec.metric: value})
        self.folder.slot(slot).write_end(SlotEnd(choice.exp_id, status, value))

    def experiment(self, exp_id: str) -> Path:
        """Folder of an experiment."""
        path = self.lab.project.results_root / exp_id
        path.mkdir(parents=True, exist_ok=True)
        return path

    def started(self, exp_id: str, composed: Composed) -> Path:
        """Folder of an experiment, as a run finds it."""
        path = self.experiment(exp_id)
        config = composed.message.SerializeToString(deterministic=True)
        experiment = Experiment(exp_id, path, composed.identity, composed.task, config)
        ExperimentDir(path).prepare(experiment, self.lab.schema)
        return path

    def write_result(self, exp_id: str, result: dict[str, Any]) -> None:
        """Have an experiment be DONE."""
        (self.experiment(exp_id) / "result.json").write_text(json.dumps(result))


@pytest.fixture
def search(lab: Lab) -> Callable[..., SearchInLab]:
    """Make a search in the lab."""
    return partial(SearchInLab, lab)


@pytest.fixture(scope="session")
def search_in() -> Callable[..., SearchInLab]:
    """Make a search in a lab of the test's choice."""
    return SearchInLab
