"""`heyhi.show`: the page in a cell, by a process that ends with the one that has asked for it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import heyhi
from heyhi.serve import notebook
from tests.unit.serve.served import SECONDS, ask, cookie, make_project, until

ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)(/\?token=(\S+))")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("show"))


@pytest.fixture
def shown(project: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let what is shown end with the test."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(notebook, "_children", {})
    yield notebook._children
    for child in notebook._children.values():
        child.end()


def find(text: str) -> tuple[int, str, str]:
    (found,) = ADDRESS.findall(text)
    return int(found[0]), found[1], found[2]


def test_outside_of_a_notebook_it_prints_the_address(shown: Any, capsys: pytest.CaptureFixture[str]) -> None:
    heyhi.show()
    port, path, token = find(capsys.readouterr().out)
    assert ask(port, path).status == 200
    assert ask(port, "/", headers={"Cookie": cookie(port, token)}).status == 200


def test_the_same_words_have_the_same_server(shown: Any, capsys: pytest.CaptureFixture[str]) -> None:
    heyhi.show("--cfg train seed=4")
    heyhi.show(["--cfg", "train", "seed=4"])
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    heyhi.show()
    assert find(capsys.readouterr().out)[0] != find(first)[0]
    for child in list(shown.values()):
        child.process.kill()
        child.process.wait()
    heyhi.show()
    assert ask(*find(capsys.readouterr().out)[:2]).status == 200


def test_a_wrong_word_is_said_where_it_was_given(shown: Any) -> None:
    with pytest.raises(heyhi.HeyhiError, match=r"^'trian' is no sweep file, .* \(did you mean"):
        heyhi.show("trian")


def test_in_a_notebook_it_shows_a_frame_whose_address_opens_once(
    shown: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    displayed: list[Any] = []
    module = ModuleType("IPython")
    display = ModuleType("IPython.display")
    module.get_ipython = lambda: SimpleNamespace(kernel=1)  # type: ignore[attr-defined]
    display.IFrame = lambda src, **options: SimpleNamespace(src=src, **options)  # type: ignore[attr-defined]
    display.display = displayed.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    heyhi.show(height=300)
    (frame,) = displayed
    printed = capsys.readouterr().out
    (child,) = shown.values()
    for address in (frame.src, printed):
        port, path, _ = find(address)
        assert child.address(for_saved=False).rpartition("=")[2] not in address
        assert ask(port, path).status == 200
        assert ask(port, path).status == 403
    assert (frame.width, frame.height) == ("100%", 300)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_has_asked_for_it(project: Path, number: signal.Signals) -> None:
    code = "import heyhi, time; heyhi.show(); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], cwd=project, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        port, path, token = find(asking.stdout.readline())
        assert ask(port, path).status == 200
        lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, timeout=SECONDS).stdout
        assert token not in lines
        asking.send_signal(number)

    def is_gone() -> bool:
        try:
            ask(port, path)
        except OSError:
            return True
        return False

    until(is_gone)
