"""The table at the end: what was measured, beside what, and whether the goal is met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.timing import Cost

_HEADER = ("what", "HeyHi", "peer", "ratio", "(wall)", "goal", "")


@dataclass(frozen=True)
class Row:
    """One comparison; its goal is judged by CPU time, which other people's processes disturb least.

    Attributes:
        what: what was measured, in few words.
        ours: HeyHi's cost.
        peer: the peer's cost.
        at_most: how many times the peer's cost ours may be.
        at_least: how many times ours the peer's cost must be; the ratio is then this way round.
        both: the goal is about wall time, too.
        at_most_wall: how many times the peer's wall time ours may be, where that is a goal of its own.
        unit: of what was measured: `s`; or `MB`, or `%` of a core, which stand in place of the times.
    """

    what: str
    ours: Cost
    peer: Cost
    at_most: float | None = None
    at_least: float | None = None
    both: bool = False
    at_most_wall: float | None = None
    unit: str = "s"

    def ratio(self, kind: str = "cpu") -> float:
        """Return the ratio of CPU times, or of `wall` times."""
        ours, peer = getattr(self.ours, kind), getattr(self.peer, kind)
        return float(peer / ours if self.at_least is not None else ours / peer)

    @property
    def goal(self) -> str:
        """The goal as text."""
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        wall = "" if self.at_most_wall is None else f" ({self.at_most_wall:g})"
        return "none" if self.at_most is None else f"at most {self.at_most:g}{wall}"

    @property
    def verdict(self) -> str:
        """Whether the goal is met."""
        if min(self.ours.cpu, self.peer.cpu) <= 0:
            return "too noisy"  # what is left when start-up is taken off
        if self.at_least is not None:
            return "met" if self.ratio() >= self.at_least else "NOT MET"
        worst = max(self.ratio(), self.ratio("wall")) if self.both else self.ratio()
        if self.at_most is None:
            return ""
        is_soon = self.at_most_wall is None or self.ratio("wall") <= self.at_most_wall
        return "met" if worst <= self.at_most and is_soon else "NOT MET"


def render(rows: Sequence[Row]) -> str:
    """Write rows as a Markdown table, which reads as well in a terminal."""
    lines = [_HEADER]
    for row in rows:
        ratios = (_number(row.ratio()), f"({_number(row.ratio('wall'))})")
        shown = {"s": _time, "MB": _memory, "%": _share}[row.unit]
        lines.append((row.what, shown(row.ours.cpu), shown(row.peer.cpu), *ratios, row.goal, row.verdict))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
    texts = ["| " + " | ".join(_padded(line, widths)) + " |" for line in lines]
    texts.insert(1, "|" + "|".join("-" * (w + 1) + (":" if 1 <= i <= 4 else "-") for i, w in enumerate(widths)) + "|")
    return "\n".join(texts)


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        f"{text:>{w}}" if 1 <= i <= 4 else f"{text:<{w}}" for i, (text, w) in enumerate(zip(line, widths, strict=True))
    ]


def _number(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}" if ratio < 100 else f"{ratio:,.0f}"


def _time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _memory(megabytes: float) -> str:
    return f"{megabytes:,.0f} MB"


def _share(share: float) -> str:
    return f"{share:.2%}".replace("%", " %")
