"""What a config's launcher asks for, and the words for sbatch that come of it."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from heyhi.config.compose import Composer
from heyhi.config.schema import load_schema
from heyhi.errors import LauncherError
from heyhi.project import SCHEDULING_KEYS, Project, Settings
from heyhi.slurm.launcher import is_slurm
from heyhi.slurm.request import JobRequest, comment_text, hashes_in, request_of, sbatch_options

Make = Callable[..., Message]

PLAIN = JobRequest(
    hours=1.0,
    nodes=1,
    tasks=1,
    gpus_per_node=0,
    cpus_per_task=1,
    mem_gb_per_node=2.0,
    partition="",
    account="",
    qos="",
    constraint="",
    comment="",
    extra="",
    signal_seconds=90,
    requeue=True,
    max_attempts=1,
    oom_mem_factor=1.5,
    timeout_hours_factor=1.0,
    pack=1,
    max_requeues=3,
)


@pytest.fixture(scope="module")
def composer() -> Composer:
    """Of this tree's own configs."""
    project = Project(Path(__file__).resolve().parents[3], Settings())
    return Composer(project, load_schema(project))


@pytest.fixture
def slurm_task(composer: Composer) -> Make:
    """Compose a task with the given fields of launcher.slurm."""

    def make(**fields: object) -> Message:
        words = [f"launcher.slurm.{name}={value}" for name, value in fields.items()]
        return composer.compose("c02_sup_train/sl", ["I.launcher=slurm", *words]).task_message

    return make


@pytest.fixture
def foreign_task(tmp_path: Path) -> Make:
    """Compose a task of a project with its own launcher."""

    def make(launcher: str, *overrides: str, syntax: str = "proto2") -> Message:
        conf = tmp_path / "conf"
        conf.mkdir()
        word = "optional " if syntax == "proto2" else ""
        (conf / "conf.proto").write_text(
            f'syntax = "{syntax}";\n'
            f"message Include {{ {word}string path = 1; {word}string mount = 2; }}\n"
            "message MetaCfg { repeated Include includes = 1; oneof task { Work work = 2; } }\n"
            f"message Work {{ {word}int32 x = 1; {launcher} }}\n"
        )
        (conf / "work.prototxt").write_text("work { }\n")
        project = Project(tmp_path, Settings())
        return Composer(project, load_schema(project)).compose("work", overrides).task_message

    return make


def options(request: JobRequest) -> list[str]:
    return sbatch_options(
        request, name="heyhi-1", comment="heyhi:ab", output=Path("/r/exp/log-%j.txt"), chdir=Path("/r")
    )


HEAD = ["--job-name=heyhi-1", "--comment=heyhi:ab", "--output=/r/exp/log-%j.txt", "--open-mode=append", "--chdir=/r"]

# --- the table: fields of launcher.slurm, and the whole of what sbatch is given -------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param(
            {},
            "--time=60 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=1 --mem=2048M --signal=B:USR2@90 "
            "--requeue",
            id="nothing set",
        ),
        pytest.param(
            {"cpus_per_gpu": 6, "mem_per_gpu": 1.5, "hours": 2.001},
            "--time=121 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=6 --mem=1536M --signal=B:USR2@90 "
            "--requeue",
            id="without GPUs, cores and memory are the whole job's",
        ),
        pytest.param(
            {"num_gpus": 1, "cpus_per_gpu": 10, "mem_per_gpu": 60},
            "--time=60 --nodes=1 --ntasks=1 --ntasks-per-node=1 --gpus-per-node=1 --cpus-per-task=10 --mem=61440M "
            "--signal=B:USR2@90 --requeue",
            id="one GPU",
        ),
        pytest.param(
            {"num_gpus": 3, "cpus_per_gpu": 2, "mem_per_gpu": 10},
            "--time=60 --nodes=1 --ntasks=3 --ntasks-per-node=3 --gpus-per-node=3 --cpus-per-task=2 --mem=30720M "
            "--signal=B:USR2@90 --requeue",
            id="part of a node",
        ),
        pytest.param(
            {"num_gpus": 8, "cpus_per_gpu": 10, "mem_per_gpu": 60, "hours": 24},
            "--time=1440 --nodes=1 --ntasks=8 --ntasks-per-node=8 --gpus-per-node=8 --cpus-per-task=10 "
            "--mem=491520M --signal=B:USR2@90 --requeue",
            id="one node",
        ),
        pytest.param(
            {"num_gpus": 16, "cpus_per_gpu": 10, "mem_per_gpu": 60},
            "--time=60 --nodes=2 --ntasks=16 --ntasks-per-node=8 --gpus-per-node=8 --cpus-per-task=10 "
            "--mem=491520M --signal=B:USR2@90 --requeue",
            id="two nodes",
        ),
        pytest.param(
            {"num_gpus": 16, "cpus_per_gpu": 10, "mem_per_gpu": 60, "single_task_per_node": True},
            "--time=60 --nodes=2 --ntasks=2 --ntasks-per-node=1 --gpus-per-node=8 --cpus-per-task=80 "
            "--mem=491520M --signal=B:USR2@90 --requeue",
            id="two nodes, a task each",
        ),
        pytest.param(
            {"num_gpus": 12, "gpus_per_node": 4},
            "--time=60 --nodes=3 --ntasks=12 --ntasks-per-node=4 --gpus-per-node=4 --cpus-per-task=1 --mem=8192M "
            "--signal=B:USR2@90 --requeue",
            id="smaller nodes",
        ),
        pytest.param(
            {"cpus_per_gpu": 4, "single_task_per_node": True},
            "--time=60 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=4 --mem=2048M --signal=B:USR2@90 "
            "--requeue",
            id="a task a node without GPUs",
        ),
        pytest.param(
            {"partition": "a,b", "account": "lab", "qos": "high", "constraint": "volta32gb&ib"},
            "--time=60 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=1 --mem=2048M --partition=a,b "
            "--account=lab --qos=high --constraint=volta32gb&ib --signal=B:USR2@90 --requeue",
            id="where and who pays",
        ),
        pytest.param(
            {"signal_seconds": 0, "requeue": False, "extra": "\"--nice=100 --reservation='x y' --hold\""},
            "--time=60 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=1 --mem=2048M --no-requeue "
            "--nice=100 '--reservation=x y' --hold",
            id="no signal, no requeue, more options",
        ),
        pytest.param(
            {"hours": 0.55, "mem_per_gpu": 0.0001, "pack": 4},
            "--time=33 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=1 --mem=1M --signal=B:USR2@90 "
            "--requeue",
            id="rounding",
        ),
        pytest.param(
            {"num_gpus": 2, "gpu_type": "v100", "mem_per_gpu": 0, "time": "1d12h"},
            "--time=2160 --nodes=1 --ntasks=2 --ntasks-per-node=2 --gpus-per-node=v100:2 --cpus-per-task=1 --mem=0 "
            "--signal=B:USR2@90 --requeue",
            id="kind of GPU, all memory, a time",
        ),
        pytest.param(
            {"no_mem": True, "mem_per_gpu": 60, "hours": "1:30:00"},
            "--time=90 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=1 --signal=B:USR2@90 --requeue",
            id="no memory",
        ),
    ],
)
def test_a_launcher_gives_this_sbatch_line(slurm_task: Make, fields: dict[str, object], words: str) -> None:
    assert options(request_of(slurm_task(**fields))) == [*HEAD, *shlex.split(words)]


def test_nodes_to_leave_out_are_joined_with_those_of_extra() -> None:
    request = dataclasses.replace(PLAIN, extra="--exclude=n7,n[8-9] --nice=1", exclude=("n1",))
    assert options(request.scaled(0, 0, ("n2", "n1")))[-4:] == [
        "--exclude=n1,n2,n7,n[8-9]",
        "--signal=B:USR2@90",
        "--requeue",
        "--nice=1",
    ]


def test_percent_signs_of_a_folder_are_no_pattern_of_slurm() -> None:
    words = sbatch_options(PLAIN, name="n", comment="c", output=Path("/a%j b/%j.log"), chdir=Path("/a%j b"))
    assert "--output=/a%%j b/%j.log" in words
    assert "--chdir=/a%j b" in words


_OURS = {word.partition("=")[0] for word in HEAD} | {
    "--time", "--nodes", "--ntasks", "--ntasks-per-node", "--gpus-per-node", "--cpus-per-task", "--mem", "--partition",
    "--account", "--qos", "--constraint", "--exclude", "--signal", "--requeue", "--no-requeue",
}  # fmt: skip
_WORD = st.sampled_from(
    [
        *["--wrap=x", "--wra", "-J", "--", "-", ":", "--array=1-9", "--parsable", "--nice=1", "--hold", "--output=/x"],
        *["--export=ALL,A=1", "--exclude=n1", "--=x", "--Wrap=1", "x", "", "$(touch x)", "`x`", "a b", "'", "\\", "\n"],
    ]
)
_ALLOWED = {"--nice", "--hold", "--export"}


@given(
    partition=st.text(max_size=5) | _WORD,
    comment=st.text(max_size=5) | _WORD,
    extra=st.lists(_WORD, max_size=3).map(" ".join) | st.lists(_WORD, max_size=3).map(shlex.join),
)
def test_no_value_of_a_config_becomes_an_option_that_is_not_meant(partition: str, comment: str, extra: str) -> None:
    request = dataclasses.replace(PLAIN, partition=partition, comment=comment, extra=extra)
    try:
        words = sbatch_options(
            request, name="n", comment=comment_text("0a", ["ab"], comment), output=Path("/l"), chdir=Path("/")
        )
    except LauncherError:
        return
    names = [word.partition("=")[0] for word in words]
    assert set(names) <= _OURS | _ALLOWED
    # What comes first in HeyHi's name is not said again.
    assert all(names.count(name) == 1 for name in names if name in _OURS)
    assert f"--partition={partition}" in words or not partition
    assert all("\n" not in word for word in words if word.startswith("--comment"))


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"num_gpus": 12}, "num_gpus=12: above 8 (gpus_per_node) it must be a multiple of 8, e.g. 16"),
        ({"num_gpus": -1}, "num_gpus=-1: must be at least 0"),
        ({"gpus_per_node": 0}, "gpus_per_node=0: must be at least 1"),
        ({"cpus_per_gpu": 0}, "cpus_per_gpu=0: must be at least 1"),
        ({"hours": 0}, "hours=0: must be above 0"),
        ({"hours": "nan"}, "hours=nan: must be above 0"),
        ({"hours": "inf"}, "hours=inf: must be above 0"),
        ({"hours": 2e6}, "hours=2e+06: must be at most 1,000,000"),
        ({"mem_per_gpu": -1}, "mem_per_gpu=-1: must be at least 0"),
        ({"time": "1:30"}, "time='1:30': is no time such as 90m, 36h, 1d12h, 1:30:00 or 1-12:00:00 (is it 1:30:00,"),
        ({"time": "90"}, "time='90': is no time such as"),
        ({"time": "0h"}, "hours=0: must be above 0"),
        ({"gpu_type": "v100"}, "gpu_type=v100: the job has no GPU; set launcher.slurm.num_gpus"),
        ({"gpu_type": "v100:2", "num_gpus": 2}, "gpu_type='v100:2': is no kind of GPU"),
        ({"python": "bin/python"}, "python='bin/python': must be an absolute path, or the name of a program"),
        ({"python": "-c"}, "python='-c': must be an absolute path"),
        ({"prefix": "a 'b"}, 'prefix="a \'b": no closing quotation'),
        (
            {"srun_extra": "--ntasks=3"},
            "srun_extra='--ntasks=3': '--ntasks=3' can't be used: set launcher.slurm.num_gpus",
        ),
        ({"srun_extra": "--out=x"}, "'--out=x' can't be used: HeyHi needs its own"),
        ({"srun_extra": "ls"}, "'ls' is no option of the form --name or --name=value"),
        ({"srun_extra": "--export=NONE"}, "write --export=ALL,NAME=value"),
        (
            {"job_name": "%(cgf)s"},
            "job_name='%(cgf)s': there is no tag '%(cgf)s' (did you mean 'cfg'?); tags are %(cfg_f",
        ),
        ({"max_requeues": -1}, "max_requeues=-1: must be at least 0"),
        ({"setup.-1": '"a\\u0007b"'}, "setup='a\\x07b': holds a character that isn't to be seen"),
        ({"extra": "--job-name=x"}, "'--job-name=x' can't be used: set launcher.slurm.job_name"),
        ({"signal_seconds": -1}, "signal_seconds=-1: must be at least 0"),
        ({"signal_seconds": 70000, "hours": 100}, "signal_seconds=70000: must be at most 65,535"),
        (
            {"hours": 0.02, "signal_seconds": 120},
            "signal_seconds=120: is not below the time limit (hours=0.02, 120 seconds)",
        ),
        ({"max_attempts": 0}, "max_attempts=0: must be at least 1"),
        ({"oom_mem_factor": 0.5}, "oom_mem_factor=0.5: must be at least 1"),
        ({"timeout_hours_factor": "nan"}, "timeout_hours_factor=nan: must be at least 1"),
        ({"pack": 0}, "pack=0: must be at least 1"),
        ({"pack": 60}, "pack=60: must be at most 59"),
        ({"pack": 2, "num_gpus": 16}, "pack=2: several experiments share one node, and num_gpus=16 asks for 2"),
        ({"partition": '"a\\nb"'}, "partition='a\\nb': holds a character that isn't to be seen"),
        ({"extra": "--wrap=ls"}, "'--wrap=ls' can't be used: HeyHi needs its own"),
        ({"extra": "--arr=1-3"}, "'--arr=1-3' can't be used: HeyHi needs its own"),
        ({"extra": "--time=3"}, "'--time=3' can't be used: set launcher.slurm.hours"),
        ({"extra": "--export=NONE"}, "write --export=ALL,NAME=value"),
        ({"extra": "--export=A=1"}, "write --export=ALL,NAME=value"),
        ({"extra": "--exclud=n1"}, "write '--exclud=n1' out as --exclude=n1"),
        ({"extra": '"--exclude n1"'}, "write '--exclude' out as --exclude=NODES"),
        ({"extra": "-n3"}, "'-n3' is no option of the form --name or --name=value"),
        ({"extra": "job.sh"}, "'job.sh' is no option"),
        ({"extra": '"--x=\'"'}, "no closing quotation"),
    ],
)
def test_what_no_job_can_be_asked_for_is_refused_by_name(
    slurm_task: Make, fields: dict[str, object], sentence: str
) -> None:
    with pytest.raises(LauncherError) as caught:
        request_of(slurm_task(**fields))
    assert "launcher.slurm." in str(caught.value) and sentence in str(caught.value)


@pytest.mark.parametrize("extra", ["--export=all", "--export=ALL,A=1", "--wait-all-nodes=1", "--exclusive"])
def test_options_that_only_look_like_refused_ones_pass(slurm_task: Make, extra: str) -> None:
    assert options(request_of(slurm_task(extra=extra)))[-1] == extra


# --- other launchers, other protos ----------------------------------------------------------------------------------


def test_local_or_no_launcher_asks_for_its_cores(composer: Composer) -> None:
    task = composer.compose("c02_sup_train/sl", ["I.launcher=local", "launcher.local.cpus=3"]).task_message
    assert not is_slurm(task) and request_of(task) == dataclasses.replace(PLAIN, cpus_per_task=3)
    task = composer.compose("c02_sup_train/sl", []).task_message
    assert not is_slurm(task) and request_of(task) == PLAIN
    task = composer.compose("c02_sup_train/sl", ["I.launcher=local", "launcher.local.cpus=0"]).task_message
    with pytest.raises(LauncherError, match=r"launcher\.local\.cpus=0: must be at least 1"):
        request_of(task)


def test_slurm_is_told_from_other_launchers(slurm_task: Make) -> None:
    assert is_slurm(slurm_task())


def test_the_first_heyhis_launcher_takes_our_defaults_for_what_it_lacks(foreign_task: Make) -> None:
    task = foreign_task(
        """
        message Local { optional bool use_local = 1; }
        message Slurm {
          optional int32 num_gpus = 1 [default = 8];
          optional int32 hours = 2;
          optional string partition = 3 [default = "learnfair"];
          optional bool single_task_per_node = 4;
          optional int32 mem_per_gpu = 5 [default = 62];
          optional int32 cpus_per_gpu = 6 [default = 10];
          optional string constraints = 7;
          repeated string exclude = 8;
        }
        message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
        optional Launcher launcher = 3;
        """,
        "launcher.slurm.constraints=volta32gb",
        "launcher.slurm.exclude.-1=n7",
    )
    assert is_slurm(task)
    assert request_of(task) == dataclasses.replace(
        PLAIN, tasks=8, gpus_per_node=8, cpus_per_task=10, mem_gb_per_node=8 * 62.0, partition="learnfair",
        constraint="volta32gb", exclude=("n7",),
    )  # fmt: skip


def test_zeros_of_proto3_are_defaults_where_no_job_can_have_them(foreign_task: Make) -> None:
    task = foreign_task(
        "message Slurm { int32 num_gpus = 1; double hours = 2; int32 pack = 3; int32 signal_seconds = 4; }\n"
        "message Launcher { oneof kind { Slurm slurm = 2; } }\nLauncher launcher = 3;",
        "launcher.slurm.num_gpus=2",
        "launcher.slurm.pack=3",
        syntax="proto3",
    )
    assert request_of(task) == dataclasses.replace(
        PLAIN, tasks=2, gpus_per_node=2, mem_gb_per_node=4.0, signal_seconds=0, pack=3
    )


def test_hours_and_time_are_one_limit_and_the_last_one_counts(slurm_task: Make, composer: Composer) -> None:
    assert request_of(slurm_task(hours=3, time="90m")).hours == 1.5
    assert request_of(slurm_task(time="90m", hours=3)).hours == 3
    task = composer.compose("c02_sup_train/sl", ["I.launcher=slurm_8gpus", "launcher.slurm.time=1-12"]).task_message
    assert request_of(task).hours == 36


def test_what_is_for_the_job_itself_is_kept_in_words_and_lines(slurm_task: Make) -> None:
    request = request_of(
        slurm_task(
            **{"setup.0": '"module load a\\nsource b"', "setup.1": '"\\tc"'},
            prefix="\"apptainer exec --bind '/a b' x.sif\"",
            python="python3",
            srun_extra="--mpi=pmix --label",
            job_name="mine",
        )
    )
    assert request.setup == ("module load a", "source b", "\tc")
    assert request.prefix == ("apptainer", "exec", "--bind", "/a b", "x.sif")
    assert (request.python, request.srun_extra, request.job_name) == ("python3", ("--mpi=pmix", "--label"), "mine")
    assert request.asked() == {
        "hours": 1, "nodes": 1, "tasks": 1, "gpus": 0, "cpus": 1, "mem_gb_per_node": 2, "python": "python3",
        "prefix": [*request.prefix], "setup": [*request.setup], "srun_extra": [*request.srun_extra],
    }  # fmt: skip


def test_another_projects_setup_may_be_one_text(foreign_task: Make) -> None:
    launcher = "message Slurm { optional string setup = 1; }\nmessage Launcher { oneof kind { Slurm slurm = 1; } }\n"
    task = foreign_task(f"{launcher} optional Launcher launcher = 3;", 'launcher.slurm.setup="a\\nb"')
    assert request_of(task).setup == ("a", "b")


def test_where_no_memory_is_asked_for_none_grows() -> None:
    for memory in (None, 0.0):
        assert dataclasses.replace(PLAIN, mem_gb_per_node=memory).scaled(3, 0).mem_gb_per_node == memory


@pytest.mark.parametrize("path", ["conf/launcher.proto"])
def test_every_field_of_the_launcher_is_read_and_only_schedules_or_says_what_is_computed(path: str) -> None:
    text = (Path(__file__).resolve().parents[3] / path).read_text()
    names = re.findall(r"^ +(?:optional|repeated)? *\w+ (\w+) = \d+", text.partition("message SlurmLauncher")[2], re.M)
    scheduling = {key.rpartition(".")[2] for key in SCHEDULING_KEYS}
    assert set(names) - scheduling == {"num_gpus", "gpus_per_node", "single_task_per_node"} and len(names) == 27


@pytest.mark.parametrize("launcher", ["", "optional string launcher = 3;", "optional Work launcher = 3;"])
def test_a_task_without_a_launcher_runs_anyway(foreign_task: Make, launcher: str) -> None:
    task = foreign_task(launcher)
    assert not is_slurm(task) and request_of(task) == PLAIN


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("optional string num_gpus = 1", "num_gpus must be a whole number (int32) in the proto"),
        ("optional string hours = 1", "hours must be a number (double) in the proto"),
        ("optional int32 requeue = 1", "requeue must be a bool in the proto"),
        ("optional int32 partition = 1", "partition must be a string in the proto"),
    ],
)
def test_a_field_of_another_type_is_named(foreign_task: Make, field: str, sentence: str) -> None:
    task = foreign_task(
        f"message Slurm {{ {field}; }} message Launcher {{ optional Slurm slurm = 1; }}"
        " optional Launcher launcher = 3;",
        f"launcher.slurm.{field.split()[2]}=1",
    )
    with pytest.raises(LauncherError) as caught:
        request_of(task)
    assert sentence in str(caught.value)


# --- another attempt, and comments ----------------------------------------------------------------------------------


def test_attempts_that_ended_for_want_of_something_ask_for_more() -> None:
    request = dataclasses.replace(PLAIN, hours=2.0, timeout_hours_factor=1.5)
    assert request.scaled(0, 0, ()) == request
    assert request.scaled(2, 0, ()).mem_gb_per_node == 4.5
    assert request.scaled(0, 2, ()).hours == 4.5
    assert request.scaled(0, 0, ("n1",)).scaled(0, 0, ("n2", "n1")).exclude == ("n1", "n2")
    # 99.00000000000001 minutes are 99.
    assert dataclasses.replace(PLAIN, hours=1.5, timeout_hours_factor=1.1).scaled(0, 1, ()).minutes == 99
    assert hash(request) == hash(request.scaled(0, 0, ()))
    most = dataclasses.replace(request, oom_mem_factor=1e9, timeout_hours_factor=1e9)
    for times in (2, 99):
        assert most.scaled(times, times, ()).hours == most.scaled(times, times, ()).mem_gb_per_node == 1e6


@pytest.mark.parametrize(
    ("hashes", "user", "comment"),
    [
        (["ab12"], "", "heyhi:0a:ab12"),
        (["ab12", "cd34"], "for  the\npaper", "heyhi:0a:ab12,cd34 for the paper"),
        (["ab12"], "ä" * 600, "heyhi:0a:ab12 " + "ä" * 505),
    ],
)
def test_a_comment_holds_the_hashes_and_then_the_users_own(hashes: Sequence[str], user: str, comment: str) -> None:
    assert comment_text("0a", hashes, user) == comment
    assert len(comment.encode()) <= 1024
    assert hashes_in(comment) == tuple(hashes)


def test_a_full_pack_fits_into_a_comment_and_more_is_refused() -> None:
    hashes = [f"{n:016x}" for n in range(59)]
    assert hashes_in(comment_text("0123456789", hashes, "mine" * 99)) == tuple(hashes)
    with pytest.raises(LauncherError, match="can't hold 61 experiments: set a smaller pack"):
        comment_text("0123456789", [f"{n:016x}" for n in range(61)], "")


@pytest.mark.parametrize(
    "comment", ["", "(null)", "mine", "not heyhi:ab", "heyhi:", "heyhi:AB", "heyhi:ab,", "heyhi:ab;"]
)
def test_other_peoples_comments_name_no_experiment(comment: str) -> None:
    assert hashes_in(comment) == ()
