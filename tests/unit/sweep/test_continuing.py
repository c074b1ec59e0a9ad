"""Going on with what is there: with the same config always, with another one only where nothing came out of it yet."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heyhi.config.schema import load_schema
from heyhi.errors import HeyhiError
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.mixed import find_mixed, mixed_text
from heyhi.experiment.names import Status
from heyhi.experiment.records import History, Metrics, Start
from heyhi.experiment.status import find_state
from heyhi.job.order import Order
from heyhi.job.runner import Outcome, execute
from heyhi.job.submit import submit_job
from heyhi.slurm.commands import View
from heyhi.slurm.request import request_of
from heyhi.sweep.continuing import Continuing, continues_drifted
from heyhi.sweep.expand import expand


class Runs:
    """Runs of one experiment, each with the config as the file is then."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab

    def experiment(self, text: str) -> Experiment:
        self.lab.write("cfg.prototxt", f"train {{ {text} }}")
        return expand(self.lab.project, self.lab.schema, [("conf/cfg.prototxt", ["name=n"])]).experiments[-1]

    def run(self, text: str, *, logs: bool = True, fails: bool = True, **options: Any) -> Outcome:
        def main(**_: object) -> dict[str, int]:
            if logs:
                with Path("metrics.jsonl").open("a") as file:
                    file.write('{"loss": 1}\n')
            Path("checkpoint").touch()
            if fails:
                raise ValueError("boom")
            return {"y": 1}

        return execute(self.experiment(text), self.lab.schema, main, echo=False, **options)

    @property
    def folder(self) -> ExperimentDir:
        return ExperimentDir(self.experiment("").exp_path)

    @property
    def starts(self) -> list[Start]:
        return self.folder.history().starts


@pytest.fixture
def runs(lab: Any) -> Runs:
    return Runs(lab)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_has_progress_is_not_gone_on_with_another_config_and_nothing_is_written(runs: Runs) -> None:
    runs.run("lr: 0.1")
    path = runs.folder.path
    before, state = content(path), find_state(path)

    outcome = runs.run("lr: 0.2 i32: 3")
    assert (outcome.refused, outcome.ran, outcome.exit_code, outcome.done) == (True, False, 1, False)
    assert "attempt 1 has logged metrics with another config: train.i32: None -> 3; train.lr: 0.1 -> 0.2" in (
        outcome.reason
    )
    assert (
        "--continue-drifted (snakemake: --config continue_drifted=1; Python: continue_drifted=True) goes on all the "
        "same, --mode restart begins anew" in outcome.reason
    )
    assert content(path) == before
    assert find_state(path) == state and state.status is Status.DEAD and "boom" in state.reason


def test_with_the_same_config_it_goes_on_without_a_comparison(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.run("lr: 0.1")
    monkeypatch.setattr(Continuing, "_drift", None)
    assert runs.run("lr: 0.1", fails=False).done
    assert [start.changed for start in runs.starts] == [(), ()]


@pytest.mark.parametrize("text", ["lr: 0.1 launcher { slurm { hours: 7 } }", "lr: 0.10 # a comment\n"])
def test_what_only_schedules_is_no_other_config(runs: Runs, text: str) -> None:
    runs.run("lr: 0.1 launcher { slurm { hours: 3 } }" if "hours" in text else "lr: 0.1")
    assert runs.run(text, fails=False).done
    assert not any(start.is_mixed for start in runs.starts)


def test_a_changed_default_is_another_config(runs: Runs, lab: Any) -> None:
    runs.run("i32: 1")
    experiment = runs.experiment("i32: 1")
    (lab.root / "conf/conf.proto").write_text(
        (lab.root / "conf/conf.proto").read_text().replace("[default = 0.1]", "[default = 0.7]")
    )
    lab.schema = load_schema(lab.project)
    assert runs.experiment("i32: 1").config == experiment.config
    assert "train.lr: 0.1 -> 0.7" in runs.run("i32: 1").reason
    assert runs.run("i32: 1 lr: 0.1", fails=False).done


def test_a_new_field_is_no_other_config(runs: Runs, lab: Any) -> None:
    runs.run("i32: 1")
    text = (lab.root / "conf/conf.proto").read_text()
    (lab.root / "conf/conf.proto").write_text(
        text.replace("message Train {", "message Train { optional int32 more = 99;")
    )
    lab.schema = load_schema(lab.project)
    assert runs.run("i32: 1", fails=False).done
    assert [start.changed for start in runs.starts] == [(), ()]
    assert "train.more" in runs.folder.flat_config_path.read_text()


def test_what_only_schedules_is_the_projects_to_say(runs: Runs, lab: Any) -> None:
    project = lab.project._replace(settings=lab.project.settings._replace(identity_ignore=("lr",)))
    runs.run("lr: 0.1")
    assert runs.run("lr: 0.2").refused
    assert runs.run("lr: 0.2", project=project, fails=False).done


def test_by_consent_it_goes_on_and_stays_marked_as_mixed(runs: Runs, lab: Any) -> None:
    runs.run("lr: 0.1")
    assert runs.run("lr: 0.2", continue_drifted=True).ran
    assert runs.run("lr: 0.2", fails=False).done
    first, second, third = runs.starts
    assert (second.changed, second.is_mixed) == (("train.lr: 0.1 -> 0.2",), True)
    assert not first.is_mixed and not third.is_mixed and third.changed == ()
    assert mixed_text(runs.folder.path) == "train.lr 0.1 → 0.2 at attempt 2"
    assert find_mixed(lab.project.results_root) == {str(runs.folder.path): "train.lr 0.1 → 0.2 at attempt 2"}
    assert "mixed: it goes on with another config than attempt 1" in runs.folder.log_path.read_text()


def test_an_attempt_with_another_config_that_came_to_nothing_mixes_nothing(runs: Runs, lab: Any) -> None:
    runs.run("lr: 0.1")
    assert runs.run("lr: 0.2", logs=False, continue_drifted=True).ran
    assert runs.starts[1].is_mixed and mixed_text(runs.folder.path) == ""
    assert runs.run("lr: 0.1", fails=False).done
    assert not runs.starts[2].is_mixed and mixed_text(runs.folder.path) == ""
    assert find_mixed(lab.project.results_root) == {}


@pytest.mark.parametrize("logs", [False, True])
def test_the_attempt_that_made_the_result_counts_whether_it_has_logged_or_not(runs: Runs, logs: bool) -> None:
    runs.run("lr: 0.1")
    runs.run("lr: 0.2", logs=False, continue_drifted=True)
    assert runs.run("lr: 0.3", logs=logs, fails=False, continue_drifted=True).done
    assert mixed_text(runs.folder.path) == "train.lr 0.1 → 0.3 at attempt 3"


def test_without_progress_it_goes_on_and_says_which_keys_changed(runs: Runs, lab: Any) -> None:
    runs.run("lr: 0.1", logs=False)
    assert runs.run("lr: 0.2", fails=False).done
    second = runs.starts[1]
    assert (second.changed, second.is_mixed) == (("train.lr: 0.1 -> 0.2",), False)
    assert "goes on with another config than attempt 1: train.lr: 0.1 -> 0.2" in runs.folder.log_path.read_text()
    assert mixed_text(runs.folder.path) == "" and find_mixed(lab.project.results_root) == {}


def test_the_files_beside_the_result_are_those_of_the_attempt_that_made_it(runs: Runs) -> None:
    runs.run("lr: 0.1", logs=False)
    assert runs.run("lr: 0.2", fails=False).done
    folder, (first, second) = runs.folder, runs.starts
    assert "lr: 0.2" in folder.config_path.read_text()
    assert folder.config_path == folder.config_path_of(second.config)
    assert "lr: 0.1" in folder.config_path_of(first.config).read_text()


def test_a_job_makes_sure_that_the_files_are_those_of_its_config(runs: Runs) -> None:
    early = runs.experiment("lr: 0.1")
    runs.folder.prepare(early, runs.lab.schema)
    runs.folder.prepare(runs.experiment("lr: 0.2"), runs.lab.schema)  # submitted again, before the first began
    assert execute(early, runs.lab.schema, lambda **_: {}, echo=False).done
    assert "lr: 0.1" in runs.folder.config_path.read_text()


def test_it_is_compared_with_the_last_attempt_that_logged_not_with_a_later_submission(runs: Runs) -> None:
    runs.run("lr: 0.1")
    runs.folder.prepare(runs.experiment("lr: 0.2"), runs.lab.schema)  # by consent, and cancelled before it began
    assert "train.lr: 0.1 -> 0.2" in runs.run("lr: 0.2").reason
    runs.run("lr: 0.2", logs=False, continue_drifted=True)
    assert "attempt 1" in runs.run("lr: 0.2").reason  # what is there is of the first one still
    assert runs.run("lr: 0.1", fails=False).done


@pytest.mark.parametrize("content", [None, "{", "[]", "folder"])
def test_a_config_that_cannot_be_read_is_no_equal_one(runs: Runs, content: str | None) -> None:
    runs.run("lr: 0.1")
    path = runs.folder.flat_config_path
    path.unlink()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    assert f"can't be compared: {path}" in runs.run("lr: 0.2").reason
    if content != "folder":
        assert runs.run("lr: 0.1", fails=False).done  # the digests say so


def test_a_moved_project_is_no_other_config(lab: Any, tmp_path: Path, new_lab: Callable[[Path], Any]) -> None:
    there = new_lab(tmp_path / "a")
    Runs(there).run('lr: 0.1 strings: "{{ROOT_DIR}}/data"')
    (tmp_path / "a").rename(tmp_path / "b")
    moved = new_lab(tmp_path / "b")
    assert Runs(moved).run('lr: 0.1 strings: "{{ROOT_DIR}}/data"', fails=False).done
    assert [start.changed for start in Runs(moved).starts] == [(), ()]


@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_submission_leaves_out_what_would_not_go_on_and_takes_the_others(
    runs: Runs, lab: Any, monkeypatch: pytest.MonkeyPatch, is_allowed: bool
) -> None:
    runs.run("lr: 0.1")
    refused = runs.experiment("lr: 0.2")
    other = expand(lab.project, lab.schema, [("conf/cfg.prototxt", ["name=other"])]).experiments[-1]
    before, scripts = content(refused.exp_path), []

    def submit(options: Sequence[str], script: str) -> str:
        scripts.append(script)
        return "7"

    monkeypatch.setattr("heyhi.job.submit.submit", submit)
    root, message = lab.project.results_root, lab.new_train()
    message.launcher.slurm.hours = 1
    request = request_of(message)
    order = Order(tmp_manifest := Path("m"), lab.schema, root, root / ".heyhi", lab.root, continue_drifted=is_allowed)
    receipt = submit_job([refused, other], dataclasses.replace(request, pack=2), order, View())
    assert tmp_manifest.name in scripts[0] and receipt.job_id == "7" and receipt.owned == {}
    assert ("--continue-drifted" in scripts[0]) == is_allowed
    if is_allowed:
        assert receipt.refused == {} and "lr: 0.2" in runs.folder.config_path.read_text()
        return
    assert "train.lr: 0.1 -> 0.2" in receipt.refused[refused.exp_path] and len(receipt.refused) == 1
    assert content(refused.exp_path) == before, "no claim is left"
    (targets,) = (root / ".heyhi" / "packs").glob("*/targets.json")
    assert json.loads(targets.read_text()) == [str(other.target)]

    assert submit_job([refused], request, order, View()).job_id == "" and len(scripts) == 1


@given(
    st.lists(st.tuples(st.sampled_from(["0.1", "0.2", "0.3"]), st.booleans(), st.booleans()), min_size=1, max_size=6)
)
@settings(max_examples=40, deadline=None)
def test_whatever_was_run_before_only_one_config_is_gone_on_with_unasked(
    shared_lab: Any, steps: list[tuple[str, bool, bool]]
) -> None:
    runs = Runs(shared_lab)
    if runs.folder.path.exists():
        shutil.rmtree(runs.folder.path)
    started: list[str] = []
    base, has_progress, mixed = "", False, 0
    for lr, logs, is_allowed in steps:
        outcome = runs.run(f"lr: {lr}", logs=logs, continue_drifted=is_allowed)
        is_other = bool(base) and lr != base
        assert outcome.refused == (has_progress and is_other and not is_allowed)
        if outcome.refused:
            continue
        started.append(lr)
        last = runs.starts[-1]
        assert last.is_mixed == (has_progress and is_other) and bool(last.changed) == is_other
        mixed += last.is_mixed and logs
        if logs or not has_progress:
            base = lr
        has_progress |= logs
    folder = runs.folder
    # Each attempt's config is on record, and what lies beside the result is the last one's.
    texts = [folder.config_path_of(start.config).read_text() for start in runs.starts]
    assert [text.partition("lr: ")[2].partition("\n")[0] for text in texts] == started
    assert folder.config_path.read_text() == texts[-1]
    assert (
        bool(mixed)
        == bool(mixed_text(folder.path))
        == (str(folder.path) in find_mixed(shared_lab.project.results_root))
    )


def test_which_attempts_have_logged_follows_from_the_sizes_of_the_metrics() -> None:
    def logged(*sizes: int) -> list[int]:
        starts = [Start(number, metrics_size=size) for number, size in enumerate(sizes[:-1], 1)]
        return [start.attempt for start in History(starts).logged(Metrics(sizes[-1]))]

    assert logged(0, 0) == []
    assert logged(0, 10) == [1]
    assert logged(0, 10, 10) == [1]
    assert logged(0, 10, 30) == [1, 2]
    assert logged(0, 0, 10, 10) == [2]
    assert logged(0, 30, 20) == [1, 2]  # cut back to a checkpoint, and gone on
    assert logged(0, 30, 0) == [1]  # cut back to nothing


@pytest.mark.parametrize(("value", "expected"), [(1, True), ("yes", True), (True, True), (0, False), ("False", False)])
def test_snakemakes_setting_is_yes_or_no(value: object, expected: bool) -> None:
    assert continues_drifted({"continue_drifted": value}) is expected
    assert continues_drifted({}) is False
    with pytest.raises(HeyhiError, match="expected 1 or 0"):
        continues_drifted({"continue_drifted": "maybe"})


def test_who_logs_as_many_bytes_again_has_logged(runs: Runs) -> None:
    def run(text: str, line: str, **options: Any) -> Outcome:
        def main(**_: object) -> None:
            Path("metrics.jsonl").write_text(line)  # cut back to a checkpoint that there never was
            raise ValueError("boom")

        return execute(runs.experiment(text), runs.lab.schema, main, echo=False, **options)

    run("lr: 0.1", '{"loss": 1}\n')
    run("lr: 0.2", '{"loss": 2}\n', continue_drifted=True)
    assert run("lr: 0.1", "").refused and not run("lr: 0.2", '{"loss": 2}\n').refused
    assert "attempt 3 has logged" not in run("lr: 0.1", "").reason  # it wrote what was there
