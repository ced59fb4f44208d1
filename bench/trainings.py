"""A share of a real catalogue, cropped, and trainings of it side by side. Not a bench itself.

The folder is in the layout of `prepare.source=happywhale`, its photos cropped already (right whales: heads).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd
import torch

from finprint.base.cli import keep_memory
from finprint.base.device import best_device
from finprint.base.errors import UserError
from finprint.base.files import sha256_json, write_csv
from finprint.crops.cache import CropCache
from finprint.crops.cropping import crop_key, crop_photos
from finprint.crops.params import Crop
from finprint.detector.yolo import save_no_detector
from finprint.individuals.lessons import fingerprint
from finprint.params import Params
from finprint.pictures.shards import Crops
from finprint.store.tables import BOXES
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source

# Right whales in small: the strip with the callosities as in README, but the early stages frozen, views of 96 px, 12
# epochs and no mixup, so that a training takes a minute or two on 2 cores.
BUDGET = {
    "prepare.source": "happywhale", "crop.image_size": 128, "crop.whole": [0.30, 0.38, 0.88, 0.62],
    "train.image_size": 96, "train.first_size": 96, "train.epochs": 12, "train.score_every": 100,
    "train.finetune.trainable": 0.625, "train.augment.mirror": "other", "train.augment.shift": 0.06,
}  # fmt: skip
J, R = TypeVar("J"), TypeVar("R")


def picked(only: Sequence[str] | None, known: Iterable[str]) -> list[str]:
    """The names asked for, else all.

    Raises:
        UserError: one is not known.
    """
    names = list(known)
    for name in only or ():
        if name not in names:
            raise UserError(f"--only: there is no {name!r}, but " + ", ".join(map(repr, names)))
    return list(only or names)


def chosen(folder: Path, params: Params, share: float) -> pd.DataFrame:
    """The labelled photos of a share of the individuals, split as `prepare` splits them."""
    source, _ = read_source(params.prepare, folder)
    photos = survey(source, params.prepare, params.seed).photos
    photos = photos[photos["identity"].notna()]
    names = np.unique(photos["identity"].to_numpy(str))
    kept = np.random.default_rng(params.seed).permutation(names)[: round(share * len(names))]
    return photos[photos["identity"].isin(kept)].reset_index(drop=True)


class Cropped:
    """The crops of photos by what `crop.whole` says, made once for each section `crop` that is asked for.

    Args:
        photos: table `PHOTOS`.
        scratch: an empty folder; this process' cache and those of its children lie there from now on.
    """

    def __init__(self, photos: pd.DataFrame, scratch: Path) -> None:
        os.environ["DVC_ROOT"] = str(scratch)  # or the project's own cache would be tidied
        save_no_detector(scratch / "detector")
        self.photos, self.scratch = photos, scratch
        self.looked: dict[Path, str] = {}

    def of(self, params: Crop) -> tuple[Path, str]:
        """The folder of the crops, and their fingerprint."""
        detector = self.scratch / "detector"
        folder = self.scratch / sha256_json(params.model_dump())[:16]
        if folder not in self.looked:
            with CropCache(crop_key(params, detector)) as cache:
                crop_photos(self.photos, pd.DataFrame(columns=list(BOXES.columns)), None, params, cache, folder)
            self.looked[folder] = fingerprint(self.photos, Crops(folder))
        return folder, self.looked[folder]


class Keyed(Protocol):
    """A job with a name for all that it depends on."""

    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=Keyed)
Row = dict[str, Any]


def run_missing(
    work: Callable[[K], Row], wanted: Sequence[K], out: Path, said: Callable[[Row, pd.DataFrame], str]
) -> pd.DataFrame:
    """The table of all finished runs, after those that it lacked; a killed bench goes on where it was.

    Args:
        work: does a job; its row has the job's key in `key`.
        wanted: jobs; those of one key are done once.
        out: the CSV of the table, written after each run.
        said: what is printed of a row and the table so far.
    """
    done = pd.read_csv(out) if out.exists() else pd.DataFrame(columns=["key"])
    missing = {job.key: job for job in wanted if job.key not in set(done["key"])}
    for row in side_by_side(work, missing.values()):
        done = pd.concat([done, pd.DataFrame([row])], ignore_index=True)
        write_csv(out, done)
        print(said(row, done), flush=True)
    return done


def of_jobs(done: pd.DataFrame, wanted: Sequence[Keyed]) -> pd.DataFrame:
    """The rows of the jobs, in their order, by key."""
    return done.drop_duplicates("key").set_index("key").loc[[job.key for job in wanted]]


def side_by_side(work: Callable[[J], R], jobs: Iterable[J]) -> Iterator[R]:
    """Results in the order in which they come, each of a process of its own, one a core; on a GPU one at a time.

    Two trainings of small views with a thread each are done 1.5 times as fast as one after the other with two.
    """
    at_once = 1 if best_device().type == "cuda" else os.cpu_count()
    threads = torch.get_num_threads() if at_once == 1 else 1
    with ProcessPoolExecutor(at_once, get_context("spawn"), _start, (threads,)) as pool:
        for done in as_completed([pool.submit(work, job) for job in jobs]):
            yield done.result()


def _start(threads: int) -> None:
    torch.set_num_threads(threads)
    keep_memory()
