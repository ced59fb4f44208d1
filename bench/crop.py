"""The crop stage against plain code: photos per second, nearness to a full decode, shares of the time, memory.

All in one run on generated photos of 12 megapixels, the ways interleaved: (a) Pillow decodes a photo in full, cuts and
shrinks, one process per core; (b) the same with OpenCV; (c) the stage, its detector left out by given boxes. With
--detector also the stage as it is used, and where its time goes. With --memory instead: the stage's peak memory on
many small photos, and the cost of adding 100. In the activated environment:
python bench/crop.py [--detector models/detector] [--count 300] [--folder FOLDER_TO_KEEP_THE_PHOTOS]
python bench/crop.py --memory 5000 --memory 20000
"""

import io
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import pandas as pd
import typer
from camera import take_photos, take_small_photos
from PIL import Image

from finprint.base.cli import run
from finprint.crops.cache import CropCache
from finprint.crops.cropping import BATCH, crop_photos
from finprint.crops.cutting import (  # fmt: skip
    Photo,
    PhotoFile,
    boxes_step,
    choose,
    cut,
    in_full_photo,
    look_step,
    pictures_of,
    place,
    read,
    stored_pixels,
)
from finprint.crops.params import Crop
from finprint.detector.yolo import Detection, TrainedDetector
from finprint.params import load_params
from finprint.pictures.images import decode_jpeg, encode_jpeg
from finprint.store.tables import SIDES

ROOT = Path(__file__).parents[1]
PARAMS = load_params(ROOT / "params.yaml").crop
GIVEN = PARAMS.model_copy(update={"boxes_from": "given"})
CORES = os.cpu_count() or 1


def main(
    count: Annotated[int, typer.Option(help="Photos.")] = 300,
    width: int = 4000,
    height: int = 3000,
    repeats: int = 3,
    detector: Annotated[Path | None, typer.Option(help="Folder of a trained detector.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Where to keep the photos for another run.")] = None,
    table: Annotated[Path | None, typer.Option(help="Happywhale's fullbody_test_charm.csv: boxes as they are.")] = None,
    memory: Annotated[list[int] | None, typer.Option(help="Photos of the stage whose memory is told.")] = None,
) -> None:
    if memory and len(memory) > 1:  # each in a process of its own: a peak does not go down
        for photos in memory:
            subprocess.run([sys.executable, __file__, f"--memory={photos}"], check=True)
        return
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["DVC_ROOT"] = scratch
        if memory:
            tell_memory(Path(scratch), memory[0])
            return
        tables = kept_photos(folder or Path(scratch) / "photos", count, width, height, table)
        jobs = Jobs(*tables, Path(scratch))
        print(f"{count} photos of {width} x {height} px, {jobs.megabytes:.1f} MB each, {CORES} processes or threads")
        # Spawned: a forked process would inherit the locks of OpenCV's and torch's threads.
        spawned = ProcessPoolExecutor(CORES, multiprocessing.get_context("spawn"))
        with spawned as processes, ThreadPoolExecutor(CORES) as threads:
            list(processes.map(with_opencv, jobs.boxed[: 2 * CORES]))
            race(jobs, processes, threads, repeats)
        tell_nearness(jobs)
        if detector:
            tell_shares(jobs, TrainedDetector(detector), repeats)


class Jobs:
    """The photos as each way takes them.

    Attributes:
        boxed: path and (x_min, y_min, x_max, y_max) of the animal, for each photo.
        files: the photos as the stage takes them.
    """

    def __init__(self, photos: pd.DataFrame, boxes: pd.DataFrame, scratch: Path) -> None:
        self.photos, self.boxes, self.scratch = photos, boxes, scratch
        corners = boxes[SIDES].itertuples(index=False)
        self.boxed = [(path, tuple(box)) for path, box in zip(boxes["path"], corners, strict=True)]
        sizes = zip(photos["width"], photos["height"], strict=True)
        told = zip(photos["path"], photos["sha256"], sizes, strict=True)
        self.files = [PhotoFile(Path(path), sha256, size) for path, sha256, size in told]
        self.megabytes = float(np.mean([Path(path).stat().st_size for path in photos["path"]])) / 1e6  # and in memory
        self.size = (int(photos["width"].iloc[0]), int(photos["height"].iloc[0]))

    def step(self, box: tuple[float, ...]) -> int:
        return boxes_step([body(box)], self.size, PARAMS)

    def stage(self, params: Crop, detector: TrainedDetector | None) -> None:
        """The whole stage, from an empty cache."""
        with redirect_stdout(io.StringIO()), CropCache(f"{time.perf_counter_ns():x}") as cache:
            crop_photos(self.photos, self.boxes, detector, params, cache, self.scratch / "crops")


def body(box: tuple[float, ...]) -> Detection:
    return Detection("body", np.array(box), 1.0)


def with_pillow(job: tuple[str, tuple[float, ...]]) -> int:
    path, box = job
    image = Image.open(path).convert("RGB")
    image = image.crop(place(body(box), 1, image.size, PARAMS))
    scale = min(1, PARAMS.image_size / min(image.size))
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    image.save(stored := io.BytesIO(), "JPEG", quality=PARAMS.quality)
    return len(stored.getvalue())


def with_opencv(job: tuple[str, tuple[float, ...]]) -> int:
    path, box = job
    cv2.setNumThreads(1)
    pixels = cv2.imread(path)
    left, top, right, bottom = place(body(box), 1, pixels.shape[1::-1], PARAMS)
    pixels = pixels[top:bottom, left:right]
    scale = min(1, PARAMS.image_size / min(pixels.shape[:2]))
    size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return len(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, PARAMS.quality])[1])


def with_finprint(job: tuple[PhotoFile, tuple[float, ...]]) -> int:
    """One photo as the stage does it."""
    file, box = job
    cv2.setNumThreads(1)
    return len(cut(file, [body(box)], PARAMS)[0].jpeg)


def race(jobs: Jobs, processes: Executor, threads: Executor, repeats: int) -> None:
    """Photos per second of each way, over all photos and over those of each scale of decoding."""
    ours = [(file, box) for file, (_, box) in zip(jobs.files, jobs.boxed, strict=True)]
    ways: dict[str, Callable[[], Any]] = {
        "(a) Pillow, full decode, processes": lambda: list(processes.map(with_pillow, jobs.boxed)),
        "(b) OpenCV, full decode, processes": lambda: list(processes.map(with_opencv, jobs.boxed)),
        "(c) the stage, boxes given": lambda: jobs.stage(GIVEN, None),
        "    its work a photo, in threads": lambda: list(threads.map(with_finprint, ours)),
        "    its work a photo, in processes": lambda: list(processes.map(with_finprint, ours)),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            rates[name].append(len(jobs.boxed) / seconds(work))
    plain = np.maximum(*(rates[name] for name in list(ways)[:2]))  # the better of (a) and (b), in each repeat
    for name, rate in rates.items():
        print(f"{name:36s} {np.median(rate):6.1f} photos/s   over the better of (a), (b) {np.median(rate / plain):.2f}")
    print("decoded at   photos   (b) photos/s   finprint   ratio")
    steps = [jobs.step(box) for _, box in jobs.boxed]
    for step in sorted(set(steps)):
        some = [(plain, job) for plain, job, its in zip(jobs.boxed, ours, steps, strict=True) if its == step]
        taken = np.array(
            [
                [
                    seconds(lambda s=some: list(processes.map(with_opencv, [plain for plain, _ in s]))),
                    seconds(lambda s=some: list(threads.map(with_finprint, [job for _, job in s]))),
                ]
                for _ in range(repeats)
            ]
        )
        opencv, stage = len(some) / np.median(taken, axis=0)
        print(f"1/{step} {len(some):15d} {opencv:14.1f} {stage:10.1f} {np.median(taken[:, 0] / taken[:, 1]):7.2f}")


def tell_nearness(jobs: Jobs) -> None:
    """PSNR between crops of the stage and of a full decode, cut at the same place, before and after JPEG."""
    raw, stored = [], []
    for file, (_, box) in zip(jobs.files, jobs.boxed, strict=True):
        full = read(file, 1)
        step = boxes_step([body(box)], full.full, PARAMS)
        if step == 1:
            continue
        window = place(body(box), step, full.full, PARAMS)
        mine = stored_pixels(read(file, step, window), body(box), PARAMS)
        left, top, right, bottom = (step * edge for edge in window)
        whole = Image.fromarray(full.pixels[top:bottom, left:right])
        theirs = np.asarray(whole.resize(mine.shape[1::-1], Image.Resampling.BILINEAR))
        raw.append(decibels(mine, theirs))
        stored.append(decibels(*(decode_jpeg(encode_jpeg(one, PARAMS.quality)) for one in (mine, theirs))))
    if raw:
        print(f"{len(raw)} crops from a reduced decode, {len(jobs.boxed) - len(raw)} from a full one (the same pixels)")
        for name, told in (("pixels", raw), (f"as JPEGs of quality {PARAMS.quality}", stored)):
            low, middle = np.percentile(told, [5, 50])
            print(f"PSNR to a full decode's, {name}: least {min(told):.1f} dB, 5 % {low:.1f}, median {middle:.1f}")


def decibels(left: np.ndarray, right: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, float(((left.astype(float) - right) ** 2).mean()))))


def tell_shares(jobs: Jobs, detector: TrainedDetector, repeats: int) -> None:
    """The stage with its detector: photos per second, and shares of the processor's time, photo after photo."""
    rates = [len(jobs.photos) / seconds(lambda: jobs.stage(PARAMS, detector)) for _ in range(repeats)]
    print(f"with the detector {np.median(rates):.1f} photos/s")
    spent: Counter[str] = Counter()
    again = 0
    for start in range(0, len(jobs.boxed), BATCH):
        files = jobs.files[start : start + BATCH]
        step = look_step(jobs.size, detector.image_size, PARAMS)
        photos = timed(spent, "first decode", lambda f=files, s=step: [read(file, s) for file in f])
        seen = timed(
            spent, "shrinking", lambda p=photos: [pictures_of(photo, detector.image_size, PARAMS) for photo in p]
        )
        pictures = [view for mine, _ in seen for view in mine]
        boxes = iter(timed(spent, "detection", lambda p=pictures: detector.find(p, PARAMS.confidence)))
        for file, photo, (mine, places) in zip(files, photos, seen, strict=True):
            full = in_full_photo(photo, mine, places, [next(boxes) for _ in mine])
            best = choose(full, PARAMS, photo.full)[0]
            finer: Photo = photo
            if (step := boxes_step([best], photo.full, PARAMS)) < photo.step:
                window = place(best, step, photo.full, PARAMS)
                finer = timed(spent, "second decode", lambda f=file, s=step, w=window: read(f, s, w))
                again += 1
            pixels = timed(spent, "shrinking", lambda p=finer, b=best: stored_pixels(p, b, PARAMS))
            timed(spent, "encoding", lambda p=pixels: encode_jpeg(p, PARAMS.quality))
    total = sum(spent.values())
    print("share of the time: " + ", ".join(f"{name} {taken / total:.1%}" for name, taken in spent.items()))
    print(f"{again} of {len(jobs.boxed)} photos decoded twice")


def timed(spent: Counter[str], name: str, work: Callable[[], Any]) -> Any:
    start = time.process_time()
    result = work()
    spent[name] += time.process_time() - start
    return result


def tell_memory(scratch: Path, count: int) -> None:
    """Peak memory of the stage over `count` small photos, then the time of adding 100."""
    photos, boxes = take_small_photos(scratch / "photos", count + 100)
    before = peak()
    for rows in (count, count + 100):
        with CropCache("bench") as cache:
            start = time.perf_counter()
            crop_photos(photos.iloc[:rows], boxes, None, PARAMS, cache, scratch / "crops")
            taken = time.perf_counter() - start
        print(f"{rows} photos: {taken:.1f} s, peak memory {before:.0f} MB before, {peak():.0f} MB after", flush=True)


def peak() -> float:
    """The process's peak resident memory, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def kept_photos(
    folder: Path, count: int, width: int, height: int, table: Path | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The photos of an earlier run, or new ones."""
    if not (folder / "boxes.parquet").exists():
        for name, made in zip(("photos", "boxes"), take_photos(folder, count, width, height, table), strict=True):
            made.to_parquet(folder / f"{name}.parquet")
    return pd.read_parquet(folder / "photos.parquet").iloc[:count], pd.read_parquet(folder / "boxes.parquet").iloc[
        :count
    ]


if __name__ == "__main__":
    run(main)  # as a stage starts: glibc keeps freed memory
