"""Vectors in a folder, and how photos become gallery and queries."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from finprint.base.errors import UserError
from finprint.matching.catalogue import UNKNOWN, Catalogue, catalogue
from finprint.store.tables import NEW, TEST, TRAIN, VALIDATION
from finprint.store.vectors import Vectors, read_folds, read_vectors, write_vectors


def _vectors(images: list[str], seed: int = 0) -> Vectors:
    array = np.random.default_rng(seed).normal(size=(len(images), 4)).astype(np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    centres = np.ones((2, 1, 4), np.float32) / 2
    return Vectors(pd.Series(images, dtype="string"), array, "f00d", np.array(["al", "bo"], object), centres)


def _photos() -> pd.DataFrame:
    rows = [
        ("t1.jpg", "bo", TRAIN),
        ("t2.jpg", "al", TRAIN),
        ("t3.jpg", None, TRAIN),
        ("v1.jpg", "al", VALIDATION),
        ("v2.jpg", "zoe", VALIDATION),
        ("q1.jpg", None, TEST),
        ("q2.jpg", None, TEST),
    ]
    return pd.DataFrame(rows, columns=["image", "identity", "split"]).astype("string")


def _known() -> Catalogue:
    return catalogue(_photos(), _vectors(_photos()["image"].tolist()))


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
    found = read_folds(tmp_path, [5, 1])
    for vectors, fold in zip(found, (5, 1), strict=True):
        np.testing.assert_array_equal(vectors.array, _vectors(["a.jpg"], seed=fold).array)
    assert read_folds(tmp_path, []) == []


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


def test_individuals_are_numbered_by_name_and_test_photos_have_none() -> None:
    known = _known()
    assert known.names.tolist() == ["al", "bo", "zoe"]
    assert known.photos["code"].tolist() == [1, 0, -1, 0, 2, -1, -1]
    assert known.train.tolist() == [0, 1]  # t3 has no identity: neither gallery nor query
    assert known.validation.tolist() == [3, 4]
    assert known.where(TEST).tolist() == [5, 6]
    assert known.where(TRAIN, VALIDATION).tolist() == [0, 1, 3, 4]


def test_vectors_are_joined_by_name_and_photos_without_one_are_left_out() -> None:
    vectors = _vectors(["q2.jpg", "stray.jpg", "t1.jpg", "v1.jpg"])
    known = catalogue(_photos(), vectors)
    assert known.photos["image"].tolist() == ["t1.jpg", "v1.jpg", "q2.jpg"]
    assert known.photos.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(known.blend(), vectors.array[[2, 3, 0]])
    assert known.names.tolist() == ["al", "bo"]


def test_an_identity_of_a_test_photo_is_never_looked_at() -> None:
    photos = _photos()
    photos.loc[photos["split"] == TEST, "identity"] = "bo"
    known = catalogue(photos, _vectors(photos["image"].tolist()))
    assert known.photos["code"].tolist() == _known().photos["code"].tolist()


def test_truth_of_a_query_whose_individual_is_not_in_the_gallery_is_new() -> None:
    known = _known()
    codes, new = known.truth(known.validation, known.train)
    assert codes.tolist() == [0, UNKNOWN]
    assert new.tolist() == [False, True]
    names = known.true_names(known.validation, known.train)
    assert names.to_dict() == {"v1.jpg": "al", "v2.jpg": NEW}
    assert known.true_names(np.array([4]), np.array([0, 4])).to_dict() == {"v2.jpg": "zoe"}


def test_blended_cosines_are_the_weighted_mean_of_the_members() -> None:
    images = _photos()["image"].tolist()
    known = catalogue(_photos(), _vectors(images, seed=1), _vectors(images, seed=2))
    first, second = known.members[0].array, known.members[1].array
    found = known.blend([0.3, 0.7])
    assert (found.shape, found.dtype) == ((7, 8), np.float32)
    np.testing.assert_allclose(found @ found.T, 0.3 * first @ first.T + 0.7 * second @ second.T, atol=1e-6)
    np.testing.assert_allclose(known.blend() @ known.blend().T, (first @ first.T + second @ second.T) / 2, atol=1e-6)
    np.testing.assert_array_equal(known.blend([0.0, 1.0]), second)


def test_vectors_of_other_photos_are_not_blended() -> None:
    with pytest.raises(UserError, match=r"^the rounds' vectors are of different photos: run `dvc repro` again$"):
        catalogue(_photos(), _vectors(["t1.jpg", "v1.jpg"]), _vectors(["v1.jpg", "t1.jpg"]))


def test_further_animals_of_photos_to_identify() -> None:
    """NAME#2 is searched for like NAME; what is no photo to identify has one animal."""
    images = [*_photos()["image"], "q1.jpg#2", "q1.jpg#3", "t1.jpg#2", "gone.jpg#2"]
    known = catalogue(_photos(), _vectors(images))
    assert known.photos["image"].tolist() == [*_photos()["image"], "q1.jpg#2", "q1.jpg#3"]
    assert known.photos["image"].iloc[known.where(TEST)].tolist() == ["q1.jpg", "q2.jpg", "q1.jpg#2", "q1.jpg#3"]
    rows = [images.index(image) for image in known.photos["image"]]
    np.testing.assert_array_equal(known.members[0].array, _vectors(images).array[rows])
    assert known.names.tolist() == ["al", "bo", "zoe"]
