"""How Snakemake tells a job of another engine which experiment it runs: so that any name of one arrives whole.

The job begins with a Snakemake of its own, to which wildcards are handed over as `NAME=VALUE,NAME=VALUE`, in a shell's
command line. A value with a comma, as the name of an experiment with two overrides has it, would be taken apart there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

_MARK = "heyhi%"  # a value begins with it that is written so; of a percent sign quoting makes others
_SAFE = "/=_.-+"


def hand_over_whole() -> None:
    """Have the executors of this process write the wildcards of jobs so that nothing in them is read otherwise."""
    from snakemake_interface_executor_plugins.executors import real

    encode = real.encode_target_jobs_cli_args
    if getattr(encode, "is_heyhis", False):
        return

    def encode_whole(target_jobs: Sequence[Any]) -> list[str]:
        return list(encode([_with(spec, {k: _written(v) for k, v in _items(spec)}) for spec in target_jobs]))

    encode_whole.is_heyhis = True  # type: ignore[attr-defined]
    real.encode_target_jobs_cli_args = encode_whole


def take_over() -> None:
    """Have the Snakemake of a job, which this process is, read what it was told so.

    What it was told is parsed before its Snakefile, and handed to it after that: it can be read only where it is used.
    """
    import snakemake.api  # noqa: F401 (first: its modules import each other)
    from snakemake.dag import DAG

    make = DAG.new_job
    if getattr(make, "is_heyhis", False):
        return

    def make_of_read(dag: Any, *args: Any, wildcards_dict: Mapping[str, str] | None = None, **more: Any) -> Any:
        read = wildcards_dict and {name: _read(value) for name, value in wildcards_dict.items()}
        return make(dag, *args, wildcards_dict=read, **more)

    make_of_read.is_heyhis = True  # type: ignore[attr-defined]
    DAG.new_job = make_of_read


def _items(spec: Any) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in spec.wildcards_dict.items()]


def _with(spec: Any, wildcards: dict[str, str]) -> Any:
    return spec._replace(wildcards_dict=wildcards)


def _written(value: str) -> str:
    return _MARK + quote(value, safe=_SAFE, errors="surrogateescape")


def _read(value: str) -> str:
    return unquote(value.removeprefix(_MARK), errors="surrogateescape") if value.startswith(_MARK) else value
