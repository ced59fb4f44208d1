"""How photos become gallery and queries."""

import numpy as np
import pandas as pd
import pytest

from finprint.base.errors import UserError
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.matching.names import UNKNOWN
from finprint.store.tables import NEW, TEST, TRAIN, VALIDATION
from finprint.store.vectors import Vectors


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


def _catalogue() -> Catalogue:
    return build_catalogue(_photos(), _vectors(_photos()["image"].tolist()))


def test_individuals_are_numbered_by_name_and_test_photos_have_none() -> None:
    catalogue = _catalogue()
    assert catalogue.names.individuals.tolist() == ["al", "bo", "zoe"]
    assert catalogue.photos["code"].tolist() == [1, 0, -1, 0, 2, -1, -1]
    assert catalogue.train.tolist() == [0, 1]  # t3 has no identity: neither gallery nor query
    assert catalogue.validation.tolist() == [3, 4]
    assert catalogue.where(TEST).tolist() == [5, 6]
    assert catalogue.where(TRAIN, VALIDATION).tolist() == [0, 1, 3, 4]


def test_vectors_are_joined_by_name_and_photos_without_one_are_left_out() -> None:
    vectors = _vectors(["q2.jpg", "stray.jpg", "t1.jpg", "v1.jpg"])
    catalogue = build_catalogue(_photos(), vectors)
    assert catalogue.photos["image"].tolist() == ["t1.jpg", "v1.jpg", "q2.jpg"]
    assert catalogue.photos.index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(catalogue.blend(), vectors.array[[2, 3, 0]])
    assert catalogue.names.individuals.tolist() == ["al", "bo"]


def test_an_identity_of_a_test_photo_is_never_looked_at() -> None:
    photos = _photos()
    photos.loc[photos["split"] == TEST, "identity"] = "bo"
    catalogue = build_catalogue(photos, _vectors(photos["image"].tolist()))
    assert catalogue.photos["code"].tolist() == _catalogue().photos["code"].tolist()


def test_truth_of_a_query_whose_individual_is_not_in_the_gallery_is_new() -> None:
    catalogue = _catalogue()
    codes, new = catalogue.truth(catalogue.validation, catalogue.train)
    assert codes.tolist() == [0, UNKNOWN]
    assert new.tolist() == [False, True]
    names = catalogue.true_names(catalogue.validation, catalogue.train)
    assert names.to_dict() == {"v1.jpg": "al", "v2.jpg": NEW}
    assert catalogue.true_names(np.array([4]), np.array([0, 4])).to_dict() == {"v2.jpg": "zoe"}


def test_blended_cosines_are_the_weighted_mean_of_the_members() -> None:
    images = _photos()["image"].tolist()
    catalogue = build_catalogue(_photos(), _vectors(images, seed=1), _vectors(images, seed=2))
    first, second = (member.array[:] for member in catalogue.members)
    found = catalogue.blend([0.3, 0.7])[:]
    assert (found.shape, found.dtype) == ((7, 8), np.float32)
    np.testing.assert_allclose(found @ found.T, 0.3 * first @ first.T + 0.7 * second @ second.T, atol=1e-6)
    np.testing.assert_allclose(
        catalogue.blend()[:] @ catalogue.blend()[:].T, (first @ first.T + second @ second.T) / 2, atol=1e-6
    )
    np.testing.assert_array_equal(catalogue.blend([0.0, 1.0]), second)


def test_vectors_of_other_photos_are_not_blended() -> None:
    with pytest.raises(UserError, match=r"^the rounds' vectors are of different photos: run `dvc repro` again$"):
        build_catalogue(_photos(), _vectors(["t1.jpg", "v1.jpg"]), _vectors(["v1.jpg", "t1.jpg"]))


def test_further_animals_of_photos_to_identify() -> None:
    """NAME#2 is searched for like NAME; what is no photo to identify has one animal."""
    images = [*_photos()["image"], "q1.jpg#2", "q1.jpg#3", "t1.jpg#2", "gone.jpg#2"]
    catalogue = build_catalogue(_photos(), _vectors(images))
    assert catalogue.photos["image"].tolist() == [*_photos()["image"], "q1.jpg#2", "q1.jpg#3"]
    assert catalogue.photos["image"].iloc[catalogue.where(TEST)].tolist() == [
        "q1.jpg",
        "q2.jpg",
        "q1.jpg#2",
        "q1.jpg#3",
    ]
    rows = [images.index(image) for image in catalogue.photos["image"]]
    np.testing.assert_array_equal(catalogue.members[0].array, _vectors(images).array[rows])
    assert catalogue.names.individuals.tolist() == ["al", "bo", "zoe"]
