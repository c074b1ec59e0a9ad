"""`--json`: one strict document of a known form and nothing else, of each command, whatever goes wrong."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.cli import json_forms as forms
from heyhi.cli.json_failure import OTHER_CODES
from heyhi.control.controller import ControllerSpec
from heyhi.errors import HeyhiError
from tests.docs_shown import ROOT
from tests.unit.cli.works import PROTO

Run = Callable[..., tuple[int, str, str]]
Document = dict[str, Any]

# What a section of docs/scripting.md lists, in the order of its tables.
SECTIONS: dict[str, list[type]] = {
    "error": [forms.Failure],
    "Experiments": [forms.Experiment, forms.Marks, forms.Otherwise],
    "describe": [forms.Describe, forms.KeyForm],
    "expand": [forms.Expand, forms.ExpandRow],
    "plan, run, launch, retry, search": [forms.Launch, forms.LaunchRow],
    "status": [forms.Status, forms.StatusRow, forms.JobRow],
    "report": [forms.Report, forms.ReportRow],
    "diff": [forms.Diff, forms.DiffSection],
    "cancel": [forms.Cancel, forms.CancelledRow],
    "clean": [forms.Clean, forms.CleanRow],
    "note": [forms.Notes, forms.NoteRow],
}
# Which the text names, beside the tables.
IN_TEXT: dict[str, list[type]] = {
    "describe": [forms.EnumValue, forms.Tasks, forms.TaskForm, forms.SettingsForm, forms.SettingForm],
    "plan, run, launch, retry, search": [forms.ControllerForm],
    "status": [forms.Launches, forms.LaunchedRow],
    "report": [forms.ColumnForm],
    "diff": [forms.DiffedExperiment, forms.Difference],
}


@pytest.fixture
def project(make_project: Callable[..., Path]) -> Path:
    return make_project(PROTO)


def work(cfg: Any, **_: object) -> dict[str, Any]:
    if cfg.seed == 2:
        raise ValueError("boom\x1b[31m")
    return {"score": float("nan") if cfg.seed == 1 else 0.5, "top": float("inf"), "large": 2**80, "text": "a\tb\x1b"}


def run_three() -> list[str]:
    """Run two that end well, with what JSON lacks in their results, and one that dies."""
    handles = [maybe_launch(work, cfg="work", overrides=["lr=1", f"seed={seed}"]) for seed in range(3)]
    return [handle.exp_id for handle in handles]


def strict(text: str) -> Document:
    """Read a document as a program does that knows no NaN."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    document = json.loads(text, parse_constant=refuse)
    assert text.isascii() and text.endswith("\n") and document["heyhi"] == 1
    return typing.cast("Document", document)


def fits(value: object, kind: Any, where: str = "") -> Iterator[str]:
    """Yield what of a value is not of a type."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return
    shape = {list: list, dict: dict}.get(origin) or (dict if typing.is_typeddict(kind) else object)
    if not isinstance(value, shape):
        yield f"{where}: {value!r} is no {kind}"
    elif typing.is_typeddict(kind):
        assert isinstance(value, dict)
        hints = typing.get_type_hints(kind, include_extras=False)
        optional = typing.get_type_hints(kind, include_extras=True)
        lacking = {n for n in hints if typing.get_origin(optional[n]) is not typing.NotRequired} - value.keys()
        surplus = value.keys() - hints.keys()
        yield from (f"{where}: lacks {name}" for name in lacking)
        yield from (f"{where}: has {name}" for name in surplus)
        for name in value.keys() & hints.keys():
            yield from fits(value[name], hints[name], f"{where}.{name}")
    elif origin is types.UnionType or origin is typing.Union:
        if all(list(fits(value, one)) for one in args):
            yield f"{where}: {value!r} is no {kind}"
    elif origin is list:
        assert isinstance(value, list)
        for place, one in enumerate(value):
            yield from fits(one, args[0], f"{where}[{place}]")
    elif origin is dict:
        assert isinstance(value, dict)
        for name, one in value.items():
            yield from fits(one, args[1], f"{where}[{name}]")
    elif type(value) is not (kind or type(None)) and not (kind is float and type(value) is int):
        yield f"{where}: {value!r} is no {kind}"


def answer(run: Run, kind: type, *words: str, code: int = 0) -> Document:
    """Ask for an answer of a form."""
    found, out, err = run(*words, "--json")
    document = strict(out)
    assert found == code, (found, out, err)
    assert document.pop("heyhi") == 1 and document.pop("command") == words[0], document
    assert list(fits(document, kind)) == []
    return document


def failure(run: Run, *words: str, code: int = 2) -> Document:
    """Ask for what is wrong."""
    found, out, err = run(*words, "--json")
    document = strict(out)
    assert found == code and set(document) == {"heyhi", "error"}, (document, err)
    assert list(fits(document["error"], forms.Failure)) == []
    return typing.cast("Document", document["error"])


# --- forms


def test_each_command_answers_in_its_form(run: Run, project: Path, started: list[ControllerSpec]) -> None:
    done, other, _ = run_three()
    lines = answer(run, forms.Expand, "expand", "conf/many.py")
    assert [row["overrides"] for row in lines["experiments"]] == [["seed=0"], ["seed=1"], ["seed=2"]]
    plan = answer(run, forms.Launch, "plan", "--cfg", "work", "lr=1", "--sweep", "seed=0,2,3")
    assert [row["action"] for row in plan["experiments"]] == ["none", "start", "start"]
    assert [row["status"] for row in plan["experiments"]] == ["DONE", "DEAD", "NOT_STARTED"]
    assert plan["dry_run"] is True and plan["counts"] == {"DEAD": 1, "NOT_STARTED": 1, "DONE": 1}
    status = answer(run, forms.Status, "status", code=1)
    assert status["is_over"] and [row["trial"] for row in status["experiments"]] == [None] * 3
    assert set(answer(run, forms.Status, "status", "--drift", code=1)["experiments"][0]) >= {"drifted", "other_code"}
    assert answer(run, forms.Launches, "status", "--sweeps")["launches"][0]["experiments"] == 3
    dry = answer(run, forms.Launch, "launch", "conf/many.py", "--profile", LOCAL, "--dry-run")
    assert dry["controller"] is None and not started
    launched = answer(run, forms.Launch, "launch", "conf/many.py", "--profile", LOCAL)
    assert launched["controller"]["is_new"] and launched["profile"] == LOCAL and len(started) == 1
    assert [row["action"] for row in launched["experiments"]] == ["start"] * 3 and launched["manifests"]
    retried = answer(run, forms.Launch, "retry", "--dead", "--profile", LOCAL)
    assert [row["action"] for row in retried["experiments"] if row["status"] == "DEAD"] == ["start"]
    cancelled = answer(run, forms.Cancel, "cancel", done)
    assert [(row["what"], row["why"]) for row in cancelled["found"]] == [("nothing", "DONE")]
    compared = answer(run, forms.Diff, "diff", done, other)
    sections = {section["title"]: section["differences"] for section in compared["sections"]}
    assert sections["config"] == [{"key": "seed", "a": 0, "b": 1}]
    assert {"key": "score", "a": 0.5, "b": "NaN"} in sections["result"]
    answer(run, forms.Notes, "note")
    answer(run, forms.Clean, "clean", "--dry-run")
    answer(run, forms.Tasks, "describe")
    answer(run, forms.SettingsForm, "describe", "--settings")
    answer(run, forms.Describe, "describe", "work")


LOCAL = "profiles/local"


@pytest.fixture(autouse=True)
def profiles(project: Path) -> None:
    (project / LOCAL).mkdir(parents=True)
    (project / LOCAL / "config.yaml").write_text("cores: 1\n")


def test_a_report_has_typed_overrides_and_metrics_by_exp_id(run: Run, project: Path) -> None:
    run_three()
    words = ("--cfg", "work", "lr=1", "--sweep", "seed=range(3)")
    report = answer(run, forms.Report, "report", *words)
    first, second, dead = report["rows"]
    assert first["overrides"] == {"lr": 1, "seed": 0} and first["cfg"] == "conf/work.prototxt"
    assert first["metrics"]["score"] == 0.5 and second["metrics"]["score"] == "NaN"
    assert first["metrics"]["top"] == "Infinity" and first["metrics"]["large"] == str(2**80)
    assert dead["status"] == "DEAD" and "boom" in dead["reason"] and dead["metrics"]["score"] is None
    assert {"name": "score", "kind": "metric"} in report["columns"] and report["counts"] == {"DONE": 2, "DEAD": 1}
    assert all((project / path).is_file() for path in report["written"]) and report["written"]

    (mean,) = answer(run, forms.Report, "report", *words, "--mean-over")["rows"]
    assert len(mean["exp_ids"]) == 3 and mean["statuses"] == {"DONE": 2, "DEAD": 1} and mean["status"] is None
    (best,) = answer(run, forms.Report, "report", *words, "--best", "score:max")["rows"]
    assert best["exp_ids"] == first["exp_ids"]
    pivot = answer(run, forms.Report, "report", *words, "--pivot", "lr", "seed", "score")
    assert len(pivot["rows"]) == 1
    assert answer(run, forms.Report, "report", *words, "--where", "seed=9")["rows"] == []
    rows = answer(run, forms.Report, "report", *words, "--columns", "score")["rows"]
    assert [(row["status"], row["metrics"]) for row in rows][::2] == [
        ("DONE", {"score": 0.5}),
        ("DEAD", {"score": None}),
    ]


def test_a_table_that_cannot_be_written_is_answered_all_the_same(run: Run, project: Path) -> None:
    run_three()
    (project / "there").write_text("no folder")
    words = ("report", "--cfg", "work", "lr=1", "--sweep", "seed=0,1", "--to", "there/t.csv")
    found = answer(run, forms.Report, *words, code=2)
    assert len(found["rows"]) == 2 and "there" in found["error"]["message"]


def test_the_docs_list_each_field_of_each_form() -> None:
    text = (ROOT / "docs/scripting.md").read_text()
    parts = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    shared = {name for kind in SECTIONS["Experiments"] for name in typing.get_type_hints(kind)}
    for title, kinds in SECTIONS.items():
        rows = re.findall(r"^\| ((?:`\w+` ?)+)\|", parts[title].partition("| code |")[0], re.MULTILINE)
        listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
        fields = {name for kind in kinds for name in typing.get_type_hints(kind)}
        assert listed == (fields if title == "Experiments" else fields - shared | (fields & shared & listed)), title
    for title, kinds in IN_TEXT.items():
        for kind in kinds:
            for name in typing.get_type_hints(kind):
                assert f"`{name}`" in parts[title], (title, name)


def test_the_docs_list_each_code_of_an_error() -> None:
    def below(kind: type[HeyhiError]) -> Iterator[type[HeyhiError]]:
        for one in kind.__subclasses__():
            if one.__module__.startswith("heyhi."):
                yield one
                yield from below(one)

    load_every_error()
    text = (ROOT / "docs/scripting.md").read_text().partition("## error")[2].partition("\n## ")[0]
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| ((?:`\w+` ?)+)\|", text, re.MULTILINE))))
    codes = {kind.error_code for kind in (HeyhiError, *below(HeyhiError))} | set(OTHER_CODES)
    assert listed - {"code", "message", "key", "nearest", "fix"} == codes


def load_every_error() -> None:
    """Import whatever defines an error."""
    for path in sorted((ROOT / "heyhi").rglob("*.py")):
        if re.search(r"^class \w+\(\w*(Error|Busy|Refused)\)", path.read_text(), re.MULTILINE):
            __import__(".".join(path.relative_to(ROOT).with_suffix("").parts))


# --- what is wrong


@pytest.mark.parametrize(
    ("words", "code", "key", "near", "fix"),
    [
        ("plan --cfg work lrr=1", "override", "lrr", "lr", "lr=1"),
        ("plan --cfg work --lrr=1", "override", "lrr", "lr", "lr=1"),
        ("plan --cfg work seed=x", "override", "seed", None, None),
        ("plan --cfg wrok", "config", "wrok", "work", "work"),
        ("plan conf/mny.py", "sweep", "conf/mny.py", "conf/many.py", "conf/many.py"),
        ("plan --mode contineu", "mode", "contineu", "start_continue", None),
        ("plan --jsn", "override", "--jsn", "--json", "--json"),
        ("lanch conf/many.py", "usage", "lanch", "launch", "launch"),
        ("plan --cfg", "usage", "--cfg", None, None),
        ("describe work sed", "override", "sed", "seed", "seed"),
        ("describe wrk", "config", "wrk", "work", "work"),
        ("report --columns x --where statsu=DONE", "where", "statsu", "status", "status=DONE"),
        ("report --watch 5", "input", None, None, None),
        ("report --to -", "input", None, None, None),
        ("status --job 18", "input", "18", None, None),
        ("diff conf/many.py", "input", None, None, None),
        ("cancel", "input", None, None, None),
        ("retry", "input", None, None, "--dead"),
        ("launch --profile lokal", "input", "lokal", "local", "local"),
        ("search conf/many.py", "sweep", None, None, "heyhi run conf/many.py"),
        ("clean --keep best", "input", None, None, None),
        ("logs nothing", "override", "--json", None, None),
        # Only what is really near is a fix: another name would make another experiment.
        ("plan --cfg work seeeds=1", "override", "seeeds", "seed", None),
        ("plan --cfg work --mod 3", "override", "--mod", "--mode", "--mode"),
        ("plan --cfg work --modality x", "override", "--modality", "--mode", None),
        ("plan --profile nosuch", "override", "--profile", None, None),
        ("plan --cfg work --profile=nosuch", "override", "--profile=nosuch", None, None),
        ("plan --json=1", "usage", "--json", None, None),
        ("status --where status=FOO", "where", "FOO", None, None),
        ("status --where status=DNE", "where", "DNE", "DONE", "status=DONE"),
        ("report --where status!=doen", "where", "doen", "DONE", "'status!=DONE'"),
        ("retry --where status=dead", "where", "dead", "DEAD", "status=DEAD"),
        ("cancel --where status=RUNING", "where", "RUNING", "RUNNING", "status=RUNNING"),
        # One slip has one code, wherever it is found.
        ("plan lr=0.1", "override", "lr=0.1", None, None),
        ("plan --cfg work --sweep seed=0,1 +lr=1", "override", "+lr=1", None, "lr=1"),
        ("plan --cfg work lr = 1", "override", "lr = 1", None, "lr=1"),
        ("plan --cfg work sed = 1", "override", "sed = 1", None, "seed=1"),
        ("plan --cfg work foo = 1", "override", "foo = 1", None, None),
        # The word of an axis.
        ("plan --cfg work --sweep lr=range(3", "sweep", "lr=range(3", None, None),
        ("search --cfg work --min a --trials 1 --space lr=loguniform(0,1)", "sweep", "lr=loguniform(0,1)", None, None),
        # Habits say what is typed to the letter, and leave nothing of what they were taken for.
        ("plan --cfg work --multirun lr=1,2", "override", "--multirun lr=1,2", None, "--sweep lr=1,2"),
        (
            "plan --cfg work -m lr=1,2 seed=1,2",
            "override",
            "-m lr=1,2 seed=1,2",
            None,
            "--sweep lr=1,2 --sweep seed=1,2",
        ),
        ("plan --config work", "override", "--config work", None, "--cfg work"),
        ("plan --config-name work", "override", "--config-name work", None, "--cfg work"),
        ("plan --cfg work --seeds 3", "override", "--seeds 3", None, "--sweep 'seed=range(3)'"),
        ("plan --cfg work --lrr 3", "override", "--lrr 3", None, "lr=3"),
        ("plan --lrr 3", "override", "--lrr 3", None, None),
        ("launch --cfg work --nodes=2", "override", "--nodes=2", None, None),
        ("launch --cfg work --exclusive", "override", "--exclusive", None, "launcher.slurm.extra=--exclusive"),
    ],
)
def test_what_is_wrong_is_told_with_the_word_at_fault_and_what_to_type(
    run: Run, words: str, code: str, key: str | None, near: str | None, fix: str | None
) -> None:
    found = failure(run, *words.split())
    assert (found["code"], found["key"], found["fix"]) == (code, key, fix), found
    assert (near in found["nearest"]) if near else found["nearest"] == [], found


def test_a_fix_that_is_typed_in_place_of_the_word_at_fault_is_right(run: Run) -> None:
    words = ["plan", "--cfg", "work", "--sweep", "sed=0,1", "lr=1"]
    found = failure(run, *words)
    assert found["key"] == "sed" and found["fix"] == "seed=0,1"
    assert answer(run, forms.Launch, *("seed=0,1" if word == "sed=0,1" else word for word in words))


def mended(words: list[str], error: Document) -> list[str]:
    """Mend words as the loop in docs/scripting.md does."""
    (loop,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/scripting.md").read_text(), re.MULTILINE | re.DOTALL)
    imports, _, behind = loop.partition("def mended")
    names: dict[str, Any] = {}
    imported = "\n".join(re.findall(r"^import .*", imports, re.MULTILINE))
    exec(f"{imported}\ndef mended{behind.partition('keys = ')[0]}", names)  # noqa: S102 (our own page)
    return typing.cast("list[str]", names["mended"](words, error))


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        (["--cfg", "work", "--sed", "3"], [["seed=3"]]),
        (["--cfg", "work", "sed=3"], [["seed=3"]]),
        (["--cfg", "work", "--sed=3", "lrr=2"], [["lr=2", "seed=3"]]),
        (["--cfg", "work", "+lr=1"], [["lr=1"]]),
        (["--cfg", "work", "lr", "=", "0.1", "seed=2"], [["lr=0.1", "seed=2"]]),
        (["--cfg", "work", "lr=", "0.1"], [["lr=0.1"]]),
        (["--cfg", "work", "lr:", "0.1"], [["lr=0.1"]]),
        (["--cfg", "work", "--multirun", "lr=1,2"], [["lr=1"], ["lr=2"]]),
        (["--cfg", "work", "-m", "lr=1", "seed=1,2"], []),
        (["--config", "work", "--seeds", "2"], [["seed=0"], ["seed=1"]]),
        (["--cfg", "work", "--set", "lr=1"], [["lr=1"]]),
        (["--cfg", "work", "--sweep", "sed=1,2"], [["seed=1"], ["seed=2"]]),
        (["--cfg", "work", "--sweep", "lr=[1,2]"], [["lr=1"], ["lr=2"]]),
        (["--cfg", "work", "--sweep=seed=1-2"], [["seed=1"], ["seed=2"]]),
        (["--cfg", "work", "--sweep", "lr", "1", "2"], [["lr=1"], ["lr=2"]]),
        (["--cfg", "work", "--sweep=lr=choice(1,2)"], [["lr=1"], ["lr=2"]]),
        (["--cfg", "work", "--sweep", "lr=choice(1,2)"], [["lr=1"], ["lr=2"]]),
        (["--cfg", "work", "lr=choice(1,2)"], [["lr=1"], ["lr=2"]]),
    ],
)
def test_the_loop_of_the_docs_mends_slips_of_one_word_and_of_several(
    run: Run, words: list[str], overrides: list[list[str]]
) -> None:
    for _ in range(3):
        code, out, _err = run("expand", *words, "--json")
        if code == 0:
            break
        error = strict(out)["error"]
        if not error["fix"]:
            assert not overrides
            return
        words = mended(words, error)
    else:
        raise AssertionError(words)
    assert [row["overrides"] for row in strict(out)["experiments"]] == overrides


def test_json_may_stand_before_the_command(run: Run) -> None:
    code, out, _ = run("--json", "plan", "--cfg", "work", "lr=1")
    assert code == 0 and strict(out)["command"] == "plan"
    assert strict(run("--json", "plan", "--cfg", "wrok")[1])["error"]["fix"] == "work"


def test_a_column_that_is_sorted_downward_is_mended_with_its_sign(run: Run) -> None:
    names = run_three()
    assert failure(run, "report", *names, "--sort=-scroe")["fix"] == "--sort=-score"
    assert failure(run, "report", *names, "--sort", "-scroe")["fix"] == "-score"


def test_what_somebody_would_be_asked_is_refused_and_the_fix_is_to_force_it(
    run: Run, project: Path, started: list[ControllerSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_three()
    (project / "conf/work.prototxt").write_text("work {\n  lr: 0.2\n  seed: 5\n}\n")
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    note = ("note", "--where", "status=DONE", "bad data")
    assert run(*note)[0] == 0
    removed = failure(run, "clean", "--where", "status=DONE", "--experiments")
    assert (removed["code"], removed["fix"]) == ("mode", "--force") and "never asks" in removed["message"]
    assert len(list((project / "results/p/work").iterdir())) == 3


def test_a_project_that_is_none_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert failure(run, "plan")["code"] == "no_project"


def test_slurm_that_does_not_answer_is_told(
    run: Run, project: Path, monkeypatch: pytest.MonkeyPatch, started: list[ControllerSpec]
) -> None:
    slurm = project / "profiles/slurm"
    slurm.mkdir()
    (slurm / "config.yaml").write_text("executor: heyhi\n")
    monkeypatch.setenv("PATH", str(project))
    found = failure(run, "launch", "conf/many.py", "--profile", "slurm")
    assert (found["key"], found["fix"]) == ("sbatch", "--profile=local") and not started


def test_a_launch_that_starts_nothing_says_so_beside_its_answer(
    run: Run, project: Path, started: list[ControllerSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    from heyhi.control.first_start import Outcome

    said = Outcome(["nothing was submitted: the disk is full"], True)
    monkeypatch.setattr("heyhi.control.first_start.FirstStart.wait", lambda *_: said)
    found = answer(run, forms.Launch, "launch", "conf/many.py", "--profile", LOCAL, code=1)
    assert found["error"]["code"] == "not_started" and "disk is full" in found["error"]["message"]


def test_help_is_for_people(run: Run) -> None:
    code, out, _ = run("plan", "--json", "--help")
    assert code == 0 and out.startswith("usage: heyhi plan")


# --- one document and nothing else


def heyhi(*words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "heyhi.cli", *words]
    return subprocess.run(command, **{"capture_output": True, "check": False, **more})


LOUD = (
    "import atexit, ctypes, os, subprocess\n"
    "ctypes.CDLL(None).printf(b'from C\\n')\n"
    "print('printed')\nos.write(1, b'written\\n')\nsubprocess.run(['echo', 'a child'])\n"
    "atexit.register(print, 'at exit')\n"
)
POINTS = "def yield_sweep():\n    yield 'work', {'seed': 1}\n"


@pytest.mark.parametrize("command", ["plan", "expand", "report", "launch --dry-run --profile profiles/local", "cancel"])
def test_whatever_a_sweep_prints_goes_to_standard_error(project: Path, command: str) -> None:
    (project / "conf/loud.py").write_text(LOUD + POINTS)
    found = heyhi(*command.split(), "--json", "conf/loud.py")
    assert strict(found.stdout.decode())["command"] == command.split()[0], found.stderr
    for said in (b"from C", b"printed", b"written", b"a child", b"at exit"):
        assert said in found.stderr


@pytest.mark.parametrize("command", ["plan", "expand"])
@pytest.mark.parametrize(
    ("text", "code", "exit_code"),
    [
        ("raise ValueError('\\ud800 boom')", "sweep", 2),
        ("import sys\nsys.exit(3)", "sweep", 2),
        ("raise KeyboardInterrupt", "interrupted", 130),
    ],
)
def test_whatever_a_sweep_raises_is_one_document(
    project: Path, command: str, text: str, code: str, exit_code: int
) -> None:
    (project / "conf/bad.py").write_text(text)
    found = heyhi(command, "--json", "conf/bad.py")
    assert (strict(found.stdout.decode())["error"]["code"], found.returncode) == (code, exit_code), found
    assert b"Traceback" not in found.stderr


def test_a_bug_of_ours_is_one_document_and_its_traceback_is_on_standard_error(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("plan", "expand"):
        code = (
            "import sys\nfrom heyhi.cli import launching\n"
            "def broken(args): raise RuntimeError('ours')\n"
            f"launching.{command} = broken\nfrom heyhi.cli.main import main\nsys.exit(main())"
        )
        found = subprocess.run([sys.executable, "-c", code, command, "--json"], capture_output=True, check=False)
        error = strict(found.stdout.decode())["error"]
        assert (error["code"], error["message"], found.returncode) == ("bug", "RuntimeError: ours", 1), found
        assert b"Traceback" in found.stderr


def test_what_programs_print_that_a_command_starts_goes_to_standard_error(project: Path) -> None:
    code = (
        "import subprocess, sys\nfrom heyhi.cli import launching\nplan = launching.plan\n"
        "def loud(args):\n    subprocess.run(['echo', 'a child'])\n    return plan(args)\n"
        "launching.plan = loud\nfrom heyhi.cli.main import main\nsys.exit(main())"
    )
    found = subprocess.run([sys.executable, "-c", code, "plan", "--json"], capture_output=True, check=False)
    assert strict(found.stdout.decode())["command"] == "plan" and b"a child" in found.stderr


def test_a_command_that_is_killed_from_outside_says_so(project: Path) -> None:
    (project / "conf/bad.py").write_text("import os\nos.kill(os.getpid(), 9)")
    found = heyhi("expand", "--json", "conf/bad.py")
    assert strict(found.stdout.decode())["error"]["code"] == "ended" and found.returncode == 137
    (project / "conf/bad.py").write_text("import os\nos._exit(0)")
    found = heyhi("expand", "--json", "conf/bad.py")
    assert strict(found.stdout.decode())["error"]["code"] == "ended" and found.returncode == 2


def test_names_that_are_no_text_and_characters_that_steer_are_escapes(run: Run, project: Path) -> None:
    error = failure(run, "plan", "conf/\x1b[31m\udcff.py")
    assert "\x1b" not in error["message"] and "\\udcff" in error["message"]
    assert error["key"] == "conf/\x1b[31m\\udcff.py"


def test_output_that_nobody_takes_ends_as_without_json(project: Path) -> None:
    for redirection, code in ((">&-", 2), ("> /dev/full", 2)):
        command = f"exec {sys.executable} -m heyhi.cli plan --json {redirection}"
        found = subprocess.run(["bash", "-c", command], capture_output=True, check=False)
        assert found.returncode == code and b"standard output can't be written" in found.stderr, found.stderr
        assert b"Traceback" not in found.stderr


def test_a_terminal_gets_the_document_as_it_is(project: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "heyhi.cli", "plan", "--json"], stdout=theirs, stderr=subprocess.DEVNULL
    ) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                text += os.read(ours, 1 << 16)
            except OSError:  # it has ended
                break
        assert process.wait() == 0
    os.close(ours)
    assert strict(text.decode().replace("\r\n", "\n"))["command"] == "plan"
