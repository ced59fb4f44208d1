"""A head for frozen features: multinomial logistic regression, its penalty chosen on photos set aside."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from finprint.base.device import best_device
from finprint.classes.heads import log_loss

PENALTIES = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)  # strong to weak, each begins where the one before ended
STEPS = 60  # of L-BFGS for each penalty
INNER = 5  # parts of the groups, one of which chooses the penalty


@dataclass(frozen=True)
class Examples:
    """What a head learns from.

    Attributes:
        values: (N, V, L) float32: features of V views, extras behind them.
        codes: (N,) numbers of the classes.
        groups: (N,) photos of one group never stand on two sides.
        count: C classes.
    """

    values: np.ndarray
    codes: np.ndarray
    groups: np.ndarray
    count: int

    def __getitem__(self, rows: np.ndarray) -> "Examples":
        return Examples(self.values[rows], self.codes[rows], self.groups[rows], self.count)


def fit_head(examples: Examples) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Weights (C, L) and biases (C,) by L-BFGS on standardised values, and the penalty: half of it times the sum of
    squared weights is added to the mean cross entropy.

    The penalty is the one with the least log loss on a fifth of the groups; all photos then learn with it.
    """
    aside = _aside(examples)
    best, lowest = PENALTIES[0], np.inf
    if aside.any() and not aside.all():
        for penalty, weight, bias in _path(examples[~aside], PENALTIES):
            loss = log_loss(_probabilities(examples[aside].values, weight, bias), examples[aside].codes)
            if loss >= lowest:
                break
            best, lowest = penalty, loss
    upto = PENALTIES[: PENALTIES.index(best) + 1]
    *_, (_, weight, bias) = _path(examples, upto)
    return weight, bias, best


def _aside(examples: Examples) -> np.ndarray:
    """(N,) bool: a fifth of the groups, drawn at random, the same each time."""
    names, number = np.unique(examples.groups, return_inverse=True)
    return np.isin(number, np.random.default_rng(0).permutation(len(names))[: len(names) // INNER])


def _path(examples: Examples, penalties: tuple[float, ...]) -> Iterator[tuple[float, torch.Tensor, torch.Tensor]]:
    """(penalty, weights, biases) for each penalty, strong to weak."""
    device = best_device()
    views, length = examples.values.shape[1:]
    values = torch.from_numpy(examples.values.reshape(-1, length)).to(device)
    codes = torch.from_numpy(examples.codes.astype(np.int64)).to(device).repeat_interleave(views)
    weight = torch.zeros(examples.count, length, device=device, requires_grad=True)
    bias = torch.zeros(examples.count, device=device, requires_grad=True)
    for penalty in penalties:
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss(penalty: float = penalty, optimiser: torch.optim.Optimizer = optimiser) -> torch.Tensor:
            optimiser.zero_grad()
            fit = F.cross_entropy(values @ weight.T + bias, codes)
            total = fit + penalty / 2 * weight.square().sum()
            total.backward()  # type: ignore[no-untyped-call]
            return total

        optimiser.step(loss)  # type: ignore[no-untyped-call]
        yield penalty, weight.detach().clone(), bias.detach().clone()


def _probabilities(values: np.ndarray, weight: torch.Tensor, bias: torch.Tensor) -> np.ndarray:
    logits = torch.from_numpy(values).to(weight.device) @ weight.T + bias
    return F.softmax(logits, dim=-1).mean(dim=1).cpu().numpy()
