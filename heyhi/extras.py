"""The packages that only an extra of HeyHi's brings: imported here, or the line that installs them is named.

What each is for, `heyhi docs dependencies` says.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heyhi.errors import ExtraError
from heyhi.text import shell_word

# Extra -> what needs it, and the modules of its packages, all of which bear their package's name.
EXTRAS: dict[str, tuple[str, tuple[str, ...]]] = {
    "page": ("the page", ("plotly", "itables")),
    "parquet": ("Parquet", ("pyarrow",)),
    "search": ("a search", ("optuna",)),
    "serve": ("heyhi serve", ("starlette", "uvicorn", "plotly", "itables")),
    "sheets": ("Google Sheets", ("pygsheets",)),
    "tensorboard": ("TensorBoard", ("tensorboardX",)),
}
_EXTRA_OF = {module: extra for extra, (_, modules) in reversed(EXTRAS.items()) for module in modules}


def load(module: str) -> Any:
    """Import a module that an extra brings.

    Args:
        module: such as `pyarrow.parquet`.

    Raises:
        ExtraError: it isn't installed, or can't be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        is_there = error.name is None or error.name.partition(".")[0] != package
        why = str(error) if is_there else ""
        extra = _EXTRA_OF[package]
        raise ExtraError(_text(extra, [package], why), key=package, fix=install_line(extra)) from None


def check(extra: str) -> None:
    """Make sure that an extra's packages are there, without the time that it takes to import them.

    Raises:
        ExtraError: one isn't.
    """
    if lacking := missing(extra):
        raise ExtraError(_text(extra, lacking), key=lacking[0], fix=install_line(extra))


def missing(extra: str) -> list[str]:
    """List the packages of an extra that aren't installed."""
    return [module for module in EXTRAS[extra][1] if not _is_there(module)]


def install_line(*extras: str) -> str:
    """Return the line to type that installs extras where HeyHi is installed from: an index, a folder, a repository."""
    listed = f"[{','.join(extras)}]"
    tree = Path(__file__).parents[1]
    if (tree / "pyproject.toml").is_file():  # this is a checkout, which stays the one that is imported
        return f"pip install -e {shell_word(f'{tree}{listed}')}"
    return f"pip install {shell_word(_as_installed(listed))}"


def _as_installed(listed: str) -> str:
    """Name HeyHi with some extras as pip is told where it was installed from."""
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:  # https://packaging.python.org/en/latest/specifications/direct-url/
        origin = json.loads(distribution("heyhi").read_text("direct_url.json") or "{}")
        url, vcs = str(origin.get("url", "")), origin.get("vcs_info")
    except (PackageNotFoundError, ValueError, AttributeError):
        return f"heyhi{listed}"
    if isinstance(vcs, dict):
        revision = vcs.get("requested_revision") or vcs.get("commit_id")
        return f"heyhi{listed} @ {vcs.get('vcs')}+{url}@{revision}"
    if url.startswith("file://"):
        path = unquote(urlsplit(url).path)
        return f"{path}{listed}" if Path(path).exists() else f"heyhi{listed}"
    return f"heyhi{listed} @ {url}" if url else f"heyhi{listed}"


def _is_there(module: str) -> bool:
    if module in sys.modules:
        return sys.modules[module] is not None
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # an import hook that refuses it
        return False


def _text(extra: str, lacking: Sequence[str], why: str = "") -> str:
    names = " and ".join([", ".join(lacking[:-1]), lacking[-1]] if len(lacking) > 1 else lacking)
    are = "are" if len(lacking) > 1 else "is"
    state = f"which can't be imported ({why})" if why else f"which {are}n't installed here"
    return f"{EXTRAS[extra][0]} needs {names}, {state}: {install_line(extra)}"
