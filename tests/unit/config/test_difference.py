"""What of two configs counts as different: exactly what their identities would count, and what is so by default."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.difference import Difference
from heyhi.config.frozen import flatten
from heyhi.config.leaves import default_of
from heyhi.config.scheduling import Scheduling
from heyhi.config.schema import children, copy_of, oneof_of, set_fields
from heyhi.config.values import bytes_text
from heyhi.project import Settings

SCHEDULING = Scheduling(Settings().identity_ignore)


def flat(lab: Any, task: Message, name: str = "train") -> dict[str, Any]:
    root = lab.schema.new_root()
    getattr(root, name).CopyFrom(task)
    getattr(root, name).SetInParent()
    return json.loads(json.dumps(flatten(root), default=bytes_text))  # type: ignore[no-any-return]  # as the folder has it


def changes(lab: Any, then: Message, now: Message) -> list[str]:
    return [c.text for c in Difference(lab.schema, SCHEDULING).changes(flat(lab, then), flat(lab, now))]


def composed(lab: Any, *overrides: str, text: str = "train {}") -> Message:
    return lab.compose(text, *overrides)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("launcher.slurm=SELECT", "lr=0.1"),
        ("launcher.slurm.num_gpus=0", "launcher.local.cpus=3"),
        ("launcher.slurm.hours=3", "launcher.slurm.partition=x"),
        ("launcher.local=SELECT", "color=GREEN"),
        ("layer.inside.width=8", "modern.count=0"),
        ("modern.blob=", "layer.inside.inside.width=8"),
    ],
)
def test_what_only_schedules_and_what_is_at_its_default_is_no_difference(lab: Any, then: str, now: str) -> None:
    assert changes(lab, composed(lab, then), composed(lab, now)) == []
    assert changes(lab, composed(lab, now), composed(lab, then)) == []


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        ("launcher.slurm.num_gpus=8", "launcher.slurm.num_gpus=1", "train.launcher.slurm.num_gpus: 8 -> 1"),
        ("launcher.slurm.num_gpus=8", "launcher.local=SELECT", "train.launcher.slurm.num_gpus: 8 -> absent"),
        ("lr=0.1", "launcher.slurm.num_gpus=8", "train.launcher.slurm.num_gpus: absent -> 8"),
        ("lr=0.1", "sgd=SELECT", "train.sgd: absent -> SELECT"),
        ("sgd=SELECT", "sgd.momentum=0.5", "train.sgd.momentum: 0.9 -> 0.5"),
        ("lr=0.1", "sgd.momentum=0.5", "train.sgd.momentum: absent -> 0.5"),
        ("plain=0", "lr=0.1", "train.plain: 0.0 -> absent"),
        ("lr=0.1", "layers.0.width=8", "train.layers.0: absent -> SELECT"),
        ("ints=[0]", "lr=0.1", "train.ints: [0] -> []"),
        ("ints=[32]", "ints=[64,64]", "train.ints: [32] -> [64, 64]"),
        ("strings=[a,'b c']", "strings=[]", 'train.strings: [a, "b c"] -> []'),
        ("lr=0.1", 'named."a.b".width=8', 'train.named."a.b": absent -> SELECT'),
        ("lr=0.1", "modern.none=SELECT", "train.modern.none: absent -> SELECT"),
    ],
)
def test_what_counts_is_named_in_both_directions(lab: Any, then: str, now: str, expected: str) -> None:
    one, two = composed(lab, then), composed(lab, now)
    key, _, values = expected.partition(": ")
    was, _, today = values.partition(" -> ")
    assert changes(lab, one, two) == [expected]
    assert changes(lab, two, one) == [f"{key}: {today} -> {was}"]


def test_one_member_of_a_oneof_in_place_of_another_is_told_of_both(lab: Any) -> None:
    assert changes(lab, composed(lab, "sgd=SELECT"), composed(lab, "adam=SELECT")) == [
        "train.adam: absent -> SELECT",
        "train.sgd: SELECT -> absent",
    ]


def test_another_task_is_a_difference(lab: Any) -> None:
    strict = lab.schema.new_root().strict
    found = Difference(lab.schema, SCHEDULING).changes(flat(lab, composed(lab)), flat(lab, strict, "strict"))
    assert [c.text for c in found] == ["strict: absent -> SELECT", "train: SELECT -> absent"]


def test_of_a_field_that_is_gone_only_its_value_is_a_difference(lab: Any) -> None:
    now = flat(lab, composed(lab))
    found = Difference(lab.schema, SCHEDULING).changes({**now, "train.old": 3, "train.older": None}, now)
    assert [c.text for c in found] == ["train.old: 3 -> absent"]


def test_a_change_is_one_line_whatever_the_values_are(lab: Any) -> None:
    then = copy_of(composed(lab))
    then.name = "a\nb\x1b[2J"  # type: ignore[attr-defined]  # no stubs
    assert changes(lab, then, composed(lab)) == [r"train.name: 'a\nb\x1b[2J' -> None"]


def test_a_very_long_list_is_compared_as_one_and_cut(lab: Any) -> None:
    then = composed(lab)
    now = copy_of(then)
    now.ints.extend(range(20_000))  # type: ignore[attr-defined]  # no stubs
    now.doubles.append(float("nan"))  # type: ignore[attr-defined]
    [ints] = [change for change in changes(lab, then, now) if "ints" in change]
    assert ints.startswith("train.ints: [] -> [0, 1, 2,")
    assert ints.endswith("…")
    assert len(ints) < 250
    assert changes(lab, now, copy_of(now)) == []


# --- by random configs ------------------------------------------------------------------------------------------------


def lines(message: Message) -> list[str]:
    """List what counts in a message by its identity's rule, less what is set to its default."""
    return [line.replace("=-0.0", "=0") for line in SCHEDULING.counted(_without_defaults(message))]


def _without_defaults(message: Message) -> Message:
    copy = copy_of(message)
    _clear_defaults(copy)
    return copy


def _clear_defaults(message: Message) -> None:
    for field, value in set_fields(message):
        is_plain = not field.is_repeated and field.message_type is None and oneof_of(field) is None
        if is_plain and value == default_of(field):
            message.ClearField(field.name)
    for _, child in children(message):
        _clear_defaults(child)


@given(data=st.data())
def test_a_difference_is_exactly_in_the_lines_that_count(shared_lab: Any, data: st.DataObject) -> None:
    then = data.draw(shared_lab.messages(shared_lab.train))
    now = copy_of(then)
    for name in data.draw(st.lists(st.sampled_from([f.name for f, _ in set_fields(then)] or ["lr"]), max_size=2)):
        now.ClearField(name)
    if data.draw(st.booleans()):
        now.MergeFrom(data.draw(shared_lab.messages(shared_lab.train)))
    assert (changes(shared_lab, then, now) == []) == (lines(then) == lines(now))


@given(data=st.data())
def test_no_override_that_only_schedules_is_a_difference(shared_lab: Any, data: st.DataObject) -> None:
    then = data.draw(shared_lab.messages(shared_lab.train))
    then.ClearField("launcher")
    now = copy_of(then)
    launcher = data.draw(st.sampled_from(["", "local", "slurm", "gpus"]))
    if launcher == "local":
        now.launcher.local.cpus = data.draw(st.integers(0, 9))
    elif launcher:
        now.launcher.slurm.hours = data.draw(st.floats(0, 9))
        now.launcher.slurm.num_gpus = 0
    if launcher == "gpus":
        now.launcher.slurm.num_gpus = 8
        assert changes(shared_lab, then, now) == ["train.launcher.slurm.num_gpus: absent -> 8"]
    else:
        assert changes(shared_lab, then, now) == []
    assert changes(shared_lab, now, now) == []
