"""What the server and its page say to each other: addresses, and the JSON behind them.

All are GET (405 else), with the cookie that the address with ?token=… gives, and all but the page and its files with
the key that it gives, too (the header HeyHi-Key; for /events ?key=…); else 403, whatever is asked for. A wrong
parameter is 400, an unknown experiment 404, what can't be read 500, too much at once 503: each a line of text.

An experiment is addressed by its key, which follows from its exp path alone: an address that was kept leads to the same
experiment after the server was started again. No address holds a path.

    /                           the page; with ?token=… it gives the cookie and the key, and leads to
                                itself without
    /static/NAME?v=HASH         its scripts and styles, for good; without ?v= they are asked for each time
    /events                     server-sent events: `version` (data: {"server", "version", "error"}) at first, and
                                whenever there is news or another error of a look (its text; empty: none). An event
                                holds no news: who is slow asks once for all that was missed, so that nothing is
                                queued for anybody. Of one browser four streams last; the oldest ends for a fifth, and
                                its page asks again.
    /data?server=S&since=N      the table: all of it, or what is new since version N of server S (below)
    /curves?keys=K,K&points=P   curves of some experiments, thinned to what P pixels can show: &metrics=… each metric
                                that is asked for (without: only names), &x=… over what (without: over all that they
                                can be drawn over), &have=STAMP,STAMP what of each key is there already
    /experiments/K              one experiment: config, attempts, needs, commands
    /experiments/K/log?…        a piece of its log: &before=BYTE or &from=BYTE (default: its end), &rank=, &attempt=,
                                &at=error for where its last error is, &file=ID which file that was (below)

The whole table is what `report.page_payload` makes, less curves and details (`table_payload`), with

    live: true, server: text, version: number,
    keys: [key of each experiment, in the order of `ids`],
    notices: [lines that need somebody: no controller runs what is left, Slurm doesn't answer …],
    phase: "statuses" while little more than statuses is known (columns of metrics may be absent), then ""

News is {"server", "version", "made", "rows": {place: [cells]}, "counts": {place: true|false}}, and whatever other
field of the whole table has changed (`searches`, `groups`, `notices`, `phase` …), by its name. Where there are other
experiments or columns, it is the whole table. Numbers of attempts' hours, and when a file was written last, are news
now and then only, unless something else of the row has changed.

Curves are

    points: into how many parts a curve is thinned, x: names of axes, the usual first,
    arrays: [packed numbers], curves: {key: [{x, y, mean_x, mean}]}, as in the page's data;
    metrics: {key: [names of all that can be drawn]}; left out where they are too many for an answer
    stamps: {key: what changes with what was sent, to be given back as `have`}, same: [keys of which that is there],
    left: [keys that the answer has no room for, or that take long to read: to be asked for again]

Keys that aren't shown any more are in none of them.

An experiment is

    id, status, reason, job: of its last one, since: when it began to run or wait, progress: how far it is,
    folder, project: as text, cfg, overrides: what it was composed from, config: as text, flat: {key: text},
    attempts: [{name: text}], the last ones, used: {name: number}, with what a running one has used so far,
    needs, needed_by: [{key, id, status, reason}], key: empty for what is no experiment, such as a sweep's best,
    note, excluded, stale: [needs of which there is another result now], mixed: of which configs it is, trial: [lines],
    logs: {size, ranks, attempts} that there are, said: [[log, line]] what the last controller said of it,
    not_shown: [lines on files of it that lie outside of the results and the project: no link hands them out],
    commands: [[what for, line]] to be typed in the project's folder, what helps it on first

and beside what may be cut `…_in_all`, how many there are: attempts, needs, needed_by, flat.

A piece of a log is whole lines, at most 64 KB of it:

    name: of the log, size: the byte behind its end (or behind what the attempt wrote), start: the first byte of that,
    from, to: which bytes are in the piece, text: its lines as text that can be shown,
    rest, rest_to: what there is of a line behind the last, which has no end yet, and the byte behind that; it comes
    again, longer, from `to` on,
    file: which file it is, to be given back as `file`; anew: it is another one by now, or was cut: the piece is its
    begin, and what came before is no more
    unreadable (only where there is one): why the log, or what is on record of attempts, can't be read
    error (only with at=error): null, or {is_traceback, at, to: which bytes, text, rank: whose log it is}; the piece
    begins there
"""

from __future__ import annotations

import hashlib
import json

import orjson

KEY_DIGITS = 16


def key_of(exp_path: str) -> str:
    """Return the key by which an experiment is addressed."""
    return hashlib.sha256(exp_path.encode(errors="surrogateescape")).hexdigest()[:KEY_DIGITS]


def as_json(value: object) -> bytes:
    """Write JSON; that of a name that is no UTF-8, too, which JSON can spell."""
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        return json.dumps(value).encode("ascii")
