"""Overrides: the grammar of keys and values, and a message written as overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import text_format
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.keys import Kind, find_key, schema_keys, split_key
from heyhi.config.leaves import leaves
from heyhi.config.overrides import cast_value, override_lines, split_override
from heyhi.config.values import NULL, SELECT, scalar_text
from heyhi.errors import OverrideError

if TYPE_CHECKING:
    from tests.unit.conftest import Lab


def apply(message: Message, *overrides: str) -> Message:
    for text in overrides:
        name, value = split_override(text)
        key = find_key(message.DESCRIPTOR, name)
        key.apply(message, cast_value(key, value))
    return message


def applied(lab: Lab, *overrides: str, base: str = "") -> str:
    message = text_format.Parse(base, lab.new_train())
    return text_format.MessageToString(apply(message, *overrides), as_one_line=True, as_utf8=True).strip()


# --- splitting ---


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a=b", ("a", "b")),
        ("--a=b", ("a", "b")),
        ("a=", ("a", "")),
        ("a=b=c", ("a", "b=c")),
        ("a.b=--c", ("a.b", "--c")),
        ('m."x=y"=z', ('m."x=y"', "z")),
        ('m."q\\"=y"=z', ('m."q\\"=y"', "z")),
        ('a="x=y"', ("a", '"x=y"')),
    ],
)
def test_an_override_is_split_at_its_first_equals_sign_outside_quotes(text: str, parts: tuple[str, str]) -> None:
    assert split_override(text) == parts


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lr", "override 'lr': expected key=value (or I.mount=path for an include)"),
        ("", "override '': expected key=value (or I.mount=path for an include)"),
        ("--", "override '--': expected key=value (or I.mount=path for an include)"),
        ("=3", "override '=3': there is no key before '='"),
        ('m."a=3', "override 'm.\"a=3': expected key=value (or I.mount=path for an include)"),
    ],
)
def test_what_is_no_override_is_said(text: str, message: str) -> None:
    with pytest.raises(OverrideError) as raised:
        split_override(text)
    assert str(raised.value) == message


def test_a_key_is_split_at_its_dots_outside_quotes() -> None:
    assert split_key('a.0."b.c\\n".d') == [("a", False), ("0", False), ("b.c\n", True), ("d", False)]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "key '': there is an empty part"),
        ("a.", "key 'a.': there is an empty part"),
        (".a", "key '.a': there is an empty part"),
        ("a..b", "key 'a..b': there is an empty part"),
        ('a."b', "key 'a.\"b': the quoted part is no JSON string"),
        ('a."b"c', "key 'a.\"b\"c': expected '.' or '=' after the quoted part"),
    ],
)
def test_a_malformed_key_is_said(key: str, message: str) -> None:
    with pytest.raises(OverrideError) as raised:
        split_key(key)
    assert str(raised.value) == message


# --- writing ---


@pytest.mark.parametrize(
    ("base", "overrides", "result"),
    [
        # scalars, and messages made on the way
        ("", ["lr=0.5"], "lr: 0.5"),
        ("lr: 1", ["lr=2", "lr=3"], "lr: 3.0"),
        ("", ["layer.width=3"], "layer { width: 3 }"),
        ("", ["layer.inside.inside.name=a"], 'layer { inside { inside { name: "a" } } }'),
        ("", ["color=DEEP_BLUE"], "color: DEEP_BLUE"),
        ("", ["modern.count=0"], "modern { }"),
        ("", ["modern.maybe=0"], "modern { maybe: 0 }"),
        # NULL clears each kind of key
        ("lr: 1", ["lr=NULL"], ""),
        ("layer { width: 3 name: 'a' }", ["layer.width=NULL"], 'layer { name: "a" }'),
        ("layer { width: 3 }", ["layer=NULL"], ""),
        ("", ["layer.width=NULL"], ""),
        ("ints: [1, 2]", ["ints=NULL"], ""),
        ("ints: [1, 2, 3]", ["ints.1=NULL"], "ints: 1 ints: 3"),
        ("layers { width: 1 } layers { width: 2 }", ["layers.0=NULL"], "layers { width: 2 }"),
        ("layers { width: 1 }", ["layers.0.width=NULL"], "layers { }"),
        ("layers { width: 1 }", ["layers.7.width=NULL"], "layers { width: 1 }"),
        ("scale { key: 'a' value: 1 }", ["scale=NULL"], ""),
        ("scale { key: 'a' value: 1 }", ["scale.a=NULL", "scale.b=NULL"], ""),
        ("named { key: 'a' value { width: 1 } }", ["named.a.width=NULL", "named.b.width=NULL"],
         'named { key: "a" value { } }'),
        ("sgd { momentum: 1 }", ["optimizer=NULL"], ""),
        ("sgd { momentum: 1 }", ["sgd=NULL"], ""),
        ("sgd { momentum: 1 }", ["adam=NULL"], "sgd { momentum: 1.0 }"),
        ("", ["modern.choice=NULL"], ""),
        ("modern { word: 'a' }", ["modern.choice=NULL"], "modern { }"),
        ("modern { flag: true }", ["modern.flag=NULL"], "modern { }"),
        # SELECT makes an empty message
        ("adam { beta1: 1 }", ["sgd=SELECT"], "sgd { }"),
        ("sgd { momentum: 1 }", ["sgd=SELECT"], "sgd { }"),
        ("", ["layer=SELECT"], "layer { }"),
        ("", ["layers.-1=SELECT", "named.a=SELECT"], 'layers { } named { key: "a" value { } }'),
        ("", ["modern.none=SELECT"], "modern { none { } }"),
        # a oneof's name with a member chooses that, and leaves it as it is where it is chosen
        ("sgd { momentum: 1 }", ["optimizer=adam"], "adam { }"),
        ("sgd { momentum: 1 }", ["optimizer=sgd"], "sgd { momentum: 1.0 }"),
        ("plain: 1", ["optimizer=sgd"], "sgd { }"),
        ("", ["modern.choice=none"], "modern { none { } }"),
        # members of a oneof exclude one another, the last one stays
        ("", ["sgd.momentum=1", "adam.beta1=2"], "adam { beta1: 2.0 }"),
        ("", ["adam.beta1=2", "sgd.momentum=1"], "sgd { momentum: 1.0 }"),
        ("sgd { momentum: 1 }", ["plain=3"], "plain: 3.0"),
        ("sgd { momentum: 1 }", ["sgd.nesterov=1"], "sgd { momentum: 1.0 nesterov: true }"),
        # lists
        ("ints: [1, 2]", ["ints.0=7", "ints.2=8", "ints.-1=9"], "ints: 7 ints: 2 ints: 8 ints: 9"),
        ("", ["ints.0=7"], "ints: 7"),
        ("", ["colors.-1=RED", "colors.-1=1"], "colors: RED colors: GREEN"),
        ("", ["strings.-1=a", "blobs.-1=\\x00", "bools.-1=1", "singles.-1=0.1", "doubles.0=1"],
         'doubles: 1.0 singles: 0.1 strings: "a" blobs: "\\000" bools: true'),
        ("", ["layers.-1.width=1", "layers.-1.width=2", "layers.0.name=a"],
         'layers { width: 1 name: "a" } layers { width: 2 }'),
        ("", ["layers.0.sizes.-1=4"], "layers { sizes: 4 }"),
        ("modern { parts { x: 1 } }", ["modern.parts.0.words.-1=w"], 'modern { parts { x: 1 words: "w" } }'),
        # maps
        ("", ["scale.a=1", "scale.b-c=2"], 'scale { key: "a" value: 1.0 } scale { key: "b-c" value: 2.0 }'),
        ("", ['scale."a.b=c"=1', 'scale.""=2'], 'scale { key: "" value: 2.0 } scale { key: "a.b=c" value: 1.0 }'),
        ("", ["scale.ä=1", "scale.a b=2"], 'scale { key: "a b" value: 2.0 } scale { key: "ä" value: 1.0 }'),
        ("", ["by_int.-3=x", 'by_int."4"=y'], 'by_int { key: -3 value: "x" } by_int { key: 4 value: "y" }'),
        ("", ["by_bool.true=1", "by_bool.0=2"], "by_bool { key: false value: 2 } by_bool { key: true value: 1 }"),
        ("", ["by_u64.18446744073709551615=GREEN"], "by_u64 { key: 18446744073709551615 value: GREEN }"),
        ("", ["named.x.width=1", "named.x.sizes.-1=2"], 'named { key: "x" value { width: 1 sizes: 2 } }'),
        ("", ["modern.named.x.y=1"], 'modern { named { key: "x" value { y: 1.0 } } }'),
    ],
)  # fmt: skip
def test_an_override_writes(lab: Lab, base: str, overrides: list[str], result: str) -> None:
    assert applied(lab, *overrides, base=base) == result


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("lrr=1", "unknown key 'lrr': Train has no field 'lrr' (did you mean 'lr'?)"),
        ("LR=1", "unknown key 'LR': Train has no field 'LR' (did you mean 'lr' or 'modern.lr'?)"),
        ("momentum=1", "unknown key 'momentum': Train has no field 'momentum' (did you mean 'sgd.momentum'?)"),
        ("sgd.momentun=1", "unknown key 'sgd.momentun': 'sgd' has no field 'momentun' (did you mean 'sgd.momentum'?)"),
        (
            "layers.0.wdth=1",
            "unknown key 'layers.0.wdth': 'layers.0' has no field 'wdth' (did you mean 'layers.0.width'?)",
        ),
        ("sgd.qqq=1", "unknown key 'sgd.qqq': 'sgd' has no field 'qqq' (it has: momentum, nesterov)"),
        ("lr.x=1", "unknown key 'lr.x': 'lr' is a number (double) and has no fields"),
        ("scale.a.b=1", "unknown key 'scale.a.b': 'scale.a' is a number (double) and has no fields"),
        ('"lr"=1', "unknown key '\"lr\"': Train has no field 'lr' (did you mean 'lr'?)"),
        (
            "optimizer.x=1",
            "unknown key 'optimizer.x': 'optimizer' is a oneof; its members are keys: sgd, adam, plain, by_name",
        ),
        (
            "ints=3",
            "key 'ints' is a list and takes no value '3':"
            " give it as a whole by ints=[…], set an element by ints.0=…, append by ints+=[…], clear it by NULL",
        ),
        (
            "scale=3",
            "key 'scale' is a map and takes no value '3': give it as a whole by scale={key: … value: …},"
            " set an element by scale.KEY=…, clear it by NULL",
        ),
        (
            "sgd=3",
            "key 'sgd' is a message (Sgd) and takes no value '3': set a field of it (sgd.momentum, sgd.nesterov),"
            " give it as a whole (sgd={…}), include a chunk (I.sgd=path), or use SELECT (an empty one) or NULL (none)",
        ),
        (
            "optimizer=sdg",
            "key 'optimizer' is a oneof and has no member 'sdg' (did you mean 'sgd'?): name one of sgd, adam,"
            " or set plain=…, by_name=…; NULL clears it",
        ),
        (
            "optimizer=plain",
            "key 'optimizer' is a oneof, and its member 'plain' is a number (double): set it by plain=…",
        ),
        (
            "modern.choice=7",
            "key 'modern.choice' is a oneof and has no member '7': name one of whole, none,"
            " or set modern.number=…, modern.word=…; NULL clears it",
        ),
        ("lr=SELECT", "key 'lr' is a number (double), not 'SELECT'"),
        ("ints.x=3", "key 'ints.x': 'ints' is a list: expected an index (0 is the first, -1 appends), not 'x'"),
        ("ints.-2=3", "key 'ints.-2': 'ints' is a list: expected an index (0 is the first, -1 appends), not '-2'"),
        ("ints.5=3", "key 'ints.5': the list has 0 elements: use an index up to 0, or -1 to append"),
        ("ints.0=NULL", "key 'ints.0': the list has 0 elements: use an index up to 0, or -1 to append"),
        ("layers.1.width=3", "key 'layers.1.width': the list has 0 elements: use an index up to 0, or -1 to append"),
        ("by_int.x=3", "key 'by_int.x': 'by_int' is a map, and 'x' is no key of it: expected an integer (int32)"),
        (
            "by_bool.maybe=3",
            "key 'by_bool.maybe': 'by_bool' is a map, and 'maybe' is no key of it: expected a bool (true, false, 1, 0)",
        ),
        ("scale.\ud800=3", "key 'scale.\\ud800': the string is no valid UTF-8: '\\ud800'"),
    ],
)
def test_what_an_override_gets_wrong_is_one_sentence_with_the_nearest_key(
    lab: Lab, override: str, message: str
) -> None:
    with pytest.raises(OverrideError) as raised:
        applied(lab, override)
    assert str(raised.value) == message


def test_a_key_knows_its_kind(lab: Lab) -> None:
    kinds = {"lr": Kind.SCALAR, "ints": Kind.LIST, "ints.0": Kind.SCALAR, "scale": Kind.MAP, "scale.a": Kind.SCALAR}
    kinds |= {"layer": Kind.MESSAGE, "layers.-1": Kind.MESSAGE, "named.a": Kind.MESSAGE, "optimizer": Kind.ONEOF}
    assert {key: find_key(lab.train, key).kind for key in kinds} == kinds
    # An optional field of proto3 is no oneof.
    with pytest.raises(OverrideError, match="unknown key"):
        find_key(lab.train, "modern._maybe")


@pytest.mark.parametrize("key", ["layer", "layer.inside", "layers.-1", "named.a", "sgd", "modern.none"])
def test_reaching_for_a_message_makes_it(lab: Lab, key: str) -> None:
    message = lab.new_train()
    find_key(lab.train, key).reach(message)
    assert override_lines(message) == [f"{key.replace('-1', '0')}=SELECT"]


def test_a_key_has_one_text(lab: Lab) -> None:
    texts = {'scale."a"': "scale.a", "by_int.+05": "by_int.5", "by_bool.1": "by_bool.true", "ints.00": "ints.0"}
    assert {key: find_key(lab.train, key).text for key in texts} == texts


def test_keys_are_listed_without_end_of_recursion(lab: Lab) -> None:
    keys = schema_keys(lab.train)
    assert {"lr", "optimizer", "layer.inside", "modern.choice", "launcher.slurm.hours"} <= set(keys)
    assert "layer.inside.inside" not in keys


def test_a_key_of_thousands_of_parts_is_an_error(lab: Lab) -> None:
    with pytest.raises(OverrideError, match="at most 90 are allowed"):
        find_key(lab.train, "layer." + "inside." * 5000 + "width")


# --- a message as overrides ---


def test_a_message_is_written_as_lines_that_people_can_read(lab: Lab) -> None:
    message = text_format.Parse(
        "lr: 0.5 single: 0.1 name: 'NULL' ints: [1, 2] color: RED layer {} scale { key: 'a.b' value: 1 }"
        " sgd { momentum: 0.25 } modern { count: 3 } strings: 'two words' strings: ' a '",
        lab.new_train(),
    )
    assert override_lines(message) == [
        "lr=0.5",
        "single=0.1",
        'name="NULL"',
        "color=RED",
        "ints.0=1",
        "ints.1=2",
        "strings.0=two words",
        'strings.1=" a "',
        'scale."a.b"=1',
        "layer=SELECT",
        "modern.count=3",
        "sgd.momentum=0.25",
    ]


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("layers { width: 1 }", "layers { name: 'a' }"),
        ("layers { width: 1 } layers { }", "layers { width: 1 }"),
        ("ints: [1, 2]", "ints: 1"),
        ("ints: 1", "ints: [2, 3]"),
        ("named { key: 'a' value { width: 1 } }", "named { key: 'a' value { name: 'b' } }"),
        ("sgd { momentum: 1 }", "sgd { }"),
        ("sgd { momentum: 1 }", "adam { }"),
        ("sgd { momentum: 1 }", ""),
        ("modern { count: 1 maybe: 1 word: 'a' }", "modern { number: 0 }"),
        ("layer { inside { width: 1 } }", "layer { inside { } }"),
    ],
)
def test_what_a_base_has_too_much_is_cleared(lab: Lab, base: str, message: str) -> None:
    start, wanted = (text_format.Parse(text, lab.new_train()) for text in (base, message))
    assert apply(start, *override_lines(wanted, start)) == wanted


def test_with_defaults_an_unchosen_member_is_left_out(lab: Lab) -> None:
    lines = override_lines(lab.new_train(), with_defaults=True)
    assert "lr=0.1" in lines
    assert "color=GREEN" in lines
    assert "layer.width=8" in lines
    assert "flag=false" in lines
    assert "modern.count=0" in lines
    assert not any(line.startswith(("sgd", "adam", "name=", "modern.maybe")) for line in lines)


def test_leaves_of_an_empty_message_with_defaults_end(lab: Lab) -> None:
    assert len(list(leaves(lab.new_train(), with_defaults=True))) > 20


@given(data=st.data())
def test_override_lines_give_the_message_again(shared_lab: Lab, data: st.DataObject) -> None:
    message = data.draw(shared_lab.messages(shared_lab.train))
    again = apply(shared_lab.new_train(), *override_lines(message))
    assert shared_lab.data(again) == shared_lab.data(message)


@given(data=st.data())
def test_override_lines_turn_any_base_into_the_message(shared_lab: Lab, data: st.DataObject) -> None:
    message, base = (data.draw(shared_lab.messages(shared_lab.train)) for _ in range(2))
    again = apply(base, *override_lines(message, base))
    assert shared_lab.data(again) == shared_lab.data(message)


@given(data=st.data())
def test_override_lines_with_defaults_read_the_same(shared_lab: Lab, data: st.DataObject) -> None:
    message = data.draw(shared_lab.messages(shared_lab.train))
    again = apply(shared_lab.new_train(), *override_lines(message, with_defaults=True))

    def readable(of: Message) -> dict[str, str]:
        found = leaves(of, with_defaults=True)
        return {key: scalar_text(field, value) for key, field, value in found if value not in (None, SELECT)}

    assert readable(again) == readable(message)


KEYS = st.text(st.characters(), max_size=12) | st.lists(
    st.sampled_from(
        ["lr", "ints", "layers", "scale", "named", "by_int", "by_bool", "layer", "modern", "parts", "choice", "0", "-1",
         "5", "a", '"a.b"', '"', "width", "x", "sgd", "optimizer", "inside", "name", "\ud800", '"\\ud800"', "ä", "\n"]
    ),
    max_size=5,
).map(".".join)  # fmt: skip
VALUES = st.text(st.characters(), max_size=12) | st.sampled_from(["NULL", "SELECT", "1", "0.5", "true", "RED", '"x"'])


@given(key=KEYS, value=VALUES)
def test_any_override_is_applied_or_an_error(shared_lab: Lab, key: str, value: str) -> None:
    message: Any = text_format.Parse("ints: 1 layers { width: 1 } sgd { }", shared_lab.new_train())
    try:
        apply(message, f"{key}={value}")
    except OverrideError as error:
        assert str(error)
    else:
        assert GetMessageClass(shared_lab.train).FromString(shared_lab.data(message)) is not None


def test_null_and_select_are_no_values(lab: Lab) -> None:
    assert cast_value(find_key(lab.train, "lr"), "NULL") is NULL
    assert cast_value(find_key(lab.train, "layer"), "SELECT") is SELECT
    assert cast_value(find_key(lab.train, "name"), "SELECT") == "SELECT"
