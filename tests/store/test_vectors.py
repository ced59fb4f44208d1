"""Vectors in a folder."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finprint.base.errors import UserError
from finprint.store.vectors import Vectors, read_folds, read_vectors, write_vectors


def _vectors(images: list[str], seed: int = 0) -> Vectors:
    array = np.random.default_rng(seed).normal(size=(len(images), 4)).astype(np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    centres = np.ones((2, 1, 4), np.float32) / 2
    return Vectors(pd.Series(images, dtype="string"), array, "f00d", np.array(["al", "bo"], object), centres)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    vectors = _vectors(["b.jpg", "a.jpg", "c.jpg"])
    write_vectors(tmp_path / "v", vectors)
    found = read_vectors(tmp_path / "v")
    assert found.images.tolist() == ["b.jpg", "a.jpg", "c.jpg"]
    assert found.array.dtype == np.float32
    np.testing.assert_array_equal(found.array, vectors.array)
    assert found.model == "f00d"
    assert found.classes.tolist() == ["al", "bo"]
    np.testing.assert_array_equal(found.centres, vectors.centres)


def test_the_models_of_folds_come_in_the_order_asked_for(tmp_path: Path) -> None:
    """And no other that lies there."""
    for fold in (1, 2, 5):
        write_vectors(tmp_path / str(fold), _vectors(["a.jpg"], seed=fold))
    folds = read_folds(tmp_path, [5, 1])
    assert list(folds) == [5, 1]
    for fold, vectors in folds.items():
        np.testing.assert_array_equal(vectors.array, _vectors(["a.jpg"], seed=fold).array)
    assert read_folds(tmp_path, []) == {}


def test_no_vectors_at_all_are_read_as_well(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v", _vectors([]))
    assert read_vectors(tmp_path / "v").array.shape == (0, 4)


def test_same_vectors_same_bytes_and_an_earlier_folder_is_replaced(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_vectors(tmp_path / name, _vectors(["b.jpg"], seed=9))
        write_vectors(tmp_path / name, _vectors(["b.jpg", "a.jpg"]))
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["centres.npy", "model.json", "rows.parquet", "vectors.npy"]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert len(read_vectors(tmp_path / "one").images) == 2


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_vectors(tmp_path / "v")
    assert str(caught.value) == f"{tmp_path}/v/rows.parquet is missing: `dvc repro` makes it"


def test_rows_and_vectors_that_disagree_are_refused(tmp_path: Path) -> None:
    write_vectors(tmp_path, _vectors(["a.jpg", "b.jpg"]))
    np.save(tmp_path / "vectors.npy", _vectors(["a.jpg", "b.jpg", "c.jpg"]).array)
    with pytest.raises(UserError) as caught:
        read_vectors(tmp_path)
    assert str(caught.value) == f"{tmp_path}: 3 vectors, but 2 rows: run `dvc repro` again"


def test_centres_of_another_model_are_refused(tmp_path: Path) -> None:
    write_vectors(tmp_path, _vectors(["a.jpg", "b.jpg"]))
    np.save(tmp_path / "centres.npy", np.zeros((2, 1, 512), np.float32))
    with pytest.raises(UserError) as caught:
        read_vectors(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: vectors of 4 dimensions, but centres of 512: they come from different models; "
        "run `dvc repro` again"
    )


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.0, 2.0])
def test_a_vector_that_is_no_unit_vector_is_refused(tmp_path: Path, wrong: float) -> None:
    vectors = _vectors(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    for row in (1, 3):
        vectors.array[row] = wrong
    write_vectors(tmp_path / "v", vectors)
    with pytest.raises(UserError) as caught:
        read_vectors(tmp_path / "v")
    assert str(caught.value) == (
        f"{tmp_path}/v: the vector of b.jpg is no unit vector (2 are not): the training has diverged, lower lr"
    )


@pytest.mark.parametrize("name", ["vectors.npy", "centres.npy", "model.json"])
def test_a_missing_or_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    write_vectors(tmp_path / "v", _vectors(["a.jpg"]))
    path = tmp_path / "v" / name
    content = path.read_bytes()
    for cut in (content[:9], b""):
        path.write_bytes(cut)
        with pytest.raises(UserError) as caught:
            read_vectors(tmp_path / "v")
        assert str(caught.value) == f"{path} is damaged: delete {tmp_path}/v, and `dvc repro` makes it anew"
    path.unlink()
    with pytest.raises(UserError) as caught:
        read_vectors(tmp_path / "v")
    assert str(caught.value) == f"{path} is missing: `dvc repro` makes it"
