"""Rows that stay in their files, against numpy's own indexing of the whole."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.store.arrays import Selection, SideBySide, blocks, portable


def _array(rows: int, width: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    seed=st.integers(0, 99),
    run=st.booleans(),
    asked=st.slices(20),
)
def test_a_selection_is_what_numpy_selects(lengths: list[int], seed: int, run: bool, asked: slice) -> None:
    rng = np.random.default_rng(seed)
    arrays = [_array(length, seed=number) for number, length in enumerate(lengths)]
    whole = np.concatenate(arrays)
    wanted = rng.integers(len(whole), size=9) if len(whole) else np.zeros(0, int)
    rows = np.arange(len(whole) // 3, len(whole)) if run else wanted
    selected = Selection(arrays, rows)
    assert (len(selected), selected.shape) == (len(rows), (len(rows), 3))
    np.testing.assert_array_equal(selected, whole[rows])
    np.testing.assert_array_equal(selected[asked], whole[rows][asked])
    np.testing.assert_array_equal(Selection(arrays)[:], whole)
    mask = rng.random(len(rows)) < 0.5
    np.testing.assert_array_equal(selected[mask], whole[rows][mask])
    if len(rows):
        np.testing.assert_array_equal(selected[-1], whole[rows][-1])
        again = rng.integers(len(rows), size=4)
        np.testing.assert_array_equal(Selection([selected], again)[::-1], whole[rows][again][::-1])


def test_neighbouring_rows_of_a_mapped_file_are_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", _array(9))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    chosen = Selection([mapped], np.arange(2, 8))
    assert np.shares_memory(chosen[1:4], mapped)
    assert np.shares_memory(Selection([chosen])[:], mapped)
    np.testing.assert_array_equal(chosen[1:4], mapped[3:6])
    assert not np.shares_memory(chosen[[2, 0]], mapped)


def test_rows_of_files_travel_as_their_paths(tmp_path: Path) -> None:
    files = []
    for number in range(2):
        np.save(tmp_path / f"{number}.npy", _array(3000, 64, number))
        files.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))
    order = np.random.default_rng(0).permutation(3000)
    one = Selection([Selection([files[0]])], np.arange(100, 3000))
    both = SideBySide([Selection([file], order) for file in files], [0.3, 0.7])
    for array, most in ((files[0], 500), (one, 500), (Selection([both], np.arange(7, 2900)), 20_000)):
        sent = portable(array, slice(1024, 2048))
        content = pickle.dumps(sent)
        assert len(content) < most
        assert sent.shape == (1024, array.shape[1])
        np.testing.assert_array_equal(pickle.loads(content)[:], array[1024:2048])
    # What is in memory, or in several arrays, travels as it is.
    for held in (files[0][5:], _array(3000, 64), Selection([files[0], files[1]])):
        assert isinstance(portable(held, slice(9, 20)), np.ndarray)
        np.testing.assert_array_equal(portable(held, slice(9, 20)), held[9:20])


def test_side_by_side_hand_worked() -> None:
    one, two = np.array([[1, 0], [0, 1]], np.float32), np.array([[1], [-1]], np.float32)
    both = SideBySide([one, two], [0.25, 0.75])
    root = np.float32(np.sqrt(0.75))
    np.testing.assert_array_equal(both, np.array([[0.5, 0, root], [0, 0.5, -root]], np.float32))
    np.testing.assert_array_equal(both[[1]], np.array([[0, 0.5, -root]], np.float32))
    assert (both.shape, both[0].shape) == ((2, 3), (3,))
    np.testing.assert_array_equal(SideBySide([one, two], [0, 1])[:], two)


def test_blocks_are_the_rows_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finprint.store.arrays.BLOCK", 4)
    array = _array(10)
    starts, read = zip(*blocks(array), strict=True)
    assert starts == (0, 4, 8)
    np.testing.assert_array_equal(np.concatenate(read), array)
    assert list(blocks(array[:0])) == []
