"""How well the local features of two photos match, pair by pair."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from finprint.base.files import sha256_bytes
from finprint.engine.work import Work, most_of
from finprint.keypoints.cache import Arrays, keep
from finprint.keypoints.features import Bench, extract, networks_elsewhere
from finprint.keypoints.networks import Networks
from finprint.keypoints.params import Match
from finprint.keypoints.points import Features, features_bytes, inliers
from finprint.keypoints.tables import PAIRS, POINTS, SecondLook, no_points, none_compared
from finprint.keypoints.threads import side_by_side

UNSURE = 0.5  # a match of this score says nothing: two photos of different animals have many such (docs/log.md)
MATCHES = "matches"  # (M, 6) float32: x, y in the one crop, x, y in the other, as shares of the sides; score; inlier


def match_pairs(bench: Bench, pairs: pd.DataFrame) -> SecondLook:
    """Match pairs of the photos of a bench.

    Local features of earlier runs are not computed again, nor are pairs matched again, as long as the photos and the
    settings are the same. An interrupted run goes on where it was.

    Args:
        bench: where features are computed and pairs are matched, and both are kept.
        pairs: columns query, match, identity and cosine.

    Raises:
        UserError: a photo has no crop or cannot be read.
    """
    pairs = pairs.reset_index(drop=True)
    ends = [bench.crops.rows(pairs[side]) for side in ("query", "match")]
    keys = extract(bench, np.concatenate(ends))
    couples = [(keys[one], keys[other]) for one, other in zip(*(rows.tolist() for rows in ends), strict=True)]
    # A pair has one result whatever is the query: its photos are matched in the order of their keys.
    wanted = {pair_key(couple): (min(couple), max(couple)) for couple in couples}
    able = {key: couple for key, couple in wanted.items() if all(one in bench.features for one in couple)}
    todo = [key for key in able if key not in bench.pairs]
    if len(todo) < len(able):
        print(f"{len(able) - len(todo)} of {len(able)} pairs were matched before", flush=True)
    keep(bench.pairs, _matching(bench, able), todo, bench.engine, "second look", "pair")
    # Which photos are compared by descriptors changes with the vectors: the features of all are kept.
    others = bench.keys(bench.crops.rows(bench.photos["image"])) if bench.params.compared else {}
    bench.features.tidy([*(keys | others).values()])
    bench.pairs.tidy(list(able))
    matched = [_turned(bench.pairs.get(pair_key(c))[MATCHES], c) if pair_key(c) in able else None for c in couples]
    small = sorted(bench.views.name(row) for row, key in keys.items() if key not in bench.features)
    return SecondLook(_scored(pairs, matched), points_of(pairs, matched), none_compared(), small)


def pair_key(couple: tuple[str, str]) -> str:
    """The key of two views, the same in either order."""
    return sha256_bytes("".join(sorted(couple)).encode())


def _matching(bench: Bench, couples: Mapping[str, tuple[str, str]]) -> Work[str, Arrays]:
    """The matching of couples of views, by the keys of their pairs. What travels are their local features."""

    def pack(pairs: Sequence[str]) -> list[tuple[Features, Features]]:
        loaded = {one: bench.load(one) for one in {one for pair in pairs for one in couples[pair]}}
        return [(loaded[one], loaded[other]) for one, other in (couples[pair] for pair in pairs)]

    def here(pairs: Iterable[str]) -> Iterator[Arrays]:
        return side_by_side(lambda pair: _arrays(bench.networks, *map(bench.load, couples[pair])), pairs)

    there = partial(_matcher, bench.params, bench.networks.key)
    most = most_of(2 * features_bytes(bench.params.keypoints))
    return Work(here, there, pack, lambda pair: pair[:12], most=most)


def _matcher(params: Match, key: str) -> Callable[[Iterable[tuple[Features, Features]]], Iterator[Arrays]]:
    """The stream of matched couples in another process."""
    networks = networks_elsewhere(params, key)
    return partial(side_by_side, lambda couple: _arrays(networks, *couple))


def _arrays(networks: Networks, one: Features, other: Features) -> Arrays:
    return {MATCHES: match(networks, one, other)}


def match(networks: Networks, first: Features, second: Features) -> np.ndarray:
    """The matches (M, 6) of two views, see `MATCHES`."""
    return placed(first, second, *networks.match(first, second))


def placed(first: Features, second: Features, rows: np.ndarray, others: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The matches (M, 6), see `MATCHES`, of features of two views, given by their rows."""
    places = np.hstack([_shares(first, rows), _shares(second, others)])
    agree = inliers(np.hstack([first.points[rows] / first.frame.max(), second.points[others] / second.frame.max()]))
    return np.column_stack([places, scores, agree]).astype(np.float32)


def _shares(features: Features, rows: np.ndarray) -> np.ndarray:
    """(M, 2) places of features as shares of the picture's width and height; a point is the middle of a pixel."""
    return np.clip((features.points[rows] + 0.5) / features.frame, 0, 1)


def _turned(matches: np.ndarray, couple: tuple[str, str]) -> np.ndarray:
    """The matches with the query's places first."""
    return matches[:, [2, 3, 0, 1, 4, 5]] if couple[0] > couple[1] else matches


def pair_score(matches: np.ndarray) -> float:
    """How well two photos match: how far the scores of the inliers stand above `UNSURE`, summed.

    Args:
        matches: (M, 6), see `MATCHES`.
    """
    return float((np.maximum(matches[:, 4] - UNSURE, 0) * matches[:, 5]).sum(dtype=np.float64))


def _scored(pairs: pd.DataFrame, matched: list[np.ndarray | None]) -> pd.DataFrame:
    numbers = [(len(m), m[:, 5].sum(), pair_score(m)) if m is not None else (None,) * 3 for m in matched]
    scores = pd.DataFrame(numbers, columns=["matches", "inliers", "score"], index=pairs.index, dtype="Float64")
    return PAIRS.validate(pairs.join(scores)[list(PAIRS.columns)])


def points_of(pairs: pd.DataFrame, matched: Sequence[np.ndarray | None]) -> pd.DataFrame:
    """Table `POINTS`: of the photos of an individual the one that matches a query best, the first of equal ones.

    Args:
        pairs: columns query, match and identity, with a row's number as its label.
        matched: of each pair its matches, see `MATCHES`; None: a photo has no local features.
    """
    total = [-1.0 if m is None else pair_score(m) for m in matched]
    best = pairs.assign(total=total).groupby(["query", "identity"], sort=False)["total"].idxmax()
    points = {row: there for row in best if (there := matched[row]) is not None and len(there)}
    if not points:
        return POINTS.validate(no_points())
    counts = [len(one) for one in points.values()]
    names = {side: np.repeat(pairs[side].to_numpy(object)[[*points]], counts) for side in ("query", "match")}
    every = np.concatenate([*points.values()])
    named = dict(zip(["x", "y", "match_x", "match_y", "score"], every.T[:5], strict=True))
    return POINTS.validate(pd.DataFrame(names | named | {"inlier": every[:, 5] > 0}))
