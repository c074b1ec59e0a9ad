"""The order in which an identity names overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf import text_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.keys import find_key
from heyhi.config.order import canonical_order
from heyhi.config.overrides import cast_value, split_override
from heyhi.config.values import Special
from heyhi.errors import OverrideError

if TYPE_CHECKING:
    from tests.unit.conftest import Lab


def canonical(lab: Lab, overrides: list[str]) -> list[str]:
    pairs = [split_override(text) for text in overrides]
    keys = [find_key(lab.train, key) for key, _ in pairs]
    values = [cast_value(key, text) for key, (_, text) in zip(keys, pairs, strict=True)]
    marks = [value if isinstance(value, Special) else None for value in values]
    return [overrides[i] for i in canonical_order(keys, marks)]


def applied(lab: Lab, overrides: list[str], base: Message) -> bytes | None:
    message = lab.new_train()
    message.CopyFrom(base)
    try:
        for text in overrides:
            name, value = split_override(text)
            key = find_key(lab.train, name)
            key.apply(message, cast_value(key, value))
    except OverrideError:
        return None
    return lab.data(message)


@pytest.mark.parametrize(
    ("overrides", "order"),
    [
        (["name=a", "lr=1", "i32=2"], ["i32=2", "lr=1", "name=a"]),
        (["layer.width=1", "layer.name=a"], ["layer.name=a", "layer.width=1"]),
        (["sgd.nesterov=1", "sgd.momentum=1"], ["sgd.momentum=1", "sgd.nesterov=1"]),
        (["scale.b=1", "scale.a=1"], ["scale.a=1", "scale.b=1"]),
        (["modern.perhaps=1", "modern.maybe=1"], ["modern.maybe=1", "modern.perhaps=1"]),
        # the last write to a key wins
        (["lr=1", "name=a", "lr=2"], ["lr=2", "name=a"]),
        (["lr=1", "lr=NULL"], ["lr=NULL"]),
        (["lr=NULL", "lr=1"], ["lr=1"]),
        (["ints.0=1", "ints.0=2"], ["ints.0=2"]),
        (["sgd=SELECT", "sgd=SELECT"], ["sgd=SELECT"]),
        (["layer.width=1", "layer.width=NULL", "layer.width=2"], ["layer.width=2"]),
        (["scale.a=1", "scale.a=NULL"], ["scale.a=NULL"]),
        # one list
        (["ints.1=1", "ints.0=1"], ["ints.1=1", "ints.0=1"]),
        (["ints.-1=2", "name=a", "ints.-1=1"], ["ints.-1=2", "ints.-1=1", "name=a"]),
        (["ints.-1=1", "ints.-1=1"], ["ints.-1=1", "ints.-1=1"]),
        (["ints.0=1", "ints.1=2", "ints.0=3"], ["ints.0=1", "ints.1=2", "ints.0=3"]),
        (["ints.0=NULL", "ints.0=1"], ["ints.0=NULL", "ints.0=1"]),
        (["layers.1.width=1", "layers.0.name=b"], ["layers.1.width=1", "layers.0.name=b"]),
        (["ints.0=1", "ints=NULL"], ["ints.0=1", "ints=NULL"]),
        # one key inside another
        (["layer.width=1", "layer=SELECT"], ["layer.width=1", "layer=SELECT"]),
        (["layer=NULL", "layer.width=1"], ["layer=NULL", "layer.width=1"]),
        (["scale.a=1", "scale=NULL"], ["scale.a=1", "scale=NULL"]),
        (["named.b.width=1", "named.a.width=1", "named.a=SELECT"],
         ["named.a.width=1", "named.a=SELECT", "named.b.width=1"]),
        (["layer=SELECT", "layer.width=1", "layer.name=a"], ["layer=SELECT", "layer.name=a", "layer.width=1"]),
        (["layer.width=1", "layer=SELECT", "layer.name=a"], ["layer.width=1", "layer=SELECT", "layer.name=a"]),
        # different members of one oneof
        (["sgd.momentum=1", "adam.beta1=1"], ["sgd.momentum=1", "adam.beta1=1"]),
        (["plain=1", "lr=1", "by_name=a"], ["lr=1", "plain=1", "by_name=a"]),
        (["sgd.momentum=1", "optimizer=NULL"], ["sgd.momentum=1", "optimizer=NULL"]),
        (["sgd.momentum=1", "adam.beta1=1", "sgd.momentum=2"], ["adam.beta1=1", "sgd.momentum=2"]),
        # clearing chooses nothing, so order is no difference
        (["sgd=NULL", "adam.beta1=1"], ["adam.beta1=1", "sgd=NULL"]),
        # what is cleared may have been made by the write before
        (["layer.width=1", "layer.width=NULL"], ["layer.width=1", "layer.width=NULL"]),
        (["plain=1", "plain=NULL"], ["plain=1", "plain=NULL"]),
    ],
)  # fmt: skip
def test_order_is_kept_only_where_it_changes_the_result(lab: Lab, overrides: list[str], order: list[str]) -> None:
    assert canonical(lab, overrides) == order


POOL = [
    "lr=1", "lr=2", "lr=NULL", "name=a", "name=NULL", "layer.width=1", "layer.width=NULL", "layer=SELECT", "layer=NULL",
    "layer.inside.width=1", "layer.inside=NULL", "layer.sizes.-1=1", "layer.sizes.0=2", "layer.sizes=NULL",
    "sgd.momentum=1", "sgd.momentum=NULL", "sgd.nesterov=1", "sgd=SELECT", "sgd=NULL", "adam.beta1=1", "adam.beta2=2",
    "adam=SELECT", "adam=NULL", "plain=3", "plain=NULL", "optimizer=NULL", "ints.-1=1", "ints.0=2", "ints.0=3",
    "ints.1=4", "ints.0=NULL", "ints=NULL",
    "layers.-1.width=1", "layers.0.width=2", "layers.0.name=a", "layers.0=SELECT",
    "layers.0=NULL", "layers.0.sizes.-1=1", "layers=NULL", "scale.a=1", "scale.b=2", "scale.a=NULL", "scale=NULL",
    "named.a.width=1", "named.a.name=b", "named.a=SELECT", "named.a=NULL", "named.a.sizes.-1=3", "named=NULL",
    "modern.number=1", "modern.word=w", "modern.whole.x=1", "modern.none=SELECT", "modern.choice=NULL", "modern=NULL",
    "modern=SELECT", "modern.maybe=1", "modern.maybe=NULL", "modern.count=0", "launcher.local.cpus=2",
    "launcher.slurm.hours=1", "launcher.kind=NULL", "launcher=SELECT", "launcher.slurm.num_gpus=1",
]  # fmt: skip
FULL = """
    lr: 5 name: 'b' ints: [7, 8, 9] layers { width: 5 sizes: [1, 2] } layers { name: 'c' }
    layer { width: 5 sizes: 3 inside {} }
    scale { key: 'a' value: 5 } named { key: 'a' value { width: 5 sizes: 1 } } launcher { slurm { num_gpus: 5 } }
"""
BASES = [
    "",
    f"{FULL} sgd {{ momentum: 5 nesterov: false }}",
    f"{FULL} adam {{ beta1: 5 beta2: 5 }} modern {{ whole {{ x: 5 }} }}",
]
OVERRIDES = st.lists(st.sampled_from(POOL), max_size=8)
ONEOFS = [
    {"sgd", "adam", "plain", "optimizer"},
    {"modern.number", "modern.word", "modern.whole", "modern.none", "modern.choice"},
    {"launcher.local", "launcher.slurm", "launcher.kind"},
]
LISTS = ["ints", "layers", "layer.sizes", "layers.0.sizes", "layers.-1.sizes", "named.a.sizes"]


def bases(lab: Lab) -> st.SearchStrategy[Message]:
    known = [text_format.Parse(text, lab.new_train()) for text in BASES]
    return st.sampled_from(known) | lab.messages(lab.train)


def _inside(key: str, outer: str) -> bool:
    return key == outer or key.startswith(f"{outer}.")


def order_matters(first: str, second: str) -> bool:
    """Decide by the rule as people read it: a prefix, a list, or a oneof in common."""
    a, b = first.partition("=")[0], second.partition("=")[0]
    if _inside(a, b) or _inside(b, a) or any(_inside(a, one) and _inside(b, one) for one in LISTS):
        return True
    for members in ONEOFS:
        through = [[m for m in members if _inside(key, m)] for key in (a, b)]
        if through[0] and through[1] and through[0] != through[1]:
            return True
    return False


@given(overrides=OVERRIDES, data=st.data())
def test_canonical_overrides_give_the_same_message_on_any_base(
    shared_lab: Lab, overrides: list[str], data: st.DataObject
) -> None:
    base = data.draw(bases(shared_lab))
    wanted = applied(shared_lab, overrides, base)
    if wanted is not None:
        assert applied(shared_lab, canonical(shared_lab, overrides), base) == wanted


@given(overrides=OVERRIDES)
def test_canonical_overrides_are_canonical(shared_lab: Lab, overrides: list[str]) -> None:
    once = canonical(shared_lab, overrides)
    assert canonical(shared_lab, once) == once


@given(overrides=OVERRIDES, data=st.data())
def test_shuffling_what_is_independent_changes_nothing(
    shared_lab: Lab, overrides: list[str], data: st.DataObject
) -> None:
    shuffled = list(overrides)
    for i in data.draw(st.lists(st.integers(0, max(0, len(overrides) - 2)), max_size=20)):
        if i + 1 < len(shuffled) and not order_matters(shuffled[i], shuffled[i + 1]):
            shuffled[i], shuffled[i + 1] = shuffled[i + 1], shuffled[i]
    assert canonical(shared_lab, shuffled) == canonical(shared_lab, overrides)


@given(overrides=OVERRIDES, data=st.data())
def test_what_is_sorted_apart_commutes(shared_lab: Lab, overrides: list[str], data: st.DataObject) -> None:
    """What the rule calls independent gives one result in both orders, on any base."""
    if len(overrides) >= 2 and not order_matters(overrides[0], overrides[1]):
        base = data.draw(bases(shared_lab))
        pair = overrides[:2]
        assert applied(shared_lab, pair, base) == applied(shared_lab, pair[::-1], base)


def test_a_thousand_overrides_are_ordered_at_once(lab: Lab) -> None:
    message = text_format.Parse("", lab.new_train())
    overrides = [f"scale.k{i:04}={i}" for i in reversed(range(1000))]
    assert canonical(lab, overrides) == overrides[::-1]
    assert applied(lab, overrides, message) is not None
