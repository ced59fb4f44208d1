"""What is chosen for a folder and the minutes there are."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SurveyFolder, prepare_params, save_photo, scenery
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.base.params import changed
from finprint.check import check_named
from finprint.params import load_params
from finprint.start.cost import Speed, Work, minutes
from finprint.start.facts import Facts, facts_of
from finprint.start.recipe import AT_ONCE, FINE_KEYPOINTS, Plan, crop_choices, plan
from finprint.start.rungs import Look, rungs
from finprint.survey.look import look

OURS = load_params(Path(__file__).parents[2] / "params.yaml")
# Two cores on which the right whales of README take 57 minutes with one of them.
SPEED = Speed(read=0.001, crop=0.002, learn=(0.003, 6.0e-7), embed=(0.0005, 1.2e-7), points=0.1, pair=0.07)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """The facts of a small folder."""
    return facts(tmp_path_factory.mktemp("small"))


def facts(root: Path, **changes: Any) -> Facts:
    """The facts of a small folder, with some changed."""
    for number, name in enumerate(["A/1.jpg", "A/2.jpg", "B/1.jpg", "B/2.jpg", "queries/q.jpg"]):
        save_photo(root / name, scenery(number))
    return replace(facts_of(look(root, prepare_params(source="sample"))), **changes)


@pytest.fixture
def right_whales(small: Facts) -> Facts:
    """As many photos as the right whales have."""
    return replace(small, each=np.full(429, 8), photos=4400, queries=1052, sizes=np.full((200, 2), 224))


@pytest.fixture
def antelopes(small: Facts) -> Facts:
    """As many photos as the antelopes have."""
    return replace(small, each=np.full(106, 6), photos=917, queries=305)


def planned(seen: Facts, budget: float, speed: Speed = SPEED) -> Plan:
    return plan(Work(seen, speed), OURS, budget)


def values(chosen: Plan) -> dict[str, Any]:
    return {choice.key: choice.value for choice in chosen.choices}


def test_an_hour_for_the_right_whales_is_the_recipe_of_the_readme(right_whales: Facts) -> None:
    chosen = planned(right_whales, 60, replace(SPEED, pair=math.inf))
    wanted = {
        "train.image_size": 160, "train.first_size": 112, "train.epochs": 30, "train.score_every": 5,
        "train.margin.centres": 1, "train.augment.mirror": "other", "train.augment.mixup": 0.2,
        "train.finetune.trainable": 1.0, "mine.precision": 0.95, "retrain.start": "pretrained", "retrain.epochs": 30,
        "retrain.lr_scale": 1.0, "detector.enabled": False,
        "match.enabled": False,
    }  # fmt: skip
    assert {key: values(chosen)[key] for key in wanted} == wanted
    assert 40 < minutes(chosen.seconds) <= 60


def test_a_small_gallery_is_also_searched_by_descriptors(antelopes: Facts, right_whales: Facts) -> None:
    antelopes = replace(antelopes, sides={"left": 459, "right": 458})
    assert antelopes.comparable == 318  # of one side
    wanted = {"match.compared": 636, "search.shortlist": 106, "match.image_size": 640, "match.keypoints": 512}
    assert wanted.items() <= values(planned(antelopes, 60)).items()
    wanted = {"match.compared": 300, "search.shortlist": 40}  # about half a million pairs
    wanted |= {"match.image_size": 480, "match.keypoints": 256}
    assert wanted.items() <= values(planned(right_whales, 60)).items()
    many = replace(right_whales, each=np.full(4000, 8), photos=60_000, queries=28_000)
    assert {"match.compared": 200}.items() <= values(planned(many, 600)).items()


def test_a_finer_look_is_given_up_for_a_training_of_twenty_epochs(antelopes: Facts) -> None:
    for budget, epochs, keypoints in ((18, 30, 512), (11, 20, 512), (10.5, 20, 256), (7, 16, 256)):
        told = values(planned(antelopes, budget))
        assert (told["train.epochs"], told["match.keypoints"], told["match.learn_epochs"]) == (epochs, keypoints, 8)


def test_a_finer_look_takes_longer_by_hand(antelopes: Facts) -> None:
    """The features of 917 photos: 1.78 times 0.1 s. 411 queries with 636 photos, and 8 of each to draw: twice 0.2 and
    3 ms. 1,590 lessons in 8 passes take the same 6 ms."""

    def seconds(px: int, features: int) -> float:
        look = {"match.enabled": True, "match.compared": 636, "match.individuals": 0, "match.learn_epochs": 8}
        params = changed(OURS, look | {"match.image_size": px, "match.keypoints": features})
        return Work(antelopes, SPEED).seconds(params)["match"]

    compared, learned = 411 * (636 * 0.0002 + 8 * 0.003), 1590 * 8 * 0.006
    assert seconds(480, 256) == pytest.approx(5.0 + 91.7 + compared + learned)
    assert seconds(640, 512) == pytest.approx(5.0 + 91.7 * 16 / 9 + 2 * compared + learned)


def _met(root: Path, *rows: str) -> Facts:
    """The facts of a folder whose table tells encounters, with ten of two photos of one animal, and some more rows."""
    survey = SurveyFolder(root)
    survey.train(*(f"{n}{side}.jpg,orca,animal{n % 4},e{n}" for n in range(10) for side in "ab"), *rows)
    survey.photos("q.jpg", split="test")
    survey.table("test.csv", "image,species,encounter", "q.jpg,orca,f1")
    return facts_of(look(root, prepare_params(source="sample")))


def test_encounters_are_judged_together_where_the_table_shows_one_animal_in_each(small: Facts, tmp_path: Path) -> None:
    alone = _met(tmp_path / "one")
    assert alone.one_animal
    assert values(planned(alone, 60))["search.encounter"] == "fit"
    # One with two animals is enough; folders below an animal's show nothing.
    assert not _met(tmp_path / "two", "x.jpg,orca,animal1,e2").one_animal
    assert values(planned(small, 60))["search.encounter"] == "ignore"
    source = alone.looked.source
    silent = replace(source, queries=source.queries.assign(encounter=None))
    assert not facts_of(replace(alone.looked, source=silent)).one_animal


def test_a_minute_trains_a_head_alone(right_whales: Facts) -> None:
    chosen = planned(right_whales, 1)
    assert values(chosen)["train.finetune.trainable"] == 0
    assert minutes(chosen.seconds) < 6


def test_a_minute_is_enough_to_compare_the_descriptors_of_few_photos(small: Facts) -> None:
    told = values(planned(small, 1))
    assert told["train.finetune.trainable"] == 0
    assert told["match.enabled"]
    assert told["match.individuals"] == 0
    assert minutes(planned(small, 1).seconds) <= AT_ONCE


@settings(max_examples=15)
@given(one=st.floats(0.1, 200), other=st.floats(0.1, 200), animals=st.integers(2, 3000))
def test_more_minutes_never_buy_less(small: Facts, one: float, other: float, animals: int) -> None:
    seen = replace(small, each=np.full(animals, 3), photos=4 * animals)
    taught = seen.teaching  # else nothing is learned, whatever the look is
    fine = values(planned(seen, 1e9))["match.keypoints"] == FINE_KEYPOINTS  # are all photos compared?

    def able(look: Look) -> Look:
        return replace(look, epochs=look.epochs if taught else 0, fine=look.fine and fine)

    order = [(each.side, each.first, each.second, look and able(look)) for each, look in rungs(True)]

    def place(chosen: Plan) -> int:
        told = values(chosen)
        side = told["train.image_size"] if told["train.finetune.trainable"] else 0
        pairs = (told["match.individuals"], told.get("match.photos", 1)) if told["match.enabled"] else None
        closely = told.get("match.keypoints") == FINE_KEYPOINTS
        look = Look(*pairs, told["match.learn_epochs"], closely) if pairs else None
        return order.index((side, told["train.epochs"], told["retrain.epochs"], look))

    few, many = sorted([one, other])
    low, high = planned(seen, few), planned(seen, many)
    assert place(high) <= place(low)
    for chosen, budget in ((low, few), (high, many)):
        looked_at = values(chosen)["match.enabled"] and not values(chosen)["train.finetune.trainable"]
        allowed = max(budget, AT_ONCE) if looked_at else budget
        assert minutes(chosen.seconds) <= allowed or place(chosen) == len(order) - 1


def test_a_shorter_training_leaves_room_for_a_second_look(right_whales: Facts) -> None:
    alone = planned(right_whales, 60, replace(SPEED, pair=math.inf))
    both = planned(right_whales, 60)
    assert values(both)["match.enabled"]
    assert both.seconds["match"] > 60 > alone.seconds["match"]
    assert both.seconds["train"] < alone.seconds["train"]


def test_pairs_are_matched_where_all_else_fits(right_whales: Facts) -> None:
    an_hour, two_hours = values(planned(right_whales, 60)), values(planned(right_whales, 120))
    assert (an_hour["match.individuals"], an_hour["train.image_size"]) == (0, 160)
    assert (two_hours["match.individuals"], two_hours["match.photos"], two_hours["train.epochs"]) == (8, 2, 30)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pair": math.inf}, "the photos are too small for local features"),
        ({"pair": math.inf, "points": math.inf}, "the networks of the second look are not installed"),
        ({"points": 1.0}, "no time for a second look"),
    ],
)
def test_why_there_is_no_second_look(changes: dict[str, float], why: str, right_whales: Facts) -> None:
    chosen = planned(right_whales, 60, replace(SPEED, **changes))
    assert [(one.value, one.reason) for one in chosen.choices if one.key == "match.enabled"] == [(False, why)]


def test_a_training_is_not_given_up_for_a_second_look(right_whales: Facts) -> None:
    told = values(planned(right_whales, 60, replace(SPEED, pair=1.0)))
    assert (told["train.finetune.trainable"], told["train.epochs"]) == (1, 28)
    assert (told["match.enabled"], told["match.individuals"]) == (True, 0)  # descriptors alone
    assert told["match.learn_epochs"] == 8
    assert values(planned(right_whales, 60, replace(SPEED, points=1.0)))["match.enabled"] is False


def test_a_second_look_beside_a_head_comes_before_a_training_without_one(antelopes: Facts) -> None:
    plans = [values(planned(antelopes, budget)) for budget in np.linspace(0.5, 12, 24).tolist()]
    looks = [told["match.enabled"] for told in plans]
    first = looks.index(True)
    assert plans[first]["train.finetune.trainable"] == 0
    assert any(told["train.finetune.trainable"] for told in plans[:first])
    assert all(looks[first:])


def test_every_choice_has_a_reason_and_its_value_is_written(right_whales: Facts) -> None:
    for budget in (1, 8, 20, 60):
        chosen = planned(right_whales, budget)
        assert all(choice.reason for choice in chosen.choices)
        tree = chosen.params.model_dump()
        for key, value in values(chosen).items():
            place: Any = tree
            for name in key.split("."):
                place = place[name]
            assert place == value


def test_a_photo_with_two_boxes_is_one_photo(tmp_path: Path) -> None:
    names = [f"images/{number}.jpg" for number in range(4)] + ["queries/q.jpg"]
    for number, name in enumerate(names):
        save_photo(tmp_path / name, scenery(number))
    rows = [f"{number}.jpg,{name}" for number in range(4) for name in ("A,1 1 20 20", "B,30 30 50 50")]
    (tmp_path / "metadata.csv").write_text("\n".join(["image,identity,bbox", *rows]))
    found = facts_of(look(tmp_path, prepare_params(source="sample")))
    assert (found.photos, found.boxed, found.crops) == (5, 4, 9)
    assert {choice.key: choice.value for choice in crop_choices(found)}["detector.enabled"] is False  # of four, too few


def test_a_detector_leaves_time_for_the_rest(small: Facts) -> None:
    many = replace(small, each=np.full(500, 10), photos=6000, queries=1000, boxed=5000)
    epochs = [values(planned(many, budget))["detector.epochs"] for budget in (10, 60, 10_000)]
    assert epochs == sorted(epochs)
    assert (epochs[0], epochs[-1]) == (3, 27)
    hour = planned(many, 60)
    assert hour.seconds["detector"] < 0.25 * 3600
    few = replace(many, boxed=100)
    assert values(planned(few, 5))["detector.epochs"] == 27, "of few photos, all epochs are few steps"


@pytest.mark.parametrize(
    ("boxed", "parts", "wanted"),
    [
        (0, [], (False, "detector", ["body", "fin"])),
        (29, ["fin"], (False, "given", ["fin"])),
        (30, ["fin", "body"], (True, "detector", ["body", "fin"])),
        (99, ["fin"], (True, "detector", ["fin"])),
        (100, ["head"], (False, "given", ["head"])),
    ],
)
def test_boxes_decide_on_the_detector(
    boxed: int, parts: list[str], wanted: tuple[bool, str, list[str]], small: Facts
) -> None:
    chosen = planned(replace(small, photos=100, boxed=boxed, parts=parts), 60)
    told = values(chosen)
    assert (told["detector.enabled"], told["crop.boxes_from"], told["crop.parts"]) == wanted
    alone = chosen.seconds["detector"] == planned(replace(small, photos=100), 60).seconds["detector"]
    assert alone is not wanted[0]


def test_boxes_of_nearly_all_photos_are_cut_out(small: Facts) -> None:
    told = values(planned(replace(small, photos=100, boxed=99, parts=["fin"], nearly_boxed=True), 60))
    assert (told["detector.enabled"], told["crop.boxes_from"]) == (True, "given")


@pytest.mark.parametrize(("catalogue", "asked", "wanted"), [(1, 1, True), (2, 1, False), (1, 2, False)])
def test_nearly_all_photos_have_a_box(catalogue: int, asked: int, wanted: bool, tmp_path: Path) -> None:
    """Of ten photos of the catalogue and ten to identify so many have none."""
    names = [*(f"{'AB'[n % 2]}/{n}.jpg" for n in range(10)), *(f"queries/{n}.jpg" for n in range(10))]
    for number, name in enumerate(names):
        save_photo(tmp_path / name, scenery(number))
    boxed = [*names[catalogue:10], *(name.removeprefix("queries/") for name in names[10 + asked :])]
    rows = [f"{name},body,1,2,30,40" for name in boxed]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,part,x_min,y_min,x_max,y_max", *rows]))
    assert facts_of(look(tmp_path, prepare_params(source="folder"))).nearly_boxed == wanted


def test_a_detector_that_learns_more_slowly_takes_longer(small: Facts) -> None:
    params = changed(OURS, {"detector.enabled": True})
    boxed, none = replace(small, photos=100, boxed=50), replace(small, photos=100, boxed=0)
    begin, as_fast, slower = (
        Work(facts, replace(SPEED, detected=times)).seconds(params)["detector"]
        for facts, times in ((none, 1.0), (boxed, 1.0), (boxed, 1.5))
    )
    assert slower - begin == pytest.approx(1.5 * (as_fast - begin))
    assert as_fast > begin


def test_a_backbone_of_one_size_keeps_it(right_whales: Facts) -> None:
    """As transformers are: else `dvc repro` would refuse what `start` wrote."""
    vit = {"train.backbone": "vit_tiny_patch16_224", "train.weights": "none", "train.image_size": 224}
    base = changed(OURS, vit | {"train.first_size": 224})
    for budget in (1, 60, 600):
        chosen = plan(Work(right_whales, SPEED), base, budget)
        assert (chosen.params.train.image_size, chosen.params.train.first_size) == (224, 224)
        check_named(chosen.params)


def test_values_that_cannot_stay_are_given_up(small: Facts) -> None:
    ours = {"crop.animals": "each", "crop.slices": 2, "train.augment.cutmix": 1.0, "train.finetune.unfreeze": [0, 8]}
    base = changed(OURS, ours)
    chosen = values(plan(Work(small, SPEED), base, 60))  # no box, so no detector; 30 epochs
    assert (chosen["crop.animals"], chosen["crop.slices"]) == ("best", 1)
    assert {"train.augment.cutmix", "train.finetune.unfreeze"}.isdisjoint(chosen)
    large = replace(small, each=np.full(429, 80), photos=44000)
    chosen = values(plan(Work(large, SPEED), base, 1))
    assert chosen["train.augment.cutmix"] == 0.0
    boxed = replace(small, boxed=5, parts=["body"])
    assert "crop.animals" not in values(plan(Work(boxed, SPEED), base, 60))  # each box of the tables is an animal


def test_photos_without_an_animal_are_not_counted(tmp_path: Path) -> None:
    names = ["A/left/1.jpg", "A/left/2.jpg", "B/left/1.jpg", "B/left/2.jpg", "queries/left/q.jpg", "sea/1.jpg"]
    for number, name in enumerate(names):
        save_photo(tmp_path / name, scenery(number))
    found = facts_of(look(tmp_path, prepare_params(source="folder", background="sea")))
    assert (found.photos, found.sides) == (5, {"left": 4})


def test_what_a_mirror_image_shows(small: Facts) -> None:
    wide, mixed = np.full((9, 2), [300, 200]), np.array([[300, 200], [310, 200], [200, 300]])
    cases: list[tuple[dict[str, Any], str]] = [
        ({"sizes": wide}, "other"),
        ({"sizes": mixed}, "same"),
        ({"sizes": wide, "boxed": 5, "parts": ["body"]}, "same"),
        ({"sizes": mixed, "sides": {"left": 3, "right": 2}}, "other"),
        ({"sizes": mixed, "sides": {"left": 5}}, "same"),
    ]
    for changes, wanted in cases:
        assert values(planned(replace(small, **changes), 60))["train.augment.mirror"] == wanted


def test_the_sides_of_an_animal_are_classes_where_both_are_told(small: Facts) -> None:
    for sides, wanted in (({"left": 3, "right": 2}, "apart"), ({"left": 5}, "together"), ({"": 5}, "together")):
        assert values(planned(replace(small, sides=sides), 60))["train.viewpoints"] == wanted


def test_sides_that_only_some_photos_tell(small: Facts) -> None:
    for silent, wanted in ((5, "apart"), (6, "together")):
        chosen = planned(replace(small, sides={"left": 3, "right": 2, "": silent}), 60)
        (choice,) = (one for one in chosen.choices if one.key == "train.viewpoints")
        assert choice.value == wanted
        assert choice.reason.endswith(f" ({silent} of {5 + silent} photos do not tell their viewpoint)")


@pytest.mark.parametrize("form", ["folder", "csv", "semicolons", "coco", "happywhale"])
def test_the_layout_is_found(form: str, tmp_path: Path) -> None:
    root = tmp_path / "survey"
    wanted = {"prepare.source": "csv", "prepare.folder": str(root)}
    if form == "happywhale":
        wanted["prepare.source"] = "happywhale"
        folder = SurveyFolder(root)
        folder.train("1.jpg,orca,A,", "2.jpg,orca,A,", "3.jpg,orca,B,", "4.jpg,orca,B,")
        folder.photos("q.jpg", split="test")
    else:
        for number in range(4):
            save_photo(root / (f"{'AB'[number // 2]}/{number}.jpg"), scenery(number))
        save_photo(root / "queries/q.jpg", scenery(9))
    names = [f"{'AB'[number // 2]}/{number}.jpg" for number in range(4)]
    if form == "folder":
        wanted["prepare.source"] = "folder"
    elif form == "csv":
        rows = [f"{name},{name[0]},2021-05-0{number + 1}" for number, name in enumerate(names)]
        (root / "metadata.csv").write_text("\n".join(["path,identity,date", *rows]) + "\n")
        wanted |= {"prepare.csv.file": "metadata.csv", "prepare.csv.date": "date"}
    elif form == "semicolons":
        rows = [f"{name};{name[0]};left;train" for name in names]
        (root / "photos.csv").write_text("\n".join(["File;Animal;Side;set", *rows]) + "\nqueries/q.jpg;;left;test\n")
        wanted |= {
            "prepare.csv.file": "photos.csv", "prepare.csv.image": "File", "prepare.csv.identity": "Animal",
            "prepare.csv.viewpoint": "Side", "prepare.csv.split": "set", "prepare.csv.query_value": "test",
        }  # fmt: skip
    elif form == "coco":
        content = {
            "images": [{"id": number, "file_name": name} for number, name in enumerate(names)],
            "annotations": [
                {"image_id": number, "bbox": [1, 2, 30, 20], "category_id": 1, "attributes": {"individual": name[0]}}
                for number, name in enumerate(names)
            ],
            "categories": [{"id": 1, "name": "body"}],
        }
        (root / "coco.json").write_text(json.dumps(content))
        wanted |= {
            "prepare.csv.file": "coco.json", "prepare.csv.image": "file_name", "prepare.csv.part": "category",
            "prepare.csv.identity": "attributes.individual", "prepare.csv.box": "bbox",
        }  # fmt: skip
    looked = look(root, prepare_params(source="sample"))
    told = values(planned(facts_of(looked), 60))
    assert {key: told[key] for key in wanted} == wanted
    assert len(looked.source.labelled) == 4
    assert looked.source.labelled["identity"].tolist() == ["A", "A", "B", "B"]
