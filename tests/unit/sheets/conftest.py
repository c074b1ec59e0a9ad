"""A server that stands for Google, and credentials that only it takes."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("pygsheets") is None:
    collect_ignore_glob = ["test_*.py"]  # it is an extra
elif "sheets_server" not in sys.modules:
    # Tests are no package; this is how they share a module.
    _spec = importlib.util.spec_from_file_location("sheets_server", Path(__file__).with_name("server.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["sheets_server"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["sheets_server"])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The server, where exports find it, and a configuration folder with nothing in it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    with sys.modules["sheets_server"].serving() as running:
        monkeypatch.setenv("HH_GOOGLE_API_ROOT", running.root)
        yield running
        assert running.mistakes == []


@pytest.fixture(scope="session")
def private_key() -> str:
    """A service account's private key, made for this run."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def account(private_key: str) -> dict[str, str]:
    """A service account's key as Google hands it out."""
    return {
        "type": "service_account",
        "project_id": "tables",
        "private_key_id": "key-id-very-secret",
        "private_key": private_key,
        "client_email": "exporter@tables.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": "https://oauth2.googleapis.com/token",
    }


@pytest.fixture
def as_service_account(server: Any, account: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The server, and a service account to ask it with."""
    monkeypatch.setenv("HH_GOOGLE_SERVICE_ACCOUNT", json.dumps(account))


@pytest.fixture
def waits() -> list[float]:
    """How long exports waited, in turn."""
    return []


@pytest.fixture
def patience(waits: list[float]) -> Callable[..., Any]:
    """Make patience that waits no time."""
    from heyhi.sheets.http import Patience

    def make(**changes: Any) -> Any:
        return Patience(**{"sleep": waits.append, "jitter": lambda: 0.5, "timeout": 20.0, **changes})

    return make
