"""How DONE experiments were made, beside what they would be made of today: what is found, and how it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.code.changes import EDITED, CodeChange
from heyhi.config.difference import Change
from heyhi.experiment.records import Start
from heyhi.project import Project
from heyhi.sweep.expand import Expansion, expand
from heyhi.sweep.provenance import Inspector, Provenance, code_lines, find_recoded

CFG = "conf/cfg.prototxt"


class Codes:
    """The comparison of code, with answers of the test's own."""

    def __init__(self, answers: dict[str, CodeChange]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def since(self, commit: str, dirty: bool, digest: str) -> CodeChange | None:
        self.asked.append(commit)
        return self.answers.get(commit)


def sweep(lab: Any, size: int, text: str = "train {}") -> Expansion:
    lab.write("cfg.prototxt", text)
    return expand(lab.project, lab.schema, [(CFG, {"i32": i}) for i in range(size)])


def make(lab: Any, expansion: Expansion, *, commit: str = "a" * 40) -> None:
    """Leave the folders of a sweep's experiments as runs do."""
    from heyhi.experiment.folder import ExperimentDir, config_digest

    for one in expansion.experiments:
        folder = ExperimentDir(one.exp_path)
        folder.prepare(one, lab.schema)
        folder.append_attempt(Start(1, commit=commit, config=config_digest(one.config, lab.schema)))
        folder.write_result({})


def configs(expansion: Expansion) -> dict[str, bytes]:
    return {p.folder: p.config for p in expansion.planned}


def look(lab: Any, expansion: Expansion, codes: Codes | None = None, most: int | None = None) -> Provenance:
    return Inspector(lab.project, lab.schema, codes or Codes({})).look(configs(expansion), most=most)  # type: ignore[arg-type]


def test_what_would_be_made_alike_has_nothing_said_of_it(lab: Any) -> None:
    make(lab, sweep(lab, 3))
    found = look(lab, sweep(lab, 3))
    assert (found.lines, found.size, found.to_redo("code")) == ([], 3, [])


def test_a_difference_is_said_once_for_all_that_have_it(lab: Any) -> None:
    make(lab, sweep(lab, 3))
    again = sweep(lab, 3, "train { lr: 0.2 name: '' }")
    found = look(lab, again)
    assert found.lines == ["made with another config: train.lr 0.1 → 0.2, train.name None → '' (3 experiments)"]
    assert sorted(found.to_redo(True)) == sorted(configs(again))


def test_only_what_is_done_is_looked_at(lab: Any) -> None:
    before = sweep(lab, 3)
    make(lab, before)
    first, *_ = configs(before)
    Path(first, "result.json").unlink()
    found = look(lab, sweep(lab, 4, "train { lr: 0.2 }"))
    assert found.size == 2 and first not in found.drifted


def test_of_very_many_that_may_differ_some_are_compared_and_that_is_said(lab: Any) -> None:
    make(lab, sweep(lab, 9))
    again = sweep(lab, 9, "train { lr: 0.2 }")
    found = look(lab, again, most=4)
    assert found.lines == [
        "made with another config: train.lr 0.1 → 0.2 (3 experiments)",
        "… and 6 more that may be, which were not compared (heyhi plan does)",
    ]
    assert look(lab, again, most=9).skipped == 0


def test_where_none_of_some_differs_no_more_is_said_of_the_others_than_that(lab: Any) -> None:
    make(lab, sweep(lab, 9))
    digests = "heyhi.sweep.drift.DriftCheck.is_as_started"  # other protos, which change no config
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, lambda *_: False)
        assert look(lab, sweep(lab, 9), most=4).lines == [
            "of those compared none was made with another config; there are 6 more, which were not compared"
            " (heyhi plan does)"
        ]


def test_those_whose_digests_are_alike_are_all_looked_at(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    make(lab, sweep(lab, 9))
    monkeypatch.setattr("heyhi.sweep.drift._read_flat", None)  # it would fail
    assert look(lab, sweep(lab, 9), most=1).lines == []


def test_one_that_cannot_be_read_is_named_and_not_redone(lab: Any) -> None:
    make(lab, sweep(lab, 3))
    again = sweep(lab, 3, "train { lr: 0.2 }")
    first, second, _ = configs(again)
    Path(first, "attempts.jsonl").unlink()
    Path(first, "attempts.jsonl").mkdir()
    Path(second, "config_flat.json").write_text("{")
    found = look(lab, again, Codes({"a" * 40: CodeChange("aaaaaaaa", "bbbbbbbb", {})}))
    assert len(found.drifted) == 1 and set(found.unread) == {first, second} and found.size == 3
    assert found.lines[0].endswith("(1 experiment)")
    assert "can't be compared with today: " in found.lines[1] and found.lines[1].endswith("… and 1 more")
    assert second in found.recoded
    assert not {first, second} & set(found.to_redo("code"))


def test_other_code_is_one_line_and_each_version_is_compared_once(lab: Any) -> None:
    before = sweep(lab, 3)
    make(lab, before, commit="b" * 40)
    codes = Codes({"b" * 40: CodeChange("bbbbbbbb", "cccccccc", dict.fromkeys(("run.py", "model.py", "x.py"), EDITED))})
    found = look(lab, before, codes)
    assert found.lines == ["made by other code: 3 experiments: commit bbbbbbbb → cccccccc: run.py, model.py, x.py"]
    assert codes.asked == ["b" * 40]
    assert (found.to_redo(True), len(found.to_redo("code"))) == ([], 3)


def test_several_versions_of_the_code_are_one_line() -> None:
    old, older = CodeChange("aa", "cc", {"x.py": EDITED}), CodeChange("bb", "cc", {})
    assert code_lines([old, old, older]) == [
        "made by other code: 3 experiments: commit aa → cc: x.py; and 1 other version"
    ]
    assert code_lines([older], is_one=True) == ["made by other code: commit bb → cc: files that are not on record"]
    assert code_lines([]) == []


def test_what_has_no_record_of_its_code_is_not_called_other_code(lab: Any) -> None:
    before = sweep(lab, 1)
    make(lab, before, commit="")
    (folder,) = configs(before)
    Path(folder, "attempts.jsonl").unlink()
    assert find_recoded(Project(lab.root), [folder]) == {}


@given(
    values=st.lists(st.tuples(st.text(max_size=5), st.text() | st.floats() | st.none()), max_size=9),
    size=st.integers(1, 9),
)
def test_what_is_said_is_a_few_lines_that_a_terminal_can_show(values: list[tuple[str, Any]], size: int) -> None:
    drifted = {f"/p/{i}": [Change(key or "k", value, "x" * 1000)] for i, (key, value) in enumerate(values)}
    lines = Provenance(drifted, size=size).lines
    assert len(lines) <= 4
    assert all(len(line) < 300 for line in lines)
    assert all(text.partition(": ")[2].count("\n") == 0 for text in lines)
