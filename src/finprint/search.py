"""Answers: for every query five names, best first, `new_individual` among them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from finprint.openset import Threshold, fit_threshold, with_new
from finprint.params import Search
from finprint.ranking import NOBODY, Ranking, rank
from finprint.tables import NEW, TEST, TRAIN, VALIDATION
from finprint.vectors import Catalogue


@dataclass(frozen=True)
class Answers:
    """What a search found.

    Attributes:
        validation: table `ANSWERS` of the validation photos, searched in the training photos.
        test: table `ANSWERS` of the test photos, searched in all labelled photos.
        threshold: the cosine below which an animal is new, and the curve of its choice.
        fitted: was the threshold fitted on validation?
    """

    validation: pd.DataFrame
    test: pd.DataFrame
    threshold: Threshold
    fitted: bool


def search(known: Catalogue, params: Search) -> Answers:
    """Rank individuals for the validation and the test photos; the threshold comes from validation alone."""
    codes = known.photos["code"].to_numpy()

    def ranked(queries: np.ndarray, gallery: np.ndarray) -> Ranking:
        return rank(known.array[queries], known.array[gallery], codes[gallery], neighbours=params.neighbours)

    train, validation, test = known.train, known.validation, known.where(TEST)
    checked = ranked(validation, train)
    truth, new = known.truth(validation, train)
    fits = bool(new.any() and not new.all())
    if params.new_threshold != "fit":
        value: float = params.new_threshold
    elif not fits:
        value = params.new_default
    threshold = fit_threshold(checked, truth, new) if fits else Threshold(value, np.zeros((0, 2)))
    fitted = fits and params.new_threshold == "fit"
    if not fitted:
        threshold = Threshold(value, threshold.curve)
    gallery = known.where(TRAIN, VALIDATION)
    return Answers(
        validation=_table(known, checked, threshold.value, validation, train),
        test=_table(known, ranked(test, gallery), threshold.value, test, gallery),
        threshold=threshold,
        fitted=fitted,
    )


def _table(
    known: Catalogue, ranking: Ranking, threshold: float, queries: np.ndarray, gallery: np.ndarray
) -> pd.DataFrame:
    """A ranking with `new_individual` put in, as rows of the table `ANSWERS`."""
    new = len(known.names)
    codes, scores, photos = with_new(ranking, threshold, new)
    images = known.photos["image"].to_numpy(object)
    names = np.append(known.names.astype(object), NEW)
    rows = pd.DataFrame(
        {
            "query": np.repeat(images[queries], codes.shape[1]),
            "rank": np.tile(np.arange(1, codes.shape[1] + 1), len(queries)),
            "code": codes.ravel(),
            "score": scores.ravel().astype(float),
            "photo": photos.ravel(),
        }
    )
    rows = rows[rows["code"] != NOBODY]
    matches = np.array([*images[gallery], None], dtype=object)  # NOBODY, -1, is the last
    return rows.assign(identity=names[rows["code"]], match=matches[rows["photo"]]).drop(columns=["code", "photo"])


def submission(answers: pd.DataFrame, photos: pd.DataFrame, queries: list[str]) -> pd.DataFrame:
    """The table (image, predictions) in the order of `queries`; each has an answer.

    A photo that could not be read is answered `new_individual` and the individuals of most photos.
    """
    found = answers.sort_values(["query", "rank"]).groupby("query")["identity"].agg(" ".join)
    often = photos.loc[photos["split"] != TEST, "identity"].dropna().value_counts()
    fallback = [NEW, *sorted(often.index, key=lambda name: (-often[name], name))[:4]]
    predictions = [found.get(query, " ".join(fallback)) for query in queries]
    return pd.DataFrame({"image": queries, "predictions": predictions})
