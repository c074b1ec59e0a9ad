"""Whether jobs can be handed over from here: what sbatch, and the controllers behind it, say to that."""

from __future__ import annotations

from pathlib import Path

import pytest

from heyhi.errors import LauncherError
from heyhi.slurm.reach import check_reachable, unreachable

from .test_commands import Command, command

__all__ = ["command"]

DOWN = "echo 'Slurmctld(primary) at head is DOWN'; echo '** RESTORE SLURMCTLD DAEMON TO SERVICE **'; exit 1"
NO_CONFIGURATION = (
    "echo 'scontrol: error: fetch_config: DNS SRV lookup failed' >&2;"
    " echo 'scontrol: fatal: Could not establish a configuration source' >&2; exit 1"
)


@pytest.mark.parametrize(
    ("scontrol", "why"),
    [
        ("echo 'Slurmctld(primary) at head is UP'", ""),
        (DOWN, "sbatch is here, but Slurm's controller (head) doesn't answer"),
        (
            "echo 'Slurmctld(primary) at head is DOWN'; echo 'Slurmctld(backup1) at spare is DOWN'; exit 1",
            "sbatch is here, but Slurm's controller (head, spare) doesn't answer",
        ),
        ("echo 'Slurmctld(primary) at head is DOWN'; echo 'Slurmctld(backup1) at spare is UP'; exit 1", ""),
        (
            NO_CONFIGURATION,
            "sbatch is here, but this machine knows of no cluster (Could not establish a configuration source)",
        ),
        (
            "echo 'slurm_ping: Unable to contact slurm controller (connect failure)' >&2; exit 1",
            "sbatch is here, but Slurm doesn't answer"
            " (slurm_ping: Unable to contact slurm controller (connect failure))",
        ),
        ("echo 'scontrol: you may not' >&2; exit 1", ""),  # a site's own: a launch finds out
    ],
)
def test_a_ping_of_the_controllers_tells(command: Command, scontrol: str, why: str) -> None:
    command("sbatch", "exit 1")
    command("scontrol", f'[ "$*" = ping ] || exit 3; {scontrol}')
    assert unreachable(seconds=0) == why


def test_without_sbatch_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        LauncherError, match=r"^this machine has no sbatch, by which Slurm takes jobs: --profile local runs it here$"
    ):
        check_reachable("--profile local runs it here")


def test_an_sbatch_without_a_scontrol_is_taken_at_its_word(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("sbatch", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert unreachable(seconds=0) == ""


def test_a_controller_that_is_just_restarted_is_waited_for(command: Command, tmp_path: Path) -> None:
    command("sbatch", "exit 1")
    command("scontrol", f"[ -e {tmp_path}/asked ] && exit; : > {tmp_path}/asked; {DOWN}")
    assert unreachable(seconds=60) == ""
    assert (tmp_path / "calls").read_text() == "scontrol ping\n" * 2


def test_a_configuration_that_is_not_there_is_no_cluster_and_is_said_at_once(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("sbatch", "exit 1")
    command("scontrol", "sleep 60")
    monkeypatch.setenv("SLURM_CONF", "/nope")
    assert (
        unreachable(seconds=60)
        == "sbatch is here, but this machine knows of no cluster (SLURM_CONF=/nope: there is no such file)"
    )
