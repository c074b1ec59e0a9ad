"""What the server and its page say to each other: addresses, and the JSON behind them.

All are GET. An experiment is addressed by its key, which follows from its exp path alone: an address that was kept
leads to the same experiment after the server was started again. No address holds a path.

    /                           the page; with ?token=… it gives the cookie, and leads to itself without
    /static/NAME                its scripts and styles
    /events                     server-sent events: `version` (data: {"server", "version"}) whenever there is news.
                                An event holds no news: who is slow asks once for all that was missed, so that nothing
                                is queued for anybody.
    /data?server=S&since=N      the table: all of it, or what is new since version N of server S (below)
    /curves?keys=K,K&points=P   curves of some experiments, thinned to what P pixels can show; &metrics=… only these
    /experiments/K              one experiment: config, attempts, needs, commands
    /experiments/K/log?…        a piece of its log: &before=BYTE or &from=BYTE (default: its end), &rank=, &attempt=,
                                &at=error for where its last error is

The whole table is what `report.page_payload` makes, less curves and details (`table_payload`), with

    live: true, server: text, version: number,
    keys: [key of each experiment, in the order of `ids`],
    notices: [lines that need somebody: no controller runs what is left, Slurm doesn't answer …],
    phase: "statuses" while little more than statuses is known (columns of metrics may be absent), then ""

News is {"server", "version", "made", "rows": {place: [cells]}, "counts": {place: true|false}}, and whatever other
field of the whole table has changed (`searches`, `groups`, `notices`, `phase` …), by its name. Where there are other
experiments or columns, it is the whole table. Numbers of attempts' hours, and when a file was written last, are news
now and then only, unless something else of the row has changed.
"""

from __future__ import annotations

import hashlib

KEY_DIGITS = 16


def key_of(exp_path: str) -> str:
    """Return the key by which an experiment is addressed."""
    return hashlib.sha256(exp_path.encode(errors="surrogateescape")).hexdigest()[:KEY_DIGITS]
