"""What the rules ask, without Snakemake: where experiments are looked up, and when a sweep is expanded."""

from __future__ import annotations

import dataclasses
import inspect
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.common import get_function_params

from heyhi.config.schema import load_schema
from heyhi.experiment.claim import Claim
from heyhi.experiment.project_names import take_root
from heyhi.experiment.winners import Winner, winner_path, write_winner
from heyhi.project import Project, Settings, find_project
from heyhi.sweep.expand import expand
from heyhi.sweep.file import expand_sweep_file
from heyhi.sweep.flow import Flow
from heyhi.sweep.manifest import Manifest
from heyhi.sweep.target import folder_of
from heyhi.sweep.write_manifest import write_manifest

SWEEP = """
def yield_sweep():
    for noise in (0.1, 0.2):
        yield "conf/c03_eval/eval.prototxt", {"noise": noise, "launcher.local.cpus": 2}
"""


@pytest.fixture
def root(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(repository / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "sweep.py").write_text(SWEEP)
    (tmp_path / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "sweep.py"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@dataclasses.dataclass
class Workflow:
    """What Flow asks of Snakemake's object."""

    is_main_process: bool = True
    rerun_triggers: tuple[str, ...] = ("MTIME",)
    keep_incomplete: bool = True
    executor_plugin: object = None
    dryrun: bool = False
    touch: bool = False
    local_exec: bool = True
    targets: tuple[str, ...] = ()
    resources: dict[str, dict[str, object]] = dataclasses.field(default_factory=dict)  # by rule

    @property
    def persistence(self) -> Any:
        return SimpleNamespace(cleanup_backup=lambda _: None)

    @property
    def dag_settings(self) -> Any:
        triggers = [SimpleNamespace(name=name) for name in self.rerun_triggers]
        return SimpleNamespace(rerun_triggers=triggers, targets=self.targets)

    @property
    def execution_settings(self) -> Any:
        return SimpleNamespace(keep_incomplete=self.keep_incomplete, ignore_incomplete=True, retries=0, attempt=1)

    def get_rule(self, name: str) -> Any:
        return SimpleNamespace(resources=self.resources.setdefault(name, {}))

    def register_resource(self, name: str, most: int) -> None:
        pass


def wildcards(target: str) -> Any:
    return SimpleNamespace(exp=str(Path(target).parent))


def expanded(root: Path, cfg: str, *overrides: str) -> Manifest:
    project = find_project(root)
    schema = load_schema(project)
    return Manifest.open(write_manifest(expand(project, schema, [(cfg, overrides)]), project, schema))


def test_in_another_projects_results_nothing_is_run_and_who_only_looks_is_warned_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HH_EXP_DIR", str(root / "shared"))
    take_root(Project(root, Settings(name="A")))
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "sweep.py"\nname = "B"\n')
    with pytest.raises(SystemExit) as caught:
        Flow(Workflow(executor_plugin="local"), {}).report(None)
    said = capsys.readouterr().err
    assert caught.value.code == 2 and said.startswith(f"error: {root}/shared: has the results of the project 'A', and")
    assert [path.name for path in (root / "shared/.heyhi").iterdir()] == ["project.json"]

    for workflow in (Workflow(), Workflow(executor_plugin="local", dryrun=True)):
        flow = Flow(workflow, {})
        flow.report(None)
        (target, *_) = expanded(root, "conf/c03_eval/eval.prototxt", "noise=0.1").targets
        Flow(workflow, {}).needs(wildcards(target))
        assert capsys.readouterr().err.count("warning: ") == 2
    Flow(Workflow(is_main_process=False), {}).needs(wildcards(target))  # the main process has asked
    assert "warning" not in capsys.readouterr().err


def test_a_run_puts_the_project_on_record_and_a_dry_run_does_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "sweep.py"\nname = "B"\n')
    record = root / "results/.heyhi/project.json"
    Flow(Workflow(executor_plugin="local", dryrun=True), {}).report(None)
    assert not record.exists()
    Flow(Workflow(executor_plugin="local"), {}).report(None)
    assert '"B"' in record.read_text()


def test_a_sweep_is_expanded_when_its_report_is_asked_for(root: Path) -> None:
    flow = Flow(Workflow(), {})
    assert not (root / "results").exists()

    report = flow.report(None)
    label, digest = report.removeprefix("results/reports/").removesuffix(".csv").split("/")
    asked = SimpleNamespace(label=label, digest=digest)
    targets = flow.report_results(asked)

    assert re.fullmatch("sweep-[0-9a-f]{6}", label) and len(targets) == 2
    assert [manifest.path for manifest in flow.reported] == [root / flow.report_manifest(asked)]
    (training,) = {t for target in targets for t in flow.needs(wildcards(target))}
    assert flow.needs(wildcards(training)) == []
    assert [flow.threads(wildcards(t)) for t in (training, *targets)] == [1, 2, 2]
    assert flow.manifest(wildcards(training)) == flow.report_manifest(asked)
    assert {target for target, _ in flow.asked} == {training, *targets}


def test_targets_named_by_path_are_found_without_expanding_the_sweep(root: Path) -> None:
    manifest = expanded(root, "conf/c02_sup_train/sl.prototxt", "seed=5")
    (root / "sweep.py").write_text("raise RuntimeError\n")
    flow = Flow(Workflow(), {})
    (target,) = manifest.targets
    assert flow.needs(wildcards(target)) == []
    assert root / flow.manifest(wildcards(str(root / target))) == manifest.path


SEARCH = """
import heyhi
SEARCH = heyhi.Search(cfg="conf/c02_sup_train/sl.prototxt", space={"lr": "0.1,0.2"}, min="loss", trials=4)
"""


@pytest.mark.parametrize("text", [SEARCH, SWEEP], ids=["trials", "experiments"])
def test_what_waits_or_runs_already_is_handed_over_first_and_the_rest_in_the_order_of_the_sweep(
    root: Path, text: str
) -> None:
    (root / "sweep.py").write_text(text)
    other = expanded(root, "conf/c03_eval/eval.prototxt", "noise=0.3")
    first = Flow(Workflow(), {})
    report = root / first.report(None)
    targets = first.report_results(SimpleNamespace(label=report.parent.name, digest=report.stem))
    folders = [Path(folder_of(target, root)) for target in (*targets, *other.targets)]
    folders[1].mkdir(parents=True)
    claim = Claim.acquire(folders[1])
    assert isinstance(claim, Claim)

    with claim:
        flow = Flow(Workflow(), {})
        flow.report(None)
        worth = [flow.priority(SimpleNamespace(exp=str(folder))) for folder in folders]
    order = sorted(range(len(targets)), key=lambda number: -worth[number])
    assert order == [1, 0, *range(2, len(targets))] and worth[1] > max(worth[:1] + worth[2:])


def test_a_sweep_that_was_chosen_goes_before_a_newer_manifest(root: Path) -> None:
    Flow(Workflow(), {}).report(None)
    old = Manifest.open(next((root / "results/.heyhi/manifests").iterdir()))
    newer = expanded(root, "conf/c03_eval/eval.prototxt", "noise=0.1", "launcher.local.cpus=2")
    (target,) = newer.targets
    assert target in old

    assert root / Flow(Workflow(), {}).manifest(wildcards(target)) == newer.path
    assert root / Flow(Workflow(), {"manifest": str(old.path)}).manifest(wildcards(target)) == old.path


@pytest.mark.parametrize(
    ("workflow", "config", "expected"),
    [
        (Workflow(), {"sweep": "nowhere.py"}, "nowhere.py"),
        (Workflow(), {"manifest": "sweep.py"}, "expected a manifest"),
        (Workflow(), {"manifest": "none.sqlite"}, "no such manifest"),
        (Workflow(), {"sweep": "a.py", "manifest": "b.sqlite"}, "which one"),
        (Workflow(), {"swep": "a.py"}, "did you mean 'sweep'"),
        (Workflow(is_main_process=False), {}, "main process"),
        (Workflow(rerun_triggers=("MTIME", "CODE")), {}, "--rerun-triggers mtime"),
        (Workflow(keep_incomplete=False), {}, "--keep-incomplete"),
    ],
)
def test_what_a_user_gets_wrong_ends_in_one_message_and_exit_code_2(
    root: Path, capsys: pytest.CaptureFixture[str], workflow: Workflow, config: dict[str, str], expected: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        Flow(workflow, config).report(None)
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err


def test_without_any_sweep_the_message_says_what_to_do(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "pyproject.toml").unlink()
    with pytest.raises(SystemExit):
        Flow(Workflow(), {}).report(None)
    assert "--config sweep=FILE" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["results/p/c02_sup_train/sl/seed=1_abc/result.json", "heyhi-expand-failed"])
@pytest.mark.parametrize("has_default", [True, False])
def test_the_default_sweep_is_not_run_where_an_option_has_taken_the_targets(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, word: str, has_default: bool
) -> None:
    if not has_default:
        (root / "pyproject.toml").unlink()
    monkeypatch.setattr("sys.argv", ["snakemake", "--forcerun", "aggregate", word])
    with pytest.raises(SystemExit) as stopped:
        Flow(Workflow(), {}).report(None)
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.startswith(f"error: {word} was taken for a value of the option before it")
    assert "Put targets first, or -- before them" in said and not (root / "results").exists()

    # Who says which sweep is meant may give an option such a word, and a job is given what others have asked for.
    assert Flow(Workflow(), {"sweep": "sweep.py"}).report(None)
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "sweep.py"\n')
    assert Flow(Workflow(targets=("all",)), {}).report(None)


def test_snakemake_must_run_in_the_project_root(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(root / "conf")
    with pytest.raises(SystemExit):
        Flow(Workflow(), {})
    assert f"--directory {root}" in capsys.readouterr().err


def test_a_table_that_is_there_already_is_copied_to_its_fixed_name_but_not_by_a_dry_run(root: Path) -> None:
    report = root / Flow(Workflow(), {}).report(None)
    report.parent.mkdir(parents=True)
    report.write_text("the table\n")
    copy = report.parent.with_suffix(".csv")

    Flow(Workflow(executor_plugin=object(), dryrun=True), {}).report(None)
    assert not copy.exists()
    Flow(Workflow(executor_plugin=object()), {}).report(None)
    assert copy.read_text() == "the table\n"


def test_functions_for_rules_have_their_signature_at_hand(root: Path) -> None:
    # Snakemake asks for it many times an experiment: computing it each time made a dry run a third slower.
    flow = Flow(Workflow(), {})
    for function in (flow.needs, flow.manifest, flow.threads, flow.report_results):
        assert inspect.signature(function) is function.__signature__  # type: ignore[attr-defined]
        assert get_function_params(function) is function._overwrite_params  # type: ignore[attr-defined]
        assert list(inspect.signature(function).parameters) == ["wildcards"]


def test_what_is_done_is_not_waited_for_but_was_asked_for_with_all_that_it_needs(root: Path) -> None:
    running = Workflow(executor_plugin=object())
    report = Flow(Workflow(), {}).report(None)
    label, digest = report.removeprefix("results/reports/").removesuffix(".csv").split("/")
    asked = SimpleNamespace(label=label, digest=digest)
    flow = Flow(running, {})
    first, second = flow.report_results(asked)
    (training,) = flow.needs(wildcards(first))
    for target in (first, training):
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (root / target).write_text("{}")

    flow = Flow(running, {})
    assert flow.report_results(asked) == [second]
    assert {target for target, _ in flow.asked} == {first, training}
    assert flow.needs(wildcards(second)) == [training], "it runs with all that it needs"
    assert flow.needs(wildcards(first)) == [], "what is DONE waits for nothing"
    assert {target for target, _ in flow.asked} == {first, second, training}
    whole = Flow(Workflow(), {})
    assert whole.report_results(asked) == [first, second] and whole.needs(wildcards(second)) == [training]
    (root / training).unlink()
    flow = Flow(running, {})
    assert flow.report_results(asked) == [second] and flow.needs(wildcards(second)) == [training]


def test_the_rules_say_once_what_is_so_for_all_jobs_until_there_is_a_second_manifest(root: Path) -> None:
    manifests = [expanded(root, "conf/c02_sup_train/sl.prototxt", f"seed={seed}") for seed in (5, 6, 5)]
    workflow = Workflow(executor_plugin=object())
    flow = Flow(workflow, {})
    for manifest, said in zip(manifests, (flow._name(manifests[0]), flow.manifest, flow.manifest), strict=True):
        flow.needs(wildcards(manifest.targets[0]))
        assert workflow.resources["experiment"] == {"manifest": said, "tries": "1 --attempts 1"}
        assert flow.manifest(wildcards(manifest.targets[0])) == flow._name(manifest)
    job = Workflow(executor_plugin=object(), is_main_process=False)
    Flow(job, {}).needs(wildcards(manifests[0].targets[0]))
    assert job.resources == {}, "a job of another engine is told how often it was tried"


def test_an_empty_sweep_is_not_the_default_one(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    for key in ("sweep", "manifest"):
        with pytest.raises(SystemExit) as caught:
            Flow(SimpleNamespace(is_main_process=True, dag_settings=None, execution_settings=None), {key: ""})
        assert caught.value.code == 2


def test_a_manifest_of_another_project_is_refused(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(root / "conf", other / "conf")
    manifest = expanded(other, "conf/c02_sup_train/sl.prototxt")
    flow = Flow(Workflow(), {"manifest": str(manifest.path)})
    with pytest.raises(SystemExit) as stop:
        flow.report(None)
    assert stop.value.code == 2


def test_a_table_that_is_asked_for_names_the_manifest_of_its_experiments(root: Path) -> None:
    """Not what somebody expanded into another manifest since."""
    first = expanded(root, "conf/c02_sup_train/sl.prototxt", "seed=5")
    flow = Flow(Workflow(), {})
    flow.report_results(SimpleNamespace(label=first.label, digest=first.digest))
    (root / "conf/c02_sup_train/sl.prototxt").write_text("train { lr: 0.7 }\n")
    second = expanded(root, "conf/c02_sup_train/sl.prototxt", "seed=5")
    (target,) = first.targets
    assert second.targets == [target] and second.path != first.path
    assert root / flow.manifest(wildcards(target)) == first.path


@pytest.mark.parametrize("by", ["targets", "manifest", "table"])
def test_what_was_expanded_before_is_checked_again_before_it_is_run(
    root: Path, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    flow = Flow(Workflow(), {})
    table = flow.report(None)
    manifest = Manifest.open(next((root / "results/.heyhi/manifests").iterdir()))
    (root / "pyproject.toml").write_text('[tool.heyhi]\nvalidate = "checks:check"\n')
    (root / "checks.py").write_text(
        "def check(cfg):\n    print('asked')\n\n\n"
        "def strict(cfg):\n    if getattr(cfg, 'noise', 0) == 0.2:\n        return 'that noise is taken'\n"
    )
    label, digest = table.removeprefix("results/reports/").removesuffix(".csv").split("/")

    def ask(workflow: Workflow, config: dict[str, object]) -> None:
        flow = Flow(workflow, config | ({"manifest": str(manifest.path)} if by == "manifest" else {}))
        if by == "table":
            flow.report_results(SimpleNamespace(label=label, digest=digest))
        for target in manifest.targets:
            for need in flow.needs(wildcards(target)):
                flow.needs(wildcards(need))

    targets = tuple(manifest.targets) if by == "targets" else ()
    running = Workflow(executor_plugin="local", targets=targets)
    ask(running, {})
    assert capsys.readouterr().err.count("asked\n") == 3  # what they need as well, each once

    (root / "pyproject.toml").write_text('[tool.heyhi]\nvalidate = "checks:strict"\n')
    ask(Workflow(), {})  # who only looks
    ask(Workflow(executor_plugin="local", is_main_process=False), {})  # a job
    ask(running, {"launch": "x.json"})  # of `heyhi launch`, which has asked
    capsys.readouterr()
    for workflow in (running, Workflow(executor_plugin="dryrun", dryrun=True, targets=targets)):
        with pytest.raises(SystemExit) as stopped:
            ask(workflow, {})
        said = capsys.readouterr().err
        assert stopped.value.code == 2 and "1 of 3 experiments are refused by validate:" in said
        assert "checks.py: that noise is taken\n    in conf/c03_eval/eval.prototxt noise=0.2" in said

    refused = next(target for target in manifest.targets if "noise=0.2" in target)
    (root / refused).parent.mkdir(parents=True)
    (root / refused).touch()  # DONE: results outlive checks
    ask(running, {})


BEST = "{{best tune.py max=acc}}"
GIVEN = f"""
def yield_sweep():
    yield "conf/c03_eval/eval.prototxt", {{"checkpoint": "{BEST}"}}
    yield "conf/c02_sup_train/sl.prototxt", {{"I": "{BEST}", "seed": 7}}
"""
TUNE = """
def yield_sweep():
    yield "conf/c02_sup_train/sl.prototxt", {"lr": 0.1}
"""


def test_what_is_given_the_folder_of_a_best_one_needs_its_result_while_that_is_not_there(root: Path) -> None:
    (root / "tune.py").write_text(TUNE)
    (root / "sweep.py").write_text(GIVEN)
    project = find_project(root)

    def choose(exp_id: str) -> str:
        """Write down which one is the best; return its target."""
        words = "tune.py max=acc"
        path = winner_path(project.results_root, words)
        path.unlink(missing_ok=True)
        write_winner(path, Winner(words, exp_id, 1.0, (exp_id,), "", ("lr=0.1",), (), ((exp_id, 1.0),), "", "", ""))
        return f"results/{exp_id}/result.json"

    def needs() -> list[list[str]]:
        return [flow.needs(wildcards(target)) for target in manifest.targets]

    (folder,) = expand_sweep_file(project, load_schema(project), root / "tune.py").folders
    target = choose(str(Path(folder).relative_to(project.results_root)))
    flow = Flow(Workflow(), {})
    flow.report(None)
    (manifest,) = flow._opened.values()
    (best,) = manifest.contest_nodes()
    assert needs() == [[best.target, target], [best.target]], "what it takes over is on record"
    (root / target).parent.mkdir(parents=True)
    (root / target).write_text("{}")
    assert needs() == [[best.target], [best.target]]

    choose("p/of/another")
    flow = Flow(Workflow(), {})
    flow.report(None)
    (given, taken) = needs()
    assert taken == [best.target] and "/unknown/" in given[1], "it waits in vain for what nobody can run"
    assert "results/p/of/another/result.json: NOT_STARTED" in flow.why_unknown(
        SimpleNamespace(digest=Path(given[1]).name)
    )
