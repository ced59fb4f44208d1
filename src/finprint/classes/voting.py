"""Several models' probabilities as one, and what is fitted to them: a temperature and a least probability."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from finprint.base.errors import UserError
from finprint.base.files import atomic, write_json
from finprint.classes.heads import log_loss
from finprint.classes.params import Guess, Vote
from finprint.store.guesses import QUERY, Guesses
from finprint.store.tables import VALIDATION

CLIPS = (0.0, *np.geomspace(1e-6, 0.05, 24).tolist())
PARTS = 5  # of the validation photos' groups: each part is answered by what was fitted to the others
TINY = 1e-12


@dataclass(frozen=True)
class Sharpness:
    """What is fitted to probabilities.

    Attributes:
        temperature: divides the logits: above 1 the model was too sure (Guo et al., ICML 2017).
        clip: no probability is less.
    """

    temperature: float
    clip: float

    def apply(self, array: np.ndarray) -> np.ndarray:
        """(N, C) probabilities of probabilities, float64; rows sum to 1."""
        logits = np.log(np.maximum(array.astype(float), TINY)) / self.temperature
        sharp = np.exp(logits - logits.max(axis=1, keepdims=True))
        sharp = np.maximum(sharp / sharp.sum(axis=1, keepdims=True), self.clip)
        return sharp / sharp.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Voted:
    """The joint answer.

    Attributes:
        guesses: of all photos; each validation photo by what was fitted to other groups.
        sharpness: fitted to all of validation.
        models: how many have voted.
    """

    guesses: Guesses
    sharpness: Sharpness
    models: int

    def save(self, path: Path, models: Sequence[str], params: Vote, views: Guess) -> None:
        """Write what new images are answered by: the models' names, how they are joined, sharpness and views."""
        rules = {"by": params.by, "temperature": self.sharpness.temperature, "clip": self.sharpness.clip}
        write_json(path, {"models": list(models)} | rules | {"guess": views.model_dump()})

    def metrics(self) -> dict[str, float]:
        """The content of metrics/classes/OF_vote.json."""
        roles = self.guesses.photos["role"].value_counts()
        return {
            "models": self.models,
            "temperature": self.sharpness.temperature,
            "clip": self.sharpness.clip,
            **{f"{role}_photos": int(roles.get(role, 0)) for role in (VALIDATION, "test", QUERY)},
        }


def vote(members: Sequence[Guesses], params: Vote) -> Voted:
    """Join the models' probabilities.

    A validation photo is answered by the models that have not learned from it, every other photo by all of them.

    Args:
        members: of each model; those of one fold validate on the same photos.
        params: the section.

    Raises:
        UserError: the models tell different classes.
    """
    for member in members[1:]:
        if member.classes != members[0].classes:
            raise UserError("the models tell different classes: run `dvc repro` for the stages classify and guess")
    first, classes = members[0], members[0].classes
    shared = first.photos["role"] != VALIDATION
    images = first.photos.loc[shared, "image"]
    rest = [member.array[pd.Index(member.photos["image"]).get_indexer(images)] for member in members]
    folds: dict[tuple[str, ...], list[Guesses]] = {}
    for left_out in (member.of(VALIDATION) for member in members):
        folds.setdefault(tuple(left_out.photos["image"]), []).append(left_out)
    photos = pd.concat([*(fold[0].photos for fold in folds.values()), first.photos[shared]], ignore_index=True)
    judged = [joined([one.array for one in fold], params.by) for fold in folds.values()]
    raw = np.concatenate([*judged, joined(rest, params.by)])
    validation = Guesses(photos, raw, classes).of(VALIDATION)
    sharpness = fit_sharpness(validation.array, validation.codes(), params)
    array = sharpness.apply(raw)
    array[(photos["role"] == VALIDATION).to_numpy()] = _cross_fitted(validation, params)
    return Voted(Guesses(photos, array, classes), sharpness, len(members))


def fit_sharpness(array: np.ndarray, codes: np.ndarray, params: Vote) -> Sharpness:
    """The temperature, and then the clip, with the least log loss, unless the params name them.

    Args:
        array: (N, C) probabilities.
        codes: (N,) numbers of the right classes.
    """

    def loss(temperature: float, clip: float = 0.0) -> float:
        return log_loss(Sharpness(temperature, clip).apply(array), codes)

    if params.temperature == "fit":
        least = minimize_scalar(lambda log: loss(float(np.exp(log))), bounds=(-1.5, 1.5), method="bounded")
        temperature = round(float(np.exp(least.x)), 4)
    else:
        temperature = params.temperature
    usable = [clip for clip in CLIPS if clip * array.shape[1] < 0.5]
    clip = min(usable, key=lambda clip: loss(temperature, clip)) if params.clip == "fit" else params.clip
    return Sharpness(temperature, clip)


def _cross_fitted(validation: Guesses, params: Vote) -> np.ndarray:
    """(N, C): each part of the groups by what was fitted to the others."""
    _, number = np.unique(validation.photos["group"], return_inverse=True)
    part, codes = number % PARTS, validation.codes()
    array = np.empty(validation.array.shape)
    for one in np.unique(part):
        here = part == one
        others = ~here if not here.all() else here
        array[here] = fit_sharpness(validation.array[others], codes[others], params).apply(validation.array[here])
    return array


def joined(arrays: Sequence[np.ndarray], by: str) -> np.ndarray:
    """(N, C) of the members' (N, C)."""
    stacked = np.stack(arrays).astype(float)  # (M, N, C)
    if by == "majority":
        first = stacked.argmax(axis=2)[..., None] == np.arange(stacked.shape[2])
        # A hundredth of the mean settles ties.
        return (first.mean(axis=0) + 0.01 * stacked.mean(axis=0)) / 1.01
    if by == "geometric":
        product = np.exp(np.log(np.maximum(stacked, TINY)).mean(axis=0))
        return product / product.sum(axis=1, keepdims=True)
    return stacked.mean(axis=0)


def submission(voted: Voted, queries: Sequence[str]) -> tuple[pd.DataFrame, int]:
    """A row for each photo to identify, in the order asked for, and a column for each class.

    Returns:
        The table, and the number of photos without a crop: they get the mean of the validation photos' probabilities.

    Raises:
        UserError: a class is called image, as the first column is.
    """
    guesses = voted.guesses
    if "image" in guesses.classes:
        raise UserError("a class is called 'image', as the column of photos is: give it another name")
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
