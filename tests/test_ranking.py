"""Ranking of individuals, against a brute-force reference over random galleries with ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.ranking import NOBODY, Ranking, rank

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


@st.composite
def galleries(draw: st.DrawFn) -> Drawn:
    """Queries, gallery and codes. Small whole numbers make exact products, and with them ties and duplicates."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries, photos = draw(st.integers(0, 6)), draw(st.integers(0, 40))
    dims, individuals = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    codes = rng.choice(50, individuals, replace=False)[rng.integers(individuals, size=photos)]
    values = [rng.integers(-2, 3, size=(n, dims)).astype(np.float32) for n in (queries, photos)]
    return values[0], values[1], codes.astype(np.int64)


def _slow_rank(queries: np.ndarray, gallery: np.ndarray, codes: np.ndarray, places: int) -> Ranking:
    """One query, one individual, one photo at a time."""
    rows = []
    for query in queries:
        found = []
        for code in sorted(set(codes.tolist())):
            photos = [(-float(query @ gallery[p]), int(p)) for p in np.flatnonzero(codes == code)]
            score, photo = min(photos)
            found.append((score, code, photo))
        found = sorted(found)[:places]
        found += [(np.inf, NOBODY, NOBODY)] * (places - len(found))
        rows.append([(code, -score, photo) for score, code, photo in found])
    table = np.array(rows, dtype=float).reshape(len(queries), places, 3)
    return Ranking(table[..., 0].astype(int), table[..., 1], table[..., 2].astype(int))


@settings(max_examples=300)
@given(drawn=galleries(), places=st.integers(1, 7), neighbours=st.sampled_from([1, 2, 3, 5, 8, 50]))
def test_against_brute_force(drawn: Drawn, places: int, neighbours: int) -> None:
    queries, gallery, codes = drawn
    found = rank(queries, gallery, codes, places, neighbours)
    expected = _slow_rank(queries, gallery, codes, places)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.identities, expected.identities)
    np.testing.assert_array_equal(found.photos, expected.photos)
    for names in found.identities:
        real = names[names != NOBODY]
        assert len(set(real.tolist())) == len(real)


def test_hand_worked() -> None:
    gallery = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    found = rank(np.array([[1, 0], [0, 1]], np.float32), gallery, np.array([7, 3, 3, 9]), places=4, neighbours=2)
    assert found.identities.tolist() == [[7, 3, 9, NOBODY], [3, 9, 7, NOBODY]]
    np.testing.assert_allclose(found.scores, [[1, 0.8, 0.6, -np.inf], [1, 0.8, 0, -np.inf]])
    assert found.photos.tolist() == [[0, 1, 3, NOBODY], [2, 3, 0, NOBODY]]
    assert found.best.tolist() == [1, 1]


def test_equal_scores_are_ordered_by_code_even_where_more_tie_than_are_looked_up() -> None:
    gallery = np.tile(np.array([[1, 0]], np.float32), (20, 1))
    codes = np.arange(20)[::-1].copy()
    for neighbours in (5, 6, 20, 100):
        found = rank(gallery[:1], gallery, codes, neighbours=neighbours)
        assert found.identities.tolist() == [[0, 1, 2, 3, 4]]
        assert found.photos.tolist() == [[19, 18, 17, 16, 15]]


def test_one_individuals_photos_cannot_hide_the_others() -> None:
    rng = np.random.default_rng(0)
    gallery = np.vstack([np.tile([[1, 0, 0]], (300, 1)), rng.normal(size=(6, 3))]).astype(np.float32)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    codes = np.array([0] * 300 + [1, 2, 3, 4, 5, 6])
    found = rank(gallery[:1], gallery, codes, neighbours=5)
    order = np.argsort(-gallery[300:, 0], kind="stable")[:4]
    assert found.identities[0].tolist() == [0, *(order + 1)]
    assert found.photos[0].tolist() == [0, *(order + 300)]


def test_scores_are_cosines_as_numpy_has_them() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(60, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = rng.integers(15, size=50)
    found = rank(vectors[50:], vectors[:50], codes)
    cosines = vectors[50:].astype(float) @ vectors[:50].T.astype(float)
    best = np.array([[row[codes == c].max() for c in range(15)] for row in cosines])
    np.testing.assert_allclose(found.scores, -np.sort(-best, axis=1)[:, :5], atol=1e-6)
    np.testing.assert_array_equal(found.identities, np.argsort(-best, axis=1)[:, :5])
    np.testing.assert_array_equal(codes[found.photos], found.identities)


@pytest.mark.timeout(20)
def test_vectors_that_are_no_numbers_do_not_hang() -> None:
    gallery = np.eye(3, dtype=np.float32)
    nothing = np.full((1, 3), np.nan, np.float32)
    assert rank(nothing, gallery, np.arange(3), neighbours=1).identities.shape == (1, 5)
    assert rank(gallery, np.vstack([gallery, nothing]), np.array([0, 1, 2, 3]), neighbours=1).best.tolist() == [1, 1, 1]


def test_nothing_to_search_in_or_for() -> None:
    empty = np.zeros((0, 4), np.float32)
    found = rank(np.ones((2, 4), np.float32), empty, np.zeros(0, np.int64))
    assert (found.identities == NOBODY).all()
    assert (found.photos == NOBODY).all()
    assert np.isneginf(found.scores).all()
    assert found.best.shape == (2,)
    assert rank(empty, np.ones((2, 4), np.float32), np.arange(2)).identities.shape == (0, 5)
