"""A head for frozen features: multinomial logistic regression, its penalty and layers chosen on photos set aside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from finprint.base.device import best_device
from finprint.classes.heads import log_loss
from finprint.classes.labels import ALONE

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)  # strong to weak, each begins where the one before ended
STEPS = 60  # of L-BFGS for each penalty
INNER = 5  # parts of the groups, one of which chooses the penalty


@dataclass(frozen=True)
class Examples:
    """What a head learns from.

    Attributes:
        values: (N, V, L) float32: features of V views, extras behind them.
        codes: (N,) numbers of the classes.
        groups: (N,) photos of one group never stand on two sides; what is in group ALONE never chooses.
        count: C classes.
        stages: lengths of the values that each stage of the backbone gave, the deepest last; empty: they are one.
    """

    values: np.ndarray
    codes: np.ndarray
    groups: np.ndarray
    count: int
    stages: Sequence[int] = ()

    def __getitem__(self, rows: np.ndarray) -> "Examples":
        return replace(self, values=self.values[rows], codes=self.codes[rows], groups=self.groups[rows])

    def at(self, columns: np.ndarray) -> "Examples":
        """The same, by some columns of the values alone."""
        return replace(self, values=np.ascontiguousarray(self.values[..., columns]))


@dataclass(frozen=True)
class Fitted:
    """A head.

    Attributes:
        weight: (C, L); that of a value which the head does not look at is 0.
        bias: (C,).
        penalty: half of it times the sum of squared weights was added to the mean cross entropy.
        stages: how many of the last stages it looks at; 1 where the examples tell no stages.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    penalty: float
    stages: int


def fit_head(examples: Examples) -> Fitted:
    """Fit by L-BFGS on standardised values.

    Penalty and number of stages are those with the least log loss on a fifth of the groups; all photos then learn with
    them. Without groups to choose by, the penalty is the strongest, and all stages count.
    """
    aside, choices = _aside(examples), _choices(examples)
    made = examples.groups == ALONE  # images by a generator that has seen what is aside
    lowest, best, stages = np.inf, PENALTIES[0], len(choices)
    if aside.any() and not aside.all():
        for number, columns in enumerate(choices, start=1):
            here, last = examples.at(columns), np.inf
            for penalty, weight, bias in _path(here[~aside & ~made], PENALTIES):
                loss = log_loss(_probabilities(here[aside].values, weight, bias), here[aside].codes)
                if loss >= last:
                    break
                last = loss
                if loss < lowest:
                    lowest, best, stages = loss, penalty, number
    columns = choices[stages - 1]
    *_, (_, weight, bias) = _path(examples.at(columns), PENALTIES[: PENALTIES.index(best) + 1])
    whole = torch.zeros(examples.count, examples.values.shape[-1], device=weight.device)
    whole[:, torch.from_numpy(columns).to(weight.device)] = weight
    return Fitted(whole, bias, best, stages)


def _choices(examples: Examples) -> list[np.ndarray]:
    """Columns of the last stage, of the last two, and so on; those behind the stages (extras) always count."""
    ends = np.cumsum([0, *examples.stages])
    length = examples.values.shape[-1]
    return [np.arange(start, length) for start in ends[:-1][::-1]] or [np.arange(length)]


def _aside(examples: Examples) -> np.ndarray:
    """(N,) bool: a fifth of the groups, drawn at random, the same each time."""
    names = np.unique(examples.groups[examples.groups != ALONE])
    return np.isin(examples.groups, names[np.random.default_rng(0).permutation(len(names))[: len(names) // INNER]])


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
