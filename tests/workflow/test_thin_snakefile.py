"""A new project's Snakefile takes HeyHi's rules in; what else stands in it is the user's own."""

from __future__ import annotations

import pytest

from .conftest import Tiny

THIN = "from heyhi.shipped import include_rules\n\ninclude_rules(workflow)\n"
MINE = """
rule mine:
    output: "mine.txt"
    shell: "touch {output}"
"""
FIRST = MINE.replace("output:", "default_target: True\n    output:", 1)


@pytest.mark.parametrize(
    ("snakefile", "is_mine"),
    [
        pytest.param(THIN + MINE, False, id="below"),
        pytest.param(MINE + THIN, False, id="above"),
        pytest.param(THIN + FIRST, True, id="said so"),
        pytest.param(FIRST + THIN, True, id="said so above"),
    ],
)
def test_the_sweep_is_made_by_default_unless_a_rule_says_that_it_is(tiny: Tiny, snakefile: str, is_mine: bool) -> None:
    (tiny.root / "Snakefile").write_text(snakefile)
    done = tiny.snakemake("-n")
    assert done.returncode == 0, done.stderr
    planned = done.stdout + done.stderr
    assert ("rule mine" in planned, "all of the sweep is done" in planned) == (is_mine, not is_mine), planned


def test_a_rule_of_the_users_own_below_is_asked_for_by_its_file(tiny: Tiny) -> None:
    (tiny.root / "Snakefile").write_text(THIN + MINE)
    done = tiny.snakemake("mine.txt")
    assert done.returncode == 0 and (tiny.root / "mine.txt").exists(), done.stderr
    assert tiny.ledger == []
