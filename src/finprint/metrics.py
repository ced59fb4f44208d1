"""How good answers are. Q queries, 5 answers each, best first; names are strings."""

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from finprint.tables import NEW


def hit_places(answers: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The place, 0 to 4, of the true name among each query's answers; 5 where it is not there.

    Args:
        answers: (Q, 5) names; places without an answer hold "".
        truth: (Q,) names, `new_individual` for an animal that is not in the gallery.
    """
    hits = answers == truth[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1), answers.shape[1])


def map5(places: np.ndarray) -> float:
    """Mean average precision at 5 with one true name a query: the mean of 1/rank, 0 beyond the fifth.

    Args:
        places: (Q,) of `hit_places`.
    """
    return float(np.where(places < 5, 1 / (1 + places), 0).mean())


def cmc(places: np.ndarray, answers: int = 5) -> np.ndarray:
    """Cumulative match characteristic: (answers,) the shares of queries answered rightly by rank 1, 2, ..."""
    return np.array([(places <= k).mean() for k in range(answers)])


def scores_of(answers: np.ndarray, truth: np.ndarray, best: np.ndarray) -> dict[str, float]:
    """The metrics of one set of queries, by the names that scientists use.

    Args:
        answers: (Q, 5) names.
        truth: (Q,) names, `new_individual` for an animal that is not in the gallery.
        best: (Q,) the best known individual's score.

    Returns:
        `queries`; `map5`; `top1`, `top5`; `new_rate`, the share answered `new_individual` first, and
        `new_share`, the true one; `known_called_new`, the false-negative rate, by which abundance is
        overestimated; where both kinds of query are there, `auroc_new`, of -`best` against being new,
        `baks` and `baus`, the balanced accuracy on known individuals (mean over individuals) and the
        accuracy on unknown ones (AnimalCLEF 2025), and `bak_baus_gm`, their geometric mean.
    """
    places = hit_places(answers, truth)
    new = truth == NEW
    says_new = answers[:, 0] == NEW
    found = {
        "queries": len(truth),
        "map5": map5(places),
        "top1": float((places == 0).mean()),
        "top5": float((places < 5).mean()),
        "new_rate": float(says_new.mean()),
        "new_share": float(new.mean()),
    }
    if (~new).any():
        found["known_called_new"] = float(says_new[~new].mean())
    if new.any() and (~new).any():
        found["auroc_new"] = float(roc_auc_score(new, -best))
        right = places == 0
        baks = float(np.mean([right[truth == name].mean() for name in np.unique(truth[~new])]))
        baus = float(right[new].mean())
        found |= {"baks": baks, "baus": baus, "bak_baus_gm": float(np.sqrt(baks * baus))}
    return found


def judge(answers: pd.DataFrame, truth: pd.Series) -> dict[str, float]:
    """`scores_of` a table of answers.

    Args:
        answers: table `ANSWERS`.
        truth: right name by image; queries that are not in it do not count.
    """
    names = names_by_query(answers, truth.index)
    known = answers[answers["identity"] != NEW].groupby("query")["score"].max()
    best = known.reindex(truth.index).fillna(-1.0).to_numpy(float)
    return scores_of(names, truth.to_numpy(str), best)


def names_by_query(answers: pd.DataFrame, queries: pd.Index) -> np.ndarray:
    """A table `ANSWERS` as (Q, 5) names, in the order of `queries`; "" where a query has fewer."""
    wide = answers.pivot(index="query", columns="rank", values="identity")
    return wide.reindex(index=queries, columns=range(1, 6)).astype(object).fillna("").to_numpy(str)
