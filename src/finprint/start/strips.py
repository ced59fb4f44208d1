"""Strips at the edges of photos that show no scene: a camera trap's line of date and station, or a black border.

They tell where and when a photo was taken, so a network that sees them learns places instead of animals.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from finprint.start.facts import evenly

LIKE = 24  # grey levels within which a row's pixels have the ground's colour
GROUND = 0.5  # share of a row's pixels that have it, at least: the others are letters
SAME = 5.0  # grey levels by which the ground's colour differs between photos, at most
NARROWEST, WIDEST = 0.02, 0.2  # shares of the height that a strip has
ROWS = 200  # that are looked at
FEWEST, MOST = 20, 60  # photos that show whether a strip stands in all of them
SIDE = 400  # px of the photos that are looked at


def strips_of(paths: Sequence[Path]) -> tuple[float, float]:
    """As `strips`, of some of the photos that can be opened."""
    pixels = []
    for number in evenly(len(paths), MOST):
        with suppress(Exception), Image.open(paths[number]) as image:  # `prepare` rejects damaged ones by name
            image.draft("RGB", (SIDE, SIDE))
            image.thumbnail((SIDE, SIDE))
            pixels.append(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))
    return strips(pixels)


def strips(pixels: Sequence[np.ndarray]) -> tuple[float, float]:
    """The shares of the height that strips at the top and at the bottom have; 0 where there is none.

    Args:
        pixels: photos (H, W, 3) uint8, of any sizes.
    """
    if len(pixels) < FEWEST:
        return 0.0, 0.0
    grounds, shares = zip(*map(_rows, pixels), strict=True)
    spread = np.stack(grounds).std(axis=0).max(axis=1)  # (R,)
    plain = (spread <= SAME) & (np.median(np.stack(shares), axis=0) >= GROUND)
    return _width(plain), _width(plain[::-1])


def _rows(photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ground's colour (R, 3) of `ROWS` rows, and the share of each row's pixels that have it."""
    rows = photo[np.linspace(0, len(photo) - 1, ROWS).round().astype(int)].astype(np.float32)
    ground = np.median(rows, axis=1)
    near = np.abs(rows - ground[:, None]).max(axis=2) <= LIKE
    return ground, near.mean(axis=1)


def _width(plain: np.ndarray) -> float:
    """The share of the rows that are plain from the first one on."""
    share = float(np.argmin(plain)) / len(plain) if not plain.all() else 1.0
    return share if NARROWEST <= share <= WIDEST else 0.0
