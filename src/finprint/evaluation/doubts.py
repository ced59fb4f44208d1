"""Labelled photos to look at again: the model, which has not learned from them, contradicts them or cannot decide."""

import numpy as np
import pandas as pd

from finprint.evaluation.judging import Judged

SURE = 0.9  # probability from which on another answer contradicts the label
TORN = (0.5, 0.6)  # probabilities of the first answer at which the model cannot decide
COLUMNS = ["image", "identity", "answered", "probability", "match", "why"]


def confusing(opinions: list[Judged]) -> pd.DataFrame:
    """Photos to be looked at again, the surest contradictions first.

    Args:
        opinions: on labelled photos, out of fold: neither the model nor the rules of an answer have seen its animal's
            labels. Those are the answers to the validation photos, and `answers.search.out_of_fold`.

    Returns:
        A table of `COLUMNS`: the photo, whom its label names, whom the model names with what probability and by which
        photo, and why it is listed: contradicted or undecided.
    """
    first = pd.concat([_first_answers(judged) for judged in opinions])
    sure = ~first["right"] & (first["probability"] > SURE)
    torn = first["probability"].between(*TORN)
    first["why"] = np.where(sure, "contradicted", "undecided")
    listed = first[sure | torn].sort_values(["why", "probability", "query"], ascending=[True, False, True])
    listed = listed.rename(columns={"identity": "answered"}).rename(columns={"query": "image", "labelled": "identity"})
    return listed[COLUMNS].reset_index(drop=True)


def next_known(opinions: list[Judged]) -> pd.DataFrame:
    """The best known individual of each query and the photo that looked most alike: (identity, match) by query."""
    answers = pd.concat([judged.answers for judged in opinions]).dropna(subset="match")
    return answers.sort_values(["query", "rank"]).drop_duplicates("query").set_index("query")[["identity", "match"]]


def rivals(opinions: list[Judged], listed: pd.DataFrame) -> pd.DataFrame:
    """The best answer to each photo listed that is not its label: (identity, probability, match) by query.

    Args:
        listed: table of `COLUMNS`.
    """
    answers = pd.concat([judged.answers for judged in opinions]).sort_values(["query", "rank"])
    others = answers[answers["identity"] != answers["query"].map(listed.set_index("image")["identity"])]
    asked = others[others["query"].isin(listed["image"])].drop_duplicates("query")
    return asked.set_index("query")[["identity", "probability", "match"]]


def _first_answers(judged: Judged) -> pd.DataFrame:
    first = judged.answers[(judged.answers["rank"] == 1) & judged.answers["query"].isin(judged.truth.index)]
    return first.assign(
        right=first["identity"] == first["query"].map(judged.truth), labelled=first["query"].map(judged.animals)
    )
