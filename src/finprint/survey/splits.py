"""Who validates: groups of photos that must stay together, dealt into folds, and individuals held out as new."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import faiss
import numpy as np


def near_duplicates(hashes: np.ndarray, bits: int) -> list[tuple[int, int]]:
    """Pairs of photos whose hashes differ in at most `bits` bits.

    Args:
        hashes: `(N, 32)` uint8, packed bits (see `images.perceptual_hash`).
        bits: -1 finds nothing.

    Returns:
        Pairs (i, j) of row numbers with i < j.
    """
    if bits < 0 or len(hashes) < 2:
        return []
    index = faiss.IndexBinaryFlat(hashes.shape[1] * 8)
    index.add(hashes)
    limits, _, neighbours = index.range_search(hashes, bits + 1)  # strictly below the radius
    rows = np.repeat(np.arange(len(hashes)), limits[1:].astype(int) - limits[:-1].astype(int))
    return [(int(i), int(j)) for i, j in zip(rows, neighbours, strict=True) if i < j]


def group(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """The number of each photo's group, (count,) int32: photos that a chain of `pairs` joins are in one group."""
    parent = list(range(count))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in pairs:
        low, high = sorted((root(i), root(j)))
        parent[high] = low
    _, numbers = np.unique([root(i) for i in range(count)], return_inverse=True)
    return numbers.astype(np.int32)


def validation_photos(
    groups: np.ndarray, identities: np.ndarray, fold: int, folds: int, new_share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the labelled photos that validate.

    There are two kinds. The first are photos of known individuals, who also have photos in training: the groups of each
    individual are dealt over the folds, so that no individual loses all of them. The second are all photos of some
    individuals, who are held out of training and act as new animals. A group is never split. With another `fold`, other
    known photos and other new individuals validate.

    Args:
        groups: `(N,)` int, near-duplicates and encounters.
        identities: `(N,)` str.
        fold: 0 to `folds` - 1.
        new_share: wanted share of the validation photos whose individual is held out; reached as nearly
            as whole individuals allow.
        seed: of the dealing.

    Returns:
        `(N,)` bool, and the fold of each photo, `(N,)` int: not only of those that validate.
    """
    shows: dict[int, set[str]] = defaultdict(set)  # group -> individuals in it
    of: dict[str, list[int]] = defaultdict(list)  # individual -> groups, one entry a photo
    for g, identity in zip(groups.tolist(), identities.tolist(), strict=True):
        shows[g].add(identity)
        of[identity].append(g)

    rng = np.random.default_rng([seed, 1])
    dealt = _deal(shows, {identity: set(mine) for identity, mine in of.items()}, folds, rng)
    in_fold = {g for g in shows if dealt[g] == fold}
    photos = Counter(groups.tolist())
    validating = {g for g in in_fold if all(_stays(of[i], in_fold) for i in shows[g])}
    size = sum(photos[g] for g in validating)

    names = sorted(of)
    order = np.roll(rng.permutation(len(names)), -fold * len(names) // folds)
    held = 0  # photos of individuals held out
    for k in order:
        mine, more = set(of[names[k]]), len(of[names[k]])
        others = {i for g in mine for i in shows[g]} - {names[k]}
        grown = size + sum(photos[g] for g in mine - validating)
        if held + more > round((grown - held - more) * new_share / (1 - new_share)):
            continue
        if all(_stays(of[i], in_fold | validating | mine) for i in others):
            validating |= mine
            size = grown
            held += more
    return np.isin(groups, sorted(validating)), np.array([dealt[g] for g in groups.tolist()], int)


def _deal(shows: dict[int, set[str]], of: dict[str, set[int]], folds: int, rng: np.random.Generator) -> dict[int, int]:
    """Give every group a fold: the one in which its individuals have fewest groups, then the least full."""
    load = np.zeros(folds, int)
    mine = {identity: np.zeros(folds, int) for identity in of}
    dealt = {}
    for g in rng.permutation(sorted(shows)).tolist():
        crowded = sum((mine[identity] for identity in shows[g]), np.zeros(folds, int))
        choice = int(np.lexsort((rng.permutation(folds), load, crowded))[0])
        dealt[g] = choice
        load[choice] += 1
        for identity in shows[g]:
            mine[identity][choice] += 1
    return dealt


def _stays(groups: list[int], validating: set[int]) -> bool:
    """Does an individual keep a group in training?"""
    return any(g not in validating for g in groups)
