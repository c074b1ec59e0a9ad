"""pathlib is loaded without urllib.parse, and nobody who asks for either is told anything else than without HeyHi."""

from __future__ import annotations

import subprocess
import sys

import pytest


def said(code: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def test_heyhi_loads_no_urllib() -> None:
    code = "import sys, heyhi, heyhi.job.launch; print('pathlib' in sys.modules, 'urllib.parse' in sys.modules)"
    assert said(code) == ["True", "False"]


@pytest.mark.parametrize("first", ["pathlib", "urllib.parse", "heyhi"])
def test_a_path_has_its_address_and_urllib_is_the_real_one(first: str) -> None:
    code = (
        f"import {first}, heyhi; from pathlib import Path; print(Path('/a b/\u00e9').as_uri());"
        "import urllib.parse; print(urllib.parse.quote('a b'), urllib.parse.urlsplit('http://x/y').netloc)"
    )
    assert said(code) == ["file:///a%20b/%C3%A9", "a%20b", "x"]


def test_beside_another_thread_it_is_loaded_as_ever() -> None:
    code = (
        "import sys, threading; over = threading.Event(); thread = threading.Thread(target=over.wait); thread.start();"
        "import heyhi; over.set(); thread.join();"
        "print('pathlib' in sys.modules, 'urllib.parse' in sys.modules)"
    )
    assert said(code) == ["False", "False"]


def test_nothing_is_said_to_be_no_module_afterwards() -> None:
    code = "import sys, heyhi, ntpath; print(*(name for name, module in sys.modules.items() if module is None))"
    assert said(code) == []
