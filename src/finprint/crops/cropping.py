"""From photos to crops: plan what each photo needs, make what is not yet made, write all of it."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import PIL
import torch
import torchvision

from finprint.base.code import code_of
from finprint.base.device import best_device
from finprint.base.errors import UserError
from finprint.base.files import atomic, sha256_json, sha256_path
from finprint.base.progress import bar
from finprint.crops.cache import CHUNK, CropCache, Cut
from finprint.crops.cutting import Photo, choose, cut, in_full_photo, look_step, read, views
from finprint.crops.params import Crop
from finprint.detector.yolo import Found, TrainedDetector
from finprint.pictures.decoding import Window, decoder
from finprint.pictures.images import BadPhoto
from finprint.pictures.shards import INDEX, write_shard
from finprint.store.tables import CROPS, REJECTS, SIDES, TEST, WHOLE, write_table

# The detector always gets so many pictures, the last ones black where there are fewer: the bits of its boxes depend
# on how many there are, though not on what else they show.
BATCH = 16
AHEAD = 1  # batches of photos being decoded before the detector, and cut behind it: they are held in memory
CODE = ("crops", "detector", "pictures")  # the rooms that make crops


@dataclass(frozen=True, slots=True)
class Job:
    """What a photo's crops are made from.

    Attributes:
        key: hashes all of it but the path.
        size: width and height of the full photo.
        given: boxes told by the table, in pixels of the full photo; without any the detector looks.
        each: crop every animal, not only the surest.
        why: why it cannot be cropped; else empty.
    """

    key: str
    path: str
    size: tuple[int, int]
    given: list[Found]
    each: bool
    why: str = ""


@dataclass(frozen=True)
class Seen:
    """A decoded photo, what the detector has to look at, and where that lies in the photo."""

    photo: Photo
    views: list[np.ndarray]
    places: list[Window]


Cuts = list[Cut] | BadPhoto  # of one photo


def crop_key(params: Crop, detector: Path) -> str:
    """A hash of all that crops depend on besides their photos and given boxes: params, detector, code, libraries."""
    libraries = [module.__version__ for module in (cv2, np, PIL, torch, torchvision)]
    libraries += [version("ultralytics"), decoder()]
    machine = [str(best_device()), torch.get_num_threads()]
    kept = params.model_dump(
        exclude={"shard_photos", "boxes_from", "animals"}
    )  # the latter two: in the key of each photo
    return sha256_json([kept, sha256_path(detector), code_of(CODE), libraries, machine])


def crop_photos(
    photos: pd.DataFrame,
    boxes: pd.DataFrame,
    detector: TrainedDetector | None,
    params: Crop,
    cache: CropCache,
    folder: Path,
) -> dict[str, float]:
    """Crop every photo and write the shards, their index and a table of rejects into `folder`, atomically.

    Args:
        photos: table `PHOTOS`.
        boxes: table `BOXES`, read where `params.boxes_from` is `given`.
        detector: None: photos without given boxes are cropped as `crop.whole` says.
        params: the section `crop`.
        cache: of the crops made earlier with the same params and detector; the new ones are added.
        folder: to write.

    Returns:
        Counts: photos, crops of each part, rejects; and the mean confidence of the boxes.

    Raises:
        UserError: none of `params.parts` is a part that there is, or several animals of one photo cannot be told apart.
    """
    there = set(detector.parts if detector else ()) | set(boxes["part"] if params.boxes_from == "given" else ())
    if there and not there & set(params.parts):
        raise UserError(
            f"crop.parts ({', '.join(params.parts)}) has none of the parts that boxes show: {', '.join(sorted(there))}"
        )
    jobs = plan(photos, boxes, params)
    missing = [job for job in jobs if job.key not in cache and not job.why]
    print(f"{len(jobs) - len(missing)} of {len(jobs)} photos were cropped before, {len(missing)} to crop", flush=True)
    bad = _fill(cache, missing, detector, params)
    table, rejects = _write(photos["image"].tolist(), jobs, cache, bad, params.shard_photos, folder)
    cache.tidy([job.key for job in jobs])
    boxed = table[table["part"] != WHOLE]
    counts = {part: int((table["part"] == part).sum()) for part in dict.fromkeys([*params.parts, WHOLE])}
    return {
        "photos": len(photos), **counts, "rejects": rejects,
        "confidence": float(boxed["confidence"].mean()) if len(boxed) else 0.0,
    }  # fmt: skip


def plan(photos: pd.DataFrame, boxes: pd.DataFrame, params: Crop) -> list[Job]:
    """What to make of each row of `PHOTOS`, in order.

    Raises:
        UserError: several animals of one photo cannot be told apart.
    """
    shared = photos["path"].duplicated(keep=False)
    given: dict[str, list[Found]] = {}
    if params.boxes_from == "given":
        counts = boxes[boxes["part"].isin(params.parts) & (boxes["confidence"] >= params.confidence)]
        for image, part, sure, *sides in counts[["image", "part", "confidence", *SIDES]].itertuples(index=False):
            given.setdefault(image, []).append(Found(part, np.array(sides, float), sure))
        if shared.any() and not photos.loc[shared, "image"].isin(given.keys()).any():
            raise UserError(
                f"{shared.sum()} animals stand in photos that show several, and none has a box of crop.parts "
                f"({', '.join(params.parts)}): is the part of the boxes (prepare.csv.part, prepare.boxes) among them?"
            )
    elif shared.any():
        several = photos[shared]
        raise UserError(
            f"{several['path'].nunique()} photos show several named animals, {several['image'].iloc[0]} for one: "
            "set crop.boxes_from to given"
        )
    each = (photos["split"] == TEST) & ~shared & (params.animals == "each")
    return [
        _job(path, sha256, (width, height), given.get(image, []), every, several and image not in given)
        for image, path, sha256, width, height, every, several in zip(
            *(photos[column] for column in ("image", "path", "sha256", "width", "height")), each, shared, strict=True
        )
    ]


def _job(path: str, sha256: str, size: tuple[int, int], given: list[Found], each: bool, lost: bool) -> Job:
    told = [(one.part, one.box.tolist(), one.confidence) for one in given]
    why = "one of several animals in its photo, and without a box that counts" if lost else ""
    return Job(sha256_json([sha256, told, each])[:32], path, size, given, each, why)


def _fill(cache: CropCache, jobs: list[Job], detector: TrainedDetector | None, params: Crop) -> dict[str, str]:
    """Make crops and add them to the cache, chunk by chunk; returns why photos are bad, by their key."""
    bad = {}
    jobs = sorted(jobs, key=lambda job: bool(job.given))  # or batches for the detector would be filled up with black
    with bar("cropping", len(jobs), "photo") as progress:
        made: dict[str, list[Cut]] = {}
        for number, (job, cuts) in enumerate(_crops(jobs, detector, params), start=1):
            if isinstance(cuts, BadPhoto):
                bad[job.key] = str(cuts)
            else:
                made[job.key] = cuts
            if number % CHUNK == 0 or number == len(jobs):
                cache.add(made)
                made = {}
            progress.update()
    return bad


def _write(
    images: list[str], jobs: list[Job], cache: CropCache, bad: dict[str, str], shard_photos: int, folder: Path
) -> tuple[pd.DataFrame, int]:
    """Write shards, index and rejects; returns the index and the number of rejects."""
    rows: list[tuple[Any, ...]] = []
    rejects: list[tuple[str, str, str]] = []
    with atomic(folder) as part:
        part.mkdir()
        for number, start in enumerate(range(0, len(jobs), shard_photos)):
            shard = f"crops-{number:05}.tar"
            named: list[tuple[str, Cut]] = []
            for image, job in zip(
                images[start : start + shard_photos], jobs[start : start + shard_photos], strict=True
            ):
                if job.why or job.key not in cache:
                    rejects.append((image, "photos", job.why or bad[job.key]))
                    continue
                cuts = cache.get(job.key)
                named += zip([image, *(f"{image}#{animal}" for animal in range(2, len(cuts) + 1))], cuts, strict=True)
            members = [(f"{len(rows) + place:08}.jpg", one.jpeg) for place, (_, one) in enumerate(named)]
            places = write_shard(part / shard, members)
            rows += [
                (image, one.part, *one.box.tolist(), one.confidence, shard, *place)
                for (image, one), place in zip(named, places, strict=True)
            ]
        table = pd.DataFrame(rows, columns=list(CROPS.columns))
        twice = table.loc[table["image"].duplicated(), "image"]
        if len(twice):
            raise UserError(
                f"{twice.iloc[0]} is a photo's name, and that of an animal by crop.animals: rename the photo"
            )
        write_table(part / INDEX, table, CROPS)
        write_table(part / "rejects.csv", pd.DataFrame(rejects, columns=list(REJECTS.columns)), REJECTS)
    return table, len(rejects)


def _crops(jobs: list[Job], detector: TrainedDetector | None, params: Crop) -> Iterator[tuple[Job, Cuts]]:
    """The crops of each photo, in order, or what is wrong with it.

    Threads, not processes: decoding, scaling and encoding release the interpreter lock (docs/benchmarks.md).
    """
    cv2.setNumThreads(0)
    input_size = detector.image_size if detector else 0
    empty: list[Job] = []  # batches of none push the last photos out
    batches = [jobs[start : start + BATCH] for start in range(0, len(jobs), BATCH)] + [empty] * 2 * AHEAD
    decoding: deque[tuple[list[Job], list[Future[Seen | Cuts]]]] = deque()
    cutting: deque[tuple[list[Job], list[Future[Cuts]]]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for batch in batches:
            decoding.append((batch, [pool.submit(_look, job, input_size, params) for job in batch]))
            if len(decoding) > AHEAD:
                ready, looked = decoding.popleft()
                seen = [future.result() for future in looked]
                found = _find(seen, detector, params.confidence)
                args = zip(ready, seen, found, strict=True)
                cutting.append((ready, [pool.submit(_cut, *one, params) for one in args]))
            if len(cutting) > AHEAD:
                ready, cuts = cutting.popleft()
                yield from zip(ready, (future.result() for future in cuts), strict=True)


def _look(job: Job, input_size: int, params: Crop) -> Seen | Cuts:
    """Decode a photo for the detector; where it has nothing to say, cut at once: a fine decode takes much memory."""
    try:
        if job.given or not input_size:
            return cut(Path(job.path), job.size, _chosen(job, job.given, job.size, params), params)
        photo = read(Path(job.path), look_step(job.size, input_size, params))
        return Seen(photo, *views(photo, input_size, params))
    except BadPhoto as bad:
        return bad


def _find(seen: list[Seen | Cuts], detector: TrainedDetector | None, confidence: float) -> list[list[Found]]:
    """The detector's boxes in each photo that it has to look at, in pixels of the full photo; none in the others."""
    if detector is None:
        return [[] for _ in seen]
    pictures = [view for one in seen if isinstance(one, Seen) for view in one.views]
    found: list[list[Found]] = []
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        black = [np.zeros_like(batch[0])] * (BATCH - len(batch))
        found += detector.find(batch + black, confidence)[: len(batch)]
    answers = iter(found)
    return [
        in_full_photo(one.photo, one.views, one.places, [next(answers) for _ in one.views])
        if isinstance(one, Seen)
        else []
        for one in seen
    ]


def _cut(job: Job, seen: Seen | Cuts, found: list[Found], params: Crop) -> Cuts:
    if not isinstance(seen, Seen):
        return seen
    try:
        return cut(Path(job.path), job.size, _chosen(job, found, job.size, params), params, seen.photo)
    except BadPhoto as bad:
        return bad


def _chosen(job: Job, found: list[Found], size: tuple[int, int], params: Crop) -> list[Found]:
    chosen = choose(found, params, size)
    return chosen if job.each else chosen[:1]
