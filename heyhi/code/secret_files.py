"""Which files hold passwords and keys: they stay out of copies of the code, and of what is told of it.

Most are known by their names. A name that others have, too, isn't enough: of such a file the beginning is looked at. A
private key is one whatever its name is; to find it, who reads the files anyway asks of the beginning of each.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from heyhi.project import Project

HEAD_BYTES = 4096
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
        *(".vault_pass", ".vault-pass", ".vault_password", ".vault_pass.txt", "credentials.tfrc.json"),
        *(".streamlit_secrets.toml", "streamlit_secrets.toml"),
        *(".boto", ".htpasswd", ".vault-token", ".databrickscfg", ".dockercfg", "kaggle.json"),
        *(f"id_{kind}{end}" for kind in ("rsa", "dsa", "ecdsa", "ed25519") for end in ("", "_sk")),
    )
)
_EXAMPLES = frozenset(
    name
    for word in ("example", "sample", "template", "dist", "default", "defaults", "schema")
    for name in (f".env.{word}", f"{word}.env")
)
_SPARE = (".bak", ".old", ".orig", ".save", ".swp", "~")  # behind the name of the file that it is, or was
_STORES = (".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk")
# What may be a certificate, a picture of a key or anything else by its name.
_KEYS = (".pem", ".key", ".p8", ".asc")
_TEXTS = (".json", ".yaml", ".yml", ".toml")
_WORDS = ("credential", "clientsecret", "serviceaccount", "secret", "apikey")
_LAST_WORDS = frozenset(("token", "tokens", "adc"))
_MARKS = (
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|"
    rb"""["']?(?:private_?key|client_?secret|refresh_?token|secret_?access_?key|api_?key|access_?token|password)["']?"""
    rb"""\s*[:=]\s*["']?[^\s"'{}<>$]"""
)
_KEY = rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY"
_KEY_FIELD = rb"""private_?key["']?\s*[:=]\s*(?:[|>][-+]?)?\s*["']*""" + _KEY
_KEY_STARTS = (b"-----BEGIN ", b"Bag Attributes", b"PuTTY-User-Key-File-")
KEY_LINE = r"""^(-----BEGIN|.*private_?key["' :=]*-----BEGIN) ([A-Z0-9]+ )*PRIVATE KEY"""  # as git's -G takes it


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
        while whole.endswith(_SPARE):
            whole = whole[: whole.rindex("~" if whole[-1] == "~" else ".")]
        name = whole.rpartition("/")[2]
        if path == self._credentials or name in _NAMES or name.endswith(_STORES) or whole.endswith(_FILES):
            return True
        if name.startswith(".env.") or name.endswith(".env"):
            return name not in _EXAMPLES
        if any(folder in whole for folder in _FOLDERS):
            return True
        return _may_hold(name) and re.search(_MARKS, _head(self._root / path), re.IGNORECASE) is not None


def is_key(name: str, head: bytes) -> bool:
    """Return whether a file is a private key, or holds one as a field, as those of service accounts do.

    A text that only speaks of one, as code and documents do, is none.

    Args:
        name: of the file.
        head: its beginning.
    """
    if b"-----BEGIN " not in head and not head.startswith(b"PuTTY-User-Key-File-"):
        return False
    head = head[:HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(_KEY_STARTS):
        return head.startswith(_KEY_STARTS[-1]) or re.search(_KEY, head) is not None
    is_data = head.startswith(b"{") or name.lower().endswith(_TEXTS)
    return is_data and re.search(_KEY_FIELD, head, re.IGNORECASE) is not None


def is_key_file(path: Path) -> bool:
    """Return whether a file is one, as `is_key` does; not what can't be read."""
    return is_key(path.name, _head(path))


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
    try:
        return os.read(handle, HEAD_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(handle)
