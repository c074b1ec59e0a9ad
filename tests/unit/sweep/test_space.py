"""The space of a search: its grammar, what fits the schema, and where keys of oneofs apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from heyhi.config.scheduling import Scheduling
from heyhi.errors import SweepError
from heyhi.project import SCHEDULING_KEYS
from heyhi.sweep.search_spec import Axis
from heyhi.sweep.space import axes_of, included_in

if TYPE_CHECKING:
    from tests.unit.conftest import Lab


def axes(lab: Lab, space: dict[str, Any], config: str = "train {}", *, ignored: tuple[str, ...] = ()) -> list[Axis]:
    scheduling = Scheduling((*SCHEDULING_KEYS, *ignored))
    return list(axes_of(space, lab.schema, lab.compose(config), scheduling))


def refused(lab: Lab, space: dict[str, Any], config: str = "train {}", *, ignored: tuple[str, ...] = ()) -> str:
    with pytest.raises(SweepError) as caught:
        axes(lab, space, config, ignored=ignored)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "values", "axis"),
    [
        ("lr", "loguniform(1e-4,1)", Axis("lr", "float", low=1e-4, high=1.0, log=True)),
        ("lr", "uniform(-1,1)", Axis("lr", "float", low=-1.0, high=1.0)),
        ("--single", "uniform(0,1)", Axis("single", "float", low=0.0, high=1.0)),
        ("i32", "range(5)", Axis("i32", "int", low=0, high=4)),
        ("i32", "range(10,51,10)", Axis("i32", "int", low=10, high=50, step=10)),
        ("i32", "range(10,0,-3)", Axis("i32", "int", low=1, high=10, step=3)),
        ("i32", range(2, 9, 3), Axis("i32", "int", low=2, high=8, step=3)),
        ("i32", "uniform(1,8)", Axis("i32", "int", low=1, high=8)),
        ("u64", "loguniform(1,1024)", Axis("u64", "int", low=1, high=1024, log=True)),
        ("lr", "range(3)", Axis("lr", "int", low=0, high=2)),
        ("i32", "16,32, 64", Axis("i32", "choice", ("16", "32", "64"))),
        ("i32", "0x10,+32", Axis("i32", "choice", ("16", "32"))),
        ("i32", "0,range(2,4),9", Axis("i32", "choice", ("0", "2", "3", "9"))),
        ("i32", [16, 32], Axis("i32", "choice", ("16", "32"))),
        ("lr", "0.10,1e-2", Axis("lr", "choice", ("0.1", "0.01"))),
        ("lr", 0.1, Axis("lr", "choice", ("0.1",))),
        ("lr", "inf,1", Axis("lr", "choice", ("inf", "1"))),
        ("i32", 16, Axis("i32", "choice", ("16",))),
        ("flag", True, Axis("flag", "choice", ("true",))),
        ("lr", (0.1, None), Axis("lr", "choice", ("0.1", "NULL"))),
        ("flag", "true,0", Axis("flag", "choice", ("true", "false"))),
        ("color", "RED,deep", None),
        ("color", "RED,DEEP_BLUE", Axis("color", "choice", ("RED", "DEEP_BLUE"))),
        ("color", "range(2)", Axis("color", "choice", ("RED", "GREEN"))),
        ("name", "a,'b, c',range(2)", Axis("name", "choice", ("a", "b, c", "0", "1"))),
        ("name", "'range(2)',x(y)", Axis("name", "choice", ("range(2)", "x(y)"))),
        ("name", "choice(a,b)", Axis("name", "choice", ("a", "b"))),
        ("ints", "[16],[32,32],[]", Axis("ints", "choice", ("[16]", "[32,32]", "[]"))),
        ("ints", [[16], [32, 32]], Axis("ints", "choice", ("[16]", "[32, 32]"))),
        ("ints.0", "range(1,9)", Axis("ints.0", "int", low=1, high=8)),
        ("layer.width", "8,16", Axis("layer.width", "choice", ("8", "16"))),
        ("scale.a", "uniform(0,1)", Axis("scale.a", "float", low=0.0, high=1.0)),
        ("optimizer", "sgd,adam,NULL", Axis("optimizer", "choice", ("sgd", "adam", "NULL"))),
        ("layer", "{width: 3},{width: 4}", Axis("layer", "choice", ("{width: 3}", "{width: 4}"))),
    ],
)
def test_a_key_may_be_what_its_text_says(lab: Lab, key: str, values: Any, axis: Axis | None) -> None:
    if axis is None:
        assert "key 'color' is" in refused(lab, {key: values})
    else:
        assert axes(lab, {key: values}) == [axis]


@pytest.mark.parametrize(
    ("key", "values", "words"),
    [
        ("lrr", "1,2", "space 'lrr': unknown key 'lrr'"),
        ("lrr", "1,2", "did you mean 'lr'"),
        ("lr", "", "expected a,b,c or range(…)"),
        ("lr", "1,,2", "an element is empty"),
        ("lr", "loguniform(0,1)", "bounds above 0"),
        ("lr", "loguniform(1,0.1)", "low <= high"),
        ("lr", "loguniform(1e-4,1,20)", "a search draws as many as it needs: expected loguniform(low,high)"),
        ("lr", "loguniform(1e-4,1,seed=3)", "a search draws as many as it needs"),
        ("lr", "choice(1,2,n=3)", "expected choice(a,b,…)"),
        ("lr", "loguniforn(1e-4,1)", "unknown function (did you mean 'loguniform'"),
        ("lr", "loguniform(1e-4,1", "isn't closed"),
        ("lr", "0,uniform(1,2)", "uniform(…) stands alone"),
        ("lr", "0.1,0.10", "the value 0.1 is given twice"),
        ("lr", "a,b", "key 'lr' is a number (double), not 'a'"),
        ("lr", "log(1e-4,1)", "'log(1e-4,1)' is no function of a space: expected uniform(low,high)"),
        ("i32", "1,gauss(0,1)", "'gauss(0,1)' is no function of a space"),
        ("lr", "nan,1", "nan is no value to search over"),
        ("single", [float("nan")], "nan is no value to search over"),
        ("lr", [], "there is nothing to choose from"),
        ("lr+", "1,2", "leave the + out"),
        ("lr", "0.1,{{exp x}}", "what a trial needs is given by the base config"),
        ("i32", "uniform(0.5,2)", "expected whole numbers as bounds"),
        ("i32", "range(3,3)", "there is no number in this range"),
        ("u32", "range(-1,3)", "-1 is out of range for"),
        ("i32", "range(10000000000)", "is out of range for"),
        ("i64", "range(100000000000000000)", "is beyond what a search can draw"),
        ("lr", "uniform(-1e308,1e308)", "further apart"),
        ("single", "uniform(0,1e39)", "is out of range"),
        ("name", "uniform(0,1)", "'name' is a string, no number"),
        ("color", "RED,BLUE", "key 'color' is"),
        ("color", "loguniform(1,2)", "no number"),
        ("optimizer", "sgd,adm", "has no member 'adm' (did you mean 'adam'"),
        ("optimizer", "uniform(0,1)", "'optimizer' is a oneof, no number"),
        ("ints", "1,2", "takes no value '1'"),
        ("ints.-1", "1,2", "name the element by its index"),
        ("ints.2", "1,2", "the list has 0 elements"),
        ("layer.sizes.1", "1,2", "the list has 0 elements"),
        ("layer.wdth", "1,2", "did you mean 'layer.width'"),
        ("launcher.slurm.num_gpus", "1,2", "launcher and scheduling are those of the base config"),
        ("launcher", "{local: {}},{slurm: {}}", "launcher and scheduling are those of the base config"),
        ("foo.width", "1,2", "launcher and scheduling are those of the base config"),
        ("includes", "1,2", "files are included by"),
        ("I.layer", "uniform(0,1)", "'I.layer' is an include, no number"),
        ("I.layr", "a,b", "did you mean 'layer'"),
        ("I.launcher", "a,b", "launcher and scheduling are those of the base config"),
        ("I.layer", "a,{{ROOT_DIR}}/b", "what a trial needs is given by the base config"),
        ("layers.0.includes", "1", "files are included by"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_key(lab: Lab, key: str, values: Any, words: str) -> None:
    said = refused(lab, {key: values}, ignored=("foo.width",))
    assert words in said
    assert said.startswith(f"space '{key}")


def test_files_may_be_chosen_between(lab: Lab) -> None:
    space = {"I.layer": "small,large", "lr": "1,2", "I": ["a", "b"], "Ifoo": "x"}
    found = axes(lab, space)
    assert [(axis.key, axis.values) for axis in found] == [
        ("I.layer", ("small", "large")),
        ("lr", ("1", "2")),
        ("I", ("a", "b")),
        ("I.foo", ("x",)),
    ]
    files = {axis.key: axis.values for axis in found if axis.key != "lr"}
    assert included_in(space, lab.schema, lab.compose("train {}")) == files


@pytest.mark.parametrize(
    "space",
    [
        {"I.optimizer": "a,b", "adam.beta1": "1,2"},
        {"I.optimizer": "a,b", "optimizer": "sgd,adam"},
        {"sgd.momentum": "0,1", "I.adam": "a,b"},
        {"I": "a,b", "adam.beta1": "1,2"},
        {"modern.part.x": "1,2", "modern.whole.x": "1,2", "I.modern": "a,b"},
    ],
)
def test_what_hangs_on_a_file_is_refused(lab: Lab, space: dict[str, Any]) -> None:
    said = refused(lab, space, "train { adam {} modern { whole {} } }")
    assert "hangs on the file that 'I" in said


def test_all_that_is_wrong_is_said_at_once(lab: Lab) -> None:
    assert len(refused(lab, {"lrr": "1,2", "flag": "maybe", "i32": "1,2"}).splitlines()) == 2


def test_keys_that_overlap_are_refused(lab: Lab) -> None:
    assert "'ints.0' lies inside of 'ints'" in refused(lab, {"ints": "[1],[2]", "ints.0": "1,2"})
    assert "'layer.width' lies inside of 'layer'" in refused(lab, {"layer.width": "1,2", "layer": "{},{width: 2}"})
    assert "'lr' and '--lr' are one and the same" in refused(lab, {"lr": "1,2", "--lr": "1,2"})


def test_what_lies_in_a_member_of_a_oneof_applies_where_that_is_chosen(lab: Lab) -> None:
    found = axes(lab, {"adam.beta1": "uniform(0,1)", "sgd.momentum": "0,0.9", "lr": "1,2", "optimizer": "sgd,adam"})
    assert [(axis.key, axis.only_if) for axis in found] == [
        ("lr", ()),
        ("optimizer", ()),
        ("adam.beta1", (("optimizer", "adam"),)),
        ("sgd.momentum", (("optimizer", "sgd"),)),
    ]
    assert [axis.applies({"optimizer": "adam"}) for axis in found] == [True, True, True, False]


def test_what_lies_in_the_member_that_the_config_chooses_applies_always(lab: Lab) -> None:
    (axis,) = axes(lab, {"adam.beta1": "uniform(0,1)"}, "train { adam {} }")
    assert axis.only_if == ()


def test_what_applies_nowhere_is_refused(lab: Lab) -> None:
    said = refused(lab, {"adam.beta1": "uniform(0,1)"}, "train { sgd {} }")
    assert "it applies nowhere: the config chooses 'sgd' in the oneof 'optimizer'" in said
    assert "optimizer=sgd,adam" in said
    assert "chooses nothing in the oneof 'optimizer'" in refused(lab, {"adam.beta1": "uniform(0,1)"})
    said = refused(lab, {"adam.beta1": "uniform(0,1)", "optimizer": "sgd"}, "train { adam {} }")
    assert "'optimizer' is never 'adam', but sgd" in said


def test_a_member_that_is_a_number_is_chosen_by_its_value(lab: Lab) -> None:
    assert axes(lab, {"plain": "uniform(0,1)"}, "train { sgd {} }") == [Axis("plain", "float", high=1.0)]
    assert "'by_name' wants another member" in refused(lab, {"plain": "uniform(0,1)", "by_name": "a,b"})
    assert "'optimizer' is never 'plain'" in refused(lab, {"plain": "uniform(0,1)", "optimizer": "sgd,adam"})


def test_oneofs_in_oneofs_hang_on_both(tmp_path: Any) -> None:
    from heyhi.config.compose import Composer
    from heyhi.config.schema import load_schema
    from heyhi.project import Project

    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(
        """syntax = "proto2";
        message MetaCfg { oneof task { Train train = 1; } }
        message Cosine { optional double low = 1; }
        message Steps { optional double gamma = 1; }
        message Sgd { oneof decay { Cosine cosine = 1; Steps steps = 2; } }
        message Adam { optional double beta1 = 1; }
        message Train { oneof optimizer { Sgd sgd = 1; Adam adam = 2; } }
        """
    )
    (tmp_path / "conf/cfg.prototxt").write_text("train { adam {} }")
    project = Project(tmp_path)
    schema = load_schema(project)
    base = Composer(project, schema).compose("conf/cfg.prototxt").task_message
    space = {"sgd.cosine.low": "uniform(0,1)", "sgd.decay": "cosine,steps", "optimizer": "sgd,adam"}
    found = axes_of(space, schema, base, Scheduling(SCHEDULING_KEYS))
    assert [axis.key for axis in found] == ["optimizer", "sgd.decay", "sgd.cosine.low"]
    assert found[1].only_if == (("optimizer", "sgd"),)
    assert found[2].only_if == (("optimizer", "sgd"), ("sgd.decay", "cosine"))
    with pytest.raises(SweepError, match=r"chooses nothing in the oneof 'sgd.decay'"):
        axes_of({"sgd.cosine.low": "uniform(0,1)", "optimizer": "sgd,adam"}, schema, base, Scheduling(SCHEDULING_KEYS))


def test_a_key_that_was_renamed_keeps_the_name_it_first_had(tmp_path: Any) -> None:
    from heyhi.config.compose import Composer
    from heyhi.config.schema import load_schema
    from heyhi.project import Project

    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/conf.proto").write_text(
        """syntax = "proto2";
        message MetaCfg { oneof task { Train train = 1; } }
        message Sgd { optional double momentum = 1; }
        message Adam { optional double beta1 = 1; }
        message Train {
          // was: rate
          optional double lr = 1;
          // was: optim
          oneof optimizer {
            Sgd sgd = 2;
            // was: adm
            Adam adam = 3;
          }
        }
        """
    )
    (tmp_path / "conf/cfg.prototxt").write_text("train {}")
    project = Project(tmp_path)
    schema = load_schema(project)
    base = Composer(project, schema).compose("conf/cfg.prototxt").task_message
    scheduling = Scheduling(SCHEDULING_KEYS)
    today = axes_of({"lr": "1,2", "optimizer": "sgd,adam", "adam.beta1": "1,2"}, schema, base, scheduling)
    once = axes_of({"rate": "1,2", "optim": "sgd,adm", "adm.beta1": "1,2"}, schema, base, scheduling)
    assert today == once
    assert [axis.key for axis in today] == ["rate", "optim", "adm.beta1"]
    assert today[2].only_if == (("optim", "adm"),)
    with pytest.raises(SweepError, match="'lr' and 'rate' are one and the same"):
        axes_of({"lr": "1,2", "rate": "1,2"}, schema, base, scheduling)


@pytest.mark.parametrize(
    "text", ["loguniform(0.0001,1)", "uniform(0.25,1)", "range(1,9)", "range(2,9,3)", "loguniform(1,512)", "1,2,3"]
)
def test_an_axis_is_shown_as_it_is_given(lab: Lab, text: str) -> None:
    (axis,) = axes(lab, {"lr" if "." in text else "i32": text})
    assert axes(lab, {axis.key: axis.text}) == [axis]


@pytest.mark.parametrize(
    "text",
    ["'a,b',c", "a, b", "' a ',b", '"it\'s, it",b', "'',a", "'range(2)',uniform", "[x,y],z", "'[x',y", "'\"',b"],
)
def test_texts_that_need_quotes_are_shown_with_them(lab: Lab, text: str) -> None:
    (axis,) = axes(lab, {"name": text})
    assert axes(lab, {"name": axis.text}) == [axis]


def test_only_texts_that_need_quotes_are_shown_with_them(lab: Lab) -> None:
    shown = {text: axes(lab, {"name": text})[0].text for text in ("'a,b',c", "'a','b c'", "[x,y],z")}
    assert shown == {"'a,b',c": "'a,b',c", "'a','b c'": "a,b c", "[x,y],z": "[x,y],z"}
