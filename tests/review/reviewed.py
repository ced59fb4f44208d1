"""A small run of the pipeline to review: 12 photos to identify, 6 individuals, drawn photos with dates."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import pandas as pd
import torch
from conftest import scenery
from PIL import Image
from torch import nn

from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.base.files import sha256_bytes
from finprint.crops.params import Crop
from finprint.keypoints.tables import PAIRS, POINTS
from finprint.model.embedder import Embedder, ModelConfig, save_model
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import INDEX, write_shard
from finprint.review.case import Case, pipeline_case
from finprint.review.server import listening
from finprint.store.tables import CROPS, NEW, PHOTOS, SIGHTINGS, write_table

WIDTH, HEIGHT = 360, 240  # px of a photo
BOX = (60.0, 40.0, 300.0, 200.0)
INDIVIDUALS = ["Ada", "Bo", "Cleo", "Dot", "Eve", "Finn"]
ASKED = [f"q{number:02}.jpg" for number in range(12)]
GALLERY = {f"g{number:02}.jpg": INDIVIDUALS[number % 6] for number in range(18)}
NASTY = "it's <b>\"&.jpg"
CROP = Crop(
    parts=["body"], confidence=0.25, border=0.1, whole=[0, 0, 1, 1], image_size=80, quality=90, shard_photos=1000,
    boxes_from="given", animals="best", slices=1,
)  # fmt: skip


def write_run(root: Path, called: Mapping[str, str] | None = None) -> None:
    """Write what the pipeline leaves, as far as a review reads it.

    Args:
        root: of the project.
        called: what the run calls individuals by the decisions that it has applied.
    """
    called = called or {}
    images = [*ASKED, *GALLERY, NASTY]
    photos, members, crops = [], [], []
    for number, image in enumerate(images):
        pixels = scenery(number, WIDTH, HEIGHT)
        together = 4 if image == NASTY else number // 3  # catalogue photos are in its encounter
        path = root / "data/raw/photos" / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0132] = f"2024:05:{1 + number % 12:02} 10:00:00"
        Image.fromarray(pixels).save(path, quality=95, exif=exif)
        known = called.get(GALLERY.get(image, ""), GALLERY.get(image))
        photos.append(
            {
                "image": image, "path": path.relative_to(root).as_posix(), "sha256": sha256_bytes(path.read_bytes()),
                "width": WIDTH, "height": HEIGHT, "species": "killer_whale" if number % 2 else "blue_whale",
                "identity": known, "encounter": f"E{together}", "viewpoint": ["left", "right"][number % 2],
                "group": number, "split": "train" if known else "test", "fold": 0 if known else -1,
            }
        )  # fmt: skip
        members.append((f"{number}.jpg", encode_jpeg(pixels[24:216:2, 36:324:2], 90)))
        crops.append({"image": image, "part": "body", "confidence": 0.9, "shard": "0.tar"})
    (root / "data/crops").mkdir(parents=True)
    index = pd.DataFrame(crops).assign(**dict(zip(("x_min", "y_min", "x_max", "y_max"), BOX, strict=True)))
    index[["offset", "length"]] = write_shard(root / "data/crops/0.tar", members)
    write_table(root / "data/crops" / INDEX, index, CROPS)
    write_table(root / "data/photos.parquet", pd.DataFrame(photos), PHOTOS)
    told = pd.DataFrame({"image": images, "labelled": [GALLERY.get(image) for image in images]})
    write_table(root / "data/sightings.parquet", told.assign(date=None, place=None), SIGHTINGS)
    answers = _answers()
    answers["identity"] = answers["identity"].replace(dict(called))
    write_table(root / "data/search/answers.parquet", answers.drop_duplicates(["query", "identity"]), ANSWERS)
    proposed = pd.DataFrame({"image": ["q09.jpg", "q10.jpg", "q11.jpg"], "proposed": "new_0001"})
    write_table(root / "data/search/new_individuals.csv", proposed, PROPOSED)
    places = {"x": [0.25, 0.5], "y": [0.5, 0.75], "match_x": [0.1, 0.9], "match_y": [0.2, 0.5]}
    points = pd.DataFrame({"query": "q00.jpg", "match": "g00.jpg", **places, "score": [0.9, 0.8], "inlier": True})
    write_table(root / "data/match/points.parquet", points, POINTS)
    write_table(root / "data/match/pairs.parquet", pd.DataFrame(columns=list(PAIRS.columns)), PAIRS)


def _answers() -> pd.DataFrame:
    """Photo n shows individual n % 6 with a probability of 0.95 - n / 20; from the tenth on a new one comes first."""
    rows = []
    for number, image in enumerate([*ASKED, NASTY]):
        first = 0.95 - number / 20
        names = [INDIVIDUALS[(number + by) % 6] for by in range(4)]
        names.insert(0 if image in ASKED[9:] else 1, NEW)
        for rank, name in enumerate(names, start=1):
            match = None if name == NEW else f"g{INDIVIDUALS.index(name):02}.jpg"
            share = first if rank == 1 else (1 - first) / 8
            rows.append((image, rank, name, 0.9 - rank / 10, share, match))
    return pd.DataFrame(rows, columns=["query", "rank", "identity", "score", "probability", "match"])


def write_model(root: Path) -> None:
    """Write a tiny model with random weights."""
    torch.manual_seed(1)
    embedder = Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 32))
    save_model(root / "models/round2", embedder, nn.Identity(), [])


def read_case(root: Path) -> Case:
    """The case of the run, with a title of its own."""
    return replace(pipeline_case(CROP, root), title="a small run")


@contextmanager
def served(case: Case, port: int = 0, who: str = "ann") -> Iterator[str]:
    """Serve a case in a thread; the page's address."""
    closing = Event()

    def run() -> None:
        try:
            server.run()
        except OSError:  # its sockets were closed while it waited for them
            if not closing.is_set():
                raise

    with listening(case, port, who) as (server, address):
        thread = Thread(target=run, daemon=True)
        thread.start()
        yield address
        closing.set()
        server.close()
        for channel in list(server.active_channels.values()):  # those that the browser keeps open
            channel.handle_close()
        server.task_dispatcher.shutdown()
    thread.join(10)
