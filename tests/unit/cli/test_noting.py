"""`heyhi note`: which word is the text, what is written, and where the notes are seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi import maybe_launch
from heyhi.cli.looking import NOT_LOOKED
from heyhi.experiment.folder import ExperimentDir
from heyhi.experiment.names import ATTEMPTS_NAME
from heyhi.experiment.notes import Note, Notes
from heyhi.project import find_project

PROTO = """
syntax = "proto3";
message MetaCfg { oneof task { Work work = 2; Check check = 3; } }
message Work { optional double lr = 1; int32 seed = 2; string name = 3; }
message Check { string of = 1; int32 noise = 2; }
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def project(make_project: Callable[..., Path]) -> Path:
    return make_project(PROTO)


def work(*, cfg: Any, **_: object) -> dict[str, float]:
    Path("metrics.jsonl").write_text(f'{{"loss": {cfg.seed}}}\n')
    if cfg.seed == 2:
        raise ValueError("boom")
    return {"score": cfg.seed}


@pytest.fixture
def ids(run: Run) -> list[str]:
    """Run the three of a sweep, of which the last dies, and return their exp ids."""
    run("expand")
    handles = [maybe_launch(work, cfg="conf/work.prototxt", overrides=[f"seed={seed}"]) for seed in range(3)]
    return [handle.exp_id for handle in handles]


def noted() -> dict[str, Note]:
    return dict(Notes.read(find_project().results_root).by_id)


def texts() -> dict[str, str]:
    return {exp_id: note.text for exp_id, note in noted().items()}


# --- which word is the text


def test_the_last_word_is_the_text(run: Run, ids: list[str]) -> None:
    code, out, err = run("note", ids[0], f"results/{ids[1]}/result.json", "bad data")
    assert (code, err) == (0, "") and out == f"noted 'bad data': 2 experiments: {ids[0]}, {ids[1]}\n"
    assert texts() == {ids[0]: "bad data", ids[1]: "bad data"}
    assert not any(note.excluded for note in noted().values())


def test_a_text_of_one_word_is_one_where_it_names_nothing(run: Run, ids: list[str]) -> None:
    assert run("note", ids[0], "diverged")[0] == 0 and texts() == {ids[0]: "diverged"}
    assert run("note", "--where", "seed=1", "4711")[0] == 0 and texts()[ids[1]] == "4711"


@pytest.mark.parametrize("text", ["lr=10 is too much", "lr = 10", "it is p/a that is wrong", "see conf/many.py"])
def test_a_text_with_blanks_is_no_word_whatever_it_looks_like(run: Run, ids: list[str], text: str) -> None:
    assert run("note", "--cfg", "work", "seed=1", text)[0] == 0 and texts() == {ids[1]: text}


def test_a_text_that_could_be_a_word_is_given_as_an_option(run: Run, ids: list[str]) -> None:
    assert run("note", ids[0], "--text", "conf/many.py")[0] == 0 and texts() == {ids[0]: "conf/many.py"}
    assert run("note", "--cfg", "work", "seed=1", "--text=-x")[0] == 0 and texts()[ids[1]] == "-x"


def test_a_word_with_a_slip_in_it_is_no_text(run: Run, ids: list[str]) -> None:
    for wrong in (ids[1][:-1], "conf/mony.py", "none.sqlite", "work.prototx/"):
        code, out, err = run("note", ids[0], wrong)
        assert code == 2 and out == "" and "is given as --text)" in err and noted() == {}
    code, _, err = run("note", ids[0][:-1], "bad data")
    assert code == 2 and "did you mean" in err and noted() == {}


def test_a_text_alone_is_on_no_experiment(run: Run, ids: list[str]) -> None:
    for words in (("bad data",), ("--text", "bad"), ("--exclude",), ("--remove",)):
        code, out, err = run("note", *words)
        assert code == 2 and out == "" and "which experiments?" in err
    code, _, err = run("note", "bad")
    assert code == 2 and "'bad' is no sweep file, manifest, experiment, job or config" in err


def test_what_does_not_go_together_is_refused(run: Run, ids: list[str]) -> None:
    for words, says in (
        (("--remove", "bad data"), "--remove takes the notes away"),
        (("  ",), "the note is empty"),
        (("--text", "\x1b"), "the note is empty"),
        (("bad data", "--json"), "--json lists notes"),
        (("--exclude",), f"why is {ids[0]} to be excluded? The text is missing: heyhi note WORDS"),
        (("--exclude", "--include", "x"), "not allowed with"),
    ):
        code, out, err = run("note", ids[0], *words)
        assert code == 2 and bool(out) == ("--json" in words) and says in err and noted() == {}


# --- what becomes of notes


def test_all_of_a_sweep_are_noted_less_what_is_only_needed(run: Run, ids: list[str]) -> None:
    run("note", "--cfg", "check", "what for?")
    assert [name[:8] for name in noted()] == ["p/check/"]  # which isn't run yet
    run("note", "conf/many.py", "all of it")
    assert len(noted()) == 4


def test_an_exclusion_comes_goes_and_stays_with_another_text(run: Run, ids: list[str]) -> None:
    code, out, _ = run("note", ids[0], "bad data", "--exclude")
    assert code == 0 and out == f"noted 'bad data', excluded from means: 1 experiment: {ids[0]}\n"
    assert run("note", ids[0], "bad data, see log")[1].startswith("noted 'bad data, see log', excluded from means: 1")
    assert noted()[ids[0]].excluded
    assert run("note", ids[0], "--exclude")[1] == f"excluded before: 1 experiment: {ids[0]}\n"
    assert run("note", "conf/many.py", "--include")[1].splitlines() == [
        f"in means again: 1 experiment: {ids[0]}",
        f"not excluded: 2 experiments: {ids[1]}, {ids[2]}",
    ]
    assert noted()[ids[0]].text == "bad data, see log" and not noted()[ids[0]].excluded
    assert run("note", ids[0], "--exclude")[1] == f"excluded from means: 1 experiment: {ids[0]}\n"
    assert run("note", "conf/many.py", "--remove")[1].splitlines()[0] == f"note removed: 1 experiment: {ids[0]}"
    assert noted() == {}


def test_a_dry_run_writes_nothing(run: Run, ids: list[str], project: Path) -> None:
    code, out, _ = run("note", ids[0], "bad data", "--exclude", "--dry-run")
    assert code == 0 and out.endswith("1 experiment: " + ids[0] + "\ndry run: nothing was written\n")
    assert noted() == {} and not (project / "results/.heyhi/notes").exists()
    run("note", ids[0], "bad data")
    run("note", ids[0], "--remove", "--dry-run")
    assert texts() == {ids[0]: "bad data"}


def test_conditions_choose_what_is_noted(run: Run, ids: list[str]) -> None:
    assert run("note", "--where", "loss>0", "--where", "status=DONE", "large", "--exclude")[0] == 0
    assert texts() == {ids[1]: "large"}
    assert run("note", "--where", "note~LARGE", "--include")[0] == 0 and not noted()[ids[1]].excluded
    assert run("note", "conf/many.py", "--where", "seed=9", "none")[:2] == (
        0,
        "none of 3 experiments meets --where seed=9\n",
    )
    assert run("note", "--where", "sed=9", "none")[0] == 2


def test_a_note_of_a_run_that_was_wiped_excludes_the_new_one_no_more(run: Run, ids: list[str], project: Path) -> None:
    run("note", ids[0], "bad data", "--exclude")
    begin_anew(project / "results" / ids[0])
    assert "(of an earlier run) bad data  by " in run("note")[1]
    (row,) = json.loads(run("note", "--json")[1])["notes"]
    assert (row["note"], row["excluded"], row["is_of_earlier_run"]) == ("bad data", False, True)
    assert run("note", ids[0], "--include")[1].startswith("not excluded")
    assert run("note", ids[0], "--exclude")[0] == 2  # why is this one to be?
    assert run("note", ids[0], "fine")[1] == f"noted 'fine': 1 experiment: {ids[0]}\n" and not noted()[ids[0]].excluded


def begin_anew(folder: Path) -> None:
    """Have the records say that the run is another one: begun in another second."""
    path = folder / ATTEMPTS_NAME
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**line, "time": "2001-01-01T00:00:00+00:00"}) + "\n" for line in lines))


# --- where they are seen


def test_notes_are_listed_all_of_them_or_those_of_the_words(run: Run, ids: list[str], project: Path) -> None:
    assert run("note")[:2] == (0, "no notes\n")
    assert run("note", ids[0], ids[1])[:2] == (0, "no notes on 2 experiments\n")
    assert json.loads(run("note", "--json")[1]) == {"heyhi": 1, "command": "note", "notes": []}
    run("note", ids[0], "bad\ndata", "--exclude")
    run("note", ids[2], "fine")
    lines = run("note")[1].splitlines()
    assert lines[0].startswith(f"{ids[0]}  bad data (excluded from means)  by ") and lines[0].endswith(" UTC")
    assert [line.split()[0] for line in lines] == [ids[0], ids[2]]
    assert run("note", ids[1], ids[2])[1].splitlines() == lines[1:]
    rows = json.loads(run("note", "--where", "status=DONE", "--json")[1])["notes"]
    assert [(row["exp_id"], row["note"], row["excluded"]) for row in rows] == [(ids[0], "bad data", True)]
    assert run("note", "--where", "seed=9")[1] == "none of 3 experiments meets --where seed=9\n"
    for path in (project / "results/.heyhi/notes").iterdir():
        path.write_text("{")
    assert run("note")[1].count("a note can't be read: ") == 2
    assert "(its note can't be read: " in run("note", ids[0])[1]
    assert run("note", ids[0], "--remove")[1].startswith("note removed")


def test_status_counts_notes_and_shows_them_of_what_it_lists(run: Run, ids: list[str]) -> None:
    plain = run("status")[1]
    run("note", ids[0], "fine")
    run("note", ids[2], "bad data", "--exclude")
    assert run("status")[1].splitlines() == [
        "DEAD 1  DONE 2  noted 2 (excluded 1)",
        plain.splitlines()[1],
        f"{'':<11} note: bad data (excluded from means)",
        "no controller runs it: heyhi retry --dead starts it again",
        NOT_LOOKED,
    ]
    assert f"DONE        {ids[0]}\n{'':<11} note: fine\n" in run("status", "--all")[1]
    rows = {
        row["exp_id"]: (row["note"], row["excluded"]) for row in json.loads(run("status", "--json")[1])["experiments"]
    }
    assert rows == {ids[0]: ("fine", False), ids[1]: ("", False), ids[2]: ("bad data", True)}
    assert "note: fine\n" in run("plan", "--all")[1]


def test_logs_say_the_note_before_the_log(run: Run, ids: list[str]) -> None:
    run("note", ids[0], "bad data", "--exclude")
    code, out, err = run("logs", ids[0])
    assert code == 0 and err == "note: bad data (excluded from means)\n" and "bad data" not in out
    assert run("logs", ids[1])[2] == ""


def test_a_difference_says_what_was_noted(run: Run, ids: list[str]) -> None:
    run("note", ids[1], "bad data", "--exclude")
    lines = run("diff", ids[0], ids[1])[1].splitlines()
    assert lines[2:7] == ["   DONE", f"B  {ids[1]}", lines[4], "   DONE", "   note: bad data (excluded from means)"]


def test_a_table_has_notes_only_where_there_are_some(run: Run, ids: list[str]) -> None:
    import heyhi

    assert not {"note", "excluded"} & set(heyhi.table(progress=False).columns)
    run("note", ids[1], "fine")
    table = heyhi.table(progress=False)
    assert table["note"].tolist() == [None, "fine", None] and "excluded" not in table
    run("note", ids[0], "bad data", "--exclude")
    table = heyhi.table(progress=False)
    assert table["note"].tolist() == ["bad data", "fine", None] and table["excluded"].fillna(False).tolist() == [
        True,
        False,
        False,
    ]
    begin_anew(Path("results") / ids[0])
    table = heyhi.table(progress=False)
    assert table["note"].tolist() == ["(of an earlier run) bad data", "fine", None] and "excluded" not in table


def test_an_excluded_experiment_is_done_all_the_same(run: Run, ids: list[str]) -> None:
    run("note", "conf/many.py", "bad data", "--exclude")
    assert "DONE 2" in run("status", "conf/many.py")[1]
    assert "1 would start" in run("plan", "conf/many.py")[1]  # the dead one
    assert maybe_launch(pytest.fail, cfg="conf/work.prototxt", overrides=["seed=0"]).is_done()


def test_a_note_where_nothing_can_be_written_is_an_error_and_the_others_come(
    run: Run, ids: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "results" / ids[1] / ATTEMPTS_NAME).rename(project / "away")
    (project / "results" / ids[1] / ATTEMPTS_NAME).mkdir()
    code, out, err = run("note", *ids, "bad data")
    assert code == 2 and f"2 experiments: {ids[0]}, {ids[2]}" in out and "can't be read" in err
    assert set(noted()) == {ids[0], ids[2]}


def test_a_note_is_made_on_no_other_projects_results(run: Run, ids: list[str], project: Path) -> None:
    (project / "pyproject.toml").write_text('[tool.heyhi]\nname = "mine"\n')
    record = project / "results/.heyhi/project.json"
    record.write_text('{"names": ["theirs"]}')
    code, _, err = run("note", ids[0], "bad data")
    assert code == 2 and "theirs" in err and noted() == {}
    assert run("note")[:2] == (0, "no notes\n")


def test_an_experiment_has_its_note_by_whatever_folder_it_is_named(run: Run, ids: list[str], project: Path) -> None:
    run("note", str(project / "results" / ids[0]), "bad data")
    folder = ExperimentDir(project / "results" / ids[0], project / "results")
    assert Notes.read(project / "results").of(str(folder.path)) is not None and list(noted()) == [ids[0]]
