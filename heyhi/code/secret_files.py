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
_FOLDERS = re.compile(
    r"(?:\A|/)(?:\.(?:aws|ssh|gnupg|azure|kube|kaggle|huggingface|password-store)|\.config/(?:gcloud|gh|hub|rclone))/",
    re.IGNORECASE,
)
# Where a path ends in one of these; an example of such a file is none.
_NAMES = re.compile(
    r"(?:\A|/)(?:"
    r"\.env(?:rc|\.(?!(?:example|sample|template|dist|defaults?|schema)\Z)[^/]*)?"
    r"|[._]netrc|\.pypirc|\.npmrc|\.git-credentials|\.pgpass|\.my\.cnf|\.s3cfg|\.boto|\.htpasswd|\.vault-token"
    r"|\.databrickscfg|\.docker/config\.json|\.dockercfg|\.streamlit/secrets\.toml|kaggle\.json"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|[^/]+\.(?:p12|pfx|jks|keystore|kdbx|ppk)"
    r")\Z",
    re.IGNORECASE,
)
# What may be a certificate, a picture of a key or anything else by its name.
_MAYBE = re.compile(
    r"(?:\A|/)(?:[^/]+\.(?:pem|key|p8|asc)|id_[^/.]+"
    r"|(?:[^/]*(?:credential|client_?secret|service[-_]?account|secrets?|api[-_]?keys?)[^/]*|(?:[^/]*[-_.])?tokens?|adc)"
    r"\.(?:json|ya?ml|toml))\Z",
    re.IGNORECASE,
)
_MARKS = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY|"
    rb"""["']?(?:private_key|client_secret|refresh_token|secret_access_key|api_key|access_token|password)["']?\s*[:=]"""
    rb"""\s*["']?[^\s"'{}<>$]""",
    re.IGNORECASE,
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
        if path == self._credentials or _FOLDERS.search(path) or _NAMES.search(path):
            return True
        return _MAYBE.search(path) is not None and _MARKS.search(_head(self._root / path)) is not None


def _head(path: Path) -> bytes:
    """Return the beginning of a file; empty where it can't be read, and so isn't copied, or is a link."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        return file.read(_HEAD_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
