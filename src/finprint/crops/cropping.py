"""From photos to crops: plan what each photo needs, make what is not yet made, write all of it."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import PIL
import torch

from finprint.base.code import code_of
from finprint.base.device import cores
from finprint.base.errors import UserError
from finprint.base.files import atomic, sha256_bytes, sha256_json, sha256_path
from finprint.base.vision import torchvision
from finprint.crops.cache import CHUNK, CropCache, Cut
from finprint.crops.cutting import Photo, PhotoFile, choose, cut, in_full_photo, look_step, pictures_of, read
from finprint.crops.params import Crop
from finprint.detector.yolo import Detection, TrainedDetector
from finprint.engine.mapping import device_of, mapped
from finprint.engine.params import LOCAL, Engine
from finprint.engine.work import MOST, MOST_PHOTOS, Work
from finprint.pictures.decoding import Window, decoder
from finprint.pictures.images import BadPhoto, ChangedPhoto, carried
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
        file: the photo.
        given: boxes from the table, in pixels of the full photo; without any the detector looks.
        each: crop every animal, not only the surest.
        reason: why it cannot be cropped; else empty.
    """

    key: str
    file: PhotoFile
    given: list[Detection]
    each: bool
    reason: str = ""


@dataclass(frozen=True)
class Look:
    """A decoded photo, the pictures of it that the detector has to look at, and where they lie in the photo."""

    photo: Photo
    pictures: list[np.ndarray]
    places: list[Window]


Cuts = list[Cut] | BadPhoto | ChangedPhoto  # of one photo


def crop_key(params: Crop, detector: Path, engine: Engine = LOCAL) -> str:
    """A hash of all that crops depend on besides their photos and given boxes: params, detector, code, libraries,
    and the kind of device that the engine works on."""
    libraries = [module.__version__ for module in (cv2, np, PIL, torch, torchvision)]
    libraries += [version("ultralytics"), decoder()]
    machine = [device_of(engine), torch.get_num_threads()]
    # The last two are in the key of each photo.
    kept = params.model_dump(exclude={"shard_photos", "boxes_from", "animals"})
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
        UserError: no box shows any of `params.parts`, several animals of one photo cannot be told apart, or photos have
            changed since they were prepared.
    """
    given = boxes["part"].dropna() if params.boxes_from == "given" else ()
    shown = {*(detector.parts if detector else ()), *given}
    if shown and not shown & set(params.parts):
        raise UserError(
            f"crop.parts is {', '.join(params.parts)}, but the boxes show {', '.join(sorted(shown))}: add one of these"
        )
    jobs = plan(photos, boxes, params)
    missing = [job for job in jobs if job.key not in cache and not job.reason]
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
    given = _given(boxes, params) if params.boxes_from == "given" else {}
    if shared.any() and params.boxes_from != "given":
        several = photos[shared]
        raise UserError(
            f"{several['path'].nunique()} photos show several named animals, such as {several['image'].iloc[0]}: "
            "set crop.boxes_from to given"
        )
    if shared.any() and not photos.loc[shared, "image"].isin(given.keys()).any():
        raise UserError(
            f"{shared.sum()} animals share a photo with others, and none of them has a box of crop.parts "
            f"({', '.join(params.parts)}): add the part that your boxes show (prepare.csv.part, prepare.boxes) to "
            "crop.parts"
        )
    each = (photos["split"] == TEST) & ~shared & (params.animals == "each")
    columns = (photos[column] for column in ("image", "path", "sha256", "width", "height"))
    jobs = []
    for image, path, sha256, width, height, every, is_shared in zip(*columns, each, shared, strict=True):
        own = given.get(image, [])
        hashed = [sha256, [(box.part, box.box.tolist(), box.confidence) for box in own], every]
        reason = "shares its photo with other animals and has no box that counts" if is_shared and not own else ""
        file = PhotoFile(Path(path), sha256, (width, height))
        jobs.append(Job(sha256_json(hashed)[:32], file, own, every, reason))
    return jobs


def _given(boxes: pd.DataFrame, params: Crop) -> dict[str, list[Detection]]:
    """The boxes of the table that count, by their photo."""
    given: dict[str, list[Detection]] = {}
    counting = boxes[boxes["part"].isin(params.parts) & (boxes["confidence"] >= params.confidence)]
    for image, part, confidence, *sides in counting[["image", "part", "confidence", *SIDES]].itertuples(index=False):
        given.setdefault(image, []).append(Detection(part, np.array(sides, float), confidence))
    return given


def _fill(cache: CropCache, jobs: list[Job], detector: TrainedDetector | None, params: Crop) -> dict[str, str]:
    """Make crops and add them to the cache, chunk by chunk.

    Returns:
        Why photos are bad, by their key.

    Raises:
        UserError: photos have changed since they were prepared; the crops of all others are in the cache.
    """
    bad: dict[str, str] = {}
    changed: list[ChangedPhoto] = []
    jobs = sorted(jobs, key=lambda job: bool(job.given))  # or batches for the detector would be filled up with black
    made: dict[str, list[Cut]] = {}
    try:
        work = _work(detector, params, cache.engine)
        for number, (job, cuts) in enumerate(mapped(work, jobs, cache.engine, "cropping", "photo"), start=1):
            if isinstance(cuts, BadPhoto):
                bad[job.key] = str(cuts)
            elif isinstance(cuts, ChangedPhoto):
                changed.append(cuts)
            else:
                made[job.key] = cuts
            if number % CHUNK == 0:
                cache.add(made)
                made = {}
    finally:
        cache.add(made)
    if changed:
        others = f"; so have {len(changed) - 1} other photos" if len(changed) > 1 else ""
        raise UserError(f"{changed[0]}{others}")
    return bad


def _work(detector: TrainedDetector | None, params: Crop, engine: Engine) -> Work[Job, Cuts]:
    """The making of crops. Where nodes share no disk, the content of the photos travels."""
    stream = partial(_cuts, detector, params)
    there = partial(partial, _cuts, detector, params)
    whole = engine.ship == "bytes"
    pack: Callable[[Sequence[Job]], Any] = _with_contents if whole else list
    return Work(stream, there, pack, lambda job: str(job.file.path), BATCH, MOST_PHOTOS if whole else MOST)


def _cuts(detector: TrainedDetector | None, params: Crop, jobs: Sequence[Job]) -> Iterator[Cuts]:
    return (cuts for _, cuts in made_crops(jobs, detector, params))


def _with_contents(jobs: Sequence[Job]) -> list[Job]:
    return [replace(job, file=replace(job.file, content=carried(job.file.path, job.file.sha256))) for job in jobs]


def _write(
    images: list[str], jobs: list[Job], cache: CropCache, bad: dict[str, str], shard_photos: int, folder: Path
) -> tuple[pd.DataFrame, int]:
    """Write shards, index and rejects; returns the index and the number of rejects."""
    rows: list[tuple[Any, ...]] = []
    rejects: list[tuple[str, str, str]] = []
    with atomic(folder) as draft:
        draft.mkdir()
        for number, start in enumerate(range(0, len(jobs), shard_photos)):
            shard = f"crops-{number:05}.tar"
            named: list[tuple[str, Cut]] = []
            for image, job in zip(
                images[start : start + shard_photos], jobs[start : start + shard_photos], strict=True
            ):
                if job.reason or job.key not in cache:
                    rejects.append((image, "photos", job.reason or bad[job.key]))
                    continue
                cuts = cache.get(job.key)
                named += zip([image, *(f"{image}#{animal}" for animal in range(2, len(cuts) + 1))], cuts, strict=True)
            members = [(f"{len(rows) + row:08}.jpg", cut.jpeg) for row, (_, cut) in enumerate(named)]
            places = write_shard(draft / shard, members)
            rows += [
                (image, cut.part, *cut.box.tolist(), cut.confidence, shard, *place, sha256_bytes(cut.jpeg))
                for (image, cut), place in zip(named, places, strict=True)
            ]
        table = pd.DataFrame(rows, columns=list(CROPS.columns))
        twice = table.loc[table["image"].duplicated(), "image"]
        if len(twice):
            raise UserError(f"{twice.iloc[0]} names a photo, but also an animal of crop.animals: rename the photo")
        write_table(draft / INDEX, table, CROPS)
        write_table(draft / "rejects.csv", pd.DataFrame(rejects, columns=list(REJECTS.columns)), REJECTS)
    return table, len(rejects)


def made_crops(jobs: Sequence[Job], detector: TrainedDetector | None, params: Crop) -> Iterator[tuple[Job, Cuts]]:
    """The crops of each photo, in order, or what is wrong with it.

    Threads, not processes: decoding, scaling and encoding release the interpreter lock (docs/benchmarks.md).
    """
    cv2.setNumThreads(0)
    input_size = detector.image_size if detector else 0
    empty: list[Job] = []  # batches of none push the last photos out
    batches = [[*jobs[start : start + BATCH]] for start in range(0, len(jobs), BATCH)] + [empty] * 2 * AHEAD
    decoding: deque[tuple[list[Job], list[Future[Look | Cuts]]]] = deque()
    cutting: deque[tuple[list[Job], list[Future[Cuts]]]] = deque()
    with ThreadPoolExecutor(cores()) as pool:
        for batch in batches:
            decoding.append((batch, [pool.submit(_look, job, input_size, params) for job in batch]))
            if len(decoding) > AHEAD:
                ready, futures = decoding.popleft()
                looks = [future.result() for future in futures]
                detections = _detect(looks, detector, params.confidence)
                args = zip(ready, looks, detections, strict=True)
                cutting.append((ready, [pool.submit(_cut, *one, params) for one in args]))
            if len(cutting) > AHEAD:
                ready, cuts = cutting.popleft()
                yield from zip(ready, (future.result() for future in cuts), strict=True)


def _look(job: Job, input_size: int, params: Crop) -> Look | Cuts:
    """Decode a photo for the detector; where it need not look, cut at once: a fine decode takes much memory."""
    try:
        if job.given or not input_size:
            return cut(job.file, _chosen(job, job.given, params), params)
        photo = read(job.file, look_step(job.file.size, input_size, params))
        return Look(photo, *pictures_of(photo, input_size, params))
    except (BadPhoto, ChangedPhoto) as failure:
        return failure


def _detect(looks: list[Look | Cuts], detector: TrainedDetector | None, confidence: float) -> list[list[Detection]]:
    """What the detector sees in each photo that it has to look at, in pixels of the full photo; none in the others."""
    if detector is None:
        return [[] for _ in looks]
    pictures = [picture for look in looks if isinstance(look, Look) for picture in look.pictures]
    detections: list[list[Detection]] = []
    for start in range(0, len(pictures), BATCH):
        batch = pictures[start : start + BATCH]
        black = [np.zeros_like(batch[0])] * (BATCH - len(batch))
        detections += detector.find(batch + black, confidence)[: len(batch)]
    answers = iter(detections)
    return [
        in_full_photo(look.photo, look.pictures, look.places, [next(answers) for _ in look.pictures])
        if isinstance(look, Look)
        else []
        for look in looks
    ]


def _cut(job: Job, look: Look | Cuts, detections: list[Detection], params: Crop) -> Cuts:
    if not isinstance(look, Look):
        return look
    try:
        return cut(job.file, _chosen(job, detections, params), params, look.photo)
    except (BadPhoto, ChangedPhoto) as failure:
        return failure


def _chosen(job: Job, detections: list[Detection], params: Crop) -> list[Detection]:
    chosen = choose(detections, params, job.file.size)
    return chosen if job.each else chosen[:1]
