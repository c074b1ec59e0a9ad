"""What all tests share: an environment that tells HeyHi nothing, Hypothesis without a clock, and how many at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no reason to fail. In CI the same examples come each time;
# a person's runs keep looking for new ones.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "house")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Hide the results root and the job that the tests themselves may run in, and a person's logins and trackers."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in list(os.environ):
        if name.startswith(("HH_", "SLURM_", "WANDB_", "MLFLOW_")) or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name)
    modules = set(sys.modules)
    yield
    # Projects of other tests have modules of the same names, as `run`.
    for name in set(sys.modules) - modules:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(f"{tmp_path}/"):
            del sys.modules[name]
    sys.path[:] = [folder for folder in sys.path if folder != str(tmp_path) and not folder.startswith(f"{tmp_path}/")]
    # It keeps the settings of its first use, and a process of its own, for as long as this process lives.
    if (wandb := sys.modules.get("wandb")) is not None:
        wandb.teardown()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of this tree."""
    return REPOSITORY


def pytest_configure() -> None:
    os.environ.pop("PYTHONUNBUFFERED", None)  # what is printed comes as it comes to everybody
    # A script that runs the tests in the background has them ignore Ctrl-C, and so would all that they start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def clusters() -> int:
    """Return how many Slurm clusters the tests of tests/slurm are spread over: they wait more than they compute."""
    return 1 if os.environ.get("HEYHI_TEST_SLURM_CONF") else 2


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes `make test` runs: one a core, and one a cluster beside them."""
    folder = Path(__file__).parent
    paths = [Path(config.invocation_params.dir, arg.partition("::")[0]).resolve() for arg in config.args]
    slurm = [path for path in paths if folder / "slurm" in (path, *path.parents)]
    others = [path for path in paths if path not in slurm]
    if not slurm and all(path.is_file() for path in others):
        return 0  # a file is through before a second process has started
    is_all = any(path in (folder, *folder.parents) for path in others)
    return (os.cpu_count() or 1) * bool(others) + clusters() * bool(slurm or is_all)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--snapshot-update", action="store_true", help="write tests/errors/messages.json anew: make snapshots"
    )
