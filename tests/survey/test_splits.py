"""Splits: what belongs together stays together, and validation looks as the next survey will."""

import itertools
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finprint.survey import splits
from finprint.survey.splits import (
    company,
    group,
    group_keys,
    held_out,
    held_share,
    near_duplicates,
    validation_photos,
)


@pytest.mark.parametrize("few", [splits.FEW_HASHES, 2])  # all are compared; pieces are looked up
@given(
    base=arrays(np.uint8, (3, 32)),
    flips=st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 255), max_size=9)), max_size=14),
    bits=st.integers(-1, 12),
)
def test_near_duplicates_against_counting_bits(
    base: np.ndarray, flips: list[tuple[int, set[int]]], bits: int, few: int
) -> None:
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "FEW_HASHES", few)
        found = near_duplicates(hashes, bits)
    assert found.tolist() == [list(pair) for pair in sorted(wanted)]


def test_pieces_of_hashes_miss_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies that differ in as many bits as may be, and one more, wherever these bits lie."""
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (500, 32), np.uint8)
    copies = np.unpackbits(originals, axis=1)
    for row, copy in enumerate(copies):
        copy[rng.choice(256, 24 + row % 2, replace=False)] ^= 1
    hashes = np.concatenate([originals, np.packbits(copies, axis=1)])
    whole = near_duplicates(hashes, 24)
    assert whole.tolist() == [[row, 500 + row] for row in range(0, 500, 2)]
    monkeypatch.setattr(splits, "FEW_HASHES", 100)
    assert np.array_equal(near_duplicates(hashes, 24), whole)


def test_thousands_of_photos_alike_take_little_memory() -> None:
    tracemalloc.start()
    pairs = near_duplicates(np.zeros((3000, 32), np.uint8), 24)
    assert (group(3000, pairs) == 0).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert pairs.shape == (3000 * 2999 // 2, 2)
    assert peak < 60 * len(pairs)  # bytes; a list of tuples takes 275 a pair


@given(data=st.data(), count=st.integers(1, 30))
def test_groups_are_connected_components(data: st.DataObject, count: int) -> None:
    node = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(node, node), max_size=40))
    numbers = group(count, np.array(pairs, int).reshape(-1, 2))
    wanted = list(range(count))
    for _ in pairs:  # each turn, at least one of a chain learns the least number in it
        for i, j in pairs:
            wanted[i] = wanted[j] = min(wanted[i], wanted[j])
    assert numbers.dtype == np.int32
    assert numbers.tolist() == [sorted(set(wanted)).index(least) for least in wanted]
    assert np.array_equal(numbers, group(count, np.array([(j, i) for i, j in reversed(pairs)]).reshape(-1, 2)))


def test_no_photos() -> None:
    assert group(0, np.zeros((0, 2), int)).shape == (0,)
    assert near_duplicates(np.zeros((0, 32), np.uint8), 5).shape == (0, 2)
    assert [found.shape for found in validation_photos(np.zeros(0, str), np.zeros(0, str), 0, 2, 0.5, 1)] == [(0,)] * 2


# Photos as (group, identity): groups of one animal, or of several that were met together.
ALONE = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), min_size=1, max_size=60).map(
    lambda photos: [(animal * 10 + encounter, f"A{animal}") for encounter, animal in photos]
)
TOGETHER = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8)), min_size=1, max_size=60).map(
    lambda photos: [(encounter, f"A{animal}") for encounter, animal in photos]
)
FOLDS = st.integers(2, 6)
SHARE = st.sampled_from([0.0, 0.15, 0.5, 0.9])
Photo = tuple[int, str]
Photos = list[Photo]


def _validates(photos: Photos, fold: int, folds: int, new_share: float, seed: int) -> np.ndarray:
    groups, identities = np.array([g for g, _ in photos]), np.array([name for _, name in photos])
    chosen, dealt = validation_photos(groups.astype(str), identities, fold, folds, new_share, seed)
    assert chosen.dtype == bool
    assert set(dealt.tolist()) <= set(range(folds))
    assert len({(g, k) for g, k in zip(groups, dealt.tolist(), strict=True)}) == len(set(groups.tolist()))
    assert chosen.shape == (len(photos),)
    return chosen


def _as_arrays(photos: Photos) -> tuple[np.ndarray, np.ndarray]:
    return np.array([str(g) for g, _ in photos]), np.array([name for _, name in photos])


def _held_out(photos: Photos, chosen: np.ndarray) -> set[str]:
    names = np.array([name for _, name in photos])
    return set(names) - set(names[~chosen])


@given(photos=ALONE | TOGETHER, folds=FOLDS, new_share=SHARE, seed=st.integers(0, 99), data=st.data())
def test_only_pods_are_split(photos: Photos, folds: int, new_share: float, seed: int, data: st.DataObject) -> None:
    chosen = _validates(photos, data.draw(st.integers(0, folds - 1)), folds, new_share, seed)
    split = {g for g, validates in zip((g for g, _ in photos), chosen, strict=True) if validates}
    split &= {g for g, validates in zip((g for g, _ in photos), chosen, strict=True) if not validates}
    most = company(len({name for _, name in photos}), held_share(new_share, folds))
    assert all(len({name for g, name in photos if g == one}) > most for one in split)


@given(photos=ALONE | TOGETHER, folds=FOLDS, seed=st.integers(0, 99), data=st.data())
def test_with_nobody_held_out_everybody_stays_in_training(
    photos: Photos, folds: int, seed: int, data: st.DataObject
) -> None:
    chosen = _validates(photos, data.draw(st.integers(0, folds - 1)), folds, 0.0, seed)
    assert _held_out(photos, chosen) == set()


@given(photos=ALONE | TOGETHER, folds=FOLDS, new_share=SHARE, seed=st.integers(0, 99), data=st.data())
def test_who_is_held_out_validates_whole_and_others_only_with_their_fold_or_in_company(
    photos: Photos, folds: int, new_share: float, seed: int, data: st.DataObject
) -> None:
    fold = data.draw(st.integers(0, folds - 1))
    chosen = _validates(photos, fold, folds, new_share, seed)
    names = sorted({name for _, name in photos})
    out = held_out(np.array(names), held_share(new_share, folds), seed, fold)
    assert out <= _held_out(photos, chosen)
    _, dealt = validation_photos(*_as_arrays(photos), fold, folds, new_share, seed)
    met = {g for g, name in photos if name in out}
    for (g, _), validates, number in zip(photos, chosen, dealt, strict=True):
        if validates:
            assert number == fold or g in met
        elif new_share:
            assert number != fold
            most = company(len(names), held_share(new_share, folds))
            assert g not in met or len({name for one, name in photos if one == g}) > most


@given(photos=ALONE | TOGETHER, folds=FOLDS, seed=st.integers(0, 99))
def test_folds_do_not_share_photos_of_known_animals(photos: Photos, folds: int, seed: int) -> None:
    times = sum(_validates(photos, fold, folds, 0.0, seed).astype(int) for fold in range(folds))
    assert times.max() <= 1


@given(photos=ALONE, folds=FOLDS, seed=st.integers(0, 99))
def test_every_animal_met_twice_validates_in_some_fold(photos: Photos, folds: int, seed: int) -> None:
    """With nobody held out, all groups of an animal do whose groups lie in two folds, and else all but one."""
    times = sum(_validates(photos, fold, folds, 0.0, seed).astype(int) for fold in range(folds))
    _, dealt = validation_photos(*_as_arrays(photos), 0, folds, 0.0, seed)
    for animal in {name for _, name in photos}:
        rows = [row for row, (_, name) in enumerate(photos) if name == animal]
        groups = {photos[row][0] for row in rows}
        validating = {photos[row][0] for row in rows if times[row]}
        assert len(validating) == len(groups) - (len({dealt[row] for row in rows}) == 1)


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


@pytest.mark.parametrize("new_share", [0.15, 0.4])
def test_the_share_of_new_animals_is_about_what_was_asked_for(catalogue: Photos, new_share: float) -> None:
    """Over all folds, of animals that were met in three encounters or more: the others add those who fall whole into
    the fold."""
    often = {name for name in {name for _, name in catalogue} if len({g for g, n in catalogue if n == name}) > 2}
    photos = [(g + 10**6 * k, f"{name} {k}") for k in range(4) for g, name in catalogue if name in often]
    names = np.unique([name for _, name in photos])
    shares, sizes = [], []
    for seed, fold in itertools.product(range(6), range(5)):
        chosen = _validates(photos, fold, 5, new_share, seed)
        out = held_out(names, held_share(new_share, 5), seed, fold)
        new = np.array([name in out for _, name in photos])
        shares.append(new[chosen].mean())
        sizes.append((chosen & ~new).mean())
    assert np.mean(shares) == pytest.approx(new_share, abs=0.04)
    assert 0.15 < np.mean(sizes) < 0.22  # about a fifth of those that are not held out


@pytest.mark.parametrize(("animals", "least"), [(9, 0), (10, 2), (24, 4), (25, 5), (200, 5)])
def test_a_few_are_held_out_at_least(animals: int, least: int) -> None:
    names = np.array([f"A{n}" for n in range(animals)])
    assert all(len(held_out(names, 1e-9, seed, 0)) == least for seed in range(20))
    assert held_out(names, 0.0, 1, 0) == set()


def test_other_folds_and_seeds_hold_out_others(catalogue: Photos) -> None:
    first = _held_out(catalogue, _validates(catalogue, 0, 5, 0.15, 3))
    for fold, seed in ((1, 3), (2, 3), (0, 4)):
        other = _held_out(catalogue, _validates(catalogue, fold, 5, 0.15, seed))
        assert len(first & other) < 0.5 * min(len(first), len(other))


def test_by_hand() -> None:
    """Two encounters of A, one of B. With nobody held out, A may validate with one of them, B never, for it would leave
    training; with somebody to hold out, B validates with its fold."""
    photos = [(0, "A"), (0, "A"), (1, "A"), (2, "B")]
    seen = {tuple(_validates(photos, fold, 2, 0.0, seed).tolist()) for fold in (0, 1) for seed in range(40)}
    nobody = (False, False, False, False)  # where both encounters of A lie in the other fold
    assert seen == {(True, True, False, False), (False, False, True, False), nobody}
    seed, fold = next((s, f) for s in range(99) for f in (0, 1) if _validates(photos, f, 2, 1e-9, s)[3])
    assert _held_out(photos, _validates(photos, fold, 2, 1e-9, seed)) >= {"B"}
    assert _held_out(photos, _validates(photos, fold, 2, 0.0, seed)) == set()


def test_company_of_a_held_out_animal_validates_with_it() -> None:
    """B was met with A once and alone once: where A is held out and B's own meeting is in another fold, B stays."""
    photos = [(0, "A"), (0, "B"), (1, "B"), *((n, f"C{n}") for n in range(2, 12))]
    stays = 0
    for seed in range(60):
        chosen = _validates(photos, 0, 6, 0.3, seed)
        out = _held_out(photos, chosen)
        if "A" in out:
            assert chosen[:2].all()
            stays += "B" not in out
    assert stays


def test_pods_leave_photos_for_training() -> None:
    """Eight of 25 animals were met each time, so that one who is held out was nearly always there."""
    rng = np.random.default_rng(1)
    photos = [(met, f"A{animal}") for met in range(60) for animal in rng.permutation(25)[:8]]
    assert company(25, held_share(0.15, 6)) == pytest.approx(2.5)
    for seed in range(5):
        chosen = _validates(photos, 0, 6, 0.15, seed)
        out = _held_out(photos, chosen)
        assert len(out) == 5
        assert 0.25 < chosen.mean() < 0.45  # a fifth of the animals, and a sixth of the meetings


# A catalogue that grows: each photo its own group, or of an encounter that the source tells.
def _sides(photos: Photos, fold: int = 0) -> dict[Photo, tuple[bool, int]]:
    """The side and the fold of each photo, (group, identity), of which there is one each."""
    chosen, dealt = validation_photos(*_as_arrays(photos), fold, 6, 0.15, 7)
    return dict(zip(photos, zip(chosen.tolist(), dealt.tolist(), strict=True), strict=True))


def _moved(before: Photos, after: Photos) -> set[Photo]:
    old, new = _sides(before), _sides(after)
    return {photo for photo in old if photo in new and old[photo] != new[photo]}


@given(individuals=st.integers(2, 60), more=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 70)), max_size=30))
def test_only_photos_that_are_touched_change_side_and_fold(individuals: int, more: list[tuple[int, int]]) -> None:
    before = [(n, f"A{n % individuals}") for n in range(8 * individuals)]
    # Photos are added of animals that are known: nobody else moves.
    known = [(10_000 + g, f"A{n % individuals}") for g, n in dict(more).items()]
    assert _moved(before, before + known) == set()
    # Photos go, and nobody goes with all photos.
    gone = {n for n, (g, _) in enumerate(before) if g % 8 == 3 and g >= individuals}
    assert _moved(before, [photo for n, photo in enumerate(before) if n not in gone]) == set()


@given(individuals=st.integers(9, 60), name=st.integers(0, 999))
def test_a_new_or_merged_animal_moves_at_most_one_other(individuals: int, name: int) -> None:
    before = [(n, f"A{n % individuals}") for n in range(8 * individuals)]
    moved = _moved(before, [*before, (10_000, f"new{name}")])
    assert len({animal for _, animal in moved}) <= (2 if individuals == 9 else 1)  # from ten up two are held out
    merged = [(g, "A0" if animal == "A1" else animal) for g, animal in before]
    moved = _moved(before, merged)
    assert "A0" not in {animal for _, animal in moved} or len({animal for _, animal in moved}) == 1
    assert len({animal for _, animal in moved}) <= (2 if individuals == 10 else 1)


def _keys(rows: list[tuple[int, str, str | None, str | None]]) -> list[str]:
    """Of (group, sha256, taken, encounter that the source tells)."""
    groups, hashes, taken, told = zip(*rows, strict=True)
    when = pd.to_datetime(pd.Series(taken, dtype="object"), format="mixed")
    return group_keys(np.array(groups), np.array(hashes), when, pd.Series(told, dtype="string")).tolist()


def test_what_a_group_is_by_hand() -> None:
    rows: list[tuple[int, str, str | None, str | None]] = [
        (0, "cc", "2021-05-01 10:00", None),
        (0, "bb", "2021-05-01 09:00", None),
        (0, "aa", None, None),
        (1, "ee", None, None),
        (1, "dd", None, None),
        (2, "ff", "2020-01-01", "e7"),
        (2, "gg", None, "e3"),
    ]
    assert _keys(rows) == ["photo bb"] * 3 + ["photo dd"] * 2 + ["encounter e3"] * 2
    later: list[tuple[int, str, str | None, str | None]] = [(0, "00", "2022-01-01", None), (2, "11", None, None)]
    assert _keys([*rows, *later])[:7] == _keys(rows)
