"""How honest about new animals a small catalogue is: today's rules beside the ones before them, on draws of a real one.

The vectors are those of round 1 of a finished run, given by its folder `data`. A draw is a catalogue of a few
individuals with a few photos each. A fifth of them are individuals that the run held out of training, as `prepare`
holds them out; of the others, photos that the model learned from are for training, the rest validate or are to
identify. The new animals among those to identify are held-out ones as well, which the catalogue does not hold. So the
model has seen no photo that is asked for; but it has learned from more individuals than a small catalogue has. In the
activated environment:
python bench/small_catalogues.py data [--draws 10] [--individuals 25 --photos 8 --queries 40 --new 17] [--prior]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from overrides import parsed

from finprint.answers.params import Search
from finprint.answers.scoring import blended
from finprint.answers.search import search
from finprint.answers.shortlist import look_up
from finprint.base.cli import run
from finprint.base.params import changed
from finprint.evaluation.judging import Judged, judged_test, judged_validation
from finprint.matching.calibration import ALIKE, fit_new, told_apart
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.matching.metrics import calibration_error
from finprint.matching.openset import Checked
from finprint.params import load_params
from finprint.store.tables import PHOTOS, TEST, TRAIN, VALIDATION, read_table
from finprint.store.vectors import Vectors, read_vectors

# What was done before: with nobody held out nothing was fitted. The nearest photo's cosine, against 0.5.
BEFORE = {"blend": "nearest", "new.target": "fixed", "new.value": 0.5}
WAYS: dict[str, Mapping[str, Any]] = {
    "before": BEFORE,
    "now": {},
    "now, expected_new: validation": {"new.expected_new": "validation"},
    "now, expected_new: 0.15": {"new.expected_new": 0.15},
    "now, expected_new: 0.5": {"new.expected_new": 0.5},
}
COLUMNS = ("map5", "baks", "baus", "known_called_new", "auroc_new", "ece", "threshold")


@dataclass(frozen=True)
class Size:
    """How large a catalogue is drawn, and how many photos are to identify, `new` of them of animals not in it."""

    individuals: int
    photos: int
    queries: int
    new: int


def main(
    data: Path,
    draws: int = 10,
    individuals: int = 25,
    photos: int = 8,
    queries: int = 40,
    new: int = 17,
    prior: Annotated[bool, typer.Option(help="only what the prior of P(new) is taken from")] = False,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE of search, for every way")] = None,
) -> None:
    table, vectors = read_table(data / "photos.parquet", PHOTOS), read_vectors(data / "round1")
    params = changed(load_params().search, parsed(set_))
    if prior:
        print(place_of(build_catalogue(table, vectors), params))
        return
    size = Size(individuals, photos, queries, new)
    rows, judged = [], {name: list[Judged]() for name in WAYS}
    for seed in range(draws):
        catalogue, truth = drawn(table, vectors, size, seed)
        for name, change in WAYS.items():
            answers = search(catalogue, changed(params, change))
            test = judged_test(catalogue, answers.test, truth)
            judged[name].append(test)
            promised = judged_validation(catalogue, answers.validation).metrics()
            numbers = test.metrics() | {"threshold": answers.rules.threshold.value}
            if name == "before":
                del numbers["ece"]  # there were no probabilities
            rows.append({"way": name} | numbers | {f"{key} promised": value for key, value in promised.items()})
    told = pd.DataFrame(rows)
    told = told.reindex(columns=["way", *COLUMNS, "baus promised", "baks promised"])
    mean = told.groupby("way", sort=False).mean()
    mean["ece of all"] = pd.Series({name: pooled_error(ones) for name, ones in judged.items() if name != "before"})
    mean["draws with baus >= 0.6"] = told.groupby("way")["baus"].agg(lambda values: (values >= 0.6).mean())
    print(mean.round(3).T.to_string())


def drawn(photos: pd.DataFrame, vectors: Vectors, size: Size, seed: int) -> tuple[Catalogue, pd.DataFrame]:
    """The catalogue of one draw, and the table `TRUTH` of its photos to identify."""
    rng = np.random.default_rng([seed, 18])
    labelled = photos[photos["identity"].notna() & (photos["split"] != TEST)]
    labelled = labelled.iloc[rng.permutation(len(labelled))]
    learned = labelled["identity"].isin(labelled.loc[labelled["split"] == TRAIN, "identity"])
    fresh = labelled[learned & (labelled["split"] == VALIDATION)]  # that the model has not seen, of animals that it has
    unseen = rng.permutation(np.unique(labelled.loc[~learned, "identity"].to_numpy(str)))
    held = unseen[: min(size.individuals // 5, len(unseen) // 2)]
    often = fresh["identity"].value_counts()
    often = rng.permutation(sorted(often.index[often > 1]))[: size.individuals - len(held)]
    out = labelled[labelled["identity"].isin(held)]
    out_kept = out[out.groupby("identity").cumcount() < size.photos]
    mine = fresh[fresh["identity"].isin(often)]
    checked = mine[mine.groupby("identity").cumcount() < size.photos // 6]
    train = labelled[labelled["identity"].isin(often) & (labelled["split"] == TRAIN)]
    train = train[train.groupby("identity").cumcount() < size.photos - size.photos // 6]
    rest = pd.concat([mine.drop(checked.index), out.drop(out_kept.index)])
    known = rest.iloc[rng.permutation(len(rest))].head(size.queries - size.new)
    others = labelled[labelled["identity"].isin(unseen[len(held) :])]
    strangers = others[others.groupby("identity").cumcount() < 1 + size.new // max(1, len(unseen) - len(held))]
    asked = pd.concat([known, strangers.head(size.new)])
    parts = [train, checked.assign(split=VALIDATION), out_kept, asked.assign(split=TEST)]
    chosen = pd.concat(parts, ignore_index=True)
    return build_catalogue(chosen, vectors), asked[["image", "identity"]].reset_index(drop=True)


def pooled_error(judged: list[Judged]) -> float:
    """The calibration error of the first answers of all draws together; NaN without probabilities."""
    told = np.concatenate([one.outcomes.confidence for one in judged])
    right = np.concatenate([one.outcomes.place == 0 for one in judged])
    return calibration_error(told, right, np.ones(len(told))) if np.isfinite(told).all() else float("nan")


def place_of(catalogue: Catalogue, params: Search) -> str:
    """Where new animals stand among the scores of a whole catalogue, in the prior's units, and how alike one's are."""
    train, validation = catalogue.train, catalogue.validation
    listed = look_up(catalogue, (1.0,), validation, train, params)
    truth, new = catalogue.truth(validation, train)
    rules = search(catalogue, params).rules
    ranking = blended(listed.ranking, listed.components, rules.blend)
    told = told_apart(Checked(ranking, truth, new, np.ones(len(new))), np.zeros(len(new)), catalogue.codes[validation])
    curve, unit = fit_new(told), told.unit()
    zero = -(curve.constant - np.log(told.share / (1 - told.share))) / curve.slope
    place = (zero - unit.low) / unit.size
    steep = np.log(-curve.slope * unit.size) - 2 * np.log(unit.size / unit.spread)
    means = pd.Series(told.values[new]).groupby(told.animals[new])
    within = float((means.transform(lambda one: one - one.mean()) ** 2).sum() / max(1, new.sum() - means.ngroups))
    alike = 1 - within / float(np.var(told.values[new], ddof=1))
    mean = (told.values[new].mean() - unit.low) / unit.size
    return (
        f"{means.ngroups} new animals, {new.sum()} photos; their mean {mean:.2f}, place {place:.2f}, "
        f"steepness {steep:.2f}; distance {unit.size / unit.spread:.2f} standard deviations; "
        f"photos of one animal are alike by {alike:.2f} (taken: {ALIKE})"
    )


if __name__ == "__main__":
    run(main)
