"""Ranking of individuals, against a brute-force reference over random galleries with ties."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax as scipy_softmax

from finprint.matching.names import NOBODY
from finprint.matching.ranking import Gallery, Ranking, expanded, rank, softmax

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def _at(angles: np.ndarray) -> np.ndarray:
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def _catalogue(photos: int, individuals: int, dims: int = 24) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gallery, codes and queries whose photos lie around their individual's own direction."""
    rng = np.random.default_rng(5)
    codes = rng.integers(individuals, size=photos)
    centres = rng.normal(size=(individuals, dims))
    near = [centres[c] + 0.5 * rng.normal(size=(len(c), dims)) for c in (codes, rng.integers(individuals, size=200))]
    gallery, queries = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in near)
    return gallery.astype(np.float32), codes, queries.astype(np.float32)


@st.composite
def galleries(draw: st.DrawFn) -> Drawn:
    """Queries, gallery and codes. Small whole numbers make exact products, and with them ties and duplicates."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    queries, photos = draw(st.integers(0, 6)), draw(st.integers(0, 40))
    dims, individuals = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    codes = rng.choice(50, individuals, replace=False)[rng.integers(individuals, size=photos)]
    values = [rng.integers(-2, 3, size=(n, dims)).astype(np.float32) for n in (queries, photos)]
    return values[0], values[1], codes.astype(np.int64)


def _slow_rank(queries: np.ndarray, gallery: np.ndarray, codes: np.ndarray, places: int, nearest: int) -> Ranking:
    """One query, one individual, one photo at a time."""
    rows = []
    for query in queries:
        found = []
        for code in sorted(set(codes.tolist())):
            photos = [(-float(query @ gallery[p]), int(p)) for p in np.flatnonzero(codes == code)]
            score, photo = min(photos)
            found.append((score, code, photo, np.mean([-s for s, _ in sorted(photos)[:nearest]])))
        found = sorted(found)[:places]
        found += [(np.inf, NOBODY, NOBODY, -np.inf)] * (places - len(found))
        rows.append([(code, -score, photo, mean) for score, code, photo, mean in found])
    table = np.array(rows, dtype=float).reshape(len(queries), places, 4)
    return Ranking(table[..., 0].astype(int), table[..., 1], table[..., 2].astype(int), table[..., 3])


@settings(max_examples=300)
@given(drawn=galleries(), places=st.integers(1, 7), neighbours=st.sampled_from([1, 2, 3, 5, 8, 50]))
def test_against_brute_force(drawn: Drawn, places: int, neighbours: int) -> None:
    queries, gallery, codes = drawn
    found = rank(queries, Gallery(gallery, codes), places, neighbours)
    expected = _slow_rank(queries, gallery, codes, places, nearest=1)
    np.testing.assert_array_equal(found.means, expected.scores)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.identities, expected.identities)
    np.testing.assert_array_equal(found.photos, expected.photos)
    for names in found.identities:
        real = names[names != NOBODY]
        assert len(set(real.tolist())) == len(real)


@settings(max_examples=150)
@given(drawn=galleries(), places=st.integers(1, 7), neighbours=st.sampled_from([1, 2, 3, 8]), block=st.integers(1, 9))
def test_a_gallery_of_several_blocks_against_brute_force(
    drawn: Drawn, places: int, neighbours: int, block: int
) -> None:
    queries, gallery, codes = drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("finprint.store.arrays.BLOCK", block)
        found = rank(queries, Gallery(gallery, codes), places, neighbours)
    expected = _slow_rank(queries, gallery, codes, places, nearest=1)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.identities, expected.identities)
    np.testing.assert_array_equal(found.photos, expected.photos)


@given(drawn=galleries(), places=st.integers(1, 7), nearest=st.integers(2, 4))
def test_means_against_brute_force_where_all_photos_are_looked_up(drawn: Drawn, places: int, nearest: int) -> None:
    queries, gallery, codes = drawn
    found = rank(queries, Gallery(gallery, codes), places, 50, nearest)
    expected = _slow_rank(queries, gallery, codes, places, nearest)
    np.testing.assert_allclose(found.means, expected.means, atol=1e-6)
    np.testing.assert_array_equal(found.identities, expected.identities)


def test_photos_that_were_not_looked_up_count_as_the_last_that_was() -> None:
    angles = np.radians([10, 20, 30, 40, 50])
    gallery = Gallery(_at(angles), np.array([0, 1, 0, 1, 0]))
    found = rank(_at(np.zeros(1)), gallery, places=2, neighbours=3, mean_photos=3)
    # Of 0 the photos at 10 and 30 degrees were looked up, of 1 that at 20; the last looked up is at 30.
    cosine = {a: np.cos(np.radians(a)) for a in (10, 20, 30)}
    assert found.identities.tolist() == [[0, 1]]
    np.testing.assert_allclose(
        found.means, [[(cosine[10] + 2 * cosine[30]) / 3, (cosine[20] + cosine[30]) / 2]], atol=1e-6
    )


def test_hand_worked() -> None:
    gallery = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], np.float32)
    stored = Gallery(gallery, np.array([7, 3, 3, 9]))
    found = rank(np.array([[1, 0], [0, 1]], np.float32), stored, places=4, neighbours=2)
    assert found.identities.tolist() == [[7, 3, 9, NOBODY], [3, 9, 7, NOBODY]]
    np.testing.assert_allclose(found.scores, [[1, 0.8, 0.6, -np.inf], [1, 0.8, 0, -np.inf]])
    assert found.photos.tolist() == [[0, 1, 3, NOBODY], [2, 3, 0, NOBODY]]
    assert found.best.tolist() == [1, 1]


def test_equal_scores_are_ordered_by_code_even_where_more_tie_than_are_looked_up() -> None:
    gallery = np.tile(np.array([[1, 0]], np.float32), (20, 1))
    codes = np.arange(20)[::-1].copy()
    for neighbours in (5, 6, 20, 100):
        found = rank(gallery[:1], Gallery(gallery, codes), neighbours=neighbours)
        assert found.identities.tolist() == [[0, 1, 2, 3, 4]]
        assert found.photos.tolist() == [[19, 18, 17, 16, 15]]


def test_equal_scores_in_several_blocks_are_ordered_by_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finprint.store.arrays.BLOCK", 4)
    test_equal_scores_are_ordered_by_code_even_where_more_tie_than_are_looked_up()


def test_one_individuals_photos_cannot_hide_the_others() -> None:
    rng = np.random.default_rng(0)
    gallery = np.vstack([np.tile([[1, 0, 0]], (300, 1)), rng.normal(size=(6, 3))]).astype(np.float32)
    gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
    codes = np.array([0] * 300 + [1, 2, 3, 4, 5, 6])
    found = rank(gallery[:1], Gallery(gallery, codes), neighbours=5)
    order = np.argsort(-gallery[300:, 0], kind="stable")[:4]
    assert found.identities[0].tolist() == [0, *(order + 1)]
    assert found.photos[0].tolist() == [0, *(order + 300)]


def test_scores_are_cosines_as_numpy_has_them() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(60, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = rng.integers(15, size=50)
    found = rank(vectors[50:], Gallery(vectors[:50], codes))
    cosines = vectors[50:].astype(float) @ vectors[:50].T.astype(float)
    best = np.array([[row[codes == c].max() for c in range(15)] for row in cosines])
    np.testing.assert_allclose(found.scores, -np.sort(-best, axis=1)[:, :5], atol=1e-6)
    np.testing.assert_array_equal(found.identities, np.argsort(-best, axis=1)[:, :5])
    np.testing.assert_array_equal(codes[found.photos], found.identities)


@pytest.mark.timeout(20)
def test_vectors_that_are_no_numbers_do_not_hang() -> None:
    gallery = np.eye(3, dtype=np.float32)
    nothing = np.full((1, 3), np.nan, np.float32)
    assert rank(nothing, Gallery(gallery, np.arange(3)), neighbours=1).identities.shape == (1, 5)
    spoilt = Gallery(np.vstack([gallery, nothing]), np.arange(4))
    assert rank(gallery, spoilt, neighbours=1).best.tolist() == [1, 1, 1]


def test_nothing_to_search_in_or_for() -> None:
    empty = np.zeros((0, 4), np.float32)
    found = rank(np.ones((2, 4), np.float32), Gallery(empty, np.zeros(0, np.int64)))
    assert (found.identities == NOBODY).all()
    assert (found.photos == NOBODY).all()
    assert np.isneginf(found.scores).all()
    assert found.best.shape == (2,)
    assert rank(empty, Gallery(np.ones((2, 4), np.float32), np.arange(2))).identities.shape == (0, 5)


@pytest.mark.parametrize("kind", ["ivf_sq8", "ivf_pq"])
def test_approximate_indexes_find_most_and_still_five_names(kind: str) -> None:
    gallery, codes, queries = _catalogue(3000, 300)
    stored = Gallery(gallery, codes, kind, queries)
    found, exact = rank(queries, stored), rank(queries, Gallery(gallery, codes))
    assert (found.identities != NOBODY).all()
    same = found.photos[:, 0] == exact.photos[:, 0]
    assert same.mean() > 0.95
    np.testing.assert_allclose(found.scores[same, 0], exact.scores[same, 0], atol=1e-6)  # the cosines are exact


@pytest.mark.parametrize("kind", ["ivf_sq8", "ivf_pq"])
def test_where_an_approximate_index_shows_too_few_individuals_the_vectors_are_read(kind: str) -> None:
    gallery, codes, queries = _catalogue(3000, 6)
    codes = np.where(codes < 5, 0, 1 + np.arange(3000) % 9)  # most photos show one animal
    found = rank(queries, Gallery(gallery, codes, kind), neighbours=5)
    assert (found.identities != NOBODY).all()


@pytest.mark.parametrize("kind", ["auto", "flat", "ivf_sq8", "ivf_pq"])
def test_small_galleries_in_every_kind_of_index(kind: str) -> None:
    gallery = _at(np.radians([0, 30, 60]))
    found = rank(gallery[:1], Gallery(gallery, np.array([4, 4, 2]), kind))
    assert found.identities.tolist() == [[4, 2, NOBODY, NOBODY, NOBODY]]


def test_expanded_hand_worked() -> None:
    vectors = _at(np.radians([0, 60, 180]))
    found = expanded(vectors, 1)
    # 0 and 60 degrees are each other's nearest, with weight 0.5 ** 3; 180 has only one at cosine -0.5, of no weight.
    first = vectors[0] + 0.125 * vectors[1]
    np.testing.assert_allclose(found[0], first / np.linalg.norm(first), atol=1e-6)
    np.testing.assert_allclose(found[2], vectors[2], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert expanded(vectors, 0) is vectors
    np.testing.assert_array_equal(expanded(vectors[:1], 5), vectors[:1])


def test_softmax_against_scipy() -> None:
    scores = np.array([[0.9, 0.5, 0.1], [0.4, 0.3, -np.inf]], np.float32)
    names = np.where(np.isneginf(scores), NOBODY, [[0, 1, 2]] * 2)
    found = softmax(Ranking(names, scores, names, scores), 0.07)
    np.testing.assert_allclose(found, scipy_softmax(scores / 0.07, axis=1), atol=1e-6)
    assert (softmax(Ranking.empty(1, 3), 0.1) == 0).all()


def test_what_a_gpu_cannot_look_up_at_once_is_looked_up_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """One animal has nearly all photos, so all must be looked up to find the other."""

    class OfGpu:
        def __init__(self, index: faiss.Index) -> None:
            self.index = index

        def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
            assert count <= 2048  # as faiss's own does
            return self.index.search(queries, count)

        def add(self, vectors: np.ndarray) -> None:
            self.index.add(vectors)

    monkeypatch.setattr("finprint.matching.indexes.gpus", lambda: 1)
    monkeypatch.setattr("finprint.matching.indexes.on_gpu", OfGpu)
    vectors = np.tile(np.array([[1, 0]], np.float32), (7000, 1))
    vectors[-1] = 0, 1
    codes = np.zeros(7000, np.int64)
    codes[-1] = 1
    assert rank(vectors[:1], Gallery(vectors, codes), 2).identities.tolist() == [[0, 1]]
