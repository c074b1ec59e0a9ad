"""`heyhi notify`: a message to try whether those get one whom a launch would tell."""

from __future__ import annotations

import argparse
import socket
import sys

from heyhi.cli.options import NOBODY
from heyhi.errors import NotifyError
from heyhi.notify.forms import Message
from heyhi.notify.sending import send
from heyhi.notify.whom import check_here, whom_of
from heyhi.project import find_project


def notify(args: argparse.Namespace) -> int:
    """Send the message to whom the words name, else the settings; return 1 where one of them isn't told."""
    texts = args.whom or list(find_project().settings.notify)
    if not texts:
        raise NotifyError(
            "nobody is named, here or by [tool.heyhi] notify: such as heyhi notify https://hooks.slack.com/…"
        )
    whom = list(dict.fromkeys(whom_of(text) for text in texts if text != NOBODY))
    for one in whom:
        check_here(one)
    if not whom:
        print(f"{NOBODY}: nobody is told")
        return 0
    message = Message("test", "HeyHi can tell you of launches here", (f"from {socket.gethostname()}",))
    failures = send(whom, message)
    for one in whom:
        if not any(text.startswith(f"{one.shown} was not told") for text in failures):
            print(f"told {one.shown}")
    for text in failures:
        print(f"error: {text}", file=sys.stderr)
    return int(bool(failures))
