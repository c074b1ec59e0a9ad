"""Identities and exp ids: what makes an experiment the same one, and where it lies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf import text_format
from hypothesis import assume, given
from hypothesis import strategies as st

from heyhi.config.compose import Composed
from heyhi.config.identity import DEFAULT_PATTERN, MAX_ID_BYTES, ExpPattern, Identity, readable_tag
from heyhi.config.scheduling import Scheduling
from heyhi.errors import HeyhiError, IdentityError
from heyhi.project import Project, Settings

if TYPE_CHECKING:
    from tests.unit.conftest import Lab

CFG = "conf/cfg.prototxt"
BASE = "train { lr: 1 launcher { local { cpus: 4 } } sgd { momentum: 0.5 } }"


def test_a_pattern_with_an_exclamation_mark_takes_keys_out_of_those_before_it() -> None:
    scheduling = Scheduling(["a.*", "!a.x*", "a.xy"])
    keys = ("a.b", "a.x", "a.xz", "a.xy", "b")
    assert [key for key in keys if scheduling.ignores(key)] == ["a.b", "a.xy"]
    default = Scheduling(Settings().identity_ignore)
    assert default.ignores("launcher.local.cpus") and not default.ignores("launcher.local.tasks")
    assert Scheduling([*Settings().identity_ignore, "launcher.local.tasks"]).ignores("launcher.local.tasks")
    assert not Scheduling([]).ignores("a")


def compose(lab: Lab, *overrides: str, config: str = BASE) -> Composed:
    lab.write("cfg.prototxt", config)
    return lab.composer().compose(CFG, overrides)


def named(lab: Lab, *overrides: str, config: str = BASE) -> list[str]:
    return list(compose(lab, *overrides, config=config).identity.overrides)


# --- what counts ---


def test_values_are_written_as_the_schema_writes_them(lab: Lab) -> None:
    assert named(lab, "lr=0.10", "i32=+05", "flag=1", "color=1", 'name="a"', "single=0.10", "by_int.+1=x") == [
        "by_int.1=x", "color=GREEN", "flag=true", "i32=5", "lr=0.1", "name=a", "single=0.1",
    ]  # fmt: skip
    assert compose(lab, "lr=0.10").identity == compose(lab, "--lr=1e-1").identity


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_an_integer_field_that_becomes_a_double_keeps_its_name(shared_lab: Lab, number: int) -> None:
    shared_lab.write("cfg.prototxt", "train {}")
    composer = shared_lab.composer()

    def value(key: str, given: object) -> str:
        [line] = composer.compose(CFG, {key: given}).identity.overrides
        return line.removeprefix(f"{key}=")

    # As Python gives them (written without a cast), as an integer, as a text, and beside what has to be cast.
    as_double = {value("lr", float(number)), value("lr", number), value("lr", str(number)), value("lr", f"{number}.0")}
    [text] = as_double
    assert float(text) == float(number)
    if abs(number) < 2**53:
        assert text == value("i64", number) == str(number)
    if abs(number) < 2**24:
        assert value("single", number) == str(number), "a float has these as they are"


@given(number=st.floats(allow_nan=False))
def test_a_double_is_named_so_that_it_reads_back(shared_lab: Lab, number: float) -> None:
    shared_lab.write("cfg.prototxt", "train {}")
    composer = shared_lab.composer()
    composed = composer.compose(CFG, {"lr": number})
    again = composer.compose(CFG, composed.identity.overrides)
    assert again.identity == composed.identity
    assert repr(again.task_message.lr) == repr(number)  # type: ignore[attr-defined]  # of the lab's schema


def test_a_value_that_the_file_has_already_is_named(lab: Lab) -> None:
    assert named(lab, "lr=1") == ["lr=1"]


def test_includes_are_named_by_their_paths_in_order_before_all_else(lab: Lab) -> None:
    lab.write("common/layer/wide.prototxt", "width: 100")
    lab.write("b.prototxt", "name: 'b'")
    lab.write("a.prototxt", "name: 'a'")
    assert named(lab, "i32=3", "I=b", "I.layer=wide", "I=conf/a.prototxt", "flag=1") == [
        "I=conf/b.prototxt", "I.layer=conf/common/layer/wide.prototxt", "I=conf/a.prototxt", "flag=true", "i32=3",
    ]  # fmt: skip
    assert named(lab, "Ifoo=common/layer/wide") == ["I.foo=conf/common/layer/wide.prototxt"]


def test_scheduling_is_in_no_identity(lab: Lab) -> None:
    assert named(lab, "launcher.local.cpus=8") == []
    assert named(lab, "launcher.slurm.hours=3", "launcher.slurm.partition=x", "launcher.slurm.partition=NULL") == []
    assert named(lab, "launcher.local=SELECT", "launcher.slurm=SELECT") == []
    assert named(lab, "launcher.slurm.num_gpus=3", "launcher.slurm.hours=3") == ["launcher.slurm.num_gpus=3"]


def test_an_include_that_only_schedules_is_left_out(lab: Lab) -> None:
    lab.write("common/launcher/short.prototxt", "slurm { hours: 1 partition: 'x' }")
    lab.write("common/launcher/gpus.prototxt", "slurm { hours: 1 num_gpus: 8 }")
    lab.write("wrapped.prototxt", "launcher { local {} }")
    lab.write("empty.prototxt", "")
    assert named(lab, "I.launcher=short", "I=wrapped", "I=empty") == []
    assert named(lab, "I.launcher=gpus") == ["I.launcher=conf/common/launcher/gpus.prototxt"]


GPUS = "train { launcher { slurm { num_gpus: 8 hours: 3 } } }"


def test_scheduling_that_takes_away_what_counts_is_named_by_what_it_chooses(lab: Lab) -> None:
    lab.write("common/launcher/here.prototxt", "local { cpus: 3 }")
    assert named(lab, "launcher.local.cpus=2", config=GPUS) == ["launcher.local=SELECT"]
    assert named(lab, "launcher.local.cpus=7", config=GPUS) == ["launcher.local=SELECT"]
    assert named(lab, "launcher.local=SELECT", config=GPUS) == ["launcher.local=SELECT"]
    assert named(lab, "launcher.slurm=NULL", config=GPUS) == ["launcher.slurm=NULL"]
    assert named(lab, "I.launcher=here", config=GPUS) == ["I.launcher=conf/common/launcher/here.prototxt"]
    assert named(lab, "launcher.slurm.hours=5", config=GPUS) == []
    assert named(lab, "launcher.slurm.hours=NULL", config=GPUS) == []


def test_scheduling_that_takes_away_nothing_in_the_end_is_left_out(lab: Lab) -> None:
    counted = "launcher.slurm.num_gpus=4"
    for config in (BASE, "train { }"):
        assert named(lab, counted, "launcher.local.cpus=2", config=config) == []
        assert named(lab, counted, "launcher.local=SELECT", config=config) == []
    assert named(lab, "launcher.local.cpus=2", counted, config=GPUS) == [counted]
    assert named(lab, "launcher.local.cpus=2", "launcher.local=SELECT", counted, "lr=2", config=GPUS) == [
        counted,
        "lr=2",
    ]


def test_choosing_a_member_counts_though_the_field_in_it_does_not(lab: Lab) -> None:
    lab.write("cfg.prototxt", "train { sgd { momentum: 1 } }")
    composer = lab.composer(ignore=("adam.*", "layers.*.name", "named.*.name", "layer.name", "by_name"))

    def names(*overrides: str) -> list[str]:
        return list(composer.compose(CFG, overrides).identity.overrides)

    assert names("adam.beta1=3", "adam.beta2=2") == ["adam=SELECT"]
    assert names("layer.name=x") == []
    assert names("layers.-1.name=x") == ["layers=[{}]"]
    assert names("layers.0.name=x") == ["layers=[{}]"]
    assert names("layers.0.width=1", "layers.0.name=x") == ["layers=[{width: 1}]"]
    assert names("named.x.name=y") == ["named.x=SELECT"]
    assert names("named.x.name=y", "named.x.width=3") == ["named.x.width=3"]
    assert names("by_name=x") == ["by_name=x"]
    lab.write("cfg.prototxt", "train { }")
    composer = lab.composer(ignore=("by_name",))
    assert names("by_name=x") == []


def test_root_dir_stays_a_template(lab: Lab) -> None:
    assert named(lab, "name={{ ROOT_DIR }}/x", 'strings.0="\\u007b{ROOT_DIR}}"') == [
        "name={{ROOT_DIR}}/x", 'strings=["\\u007b\\u007bROOT_DIR}}"]',
    ]  # fmt: skip


def test_two_clones_at_different_paths_have_the_same_exp_ids(tmp_path: Path, new_lab: Callable[[Path], Lab]) -> None:
    ids = []
    for root in (tmp_path / "one", tmp_path / "some/other place"):
        lab = new_lab(root)
        lab.write("part.prototxt", "strings: '{{ROOT_DIR}}/a'")
        lab.write("need.prototxt", "train { name: '{{ROOT_DIR}}/b' }")
        lab.write(
            "cfg.prototxt",
            "includes { path: 'part' } train { layer { name: '{{exp need name={{ROOT_DIR}}/c}}' } }",
        )
        composed = lab.composer().compose(
            root / CFG,
            [f"I={root}/conf/part.prototxt", "I={{ROOT_DIR}}/conf/part", "by_int.1={{ROOT_DIR}}/d",
             "name={{exp {{ROOT_DIR}}/conf/need.prototxt name={{ROOT_DIR}}/e}}/f{{ROOT_DIR}}"],
        )  # fmt: skip
        composer = lab.composer()
        ids.append([ExpPattern(lab.project).exp_id(c.identity) for c in (composed, *composed.needs)])
        assert composed.task_message.name.endswith(f"/f{root}")
        assert str(composer.need_path(composed)).startswith(f"{root}/results/p/cfg/")
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


def test_a_oneofs_name_with_a_member_is_the_members_select_where_another_is_chosen(lab: Lab) -> None:
    for config, overrides, same in [
        ("train { sgd { momentum: 1 } }", ["optimizer=adam"], ["adam=SELECT"]),
        ("train { }", ["optimizer=adam"], ["adam=SELECT"]),
        ("train { adam { beta1: 1 } }", ["optimizer=adam"], []),
        ("train { adam { beta1: 1 } }", ["lr=1", "optimizer=adam", "adam.beta2=2"], ["lr=1", "adam.beta2=2"]),
        ("train { sgd { } }", ["adam.beta1=1", "optimizer=adam"], ["adam.beta1=1"]),
        ("train { sgd { } }", ["optimizer=adam", "adam.beta1=1"], ["adam=SELECT", "adam.beta1=1"]),
        ("train { adam { } }", ["optimizer=sgd", "optimizer=adam"], ["sgd=SELECT", "adam=SELECT"]),
        ("train { adam { } }", ["optimizer=NULL", "optimizer=adam"], ["optimizer=NULL", "adam=SELECT"]),
        ("train { adam { } }", ["plain=3", "optimizer= adam "], ["plain=3", "adam=SELECT"]),
        ("train { }", ["modern.choice=none"], ["modern.none=SELECT"]),
        ("train { modern { none { } } }", ["modern.choice=none"], []),
        ("train { launcher { slurm { hours: 3 } } }", ["launcher.kind=slurm"], []),
        ("train { launcher { slurm { num_gpus: 3 } } }", ["launcher.kind=local"], ["launcher.local=SELECT"]),
        ("train { }", ["launcher.kind=local", "lr=2"], ["lr=2"]),
    ]:
        lab.write("cfg.prototxt", config)
        found, expected = (lab.composer().compose(CFG, one) for one in (overrides, same))
        assert found.identity == expected.identity, (config, overrides)
        if "launcher" not in " ".join(overrides):
            assert found.message == expected.message, (config, overrides)
        mapping = lab.composer().compose(CFG, dict(pair.split("=") for pair in overrides))
        if len({pair.split("=")[0] for pair in overrides}) == len(overrides):
            assert mapping.identity == expected.identity


def test_a_choice_keeps_what_is_in_the_member_where_it_is_chosen_already(lab: Lab) -> None:
    composed = compose(lab, "optimizer=adam", config="train { adam { beta1: 1 } }")
    assert composed.task_message.adam.beta1 == 1
    assert compose(lab, "adam=SELECT", config="train { adam { beta1: 1 } }").task_message.adam.beta1 == 0


def test_a_need_is_one_whichever_way_its_oneof_is_chosen(lab: Lab) -> None:
    lab.write("need.prototxt", "train { sgd { } }")
    names = {
        compose(lab, f"name={{{{exp need {words}}}}}").identity for words in ("optimizer=adam", "adam=SELECT")
    }  # fmt: skip
    assert len(names) == 1


# --- properties ---

POOL = [
    "lr=0.10", "lr=0.1", "lr=2", "lr=NULL", "i32=3", "name=a", 'name="a"', 'name="NULL"', "name={{ROOT_DIR}}/x",
    'name="\\u007b{ROOT_DIR}}/x"', "name=a\nb", "name={{exp need}}", "name={{exp need lr=1}}", "name=lr=1", "name=NULL",
    "layer.width=1", "layer=SELECT", "layer=NULL", "sgd.momentum=1", "sgd.momentum=NULL", "sgd=SELECT", "adam.beta1=1",
    "adam.beta2=1", "plain=1", "by_name=x", "optimizer=NULL", "ints.-1=1", "ints.0=2", "ints=NULL", "layers.-1.width=1",
    "layers.0.width=2", "layers.0.name=x", "scale.a=1", 'scale."a=b"=1', "scale=NULL", "named.a.name=y", "blob=\\x00",
    "launcher.local.cpus=2", "launcher.local.cpus=3", "launcher.local=SELECT", "launcher.slurm.hours=1",
    "optimizer=sgd", "optimizer=adam", "launcher.kind=local", "launcher.kind=slurm",
    "launcher.slurm.hours=NULL", "launcher.slurm.num_gpus=1", "launcher.slurm=NULL", "launcher.kind=NULL", "I=part",
    "I.optimizer=fast", "I.optimizer=slow", "I.adam=slow", "I=fresh",
    "I.launcher=gpus", "I.launcher=here", "I.layer=wide", "I.layers.-1=wide", "launcher=SELECT",
]  # fmt: skip
OVERRIDES = st.lists(st.sampled_from(POOL), max_size=7)
CONFIGS = st.sampled_from(
    [
        "train { }",
        "train { lr: 1 ints: [1, 2] layers { width: 1 } launcher { local { cpus: 4 } } sgd { momentum: 0.5 } }",
        "train { launcher { slurm { num_gpus: 8 hours: 3 } } adam { beta1: 1 } layer { width: 7 } }",
        "train { launcher { slurm { num_gpus: 8 } } layer { width: 7 } name: '{{exp need}}' }",
    ]
)


def try_compose(lab: Lab, config: str, overrides: list[str]) -> Composed | None:
    lab.write("need.prototxt", "train { lr: 5 }")
    lab.write("part.prototxt", "lr: 7 ints: 7")
    lab.write("wide.prototxt", "width: 77")
    lab.write("fresh.prototxt", "includes { clear: 'ints' clear: 'layer' } ints: 5")
    lab.write("common/optimizer/fast.prototxt", "momentum: 0.7")
    lab.write("common/adam/slow.prototxt", "beta1: 0.7")
    lab.write("common/launcher/gpus.prototxt", "slurm { num_gpus: 77 hours: 7 }")
    lab.write("common/launcher/here.prototxt", "local { cpus: 7 }")
    try:
        return compose(lab, *overrides, config=config)
    except HeyhiError:
        return None


def counted(composed: Composed) -> list[str]:
    return Scheduling(Settings().identity_ignore).counted(composed.task_message)


@given(config=CONFIGS, overrides=OVERRIDES)
def test_an_identity_composes_to_itself(shared_lab: Lab, config: str, overrides: list[str]) -> None:
    composed = try_compose(shared_lab, config, overrides)
    assume(composed is not None)
    assert composed is not None
    composer = shared_lab.composer()
    for need in composed.needs:  # an identity names needs by exp id, which a composer knows that has seen them
        composer.compose(CFG, [f"name={{{{exp {' '.join([need.identity.cfg, *need.identity.overrides])}}}}}"])
    again = composer.compose(CFG, composed.identity.overrides)
    assert again.identity == composed.identity
    assert counted(again) == counted(composed)


@given(config=CONFIGS, first=OVERRIDES, second=OVERRIDES)
def test_one_identity_has_one_result(shared_lab: Lab, config: str, first: list[str], second: list[str]) -> None:
    one, two = try_compose(shared_lab, config, first), try_compose(shared_lab, config, second)
    if one is not None and two is not None:
        pattern = ExpPattern(shared_lab.project)
        assert (one.identity == two.identity) == (one.identity.digest == two.identity.digest)
        assert (one.identity == two.identity) == (pattern.exp_id(one.identity) == pattern.exp_id(two.identity))
        if one.identity == two.identity:
            assert counted(one) == counted(two)


@given(config=CONFIGS, overrides=OVERRIDES, data=st.data())
def test_where_an_override_stands_makes_no_difference_unless_it_matters(
    shared_lab: Lab, config: str, overrides: list[str], data: st.DataObject
) -> None:
    """Two neighbours that have no part in common change places."""
    composed = try_compose(shared_lab, config, overrides)
    shuffled = list(overrides)
    for i in data.draw(st.lists(st.integers(0, max(0, len(overrides) - 2)), max_size=10)):
        if i + 1 < len(shuffled) and _apart(shuffled[i], shuffled[i + 1]):
            shuffled[i], shuffled[i + 1] = shuffled[i + 1], shuffled[i]
    again = try_compose(shared_lab, config, shuffled)
    assert (again is None) == (composed is None)
    if composed is not None and again is not None:
        assert again.identity == composed.identity
        assert shared_lab.data(again.message) == shared_lab.data(composed.message)


def _apart(first: str, second: str) -> bool:
    a, b = (re.split(r"[.=]", text)[0] for text in (first, second))
    optimizer = {"sgd", "adam", "plain", "by_name", "optimizer"}
    both_includes = a == "I" and b == "I"
    return a != b and not both_includes and not {a, b} <= optimizer


@given(config=CONFIGS, overrides=OVERRIDES, data=st.data())
def test_scheduling_changes_no_identity(
    shared_lab: Lab, config: str, overrides: list[str], data: st.DataObject
) -> None:
    """Hours and cores of what is chosen anyway can be put anywhere."""
    composed = try_compose(shared_lab, config, overrides)
    assume(composed is not None)
    assert composed is not None
    kind = composed.task_message.launcher.WhichOneof("kind")  # type: ignore[attr-defined]  # no stubs
    more = {"slurm": "launcher.slurm.hours=9", "local": "launcher.local.cpus=9"}.get(kind or "local", "")
    again = try_compose(shared_lab, config, [*overrides, more])
    assert again is not None
    assert again.identity == composed.identity


# --- exp ids ---


def exp_id(project: Project, *overrides: str, cfg: str = CFG, pattern: str | None = None, adhoc: bool = False) -> str:
    return ExpPattern(project, pattern, adhoc=adhoc).exp_id(Identity(cfg, overrides))


def test_the_date_of_an_ad_hoc_run_is_its_own_so_that_a_pattern_with_it_names_no_two_alike(tmp_path: Path) -> None:
    project = Project(tmp_path)
    mine = {exp_id(project, "lr=0.1", pattern="%(date)s/zz", adhoc=True) for _ in range(100)}
    assert len(mine) == 100
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d/\d{6}\.\d{6}-[0-9a-f]{4}/zz", one) for one in mine)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d/zz", exp_id(project, "lr=0.1", pattern="%(date)s/zz"))


def test_the_default_pattern_is_readable_and_ends_in_the_hash(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert exp_id(project, cfg="conf/c02/sl.prototxt") == "p/c02/sl/default_e3b0c44298fc1c14"
    assert re.fullmatch(r"p/cfg/lr=0\.1,seed=3_[0-9a-f]{16}", exp_id(project, "lr=0.1", "seed=3"))
    mine = [exp_id(project, "lr=0.1", adhoc=True) for _ in range(100)]
    assert all(
        re.fullmatch(r"adhoc/\d{4}-\d\d-\d\d/\d{6}\.\d{6}-[0-9a-f]{4}/cfg/lr=0\.1_[0-9a-f]{16}", m) for m in mine
    )
    assert len(set(mine)) == 100
    assert exp_id(project, "I.launcher=conf/common/launcher/slurm.prototxt").startswith("p/cfg/I.launcher=slurm_")
    assert exp_id(project, cfg="other/x/cfg.prototxt").startswith("p/other/x/cfg/default_")
    assert exp_id(project, cfg="/abs/x.prototxt").startswith("p/abs/x/default_")
    assert exp_id(project, cfg="conf/a b/$(c).prototxt").startswith("p/a_b/__c_/default_")
    assert DEFAULT_PATTERN.endswith("_%(redefines_hash)s")


@pytest.mark.parametrize("cfg", ["conf/..prototxt", "conf/...prototxt", "conf/.prototxt", "conf/.../x.prototxt", "x"])
def test_a_config_with_an_odd_name_names_no_other_folder(tmp_path: Path, cfg: str) -> None:
    made = exp_id(Project(tmp_path), "lr=1", cfg=cfg)
    assert not any(part.strip(".") == "" for part in made.split("/"))


def test_long_overrides_are_cut_and_told_apart_by_the_hash(tmp_path: Path) -> None:
    one, two = (exp_id(Project(tmp_path), f"name={'x' * 5000}{i}") for i in range(2))
    assert one != two
    assert one[:-16] == two[:-16]
    assert len(one) <= MAX_ID_BYTES


def test_a_config_in_too_deep_a_folder_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert len(exp_id(project, "lr=1", cfg=f"conf/{'a' * 175}.prototxt")) <= MAX_ID_BYTES
    with pytest.raises(IdentityError, match="longer than 200 bytes"):
        exp_id(project, "lr=1", cfg=f"conf/{'a' * 190}.prototxt")


@pytest.mark.parametrize(
    ("pattern", "made"),
    [
        ("my/%(cfg)s_%(redefines)s", "my/cfg_lr=0.1"),
        ("%(cfg_folder)s/%(cfg)s", "cfg"),
        ("%(prefix)s//x/", "p/x"),
        ("x@y+z,w=v", "x@y+z,w=v"),
        ("/checkpoint/me/lr_0.1", "/checkpoint/me/lr_0.1"),
        ("{root}/results/a/b", "a/b"),
        ("{root}/results/..x/b", "..x/b"),
        ("{root}/results-2/a", "{root}/results-2/a"),
        ("{root}/a", "{root}/a"),
    ],
)
def test_a_pattern_of_the_users_own_is_filled_in(tmp_path: Path, pattern: str, made: str) -> None:
    root = str(tmp_path)
    assert exp_id(Project(tmp_path), "lr=0.1", pattern=pattern.replace("{root}", root)) == made.replace("{root}", root)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "%(confg)s",
            r"there is no tag '%\(confg\)s' \(did you mean 'cfg'\?\); tags are %\(prefix\)s, ",
        ),
        ("%(redefine)s", r"did you mean 'redefines' or 'redefines_hash'"),
        ("a b", r"the character ' ' is not allowed \(allowed are A-Z a-z 0-9"),
        ("$(touch x)", r"the character '\$' is not allowed"),
        ("a\n", r"the character '\\n' is not allowed"),
        ("%cfg", r"the character '%' is not allowed: a tag is written %\(name\)s"),
        ("%(cfg)d", r"the character '%' is not allowed: a tag is written %\(name\)s"),
        ("ä", r"the character 'ä' is not allowed"),
        ("{x}", r"the character '\{' is not allowed"),
        ("../x", "has a part made of dots: it must stay below the results root"),
        ("a/../../x", "has a part made of dots"),
        ("a/./b", "has a part made of dots"),
        ("/tmp/../etc", "has a part made of dots"),
        ("", "is empty"),
        ("/", "is empty"),
        ("%(cfg_folder)s", "is empty"),
        ("reports/x", r"lies in a folder that is not for experiments \(\.heyhi, exports, mlruns, reports"),
        (".heyhi", "lies in a folder that is not for experiments"),
        ("{root}/results/reports/x", "lies in a folder that is not for experiments"),
        ("{root}/results", "holds the results root"),
        ("{root}", "holds the results root"),
        ("a/-rf", "has a part that starts with '-'"),
        ("x" * 201, "has 201 bytes; at most 200 are allowed"),
    ],
)
def test_a_pattern_that_is_no_safe_path_is_refused(tmp_path: Path, pattern: str, message: str) -> None:
    with pytest.raises(IdentityError, match=message):
        exp_id(Project(tmp_path), "lr=0.1", pattern=pattern.replace("{root}", str(tmp_path)))


def test_a_results_root_with_another_character_is_refused_where_targets_show_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Project(tmp_path / "my project")
    assert exp_id(inside).startswith("p/")  # targets are relative to the project
    with pytest.raises(IdentityError, match=r"the character ' ' is not allowed in an exp path .* HH_EXP_DIR"):
        exp_id(Project(tmp_path, Settings(results="my results")))
    monkeypatch.setenv("HH_EXP_DIR", "/data/$USER")
    with pytest.raises(IdentityError, match=r"results root /data/\$USER: the character '\$'"):
        exp_id(inside)


@given(
    overrides=st.lists(st.text(st.characters(exclude_categories=["Cs"]))), cfg=st.text("abC.-_ /ä$'\n", max_size=250)
)
def test_an_exp_id_has_only_allowed_characters_and_stays_below_the_root(overrides: list[str], cfg: str) -> None:
    project = Project(Path("/some/where"))
    try:
        made = exp_id(project, *overrides, cfg=f"conf/{cfg}.prototxt".replace("//", "/"))
    except IdentityError as error:
        assert "longer than 200 bytes" in str(error)
        return
    assert re.fullmatch(r"[A-Za-z0-9._=@+,/-]+", made)
    assert len(made.encode()) <= MAX_ID_BYTES
    assert made.startswith("p/")
    assert not any(part.strip(".") == "" for part in made.split("/"))


@given(
    pattern=st.text()
    | st.lists(st.sampled_from(["%(cfg)s", "%(redefines)s", "/", "..", ".", "-", "a", "%", "(", " "])).map("".join)
)
def test_any_pattern_gives_a_safe_exp_id_or_an_error(pattern: str) -> None:
    project = Project(Path("/some/where"))
    try:
        made = exp_id(project, "lr=$(x)", pattern=pattern)
    except IdentityError:
        return
    assert re.fullmatch(r"[A-Za-z0-9._=@+,/-]+", made)
    assert ".." not in made.split("/")
    assert len(made) <= MAX_ID_BYTES


# --- identities as data ---


def test_an_identity_goes_through_json(tmp_path: Path) -> None:
    identity = Identity("conf/x.prototxt", ("lr=0.1", 'name="\\u007b{"'))
    assert Identity.from_dict(json.loads(json.dumps(identity.to_dict()))) == identity


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        3,
        {"cfg": "x"},
        {"cfg": "x", "overrides": [1], "version": 1},
        {"cfg": "x", "overrides": "y", "version": 1},
    ],
)
def test_what_is_no_identity_is_refused(data: object) -> None:
    with pytest.raises(IdentityError, match="no identity"):
        Identity.from_dict(data)


def test_all_parts_of_an_identity_count() -> None:
    digests = {
        Identity("a", ()).digest,
        Identity("b", ()).digest,
        Identity("a", ("x=1",)).digest,
        Identity("a", ("x=1", "y=1")).digest,
        Identity("a", ("x=1y=1",)).digest,
        Identity("a", (), 1).digest,
    }
    assert len(digests) == 6
    assert all(re.fullmatch(r"[0-9a-f]{16}", digest) for digest in digests)


def test_the_readable_tag_shortens_includes() -> None:
    assert readable_tag(()) == "default"
    assert readable_tag(("I.launcher=conf/common/launcher/slurm.prototxt", "name=a b")) == "I.launcher=slurm,name=a_b"


def test_scheduling_keys_are_patterns(lab: Lab) -> None:
    message = text_format.Parse("lr: 1", lab.new_train())
    assert Scheduling(()).counted(message) == ["lr=1"]
    assert Scheduling(("l*",)).counted(message) == []
    assert Scheduling(("l",)).counted(message) == ["lr=1"]
