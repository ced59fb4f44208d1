"""Do heat maps point at what made two photos alike? The hottest quarter of a crop is filled in, and other quarters.

Run after `dvc repro`, in the activated environment: python bench/deletion.py

For each query and its best match: the drop of the two crops' cosine once a quarter of the query's places is black,
or has the crop's mean colour. The quarters: the hottest of the explanation; the same shape moved elsewhere at random;
16 random cells of an 8 x 8 grid; the places nearest the centre; the coldest.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from finprint.answers.tables import ANSWERS
from finprint.model.embedder import Embedder, load_model
from finprint.model.views import plain_view
from finprint.pictures.shards import Crops
from finprint.report.explain import contributions
from finprint.store.tables import read_table

PAIRS = 120


def quarters(heat: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Masks (S, S) of a quarter of the places of a map (S, S), by name."""
    side = len(heat)
    hottest = heat > np.quantile(heat, 0.75)
    cells = (rng.permutation(64) < 16).reshape(8, 8)
    away = np.square(np.indices(heat.shape) - (side - 1) / 2).sum(axis=0)
    return {
        "hottest": hottest,
        "moved": np.roll(hottest, rng.integers(side, size=2), axis=(0, 1)),
        "cells": np.kron(cells, np.ones((side // 8, side // 8), bool)),
        "centre": away < np.quantile(away, 0.25),
        "coldest": heat < np.quantile(heat, 0.25),
    }


@torch.inference_mode()
def cosines(embedder: Embedder, queries: torch.Tensor, matches: torch.Tensor) -> np.ndarray:
    """(N,) cosines of pairs of photos (N, 3, S, S)."""
    return F.cosine_similarity(embedder(queries), embedder(matches)).numpy()


def main() -> None:
    crops = Crops(Path("data/crops"))
    embedder, _, _ = load_model(Path("models/round2"))
    answers = read_table(Path("data/search/answers.parquet"), ANSWERS).sort_values(["query", "rank"])
    pairs = answers[answers["match"].notna()].drop_duplicates("query").head(PAIRS)
    side = embedder.config.image_size

    def views(images: pd.Series) -> torch.Tensor:
        pixels = np.stack([plain_view(crops.pixels(int(row)), side) for row in crops.rows(images)])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255

    queries, matches = views(pairs["query"]), views(pairs["match"])
    heat, _, _ = contributions(embedder, queries, matches)
    before = cosines(embedder, queries, matches)
    rng = np.random.default_rng(0)
    masks = pd.DataFrame([quarters(place, rng) for place in heat])
    print(f"{len(pairs)} pairs, mean cosine {before.mean():.3f}; mean drop when a quarter is filled in:")
    for fill, colour in (("black", 0 * queries[:, :, :1, :1]), ("mean colour", queries.mean(dim=(2, 3), keepdim=True))):
        drops = {}
        for name in masks:
            mask = torch.from_numpy(np.stack(masks[name]))[:, None]
            drops[name] = before - cosines(embedder, torch.where(mask, colour, queries), matches)
        means = ", ".join(f"{name} {drop.mean():.3f}" for name, drop in drops.items())
        won = (drops["hottest"] > drops["moved"]).mean()
        print(f"{fill}: {means}; hottest over moved in {won:.0%} of pairs")


if __name__ == "__main__":
    main()
