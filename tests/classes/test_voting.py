"""How models' probabilities become one answer, against hand-worked numbers and scikit-learn."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.metrics import balanced_accuracy_score, log_loss, top_k_accuracy_score

from finprint.base.errors import UserError
from finprint.classes import voting
from finprint.classes.judging import Judged, confused_pairs, confusing, judged
from finprint.classes.params import Vote
from finprint.classes.voting import ODD, Sharpness, fit_shares, fit_sharpness, joined, vote
from finprint.store.guesses import QUERY, Guesses
from finprint.store.tables import VALIDATION

PLAIN = Vote(by="mean", shares="equal", temperature=1.0, clip=0.0)
FIT = Vote(by="mean", shares="fit", temperature="fit", clip="fit")


def _guesses(array: list[list[float]], labels: list[str | None], role: str, first: int = 0) -> Guesses:
    photos = pd.DataFrame({"image": [f"{role}{first + n}" for n in range(len(array))], "role": role})
    photos["group"], photos["label"] = range(first, first + len(array)), pd.array(labels, "string")
    return Guesses(photos, np.array(array, np.float32), ["x", "y", "z"][: len(array[0])])


def _both(one: Guesses, other: Guesses) -> Guesses:
    photos = pd.concat([one.photos, other.photos], ignore_index=True)
    return Guesses(photos, np.concatenate([one.array, other.array]), one.classes)


def _random(count: int, seed: int = 0) -> Guesses:
    rng = np.random.default_rng(seed)
    array = rng.dirichlet([0.5, 0.5, 0.5], count)
    labels = [["x", "y", "z"][rng.choice(3, p=row)] for row in array]
    return _guesses(array.tolist(), labels, VALIDATION)


@pytest.mark.parametrize(
    ("by", "expected"),
    [("mean", [0.45, 0.55]), ("geometric", [0.5, 0.5]), ("majority", [(0.5 + 0.0045) / 1.01, (0.5 + 0.0055) / 1.01])],
)
def test_members_are_joined(by: str, expected: list[float]) -> None:
    one = _both(_guesses([[1, 0]], ["x"], VALIDATION), _guesses([[0.8, 0.2]], [None], QUERY))
    other = _both(_guesses([[0, 1]], ["y"], VALIDATION, 1), _guesses([[0.1, 0.9]], [None], QUERY))
    voted = vote([one, other], PLAIN.model_copy(update={"by": by}))
    asked = voted.guesses.of(QUERY).array[0]
    if by == "geometric":  # sqrt(.8 * .1) against sqrt(.2 * .9)
        expected = (np.sqrt([0.08, 0.18]) / np.sqrt([0.08, 0.18]).sum()).tolist()
    np.testing.assert_allclose(asked, expected, atol=1e-6)
    assert voted.guesses.of(VALIDATION).photos["image"].tolist() == ["validation0", "validation1"]
    assert voted.metrics()["models"] == 2


@pytest.mark.parametrize(
    ("shares", "validation", "query"),
    [("equal", [[0.7, 0.3], [0.4, 0.6]], [[0.6, 0.4]]), ([0.25, 0.75], [[0.6, 0.4], [0.45, 0.55]], [[0.55, 0.45]])],
)
def test_members_of_a_fold_answer_its_photos_together(
    shares: Literal["equal"] | list[float], validation: list[list[float]], query: list[list[float]]
) -> None:
    """Two members of each of two folds, by hand; photos to identify are answered by all four."""
    asked = [_guesses([row], [None], QUERY) for row in ([1.0, 0.0], [0.0, 1.0], [0.4, 0.6], [1.0, 0.0])]
    own = [([0.9, 0.1], "x", 0), ([0.5, 0.5], "x", 0), ([0.3, 0.7], "y", 1), ([0.5, 0.5], "y", 1)]
    members = [
        _both(_guesses([row], [label], VALIDATION, first), query)
        for (row, label, first), query in zip(own, asked, strict=True)
    ]
    voted = vote(members, PLAIN.model_copy(update={"shares": shares}))
    found = voted.guesses.of(VALIDATION)
    assert found.photos["image"].tolist() == ["validation0", "validation1"]
    np.testing.assert_allclose(found.array, validation, atol=1e-6)
    np.testing.assert_allclose(voted.guesses.of(QUERY).array, query, atol=1e-6)
    assert voted.metrics()["models"] == 4
    assert voted.metrics()["shares"] == dict(zip(("member1", "member2"), voted.joint.shares, strict=True))


@pytest.mark.parametrize("by", ["mean", "geometric"])
def test_fitted_shares_are_the_best_of_a_grid(by: Literal["mean", "geometric"]) -> None:
    """Both members tell the truth with noise, the first one with more of it: a slow search finds the same shares."""
    honest = _random(3000)
    rng = np.random.default_rng(1)
    noise = rng.normal(0, np.array([1.0, 0.7])[:, None, None], (2, *honest.array.shape))
    each = softmax(np.log(honest.array + 1e-3) + noise, axis=2)
    params = FIT.model_copy(update={"by": by, "clip": 0.0})
    fitted = fit_shares(each, honest.codes(), params)
    assert sum(fitted) == pytest.approx(1)

    def loss(share: float) -> float:
        raw = joined(each, by, [share, 1 - share])
        return log_loss(honest.codes(), fit_sharpness(raw, honest.codes(), params).apply(raw))

    best = min(np.linspace(0, 1, 51), key=loss)
    assert fitted[0] == pytest.approx(best, abs=0.04)
    assert 0.1 < fitted[0] < 0.45


def test_shares_stay_equal_where_there_is_little_evidence() -> None:
    """Of ten photos, one member has nine right and the other eight: the better one gets a little more."""
    good, bad = np.full((10, 2), [0.8, 0.2]), np.full((10, 2), [0.8, 0.2])
    good[:1], bad[:2] = [0.2, 0.8], [0.2, 0.8]
    codes = np.zeros(10, int)
    few = fit_shares(np.stack([good, bad]), codes, FIT)
    many = fit_shares(np.stack([np.tile(good, (100, 1)), np.tile(bad, (100, 1))]), np.tile(codes, 100), FIT)
    assert 0.5 < few[0] < 0.7 < many[0]
    assert fit_shares(np.stack([good, good]), codes, FIT) == [0.5, 0.5]
    assert fit_shares(np.stack([good, bad]), codes, FIT.model_copy(update={"by": "majority"})) == [0.5, 0.5]


def test_shares_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"shares are \[0\.5, 0\.4\], which add up to 0\.9 and not to 1"):
        Vote(by="mean", shares=[0.5, 0.4], temperature=1.0, clip=0.0)


def test_models_of_different_classes_do_not_vote_together() -> None:
    one = _guesses([[1, 0]], ["x"], VALIDATION)
    with pytest.raises(UserError, match="the models tell different classes"):
        vote([one, Guesses(one.photos, one.array, ["x", "w"])], PLAIN)


def test_a_clip_keeps_rows_that_sum_to_1() -> None:
    clipped = Sharpness(1.0, 0.1).apply(np.array([[1.0, 0, 0]]))
    np.testing.assert_allclose(clipped, [[1 / 1.2, 0.1 / 1.2, 0.1 / 1.2]])


def test_a_few_right_answers_make_nobody_sure() -> None:
    """Ten photos of classes as the probabilities say are there beforehand: the more photos, the less they count."""
    told = []
    for count in (15, 150, 1500):
        codes = np.arange(count) % 3
        array = np.full((count, 3), 0.1)
        array[np.arange(count), codes] = 0.8
        fitted = fit_sharpness(array, codes, FIT)
        told.append(1 - fitted.apply(array)[0, 0])
        # Both kinds of photos are answered best by this: wrong in 0.2 of ten, and in none of the others.
        assert told[-1] == pytest.approx(10 * 0.2 / (10 + count), rel=0.05, abs=1e-3)
    assert told == sorted(told, reverse=True)


def test_a_temperature_is_found_again() -> None:
    honest = _random(4000)
    sharp = Sharpness(0.5, 0).apply(honest.array)  # logits twice as large
    fitted = fit_sharpness(sharp, honest.codes(), FIT)
    assert fitted.temperature == pytest.approx(2, rel=0.08)
    assert log_loss(honest.codes(), fitted.apply(sharp)) < log_loss(honest.codes(), sharp)


def test_a_class_that_was_told_too_surely_gets_a_power_of_its_own() -> None:
    honest = _random(4000)
    spoiled = np.log(honest.array + 1e-6) * np.linspace(0.7, 1.4, honest.array.shape[1])
    array = softmax(spoiled, axis=1)
    fitted = fit_sharpness(array, honest.codes(), FIT)
    assert np.diff(fitted.powers).max() < 0, "the more a class was spoiled, the smaller its power"
    alone = replace(fitted, powers=())
    told, before = (log_loss(honest.codes(), one.apply(array)) for one in (fitted, alone))
    assert told < before - 0.002

    def loss(logs: np.ndarray) -> float:
        """The same to be minimised, in few words, with slopes that scipy finds by itself."""
        sharp = Sharpness(fitted.temperature, 0.0, np.exp(logs).tolist()).apply(array)
        believed = voting.BELIEVED * -(array * np.log(sharp)).sum(axis=1).mean()
        seen = -np.log(sharp[np.arange(len(sharp)), honest.codes()]).sum()
        return float(seen + believed + (logs**2).sum() / (2 * voting.SPREAD**2))

    slow = np.exp(minimize(loss, np.zeros(len(fitted.powers)), method="L-BFGS-B", options={"ftol": 1e-12}).x)
    assert fitted.powers == pytest.approx(slow, abs=5e-3)


def test_few_photos_leave_all_powers_near_one() -> None:
    honest = _random(30)
    powers = fit_sharpness(honest.array, honest.codes(), FIT).powers
    assert powers == pytest.approx(np.ones(len(powers)), abs=0.05)
    assert fit_sharpness(honest.array, honest.codes(), PLAIN).powers == []


def test_one_sure_mistake_is_what_a_clip_is_for() -> None:
    array = np.array([[1, 0]] * 49 + [[0, 1]], float)
    fitted = fit_sharpness(array, np.zeros(50, int), PLAIN.model_copy(update={"clip": "fit"}))
    assert 0.01 < fitted.clip < 0.04  # one of 50 is wrong


def test_what_is_fitted_has_not_seen_the_photos_that_it_answers() -> None:
    """Five groups: the sure mistake's own part is answered by what was fitted to eight faultless others: the least
    clip."""
    rows = [[0.0, 1.0]] + [[1.0, 0.0]] * 9
    voted = vote([_guesses(rows, ["x"] * 10, VALIDATION)], PLAIN.model_copy(update={"clip": "fit"}))
    assert voted.joint.sharpness.clip > 0.01
    assert voted.guesses.array[0, 0] == pytest.approx(ODD / (9 * 2), rel=0.01)
    assert voted.guesses.array[1, 1] > 0


def test_metrics_are_scikit_learn_s() -> None:
    guesses = _random(300)
    measured = Judged(guesses).measure()
    codes, array = guesses.codes(), guesses.array.astype(float)
    array /= array.sum(axis=1, keepdims=True)  # float32 rounds
    assert measured["log_loss"] == pytest.approx(log_loss(codes, array), rel=1e-5)
    assert measured["top1"] == pytest.approx(top_k_accuracy_score(codes, array, k=1))
    assert measured["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(codes, array.argmax(axis=1)))
    assert measured["top5"] == 1.0
    assert measured["ece"] < 0.1  # the labels were drawn by these probabilities
    with_ends = Judged(guesses).metrics(50, 0)
    assert all(
        with_ends[f"{name}_low"] <= with_ends[name] <= with_ends[f"{name}_high"] for name in ("log_loss", "top1")
    )
    assert with_ends["log_loss_low"] < with_ends["log_loss_high"]


def test_labels_that_are_no_class_are_counted_and_not_judged() -> None:
    guesses = _guesses([[1, 0], [1, 0], [0, 1]], [None] * 3, QUERY)
    truth = pd.DataFrame({"image": ["query0", "query2"], "label": ["x", "w"]})
    kept = judged(guesses, truth)
    assert list(kept) == [QUERY]
    assert len(kept[QUERY]) == 1
    assert kept[QUERY].unknown == 1


def test_confused_pairs_count_both_ways() -> None:
    assert confused_pairs(np.array([[9, 1, 0], [4, 9, 2], [0, 0, 9]]), 5) == [(1, 0, 5), (1, 2, 2)]


def test_labels_to_look_at() -> None:
    guesses = _guesses([[0.95, 0.05], [0.95, 0.05], [0.55, 0.45], [0.05, 0.95]], ["y", "x", "x", "x"], VALIDATION)
    listed = confusing(Judged(guesses))
    assert listed[["image", "why"]].to_numpy().tolist() == [
        ["validation0", "contradicted"],
        ["validation3", "contradicted"],
        ["validation2", "undecided"],
    ]
