"""Small catalogues, crops and networks that tests of several rooms share."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from conftest import NO_AUGMENT, SMALL_TRAIN

from finprint.answers.params import NewThreshold, Search
from finprint.learning.loop import Recipe
from finprint.learning.network import Network
from finprint.model.embedder import Embedder, ModelConfig
from finprint.model.heads import SubCentreArcFace
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.store.tables import CROPS, write_table

FIT = Search(
    shares="equal",
    blend="nearest",
    nearest=1,
    neighbours=5,
    shortlist=5,
    index="flat",
    expand=0,
    species="ignore",
    new=NewThreshold(
        target="map5", value=0.0, expected_new="validation", per_species=False, shrinkage=50.0, default=0.5
    ),
)


RECIPE = Recipe(SMALL_TRAIN, 1, 1e-3, 0)


ROWS = [
    ("a1.jpg", "al", "train"),
    ("a2.jpg", "al", "train"),
    ("a3.jpg", "al", "train"),
    ("b1.jpg", "bo", "train"),
    ("n1.jpg", None, "train"),
    ("a4.jpg", "al", "validation"),
    ("z1.jpg", "zoe", "validation"),
    ("q1.jpg", None, "test"),
    ("q2.jpg", None, "test"),
]
PHOTOS = pd.DataFrame(ROWS, columns=["image", "identity", "split"]).assign(species="orca").astype("string")
PHOTOS["fold"] = [0, 1, 1, 0, -1, 2, 2, -1, -1]


def stored_crops(folder: Path, images: list[str]) -> Crops:
    """One shard of crops; a photo's colour follows from its first letter."""
    folder.mkdir()
    members = []
    for n, image in enumerate(images):
        rng = np.random.default_rng([ord(image[0]), 0])
        colour = rng.integers(30, 220, 3) + np.random.default_rng(n).integers(0, 30, (32, 40, 1))
        members.append((f"{n:06d}.jpg", encode_jpeg(colour.clip(0, 255).astype(np.uint8), 92)))
    places = write_shard(folder / "0.tar", members)
    table = pd.DataFrame({"image": images, "part": "whole", "confidence": 0.0, "shard": "0.tar"})
    table = table.assign(x_min=0.0, y_min=0.0, x_max=40.0, y_max=32.0)
    table["offset"], table["length"] = [place[0] for place in places], [place[1] for place in places]
    write_table(folder / INDEX, table, CROPS)
    return Crops(folder)


AUGMENT = NO_AUGMENT.model_copy(
    update={"rotate": 15, "shift": 0.1, "zoom": 0.15, "shear": 5, "flip": 0.5, "colour": 0.3, "grey": 0.1, "blur": 0.1}
)
TRAIN = SMALL_TRAIN.model_copy(update={"epochs": 3, "ema": 0.9, "amp": True, "augment": AUGMENT})


def small_network(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    embedder = Embedder(ModelConfig(TRAIN.backbone, TRAIN.fusion, TRAIN.embedding, TRAIN.image_size))
    return Network(embedder, SubCentreArcFace(TRAIN.embedding, torch.full((3,), 0.2), 2, 20.0))
