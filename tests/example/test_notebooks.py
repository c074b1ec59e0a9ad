"""The cells of docs/notebooks.md, in a real kernel of Jupyter's."""

from __future__ import annotations

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.docs_shown import ROOT, copy_examples, shows

_CELL = re.compile(r"^```python cell( raises)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_cells_of_a_notebook_do_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_examples(tmp_path)
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    cells = _CELL.findall((ROOT / "docs/notebooks.md").read_text())
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for _, text in cells])
    kernel = nbclient.NotebookClient(
        notebook, timeout=300, allow_errors=True, resources={"metadata": {"path": str(tmp_path / "examples")}}
    )
    kernel.execute()
    for (raises, text), cell in zip(cells, notebook.cells, strict=True):
        printed = "".join(_text_of(one) for one in cell.outputs)
        assert any(one.output_type == "error" for one in cell.outputs) == bool(raises), printed
        shows(text, printed)
        assert "status" not in text or "\x1b" not in printed


def _text_of(output: dict[str, object]) -> str:
    if output["output_type"] == "stream":
        return str(output["text"])
    if output["output_type"] == "error":
        return "\n".join(output["traceback"])  # type: ignore[arg-type]
    return str(output["data"]["text/plain"])  # type: ignore[index]
