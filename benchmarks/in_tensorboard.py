"""The same curves as TensorBoard's event files, and how long it takes until TensorBoard has them all.

An event holds one number, as `add_scalar` writes it. TensorBoard is started as it is fastest: by its data server
(`--load_fast true`), which is several processes' worth of threads. It keeps 1,000 points of a curve unless told
otherwise, which are all. Asked is what its own page asks: which runs and tags there are, until all are known, and then
for the curves of each tag, until all points are answered.
"""

from __future__ import annotations

import re
import signal
import struct
import sys
import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.served import MOST_SECONDS, Server
from benchmarks.timing import Command, CommandFailed, say
from benchmarks.workspace import Workspace

_ADDRESS = re.compile(r"http://localhost:\d+/")
_ASK_SECONDS = 0.05


def tag_of(metric: str) -> str:
    """Return a metric's tag: in one group, since TensorBoard's page opens two of them."""
    return f"curves/{metric}"


def write_events(logdir: Path, folders: Sequence[Path], metrics: Sequence[str]) -> None:
    """Write a run of each experiment."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    def record(event: Event) -> bytes:
        data = event.SerializeToString()
        size = struct.pack("<Q", len(data))
        return b"".join((size, struct.pack("<I", masked_crc32c(size)), data, struct.pack("<I", masked_crc32c(data))))

    say(f"  writing {len(folders):,} runs as event files")
    for folder in folders:
        run = logdir / folder.name
        run.mkdir(parents=True)
        with (run / "events.out.tfevents.1600000000.node.7.0").open("wb") as file:
            file.write(record(Event(wall_time=1.6e9, file_version="brain.Event:2")))
            for line in (folder / "metrics.jsonl").read_bytes().splitlines():
                values = orjson.loads(line)
                for name in metrics:
                    summary = Summary(value=[Summary.Value(tag=tag_of(name), simple_value=values[name])])
                    moment = 1.6e9 + values["epoch"]
                    file.write(record(Event(wall_time=moment, step=values["step"], summary=summary)))


class Tensorboard(Server):
    """A TensorBoard.

    Args:
        work: the workspace.
        logdir: what it shows.
    """

    def __init__(self, work: Workspace, logdir: Path) -> None:
        program = Path(sys.executable).parent / "tensorboard"
        args: list[str | Path] = [program, "--logdir", logdir, "--port", "0", "--load_fast", "true"]
        super().__init__(Command(args, work.folder, work.env), "tensorboard", _ADDRESS, signal.SIGTERM)

    def fetch_all(self, runs: int, metrics: Sequence[str], points: int) -> None:
        """Wait until all points of all runs are answered."""
        end = time.monotonic() + MOST_SECONDS
        while time.monotonic() < end:
            known = self._ask("GET", "/data/plugin/timeseries/tags")["scalars"]["runTagInfo"]
            if len(known) == runs and all({tag_of(name) for name in metrics} <= set(tags) for tags in known.values()):
                answers = [self._series(name) for name in metrics]
                if all(len(found) == runs and all(len(one) == points for one in found.values()) for found in answers):
                    return
            time.sleep(_ASK_SECONDS)
        raise CommandFailed(f"tensorboard has no {runs} runs of {points} points")

    def _series(self, name: str) -> dict[str, list[Any]]:
        asked = urllib.parse.urlencode(
            {"requests": orjson.dumps([{"plugin": "scalars", "tag": tag_of(name)}]).decode()}
        )
        (answer,) = self._ask("POST", "/data/plugin/timeseries/timeSeries", asked)
        found: dict[str, list[Any]] = answer["runToSeries"]
        return found

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        while True:
            try:
                self._asking.request(method, path, body, kind)
                break
            except ConnectionRefusedError:  # it has told its address, and isn't there yet
                if self._process.poll() is not None:
                    raise
                time.sleep(_ASK_SECONDS)
        answer = self._asking.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise CommandFailed(f"tensorboard's {path} answered {answer.status}: {text[:500]!r}")
        return orjson.loads(text)
