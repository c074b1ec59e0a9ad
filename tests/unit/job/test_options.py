"""The command line of the runner reads the same whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.job.options import _OPTIONS, Options, _read, _read_by_argparse, parse_options

LEAST = ["results/p/e/result.json", "--manifest", "m.sqlite"]
ALL = [
    *("--log-level", "DEBUG", "--attempt", "2", "--attempts", "3", "--code-root", "code", "--entry", "run:main"),
    *("--tasks", "4", "--parent", "12", "--job", "ab:1f,2e", "--launch", "run-1", "--given-up", "up", "--alone"),
    "--continue-drifted",
]


def _values(options: Options) -> dict[str, object]:
    names = [name[2:].replace("-", "_") for name in _OPTIONS]
    return {name: getattr(options, name) for name in ("target", *names)}


@pytest.mark.parametrize("more", [[], ALL, ALL[:4], ["--alone"]])
def test_what_heyhi_writes_is_read_as_argparse_reads_it(more: list[str]) -> None:
    for words in ([*LEAST, *more], [*more, *LEAST], [*LEAST[1:], *more, LEAST[0]]):
        read = _read(words)
        assert read is not None
        assert _values(read) == _values(_read_by_argparse(words)) == _values(parse_options(words))
    assert read.manifest == Path("m.sqlite")


@pytest.mark.parametrize("words", [[*LEAST, "--attempt=5"], ["--manifest=m.sqlite", "--attempt", "5", "--", LEAST[0]]])
def test_what_a_person_may_write_is_read_too(words: list[str]) -> None:
    assert _read(words) is None
    options = parse_options(words)
    assert (options.target, options.manifest, options.attempt) == (LEAST[0], Path("m.sqlite"), 5)


@pytest.mark.parametrize(
    "words, said",
    [
        (LEAST[:1], "the following arguments are required: --manifest"),
        (LEAST[1:], "the following arguments are required: target"),
        ([*LEAST, "--attempt", "two"], "argument --attempt: invalid int value: 'two'"),
        ([*LEAST, "--attempt"], "argument --attempt: expected one argument"),
        ([*LEAST, "--atempt", "2"], "unrecognized arguments: --atempt 2"),
        ([*LEAST, "other"], "unrecognized arguments: other"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(words)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0 and all(name in text for name in _OPTIONS)
