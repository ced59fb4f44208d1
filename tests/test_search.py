"""Answers for every query: five distinct names, in the order asked, whatever the gallery lacks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.params import Search
from finprint.search import Answers, search, submission
from finprint.tables import ANSWERS, NEW, TEST, TRAIN, VALIDATION
from finprint.vectors import Catalogue, Vectors, catalogue

FIT = Search(round1_share=0, neighbours=5, new_threshold="fit", new_default=0.5)
Row = tuple[str, str | None, str, float]


def _known(rows: list[Row]) -> Catalogue:
    """Photos (image, identity, split, angle in degrees): the cosines are those of the angles between them."""
    photos = pd.DataFrame([row[:3] for row in rows], columns=["image", "identity", "split"]).astype("string")
    angles = np.radians([row[3] for row in rows])
    array = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    return catalogue(photos, Vectors(photos["image"], array, ""))


def _names(table: pd.DataFrame) -> dict[str, list[str]]:
    return {q: rows.sort_values("rank")["identity"].tolist() for q, rows in table.groupby("query")}


GALLERY: list[Row] = [(f"t{n}", f"i{n}", TRAIN, 60.0 * n) for n in range(6)]
CHECKED: list[Row] = [("v1", "i1", VALIDATION, 65.0), ("v2", "zoe", VALIDATION, 150.0)]


def test_search_hand_worked() -> None:
    found = search(_known([*GALLERY, *CHECKED, ("q1", None, TEST, 10.0)]), FIT)
    # v1 is right at cos 5; v2 is new, its nearest (i2, i3) at cos 30; midway lies the threshold.
    middle = (np.cos(np.radians(5)) + np.cos(np.radians(30))) / 2
    assert found.fitted
    assert found.threshold.value == pytest.approx(middle, abs=1e-6)
    answers = ANSWERS.validate(found.test)
    # i0 at 10 degrees is above the threshold; zoe's photo is in the gallery of the test photos. At 140
    # degrees from q1, zoe is farther than i1 (50), i5 (70), i2 (110), i4 (130).
    assert answers["identity"].tolist() == ["i0", NEW, "i1", "i5", "i2"]
    assert answers["rank"].tolist() == [1, 2, 3, 4, 5]
    expected = [np.cos(np.radians(10)), middle, *np.cos(np.radians([50, 70, 110]))]
    np.testing.assert_allclose(answers["score"], expected, atol=1e-6)
    assert answers["match"].tolist()[0] == "t0"
    assert pd.isna(answers["match"].iloc[1])
    assert answers["match"].tolist()[2:] == ["t1", "t5", "t2"]
    assert _names(found.validation)["v1"][0] == "i1"
    assert _names(found.validation)["v2"][0] == NEW
    assert found.threshold.curve[:, 1].max() == 1.0


def test_test_photos_are_searched_in_validation_too_but_validation_only_in_training() -> None:
    found = search(_known([*GALLERY, *CHECKED, ("q1", None, TEST, 150.0)]), FIT)
    assert _names(found.test)["q1"][0] == "zoe"
    assert found.test["match"].iloc[0] == "v2"
    assert "zoe" not in set(found.validation["identity"])
    assert set(found.validation["match"].dropna()) <= {name for name, *_ in GALLERY}


def test_test_photos_do_not_move_the_threshold() -> None:
    one = search(_known([*GALLERY, *CHECKED, ("q1", None, TEST, 150.0)]), FIT)
    many = search(_known([*GALLERY, *CHECKED, *((f"q{n}", None, TEST, 7.0 * n) for n in range(30))]), FIT)
    assert one.threshold.value == many.threshold.value
    pd.testing.assert_frame_equal(one.validation, many.validation)


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), individuals=st.integers(1, 9), queries=st.integers(0, 4))
def test_each_query_gets_distinct_names_in_falling_order(seed: int, individuals: int, queries: int) -> None:
    rng = np.random.default_rng(seed)
    rows: list[Row] = [(f"t{n}", f"i{rng.integers(individuals)}", TRAIN, float(rng.uniform(0, 360))) for n in range(20)]
    rows += [(f"v{n}", f"i{rng.integers(12)}", VALIDATION, float(rng.uniform(0, 360))) for n in range(6)]
    rows += [(f"q{n}", None, TEST, float(rng.uniform(0, 360))) for n in range(queries)]
    found = search(_known(rows), FIT)
    for table, gallery, expected in ((found.validation, {TRAIN}, 6), (found.test, {TRAIN, VALIDATION}, queries)):
        checked = ANSWERS.validate(table)
        assert checked["query"].nunique() == expected
        known = {row[1] for row in rows if row[2] in gallery}
        for _, answers in checked.groupby("query"):
            names = answers["identity"].tolist()
            assert len(names) == len(set(names)) == min(5, len(known) + 1)
            assert set(names) <= known | {NEW}
            assert answers["rank"].tolist() == list(range(1, len(names) + 1))
            assert (np.diff(answers["score"]) <= 1e-6).all()


def test_a_gallery_of_fewer_than_five_gives_fewer_answers() -> None:
    rows: list[Row] = [GALLERY[0], GALLERY[1], ("v1", "i1", VALIDATION, 65.0), ("q1", None, TEST, 350.0)]
    answers = search(_known(rows), FIT).test
    assert answers["identity"].tolist() == ["i0", NEW, "i1"]


@pytest.mark.parametrize(
    "checked",
    [
        pytest.param([], id="no validation"),
        pytest.param([("v1", "i1", VALIDATION, 65.0)], id="no new animals in it"),
        pytest.param([("v2", "zoe", VALIDATION, 150.0)], id="only new ones"),
    ],
)
def test_where_nothing_can_be_fitted_the_default_threshold_holds(checked: list[Row]) -> None:
    found = search(_known([*GALLERY, *checked, ("q1", None, TEST, 10.0)]), FIT)
    assert not found.fitted
    assert found.threshold.value == 0.5
    assert found.threshold.curve.shape == (0, 2)
    # i0 at cos 10 and i1 at cos 50 = 0.64 stand before, i5 at cos 70 = 0.34 behind.
    assert found.test["identity"].tolist()[:3] == ["i0", "i1", NEW]
    assert found.validation["query"].nunique() == len(checked)


def test_a_given_threshold_is_used_and_the_curve_still_drawn() -> None:
    params = Search(round1_share=0, neighbours=5, new_threshold=0.99, new_default=0.5)
    found = search(_known([*GALLERY, *CHECKED, ("q1", None, TEST, 10.0)]), params)
    assert not found.fitted
    assert found.threshold.value == 0.99
    assert found.test["identity"].iloc[0] == NEW
    assert found.test["score"].iloc[0] == 0.99
    assert len(found.threshold.curve) > 2


@pytest.fixture
def nobody_asks() -> Answers:
    return search(_known([*GALLERY, *CHECKED]), FIT)


def test_without_test_photos_there_are_no_answers(nobody_asks: Answers) -> None:
    assert len(ANSWERS.validate(nobody_asks.test)) == 0
    assert nobody_asks.fitted


def test_with_an_empty_gallery_everyone_is_new() -> None:
    found = search(_known([("q1", None, TEST, 10.0), ("q2", None, TEST, 20.0)]), FIT)
    assert found.test["query"].tolist() == ["q1", "q2"]
    assert found.test["identity"].tolist() == [NEW, NEW]
    ANSWERS.validate(found.test)


def _photos(names: list[str | None]) -> pd.DataFrame:
    photos = pd.DataFrame({"identity": names, "split": TRAIN}).astype("string")
    photos.loc[len(photos)] = ["only_in_test", TEST]
    return photos


def test_submission_is_in_the_order_asked_and_an_unreadable_photo_has_an_answer() -> None:
    found = search(_known([*GALLERY, *CHECKED, ("q1", None, TEST, 10.0), ("q2", None, TEST, 130.0)]), FIT)
    photos = _photos(["b", "c", "c", "a", "d", "e", "e", None])
    table = submission(found.test.sample(frac=1, random_state=1), photos, ["q2", "broken.jpg", "q1"])
    assert table.columns.tolist() == ["image", "predictions"]
    assert table["image"].tolist() == ["q2", "broken.jpg", "q1"]
    names = _names(found.test)
    assert table["predictions"].tolist() == [
        " ".join(names["q2"]),
        f"{NEW} c e a b",  # most photos first, then by name
        " ".join(names["q1"]),
    ]


def test_submission_without_any_readable_query(nobody_asks: Answers) -> None:
    table = submission(nobody_asks.test, _photos(["b", "c", "c"]), ["x.jpg", "y.jpg"])
    assert table["predictions"].tolist() == [f"{NEW} c b"] * 2


def test_submission_for_one_query_and_for_none(nobody_asks: Answers) -> None:
    found = search(_known([*GALLERY, ("q1", None, TEST, 10.0)]), FIT)
    assert len(submission(found.test, _photos(["b"]), ["q1"])["predictions"].iloc[0].split()) == 5
    assert submission(nobody_asks.test, _photos(["b"]), []).shape == (0, 2)
