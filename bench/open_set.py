"""The whole search at Happywhale's size, without photos: time, memory, and how good threshold and probabilities are.

Vectors of a known model (`bench/drawn.py`) on the identities of the real tables go through `search.search`. New animals
are individuals of which there is no labelled photo; their share varies by species. Test is never seen by any fit, so
the threshold's regret and the calibration error are told without bias. In the activated environment:
python bench/open_set.py [--scale 0.1] [--seeds 3] [--table FOLDER_OF_HAPPYWHALE_TABLES] [--variants]
"""

import resource
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import typer
from drawn import Animals, animals, directions, individual_centres, spread, unit
from sklearn.isotonic import IsotonicRegression

from finprint.answers.params import Search
from finprint.answers.results import propose
from finprint.answers.rules import fit_rules
from finprint.answers.scoring import blended
from finprint.answers.search import Answers, answer, search
from finprint.answers.shortlist import Shortlist, look_up
from finprint.evaluation.judging import Judged, judged_test, judged_validation
from finprint.matching.catalogue import Catalogue, build_catalogue
from finprint.matching.openset import Checked, best_map5, share_weights
from finprint.params import Params, load_params
from finprint.store.tables import TEST, TRAIN, VALIDATION
from finprint.store.vectors import Vectors
from finprint.survey.splits import validation_photos

NEW_SHARE = 0.131  # of the queries, all species together
SHARES = (0.004, 0.58)  # of the queries of a species: the least and the greatest
NOISE = (1.0, 0.22)  # length of a photo's noise by its median and the deviation of its logarithm; of the direction: 1
MEMBERS = (1.1, 1.0)  # noise of each member
COMMON = 0.6  # share of the noise's variance that both members have
TRAINED = 0.8  # noise of a photo that was trained on, against another's
SUBCENTRES, CENTRE_NOISE = 2, 0.3  # of the classifier
COLUMNS = ("map5", "regret", "top1_known", "new_rate", "auroc_new", "baks", "baus", "ece", "log_loss", "excess")


def main(table: Path | None = None, scale: float = 1.0, seeds: int = 1, variants: bool = False) -> None:
    params = load_params()
    rows = []
    for seed in range(seeds):
        catalogue, truth = draw(table, scale, params, seed)
        start = time.perf_counter()
        answers = search(catalogue, params.search)
        searched = time.perf_counter() - start
        listed = looked_up(catalogue, answers.rules.shares, params.search)
        rows.append({"rules": "params.yaml", "seed": seed} | numbers_of(catalogue, truth, answers, listed))
        if not seed:
            judged = judged_test(catalogue, answers.test, truth)
            grouping = time.perf_counter()
            proposed = propose(catalogue, answers)
            grouping = time.perf_counter() - grouping
            counts = catalogue.photos["split"].value_counts()
            print(", ".join(f"{counts[split]} {split}" for split in (TRAIN, VALIDATION, TEST)), "photos")
            print(f"search {searched:.1f} s, grouping {grouping:.1f} s, peak memory {peak():.2f} GB")
            print(f"{len(proposed)} photos in {proposed['proposed'].nunique()} groups, {answers.rules.grouping}")
            weights = ", ".join(f"{weight:.2f}" for weight in answers.rules.blend.weights.values())
            print(f"blend {weights}; threshold {answers.rules.threshold.value:.3f}")
            print("validation", rounded(judged_validation(catalogue, answers.validation).metrics()))
            print("test", rounded(judged.metrics()))
            print(
                "first answers by their probability, test",
                judged.reliability().round(3).to_string(index=False),
                sep="\n",
            )
        if variants:
            rows += others(catalogue, truth, params.search, listed, seed)
            rows.append(with_fitted_shares(catalogue, truth, params.search, seed))
    told = pd.DataFrame(rows)
    spread_of = told.drop(columns="seed").groupby("rules", sort=False).agg(["mean", "std"])
    for name, line in spread_of.iterrows():
        values = [f"{c} {line[c, 'mean']:.4f}" + f" ({line[c, 'std']:.4f})" * (seeds > 1) for c in COLUMNS]
        print(f"{name}: {', '.join(values)}")


def draw(table: Path | None, scale: float, params: Params, seed: int) -> tuple[Catalogue, pd.DataFrame]:
    """The catalogue of drawn vectors, split as `prepare` splits, and the table `TRUTH` of the test photos."""
    rng = np.random.default_rng([seed, 11])
    listed = animals(table, scale, rng, params.prepare.species_typos)
    asked, strangers = queries(listed, rng)
    names = np.concatenate([listed.names, np.char.add("stranger", np.arange(len(strangers)).astype(str))])
    species = np.concatenate([listed.species, strangers])
    labelled = rng.permutation(listed.rows)
    held = params.prepare
    validates, _ = validation_photos(
        np.arange(len(labelled)).astype(str), names[labelled], held.fold, held.folds, held.new_share, params.seed + seed
    )
    shown = np.concatenate([labelled, asked])  # the individual on each photo
    split = np.concatenate([np.where(validates, VALIDATION, TRAIN), np.full(len(asked), TEST)])
    images = pd.Series([f"{n:08d}.jpg" for n in range(len(shown))], dtype="string")
    identity = pd.Series(names[shown], dtype="string")
    photos = pd.DataFrame(
        {"image": images, "species": species[shown], "identity": identity.where(split != TEST), "split": split}
    )
    members = vectors(images, shown, split == TRAIN, names, individual_centres(species, rng), rng)
    tested = split == TEST
    return build_catalogue(photos, *members), pd.DataFrame({"image": images[tested], "identity": identity[tested]})


def queries(listed: Animals, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(Q,) individuals on the photos to identify, from len(listed.names) on new ones; and the species of these."""
    kinds, kind = np.unique(listed.species, return_inverse=True)
    often = np.bincount(kind, listed.photos)
    often /= often.sum()
    share = np.clip(1 / (1 + np.exp(rng.normal(2.2, 1.2, len(kinds)))), *SHARES)
    share = np.clip(share * NEW_SHARE / (share @ often), *SHARES)
    known = rng.choice(listed.rows, listed.queries)
    known = known[rng.random(len(known)) >= share[kind[known]]]
    wanted = listed.queries - len(known)
    photos, strangers = [], []
    chance = often * share / (often @ share)
    while len(photos) < wanted:  # one new individual after another, with as many photos as one of the catalogue
        like = rng.integers(len(listed.names))
        here = rng.choice(len(kinds), p=chance)
        count = max(1, round(listed.photos[like] * listed.queries / listed.photos.sum()))
        photos += [len(listed.names) + len(strangers)] * count
        strangers.append(kinds[here])
    return np.concatenate([known, np.array(photos[:wanted], int)]), np.array(strangers, str)


def vectors(
    images: pd.Series,
    shown: np.ndarray,
    trained: np.ndarray,
    names: np.ndarray,
    centres: np.ndarray,
    rng: np.random.Generator,
) -> list[Vectors]:
    """The members' vectors, and sub-centres for the individuals that they were trained on."""
    median, deviation = NOISE
    level = median * np.exp(rng.normal(0, deviation, len(shown))) * np.where(trained, TRAINED, 1)
    level = level.astype(np.float32)[:, None]  # a photo that is hard for one member is hard for the other
    common = directions(len(shown), rng)
    classes = np.unique(shown[trained])
    members = []
    for strength in MEMBERS:
        own = directions(len(shown), rng)
        noise = np.float32(np.sqrt(COMMON)) * common + np.float32(np.sqrt(1 - COMMON)) * own
        seen = unit(centres[shown] + np.float32(strength) * level * noise)
        learnt = np.zeros_like(centres)
        np.add.at(learnt, shown[trained], seen[trained])  # a classifier's centres lie amid the photos it learns from
        learnt = unit(learnt[classes])
        heads = [learnt + np.float32(CENTRE_NOISE) * directions(len(classes), rng) for _ in range(SUBCENTRES)]
        array = spread(np.concatenate([seen, *heads]), rng)
        split = np.stack(np.split(array[len(seen) :], SUBCENTRES), axis=1)  # (C, S, D)
        members.append(Vectors(images, array[: len(seen)], "", names[classes].astype(object), split))
    return members


def looked_up(catalogue: Catalogue, shares: Sequence[float], params: Search) -> tuple[Shortlist, Shortlist]:
    """Validation's and test's individuals, as `search` looks them up."""
    return (
        look_up(catalogue, shares, catalogue.validation, catalogue.train, params),
        look_up(catalogue, shares, catalogue.where(TEST), catalogue.labelled, params),
    )


def others(
    catalogue: Catalogue, truth: pd.DataFrame, params: Search, listed: tuple[Shortlist, Shortlist], seed: int
) -> list[dict[str, object]]:
    """The same with other rules, of what was looked up."""
    codes, new = catalogue.truth(catalogue.validation, catalogue.train)
    individuals = catalogue.codes[catalogue.validation]
    rows = []
    for name, change in {
        "expected_new": {"expected_new": NEW_SHARE},
        "per_species": {"per_species": True},
        "both": {"expected_new": NEW_SHARE, "per_species": True},
    }.items():
        tried = params.model_copy(update={"new": params.new.model_copy(update=change)})
        share = None if tried.new.expected_new == "validation" else tried.new.expected_new
        checked = Checked(listed[0].ranking, codes, new, share_weights(new, share))
        rules = fit_rules(checked, listed[0], individuals, tried)
        answers = Answers(pd.DataFrame(), answer(catalogue, listed[1], rules), rules)
        rows.append({"rules": name, "seed": seed} | numbers_of(catalogue, truth, answers, listed))
    return rows


def with_fitted_shares(catalogue: Catalogue, truth: pd.DataFrame, params: Search, seed: int) -> dict[str, object]:
    """The same with the members' weights fitted."""
    start = time.perf_counter()
    tried = params.model_copy(update={"shares": "fit"})
    answers = search(catalogue, tried)
    shares = np.round(answers.rules.shares, 2).tolist()
    print(f"seed {seed}, shares: fit {time.perf_counter() - start:.1f} s, found {shares}")
    listed = looked_up(catalogue, answers.rules.shares, tried)
    return {"rules": "shares: fit", "seed": seed} | numbers_of(catalogue, truth, answers, listed)


def numbers_of(
    catalogue: Catalogue, truth: pd.DataFrame, answers: Answers, listed: tuple[Shortlist, Shortlist]
) -> dict[str, float]:
    """Metrics on test: those of `measure`, and what only a bench may know.

    `regret` is MAP@5 lost against the best single threshold for the test photos, `log_loss` that of the first answer's
    probability, and `excess` what it lost against the best (isotonic) curve through these very answers.
    """
    judged = judged_test(catalogue, answers.test, truth)
    numbers = judged.metrics()
    return numbers | {
        "regret": best_possible(catalogue, judged, listed[1], answers) - numbers["map5"],
        **loss(judged),
    }


def best_possible(catalogue: Catalogue, judged: Judged, asked: Shortlist, answers: Answers) -> float:
    """MAP@5 on test at the threshold that is best there."""
    return float(best_map5(checked_test(catalogue, judged, asked, answers)).curve[:, 1].max())


def checked_test(catalogue: Catalogue, judged: Judged, asked: Shortlist, answers: Answers) -> Checked:
    """The test queries by their blended scores, with what is true."""
    ranking = blended(asked.ranking, asked.components, answers.rules.blend)
    truth = catalogue.names.codes(judged.truth.loc[catalogue.photos["image"].iloc[asked.queries]])
    return Checked(ranking, truth, truth < 0, np.ones(len(truth)))


def loss(judged: Judged) -> dict[str, float]:
    """Log loss of the first answers' probabilities, nats, and its excess over the best rising curve's."""
    told, right = judged.outcomes.confidence, judged.outcomes.place == 0
    best = IsotonicRegression(out_of_bounds="clip").fit_transform(told, right)

    def nats(chance: np.ndarray) -> float:
        chance = np.clip(chance, 1e-4, 1 - 1e-4)
        return float(-np.log(np.where(right, chance, 1 - chance)).mean())

    return {"log_loss": nats(told), "excess": nats(told) - nats(best)}


def rounded(numbers: dict[str, float]) -> dict[str, float]:
    """To four places."""
    return {name: round(float(value), 4) for name, value in numbers.items()}


def peak() -> float:
    """The process's peak resident memory, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    typer.run(main)
