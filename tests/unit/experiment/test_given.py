"""What an experiment was given of what it needs, and when that is an earlier result."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as each
from hypothesis import strategies as st

from heyhi.config.best import id_of
from heyhi.config.identity import Identity
from heyhi.experiment.folder import Experiment, ExperimentDir
from heyhi.experiment.given import Results, find_stale, given_in, given_to, stale_text
from heyhi.experiment.records import History, Metrics, Start
from heyhi.experiment.winners import Winner, winner_path, write_winner


def made(root: Path, exp_id: str, result: object) -> ExperimentDir:
    folder = ExperimentDir(root / exp_id, root)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write_result(result)
    return folder


def user(root: Path, *needs: ExperimentDir) -> Experiment:
    return Experiment(
        "p/user",
        root / "p/user",
        Identity("c", ()),
        "t",
        b"",
        tuple(need.path for need in needs),
        roots={"results_root": str(root)},
    )


def test_each_need_is_recorded_by_its_exp_id_with_the_digest_of_its_result(tmp_path: Path) -> None:
    inside, outside = made(tmp_path / "r", "p/a", {"x": 1}), made(tmp_path / "elsewhere", "b", {"x": 1})
    absent = ExperimentDir(tmp_path / "r/p/none")
    found = given_to(user(tmp_path / "r", inside, outside, absent))
    assert found == {"p/a": inside.result_digest(), str(outside.path): outside.result_digest()}
    assert given_to(user(tmp_path / "r")) == {}


def test_one_is_stale_when_its_need_has_another_result_and_not_while_that_is_made(tmp_path: Path) -> None:
    need = made(tmp_path, "p/a", {"x": 1})
    folder = made(tmp_path, "p/user", {"y": 1})
    folder.append_attempt(Start(1, needs=given_to(user(tmp_path, need))))
    paths = [str(folder.path)]
    assert find_stale(tmp_path, paths) == {}
    need.result_path.unlink()
    assert find_stale(tmp_path, paths) == {}
    need.write_result({"x": 1})  # made anew, and the same
    assert find_stale(tmp_path, paths) == {}
    need.write_result({"x": 2})
    assert find_stale(tmp_path, paths) == {str(folder.path): ["p/a"]}


def test_what_is_made_of_a_stale_one_is_stale_too(tmp_path: Path) -> None:
    need, middle, last = (made(tmp_path, f"p/{name}", {name: 1}) for name in "abc")
    middle.append_attempt(Start(1, needs=given_to(user(tmp_path, need))))
    last.append_attempt(Start(1, needs=given_to(user(tmp_path, middle))))
    paths = [str(middle.path), str(last.path)]
    assert find_stale(tmp_path, paths) == {}
    need.write_result({"a": 2})
    assert find_stale(tmp_path, paths) == {path: ["p/a"] for path in paths}
    middle.append_attempt(Start(2, needs={"p/a": need.result_digest()}))
    middle.write_result({"b": 2})
    assert find_stale(tmp_path, paths[:1]) == {} and find_stale(tmp_path, paths[1:]) == {paths[1]: ["p/b"]}


def test_through_layers_of_needs_each_is_looked_at_once_and_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [[made(tmp_path, f"p/{layer}-{i}", {"x": 1}) for i in range(10)] for layer in range(12)]
    for below, layer in pairwise(layers):
        for folder in layer:
            folder.append_attempt(Start(1, needs=given_to(user(tmp_path, *below))))
    for folder in layers[0]:
        folder.write_result({"x": 2})
    looks: Counter[tuple[str, Path]] = Counter()

    def count(name: str) -> None:
        look = getattr(ExperimentDir, name)

        def counted(folder: ExperimentDir) -> Any:
            looks[name, folder.path] += 1
            return look(folder)

        monkeypatch.setattr(ExperimentDir, name, counted)

    count("result_digest")
    count("attempts")
    paths = [str(folder.path) for folder in layers[-1]]
    found = find_stale(tmp_path, paths)
    assert found == {path: [f"p/0-{i}" for i in range(10)] for path in paths}
    assert max(looks.values()) == 1 and len(looks) <= 2 * 120


def test_an_empty_result_that_is_made_anew_is_another_one(tmp_path: Path) -> None:
    need = made(tmp_path, "p/a", None)
    need.append_attempt(Start(1, time="then", host="h", pid=7))
    folder = made(tmp_path, "p/user", {"y": 1})
    folder.append_attempt(Start(1, needs=given_to(user(tmp_path, need))))
    assert find_stale(tmp_path, [str(folder.path)]) == {}
    need.append_attempt(Start(2, time="later", host="h", pid=8))
    assert find_stale(tmp_path, [str(folder.path)]) == {str(folder.path): ["p/a"]}


def test_of_the_best_of_a_sweep_its_result_counts_where_its_folder_is_used_and_not_where_it_is_included(
    tmp_path: Path,
) -> None:
    best = made(tmp_path, "p/best", {"x": 1})
    words = "conf/tune.py max=x"
    overrides = ("lr=1",)
    winner = Winner(words, "p/best", 1.0, ("p/best",), "c", overrides, (), (("p/best", 1.0),), "", "", "")
    write_winner(winner_path(tmp_path, words), winner)
    chosen = ExperimentDir(tmp_path / "winners" / id_of(words), tmp_path)
    users = []
    for name, text in (("text", f"\n\x09{best.path}/model.npz"), ("include", "lr")):
        folder = made(tmp_path, f"p/{name}", {"y": 1})
        one = dataclasses.replace(user(tmp_path, chosen), config=text.encode())
        folder.append_attempt(Start(1, needs=given_to(one)))
        users.append(str(folder.path))
    text = users[0]
    assert find_stale(tmp_path, users) == {}
    best.write_result({"x": 2})
    assert find_stale(tmp_path, users) == {text: ["p/best"]}

    best.write_result({"x": 1})
    best.append_attempt(Start(1, needs={"p/need": "earlier"}))
    made(tmp_path, "p/need", {"z": 1})
    assert find_stale(tmp_path, users) == {text: ["p/need"]}, "what is made of a stale one is stale"
    both = stale_text(["p/need", f"winners/{id_of(words)}"])
    assert both == f"made of an earlier result of p/need and of an earlier choice, winners/{id_of(words)}"


def test_what_an_earlier_attempt_has_logged_counts_and_what_came_to_nothing_does_not() -> None:
    first, second = Start(1, needs={"n": "old"}), Start(2, needs={"n": "new"})
    assert given_in(History([first, second._replace(metrics_size=10)]), Metrics(20)) == {"n": ["old", "new"]}
    assert given_in(History([first, second]), Metrics(20)) == {"n": ["new"]}
    assert given_in(History([Start(1)]), Metrics(20)) == given_in(History(), Metrics(0)) == {}


@each(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(st.sampled_from(["1", "2"]), min_size=1, unique=True)))
def test_all_and_only_needs_of_which_another_result_is_there_are_named(given: dict[str, list[str]]) -> None:
    results = Results(Path("/nowhere"))
    now = {"a": "1", "b": "2", "c": ""}
    results._digests.update(now)
    assert results.made_anew(given) == [n for n in given if now[n] and any(d != now[n] for d in given[n])]


def test_each_need_is_looked_at_once(tmp_path: Path) -> None:
    need = made(tmp_path, "p/a", {"x": 1})
    results = Results(tmp_path)
    assert results.digest("p/a") == need.result_digest()
    need.result_path.unlink()
    assert results.digest("p/a")
