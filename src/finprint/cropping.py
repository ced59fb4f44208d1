"""From photos to crops: find the animal, choose a part, cut it out, store it."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from finprint.detector import BOX, Found, TrainedDetector, shrink
from finprint.files import atomic
from finprint.images import BadPhoto, decode, encode_jpeg, resize
from finprint.params import Crop
from finprint.shards import INDEX, write_shard
from finprint.tables import CROPS, REJECTS, WHOLE, write_table

DETECTION_BATCH = 16


@dataclass(frozen=True)
class Photo:
    """A decoded photo, perhaps at a reduced scale."""

    path: Path
    pixels: np.ndarray  # (H, W, 3)
    full: tuple[int, int]  # width and height of the full photo

    @property
    def step(self) -> int:
        """Pixels of the full photo a pixel: 1, 2, 4 or 8. The last row and column may reach beyond its edge."""
        return round(max(self.full) / max(self.pixels.shape[:2]))


def crop_photos(photos: pd.DataFrame, detector: TrainedDetector | None, params: Crop, folder: Path) -> dict[str, float]:
    """Crop every photo and write the shards, their index and a table of rejects into `folder`, atomically.

    Args:
        photos: table `PHOTOS`.
        detector: None: the whole photo is the crop.
        params: the section `crop`.
        folder: to write.

    Returns:
        Counts: photos, crops of each part, rejects; and the mean confidence of the boxes.
    """
    rows: list[dict[str, object]] = []
    rejects: list[tuple[str, str, str]] = []
    images = photos["image"].tolist()
    with atomic(folder) as part, tqdm(total=len(photos), desc="cropping", unit="photo", disable=None) as progress:
        part.mkdir()
        for number, start in enumerate(range(0, len(photos), params.shard_photos)):
            span = slice(start, start + params.shard_photos)
            shard = f"crops-{number:05}.tar"
            members = []
            paths = [Path(path) for path in photos["path"].iloc[span]]
            for image, (found, content) in zip(images[span], _crops(paths, detector, params, progress), strict=True):
                if isinstance(found, BadPhoto):
                    rejects.append((image, "photos", str(found)))
                    continue
                rows.append({"image": image, "part": found.part, "confidence": found.confidence, "shard": shard})
                rows[-1] |= dict(zip(BOX, found.box.tolist(), strict=True))
                members.append((f"{len(rows) - 1:08}.jpg", content))
            places = write_shard(part / shard, members)
            for row, (offset, length) in zip(rows[len(rows) - len(members) :], places, strict=True):
                row |= {"offset": offset, "length": length}
        table = pd.DataFrame(rows, columns=list(CROPS.columns))
        write_table(part / INDEX, table, CROPS)
        write_table(part / "rejects.csv", pd.DataFrame(rejects, columns=list(REJECTS.columns)), REJECTS)
    boxed = table[table["part"] != WHOLE]
    counts = {part: int((table["part"] == part).sum()) for part in dict.fromkeys([*params.parts, WHOLE])}
    return {
        "photos": len(photos), **counts, "rejects": len(rejects),
        "confidence": float(boxed["confidence"].mean()) if len(boxed) else 0.0,
    }  # fmt: skip


def choose(found: list[Found], params: Crop, width: float, height: float) -> Found:
    """The surest box of the most preferred part that was found at all; else the whole photo, confidence 0."""
    for part in params.parts:
        sure = [one for one in found if one.part == part and one.confidence >= params.confidence]
        if sure:
            return max(sure, key=lambda one: one.confidence)
    return Found(WHOLE, np.array([0.0, 0.0, width, height]), 0.0)


def with_margin(box: np.ndarray, margin: float, width: int, height: int) -> tuple[int, int, int, int]:
    """A box grown by a share of its sides, clipped to the photo, in whole pixels and never empty."""
    x_min, y_min, x_max, y_max = box
    dx, dy = margin * (x_max - x_min), margin * (y_max - y_min)
    left, top = max(0, int(np.floor(x_min - dx))), max(0, int(np.floor(y_min - dy)))
    right, bottom = min(width, int(np.ceil(x_max + dx))), min(height, int(np.ceil(y_max + dy)))
    left, top = min(left, width - 1), min(top, height - 1)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def _crops(
    paths: list[Path], detector: TrainedDetector | None, params: Crop, progress: Any
) -> Iterator[tuple[Found | BadPhoto, bytes]]:
    """For each photo, in order: what was cropped (in pixels of the full photo), and the crop's JPEG."""
    wanted = max(2 * params.image_size, detector.image_size) if detector else params.image_size
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), DETECTION_BATCH):
            read = list(pool.map(lambda path: _read(path, wanted), paths[start : start + DETECTION_BATCH]))
            good = [photo for photo in read if isinstance(photo, Photo)]
            found = iter(_find(good, detector, params.confidence))
            boxes = [[] if isinstance(photo, BadPhoto) else next(found) for photo in read]
            yield from pool.map(lambda photo, mine: _cut(photo, mine, params), read, boxes)
            progress.update(len(read))


def _read(path: Path, shorter_side: int) -> Photo | BadPhoto:
    try:
        return Photo(path, *decode(path, shorter_side))
    except BadPhoto as bad:
        return bad


def _find(photos: list[Photo], detector: TrainedDetector | None, confidence: float) -> list[list[Found]]:
    """Boxes in pixels of each `Photo`."""
    if detector is None or not photos:
        return [[] for _ in photos]
    small = [shrink(photo.pixels, detector.image_size) for photo in photos]
    return [
        [Found(one.part, one.box * (photo.pixels.shape[1] / view.shape[1]), one.confidence) for one in found]
        for photo, view, found in zip(photos, small, detector.find(small, confidence), strict=True)
    ]


def _cut(photo: Photo | BadPhoto, found: list[Found], params: Crop) -> tuple[Found | BadPhoto, bytes]:
    if isinstance(photo, BadPhoto):
        return photo, b""
    height, width = photo.pixels.shape[:2]
    chosen = choose(found, params, width, height)
    left, top, right, bottom = with_margin(chosen.box, params.margin if chosen.part != WHOLE else 0, width, height)
    short = min(right - left, bottom - top)
    if short < params.image_size and photo.step > 1:  # a small animal in a large photo: decode finer
        finer = _read(photo.path, int(np.ceil(min(height, width) * params.image_size / short)))
        if isinstance(finer, BadPhoto):
            return finer, b""
        if finer.step < photo.step:
            ratio = photo.step / finer.step
            return _cut(finer, [Found(one.part, one.box * ratio, one.confidence) for one in found], params)
    pixels = photo.pixels[top:bottom, left:right]
    scale = min(1.0, params.image_size / short)
    stored = resize(pixels, max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    box = np.minimum(chosen.box * photo.step, [*photo.full, *photo.full])
    return Found(chosen.part, box, chosen.confidence), encode_jpeg(stored, params.quality)
