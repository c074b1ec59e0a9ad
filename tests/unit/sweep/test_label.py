"""Labels: names of reports and manifests, which follow from the sweep alone and differ between sweeps."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from heyhi.project import Project
from heyhi.sweep.label import label_of, label_of_words, label_together

PROJECT = Project(Path("/project"))
# What a report and a manifest can be called, and what Snakemake's rule expects.
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")
PARTS = st.text(st.sampled_from("ab0-._ ü=\\"), min_size=1, max_size=4).filter(lambda part: part.strip("."))
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
FILES = st.builds("{}{}{}".format, st.sampled_from(["conf/", "conf/x/", ""]), PATHS, st.sampled_from([".py", ""]))
WORDS = st.lists(st.sampled_from(["lr=0.1", "lr=0.2", "--lr=0.1", "--sweep", "seed=0,1", "I=a/b", "--zip", "x=ü"]))


def test_the_label_of_a_sweep_file_is_its_path_below_conf() -> None:
    assert label_of(PROJECT, "conf/c02_sup_train/rs_yolo_01_example.py") == "c02_sup_train-rs_yolo_01_example"
    assert label_of(PROJECT, "/project/conf/many.py") == "many"


def test_a_file_that_would_have_the_name_of_another_has_a_digest_behind_it() -> None:
    usual = label_of(PROJECT, "conf/bad/sweep.py")
    others = [
        "conf/bad-sweep.py",
        "bad/sweep.py",
        "conf/bad/sweep",
        "conf/bad sweep.py",
        "/elsewhere/conf/bad/sweep.py",
    ]
    labels = [label_of(PROJECT, other) for other in others]
    assert usual == "bad-sweep" and len({usual, *labels}) == 6
    assert all(re.fullmatch(r"[\w.-]*bad-sweep-[0-9a-f]{6}", label) for label in labels)
    # Nor is a name that looks like such a one free for others, nor one that is a file's and a folder's.
    digest = labels[0].rpartition("-")[2]
    assert label_of(PROJECT, f"conf/bad/sweep/{digest}.py") != labels[0]
    assert label_of(PROJECT, "conf/a.csv.py") not in ("a.csv", "a")


def test_very_long_names_are_cut_and_still_differ() -> None:
    long = [f"conf/{'folder_' * 20}/{name}.py" for name in "ab"]
    labels = [label_of(PROJECT, path) for path in long]
    assert labels[0] != labels[1] and all(map(WORD.fullmatch, labels))


def test_the_label_of_a_config_says_what_was_given_with_it() -> None:
    label = label_of_words(PROJECT, "c02_sup_train/sl", ["--sweep", "lr=0.1,0.2"])
    assert re.fullmatch(r"c02_sup_train-sl-lr-0\.1-0\.2-[0-9a-f]{6}", label)
    for cfg in ("conf/c02_sup_train/sl.prototxt", "/project/conf/c02_sup_train/sl", "c02_sup_train/sl.prototxt"):
        assert label_of_words(PROJECT, cfg, ["--sweep", "lr=0.1,0.2"]) == label
    assert label_of_words(PROJECT, "work", ["lr=1"]) == label_of_words(PROJECT, "work", ["--lr=1"])
    assert label_of_words(PROJECT, "work", []) != label_of(PROJECT, "conf/work.py")
    assert label_of_words(PROJECT, "work", ["lr=1,2"]) != label_of_words(PROJECT, "work", ["--sweep", "lr=1,2"])


@given(FILES, FILES)
def test_two_files_have_two_labels_that_are_words(one: str, other: str) -> None:
    labels = [label_of(PROJECT, path) for path in (one, other)]
    assert all(map(WORD.fullmatch, labels))
    assert (labels[0] == labels[1]) == (Path(one) == Path(other))


@given(WORDS, WORDS)
def test_other_words_have_another_label(one: list[str], other: list[str]) -> None:
    labels = [label_of_words(PROJECT, "work", words) for words in (one, other)]
    assert all(map(WORD.fullmatch, labels))
    same = [word.replace("--lr", "lr") for word in one] == [word.replace("--lr", "lr") for word in other]
    assert (labels[0] == labels[1]) == same


def test_a_table_of_several_sweeps_has_a_name_of_its_own_whatever_their_order() -> None:
    assert label_together(["a"], ["1"]) == label_together(["a", "a"], ["1", "1"]) == "a"
    assert label_together(["b", "a"], ["2", "1"]) == label_together(["a", "b"], ["1", "2"]) == "a+b"
    # Of two manifests of one sweep, too: it is the table of neither.
    both = label_together(["a", "a"], ["1", "2"])
    assert re.fullmatch(r"a\+a-[0-9a-f]{6}", both) and both == label_together(["a", "a"], ["2", "1"])
    many = [label_together([f"{'x' * 60}{i}" for i in range(20 + n)], list(map(str, range(20 + n)))) for n in (0, 1)]
    assert many[0] != many[1] and all(len(name) <= 120 for name in many)
