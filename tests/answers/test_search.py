"""Answers for every query: five distinct names, in the order asked, whatever the gallery lacks."""

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest
from examples import FIT, blurred, two_animals
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.answers import rules
from finprint.answers.params import Search
from finprint.answers.results import Evidence, propose, remarks, search_all, submission, summary, write_gallery
from finprint.answers.rules import Rules
from finprint.answers.search import Answers, answer_queries, out_of_fold, search
from finprint.answers.tables import ANSWERS, for_spreadsheets
from finprint.answers.tables import GALLERY as GALLERY_TABLE
from finprint.base.files import write_metrics
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.params import load_params
from finprint.store.tables import NEW, TEST, TRAIN, VALIDATION, read_table
from finprint.store.vectors import Vectors

Row = tuple[str, str | None, str, float]


def _catalogue(rows: list[Row], species: list[str | None] | None = None) -> Catalogue:
    """Photos (image, identity, split, angle in degrees): the cosines are those of the angles between them."""
    photos = pd.DataFrame([row[:3] for row in rows], columns=["image", "identity", "split"]).astype("string")
    photos["species"] = pd.Series(species or [None] * len(rows), dtype="string")
    angles = np.radians([row[3] for row in rows])
    array = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    return build_catalogue(photos, Vectors(photos["image"], array))


def _target(target: str, value: float, **other: object) -> Search:
    return FIT.model_copy(update={"new": FIT.new.model_copy(update={"target": target, "value": value, **other})})


def _names(table: pd.DataFrame) -> dict[str, list[str]]:
    return {q: rows.sort_values("rank")["identity"].tolist() for q, rows in table.groupby("query")}


@pytest.fixture
def few_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules are fitted to a catalogue that can be worked by hand."""
    monkeypatch.setattr(rules, "LEAST_INDIVIDUALS", 1)
    monkeypatch.setattr(rules, "LEAST_ANIMALS", 1)


GALLERY: list[Row] = [(f"t{n}", f"i{n}", TRAIN, 60.0 * n) for n in range(6)]
CHECKED: list[Row] = [("v1", "i1", VALIDATION, 65.0), ("v2", "zoe", VALIDATION, 150.0)]


def test_search_hand_worked(few_suffice: None) -> None:
    found = search(_catalogue([*GALLERY, *CHECKED, ("q1", None, TEST, 10.0)]), FIT)
    # v1 is right at cos 5; v2 is new, its nearest (i2, i3) at cos 30; somewhere between lies the threshold.
    middle = found.rules.threshold.value
    assert found.rules.fitted
    assert np.cos(np.radians(30)) < middle < np.cos(np.radians(5))
    assert found.rules.threshold.curve[:, 1].max() == 1.0
    given = _target("fixed", middle)
    found = search(_catalogue([*GALLERY, *CHECKED, ("q1", None, TEST, 10.0)]), given)
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


def test_test_photos_are_searched_in_validation_too_but_validation_only_in_training() -> None:
    found = search(_catalogue([*GALLERY, *CHECKED, ("q1", None, TEST, 150.0)]), FIT)
    assert _names(found.test)["q1"][0] == "zoe"
    assert found.test["match"].iloc[0] == "v2"
    assert "zoe" not in set(found.validation["identity"])
    assert set(found.validation["match"].dropna()) <= {name for name, *_ in GALLERY}


def test_test_photos_do_not_move_the_threshold(few_suffice: None) -> None:
    one = search(_catalogue([*GALLERY, *CHECKED, ("q1", None, TEST, 150.0)]), FIT)
    many = search(_catalogue([*GALLERY, *CHECKED, *((f"q{n}", None, TEST, 7.0 * n) for n in range(30))]), FIT)
    assert one.rules.threshold.value == many.rules.threshold.value
    pd.testing.assert_frame_equal(one.validation, many.validation)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), individuals=st.integers(1, 9), queries=st.integers(0, 4))
def test_each_query_gets_distinct_names_in_falling_order(seed: int, individuals: int, queries: int) -> None:
    rng = np.random.default_rng(seed)
    rows: list[Row] = [(f"t{n}", f"i{rng.integers(individuals)}", TRAIN, float(rng.uniform(0, 360))) for n in range(20)]
    rows += [(f"v{n}", f"i{rng.integers(12)}", VALIDATION, float(rng.uniform(0, 360))) for n in range(6)]
    rows += [(f"q{n}", None, TEST, float(rng.uniform(0, 360))) for n in range(queries)]
    found = search(_catalogue(rows), FIT)
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
    answers = search(_catalogue(rows), FIT).test
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
    found = search(_catalogue([*GALLERY, *checked, ("q1", None, TEST, 10.0)]), FIT)
    assert not found.rules.fitted
    assert found.rules.threshold.value == 0.5
    assert found.rules.threshold.curve.shape == (0, 2)
    # i0 at cos 10 and i1 at cos 50 = 0.64 stand before, i5 at cos 70 = 0.34 behind.
    assert found.test["identity"].tolist()[:3] == ["i0", "i1", NEW]
    assert found.validation["query"].nunique() == len(checked)


def test_a_given_threshold_is_used_and_the_curve_still_drawn(few_suffice: None) -> None:
    params = _target("fixed", 0.99)
    found = search(_catalogue([*GALLERY, *CHECKED, ("q1", None, TEST, 10.0)]), params)
    assert not found.rules.fitted
    assert found.rules.threshold.value == 0.99
    assert found.test["identity"].iloc[0] == NEW
    assert found.test["score"].iloc[0] == 0.99
    assert len(found.rules.threshold.curve) > 2


@pytest.fixture
def nobody_asks(few_suffice: None) -> Answers:
    return search(_catalogue([*GALLERY, *CHECKED]), FIT)


def test_without_test_photos_there_are_no_answers(nobody_asks: Answers) -> None:
    assert len(ANSWERS.validate(nobody_asks.test)) == 0
    assert nobody_asks.rules.fitted


def test_with_an_empty_gallery_everyone_is_new() -> None:
    found = search(_catalogue([("q1", None, TEST, 10.0), ("q2", None, TEST, 20.0)]), FIT)
    assert found.test["query"].tolist() == ["q1", "q2"]
    assert found.test["identity"].tolist() == [NEW, NEW]
    ANSWERS.validate(found.test)


def _photos(names: list[str | None]) -> pd.DataFrame:
    photos = pd.DataFrame({"identity": names, "split": TRAIN}).astype("string")
    photos.loc[len(photos)] = ["only_in_test", TEST]
    return photos


def test_submission_is_in_the_order_asked_and_an_unreadable_photo_has_an_answer() -> None:
    found = search(_catalogue([*GALLERY, *CHECKED, ("q1", None, TEST, 10.0), ("q2", None, TEST, 130.0)]), FIT)
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


def test_no_cell_is_taken_for_a_formula() -> None:
    names = ["=1+1", "+1", "-1", "@a", "\t1", "a=b", "IMG_1.jpg", ""]
    table = pd.DataFrame({"image": names, "number": range(8)}).astype({"image": "string"})
    safe = for_spreadsheets(table)
    assert safe["image"].tolist() == ["'=1+1", "'+1", "'-1", "'@a", "'\t1", "a=b", "IMG_1.jpg", ""]
    assert safe["number"].tolist() == list(range(8))


def test_submission_for_one_query_and_for_none(nobody_asks: Answers) -> None:
    found = search(_catalogue([*GALLERY, ("q1", None, TEST, 10.0)]), FIT)
    assert len(submission(found.test, _photos(["b"]), ["q1"])["predictions"].iloc[0].split()) == 5
    assert submission(nobody_asks.test, _photos(["b"]), []).shape == (0, 2)


WIDE = FIT.model_copy(update={"shortlist": 12, "nearest": 3, "blend": "fit", "neighbours": 50})


def _called_new(table: pd.DataFrame) -> pd.Series:
    return table[table["rank"] == 1].set_index("query")["identity"] == NEW


def test_the_share_called_new_is_one_of_the_photos_to_identify() -> None:
    params = WIDE.model_copy(update={"new": _target("new_share", 0.3).new})
    found = search(blurred(), params)
    assert _called_new(found.test).mean() == pytest.approx(0.3, abs=0.011)


def test_the_five_answers_stand_in_the_order_of_their_probabilities() -> None:
    found = search(blurred(), WIDE)
    for table in (found.validation, found.test):
        rows = table.sort_values(["query", "rank"])
        assert (rows.groupby("query")["probability"].diff().dropna() <= 1e-12).all()
        assert (rows.groupby("query")["score"].diff().dropna() <= 1e-6).all()
        assert rows.loc[rows["identity"] == NEW, "rank"].nunique() > 1


def _without(catalogue: Catalogue, gone: pd.Series) -> Catalogue:
    """The catalogue without some photos."""
    kept = ~gone.to_numpy(bool)
    (one,) = catalogue.members
    photos = catalogue.photos[kept].drop(columns="code").reset_index(drop=True)
    return build_catalogue(photos, Vectors(photos["image"], one.array[kept], "", one.classes, one.centres))


def test_a_photo_more_changes_few_first_answers() -> None:
    """Last month's catalogue lacked the photos of one new animal; of last month's queries few are answered anew."""
    now = blurred()
    one = now.photos["image"].isin([f"{VALIDATION}49_0", f"{VALIDATION}49_1"])
    params = WIDE.model_copy(update={"new": _target("map5", 0.0, expected_new=0.3).new})
    before, after = search(_without(now, one), params), search(now, params)
    first = [table[table["rank"] == 1].set_index("query")["identity"] for table in (before.test, after.test)]
    assert ((first[0] != first[1]) & (first[1] != "i49")).mean() <= 0.05
    low, high = before.rules.threshold.interval or (0.0, 0.0)
    assert low < after.rules.threshold.value < high
    assert abs(after.rules.threshold.value - before.rules.threshold.value) < 0.25 * (high - low)


def test_the_threshold_stands_in_its_interval_however_few_new_animals_there_are() -> None:
    every = blurred()
    new = every.photos["image"].str.extract(rf"{VALIDATION}(\d+)_", expand=False).astype(float)
    for catalogue in (every, _without(every, new >= 42)):
        threshold = search(catalogue, WIDE).rules.threshold
        assert threshold.interval is not None
        assert threshold.interval[0] < threshold.value < threshold.interval[1]


@pytest.mark.parametrize(("individuals", "too_few"), [(9, True), (10, False)])
def test_of_too_few_animals_nothing_is_fitted_and_that_is_told(individuals: int, too_few: bool) -> None:
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for n in range(individuals):
        split = VALIDATION if n < 2 else TRAIN  # two are held out
        rows += [(f"p{n}_{k}", f"i{n}", split, 36.0 * n + float(rng.normal(0, 3))) for k in range(4)]
        rows += [(f"v{n}", f"i{n}", VALIDATION, 36.0 * n + 2.0)]
    catalogue = _catalogue([*rows, ("q1", None, TEST, 10.0)])
    found = search(catalogue, FIT)
    assert found.rules.too_few == too_few
    assert found.test["probability"].isna().all() == too_few
    told = [line for line in remarks(found) if line.startswith("too few animals to tell new ones: ")]
    assert len(told) == too_few
    results = search_all(catalogue.photos.drop(columns="code"), Evidence(catalogue.members, {}), ["q1"], FIT)
    metrics = summary(results)
    assert metrics["too_few_animals_to_tell_new"] == too_few
    assert ("threshold_low" in metrics) != too_few


def test_where_nothing_can_be_fitted_the_second_look_still_counts() -> None:
    """Each animal was met once, so that no known one validates. q1 looks like i0, but i1's features agree far better;
    q2 is far from all, and q3 near i5."""
    asked: list[Row] = [("q1", None, TEST, 10.0), ("q2", None, TEST, 210.0), ("q3", None, TEST, 301.0)]
    catalogue = _catalogue([(f"t{n}", f"i{n}", TRAIN, (0, 20, 40, 60, 80, 300)[n]) for n in range(6)] + asked)
    pairs = {("q1", "i0"): 1.0, ("q1", "i1"): 6.0, ("q2", "i4"): 0.5, ("q3", "i5"): 5.0, ("q3", "i4"): 0.1}
    index = pd.MultiIndex.from_tuples(pairs, names=["query", "identity"])
    scores = pd.DataFrame({"keypoints": np.nan, "descriptors": [*pairs.values()]}, index)
    for local, first in ((None, "i0"), (scores, "i1")):
        found = search(replace(catalogue, local_scores=local), FIT.model_copy(update={"blend": "fit"}))
        assert found.rules.too_few
        assert not found.rules.fitted
        names = _names(found.test)
        assert [names[query][0] for query in ("q1", "q2", "q3")] == [first, NEW, "i5"]
    params = _target("fixed", 0.5).model_copy(update={"blend": "fit"})
    fixed = search(replace(catalogue, local_scores=scores), params)
    assert fixed.rules.threshold.value == 0.5, "which is a cosine"
    assert _names(fixed.test)["q1"][0] == "i0"


def test_few_known_ones_are_called_new_if_that_is_asked() -> None:
    catalogue = blurred()
    rates = []
    for value in (0.02, 0.3):
        found = search(catalogue, WIDE.model_copy(update={"new": _target("known_called_new", value).new}))
        truth = catalogue.true_names(catalogue.validation, catalogue.train)
        rates.append(_called_new(found.validation).loc[truth.index[truth != NEW]].mean())
    assert rates[0] <= 0.06  # at most 0.02 where it was fitted; each photo is answered by rules fitted to others
    assert 0.2 < rates[1] < 0.4


def test_probabilities_add_up_and_fall_and_none_is_left_out() -> None:
    for table in (search(blurred(), WIDE).validation, search(blurred(), WIDE).test):
        assert table["probability"].between(0, 1).all()
        assert (table.groupby("query")["probability"].sum() <= 1 + 1e-9).all()
        known = table[table["identity"] != NEW].sort_values(["query", "rank"])
        assert (known.groupby("query")["probability"].diff().dropna() <= 1e-9).all()


def test_without_new_ones_in_validation_there_are_no_probabilities() -> None:
    found = search(_catalogue([*GALLERY, ("v1", "i1", VALIDATION, 65.0), ("q1", None, TEST, 10.0)]), FIT)
    assert found.test["probability"].isna().all()
    ANSWERS.validate(found.test)


def test_no_validation_photo_is_answered_by_rules_that_saw_its_animal() -> None:
    catalogue = blurred()
    before = search(catalogue, WIDE).validation
    # The vectors of another split do not matter, those of the same animal do not move its own rules.
    lone = catalogue.photos.index[catalogue.photos["image"] == f"{VALIDATION}45_1"][0]
    array = np.array(catalogue.members[0].array)
    array[lone] *= -1
    turned = replace(catalogue, members=(replace(catalogue.members[0], array=array),))
    after = search(turned, WIDE).validation
    mine = [f"{VALIDATION}45_0"]
    columns = ["identity", "score", "probability"]
    one, two = (table[table["query"].isin(mine)][columns].to_numpy().tolist() for table in (before, after))
    assert one == two
    others = before["query"].str.startswith(VALIDATION) & ~before["query"].str.startswith(f"{VALIDATION}45")
    changed = (
        before[others]["score"].to_numpy() != after[after["query"].isin(before[others]["query"])]["score"].to_numpy()
    )
    assert changed.any()


def test_only_the_same_species_is_searched_if_that_is_asked() -> None:
    catalogue = blurred(species=True)
    kind = catalogue.photos.set_index("image")["species"]
    free = search(catalogue, WIDE).test.dropna(subset="match")
    assert (kind[free["match"]].to_numpy() != kind[free["query"]].to_numpy()).any()
    same = search(catalogue, WIDE.model_copy(update={"species": "same"})).test
    assert same["query"].nunique() == free["query"].nunique()
    matched = same.dropna(subset="match")
    assert (kind[matched["match"]].to_numpy() == kind[matched["query"]].to_numpy()).all()
    assert (same.groupby("query").size() == 5).all()


def test_a_prior_for_the_species_gets_a_weight() -> None:
    catalogue = blurred(species=True)
    prior = search(catalogue, WIDE.model_copy(update={"species": "prior"}))
    assert list(prior.rules.blend.weights) == ["nearest", "mean", "classifier", "species"]
    assert prior.rules.blend.weights["species"] > 0.01
    kind = catalogue.photos.set_index("image")["species"]

    def strangers(table: pd.DataFrame) -> float:
        matched = table.dropna(subset="match")
        return float((kind[matched["match"]].to_numpy() != kind[matched["query"]].to_numpy()).mean())

    assert strangers(prior.test) < strangers(search(catalogue, WIDE).test)
    assert (prior.test.groupby("query").size() == 5).all()
    nearest = search(catalogue, WIDE.model_copy(update={"species": "prior", "blend": "nearest"}))
    assert list(nearest.rules.blend.weights.values()) == [1, 0, 0, 0]


def test_a_species_that_the_gallery_lacks_is_new_and_one_that_is_not_told_searches_everywhere() -> None:
    rows: list[Row] = [*GALLERY, ("q1", None, TEST, 10.0), ("q2", None, TEST, 10.0)]
    catalogue = _catalogue(rows, ["orca"] * 6 + ["narwhal", None])
    found = _names(search(catalogue, FIT.model_copy(update={"species": "same"})).test)
    assert found["q1"] == [NEW]
    assert len(found["q2"]) == 5


def test_the_better_member_gets_the_larger_share() -> None:
    catalogue = blurred()
    array = catalogue.members[0].array
    noise = np.random.default_rng(1).normal(size=array.shape).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    good = catalogue.members[0]
    heads = noise[: len(good.classes), None]  # a classifier that knows nothing
    two = build_catalogue(
        catalogue.photos.drop(columns="code"), good, Vectors(catalogue.photos["image"], noise, "", good.classes, heads)
    )
    assert search(two, WIDE).rules.shares == (0.5, 0.5)
    fitted = search(two, WIDE.model_copy(update={"shares": "fit"}))
    assert fitted.rules.shares[0] > 0.8
    assert search(two, WIDE.model_copy(update={"shares": [0.2, 0.8]})).rules.shares == (0.2, 0.8)


def test_new_animals_are_grouped() -> None:
    catalogue = blurred()
    found = search(catalogue, WIDE)
    table = propose(catalogue, found)
    assert set(table["image"]) == set(_called_new(found.test).loc[lambda new: new].index)
    assert table["proposed"].nunique() > 1
    assert found.rules.grouping.agreement is not None
    assert 0 < found.rules.grouping.agreement <= 1


def test_the_gallery_is_written_as_it_is_searched(tmp_path: Path) -> None:
    catalogue = blurred()
    write_gallery(tmp_path, catalogue, search(catalogue, WIDE))
    index = faiss.read_index(str(tmp_path / "index.faiss"))
    rows = read_table(tmp_path / "gallery.parquet", GALLERY_TABLE)
    _, nearest = index.search(catalogue.members[0].array[:3], 1)
    assert rows["image"].iloc[nearest[:, 0]].tolist() == catalogue.photos["image"].iloc[:3].tolist()
    assert len(rows) == index.ntotal == 40 * 4 + 50 * 2


def test_the_numbers_of_a_search_are_numbers(tmp_path: Path) -> None:
    catalogue = blurred(species=True)
    new = WIDE.new.model_copy(update={"per_species": True, "expected_new": 0.3})
    params = WIDE.model_copy(update={"new": new, "index": "ivf_sq8"})
    results = search_all(catalogue.photos.drop(columns="code"), Evidence(catalogue.members, {}), ["x"] * 100, params)
    metrics = summary(results)
    write_metrics(tmp_path / "search.json", metrics)
    assert metrics["gallery"] == 260
    assert metrics["queries"] == 100
    assert metrics["answered_by_default"] == 1  # x, which was not searched for
    assert set(metrics["threshold_by_species"]) == {"orca", "beluga"}
    assert sum(metrics["blend"].values()) == pytest.approx(1)
    assert 0.9 < metrics["index_recall"] <= 1
    assert metrics["proposed_individuals"] == results.proposed["proposed"].nunique() > 1
    assert 0 < metrics["proposed_rand_validation"] <= 1


def test_a_second_look_joins_the_answers_of_all_models_alone(tmp_path: Path) -> None:
    """... and rules loaded from their file answer with it as those that were fitted."""
    catalogue = blurred()
    photos = catalogue.photos
    asked = photos[photos["split"].isin([VALIDATION, TEST])]
    right = pd.Series(np.where(asked["identity"].isna(), "nobody", asked["identity"]), asked["image"])
    others = sorted(set(photos["identity"].dropna()))[:4]
    scores = {(image, name): 1.0 for image in right.index for name in others} | dict.fromkeys(right.items(), 200.0)
    local = pd.DataFrame({"keypoints": scores.values(), "descriptors": np.nan}, pd.MultiIndex.from_tuples(scores))
    results = search_all(photos.drop(columns="code"), Evidence(catalogue.members, {}, local), list(right.index), WIDE)
    rules = results.answers.rules
    assert rules.blend.weights["keypoints"] > 0
    assert "keypoints" not in results.round1.rules.blend.weights
    rules.save(tmp_path)
    again = answer_queries(results.catalogue, catalogue.where(TEST), catalogue.labelled, Rules.load(tmp_path))
    pd.testing.assert_frame_equal(again, results.answers.test)
    # One photo alone may lack what a component is computed from: it is filled in.
    alone = replace(results.catalogue, local_scores=None)
    answers = answer_queries(alone, catalogue.where(TEST)[:1], catalogue.labelled, rules)
    assert len(answers) == 5
    assert np.isfinite(answers["score"]).all()


def test_training_photos_of_a_fold_are_asked_out_of_fold() -> None:
    """The model that left a fold out names its photos by the other folds' photos alone."""
    photos, vectors = two_animals()
    answers = out_of_fold(photos, vectors, 1, load_params().search)
    first = answers[answers["rank"] == 1].set_index("query")
    assert set(first.index) == {"a1.jpg", "a3.jpg", "b1.jpg", "b3.jpg", "b9.jpg"}
    assert first.loc["b9.jpg", "match"] == "a0.jpg"
    assert set(first["match"].dropna()) <= {"a0.jpg", "a2.jpg", "b0.jpg", "b2.jpg"}
