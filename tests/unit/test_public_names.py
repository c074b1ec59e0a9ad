"""What `import heyhi` offers: listed twice, for type checkers and for loading on first use, and alike in both."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import heyhi

TREE = ast.parse(Path(heyhi.__file__).read_text())


def names_for_type_checkers() -> dict[str, str]:
    """Return name -> module, as the imports under TYPE_CHECKING say; those that are only declared have none."""
    (block,) = (node for node in TREE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    found = {}
    for node in block.body:
        if isinstance(node, ast.ImportFrom) and node.module != "heyhi":
            # Type checkers take a name for public where it is imported as itself.
            found |= {alias.name: str(node.module) for alias in node.names if alias.asname == alias.name}
        elif isinstance(node, ast.AnnAssign):
            found[ast.unparse(node.target)] = ""
    return found


def names_loaded_on_first_use() -> dict[str, str]:
    assigned = {
        ast.unparse(target): node.value for node in TREE.body if isinstance(node, ast.Assign) for target in node.targets
    }
    homes: dict[str, str] = ast.literal_eval(assigned["_HOMES"])
    found = [(name, f"heyhi.{module}") for module, names in homes.items() for name in names.split()]
    found += [(name, "") for name in ast.literal_eval(assigned["_FOLDERS"])]
    assert len(found) == len(dict(found)), "a name stands twice"
    return dict(found)


def test_the_doors_are_listed_twice_too_and_an_import_of_heyhi_is_enough_for_them() -> None:
    code = "import sys, heyhi; print(*heyhi._DOORS, *(getattr(heyhi, name).__name__ for name in heyhi._DOORS))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (block,) = (node for node in TREE.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    imported = [node for node in block.body if isinstance(node, ast.ImportFrom) and node.module == "heyhi"]
    names = sorted(alias.name for node in imported for alias in node.names)
    assert names == ["checkpoint_repo", "conf", "gsheets", "run", "util"]
    assert done.stdout.split() == [*names, *(f"heyhi.{name}" for name in names)]


def test_both_lists_hold_the_same_names_from_the_same_modules() -> None:
    assert names_for_type_checkers() == names_loaded_on_first_use()


def test_all_names_are_public(monkeypatch: pytest.MonkeyPatch, repository: Path) -> None:
    monkeypatch.chdir(repository)  # for the folders of its project
    public = names_for_type_checkers()
    assert set(heyhi.__all__) == set(public)
    assert set(public) <= set(dir(heyhi))
    for name, module in public.items():
        assert not module or getattr(heyhi, name) is getattr(importlib.import_module(module), name)
    assert repository == heyhi.PROJ_ROOT
    assert repository / "conf" == heyhi.CONF_ROOT


def test_no_module_takes_the_place_of_a_public_name() -> None:
    modules = {module.name for module in pkgutil.iter_modules(heyhi.__path__)}
    assert {"config", "errors", "run"} <= modules
    assert not modules & set(heyhi.__all__)


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(AttributeError, match="module 'heyhi' has no attribute 'lunch'"):
        heyhi.lunch  # noqa: B018


def test_a_name_costs_only_what_it_needs() -> None:
    code = "import sys, heyhi; heyhi.HeyhiError; print(*(m for m in sys.modules if m.startswith('heyhi')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {
        "heyhi",
        "heyhi.errors",
        "heyhi.faults",
        "heyhi.quick_import",
        "heyhi.quick_modules",
        "heyhi.quick_tuple",
    }


@pytest.mark.parametrize("collects", [True, False])
def test_garbage_is_collected_after_an_import_as_it_was_before(collects: bool) -> None:
    code = f"import gc; {'' if collects else 'gc.disable(); '}import heyhi; heyhi.HeyhiError; print(gc.isenabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{collects}\n"
