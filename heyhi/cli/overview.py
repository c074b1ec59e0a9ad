"""`heyhi --help`: the commands by what one does with them, and where the docs are; nothing here imports anything."""

from __future__ import annotations

# What one does -> the commands for it, in the order in which they are met.
GROUPS: dict[str, tuple[str, ...]] = {
    "make a project": ("init", "protos"),
    "look at configs": ("print", "describe", "expand", "plan"),
    "run": ("run", "launch", "search"),
    "watch, end, start again": ("status", "serve", "logs", "cancel", "retry"),
    "results": ("report", "diff", "note", "export", "sheets"),
    "housekeeping": ("clean", "notify", "docs", "completion"),
}
USAGE = "heyhi [-h] [--version] COMMAND …"
DESCRIPTION = "Compose, check, run and follow experiments."
_EXAMPLES = """\
examples:
  heyhi run --cfg c02_sup_train/sl lr=0.1                        one experiment, here and now
  heyhi run --cfg c02_sup_train/sl --sweep lr=0.1,0.01 --sweep 'seed=range(3)'
  heyhi plan conf/c02_sup_train/rs_yolo_01_example.py            what a launch would do
  heyhi launch conf/c02_sup_train/rs_yolo_01_example.py          run it all, on Slurm; outlives the terminal
  heyhi status                                                   how all that was run or launched is
  heyhi report --sort=-val_accuracy.best                         the sweep's table, best first
  snakemake --profile profiles/local $(heyhi expand …)           what heyhi run does, by Snakemake's own command
"""
_MORE = """\
heyhi COMMAND --help says more of a command, with examples; python run.py --help of a task file. heyhi docs: the pages
of the docs; heyhi docs workflow prints one.
"""
_INDENT = 14


def overview(helps: dict[str, str]) -> str:
    """Write what stands below the usage: commands in groups, examples, docs.

    Args:
        helps: of each command its line; one that is in no group comes last.
    """
    left = dict(helps)
    parts = []
    for title, names in GROUPS.items():
        lines = [_line(name, left.pop(name)) for name in names if name in left]
        if lines:
            parts.append("\n".join([f"{title}:", *lines]))
    if left:
        parts.append("\n".join(["more:", *(_line(name, text) for name, text in left.items())]))
    options = (
        f"options:\n{_line('-h, --help', 'print this and stop')}\n{_line('--version', 'print the version and stop')}"
    )
    return "\n\n".join([*parts, options, _EXAMPLES.rstrip(), _MORE])


def _line(name: str, text: str) -> str:
    return f"  {name:<{_INDENT - 3}} {text}"
