"""What scripts of the first HeyHi name: their arguments are taken, and what is gone says what takes its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import heyhi
from heyhi import conf, util


@pytest.mark.parametrize(
    ("module", "name", "instead"),
    [
        (util, "EXP_ID_PATTERN", "DEFAULT_PATTERN"),
        (util, "log_formatter", "heyhi.setup_logging"),
        (util, "requeue_myself", "heyhi.requeue()"),
        (conf, "EXT", ".prototxt"),
        (conf, "ROOT_CFG_CLASS", "load_root_proto_message"),
        (conf, "overrides_to_dict", "split"),
    ],
)
def test_what_is_gone_says_what_to_use(module: object, name: str, instead: str) -> None:
    with pytest.raises(AttributeError, match=name) as told:
        getattr(module, name)
    assert instead in str(told.value)


def test_the_handler_of_the_end_takes_its_argument_by_the_name_that_it_had() -> None:
    # Outside of any run: in a process of its own.
    code = "import heyhi; print(heyhi.maybe_init_requeue_handler(master_callback=print))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_relative_handle_outside_of_a_project_is_below_the_results_root_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    monkeypatch.setenv("HH_EXP_DIR", str(tmp_path / "results"))
    monkeypatch.delenv("HH_PROJ_ROOT", raising=False)
    assert heyhi.Handle("p/fit/line/x").exp_path == tmp_path / "results/p/fit/line/x"
    monkeypatch.delenv("HH_EXP_DIR")
    assert heyhi.Handle("p/fit/line/x").exp_path == tmp_path / "away/p/fit/line/x"
