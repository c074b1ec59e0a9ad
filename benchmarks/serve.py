"""Says how soon `heyhi serve` shows what there is, and what it takes, beside MLflow's store and TensorBoard.

Of 10,000 experiments with 100 metric lines each, one in a hundred is running, the others are done. Counted is from the
start of the server's process until somebody has the table, who asks as the page does: is told of news by events, and
fetches that. *Cold*: nothing is remembered. *Kept*: a server before has remembered all. Then a line is appended for
each that is running, and the server's CPU time is taken until the news was answered, and also until the curves of
these were; that of MLflow, to which the same numbers are logged, for `search_runs` of all and `get_metric_history` of
these. The idle server has one viewer.

Of 500 experiments with 1,000 lines of three metrics, all curves are fetched by HTTP, from the start of the process on,
cold; and drawn in Chromium, from the start of the process on, and for a server that is there, from the start of the
page's opening on. TensorBoard reads the same numbers from event files, likewise. Where there is no Chromium, that is
left out.

Goals of seconds are about CPU time, as others are, and about the wall time, too.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.experiments import LINES, METRICS, make_experiments, metric_line
from benchmarks.in_chromium import Chromium, find_chromium
from benchmarks.in_mlflow import InMlflow
from benchmarks.in_tensorboard import Tensorboard, write_events
from benchmarks.report import bare_loop
from benchmarks.served import Served
from benchmarks.table import Row
from benchmarks.timing import CommandFailed, Cost, median, say
from benchmarks.workspace import Effort, Workspace

KEPT_SECONDS, STATUSES_SECONDS, COLD_SECONDS, NEWS_SECONDS, DRAWN_SECONDS = 1.5, 1.5, 6.0, 3.0, 2.0
PEAK_MB = 200.0
IDLE_SHARE = 0.02
OF_MLFLOW, OF_TENSORBOARD = 0.1, 0.2
CURVE_METRICS = ("train_loss", "val_loss", "val_accuracy")
_RUNNING = 100  # one of how many is


class Sizes(NamedTuple):
    """How much there is.

    Attributes:
        experiments: in the table.
        curves: experiments whose curves are drawn.
        points: of each curve.
        idle: seconds for which an idle server is watched.
        settled: seconds after which a server has kept what it has read, and only looks.
        rounds: of curves, since TensorBoard takes long.
    """

    experiments: int = 10_000
    curves: int = 500
    points: int = 1_000
    idle: float = 20.0
    settled: float = 3.0
    rounds: int = 3


def measure(effort: Effort, sizes: Sizes | None = None) -> Iterator[Row]:
    """Measure the table, then curves."""
    sizes = sizes or (Sizes(1_000, 100, idle=5.0) if effort.quick else Sizes())
    with Workspace() as work:
        yield from _of_the_table(work, effort, sizes)
    with Workspace() as work:
        yield from _of_curves(work, effort, sizes)


def _serve(work: Workspace, *, cold: bool = False) -> Served:
    remembered = work.results / ".heyhi/readings"
    command = work.heyhi("serve", "--port", "0")
    if cold:
        shutil.rmtree(remembered, ignore_errors=True)
    return Served(command)


def _seconds(what: str, cost: Cost, most: float) -> Row:
    return Row(f"serve: {what} / {most:g} s", cost, Cost(most, most), at_most=1.0, both=True)


def _memory(what: str, peaks: Sequence[float]) -> Row:
    most = Cost(max(peaks), max(peaks))
    return Row(f"serve: memory for {what} / {PEAK_MB:g} MB", most, Cost(PEAK_MB, PEAK_MB), at_most=1.0, unit="MB")


# --- the table -------------------------------------------------------------------------------------------------------


class _Shown(NamedTuple):
    """What a server took until it showed statuses, and the whole table, and how much memory it had at most."""

    statuses: Cost
    whole: Cost
    peak: float


def _of_the_table(work: Workspace, effort: Effort, sizes: Sizes) -> Iterator[Row]:
    size = sizes.experiments
    running = range(0, size, _RUNNING)
    made = make_experiments(work, "sweep.py", size, running=running)
    work.launch(made.manifest.name, "sweep")
    cold, kept, loops = [], [], []
    loop = bare_loop(work, [folder for place, folder in enumerate(made.folders) if place not in running])
    for number in range(effort.rounds + 1):
        say(f"  {f'round {number} of {effort.rounds}' if number else 'warming up'}: cold, kept, bare loop")
        found = _shown(work, sizes, cold=True), _shown(work, sizes), loop()
        if number:
            cold.append(found[0])
            kept.append(found[1])
            loops.append(found[2])
    whole = median([one.whole for one in cold])
    yield _seconds(f"table of {size:,}, kept", median([one.whole for one in kept]), KEPT_SECONDS)
    yield _seconds(f"statuses of {size:,}, cold", median([one.statuses for one in cold]), STATUSES_SECONDS)
    yield _seconds(f"table of {size:,}, cold", whole, COLD_SECONDS)
    yield Row("serve: the same / bare orjson", whole, median(loops))
    peaks = [one.peak for one in (*cold, *kept)]
    yield from _of_news(work, effort, sizes, [made.folders[place] for place in running], made.folders, peaks)
    yield _memory(f"{size:,}", peaks)


def _shown(work: Workspace, sizes: Sizes, *, cold: bool = False) -> _Shown:
    with _serve(work, cold=cold) as served:
        statuses = _wait_whole(served, sizes.experiments)
        whole = served.cost
        time.sleep(sizes.settled)
        return _Shown(statuses, whole, served.tree.peak)


def _wait_whole(served: Served, size: int) -> Cost:
    """Wait until a server shows the whole table, and return what it took until the statuses were there."""
    statuses = None
    served.look_on()
    while not served.is_whole():
        served.fetch_news()
        statuses = statuses or served.cost
    if len(served.table["ids"]) != size or statuses is None:
        raise CommandFailed(f"heyhi serve shows {len(served.table['ids'])} of {size} experiments")
    return statuses


def _of_news(
    work: Workspace,
    effort: Effort,
    sizes: Sizes,
    running: Sequence[Path],
    folders: Sequence[Path],
    peaks: list[float],
) -> Iterator[Row]:
    """Measure an idle server, then what it takes to see what is new; its peak is added."""
    mlflow = InMlflow(work.folder / "mlflow.db", folders, METRICS)
    draw, news, with_curves, peer = random.Random(1), [], [], []
    with _serve(work) as served:
        _wait_whole(served, sizes.experiments)
        time.sleep(sizes.settled)
        say(f"  watching an idle server for {sizes.idle:g} s")
        before = served.cost
        time.sleep(sizes.idle)
        idle = served.cost - before
        for number in range(effort.rounds + 1):
            say(f"  {f'round {number} of {effort.rounds}' if number else 'warming up'}: 1 % changed, MLflow")
            lines = {folder: metric_line(draw, LINES + 1 + number) for folder in running}
            found = _refreshed(served, lines, sizes.points), mlflow.refresh(lines)
            if number:
                news.append(found[0][0])
                with_curves.append(found[0][1])
                peer.append(found[1])
        peaks.append(served.tree.peak)
    share = Cost(idle.cpu / idle.wall, idle.cpu / idle.wall)
    yield Row("serve: idle, one viewer / 2 % of a core", share, Cost(IDLE_SHARE, IDLE_SHARE), at_most=1.0, unit="%")
    waited = median(news).wall
    limit = Cost(NEWS_SECONDS, NEWS_SECONDS)
    yield Row("serve: until 1 % changed are answered / 3 s", Cost(waited, waited), limit, at_most=1.0)
    yield Row("serve: 1 % changed / MLflow", median(news), median(peer), at_most=OF_MLFLOW)
    yield Row("serve: the same with their curves / MLflow", median(with_curves), median(peer), at_most=OF_MLFLOW)


def _refreshed(served: Served, lines: Mapping[Path, Mapping[str, float]], points: int) -> tuple[Cost, Cost]:
    """Append lines, and return what the server took until it answered all of them, and then the curves, too."""
    from heyhi.serve.wire import key_of

    before = served.cost
    for folder, line in lines.items():
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(f"{json.dumps(line)}\n")
    wanted = {line[METRICS[0]] for line in lines.values()}
    column = served.column(METRICS[0])
    while not wanted <= {row[column] for row in served.table["runs"]["rows"]}:
        served.fetch_news()
    news = served.cost - before
    served.fetch_curves([key_of(str(folder)) for folder in lines], METRICS, points)
    return news, served.cost - before


# --- curves ----------------------------------------------------------------------------------------------------------


def _of_curves(work: Workspace, effort: Effort, sizes: Sizes) -> Iterator[Row]:
    made = make_experiments(work, "sweep.py", sizes.curves, seeds=1, lines=sizes.points, metrics=CURVE_METRICS)
    work.launch(made.manifest.name, "sweep")
    logdir = work.folder / "events"
    write_events(logdir, made.folders, CURVE_METRICS)
    size = f"{sizes.curves:,} x {sizes.points:,}"
    ours, theirs, peaks = [], [], []
    for number in range(sizes.rounds + 1):
        say(f"  {f'round {number} of {sizes.rounds}' if number else 'warming up'}: curves, TensorBoard")
        cost, peak = _answered(work, sizes)
        with Tensorboard(work, logdir) as tensorboard:
            tensorboard.fetch_all(sizes.curves, CURVE_METRICS, sizes.points)
            peer = tensorboard.cost
        if number:
            ours.append(cost)
            theirs.append(peer)
            peaks.append(peak)
    what = f"serve: {size} of {len(CURVE_METRICS)} metrics"
    yield Row(f"{what}, answered / TensorBoard", median(ours), median(theirs), at_most=OF_TENSORBOARD, both=True)
    yield _memory("these", peaks)
    if find_chromium() is None:
        say("  there is no Chromium: what a page takes is left out")
        return
    with Chromium() as chromium:
        yield from _of_pages(work, chromium, logdir, sizes)


def _answered(work: Workspace, sizes: Sizes) -> tuple[Cost, float]:
    with _serve(work, cold=True) as served:
        _wait_whole(served, sizes.curves)
        served.fetch_curves(served.table["keys"], CURVE_METRICS, sizes.points)
        return served.cost, served.tree.peak


def _of_pages(work: Workspace, chromium: Chromium, logdir: Path, sizes: Sizes) -> Iterator[Row]:
    opened, ours, theirs = [], [], []
    for number in range(sizes.rounds + 1):
        say(f"  {f'round {number} of {sizes.rounds}' if number else 'warming up'}: pages in Chromium")
        with _serve(work, cold=True) as served:
            chromium.draw_served(served.address, sizes.curves, CURVE_METRICS)
            cost = served.cost
        with _serve(work) as served:
            _wait_whole(served, sizes.curves)
            seconds = chromium.draw_served(served.address, sizes.curves)
        with Tensorboard(work, logdir) as tensorboard:
            chromium.draw_tensorboard(tensorboard.address, CURVE_METRICS)
            peer = tensorboard.cost
        if number:
            opened.append(Cost(seconds, seconds))
            ours.append(cost)
            theirs.append(peer)
    size = f"{sizes.curves:,} x {sizes.points:,}"
    yield _seconds(f"{size} in Chromium", median(opened), DRAWN_SECONDS)
    # Of both only the server's CPU time is known: what counts is how long somebody waits.
    drawn, peer = (Cost(cost.wall, cost.wall) for cost in (median(ours), median(theirs)))
    what = f"serve: {size} of {len(CURVE_METRICS)} metrics, drawn / TensorBoard"
    yield Row(what, drawn, peer, at_most=OF_TENSORBOARD)
