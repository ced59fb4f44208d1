"""A head for frozen features: several models of classes, whose logits add up to one head."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize, minimize_scalar
from torch import nn

from finprint.classes.heads import SoftmaxHead, hidden_layer, log_loss
from finprint.classes.hidden import fit_hidden
from finprint.classes.labels import ALONE
from finprint.classes.linear import PENALTIES, Examples, discriminant, regressions

INNER = 5  # parts of the groups, one of which chooses
UNITS = 512  # of the hidden layer
SHARPEST = 0.5  # log of the greatest factor by which a model's logits are sharpened
EQUAL = 10  # photos: so much evidence is there beforehand that the models count equally


@dataclass(frozen=True)
class Logits:
    """What gives logits (..., C) of values (..., L).

    Attributes:
        weight: (C, L).
        bias: (C,).
        hidden: whose logits are added; None: there is none.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    hidden: nn.Sequential | None = None

    @torch.no_grad()
    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        logits = values @ self.weight.T + self.bias
        return logits if self.hidden is None else logits + self.hidden(values)


@dataclass(frozen=True)
class Fitted:
    """A head.

    Attributes:
        logits: of all L values; the weight of a value which the head does not look at is 0.
        penalty: of the logistic regression.
        stages: how many of the last stages it looks at; 1 where the examples tell no stages.
        shares: what the logits of each model are multiplied by.
    """

    logits: Logits
    penalty: float
    stages: int
    shares: dict[str, float]

    @torch.no_grad()
    def fill(self, head: SoftmaxHead) -> None:
        """Write it into a head of this shape."""
        head.linear.weight.copy_(self.logits.weight)
        head.linear.bias.copy_(self.logits.bias)
        if head.hidden is not None and self.logits.hidden is not None:
            head.hidden.load_state_dict(self.logits.hidden.state_dict())


def fit_head(examples: Examples, models: Sequence[str]) -> Fitted:
    """Fit some models to standardised values, and add their logits.

    The sum of logits is the geometric mean of probabilities. Penalty, number of stages and shares are those with the
    least log loss on a fifth of the groups; all photos then learn with them. Without groups to choose by, the penalty
    is the strongest, all stages count, and the first model alone answers.

    Args:
        examples: of which photos.
        models: of `regression`, `discriminant`, `hidden`.
    """
    aside, choices = _aside(examples), _choices(examples)
    made = examples.groups == ALONE  # images by a generator that has seen what is aside
    penalty, stages, shares = PENALTIES[0], len(choices), [1.0] + [0.0] * (len(models) - 1)
    if aside.any() and not aside.all():
        rest, judged = examples[~aside & ~made], examples[aside]
        penalty, stages = _penalty_and_stages(rest, judged, choices)
        if len(models) > 1:
            columns = choices[stages - 1]
            values = torch.from_numpy(judged.at(columns).values)
            each = [_fit(model, rest.at(columns), penalty)(values).numpy() for model in models]
            shares = fit_shares(each, judged.codes)
    columns = choices[stages - 1]
    parts = [_fit(model, examples.at(columns), penalty) for model in models]
    told = dict(zip(models, [round(share, 4) for share in shares], strict=True))
    return Fitted(_whole(parts, shares, columns, examples.values.shape[-1]), penalty, stages, told)


def fit_shares(each: Sequence[np.ndarray], codes: np.ndarray) -> list[float]:
    """(M,) what the logits (N, V, C) of each of M models are multiplied by before they are added.

    Those with the least log loss of the mean over V views, drawn towards what is best for each model alone, divided by
    M.

    Args:
        each: of N photos that the models have not learned from.
        codes: (N,) numbers of their classes.
    """

    def loss(logs: Sequence[float], logits: Sequence[np.ndarray]) -> float:
        total = sum(np.exp(log) * one for log, one in zip(logs, logits, strict=True))
        return log_loss(F.softmax(torch.from_numpy(np.asarray(total)), dim=-1).mean(dim=1).numpy(), codes)

    alone = [
        minimize_scalar(lambda log, one=one: loss([log], [one]), bounds=(-5, SHARPEST), method="bounded").x
        for one in each
    ]
    begin = np.array(alone) - np.log(len(each))

    def drawn(apart: np.ndarray) -> float:
        return loss((begin + apart).tolist(), each) + EQUAL / len(codes) * float(np.square(apart).mean())

    least = minimize(drawn, np.zeros(len(each)), method="L-BFGS-B", bounds=[(-8, 2)] * len(each))
    shares: list[float] = np.exp(begin + least.x).tolist()
    return shares


def _fit(model: str, examples: Examples, penalty: float) -> Logits:
    if model == "hidden":
        nothing = torch.zeros(examples.count, examples.values.shape[-1]), torch.zeros(examples.count)
        return Logits(*nothing, fit_hidden(examples, UNITS))
    if model == "discriminant":
        return Logits(*discriminant(examples))
    *_, (_, linear) = regressions(examples, PENALTIES[: PENALTIES.index(penalty) + 1])
    return Logits(*linear)


def _penalty_and_stages(rest: Examples, judged: Examples, choices: Sequence[np.ndarray]) -> tuple[float, int]:
    """Those with the least log loss on what is judged; a weaker penalty is tried as long as it helps."""
    lowest, best, stages = np.inf, PENALTIES[0], len(choices)
    for number, columns in enumerate(choices, start=1):
        last, values = np.inf, torch.from_numpy(judged.at(columns).values)
        for penalty, linear in regressions(rest.at(columns), PENALTIES):
            loss = log_loss(F.softmax(Logits(*linear)(values), dim=-1).mean(dim=1).numpy(), judged.codes)
            if loss >= last:
                break
            last = loss
            if loss < lowest:
                lowest, best, stages = loss, penalty, number
    return best, stages


def _whole(parts: Sequence[Logits], shares: Sequence[float], columns: np.ndarray, length: int) -> Logits:
    """The models as one, each multiplied by its share; it takes all `length` values, of which they take `columns`."""
    told = list(zip(parts, shares, strict=True))
    weight = torch.zeros(len(parts[0].weight), length)
    weight[:, torch.from_numpy(columns)] = torch.stack([share * part.weight for part, share in told]).sum(dim=0)
    bias = torch.stack([share * part.bias for part, share in told]).sum(dim=0)
    hidden = None
    for part, share in told:
        if part.hidden is not None:
            state = part.hidden.state_dict()
            first = torch.zeros(len(state["0.bias"]), length)
            first[:, torch.from_numpy(columns)] = state["0.weight"]
            scaled = {name: share * state[name] for name in ("2.weight", "2.bias")}
            hidden = hidden_layer(length, len(first), len(bias)).eval().requires_grad_(False)
            hidden.load_state_dict(state | scaled | {"0.weight": first})
    return Logits(weight, bias, hidden)


def _choices(examples: Examples) -> list[np.ndarray]:
    """Columns of the last stage, of the last two, and so on; those behind the stages (extras) always count."""
    ends = np.cumsum([0, *examples.stages])
    length = examples.values.shape[-1]
    return [np.arange(start, length) for start in ends[:-1][::-1]] or [np.arange(length)]


def _aside(examples: Examples) -> np.ndarray:
    """(N,) bool: a fifth of the groups, drawn at random, the same each time."""
    names = np.unique(examples.groups[examples.groups != ALONE])
    return np.isin(examples.groups, names[np.random.default_rng(0).permutation(len(names))[: len(names) // INNER]])
