"""Lists, messages and maps as values of overrides, and the one form in which identities name them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import text_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.composite import message_text
from heyhi.config.identity import readable_tag
from heyhi.config.keys import find_key
from heyhi.config.overrides import parts_written
from heyhi.config.schema import type_of
from heyhi.config.values import value_text
from heyhi.errors import OverrideError

if TYPE_CHECKING:
    from heyhi.config.compose import Composed, Composer
    from tests.unit.conftest import Lab

CFG = "cfg"
BASE = """
train {
  sgd { momentum: 1 } ints: 1 ints: 2 layers { width: 1 } scale { key: "z" value: 9 }
  modern { count: 3 parts { x: 1 } }
}
"""


@pytest.fixture
def composer(lab: Lab) -> Composer:
    lab.write("cfg.prototxt", BASE)
    lab.write("empty.prototxt", "train {}")
    return lab.composer()


def write(task: Message, name: str, text: str) -> None:
    key = find_key(type_of(task), name)
    for part in parts_written(key, text, task, adds=False):
        part.key.apply(task, part.value)


def written(composed: Composed, field: str) -> str:
    only = type(composed.task_message)()
    full = composed.task_message
    getattr(only, field).MergeFrom(getattr(full, field))
    return text_format.MessageToString(only, as_one_line=True, as_utf8=True).strip()


def named(composer: Composer, *overrides: str) -> list[str]:
    return list(composer.compose(CFG, overrides).identity.overrides)


# --- values ---


@pytest.mark.parametrize(
    ("override", "field", "text"),
    [
        ("ints=[64,64]", "ints", "ints: 64 ints: 64"),
        ("ints= [ 64 , -1 ] ", "ints", "ints: 64 ints: -1"),
        ("ints=[]", "ints", ""),
        ("ints=[3, 4, ]", "ints", "ints: 3 ints: 4"),
        ("layers=[{sizes: [1,], width: 3,},]", "layers", "layers { width: 3 sizes: 1 }"),
        ("ints+=[3,4]", "ints", "ints: 1 ints: 2 ints: 3 ints: 4"),
        ("ints+=3", "ints", "ints: 1 ints: 2 ints: 3"),
        ("bools=[true, False, 1]", "bools", "bools: true bools: false bools: true"),
        ("colors=[RED, 1, DEEP_BLUE]", "colors", "colors: RED colors: GREEN colors: DEEP_BLUE"),
        ("doubles=[nan,inf,-inf,1e3]", "doubles", "doubles: nan doubles: inf doubles: -inf doubles: 1000.0"),
        (
            """strings=[a, "b c", 'd', x y, 'it"s', "\\u00e9\\n", '\\x41']""",
            "strings",
            'strings: "a" strings: "b c" strings: "d" strings: "x y" strings: "it\\"s" strings: "é\\n" strings: "A"',
        ),
        ("strings+=a,b", "strings", 'strings: "a,b"'),
        ('blobs=["\\x00,", a]', "blobs", 'blobs: "\\000," blobs: "a"'),
        ("sgd={nesterov: true}", "sgd", "sgd { nesterov: true }"),
        ('sgd={"nesterov": true}', "sgd", "sgd { nesterov: true }"),
        ("sgd={}", "sgd", "sgd { }"),
        ("sgd+={nesterov: true}", "sgd", "sgd { momentum: 1.0 nesterov: true }"),
        ('scale={key: "a" value: 1}', "scale", 'scale { key: "a" value: 1.0 }'),
        (
            'scale=[{key: "a" value: 1}, {key: b, value: 2}]',
            "scale",
            'scale { key: "a" value: 1.0 } scale { key: "b" value: 2.0 }',
        ),
        ('scale+={"a": 1}', "scale", 'scale { key: "a" value: 1.0 } scale { key: "z" value: 9.0 }'),
        ("scale={}", "scale", ""),
        (
            "layers=[{width: 3}, {width: 4 sizes: [1,2] sizes: 3 inside {width: 2}}, {}]",
            "layers",
            "layers { width: 3 } layers { width: 4 sizes: 1 sizes: 2 sizes: 3 inside { width: 2 } } layers { }",
        ),
        ("layers.-1={width: 3 name: 'a b'}", "layers", 'layers { width: 1 } layers { width: 3 name: "a b" }'),
        ("layers+=[{width: 3}, {}]", "layers", "layers { width: 1 } layers { width: 3 } layers { }"),
        ("layers.0={name: x}", "layers", 'layers { name: "x" }'),
        ("layers.-1.sizes=[1,2]", "layers", "layers { width: 1 } layers { sizes: 1 sizes: 2 }"),
        ("named.a={width: 3}", "named", 'named { key: "a" value { width: 3 } }'),
        ("modern+={count: 0}", "modern", "modern { parts { x: 1 } }"),
        ("modern+={part {} parts: {}}", "modern", "modern { count: 3 parts { x: 1 } parts { } part { } }"),
        ("layers.0+={sizes: 3 inside {}}", "layers", "layers { width: 1 sizes: 3 inside { } }"),
        ("modern+={parts: [{x: 2}] # one more\n}", "modern", "modern { count: 3 parts { x: 1 } parts { x: 2 } }"),
    ],
)
def test_what_a_prototxt_field_can_hold_can_be_a_value(
    composer: Composer, override: str, field: str, text: str
) -> None:
    assert written(composer.compose(CFG, [override]), field) == text


def test_a_string_field_takes_such_text_as_it_is(composer: Composer) -> None:
    composed = composer.compose(CFG, ["name=[64,64]", "by_int.1={a: 1}"])
    assert composed.task_message.name == "[64,64]"
    assert composed.task_message.by_int[1] == "{a: 1}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "sgd={momentun: 0.9}",
            "'sgd' has no field 'momentun' (did you mean 'sgd.momentum'?)",
        ),
        ("layers=[{}, {widht: 3}]", "'layers.1' has no field 'widht' (did you mean 'layers.1.width'?)"),
        ("ints=[1,x]", "key 'ints.1' is an integer (int32), not 'x'"),
        ("ints=[[1]]", "key 'ints.0' is an integer (int32), not a list"),
        ("layers=[3]", "key 'layers.0' is a message (Layer) and is written {FIELD: VALUE}, not '3'"),
        ("ints={a: 1}", "key 'ints' is a list and is written [A,B], not a message"),
        ("sgd=[1]", "key 'sgd' is a message (Sgd) and is written {FIELD: VALUE}, not a list"),
        ("ints=[1,,2]", "at ',2]' (character 4): there is an empty element (an empty string is written '')"),
        ("ints=[1,,]", "at ',]' (character 4): there is an empty element"),
        ("ints=[,]", "at ',]' (character 2): there is an empty element"),
        (
            'by_int={"x": "y"}',
            "key 'by_int': 'by_int' is a map, and 'x' is no key of it: expected an integer (int32)",
        ),
        ("ints=[1,2", "can't be read at its end: expected ',' or ']'"),
        ("ints=[1] 2", "at '2' (character 5): expected the end of the value"),
        ("sgd={momentum 1}", "at '1}' (character 11): expected ':' after 'momentum'"),
        ("sgd={momentum: 1", "at its end: expected a field's name or '}'"),
        ("strings=[NULL]", 'NULL is no value in here (a string is written "NULL")'),
        ("strings=['a]", "at ''a]' (character 2): the quotes don't end"),
        ("layer={width: 3 width: 4}", "key 'layer': the value sets 'width' twice"),
        ("launcher={local {} slurm {}}", "the value sets 'local' and 'slurm', of which 'kind' takes one"),
        (
            "modern={choice: 1}",
            "key 'modern.choice' is a oneof: in a value, a member of it is set: number, word",
        ),
        ("scale={a: 1}", 'an entry is {key: … value: …} or {"KEY": VALUE}, and this one has a'),
        ("scale={key: {} value: 1}", "key 'scale' is a map, whose keys are scalars, not a message"),
        ('scale={"a": 1, "a": 2}', "key 'scale': the value has the entry 'a' twice"),
        ('layer={includes {path: "x"}}', "key 'layer.includes': files are included by I.layer=path"),
        ("lr+=3", "key 'lr' is a number (double): += appends to a list, or merges into a map or a message"),
        ("ints+=NULL", "key 'ints' takes no 'NULL' there: += appends to a list"),
        ("optimizer+={}", "key 'optimizer' is a oneof: += appends"),
        ("I.layer+=x", "include 'I.layer': is merged anyway: write I.layer=path"),
        (f"layer={'{inside ' * 95}{{}}{'}' * 95}", "nested deeper than 90 levels"),
        (f"strings=[{'x' * 1_000_001}]", "the value has 1,000,003 characters; at most 1,000,000 are read"),
    ],
    ids=lambda value: value[:30],
)
def test_what_is_wrong_inside_a_value_is_one_sentence_that_says_where(
    composer: Composer, override: str, message: str
) -> None:
    with pytest.raises(OverrideError) as raised:
        composer.compose(CFG, [override])
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_values_of_python_are_values(composer: Composer) -> None:
    np = pytest.importorskip("numpy")
    composed = composer.compose(
        CFG,
        {
            "ints": (64, 32),
            "doubles": np.array([0.5, math.inf]),
            "strings": ['a "b"', "é", ""],
            "blobs": [b'\x00"'],
            "sgd": {"momentum": np.float64(0.5), "nesterov": True},
            "scale": {"a b": 1},
            "layers+": [{"width": 3, "sizes": [1]}],
            "by_int": {3: "x"},
        },
    )
    message = composed.task_message
    assert (list(message.ints), list(message.doubles)) == ([64, 32], [0.5, math.inf])
    assert (list(message.strings), list(message.blobs)) == (['a "b"', "é", ""], [b'\x00"'])
    assert (message.sgd.momentum, message.sgd.nesterov, dict(message.scale)) == (0.5, True, {"a b": 1})
    assert ([layer.width for layer in message.layers], dict(message.by_int)) == ([1, 3], {3: "x"})


def test_needs_and_the_root_in_lists_and_messages_are_written_out(lab: Lab, composer: Composer) -> None:
    need = "{{exp empty ints=[8,8]}}"
    composed = composer.compose(
        CFG, [f'strings=[{need}, "{{{{ROOT_DIR}}}}/a,b", "\\u007b{{c"]', f'layer={{name: "{need}/x"}}', f"name={need}"]
    )
    [one] = composed.needs
    folder = str(composer.need_path(one))
    message = composed.task_message
    assert list(message.strings) == [folder, f"{lab.root}/a,b", "{{c"]
    assert (message.layer.name, message.name) == (f"{folder}/x", folder)
    again = composer.compose(CFG, composed.identity.overrides)
    assert (again.identity, again.message) == (composed.identity, composed.message)


def test_a_need_may_be_given_a_message(composer: Composer) -> None:
    [need] = composer.compose(CFG, ["name={{exp empty sgd={momentum:3}}}"]).needs
    assert need.identity.overrides == ("sgd.momentum=3",)


# --- one form ---


@pytest.mark.parametrize(
    "overrides",
    [
        ["ints=[3,4]"],
        ["ints=NULL", "ints.-1=3", "ints.-1=4"],
        ["ints=NULL", "ints+=[3]", "ints+=4"],
        ["ints.0=3", "ints.1=4"],
        ["ints.1=4", "ints.0=3"],
        ["ints=[1,2,3]", "ints.1=NULL", "ints=[9,4]", "ints.0=3"],
        ["ints.-1=3", "ints.-1=4", "ints.0=NULL", "ints.0=NULL"],
    ],
)
def test_a_list_that_overrides_wrote_has_one_name_however_they_did(composer: Composer, overrides: list[str]) -> None:
    assert named(composer, *overrides) == ["ints=[3,4]"]


@pytest.mark.parametrize(
    ("overrides", "lines"),
    [
        (["ints+=[3,4]"], ["ints+=[3,4]"]),
        (["ints.-1=3", "ints.2=9", "ints+=4"], ["ints+=[9,4]"]),
        (["layers.-1.width=3", "layers.1.name=x"], ['layers+=[{width: 3 name: "x"}]']),
        (["ints.0=3"], ["ints.0=3"]),
        (["ints.0=NULL"], ["ints.0=NULL"]),
        (["ints.0=NULL", "ints.0=NULL"], ["ints=NULL"]),
        (["ints=[]"], ["ints=NULL"]),
        (["layers.0.width=3"], ["layers.0.width=3"]),
        (["layers.0.sizes=[1,2]", "layers.0.width=3"], ["layers.0.sizes=[1,2]", "layers.0.width=3"]),
        (["layers.0={width: 3}"], ["layers=[{width: 3}]"]),
        (["strings=[a,'b c',\"d,e\",\"\",'NULL']"], ['strings=[a,"b c","d,e","","NULL"]']),
        (["sgd={momentum: 0.5}"], ["sgd=SELECT", "sgd.momentum=0.5"]),
        (["sgd=NULL", "sgd.momentum=0.5"], ["sgd=SELECT", "sgd.momentum=0.5"]),
        (["sgd.momentum=3", "sgd={momentum: 0.5}"], ["sgd=SELECT", "sgd.momentum=0.5"]),
        (["adam={beta1: 0.5}", "sgd.momentum=0.5"], ["sgd=SELECT", "sgd.momentum=0.5"]),
        (["adam={beta1: 0.5}"], ["adam.beta1=0.5"]),
        (["adam=SELECT", "adam.beta1=0.5"], ["adam.beta1=0.5"]),
        (["adam.beta1=0.5", "optimizer=adam"], ["adam.beta1=0.5"]),
        (["optimizer=adam", "adam.beta1=0.5", "sgd=NULL"], ["adam.beta1=0.5"]),
        (["adam.beta1=0.5", "adam=NULL"], ["optimizer=NULL"]),
        (["sgd.nesterov=true", "sgd=NULL", "optimizer=sgd"], ["sgd=SELECT"]),
        (["ints.0=8", "ints.-1=9"], ["ints.0=8", "ints+=[9]"]),
        (["ints+=[9]", "ints.0=8"], ["ints.0=8", "ints+=[9]"]),
        (["ints+=[9]", "ints.1=NULL"], ["ints.1=9"]),
        (["layers+=[{}]", "layers.0.width=3"], ["layers.0.width=3", "layers+=[{}]"]),
        (["layers+=[{}]", "layers.0=NULL"], ["layers=[{}]"]),
        (["layers+=[{}]", "layers.1=NULL"], []),
        (["scale={'a': 1}".replace("'", '"')], ["scale=NULL", "scale.a=1.0"]),
        (["scale.a=2", "scale=NULL", "scale.a=1"], ["scale=NULL", "scale.a=1.0"]),
        (["named.a={width: 3}"], ["named.a.width=3"]),
        (["named=NULL", "named.a={width: 3}"], ["named.a.width=3"]),
        (['named={key: "a" value {sizes: [1]}}'], ["named.a.sizes=[1]"]),
        (["layer={sizes: [1] inside {}}"], ["layer.inside=SELECT", "layer.sizes=[1]"]),
        (["layer={}", "layer.sizes+=1", "layer.inside={}"], ["layer.inside=SELECT", "layer.sizes=[1]"]),
        (["layer+={}"], []),
    ],
)
def test_an_identity_names_what_overrides_come_to(composer: Composer, overrides: list[str], lines: list[str]) -> None:
    doubles = [line.removesuffix(".0") for line in lines]  # whole doubles
    assert [line.removesuffix(".0") for line in named(composer, *overrides)] == doubles


@pytest.mark.parametrize(
    ("override", "tag"),
    [
        ("ints=[64,64]", "ints=64+64"),
        ("ints+=[64]", "ints+=64"),
        ("strings=[a,'b c']", "strings=a+b_c"),
        ("layers=[{width: 3 inside {width: 2}}, {width: 4}]", "layers=width=3_inside=width=2+width=4"),
    ],
)
def test_elements_stand_in_an_exp_path_with_plus_signs(composer: Composer, override: str, tag: str) -> None:
    assert readable_tag(named(composer, override)) == tag


# --- properties ---


@given(data=st.data())
def test_the_text_of_any_message_reads_back_the_same(shared_lab: Lab, data: st.DataObject) -> None:
    layer = shared_lab.train.fields_by_name["layer"].message_type
    modern = shared_lab.train.fields_by_name["modern"].message_type
    kind = data.draw(st.sampled_from([layer, modern]))
    drawn: Message = data.draw(shared_lab.messages(kind))
    field = "layer" if kind is layer else "modern"
    for text in (message_text(drawn), f"{{{text_format.MessageToString(drawn, as_one_line=True)}}}"):
        task = shared_lab.new_train()
        write(task, field, text)
        assert getattr(task, field).SerializeToString(deterministic=True) == drawn.SerializeToString(deterministic=True)


@given(values=st.lists(st.text(max_size=8)))
def test_a_list_of_pythons_texts_reads_back_the_same(shared_lab: Lab, values: list[str]) -> None:
    task = shared_lab.new_train()
    write(task, "strings", value_text(values))
    assert list(task.strings) == values


_LIST_OVERRIDES = st.sampled_from(
    [
        *(f"ints.{index}={value}" for index in (0, 1, 2, -1) for value in (1, 2, 3)),
        *("ints=[1,2]", "ints=[3]", "ints+=[2,3]", "ints=NULL", "ints.0=NULL", "ints=[]", "lr=0.5"),
        *("layers=[{width: 3}]", "layers.-1={name: x}", "layers.0.width=5", "layers.0={}", "layers.1.sizes=[1,2]"),
        *("layers.0.sizes.-1=4", "layers=NULL", "layers.0=NULL", "layers+=[{},{inside {sizes: 3}}]"),
        *("sgd={momentum: 0.5}", "sgd=NULL", "sgd=SELECT", "sgd.momentum=0.25", "adam={beta1: 0.5}", "adam.beta2=1"),
        *("sgd+={nesterov: true}", "optimizer=NULL", "plain=3", "adam=SELECT"),
        *('scale={"a": 1}', "scale=NULL", "scale.a=2", 'scale+={"b": 1}', "scale.z=NULL"),
        *('named={"a": {"sizes": [1]}}', "named.a={width: 1}", "named.a.sizes.-1=3", "named=NULL", "named.a=NULL"),
        *("layer={sizes: [1]}", "layer.sizes+=2", "layer=NULL", "layer.inside.sizes=[7]", "layer.inside=SELECT"),
        *("layer.inside.width=2", "modern={count: 0}", "modern.count=0", "modern.parts.0.words=[a]"),
        *("modern.parts=[{x: 1}]", "modern.ints=[0]", "modern.ints.-1=0", "modern.whole={}", "modern.number=0"),
    ]
)


@given(overrides=st.lists(_LIST_OVERRIDES, max_size=7))
def test_canonical_overrides_give_the_same_config_and_identity(shared_lab: Lab, overrides: list[str]) -> None:
    shared_lab.write("cfg.prototxt", BASE)
    composer = shared_lab.composer()
    try:
        composed = composer.compose(CFG, overrides)
    except OverrideError:
        return  # an index that isn't there
    again = composer.compose(CFG, composed.identity.overrides)
    assert again.message.SerializeToString(deterministic=True) == composed.message.SerializeToString(deterministic=True)
    assert again.identity == composed.identity


OTHER = BASE.translate(str.maketrans("12349", "56788"))  # of the same shape, with other values
_IN_ONEOFS = st.sampled_from(
    [
        *(
            "optimizer=adam",
            "optimizer=sgd",
            "optimizer=NULL",
            "adam=NULL",
            "sgd=NULL",
            "adam.beta1=NULL",
            "plain=NULL",
        ),
        *(
            "sgd.momentum=NULL",
            "adam={}",
            "plain=NULL",
            "plain=3",
            "modern.choice=NULL",
            "modern.whole.x=3",
            "modern.word=w",
        ),
        *("layers.0.inside={width: 3}", "layers.0.sizes=NULL", "layer.width=NULL", "modern.parts.0=NULL"),
        *(
            "modern.parts.-1.x=3",
            "modern.whole.words+=[a]",
            "modern=NULL",
            "modern=SELECT",
            "named.a.width=NULL",
            "scale={}",
            "scale.z=7",
        ),
    ]
)


@given(overrides=st.lists(_LIST_OVERRIDES | _IN_ONEOFS, min_size=2, max_size=6), data=st.data())
def test_overrides_that_may_change_places_have_one_identity(
    shared_lab: Lab, overrides: list[str], data: st.DataObject
) -> None:
    # A zero of a field without presence can't be told from nothing.
    overrides = [override for override in overrides if "count" not in override]
    shared_lab.write("cfg.prototxt", BASE)
    shared_lab.write("other.prototxt", OTHER)
    composer = shared_lab.composer()
    shuffled = data.draw(st.permutations(overrides))
    try:
        found = [[composer.compose(cfg, one) for cfg in (CFG, "other")] for one in (overrides, shuffled)]
    except OverrideError:
        return  # an index that isn't there
    one, same = ([_bytes(composed) for composed in both] for both in found)
    again = composer.compose(CFG, found[0][0].identity.overrides)
    assert (_bytes(again), again.identity) == (one[0], found[0][0].identity)
    if one == same:
        assert found[1][0].identity == found[0][0].identity


def _bytes(composed: Composed) -> bytes:
    return composed.message.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "overrides",
    [
        ["modern.whole.words+=[a]", "modern.word=w"],
        ["modern.whole.words=[a]", "modern.choice=NULL"],
        ["modern.whole.words.-1=a", "modern.none=SELECT"],
        ["modern.parts+=[{x: 1}]", "modern=NULL"],
        ["layer.sizes=[1]", "layer=NULL"],
        ["sgd.momentum=3", "sgd=NULL", "sgd.nesterov=true"],
    ],
)
def test_what_is_written_and_then_dropped_is_as_if_it_never_was(composer: Composer, overrides: list[str]) -> None:
    composed = composer.compose(CFG, overrides)
    assert composer.compose(CFG, overrides[1:]).identity == composed.identity
    assert composer.compose(CFG, composed.identity.overrides).identity == composed.identity


@given(values=st.lists(st.integers(-3, 3), max_size=4), data=st.data())
def test_all_ways_to_a_list_have_one_identity(shared_lab: Lab, values: list[int], data: st.DataObject) -> None:
    shared_lab.write("cfg.prototxt", BASE)
    composer = shared_lab.composer()
    ways: list[Any] = [[f"ints=[{','.join(map(str, values))}]"], ["ints=NULL", *(f"ints.-1={v}" for v in values)]]
    cut = data.draw(st.integers(0, len(values)))
    ways.append({"ints": values[:cut], "ints+": values[cut:]})
    if len(values) >= 2:
        order = data.draw(st.permutations([0, 1]))
        ways.append([*(f"ints.{i}={values[i]}" for i in order), *(f"ints.-1={v}" for v in values[2:])])
    assert len({composer.compose(CFG, way).identity for way in ways}) == 1


def test_a_scalar_sweep_is_not_slowed_by_lists(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write("cfg.prototxt", BASE)
    composer = lab.composer()
    monkeypatch.setattr("heyhi.config.normal_form.named_lines", None)
    assert named(composer, "lr=0.5", "sgd.momentum=3", "name=x", "sgd.nesterov=true")


def test_a_key_never_ends_in_a_plus_sign(composer: Composer, tmp_path: Path) -> None:
    composed = composer.compose(CFG, ['scale."a+"=1', "scale+={'b+': 2}".replace("'", '"')])
    assert set(composed.task_message.scale) == {"a+", "b+", "z"}
    with pytest.raises(OverrideError, match="is a number"):
        composer.compose(CFG, ["scale.a+=1"])
