"""A sentence for each photo whose answers stand in an order that their numbers seem to contradict."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from finprint.store.tables import NEW

DECIDES = {
    "known_called_new": "the threshold that calls few known animals new",
    "new_precision": "the threshold by which most animals called new are new",
    "new_share": "the threshold that calls a fixed share of the photos new",
    "fixed": "the threshold of params.yaml",
}


@dataclass(frozen=True, slots=True)
class Given:
    """One of the five answers to a photo.

    Attributes:
        identity: an individual, or `NEW`.
        score: see `ANSWERS`.
        probability: that the answer is right; NaN where there is none.
    """

    identity: str
    score: float
    probability: float


def placed_by_probability(answers: Sequence[Given]) -> bool:
    """Does `new_individual` stand where its threshold would not put it?

    Its score is then that of a neighbour, the nearest to the threshold that the order allows.
    """
    scores = [answer.score for answer in answers]
    return any(answer.identity == NEW and scores.count(answer.score) > 1 for answer in answers)


def note(answers: Sequence[Given], target: str = "map5") -> str | None:
    """Why these answers stand in their order, where their probabilities or the threshold say another one.

    Args:
        answers: to one photo, best first.
        target: `search.new.target`, by which the place of `new_individual` was chosen.

    Returns:
        A sentence; None where numbers and order agree.
    """
    likelier = next((pair for pair in _pairs(answers) if pair[1].probability > pair[0].probability), None)
    if likelier:
        first, second = likelier
        above, below = _percents(first, second)
        told = f"{_name(second)} is likelier ({below}) than {_name(first)} ({above})"
        if NEW in (first.identity, second.identity) and target in DECIDES:
            return (
                f"{told}, but stands below: {DECIDES[target]} decides the place of a new individual, not the chances."
            )
        return f"{told}, but stands below: the scores decide this order, not the chances."
    if (
        len(answers) < 2
        or NEW not in (answers[0].identity, answers[1].identity)
        or answers[0].score != answers[1].score
    ):
        return None
    known, new = sorted(answers[:2], key=lambda answer: answer.identity == NEW)
    shares = _percents(known, new)
    if answers[0] is new:
        return (
            f"{known.identity} scores above the threshold, but a new individual is likelier ({shares[1]}) than "
            f"{known.identity} alone ({shares[0]}): the rest is shared among individuals that look alike."
        )
    told = f"{known.identity} scores below the threshold, but is likelier ({shares[0]})"
    return f"{told} than a new individual ({shares[1]})."


def _pairs(answers: Sequence[Given]) -> list[tuple[Given, Given]]:
    """Each two answers of which the first stands above the second, and both have a probability."""
    told = [answer for answer in answers if not pd.isna(answer.probability)]
    return [(first, second) for place, first in enumerate(told) for second in told[place + 1 :]]


def _name(answer: Given) -> str:
    return "a new individual" if answer.identity == NEW else answer.identity


def _percents(*answers: Given) -> list[str]:
    """Their probabilities, with as many digits as tell them apart."""
    for digits in range(3):
        told = [f"{100 * answer.probability:.{digits}f} %" for answer in answers]
        if len(set(told)) == len(told):
            break
    return told
