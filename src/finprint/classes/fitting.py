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

REGRESSION = "regression"
INNER = 5  # parts of the groups, one of which chooses
UNITS = 512  # of the hidden layer
FACTORS = (-5.0, 0.5)  # log of the factor by which one model's logits are sharpened or softened, at least and at most
APART = (-8.0, 2.0)  # log of the factor by which its share then leaves that
FITS = 1  # photos: so much evidence is there beforehand that a model's own logits fit
EQUAL = 10  # photos: ... that all models count equally


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
        penalty: of the logistic regression; 0 if there is none.
        stages: how many of the last stages it looks at; 1 where the examples tell no stages.
        shares: what the logits of each model are multiplied by.
    """

    logits: Logits
    penalty: float
    stages: int
    shares: dict[str, float]

    @torch.no_grad()
    def fill(self, head: SoftmaxHead) -> None:
        """Write it into a head of L values."""
        head.linear.weight.copy_(self.logits.weight)
        head.linear.bias.copy_(self.logits.bias)
        head.hidden = self.logits.hidden


def fit_head(examples: Examples, models: Sequence[str]) -> Fitted:
    """Fit some models to standardised values, and add their logits.

    The sum of logits is the geometric mean of probabilities. A fifth of the groups is set aside, and the least log loss
    on it chooses the regression's penalty, the number of stages (by the regression) and the shares. All photos then
    learn with them. If nothing can be set aside, the penalty is the strongest, all stages count, and one model answers,
    the regression if it is among them.

    Args:
        examples: of which photos.
        models: of `regression`, `discriminant`, `hidden`.
    """
    rest, judged, choices = *_divided(examples), _choices(examples)
    penalty, stages = PENALTIES[0], len(choices)
    shares = {REGRESSION if REGRESSION in models else models[0]: 1.0}
    if len(judged.codes):
        known: dict[str, Logits] = {}
        if REGRESSION in models or len(choices) > 1:
            penalty, stages, known[REGRESSION] = _best_regression(rest, judged, choices)
        if list(models) != [REGRESSION]:  # its penalty sees to its sharpness
            few, values = rest.at(choices[stages - 1]), torch.from_numpy(judged.at(choices[stages - 1]).values)
            parts = [known[model] if model in known else _fit(model, few, penalty) for model in models]
            shares = dict(zip(models, fit_shares([part(values) for part in parts], judged.codes), strict=True))
    columns = choices[stages - 1]
    parts = [_fit(model, examples.at(columns), penalty) for model in shares]
    logits = _whole(parts, list(shares.values()), columns, examples.values.shape[-1])
    told = {model: round(shares.get(model, 0.0), 4) for model in models}
    return Fitted(logits, penalty if REGRESSION in shares else 0.0, stages, told)


def fit_shares(each: Sequence[torch.Tensor], codes: np.ndarray) -> list[float]:
    """The factor of each of M models' logits (N, V, C) in their sum.

    The factors have the least log loss of the mean over V views. They are drawn towards equal parts of what is best for
    each model alone.

    Args:
        each: of N photos that the models have not learned from.
        codes: (N,) numbers of their classes.
    """

    def loss(logs: Sequence[float], logits: Sequence[torch.Tensor]) -> float:
        total = torch.stack([float(np.exp(log)) * one for log, one in zip(logs, logits, strict=True)]).sum(dim=0)
        return _view_loss(total, codes)

    def alone(log: float, one: torch.Tensor) -> float:
        return loss([log], [one]) + FITS / len(codes) * log**2

    each = [one.double() for one in each]  # slopes are differences of nearly equal losses
    best = [minimize_scalar(alone, args=(one,), bounds=FACTORS, method="bounded").x for one in each]
    begin = np.array(best) - np.log(len(each))

    def drawn(apart: np.ndarray) -> float:
        return loss((begin + apart).tolist(), each) + EQUAL / len(codes) * float(np.square(apart).mean())

    least = minimize(drawn, np.zeros(len(each)), method="L-BFGS-B", bounds=[APART] * len(each))
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


def _best_regression(rest: Examples, judged: Examples, choices: Sequence[np.ndarray]) -> tuple[float, int, Logits]:
    """The penalty, the number of stages and the regression with the least log loss on what is judged; a weaker penalty
    is tried as long as it helps."""
    lowest, best = np.inf, None
    for stages, columns in enumerate(choices, start=1):
        last, values = np.inf, torch.from_numpy(judged.at(columns).values)
        for penalty, linear in regressions(rest.at(columns), PENALTIES):
            loss = _view_loss(Logits(*linear)(values), judged.codes)
            if loss >= last:
                break
            last = loss
            if best is None or loss < lowest:
                lowest, best = loss, (penalty, stages, Logits(*linear))
    assert best is not None
    return best


def _view_loss(logits: torch.Tensor, codes: np.ndarray) -> float:
    """The log loss of logits (N, V, C): of the mean of the probabilities over V views."""
    return log_loss(F.softmax(logits, dim=-1).mean(dim=1).numpy(), codes)


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


def _divided(examples: Examples) -> tuple[Examples, Examples]:
    """Examples to learn from, and a fifth of the groups to choose by, drawn at random, the same each time.

    Made images do neither, because their generator has seen what is set aside. Of a class that is nowhere else nothing
    can be learned, so its photos do not choose.
    """
    names = np.unique(examples.groups[examples.groups != ALONE])
    drawn = names[np.random.default_rng(0).permutation(len(names))[: len(names) // INNER]]
    aside, made = np.isin(examples.groups, drawn), examples.groups == ALONE
    rest = examples[~aside & ~made]
    return rest, examples[aside & np.isin(examples.codes, rest.codes)]
