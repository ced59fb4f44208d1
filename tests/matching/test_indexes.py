"""Nearest vectors by reading a mapped file, against faiss's own search through the whole and against numpy."""

from itertools import pairwise
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.matching.indexes import merged, nearest_rows, write_flat
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
