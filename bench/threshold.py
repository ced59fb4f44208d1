"""Why the threshold is bagged: MAP@5 lost on fresh queries by `best_map5` and by `bagged_map5`, by validation's size.

The model: 15 % of the queries are new, of best score N(0.5, 0.1); that of known ones is N(0.68, 0.13), and right with
chance 1 / (1 + exp(-14 (score - 0.5))), else the animal is at place 2 to 5 or, with chance 3/7, not among the five. The
next scores lie 0.08 to 0.11 below, then 0.05 each. In the activated environment: python bench/threshold.py
"""

import numpy as np
import typer

from finprint.matching.names import UNKNOWN
from finprint.matching.openset import Checked, Threshold, bagged_map5, best_map5
from finprint.matching.ranking import ANSWERS, Ranking

SIZES = (150, 250, 600, 2000)
NEW_SHARE = 0.15


def main(draws: int = 100, fresh: int = 200_000) -> None:
    test = best_map5(draw(fresh, np.random.default_rng(99)))
    print(f"best MAP@5 on {fresh} fresh queries: {test.curve[:, 1].max():.4f} at threshold {test.value:.3f}")
    print("validation   best_map5: regret  spread   bagged_map5: regret  spread   bagging better in")
    for size in SIZES:
        single, bagged = [], []
        for seed in range(draws):
            checked = draw(size, np.random.default_rng(seed))
            single.append(best_map5(checked).value)
            bagged.append(bagged_map5(checked))
        lost = [regret(test, np.array(values)) for values in (single, bagged)]
        print(
            f"{size:10d} {lost[0].mean():19.5f} {np.std(single):7.3f} {lost[1].mean():21.5f} {np.std(bagged):7.3f}"
            f" {np.mean(lost[1] < lost[0]):14.0%}"
        )


def draw(count: int, rng: np.random.Generator) -> Checked:
    """Ranked queries of the model."""
    new = rng.random(count) < NEW_SHARE
    best = np.where(new, rng.normal(0.5, 0.1, count), rng.normal(0.68, 0.13, count))
    right = rng.random(count) < 1 / (1 + np.exp(-14 * (best - 0.5)))
    behind = 0.08 + 0.05 * np.arange(ANSWERS - 1) + 0.03 * rng.random((count, ANSWERS - 1))
    scores = np.column_stack([best, best[:, None] - behind]).astype(np.float32)
    codes = np.tile(np.arange(ANSWERS), (count, 1))
    truth = np.where(new, UNKNOWN, np.where(right, 0, rng.integers(1, 8, count)))
    return Checked(Ranking(codes, scores, codes, scores), truth, new, np.ones(count))


def regret(test: Threshold, values: np.ndarray) -> np.ndarray:
    """MAP@5 lost by each threshold against the best one."""
    return test.curve[:, 1].max() - np.interp(values, test.curve[:, 0], test.curve[:, 1])


if __name__ == "__main__":
    typer.run(main)
