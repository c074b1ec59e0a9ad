"""Generated modules (`conf_pb2.py` and type stubs), written for people who want them.

HeyHi itself reads none: it compiles the protos in `schema`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2

from heyhi.config.schema import load_schema
from heyhi.errors import SchemaError
from heyhi.files import replace_file, writing
from heyhi.project import Project


def write(project: Project, out: Path) -> list[Path]:
    """Write what `protoc conf/*.proto --python_out --pyi_out` would, each file as a whole.

    Protos of the project that these import are written too: without them the modules can't be imported.

    Args:
        project: whose protos.
        out: folder, made if absent; `conf/conf.proto` becomes `conf/conf_pb2.py` below it.

    Returns:
        the files, in the order of their names.

    Raises:
        SchemaError: a proto doesn't compile.
        ResultError: a file can't be written.
    """
    file_set = descriptor_pb2.FileDescriptorSet.FromString(load_schema(project).file_set)
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
    for path, text in texts.items():
        target = out / path
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        replace_file(target, text)
    return [out / path for path in made]


def _include_folder(project: Project, compiled: list[str]) -> Path:
    """Return the folder that the names of compiled protos are relative to."""
    files = list(project.conf_root.glob("*.proto"))
    for folder in (project.root, project.conf_root):
        if any(p.is_relative_to(folder) and p.relative_to(folder).as_posix() in compiled for p in files):
            return folder
    raise SchemaError(f"{project.conf_root}: its protos were taken away while they were read")
