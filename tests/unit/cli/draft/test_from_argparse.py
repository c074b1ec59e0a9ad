"""What `heyhi init --from` makes of a script, and that its task file gives the script what argparse would have."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from heyhi.cli.main import main
from heyhi.config.schema import load_schema
from heyhi.project import find_project

from .conftest import Drafted, imported
from .scripts import SCRIPTS

Draft = Callable[..., Drafted]
HEAD = "import argparse\nparser = argparse.ArgumentParser()\n"


def fields(text: str) -> dict[str, str]:
    """Return the declarations in a proto by their names."""
    lines = [line.strip() for line in text.splitlines()]
    declared = [line for line in lines if line.startswith(("optional", "repeated", "required"))]
    return {line.split()[2]: line.split(" = ")[0].rsplit(" ", 1)[0] + line.partition(" [")[2].rstrip("];")
            for line in declared}  # fmt: skip


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_proto_of_a_script_compiles_and_its_first_config_composes(name: str, drafted: Draft) -> None:
    made = drafted(SCRIPTS[name], name)
    assert load_schema(find_project(made.root)).tasks
    needs = {"hugging": ["model_name_or_path=x"], "tool": ["data=x"], "options": ["dataroot=x"]}.get(name, [])
    assert made.config(*needs, name="train" if name == "tool" else "base") is not None
    compile((made.root / "run.py").read_text(), "run.py", "exec")
    compile((made.root / f"conf/{name}/sweep.py").read_text(), "sweep.py", "exec")
    assert ("not read" in made.err) == (name == "unreadable")


@pytest.mark.parametrize("name", ["imagenet", "mnist", "hugging", "timm", "detr", "nano", "options"])
def test_a_script_that_reads_its_command_line_is_given_one(
    name: str, drafted: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "imagenet": (["lr=0.2", "evaluate=true", "data=/d", "seed=3"], ["/d", "--lr=0.2", "--evaluate", "--seed=3"]),
        "mnist": (["batch_size=8", "no_cuda=true"], ["--batch-size=8", "--no-cuda"]),
        "hugging": (["model_name_or_path=x", "task_name=mnli"], ["--task_name=mnli", "--model_name_or_path=x"]),
        "timm": (["decay_epochs=[5]", "mean=[0.5,-1]"], ["--mean", "0.5", "-1.0", "--decay-epochs", "5"]),
        "detr": (["aux_loss=false", "position_embedding=learned"], ["--position_embedding=learned", "--no_aux_loss"]),
        "nano": (["compile=true", "patience=-1"], ["--compile", "--patience=-1.0"]),
        "options": (["dataroot=x", "lambda_l1=3"], ["--dataroot=x", "--lambda_l1=3.0"]),
    }
    overrides, words = changes[name]
    made = drafted(SCRIPTS[name], name)
    given = made.words(*overrides)
    # An option that says no is given at its default, too: that changes nothing.
    assert [word for word in given if word != "--no-compile"] == words

    monkeypatch.setattr(sys, "argv", [f"{name}.py", *words])
    told = io.StringIO()
    with redirect_stdout(told):
        result = made.task_file().main(name, made.config(*overrides), "ERROR")
    if name in ("imagenet", "mnist", "hugging", "timm"):
        key, _, value = overrides[0].partition("=")
        assert str(result[key]).replace(" ", "") == value
    elif name != "detr":
        assert told.getvalue().startswith(name)


def test_a_function_that_takes_the_arguments_is_given_them_as_argparse_has_them(drafted: Draft) -> None:
    made = drafted(SCRIPTS["fitting"], "fitting")
    script = imported(made.root / "fitting.py")
    task_file = made.task_file()
    found = task_file.main("fitting", made.config(), "ERROR")
    assert found == {name: str(value) for name, value in vars(script.build().parse_args([])).items()}

    overrides = ["pair=3:4", "sizes=1", "maybe=5", "color=blue", "lambda_=2", 'opts={"a": 1}', "dims=[8,9]"]
    words = [
        "--pair=3:4",
        "--sizes=1",
        "--maybe=5",
        "--color=blue",
        "--lambda=2",
        '--opts={"a": 1}',
        "--dims",
        "8",
        "9",
    ]
    changed = task_file.main("fitting", made.config(*overrides), "ERROR")
    assert {**changed, "dims": "[8, 9]"} == {
        name: str(value) for name, value in vars(script.build().parse_args(words)).items()
    }


def test_fields_have_the_types_that_arguments_have(drafted: Draft) -> None:
    found = fields(drafted(SCRIPTS["fitting"], "fitting").proto)
    assert found == {
        "launcher": "optional Launcher",
        "lr": "optional doubledefault = 0.0003",
        "steps": "optional int32default = 1000",
        "color": "optional Colordefault = red",
        "use_it": "optional booldefault = true",
        "opts": "optional string",
        "maybe": "optional int32",
        "pair": 'optional stringdefault = "1:2"',
        "sizes": 'optional stringdefault = "3,4"',
        "dims": "repeated int32",
        "mode": 'optional stringdefault = "slow"',
        "out": 'optional stringdefault = "out/x"',
        "level": "optional Level.Kinddefault = all",
        "size": 'optional stringdefault = "x"',
        "big": "optional int64default = 1099511627776",
        "lambda_": "optional doubledefault = 0.5",
        "launcher_2": 'optional stringdefault = "none"',
    }


def test_each_subcommand_is_a_task_with_the_arguments_before_it(tmp_path: Path, drafted: Draft) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/pyproject.toml").write_text("")
    made = drafted(SCRIPTS["tool"], "tool")
    assert sorted(path.name for path in (made.root / "conf/tool").iterdir()) == [
        "eval_all.prototxt", "sweep.py", "train.prototxt"
    ]  # fmt: skip
    assert made.words("data=d", "verbose=2", name="train") == ["--verbose", "--verbose", "train", "d"]
    assert made.words("ckpt=c", "files=[a,b]", name="eval_all") == ["eval-all", "a", "b", "--ckpt=c"]

    told = io.StringIO()
    with redirect_stdout(told):
        made.task_file().main("train", made.config("data=d", "lr=0.5", name="train"), "ERROR")
    assert told.getvalue() == "training d 0.5\n"


@pytest.mark.parametrize("is_repository", [True, False])
def test_many_subcommands_have_tasks_and_the_first_ones_have_configs(
    is_repository: bool, tmp_path: Path, drafted: Draft
) -> None:
    (tmp_path / "project").mkdir()
    for name in ("pyproject.toml", ".gitignore") if is_repository else ():
        (tmp_path / "project" / name).write_text("")
    lines = "".join(f"p = sub.add_parser('do-{n}')\np.add_argument('--x', default={n})\n" for n in range(20))
    made = drafted(f"{HEAD}sub = parser.add_subparsers()\n{lines}parser.parse_args()\n", "many")
    assert len(load_schema(find_project(made.root)).tasks) == 20
    assert len([line for line in made.out.splitlines() if line.startswith("made")]) == 12
    assert len(list((made.root / "conf/many").glob("*.prototxt"))) == (3 if is_repository else 1)
    left = "do_3, do_4" if is_repository else "do_1, do_2"
    assert f"in the proto, but without a config yet: {left}" in made.err


def test_a_new_folder_for_a_script_elsewhere_says_what_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mnist.py").write_text(SCRIPTS["mnist"])
    monkeypatch.chdir(tmp_path)
    assert main(["init", "new", "--from", "mnist.py"]) == 0
    assert f"note: mnist.py lies outside of {tmp_path}/new: jobs run it as it is then" in capsys.readouterr().err
    assert "python run.py --cfg conf/mnist/base.prototxt seed=2" in (tmp_path / "new/README.md").read_text()
    done = run(tmp_path / "new", "run.py", "--cfg", "conf/mnist/base.prototxt", "seed=2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1\n2\n")


def test_nested_subcommands_are_tasks(drafted: Draft) -> None:
    text = f"""{HEAD}
parser.add_argument("--top", type=int, default=1)
sub = parser.add_subparsers()
remote = sub.add_parser("remote")
remote.add_argument("--url", default="u")
inner = remote.add_subparsers()
add = inner.add_parser("add")
add.add_argument("name")
parser.parse_args()
"""
    made = drafted(text, "git")
    assert fields(made.proto).keys() == {"launcher", "top", "url", "name"}
    found = made.task_file().words("remote_add", made.config("name=n", "url=v", "top=2", name="base"))
    assert found == ["--top=2", "remote", "--url=v", "add", "n"]


SWALLOWING = f"""{HEAD}
parser.add_argument("--xs", type=int, nargs="*", default=[0])
ENDING
sub = parser.add_subparsers(dest="command")
train = sub.add_parser("train")
train.add_argument("--lr", type=float, default=1.0)
if __name__ == "__main__":
    args = parser.parse_args()
    print(args.command, args.xs)
"""


@pytest.mark.parametrize(
    ("ending", "given", "words"),
    [
        ('parser.add_argument("--seed", type=int, default=3)', [], ["--seed=3"]),
        ('parser.add_argument("--seed", type=int, default=3)', ["seed=4"], ["--seed=4"]),
        ('parser.add_argument("--log", type=bool, default=True)', [], ["--log=True"]),
        ('parser.add_argument("--log", action=argparse.BooleanOptionalAction, default=False)', [], ["--no-log"]),
        ('parser.add_argument("--out", required=True)', ["out=o"], ["--out=o"]),
    ],
)
def test_an_option_with_any_number_of_values_does_not_swallow_the_subcommand(
    drafted: Draft, ending: str, given: list[str], words: list[str]
) -> None:
    made = drafted(SWALLOWING.replace("ENDING", ending), "tool")
    found = made.words("xs=[1,2]", *given)
    assert found == ["--xs", "1", "2", *words, "train"]
    done = run(made.root, "tool.py", *found)
    assert done.stdout == "train [1, 2]\n", done.stderr
    assert "only have its default" not in made.err


@pytest.mark.parametrize("ending", ["", 'parser.add_argument("--name")', 'parser.add_argument("-v", action="count")'])
def test_where_no_option_can_stand_between_them_it_keeps_its_default(drafted: Draft, ending: str) -> None:
    made = drafted(SWALLOWING.replace("ENDING", ending), "tool")
    assert "note: xs can only have its default: on a command line, argparse takes the subcommand behind it" in made.err
    assert made.words("lr=2") == ["train", "--lr=2.0"]
    with pytest.raises(ValueError, match="--xs can only have its default"):
        made.words("xs=[1,2]")


def test_a_list_of_lists_is_not_said_to_be_read(drafted: Draft) -> None:
    made = drafted(
        f"""{HEAD}
parser.add_argument("--crop", action="append", type=int, nargs=2)
parser.add_argument("--more", action="append", nargs="+", default=[])
parser.add_argument("--tag", action="append", nargs="?", const="x")
parser.add_argument("--lr", type=float, default=0.1)
if __name__ == "__main__":
    args = parser.parse_args()
"""
    )
    assert fields(made.proto).keys() == {"launcher", "tag", "lr"}
    assert [line for line in made.err.splitlines() if line.startswith("not read")] == [
        "not read: line 4: crop: append with nargs=2 makes a list of lists",
        'not read: line 5: more: append with nargs="+" makes a list of lists',
    ]
    assert "read 2 arguments" in made.err
    assert made.words("lr=1") == ["--lr=1.0"]


def test_what_cannot_be_read_is_said_with_its_line_in_the_proto_and_at_the_end(drafted: Draft) -> None:
    made = drafted(SCRIPTS["unreadable"], "unreadable")
    said = [line for line in made.err.splitlines() if line.startswith("not read")]
    assert said == [
        "not read: line 11: the arguments of a parent: [other.parser]",
        'not read: line 15: parser.add_argument("--" + name)',
        "not read: line 16: the default of workers: os.cpu_count()",
        "not read: line 17: the choices of kind: other.KINDS",
        "not read: line 18: what the action other.Seed does: its value is taken as it is given",
        'not read: line 19: parser.add_argument(os.environ["FLAG"])',
    ]
    assert [f"// {line}" for line in said] == [
        line for line in made.proto.splitlines() if line.startswith("// not read")
    ]
    assert fields(made.proto).keys() == {"launcher", "lr", "hidden", "workers", "kind", "seed"}


def test_arguments_of_a_script_that_are_not_all_read_leave_it_to_argparse_to_parse(drafted: Draft) -> None:
    text = f"""import argparse
def main(args):
    return vars(args)
if __name__ == "__main__":
    {HEAD.splitlines()[1]}
    parser.add_argument("--x", default=1)
    parser.add_argument(__file__)
    main(parser.parse_args())
"""
    made = drafted(text)
    assert "train.py is run as a whole, as not all of its arguments could be read (line 8)" in made.err


@pytest.mark.parametrize(
    ("dest", "name"),
    [
        ("batch-size", "batch_size"),
        ("2x", "field_2x"),
        ("launcher", "launcher_2"),
        ("includes", "includes_2"),
        ("lambda", "lambda_"),
        ("to_dict", "to_dict_2"),
        ("größe", "groe"),
        ("日本", "field"),
        ("model.lr", "model_lr"),
        ("message", "message"),
        ("self", "self"),
        ("NULL", "NULL_"),
        ("Launcher", "Launcher_2"),
        ("_private", "private"),
    ],
)
def test_a_name_that_no_field_can_have_becomes_one_that_it_can(dest: str, name: str, drafted: Draft) -> None:
    made = drafted(f"""import argparse
def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--{dest}", type=int, default=1)
    return parser.parse_args()
def main(args):
    return vars(args)
if __name__ == "__main__":
    main(parse_args())
""")
    assert list(fields(made.proto)) == ["launcher", name]
    assert list(made.task_file().main("train", made.config(f"{name}=7"), "ERROR").values()) == [7]


@pytest.mark.parametrize(
    "text",
    ["*/ } message X {", "a\\nb\\x1b[31m", "// was: lr", "was: lr", "{{ROOT_DIR}}",
     '""" + exit(1) + """', "\\u2028 \\u202e",
     "\\\\", "'''", "%(nothing)s %d 100%", "\\udc80"],
)  # fmt: skip
def test_no_text_of_a_script_leaves_its_place(text: str, drafted: Draft) -> None:
    quoted = f"'{text}'" if "'" not in text else f'"{text}"'
    made = drafted(f"""# coding: utf-8
import argparse
def parse_args():
    parser = argparse.ArgumentParser(description={quoted})
    group = parser.add_argument_group({quoted}, {quoted})
    group.add_argument("--name", default={quoted}, help={quoted})
    group.add_argument("--kind", default={quoted}, choices=[{quoted}, "b"])
    group.add_argument("--many", default=[{quoted}], nargs="*")
    group.add_argument("--other", default=unknown({quoted}))
    return parser.parse_args()
def main(args):
    return vars(args)
if __name__ == "__main__":
    main(parse_args())
""")
    proto = (made.root / "conf/conf.proto").read_text()
    assert len(load_schema(find_project(made.root)).tasks) == 1
    assert all(line.isprintable() for line in proto.splitlines())
    script = ast.literal_eval(quoted)
    cfg = made.config()
    if script.isascii() or script.isprintable():
        assert cfg.name == cfg.kind == script
        assert cfg.many == (script,)
    compile((made.root / "run.py").read_text(), "run.py", "exec")


def test_a_script_is_neither_run_nor_imported_nor_changed(drafted: Draft, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        f"{HEAD}open('ran', 'w')\nprint('ran')\nparser.add_argument('--x', default=open('ran'))\nraise SystemExit(3)\n"
    )
    made = drafted(text)
    assert not (made.root / "ran").exists()
    assert "ran" not in made.out.split()
    assert (made.root / "train.py").read_text() == text


@pytest.mark.parametrize(
    "default",
    ["9**9**9**9", "'a' * 10**12", "[0] * 10**12", "1 << 10**10", "f'{1:1000000000}'", "'%1000000000d' % 1",
     "list(range(10**12))", "'{:1000000000}'.format(1)", "(" * 50 + "1" + ")" * 50, "-" * 200 + "1",
     "+".join(["1"] * 500)],
)  # fmt: skip
def test_no_literal_takes_long_or_much_memory(default: str, drafted: Draft) -> None:
    made = drafted(f"{HEAD}parser.add_argument('--x', default={default})\nparser.parse_args()\n")
    assert list(fields(made.proto)) == ["launcher", "x"]


def test_functions_that_call_each_other_without_end_are_followed_for_a_while(drafted: Draft) -> None:
    calls = "".join(f"def f{n}(p):\n    f{n + 1}(p)\n    f{n + 1}(p)\n    f{n + 1}(p)\n" for n in range(30))
    made = drafted(
        f"{HEAD}{calls}def f30(p):\n    f0(p)\nparser.add_argument('--x')\nf0(parser)\nparser.parse_args()\n"
    )
    assert "not read: line 1: the script goes on further than is followed: arguments may be missing" in made.err


def test_what_lies_in_the_project_is_found_from_a_run_s_folder(tmp_path: Path, drafted: Draft) -> None:
    (tmp_path / "project/data").mkdir(parents=True)
    (tmp_path / "project/runs").mkdir()
    made = drafted(f"""{HEAD}
parser.add_argument("--data", default="./data/")
parser.add_argument("--output", default="runs")
parser.add_argument("--other", default="nowhere")
parser.parse_args()
""")
    cfg = made.config()
    assert (cfg.data, cfg.output, cfg.other) == (str(made.root / "data"), "runs", "nowhere")


def test_a_package_below_src_is_imported_from_there_and_other_files_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "src/pack/__init__.py": "",
        "src/pack/model.py": "SIZE = 3\n",
        "src/pack/fit.py": """import argparse
from .model import SIZE
def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.1)
    return parser
def main(args):
    return {"size": SIZE, "lr": args.lr}
if __name__ == "__main__":
    main(arguments().parse_args())
""",
        "run.py": "print('mine')\n",
        "README.md": "mine\n",
        "conf/config.yaml": "mine: 1\n",
        "pyproject.toml": '[project]\nname = "pack"\nversion = "1"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--from", "src/pack/fit.py"]) == 0
    assert "python heyhi_task.py --cfg conf/fit/base.prototxt lr=0.05" in capsys.readouterr().err
    for name, text in files.items():
        assert (tmp_path / name).read_text().startswith(text)

    done = run(tmp_path, "heyhi_task.py", "--cfg", "conf/fit/base.prototxt", "lr=0.05")
    assert done.returncode == 0, done.stderr
    (result,) = tmp_path.glob("results/p/fit/base/*/result.json")
    assert json.loads(result.read_text()) == {"size": 3, "lr": 0.05}


def test_a_script_in_a_folder_that_is_no_package_finds_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/helper.py").write_text("SIZE = 3\n")
    work = "parser.add_argument('--x', type=int, default=1)\nprint(helper.SIZE + parser.parse_args().x)\n"
    (tmp_path / "tools/train-it.py").write_text(f"import helper\n{HEAD}{work}")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--from", "tools/train-it.py"]) == 0
    done = run(tmp_path, "run.py", "--cfg", "conf/train_it/base.prototxt", "x=5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "8"


def test_a_dry_run_prints_what_would_be_written_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train.py").write_text(SCRIPTS["mnist"])
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--from", "train.py", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]
    assert "--- conf/conf.proto" in said.out
    assert "optional int32 batch_size = 2 [default = 64];" in said.out
    assert said.err.endswith("dry run: nothing was written\n")


def test_a_second_script_is_shown_for_the_project_that_is_there(
    drafted: Draft, capsys: pytest.CaptureFixture[str]
) -> None:
    made = drafted(SCRIPTS["mnist"])
    (made.root / "evaluate.py").write_text(
        f"{HEAD}parser.add_argument('--folds', type=int, default=5)\nparser.parse_args()\n"
    )
    before = {path: path.read_bytes() for path in made.root.rglob("*") if path.is_file()}
    with pytest.raises(SystemExit) as stop:
        main(["init", ".", "--from", "evaluate.py"])
    assert stop.value.code == 2
    assert "`heyhi docs existing-repo` shows: A second task" in capsys.readouterr().err
    assert main(["init", ".", "--from", "evaluate.py", "--dry-run"]) == 0
    said = capsys.readouterr()
    assert [line for line in said.out.splitlines() if line.startswith("---")] == [
        "--- conf/evaluate/base.prototxt", "--- conf/evaluate/sweep.py", "--- conf/conf.proto", "--- run.py"
    ]  # fmt: skip
    assert "  optional int32 folds = 2 [default = 5];" in said.out
    assert said.err.splitlines()[-1].startswith("dry run: nothing was written; this is a project already")
    assert {path: path.read_bytes() for path in made.root.rglob("*") if path.is_file()} == before


def test_the_section_that_a_second_script_is_led_to_is_there(repository: Path) -> None:
    assert "\n## A second task\n" in (repository / "docs/existing-repo.md").read_text()


@pytest.mark.parametrize(
    ("argument", "override"),
    [("'--data', required=True", "data=DATA"), ("'files', nargs='+'", "'files=[…]'"), ("'--data', nargs='+'", "")],
)
def test_what_has_to_be_set_is_said_in_place_of_a_command_that_fails(
    argument: str, override: str, drafted: Draft
) -> None:
    made = drafted(f"{HEAD}parser.add_argument({argument})\nparser.parse_args()\n")
    name = override.strip("'").partition("=")[0]
    if not override:
        assert made.err.endswith("\n  heyhi run\n")
        return
    assert f"note: to be set before `heyhi run`, in conf/train/base.prototxt, or as an override: {name}\n" in made.err
    assert made.err.endswith(f"\n  python run.py --cfg conf/train/base.prototxt {override}\n")
    assert f"# {name}: has to be set" in (made.root / "conf/train/base.prototxt").read_text()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("pyproject.toml", '[project]\nname = "a"\nversion = "1"\n[project.scripts]\nfit = "train:main"\n'),
        ("pyproject.toml", '[tool.poetry.scripts]\nfit = "train:main"\nother = {callable = "a:b"}\n'),
        ("setup.cfg", "[options.entry_points]\nconsole_scripts =\n    fit = train:main [extra]\n"),
        ("pyproject.toml", '[project]\nname = "a"\nversion = "1"\n[project.scripts]\nfit = "other:main"\n'),
        ("setup.cfg", "console_scripts\n= 1\n"),
    ],
)
def test_a_main_that_is_a_command_of_the_package_is_not_to_return_numbers(
    file: str, text: str, tmp_path: Path, drafted: Draft
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / file).write_text(text)
    note = "note: main is the command fit of this package, too, to which a result is an error: "
    assert (note in drafted(SCRIPTS["imagenet"]).err) == ("train:main" in text)


RESUMES = """\
import argparse, json, pathlib, sys
def parse_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--resume", help="checkpoint to go on from")
    return parser.parse_args()
def main({args}):
    {parse}
    epoch = json.loads(pathlib.Path(args.resume).read_text()) if args.resume else 0
    if epoch == 0:
        pathlib.Path("checkpoint.pt").write_text("7")
        raise RuntimeError("interrupted")
    return {{"began": epoch}}
if __name__ == "__main__":
    {call}
"""


@pytest.mark.parametrize("is_with_args", [True, False])
def test_the_lines_that_the_docs_have_for_resume_make_an_interrupted_run_go_on(
    is_with_args: bool, drafted: Draft, repository: Path
) -> None:
    words = ("args", "pass", "main(parse_args())") if is_with_args else ("", "args = parse_args()", "main()")
    made = drafted(RESUMES.format(**dict(zip(("args", "parse", "call"), words, strict=True))))
    section = (repository / "docs/from-argparse.md").read_text().partition("## A script with `--resume PATH`")[2]
    lines = section.partition("```python\n")[2].partition("```")[0]
    if not is_with_args:
        last = section.partition("the last line is `")[2].partition("`")[0]
        lines = lines.replace('args.resume = "checkpoint.pt"', last)
    task_file = made.root / "run.py"
    before = "    return script.main(args)" if is_with_args else "    import train as script"
    assert task_file.read_text().count(before) == 1
    task_file.write_text(task_file.read_text().replace(before, f"{textwrap.indent(lines, '    ')}{before}"))

    assert run(made.root, "run.py", "--cfg", "train/base").returncode == 1
    done = run(made.root, "run.py", "--cfg", "train/base", "--mode", "start_continue")
    assert done.returncode == 0, done.stderr
    (result,) = made.root.glob("results/p/train/base/*/result.json")
    assert json.loads(result.read_text()) == {"began": 7}


REFUSED = {
    "click": (
        "import click\n@click.command()\ndef f(): pass\n",
        "reads its arguments by click, and only argparse is read",
    ),
    "typer": ("from typer import Typer\n", "by Typer, and"),
    "fire": ("import fire\nfire.Fire()\n", "by Fire, and"),
    "tyro": ("import tyro\n", "by tyro, and"),
    "absl": ("from absl import app, flags\n", "by absl, and"),
    "simple_parsing": ("from simple_parsing import ArgumentParser\nArgumentParser()\n", "by simple-parsing, and"),
    "hydra": ("import hydra\n", "by Hydra, and"),
    "hf": ("from transformers import HfArgumentParser\n", "by transformers.HfArgumentParser, and"),
    "nothing": ("print(1)\n", "has no argparse.ArgumentParser, and only argparse is read"),
    "python 2": ("import argparse\nprint 'x'\n", "train.py:2: is no valid Python: Missing parentheses"),
    "syntax": ("import argparse\nparser = (\n", "train.py:2: is no valid Python: '(' was never closed"),
    "null": ("import argparse\0\n", "is no valid Python: source code string cannot contain null bytes"),
    "deep": ("(" * 5000 + "\n", "train.py"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_script_without_arguments_of_argparse_is_refused_and_nothing_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, expected = REFUSED[name]
    (tmp_path / "train.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["init", "--from", "train.py"])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert expected in said
    assert said.endswith("nothing was written\n")
    assert [path.name for path in tmp_path.iterdir()] == ["train.py"]


def test_a_module_that_a_script_has_its_parser_from_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "options.py").write_text("import argparse\ndef get(): return argparse.ArgumentParser()\n")
    (tmp_path / "train.py").write_text("import os\nfrom options import get\nget().parse_args()\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["init", "--from", "train.py"])
    assert "options.py, which it imports, names argparse: give that one" in capsys.readouterr().err


def test_a_stream_is_no_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["init", "--from", "/dev/stdin"])
    assert end.value.code == 2 and not list(tmp_path.iterdir())
    assert "/dev/stdin: is no file that stays; expected a Python script" in capsys.readouterr().err


def test_a_script_in_another_encoding_that_it_names_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"# -*- coding: latin-1 -*-\n{HEAD}parser.add_argument('--x', help='größer')\nparser.parse_args()\n"
    (tmp_path / "train.py").write_bytes(text.replace("\n", "\r\n").encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--from", "train.py"]) == 0
    assert "// größer" in (tmp_path / "conf/conf.proto").read_text(encoding="utf-8")


def test_the_docs_show_the_script_that_they_port(repository: Path) -> None:
    shown = (repository / "docs/from-argparse.md").read_text()
    assert f"```python\n{(repository / 'docs/from-argparse/train.py').read_text()}```" in shown
