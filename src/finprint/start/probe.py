"""What this machine needs for a photo: seconds of reading, cropping, learning and embedding, measured on a few."""

import itertools
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np

from finprint.base.cli import keep_memory
from finprint.base.errors import UserError
from finprint.crops.cutting import PhotoFile
from finprint.individuals.lessons import IndividualLessons
from finprint.individuals.task import Individuals
from finprint.keypoints.networks import load_networks
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.views import Cutout, enlarged, grown
from finprint.learning.inputs import Photos
from finprint.learning.lessons import Targets
from finprint.learning.live import nobody as unwatched
from finprint.learning.loop import Run
from finprint.learning.recipe import Recipe
from finprint.learning.round import new_embedder
from finprint.model.embedding import embed
from finprint.model.loading import View
from finprint.params import Params
from finprint.start.cost import Seconds, Speed
from finprint.start.cutting import whole_crop
from finprint.start.recipe import EXTRACTOR, KEYPOINTS, LOOK_SIDE
from finprint.survey.readings import read_one

PHOTOS = 48  # real photos that are read and cropped
STEPS = 2  # of the training that are timed
EPOCHS = 2  # of so many steps; the first one warms up
LOOKED, PAIRS = 10, 20  # photos and pairs of the second look
SIDES = (96, 160)  # px, at which it is timed: seconds are a + b side^2 between them and beyond


def probe(paths: Sequence[Path], params: Params) -> Speed:
    """Measure the speed of this machine on real photos, in seconds of work.

    Args:
        paths: of the photos; some, spread over the list, are read.
        params: what is cut out of a photo, and what is trained.

    Raises:
        UserError: none of these photos can be read; the message has the reason for the first.
    """
    spread = [paths[n] for n in np.unique(np.linspace(0, len(paths) - 1, PHOTOS).astype(int))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # as the stages do
        began = time.monotonic()
        readings = list(pool.map(read_one, spread))
        read = (time.monotonic() - began) / len(spread)
        files = [
            PhotoFile(path, one.sha256, (one.width, one.height))
            for path, one in zip(spread, readings, strict=True)
            if not one.reason
        ]
        if not files:
            raise UserError(f"no photo can be read; {spread[0]}, for one: {readings[0].reason}")
        began = time.monotonic()
        cut_out = list(pool.map(lambda file: whole_crop(file, params.crop), files))
        crop = (time.monotonic() - began) / len(files)
    keep_memory()  # as in the stages
    crops = [pixels for pixels in cut_out if pixels is not None]
    if not crops:
        raise UserError(f"no photo can be cropped: {files[0].path} is damaged, for one")

    def pixels(row: int) -> np.ndarray:
        return crops[row % len(crops)]

    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        learn = _line(lambda side: _learn(pixels, params, side))
        seen = _line(lambda side: _embed(pixels, params, side))
        points, pair = _match(files, params)
    return Speed(read, crop, learn, seen, points, pair)


def _line(seconds: Callable[[int], float]) -> Seconds:
    """a and b of a + b side^2 through both of `SIDES`."""
    (one, low), (other, high) = ((side**2, seconds(side)) for side in SIDES)
    slope = max(0.0, (high - low) / (other - one))
    return low - slope * one, slope


def _recipe(params: Params, side: int) -> Recipe:
    """A recipe by which the whole network learns, at another size."""
    finetune = params.train.finetune.model_copy(update={"trainable": 1.0, "unfreeze": []})
    train = params.train.model_copy(update={"image_size": side, "first_size": side, "finetune": finetune})
    return Recipe(train, EPOCHS, params.lr, params.seed)


def _learn(pixels: View, params: Params, side: int) -> float:
    """Seconds a photo of the training."""
    recipe = _recipe(params, side)
    count = STEPS * recipe.train.batch
    names = [str(number) for number in range(count // 2)]
    labels = np.arange(count) % len(names)
    nobody = np.full(len(names), -1, np.int64)
    task = Individuals(IndividualLessons(np.arange(count), Targets.sure(labels), names, nobody), params.train)
    run = Run(task, task.new_network(recipe), Photos(pixels, recipe.train.batch), recipe, unwatched)
    for epoch in range(EPOCHS):
        run.learn(epoch)
    return 1 / run.speed


def _embed(pixels: View, params: Params, side: int) -> float:
    """Seconds a view."""
    embedder, plain = new_embedder(_recipe(params, side)), params.embed.model_copy(update={"mirror": False})
    rows = np.arange(params.embed.batch)
    for _ in range(2):  # the first one warms up
        began = time.monotonic()
        embed(embedder, pixels, rows, plain, quiet=True)
    return (time.monotonic() - began) / len(rows)


def _match(files: Sequence[PhotoFile], params: Params) -> tuple[float, float]:
    """Seconds of the local features of a photo, and of matching a pair; infinite if the networks cannot be had or the
    photos are too small."""
    try:
        networks = load_networks(EXTRACTOR, "package", KEYPOINTS)
    except UserError:
        return 0.0, math.inf
    views = [view for file in files[:LOOKED] if (view := _view(file, params)) is not None]
    if len(views) < 2:
        return 0.0, math.inf
    first = networks.features(views[0])
    networks.match(first, first)  # the first time of each takes longer
    began = time.monotonic()
    features = list(side_by_side(networks.features, views))
    described = time.monotonic()
    pairs = list(itertools.islice(itertools.combinations(features, 2), PAIRS))
    list(side_by_side(lambda pair: networks.match(*pair), pairs))
    return (described - began) / len(views), (time.monotonic() - described) / len(pairs)


def _view(file: PhotoFile, params: Params) -> np.ndarray | None:
    """What the second look sees of a photo without a box; None if it is damaged or too small."""
    size = np.array([file.size], np.float64)
    left, top, right, bottom = grown(np.array([params.crop.whole]) * np.tile(size, 2), size, params.match.border)[0]
    try:
        return enlarged(Cutout(file.path, file.sha256, (left, top, right, bottom), LOOK_SIDE).pixels(), LOOK_SIDE)
    except UserError:
        return None
