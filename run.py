"""The task file: trains a small neural network on scikit-learn's digits, or measures a trained one.

Copy it to start a project: HeyHi calls `main`, with the working directory set to the experiment's folder.
NumPy and scikit-learn are imported inside functions, so that `python run.py --print` answers at once.
"""

# PYTHON_ARGCOMPLETE_OK: global completion looks for this mark.

from __future__ import annotations

import json
import logging
import math
import os
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import heyhi

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heyhi.config.frozen import FrozenConfig

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int64]
    Data = tuple[Floats, Labels]

CHECKPOINT = Path("checkpoint.npz")
TEST_SIZE = 360
CLASSES = 10


def main(task: str, cfg: FrozenConfig, log_level: str) -> dict[str, Any]:
    """Run one experiment in the current folder.

    Args:
        task: name of the chosen task, train or eval.
        cfg: config of that task.
        log_level: level that --log-level gave.

    Returns:
        the final metrics, which HeyHi writes to result.json.
    """
    import numpy  # noqa: F401  (threadpool_limits reaches only what is loaded)
    from threadpoolctl import threadpool_limits

    heyhi.setup_logging(log_level)
    logging.info("Task %s in %s with\n%s", task, Path.cwd(), cfg)
    with threadpool_limits(limits=1):  # several runs share a machine, and sums must not depend on its cores
        return {"train": train, "eval": evaluate}[task](cfg)


def train(cfg: FrozenConfig) -> dict[str, Any]:
    """Train a classifier, or go on from the checkpoint in the current folder.

    An epoch ends with its metrics, then its checkpoint. After a kill in between it is computed again, and of its two
    lines of metrics the later one counts: none is lost or doubled, and the final numbers are those of a run that was
    never interrupted.
    """
    import numpy as np

    if cfg.epochs < 1 or cfg.batch_size < 1:
        raise ValueError(f"epochs ({cfg.epochs}) and batch_size ({cfg.batch_size}) must be at least 1")
    train_data, val_data, _ = load_data(cfg.val_fraction, cfg.seed)
    steps = cfg.epochs * math.ceil(len(train_data[1]) / cfg.batch_size)
    rng = np.random.default_rng(cfg.seed)
    model = Model([train_data[0].shape[1], *cfg.hidden_sizes, CLASSES], cfg.activation, rng)
    optimizer = Optimizer(cfg, model.params)
    # Each epoch ends with its checkpoint, so there is nothing more to save when Slurm is about to stop this job.
    heyhi.maybe_init_requeue_handler(lambda: logging.info("About to be stopped: the last epoch's checkpoint is there"))
    metrics = load_checkpoint(model, optimizer, rng) if CHECKPOINT.exists() else {"epoch": 0, "best_val_accuracy": 0.0}
    logging.info("%d of %d epochs are done", metrics["epoch"], cfg.epochs)

    for epoch in range(metrics["epoch"] + 1, cfg.epochs + 1):
        train_loss, train_accuracy = train_epoch(model, optimizer, train_data, cfg.batch_size, rng)
        val_loss, val_accuracy = measure(model, val_data)
        line = {
            "epoch": epoch,
            "step": optimizer.step,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
        }
        heyhi.log(line, total=steps)
        metrics = {**line, "best_val_accuracy": max(val_accuracy, metrics["best_val_accuracy"])}
        save_checkpoint(model, optimizer, rng, metrics)
        logging.info("Epoch %d: train loss %.4f, val accuracy %.4f", epoch, train_loss, val_accuracy)
    return metrics


def evaluate(cfg: FrozenConfig) -> dict[str, Any]:
    """Measure the classifier of another experiment on the test images."""
    import numpy as np

    if not cfg.checkpoint:
        raise ValueError("checkpoint is not set; '{{exp conf/c02_sup_train/sl.prototxt}}' names a training")
    model, epoch = load_model(Path(cfg.checkpoint) / CHECKPOINT)
    _, _, (images, labels) = load_data()
    images = images + cfg.noise * np.random.default_rng(cfg.seed).standard_normal(images.shape)
    loss, accuracy = measure(model, (images, labels), cfg.batch_size)
    logging.info("Accuracy %.4f on %d test images", accuracy, len(labels))
    return {"test_loss": loss, "test_accuracy": accuracy, "trained_epochs": epoch}


def load_data(val_fraction: float = 0.2, seed: int = 0) -> tuple[Data, Data, Data]:
    """Load the digits as (training, validation, test); the test images are the same whatever the seed."""
    import numpy as np
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images / 16
    order = np.random.default_rng(0).permutation(len(labels))
    test, rest = order[:TEST_SIZE], np.random.default_rng(seed).permutation(order[TEST_SIZE:])
    val_size = round(val_fraction * len(rest))
    if not 0 < val_size < len(rest):
        raise ValueError(f"val_fraction={val_fraction} leaves no images for validation or training")
    val, train = rest[:val_size], rest[val_size:]
    return (images[train], labels[train]), (images[val], labels[val]), (images[test], labels[test])


class Model:
    """A multi-layer perceptron; `params` holds its weights (w0, w1, ...) and biases (b0, b1, ...)."""

    def __init__(self, sizes: list[int], activation: str, rng: np.random.Generator) -> None:
        import numpy as np

        self.sizes = sizes
        self.activation = activation
        self.params: dict[str, Floats] = {}
        for i, (rows, columns) in enumerate(pairwise(sizes)):
            self.params[f"w{i}"] = rng.standard_normal((rows, columns)) * (2 / rows) ** 0.5
            self.params[f"b{i}"] = np.zeros(columns)

    def forward(self, images: Floats) -> tuple[list[Floats], Floats]:
        """Compute the input of each layer, and the log-probability of each class."""
        import numpy as np

        inputs = [images]
        last = len(self.sizes) - 2
        for i in range(last + 1):
            sums = inputs[i] @ self.params[f"w{i}"] + self.params[f"b{i}"]
            if i < last:
                inputs.append(np.tanh(sums) if self.activation == "TANH" else np.maximum(sums, 0))
        sums -= sums.max(axis=1, keepdims=True)
        return inputs, sums - np.log(np.exp(sums).sum(axis=1, keepdims=True))

    def gradients(self, images: Floats, labels: Labels) -> tuple[Floats, dict[str, Floats]]:
        """Compute the log-probability of each class, and the gradients of the mean loss."""
        import numpy as np

        inputs, logp = self.forward(images)
        delta = np.exp(logp)
        delta[np.arange(len(labels)), labels] -= 1
        delta /= len(labels)
        grads: dict[str, Floats] = {}
        for i in reversed(range(len(inputs))):
            grads[f"w{i}"], grads[f"b{i}"] = inputs[i].T @ delta, delta.sum(axis=0)
            slope = 1 - inputs[i] ** 2 if self.activation == "TANH" else inputs[i] > 0
            delta = delta @ self.params[f"w{i}"].T * slope
        return logp, grads


class Optimizer:
    """SGD with momentum, or Adam; a checkpoint keeps its `step` and `state`."""

    def __init__(self, cfg: FrozenConfig, params: dict[str, Floats]) -> None:
        self.params = params
        self.lr, self.weight_decay = cfg.lr, cfg.weight_decay
        self.adam = cfg.adam
        self.momentum = cfg.sgd.momentum if cfg.sgd else 0.0
        self.step = 0
        slots = ("mean", "square") if self.adam else ("velocity",)
        self.state = {f"{slot}.{name}": 0 * param for slot in slots for name, param in params.items()}

    def update(self, grads: dict[str, Floats]) -> None:
        """Take one step, changing the parameters in place."""
        self.step += 1
        for name, param in self.params.items():
            grad = grads[name] + self.weight_decay * param if name.startswith("w") else grads[name]
            if self.adam:
                beta1, beta2, epsilon = self.adam.beta1, self.adam.beta2, self.adam.epsilon
                mean, square = self.state[f"mean.{name}"], self.state[f"square.{name}"]
                mean += (1 - beta1) * (grad - mean)
                square += (1 - beta2) * (grad**2 - square)
                scale = (square / (1 - beta2**self.step)) ** 0.5 + epsilon
                param -= self.lr * mean / (1 - beta1**self.step) / scale
            else:
                velocity = self.state[f"velocity.{name}"]
                velocity *= self.momentum
                velocity -= self.lr * grad
                param += velocity


def train_epoch(
    model: Model, optimizer: Optimizer, data: Data, batch_size: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Train on all data once, in random order; return the mean loss and the accuracy of the batches."""
    images, labels = data
    order = rng.permutation(len(labels))
    sums = [0.0, 0.0]
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        logp, grads = model.gradients(images[chosen], labels[chosen])
        optimizer.update(grads)
        sums = [total + part for total, part in zip(sums, score(logp, labels[chosen]), strict=True)]
    return sums[0] / len(labels), sums[1] / len(labels)


def measure(model: Model, data: Data, batch_size: int = 256) -> tuple[float, float]:
    """Return the mean loss and the accuracy on some data."""
    images, labels = data
    sums = [0.0, 0.0]
    for start in range(0, len(labels), batch_size):
        part = slice(start, start + batch_size)
        _, logp = model.forward(images[part])
        sums = [total + value for total, value in zip(sums, score(logp, labels[part]), strict=True)]
    return sums[0] / len(labels), sums[1] / len(labels)


def score(logp: Floats, labels: Labels) -> tuple[float, float]:
    """Return the summed loss and the number of right answers."""
    loss = -logp[range(len(labels)), labels].sum()
    return float(loss), float((logp.argmax(axis=1) == labels).sum())


def save_checkpoint(model: Model, optimizer: Optimizer, rng: np.random.Generator, metrics: dict[str, Any]) -> None:
    """Write all that the next epoch depends on, atomically: the file is the last checkpoint or this one, whole."""
    import numpy as np

    facts = {
        "metrics": metrics,
        "sizes": model.sizes,
        "activation": model.activation,
        "rng": rng.bit_generator.state,
    }
    arrays: dict[str, Any] = {"facts": np.array(json.dumps(facts)), **model.params, **optimizer.state}
    part = CHECKPOINT.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    part.replace(CHECKPOINT)


def load_checkpoint(model: Model, optimizer: Optimizer, rng: np.random.Generator) -> dict[str, Any]:
    """Set model, optimizer and rng from the checkpoint in the current folder; return the metrics of its epoch."""
    facts, arrays = read_checkpoint(CHECKPOINT)
    wanted = {**model.params, **optimizer.state}
    if {k: v.shape for k, v in wanted.items()} != {k: v.shape for k, v in arrays.items()}:
        raise RuntimeError(f"{CHECKPOINT.resolve()} was written with another model or optimizer")
    for name, array in wanted.items():
        array[...] = arrays[name]
    metrics: dict[str, Any] = facts["metrics"]
    optimizer.step = metrics["step"]
    rng.bit_generator.state = facts["rng"]
    return metrics


def load_model(path: Path) -> tuple[Model, int]:
    """Load a trained model; return it and the epoch it comes from."""
    import numpy as np

    facts, arrays = read_checkpoint(path)
    model = Model(facts["sizes"], facts["activation"], np.random.default_rng(0))
    model.params = {name: arrays[name] for name in model.params}
    return model, facts["metrics"]["epoch"]


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, Floats]]:
    """Read a checkpoint: its facts, and its arrays by name."""
    import numpy as np

    if not path.exists():
        raise FileNotFoundError(f"{path.resolve()} does not exist: no epoch of that training is done")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(arrays.pop("facts").item()), arrays
    except Exception as error:  # a damaged archive fails in many ways
        raise RuntimeError(f"{path.resolve()} is damaged ({error}); remove it to start afresh") from error


if __name__ == "__main__":
    heyhi.parse_args_and_maybe_launch(main)
