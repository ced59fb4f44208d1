"""What a run is worth: which truths count, and which metrics are there."""

import numpy as np
import pandas as pd
import pytest

from finprint import evaluation
from finprint.evaluation import Judged, both, judge_round, validation_truth
from finprint.params import Search
from finprint.search import search
from finprint.tables import NEW, TEST, TRAIN, VALIDATION
from finprint.vectors import Catalogue, Vectors, catalogue

PARAMS = Search(round1_share=0, neighbours=5, new_threshold="fit", new_default=0.5)
TRUTH = pd.DataFrame({"image": ["q1", "q2", "lost"], "identity": ["i0", "stranger", "i0"]}, dtype="string")


@pytest.fixture
def known() -> Catalogue:
    rows = [(f"t{n}", f"i{n}", TRAIN, 60.0 * n) for n in range(6)]
    rows += [("v1", "i1", VALIDATION, 65.0), ("v2", "zoe", VALIDATION, 150.0)]
    rows += [("q1", None, TEST, 10.0), ("q2", None, TEST, 210.0), ("q3", None, TEST, 120.0)]
    photos = pd.DataFrame([row[:3] for row in rows], columns=["image", "identity", "split"]).astype("string")
    angles = np.radians([row[3] for row in rows])
    array = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    return catalogue(photos, Vectors(photos["image"], array, ""))


def test_truth_of_a_test_photo_is_new_where_nobody_in_the_catalogue_bears_the_name(known: Catalogue) -> None:
    answers = search(known, PARAMS).test
    truth = evaluation.test_truth(known, TRUTH, answers)
    # `lost` was never searched (it could not be read), nobody knows q3.
    assert truth.to_dict() == {"q1": "i0", "q2": NEW}
    told = TRUTH.assign(identity=["zoe", "i5", "i0"])  # a validation individual is in the catalogue
    assert evaluation.test_truth(known, told, answers).to_dict() == {"q1": "zoe", "q2": "i5"}


def test_validation_truth(known: Catalogue) -> None:
    assert validation_truth(known).to_dict() == {"v1": "i1", "v2": NEW}


def test_judge_round_searches_as_the_stage_does(known: Catalogue) -> None:
    found = judge_round(known, TRUTH, PARAMS)
    assert list(found) == ["validation", "test"]
    assert found["validation"]["map5"] == 1.0
    assert found["validation"]["queries"] == 2
    assert found["test"]["queries"] == 2
    # q1 is i0 at 10 degrees; q2 is nobody's, 30 degrees from i3 and i4: below the threshold.
    assert found["test"]["top1"] == 1.0
    assert found["test"]["bak_baus_gm"] == 1.0


def test_without_truth_there_are_no_metrics(known: Catalogue) -> None:
    nothing = TRUTH.iloc[:0]
    assert list(judge_round(known, nothing, PARAMS)) == ["validation"]
    answers = search(known, PARAMS)
    empty = Judged(answers.test, evaluation.test_truth(known, nothing, answers.test))
    assert empty.metrics() == {}
    assert empty.cmc().shape == (0,)
    assert both(empty, empty) == {}


def test_cmc_of_answers(known: Catalogue) -> None:
    answers = search(known, PARAMS).test
    first = answers[answers["query"] == "q1"]["identity"].tolist()
    judged = Judged(answers, pd.Series({"q1": first[2], "q3": "i2"}))
    np.testing.assert_allclose(judged.cmc(), [0.5, 0.5, 1, 1, 1])
    assert judged.metrics()["map5"] == pytest.approx((1 / 3 + 1) / 2)
