"""One photo: at which scale to decode it, which boxes count, and the crops cut out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from finprint.crops.cache import Cut
from finprint.crops.params import Crop
from finprint.crops.slices import merge, side_share, windows
from finprint.detector.yolo import Found, shrink
from finprint.pictures.decoding import Window, decode_at
from finprint.pictures.images import BadPhoto, encode_jpeg
from finprint.store.tables import WHOLE

# The scales at which a JPEG can be decoded, 1/8 to 1/2, and how many times the stored size a crop must have there:
# coarse decodes average blocks of pixels, which, shrunk again to nearly the same size, come out soft. So all crops of
# the bench are within 43 dB of those from a full decode (docs/benchmarks.md).
SPARE = {8: 1.5, 4: 1.5, 2: 1.0}
# A photo that the detector looks at is decoded so that its shorter side has so many times the stored size: most
# animals are then cut from this decode, and nearly all of a decode's time is spent at any scale.
LOOK = 3


@dataclass(frozen=True)
class Photo:
    """A decoded photo, or a part of one, perhaps at a reduced scale."""

    pixels: np.ndarray  # (H, W, 3)
    full: tuple[int, int]  # width and height of the full photo
    step: int  # pixels of the full photo a pixel: 1, 2, 4 or 8
    corner: tuple[int, int] = (0, 0)  # left and top of `pixels` in the photo decoded whole


def read(path: Path, step: int, window: Window | None = None) -> Photo:
    """Decode a photo at 1/`step` of its size; all of it, or what lies in a window of it.

    Raises:
        BadPhoto: it cannot be read.
    """
    pixels, full = decode_at(path, step, window)
    return Photo(pixels, full, step, window[:2] if window else (0, 0))


def look_step(size: tuple[int, int], input_size: int, params: Crop) -> int:
    """The greatest step of decoding at which the detector's input loses nothing, nor do the crops of most animals.

    Args:
        size: width and height of the full photo.
        input_size: px, the longer side of a photo, or a slice of one, as the detector sees it.
    """
    room = [max(size) * side_share(params.slices) / input_size, min(size) / (LOOK * params.image_size)]
    return next((step for step in SPARE if step <= min(room)), 1)


def cut_step(side: float, stored: int) -> int:
    """The greatest step of decoding at which a crop of the shorter `side`, px of the full photo, loses nothing."""
    return next((step for step, spare in SPARE.items() if side >= step * spare * stored), 1)


def boxes_step(boxes: list[Found], size: tuple[int, int], params: Crop) -> int:
    """The greatest step of decoding at which no crop of `boxes`, px of the full photo, loses anything."""
    return min(cut_step(_shorter(place(one, 1, size, params)), params.image_size) for one in boxes)


def views(photo: Photo, input_size: int, params: Crop) -> tuple[list[np.ndarray], list[Window]]:
    """What the detector shall look at, shrunk to its input size, and where it lies in the decoded photo."""
    places = windows(photo.pixels.shape[1], photo.pixels.shape[0], params.slices)
    return [shrink(photo.pixels[top:bottom, left:right], input_size) for left, top, right, bottom in places], places


def in_full_photo(photo: Photo, seen: list[np.ndarray], places: list[Window], found: list[list[Found]]) -> list[Found]:
    """Boxes in pixels of the full photo from those in its views, surest first."""
    grown = [
        [Found(one.part, one.box * ((right - left) / view.shape[1]), one.confidence) for one in boxes]
        for view, (left, _, right, _), boxes in zip(seen, places, found, strict=True)
    ]
    merged = merge(grown, places) if len(places) > 1 else grown[0]
    return [Found(one.part, np.minimum(one.box * photo.step, photo.full * 2), one.confidence) for one in merged]


def choose(found: list[Found], params: Crop, size: tuple[int, int]) -> list[Found]:
    """The boxes of the most preferred part that was found at all, surest first; else what `crop.whole` says
    of the photo, confidence 0."""
    for part in params.parts:
        sure = [one for one in found if one.part == part and one.confidence >= params.confidence]
        if sure:
            return sorted(sure, key=lambda one: -one.confidence)
    return [Found(WHOLE, np.array(params.whole) * (*size, *size), 0.0)]


def cut(path: Path, size: tuple[int, int], chosen: list[Found], params: Crop, seen: Photo | None = None) -> list[Cut]:
    """Cut boxes out of a photo.

    Args:
        path: the photo.
        size: width and height of the full photo.
        chosen: the boxes, in pixels of the full photo.
        seen: the photo decoded whole; a small animal is decoded again, finer. None: what the boxes need is decoded.

    Raises:
        BadPhoto: it cannot be read, or is not as large as it was.
    """
    step = boxes_step(chosen, size, params)
    photo = seen if seen and seen.step <= step else read(path, step, around(chosen, step, size, params))
    if photo.full != size:
        raise BadPhoto(f"{photo.full[0]} x {photo.full[1]} px, not {size[0]} x {size[1]} as when it was prepared")
    jpegs = [encode_jpeg(stored_pixels(photo, one, params), params.quality) for one in chosen]
    return [Cut(one.part, one.box, one.confidence, jpeg) for one, jpeg in zip(chosen, jpegs, strict=True)]


def around(boxes: list[Found], step: int, size: tuple[int, int], params: Crop) -> Window:
    """The window that holds what is cut by all boxes, in a photo of `size` decoded at 1/`step`."""
    lefts, tops, rights, bottoms = zip(*(place(one, step, size, params) for one in boxes), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def place(box: Found, step: int, size: tuple[int, int], params: Crop) -> Window:
    """Where to cut a box out of a photo of `size` that is decoded at 1/`step`."""
    width, height = (-(-side // step) for side in size)
    return with_margin(box.box / step, params.border if box.part != WHOLE else 0, width, height)


def with_margin(box: np.ndarray, margin: float, width: int, height: int) -> Window:
    """A box grown by a share of its sides, clipped to the photo, in whole pixels and never empty."""
    x_min, y_min, x_max, y_max = box
    dx, dy = margin * (x_max - x_min), margin * (y_max - y_min)
    left, top = max(0, int(np.floor(x_min - dx))), max(0, int(np.floor(y_min - dy)))
    right, bottom = min(width, int(np.ceil(x_max + dx))), min(height, int(np.ceil(y_max + dy)))
    left, top = min(left, width - 1), min(top, height - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def stored_pixels(photo: Photo, box: Found, params: Crop) -> np.ndarray:
    """What is stored of a box, in pixels of the full photo: cut out with its margin and shrunk, (H, W, 3)."""
    left, top, right, bottom = window = place(box, photo.step, photo.full, params)
    scale = min(1.0, params.image_size / _shorter(window))
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    x, y = photo.corner
    return _shrink(photo.pixels[top - y : bottom - y, left - x : right - x], *size)


def _shrink(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Shrink with a triangle filter as wide as the factor asks for.

    Area averaging would alias by factors little above 1: 5 dB farther from what a full decode gives.
    """
    if (width, height) == pixels.shape[1::-1]:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _shorter(window: Window) -> int:
    return min(window[2] - window[0], window[3] - window[1])
