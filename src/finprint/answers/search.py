"""Answers: for every query five names with their probabilities, `new_individual` among them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd

from finprint.answers.grouping import fit_similarity, proposals
from finprint.answers.params import Search
from finprint.answers.rules import Rules, fit_rules
from finprint.answers.scoring import COMPONENTS, blended, components, fit_blend
from finprint.answers.tables import GALLERY
from finprint.matching.calibration import animal_folds
from finprint.matching.catalogue import Catalogue
from finprint.matching.openset import Checked, share_weights, with_new
from finprint.matching.ranking import NOBODY, Gallery, Ranking, build_index, expanded, rank, recall
from finprint.store.tables import NEW, TEST, TRAIN, VALIDATION, write_table

PICKS = 6  # members picked for the ensemble, some several times
RECALLED = 1000  # queries on which an approximate index is compared with the exact one


@dataclass(frozen=True)
class Shortlist:
    """Q queries with the individuals that they might show.

    Attributes:
        queries: (Q,) rows of the catalogue.
        ranking: by the nearest photo; its photos are rows of the catalogue.
        parts: (Q, K, F) components of the scores.
        species: (Q,) of the table, else the best individual's; "" where neither is known.
    """

    queries: np.ndarray
    ranking: Ranking
    parts: np.ndarray
    species: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Shortlist":
        return Shortlist(self.queries[rows], self.ranking[rows], self.parts[rows], self.species[rows])


@dataclass(frozen=True)
class Answers:
    """What a search found.

    Attributes:
        validation: table `ANSWERS` of the validation photos, searched in the training photos; each
            answered by rules that were fitted without its animal.
        test: table `ANSWERS` of the test photos, searched in all labelled photos.
        rules: fitted on all of validation; they answered the test photos.
        shares: weights of the catalogue's members.
    """

    validation: pd.DataFrame
    test: pd.DataFrame
    rules: Rules
    shares: list[float]


def search(known: Catalogue, params: Search) -> Answers:
    """Answer the validation and the test photos; whatever is fitted comes from validation alone.

    The one exception is the target `new_share`: the share is one of the photos to identify, so that
    threshold comes from their scores (and from nothing that is known of them).
    """
    train, validation, test = known.train, known.validation, known.where(TEST)
    truth, new = known.truth(validation, train)
    weights = share_weights(new, None if params.new.expected_new == "validation" else params.new.expected_new)
    shares, listed = _fit_shares(known, truth, new, weights, params)
    checked = Checked(listed.ranking, truth, new, weights)
    animals = known.photos["code"].to_numpy()[validation]
    rules = fit_rules(checked, listed.parts, listed.species, animals, params)
    asked = shortlist(known, shares, test, known.where(TRAIN, VALIDATION), params)
    if params.new.target == "new_share" and len(test):
        rules = rules.calling_new(params.new.value, asked.ranking, asked.parts)
    validated = _cross_fitted(known, listed, checked, animals, params, rules)
    return Answers(validated, answer(known, asked, rules), rules, shares)


def shortlist(
    known: Catalogue, shares: list[float], queries: np.ndarray, gallery: np.ndarray, params: Search
) -> Shortlist:
    """Look up the individuals that each query might show.

    Args:
        shares: weights of the members.
        queries: (Q,) and `gallery`, (G,), rows of the catalogue.
    """
    array = known.blend(shares)
    codes, species = known.photos["code"].to_numpy(), known.photos["species"].fillna("").to_numpy(str)
    ranking = Ranking.empty(len(queries), params.shortlist)
    for rows, photos in _parts(species, queries, gallery, params.species == "same"):
        stored = Gallery(expanded(array[photos], params.expand), codes[photos], params.index)
        found = rank(array[queries[rows]], stored, params.shortlist, params.neighbours, params.nearest)
        ranking.identities[rows], ranking.scores[rows] = found.identities, found.scores
        ranking.photos[rows] = np.append(photos, NOBODY)[found.photos]  # NOBODY, -1, is the last
        ranking.means[rows] = found.means
    best = ranking.photos[:, 0]
    guess = np.where(best >= 0, species[best], "")
    asked = np.where(species[queries] == "", guess, species[queries])
    return Shortlist(queries, ranking, components(ranking, known, queries, shares, params.species == "prior"), asked)


def answer(known: Catalogue, listed: Shortlist, rules: Rules) -> pd.DataFrame:
    """The five answers to each query by these rules: rows of the table `ANSWERS`."""
    ranking = blended(listed.ranking, listed.parts, rules.blend)
    thresholds = rules.thresholds(listed.species)
    code_of_new = len(known.names)
    codes, scores, photos, places = with_new(ranking, thresholds, code_of_new)
    chances = np.full(codes.shape, np.nan)
    if rules.calibration is not None:
        each, new = rules.calibration.probabilities(ranking, thresholds)
        chances = np.where(codes == code_of_new, new[:, None], np.take_along_axis(each, np.maximum(places, 0), 1))
    images = known.photos["image"].to_numpy(object)
    rows = pd.DataFrame(
        {
            "query": np.repeat(images[listed.queries], codes.shape[1]),
            "rank": np.tile(np.arange(1, codes.shape[1] + 1), len(listed.queries)),
            "code": codes.ravel(),
            "score": scores.ravel().astype(float),
            "probability": chances.ravel(),
            "photo": photos.ravel(),
        }
    )
    rows = rows[rows["code"] != NOBODY]
    names = np.append(known.names.astype(object), NEW)
    matches = np.array([*images, None], dtype=object)  # NOBODY, -1, is the last
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


def propose(known: Catalogue, found: Answers) -> tuple[pd.DataFrame, dict[str, float]]:
    """Group the test photos answered `new_individual` into proposed new individuals.

    How alike two photos of one animal are is learnt from the validation photos of individuals that the
    models never saw.

    Returns:
        Table `PROPOSED`, and the numbers for metrics/search.json.
    """
    array = known.blend(found.shares)
    validation = known.validation
    _, new = known.truth(validation, known.train)
    unseen = validation[new]
    animals = known.photos["code"].to_numpy()[unseen]
    similarity, agreed = fit_similarity(array[unseen], animals, found.rules.threshold.value)
    first = found.test[found.test["rank"] == 1]
    images = first.loc[first["identity"] == NEW, "query"].to_numpy()
    rows = pd.Series(np.arange(len(known.photos)), known.photos["image"]).loc[images].to_numpy()
    table = proposals(images, array[rows], similarity)
    numbers = {"proposed_individuals": table["proposed"].nunique(), "proposed_similarity": similarity}
    return table, numbers if math.isnan(agreed) else numbers | {"proposed_rand_validation": agreed}


def write_gallery(folder: Path, known: Catalogue, shares: list[float], params: Search) -> None:
    """Write the gallery of the test photos: `index.faiss`, and `gallery.parquet` with the photo of each row."""
    rows = known.where(TRAIN, VALIDATION)
    if len(rows):
        index = build_index(expanded(known.blend(shares)[rows], params.expand), params.index)
        faiss.write_index(index, str(folder / "index.faiss"))
    write_table(folder / "gallery.parquet", known.photos.iloc[rows], GALLERY)


def summary(known: Catalogue, found: Answers, params: Search, asked: list[str]) -> dict[str, Any]:
    """The numbers of metrics/search.json."""
    rules = found.rules
    gallery = known.where(TRAIN, VALIDATION)
    numbers = {
        "threshold": rules.threshold.value,
        "fitted": int(rules.fitted),
        "gallery": len(gallery),
        "individuals": len(known.names),
        "queries": len(asked),
        "answered_by_default": len(set(asked) - set(found.test["query"])),
        "shares": {f"member{number}": share for number, share in enumerate(found.shares, start=1)},
        "blend": dict(zip(COMPONENTS, rules.blend.weights.tolist(), strict=False)),
    }
    if rules.by_species:
        numbers["threshold_by_species"] = rules.by_species
    if rules.calibration is not None:
        isotonic = {"new": rules.calibration.new_method, "known": rules.calibration.known_method}
        numbers["calibration_log_loss"] = rules.calibration.log_loss
        numbers["calibration_isotonic"] = {name: int(method == "isotonic") for name, method in isotonic.items()}
    if params.index != "flat" and len(gallery):
        array = known.blend(found.shares)
        stored = Gallery(array[gallery], known.photos["code"].to_numpy()[gallery], params.index)
        numbers["index_recall"] = recall(array[known.where(TEST)][:RECALLED], stored, params.neighbours)
    return numbers


def _fit_shares(
    known: Catalogue, truth: np.ndarray, new: np.ndarray, weights: np.ndarray, params: Search
) -> tuple[list[float], Shortlist]:
    """The members' weights and, by them, the validation photos looked up among the training photos.

    The weights are grown by ensemble selection with replacement (Caruana et al., ICML 2004): the member
    whose addition makes the right answers likeliest is added, again and again; the best stage is kept.
    """
    train, validation = known.train, known.validation
    members = len(known.members)
    equal = [1 / members] * members
    if members == 1 or params.shares != "fit" or not (new.any() and not new.all()):
        given = params.shares if isinstance(params.shares, list) and len(params.shares) == members else equal
        return given, shortlist(known, given, validation, train, params)

    tried: dict[tuple[int, ...], tuple[float, Shortlist]] = {}

    def loss(picks: tuple[int, ...]) -> float:
        ratio = tuple(count // math.gcd(*picks) for count in picks)
        if ratio not in tried:
            listed = shortlist(known, _normal(ratio), validation, train, params)
            _, value = fit_blend(Checked(listed.ranking, truth, new, weights), listed.parts)
            tried[ratio] = value, listed
        return tried[ratio][0]

    picks = (0,) * members
    for _ in range(PICKS):
        grown = [tuple(n + (place == m) for place, n in enumerate(picks)) for m in range(members)]
        picks = min(grown, key=loss)
    best = min(tried, key=lambda ratio: tried[ratio][0])
    return _normal(best), tried[best][1]


def _normal(picks: tuple[int, ...]) -> list[float]:
    return [count / sum(picks) for count in picks]


def _cross_fitted(
    known: Catalogue, listed: Shortlist, checked: Checked, animals: np.ndarray, params: Search, rules: Rules
) -> pd.DataFrame:
    """Answers to the validation queries, each by rules fitted to the other animals' photos.

    Blend, thresholds and probabilities that were fitted to the very queries they answer would flatter
    themselves. Where the others do not show both kinds of query, known and new, `rules` answer.
    """
    if not checked.both:
        return answer(known, listed, rules)
    fold = animal_folds(animals)
    tables = []
    for part in np.unique(fold):
        rows, rest = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        others = rules
        if checked[rest].both:
            others = fit_rules(checked[rest], listed.parts[rest], listed.species[rest], animals[rest], params)
        tables.append(answer(known, listed[rows], others))
    return pd.concat(tables, ignore_index=True)


def _parts(
    species: np.ndarray, queries: np.ndarray, gallery: np.ndarray, same: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(numbers of queries, gallery rows to search them in), by species if `same`; "" goes with every species."""
    if not same:
        yield np.arange(len(queries)), gallery
        return
    asked = species[queries]
    for name in np.unique(asked):
        alike = (species[gallery] == name) | (species[gallery] == "") | (name == "")
        yield np.flatnonzero(asked == name), gallery[alike]
