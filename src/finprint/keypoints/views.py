"""What the extractor sees of a photo: its stored crop, or the same box cut out of the photo at full resolution."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import sha256_json
from finprint.engine.work import MOST, MOST_PHOTOS
from finprint.keypoints.params import Match
from finprint.pictures.decoding import decode_at
from finprint.pictures.images import BadPhoto, ChangedPhoto, carried, content_of
from finprint.pictures.shards import Crops, StoredCrop
from finprint.store.tables import SIDES

SMALLEST = 32  # px: of a view whose shorter side is less, before or after it is resized, no network makes anything


@dataclass(frozen=True, slots=True)
class Cutout:
    """A box of a photo. It can be sent to another process.

    Attributes:
        path: of the photo.
        sha256: of the photo's file, from the table of photos.
        box: left, top, right, bottom, px of the full photo.
        image_size: px, the longer side that the view is wanted to have.
        content: of the photo's file, for a process that cannot read it.
    """

    path: Path
    sha256: str
    box: tuple[float, float, float, float]
    image_size: int
    content: bytes | BadPhoto | ChangedPhoto | None = None

    def pixels(self) -> np.ndarray:
        """`(H, W, 3)` RGB uint8.

        Raises:
            UserError: the photo cannot be read any more, or has changed.
        """
        left, top, right, bottom = self.box
        longer = max(right - left, bottom - top)
        step = next((step for step in (8, 4, 2) if longer >= step * self.image_size), 1)
        near, far = (int(left / step), int(top / step)), (math.ceil(right / step), math.ceil(bottom / step))
        try:
            content = content_of(self.path, self.sha256, self.content)
            return decode_at(self.path, step, (*near, *far), content)[0]
        except BadPhoto as error:
            raise UserError(f"{self.path}: {error}; `dvc repro` reads the photos anew") from None


class Views(Protocol):
    """Views of photos, by the rows of their crops."""

    def key(self, row: int) -> str:
        """A SHA-256 of all that the view depends on."""

    def there(self, row: int) -> bool:
        """Can its pixels be had? A bundle holds local features of its gallery, but not the photos."""

    def pixels(self, row: int) -> np.ndarray:
        """`(H, W, 3)` RGB uint8."""

    def name(self, row: int) -> str:
        """The id of the photo."""

    def portable(self, row: int, ship: str) -> StoredCrop | Cutout:
        """What another process needs to make the pixels; with `ship` bytes it need not read the photo."""

    def most(self, ship: str) -> int:
        """How many of these may be sent together."""


def views_of(photos: pd.DataFrame, crops: Crops, params: Match) -> Views:
    """The views that the params ask for."""
    if params.pixels == "crops":
        return StoredCrops(crops)
    return CutAgain(photos, crops, params.border, params.image_size)


class StoredCrops:
    """The crops as they are stored."""

    def __init__(self, crops: Crops) -> None:
        self._crops = crops

    def key(self, row: int) -> str:
        """The SHA-256 of the JPEG."""
        return self._crops.digest(row)

    def there(self, row: int) -> bool:
        """They are: crops lie in the bundle, too."""
        return True

    def pixels(self, row: int) -> np.ndarray:
        """`(H, W, 3)` RGB uint8."""
        return self._crops.pixels(row)

    def name(self, row: int) -> str:
        """The id of the photo."""
        return self._crops.image(row)

    def portable(self, row: int, ship: str) -> StoredCrop:
        """The JPEG, which is small, whatever `ship` is."""
        return self._crops.stored(row)

    def most(self, ship: str) -> int:
        """Many, whatever `ship` is."""
        return MOST


class CutAgain:
    """The boxes of the crops cut out of the photos, decoded no finer than `image_size` needs.

    Args:
        photos: table `PHOTOS`.
        crops: of these photos; their boxes are used.
        border: space added on each side of a box, as a share of the box's width and height.
        image_size: px, the longer side that a view is wanted to have.
    """

    def __init__(self, photos: pd.DataFrame, crops: Crops, border: float, image_size: int) -> None:
        index = crops.index
        photo = photos.set_index("image").reindex(index["image"])
        self._images = index["image"].to_numpy(object)
        self._paths, self._contents = (photo[name].to_numpy(object) for name in ("path", "sha256"))
        size = photo[["width", "height"]].to_numpy(np.float64)
        self._boxes = grown(index[SIDES].to_numpy(np.float64), size, border)
        self._image_size = image_size

    def key(self, row: int) -> str:
        """The SHA-256 of the photo's content and the box."""
        return sha256_json([self._contents[row], self._boxes[row].tolist()])

    def there(self, row: int) -> bool:
        """Does the table tell where the photo lies?"""
        return isinstance(self._paths[row], str)

    def pixels(self, row: int) -> np.ndarray:
        """`(H, W, 3)` RGB uint8.

        Raises:
            UserError: the photo cannot be read any more, or has changed.
        """
        return self._cutout(row).pixels()

    def name(self, row: int) -> str:
        """The id of the photo."""
        return str(self._images[row])

    def portable(self, row: int, ship: str) -> Cutout:
        """The place of the box, and with `ship` bytes the photo."""
        cutout = self._cutout(row)
        return replace(cutout, content=carried(cutout.path, cutout.sha256)) if ship == "bytes" else cutout

    def most(self, ship: str) -> int:
        """Few where the photos travel."""
        return MOST_PHOTOS if ship == "bytes" else MOST

    def _cutout(self, row: int) -> Cutout:
        left, top, right, bottom = self._boxes[row].tolist()
        box = (left, top, right, bottom)
        return Cutout(Path(self._paths[row]), self._contents[row], box, self._image_size)


def grown(boxes: np.ndarray, sizes: np.ndarray, border: float) -> np.ndarray:
    """Boxes (N, 4) with a border on each side, no farther than their photos go.

    Args:
        boxes: (N, 4) left, top, right, bottom, px.
        sizes: (N, 2) width and height of the photos, px.
        border: as a share of the box's width and height.
    """
    spread = np.tile(boxes[:, 2:] - boxes[:, :2], 2) * (-border, -border, border, border)
    return np.clip(boxes + spread, 0, np.tile(sizes, 2))


def enlarged(pixels: np.ndarray, image_size: int) -> np.ndarray | None:
    """A view with a longer side of `image_size` px, `(H, W, 3)`; None if it is too small."""
    scale = image_size / max(pixels.shape[:2])
    height, width = (round(side * scale) for side in pixels.shape[:2])
    if min(*pixels.shape[:2], height, width) < SMALLEST:
        return None
    # Cubic, because bilinear enlargement blurs: right whales of 53 px then have a quarter fewer matches.
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
