"""Curves of a training under way, for TensorBoard: `tensorboard --logdir .cache/live`."""

import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from torch.utils.tensorboard import SummaryWriter

from finprint.base.checkpoint import Checkpoint

KEY = "key"  # a file with the key of the checkpoint, beside the curves


class Watch(Protocol):
    """Is told metrics by name at a step of the training."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None: ...


def nobody(step: int, metrics: Mapping[str, float]) -> None:
    """The watch that does not look."""


@contextmanager
def curves(checkpoint: Checkpoint) -> Iterator[Watch]:
    """A watch that writes curves to `.cache/live/<experiment>/<stage>/`; a resumed run's go on where they began."""
    with SummaryWriter(str(_place(checkpoint))) as writer:

        def watch(step: int, metrics: Mapping[str, float]) -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

        yield watch


def experiment() -> str:
    """The name that DVC gives the experiment; the git branch in `dvc repro`; `workspace` without a branch."""
    if name := os.environ.get("DVC_EXP_NAME"):
        return name
    try:
        asked = subprocess.run(["git", "branch", "--show-current"], capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return "workspace"
    return asked.stdout.strip().replace("/", "-") or "workspace"


def _place(checkpoint: Checkpoint) -> Path:
    """The folder of a training's curves. It holds the key of the checkpoint, by which a resumed run finds it again.

    Further trainings of one experiment and stage, with other params, are called `train-2`, `train-3` and so on.
    """
    stage, key = checkpoint.folder.parts[-2:]
    home = checkpoint.folder.parents[2] / "live"
    for begun in sorted(home.glob(f"*/{stage}*/{KEY}")):
        if begun.read_text(encoding="utf-8") == key:
            return begun.parent
    own = home / experiment()
    own.mkdir(parents=True, exist_ok=True)
    place = next(filter(_made, (own / name for name in _names(stage))))
    (place / KEY).write_text(key, encoding="utf-8")
    return place


def _names(stage: str) -> Iterator[str]:
    yield stage
    yield from (f"{stage}-{number}" for number in itertools.count(2))


def _made(place: Path) -> bool:
    """Whether this call made the folder: without a look first, because another training may begin in between."""
    try:
        place.mkdir()
    except FileExistsError:
        return False
    return True
