"""Photos of animals that are not in the catalogue, grouped into proposed new individuals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

BLOCK = 1024  # photos compared at a time: a product of matrices, eight times as fast as photo by photo


@dataclass(frozen=True)
class Grouping:
    """How alike photos of one animal are.

    Attributes:
        similarity: mean cosine of two groups of photos, down to which they are taken for one animal.
        agreement: adjusted Rand index with the true animals, of the photos that it was fitted to; None: not fitted.
    """

    similarity: float
    agreement: float | None


def groups(vectors: np.ndarray, similarity: float) -> np.ndarray:
    """Cluster photos by average linkage, up to a mean cosine of `similarity` between two clusters.

    Args:
        vectors: (N, D) unit vectors; N * N / 2 distances are held in memory.
        similarity: cosine.

    Returns:
        (N,) cluster numbers from 0, in the order in which clusters first appear.
    """
    tree = _tree(vectors)
    return np.zeros(len(vectors), int) if tree is None else _cut(tree, 1 - similarity)


def fit_grouping(vectors: np.ndarray, animals: np.ndarray, default: float) -> Grouping:
    """The similarity whose groups agree best with the true animals, by the adjusted Rand index.

    Args:
        vectors: (N, D) unit vectors of photos whose animals are known but were never trained on.
        animals: (N,) codes.
        default: similarity where the photos show fewer than two animals, or no animal twice.
    """
    from sklearn.metrics import adjusted_rand_score  # takes a second to import, for which `identify` need not wait

    tree = _tree(vectors)
    count = len(np.unique(animals))
    if tree is None or count < 2 or count == len(animals):
        return Grouping(default, None)
    heights = np.unique(tree[:, 2])
    edges = np.concatenate([[0.0], heights, [2.0]])
    cuts = (edges[1:] + edges[:-1]) / 2
    if len(cuts) > 400:
        cuts = cuts[np.linspace(0, len(cuts) - 1, 400).astype(int)]
    worth = [adjusted_rand_score(animals, _cut(tree, cut)) for cut in cuts]
    best = int(np.argmax(worth))
    return Grouping(float(1 - cuts[best]), float(worth[best]))


def proposals(images: np.ndarray, vectors: np.ndarray, similarity: float) -> pd.DataFrame:
    """The table of proposed new individuals.

    Args:
        images: (N,) photos answered `new_individual`.
        vectors: (N, D) their unit vectors.

    Returns:
        Columns `image` and `proposed`; `new_0001` is the individual of most photos. Sorted by `proposed` and `image`.
    """
    if not len(images):
        return pd.DataFrame({"image": [], "proposed": []}, dtype="string")
    number = groups(vectors, similarity)
    photos = np.bincount(number)
    first = pd.Series(images.astype(str)).groupby(number).min()  # groups of equally many photos: by name
    order = sorted(range(len(photos)), key=lambda g: (-photos[g], first[g]))
    name = {group: f"new_{place:04d}" for place, group in enumerate(order, start=1)}
    table = pd.DataFrame({"image": images.astype(str), "proposed": [name[g] for g in number]}, dtype="string")
    return table.sort_values(["proposed", "image"], ignore_index=True)


def _tree(vectors: np.ndarray) -> np.ndarray | None:
    """The tree of average linkage over cosine distances; None for fewer than two photos."""
    if len(vectors) < 2:
        return None
    from scipy.cluster.hierarchy import linkage

    count = len(vectors)
    distances = np.empty(count * (count - 1) // 2)
    filled = 0
    for start in range(0, count, BLOCK):
        cosines = vectors[start : start + BLOCK] @ vectors[start:].T
        for place, row in enumerate(cosines, start=1):  # each photo with those that follow it
            rest = row[place:]
            distances[filled : filled + len(rest)] = 1 - rest
            filled += len(rest)
    return linkage(np.clip(distances, 0, 2, out=distances), "average")


def _cut(tree: np.ndarray, distance: float) -> np.ndarray:
    from scipy.cluster.hierarchy import fcluster

    labels = fcluster(tree, distance, "distance")
    return pd.factorize(labels)[0]
