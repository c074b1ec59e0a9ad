"""Generated modules (`conf_pb2.py`, `conf_cfgs.py` and their stubs), written for people who want them.

HeyHi itself reads none: it compiles the protos in `schema`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from google.protobuf import descriptor_pb2

from heyhi.config.frozen_stubs import module_of, module_text, stub_text
from heyhi.config.schema import Schema, load_comments, load_schema
from heyhi.errors import SchemaError
from heyhi.files import replace_file, writing
from heyhi.project import Project


def write(project: Project, out: Path) -> list[Path]:
    """Write what `protoc conf/*.proto --python_out --pyi_out` would, and types of frozen configs; each file as a whole.

    Protos of the project that these import are written too: without them the modules can't be imported.

    Args:
        project: whose protos.
        out: folder, made if absent; `conf/conf.proto` becomes `conf/conf_pb2.py` and `conf/conf_cfgs.py`
            below it.

    Returns:
        the files, in the order of their names.

    Raises:
        SchemaError: a proto doesn't compile.
        ResultError: a file can't be written.
    """
    schema = load_schema(project)
    file_set = descriptor_pb2.FileDescriptorSet.FromString(schema.file_set)
    compiled = [file.name for file in file_set.file]
    include = _include_folder(project, compiled)
    names = [name for name in compiled if (include / name).is_file()]
    with tempfile.TemporaryDirectory() as temp:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "grpc_tools.protoc"]
            + [f"-I{include}", f"--python_out={temp}", f"--pyi_out={temp}"]
            + [str(include / name) for name in names],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            raise SchemaError(f"protoc: {(done.stderr or done.stdout).strip()}")
        made = sorted(path.relative_to(temp) for path in Path(temp).rglob("*_pb2.py*"))
        texts = {path: Path(temp, path).read_text(encoding="utf-8") for path in made}
    for path in made:
        if path.suffix == ".pyi":  # protoc's stubs aren't what `mypy --strict` asks for, and nobody can mend them
            texts[path] = f"# mypy: ignore-errors\n{texts[path]}"
    texts |= _types(project, schema, names)
    for path, text in texts.items():
        target = out / path
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, text)
    return sorted(out / path for path in texts)


def _types(project: Project, schema: Schema, names: Collection[str]) -> dict[Path, str]:
    """Return the modules of the types of frozen configs, by their paths."""
    comments = load_comments(project)
    texts: dict[Path, str] = {}
    for name in names:
        file = schema.pool.FindFileByName(name)
        path = Path(*module_of(file).split("."))
        texts[path.with_suffix(".py")] = module_text(file)
        texts[path.with_suffix(".pyi")] = stub_text(file, names, comments)
    return texts


def _include_folder(project: Project, compiled: list[str]) -> Path:
    """Return the folder that the names of compiled protos are relative to."""
    files = list(project.conf_root.glob("*.proto"))
    for folder in (project.root, project.conf_root):
        if any(p.is_relative_to(folder) and p.relative_to(folder).as_posix() in compiled for p in files):
            return folder
    raise SchemaError(f"{project.conf_root}: its protos were taken away while they were read")
