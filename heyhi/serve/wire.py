"""What the server and its page say to each other: addresses, and the JSON behind them.

All are GET (405 else), with the cookie that the address with ?token=… gives; else 403, whatever is asked for. A wrong
parameter is 400, an unknown experiment 404, what can't be read 500, too much at once 503: each a line of text.

An experiment is addressed by its key, which follows from its exp path alone: an address that was kept leads to the same
experiment after the server was started again. No address holds a path.

    /                           the page; with ?token=… it gives the cookie, and leads to itself without
    /static/NAME?v=HASH         its scripts and styles, for good; without ?v= they are asked for each time
    /events                     server-sent events: `version` (data: {"server", "version", "error"}) at first, and
                                whenever there is news or another error of a look (its text; empty: none). An event
                                holds no news: who is slow asks once for all that was missed, so that nothing is
                                queued for anybody. Of one browser four streams last; the oldest ends for a fifth, and
                                its page asks again.
    /data?server=S&since=N      the table: all of it, or what is new since version N of server S (below)
    /curves?keys=K,K&points=P   curves of some experiments, thinned to what P pixels can show; &metrics=… only these
    /experiments/K              one experiment: config, attempts, needs, commands
    /experiments/K/log?…        a piece of its log: &before=BYTE or &from=BYTE (default: its end), &rank=, &attempt=,
                                &at=error for where its last error is

The whole table is what `report.page_payload` makes, less curves and details, and with

    live: true, server: text, version: number,
    keys: [key of each experiment, in the order of `ids`]

News is {"server", "version", "made", "rows": {place: [cells]}, "counts": {place: true|false}}, where only cells of
experiments have changed; all else (new experiments, columns, means, notes) comes as a whole table.
"""

from __future__ import annotations

import hashlib

KEY_DIGITS = 16


def key_of(exp_path: str) -> str:
    """Return the key by which an experiment is addressed."""
    return hashlib.sha256(exp_path.encode(errors="surrogateescape")).hexdigest()[:KEY_DIGITS]
