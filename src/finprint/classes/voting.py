"""Several models' probabilities as one, and what is fitted to them: shares, a temperature and a least probability."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp, softmax

from finprint.base.errors import UserError
from finprint.base.files import atomic, write_json
from finprint.classes.heads import log_loss
from finprint.classes.params import Guess, Vote
from finprint.store.guesses import QUERY, Guesses
from finprint.store.tables import VALIDATION

CLIPS = (0.0, *np.geomspace(1e-6, 0.05, 24).tolist())
EQUAL = 10  # photos: so much evidence is there beforehand that the shares are equal
BELIEVED = 10  # photos: ... that the probabilities are right as they are
ODD = 0.1  # photos: ... that a photo may show any class, so that no probability is 0, however good the models are
SPREAD = 0.1  # standard deviation of the logarithms of the classes' powers, beforehand
PARTS = 5  # of the validation photos' groups: each part is answered by what was fitted to the others
TINY = 1e-12
Arrays = Sequence[np.ndarray] | np.ndarray


@dataclass(frozen=True)
class Sharpness:
    """What is fitted to probabilities.

    Attributes:
        temperature: divides the logits: above 1 the model was too sure (Guo et al., ICML 2017).
        clip: no probability is less.
        powers: of each of the C classes, the factor of its logits; none: 1.
    """

    temperature: float
    clip: float
    powers: Sequence[float] = ()

    def apply(self, array: np.ndarray) -> np.ndarray:
        """(N, C) probabilities of probabilities, float64; rows sum to 1."""
        logits = np.log(np.maximum(array.astype(float), TINY)) / self.temperature
        logits = logits * self.powers if len(self.powers) else logits
        sharp = np.exp(logits - logits.max(axis=1, keepdims=True))
        sharp = np.maximum(sharp / sharp.sum(axis=1, keepdims=True), self.clip)
        return sharp / sharp.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Joint:
    """How the probabilities of several models become one.

    Attributes:
        by: mean, geometric or majority.
        shares: of the M members of a fold, in their order; they sum to 1.
        sharpness: of the joint probabilities.
    """

    by: str
    shares: Sequence[float]
    sharpness: Sharpness

    def apply(self, arrays: Arrays) -> np.ndarray:
        """(N, C) of the models' (N, C): those of a fold, or those of several folds, one fold's after the other's."""
        return self.sharpness.apply(joined(arrays, self.by, self.shares))


@dataclass(frozen=True)
class Voted:
    """The joint answer.

    Attributes:
        guesses: of all photos; each validation photo by what was fitted to other groups.
        joint: fitted to all of validation.
        models: how many have voted.
    """

    guesses: Guesses
    joint: Joint
    models: int

    def save(self, path: Path, models: Sequence[str], views: Guess) -> None:
        """Write what new images are answered by: the models' names, how they are joined, sharpness and views."""
        rules = {"by": self.joint.by, "shares": list(self.joint.shares), **asdict(self.joint.sharpness)}
        write_json(
            path, {"models": list(models), "classes": self.guesses.classes, **rules, "guess": views.model_dump()}
        )

    def metrics(self) -> dict[str, Any]:
        """The content of metrics/classes/OF_vote.json."""
        roles = self.guesses.photos["role"].value_counts()
        return {
            "models": self.models,
            "shares": {f"member{number}": share for number, share in enumerate(self.joint.shares, start=1)},
            "temperature": self.joint.sharpness.temperature,
            "clip": self.joint.sharpness.clip,
            **{f"{role}_photos": int(roles.get(role, 0)) for role in (VALIDATION, "test", QUERY)},
        }


def vote(members: Sequence[Guesses], params: Vote) -> Voted:
    """Join the models' probabilities.

    A validation photo is answered by the models that have not learned from it, every other photo by all of them.

    Args:
        members: of each model, M of each fold in the same order, one fold's after the other's.
        params: the section.

    Raises:
        UserError: the models tell different classes.
    """
    for member in members[1:]:
        if member.classes != members[0].classes:
            raise UserError("the models tell different classes: run `dvc repro` for the stages classify and guess")
    first, left_out = members[0], [member.of(VALIDATION) for member in members]
    count = sum(one.photos["image"].equals(left_out[0].photos["image"]) for one in left_out)  # M
    judged = pd.concat([one.photos for one in left_out[::count]], ignore_index=True)
    each = np.stack([np.concatenate([one.array for one in left_out[place::count]]) for place in range(count)])
    shared = first.photos["role"] != VALIDATION
    images = first.photos.loc[shared, "image"]
    rest = [member.array[pd.Index(member.photos["image"]).get_indexer(images)] for member in members]
    codes = Guesses(judged, each[0], first.classes).codes()
    joint = fit_joint(each, codes, params)
    array = np.concatenate([_cross_fitted(each, codes, judged["group"], params), joint.apply(rest)])
    photos = pd.concat([judged, first.photos[shared]], ignore_index=True)
    return Voted(Guesses(photos, array, first.classes), joint, len(members))


def fit_joint(each: np.ndarray, codes: np.ndarray, params: Vote) -> Joint:
    """Shares of the members and sharpness, each as the params name it or with the least log loss.

    Args:
        each: (M, N, C) probabilities of the members.
        codes: (N,) numbers of the right classes.
        params: the section.
    """
    shares = fit_shares(each, codes, params)
    return Joint(params.by, shares, fit_sharpness(joined(each, params.by, shares), codes, params))


def fit_shares(each: np.ndarray, codes: np.ndarray, params: Vote) -> list[float]:
    """(M,) shares of the members; they sum to 1. Arguments as for `fit_joint`.

    Fitted shares have the least log loss, at the best temperature, and are drawn towards equal ones. So they stay equal
    where there are few photos, or where the members are equally good. Votes of first answers have equal ones.
    """
    count = len(each)
    if isinstance(params.shares, list):
        return params.shares
    if params.shares == "equal" or params.by == "majority" or count == 1:
        return [1 / count] * count
    fixed = None if params.temperature == "fit" else params.temperature

    def loss(values: np.ndarray) -> float:
        shares, temperature = softmax(np.append(values[:-1], 0.0)), fixed or float(np.exp(values[-1]))
        sharp = Sharpness(temperature, 0.0).apply(joined(each, params.by, shares.tolist()))
        prior = -np.log(np.maximum(shares * count, TINY)).mean()
        return log_loss(sharp, codes) + EQUAL / len(codes) * float(prior)

    least = minimize(loss, np.zeros(count), method="L-BFGS-B", bounds=[(-8, 8)] * (count - 1) + [(-1.5, 1.5)])
    shares = softmax(np.append(least.x[:-1], 0.0)).round(3)
    return (shares / shares.sum()).tolist()


def fit_sharpness(array: np.ndarray, codes: np.ndarray, params: Vote) -> Sharpness:
    """The temperature, then a power of each class, and then the clip, with the least log loss, unless the params name
    temperature and clip.

    A class may be told more surely than another: each has a power, drawn towards 1 by a normal distribution of its
    logarithm (as the scales of Guo et al. (ICML 2017), which are not drawn to anything).

    They are drawn towards no change: besides the N photos, `BELIEVED` photos are there beforehand whose classes are as
    these probabilities say. So a few right answers do not make the models sure. The clip is never 0, because one photo
    with a wrong label among a thousand would then cost as much as all others.

    Args:
        array: (N, C) probabilities.
        codes: (N,) numbers of the right classes.
    """

    def loss(temperature: float, clip: float = 0.0, powers: Sequence[float] = ()) -> float:
        sharp = Sharpness(temperature, clip, powers).apply(array)
        believed = -(array * np.log(np.maximum(sharp, TINY))).sum(axis=1).mean()
        return log_loss(sharp, codes) + BELIEVED / len(codes) * float(believed)

    if params.temperature == "fit":
        least = minimize_scalar(lambda log: loss(float(np.exp(log))), bounds=(-1.5, 1.5), method="bounded")
        temperature = round(float(np.exp(least.x)), 4)
        powers = _powers(array, codes, temperature)
    else:
        temperature, powers = params.temperature, []
    lowest = ODD / ((len(codes) + 1) * array.shape[1])
    usable = [max(clip, lowest) for clip in CLIPS if clip * array.shape[1] < 0.5]
    clip = min(usable, key=lambda clip: loss(temperature, clip, powers)) if params.clip == "fit" else params.clip
    return Sharpness(temperature, clip, powers)


def _powers(array: np.ndarray, codes: np.ndarray, temperature: float) -> list[float]:
    """(C,) powers for `fit_sharpness`, at this temperature."""
    logits, count = np.log(np.maximum(array.astype(float), TINY)) / temperature, len(codes)
    right = np.eye(array.shape[1])[codes]
    wanted = right + BELIEVED / count * array  # each row sums to 1 + BELIEVED / count

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        powered = logits * np.exp(logs)
        told = powered - logsumexp(powered, axis=1, keepdims=True)
        slopes = (np.exp(told) * (1 + BELIEVED / count) - wanted) * powered
        prior = logs / (SPREAD**2 * count)
        return float(-(wanted * told).sum() / count + (logs * prior).sum() / 2), slopes.sum(axis=0) / count + prior

    least = minimize(loss, np.zeros(array.shape[1]), jac=True, method="L-BFGS-B")
    return np.exp(least.x).round(4).tolist()


def _cross_fitted(each: np.ndarray, codes: np.ndarray, groups: pd.Series, params: Vote) -> np.ndarray:
    """(N, C) of the members' (M, N, C): each part of the groups by what was fitted to the others."""
    _, number = np.unique(groups, return_inverse=True)
    part = number % PARTS
    array = np.empty(each.shape[1:])
    for one in np.unique(part):
        here = part == one
        others = ~here if not here.all() else here
        array[here] = fit_joint(each[:, others], codes[others], params).apply(each[:, here])
    return array


def weights_of(shares: Sequence[float], models: int) -> np.ndarray:
    """(models,) weights of all models, which sum to 1; of the shares of the M members, which are those of each fold."""
    folds = models // len(shares)
    return np.tile(shares, folds) / folds


def joined(arrays: Arrays, by: str, shares: Sequence[float]) -> np.ndarray:
    """(N, C) of the models' (N, C).

    Args:
        arrays: of the M members of a fold, or of several folds, one fold's after the other's.
        by: mean, geometric or majority.
        shares: of the M members.
    """
    stacked = np.asarray(arrays, float)  # (models, N, C)
    weights = weights_of(shares, len(stacked))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.tensordot(weights, values, 1)

    if by == "majority":
        first = stacked.argmax(axis=2)[..., None] == np.arange(stacked.shape[2])
        # A hundredth of the mean settles ties.
        return (mean(first) + 0.01 * mean(stacked)) / 1.01
    if by == "geometric":
        return softmax(mean(np.log(np.maximum(stacked, TINY))), axis=1)
    return mean(stacked)


def submission(voted: Voted, queries: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """A row for each photo to identify, in the order asked for, and a column for each class.

    Returns:
        The table, and the number of photos without a crop: they get the mean of the validation photos' probabilities.
    """
    guesses = voted.guesses
    asked = guesses.of(QUERY)
    place = pd.Index(asked.photos["image"]).get_indexer(list(queries))
    usual = guesses.of(VALIDATION).array.mean(axis=0)
    array = np.tile(usual, (len(place), 1))
    array[place >= 0] = asked.array[place[place >= 0]]
    table = pd.DataFrame(array, columns=guesses.classes)
    table.insert(0, "image", list(queries))
    return table, int((place < 0).sum())


def write_submission(path: Path, table: pd.DataFrame) -> None:
    """Write it with six significant digits, atomically."""
    with atomic(path) as draft:
        table.to_csv(draft, index=False, lineterminator="\n", float_format="%.6g")
