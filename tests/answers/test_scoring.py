"""Blended scores: components by hand, and weights that a known model must give back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from finprint.answers.scoring import Blend, blended, components, fit_blend, nearest_alone
from finprint.matching.catalogue import UNKNOWN, Catalogue
from finprint.matching.openset import Checked
from finprint.matching.ranking import NOBODY, Ranking
from finprint.store.vectors import Vectors

S = np.sqrt(0.5)


def _known() -> Catalogue:
    """Two members; the classifiers know `al` (two sub-centres) and `bo`, but not `zoe`."""
    array = np.array([[1, 0], [0, 1], [S, S]], np.float32)
    centres = np.array([[[1, 0], [S, S]], [[0, -1], [0, 1]]], np.float32)
    classes = np.array(["al", "bo"], object)
    photos = pd.DataFrame({"image": ["a", "b", "c"]})
    first = Vectors(photos["image"], array, "1", classes, centres)
    second = Vectors(photos["image"], -array, "2", classes[::-1], centres)
    return Catalogue(photos, (first, second), np.array(["al", "bo", "zoe"]))


def _ranking(identities: list[list[int]], scores: list[list[float]]) -> Ranking:
    values = np.array(scores, np.float32)
    return Ranking(np.array(identities), values, np.array(identities) + 10, values / 2)


def test_components_hand_worked() -> None:
    ranking = _ranking([[0, 1, 2, NOBODY]], [[0.9, 0.8, 0.7, -np.inf]])
    parts = components(ranking, _known(), np.array([2]), [1.0, 0.0])
    assert parts.shape == (1, 4, 3)
    np.testing.assert_allclose(parts[0, :3, 0], [0.9, 0.8, 0.7], atol=1e-6)
    np.testing.assert_allclose(parts[0, :3, 1], [0.45, 0.4, 0.35], atol=1e-6)
    # Photo c at 45 degrees: al's second sub-centre is just there, bo's second at 45 degrees from it.
    np.testing.assert_allclose(parts[0, :2, 2], [1, S], atol=1e-6)
    assert np.isnan(parts[0, 2, 2])
    assert np.isneginf(parts[0, 3]).all()


def test_the_members_classifiers_are_averaged_by_their_shares_and_matched_by_name() -> None:
    ranking = _ranking([[0, 1]], [[0.9, 0.8]])
    found = components(ranking, _known(), np.array([2]), [0.25, 0.75])[0, :, 2]
    # The second member sees c at 225 degrees. Its first class is bo: centres at 0 and 45 degrees; al's at -90, 90.
    np.testing.assert_allclose(found, [0.25 * 1 + 0.75 * S, 0.25 * S + 0.75 * -S], atol=1e-6)


def test_a_member_who_does_not_know_an_individual_leaves_it_to_those_who_do() -> None:
    """As a model does that left out the fold with all of the individual's photos."""
    known = _known()
    first, second = known.members
    bo_alone = replace(second, classes=second.classes[:1], centres=second.centres[:1])
    found = components(
        _ranking([[0, 1]], [[0.9, 0.8]]), replace(known, members=(first, bo_alone)), np.array([2]), [0.25, 0.75]
    )[0, :, 2]
    np.testing.assert_allclose(found, [1, 0.25 * S + 0.75 * -S], atol=1e-6)


def test_blended_scores_rank_anew_and_keep_their_photos() -> None:
    ranking = _ranking([[4, 7, 9, NOBODY]], [[0.9, 0.8, 0.7, -np.inf]])
    parts = np.full((1, 4, 3), -np.inf, np.float32)
    parts[0, :3] = [[0.9, 0.5, 0.1], [0.8, 0.5, 0.6], [0.7, 0.5, np.nan]]
    found = blended(ranking, parts, Blend(np.array([0.5, 0.0, 0.5]), np.array([0.1, 1.0, 0.2])))
    # 4: (0.9 + 0.1) / 2; 7: (0.8 + 0.6) / 2; 9: its classifier is guessed as 0.1 + 0.7 + 0.2 * 0.5 = 0.9.
    assert found.identities.tolist() == [[9, 7, 4, NOBODY]]
    np.testing.assert_allclose(found.scores[0, :3], [0.8, 0.7, 0.5], atol=1e-6)
    assert np.isneginf(found.scores[0, 3])
    assert found.photos.tolist() == [[19, 17, 14, 9]]


def test_the_plain_blend_changes_nothing() -> None:
    ranking = _ranking([[4, 7, NOBODY]], [[0.9, 0.8, -np.inf]])
    parts = np.zeros((1, 3, 3), np.float32)
    parts[..., 0] = ranking.scores
    found = blended(ranking, parts, nearest_alone(3))
    assert found.identities.tolist() == ranking.identities.tolist()
    np.testing.assert_array_equal(found.scores, ranking.scores)


def _drawn(weights: np.ndarray, scale: float, seed: int, count: int = 4000) -> tuple[Checked, np.ndarray]:
    """Queries whose right answer is drawn from the very model that `fit_blend` fits: softmax over K and "none"."""
    rng = np.random.default_rng(seed)
    parts = rng.uniform(0, 1, (count, 8, 3))
    order = np.argsort(-parts[..., 0], axis=1)
    parts = np.take_along_axis(parts, order[..., None], 1)
    logits = np.column_stack([scale * parts @ weights, np.full(count, scale * 0.75)])
    picked = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    identities = np.tile(np.arange(8), (count, 1))
    ranking = Ranking(identities, parts[..., 0].astype(np.float32), identities, parts[..., 1].astype(np.float32))
    new = picked == 8
    return Checked(ranking, np.where(new, UNKNOWN, picked), new, np.ones(count)), parts


@pytest.mark.parametrize("weights", [[0.6, 0.1, 0.3], [1.0, 0.0, 0.0], [0.0, 0.2, 0.8]])
def test_the_weights_of_a_known_model_are_found(weights: list[float]) -> None:
    checked, parts = _drawn(np.array(weights), 15.0, seed=1)
    blend, loss = fit_blend(checked, parts)
    np.testing.assert_allclose(blend.weights, weights, atol=0.03)
    assert blend.weights.sum() == pytest.approx(1)
    assert (blend.weights >= 0).all()
    assert 0 < loss < np.log(9)


def test_the_log_loss_says_which_components_are_better() -> None:
    checked, parts = _drawn(np.array([0.2, 0.0, 0.8]), 15.0, seed=2)
    worse = parts.copy()
    worse[..., 2] = np.random.default_rng(0).uniform(size=worse.shape[:2])
    assert fit_blend(checked, parts)[1] < fit_blend(checked, worse)[1]


def test_weights_of_queries_count_like_repetitions() -> None:
    checked, parts = _drawn(np.array([0.5, 0.2, 0.3]), 15.0, seed=3, count=60)
    often = np.random.default_rng(0).integers(1, 4, 60)
    weighted = Checked(checked.ranking, checked.truth, checked.new, often.astype(float))
    rows = np.repeat(np.arange(60), often)
    one, two = fit_blend(weighted, parts)[0], fit_blend(checked[rows], parts[rows])[0]
    np.testing.assert_allclose(one.weights, two.weights, atol=1e-3)


def test_with_nothing_to_learn_from_the_nearest_photo_counts() -> None:
    checked, parts = _drawn(np.array([1.0, 0, 0]), 15.0, seed=4, count=5)
    lost = Checked(checked.ranking, np.full(5, 77), np.zeros(5, bool), np.ones(5))  # none among the ranked
    assert fit_blend(lost, parts)[0].weights.tolist() == [1, 0, 0]
    assert fit_blend(checked[np.zeros(0, int)], parts[:0])[0].weights.tolist() == [1, 0, 0]


def test_a_classifier_that_knows_nobody_gives_no_trouble() -> None:
    checked, parts = _drawn(np.array([1.0, 0, 0]), 15.0, seed=5, count=200)
    parts[..., 2] = np.nan
    blend, _ = fit_blend(checked, parts)
    assert np.isfinite(blended(checked.ranking, parts, blend).scores).all()


def test_the_chance_of_the_species_is_told_or_predicted() -> None:
    known = _known()
    photos = pd.DataFrame(
        {
            "image": ["a", "b", "c", "d", "e"],
            "code": [0, 1, 2, -1, -1],
            "species": pd.Series(["orca", "orca", "beluga", "beluga", None], dtype="string"),
        }
    )
    members = tuple(Vectors(photos["image"], np.vstack([m.array, m.array[:2]])) for m in known.members)
    known = Catalogue(photos, members, known.names)
    ranking = _ranking([[0, 2, 1, NOBODY]] * 2, [[0.9, 0.85, 0.8, -np.inf]] * 2)
    parts = components(ranking, known, np.array([3, 4]), [0.5, 0.5], species=True)
    assert parts.shape == (2, 4, 4)
    assert parts[0, :3, 3].tolist() == [0, 1, 0]  # d is a beluga, like zoe
    chances = np.exp(np.array([0.9, 0.85, 0.8]) / 0.05)
    chances /= chances.sum()
    orca = chances[0] + chances[2]
    np.testing.assert_allclose(parts[1, :3, 3], [orca, 1 - orca, orca], atol=1e-5)
    assert np.isneginf(parts[:, 3]).all()
