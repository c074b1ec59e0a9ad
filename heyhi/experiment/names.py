"""Owns the names of the statuses, and of the files that they hang on; finding one is not its business."""

from __future__ import annotations

import enum

METRICS_NAME = "metrics.jsonl"
ATTEMPTS_NAME = "attempts.jsonl"
IDENTITY_NAME = "identity.json"
CONFIG_NAME = "config.prototxt"
FLAT_CONFIG_NAME = "config_flat.json"
LOG_NAME = "log.txt"
LAUNCH_LOG_NAME = "launch.log"
CODE_NAME = "code.json"
ROOT_NAMES = ("project_root", "results_root")
STATE_NAME = ".heyhi"  # of a results root
RESULT_NAME = "result.json"
JOB_NAME = "job.json"  # the last submission, where there was one


class Status(enum.StrEnum):
    """How an experiment is; a result makes it DONE, whatever came after it was written."""

    NOT_STARTED = "NOT_STARTED"
    PENDING = "PENDING"  # claimed by a process that is about to hand it over
    RUNNING = "RUNNING"
    DONE = "DONE"
    DEAD = "DEAD"  # was started, has no result, and nobody runs it
    BLOCKED = "BLOCKED"  # by a need that is DEAD
