"""Blended scores: components by hand, and weights that a known model must give back."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from examples import FIT

from finprint.answers.components import COMPONENTS, Components, Ranked, compute
from finprint.answers.scoring import Blend, blended, fit_blend, nearest_alone
from finprint.matching.catalogue import Catalogue
from finprint.matching.names import NOBODY, UNKNOWN, Names
from finprint.matching.openset import Checked
from finprint.matching.ranking import Ranking
from finprint.store.vectors import Vectors

S = np.sqrt(0.5)
NO_FILLS: dict[str, list[float]] = {"nearest": [], "mean": []}


def _three(values: np.ndarray) -> Components:
    """Components of (Q, K, 3) values."""
    return Components(("nearest", "mean", "classifier"), values)


def _weights(blend: Blend) -> np.ndarray:
    return np.array(list(blend.weights.values()))


def _catalogue() -> Catalogue:
    """Two members; the classifiers know `al` (two sub-centres) and `bo`, but not `zoe`."""
    array = np.array([[1, 0], [0, 1], [S, S]], np.float32)
    centres = np.array([[[1, 0], [S, S]], [[0, -1], [0, 1]]], np.float32)
    classes = np.array(["al", "bo"], object)
    photos = pd.DataFrame({"image": ["a", "b", "c"]})
    first = Vectors(photos["image"], array, "1", classes, centres)
    second = Vectors(photos["image"], -array, "2", classes[::-1], centres)
    return Catalogue(photos, (first, second), Names(pd.Series(["al", "bo", "zoe"])))


def _ranking(identities: list[list[int]], scores: list[list[float]]) -> Ranking:
    values = np.array(scores, np.float32)
    return Ranking(np.array(identities), values, np.array(identities) + 10, values / 2)


def _computed(
    ranking: Ranking, catalogue: Catalogue, queries: list[int], shares: list[float], species: str = "ignore"
) -> np.ndarray:
    ranked = Ranked(catalogue, shares, np.array(queries), np.arange(len(catalogue.photos)), ranking)
    return compute(ranked, FIT.model_copy(update={"species": species})).values


def test_components_hand_worked() -> None:
    ranking = _ranking([[0, 1, 2, NOBODY]], [[0.9, 0.8, 0.7, -np.inf]])
    components = _computed(ranking, _catalogue(), [2], [1.0, 0.0])
    assert components.shape == (1, 4, 3)
    np.testing.assert_allclose(components[0, :3, 0], [0.9, 0.8, 0.7], atol=1e-6)
    np.testing.assert_allclose(components[0, :3, 1], [0.45, 0.4, 0.35], atol=1e-6)
    # Photo c at 45 degrees: al's second sub-centre is just there, bo's second at 45 degrees from it.
    np.testing.assert_allclose(components[0, :2, 2], [1, S], atol=1e-6)
    assert np.isnan(components[0, 2, 2])
    assert np.isneginf(components[0, 3]).all()


def test_the_members_classifiers_are_averaged_by_their_shares_and_matched_by_name() -> None:
    ranking = _ranking([[0, 1]], [[0.9, 0.8]])
    found = _computed(ranking, _catalogue(), [2], [0.25, 0.75])[0, :, 2]
    # The second member sees c at 225 degrees. Its first class is bo: centres at 0 and 45 degrees; al's at -90, 90.
    np.testing.assert_allclose(found, [0.25 * 1 + 0.75 * S, 0.25 * S + 0.75 * -S], atol=1e-6)


def test_a_member_who_does_not_know_an_individual_leaves_it_to_those_who_do() -> None:
    """As a model does that left out the fold with all of the individual's photos."""
    catalogue = _catalogue()
    first, second = catalogue.members
    bo_alone = replace(second, classes=second.classes[:1], centres=second.centres[:1])
    found = _computed(
        _ranking([[0, 1]], [[0.9, 0.8]]), replace(catalogue, members=(first, bo_alone)), [2], [0.25, 0.75]
    )[0, :, 2]
    np.testing.assert_allclose(found, [1, 0.25 * S + 0.75 * -S], atol=1e-6)


def test_blended_scores_rank_anew_and_keep_their_photos() -> None:
    ranking = _ranking([[4, 7, 9, NOBODY]], [[0.9, 0.8, 0.7, -np.inf]])
    components = np.full((1, 4, 3), -np.inf, np.float32)
    components[0, :3] = [[0.9, 0.5, 0.1], [0.8, 0.5, 0.6], [0.7, 0.5, np.nan]]
    blend = Blend({"nearest": 0.5, "mean": 0.0, "classifier": 0.5}, {**NO_FILLS, "classifier": [0.1, 1.0, 0.2]})
    found = blended(ranking, _three(components), blend)
    # 4: (0.9 + 0.1) / 2; 7: (0.8 + 0.6) / 2; 9: its classifier is guessed as 0.1 + 0.7 + 0.2 * 0.5 = 0.9.
    assert found.identities.tolist() == [[9, 7, 4, NOBODY]]
    np.testing.assert_allclose(found.scores[0, :3], [0.8, 0.7, 0.5], atol=1e-6)
    assert np.isneginf(found.scores[0, 3])
    assert found.photos.tolist() == [[19, 17, 14, 9]]


def test_the_plain_blend_changes_nothing() -> None:
    ranking = _ranking([[4, 7, NOBODY]], [[0.9, 0.8, -np.inf]])
    components = np.zeros((1, 3, 3), np.float32)
    components[..., 0] = ranking.scores
    found = blended(ranking, _three(components), nearest_alone(_three(components)))
    assert found.identities.tolist() == ranking.identities.tolist()
    np.testing.assert_array_equal(found.scores, ranking.scores)


def _drawn(weights: np.ndarray, scale: float, seed: int, count: int = 4000) -> tuple[Checked, Components]:
    """Queries whose right answer is drawn from the very model that `fit_blend` fits: softmax over K and "none"."""
    rng = np.random.default_rng(seed)
    components = rng.uniform(0, 1, (count, 8, 3))
    order = np.argsort(-components[..., 0], axis=1)
    components = np.take_along_axis(components, order[..., None], 1)
    logits = np.column_stack([scale * components @ weights, np.full(count, scale * 0.75)])
    picked = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    identities = np.tile(np.arange(8), (count, 1))
    ranking = Ranking(
        identities, components[..., 0].astype(np.float32), identities, components[..., 1].astype(np.float32)
    )
    new = picked == 8
    return Checked(ranking, np.where(new, UNKNOWN, picked), new, np.ones(count)), _three(components)


@pytest.mark.parametrize("weights", [[0.6, 0.1, 0.3], [1.0, 0.0, 0.0], [0.0, 0.2, 0.8]])
def test_the_weights_of_a_known_model_are_found(weights: list[float]) -> None:
    checked, components = _drawn(np.array(weights), 15.0, seed=1)
    blend, loss = fit_blend(checked, components)
    np.testing.assert_allclose(_weights(blend), weights, atol=0.03)
    assert _weights(blend).sum() == pytest.approx(1)
    assert (_weights(blend) >= 0).all()
    assert 0 < loss < np.log(9)


def test_the_log_loss_says_which_components_are_better() -> None:
    checked, components = _drawn(np.array([0.2, 0.0, 0.8]), 15.0, seed=2)
    worse = components.values.copy()
    worse[..., 2] = np.random.default_rng(0).uniform(size=worse.shape[:2])
    assert fit_blend(checked, components)[1] < fit_blend(checked, _three(worse))[1]


def test_weights_of_queries_count_like_repetitions() -> None:
    checked, components = _drawn(np.array([0.5, 0.2, 0.3]), 15.0, seed=3, count=60)
    often = np.random.default_rng(0).integers(1, 4, 60)
    weighted = Checked(checked.ranking, checked.truth, checked.new, often.astype(float))
    rows = np.repeat(np.arange(60), often)
    one, two = fit_blend(weighted, components)[0], fit_blend(checked[rows], components[rows])[0]
    np.testing.assert_allclose(_weights(one), _weights(two), atol=1e-3)


def test_a_gap_of_the_classifier_is_filled_by_a_plane_through_the_others() -> None:
    rng = np.random.default_rng(6)
    values = rng.uniform(-1, 1, (20, 4, 3))
    values[..., 2] = 0.1 + 0.7 * values[..., 0] - 0.2 * values[..., 1]
    whole = values.copy()
    values[3:9, 1, 2] = np.nan
    values[:, 3] = -np.inf  # nobody
    fills = _three(values).fit_fills()
    assert (fills["nearest"], fills["mean"]) == ([], [])
    np.testing.assert_allclose(fills["classifier"], [0.1, 0.7, -0.2], atol=1e-12)
    np.testing.assert_allclose(_three(values).filled(fills)[:, :3], whole[:, :3], atol=1e-12)
    assert (_three(values).filled(fills)[:, 3] == 0).all()
    # Nine values are too few for a plane: the nearest photo's cosine stands in as it is.
    assert _three(values[:3, :3]).fit_fills()["classifier"] == [0, 1, 0]


def test_every_component_is_found_by_its_name() -> None:
    assert {name: one.name for name, one in COMPONENTS.items()} == {name: name for name in COMPONENTS}
    catalogue = _catalogue()
    looked = replace(catalogue, local_scores=_local_scores({("c", "al"): 5.0}))
    always = ["nearest", "mean", "classifier"]
    assert [name for name, one in COMPONENTS.items() if one.wanted(catalogue, FIT)] == always
    assert [name for name, one in COMPONENTS.items() if one.wanted(looked, FIT)] == [*always, "keypoints"]
    compared = replace(catalogue, local_scores=_local_scores({("c", "al"): 5.0}, "descriptors"))
    assert [name for name, one in COMPONENTS.items() if one.wanted(compared, FIT)] == [*always, "descriptors"]


def _local_scores(scores: dict[tuple[str, str], float], column: str = "keypoints") -> pd.DataFrame:
    """Best local scores, by query and individual."""
    table = pd.DataFrame({"keypoints": np.nan, "descriptors": np.nan}, pd.MultiIndex.from_tuples(scores))
    return table.assign(**{column: list(scores.values())})


def test_the_second_look_counts_where_it_was_taken() -> None:
    ranking = _ranking(
        [[0, 1, 2, NOBODY], [2, 0, NOBODY, NOBODY]], [[0.9, 0.8, 0.7, -np.inf], [0.9, 0.8] + [-np.inf] * 2]
    )
    scores = {("c", "al"): 1000.0, ("c", "bo"): 0.0, ("a", "zoe"): 30.0, ("a", "al"): np.nan, ("b", "zoe"): 9.0}
    looked = replace(_catalogue(), local_scores=_local_scores(scores))
    local = _computed(ranking, looked, [2, 0], [0.5, 0.5])[..., 3]
    np.testing.assert_allclose(local[0, :2], [10, 0], atol=1e-6)
    np.testing.assert_allclose(local[1, 0], 0.3, atol=1e-6)
    assert np.isnan([local[0, 2], local[1, 1]]).all()  # not matched; too small
    assert np.isneginf([local[0, 3], local[1, 2], local[1, 3]]).all()
    compared = replace(_catalogue(), local_scores=_local_scores(scores, "descriptors"))
    np.testing.assert_allclose(_computed(ranking, compared, [2, 0], [0.5, 0.5])[0, :2, 3], [100, 0], atol=1e-5)


def test_the_same_side_alone_is_compared() -> None:
    """Photo a is of al's left, b of bo's right, c of zoe's left; the query d, at 30 degrees, shows a left side."""
    plain = _catalogue()
    sides = pd.Series(["left", "right", "left", "left", None], dtype="string")
    photos = pd.DataFrame({"image": list("abcde"), "code": [0, 1, 2, -1, -1], "viewpoint": sides})
    query = np.array([[np.cos(np.pi / 6), 0.5]], np.float32)
    members = tuple(replace(m, array=np.vstack([m.array, query, query])) for m in plain.members[:1])
    catalogue = Catalogue(photos, members, plain.names)
    ranked = Ranked(
        catalogue, [1.0], np.array([3, 4]), np.arange(3), _ranking([[2, 0, 1, NOBODY]] * 2, [[0.9] * 4] * 2)
    )
    same = COMPONENTS["same_side"].compute(ranked)
    np.testing.assert_allclose(same[0, :2], np.cos(np.radians([15, 30])), atol=1e-6)
    assert np.isnan(same[0, 2:]).all()
    assert np.isnan(same[1]).all()  # its side is not told
    assert COMPONENTS["same_side"].wanted(catalogue, FIT)
    untold = replace(catalogue, photos=photos.assign(viewpoint=pd.Series([None] * 5, dtype="string")))
    assert not COMPONENTS["same_side"].wanted(untold, FIT)


def test_without_a_second_look_an_individual_counts_as_such_cosines_usually_do() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0, 1, (20, 4, 4))
    values[..., 3] = 0.2 + 0.5 * values[..., 0] + 0.1 * values[..., 1]
    whole = values.copy()
    values[:, 2, 3] = np.nan
    values[:5, 1, 2] = np.nan  # gaps of another component cost it nothing
    components = Components(("nearest", "mean", "classifier", "keypoints"), values)
    fills = components.fit_fills()
    np.testing.assert_allclose(fills["keypoints"], [0.2, 0.5, 0.1], atol=1e-12)
    np.testing.assert_allclose(components.filled(fills)[..., 3], whole[..., 3], atol=1e-12)
    # Too few to learn from: no individual is better for not having been matched.
    assert Components(components.names, values[:2]).fit_fills()["keypoints"] == [0, 0, 0]


def test_a_second_look_that_knows_better_orders_the_answers() -> None:
    checked, three = _drawn(np.array([1.0, 0, 0]), 15.0, seed=8, count=400)
    rng = np.random.default_rng(8)
    hits = checked.ranking.identities == checked.truth[:, None]
    local = 0.3 + 0.4 * hits + rng.normal(0, 0.05, hits.shape)
    local[:, 2:] = np.nan
    components = Components((*three.names, "keypoints"), np.dstack([three.values, local]))
    blend, loss = fit_blend(checked, components)
    _, without = fit_blend(checked, three)
    assert loss < without - 0.2
    assert blend.weights["keypoints"] > 0.3


def test_with_nothing_to_learn_from_the_nearest_photo_counts() -> None:
    checked, components = _drawn(np.array([1.0, 0, 0]), 15.0, seed=4, count=5)
    lost = Checked(checked.ranking, np.full(5, 77), np.zeros(5, bool), np.ones(5))  # none among the ranked
    assert _weights(fit_blend(lost, components)[0]).tolist() == [1, 0, 0]
    nothing = np.zeros(0, int)
    assert _weights(fit_blend(checked[nothing], components[nothing])[0]).tolist() == [1, 0, 0]


def test_a_classifier_that_knows_nobody_gives_no_trouble() -> None:
    checked, components = _drawn(np.array([1.0, 0, 0]), 15.0, seed=5, count=200)
    components.values[..., 2] = np.nan
    blend, _ = fit_blend(checked, components)
    assert np.isfinite(blended(checked.ranking, components, blend).scores).all()


def test_the_chance_of_the_species_is_told_or_predicted() -> None:
    catalogue = _catalogue()
    photos = pd.DataFrame(
        {
            "image": ["a", "b", "c", "d", "e"],
            "code": [0, 1, 2, -1, -1],
            "species": pd.Series(["orca", "orca", "beluga", "beluga", None], dtype="string"),
        }
    )
    members = tuple(Vectors(photos["image"], np.vstack([m.array, m.array[:2]])) for m in catalogue.members)
    catalogue = Catalogue(photos, members, catalogue.names)
    ranking = _ranking([[0, 2, 1, NOBODY]] * 2, [[0.9, 0.85, 0.8, -np.inf]] * 2)
    components = _computed(ranking, catalogue, [3, 4], [0.5, 0.5], "prior")
    assert components.shape == (2, 4, 4)
    assert components[0, :3, 3].tolist() == [0, 1, 0]  # d is a beluga, like zoe
    chances = np.exp(np.array([0.9, 0.85, 0.8]) / 0.05)
    chances /= chances.sum()
    orca = chances[0] + chances[2]
    np.testing.assert_allclose(components[1, :3, 3], [orca, 1 - orca, orca], atol=1e-5)
    assert np.isneginf(components[:, 3]).all()
