"""How alike photos are by their local features alone: fast enough for hundreds of photos a query.

Features that are each other's nearest by their descriptors count, the more, the more of them are shifted alike: those
of one animal in one pose are.
"""

from dataclasses import dataclass

import numpy as np
import torch

from finprint.base.device import best_device
from finprint.base.progress import bar
from finprint.keypoints.features import Bench, extract
from finprint.keypoints.points import WIDEST, Features
from finprint.keypoints.tables import LINES
from finprint.keypoints.threads import side_by_side
from finprint.keypoints.worth import Described, Matches, Worth, mutual

CHUNK = 16  # gallery photos at a time, so that their cosines stay in the processor's cache


@dataclass(frozen=True)
class Seen:
    """U photos with their local features.

    Attributes:
        rows: (U,) their rows in a table `PHOTOS`, ascending.
        described: their (U, K, D) features.
        small: photos that are too small for any.
    """

    rows: np.ndarray
    described: Described
    small: list[str]

    def numbers(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of photos among these, by their rows; -1 stays -1."""
        return np.where(rows >= 0, np.searchsorted(self.rows, rows), -1)


def describe(bench: Bench, rows: np.ndarray) -> Seen:
    """The local features of some photos.

    Args:
        bench: where they are computed and kept.
        rows: (U,) rows of its photos, ascending.

    Raises:
        UserError: a photo has no crop or cannot be read.
    """
    keys = extract(bench, bench.crops.rows(bench.photos["image"].iloc[rows]))
    shape = (len(rows), bench.params.keypoints)
    stacked = Described(torch.zeros((*shape, WIDEST), dtype=torch.float16), torch.zeros((*shape, 2)))
    small = []
    for place, (row, key) in enumerate(keys.items()):
        if key not in bench.features:
            small.append(bench.views.name(row))
            continue
        one = described(bench.load(key))
        stacked.descriptors[place, : len(one.places)] = one.descriptors
        stacked.places[place, : len(one.places)] = one.places
    return Seen(rows, stacked, small)


def described(features: Features) -> Described:
    """The local features of one photo, (K, D) and (K, 2)."""
    wide = np.zeros((len(features), WIDEST), np.float16)
    wide[:, : features.descriptors.shape[1]] = features.descriptors
    return Described(torch.from_numpy(wide), torch.from_numpy(features.points / features.frame.max()))


def agreements(seen: Seen, queries: np.ndarray, others: np.ndarray, worth: Worth | None) -> np.ndarray:
    """(Q, N) float32, how much the local features of queries agree with those of other photos.

    Args:
        seen: all these photos.
        queries: (Q,) rows of the queries.
        others: (Q, N) rows of the photos that each is compared with; -1: none, which counts 0.
        worth: says how much a match is worth; None: all count alike.
    """
    ones, others = seen.numbers(queries), seen.numbers(others)

    def of_query(number: int) -> np.ndarray:
        there = others[number] >= 0
        measured = np.zeros(others.shape[1], np.float32)
        measured[there] = agreement(seen.described[ones[number]], seen.described[others[number, there]], worth)
        return measured

    each = side_by_side(of_query, range(len(queries)))
    compared = bar("photos compared by descriptors", len(queries), "query", each)
    return np.stack([*compared]) if len(queries) else np.zeros(others.shape, np.float32)


@torch.inference_mode()
def agreement(one: Described, others: Described, worth: Worth | None = None) -> np.ndarray:
    """(P,) float32, how much the features of a photo agree with those of each other photo.

    Args:
        one: of a photo, (K, D) and (K, 2).
        others: of P photos, (P, K, D) and (P, K, 2).
        worth: says how much a match is worth; None: all count alike.
    """
    device = best_device()
    one = one.on(device)
    told = []
    for start in range(0, len(others.descriptors), CHUNK):
        some = others[start : start + CHUNK].on(device)
        matches = _matched(one, some)[0]
        told.append(matches.agreement(matches.weights(worth)).cpu())
    return torch.cat(told).numpy() if told else np.zeros(0, np.float32)


@torch.inference_mode()
def agreeing(one: Features, other: Features, worth: Worth | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features by which two photos agree most, the most important one first.

    Args:
        one, other: their local features.
        worth: says how much a match is worth; None: all count alike.

    Returns:
        (M,) their rows in the one photo, (M,) in the other, (M,) their shares of the agreement.
    """
    device = best_device()
    ours, theirs = (described(features).on(device) for features in (one, other))
    matches, *rows = _matched(ours, theirs[None])
    mine, its = (found[0] for found in rows)
    parts = matches.parts(matches.weights(worth))[0]
    order = parts.argsort(descending=True, stable=True)
    order = order[parts[order] > 0][:LINES]
    shares = parts[order] / parts.sum()
    return mine[order].cpu().numpy(), its[order].cpu().numpy(), shares.cpu().numpy()


def _matched(one: Described, others: Described) -> tuple[Matches, torch.Tensor, torch.Tensor]:
    """The matches of a photo with P others, and the (P, M) rows of their features in both."""
    cosines, ours, theirs = mutual(one, others)
    numbers = torch.arange(len(theirs), device=theirs.device)
    return Matches(cosines, one[ours], others.of(numbers, theirs)), ours, theirs
