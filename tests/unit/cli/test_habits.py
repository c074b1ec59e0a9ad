"""What people type who come from other programs is answered by how it is typed here, in one sentence."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heyhi.cli.habits import COMMANDS
from heyhi.cli.main import main
from heyhi.cli.mistakes import telling_habits
from heyhi.cli.parser import make_parser
from heyhi.cli.task_command import parse_args_and_maybe_launch
from heyhi.errors import OverrideError

PROTO = """
syntax = "proto2";
message MetaCfg { repeated Include includes = 1; oneof task { Train train = 2; } }
message Include { optional string path = 1; optional string mount = 2; }
message Train {
  optional int32 epochs = 1; optional double lr = 2; optional int32 seed = 3; optional int32 batch_size = 4;
  optional bool shuffle = 5; optional Sgd sgd = 6; optional Launcher launcher = 7; optional string name = 8;
  repeated int32 sizes = 9;
}
message Sgd { optional double momentum = 1; }
message Launcher { oneof kind { Local local = 1; Slurm slurm = 2; } }
message Local { optional int32 cpus = 1; }
message Slurm { optional string partition = 1; optional int32 num_gpus = 2; optional double mem_per_gpu = 3; }
"""
Say = Callable[[str], str]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("HH_EXP_DIR", raising=False)
    root = tmp_path / "project"
    (root / "conf/base").mkdir(parents=True)
    (root / "conf/conf.proto").write_text(PROTO)
    (root / "conf/base/net.prototxt").write_text("train { lr: 1 }\n")
    (root / "conf/many.py").write_text("def yield_sweep():\n    yield 'base/net', {'seed': 1}\n")
    (root / "profiles/local").mkdir(parents=True)
    (root / "profiles/local/config.yaml").write_text("executor: local\n")
    (root / "run.py").write_text("import heyhi\n\n\ndef main(task, cfg, log_level):\n    return {}\n")
    (root / "train.py").write_text("import argparse\n")
    (root / "pyproject.toml").write_text('[tool.heyhi]\nsweep = "conf/many.py"\n')
    monkeypatch.chdir(root)
    return root


def no_task(**_: Any) -> None:
    raise AssertionError("nothing is to be run")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Return what a wrong command says."""

    def call(line: str) -> str:
        program, *words = shlex.split(line)
        with pytest.raises(SystemExit) as stop:
            if program == "heyhi":
                main(words)
            parse_args_and_maybe_launch(no_task, words)
        assert stop.value.code == 2
        return capsys.readouterr().err

    return call


HABITS = [
    # argparse, click, dora
    ("run --cfg base/net --epochs 3", "'--epochs 3': a key of a config is set without dashes, by =: epochs=3"),
    ("run --cfg base/net -epochs 3", "'-epochs 3': a key of a config is set without dashes, by =: epochs=3"),
    ("run --cfg base/net -epochs=3", "'-epochs=3': a key of a config is set without dashes, by =: epochs=3"),
    ("launch --cfg base/net --lr .1 --epochs 3", "'--lr .1': a key of a config is set without dashes, by =: lr=.1"),
    ("plan --cfg base/net --batch-size 3", "by =: batch_size=3"),
    ("plan --cfg base/net --momentum 0.9", "by =: sgd.momentum=0.9"),
    ("plan --cfg base/net --epoch 3", "by =: epochs=3"),
    ("plan --cfg base/net --shuffle", "without dashes: shuffle=…"),
    ("plan --cfg base/net --no-shuffle", "without dashes: shuffle=false"),
    ("print base/net --epochs 3", "by =: epochs=3"),
    ("run --cfg base/net --seeds 3", "'--seeds 3': --sweep 'seed=range(3)'"),
    ("run --cfg base/net --config x", "'--config x': --cfg x"),
    ("run --cfg base/net --workers 4", "'--workers 4': --jobs 4"),
    ("run --cfg base/net -j 4", "'-j 4': --jobs 4"),
    ("run --cfg base/net --resume", "the same command again goes on"),
    ("run --cfg base/net --overwrite", "--redo-drifted makes anew"),
    ("run --cfg base/net --mode restart", "python run.py --cfg CFG --mode restart"),
    ("run --cfg base/net --output-dir out", "--out P, an exp id pattern"),
    ("launch --cfg base/net --local", "heyhi run runs here"),
    ("run --cfg base/net --detach", "heyhi launch starts a controller that outlives the terminal"),
    # blanks and colons
    ("run --cfg base/net epochs 3", "'epochs': an override is one word, key=value: epochs=3"),
    ("run --cfg base/net epochs: 3", "'epochs:': an override is one word, key=value: epochs=3"),
    ("run --cfg base/net epochs:3", "key=value: epochs=3"),
    ("run --cfg base/net epochs = 3", "key=value: epochs=3"),
    ("run --cfg base/net epochs =3", "key=value: epochs=3"),
    ("run --cfg base/net epochs= 3", "key=value: epochs=3"),
    ("run --cfg base/net '{lr: 0.1}'", "key=value: lr=0.1"),
    ("run --cfg base/net lr", "key=value: lr=…"),
    # Hydra
    ("run --cfg base/net +epochs=3", "'+epochs=3': every key is in the schema: epochs=3"),
    ("run --cfg base/net ++lr=3", "every key is in the schema: lr=3"),
    ("run --cfg base/net '~lr'", "NULL clears a key: lr=NULL"),
    ("run --cfg base/net '~lr=3'", "NULL clears a key: lr=NULL"),
    ("run --cfg base/net hydra/launcher=submitit_slurm", "a launcher is a chunk of the config: I.launcher=slurm"),
    ("run --cfg base/net hydra/launcher=joblib", "I.launcher=local"),
    ("run --cfg base/net hydra.run.dir=x", "--out P is another way"),
    ("run --cfg base/net hydra.verbose=true", "python run.py --cfg base/net --log-level DEBUG"),
    ("run --cfg base/net hydra.job.name=x", "heyhi describe --settings"),
    ("run --cfg base/net +decay_of_weights=3", "add 'decay_of_weights' to conf/conf.proto, then decay_of_weights=3"),
    ("run --cfg base/net 'lr=???'", "give the value: lr=…"),
    ("run --cfg base/net --sweep 'lr=interval(0,1)'", "--sweep 'lr=uniform(0,1,n=10)'; heyhi search has --space"),
    ("run --cfg base/net --sweep 'lr=choice(0.1,0.2)'", "n=COUNT times; each of them once: --sweep lr=0.1,0.2"),
    ("run --cfg base/net lrate=3", "unknown key 'lrate': Train has no field 'lrate' (did you mean 'lr'?)"),
    ("run --cfg base/net db/user=x", "a chunk is included at its mount: I.db.user=x"),
    ("run --cfg base/net -m lr=0.1,0.2", "'-m': --sweep lr=0.1,0.2"),
    ("run --cfg base/net --multirun lr=0.1,0.2 seed=1,2", "--sweep lr=0.1,0.2 --sweep seed=1,2"),
    ("run --config-name base/net", "'--config-name base/net': --cfg base/net"),
    ("run --cfg base/net 'lr=${x}'", "a config has no ${…}"),
    ("run --cfg base/net lr=null", "NULL clears a key: lr=NULL"),
    # SEML, Optuna, Ray: values
    ("run --cfg base/net lr=0.1,0.2", "'lr=0.1,0.2': several values are swept: --sweep lr=0.1,0.2"),
    ("run --cfg base/net 'lr=[0.1, 0.2]'", "--sweep lr=0.1,0.2"),
    ("run --cfg base/net 'seed=range(3)'", "--sweep 'seed=range(3)'"),
    ("run --cfg base/net 'lr=choice(1,2)'", "--sweep lr=1,2"),
    ("run --cfg base/net 'lr=tune.grid_search([1,2])'", "--sweep lr=1,2"),
    ("run --cfg base/net 'lr=loguniform(1e-4,1)'", "--space 'lr=loguniform(1e-4,1)'"),
    ("run --cfg base/net lr==3", "'lr==3': no value begins with '=': lr=3"),
    ("run --cfg base/net 'lr=0.1;'", "'lr=0.1;': no value ends with ';': lr=0.1"),
    ("run --cfg base/net shuffle=yes", "'shuffle=yes': 'yes' is no bool: shuffle=true"),
    ("run --cfg base/net shuffle=no", "'shuffle=no': 'no' is no bool: shuffle=false"),
    ("run --cfg base/net epochs=1e3", "'epochs=1e3': an integer is written in digits alone: epochs=1000"),
    ("run --cfg base/net --set lr=1", "overrides stand there as they are: lr=1"),
    # sbatch
    ("launch --cfg base/net --partition main", "the launcher: launcher.slurm.partition=main"),
    ("launch --cfg base/net --partition=main", "the launcher: launcher.slurm.partition=main"),
    ("launch --cfg base/net -p main", "launcher.slurm.partition=main"),
    ("launch --cfg base/net --gres gpu:a100:2", "launcher.slurm.num_gpus=2"),
    ("launch --cfg base/net --mem 16G", "launcher.slurm.mem_per_gpu=16"),
    ("launch --cfg base/net --nodes=2", "'--nodes=2': launcher.slurm.num_gpus says how many GPUs"),
    ("launch --cfg base/net -N 2", "'-N 2': launcher.slurm.num_gpus says how many GPUs"),
    ("launch --cfg base/net --array=1-4", "--sweep KEY=VALUES makes a job for each value"),
    ("launch --cfg base/net --exclusive", "'--exclusive': launcher.slurm.extra=--exclusive"),
    ("launch --cfg base/net --dependency=afterok:3", "waits for what its config names by {{exp …}}: heyhi docs needs"),
    ("launch --cfg base/net --wrap 'python train.py'", "a job runs main of the task file with a config"),
    ("launch --cfg base/net --ntasks 4", "launcher.slurm.num_gpus: a task for each GPU"),
    ("launch --cfg base/net --output x.log", "--out P, an exp id pattern"),
    # options of other commands
    ("plan --profile local", "'--profile': no option of heyhi plan; launch, run, search and retry have it"),
    ("plan --cfg base/net --profile=local", "'--profile=local': no option of heyhi plan; launch, run, search and"),
    ("plan --profile=local", "'--profile=local': no option of heyhi plan; launch, run, search and"),
    ("logs --json x", "'--json': no option of heyhi logs; expand, plan, status, launch, run and others have it"),
    ("report --format csv", "--to FILE writes the table"),
    ("run.py --cfg base/net --jobs 3", "'--jobs': no option of a task file; heyhi launch, run and retry have it"),
    # of a search, and of a sweep
    ("plan --cfg base/net --seed 3", "'--seed 3': --seed is of a search, with --space; the key of the config is set"),
    ("plan --cfg base/net --sweep 'lr=[0.1,0.2]'", "are one word, with commas between them: --sweep lr=0.1,0.2"),
    ("plan --cfg base/net --sweep=seed=0:3", "a range is written like Python's: --sweep 'seed=range(3)'"),
    ("plan --cfg base/net --sweep seed=1-3", "--sweep 'seed=range(1,4)'"),
    ("plan --cfg base/net --sweep seed=1..3", "--sweep 'seed=range(1,4)'"),
    ("plan --cfg base/net --sweep lr 0.1 0.2", "'--sweep lr 0.1 0.2': values of a key are one word, with commas"),
    ("run.py --multirun lr=0.1,0.2", "'--multirun': heyhi run --cfg CFG --sweep lr=0.1,0.2"),
    # letters that mean several things
    (
        "run --cfg base/net -q all",
        "'-q all': sbatch's --qos is launcher.slurm.qos=all, and Snakemake's --quiet is given",
    ),
    (
        "run --cfg base/net -q",
        "'-q': Snakemake's --quiet is given to Snakemake itself, in the line that heyhi plan ends",
    ),
    ("run --cfg base/net -q high", "'-q high': resources stand in the launcher: launcher.slurm.qos=high"),
    ("run -p conf/many.py", "'-p': Snakemake's --printshellcmds is given to Snakemake itself"),
    ("run --cfg base/net -t", "'-t': Snakemake's --touch is given to Snakemake itself"),
    ("run --cfg base/net -t 1:00:00", "'-t 1:00:00': resources stand in the launcher: launcher.slurm.time=1:00:00"),
    ("run --cfg base/net -C sweep=x", "'-C': Snakemake's --config is given to Snakemake itself"),
    ("run --cfg base/net -A us", "launcher.slurm.account=us"),
    ("run -n --cfg base/net", "'-n': --dry-run"),
    ("run -c base/net", "'-c base/net': --cfg base/net"),
    ("run --cfg base/net -o lr=1", "'-o lr=1': overrides stand there as they are: lr=1"),
    ("run --cfg base/net -o out", "'-o out': --out P, an exp id pattern"),
    ("search --cfg base/net -j 4", "'-j 4': --parallel 4"),
    ("search --cfg base/net --workers 4", "'--workers 4': --parallel 4"),
    ("report -o table.csv", "'-o table.csv': --to table.csv"),
    ("report --output table.csv", "'--output table.csv': --to table.csv"),
    ("note conf/many.py -m bad", "'-m bad': --text bad"),
    # files
    ("run base.net", "a config goes by its path: base/net"),
    ("run --cfg base.net", "a config goes by its path: base/net"),
    ("run --cfg base/net.yaml", "a config goes by its path: base/net"),
    ("run conf/base", "is a folder of configs: which of them? base/net"),
    ("run --cfg base", "config 'base' is a folder: which of its configs? base/net"),
    ("run net", "(did you mean 'base/net'?)"),
    ("run --cfg net", "(did you mean 'base/net' or 'conf/base/net'?)"),
    ("run run.py", "heyhi run --cfg CFG runs what a config describes\n"),
    ("run train.py", "heyhi init --from makes a config of its arguments"),
    ("run --cfg conf/many.py", "is a sweep file, which is named without --cfg"),
    ("print conf/many.py", "is a sweep file, and no config: heyhi expand conf/many.py"),
    ("run --sweep conf/many.py", "a file is named by itself: heyhi run conf/many.py"),
    # commands
    ("lanch base/net", "'lanch' is no command: heyhi launch; heyhi --help lists them"),
    ("train", "'train' is no command: heyhi run;"),
    ("help run", "'help' is no command: heyhi run --help"),
    ("conf/many.py", "heyhi run conf/many.py runs it"),
    ("--cfg base/net lr=1", "heyhi run --cfg base/net lr=1 runs it"),
    # habits of `heyhi`, at a task file
    ("run.py --cfg base/net --sweep lr=1,2", "one experiment is run here: heyhi run --cfg base/net --sweep lr=1,2"),
    ("run.py --cfg base/net lr=1,2", "several values are swept: heyhi run --cfg base/net --sweep lr=1,2"),
    ("run.py --cfg base/net --epochs 3", "by =: epochs=3"),
    ("run.py --cfg base/net epochs 3", "key=value: epochs=3"),
    ("run.py base/net", "which config? --cfg base/net names it"),
    ("run.py --config-name=base/net", "which config? --cfg base/net names it"),
    ("run.py lr=0.1", "which config? --cfg CFG names it; overrides stand behind it: --cfg CFG lr=0.1"),
    ("run.py --lr 0.1", "which config? --cfg CFG names it; overrides stand behind it: --cfg CFG lr=0.1"),
    (
        "run.py --lr -0.1 base/net",
        "which config? --cfg base/net names it; overrides stand behind it: --cfg base/net lr=-0.1",
    ),
    (
        "run.py --mode restart epochs=3",
        "which config? --cfg CFG names it; overrides stand behind it: --cfg CFG epochs=3",
    ),
    (
        "run.py --config-name base/net --epochs=3",
        "--cfg base/net names it; overrides stand behind it: --cfg base/net epochs=3",
    ),
]


@pytest.mark.parametrize(("line", "said"), HABITS)
def test_a_habit_is_answered_by_how_it_is_typed_here(say: Say, project: Path, line: str, said: str) -> None:
    error = say(line if line.startswith("run.py") else f"heyhi {line}")
    assert said in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not (project / "results").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        # Another word is wrong than the one that looks like a habit.
        ("run --cfg nett lr=0.1,0.2", "config 'nett' doesn't exist"),
        ("run --cfg base/net name=a,b epochs=x", "key 'epochs' is an integer (int32), not 'x'"),
        ("run --cfg base/net --lrr=1", "unknown key 'lrr': Train has no field 'lrr' (did you mean 'lr'?)"),
        ("run --cfg base/net --sweep lr", "--sweep 'lr': expected key=value,value,"),
        ("run --cfg base/net --sweep 'lr=uniform(1)'", "expected uniform(low,high,n=COUNT"),
        ("run --cfg base/net --zip lr=1,2", "pairs 'lr' with no other key"),
        ("run --cfg base/net epochs=no", "key 'epochs' is an integer (int32), not 'no'"),
        ("run --cfg base/net epochs=3000000000", "out of range for an integer"),
        ("run --cfg base/net 'sizes=[1,x]'", "key 'sizes.1' is an integer (int32), not 'x'"),
        ("run --cfg base/net --al", "unknown option '--al'"),
        ("describe --settings base/net", "--settings are the project's"),
        ("run --cfg base/net 'sizes=1,2'", "key 'sizes' is a list"),
        ("run --cfg base/net --dryrun", "unknown option '--dryrun' (did you mean '--dry-run'"),
        ("run --cfg base/net --forse", "did you mean '--force'"),
        # Letters that mean nothing to these commands, or too many things.
        ("status -p main", "unknown option '-p': see heyhi status --help"),
        ("status -A", "unknown option '-A': see heyhi status --help"),
        ("status -j 3", "unknown option '-j': see heyhi status --help"),
        ("cancel -t RUNNING", "unknown option '-t': see heyhi cancel --help"),
        ("cancel --partition main", "unknown option '--partition'"),
        ("report -q", "unknown option '-q': see heyhi report --help"),
        ("logs -m x", "unknown option '-m': see heyhi logs --help"),
        ("run --cfg base/net -n 4", "unknown option '-n': see heyhi run --help"),
        ("run --cfg base/net -D out", "unknown option '-D': see heyhi run --help"),
        ("run --cfg base/net -c 4", "unknown option '-c': see heyhi run --help"),
        ("plan --cfg base/net --n-jobs 4", "unknown option '--n-jobs'"),
        ("run --cfg base/net --xyzzy", "unknown option '--xyzzy': see heyhi run --help"),
        ("xyzzy", "'xyzzy' is no command; heyhi --help lists them"),
        # What is only somewhat like a key, or is one of another experiment.
        ("run --cfg base/net --epoch_size 3", "unknown option '--epoch_size'"),
        ("run --cfg base/net --sweep 'sizes=[1],[x]'", "key 'sizes.0' is an integer (int32), not 'x'"),
        ("run --cfg base/net --sweep name=", "expected key=value,value,"),
    ],
)
def test_what_is_no_habit_is_told_as_ever(say: Say, line: str, said: str) -> None:
    assert said in say(f"heyhi {line}")


def test_what_is_right_is_never_taken_for_a_habit(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["name=a,b", "--epochs=3", "sizes=[1,2]", "lr=NULL", "name=choice(1)"]
    assert main(["print", "--cfg", "base/net", *words, "--flat"]) == 0
    assert "name=a,b" not in (out := capsys.readouterr().out) and "epochs=3" in out and "name=choice(1)" in out
    with telling_habits(["--epochs", "3"], sweeps=True), pytest.raises(OverrideError, match="of its own"):
        raise OverrideError("of its own")


def test_each_command_that_is_named_for_another_is_there() -> None:
    (commands,) = (a.choices for a in make_parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict))
    named = {text.split()[1] for text in COMMANDS.values()} - {"docs"}
    assert named <= set(commands) and not set(COMMANDS) & set(commands)
