"""What can be the id of a job: records and claims have some, and are read where Slurm is never asked."""

from __future__ import annotations


def is_job_id(text: str) -> bool:
    """Return whether a text can be the id of a job: what is none must not become a word for Slurm's commands."""
    return text.isascii() and text.isdigit() and len(text) < 20
