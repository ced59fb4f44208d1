"""What this machine needs for images of classes, and whether they have an upright position, measured on a few."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from finprint.base.device import best_device
from finprint.base.progress import bar
from finprint.classes.fitting import fit_head
from finprint.classes.linear import PENALTIES, Examples, regressions
from finprint.classes.params import Classify
from finprint.learning.frozen import of_views
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.model.embedder import Embedder
from finprint.model.loading import batches, in_order
from finprint.model.views import plain_view
from finprint.params import Params
from finprint.start.class_recipe import Pace, frozen_sections
from finprint.start.probe import Cut, cut_out, quiet, training_speed
from finprint.start.recipe import WHOLE
from finprint.survey.look import Looked

SEEN = 500  # images that are looked at, spread evenly over the classes
SIDE = 96  # px at which it is tested whether they have an upright position
PARTS = 4  # of the images, which are judged in turn by a head that has learned from the others
PENALTY = 0.1  # of that head
TIMED = 32  # views that a backbone is timed on


def probe_classes(looked: Looked, base: Params) -> Pace:
    """Look at some images and measure the speed of this machine.

    Args:
        looked: the folder.
        base: params.yaml as it is.

    Raises:
        UserError: none of these images can be read; the message has the reason for the first.
    """
    paths, names = spread(looked)
    cut = cut_out(paths, base.crop.model_copy(update={"whole": list(WHOLE)}))
    codes = np.unique(names[cut.rows], return_inverse=True)[1]
    fixed, turned = (_features(cut, base.classify, cyclic) for cyclic in (False, True))
    turns = better(turned, fixed, codes)
    with quiet():
        speed = training_speed(cut, base)
        began = time.monotonic()
        fit_head(_examples(fixed, codes), base.classify.fitted)
        fit = (time.monotonic() - began) / len(codes)
        sections = frozen_sections(base, turns)
        views = {name: _seconds(cut, section) for name, section in sections.items()}
    return Pace(speed, views, fit, turns)


def spread(looked: Looked) -> tuple[list[Path], np.ndarray]:
    """Paths of about SEEN labelled images, as many of each class as there are, and (N,) names of their classes."""
    named = looked.animals.dropna(subset="identity")
    named = named[~named["path"].isin(list(looked.source.barred))].drop_duplicates("path")
    mixed = named.sample(frac=1, random_state=0)
    place = mixed.groupby("identity").cumcount()
    some = mixed.assign(place=place).sort_values("place", kind="stable").head(SEEN)
    return [Path(path) for path in some["path"]], some["identity"].to_numpy(str)


def better(ours: np.ndarray, theirs: np.ndarray, codes: np.ndarray) -> float:
    """By how many standard errors one kind of features has a lower log loss than another; below 0, a higher one.

    Args:
        ours, theirs: (N, V, L) of the same N images.
        codes: (N,) numbers of their classes.
    """
    gain = _losses(theirs, codes) - _losses(ours, codes)
    return float(gain.mean() / max(1e-12, gain.std() / np.sqrt(len(gain))))


def _losses(features: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(N,) log loss of each image by a head that has learned from three of four other images of each class."""
    place = np.zeros(len(codes), int)
    for code in np.unique(codes):
        place[codes == code] = np.arange((codes == code).sum()) % PARTS
    examples, losses = _examples(features, codes), np.zeros(len(codes))
    for part in range(PARTS):
        judged = place == part
        *_, (_, (weight, bias)) = regressions(examples[~judged], PENALTIES[: PENALTIES.index(PENALTY) + 1])
        logits = torch.from_numpy(examples.values[judged]) @ weight.T + bias
        chances = F.softmax(logits, dim=-1).mean(dim=1).numpy()
        losses[judged] = -np.log(np.maximum(chances[np.arange(judged.sum()), codes[judged]], 1e-12))
    return losses


def _examples(features: np.ndarray, codes: np.ndarray) -> Examples:
    """Standardised features of images that are no near-duplicates, as far as anyone has looked."""
    mean, std = features.mean(axis=(0, 1)), features.std(axis=(0, 1))
    values = ((features - mean) / np.maximum(std, 1e-6)).astype(np.float32)
    return Examples(values, codes, np.arange(len(codes)), int(codes.max()) + 1)


def _features(cut: Cut, train: Classify, cyclic: bool) -> np.ndarray:
    """(N, 2, L) float32 of plain views and mirror images, by the frozen backbone of the section."""
    section = train.model_copy(update={"image_size": SIDE, "first_size": SIDE, "cyclic": cyclic})
    embedder = _embedder(section)
    orders = in_order(len(cut.crops), TIMED)
    what = "looking at quarter turns" if cyclic else "looking at images"
    shown = bar(what, len(orders), "batch", _views(cut, section, orders))
    both = [np.stack([of_views(embedder, one) for one in (views, views.flip(-1))], axis=1) for views in shown]
    return np.concatenate(both).astype(np.float32)


def _seconds(cut: Cut, section: Classify) -> float:
    """Seconds of one view of an image by a frozen backbone."""
    embedder, (views,) = _embedder(section), _views(cut, section, in_order(TIMED, TIMED))
    for _ in range(2):  # the first one warms up
        began = time.monotonic()
        of_views(embedder, views)
    return (time.monotonic() - began) / TIMED


def _embedder(section: Classify) -> Embedder:
    embedder = new_embedder(Recipe(section, section.epochs, section.lr, 0))
    return embedder.to(best_device()).to(memory_format=torch.channels_last).eval()  # as the stages have it


def _views(cut: Cut, section: Classify, orders: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
    """(B, 3, side, side) uint8 each: plain views of the crops in each of `orders`."""
    return batches(lambda row: plain_view(cut.pixels(row), section.image_size, section.padded), orders)
