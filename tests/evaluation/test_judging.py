"""What a run is worth: which truths count, metrics by group, and agreement of proposed individuals."""

import numpy as np
import pandas as pd
import pytest
from examples import FIT

from finprint.answers.search import search
from finprint.evaluation.judging import (
    Judged,
    both,
    breakdown,
    grouping_agreement,
    judged_test,
    judged_validation,
    label_precision,
)
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.store.tables import NEW, TEST, TRAIN, VALIDATION
from finprint.store.vectors import Vectors

TRUTH = pd.DataFrame({"image": ["q1", "q2", "lost"], "identity": ["i0", "stranger", "i0"]}, dtype="string")


@pytest.fixture
def catalogue() -> Catalogue:
    rows = [(f"t{n}", f"i{n}", TRAIN, 60.0 * n) for n in range(6)]
    rows += [("v1", "i1", VALIDATION, 65.0), ("v2", "zoe", VALIDATION, 150.0)]
    rows += [("q1", None, TEST, 10.0), ("q2", None, TEST, 210.0), ("q3", None, TEST, 120.0)]
    photos = pd.DataFrame([row[:3] for row in rows], columns=["image", "identity", "split"]).astype("string")
    photos["species"] = pd.Series(["orca"] * 10 + ["beluga"], dtype="string")
    photos["viewpoint"] = pd.Series([None] * 9 + ["left", "right"], dtype="string")
    angles = np.radians([row[3] for row in rows])
    array = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    return build_catalogue(photos, Vectors(photos["image"], array))


def test_truth_of_a_test_photo_is_new_where_nobody_in_the_catalogue_bears_the_name(catalogue: Catalogue) -> None:
    answers = search(catalogue, FIT).test
    # `lost` was never searched (it could not be read), nobody knows q3.
    found = judged_test(catalogue, answers, TRUTH)
    assert found.truth.to_dict() == {"q1": "i0", "q2": NEW}
    assert found.animals.to_dict() == {"q1": "i0", "q2": "stranger"}
    told = TRUTH.assign(identity=["zoe", "i5", "i0"])  # a validation individual is in the catalogue
    assert judged_test(catalogue, answers, told).truth.to_dict() == {"q1": "zoe", "q2": "i5"}


def test_new_animals_without_a_name_are_animals_of_their_own(catalogue: Catalogue) -> None:
    told = pd.DataFrame({"image": ["q1", "q2", "q3"], "identity": ["i0", NEW, NEW]}, dtype="string")
    found = judged_test(catalogue, search(catalogue, FIT).test, told)
    assert found.truth.to_dict() == {"q1": "i0", "q2": NEW, "q3": NEW}
    assert found.animals.to_dict() == {"q1": "i0", "q2": "q2", "q3": "q3"}


def test_judged_validation(catalogue: Catalogue) -> None:
    found = judged_validation(catalogue, search(catalogue, FIT).validation)
    assert found.truth.to_dict() == {"v1": "i1", "v2": NEW}
    assert found.animals.to_dict() == {"v1": "i1", "v2": "zoe"}


def _judged(catalogue: Catalogue, truth: pd.DataFrame) -> dict[str, dict[str, float]]:
    # Of so few animals no threshold is fitted: 0.9 lies between cosines of 10 and of 30 degrees.
    given = FIT.new.model_copy(update={"target": "fixed", "value": 0.9})
    answers = search(catalogue, FIT.model_copy(update={"new": given}))
    return both(judged_validation(catalogue, answers.validation), judged_test(catalogue, answers.test, truth))


def test_metrics_of_both_splits(catalogue: Catalogue) -> None:
    found = _judged(catalogue, TRUTH)
    assert list(found) == ["validation", "test"]
    assert found["validation"]["map5"] == 1.0
    assert found["validation"]["queries"] == 2
    assert found["test"]["queries"] == 2
    # q1 is i0 at 10 degrees; q2 is nobody's, 30 degrees from i3 and i4: below the threshold.
    assert found["test"]["top1"] == 1.0
    assert found["test"]["bak_baus_gm"] == 1.0


def test_without_truth_there_are_no_metrics(catalogue: Catalogue) -> None:
    nothing = TRUTH.iloc[:0]
    assert list(_judged(catalogue, nothing)) == ["validation"]
    empty = judged_test(catalogue, search(catalogue, FIT).test, nothing)
    assert empty.metrics() == {}
    assert empty.cmc().shape == (0,)
    assert len(empty.reliability()) == 0
    assert len(breakdown({TEST: empty}, catalogue, 5, 0)) == 0
    assert both(empty, empty) == {}


def test_cmc_of_answers(catalogue: Catalogue) -> None:
    answers = search(catalogue, FIT).test
    first = answers[answers["query"] == "q1"]["identity"].tolist()
    told = pd.Series({"q1": first[2], "q3": "i2"})
    judged = Judged(answers, told, told)
    np.testing.assert_allclose(judged.cmc(), [0.5, 0.5, 1, 1, 1])
    assert judged.metrics()["map5"] == pytest.approx((1 / 3 + 1) / 2)


def test_breakdown_by_species_viewpoint_and_gallery_photos(catalogue: Catalogue) -> None:
    told = pd.DataFrame({"image": ["q1", "q2", "q3"], "identity": ["i1", "stranger", "i2"]}, dtype="string")
    found = breakdown({TEST: judged_test(catalogue, search(catalogue, FIT).test, told)}, catalogue, 20, 0)
    groups = found[found["metric"] == "map5"].set_index(["by", "group"])
    assert groups["queries"].to_dict() == {
        ("all", "all"): 3,
        ("species", "beluga"): 1,
        ("species", "orca"): 2,
        ("viewpoint", "left"): 1,  # the side of q1 is not told
        ("viewpoint", "right"): 1,
        ("gallery photos", "none (new)"): 1,
        ("gallery photos", "1"): 1,  # i2, in the training photos
        ("gallery photos", "2-3"): 1,  # i1, in those and in validation's
    }
    assert ((found["low"] <= found["value"] + 1e-9) & (found["value"] <= found["high"] + 1e-9)).all()
    whole = judged_test(catalogue, search(catalogue, FIT).test, told).metrics()
    assert groups.loc[("all", "all"), "value"] == pytest.approx(whole["map5"])


def test_grouping_agreement_counts_the_really_new_alone(catalogue: Catalogue) -> None:
    names = {"q1": "i0", "q2": "anna", "q3": "anna"}
    told = pd.DataFrame({"image": list(names), "identity": list(names.values())}, dtype="string")
    judged = judged_test(catalogue, search(catalogue, FIT).test, told)
    proposed = pd.DataFrame({"image": ["q1", "q2", "q3"], "proposed": ["new_0001", "new_0002", "new_0002"]})
    assert grouping_agreement(proposed, judged) == {
        "unknowns": {"photos": 2, "animals": 1, "proposed": 1, "adjusted_rand": 1.0}
    }
    assert grouping_agreement(proposed.iloc[:2], judged) == {}


def test_precision_of_pseudo_labels_counts_unknown_animals_as_wrong() -> None:
    labels = pd.DataFrame({"image": ["q1", "q2", "q9"], "identity": ["i0", "i4", "i4"], "score": 0.9})
    # q2 shows a stranger; nobody knows q9.
    assert label_precision(labels, TRUTH) == {"pseudo_labels": {"told": 2, "precision": 0.5}}
    assert label_precision(labels, TRUTH.iloc[:0]) == {}
    assert label_precision(labels.iloc[:0], TRUTH) == {}
