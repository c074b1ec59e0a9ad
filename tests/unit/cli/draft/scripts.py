"""Scripts as people have them, which read their arguments by argparse in one way or another."""

from __future__ import annotations

IMAGENET = """\
import argparse
import random
try:
    import torchvision.models as models
    model_names = sorted(name for name in models.__dict__ if name.islower() and callable(models.__dict__[name]))
except ImportError:
    model_names = ["resnet18", "resnet50"]

parser = argparse.ArgumentParser(description='PyTorch ImageNet Training')
parser.add_argument('data', metavar='DIR', nargs='?', default='imagenet',
                    help='path to dataset (default: imagenet)')
parser.add_argument('-a', '--arch', metavar='ARCH', default='resnet18',
                    help='model architecture: ' +
                        ' | '.join(["resnet18", "resnet50"]) +
                        ' (default: resnet18)')
parser.add_argument('-j', '--workers', default=4, type=int, metavar='N',
                    help='number of data loading workers (default: 4)')
parser.add_argument('-b', '--batch-size', default=256, type=int,
                    metavar='N',
                    help='mini-batch size (default: 256), this is the total '
                         'batch size of all GPUs on the current node')
parser.add_argument('--lr', '--learning-rate', default=0.1, type=float,
                    metavar='LR', help='initial learning rate', dest='lr')
parser.add_argument('--wd', '--weight-decay', default=1e-4, type=float,
                    metavar='W', help='weight decay (default: 1e-4)',
                    dest='weight_decay')
parser.add_argument('-e', '--evaluate', dest='evaluate', action='store_true',
                    help='evaluate model on validation set')
parser.add_argument('--world-size', default=-1, type=int,
                    help='number of nodes for distributed training')
parser.add_argument('--seed', default=None, type=int,
                    help='seed for initializing training. ')

best_acc1 = 0


def main():
    args = parser.parse_args()
    if args.seed is not None:
        random.seed(args.seed)
    return main_worker(args)


def main_worker(args):
    global best_acc1
    return vars(args)


if __name__ == '__main__':
    main()
"""

MNIST = """\
from __future__ import print_function
import argparse


def train(args, epoch):
    print(epoch)


def main():
    # Training settings
    parser = argparse.ArgumentParser(description='PyTorch MNIST Example')
    parser.add_argument('--batch-size', type=int, default=64, metavar='N',
                        help='input batch size for training (default: 64)')
    parser.add_argument('--gamma', type=float, default=0.7, metavar='M',
                        help='Learning rate step gamma (default: 0.7)')
    parser.add_argument('--no-cuda', action='store_true', default=False,
                        help='disables CUDA training')
    parser.add_argument('--dry-run', action='store_true', default=False,
                        help='quickly check a single pass')
    parser.add_argument('--seed', type=int, default=1, metavar='S',
                        help='random seed (default: 1)')
    args = parser.parse_args()
    use_cuda = not args.no_cuda
    for epoch in range(1, 3):
        train(args, epoch)
    return vars(args)


if __name__ == '__main__':
    main()
"""

NANO = '''\
"""A small language model."""
import argparse, math, os

n = 8
p = argparse.ArgumentParser()
p.add_argument("--batch-size", "-b", type=int, default=2**6)
p.add_argument("--block_size", type=int, default=1024 // 4)
p.add_argument("--beta2", type=float, default=1 - 1e-2)
p.add_argument("--learning_rate", type=float, default=6e-4 * n / 8)
p.add_argument("--compile", default=False, action=argparse.BooleanOptionalAction)
p.add_argument("--patience", type=float, default=math.inf)
args = p.parse_args()
print("nano", vars(args))
'''

DETR = """\
import argparse
from pathlib import Path


def get_args_parser():
    parser = argparse.ArgumentParser('Set transformer detector', add_help=False)
    parser.add_argument('--lr', default=1e-4, type=float)
    parser.add_argument('--lr_backbone', default=1e-5, type=float)
    parser.add_argument('--masks', action='store_true',
                        help="Train segmentation head if the flag is provided")
    # * Transformer
    parser.add_argument('--enc_layers', default=6, type=int,
                        help="Number of encoding layers in the transformer")
    parser.add_argument('--position_embedding', default='sine', type=str, choices=('sine', 'learned'),
                        help="Type of positional embedding to use on top of the image features")
    parser.add_argument('--no_aux_loss', dest='aux_loss', action='store_false',
                        help="Disables auxiliary decoding losses (loss at each layer)")
    parser.add_argument('--output_dir', default='',
                        help='path where to save, empty for no saving')
    return parser


def main(args):
    return vars(args)


if __name__ == '__main__':
    parser = argparse.ArgumentParser('DETR training and evaluation script', parents=[get_args_parser()])
    args = parser.parse_args()
    if args.output_dir:
        Path(args.output_dir).mkdir(parents=True, exist_ok=True)
    main(args)
"""

HUGGING = """\
import argparse
import logging

logger = logging.getLogger(__name__)
TASKS = {"cola": ("sentence", None), "mnli": ("premise", "hypothesis")}
SCHEDULERS = ["linear", "cosine"]


def parse_args():
    parser = argparse.ArgumentParser(description="Finetune a transformers model on a text classification task")
    parser.add_argument(
        "--task_name",
        type=str,
        default=None,
        help="The name of the glue task to train on.",
        choices=list(TASKS.keys()),
    )
    parser.add_argument(
        "--max_length",
        type=int,
        default=128,
        help=(
            "The maximum total input sequence length after tokenization. Sequences longer than this will be truncated,"
            " sequences shorter will be padded if `--pad_to_max_length` is passed."
        ),
    )
    parser.add_argument("--model_name_or_path", type=str, help="Path to pretrained model.", required=True)
    parser.add_argument("--learning_rate", type=float, default=5e-5, help="Initial rate (%(default)s), 100%% of it.")
    parser.add_argument("--lr_scheduler_type", default="linear", choices=SCHEDULERS)
    parser.add_argument("--num_train_epochs", type=int, default=3)
    parser.add_argument("--output_dir", type=str, default=None)
    args = parser.parse_args()
    if args.task_name is None and args.model_name_or_path is None:
        raise ValueError("Need a task name.")
    return args


def main():
    args = parse_args()
    return vars(args)


if __name__ == "__main__":
    main()
"""

TOOL = """\
import argparse
import sys


def cmd_train(args):
    print("training", args.data, args.lr)


def cmd_eval(args):
    print("evaluating", args.ckpt)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="tool", description="A tool.")
    parser.add_argument("--verbose", "-v", action="count", default=0)
    sub = parser.add_subparsers(dest="command", required=True)
    train = sub.add_parser("train", help="Train a model.")
    train.add_argument("data")
    train.add_argument("--lr", type=float, default=0.1)
    train.set_defaults(func=cmd_train)
    evaluate = sub.add_parser("eval-all", help="Evaluate models.", aliases=["e"])
    evaluate.add_argument("--ckpt", required=True)
    evaluate.add_argument("files", nargs="*")
    evaluate.set_defaults(func=cmd_eval)
    args = parser.parse_args(argv)
    args.func(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
"""

TYPES = """\
from __future__ import annotations

import argparse as ap
import enum
import json
from argparse import SUPPRESS, ArgumentParser
from pathlib import Path


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


DEFAULTS = {"lr": 3e-4, "steps": 10**3}


def str2bool(text):
    return text.lower() in ("yes", "true", "1")


def pair(text):
    left, right = text.split(":")
    return int(left), int(right)


def build() -> ArgumentParser:
    parser = ArgumentParser(description="Fit.", formatter_class=ap.ArgumentDefaultsHelpFormatter)
    group = parser.add_argument_group("Optimisation", "how it is trained")
    group.add_argument("--lr", type=float, default=DEFAULTS["lr"])
    group.add_argument("--steps", type=int, default=DEFAULTS["steps"])
    parser.add_argument("--color", type=Color, choices=list(Color), default=Color.RED)
    parser.add_argument("--use-it", type=str2bool, default=True, nargs="?", const=True)
    parser.add_argument("--opts", type=json.loads, default={})
    parser.add_argument("--maybe", default=SUPPRESS, type=int)
    parser.add_argument("--pair", type=pair, default="1:2")
    parser.add_argument("--sizes", type=lambda text: [int(one) for one in text.split(",")], default="3,4")
    parser.add_argument("--dims", nargs=2, type=int, default=(3, 4), metavar=("A", "B"))
    parser.add_argument("--fast", dest="mode", action="store_const", const="fast", default="slow")
    parser.add_argument("--slow", dest="mode", action="store_const", const="slow")
    parser.add_argument("--out", type=Path, default=Path("out") / "x")
    parser.add_argument("--level", choices=["none", "lr", "all"], default="all")
    parser.add_argument("--size", choices=["resnet-18", "x"], default="x")
    parser.add_argument("--big", type=int, default=2**40)
    parser.add_argument("--lambda", type=float, default=0.5)
    parser.add_argument("--launcher", default="none")
    return parser


def run(options):
    return {name: str(value) for name, value in vars(options).items()}


if __name__ == "__main__":
    run(build().parse_args())
"""

OPTIONS = """\
import argparse


class BaseOptions:
    def __init__(self):
        self.initialized = False

    def initialize(self, parser):
        parser.add_argument('--dataroot', required=True, help='path to images')
        parser.add_argument('--name', type=str, default='experiment_name', help='name of the experiment')
        parser.add_argument('--ngf', type=int, default=64, help='# of gen filters in the last conv layer')
        self.initialized = True
        return parser

    def parse(self):
        if not self.initialized:
            parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
            parser = self.initialize(parser)
        self.parser = parser
        return parser.parse_args()


class TrainOptions(BaseOptions):
    def initialize(self, parser):
        parser = BaseOptions.initialize(self, parser) if False else super().initialize(parser)
        parser.add_argument('--n_epochs', type=int, default=100)
        for loss in ('gan', 'l1'):
            parser.add_argument(f'--lambda_{loss}', type=float, default=1.0)
        self.isTrain = True
        return parser


if __name__ == '__main__':
    opt = TrainOptions().parse()
    print('options', opt.dataroot, opt.n_epochs, opt.lambda_l1)
"""

TIMM = """\
import argparse
config_parser = parser = argparse.ArgumentParser(description='Training Config', add_help=False)
parser.add_argument('-c', '--config', default='', type=str, metavar='FILE', help='YAML config file')

parser = argparse.ArgumentParser(description='PyTorch ImageNet Training')
group = parser.add_argument_group('Dataset parameters')
group.add_argument('--dataset', metavar='NAME', default='', help='dataset type')
group.add_argument('--mean', type=float, nargs='+', default=None, metavar='MEAN')
group = parser.add_argument_group('Optimizer parameters')
group.add_argument('--opt', default='sgd', type=str, help='Optimizer (default: "sgd")')
group.add_argument('--decay-epochs', default=[30, 60], type=int, nargs='+')


def _parse_args():
    args_config, remaining = config_parser.parse_known_args()
    args = parser.parse_args(remaining)
    return args, str(vars(args))


def main():
    args, args_text = _parse_args()
    return vars(args)


if __name__ == '__main__':
    main()
"""

UNREADABLE = """\
import argparse
import os
import other


def add(parser, *names, **more):
    parser.add_argument(*names, **more)


def main():
    parser = argparse.ArgumentParser(parents=[other.parser])
    parser.add_argument("--lr", type=float, default=0.1)
    add(parser, "--hidden", type=int)
    for name in other.NAMES:
        parser.add_argument("--" + name)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--kind", type=other.kind, default="a", choices=other.KINDS)
    parser.add_argument("--seed", action=other.Seed, type=int, default=0)
    parser.add_argument(os.environ["FLAG"])
    print(parser.parse_args())


if __name__ == "__main__":
    main()
"""

SCRIPTS = {
    "imagenet": IMAGENET,
    "mnist": MNIST,
    "nano": NANO,
    "detr": DETR,
    "hugging": HUGGING,
    "tool": TOOL,
    "fitting": TYPES,
    "options": OPTIONS,
    "timm": TIMM,
    "unreadable": UNREADABLE,
}
