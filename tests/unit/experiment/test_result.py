from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import importlib
import json
import logging
import math
import resource
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heyhi.errors import ResultError
from heyhi.experiment.result import MAX_ARRAY_ITEMS, MAX_DROPPED, encode
from heyhi.files import replace_file


def decoded(result: object) -> Any:
    return json.loads(encode(result).text)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    where: Path


class Opaque:
    def __str__(self) -> str:
        return "opaque thing"


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (None, {}),
        ({}, {}),
        (3, {"result": 3}),
        ([1, 2], {"result": [1, 2]}),
        ({"a": (1, 2), "s": {3, 1, 2}}, {"a": [1, 2], "s": [1, 2, 3]}),
        ({"p": Path("/a/b"), "e": Colour.RED}, {"p": "/a/b", "e": "red"}),
        (Point(1, Path("here")), {"x": 1, "where": "here"}),
        ({"ä": "\ud800"}, {"ä": "\ud800"}),
    ],
)
def test_plain_values_are_kept(result: object, expected: object) -> None:
    assert decoded(result) == expected


def test_keys_that_are_no_strings_become_text() -> None:
    assert decoded({1: "a", None: "b", False: "c", (1, 2): "d", Colour.RED: "e"}) == {
        "1": "a",
        "null": "b",
        "false": "c",
        "(1, 2)": "d",
        "red": "e",
    }


def test_nan_and_infinities_survive() -> None:
    text, _ = encode({"nan": math.nan, "inf": math.inf, "minus": -math.inf})
    assert "NaN" in text and "Infinity" in text and "-Infinity" in text
    back = json.loads(text)
    assert math.isnan(back["nan"]) and back["inf"] == math.inf and back["minus"] == -math.inf


def test_numpy_scalars_and_small_arrays_are_numbers(caplog: pytest.LogCaptureFixture) -> None:
    np = pytest.importorskip("numpy")
    result = {
        "f32": np.float32(0.5),
        "f64": np.float64(0.25),
        "i": np.int64(7),
        "b": np.bool_(True),
        "zero_d": np.array(2.0),
        "array": np.arange(4).reshape(2, 2),
        "nan": np.float32("nan"),
    }
    back = decoded(result)
    assert math.isnan(back.pop("nan"))
    assert back == {"f32": 0.5, "f64": 0.25, "i": 7, "b": True, "zero_d": 2.0, "array": [[0, 1], [2, 3]]}
    assert not caplog.records


def test_a_tensor_with_only_item_is_a_number() -> None:
    class Tensor:
        def item(self) -> float:
            return 1.5

    assert decoded({"loss": Tensor()}) == {"loss": 1.5}


def test_a_large_array_is_dropped_and_named(caplog: pytest.LogCaptureFixture) -> None:
    np = pytest.importorskip("numpy")
    text, dropped = encode({"final": {"weights": np.zeros(MAX_ARRAY_ITEMS + 1), "loss": 1.0}})
    assert json.loads(text) == {"final": {"loss": 1.0}} and dropped == ("final.weights",)
    assert "'final.weights' (numpy.ndarray: has 10001 elements" in caplog.text


def test_a_table_whose_text_leaves_rows_out_is_dropped() -> None:
    pd = pytest.importorskip("pandas")
    assert encode({"table": pd.DataFrame({"x": range(1000)})}).dropped == ("table",)
    assert "x" in decoded({"table": pd.DataFrame({"x": range(3)})})["table"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Opaque(), "opaque thing"),
        (decimal.Decimal("0.10"), "0.10"),
        (fractions.Fraction(1, 3), "1/3"),
        (datetime.datetime(2026, 11, 28, 8, 30), "2026-11-28 08:30:00"),
        (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (1j, "1j"),
        (b"bytes", "b'bytes'"),
        (Point, "<class 'tests.unit.experiment.test_result.Point'>"),
        (ValueError("too small"), "too small"),
        pytest.param(16**6000, f"0x1{'0' * 6000}", id="huge"),
    ],
)
def test_what_has_a_text_of_its_own_is_text_with_a_warning_that_names_its_key(
    value: object, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = encode({"metrics": [{"model": value}], "loss": 0.1})
    assert json.loads(result.text) == {"metrics": [{"model": text}], "loss": 0.1} and result.dropped == ()
    assert "'metrics.0.model'" in caplog.text


class Plain:
    def method(self) -> None:
        pass


def generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "value",
    [
        Plain(),
        Broken(),
        object(),
        lambda: 0,
        len,
        Plain().method,
        [].append,
        json,
        iter([1]),
        generator(),
        map(len, []),
        threading.Lock(),
        {}.values().__iter__(),
        pytest.param(16**12_000, id="huge"),
        [object(), object()],
    ],
)
def test_what_has_no_text_of_its_own_is_dropped_with_a_warning_that_names_key_and_type(
    value: object, caplog: pytest.LogCaptureFixture
) -> None:
    text, dropped = encode({"metrics": [{"model": value}], "loss": 0.1})
    assert json.loads(text) == {"metrics": [{}], "loss": 0.1} and dropped == ("metrics.0.model",)
    assert f"'metrics.0.model' ({type(value).__module__}.".replace("(builtins.", "(") in caplog.text
    assert type(value).__qualname__ in caplog.text


def test_a_bare_object_is_an_empty_result() -> None:
    assert encode(Plain()) == ("{}\n", ("result",))
    assert encode([Plain(), Plain()]) == ("{}\n", ("result",))
    text, dropped = encode([1, Plain(), 2])
    assert json.loads(text) == {"result": [1, None, 2]} and dropped == ("result.1",)


def test_a_dataclass_is_kept_also_where_dataclasses_was_loaded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass
    class Point:
        kind: ClassVar[str] = "point"
        a: int
        b: dataclasses.InitVar[int] = 2

    monkeypatch.delitem(sys.modules, "dataclasses")
    importlib.import_module("dataclasses")
    assert decoded({"p": Point(1)}) == {"p": {"a": 1}}


def test_an_object_in_a_dataclass_or_a_set_or_as_a_key_is_dropped_alone() -> None:
    text, dropped = encode({"point": Point(Plain(), Path("x")), "set": {1, Plain()}, Plain(): 3, "y": 1})  # type: ignore[arg-type]
    assert json.loads(text) == {"point": {"where": "x"}, "set": [1], "y": 1}
    assert len(dropped) == 3 and "point.x" in dropped and "<tests.unit.experiment.test_result.Plain>" in dropped


def test_of_many_that_are_dropped_the_first_are_named() -> None:
    dropped = encode({f"k{i}": Plain() for i in range(1000)}).dropped
    assert dropped == (*(f"k{i}" for i in range(MAX_DROPPED)), f"… and {1000 - MAX_DROPPED} more")


def test_what_was_encoded_stays_as_it_is() -> None:
    once = encode({"model": Plain(), "loss": 1})
    assert encode(once) is once


def test_a_method_that_raises_does_not_lose_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    class Lazy:
        shape = (2,)

        def __str__(self) -> str:
            return "array([1, ..., 9])"

        def tolist(self) -> list[int]:
            raise RuntimeError("device lost")

    text, dropped = encode({"a": 1, "lazy": Lazy()})
    assert json.loads(text) == {"a": 1} and dropped == ("lazy",)
    assert "'lazy'" in caplog.text and "RuntimeError" in caplog.text


def test_a_result_inside_itself_ends() -> None:
    loop: dict[str, Any] = {"x": 1}
    loop["self"] = loop
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert encode(loop) == ('{\n  "x": 1\n}\n', ("self",))
    assert encode(deep) == ("{}\n", ("result",))


_leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
_results = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=10,
)


@given(_results)
def test_any_result_becomes_a_json_object(result: object) -> None:
    logging.getLogger("heyhi.experiment.result").disabled = True
    try:
        assert isinstance(decoded(result), dict)
    finally:
        logging.getLogger("heyhi.experiment.result").disabled = False


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    replace_file(path, "one")
    replace_file(path, "two")
    assert path.read_text() == "two"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_a_file_has_the_permissions_that_the_umask_gives(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    replace_file(tmp_path / "file", "x")
    assert (tmp_path / "file").stat().st_mode == plain.stat().st_mode


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"gone/result\.json: can't be written: No such file or directory"):
        replace_file(tmp_path / "gone" / "result.json", "x")


def test_a_write_that_does_not_fit_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    replace_file(path, "old")
    code = (
        "import sys, pathlib; from heyhi.files import replace_file; from heyhi.errors import ResultError\n"
        "try: replace_file(pathlib.Path(sys.argv[1]), 'x' * 100_000)\n"
        "except ResultError as e: print(e)"
    )
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1])),
    )
    assert done.stdout.strip() == f"{path}: can't be written: File too large"
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
