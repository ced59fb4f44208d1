"""identify against cropping and embedding alone: photos per second, and the time to the first answer.

Both in one run, interleaved, on the same photos: (a) the crops and the vectors by every member, as the stages make
them, from a table that tells the photos' hashes and sizes; (b) `finprint identify` into an empty folder, from reading
the files to the last sheet. Then the command for one photo, from its start to the first name on the terminal. In the
activated environment: python bench/identify.py BUNDLE PHOTOS [--count 250] [--repeats 3]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer

from finprint.base.cli import run
from finprint.base.files import caching_in
from finprint.bundle.asked import asked, headers
from finprint.bundle.bundle import Bundle
from finprint.bundle.identify import identify
from finprint.crops.cache import CropCache
from finprint.crops.cropping import crop_key, crop_photos
from finprint.model.embedding import embed
from finprint.pictures.shards import Crops
from finprint.store.tables import BOXES, TEST

SRC = Path(__file__).parents[1] / "src"


def main(
    bundle: Annotated[Path, typer.Argument(help="A bundle.")],
    photos: Annotated[Path, typer.Argument(help="A folder of photos.")],
    count: Annotated[int, typer.Option(help="Photos of it, at most.")] = 250,
    repeats: int = 3,
) -> None:
    """See the module's docstring."""
    system = Bundle.load(bundle)
    every = asked([photos])
    paths = [every.folder / image for image in every.photos["image"].head(count)]
    table = read(paths)
    print(f"{len(paths)} photos, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}", flush=True)
    alone, whole = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr), caching_in(Path(folder) / ".cache"):
            began = time.perf_counter()
            crop_and_embed(system, table, Path(folder) / "crops")
            alone.append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
            began = time.perf_counter()
            identify(paths, system, Path(folder) / "out")
            whole.append(time.perf_counter() - began)
    rates = [len(paths) / statistics.median(seconds) for seconds in (alone, whole)]
    print(f"photos/s: crop and embed alone {rates[0]:.1f}, identify {rates[1]:.1f}, share {rates[1] / rates[0]:.2f}")
    firsts = [first_answer(bundle, paths[0]) for _ in range(repeats)]
    first, end = (statistics.median(values) for values in zip(*firsts, strict=True))
    print(f"one photo: first answer after {first:.1f} s, end of the command after {end:.1f} s")


def read(paths: list[Path]) -> pd.DataFrame:
    """The photos as the stage `crop` gets them."""
    said = pd.DataFrame([vars(header) for header in headers(paths)])
    named = pd.DataFrame({"image": [str(path) for path in paths], "path": [str(path) for path in paths], "split": TEST})
    return named.join(said[["sha256", "width", "height"]])


def crop_and_embed(system: Bundle, table: pd.DataFrame, folder: Path) -> None:
    """What the stages `crop` and `embed` do."""
    with CropCache(crop_key(system.settings.crop, system.detector_folder)) as cache:
        none = pd.DataFrame(columns=list(BOXES.columns))
        crop_photos(table, none, system.detector, system.settings.crop, cache, folder)
    crops = Crops(folder)
    for model in system.models.values():
        embed(model, crops.pixels, np.arange(len(crops)), system.settings.embed, quiet=True)


def first_answer(bundle: Path, photo: Path) -> tuple[float, float]:
    """Seconds from the start of the command to the first name on the terminal, and to its end."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--bundle", str(bundle.resolve()), "--out", "out"]
        command = [sys.executable, "-u", "-m", "finprint", "identify", str(photo.resolve()), *options]
        began = time.perf_counter()
        environment = os.environ | {"PYTHONPATH": str(SRC)}
        with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = next(time.perf_counter() for line in process.stdout if line.startswith(f"{photo.name}: "))
            process.stdout.read()
        return first - began, time.perf_counter() - began


if __name__ == "__main__":
    run(main)
