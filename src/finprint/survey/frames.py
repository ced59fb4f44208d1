"""Boxes brought to the photo as it is from the photo that they were drawn on: a copy of another size, or not turned."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from finprint.pictures.images import ACROSS
from finprint.store.tables import SIDES

SAME = 0.01  # by which the ratio of the sides of a copy may differ, because sizes are whole pixels
OVERHANG = 2  # px by which a box may reach outside of its photo without a word
ORIENTATION = 0x0112  # of EXIF


def to_photos(boxes: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """The corners of boxes in pixels of their photos, and why they are unknown.

    Some files tell how large the photo was that a box was drawn on. A copy of another size is as good, because the box
    is a share of it. If its width is the photo's height, the box was drawn on the pixels as they are stored, before
    EXIF turns them. It was not if boxes of that photo reach outside of the stored pixels: then only the size is wrong.

    Args:
        boxes: table (path, width, height in px as shown, corners, share, drawn_width, drawn_height).

    Returns:
        Corners (N, 4) in px, and N reasons; a reason is empty where the corners are known.
    """
    size = boxes[["width", "height"]].to_numpy(float)
    drawn = boxes[["drawn_width", "drawn_height"]].to_numpy(float)
    share = boxes["share"].to_numpy(bool)
    corners = boxes[SIDES].to_numpy(float)
    told = ~np.isnan(drawn).any(axis=1) & ~np.isnan(size).any(axis=1)
    same = told & _alike(drawn, size)
    swapped = told & ~same & _alike(drawn[:, ::-1], size)
    beyond = swapped & ~share & (corners > np.tile(drawn, 2) + OVERHANG).any(axis=1)
    shown = swapped & boxes["path"].isin(boxes.loc[beyond, "path"]).to_numpy()
    frame = np.where((same | swapped)[:, None], np.where(shown[:, None], drawn[:, ::-1], drawn), size)
    pixels = corners * np.tile(np.where(share[:, None], size, size / frame), 2)
    reasons = [""] * len(boxes)
    for row in np.flatnonzero(told & ~same & ~shown).tolist():
        turn = _orientation(Path(boxes["path"].iloc[row])) if swapped[row] else 0
        if turn in ACROSS:
            shares = corners[row] / (1 if share[row] else np.tile(frame[row], 2))
            pixels[row] = _upright(shares, turn) * np.tile(size[row], 2)
        elif swapped[row] or not share[row]:
            reasons[row] = (
                f"was drawn on a photo of {drawn[row, 0]:.0f} x {drawn[row, 1]:.0f} px, and this is not its copy"
            )
    return pixels, reasons


def _alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Have two photos the same ratio of width and height, row by row? Of (N, 2) sizes; (N,)."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(one[:, 0] * other[:, 1] / (one[:, 1] * other[:, 0]) - 1) <= SAME)


def _orientation(path: Path) -> int:
    """What EXIF says how a photo is turned, 1 to 8; 0 where that is unknown."""
    try:
        with Image.open(path) as image:
            return int(image.getexif().get(ORIENTATION, 0))
    except Exception:  # damaged files make Pillow's parsers raise whatever comes
        return 0


def _upright(box: np.ndarray, orientation: int) -> np.ndarray:
    """A box in shares of the stored photo as shares of the photo as it is shown, turned by one of `ACROSS`."""
    x, y = box[[0, 2]], box[[1, 3]]
    across = 1 - y if orientation in (6, 7) else y
    down = 1 - x if orientation in (7, 8) else x
    return np.array([across.min(), down.min(), across.max(), down.max()])
