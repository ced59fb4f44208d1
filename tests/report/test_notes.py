"""The sentences that explain an order which numbers seem to contradict, by hand."""

import math

import pytest

from finprint.report.notes import Given, note, placed_by_probability
from finprint.store.tables import NEW

NAN = math.nan


@pytest.mark.parametrize(
    ("answers", "target", "expected"),
    [
        pytest.param([("al", 0.9, 0.8), (NEW, 0.5, 0.1), ("bo", 0.3, 0.05)], "map5", None, id="all agree"),
        pytest.param([("al", 0.9, 0.34), (NEW, 0.5, 0.34)], "map5", None, id="a tie is none"),
        pytest.param([("al", 0.9, NAN), (NEW, 0.5, NAN), ("bo", 0.3, NAN)], "map5", None, id="no probabilities"),
        pytest.param([(NEW, 0.5, NAN)], "map5", None, id="nobody is known"),
        pytest.param(
            [(NEW, 0.7, 0.2), ("al", 0.6, 0.61)], "known_called_new",
            "al is likelier (61 %) than a new individual (20 %), but stands below: the threshold that calls few known "
            "animals new decides the place of a new individual, not the chances.", id="the threshold calls it new",
        ),
        pytest.param(
            [("al", 0.7, 0.1), ("bo", 0.6, 0.05), (NEW, 0.4, 0.8)], "fixed",
            "a new individual is likelier (80 %) than al (10 %), but stands below: the threshold of params.yaml "
            "decides the place of a new individual, not the chances.", id="the threshold calls it known",
        ),
        pytest.param(
            [("al", 0.7, 0.1), ("bo", 0.6, 0.104)], "map5",
            "bo is likelier (10.4 %) than al (10.0 %), but stands below: the scores decide this order, not the "
            "chances.",
            id="two individuals",
        ),
        pytest.param(
            [(NEW, 0.669, 0.3352), ("al", 0.669, 0.3351), ("bo", 0.6, 0.3)], "map5",
            "al scores above the threshold, but a new individual is likelier (33.52 %) than al alone (33.51 %): the "
            "rest is shared among individuals that look alike.", id="new above a score over the threshold",
        ),
        pytest.param(
            [("al", 0.6, 0.5), (NEW, 0.6, 0.4), ("bo", 0.5, 0.05)], "map5",
            "al scores below the threshold, but is likelier (50 %) than a new individual (40 %).",
            id="known below the threshold",
        ),
        pytest.param([("al", 0.6, 0.5), (NEW, 0.4, 0.4), ("bo", 0.4, 0.05)], "map5", None, id="no matter further down"),
    ],
)  # fmt: skip
def test_by_hand(answers: list[tuple[str, float, float]], target: str, expected: str | None) -> None:
    assert note([Given(*answer) for answer in answers], target) == expected


def test_a_new_individual_with_a_neighbours_score_was_placed_by_its_probability() -> None:
    assert placed_by_probability([Given("al", 0.6, 0.5), Given(NEW, 0.4, 0.4), Given("bo", 0.4, 0.05)])
    assert not placed_by_probability([Given("al", 0.6, 0.5), Given(NEW, 0.5, 0.4), Given("bo", 0.4, 0.05)])
    assert not placed_by_probability([Given("al", 0.6, 0.5), Given("bo", 0.6, 0.4)])
