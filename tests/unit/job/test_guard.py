"""What a script does on import, told line by line where it is plain: never otherwise than its syntax tree tells."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from heyhi.errors import LauncherError
from heyhi.job.guard import check_script, is_bound_on_import

GUARD = 'if __name__ == "__main__":'
CALL = "heyhi.parse_args_and_maybe_launch(main)"
MAIN = "def main(task, cfg, log_level):\n    pass\n"
PLAIN = f"import heyhi\n\n\n{MAIN}\n\n{GUARD}\n    {CALL}\n"


def main() -> None:
    """Stand for a script's function."""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module = ModuleType("__main__")
    module.__file__ = str(tmp_path / "run.py")
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.setattr(main, "__module__", "__main__")
    return tmp_path / "run.py"


@pytest.mark.parametrize(
    "source",
    [
        PLAIN,
        PLAIN.replace('"', "'"),
        PLAIN.replace("import heyhi\n", "from heyhi import parse_args_and_maybe_launch\n"),
        f'"""As in maybe_launch."""\n{PLAIN}',
        f"{PLAIN}\nx = 1\n",
        f"{PLAIN}\n# the end\n",
    ],
)
def test_a_script_that_launches_below_its_guard_passes(script: Path, source: str) -> None:
    script.write_text(source)
    check_script(main, "it")
    assert is_bound_on_import(script, "main") and not is_bound_on_import(script, "other")


@pytest.mark.parametrize(
    "source",
    [
        f"import heyhi\n{MAIN}{CALL}\n",
        f"{PLAIN}{CALL}\n",
        f"import heyhi; {CALL}\n{GUARD}\n    pass\n",
        f"import heyhi\n{MAIN}{CALL}\n{GUARD}\n    {CALL}\n",
        f'import heyhi\n{MAIN}"""\n{GUARD}\n    """; {CALL}\n',
    ],
)
def test_one_that_launches_on_import_is_refused(script: Path, source: str) -> None:
    script.write_text(source)
    with pytest.raises(LauncherError, match="is called whenever this file is imported"):
        check_script(main, "it")


@pytest.mark.parametrize(
    "source",
    [
        f"{GUARD}\n    {MAIN.replace(chr(10), chr(10) + '    ')}",
        f'"""\n{MAIN}"""\n',
        f"'''\n{MAIN}'''\n",
        "def mains():\n    pass\n",
    ],
)
def test_what_only_looks_like_a_function_is_none(script: Path, source: str) -> None:
    script.write_text(source)
    assert not is_bound_on_import(script, "main")
