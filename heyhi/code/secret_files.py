"""Which files hold passwords and keys, by their names: they stay out of copies of the code, and of what is told of it.

A name that others have, too, isn't enough: of such a file the beginning is looked at.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from heyhi.project import Project

_HEAD_BYTES = 4096
# Plain text throughout: each run lists its code, and an expression takes longer to compile than the names to look at.
_FOLDERS = tuple(
    f"/{name}/"
    for name in (
        *(".aws", ".ssh", ".gnupg", ".azure", ".kube", ".kaggle", ".huggingface", ".password-store"),
        *(".config/gcloud", ".config/gh", ".config/hub", ".config/rclone"),
    )
)
_FILES = ("/.docker/config.json", "/.streamlit/secrets.toml")
_NAMES = frozenset(
    (
        *(
            ".env",
            ".envrc",
            ".netrc",
            "_netrc",
            ".pypirc",
            ".npmrc",
            ".git-credentials",
            ".pgpass",
            ".my.cnf",
            ".s3cfg",
        ),
        *(".boto", ".htpasswd", ".vault-token", ".databrickscfg", ".dockercfg", "kaggle.json"),
        *(f"id_{kind}{end}" for kind in ("rsa", "dsa", "ecdsa", "ed25519") for end in ("", "_sk")),
    )
)
_EXAMPLES = frozenset(
    f".env.{end}" for end in ("example", "sample", "template", "dist", "default", "defaults", "schema")
)
_STORES = (".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk")
# What may be a certificate, a picture of a key or anything else by its name.
_KEYS = (".pem", ".key", ".p8", ".asc")
_TEXTS = (".json", ".yaml", ".yml", ".toml")
_WORDS = ("credential", "clientsecret", "serviceaccount", "secret", "apikey")
_LAST_WORDS = frozenset(("token", "tokens", "adc"))
_MARKS = (
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|"
    rb"""["']?(?:private_key|client_secret|refresh_token|secret_access_key|api_key|access_token|password)["']?\s*[:=]"""
    rb"""\s*["']?[^\s"'{}<>$]"""
)


class Secrets:
    """Tells the files of a project that hold secrets.

    Args:
        project: whose files they are.
    """

    def __init__(self, project: Project) -> None:
        self._root = project.root
        credentials = project.sheets_credentials
        self._credentials = project.relative(credentials) if credentials is not None else None

    def hold(self, path: str) -> bool:
        """Return whether a file is one, or a folder is of such; paths are relative to the root, folders end in `/`."""
        whole = f"/{path}".lower()
        name = whole.rpartition("/")[2]
        if path == self._credentials or name in _NAMES or name.endswith(_STORES) or whole.endswith(_FILES):
            return True
        if name.startswith(".env.") and name not in _EXAMPLES:
            return True
        if any(folder in whole for folder in _FOLDERS):
            return True
        return _may_hold(name) and re.search(_MARKS, _head(self._root / path), re.IGNORECASE) is not None


def _may_hold(name: str) -> bool:
    if name.endswith(_KEYS) or (name.startswith("id_") and "." not in name):
        return True
    if not name.endswith(_TEXTS):
        return False
    stem = name.rpartition(".")[0].replace("-", "_")
    joined = stem.replace("_", "")
    return any(word in joined for word in _WORDS) or stem.replace(".", "_").rpartition("_")[2] in _LAST_WORDS


def _head(path: Path) -> bytes:
    """Return the beginning of a file; empty where it can't be read, and so isn't copied, or is a link."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        return file.read(_HEAD_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
