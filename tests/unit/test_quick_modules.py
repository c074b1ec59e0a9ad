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


MESSAGE = "from google.protobuf import timestamp_pb2; at = timestamp_pb2.Timestamp()"


def test_the_first_message_class_loads_no_calendar() -> None:
    code = (
        "import sys, heyhi; from heyhi.quick_modules import load_well_known_types; load_well_known_types();"
        f"{MESSAGE}; print('google.protobuf.internal.well_known_types' in sys.modules, 'calendar' in sys.modules)"
    )
    assert said(code) == ["True", "False"]


@pytest.mark.parametrize("first", ["calendar", "google.protobuf.timestamp_pb2", "heyhi"])
def test_a_timestamp_is_read_from_a_datetime_and_calendar_is_the_real_one(first: str) -> None:
    code = (
        f"import {first}, heyhi; from heyhi.quick_modules import load_well_known_types; load_well_known_types();"
        f"{MESSAGE}; import datetime; at.FromDatetime(datetime.datetime(1970, 1, 2)); print(at.seconds);"
        "import calendar; print(calendar.isleap(2024), calendar.timegm((1970, 1, 1, 0, 0, 1)))"
    )
    assert said(code) == ["86400", "True", "1"]


def test_who_asks_what_stands_in_for_anything_else_is_answered_by_the_real_one() -> None:
    code = (
        "import sys, heyhi; from heyhi.quick_modules import load_well_known_types; load_well_known_types();"
        "from google.protobuf.internal import well_known_types as it; print(it.calendar.monthrange(2024, 2)[1]);"
        "import calendar; print(calendar.__name__, sys.modules['calendar'] is calendar, hasattr(it.calendar, 'no'))"
    )
    assert said(code) == ["29", "calendar", "True", "False"]


def test_nothing_is_said_to_be_no_module_afterwards() -> None:
    code = "import sys, heyhi, ntpath; print(*(name for name, module in sys.modules.items() if module is None))"
    assert said(code) == []
