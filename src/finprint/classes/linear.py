"""Two linear heads for frozen features: logistic regression and linear discriminant analysis."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from finprint.base.device import best_device

PENALTIES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)  # strong to weak, each begins where the one before ended
STEPS = 60  # of L-BFGS for each penalty
Linear = tuple[torch.Tensor, torch.Tensor]  # weight (C, L), bias (C,)


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


def regressions(examples: Examples, penalties: Sequence[float]) -> Iterator[tuple[float, Linear]]:
    """Multinomial logistic regression for each penalty, strong to weak, by L-BFGS.

    Half of the penalty times the sum of squared weights is added to the mean cross entropy.
    """
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
        yield penalty, (weight.detach().cpu().clone(), bias.detach().cpu().clone())


def discriminant(examples: Examples) -> Linear:
    """Linear discriminant analysis: classes are equally frequent, and each is normal with one covariance for all.

    The covariance is shrunk as Ledoit and Wolf say (A well-conditioned estimator for large-dimensional covariance
    matrices, 2004). A class without examples is as unlikely as the least likely class of a photo is on average.
    """
    from sklearn.covariance import ledoit_wolf  # takes a second to import

    values = examples.values.reshape(-1, examples.values.shape[-1]).astype(np.float64)
    codes = examples.codes.repeat(examples.values.shape[1])
    present, number = np.unique(codes, return_inverse=True)
    centres = np.stack([values[number == place].mean(axis=0) for place in range(len(present))])
    covariance, _ = ledoit_wolf(values - centres[number], assume_centered=True)
    told = np.linalg.lstsq(covariance, centres.T, rcond=None)[0].T
    offset = -(told * centres).sum(axis=1) / 2
    weight = np.zeros((examples.count, values.shape[1]))
    bias = np.full(examples.count, (values @ told.T + offset).min(axis=1).mean())
    weight[present], bias[present] = told, offset
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()
