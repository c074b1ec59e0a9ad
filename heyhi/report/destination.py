"""Where `--to` sends a table: a file, whose name says its format, or standard output."""

from __future__ import annotations

from pathlib import Path

from heyhi.errors import HeyhiError

TEXTS = ("csv", "tsv", "md", "tex", "json")
# What not everybody can write.
EXTRA_OF_FORMAT = {"html": "page", "parquet": "parquet"}
_KINDS = (*TEXTS, "xlsx", "parquet", "html")


class ExportError(HeyhiError):
    """No format is meant, or the table doesn't fit it."""


def suffix_of(path: Path) -> str:
    """Return the format that a name asks for; `-` is CSV, `-.md` likewise Markdown, on standard output.

    Raises:
        ExportError: it asks for another one, or for one on standard output that is no text.
    """
    if str(path) == "-":
        return "csv"
    suffix = path.suffix.lower().lstrip(".")
    listed = f"{', '.join(f'.{kind}' for kind in _KINDS[:-1])} or .{_KINDS[-1]}"
    if suffix not in _KINDS:
        raise ExportError(f"{path}: expected a name that ends in {listed}")
    if is_standard_output(path) and suffix not in TEXTS:
        raise ExportError(f"{path}: .{suffix} is no text; expected a file, or -.{', -.'.join(TEXTS)}")
    return suffix


def is_standard_output(path: Path) -> bool:
    """Return whether a name stands for standard output: `-`, or `-.md` for another format than CSV."""
    return str(path) == "-" or (str(path).startswith("-.") and str(path) == path.name)
