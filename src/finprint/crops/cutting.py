"""One photo: at which scale to decode it, which boxes count, and the crops cut out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from finprint.crops.cache import Cut
from finprint.crops.params import Crop
from finprint.crops.slices import merge, side_share, windows
from finprint.detector.yolo import Detection, shrink
from finprint.pictures.decoding import Window, decode_at
from finprint.pictures.images import BadPhoto, ChangedPhoto, content_of, encode_jpeg
from finprint.store.tables import WHOLE

# The scales at which a JPEG can be decoded, 1/8 to 1/2, and how many times the stored size a crop must have there:
# coarse decodes average blocks of pixels, which, shrunk again to nearly the same size, come out soft. So all crops of
# the bench are within 43 dB of those from a full decode (docs/benchmarks.md).
SPARE = {8: 1.5, 4: 1.5, 2: 1.0}
# A photo that the detector looks at is decoded so that its shorter side has so many times the stored size: most
# animals are then cut from this decode, and nearly all of a decode's time is spent at any scale.
LOOK = 3


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A photo as the table of photos tells it."""

    path: Path
    sha256: str  # of the file's content; it is read only if it still is this one
    size: tuple[int, int]  # width and height, px, upright
    content: bytes | BadPhoto | ChangedPhoto | None = None  # of the file, for a process that cannot read it


@dataclass(frozen=True)
class Photo:
    """A decoded photo, or a window of one, perhaps at a reduced scale."""

    pixels: np.ndarray  # (H, W, 3)
    full: tuple[int, int]  # width and height of the full photo
    step: int  # pixels of the full photo a pixel: 1, 2, 4 or 8
    corner: tuple[int, int] = (0, 0)  # left and top of `pixels` in the photo decoded whole


def read(file: PhotoFile, step: int, window: Window | None = None) -> Photo:
    """Decode a photo at 1/`step` of its size; all of it, or what lies in a window of it.

    The bytes that are decoded are those that are hashed, so that no crop is ever kept under the key of another photo.

    Raises:
        BadPhoto: it cannot be read.
        ChangedPhoto: the file is not the one that the table tells of.
    """
    content = content_of(file.path, file.sha256, file.content)
    pixels, full = decode_at(file.path, step, window, content)
    return Photo(pixels, full, step, window[:2] if window else (0, 0))


def look_step(size: tuple[int, int], input_size: int, params: Crop) -> int:
    """The greatest step of decoding at which the detector's input loses nothing, nor do the crops of most animals.

    Args:
        size: width and height of the full photo.
        input_size: px, the longer side of a photo, or of a slice of one, as the detector sees it.
        params: the section `crop`.
    """
    room = [max(size) * side_share(params.slices) / input_size, min(size) / (LOOK * params.image_size)]
    return next((step for step in SPARE if step <= min(room)), 1)


def cut_step(side: float, stored: int) -> int:
    """The greatest step of decoding at which a crop of the shorter `side`, px of the full photo, loses nothing."""
    return next((step for step, spare in SPARE.items() if side >= step * spare * stored), 1)


def boxes_step(boxes: list[Detection], size: tuple[int, int], params: Crop) -> int:
    """The greatest step of decoding at which no crop of `boxes`, px of the full photo, loses anything."""
    return min(cut_step(_shorter(place(box, 1, size, params)), params.image_size) for box in boxes)


def pictures_of(photo: Photo, input_size: int, params: Crop) -> tuple[list[np.ndarray], list[Window]]:
    """What the detector shall look at, shrunk to its input size, and where it lies in the decoded photo."""
    places = windows(photo.pixels.shape[1], photo.pixels.shape[0], params.slices)
    return [shrink(photo.pixels[top:bottom, left:right], input_size) for left, top, right, bottom in places], places


def in_full_photo(
    photo: Photo, pictures: list[np.ndarray], places: list[Window], detections: list[list[Detection]]
) -> list[Detection]:
    """Detections in pixels of the full photo, surest first, from those in the pictures of it."""
    grown = [
        [Detection(one.part, one.box * ((right - left) / picture.shape[1]), one.confidence) for one in in_picture]
        for picture, (left, _, right, _), in_picture in zip(pictures, places, detections, strict=True)
    ]
    merged = merge(grown, places) if len(places) > 1 else grown[0]
    return [Detection(one.part, np.minimum(one.box * photo.step, photo.full * 2), one.confidence) for one in merged]


def choose(detections: list[Detection], params: Crop, size: tuple[int, int]) -> list[Detection]:
    """The boxes of the most preferred part that any box shows, surest first.

    If no box counts, what `crop.whole` says of the photo, with confidence 0.
    """
    for part in params.parts:
        counting = [one for one in detections if one.part == part and one.confidence >= params.confidence]
        if counting:
            return sorted(counting, key=lambda one: -one.confidence)
    return [Detection(WHOLE, np.array(params.whole) * (*size, *size), 0.0)]


def cut(file: PhotoFile, chosen: list[Detection], params: Crop, decoded: Photo | None = None) -> list[Cut]:
    """Cut boxes out of a photo.

    Args:
        file: the photo.
        chosen: the boxes, in pixels of the full photo.
        params: the section `crop`.
        decoded: the photo decoded whole; a small animal is decoded again, finer. None: what the boxes need is decoded.

    Raises:
        BadPhoto: it cannot be read.
        ChangedPhoto: the file is not the one that the table tells of.
    """
    step = boxes_step(chosen, file.size, params)
    photo = decoded
    if photo is None or photo.step > step:
        photo = read(file, step, around(chosen, step, file.size, params))
    jpegs = [encode_jpeg(stored_pixels(photo, box, params), params.quality) for box in chosen]
    return [Cut(box.part, box.box, box.confidence, jpeg) for box, jpeg in zip(chosen, jpegs, strict=True)]


def around(boxes: list[Detection], step: int, size: tuple[int, int], params: Crop) -> Window:
    """The window that holds what is cut by all boxes, in a photo of `size` decoded at 1/`step`."""
    lefts, tops, rights, bottoms = zip(*(place(box, step, size, params) for box in boxes), strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def place(box: Detection, step: int, size: tuple[int, int], params: Crop) -> Window:
    """Where to cut a box out of a photo of `size` that is decoded at 1/`step`."""
    width, height = (-(-side // step) for side in size)
    return with_border(box.box / step, params.border if box.part != WHOLE else 0, width, height)


def with_border(box: np.ndarray, border: float, width: int, height: int) -> Window:
    """A box grown by a share of its sides, clipped to the photo, in whole pixels and never empty."""
    x_min, y_min, x_max, y_max = box
    dx, dy = border * (x_max - x_min), border * (y_max - y_min)
    left, top = max(0, int(np.floor(x_min - dx))), max(0, int(np.floor(y_min - dy)))
    right, bottom = min(width, int(np.ceil(x_max + dx))), min(height, int(np.ceil(y_max + dy)))
    left, top = min(left, width - 1), min(top, height - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def stored_pixels(photo: Photo, box: Detection, params: Crop) -> np.ndarray:
    """What is stored of a box, in pixels of the full photo: cut out with its border and shrunk, (H, W, 3)."""
    left, top, right, bottom = window = place(box, photo.step, photo.full, params)
    scale = min(1.0, params.image_size / _shorter(window))
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    x, y = photo.corner
    return _shrink(photo.pixels[top - y : bottom - y, left - x : right - x], *size)


def _shrink(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Shrink with a triangle filter as wide as the factor asks for.

    Area averaging would alias where the factor is little above 1: 5 dB farther from what a full decode gives.
    """
    if (width, height) == pixels.shape[1::-1]:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _shorter(window: Window) -> int:
    return min(window[2] - window[0], window[3] - window[1])
