"""What is chosen for a folder of classes and the minutes there are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import prepare_params, save_photo, scenery
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.base.params import changed
from finprint.check import check_named
from finprint.params import load_params
from finprint.start.class_recipe import Pace, class_seconds, frozen_sections, ladder, plan_classes
from finprint.start.cost import Speed, minutes
from finprint.start.facts import Facts, facts_of
from finprint.start.recipe import Plan
from finprint.survey.look import look

OURS = load_params(Path(__file__).parents[2] / "params.yaml")
# Two idle cores, in float32: lite0 learns from 300 images a second at 48 px, from 125 at 96 px.
SPEED = Speed(read=0.0005, crop=0.0005, learn=(0.0017, 6.8e-7), embed=(0.0003, 1.0e-7), points=0.0, pair=float("inf"))
VIEWS = {
    "any_turn_frozen1": 0.015, "any_turn_frozen0": 0.010, "plain": 0.002,
    "large0": 0.006, "large1": 0.014, "large2": 0.022,
}  # fmt: skip
# The same in bfloat16: 560 images a second at 48 px, 270 at 96 px. The frozen backbones of plankton take less, too.
FAST = replace(SPEED, learn=(0.0012, 2.6e-7), embed=(0.0007, 6.2e-8))
FAST_PACE = Pace(FAST, {"any_turn_frozen1": 0.0055, "any_turn_frozen0": 0.0044, "plain": 0.0044}, 0.005, 7.2)
FIT = 0.001  # seconds of a head for an image of a few classes; 0.02 for a hundred


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    root = tmp_path_factory.mktemp("classes")
    for number in range(24):
        save_photo(root / f"{'ABC'[number % 3]}/{number}.jpg", scenery(number))
    return facts_of(look(root, prepare_params(source="sample")), classes=True)


@pytest.fixture
def plankton(folder: Facts) -> Facts:
    """As many images as the plankton of docs/classes.md has."""
    return replace(folder, each=np.full(121, 59), photos=9045, queries=1898, sizes=np.full((200, 2), 70))


@pytest.fixture
def scenes(folder: Facts) -> Facts:
    return replace(folder, each=np.full(6, 400), photos=3600, queries=1200, sizes=np.full((200, 2), 150))


def pace(turns: float, fit: float = FIT) -> Pace:
    return Pace(SPEED, VIEWS | {"lite1": 0.003, "lite2": 0.005}, fit, turns)


def planned(seen: Facts, turns: float, budget: float) -> Plan:
    return plan_classes(seen, pace(turns, 0.02 if len(seen.each) > 100 else FIT), OURS, budget)


def values(chosen: Plan) -> dict[str, Any]:
    return {choice.key: choice.value for choice in chosen.choices}


def test_an_hour_in_float32_buys_two_whole_trainings_of_plankton(plankton: Facts) -> None:
    chosen = planned(plankton, 6.2, 60)
    wanted = {
        "classes.of": ["identity"], "classes.members": ["any_turn", "any_turn_frozen1"], "vote.by": "geometric",
        "prepare.folds": 10, "classes.folds": [0, 1], "detector.enabled": False,
    }  # fmt: skip
    assert {key: values(chosen)[key] for key in wanted} == wanted
    assert values(chosen)["classify.members.any_turn.epochs"] == 30
    check_named(chosen.params)
    assert 35 < minutes(chosen.seconds) <= 60


def test_an_hour_in_bfloat16_buys_four_whole_trainings_of_plankton(plankton: Facts) -> None:
    chosen = plan_classes(plankton, FAST_PACE, OURS, 60)
    wanted = {
        "classes.members": ["any_turn", "any_turn_frozen1", "any_turn_frozen0"], "classes.folds": [0, 1, 2, 3],
        "classify.members.any_turn.epochs": 30,
    }  # fmt: skip
    assert {key: values(chosen)[key] for key in wanted} == wanted
    assert 45 < minutes(chosen.seconds) <= 60


def test_further_minutes_buy_a_further_backbone_and_further_whole_trainings_of_plankton(plankton: Facts) -> None:
    plans = ((200, range(4), 2), (95, range(3), 2), (85, range(3), 1), (70, range(2), 2), (60, range(2), 1))
    for budget, folds, frozen in plans:
        told = values(planned(plankton, 6.2, budget))
        assert (told["classes.folds"], told["classify.members.any_turn.epochs"]) == (list(folds), 30)
        assert told["classes.members"] == ["any_turn", "any_turn_frozen1", "any_turn_frozen0"][: 1 + frozen]


def test_from_twenty_minutes_on_a_network_learns_scenes_beside_the_frozen_ones(scenes: Facts) -> None:
    for budget, epochs, folds in ((90, 20, range(6)), (60, 17, range(6)), (30, 20, [0, 1]), (20, 11, [0, 1])):
        chosen = planned(scenes, -0.4, budget)
        wanted = {
            "classes.members": ["outlines", "large0", "large1", "large2"], "prepare.folds": 6,
            "classes.folds": list(folds), "classify.members.outlines.epochs": epochs,
        }  # fmt: skip
        assert {key: values(chosen)[key] for key in wanted} == wanted
        check_named(chosen.params)


def test_a_network_learns_many_images_in_few_epochs(scenes: Facts) -> None:
    """One epoch of 33,000 images has more steps than eleven of 2,000, after which a network helps."""
    many = replace(scenes, each=np.full(10, 4000), photos=42_000, queries=2000)
    chosen = plan_classes(many, Pace(FAST, VIEWS | {"lite1": 0.008, "lite2": 0.011}, FIT, 0.0), OURS, 60)
    told = values(chosen)
    assert (told["classes.members"][0], told["classes.folds"]) == ("outlines", [0])
    assert 2 <= told["classify.members.outlines.epochs"] < 11
    assert minutes(chosen.seconds) <= 60
    check_named(chosen.params)
    assert [models.epochs for models in ladder(0.0, 2400) if 0 < models.epochs < 11] == []


def test_the_size_of_a_crop_counts_if_a_box_tells_it(scenes: Facts) -> None:
    for boxed, extras in ((0, "none"), (1, "none"), (3000, "size"), (3600, "size")):
        chosen = planned(replace(scenes, boxed=boxed), 0.0, 90)
        assert values(chosen)["classify.members.outlines.extras"] == extras
        assert chosen.params.classify.of_model("outlines").extras == extras
    assert "classify.members.outlines.extras" not in values(planned(scenes, 0.0, 5))


def test_a_quarter_of_an_hour_for_the_scenes_is_the_command_of_the_docs(scenes: Facts) -> None:
    chosen = planned(scenes, -0.4, 15)
    wanted = {
        "classes.members": ["large0", "large1", "large2"], "vote.by": "geometric", "prepare.folds": 6,
        "classes.folds": [0, 1, 2, 3, 4, 5], "classify.cyclic": False, "classify.extras": "none",
    }  # fmt: skip
    assert {key: values(chosen)[key] for key in wanted} == wanted
    assert 8 < minutes(chosen.seconds) < 15  # the run took 11


def test_in_a_minute_one_backbone_looks_once(plankton: Facts, scenes: Facts) -> None:
    told = values(planned(scenes, 0.0, 1))
    assert (told["classes.members"], told["classes.folds"]) == (["plain"], [0])
    assert (told["classify.cyclic"], told["classify.extras"]) == (False, "none")
    chosen = planned(plankton, 6.0, 1)
    check_named(chosen.params)
    told = values(chosen)
    assert told["classes.members"] == ["plain"]
    assert (told["classify.cyclic"], told["classify.extras"]) == (True, "all")


@settings(max_examples=10)
@given(one=st.floats(0.1, 200), other=st.floats(0.1, 200), images=st.integers(20, 3000), turns=st.floats(-9, 9))
def test_more_minutes_never_buy_less(folder: Facts, one: float, other: float, images: int, turns: float) -> None:
    seen = replace(folder, each=np.full(5, images), photos=6 * images, queries=images)
    order = [(list(each.members), list(each.folds), each.epochs) for each in ladder(turns, 5 * images)]

    def place(chosen: Plan) -> int:
        told = values(chosen)
        epochs = told.get(f"classify.members.{told['classes.members'][0]}.epochs", 0)
        return order.index((told["classes.members"], told["classes.folds"], epochs))

    few, many = sorted([one, other])
    low, high = planned(seen, turns, few), planned(seen, turns, many)
    assert place(high) <= place(low)
    for chosen, budget in ((low, few), (high, many)):
        assert minutes(chosen.seconds) <= budget or place(chosen) == len(order) - 1


def test_no_network_learns_from_few_images(folder: Facts) -> None:
    """All of them judge in turn, because few of them would judge badly; of still fewer a fold may have none."""
    assert values(planned(folder, 0.0, 60))["classes.folds"] == [0]
    for turns, members in ((0.0, ["large0", "large1", "large2"]), (6.0, ["any_turn_frozen1", "any_turn_frozen0"])):
        told = values(planned(replace(folder, each=np.full(3, 16)), turns, 60))
        assert (told["prepare.folds"], told["classes.folds"]) == (6, [0, 1, 2, 3, 4, 5])
        assert told["classes.members"] == members


def test_few_images_are_learned_in_more_epochs(scenes: Facts) -> None:
    """600 steps of 32 images; one fold of six is left out."""
    for images, epochs in ((12, 80), (50, 80), (100, 40), (200, 20), (400, 20)):
        told = values(planned(replace(scenes, each=np.full(6, images)), 0.0, 300))
        assert told["classify.members.outlines.epochs"] == epochs
    assert values(planned(replace(scenes, each=np.full(6, 50)), 6.0, 300))["classify.members.any_turn.epochs"] == 30


def test_crops_are_as_fine_as_the_views(scenes: Facts) -> None:
    for sides, wanted in ((150, 160), (200, 200), (3000, 288)):
        told = values(planned(replace(scenes, sizes=np.full((9, 2), [4000, sides])), 0.0, 60))
        assert told["crop.image_size"] == wanted


def test_every_member_that_stays_frozen_is_timed() -> None:
    """As it looks at images: a plain one at all quarter turns, if no position is upright."""
    assert list(frozen_sections(OURS, 0.0)) == ["large0", "large1", "large2", "lite1", "lite2", "plain"]
    looking = ["any_turn_frozen1", "any_turn_frozen0", "plain"]
    turned = frozen_sections(OURS, 6.0)
    assert {name: section.cyclic for name, section in turned.items()} == dict.fromkeys(looking, True)
    soft = changed(OURS, {"classify.soft": "data/soft", "classify.finetune.trainable": 1.0})
    assert list(frozen_sections(soft, 6.0)) == looking


def test_a_learner_that_somebody_froze_learns_again(scenes: Facts) -> None:
    ours = changed(OURS, {"classify.members.outlines.finetune.trainable": 0.0})
    chosen = plan_classes(scenes, pace(0.0), ours, 30)
    assert chosen.params.classify.of_model("outlines").finetune.trainable == 1.0
    assert chosen.seconds == plan_classes(scenes, pace(0.0), OURS, 30).seconds


def test_values_that_cannot_stay_are_given_up(scenes: Facts) -> None:
    ours = {"classify.sizes": [96, 128], "imagine.per_class": 5, "crop.slices": 2, "classify.finetune.trainable": 1.0}
    chosen = values(plan_classes(scenes, pace(0.0), changed(OURS, ours), 60))
    assert (chosen["classify.sizes"], chosen["imagine.per_class"], chosen["crop.slices"]) == ([], 0, 1)
    assert (chosen["classify.finetune.trainable"], chosen["crop.image_size"]) == (0, 160)
    fine = replace(scenes, sizes=np.full((9, 2), 900))
    assert values(plan_classes(fine, pace(0.0), changed(OURS, ours), 60))["crop.image_size"] == 288


def test_seconds_by_hand(scenes: Facts) -> None:
    """One network learns for two epochs at 128 px; 2000 of 2400 images teach, 1600 are answered in two views each."""
    ours = {"classes.of": ["identity"], "classify.epochs": 2, "classify.finetune.trainable": 1.0}
    seconds = class_seconds(scenes, pace(0.0), changed(OURS, ours | {"detector.enabled": False}))
    assert seconds["classify"] == pytest.approx(2000 * 2 * (0.0017 + 6.8e-7 * 128**2) + 8)
    assert seconds["guess"] == pytest.approx(1600 * 2 * (0.0003 + 1e-7 * 128**2) + 8)
    assert seconds["prepare"] == pytest.approx(3600 * 0.0005 + 4)
