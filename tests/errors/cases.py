"""What is done wrong: commands, and what there is that isn't as it should be."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Given:
    """Commands that are given to the project of project.py.

    Attributes:
        what: is otherwise in it; opens the names of the cases in messages.json.
        commands: as in a shell; DONE, DEAD, WAITING (as job 17) and MANIFEST
            stand for folders of experiments and for a manifest, DONE_ID for an exp id.
        files: are put into it before each command, see `project.write`; DONE and DEAD in a name as above.
        env: variables of the environment.
        programs: stand-ins for commands of Slurm's, which isn't there: name -> shell script.
        below: folder in which the command is given.
        lacks: modules that aren't installed.
    """

    what: str
    commands: tuple[str, ...]
    files: dict[str, str | bytes | None] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    below: str = "."
    lacks: tuple[str, ...] = ()


SEARCH = "import heyhi\nSEARCH = heyhi.Search(cfg='train', space={'lr': [1, 2]}, max='a', trials=2)\n"
WRONG_WORDS = (
    # No command that there is.
    "heyhi prnt train",
    "heyhi --verison",
    # expand, and what it shares with plan, status, launch, cancel, retry and report
    "heyhi expand conf/seedz.py",
    "heyhi expand conf",
    "heyhi expand lr=0.1",
    "heyhi expand conf/seeds.py lr=0.1",
    "heyhi expand --cfg",
    "heyhi expand --cfg=",
    "heyhi expand --cfg trian",
    "heyhi expand --cfg train lr",
    "heyhi expand --cfg train lrr=1",
    "heyhi expand --cfg train --lrr=1",
    "heyhi expand --cfg train --zipp",
    "heyhi expand --cfg train --json --manifest",
    "heyhi expand --sweep lr=1",
    "heyhi expand --zip",
    "heyhi expand --adhoc",
    "heyhi expand --out p/%(cfg)s",
    "heyhi expand --cfg train --sweep lr",
    "heyhi expand --cfg train --sweep lr=",
    "heyhi expand --cfg train --sweep lr=1,,2",
    "heyhi expand --cfg train --sweep lr=1,2,",
    'heyhi expand --cfg train --sweep "lr=\'1,2"',
    "heyhi expand --cfg train --sweep 'lr=[1,2'",
    "heyhi expand --cfg train --sweep seed=1,010",
    "heyhi expand --cfg train --sweep 'seed=range(10000000000)'",
    "heyhi expand --cfg train --zip lr=1,2",
    "heyhi expand --cfg train --zip lr=1,2 --zip seed=1,2,3",
    "heyhi expand --cfg train --zip lr=1,2 --zip seed=1,2 --zip",
    "heyhi expand --cfg train --sweep lr=1 --sweep lr=2",
    "heyhi expand --cfg train --sweep lr=1,2 --sweep seed=1,2,3 --zip",
    "heyhi expand --cfg train --sweep lr=1,x",
    "heyhi expand --cfg train optimizer=sgd --sweep adam.beta1=0.5,0.8",
    "heyhi expand --cfg train --sweep 'seed=rnage(3)'",
    "heyhi expand --cfg train --sweep 'seed=range(1.5)'",
    "heyhi expand --cfg train --sweep 'seed=range(1,5,0)'",
    "heyhi expand --cfg train --sweep 'lr=uniform(1)'",
    "heyhi expand --cfg train --sweep 'lr=uniform(1,0,n=3)'",
    "heyhi expand --cfg train --sweep 'lr=loguniform(0,1,n=3)'",
    "heyhi expand --cfg train --sweep 'lr=uniform(0,1,n=0)'",
    "heyhi expand --cfg train --sweep 'lr=uniform(0,one,n=3)'",
    "heyhi expand --cfg train --sweep 'lr=choice(n=3)'",
    "heyhi expand --cfg train --out 'p/%(sed)s'",
    "heyhi expand --cfg train --out 'my runs/%(cfg)s'",
    "heyhi expand --cfg train --out '../elsewhere'",
    "heyhi expand --cfg train seed=1 --out p/same --sweep lr=1,2",
    "heyhi search --cfg train --space lr=1,2 --max a",
    "heyhi search --cfg train --max a --trials 2",
    "heyhi search --cfg train --space lr=1,2 --trials 2",
    "heyhi search --cfg train --space lr=1,2 --max a --min b --trials 2",
    "heyhi search --cfg train --space lr=1,2 --max a --trials two",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 0",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 2 --trials 3",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 2 --sampler bayes",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 2 --stop median",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 2 --sweep seed=1,2",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 2 --out p/same",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 2 --learn-from nothing",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 2 --profile lokal",
    "heyhi search --cfg train --space lrr=1,2 --max a --trials 2",
    "heyhi search --cfg train --space 'lr=log(1e-4,1)' --max a --trials 2",
    "heyhi search --cfg train --space lr=nan,1 --max a --trials 2",
    "heyhi search --cfg train --space lr=1,2 --max a --trials 2000000000",
    "heyhi search --cfg train --space launcher.local.cpus=1,2 --max a --trials 2",
    "heyhi search --cfg train --space 'name={{exp train}},b' --max a --trials 2",
    "heyhi search conf/seeds.py",
    "heyhi search conf/seeds.py --trials 2",
    "heyhi status searches/0123456789abcdef",
    "heyhi plan --cfg train --seed 2",
    "heyhi plan --mode contineu",
    "heyhi plan conf/seedz.py",
    "heyhi plan --cfg train epochs=many",
    "heyhi plan --jsn",
    "heyhi status conf/seedz.py",
    "heyhi status lr=0.1",
    "heyhi status results/p/train",
    "heyhi status none.sqlite",
    "heyhi status --job",
    "heyhi status --job 18",
    "heyhi status --job seventeen",
    "heyhi status --job 18 conf/seeds.py",
    "heyhi status --where status",
    "heyhi status --where sed=1",
    "heyhi status --where status=DNE",
    "heyhi plan --profile local",
    "heyhi launch --cfg train --nodes=2",
    "heyhi plan --cfg train --sweep seed=1-3",
    "heyhi status DONE --where seed=one",
    "heyhi status --sweeps --where seed=1",
    "heyhi status --job 17 --where seed=1",
    "heyhi status --watch 0",
    "heyhi status --watch nan",
    "heyhi status --watch --drift",
    "heyhi report --json --watch 5",
    "heyhi report --json --to -",
    "heyhi launch conf/seeds.py --json --profile lokal",
    "heyhi describe trian --json",
    "heyhi retry --json",
    "heyhi cancel --json",
    "heyhi search --json conf/seeds.py",
    "heyhi diff --json DONE",
    "heyhi status --sweeps conf/seeds.py",
    "heyhi status --sweps",
    "heyhi status --drft",
    "heyhi run conf/seedz.py",
    "heyhi run --cfg train epochs=many",
    "heyhi run --forground",
    "heyhi launch conf/seedz.py",
    "heyhi launch --profile slrum",
    "heyhi launch --profile conf",
    "heyhi launch none.sqlite",
    "heyhi launch --cfg train epochs=many",
    "heyhi launch --forground",
    "heyhi launch --jobs 0",
    "heyhi launch",
    "heyhi launch --profile profiles/slurm --cfg train seed=9",
    "heyhi launch conf/seeds.py --workers 0",
    "heyhi logs",
    "heyhi logs p/trian",
    "heyhi logs p/train",
    "heyhi logs DONE/reslut.json",
    "heyhi logs 18",
    "heyhi logs DONE -n few",
    "heyhi logs DONE -n -1",
    "heyhi logs DONE extra",
    "heyhi logs DONE --rank x",
    "heyhi logs DONE --rank 3",
    "heyhi logs DONE --attempt 3",
    "heyhi logs DONE --attempt x",
    "heyhi logs DONE -f --error",
    "heyhi logs DONE -f --attempt 1",
    "heyhi logs DONE --error -n 3",
    "heyhi logs DONE --error --rank all",
    "heyhi logs --error --rank 1",
    "heyhi logs --error p/trian",
    "heyhi cancel",
    "heyhi cancel --all conf/seeds.py",
    "heyhi cancel --all --where seed=1",
    "heyhi cancel --where sed=1",
    "heyhi cancel p/trian",
    "heyhi cancel 18",
    "heyhi cancel conf/seedz.py",
    "heyhi cancel none.sqlite",
    "heyhi cancel --cfg trian",
    "heyhi cancel --al",
    "heyhi clean --experiments",
    "heyhi clean --keep last",
    "heyhi clean --keep newest DONE",
    "heyhi clean DONE",
    "heyhi clean DONE --older-than 7d",
    "heyhi clean DONE --experiments --keep best",
    "heyhi clean --older-than week",
    "heyhi clean p/trian",
    "heyhi clean DONE --experiments --where status",
    "heyhi clean DONE --experiments --where sed=1",
    "heyhi clean DONE --experiments --where seed=one",
    "heyhi clean DONE --experimants",
    "heyhi retry",
    "heyhi retry --ded",
    "heyhi retry --dead p/trian",
    "heyhi retry --dead --where resaon~CUDA",
    "heyhi retry --dead --profile locl",
    "heyhi retry --dead --profile slurm",
    "heyhi retry --redo-drifted=cod",
    "heyhi launch --redo-drifed",
    "run.py --cfg train --redo-drifted=cod",
    "run.py --cfg train --cfg eval",
    "heyhi export",
    "heyhi export --where status=DONE",
    "heyhi export tensorbord",
    "heyhi export conf/seeds.py wandb",
    "heyhi export tensorboard conf/seedz.py",
    "heyhi export tensorboard --where sed=1",
    "heyhi export tensorboard --too x",
    "heyhi export tensorboard --to ''",
    "heyhi note 'bad data'",
    "heyhi note bad",
    "heyhi note --exclude",
    "heyhi note DONE --exclude",
    "heyhi note DONE --exclude --include 'bad data'",
    "heyhi note DONE --remove 'bad data'",
    "heyhi note DONE ''",
    "heyhi note DONE p/trian",
    "heyhi note p/trian 'bad data'",
    "heyhi note --where sed=1 'bad data'",
    "heyhi note DONE 'bad data' --json",
    "heyhi note DONE 'bad data' --exclud",
    "heyhi report conf/seedz.py",
    "heyhi report --cfg trian",
    "heyhi report --sort accurcy",
    "heyhi report --columns seed,accurcy",
    "heyhi report --best accurcy",
    "heyhi report --best seconds",
    "heyhi report --per seed",
    "heyhi report --best accuracy --per sed",
    "heyhi report --pivot lr seed",
    "heyhi report --pivot lr sed accuracy",
    "heyhi report --to table.docx",
    "heyhi report --to -.xlsx",
    "heyhi report --to - --watch 60",
    "heyhi report --group-by",
    "heyhi report --mean-over sed",
    "heyhi report --spread sd",
    "heyhi report --where seed",
    "heyhi report --to conf/conf.proto/table.csv",
    "heyhi report --watch soon",
    "heyhi report --sheet Runs",
    "heyhi report --sheet '' digits",
    "heyhi report none.sqlite",
    "heyhi serve conf/seedz.py",
    "heyhi serve --cfg train --sweep lr=1,x",
    "heyhi serve --port 65536",
    "heyhi serve --port many",
    "heyhi serve --host 203.0.113.7",
    "heyhi serve --where lr=1",
    "heyhi serve --logdir results",
    "heyhi serve -p 6006",
    "heyhi dashboard",
    "heyhi sheets",
    "heyhi sheets chekc",
    "heyhi sheets login",
    "heyhi sheets check",
    "heyhi print",
    "heyhi print trian",
    "heyhi print conf",
    "heyhi print train.prototext",
    "heyhi print train lr",
    "heyhi print train =1",
    "heyhi print train lrr=1",
    "heyhi print train momentum=1",
    "heyhi print train train.lr=1",
    "heyhi print train lr.x=1",
    "heyhi print train optimizer=sdg",
    "heyhi print train optimizer=sgd adam.beta1=0.5",
    "heyhi print train adam.beta1=0.5 sgd.momentum=0.5",
    "heyhi print train sgd=fast",
    "heyhi print train sgd.momentun=1",
    "heyhi print train lr=fast",
    "heyhi print train lr=",
    "heyhi print train epochs=1.5",
    "heyhi print train epochs=3000000000",
    "heyhi print train seed=-1",
    "heyhi print train dropout=1e60",
    "heyhi print train augment=maybe",
    "heyhi print train activation=relu6",
    "heyhi print train key='\\x'",
    "heyhi print train hidden_sizes=8",
    "heyhi print train 'hidden_sizes=[8, x]'",
    "heyhi print train hidden_sizes=[8,,8]",
    "heyhi print train hidden_sizes+=NULL",
    "heyhi print train epochs+=8",
    "heyhi print train 'sgd={momentun:0.9}'",
    "heyhi print train 'layers=[{width:8}, {wdith:8}]'",
    "heyhi print train 'weights={cat:1}'",
    "heyhi print train hidden_sizes.3=8",
    "heyhi print train hidden_sizes.first=8",
    "heyhi print train layers.-1.wdith=8",
    "heyhi print train weights=1",
    "heyhi print train weights.cat=heavy",
    "heyhi print train includes.0.path=x",
    "heyhi print train sgd..momentum=1",
    "heyhi print train 'weights.\"cat=1'",
    "heyhi print train I=",
    "heyhi print train I.launcher=slrum",
    "heyhi print train I.luncher=slurm",
    "heyhi print train I.lr=slurm",
    "heyhi print train I=conf/train.prototxt",
    "heyhi print train I.sgd=slurm",
    "heyhi print conf/common/launcher/slurm.prototxt",
    "heyhi print check 'checkpoint={{file}}'",
    "heyhi print check 'checkpoint={{file ../x.npz}}'",
    "heyhi print check 'checkpoint={{flie x.npz}}'",
    "run.py --cfg check 'checkpoint={{file data/x.npz}}'",
    "heyhi print check 'checkpoint={{exp train'",
    "heyhi print check 'checkpoint={{exp trian}}'",
    "heyhi print check 'checkpoint={{exp train sed=1}}'",
    "heyhi expand --cfg check 'checkpoint={{best conf/seeds.py}}'",
    "heyhi print check 'checkpoint={{best conf/seeds.py max=y min=y}}'",
    "heyhi print check 'checkpoint={{best conf/seeds.py max=y off=done}}'",
    "heyhi print check 'checkpoint={{best conf/seeds.py max=y of=don}}'",
    "heyhi print check 'checkpoint={{best max=y}}'",
    "heyhi print train 'I.launcher={{best conf/seeds.py max=y}}'",
    "heyhi expand --cfg check 'checkpoint={{best conf/seedz.py max=y}}'",
    "heyhi expand --cfg train 'I={{best conf/train.prototxt max=y}}'",
    "run.py --cfg train 'I={{best conf/seeds.py max=y}}'",
    "heyhi print train --flatt",
    "heyhi print train --flat --flat-all",
    "heyhi describe trian",
    "heyhi describe train lrr",
    "heyhi describe train lr extra",
    "heyhi describe train lr I=chunk",
    "heyhi describe --keys",
    "heyhi describe --settings train",
    "heyhi diff",
    "heyhi diff DONE",
    "heyhi diff DONE p/trian",
    "heyhi diff DONE conf",
    "heyhi protos --ot x",
    "heyhi protos --out conf/conf.proto",
    "heyhi init",
    "heyhi init .",
    "heyhi init run.py",
    "heyhi init --dry-run .",
    "heyhi init run.py/new",
    "heyhi init --refresh",
    "heyhi docs slrm",
    "heyhi docs slurm sweeps",
    "heyhi init --from run.py",
    "heyhi init new --from",
    "heyhi init new --from rum.py",
    "heyhi init new --from conf",
    "heyhi init new --from /dev/stdin",
    "heyhi init new --from run.py",
    "heyhi init new --refresh --from run.py",
    "heyhi completion",
    "heyhi completion powershell",
    # The task file.
    "run.py",
    "run.py --lr 0.1",
    "run.py --cfg trian",
    "run.py --cfg train lrr=1",
    "run.py --cfg train --lrr 1",
    "run.py --cfg train lr",
    "run.py --cfg train --mode contineu",
    "run.py --cfg train --out 'my runs'",
    "run.py --cfg train --print --print-flat",
    "run.py --cfg train --checkpoint=/tmp/code",
    "run.py --cfg train --print lrr=1",
    "run.py --cfg train seed=1 --mode restart",
    "run.py --cfg check 'checkpoint={{exp train seed=5}}'",
    "run.py --cfg train launcher.slurm.num_gpus=12",
    "run.py --cfg train launcher.slurm.num_gpus=-1",
    "run.py --cfg train launcher.slurm.hours=0",
    "run.py --cfg train launcher.slurm.hours=0.01",
    "run.py --cfg train launcher.slurm.num_gpus=16 launcher.slurm.pack=2",
    "run.py --cfg train launcher.slurm.mem_per_gpu=1e12",
    "run.py --cfg train launcher.slurm.extra=nice",
    "run.py --cfg train launcher.slurm.extra=--job-name=mine",
    "run.py --cfg train launcher.slurm.extra=--export=NONE",
    'run.py --cfg train "launcher.slurm.extra=\'--nice"',
    "run.py --cfg train launcher.slurm.partition=main",
    "run.py --cfg train 'name=launches another'",
    # What a job starts.
    "runner results/p/train/none/result.json",
    "runner results/p/train/none/result.json --manifest none.sqlite",
    "runner results/p/train/none/result.json --manifest MANIFEST",
    "runner DONE/result.json --manifest MANIFEST --job nonce",
)

SEARCHES = {
    "without an aim": "space={'lr': '1,2'}, trials=3",
    "with two aims": "space={'lr': '1,2'}, max='acc', min='loss', trials=3",
    "without trials": "space={'lr': '1,2'}, max='acc'",
    "by an unknown sampler": "space={'lr': '1,2'}, max='acc', trials=3, sampler='tpee'",
    "with an unknown way to stop": "space={'lr': '1,2'}, max='acc', trials=3, stop='ahsa'",
    "with a rung that is none": "space={'lr': '1,2'}, max='acc', trials=3, stop=heyhi.ASHA(grace=0)",
    "without a space": "space={}, max='acc', trials=3",
    "over a set of bounds": "space={'lr': {'low': 0.1}}, max='acc', trials=3",
    "that fits the schema nowhere": (
        "space={'lrr': '1,2', 'seed': 'uniform(0.5,2)', 'augment': 'maybe', 'activation': '1,2,9',"
        " 'launcher.slurm.hours': '1,2', 'name': '{{exp train}}', 'dropout': 'loguniform(0,1)',"
        " 'epochs': 'range(3,3)'}, max='acc', trials=3"
    ),
    "with a number of draws": "space={'lr': 'loguniform(1e-4,1,20)'}, max='acc', trials=3",
    "over what applies nowhere": "space={'adam.beta1': '1,2', 'optimizer': 'sgd'}, max='acc', trials=3",
    "over what isn't chosen": "space={'adam.beta1': '1,2'}, max='acc', trials=3",
    "over keys in one another": "space={'sgd.momentum': '1,2', 'sgd': '{},{momentum: 0}'}, max='acc', trials=3",
    "over what hangs on a file": "space={'sgd.momentum': '1,2', 'I.optimizer': 'heavy'}, max='acc', trials=3",
}

# What an extra of HeyHi's brings, and isn't there.
WITHOUT_EXTRAS = Given(
    "no extra is installed",
    (
        "heyhi report MANIFEST --to t.html",
        "heyhi report MANIFEST --to t.parquet",
        "heyhi report MANIFEST --sheet a b",
        "heyhi serve",
        "heyhi search conf/tune.py",
        "heyhi launch --cfg train --profile profiles/local",
        "heyhi export tensorboard MANIFEST",
        "heyhi sheets check",
        "heyhi sheets login",
    ),
    {
        "conf/tune.py": SEARCH,
        "profiles/local/config.yaml": "cores: 1\n",
        "pyproject.toml": '[tool.heyhi]\nlog_to = ["tensorboard"]\n',
    },
    lacks=("plotly", "itables", "optuna", "pyarrow", "pygsheets", "starlette", "tensorboardX", "uvicorn"),
)
CASES = (
    Given("", WRONG_WORDS),
    WITHOUT_EXTRAS,
    *(
        Given(
            f"a search {what}",
            ("heyhi expand conf/tune.py",),
            {"conf/tune.py": f"import heyhi\nSEARCH = heyhi.Search(cfg='train', {words})\n"},
        )
        for what, words in SEARCHES.items()
    ),
    *(
        Given(f"a script {what}", (f"heyhi init new --from {name}",), {name: content})
        for what, name, content in (
            ("that reads its arguments by click", "train.py", "import click\n"),
            ("that reads its arguments by Hydra", "train.py", "import hydra\nfrom omegaconf import OmegaConf\n"),
            ("of Python 2", "train.py", "import argparse\nprint 'loss'\n"),
            ("with a mistake", "train.py", "import argparse\n\nparser = argparse.ArgumentParser(\n"),
            ("that is a notebook", "train.ipynb", "{}"),
            ("in an odd encoding", "train.py", b"import argparse  # gr\xf6\xdfer\n"),
        )
    ),
    # Where there is no project, or a broken one.
    Given("in a folder of no project", ("heyhi status", "heyhi print train", "run.py --cfg train"), below="/"),
    Given(
        "settings that are no TOML",
        ("heyhi status", "heyhi print train", "run.py --cfg train"),
        {"pyproject.toml": "[tool.heyhi\n"},
    ),
    Given("renamed paths that are no table", ("heyhi status",), {"pyproject.toml": '[tool.heyhi]\nrenamed = ["a"]\n'}),
    Given(
        "a renamed config that is there still",
        ("heyhi print train",),
        {"pyproject.toml": '[tool.heyhi]\nrenamed = {"conf/train.prototxt" = "conf/new.prototxt"}\n'},
    ),
    Given("an unknown setting", ("heyhi status",), {"pyproject.toml": '[tool.heyhi]\nsweeps = "conf/seeds.py"\n'}),
    Given("nobody stays", ("heyhi status",), {"pyproject.toml": '[tool.heyhi]\ncontroller = "slrum"\n'}),
    Given("a controller without time", ("heyhi status",), {"pyproject.toml": "[tool.heyhi]\ncontroller_hours = 0\n"}),
    *(
        Given(
            f"a controller's job with {words}",
            ("heyhi launch --cfg train I.launcher=slurm --controller slurm",),
            {"pyproject.toml": f'[tool.heyhi]\ncontroller_options = "{words}"\n'},
            programs={"sbatch": "exit 1", "scontrol": "exit 1"},
        )
        for words in ("--time=5", "--begin now", "--dependency=singleton", "'")
    ),
    Given(
        "a Slurm that takes no controller",
        ("heyhi launch --cfg train I.launcher=slurm --controller slurm",),
        programs={"sbatch": "echo 'sbatch: error: invalid partition specified' >&2; exit 1", "scontrol": "exit 1"},
    ),
    Given("metrics go nowhere", ("heyhi status",), {"pyproject.toml": '[tool.heyhi]\nlog_to = ["wandbb"]\n'}),
    Given(
        "wandb has no key",
        ("heyhi export wandb DONE",),
        env={"WANDB_MODE": "online", "HOME": "nowhere", "NETRC": "nowhere", "WANDB_API_KEY": ""},
    ),
    Given("a setting of another type", ("heyhi status",), {"pyproject.toml": "[tool.heyhi]\nresults = 3\n"}),
    Given(
        "a negative number as a setting",
        ("heyhi status",),
        {"pyproject.toml": "[tool.heyhi]\nstop_after_same_error = -1\n"},
    ),
    Given(
        "a fault that every error has",
        ("heyhi status",),
        {"pyproject.toml": '[tool.heyhi]\nnode_faults = ["ECC", " "]\n'},
    ),
    Given(
        "a pattern of keys that is like none",
        ("heyhi plan", "run.py --cfg train"),
        {"pyproject.toml": '[tool.heyhi]\nsweep = "conf/seeds.py"\nidentity_ignore = ["sed"]\n'},
    ),
    Given("a name of several lines", ("heyhi status",), {"pyproject.toml": '[tool.heyhi]\nname = "a\\nb"\n'}),
    Given(
        "results of another project",
        ("heyhi launch", "heyhi retry --dead", "heyhi cancel --all", "run.py --cfg train --mode restart --force"),
        {
            "pyproject.toml": '[tool.heyhi]\nsweep = "conf/seeds.py"\nname = "mine"\n',
            "results/.heyhi/project.json": '{"names": ["theirs"]}',
        },
    ),
    Given(
        "an experiment of another project",
        ("run.py --cfg train seed=1",),
        {
            "pyproject.toml": '[tool.heyhi]\nname = "mine"\n',
            "DONE/identity.json": '{"version": 2, "cfg": "conf/train.prototxt", "overrides": ["seed=1"],'
            ' "project": "theirs"}',
        },
    ),
    Given(
        "an experiment that an earlier rule has named",
        ("run.py --cfg train seed=1",),
        {"DONE/identity.json": '{"version": 1, "cfg": "conf/train.prototxt", "overrides": ["seed=1"]}'},
    ),
    Given(
        "a damaged record of whose the results are",
        ("run.py --cfg train seed=1",),
        {"results/.heyhi/project.json": "{"},
    ),
    Given("settings that are no table", ("heyhi status",), {"pyproject.toml": "[tool]\nheyhi = 1\n"}),
    Given(
        "no default sweep",
        ("heyhi expand", "heyhi plan", "heyhi launch", "heyhi report"),
        {"pyproject.toml": "[tool.heyhi]\n"},
    ),
    Given("a folder of configs without protos", ("heyhi status",), {"pyproject.toml": '[tool.heyhi]\nconf = "cfg"\n'}),
    Given(
        "a task that isn't there",
        ("runner DEAD/result.json --manifest MANIFEST",),
        {"run.py": "def mian(task, cfg, log_level):\n    return {}\n"},
    ),
    Given("a results root with a space", ("heyhi expand", "run.py --cfg train"), env={"HH_EXP_DIR": "/tmp/my runs"}),
    Given(
        "a pattern of checkpoints that leaves the folder",
        ("heyhi clean DONE --force",),
        {"pyproject.toml": "[tool.heyhi]\ncheckpoints = ['../*.pt']\n"},
    ),
    Given(
        "a config that was edited after a run",
        (
            "run.py --cfg train seed=1 --redo-drifted",
            "heyhi launch --redo-drifted --profile profiles/local",
            "heyhi retry --redo-drifted DONE --profile profiles/local",
        ),
        {"conf/train.prototxt": "train {\n  lr: 0.2\n}\n"},
    ),
    # Protos.
    Given(
        "a proto that doesn't compile",
        ("heyhi print train", "heyhi protos", "heyhi describe", "run.py --cfg train"),
        {"conf/conf.proto": 'syntax = "proto2";\nmessage MetaCfg {\n  optional int33 x = 1;\n}\n'},
    ),
    Given(
        "a proto that protobuf refuses and protoc takes",
        ("heyhi print train", "heyhi describe", "run.py --cfg train"),
        {
            "conf/conf.proto": 'syntax = "proto2";\nmessage MetaCfg { oneof task { Train train = 1; } }\n'
            "message Train { optional double lr = 1; optional int32 seed = 2; optional int32 seed_ = 3; }\n"
        },
    ),
    Given(
        "a proto with a default that protobuf can't read",
        ("heyhi print train",),
        {
            "conf/conf.proto": 'syntax = "proto2";\nmessage MetaCfg { oneof task { Train train = 1; } }\n'
            "message Train { optional double lr = 1 [default = 1e-310]; }\n"
        },
    ),
    Given(
        "protos without a root message",
        ("heyhi print train",),
        {"conf/conf.proto": 'syntax = "proto2";\nmessage Train {}\n'},
    ),
    Given(
        "a root message without tasks",
        ("heyhi print train",),
        {"conf/conf.proto": 'syntax = "proto2";\nmessage MetaCfg { optional int32 x = 1; }\n'},
    ),
    Given(
        "a task that is no message",
        ("heyhi print train",),
        {"conf/conf.proto": 'syntax = "proto2";\nmessage MetaCfg { oneof task { int32 train = 1; } }\n'},
    ),
    *(
        Given(
            f"a field that {what}",
            ("heyhi print train",),
            {"conf/conf.proto": f'syntax = "proto2";\nmessage MetaCfg {{ oneof task {{ T train = 1; }} }}\n{text}\n'},
        )
        for what, text in (
            ("was another one", "message T {\n  optional int32 lr = 1;\n  optional int32 rate = 2;  // was: lr\n}"),
            ("was nothing", "message T {\n  optional int32 lr = 1;  // was: \n}"),
            ("was two", "message T {\n  optional int32 a = 1;  // was: c\n  optional int32 b = 2;  // was: c\n}"),
            ("was something behind a brace", "message T {\n}  // was: Train"),
        )
    ),
    # Configs.
    Given(
        "a config with a typo", ("heyhi print bad", "run.py --cfg bad"), {"conf/bad.prototxt": "train {\n  lrr: 1\n}\n"}
    ),
    Given("a config with a value of another type", ("heyhi print bad",), {"conf/bad.prototxt": "train { lr: fast }\n"}),
    Given("a config that isn't closed", ("heyhi print bad",), {"conf/bad.prototxt": "train {\n  lr: 1\n"}),
    Given("a config without a task", ("heyhi print bad",), {"conf/bad.prototxt": "\n"}),
    Given("a config that is no text", ("heyhi print bad",), {"conf/bad.prototxt": b"train { name: '\xff' }\n"}),
    Given(
        "a config with a number out of range",
        ("heyhi print bad",),
        {"conf/bad.prototxt": "train { epochs: 3000000000 }"},
    ),
    Given(
        "a config that includes what isn't there",
        ("heyhi print bad",),
        {"conf/bad.prototxt": 'includes { path: "slrum" mount: "launcher" }\ntrain {}\n'},
    ),
    Given(
        "a config that includes itself",
        ("heyhi print bad",),
        {
            "conf/bad.prototxt": 'includes { path: "one" }\ntrain {}\n',
            "conf/one.prototxt": 'includes { path: "two" }\n',
            "conf/two.prototxt": 'includes { path: "one" }\n',
        },
    ),
    Given(
        "experiments that need one another",
        ("heyhi print one", "heyhi expand --cfg one"),
        {
            "conf/one.prototxt": 'check { checkpoint: "{{exp two}}" }\n',
            "conf/two.prototxt": 'check { checkpoint: "{{exp one}}" }\n',
        },
    ),
    # Sweeps.
    Given(
        "a sweep file that raises", ("heyhi expand conf/bad.py", "heyhi report conf/bad.py"), {"conf/bad.py": "1 / 0\n"}
    ),
    Given("a sweep file with a syntax error", ("heyhi expand conf/bad.py",), {"conf/bad.py": "def yield_sweep(:\n"}),
    Given(
        "a sweep file with a search and points",
        ("heyhi expand conf/bad.py",),
        {"conf/bad.py": f"{SEARCH}def yield_sweep():\n    yield 'train', {{}}\n"},
    ),
    Given("a search that is none", ("heyhi expand conf/bad.py",), {"conf/bad.py": "SEARCH = {'lr': [1, 2]}\n"}),
    Given(
        "a search with a name that it doesn't take",
        ("heyhi expand conf/bad.py",),
        {"conf/bad.py": SEARCH.replace("space=", "spacee=")},
    ),
    Given("a search with a pattern", ("heyhi expand conf/bad.py",), {"conf/bad.py": f"{SEARCH}EXP_ID_PATTERN = 'a'\n"}),
    Given(
        "a search whose trials can't be composed",
        ("heyhi search conf/bad.py",),
        {"conf/bad.py": SEARCH.replace("'lr': [1, 2]", "'layers.3.width': [1, 2]")},
    ),
    Given(
        "a sweep file without yield_sweep", ("heyhi expand conf/bad.py",), {"conf/bad.py": "def sweep():\n    pass\n"}
    ),
    Given(
        "a sweep of nothing", ("heyhi expand conf/bad.py",), {"conf/bad.py": "def yield_sweep():\n    yield from ()\n"}
    ),
    Given(
        "a sweep of no points",
        ("heyhi expand conf/bad.py",),
        {"conf/bad.py": "def yield_sweep():\n    yield 'train'\n"},
    ),
    Given(
        "a sweep of a wrong key",
        ("heyhi expand conf/bad.py", "heyhi plan conf/bad.py", "heyhi launch conf/bad.py", "heyhi report conf/bad.py"),
        {"conf/bad.py": "def yield_sweep():\n    for x in (1, 2, 3):\n        yield 'train', {'lrr': x}\n"},
    ),
    Given(
        "a sweep file that refuses its experiments",
        ("heyhi expand conf/bad.py", "heyhi launch conf/bad.py"),
        {
            "conf/bad.py": "def yield_sweep():\n    for seed in (1, 2):\n        yield 'train', {'seed': seed}\n"
            "def validate(cfg):\n    assert cfg.seed == 0\n"
        },
    ),
    Given(
        "a check that isn't there",
        ("heyhi expand --cfg train", "run.py --cfg train"),
        {"pyproject.toml": '[tool.heyhi]\nvalidate = "checks:validate"\n'},
    ),
    Given(
        "a sweep of functions",
        ("heyhi expand conf/bad.py",),
        {"conf/bad.py": "def yield_sweep():\n    for seed in (1, 2):\n        yield 'train', {'seed': lambda: seed}\n"},
    ),
    Given(
        "a sweep without an end",
        ("heyhi expand conf/bad.py",),
        {
            "conf/bad.py": "def yield_sweep():\n    while True:\n        yield 'train', {}\n",
            "pyproject.toml": "[tool.heyhi]\nmax_points = 100\n",
        },
    ),
    Given(
        "a sweep with a pattern that is no text",
        ("heyhi expand conf/bad.py",),
        {"conf/bad.py": "EXP_ID_PATTERN = 3\ndef yield_sweep():\n    yield 'train', {}\n"},
    ),
    Given(
        "a sweep whose experiments share a folder",
        ("heyhi expand conf/bad.py",),
        {
            "conf/bad.py": "EXP_ID_PATTERN = 'a'\ndef yield_sweep():\n"
            "    for lr in (1, 2):\n        yield 'train', {'lr': lr}\n"
        },
    ),
    # What was written once, and was damaged since.
    Given(
        "a damaged manifest",
        ("heyhi status bad.sqlite", "heyhi report bad.sqlite", "heyhi launch bad.sqlite", "heyhi cancel bad.sqlite"),
        {"bad.sqlite": b"SQLite format 3\0 and no more"},
    ),
    Given("an empty manifest", ("heyhi status bad.sqlite",), {"bad.sqlite": b""}),
    Given(
        "a damaged identity",
        ("run.py --cfg train seed=1", "heyhi diff DONE DEAD"),
        {"DONE/identity.json": "{", "DONE/result.json": None},
    ),
    Given("a folder of somebody else's", ("run.py --cfg train --out p/mine",), {"results/p/mine/thesis.tex": "x"}),
    Given(
        "a folder of another experiment",
        ("run.py --cfg train --out DONE_ID", "run.py --cfg train lr=3 --out DONE_ID --mode restart --force"),
    ),
    Given("a damaged result", ("heyhi diff DONE DEAD",), {"DONE/result.json": '{"accuracy": '}),
    Given("a result that is no object", ("heyhi diff DONE DEAD",), {"DONE/result.json": "[1]"}),
    Given(
        "a damaged config of an experiment",
        ("heyhi diff DONE DEAD",),
        {"DONE/config_flat.json": "{", "DONE/config.prototxt": "train {"},
    ),
    Given(
        "a damaged claim",
        ("run.py --cfg train seed=2 --mode start_continue", "run.py --cfg train seed=3 --out p/claimed"),
        {"DEAD/claim.json": "mine", "results/p/claimed/claim.json": "mine"},
    ),
    Given(
        "a claim from another host",
        ("run.py --cfg train seed=2 --mode restart --force",),
        {
            "DEAD/claim.json": '{"kind": "process", "host": "elsewhere", "boot": "b", "pids": "p", "pid": 1,'
            ' "started": 1, "since": "2026-11-24T10:00:00+00:00", "nonce": "ab"}'
        },
    ),
    # Slurm, by stand-ins.
    Given(
        "a Slurm that refuses jobs",
        ("run.py --cfg train launcher.slurm.partition=nowhere",),
        programs={"sbatch": "echo 'sbatch: error: invalid partition specified: nowhere' >&2; exit 1"},
    ),
    Given(
        "a Slurm that is full",
        ("run.py --cfg train launcher.slurm.partition=main",),
        programs={"sbatch": "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit, job submit limit' >&2; exit 1"},
    ),
    Given(
        "a Slurm that finds no cluster",
        ("run.py --cfg train launcher.slurm.partition=main",),
        programs={"sbatch": "echo 'sbatch: fatal: Could not establish a configuration source' >&2; exit 1"},
    ),
    Given(
        "an sbatch that prints gibberish",
        ("run.py --cfg train launcher.slurm.partition=main",),
        programs={"sbatch": "echo welcome"},
    ),
    Given(
        "a Slurm that doesn't answer",
        (
            "heyhi status --job 18",
            "heyhi cancel WAITING",
            "heyhi cancel 18",
            "heyhi logs 18",
            "heyhi run --profile slurm --cfg train seed=9",
        ),
        programs={
            name: f"echo '{name}: error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
            for name in ("squeue", "sacct", "scancel", "scontrol", "sinfo", "sbatch")
        },
    ),
    Given(
        "a Slurm that nobody stays for",
        (
            "heyhi launch --cfg train seed=9 --controller nobody",
            "heyhi launch --cfg train seed=9 --controller none --profile local",
            "heyhi launch --cfg train seed=9 I.launcher=slurm --controller none --foreground",
            "heyhi launch --cfg train seed=9 I.launcher=slurm --controller none --jobs 2",
            "heyhi launch --cfg train seed=9 I.launcher=slurm launcher.slurm.pack=2 --controller none",
        ),
        programs={"sbatch": "exit 1", "scontrol": "echo 'Slurmctld(primary) at head is UP'"},
    ),
    Given(
        "a Slurm whose controller is down",
        ("heyhi launch --cfg train", "heyhi retry --dead --profile slurm"),
        programs={"sbatch": "exit 1", "scontrol": "echo 'Slurmctld(primary) at head is DOWN'; exit 1"},
    ),
    Given(
        "a Slurm that cancels nothing",
        ("run.py --cfg train seed=3 I.launcher=slurm --mode restart --force",),
        programs={"sbatch": "exit 1", "scancel": "echo 'scancel: error: no' >&2; exit 1"},
    ),
    Given(
        "a Slurm that nobody asked for",
        ("heyhi run --cfg train I.launcher=slurm", "heyhi run --cfg train --sweep launcher.slurm.hours=1,2"),
    ),
    Given(
        "workers",
        (
            "heyhi launch conf/seeds.py --profile profiles/local --workers 2",
            "heyhi launch conf/seeds.py --profile slurm --workers 2 --controller slurm",
            "heyhi launch conf/seeds.py --profile slurm --workers 2 --jobs 3",
            "heyhi launch --cfg train I.launcher=slurm launcher.slurm.pack=2 --workers 2",
            "heyhi launch conf/wide.py --profile slurm --workers 2",
        ),
        {
            "conf/wide.py": "def yield_sweep():\n    for hours in (7, 8):\n        yield 'train', {'seed': hours,"
            " 'I.launcher': 'slurm', 'launcher.slurm.hours': hours}\n",
            "profiles/local/config.yaml": "cores: 1\n",
        },
        programs={"sbatch": "exit 1"},
    ),
    # Copies of the code.
    Given(
        "a results root that is the project",
        ("run.py --cfg train launcher.slurm.partition=main",),
        env={"HH_EXP_DIR": "."},
        programs={"sbatch": "echo 1"},
    ),
    Given(
        "a pattern for the code's copy that can't be used",
        ("run.py --cfg train launcher.slurm.partition=main",),
        {"pyproject.toml": "[tool.heyhi]\nsnapshot_exclude = ['[z-a]']\n"},
        programs={"sbatch": "echo 1"},
    ),
    Given(
        "a link for the code's copy that leaves the project",
        ("run.py --cfg train launcher.slurm.partition=main",),
        {"pyproject.toml": "[tool.heyhi]\nsnapshot_link = ['../data']\n"},
        programs={"sbatch": "echo 1"},
    ),
    # Google Sheets; nothing is asked of Google.
    Given(
        "a key for Google that isn't there",
        ("heyhi sheets check Runs", "heyhi report --sheet Runs digits"),
        env={"HH_GOOGLE_SERVICE_ACCOUNT": "none.json"},
    ),
    Given(
        "a key for Google that is none",
        ("heyhi sheets check Runs",),
        {"key.json": "{}"},
        {"HH_GOOGLE_SERVICE_ACCOUNT": "key.json"},
    ),
    Given(
        "a key for Google that is no JSON",
        ("heyhi sheets check Runs",),
        {"key.json": "secret"},
        {"HH_GOOGLE_SERVICE_ACCOUNT": "key.json"},
    ),
    Given(
        "an OAuth client that is none",
        ("heyhi sheets login",),
        {"client.json": "{}"},
        {"HH_GOOGLE_CLIENT_SECRET": "client.json"},
    ),
    Given(
        "an address of folders that is none",
        ("heyhi report --sheet Runs digits",),
        {"pyproject.toml": '[tool.heyhi]\nsweep = "conf/seeds.py"\nfolder_link = "ftp://{exp_path}"\n'},
    ),
)
