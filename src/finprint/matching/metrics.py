"""How good answers are: the metrics of Q queries with five answers each, best first."""

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from finprint.store.tables import NEW

BINS = 15  # of confidence, for the calibration error (Guo et al. 2017)


@dataclass(frozen=True)
class Outcomes:
    """What became of Q queries.

    Attributes:
        place: (Q,) the place, 0 to 4, of the right answer; 5 where it is not among the five.
        new: (Q,) bool, the animal is not in the gallery.
        says_new: (Q,) bool, `new_individual` is the first answer.
        best: (Q,) score of the best known individual.
        confidence: (Q,) probability given to the first answer; NaN where none was fitted.
        individual: (Q,) int, equal for photos of one animal.
    """

    place: np.ndarray
    new: np.ndarray
    says_new: np.ndarray
    best: np.ndarray
    confidence: np.ndarray
    individual: np.ndarray

    def __len__(self) -> int:
        return len(self.place)

    def __getitem__(self, rows: np.ndarray) -> "Outcomes":
        return Outcomes(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def outcomes(answers: pd.DataFrame, truth: pd.Series, animals: pd.Series) -> Outcomes:
    """Compare answers with the truth.

    Args:
        answers: table `ANSWERS`.
        truth: right answers by image, names of the gallery or `new_individual`; queries without a truth do not
            count.
        animals: the animals' own names, by image.
    """
    names = names_by_query(answers, truth.index)
    first = answers[answers["rank"] == 1].set_index("query")["probability"]
    known = answers[answers["identity"] != NEW].groupby("query")["score"].max()
    right = truth.to_numpy(str)
    return Outcomes(
        place=hit_places(names, right),
        new=right == NEW,
        says_new=names[:, 0] == NEW,
        best=known.reindex(truth.index).fillna(-1.0).to_numpy(float),
        confidence=first.reindex(truth.index).to_numpy(float),
        individual=pd.factorize(animals.loc[truth.index])[0],
    )


def names_by_query(answers: pd.DataFrame, queries: pd.Index) -> np.ndarray:
    """A table `ANSWERS` as (Q, 5) names, in the order of `queries`; "" where a query has fewer."""
    wide = answers.pivot(index="query", columns="rank", values="identity")
    return wide.reindex(index=queries, columns=range(1, 6)).astype(object).fillna("").to_numpy(str)


def hit_places(answers: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The place, 0 to K - 1, of the true name among each query's answers; K where it is not there.

    Args:
        answers: (Q, K) names or codes; a place without an answer holds one that no individual has.
        truth: (Q,) names or codes, that of `new_individual` for an animal that is not in the gallery.
    """
    hits = answers == truth[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1), answers.shape[1])


def gains(places: np.ndarray) -> np.ndarray:
    """(Q,) what each query adds to MAP@5, where each has one true name: 1/rank, 0 beyond the fifth."""
    return np.where(places < 5, 1 / (1 + places), 0.0)


def cmc(places: np.ndarray, answers: int = 5) -> np.ndarray:
    """Cumulative match characteristic: (answers,) the shares of queries answered rightly by rank 1, 2, ..."""
    return np.array([(places <= k).mean() for k in range(answers)])


def measure(queries: Outcomes, weights: np.ndarray | None = None) -> dict[str, float]:
    """The metrics of one set of queries.

    Args:
        queries: at least one.
        weights: (Q,) not negative, how often a query counts (for the bootstrap); None: once.

    Returns:
        `map5`, the mean average precision at 5; `top1`, `top5`; `new_rate`, the share answered
        `new_individual` first, and `new_share`, the true one. Where there are known animals:
        `known_called_new`, the false-negative rate, and `baks`, the balanced accuracy on them (mean over
        individuals). Where there are new ones: `new_called_known`, the false-positive rate, and `baus`, the
        accuracy on them (BAKS and BAUS: AnimalCLEF 2025). With both: `bak_baus_gm`, the geometric mean of
        the two; `auroc_new`, of -`best` against being new; `abundance_bias`, the share by which a
        Lincoln-Petersen estimate is too high if first answers are taken for true, because such an estimate is
        inversely proportional to the animals recognised. With confidences: `ece`, the expected
        calibration error of the first answer, in 15 bins of equal width (Guo et al., ICML 2017).
    """
    weight = np.ones(len(queries)) if weights is None else weights

    def mean(values: np.ndarray, rows: np.ndarray | slice = slice(None)) -> float:
        return float(np.average(values[rows], weights=weight[rows]))

    known = ~queries.new
    some_known, some_new = weight[known].sum() > 0, weight[queries.new].sum() > 0
    right = queries.place == 0
    numbers = {
        "map5": mean(gains(queries.place)),
        "top1": mean(right),
        "top5": mean(queries.place < 5),
        "new_rate": mean(queries.says_new),
        "new_share": mean(queries.new),
    }
    if some_known:
        numbers["known_called_new"] = mean(queries.says_new, known)
        photos = np.bincount(queries.individual[known])[queries.individual[known]]  # of the query's individual
        numbers["baks"] = float(np.average(right[known], weights=weight[known] / photos))
    if some_new:
        numbers["new_called_known"] = mean(~queries.says_new, queries.new)
        numbers["baus"] = mean(right, queries.new)
    if some_known and some_new:
        numbers["bak_baus_gm"] = float(np.sqrt(numbers["baks"] * numbers["baus"]))
        numbers["auroc_new"] = auroc(-queries.best, queries.new, weight)
        recognised = mean(~queries.says_new)
        if recognised > 0:
            numbers["abundance_bias"] = mean(known) / recognised - 1
    if np.isfinite(queries.confidence).all():
        numbers["ece"] = calibration_error(queries.confidence, right, weight)
    return numbers


def auroc(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive scores higher than a negative; a tie is worth half.

    Args:
        scores: (Q,), `positive`: (Q,) bool, `weights`: (Q,), positive for some of either kind.
    """
    _, level = np.unique(scores, return_inverse=True)
    up = np.bincount(level, np.where(positive, weights, 0.0))
    down = np.bincount(level, np.where(positive, 0.0, weights))
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))


def calibration_bins(confidence: np.ndarray) -> np.ndarray:
    """(Q,) the number of the bin, 0 to 14, that each confidence falls into."""
    return np.minimum((confidence * BINS).astype(int), BINS - 1)


def calibration_error(confidence: np.ndarray, right: np.ndarray, weights: np.ndarray) -> float:
    """Expected calibration error: the mean distance, over the bins, of confidence and share of right answers."""
    gap = np.bincount(calibration_bins(confidence), weights * (confidence - right), BINS)
    return float(np.abs(gap).sum() / weights.sum())


def reliability(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """The reliability plot's table: (confidence, right, queries), a row for each bin that holds queries."""
    table = pd.DataFrame({"bin": calibration_bins(confidence), "confidence": confidence, "right": right})
    bins = table.groupby("bin").agg(
        confidence=("confidence", "mean"), right=("right", "mean"), queries=("right", "size")
    )
    return bins.reset_index(drop=True)


def intervals(queries: Outcomes, draws: int, seed: int) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals (percentiles) of what `measure` gives; whole animals are drawn.

    Photos of one animal succeed and fail together, so drawing photos would understate the doubt.

    Args:
        draws: number of bootstrap samples.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    _, animal = np.unique(queries.individual, return_inverse=True)
    animals = int(animal.max()) + 1
    samples = [
        measure(queries, np.bincount(rng.integers(animals, size=animals), minlength=animals)[animal].astype(float))
        for _ in range(draws)
    ]
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    values = {name: [sample[name] for sample in samples if name in sample] for name in names}
    return {name: (float(np.quantile(v, 0.025)), float(np.quantile(v, 0.975))) for name, v in values.items()}


def agreement(animals: np.ndarray, proposed: np.ndarray) -> dict[str, float]:
    """How well the proposed individuals agree with the true ones.

    Args:
        animals: (N,) true names, `proposed`: (N,) proposed ones.

    Returns:
        `photos`, `animals`, `proposed`, the numbers; `adjusted_rand` index (Hubert and Arabie 1985).
    """
    from sklearn.metrics import adjusted_rand_score  # takes a second to import, for which `identify` need not wait

    return {
        "photos": len(animals),
        "animals": len(np.unique(animals)),
        "proposed": len(np.unique(proposed)),
        "adjusted_rand": float(adjusted_rand_score(animals, proposed)),
    }
