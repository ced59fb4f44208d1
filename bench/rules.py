"""What the rules of a search are worth on finished runs, each judged on animals that they were not fitted to.

For each run, given by its folder `data`, the rules are fitted to the validation photos of four fifths of the animals,
and answer those of the others, until all are answered; and again with other fifths. A table says how good these answers
are by several settings of `search`; `by chance` is the calibration error that perfect probabilities of the same size
would show. Another says how well several statistics of the scores tell new animals (AUROC). With --small, these are
measured on the photos to identify of small catalogues drawn from a run, too (see small_catalogues.py). Vectors and
local scores stay as the run made them. In the activated environment:
python bench/rules.py data other/data [--small data] [--draws 5] [--only "as it is"]
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from overrides import parsed
from scipy.special import logsumexp
from small_catalogues import Size, drawn
from trainings import picked

from finprint.answers.params import Search
from finprint.answers.rules import Rules, expected_weights, fit_rules
from finprint.answers.scoring import blended, fit_blend
from finprint.answers.search import answer, perhaps_together, search
from finprint.answers.shortlist import Shortlist, look_up
from finprint.base.cli import run
from finprint.base.params import changed
from finprint.evaluation.judging import judged_test, judged_validation
from finprint.keypoints.tables import read_local_scores
from finprint.matching.calibration import animal_folds
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.matching.metrics import auroc, calibration_error
from finprint.matching.openset import Checked
from finprint.params import load_params
from finprint.store.tables import NEW, PHOTOS, TEST, read_table
from finprint.store.vectors import read_vectors

LOOK = "look"  # key of a way: which columns of the second look count; without it all. Other keys are of search
WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "photos of an encounter together": {"encounter": "fit"},
    "nearest photo alone": {"blend": "nearest"},
    "expected_new: 0.15": {"new.expected_new": 0.15},
    "expected_new: validation": {"new.expected_new": "validation"},
    "no second look": {LOOK: []},
    "descriptors alone": {LOOK: ["descriptors"]},
    "matched pairs alone": {LOOK: ["keypoints"]},
}
COLUMNS = ("map5", "top1_known", "baks", "baus", "auroc_new", "ece", "by chance")
WARM = 0.05  # temperature of a softmax over scores; cosines of one animal's photos differ by about as much


def _others(scores: np.ndarray, count: int | None = None) -> np.ndarray:
    return np.nanmean(scores[:, 1:count], axis=1)


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "best score": lambda s: s[:, 0],
    "... minus the second": lambda s: s[:, 0] - s[:, 1],
    "... minus the mean of the next four": lambda s: s[:, 0] - _others(s, 5),
    "... minus the mean of the shortlist": lambda s: s[:, 0] - _others(s),
    "... minus half of that": lambda s: s[:, 0] - _others(s) / 2,
    "... in standard deviations of it": lambda s: (s[:, 0] - _others(s)) / np.nanstd(s[:, 1:], axis=1),
    "logarithm of the sum of exponentials": lambda s: logsumexp(np.nan_to_num(s, nan=-1e9) / WARM, axis=1),
    "greatest share of a softmax": lambda s: 1 / np.nansum(np.exp((s - s[:, :1]) / WARM), axis=1),
}


def main(
    data: list[Path],
    small: Annotated[Path | None, typer.Option(help="the run that small catalogues are drawn from")] = None,
    draws: Annotated[int, typer.Option(help="of the animals' fifths, and of small catalogues")] = 5,
    only: Annotated[list[str] | None, typer.Option(help="ways; else all")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of search, for every way")] = None,
) -> None:
    base = changed(load_params().search, parsed(set_))
    rows, told = [], {}
    for folder in data:
        catalogue = finished(folder)
        params = base.model_copy(update={"shortlist": listed_for(catalogue, base)})
        for way in picked(only, WAYS):
            settings = dict(WAYS[way])
            seen = looked(catalogue, settings.pop(LOOK, None))
            rows += judged(seen, changed(params, settings), draws, {"run": str(folder), "way": way})
        told[str(folder)] = statistics(catalogue, params, draws)
    if small is not None:
        told[f"small catalogues of {small}"] = of_small(small, base, draws)
    table = pd.DataFrame(rows).groupby(["run", "way"], sort=False)[[*COLUMNS, "judged together"]].agg(["mean", "std"])
    for (name, way), line in table.iterrows():
        values = [f"{c} {line[c, 'mean']:.3f} ± {np.nan_to_num(line[c, 'std']):.3f}" for c in COLUMNS]
        print(f"{name}, {way}: {', '.join(values)}; judged together in {line['judged together', 'mean']:.0%}")
    print("AUROC of new", pd.DataFrame(told).round(3).to_string(), sep="\n")


def finished(folder: Path) -> Catalogue:
    """The catalogue of a finished run, with its second look if there was one."""
    rounds = [read_vectors(folder / name) for name in ("round1", "round2")]
    catalogue = build_catalogue(read_table(folder / "photos.parquet", PHOTOS), *rounds)
    there = (folder / "match").is_dir()
    return replace(catalogue, local_scores=read_local_scores(folder / "match") if there else None)


def looked(catalogue: Catalogue, columns: list[str] | None) -> Catalogue:
    """The catalogue with some columns of its second look; None: all."""
    scores = catalogue.local_scores
    if scores is None or columns is None:
        return catalogue
    return replace(catalogue, local_scores=scores[columns].reindex(columns=scores.columns))


def listed_for(catalogue: Catalogue, params: Search) -> int:
    """How many individuals are scored: up to 200 if photos were compared by descriptors, because these also find
    animals whose vectors are far away."""
    scores = catalogue.local_scores
    compared = scores is not None and scores["descriptors"].notna().any()
    return min(200, max(len(catalogue.names), params.shortlist)) if compared else params.shortlist


def validation(catalogue: Catalogue, params: Search) -> tuple[Shortlist, Checked, np.ndarray]:
    """The validation photos looked up, with what is true and their animals."""
    train, asked = catalogue.train, catalogue.validation
    truth, new = catalogue.truth(asked, train)
    weights = expected_weights(new, params.new)
    members = len(catalogue.members)
    listed = look_up(catalogue, [1 / members] * members, asked, train, params)
    checked = Checked(listed.ranking, truth, new, weights)
    if params.encounter == "fit":
        listed = perhaps_together(catalogue, listed, checked)
    return listed, checked, catalogue.codes[asked]


def judged(catalogue: Catalogue, params: Search, draws: int, named: dict[str, str]) -> list[dict[str, Any]]:
    """The metrics of the cross-fitted answers, a row for each draw."""
    listed, checked, animals = validation(catalogue, params)
    rows = []
    for draw in range(draws):
        folds, tables = animal_folds(animals, draw), []
        for fold in np.unique(folds):
            mine, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            rules = fit_rules(checked[rest], listed[rest], animals[rest], params)
            tables.append(answer(catalogue, listed[mine], rules))
        answers = judged_validation(catalogue, pd.concat(tables, ignore_index=True))
        own = {"by chance": by_chance(answers.outcomes.confidence), "judged together": float(listed.together)}
        rows.append(named | answers.metrics() | own)
    return rows


def by_chance(told: np.ndarray) -> float:
    """The calibration error of (Q,) probabilities that are perfect, the mean of 100 draws."""
    rng, weights = np.random.default_rng(0), np.ones(len(told))
    return float(np.mean([calibration_error(told, rng.random(len(told)) < told, weights) for _ in range(100)]))


def statistics(catalogue: Catalogue, params: Search, draws: int) -> dict[str, float]:
    """AUROC of new by each statistic of the scores in validation, blended by weights fitted to other animals."""
    listed, checked, animals = validation(catalogue, params)
    values: dict[str, list[float]] = {name: [] for name in STATISTICS}
    for draw in range(draws):
        folds = animal_folds(animals, draw)
        scores = np.zeros(checked.ranking.scores.shape)
        for fold in np.unique(folds):
            mine, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            blend, _ = fit_blend(checked[rest], listed[rest].components)
            scores[mine] = blended(listed[mine].ranking, listed[mine].components, blend).scores
        for name, value in areas(scores, checked.new).items():
            values[name].append(value)
    return {name: float(np.mean(some)) for name, some in values.items()}


def of_small(folder: Path, params: Search, draws: int) -> dict[str, float]:
    """The same on the photos to identify of small catalogues, by rules fitted to their validation photos."""
    photos, vectors = read_table(folder / "photos.parquet", PHOTOS), read_vectors(folder / "round1")
    each = []
    for seed in range(draws):
        catalogue, truth = drawn(photos, vectors, Size(25, 8, 40, 17), seed)
        answers = search(catalogue, params)
        test = judged_test(catalogue, answers.test, truth)
        scores = test_scores(catalogue, answers.rules)
        images = catalogue.photos["image"].iloc[catalogue.where(TEST)]
        each.append(areas(scores, (test.truth.reindex(images) == NEW).to_numpy()))
    return {name: float(np.mean([one[name] for one in each])) for name in STATISTICS}


def test_scores(catalogue: Catalogue, rules: Rules) -> np.ndarray:
    """(Q, K) scores of the photos to identify."""
    listed = rules.look_up(catalogue, catalogue.where(TEST), catalogue.labelled)
    return blended(listed.ranking, listed.components, rules.blend).scores


def areas(scores: np.ndarray, new: np.ndarray) -> dict[str, float]:
    """AUROC of new by each statistic of (Q, K) scores, -inf where there is nobody."""
    told = np.where(np.isfinite(scores), scores, np.nan).astype(float)
    return {name: auroc(-statistic(told), new, np.ones(len(new))) for name, statistic in STATISTICS.items()}


if __name__ == "__main__":
    run(main)
