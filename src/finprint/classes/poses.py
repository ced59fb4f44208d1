"""The views of a crop whose answers are averaged: mirror image, quarter turns, quasi-random ones, ten crops."""

import math
from collections.abc import Callable

import numpy as np
from scipy.stats import qmc

from finprint.classes.params import Guess
from finprint.model.views import Pose, plain_view, posed_view

Look = Callable[[np.ndarray, int, bool], np.ndarray]  # crop, side in px, padded -> (side, side, 3) uint8
QUARTERS = range(4)
TEN_CROP = 0.875  # side of each of the ten, as a share of the view's: 224 of 256 px (Krizhevsky et al. 2012)


def looks(params: Guess) -> list[Look]:
    """How each of the views is made, the plain one first but for `ten_crop`.

    Args:
        params: `views` and, for `halton`, their number and how far they turn.
    """
    if params.views == "halton":
        return [plain_view, *(_posed(pose) for pose in halton(params.count, params.rotate)[1:])]
    if params.views == "ten_crop":
        return [_posed(pose) for pose in ten_crop()]
    quarters = QUARTERS if params.views == "turns" else range(1)
    mirrors = (False,) if params.views == "plain" else (False, True)
    return [_turned(quarter, mirror) for mirror in mirrors for quarter in quarters]


def halton(count: int, rotate: float) -> list[Pose]:
    """The plain pose, and so many less one of a Halton sequence of seven dimensions: turns of up to `rotate` degrees
    either way, zoom 1/1.4 to 1.4, shear up to 10 degrees, shifts up to 1/12 of the side, stretch 1/1.2 to 1.2, mirror
    images (the plankton winners' numbers; theirs turn by any angle)."""
    points = qmc.Halton(7, scramble=False).random(count)
    poses = [Pose()]
    for turn, zoom, shear, x, y, stretch, mirror in points[1:].tolist():
        poses.append(
            Pose(
                angle=math.radians(rotate * (2 * turn - 1)),
                shear=math.tan(math.radians(10 * (2 * shear - 1))),
                zoom=1.4 ** (2 * zoom - 1),
                shift=((2 * x - 1) / 12, (2 * y - 1) / 12),
                stretch=1.2 ** (2 * stretch - 1),
                mirror=mirror >= 0.5,
            )
        )
    return poses


def ten_crop() -> list[Pose]:
    """The four corners and the middle, 7/8 of the side each, and their mirror images."""
    far = (1 - TEN_CROP) / 2
    places = [(0.0, 0.0), (-far, -far), (far, -far), (-far, far), (far, far)]
    return [Pose(zoom=1 / TEN_CROP, shift=place, mirror=mirror) for mirror in (False, True) for place in places]


def _posed(pose: Pose) -> Look:
    return lambda pixels, side, padded: posed_view(pixels, side, pose, padded)


def _turned(quarter: int, mirror: bool) -> Look:
    def look(pixels: np.ndarray, side: int, padded: bool) -> np.ndarray:
        view = np.rot90(plain_view(pixels, side, padded), quarter)
        return np.ascontiguousarray(view[:, ::-1] if mirror else view)

    return look
