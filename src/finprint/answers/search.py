"""Answers: for every query five names with their probabilities, `new_individual` among them."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from finprint.answers.encounters import judged_together
from finprint.answers.grouping import fit_grouping
from finprint.answers.params import Search
from finprint.answers.rules import DRAWS, Rules, default_rules, enough, expected_weights, fit_rules
from finprint.answers.scoring import blended, fit_blend
from finprint.answers.shortlist import Shortlist, look_up
from finprint.engine.params import LOCAL, Engine
from finprint.matching.calibration import animal_folds
from finprint.matching.catalogue import Catalogue, build_catalogue, fold_as_validation
from finprint.matching.names import NOBODY, take
from finprint.matching.openset import Checked
from finprint.matching.ranking import Gallery
from finprint.store.tables import TEST
from finprint.store.vectors import Vectors

PICKS = 6  # members picked for the ensemble, some several times


@dataclass(frozen=True)
class Answers:
    """What a search gives.

    Attributes:
        validation: table `ANSWERS` of the validation photos, searched in the training photos; each
            answered by rules that were fitted without its animal.
        test: table `ANSWERS` of the test photos, searched in all labelled photos.
        rules: fitted on all of validation; they answered the test photos.
        galleries: in which the test photos were searched: one, or one a species.
    """

    validation: pd.DataFrame
    test: pd.DataFrame
    rules: Rules
    galleries: tuple[Gallery, ...] = ()


def search(catalogue: Catalogue, params: Search) -> Answers:
    """Fit the rules and answer the validation and the test photos. All that is fitted comes from validation alone.

    The one exception is the target `new_share`: the share is one of the photos to identify, so that
    threshold comes from their scores (and from nothing that is known of them).
    """
    train, validation, test = catalogue.train, catalogue.validation, catalogue.where(TEST)
    truth, new = catalogue.truth(validation, train)
    weights = expected_weights(new, params.new)
    listed = _fit_shares(catalogue, truth, new, weights, params)
    checked = Checked(listed.ranking, truth, new, weights)
    animals = catalogue.codes[validation]
    told = enough(checked, animals, len(catalogue.names))
    if told and params.encounter == "fit":
        listed = perhaps_together(catalogue, listed, checked)
    rules = fit_rules(checked, listed, animals, params, DRAWS) if told else default_rules(listed, params)
    asked = rules.look_up(catalogue, test, catalogue.labelled)
    if params.new.target == "new_share" and len(test):
        rules = rules.calling_new(params.new.value, asked)
    # How alike two photos of one animal are is learned from individuals whom the models never saw.
    unseen = catalogue.blend(rules.shares)[validation[new]]
    rules = replace(rules, grouping=fit_grouping(unseen, animals[new], rules.threshold.value))
    if not told and params.new.target != "new_share":
        rules = rules.calling_new_as_nearest(asked if len(test) else listed)
    checks = _cross_fitted(catalogue, listed, checked, animals, rules) if told else answer(catalogue, listed, rules)
    return Answers(checks, answer(catalogue, asked, rules), rules, asked.galleries)


def answer_queries(catalogue: Catalogue, queries: np.ndarray, gallery: np.ndarray, rules: Rules) -> pd.DataFrame:
    """The five answers to each query, searched in the gallery by these rules: a table `ANSWERS`.

    Scores have the components that the rules know, whatever this catalogue has the data of; a missing one is filled in.

    Args:
        queries: (Q,) and `gallery`, (G,), rows of the catalogue.
    """
    return answer(catalogue, rules.look_up(catalogue, queries, gallery), rules)


def answer(catalogue: Catalogue, listed: Shortlist, rules: Rules) -> pd.DataFrame:
    """The five answers to each query of a shortlist by these rules: a table `ANSWERS`."""
    five, chances = rules.order(blended(listed.ranking, listed.components, rules.blend), listed.species)
    images = catalogue.photos["image"].to_numpy(object)
    rows = pd.DataFrame(
        {
            "query": np.repeat(images[listed.queries], five.codes.shape[1]),
            "rank": np.tile(np.arange(1, five.codes.shape[1] + 1), len(listed.queries)),
            "identity": catalogue.names.of(five.codes).ravel(),
            "score": five.scores.ravel().astype(float),
            "probability": chances.ravel(),
            "match": take(images, five.photos.ravel(), None),
        }
    )
    return rows[(five.codes != NOBODY).ravel()]


def out_of_fold(
    photos: pd.DataFrame, vectors: Vectors, fold: int, params: Search, engine: Engine = LOCAL
) -> pd.DataFrame:
    """Answers to the training photos of a fold, searched in the other folds: a table `ANSWERS`.

    Args:
        photos: table `PHOTOS`.
        vectors: by the model that left `fold` out.
        engine: where large galleries are searched.
    """
    return search(build_catalogue(fold_as_validation(photos, fold), vectors, engine=engine), params).validation


def _fit_shares(
    catalogue: Catalogue, truth: np.ndarray, new: np.ndarray, weights: np.ndarray, params: Search
) -> Shortlist:
    """The validation photos looked up among the training photos, by the members' fitted weights.

    The weights are grown by ensemble selection with replacement (Caruana et al., ICML 2004): the member
    whose addition makes the right answers likeliest is added, again and again; the best stage is kept.
    """
    train, validation = catalogue.train, catalogue.validation
    members = len(catalogue.members)
    equal = [1 / members] * members
    if members == 1 or params.shares != "fit" or not (new.any() and not new.all()):
        given = params.shares if isinstance(params.shares, list) and len(params.shares) == members else equal
        return look_up(catalogue, given, validation, train, params)

    tried: dict[tuple[int, ...], tuple[float, Shortlist]] = {}

    def loss(picks: tuple[int, ...]) -> float:
        ratio = tuple(count // math.gcd(*picks) for count in picks)
        if ratio not in tried:
            shares = [count / sum(ratio) for count in ratio]
            listed = look_up(catalogue, shares, validation, train, params)
            _, value = fit_blend(Checked(listed.ranking, truth, new, weights), listed.components)
            tried[ratio] = value, listed
        return tried[ratio][0]

    picks = (0,) * members
    for _ in range(PICKS):
        grown = [tuple(n + (place == m) for place, n in enumerate(picks)) for m in range(members)]
        picks = min(grown, key=loss)
    return min(tried.values(), key=lambda one: one[0])[1]


def perhaps_together(catalogue: Catalogue, listed: Shortlist, checked: Checked) -> Shortlist:
    """The validation photos, those of an encounter judged together if that makes the right answers likelier."""
    together = judged_together(listed, catalogue)
    apart, joint = (fit_blend(checked, one.components)[1] for one in (listed, together))
    return together if joint < apart else listed


def _cross_fitted(
    catalogue: Catalogue, listed: Shortlist, checked: Checked, animals: np.ndarray, rules: Rules
) -> pd.DataFrame:
    """Answers to the validation queries, each by rules fitted to the other animals' photos.

    Blend, thresholds and probabilities that were fitted to the very queries they answer would flatter
    themselves. Where the others do not show both kinds of query, known and new, `rules` answer.
    """
    folds = animal_folds(animals)
    tables = []
    for fold in np.unique(folds):
        rows, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        others = rules
        if checked[rest].both:
            others = fit_rules(checked[rest], listed[rest], animals[rest], rules.params)
        tables.append(answer(catalogue, listed[rows], others))
    return pd.concat(tables, ignore_index=True)
