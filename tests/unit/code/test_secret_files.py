"""Files with secrets: none of them, and nothing of what they hold, gets into a copy or what is told of the code."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from heyhi.code.snapshot import Snapshot, take_snapshot
from heyhi.code.version import log_git_status
from heyhi.project import Project, Settings

from ...other_user import as_another_user

SECRET = "hunter2-hunter2"
KEY = f"-----BEGIN OPENSSH PRIVATE KEY-----\n{SECRET}\n"
SECRETS = {
    **dict.fromkeys((".env", ".env.local", "deploy/.env.production", ".envrc", ".netrc", "_netrc", ".pypirc"), SECRET),
    **dict.fromkeys((".aws/credentials", ".ssh/known", ".gnupg/ring", ".config/gcloud/x.json", ".kube/config"), SECRET),
    **dict.fromkeys((".docker/config.json", ".git-credentials", "id_rsa", "keys/id_ed25519", "store.p12"), SECRET),
    **dict.fromkeys(("server.pem", "tls.key", "id_lab", "keys/AuthKey.p8"), KEY),
    "google.json": SECRET,  # what sheets_credentials names
    "service-account.json": json.dumps({"type": "service_account", "private_key": SECRET}),
    **dict.fromkeys(("deploy_key", "mykey.txt", "old/id_rsa.old", "server.pem.bak"), KEY),
    **dict.fromkeys(
        ("my-project-1234.json", "gcp_key.json"), f'{{"private_key": "-----BEGIN PRIVATE KEY-----{SECRET}"}}'
    ),
    "gcp.yaml": f"private_key: |\n  -----BEGIN PRIVATE KEY-----\n  {SECRET}\n",
    "lab.putty": f"PuTTY-User-Key-File-3: ssh-ed25519\n{SECRET}\n",
    "both": f"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n{KEY}",
    **dict.fromkeys((".credentials.json", "credentials.json.bak"), json.dumps({"a": {"accessToken": SECRET}})),
    "credentials.tfrc.json": json.dumps({"credentials": {"t": {"token": SECRET}}}),
    **dict.fromkeys(("prod.env", ".env~", ".env.bak", ".vault_pass", ".streamlit_secrets.toml"), f'k="{SECRET}"'),
    "my_credentials.yaml": f"user: me\npassword: {SECRET}\n",
}
HARMLESS = {
    ".env.example": "TOKEN=\n",
    "id_embedding.py": "SIZE = 1\n",
    "id_map": "1 2\n",
    "ca.pem": "-----BEGIN CERTIFICATE-----\nx\n",
    "slides.key": "PK\x03\x04",
    "tokenizer.json": '{"password": 1}',
    "secrets.py": "import os\n",
    "env.py": "A = 1\n",
    "secret_santa.json": '{"names": []}',
    "credentials.example.yaml": "password: ${PASSWORD}\n",
    "environment.yml": "name: x\n",
    "docs/keys.md": f"A key begins so:\n{KEY.replace(SECRET, '...')}",
    "test_keys.py": f'KEY = """{KEY.replace(SECRET, "...")}"""\n',
    "example.env": "TOKEN=\n",
    "notes.txt.bak": "x\n",
}


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def git(root: Path, *words: str) -> None:
    person = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    subprocess.run(["git", *person, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name, text in {**SECRETS, **HARMLESS, "run.py": "print(1)\n", ".gitignore": "/results\n"}.items():
        put(folder / name, text)
    return folder


def project(root: Path, **values: Any) -> Project:
    return Project(root, Settings(sheets_credentials="google.json", **values))


def names(snapshot: Snapshot) -> set[str]:
    return {str(p.relative_to(snapshot.root)) for p in snapshot.root.rglob("*") if not p.is_dir()}


def record(snapshot: Snapshot) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(snapshot.record.read_text())
    return content


@pytest.mark.parametrize("kind", ["new", "tracked", "outside git"])
def test_secrets_are_in_no_copy(root: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    if kind != "outside git":
        git(root, "init", "-q")
    if kind == "tracked":
        git(root, "add", "-A")
        git(root, "commit", "-qm", "first")
        for name in SECRETS:
            put(root / name, f"{SECRETS[name]}\nedited\n")
        (root / ".env").unlink()
        git(root, "rm", "-q", "--cached", "id_rsa")
        put(root / "run.py", "print(2)\n")
    caplog.set_level(logging.WARNING)
    snapshot = take_snapshot(project(root))
    hidden = {".gitignore", ".env.example"} if kind != "outside git" else set()
    shown = {name for name in HARMLESS if not name.startswith(".")}
    assert names(snapshot) == {"run.py", *shown, *hidden}
    for path in (root / "results").rglob("*"):
        assert path.is_dir() or path.suffix == ".py" or SECRET not in path.read_text(errors="replace"), path
        is_list = path.parent.name == "versions"
        assert not is_list or not any(name in path.read_text() for name in ("tls.key", "deploy_key")), path
    hidden_ones = {name for name in SECRETS if f"/{name}".count("/.")}
    assert set(SECRETS) - set(record(snapshot)["left_out"]) == (hidden_ones if kind == "outside git" else set())
    if kind == "tracked":
        assert "+print(2)" in record(snapshot)["diff"]
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.startswith("Code: left out of the copy: ") and "more (secrets, as it seems; " in said
    assert "snapshot_exclude = [" in said


def test_a_pattern_takes_one_in(root: Path) -> None:
    for in_git in (False, True):
        if in_git:
            git(root, "init", "-q")
        taken = names(take_snapshot(project(root, snapshot_exclude=("!.env.local", "!/.aws/*", "!tls.key"))))
        assert {".env.local", ".aws/credentials", "tls.key"} <= taken
        assert not {".env", "server.pem", ".ssh/known"} & taken


def test_a_key_by_its_content_stays_out_also_of_later_copies_and_a_pattern_takes_it_in(root: Path) -> None:
    git(root, "init", "-q")
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, (1_000_000_000, 1_000_000_000))
    for patterns, is_in in (((), False), ((), False), (("!mykey.txt",), True), (("!mykey.txt",), True), ((), False)):
        snapshot = take_snapshot(project(root, snapshot_exclude=patterns))
        assert ("mykey.txt" in names(snapshot)) is is_in
        assert ("mykey.txt" in record(snapshot)["left_out"]) is not is_in
        assert "deploy_key" not in names(snapshot)


def test_the_record_names_what_the_last_launch_left_out(root: Path) -> None:
    for in_git in (False, True):
        if in_git:
            git(root, "init", "-q")
            git(root, "add", "run.py")
            git(root, "commit", "-qm", "first")
        one = take_snapshot(project(root))
        put(root / f"new_{in_git}.pem", KEY)
        two = take_snapshot(project(root))
        assert one.digest == two.digest and f"new_{in_git}.pem" in record(two)["left_out"]


@pytest.mark.parametrize("name", ["deploy_key", "gcp_key.json", "server.pem"])
@pytest.mark.parametrize("new", [None, "x\n"])
def test_a_key_that_was_deleted_or_replaced_is_in_no_difference(root: Path, name: str, new: str | None) -> None:
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    (root / name).unlink()
    if new is not None:
        put(root / name, new)
    put(root / "run.py", "print(2)\n")
    diff = record(take_snapshot(project(root)))["diff"]
    assert SECRET not in diff and "+print(2)" in diff
    shutil.rmtree(root / "results")
    assert SECRET in record(take_snapshot(project(root, snapshot_exclude=(f"!{name}",))))["diff"]


def test_the_saved_difference_has_none_either(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    put(root / ".env", f"{SECRET}\nedited\n")
    put(root / "run.py", "print(2)\n")
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.path", [str(root)])
    log_git_status()
    text = (root / "workdir.diff").read_text()
    assert "+print(2)" in text and SECRET not in text


def test_secrets_of_a_submodule_stay_out(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    put(other / "tool.py", "old\n")
    put(other / ".env", "old\n")
    git(root, "init", "-q")
    for folder in (other, root):
        git(folder, "init", "-q")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "first")
    git(root, "submodule", "--quiet", "add", str(other), "deps/other")
    git(root, "commit", "-qm", "submodule")
    put(root / "deps/other/tool.py", "new\n")
    put(root / "deps/other/.env", SECRET)
    snapshot = take_snapshot(project(root))
    assert "deps/other/tool.py" in names(snapshot) and "deps/other/.env" not in names(snapshot)
    assert "+new" in record(snapshot)["diff"] and "deps/other/tool.py" in record(snapshot)["diff"]
    assert SECRET not in record(snapshot)["diff"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o444), (0o027, 0o440), (0o077, 0o400)])
def test_what_is_told_of_the_code_has_the_readers_that_the_umask_lets_it_have(
    root: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        snapshot = take_snapshot(project(root))
        git(root, "init", "-q")
        git(root, "add", "run.py")
        git(root, "commit", "-qm", "first")
        take_snapshot(project(root))  # its record is written anew
    finally:
        os.umask(before)
    for path in snapshot.root.parent.iterdir():
        if path.is_file():
            assert path.stat().st_mode & 0o777 in (mode, mode | 0o200), path


def test_what_others_cannot_read_is_in_no_difference_that_they_can(root: Path) -> None:
    (root / "private.py").write_text("A = 1\n")
    put(root / "closed/inner.py", "A = 1\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    for name in ("private.py", "closed/inner.py", "run.py"):
        (root / name).write_text(f"A = '{SECRET if name != 'run.py' else 'seen'}'\n")
    (root / "private.py").chmod(0o600)
    (root / "closed").chmod(0o700)
    snapshot = take_snapshot(project(root))
    assert SECRET not in record(snapshot)["diff"] and "seen" in record(snapshot)["diff"]
    assert "private.py" in names(snapshot)
    (root / "results").chmod(0o700)
    shutil.rmtree(root / "results/.heyhi/code")
    assert SECRET in record(take_snapshot(project(root)))["diff"]


def test_another_user_can_read_nothing_of_it(root: Path) -> None:
    root.parent.chmod(0o755)
    (root / "run.py").chmod(0o600)
    snapshot = take_snapshot(project(root))
    assert "PermissionError" in as_another_user(lambda: (snapshot.root / "run.py").read_text())
