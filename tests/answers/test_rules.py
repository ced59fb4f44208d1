"""Rules in a file: what is loaded answers as what was fitted, to the last bit, and a damaged file is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from examples import FIT, blurred
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from finprint.answers.params import Search
from finprint.answers.rules import Rules, expected_weights, fit_rules
from finprint.answers.scoring import blended
from finprint.answers.search import Answers, answer_queries, search
from finprint.answers.shortlist import look_up
from finprint.base.errors import UserError
from finprint.matching.calibration import Isotonic
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.matching.openset import Checked
from finprint.store.tables import TEST
from finprint.store.vectors import Vectors


def _two_models() -> Catalogue:
    """One model, and another that is blurred and does not know three of the individuals."""
    catalogue = blurred(species=True)
    (one,) = catalogue.members
    array = one.array + 0.3 * np.random.default_rng(1).normal(size=one.array.shape)
    array = (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(np.float32)
    other = Vectors(one.images, array, "", one.classes[3:], one.centres[3:])
    return build_catalogue(catalogue.photos.drop(columns="code"), one, other)


WIDE = FIT.model_copy(update={"shortlist": 12, "nearest": 3, "blend": "fit", "neighbours": 50})
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "nearest photo alone": {"blend": "nearest"},
    "all that can be fitted": {"shares": "fit", "species": "prior", "expand": 2},
    "given shares, an approximate index": {"shares": [0.3, 0.7], "index": "ivf_sq8", "species": "same"},
}
THRESHOLDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "nearest photo alone": {"target": "fixed", "value": 1 / 3},
    "all that can be fitted": {"per_species": True, "expected_new": 0.3},
    "given shares, an approximate index": {"target": "new_share", "value": 0.2},
}


def _params(variant: str) -> Search:
    new = FIT.new.model_copy(update=THRESHOLDS[variant])
    return WIDE.model_copy(update=VARIANTS[variant] | {"new": new})


@pytest.mark.parametrize("variant", VARIANTS)
def test_loaded_rules_answer_to_the_last_bit(tmp_path: Path, variant: str) -> None:
    catalogue = _two_models()
    answers = search(catalogue, _params(variant))
    answers.rules.save(tmp_path)
    loaded = Rules.load(tmp_path)
    again = answer_queries(catalogue, catalogue.where(TEST), catalogue.labelled, loaded)
    pd.testing.assert_frame_equal(again, answers.test, check_exact=True)
    np.testing.assert_array_equal(loaded.threshold.curve, answers.rules.threshold.curve)
    assert loaded.grouping == answers.rules.grouping
    assert loaded.params == answers.rules.params


@pytest.mark.parametrize("fewer", [True, False])
def test_the_expected_share_of_new_animals_holds_in_every_selection_of_photos(fewer: bool) -> None:
    """P(new) must not fall because rules were fitted without some of the new animals, nor rise without known ones."""
    catalogue, params = blurred(), WIDE.model_copy(update={"new": FIT.new.model_copy(update={"expected_new": 0.3})})
    train, asked = catalogue.train, catalogue.validation
    truth, new = catalogue.truth(asked, train)
    listed = look_up(catalogue, (1.0,), asked, train, params)
    animals = catalogue.codes[asked]
    checked = Checked(listed.ranking, truth, new, expected_weights(new, params.new))
    assert np.average(new, weights=checked.weights) == pytest.approx(0.3)
    rows = np.flatnonzero((new != fewer) | (animals % 3 == 0))  # a third of the new animals, or of the known ones
    rules = fit_rules(checked[rows], listed[rows], animals[rows], params)
    assert rules.calibration is not None
    ranking = blended(listed[rows].ranking, listed[rows].components, rules.blend)
    _, chance = rules.calibration.probabilities(ranking, rules.thresholds(listed[rows].species))
    assert np.average(chance, weights=expected_weights(new[rows], params.new)) == pytest.approx(0.3, abs=0.03)


def test_rules_without_probabilities(tmp_path: Path) -> None:
    """Where validation shows known animals alone, nothing is fitted: the default holds."""
    photos = blurred().photos
    kept = photos[~photos["identity"].isin([f"i{n}" for n in range(40, 50)])].drop(columns="code")
    array = np.random.default_rng(0).normal(size=(len(kept), 4)).astype(np.float32)
    vectors = Vectors(kept["image"], array / np.linalg.norm(array, axis=1, keepdims=True))
    catalogue = build_catalogue(kept, vectors)
    answers = search(catalogue, WIDE)
    assert answers.rules.calibration is None
    answers.rules.save(tmp_path)
    again = answer_queries(catalogue, catalogue.where(TEST), catalogue.labelled, Rules.load(tmp_path))
    pd.testing.assert_frame_equal(again, answers.test, check_exact=True)


@settings(max_examples=100)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 40), rising=st.booleans())
def test_knots_predict_what_scikit_learn_predicts(seed: int, count: int, rising: bool) -> None:
    rng = np.random.default_rng(seed)
    values, hits = np.round(rng.normal(size=count), 1), rng.random(count) < 0.5
    fitted = IsotonicRegression(y_min=0, y_max=1, increasing=rising, out_of_bounds="clip").fit(values, hits)
    curve = Isotonic(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist())
    curve = Isotonic(**json.loads(json.dumps({"x": curve.x, "y": curve.y})))
    asked = np.concatenate([values, rng.normal(size=200), [-9, 9]])
    np.testing.assert_array_equal(curve.predict(asked), fitted.predict(asked))


@pytest.fixture(scope="module")
def answers() -> Answers:
    return search(blurred(), WIDE)


def test_the_files_are_the_same_each_time(tmp_path: Path, answers: Answers) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    answers.rules.save(tmp_path / "a")
    Rules.load(tmp_path / "a").save(tmp_path / "b")
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_rules_of_an_earlier_version_load(tmp_path: Path, answers: Answers) -> None:
    answers.rules.save(tmp_path)
    state = json.loads((tmp_path / "rules.json").read_text())
    del state["params"]["encounter"], state["together"]
    (tmp_path / "rules.json").write_text(json.dumps(state))
    assert Rules.load(tmp_path).params == answers.rules.params


@pytest.mark.parametrize("name", ["rules.json", "threshold_curve.npy"])
def test_a_missing_file_is_named(tmp_path: Path, answers: Answers, name: str) -> None:
    answers.rules.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError) as caught:
        Rules.load(tmp_path)
    assert str(caught.value) == f"{tmp_path / name} is missing: `dvc repro search` makes it"


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: "",
        lambda state: "{}",
        lambda state: "[]",
        lambda state: json.dumps(state | {"blend": {"smell": {"weight": 1.0, "fill": []}}}),
        lambda state: json.dumps(state | {"calibration": {"new": {"kind": "crystal ball"}}}),
        lambda state: json.dumps(state | {"params": state["params"] | {"shortlist": 2}}),
    ],
)
def test_damaged_rules_are_refused_in_one_line(tmp_path: Path, answers: Answers, damage: Any) -> None:
    answers.rules.save(tmp_path)
    path = tmp_path / "rules.json"
    path.write_text(damage(json.loads(path.read_text())))
    with pytest.raises(UserError) as caught:
        Rules.load(tmp_path)
    assert str(caught.value) == f"{path} is damaged or of another version: `dvc repro search` makes it anew"
