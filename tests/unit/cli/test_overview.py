"""`heyhi --help`: all commands by what one does with them, without anything heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from heyhi.cli.main import main
from heyhi.cli.overview import GROUPS, overview
from heyhi.cli.parser import make_parser


@pytest.fixture
def text(capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_each_command_stands_in_one_group_with_its_line(text: str) -> None:
    (commands,) = (a.choices for a in make_parser()._actions if isinstance(a.choices, dict))
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped)) and set(commands) <= set(grouped)
    for name in commands:
        assert text.count(f"\n  {name:<11} ") == 1
    assert "\nmore:\n" not in text
    for title in GROUPS:
        assert f"\n{title}:\n" in text


def test_it_names_the_docs_and_fits_a_terminal(text: str) -> None:
    assert "heyhi docs" in text and "docs/" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_command_that_nobody_has_put_in_a_group_is_there_all_the_same() -> None:
    assert "more:\n  brand-new   what it does\n" in overview({"run": "run it", "brand-new": "what it does"})


def test_it_imports_nothing_heavy() -> None:
    code = "import sys\nfrom heyhi.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
    code += "print(*(m for m in ('google.protobuf', 'pandas', 'snakemake', 'rich', 'difflib') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_without_a_command_it_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: heyhi [-h] [--version] COMMAND …\n")
