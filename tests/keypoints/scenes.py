"""Drawn scenes with corners and edges, and crops of them."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from finprint.keypoints.features import opened
from finprint.keypoints.pairs import match_pairs
from finprint.keypoints.params import Match
from finprint.keypoints.tables import SecondLook
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.store.tables import CROPS, write_table

WIDTH, HEIGHT = 200, 160
SMALL = Match(
    enabled=True,
    extractor="aliked",
    weights="package",
    pixels="crops",
    border=0.0,
    image_size=192,
    keypoints=64,
    compared=0,
    learn_epochs=0,
    individuals=2,
    photos=2,
    sure=2.0,
)


def matched(pairs: pd.DataFrame, photos: pd.DataFrame, crops: Crops, params: Match) -> SecondLook:
    """Pairs matched in a run of their own."""
    with opened(photos, crops, params) as bench:
        return match_pairs(bench, pairs)


def scene(seed: int) -> np.ndarray:
    """Discs and squares on grey, (160, 200, 3) uint8; each seed draws others."""
    rng = np.random.default_rng(seed)
    pixels = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for _ in range(60):
        colour = rng.integers(0, 256, 3).tolist()
        (x, y), half = rng.integers(0, (WIDTH, HEIGHT)).tolist(), int(rng.integers(3, 18))
        if rng.random() < 0.5:
            cv2.circle(pixels, (x, y), half, colour, -1)
        else:
            cv2.rectangle(pixels, (x - half, y - half), (x + half, y + half), colour, -1)
    return pixels


def turned(pixels: np.ndarray, degrees: float = 12, scale: float = 0.9) -> np.ndarray:
    """The scene turned about its middle and scaled."""
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), degrees, scale)
    return cv2.warpAffine(pixels, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)


def stored(folder: Path, pictures: dict[str, np.ndarray]) -> Crops:
    """The pictures as crops in one shard."""
    folder.mkdir(parents=True, exist_ok=True)
    members = [(f"{row:06d}.jpg", encode_jpeg(pixels, 92)) for row, pixels in enumerate(pictures.values())]
    places = write_shard(folder / "0.tar", members)
    table = pd.DataFrame({"image": list(pictures), "part": "whole", "confidence": 0.0, "shard": "0.tar"})
    table = table.assign(x_min=0.0, y_min=0.0, x_max=float(WIDTH), y_max=float(HEIGHT))
    table["offset"], table["length"] = [place[0] for place in places], [place[1] for place in places]
    write_table(folder / INDEX, table, CROPS)
    return Crops(folder)
