"""What this machine needs for a photo: seconds of reading, cropping, learning and embedding, measured on a few."""

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np

from finprint.base.cli import keep_memory
from finprint.base.device import best_device, cpu_has_bfloat16
from finprint.base.errors import UserError
from finprint.crops.cutting import PhotoFile
from finprint.crops.params import Crop
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
from finprint.start.cost import KEYPOINTS, LOOK_SIDE, Seconds, Speed
from finprint.start.cutting import whole_crop
from finprint.start.facts import evenly
from finprint.start.recipe import EXTRACTOR
from finprint.survey.readings import read_one

PHOTOS = 48  # real photos that are read and cropped
FLOAT32 = 1.5  # times the time of bfloat16 on a CPU that has it; the detector learns in float32 there all the same
STEPS = 2  # of the training that are timed
EPOCHS = 2  # of so many steps; the first one warms up
LOOKED, PAIRS = 10, 20  # photos and pairs of the second look
SIDES = (96, 160)  # px, at which it is timed: seconds are a + b side^2 between them and beyond


@dataclass(frozen=True)
class Cut:
    """Some photos that were read and cropped.

    Attributes:
        read: seconds of reading a photo and all that is noted of it.
        crop: seconds of cutting one crop out.
        rows: which of the photos could be cropped.
        files: these photos.
        crops: (H, W, 3) uint8 each.
    """

    read: float
    crop: float
    rows: list[int]
    files: list[PhotoFile]
    crops: list[np.ndarray]

    def pixels(self, row: int) -> np.ndarray:
        """A crop; there is one for any number."""
        return self.crops[row % len(self.crops)]


def cut_out(paths: Sequence[Path], params: Crop) -> Cut:
    """Read photos and cut them out.

    Raises:
        UserError: none can be read or cropped; the message names the first and the reason.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # as the stages do
        began = time.monotonic()
        readings = list(pool.map(read_one, paths))
        read = (time.monotonic() - began) / len(paths)
        files = {
            row: PhotoFile(path, one.sha256, (one.width, one.height))
            for row, (path, one) in enumerate(zip(paths, readings, strict=True))
            if not one.reason
        }
        if not files:
            raise UserError(f"no photo can be read; {paths[0]}, for one: {readings[0].reason}")
        began = time.monotonic()
        crops = dict(zip(files, pool.map(lambda file: whole_crop(file, params), files.values()), strict=True))
        crop = (time.monotonic() - began) / len(files)
    rows = [row for row, pixels in crops.items() if pixels is not None]
    if not rows:
        raise UserError(f"no photo can be cropped: {next(iter(files.values())).path} is damaged, for one")
    good = [pixels for pixels in crops.values() if pixels is not None]
    return Cut(read, crop, rows, [files[row] for row in rows], good)


def probe(paths: Sequence[Path], params: Params) -> Speed:
    """Measure the speed of this machine on real photos, in seconds of work.

    Args:
        paths: of the photos; some, spread over the list, are read.
        params: what is cut out of a photo, and what is trained.

    Raises:
        UserError: none of these photos can be read; the message has the reason for the first.
    """
    cut = cut_out([paths[n] for n in evenly(len(paths), PHOTOS)], params.crop)
    with quiet():
        speed = training_speed(cut, params)
        points, pair = _match(cut.files, params)
    return replace(speed, points=points, pair=pair)


def training_speed(cut: Cut, params: Params) -> Speed:
    """The speed of reading, cropping, learning and embedding, without a second look."""
    keep_memory()  # as in the stages
    learn = _line(lambda side: _learn(cut.pixels, params, side))
    seen = _line(lambda side: _embed(cut.pixels, params, side))
    detected = FLOAT32 if cpu_has_bfloat16(best_device()) else 1.0
    return Speed(cut.read, cut.crop, learn, seen, 0.0, math.inf, detected)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing of what is done within is printed."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


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
    """Seconds of the local features of a photo, and of matching a pair, as `Speed` has them."""
    try:
        networks = load_networks(EXTRACTOR, "package", KEYPOINTS)
    except UserError:
        return math.inf, math.inf
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
