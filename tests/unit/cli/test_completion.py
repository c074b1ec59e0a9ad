"""What Tab offers, asked as a real bash asks: the printed script's function runs the real programs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heyhi.cli.completion import script
from heyhi.errors import HeyhiError

BIN = Path(sys.executable).parent
FILES = {
    "conf/lab.proto": """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Train train = 2; Check check = 3; } }
message Include { optional string path = 1; optional string mount = 2; }
enum Act {
  // Cuts off.
  RELU = 0;
  TANH = 1;
}
message Launcher { oneof kind { Local local = 1; Far far = 2; } }
message Local { optional int32 cpus = 1; }
message Far { optional bool requeue = 1; optional double hours = 2; }
message Train {
  repeated Include includes = 1;
  // How fast.
  optional double lr = 2;
  optional Act act = 3;
  optional Launcher launcher = 4;
  repeated int32 sizes = 5;
  repeated Local parts = 6;
  optional Node node = 7;
  optional int32 Iterations = 8;
}
message Node { optional Node next = 1; }
message Check { optional string model = 1; }
""",
    "conf/common/launcher/local.prototxt": "local { cpus: 1 }",
    "conf/common/launcher/far.prototxt": "far { }",
    "conf/common/base.prototxt": "lr: 1",
    "conf/common/fast/quick.prototxt": "lr: 9",
    "conf/a/one.prototxt": "train { lr: 0.5 }",
    "conf/a/two.prototxt": 'check { model: "m" }',
    "conf/a/broken.prototxt": "train { lr: x }",
    "conf/a/sweep_it.py": "def yield_sweep():\n    yield 'conf/a/one.prototxt', {}\n",
    "conf/a/other.py": "x = 1\n",
    "profiles/local/config.yaml": "cores: 1",
    "profiles/slurm/config.yaml": "executor: heyhi",
    "run.py": "import heyhi\n\n\ndef main(task, cfg, log_level):\n    return {}\n\n\n"
    "if __name__ == '__main__':\n    heyhi.parse_args_and_maybe_launch(main)\n",
}

# What bash does when Tab is pressed: it calls the function and takes what is in COMPREPLY.
TAB = """
COMP_LINE=$2 COMP_POINT=${3:-${#2}} COMP_TYPE=9 COMPREPLY=()
source "$1"
_heyhi heyhi
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "proj"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PATH", str(BIN), prepend=":")
    return root


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("script") / "heyhi.bash"
    path.write_text(script("bash"))
    return path


class Shell:
    """A bash that has the completion script."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tab(self, line: str, point: int | None = None) -> list[str]:
        """Press Tab behind a line, or at a point of it; return what is offered."""
        args = [str(self.path), line, *([str(point)] if point is not None else [])]
        run = subprocess.run(["bash", "-c", TAB, "bash", *args], capture_output=True, text=True, check=True)
        assert run.stderr == ""
        return [word for word in run.stdout.split("\n") if word]


@pytest.fixture
def shell(root: Path, bash_script: Path) -> Shell:
    return Shell(bash_script)


def test_what_would_steer_the_terminal_of_a_shell_is_not_offered(shell: Shell, root: Path) -> None:
    (root / "conf/a/on\x1b[2Ke.prototxt").write_text("train { lr: 0.5 }")
    (root / "conf/a/x\udce9.prototxt").write_text("train { lr: 0.5 }")
    proto = (root / "conf/lab.proto").read_text().replace("How fast.", "How \x1b[2K\a fast.")
    (root / "conf/lab.proto").write_text(proto)
    assert shell.tab("heyhi print conf/a/o") == ["conf/a/one.prototxt "]
    fish = {"_ARGCOMPLETE_SHELL": "fish", "_ARGCOMPLETE_DFS": "\t", "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    asked = ask_task_file("python run.py --cfg a/one l", **fish)
    assert asked.stdout.splitlines()[0] == "lr=\t" + r"How \x1b[2K\x07 fast."


def ask_task_file(line: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Ask a task file, as the global completion does for `python run.py`."""
    env = {"COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE": "2", "_ARGCOMPLETE_IFS": "\n", **more}
    words = [f"{key}={value}" for key, value in env.items()]
    command = 'exec env "$@" 8>&1 9>/dev/null 1>/dev/null'
    return subprocess.run(
        ["bash", "-c", command, "bash", *words, sys.executable, "run.py"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("heyhi desc", ["describe "]),
        ("heyhi print ", ["conf/a/broken.prototxt", "conf/a/one.prototxt", "conf/a/two.prototxt"]),
        ("heyhi print a/o", ["a/one "]),
        ("heyhi expand --cfg conf/a/o", ["conf/a/one.prototxt "]),
        ("heyhi expand ", ["conf/a/sweep_it.py "]),
        ("heyhi plan --mode start_", ["start_restart", "start_continue"]),
        ("heyhi describe a/one lau", ["launcher", "launcher.local", "launcher.far", "launcher.kind"]),
        ("heyhi describe a/one launcher.far.", ["launcher.far.requeue", "launcher.far.hours"]),
        ("heyhi describe train act", ["act "]),
        ("heyhi launch --profile ", ["local", "slurm"]),
        ("heyhi launch --profile profiles/l", ["profiles/local "]),
        ("heyhi cancel ", ["conf/a/sweep_it.py "]),
        ("heyhi export ", ["tensorboard", "wandb", "mlflow"]),
        ("heyhi export tensorboard ", ["conf/a/sweep_it.py "]),
        ("heyhi note ", ["conf/a/sweep_it.py "]),
        ("heyhi status --where status=DE", ["DEAD "]),
        ("heyhi retry --where status=D", ["DONE", "DEAD"]),
    ],
)
def test_commands_configs_sweeps_and_modes_are_offered(shell: Shell, line: str, offered: list[str]) -> None:
    assert shell.tab(line) == offered


@pytest.mark.parametrize("start", ["heyhi print a/one ", "heyhi expand --cfg a/one ", "heyhi status --cfg a/one lr=3 "])
def test_keys_are_offered_a_level_at_a_time(shell: Shell, start: str) -> None:
    assert shell.tab(start) == [
        "lr=",
        "act=",
        "launcher.",
        "sizes.",
        "parts.",
        "node.",
        "Iterations=",
        "I.launcher=",
    ]
    assert shell.tab(f"{start}launcher.") == ["launcher.local.", "launcher.far.", "launcher.kind="]
    assert shell.tab(f"{start}launcher.far.h") == ["launcher.far.hours="]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("launcher.l", ["launcher.local.cpus="]),
        ("sizes", ["sizes.0=", "sizes.-1="]),
        ("parts.0", ["parts.0.cpus="]),
        ("I", ["Iterations=", "I.launcher="]),
        ("I.la", ["I.launcher="]),
        # A message in itself has no end; what is offered has.
        ("node", ["node.next.next.next.next.next."]),
    ],
)
def test_where_there_is_no_choice_the_next_level_is_offered(shell: Shell, typed: str, offered: list[str]) -> None:
    assert [word.strip() for word in shell.tab(f"heyhi print a/one {typed}")] == offered


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("act=", ["RELU", "TANH"]),
        ("act=T", ["TANH "]),
        ("lr=1 act=T", ["TANH "]),
        ('"act=T', ["act=TANH"]),
        ("launcher.far.requeue=", ["true", "false"]),
        ("sizes=", ["NULL "]),
        ("sizes=[8,", []),
        ("sizes+=", []),
        ("sizes+=[8", []),
        ("launcher={", []),
        ("launcher=", ["SELECT", "NULL"]),
        ("launcher.kind=", ["local", "far", "NULL"]),
        ("lr=", []),
        ("I.launcher=", ["far", "local"]),
        ("Ilauncher=l", ["local "]),
        ("I=", ["base", "fast/quick"]),
        ("I=fast/", ["fast/quick "]),
        ("I.launcher=conf/common/l", ["conf/common/launcher/far.prototxt", "conf/common/launcher/local.prototxt"]),
        ("--sweep act=R", ["RELU "]),
        ("--sweep act=RELU,T", ["RELU,TANH "]),
    ],
)
def test_values_are_offered_behind_the_equals_sign_that_parts_words(
    shell: Shell, typed: str, offered: list[str]
) -> None:
    assert shell.tab(f"heyhi expand --cfg a/one {typed}") == offered


def test_the_word_under_the_cursor_counts_not_the_end_of_the_line(shell: Shell) -> None:
    line = "heyhi print a/one act=T lr=1"

    assert shell.tab(line, line.index(" lr")) == ["TANH "]


def test_experiments_are_offered_a_folder_at_a_time(shell: Shell, root: Path) -> None:
    for name in ("p/a/one/lr=1_12", "p/a/one/lr=2_34"):
        (root / "results" / name).mkdir(parents=True)
        (root / "results" / name / "identity.json").write_text("{}")
    for name in (".heyhi", "reports", "winners"):
        (root / "results" / name).mkdir()

    assert sorted(shell.tab("heyhi diff ")) == ["conf/a/sweep_it.py", "p/"]
    assert shell.tab("heyhi diff p/a/") == ["p/a/one/"]
    assert shell.tab("heyhi diff p/a/one/lr=2_34 p/a/one/lr=1") == ["1_12 "], "bash parts words at the ="
    assert shell.tab("heyhi logs -f p/a/") == ["p/a/one/"]
    assert sorted(shell.tab("heyhi retry --dead ")) == ["conf/a/sweep_it.py", "p/"]


@pytest.mark.parametrize(
    "line",
    [
        "heyhi print a/broken l",
        "heyhi print nofile l",
        "heyhi print a/one nokey=",
        "heyhi print a/one nokey.x",
        "heyhi print a/one lr.x.",
        "heyhi print a/one I.nomount=",
        "heyhi diff x/y/",
        "heyhi nocommand x",
        "heyhi expand --cfg a/one --sweep ,",
    ],
)
def test_a_line_that_is_wrong_gets_no_offer_and_no_noise(shell: Shell, line: str) -> None:
    assert shell.tab(line) == []


@pytest.mark.parametrize("damage", ["no project", "broken proto", "broken settings"])
def test_a_project_that_is_wrong_gets_no_offer_and_no_noise(shell: Shell, root: Path, damage: str) -> None:
    if damage == "no project":
        (root / "conf/lab.proto").unlink()
    elif damage == "broken proto":
        (root / "conf/lab.proto").write_text("message {")
    else:
        (root / "pyproject.toml").write_text("[tool.heyhi]\nnosetting = 1")

    assert shell.tab("heyhi print a/one l") == []


def test_a_task_file_is_completed_too(root: Path) -> None:
    assert ask_task_file("python run.py --cfg a/o").stdout == "a/one "
    assert ask_task_file("python run.py --cfg a/one launcher.far.r").stdout == "launcher.far.requeue="
    assert ask_task_file("python run.py --cfg a/one --mode d").stdout == "dryrun "
    assert ask_task_file("python run.py --cfg a/one lr=1 act=").stdout == "act=RELU\nact=TANH"
    assert ask_task_file("python run.py --cfg a/one --print-flat-").stdout == "--print-flat-all "


def test_comments_are_given_to_shells_that_show_them(root: Path) -> None:
    fish = {"_ARGCOMPLETE_SHELL": "fish", "_ARGCOMPLETE_DFS": "\t", "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}

    assert ask_task_file("python run.py --cfg a/one l", **fish).stdout.splitlines()[0] == "lr=\tHow fast."
    assert "act=RELU\tCuts off." in ask_task_file("python run.py --cfg a/one act=", **fish).stdout


@pytest.mark.parametrize("broken", [{"COMP_POINT": "x"}, {"_ARGCOMPLETE": "x"}, {"_ARGCOMPLETE_IFS": "too long"}])
def test_a_shell_that_asks_wrongly_gets_no_traceback(root: Path, broken: dict[str, str]) -> None:
    asked = ask_task_file("python run.py --cfg a/o", **broken)

    assert (asked.stdout, asked.stderr, asked.returncode) == ("", "", 1)


def test_an_unknown_shell_is_refused() -> None:
    with pytest.raises(HeyhiError, match="no completion for the shell 'csh': there is one for bash, zsh, fish"):
        script("csh")
