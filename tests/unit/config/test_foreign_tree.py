"""A tree that was written for the first HeyHi, with agents that play games, composes without a change there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import text_format

from heyhi.config.compose import Composer
from heyhi.config.frozen import flatten, freeze
from heyhi.config.overrides import override_lines
from heyhi.config.schema import load_comments, load_schema
from heyhi.errors import HeyhiError
from heyhi.project import find_project

FILES = {
    "conf/conf.proto": """\
syntax = "proto2";

package fairgames;

import public "conf/agents.proto";
import public "conf/common.proto";
import weak "conf/misc.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/any.proto";

// Root of all configs.
message MetaCfg {
  repeated Include includes = 1;
  oneof task {
    CompareAgentsTask compare_agents = 101;
    TrainTask train = 102;
    ExploitTask exploit = 103;
  }
}

message CompareAgentsTask {
  enum Power { option allow_alias = true; AUSTRIA = 0; ENGLAND = 1; FRANCE = 2; UK = 1; }
  optional Agent agent_one = 1;
  optional Agent agent_six = 2;
  // Who plays agent_one.
  optional Power power_one = 3 [default = FRANCE];
  optional int32 seed = 4;
  optional string out = 5;
  optional google.protobuf.Duration time_limit = 6;
  optional google.protobuf.Struct notes = 7;
  optional google.protobuf.BoolValue draw = 8;
  optional google.protobuf.Any extra = 9;
  optional launcher.Launcher launcher = 100;
  extensions 1000 to 2000;
}

message TrainTask {
  message Encoder {
    oneof encoder {
      Transformer transformer = 1;
      Graph graph = 2;
    }
    message Transformer { optional int32 num_heads = 1; optional float dropout = 2 [default = 0.1]; }
    message Graph { optional int32 num_blocks = 1; }
  }
  optional float lr = 1;
  optional Encoder encoder = 2;
  optional Dataset dataset = 3;
  map<string, Agent> opponents = 4;
  map<int32, Encoder.Graph> graphs = 5;
  repeated group Stage = 6 { optional int32 epochs = 7; }
  optional misc.Schedule schedule = 8;
  optional group Warm = 9 { optional int32 steps = 10 [default = 5]; }
  optional launcher.Launcher launcher = 100;
}

message ExploitTask {
  required string checkpoint = 1;
  repeated Agent league = 2;
  optional launcher.Launcher launcher = 100;
}
""",
    "conf/agents.proto": """\
syntax = "proto2";

package fairgames;

import "conf/include.proto";

message Agent {
  repeated Include includes = 1;
  oneof agent {
    SearchAgent searchbot = 10;
    ModelAgent model_sampled = 11;
    RandomAgent random = 12;
    MixedAgent mixed = 13;
  }
}

message ModelAgent { optional string model_path = 1; optional float temperature = 2; optional double top_p = 3; }
message RandomAgent {}
message SearchAgent {
  optional int32 n_rollouts = 1 [default = 256];
  optional ModelAgent model = 2;
  optional PlausibleOrders plausible_orders = 3;
  message PlausibleOrders {
    enum Kind { TOP = 0; SAMPLED = 1; }
    optional int32 n_plausible = 1;
    optional Kind kind = 2;
  }
}
message MixedAgent { repeated Agent agents = 1; repeated float weights = 2; }
""",
    "conf/include.proto": """\
syntax = "proto2";
package fairgames;
message Include { optional string path = 1; optional string mount = 2; }
""",
    "conf/common.proto": """\
syntax = "proto3";

package fairgames.launcher;

message Launcher {
  oneof launcher {
    LocalLauncher local = 1;
    SlurmLauncher slurm = 2;
  }
}
message LocalLauncher { bool use_local = 1; }
message SlurmLauncher { int32 num_gpus = 1; int32 hours = 2; optional string partition = 3; string comment = 4; }
""",
    "conf/misc.proto": """\
syntax = "proto3";

package fairgames.misc;

message Schedule {
  enum Kind { CONSTANT = 0; COSINE = 1; }
  Kind kind = 1;
  repeated int32 milestones = 2;
  map<string, double> weights = 3;
  optional int32 warmup = 4;
}
""",
    "conf/dataset.proto": """\
syntax = "proto2";
package fairgames;
message Dataset { repeated string paths = 1; optional bytes key = 2; map<bool, string> by_flag = 3; }
""",
    "conf/common/launcher/slurm_8gpus.prototxt": "slurm { num_gpus: 8 hours: 72 }",
    "conf/common/launcher/local.prototxt": "local { use_local: true }",
    "conf/common/agents/base_model.prototxt": 'model_path: "{{ ROOT_DIR }}/models/base.ckpt" temperature: 0.5',
    "conf/common/agents/model_sampled.prototxt": """\
includes { path: "agents/base_model" mount: "model_sampled" }
model_sampled { top_p: 0.95 }
""",
    "conf/common/agents/searchbot.prototxt": """\
includes { path: "base_model"; mount: "searchbot.model" }
searchbot {
  n_rollouts: 64;
  plausible_orders { kind: SAMPLED, n_plausible: 30 }
}
""",
    "conf/common/agents/searchbot_02_fast.prototxt": """\
includes { path: "searchbot" }
searchbot { n_rollouts: 8 }
""",
    "conf/c01_ag_cmp/cmp.prototxt": """\
includes {path: "agents/searchbot_02_fast"; mount: "agent_one";}
includes {path: "agents/model_sampled"; mount: "agent_six";}
compare_agents {
  power_one: AUSTRIA
  seed: 0
  out: "output.json"
}
""",
    "conf/c01_ag_cmp/mixed.prototxt": """\
includes { path: "launcher/local.prototxt"; mount: "launcher" }
compare_agents {
  agent_one {
    mixed {
      agents { includes { path: "agents/searchbot" } searchbot { n_rollouts: 1 } }
      agents { includes { path: "agents/model_sampled" } }
      agents { random {} }
      weights: [0.5, 0.25, 0.25]
    }
  }
  time_limit { seconds: 90 }
  notes { fields { key: "why" value { list_value { values { string_value: "a" } values { number_value: 1 } } } } }
  draw { value: true }
  extra { [type.googleapis.com/fairgames.RandomAgent] { } }
}
""",
    "conf/c02_sup_train/sl.prototxt": """\
includes { path: "slurm_8gpus" mount: "launcher" }
includes { path: "agents/model_sampled" mount: "opponents.sampled" }
train {
  lr: 1e-3
  encoder { transformer { num_heads: 8 } }
  dataset { paths: "{{ROOT_DIR}}/data/a" paths: "b" key: "\\000\\377" by_flag { key: true value: "x" } }
  Stage { epochs: 1 }
  Stage { epochs: 2 }
  graphs { key: 3 value { num_blocks: 4 } }
  schedule { kind: COSINE milestones: 10 milestones: 20 weights { key: "a.b" value: 0.5 } warmup: 0 }
}
""",
    "conf/c04_exploit/exploit.prototxt": """\
exploit {
  checkpoint: "{{exp conf/c02_sup_train/sl.prototxt lr=0.5}}/ckpt"
  league { random {} }
}
""",
}
FILES["conf/conf.proto"] = FILES["conf/conf.proto"].replace(
    'import weak "conf/misc.proto";',
    'import weak "conf/misc.proto";\nimport "conf/dataset.proto";\nimport "conf/include.proto";',
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, write_files: Callable[[Path, dict[str, str]], None]) -> Path:
    root = tmp_path_factory.mktemp("fairgames")
    write_files(root, FILES)
    return root


@pytest.fixture(scope="module")
def composer(tree: Path) -> Composer:
    project = find_project(tree / "conf")
    return Composer(project, load_schema(project))


def text(composer: Composer, cfg: str, *overrides: str) -> str:
    message = composer.compose(cfg, overrides).task_message
    return text_format.MessageToString(message, as_one_line=True).strip()


MODEL = 'model_path: "{root}/models/base.ckpt" temperature: 0.5'


def test_agents_include_agents(composer: Composer, tree: Path) -> None:
    assert text(composer, "conf/c01_ag_cmp/cmp.prototxt") == (
        "agent_one { searchbot { n_rollouts: 8 model { MODEL } plausible_orders { n_plausible: 30 kind: SAMPLED } } }"
        " agent_six { model_sampled { MODEL top_p: 0.95 } }"
        ' power_one: AUSTRIA seed: 0 out: "output.json"'
    ).replace("MODEL", MODEL.replace("{root}", str(tree)))


def test_agents_in_lists_include_agents(composer: Composer) -> None:
    cfg = freeze(composer.compose("c01_ag_cmp/mixed").task_message)
    agents = cfg.agent_one.mixed.agents
    assert [agent.which_agent for agent in agents] == ["searchbot", "model_sampled", "random"]
    assert agents[0].searchbot.n_rollouts == 1
    assert agents[0].searchbot.model.temperature == 0.5
    assert agents[1].agent.top_p == 0.95
    assert cfg.agent_one.agent.weights == (0.5, 0.25, 0.25)
    assert (cfg.power_one, cfg.time_limit.seconds, cfg.draw.value) == ("FRANCE", 90, True)
    assert cfg.notes.fields["why"].kind.values[1].number_value == 1
    assert cfg.extra.type_url == "type.googleapis.com/fairgames.RandomAgent"
    assert cfg.launcher.launcher.use_local is True
    assert pickle.loads(pickle.dumps(cfg)) == cfg


@pytest.mark.parametrize(
    ("cfg", "overrides", "part"),
    [
        ("c01_ag_cmp/cmp", ["Iagent_one=agents/model_sampled"], "agent_one { model_sampled { model_path:"),
        ("c01_ag_cmp/cmp", ["I.agent_six=agents/searchbot", "agent_six.searchbot.n_rollouts=3"], "n_rollouts: 3"),
        ("c01_ag_cmp/cmp", ["agent_one.random=SELECT"], "agent_one { random { } }"),
        ("c01_ag_cmp/cmp", ["power_one=UK", "agent_one=NULL"], "power_one: ENGLAND"),
        ("c01_ag_cmp/cmp", ["agent_one.searchbot.plausible_orders.kind=TOP"], "kind: TOP"),
        ("c01_ag_cmp/cmp", ["notes.fields.x.string_value=y"], 'value { string_value: "y" }'),
        ("c01_ag_cmp/cmp", ["notes.fields.x.null_value=NULL_VALUE"], "null_value: NULL_VALUE"),
        ("c01_ag_cmp/cmp", ["time_limit.nanos=5", "draw.value=0"], "time_limit { nanos: 5 } draw { }"),
        ("c02_sup_train/sl", ["encoder.graph.num_blocks=3"], "encoder { graph { num_blocks: 3 } }"),
        ("c02_sup_train/sl", ["launcher.slurm.partition=x", "--launcher.slurm.hours=2"], 'hours: 2 partition: "x"'),
        ("c02_sup_train/sl", ["Ilauncher=local"], "launcher { local { use_local: true } }"),
        ("c02_sup_train/sl", ["opponents.new.random=SELECT"], 'key: "new" value { random { } }'),
        ("c02_sup_train/sl", ["I.opponents.new=agents/searchbot"], 'key: "new" value { searchbot { n_rollouts: 64'),
        ("c02_sup_train/sl", ['schedule.weights."a.b"=2', "schedule.kind=0"], 'key: "a.b" value: 2.0'),
        ("c02_sup_train/sl", ["dataset.key=\\x01", "dataset.by_flag.false=n"], 'key: "\\001"'),
        (
            "c02_sup_train/sl",
            ["warm.steps=3", "stage.0.epochs=7", "stage.-1.epochs=3"],
            "Stage { epochs: 7 } Stage { epochs: 2 }",
        ),
        ("c02_sup_train/sl", ["graphs.3.num_blocks=NULL"], "key: 3 value { }"),
    ],
)
def test_overrides_reach_everything(composer: Composer, cfg: str, overrides: list[str], part: str) -> None:
    assert part in text(composer, cfg, *overrides)


@pytest.mark.parametrize("cfg", ["c01_ag_cmp/cmp", "c01_ag_cmp/mixed", "c02_sup_train/sl", "c04_exploit/exploit"])
def test_every_config_is_written_in_all_forms(composer: Composer, cfg: str) -> None:
    composed = composer.compose(cfg)
    message = composed.task_message
    frozen = freeze(message)
    again = type(message)()
    text_format.Parse(frozen.to_text(), again, descriptor_pool=composer.schema.pool)
    assert again == message
    text_format.Parse(frozen.to_text(with_defaults=True), type(message)(), descriptor_pool=composer.schema.pool)
    assert frozen.to_dict()
    assert flatten(frozen)
    printed = composer.compose(cfg, override_lines(message, getattr(composed.base, composed.task)))
    assert printed.task_message == message


def test_groups_go_by_their_types_names(composer: Composer) -> None:
    frozen = freeze(composer.compose("c02_sup_train/sl", ["warm=SELECT"]).task_message)
    assert "\nWarm {\n  steps: 5\n}" in frozen.to_text(with_defaults=True)
    assert frozen.warm.steps == 5


def test_a_need_crosses_tasks(composer: Composer, tree: Path) -> None:
    composed = composer.compose("c04_exploit/exploit")
    (need,) = composed.needs
    assert need.identity.overrides == ("lr=0.5",)
    assert need.task == "train"
    assert composed.task_message.checkpoint == f"{composer.need_path(need)}/ckpt"  # type: ignore[attr-defined]
    with pytest.raises(HeyhiError, match="required fields are not set: checkpoint"):
        composer.compose("c04_exploit/exploit", ["checkpoint=NULL"])


def test_comments_are_found_in_all_files(tree: Path) -> None:
    comments = load_comments(find_project(tree))
    assert comments["fairgames.CompareAgentsTask.power_one"] == "Who plays agent_one."


def heyhi(tree: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    command = [sys.executable, "-c", "import sys; from heyhi.cli.main import main; sys.exit(main())", *args]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)


def test_the_command_line_prints_it(tree: Path) -> None:
    done = heyhi(tree, "print", "conf/c01_ag_cmp/cmp.prototxt", "agent_one.searchbot.n_rollouts=5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "n_rollouts: 5" in done.stdout
    assert not (tree / "results").exists()


FLAT = {
    "conf/conf.proto": """\
syntax = "proto3";
import public "agents.proto";
message MetaCfg { repeated Include includes = 1; oneof task { Task play = 2; } }
message Task { Agent agent = 1; Kind kind = 2; }
""",
    "conf/agents.proto": """\
syntax = "proto3";
import public "parts/include.proto";
message Agent { repeated Include includes = 1; int32 depth = 2; }
enum Kind { SLOW = 0; FAST = 1; }
""",
    "conf/parts/include.proto": 'syntax = "proto3"; message Include { string path = 1; string mount = 2; }',
    "conf/agent/deep.prototxt": "depth: 9",
    "conf/play.prototxt": "includes { path: 'deep' mount: 'agent' } play { kind: FAST }",
}


def test_protos_that_were_compiled_inside_conf_import_by_bare_names(tmp_path: Path) -> None:
    for name, content in FLAT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    project = find_project(tmp_path)
    composer = Composer(project, load_schema(project))
    assert text(composer, "play") == "agent { depth: 9 } kind: FAST"
    done = heyhi(tmp_path, "print", "conf/play.prototxt", "agent.depth=5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "depth: 5" in done.stdout
