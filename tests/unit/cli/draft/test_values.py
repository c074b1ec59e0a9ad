"""Whatever values a config has: the script's own parser reads them back, or the run says what argparse would."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heyhi.errors import HeyhiError

from .conftest import Drafted

Draft = Callable[..., Drafted]

PARSING = """\
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("first", type=float)
parser.add_argument("name")
parser.add_argument("second", nargs="?", default="b")
parser.add_argument("rest", nargs="*", default=[])
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--tag", default="t")
parser.add_argument("--xs", type=float, nargs="+", default=[1.0])
parser.add_argument("--pair", type=int, nargs=2, default=[1, 2])
parser.add_argument("--each", type=float, action="append", default=[])
parser.add_argument("-v", action="count", default=0)


def main():
    return vars(parser.parse_args())


if __name__ == "__main__":
    main()
"""
GIVEN = """\
import argparse


def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--opt", choices=["sgd", "adam-w"], default="sgd")
    parser.add_argument("--sizes", type=int, nargs="+", choices=range(1, 9), default=[1])
    parser.add_argument("--pair", type=float, nargs=2)
    parser.add_argument("--names", nargs="+", required=True)
    parser.add_argument("--verb", "-v", action="count", default=0)
    return parser.parse_args()


def main(args):
    return {key: str(value) for key, value in vars(args).items()}


if __name__ == "__main__":
    main(parse_args())
"""
NUMBERS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=4).filter(lambda one: one != "--")


def test_the_script_s_own_parser_gives_back_any_values(drafted: Draft) -> None:
    project = drafted(PARSING)
    words = project.task_file().words
    parser = importlib.import_module("train").parser

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.fixed_dictionaries(
            {
                "first": NUMBERS,
                "name": TEXTS,
                "second": TEXTS,
                "rest": st.lists(TEXTS, max_size=3),
                "lr": NUMBERS,
                "tag": TEXTS,
                "xs": st.lists(NUMBERS, min_size=1, max_size=3),
                "pair": st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2),
                "each": st.lists(NUMBERS, max_size=3),
                "v": st.integers(0, 3),
            }
        )
    )
    def check(values: dict[str, object]) -> None:
        assert vars(parser.parse_args(words("train", SimpleNamespace(**values)))) == values

    check()


def test_small_negative_numbers_of_a_list_reach_the_script(drafted: Draft) -> None:
    project = drafted(PARSING)
    words = project.words("first=-0.00003", "name=x", "xs=[-0.00002,1]")
    assert words == ["-0.00003", "x", "b", "--xs", "-0.00002", "1.0"]


def test_several_texts_of_which_one_looks_like_an_option_are_refused_by_the_run(drafted: Draft) -> None:
    project = drafted(
        'import argparse\np = argparse.ArgumentParser()\np.add_argument("--tags", nargs="*")\np.parse_args()\n'
    )
    assert project.words('tags=["-x"]') == ["--tags=-x"]
    with pytest.raises(ValueError, match=r"--tags can't have \['-x', 'y'\] on a command line: what begins with - "):
        project.words('tags=["-x","y"]')


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("opt=foo", "--opt can't be 'foo', only one of 'sgd', 'adam-w'"),
        ("sizes=[1,9]", "--sizes can't be 9, only one of 1, 2"),
        ("pair=[1]", "--pair needs 2 values, and has 1"),
        ("names=[]", "--names needs at least 1 value, and has 0"),
    ],
)
def test_a_function_that_is_given_the_arguments_gets_none_that_argparse_would_refuse(
    override: str, said: str, drafted: Draft
) -> None:
    project = drafted(GIVEN)
    config = project.config("names=[a]", override)
    with pytest.raises(ValueError, match=r"^--") as error:
        project.task_file().main("train", config, "ERROR")
    assert str(error.value).startswith(said)


def test_what_argparse_takes_is_given_as_it_has_it(drafted: Draft) -> None:
    project = drafted(GIVEN)
    overrides = ["opt=adam-w", "sizes=[8]", "pair=[1,2]", "names=[a]", "verb=2"]
    assert project.task_file().main("train", project.config(*overrides), "ERROR") == {
        "opt": "adam-w",
        "sizes": "[8]",
        "pair": "[1.0, 2.0]",
        "names": "['a']",
        "verb": "2",
    }


def test_what_is_counted_is_no_negative_number(drafted: Draft) -> None:
    project = drafted(GIVEN)
    with pytest.raises(HeyhiError, match=r"verb.*out of range"):
        project.config("names=[a]", "verb=-1")
