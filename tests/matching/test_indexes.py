"""Nearest vectors by reading a mapped file, against faiss's own search through the whole and against numpy."""

from itertools import pairwise
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.matching.indexes import FEWEST, PQ, SQ8, Compressed, all_nearest, chosen, merged, nearest_rows, write_flat
from finprint.store.arrays import Selection


def _units(rows: int, seed: int, dimensions: int = 40) -> np.ndarray:
    array = np.random.default_rng(seed).normal(size=(rows, dimensions)).astype(np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return array


GALLERY, QUERIES = _units(5000, 1), _units(64, 2)


@pytest.fixture
def mapped(tmp_path: Path) -> np.ndarray:
    np.save(tmp_path / "vectors.npy", GALLERY)
    array: np.ndarray = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    return array


@settings(max_examples=40)
@given(
    cuts=st.sets(st.integers(1, 4), max_size=4),
    count=st.sampled_from([1, 5, 100, 130]),
    asked=st.sampled_from([1, 19, 64]),
)
def test_pieces_cut_at_multiples_of_1024_rows_have_the_whole_s_scores_to_the_bit(
    cuts: set[int], count: int, asked: int
) -> None:
    queries, ends = QUERIES[:asked], [0, *(1024 * cut for cut in sorted(cuts)), len(GALLERY)]
    pieces = [
        nearest_rows(queries, Selection([GALLERY], np.arange(start, end)), count, start)
        for start, end in pairwise(ends)
    ]
    scores, rows = merged(pieces, count)
    index = faiss.IndexFlatIP(GALLERY.shape[1])
    index.add(GALLERY)
    whole = index.search(queries, count)
    np.testing.assert_array_equal(scores, whole[0])
    np.testing.assert_array_equal(rows, whole[1])


def test_a_large_file_is_read_block_by_block_with_the_same_bits(
    mapped: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nearest_rows(QUERIES, mapped, 120)
    monkeypatch.setattr("finprint.store.arrays.BLOCK", 1024)
    for array in (mapped, Selection([mapped]), Selection([mapped[:700], mapped[700:]])):
        found = nearest_rows(QUERIES, array, 120)
        for values, expected in zip(found, whole, strict=True):
            np.testing.assert_array_equal(values, expected)


def test_a_search_keeps_few_of_many_blocks_and_tells_where_it_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finprint.store.arrays.BLOCK", 1024)
    monkeypatch.setattr("finprint.matching.indexes.KNOWN", 2)
    (scores, _), bound = all_nearest(QUERIES, GALLERY, 5)
    assert scores.shape == (64, 10)
    cosines = nearest_rows(QUERIES, GALLERY, len(GALLERY))[0]
    for query, least in enumerate(bound):
        above = cosines[query][cosines[query] > least]
        assert len(above) >= 5 - 1
        np.testing.assert_array_equal(scores[query][: len(above)], above)


def test_nearest_rows_are_those_of_numpy(mapped: np.ndarray) -> None:
    scores, rows = nearest_rows(QUERIES, mapped, 7)
    cosines = QUERIES.astype(float) @ GALLERY.T.astype(float)
    np.testing.assert_array_equal(rows, np.argsort(-cosines, axis=1)[:, :7])
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :7], atol=1e-6)
    assert nearest_rows(QUERIES, mapped[:3], 7)[1].shape == (64, 3)
    assert nearest_rows(QUERIES, mapped[:0], 7)[1].shape == (64, 0)


@pytest.mark.parametrize("rows", [0, 1, 2500])
def test_a_flat_index_has_the_bytes_that_faiss_writes(tmp_path: Path, rows: int) -> None:
    index = faiss.IndexFlatIP(GALLERY.shape[1])
    index.add(GALLERY[:rows])
    faiss.write_index(index, str(tmp_path / "whole.faiss"))
    write_flat(tmp_path / "blocks.faiss", Selection([GALLERY], np.arange(rows)))
    assert (tmp_path / "blocks.faiss").read_bytes() == (tmp_path / "whole.faiss").read_bytes()


def _photos(rows: int, seed: int) -> np.ndarray:
    """Vectors around 100 centres, that lists can tell apart."""
    rng = np.random.default_rng(seed)
    array = _units(100, 0)[rng.integers(100, size=rows)] + 0.1 * rng.normal(size=(rows, 40)).astype(np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return array


@pytest.mark.parametrize("kind", [SQ8, PQ])
def test_an_index_is_built_the_same_each_time(kind: str) -> None:
    photos, asked = _photos(2000, 3), _photos(60, 4)
    one, two = (faiss.serialize_index(Compressed(photos, kind, asked).cpu) for _ in range(2))
    assert (one == two).all()


@pytest.mark.parametrize("kind", [SQ8, PQ])
def test_as_many_lists_are_read_as_recall_takes_and_recall_is_told_by_other_queries(kind: str) -> None:
    photos, asked = _photos(3000, 3), _photos(400, 4)
    built = Compressed(photos, kind, asked)
    exact = nearest_rows(asked, photos, 1)[1][:, 0]
    right = built.search(asked, 100)[1][:, 0] == exact
    assert right.mean() >= 0.98
    told = np.unique(np.linspace(0, 399, 256).astype(int))
    assert built.recall == right[told].mean()
    assert built.cpu.nprobe == FEWEST < built.cpu.nlist  # the centres are far apart
    # Of noise alone the nearest may stand in any list, so more lists are read.
    noise = _units(3000, 5)
    assert Compressed(noise, kind, _units(50, 6)).cpu.nprobe > FEWEST


def test_answers_do_not_depend_on_what_else_is_asked() -> None:
    noise = _units(3000, 5)
    alone, among = Compressed(noise, SQ8, noise[:0]), Compressed(noise, SQ8, _photos(60, 6))
    assert alone.cpu.nprobe == among.cpu.nprobe > FEWEST
    assert (alone.recall, type(among.recall)) == (None, float)
    for one, other in zip(alone.search(QUERIES, 9), among.search(QUERIES, 9), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("most", "where"), [(FEWEST, "here"), (2048, "gpu")])
def test_an_index_that_reads_more_lists_than_a_gpu_can_is_searched_here(
    most: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[faiss.Index] = []

    def recorded(index: faiss.Index) -> faiss.Index:
        moved.append(index)
        return index

    monkeypatch.setattr("finprint.matching.indexes.on_gpu", recorded)
    monkeypatch.setattr("finprint.matching.indexes.GPU_NEIGHBOURS", most)
    built = Compressed(_units(3000, 5), SQ8, _units(50, 6))
    assert built.cpu.nprobe > FEWEST
    assert moved == ([built.cpu] if where == "gpu" else [])


def test_fewer_photos_than_are_wanted_are_filled_up_with_nobody() -> None:
    built = Compressed(_photos(2000, 3), SQ8, _photos(10, 4))
    scores, rows = built.search(_photos(3, 5), 2000)
    missing = rows < 0
    assert missing.any(axis=1).all()
    assert np.isneginf(scores[missing]).all()
    assert (scores[:, 1:] <= scores[:, :-1]).all()


def test_the_kind_goes_by_the_number_of_vectors() -> None:
    counts = [0, 77, 78, 2_000_000, 2_000_001, 10_000_000, 10_000_001]
    assert [chosen("auto", count) for count in counts] == ["flat"] * 4 + [SQ8, SQ8, PQ]
    assert [chosen(PQ, count) for count in counts[1:3]] == ["flat", PQ]
