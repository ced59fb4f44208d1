"""Small catalogues, crops and networks that tests of several rooms share."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from conftest import NO_AUGMENT, SMALL_TRAIN

from finprint.answers.params import NewThreshold, Search
from finprint.individuals.heads import IndividualHeads
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.model.embedder import Embedder, ModelConfig
from finprint.model.heads import SubCentreArcFace
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.store.tables import CROPS, write_table
from finprint.store.vectors import Vectors

FIT = Search(
    shares="equal",
    blend="nearest",
    mean_photos=1,
    neighbours=5,
    shortlist=5,
    index="flat",
    expand=0,
    species="ignore",
    encounter="ignore",
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
    return Network(embedder, IndividualHeads(SubCentreArcFace(TRAIN.embedding, torch.full((3,), 0.2), 2, 20.0)))


def two_animals() -> tuple[pd.DataFrame, Vectors]:
    """Training photos of al and bo in two folds, their vectors on a circle; b9.jpg of bo lies amid al's photos."""
    rows = [(f"a{n}.jpg", "al", "train", n % 2, 10.0 * n) for n in range(4)]
    rows += [(f"b{n}.jpg", "bo", "train", n % 2, 90.0 + 10 * n) for n in range(4)]
    rows += [("b9.jpg", "bo", "train", 1, 5.0), ("v.jpg", "al", "validation", 1, 1.0), ("q.jpg", None, "test", -1, 1.0)]
    photos = pd.DataFrame(rows, columns=["image", "identity", "split", "fold", "angle"]).assign(species=pd.NA)
    photos["group"] = range(len(photos))
    angles = np.radians(photos["angle"].to_numpy())
    array = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    return photos, Vectors(photos["image"], array)


def blurred(seed: int = 0, species: bool = False) -> Catalogue:
    """40 individuals in 8 dimensions, whose photos scatter; a fifth of the validation and test photos are new."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(60, 8))
    rows, vectors, kinds = [], [], []
    for split, animals in (("train", range(40)), ("validation", range(50)), ("test", [*range(40), *range(50, 60)])):
        for animal in animals:
            for photo in range(4 if split == "train" else 2):
                rows.append((f"{split}{animal}_{photo}", None if split == "test" else f"i{animal:02d}", split))
                vectors.append(centres[animal] + 0.9 * rng.normal(size=8))
                kinds.append(("orca", "beluga")[animal % 2] if species else None)
    photos = pd.DataFrame(rows, columns=["image", "identity", "split"]).astype("string")
    photos["species"] = pd.Series(kinds, dtype="string")
    array = np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    classes = np.array([f"i{n:02d}" for n in range(40)], object)
    heads = (centres[:40] / np.linalg.norm(centres[:40], axis=1, keepdims=True))[:, None].astype(np.float32)
    return build_catalogue(photos, Vectors(photos["image"], array.astype(np.float32), "", classes, heads))
