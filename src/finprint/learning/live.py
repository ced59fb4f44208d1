"""Curves of a training under way, for TensorBoard: `tensorboard --logdir .cache/live`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from torch.utils.tensorboard import SummaryWriter

from finprint.base.checkpoint import Checkpoint


class Watch(Protocol):
    """Is told metrics by name at a step of the training."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None: ...


def nobody(step: int, metrics: Mapping[str, float]) -> None:
    """The watch that does not look."""


@contextmanager
def curves(checkpoint: Checkpoint) -> Iterator[Watch]:
    """A watch that writes curves beside the checkpoints, `.cache/live/<stage>/<key>/`; a resumed run's go on there."""
    stage, key = checkpoint.folder.parts[-2:]
    folder = checkpoint.folder.parents[2] / "live" / stage / key
    with SummaryWriter(str(folder)) as writer:

        def watch(step: int, metrics: Mapping[str, float]) -> None:
            for name, value in metrics.items():
                writer.add_scalar(name, value, step)

        yield watch
