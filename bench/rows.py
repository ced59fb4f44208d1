"""A million photos through the tables of the pipeline: time and memory of prepare, the crop index, lessons and search.

Photos are not drawn: `prepare` gets what their files would say, and the shards of the crops are holes in files. Near
duplicates are sought among `--compared` hashes, which share no more bits than chance. Vectors have 64 dimensions and
stay in their file. In the activated environment: python bench/rows.py [--photos 100000]
"""

import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar
from unittest.mock import patch

import numpy as np
import pandas as pd
import typer
from drawn import PHOTOS as OF_HAPPYWHALE
from drawn import animals, directions, individual_centres, unit
from scale import GB, Peak, own_memory, timed

from finprint.answers.search import search
from finprint.individuals.lessons import fingerprint, lessons
from finprint.matching.catalogue import build_catalogue
from finprint.params import load_params
from finprint.pictures.shards import INDEX, Crops
from finprint.store.tables import CROPS, PHOTOS, TEST, TRAIN, read_table, write_table
from finprint.store.vectors import Vectors, read_vectors, write_vectors
from finprint.survey import prepare
from finprint.survey.readings import Reading
from finprint.survey.sources.box_columns import COLUMNS
from finprint.survey.sources.source import FACTS, Source
from finprint.survey.splits import near_duplicates

JPEG = 12_000  # bytes of a crop
SHARD = 512  # crops in a shard
NOISE = 0.5  # length of a photo's noise; that of its individual's direction is 1

T = TypeVar("T")
Number = Annotated[int, typer.Option()]


def main(photos: Number = 1_000_000, queries: Number = 1000, compared: Number = 100_000) -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{photos} photos of the catalogue, {queries} to identify\n{'step':36s} seconds  peak GB", flush=True)
        hashes = rng.integers(0, 256, (compared, 32), np.uint8)
        step(f"near duplicates among {compared}", lambda: near_duplicates(hashes, 24))
        source, codes = drawn_source(photos, queries, rng)
        surveyed = step("prepare, without the photos", lambda: surveyed_tables(source))
        step("photos table, written and read", lambda: through(folder / "photos.parquet", surveyed.photos))
        table = surveyed.photos
        drawn_crops(folder, table["image"])
        crops = step("crop index, read", lambda: Crops(folder / "crops"))
        step("fingerprint of what is learned", lambda: fingerprint(table, crops))
        step("lessons", lambda: lessons(table, crops))
        drawn_vectors(folder / "round1", table["image"], codes, rng)
        few = few_validate(table, queries)
        vectors = step("vectors, checked", lambda: read_vectors(folder / "round1"))
        catalogue = step("catalogue", lambda: build_catalogue(few, vectors))
        step(f"search, {2 * queries} queries", lambda: search(catalogue, load_params().search))


def step(name: str, work: Callable[[], T]) -> T:
    """Do the work, and print how long it took and what memory of its own the process held meanwhile."""
    with Peak() as peak:
        (taken, _), result = timed(work)
    print(f"{name:36s} {taken:7.1f} {max(peak.most, own_memory()) / GB:8.2f}", flush=True)
    return result


def drawn_source(photos: int, queries: int, rng: np.random.Generator) -> tuple[Source, dict[str, int]]:
    """Tables as a reader of a source makes them, and whom each photo shows."""
    codes = rng.permutation(animals(None, photos / OF_HAPPYWHALE, rng).rows)
    codes = np.concatenate([codes, rng.choice(codes, queries)])
    images = pd.Series([f"{number:08}.jpg" for number in range(len(codes))], dtype="string")
    table = pd.DataFrame(None, images.index, ["image", "path", *FACTS], "string")
    table["image"], table["path"] = images, "photos/" + images
    table["species"] = "whale"
    asked = table[len(codes) - queries :].reset_index(drop=True)
    labelled = table[: len(codes) - queries].copy()
    labelled["identity"] = pd.Series(codes[: len(labelled)], labelled.index).map("animal{:07}".format).astype("string")
    boxes = pd.DataFrame(None, [], COLUMNS).astype({"written": "string", "confidence": float})
    truth = pd.DataFrame({"image": [], "identity": []}, dtype="string")
    return Source(labelled, asked, boxes, truth, []), dict(zip(images, codes.tolist(), strict=True))


def surveyed_tables(source: Source) -> prepare.Survey:
    """What `prepare` makes of the source, without looking for near duplicates."""
    params = load_params()
    with patch.object(prepare, "read_all", drawn_readings):
        return prepare.survey(source, params.prepare.model_copy(update={"duplicate_bits": -1}), params.seed)


def drawn_readings(paths: Sequence[Path]) -> list[Reading]:
    """What the photos' files would say: each is another photo, taken an hour and a half later."""
    start = datetime(2020, 1, 1)
    return [
        Reading("", f"{number:064x}", 800, 600, bytes(32), start + timedelta(minutes=90 * number))
        for number in range(len(paths))
    ]


def through(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """A table of photos, written and read."""
    write_table(path, table, PHOTOS)
    return read_table(path, PHOTOS)


def drawn_crops(folder: Path, images: pd.Series) -> None:
    """An index of crops, and shards of the size that it tells, which hold nothing."""
    (folder / "crops").mkdir()
    place = np.arange(len(images))
    shards = pd.Series(place // SHARD).map("crops-{:05}.tar".format)
    for shard in shards.unique():
        with (folder / "crops" / shard).open("wb") as file:
            file.truncate(SHARD * JPEG)
    table = pd.DataFrame({"image": images, "part": "body", "shard": shards, "sha256": [f"{n:064x}" for n in place]})
    table[["x_min", "y_min"]], table[["x_max", "y_max"]] = 0.0, 9.0
    table["confidence"], table["offset"], table["length"] = 1.0, place % SHARD * JPEG, JPEG
    write_table(folder / "crops" / INDEX, table, CROPS)


def drawn_vectors(folder: Path, images: pd.Series, codes: dict[str, int], rng: np.random.Generator) -> None:
    """Vectors of the photos, around the directions of their individuals."""
    shown = images.map(codes).to_numpy()
    centres = individual_centres(np.full(shown.max() + 1, "whale"), rng)
    array = unit(centres[shown] + np.float32(NOISE) * directions(len(shown), rng))
    write_vectors(folder, Vectors(images, array, centres=np.zeros((0, 1, array.shape[1]), np.float32)))


def few_validate(table: pd.DataFrame, queries: int) -> pd.DataFrame:
    """The photos, of those that validate so many alone: searching a fifth of a million would take hours."""
    validate = np.flatnonzero(~table["split"].isin([TRAIN, TEST]))
    return table.drop(index=table.index[validate[queries:]]).reset_index(drop=True)


if __name__ == "__main__":
    typer.run(main)
