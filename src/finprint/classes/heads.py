"""The head that tells classes: a linear layer on the vector, and on the extras where there are any; beside it a hidden
layer, if it has one."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from finprint.learning.lessons import Targets
from finprint.learning.network import Heads

FAR = 5.0  # standard deviations


class SoftmaxHead(nn.Module):
    """Vectors (N, D), with extras (N, E) behind them, to logits (N, C).

    Args:
        features: D.
        classes: C.
        extras: E.
        hidden: units of a layer beside the linear one, whose logits are added; 0: there is none.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, features: int, classes: int, extras: int = 0, hidden: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(features + extras, classes)
        nn.init.zeros_(self.linear.bias)
        self.hidden = hidden_layer(features + extras, hidden, classes) if hidden else None
        self.register_buffer("mean", torch.zeros(extras))  # of the extras, in training
        self.register_buffer("std", torch.ones(extras))

    @property
    def extras(self) -> int:
        """Number E of extras that it wants."""
        return len(self.mean)

    def standardise(self, extras: np.ndarray) -> None:
        """Take mean and deviation from the extras (N, E) of the photos that are learned from. What all of them have in
        common tells nothing: it is 0 of any photo."""
        self.mean.copy_(torch.from_numpy(extras.mean(axis=0, dtype=float)))  # float32 adds up its errors
        std = torch.from_numpy(extras.std(axis=0, dtype=float))
        self.std.copy_(std.masked_fill(std < 1e-6, 1e9))  # no infinity, because weights are averaged

    def beside(self, extras: torch.Tensor) -> torch.Tensor:
        """Extras (N, E) in standard deviations, `FAR` of them at most: a photo of a size that no other had says no more
        than that by its size."""
        return ((extras - self.mean) / self.std).clamp(-FAR, FAR)

    def forward(self, vectors: torch.Tensor, extras: torch.Tensor | None = None) -> torch.Tensor:
        if extras is not None and self.extras:
            vectors = torch.cat([vectors, self.beside(extras)], dim=1)
        logits = self.linear(vectors)
        return logits if self.hidden is None else logits + self.hidden(vectors)

    @classmethod
    def from_state(cls, state: dict[str, torch.Tensor]) -> "SoftmaxHead":
        """The head with these weights, as `load_model` gives them."""
        classes, width = state["linear.weight"].shape
        hidden = len(state["hidden.0.bias"]) if "hidden.0.bias" in state else 0
        head = cls(width - len(state["mean"]), classes, len(state["mean"]), hidden)
        head.load_state_dict(state)
        return head.eval()


def hidden_layer(values: int, units: int, classes: int) -> nn.Sequential:
    """Values (N, L) through one hidden layer to logits (N, C)."""
    return nn.Sequential(nn.Linear(values, units), nn.GELU(), nn.Linear(units, classes))


class ClassHeads(Heads):
    """The softmax head with its loss: cross entropy, labels smoothed (Szegedy et al., Inception v3, CVPR 2016).

    Args:
        main: the head.
        smoothing: share of each label that is spread evenly over all classes.
    """

    def __init__(self, main: SoftmaxHead, smoothing: float) -> None:
        super().__init__()
        self.main = main
        self.smoothing = smoothing

    def forward(self, vectors: torch.Tensor, targets: Targets) -> torch.Tensor:
        """The mean loss of vectors (N, D). A photo's weights add up to 1: whole probability vectors are soft labels."""
        logs = F.log_softmax(self.main(vectors, targets.extras).float(), dim=1)
        told = targets.mean(-logs.gather(1, targets.labels))
        return (1 - self.smoothing) * told - self.smoothing * logs.mean()


def log_loss(probabilities: np.ndarray, codes: np.ndarray) -> float:
    """The mean of -log p of the right class.

    Args:
        probabilities: (N, C).
        codes: (N,) numbers of the right classes.
    """
    right = probabilities[np.arange(len(codes)), codes]
    # A rounded probability may be above 1; + 0.0 makes 0 of -0.
    return float(-np.log(np.clip(right, 1e-15, 1.0)).mean()) + 0.0
