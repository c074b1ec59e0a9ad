"""Searches in sweep files and manifests: slots, what they are composed from, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from heyhi.config.base import Base
from heyhi.config.compose import Composer
from heyhi.config.schema import Schema
from heyhi.errors import HeyhiError, SweepError
from heyhi.experiment.slots import Choice, SearchDir, slot_id
from heyhi.project import Project
from heyhi.sweep.expand import Expansion
from heyhi.sweep.file import expand_sweep_file, read_sweep_file
from heyhi.sweep.kept_expansion import RememberedExpansion
from heyhi.sweep.learned import learned_folders
from heyhi.sweep.manifest import Manifest, looked_at_root
from heyhi.sweep.validation import validate
from heyhi.sweep.write_manifest import write_manifest

SEARCH = """\
import heyhi
SEARCH = heyhi.Search(
    cfg="conf/c02_sup_train/sl.prototxt", overrides={{"epochs": 3}},
    space={{"lr": "loguniform(1e-4,1)", "batch_size": [16, 32]}}, max="val_accuracy", trials={trials}{more},
)
"""


@pytest.fixture
def expanded(project: Project, schema: Schema, tmp_path: Path) -> Callable[..., Expansion]:
    def expand(trials: int = 3, more: str = "", text: str = SEARCH, end: str = "") -> Expansion:
        path = tmp_path / "tune.py"
        path.write_text(text.format(trials=trials, more=more) + end)
        return expand_sweep_file(project, schema, path)

    return expand


def test_a_search_has_slots_and_a_manifest_keeps_what_they_are_composed_from(
    project: Project, schema: Schema, expanded: Callable[..., Expansion]
) -> None:
    expansion = expanded()
    search = expansion.search
    assert search is not None and (search.metric, search.direction, search.trials) == ("val_accuracy", "max", 3)
    assert expansion.own == [slot_id(search.search_id, number) for number in range(3)]
    manifest = Manifest.open(write_manifest(expansion, project, schema))
    assert manifest.search == search and manifest.targets == [f"{folder}.json" for folder in expansion.folders]
    slot = manifest.experiment(manifest.targets[1])
    assert slot.is_slot and slot.identity.overrides == ("slot=1",) and slot == expansion.experiments[1]
    base = Base.from_bytes(manifest.base(), manifest.schema(), project)
    composed = Composer(project, schema).compose("conf/c02_sup_train/sl", {"epochs": 3, "lr": 0.01})
    assert base.compose({"lr": 0.01}).identity == composed.identity
    manifest.check()


def test_more_trials_at_once_or_in_all_are_of_the_same_search_and_another_aim_is_another(
    project: Project, schema: Schema, expanded: Callable[..., Expansion]
) -> None:
    first = expanded()
    ids = {expanded(5).search.search_id, expanded(3, ", parallel=2").search.search_id}  # type: ignore[union-attr]
    assert first.search is not None and ids == {first.search.search_id}
    assert expanded(5).own[:3] == first.own
    assert expanded(3, ", seed=1").search.search_id not in ids  # type: ignore[union-attr]
    manifests = {write_manifest(one, project, schema).name for one in (first, expanded(5), expanded(3))}
    assert len(manifests) == 2


def test_a_base_that_needs_another_experiment_has_it_before_all_slots(
    project: Project, schema: Schema, tmp_path: Path
) -> None:
    path = tmp_path / "tune.py"
    path.write_text(
        'import heyhi\nSEARCH = heyhi.Search(cfg="conf/c03_eval/eval", space={"noise": "uniform(0,1)"},'
        ' min="loss", trials=2)\n'
    )
    expansion = expand_sweep_file(project, schema, path)
    need, *slots = expansion.planned
    assert [one.exp_id for one in slots] == expansion.own and all(one.needs == (need.folder,) for one in slots)
    manifest = Manifest.open(write_manifest(expansion, project, schema))
    assert manifest.needs(manifest.targets[0]) == [f"{need.folder}/result.json"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SEARCH + "def yield_sweep():\n    yield 'conf/c02_sup_train/sl', {{}}\n", "has both SEARCH and yield_sweep"),
        ("SEARCH = 3\n", "SEARCH is 3; expected heyhi.Search"),
        (SEARCH + "EXP_ID_PATTERN = 'x'\n", "EXP_ID_PATTERN goes without SEARCH"),
        ("x = 1\n", "has no function yield_sweep.*and no SEARCH"),
        (SEARCH.replace('"lr"', '"learning_rate"'), "space 'learning_rate'"),
        (
            SEARCH.replace('"lr"', '"launcher.local.cpus"').replace("loguniform(1e-4,1)", "1,2"),
            "launcher and scheduling",
        ),
        (SEARCH.replace("c02_sup_train/sl", "c02_sup_train/sk"), "sk.*did you mean"),
        (SEARCH.replace('"epochs": 3', '"epoch": 3'), "epoch.*did you mean 'epochs'"),
        (SEARCH.replace("[16, 32]", '"{{{{exp conf/x}}}},2"'), "batch_size"),
    ],
)
def test_what_is_no_search_is_refused_in_one_sentence(text: str, said: str, expanded: Callable[..., Expansion]) -> None:
    with pytest.raises(SweepError, match=f"(?s){said}"):
        expanded(text=text)


def test_a_check_of_the_sweep_file_looks_at_a_point_of_the_space(
    project: Project, schema: Schema, expanded: Callable[..., Expansion]
) -> None:
    good = (
        "def validate(cfg):\n    assert cfg.epochs == 3\n    return None if cfg.lr == 1e-4 else 'lr is not searched'\n"
    )
    validate(project, schema, expanded(end=good))
    with pytest.raises(SweepError, match="not so small"):
        validate(
            project, schema, expanded(end="def validate(cfg):\n    return 'not so small' if cfg.lr < 1e-3 else None\n")
        )


def test_a_search_is_remembered_until_it_says_something_else(
    project: Project, schema: Schema, tmp_path: Path, expanded: Callable[..., Expansion]
) -> None:
    expansion = expanded()
    sweep = read_sweep_file(project, tmp_path / "tune.py")
    manifest = write_manifest(expansion, project, schema, folder=looked_at_root(project))
    RememberedExpansion(project, schema, sweep, []).keep(expansion, manifest)
    found = RememberedExpansion(project, schema, sweep, []).find()
    assert found is not None and found.manifest == manifest
    assert sweep.search is not None
    other = sweep._replace(search=replace(sweep.search, trials=4))
    assert RememberedExpansion(project, schema, other, []).find() is None


def test_what_is_learned_from_is_kept_as_exp_ids_and_searches(
    project: Project, tmp_path: Path, expanded: Callable[..., Expansion]
) -> None:
    (tmp_path / "other.py").write_text("def yield_sweep():\n    yield 'conf/c02_sup_train/sl', {'lr': 0.5}\n")
    first = expanded().search
    assert first is not None
    (tmp_path / "first.py").write_text((tmp_path / "tune.py").read_text())
    words = [f"{tmp_path}/other.py", f"{tmp_path}/first.py"]
    search = expanded(more=f", seed=1, learn_from={words}").search
    assert search is not None and len(search.learn_from) == 2
    assert search.learn_from[0].startswith("p/c02_sup_train/sl/lr=0.5_")
    assert search.learn_from[1] == f"searches/{first.search_id}"
    assert search.search_id == expanded(more=", seed=1").search.search_id  # type: ignore[union-attr]
    slot = SearchDir(project.results_root, first.search_id).slot(1)
    slot.write_choice(Choice("p/c02_sup_train/sl/lr=0.7_x"))
    root = project.results_root
    folders = [str(root / search.learn_from[0]), str(root / "p/c02_sup_train/sl/lr=0.7_x")]
    assert learned_folders(root, search.learn_from) == folders
    with pytest.raises(SweepError, match="--learn-from nothing"):
        expanded(more=", learn_from='nothing'")


def test_files_that_a_space_chooses_between_are_kept_in_the_manifest(
    project: Project, schema: Schema, expanded: Callable[..., Expansion], tmp_path: Path
) -> None:
    files = [tmp_path / f"{name}.prototxt" for name in ("slow", "fast")]
    for number, file in enumerate(files):
        file.write_text(f"beta1: 0.{5 + number}\n")
    text = SEARCH.replace('"batch_size": [16, 32]', f'"I.adam": {list(map(str, files))}')
    manifest = Manifest.open(write_manifest(expanded(text=text), project, schema))
    for file in files:
        file.unlink()
    base = Base.from_bytes(manifest.base(), manifest.schema(), project)
    found = [base.compose({"lr": 0.01, "I.adam": str(file)}).task_message.adam.beta1 for file in files]
    assert found == [0.5, 0.6]


def test_a_file_that_is_not_there_is_refused(expanded: Callable[..., Expansion]) -> None:
    with pytest.raises(HeyhiError, match="nowhere"):
        expanded(text=SEARCH.replace('"batch_size": [16, 32]', '"I.adam": ["nowhere"]'))


OVER = """\
import heyhi
SEARCH = heyhi.Search(cfg="conf/c02_sup_train/sl.prototxt", overrides={overrides}, space={space}, max="a", trials=2)
"""


@pytest.mark.parametrize(
    ("overrides", "space", "left_out", "rest"),
    [
        ({"lr": 0.3, "epochs": 3}, {"lr": "0.1,0.2"}, ["lr=0.3 is left out: 'lr' is searched over"], {"epochs": 3}),
        (["epochs=3", "lr=0.3", "--lr=0.4"], {"--lr": "0.1"}, ["lr=0.3", "--lr=0.4"], ["epochs=3"]),
        ({"hidden_sizes.0": 3}, {"hidden_sizes": "[16],[32]"}, ["hidden_sizes.0=3"], {}),
        ({"optimizer": "adam"}, {"optimizer": "sgd,adam"}, ["optimizer=adam"], {}),
        ({"adam.beta1": 0.8}, {"optimizer": "sgd,adam"}, [], {"adam.beta1": 0.8}),
        ({"optimizer": "adam"}, {"adam.beta1": "uniform(0.5,0.9)"}, [], {"optimizer": "adam"}),
        ({"adam.beta1": 0.8}, {"adam.beta1": "uniform(0.5,0.9)"}, [], {"adam.beta1": 0.8}),
        ({"hidden_sizes": [16, 8]}, {"hidden_sizes.0": "range(4,9)"}, [], {"hidden_sizes": [16, 8]}),
    ],
)
def test_an_override_of_a_key_that_is_searched_over_is_left_out_and_told(
    overrides: object, space: object, left_out: list[str], rest: object, expanded: Callable[..., Expansion]
) -> None:
    found = expanded(text="", end=OVER.format(overrides=overrides, space=space))
    plain = expanded(text="", end=OVER.format(overrides=rest, space=space))
    assert found.search == plain.search and found.base == plain.base
    assert len(found.warnings) == len(left_out)
    assert all(said.startswith(words) for said, words in zip(found.warnings, left_out, strict=True))
