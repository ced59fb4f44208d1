"""Splits: what belongs together stays together, and validation looks as the next survey will."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from finprint.survey.splits import group, near_duplicates, validation_photos


@given(
    base=arrays(np.uint8, (3, 32)),
    flips=st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 255), max_size=9)), max_size=14),
    bits=st.integers(-1, 12),
)
def test_near_duplicates_against_counting_bits(base: np.ndarray, flips: list[tuple[int, set[int]]], bits: int) -> None:
    hashes = np.zeros((len(flips), 32), np.uint8)
    for row, (origin, places) in enumerate(flips):
        unpacked = np.unpackbits(base[origin])
        unpacked[sorted(places)] ^= 1
        hashes[row] = np.packbits(unpacked)
    wanted = {
        (i, j)
        for i, j in itertools.combinations(range(len(hashes)), 2)
        if bits >= 0 and np.unpackbits(hashes[i] ^ hashes[j]).sum() <= bits
    }
    found = near_duplicates(hashes, bits)
    assert set(found) == wanted
    assert len(found) == len(wanted)


@given(data=st.data(), count=st.integers(1, 30))
def test_groups_are_connected_components(data: st.DataObject, count: int) -> None:
    node = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(node, node), max_size=40))
    numbers = group(count, pairs)
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    _, wanted = connected_components(coo_matrix((np.ones(len(pairs)), (rows, columns)), (count, count)), directed=False)
    assert numbers.dtype == np.int32
    assert np.array_equal(numbers[:, None] == numbers, wanted[:, None] == wanted)
    assert set(numbers.tolist()) == set(range(len(set(wanted.tolist()))))
    assert np.array_equal(numbers, group(count, [(j, i) for i, j in reversed(pairs)]))


def test_no_photos() -> None:
    assert group(0, []).shape == (0,)
    assert near_duplicates(np.zeros((0, 32), np.uint8), 5) == []
    assert [found.shape for found in validation_photos(np.zeros(0, int), np.zeros(0, str), 0, 2, 0.5, 1)] == [(0,)] * 2


# Photos as (group, identity): groups of one animal, or of several that were met together.
ALONE = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=60).map(
    lambda photos: [(animal * 10 + encounter, f"A{animal}") for encounter, animal in photos]
)
TOGETHER = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), min_size=1, max_size=60).map(
    lambda photos: [(encounter, f"A{animal}") for encounter, animal in photos]
)
FOLDS = st.integers(2, 6)
SHARE = st.sampled_from([0.0, 0.15, 0.5, 0.9])
Photos = list[tuple[int, str]]


def _validates(photos: Photos, fold: int, folds: int, new_share: float, seed: int) -> np.ndarray:
    groups, identities = np.array([g for g, _ in photos]), np.array([name for _, name in photos])
    chosen, dealt = validation_photos(groups, identities, fold, folds, new_share, seed)
    assert chosen.dtype == bool
    assert set(dealt.tolist()) <= set(range(folds))
    assert len({(g, k) for g, k in zip(groups, dealt.tolist(), strict=True)}) == len(set(groups.tolist()))
    assert chosen.shape == (len(photos),)
    return chosen


def _held_out(photos: Photos, chosen: np.ndarray) -> set[str]:
    names = np.array([name for _, name in photos])
    return set(names) - set(names[~chosen])


@given(photos=ALONE | TOGETHER, folds=FOLDS, new_share=SHARE, seed=st.integers(0, 99), data=st.data())
def test_a_group_is_never_split(photos: Photos, folds: int, new_share: float, seed: int, data: st.DataObject) -> None:
    chosen = _validates(photos, data.draw(st.integers(0, folds - 1)), folds, new_share, seed)
    groups = np.array([g for g, _ in photos])
    assert not set(groups[chosen]) & set(groups[~chosen])


@given(photos=ALONE | TOGETHER, folds=FOLDS, seed=st.integers(0, 99), data=st.data())
def test_with_nobody_held_out_everybody_stays_in_training(
    photos: Photos, folds: int, seed: int, data: st.DataObject
) -> None:
    chosen = _validates(photos, data.draw(st.integers(0, folds - 1)), folds, 0.0, seed)
    assert _held_out(photos, chosen) == set()


@given(photos=ALONE | TOGETHER, folds=FOLDS, new_share=SHARE, seed=st.integers(0, 99), data=st.data())
def test_no_more_are_held_out_than_asked_for(
    photos: Photos, folds: int, new_share: float, seed: int, data: st.DataObject
) -> None:
    """Whoever comes into validation in the company of a held-out animal keeps photos in training: also when one
    encounter showed both, the share of new ones is never above what was asked for by more than rounding."""
    fold = data.draw(st.integers(0, folds - 1))
    chosen = _validates(photos, fold, folds, new_share, seed)
    out = _held_out(photos, chosen)
    new = sum(name in out for _, name in photos)
    assert new <= round(len(photos) * new_share / (1 - new_share))
    if all(g % 10 < 4 and f"A{g // 10}" == name for g, name in photos):  # groups of one animal each
        assert new <= round(_at_most_dealt(photos, folds) * new_share / (1 - new_share))


def _at_most_dealt(photos: Photos, folds: int) -> int:
    """A fold never gets two groups of one animal while another fold has none: at most so many photos are in it."""
    total = 0
    for _, mine in itertools.groupby(sorted(photos, key=lambda p: (p[1], p[0])), key=lambda p: p[1]):
        sizes = sorted((len(list(g)) for _, g in itertools.groupby(mine, key=lambda p: p[0])), reverse=True)
        total += sum(sizes[: -(-len(sizes) // folds)])
    return total


@given(photos=ALONE | TOGETHER, folds=FOLDS, seed=st.integers(0, 99))
def test_folds_do_not_share_photos_of_known_animals(photos: Photos, folds: int, seed: int) -> None:
    times = sum(_validates(photos, fold, folds, 0.0, seed).astype(int) for fold in range(folds))
    assert times.max() <= 1


@given(photos=ALONE, folds=FOLDS, seed=st.integers(0, 99))
def test_every_animal_met_twice_validates_in_some_fold(photos: Photos, folds: int, seed: int) -> None:
    times = sum(_validates(photos, fold, folds, 0.0, seed).astype(int) for fold in range(folds))
    met = {name: {g for g, other in photos if other == name} for _, name in photos}
    assert times.tolist() == [int(len(met[name]) > 1) for _, name in photos]


@given(photos=ALONE | TOGETHER, new_share=SHARE, seed=st.integers(0, 99))
def test_the_same_seed_gives_the_same_split_whatever_the_order(photos: Photos, new_share: float, seed: int) -> None:
    chosen = _validates(photos, 1, 4, new_share, seed)
    assert np.array_equal(chosen, _validates(photos, 1, 4, new_share, seed))
    order = np.random.default_rng(0).permutation(len(photos))
    assert np.array_equal(chosen[order], _validates([photos[i] for i in order], 1, 4, new_share, seed))


@pytest.fixture(scope="module")
def catalogue() -> Photos:
    """300 animals with a long tail of 1 to 20 encounters, 1 to 4 photos each."""
    rng = np.random.default_rng(5)
    photos: Photos = []
    for animal in range(300):
        for encounter in range(int(np.clip(rng.zipf(1.6), 1, 20))):
            photos += [(100 * animal + encounter, f"A{animal}")] * int(rng.integers(1, 5))
    return photos


@pytest.mark.parametrize("new_share", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("fold", [0, 4])
def test_the_share_of_new_animals_is_what_was_asked_for(catalogue: Photos, new_share: float, fold: int) -> None:
    chosen = _validates(catalogue, fold, 5, new_share, 3)
    out = _held_out(catalogue, chosen)
    new = np.array([name in out for _, name in catalogue])
    assert abs(new[chosen].mean() - new_share) < 0.02
    known = (chosen & ~new).sum() / len(catalogue)
    assert 0.10 < known < 0.25  # about a fifth, less the photos of animals met once


def test_other_folds_and_seeds_hold_out_others(catalogue: Photos) -> None:
    first = _held_out(catalogue, _validates(catalogue, 0, 5, 0.15, 3))
    for fold, seed in ((1, 3), (2, 3), (0, 4)):
        other = _held_out(catalogue, _validates(catalogue, fold, 5, 0.15, seed))
        assert len(first & other) < 0.5 * min(len(first), len(other))


def test_by_hand() -> None:
    """Two encounters of A, one of B: A may validate with one of them, B never, for it would leave training."""
    photos = [(0, "A"), (0, "A"), (1, "A"), (2, "B")]
    seen = {tuple(_validates(photos, fold, 2, 0.0, 1).tolist()) for fold in (0, 1)}
    assert seen == {(True, True, False, False), (False, False, True, False)}


def test_company_does_not_drag_an_animal_out_of_training() -> None:
    """B was met with A once and alone once. Whoever is held out, B and C keep a photo in training or are held out
    themselves within the quota: over all seeds the held-out photos are at most as many as asked for."""
    photos = [(0, "A"), (0, "B"), (1, "B"), (2, "C"), (3, "C"), (4, "D"), (5, "D"), (6, "D")]
    for seed, fold in itertools.product(range(60), range(2)):
        chosen = _validates(photos, fold, 2, 0.3, seed)
        out = _held_out(photos, chosen)
        assert sum(name in out for _, name in photos) <= round(8 * 0.3 / 0.7)
        if "A" in out:
            assert "B" not in out
