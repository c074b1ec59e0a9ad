"""docs/api.md: all that can be imported from `heyhi`, with its types and what each argument is, as docstrings say."""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import heyhi
from docs_site import api


def test_the_page_says_what_the_docstrings_say_today(repository: Path) -> None:
    assert api.page() == (repository / "docs/api.md").read_text(), "python -m docs_site.api writes it anew"


def test_every_public_name_has_a_place_there(repository: Path) -> None:
    headings = re.findall(r"^### `heyhi\.(\w+)`$", (repository / "docs/api.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(heyhi.__all__)


def test_a_new_name_without_a_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heyhi, "__all__", [*heyhi.__all__, "lunch"])
    with pytest.raises(ValueError, match=r"one group of api\.py: lunch"):
        api.page()


@pytest.mark.parametrize("name", [name for name in heyhi.__all__ if not name.isupper() or name == "ASHA"])
def test_all_arguments_are_typed_and_explained(name: str) -> None:
    for where, call in functions_of(name, getattr(heyhi, name)):
        doc = inspect.getdoc(call) or ""
        assert doc, where
        for parameter in inspect.signature(call).parameters.values():
            if parameter.name == "self":
                continue
            assert parameter.annotation is not parameter.empty, f"{where}: {parameter.name}"
            assert re.search(rf"^    {parameter.name}: ", doc, re.MULTILINE), f"{where}: {parameter.name}"
        gives = inspect.signature(call).return_annotation
        if not inspect.isclass(call) and gives not in ("None", "NoReturn"):
            assert "\nReturns:\n" in doc or re.match(r"(Return|Read|Make|Say) ", doc), f"{where} gives {gives}"


def functions_of(name: str, found: Any) -> Iterator[tuple[str, Any]]:
    if inspect.isclass(found):
        for kind in found.__mro__:
            if kind.__module__.startswith("heyhi."):
                members = vars(kind).items()
                yield from ((f"{name}.{m}", f) for m, f in members if inspect.isfunction(f) and not m.startswith("_"))
    if callable(found) and not (inspect.isclass(found) and issubclass(found, enum.Enum | BaseException)):
        yield name, found
