"""Files that experiments are given: their content on record, read once, and told when it is another one."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heyhi.config.identity import Identity
from heyhi.errors import NeedsError
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.given import find_stale, given_to, stale_text
from heyhi.experiment.given_files import check_files, digest_of, given_files, note_given, why_missing
from heyhi.experiment.records import Start

NAME = "data/x.npz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    write(tmp_path, b"one")
    return tmp_path


def write(root: Path, data: bytes, seconds: float = 1000.0) -> None:
    path = root / NAME
    path.write_bytes(data)
    os.utime(path, (seconds, seconds))


def digest(root: Path) -> str:
    return digest_of(NAME, root, root / "results")


def kept(root: Path) -> list[Path]:
    return [*(root / "results/.heyhi/given/digests").glob("*.json")]


def test_the_digest_is_that_of_the_content_and_is_kept_as_long_as_the_file_stays(root: Path) -> None:
    first = digest(root)
    assert first == hashlib.sha256(b"one").hexdigest()[:16]
    (note,) = kept(root)
    note.write_text(note.read_text().replace(first, "f" * 16))
    assert digest(root) == "f" * 16, "it wasn't read again"
    write(root, b"one", 2000.0)
    assert digest(root) == first, "another time is another file"
    write(root, b"two", 2000.0)
    assert digest(root) != first, "of one size and time, but written since"
    note.write_text("{")
    assert digest(root) == hashlib.sha256(b"two").hexdigest()[:16]


def test_a_file_that_may_change_within_its_clocks_tick_is_not_kept(root: Path) -> None:
    (root / NAME).write_bytes(b"new")
    assert digest(root) == hashlib.sha256(b"new").hexdigest()[:16] and not kept(root)


def test_of_many_who_begin_at_once_all_have_the_digest(root: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: digest(root), range(32)))) == 1
    assert len(kept(root)) == 1


def test_what_is_no_file_has_no_digest_and_says_why(root: Path) -> None:
    for name, why in (("data/none", "isn't there"), ("data/x.npz/y", "isn't there"), ("data", "is a folder")):
        assert why_missing(name, root).startswith(why) and digest_of(name, root, root / "results") == ""
    assert why_missing(NAME, root) == "" == why_missing(str(root / NAME), "/elsewhere")
    os.mkfifo(root / "data/fifo")
    assert why_missing("data/fifo", root) == "is no file" and digest_of("data/fifo", root, root / "results") == ""


def test_where_the_digest_can_not_be_kept_it_is_read(root: Path) -> None:
    (root / "results").write_text("in the way")
    assert digest(root) == hashlib.sha256(b"one").hexdigest()[:16]


def test_an_experiment_is_stale_when_a_file_that_it_was_given_is_another_one(root: Path) -> None:
    results = root / "results"
    folder = ExperimentDir(results / "p/user", results)
    folder.path.mkdir(parents=True)
    roots = {"results_root": str(results), "project_root": str(root)}
    user = Experiment("p/user", folder.path, Identity("c", ()), "t", b"", roots=roots, files=(NAME, "data/none"))
    assert given_to(user) == {f"file {NAME}": digest(root)}
    folder.append_attempt(Start(1, needs=given_to(user)))
    paths = [str(folder.path)]
    assert find_stale(results, paths, root) == {}
    write(root, b"two")
    assert find_stale(results, paths, root) == {paths[0]: [f"file {NAME}"]}
    (root / NAME).unlink()
    assert find_stale(results, paths, root) == {}, "while it is made, nobody knows"


def test_what_one_is_made_of_is_said_in_words() -> None:
    assert stale_text([]) == ""
    assert stale_text(["p/a", "p/b"]) == "made of an earlier result of p/a, p/b"
    assert stale_text(["file x", "p/a"]) == "made of an earlier result of p/a and of an earlier x"


def test_notes_lead_to_those_that_were_given_files(root: Path) -> None:
    results = root / "results"
    assert given_files(results) == set()
    for exp_id in ("p/a", "p/b", "p/a"):
        note_given(results, exp_id)
    digest(root)
    assert given_files(results) == {str(results / "p/a"), str(results / "p/b")}


def test_a_missing_file_is_said_with_what_makes_it(root: Path) -> None:
    check_files((NAME,), root, "p/x", "snakemake --profile profiles/local")
    with pytest.raises(NeedsError) as error:
        check_files(("data/none", "data"), root, "p/x", "snakemake --profile profiles/local")
    assert str(error.value).splitlines() == [
        "p/x needs what it can't be given:",
        "  data/none: isn't there",
        "  data: is a folder: name a file in it, such as one that the rule that fills it writes last",
        "where a rule of workflows/own.smk makes it:",
        "  snakemake --profile profiles/local data/none",
    ]
