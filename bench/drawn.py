"""Drawn animals for the benches: unit vectors of a known model on the identities of a real or a drawn catalogue.

Not a bench itself. A vector is the direction of its species, plus that of its individual, plus the noise of its photo,
in a subspace of `LATENT` dimensions (as deep features have far fewer directions than numbers).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

PHOTOS, INDIVIDUALS, SPECIES, QUERIES = 51_033, 15_587, 26, 27_956  # of Happywhale
DIMENSIONS = 512
LATENT = 64
KINSHIP = 0.7  # length of a species' direction; that of an individual's is 1


@dataclass(frozen=True)
class Animals:
    """Individuals, the most photographed first.

    Attributes:
        names: (C,) str.
        species: (C,) str.
        photos: (C,) int, labelled photos of each.
        queries: number of photos to identify.
    """

    names: np.ndarray
    species: np.ndarray
    photos: np.ndarray
    queries: int

    @property
    def rows(self) -> np.ndarray:
        """(photos,) the individual on each labelled photo."""
        return np.repeat(np.arange(len(self.names)), self.photos)


def animals(table: Path | None, scale: float, rng: np.random.Generator, typos: dict[str, str] | None = None) -> Animals:
    """The individuals of a folder with Happywhale's train.csv (.gz), or drawn ones; a share `scale` of them.

    Drawn ones have max(1, c (rank + 34) ** -0.92) photos, a law of Zipf and Mandelbrot fitted to Happywhale's,
    and species of frequency 1 / rank.
    """
    if table is None:
        count = round(INDIVIDUALS * scale)
        photos = _long_tail(count, round(PHOTOS * scale))
        often = 1 / np.arange(1, SPECIES + 1)
        species = np.char.add("species", rng.choice(SPECIES, count, p=often / often.sum()).astype(str))
        return Animals(np.array([f"{n:012x}" for n in range(count)]), species, photos, round(QUERIES * scale))
    rows = pd.read_csv(next(table.glob("train.csv*")), dtype=str)
    each = rows.groupby("individual_id").agg(species=("species", "first"), photos=("image", "size"))
    each = each.sort_values("photos", ascending=False, kind="stable")
    chosen = np.sort(rng.choice(len(each), round(len(each) * scale), replace=False))
    each = each.iloc[chosen].assign(species=each["species"].replace(typos or {}))
    photos = each["photos"].to_numpy()
    queries = round(scale * len(rows) * QUERIES / PHOTOS)
    return Animals(each.index.to_numpy(str), each["species"].to_numpy(str), photos, queries)


def _long_tail(individuals: int, photos: int) -> np.ndarray:
    """(individuals,) photos of each, falling, of the given sum."""
    law = (np.arange(1, individuals + 1) + 34.0) ** -0.92
    low, high = 0.0, photos / law[-1]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if np.maximum(1, law * middle).sum() > photos else (middle, high)
    each = np.maximum(1, np.floor(law * low)).astype(int)
    each[: photos - each.sum()] += 1  # what rounding lost
    return each


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def directions(count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, LATENT) random directions."""
    return unit(rng.standard_normal((count, LATENT), dtype=np.float32))


def individual_centres(species: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(C, LATENT) the undisturbed direction of each individual, given the name of its species."""
    names, kind = np.unique(species, return_inverse=True)
    return unit(KINSHIP * directions(len(names), rng)[kind] + directions(len(species), rng))


def spread(latent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, DIMENSIONS) float32 unit vectors of the same cosines as (N, LATENT) ones."""
    axes, _ = np.linalg.qr(rng.standard_normal((DIMENSIONS, LATENT)))
    return unit(latent) @ axes.T.astype(np.float32)
