"""Who validates: groups of photos that must stay together, their folds, and individuals held out as new."""

import hashlib

import faiss
import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

FEW, FIFTH, SMALL = 5, 5, 10  # at least min(FEW, a FIFTH) individuals are held out of a catalogue of SMALL or more
COMPANY = 0.5  # share of the groups of one size that may validate because they show somebody who is held out, about
AT_ONCE = 1000  # photos whose neighbours are looked for at a time
FEW_HASHES = 50_000  # up to so many, comparing all of them is faster than looking up their pieces
SHORT, LONG = 15, 24  # bits of a piece: with fewer, most hashes share one; more take more lookups and sort out no more


def near_duplicates(hashes: np.ndarray, bits: int) -> np.ndarray:
    """Pairs of photos whose hashes differ in at most `bits` bits.

    Of many hashes only those are compared that agree in a piece, up to one bit (Norouzi et al., Fast search in Hamming
    space with multi-index hashing, CVPR 2012). No pair is missed.

    Args:
        hashes: `(N, 32)` uint8, packed bits (see `images.perceptual_hash`).
        bits: -1 finds nothing.

    Returns:
        (P, 2) int32, pairs (i, j) of row numbers with i < j, in order.
    """
    found = [np.zeros((0, 2), np.int32)]
    if bits < 0 or len(hashes) < 2:
        return found[0]
    width = hashes.shape[1] * 8
    pieces = bits // 2 + 1  # two hashes that differ in so few bits differ in at most one bit of some piece
    index: faiss.IndexBinary
    if len(hashes) <= FEW_HASHES or width // pieces < SHORT:
        index = faiss.IndexBinaryFlat(width)
    else:
        hashes = _mixed(hashes)
        index = faiss.IndexBinaryMultiHash(width, pieces, min(width // pieces, LONG))
        index.nflip = 1
    index.add(hashes)
    for start in range(0, len(hashes), AT_ONCE):  # thousands of frames of one camera have millions of pairs
        some = hashes[start : start + AT_ONCE]
        limits, _, neighbours = index.range_search(some, bits + 1)  # strictly below the radius
        rows = start + np.repeat(np.arange(len(some)), limits[1:].astype(int) - limits[:-1].astype(int))
        later = rows < neighbours
        pairs = np.column_stack([rows[later], neighbours[later]]).astype(np.int32)
        found.append(pairs[np.lexsort(pairs.T[::-1])])
    return np.concatenate(found)


def _mixed(hashes: np.ndarray) -> np.ndarray:
    """The hashes with their bits in another order, which changes no distance.

    Neighbouring bits of photos go together: on plankton, pieces of such bits brought twelve times as many candidates.
    """
    order = np.random.default_rng(0).permutation(hashes.shape[1] * 8)
    mixed = np.empty_like(hashes)
    for start in range(0, len(hashes), FEW_HASHES):
        some = slice(start, start + FEW_HASHES)
        mixed[some] = np.packbits(np.unpackbits(hashes[some], axis=1)[:, order], axis=1)
    return mixed


def chains(values: pd.Series) -> np.ndarray:
    """(P, 2), each row beside the next one of the same value; missing values join nothing."""
    codes, _ = pd.factorize(values)  # a missing value is -1
    order = np.argsort(codes, kind="stable")
    sorted_codes = codes[order]
    joined = (sorted_codes[1:] == sorted_codes[:-1]) & (sorted_codes[1:] >= 0)
    return np.column_stack([order[:-1][joined], order[1:][joined]])


def group(count: int, pairs: np.ndarray) -> np.ndarray:
    """The number of each photo's group, (count,) int32: photos that a chain of `pairs`, (P, 2), joins are in one group.

    Groups are numbered in the order of their first photos.
    """
    ones, others = np.reshape(pairs, (-1, 2)).T
    graph = coo_matrix((np.ones(len(ones), bool), (ones, others)), (count, count))
    numbers = connected_components(graph, directed=False)[1] if count else np.zeros(0)
    first, codes = np.unique(numbers, return_index=True, return_inverse=True)[1:]
    return first.argsort().argsort()[codes].astype(np.int32)


def group_keys(groups: np.ndarray, sha256: np.ndarray, taken: pd.Series, told: pd.Series) -> np.ndarray:
    """What each photo's group is, in words that stay as they are when photos are added to the group or named.

    It is the id of the encounter if the source tells one (of several the first in order), else the hash of the photo
    taken first, else the least hash. So photos taken later never change it.

    Args:
        groups: (N,) int.
        sha256: (N,) str, of each photo's file.
        taken: (N,) when, missing where nobody knows.
        told: (N,) the ids of encounters that the source tells, missing where it tells none.

    Returns:
        (N,) str, equal for photos of one group and different for those of two.
    """
    photos = pd.DataFrame({"group": groups, "sha256": sha256, "taken": taken.to_numpy(), "told": told.to_numpy(object)})
    told_first = photos.dropna(subset="told").sort_values("told").groupby("group")["told"].first()
    first = photos.sort_values(["taken", "sha256"], na_position="last").groupby("group")["sha256"].first()
    keys = ("encounter " + told_first.reindex(first.index).astype("string")).fillna("photo " + first.astype("string"))
    return keys.loc[groups].to_numpy(str)


def validation_photos(
    keys: np.ndarray, identities: np.ndarray, fold: int, folds: int, new_share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the labelled photos that validate.

    They are the groups of one fold, and all groups of some individuals who are held out of training and act as new
    animals. A group's fold follows from a hash of its key alone, and who is held out from a hash of the individual's
    name. So a photo keeps its fold and its side when others are added, named, merged or removed, except that the least
    number of individuals to hold out may take in or let go one more, and that `company` changes. A group is split only
    where it shows somebody who is held out, and more animals than `company` allows: the others then go with their fold.

    An individual of whom all groups fall into the fold acts as new, too; only where nobody shall be held out, its group
    of the highest hash stays in training.

    Args:
        keys: `(N,)` str, equal for the photos of one group (`group_keys`).
        identities: `(N,)` str.
        fold: 0 to `folds` - 1. With another one, other known photos and other new individuals validate.
        new_share: wanted share of the validation photos whose individual is held out. A catalogue of ten individuals or
            more holds out at least five of them, or a fifth if that is less. 0: nobody is held out.
        seed: of the hashes.

    Returns:
        `(N,)` bool, and the fold of each photo, `(N,)` int: not only of those that validate. A fold holds about 1 /
        `folds` of the groups, with the spread of chance: of 60 groups in 6 folds, 4 to 16 (95 %).
    """
    place = {key: _chance(seed, key) for key in np.unique(keys).tolist()}
    dealt = np.array([int(place[key] * folds) for key in keys.tolist()], int)
    names, share = np.unique(identities), held_share(new_share, folds)
    new = np.isin(identities, sorted(held_out(names, share, seed, fold)))
    shown = pd.Series(identities).groupby(keys).transform("nunique").to_numpy()
    chosen = (dealt == fold) | new | (np.isin(keys, keys[new]) & (shown <= company(len(names), share)))
    if not new_share:
        lost = set(identities) - set(identities[~chosen])
        mine = pd.Series(keys).groupby(identities).agg(lambda groups: max(groups, key=lambda key: (place[key], key)))
        chosen &= ~np.isin(keys, mine[sorted(lost)])
    return chosen, dealt


def company(individuals: int, share: float) -> float:
    """The most animals that a group may show, so that all of it validates if it shows somebody who is held out.

    With more, hardly a group would be left for training. Then only the photos of those who are held out validate.

    Args:
        individuals: in the catalogue.
        share: as for `held_out`.
    """
    least = min(1 / FIFTH, FEW / individuals) if individuals >= SMALL else 0.0
    return COMPANY / max(share, least, 1e-9)


def held_share(new_share: float, folds: int) -> float:
    """The share of individuals to hold out, so that `new_share` of the validation photos are theirs.

    Of h N photos held out and (1 - h) N / `folds` others, the first are `new_share`.
    """
    return new_share / (new_share + folds * (1 - new_share))


def held_out(individuals: np.ndarray, share: float, seed: int, fold: int) -> set[str]:
    """The individuals whose hash lies below `share`, and those of the least hashes where these are too few.

    Args:
        individuals: (C,) names, each once.
        share: 0: nobody.
    """
    chances = {name: _chance(seed, f"{fold} {name}") for name in individuals.tolist()}
    least = min(FEW, len(chances) // FIFTH) if share and len(chances) >= SMALL else 0
    lowest = sorted(chances, key=lambda name: (chances[name], name))
    return set(lowest[:least]) | {name for name, chance in chances.items() if chance < share}


def _chance(seed: int, words: str) -> float:
    """A number from 0 to 1, evenly spread over all words."""
    digest = hashlib.sha256(f"{seed} {words}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
