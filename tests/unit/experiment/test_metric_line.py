"""What a line of metrics holds: numbers of any library by their names; what is none is named, with what was wanted."""

from __future__ import annotations

import enum
import json
import math
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from heyhi.errors import MetricError
from heyhi.experiment.metric_line import counter_of, line_of


class Tensor:
    """Looks as torch's do, which isn't there."""

    def __init__(self, *values: float) -> None:
        self.values = values
        self.shape = (len(values),)

    def __repr__(self) -> str:
        return f"Tensor{self.values}"

    def item(self) -> float:
        if len(self.values) != 1:
            raise RuntimeError(f"a Tensor with {len(self.values)} elements cannot be converted to Scalar")
        return self.values[0]

    def __float__(self) -> float:
        return self.item()


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (1, 1),
        (1.5, 1.5),
        (True, True),
        (None, None),
        ("warm-up", "warm-up"),
        (2**70, 2**70),
        (-(2**63), -(2**63)),
        (math.inf, math.inf),
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(2.5), 2.5),
        (np.array([[7]]), 7),
        (Tensor(0.25), 0.25),
        (Decimal("0.1"), 0.1),
        (Fraction(1, 4), 0.25),
        (Level.HIGH, 3),
    ],
    ids=lambda value: f"{type(value).__module__}.{type(value).__name__} {value}",
)
def test_a_number_of_any_library_is_that_number_in_plain_python(given: object, wanted: object) -> None:
    line = line_of({"deep": {"er": given}, "x": given}, {})

    assert line == {"deep": {"er": wanted}, "x": wanted}
    assert type(line["x"]) is type(line["deep"]["er"]) is type(wanted)
    assert json.loads(json.dumps(line)) == line


JAX = """
import jax.numpy as jnp
from heyhi.experiment.metric_line import line_of
given = [jnp.float32(0.5), jnp.array(4), jnp.array([True]), jnp.bfloat16(0.5), jnp.array([[2.5]])]
found = list(line_of(dict(enumerate(given)), {}).values())
assert found == [0.5, 4, True, 0.5, 2.5] and [type(one) for one in found] == [float, int, bool, float, float], found
try:
    line_of({"x": jnp.zeros(5)}, {})
except ValueError as error:
    print(error)
"""


def test_scalars_of_jax_are_numbers_and_its_arrays_are_none() -> None:
    # By itself: jax starts threads, after which a process had better not fork.
    done = subprocess.run([sys.executable, "-c", JAX], check=True, capture_output=True, text=True)
    assert "'x' is an array of 5 (jaxlib" in done.stdout


def test_what_is_no_number_stays_so() -> None:
    for given in (math.nan, np.float32("nan"), Decimal("nan")):
        assert math.isnan(line_of({"x": given}, {})["x"])


def test_a_dict_and_keywords_are_one_line_with_the_step_first() -> None:
    line = line_of(OrderedDict(val=MappingProxyType({"acc": 0.9})), {"loss": 1}, step=np.int32(7), total=50)

    assert line == {"step": 7, "total": 50, "val": {"acc": 0.9}, "loss": 1}
    assert list(line) == ["step", "val", "loss", "total"]
    assert type(line["step"]) is int


def test_names_that_are_numbers_are_their_text() -> None:
    assert line_of({0: 1.0, np.int64(1): {2: 3}}, {}) == {"0": 1.0, "1": {"2": 3}}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: line_of({"val": {"hist": [1, 2]}}, {}), "'val.hist' is [1, 2] (list), and a metric is one number"),
        (lambda: line_of({"x": np.zeros((3, 4))}, {}), "'x' is an array of 3 x 4 (numpy.ndarray)"),
        (lambda: line_of({"x": np.zeros(0)}, {}), "'x' is an array of 0 (numpy.ndarray)"),
        (lambda: line_of({"x": Tensor(1, 2)}, {}), "'x' is an array of 2 ("),
        (lambda: line_of({"x": 1j}, {}), "'x' is 1j (complex)"),
        (lambda: line_of({"x": np.complex64(1j)}, {}), "'x' is np.complex64(1j) (numpy.complex64)"),
        (lambda: line_of({"x": b"0.5"}, {}), "'x' is b'0.5' (bytes)"),
        (lambda: line_of({"x": line_of}, {}), "'x' is of type function"),
        (lambda: line_of({"x": float}, {}), "'x' is of type type"),
        (lambda: line_of({"x": Fraction(10**400)}, {}), "'x' is of type fractions.Fraction"),
        (lambda: line_of({"x": 1 << 20_000}, {}), "'x' is an integer of 20001 bits"),
        (lambda: line_of({"loss": 0.1}, {"loss": 0.2}), "'loss' is given twice: 0.1 (float), and 0.2"),
        (lambda: line_of({"step": 1}, {}, step=2), "'step' is given twice: 2 (int), and 1 (int)"),
        (lambda: line_of({"val": {1: 0.1, "1": 0.2}}, {}), "'val.1' is given twice"),
        (
            lambda: line_of({"a.b": 1, "a": {"b": 2}}, {}),
            "'a.b' is given twice: by its name, and by dicts in one another",
        ),
        (lambda: line_of({"a": {"b": {"c": 1}, "b.c": "x"}}, {}), "'a.b.c' is given twice"),
        (lambda: line_of({"a.b": {"c": 1}, "a": {"b.c": 2}}, {}), "'a.b.c' is given twice"),
        (lambda: line_of({"a": {"b": 1}}, {"a.b": 2}), "'a.b' is given twice"),
        (lambda: line_of({"": 1}, {}), "the name of a metric is empty"),
        (lambda: line_of({"val": {"": 1}}, {}), "the name of a metric is empty, in 'val'"),
        (lambda: line_of({"time": 0.3}, {}), "'time' can't be the name of a metric: it is when a line was written"),
        (lambda: line_of({}, {"attempt": 3}), "'attempt' can't be the name of a metric"),
        (lambda: line_of({"total": 3}, {}), "'total' can't be the name of a metric"),
        (lambda: line_of({None: 3}, {}), "a key in what it was given is None (NoneType), and the name"),
        (lambda: line_of({"val": {("a", "b"): 3}}, {}), "a key in 'val' is ('a', 'b') (tuple)"),
        (lambda: line_of({"val": {True: 3}}, {}), "a key in 'val' is True (bool)"),
        (lambda: line_of(0.3, {}), "heyhi.log: takes a dict of names and numbers, and was given 0.3 (float)"),  # type: ignore[arg-type]
        (lambda: line_of({}, {}, step="7"), "step= takes a number, and is '7' (str)"),
        (lambda: line_of({}, {}, step=True), "step= takes a number, and is True (bool)"),
        (lambda: line_of({}, {}, step=math.nan), "step= takes a number, and is nan (float)"),
        (lambda: line_of({}, {}, step=1, total=math.inf), "heyhi.log: total= takes a number, and is inf (float)"),
        (lambda: line_of({"loss": 1}, {}, total=50), "total= is how many steps there are, and nothing says the step"),
    ],
)
def test_what_can_not_be_logged_is_named_with_what_was_expected(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(MetricError) as error:
        call()
    assert said in str(error.value)


def test_a_dict_in_itself_is_named() -> None:
    one: dict[str, Any] = {}
    one["one"] = one
    with pytest.raises(MetricError, match=r"'one\.one\.one.*…' is a dict in itself"):
        line_of(one, {})


def test_how_far_a_run_is_is_told_by_its_step_else_by_its_first_counter() -> None:
    assert counter_of({"epoch": 3, "step": 1200, "loss": 1}) == ("step", 1200)
    assert counter_of({"a/step": 3, "step": 1200}) == ("step", 1200)
    assert counter_of({"epoch": 3, "trainer": {"global_step": 7}}) == ("trainer.global_step", 7)
    assert counter_of({"epoch": math.nan, "loss": 3}) is None
    assert line_of({"epoch": 3}, {}, total=5) == {"total": 5, "epoch": 3}


def test_what_a_scalar_has_raised_is_in_the_message() -> None:
    class Gone:
        shape = ()

        def item(self) -> float:
            raise RuntimeError("cuda gone")

    with pytest.raises(MetricError, match=r"'x' is of type .*, whose \.item\(\) raised RuntimeError: cuda gone, and"):
        line_of({"x": Gone()}, {})
