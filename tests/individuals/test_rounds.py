"""A round: what it learns from, the network it starts with, what it reaches."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import NO_AUGMENT, SMALL_TRAIN
from examples import PHOTOS, RECIPE, stored_crops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from finprint.base.checkpoint import Checkpoint
from finprint.base.errors import UserError
from finprint.base.files import write_json
from finprint.individuals.heads import photo_counts
from finprint.individuals.lessons import fingerprint, lessons
from finprint.individuals.params import Mine, Retrain, Train
from finprint.individuals.rounds import (
    ASKED,
    Earlier,
    Later,
    later_checkpoints,
    later_rounds,
    round_checkpoint,
    settled,
)
from finprint.individuals.task import Individuals
from finprint.learning.inputs import Photos
from finprint.learning.network import Network
from finprint.learning.recipe import Recipe
from finprint.learning.round import Trained, train_round
from finprint.model.embedder import load_model, save_model
from finprint.model.embedding import embed_crops
from finprint.model.params import Embed
from finprint.pictures.shards import Crops
from finprint.store.tables import TEST, TRAIN, VALIDATION

pytestmark = pytest.mark.usefixtures("training_state")


@pytest.fixture
def crops(tmp_path: Path) -> Crops:
    return stored_crops(tmp_path / "crops", sorted(PHOTOS["image"], reverse=True))


def _task(crops: Crops, train: Train = SMALL_TRAIN, photos: pd.DataFrame = PHOTOS, **more: Any) -> Individuals:
    return Individuals.of(photos, crops, train, **more)


def _network(crops: Crops, train: Train = SMALL_TRAIN, seed: int = 0, **more: Any) -> Network:
    return _task(crops, train, **more).new_network(Recipe(train, 1, 1e-3, seed))


def _round(crops: Crops, stage: str = "train", recipe: Recipe = RECIPE, **more: Any) -> Trained:
    return train_round(_task(crops, recipe.train, **more), crops, recipe, Checkpoint(stage, {}, [], []))


def _pseudo(names: dict[str, str]) -> pd.DataFrame:
    table = pd.DataFrame({"image": list(names), "identity": list(names.values())}, dtype="string")
    return table.assign(score=0.9, weight=1.0)


def test_lessons_are_the_training_photos_with_a_name(crops: Crops) -> None:
    found = lessons(PHOTOS, crops, None)
    assert found.classes == ["al", "bo"]
    assert found.targets.labels.tolist() == [[0], [0], [0], [1]]
    assert found.targets.weights.tolist() == [[1]] * 4
    assert crops.index["image"].iloc[found.rows].tolist() == ["a1.jpg", "a2.jpg", "a3.jpg", "b1.jpg"]


def test_pseudo_labels_come_after_and_none_change_nothing(crops: Crops) -> None:
    found = lessons(PHOTOS, crops, _pseudo({"q2.jpg": "bo", "q1.jpg": "al"}))
    assert crops.index["image"].iloc[found.rows].tolist()[-2:] == ["q2.jpg", "q1.jpg"]
    assert found.targets.labels.ravel().tolist() == [0, 0, 0, 1, 1, 0]
    assert found.classes == ["al", "bo"]
    empty = lessons(PHOTOS, crops, _pseudo({}))
    assert empty.targets.labels.ravel().tolist() == [0, 0, 0, 1]
    assert empty.classes == ["al", "bo"]


def test_soft_pseudo_labels_share_their_weight_among_names(crops: Crops) -> None:
    rows = [("q2.jpg", "bo", 0.6), ("q2.jpg", "al", 0.3), ("q1.jpg", "al", 0.5)]
    found = lessons(PHOTOS, crops, pd.DataFrame(rows, columns=["image", "identity", "weight"]))
    assert crops.index["image"].iloc[found.rows].tolist()[-2:] == ["q2.jpg", "q1.jpg"]
    assert found.targets.labels.tolist() == [[0, 0], [0, 0], [0, 0], [1, 0], [1, 0], [0, 0]]
    np.testing.assert_allclose(found.targets.weights, [*[[1, 0]] * 4, [0.6, 0.3], [0.5, 0]])
    assert photo_counts(found.targets).tolist() == pytest.approx([3.8, 1.6])


VIEWPOINTS = {
    "a1.jpg": "left",
    "a2.jpg": "right",
    "b1.jpg": "right",
    "q1.jpg": "right",
    "q2.jpg": "left",
}  # a3 tells none


def test_viewpoints_can_be_classes_of_their_own(crops: Crops, capsys: pytest.CaptureFixture[str]) -> None:
    """A photo whose viewpoint is not told is of a further class. A pseudo-label never makes a class."""
    photos = PHOTOS.assign(viewpoint=PHOTOS["image"].map(VIEWPOINTS))
    found = lessons(photos, crops, _pseudo({"q2.jpg": "bo", "q1.jpg": "al"}), apart=True)
    assert found.classes == ["al", "al", "al", "bo"]
    assert crops.index["image"].iloc[found.rows].tolist() == ["a1.jpg", "a2.jpg", "a3.jpg", "b1.jpg", "q1.jpg"]
    assert found.targets.labels.ravel().tolist() == [1, 2, 0, 3, 2]  # bo was never seen from the left, as in q2.jpg
    assert found.species.tolist() == [0] * 4
    train = SMALL_TRAIN.model_copy(update={"viewpoints": "apart"})
    network = _network(crops, train, photos=photos)
    assert network.head.margins.tolist() == pytest.approx([0.271 + 0.05] * 4)
    assert "4 photos of 2 individuals, 4 classes by their viewpoints" in capsys.readouterr().out


def test_a_class_for_each_viewpoint_needs_viewpoints(crops: Crops) -> None:
    for photos in (PHOTOS, PHOTOS.assign(viewpoint=pd.NA)):
        with pytest.raises(
            UserError, match=r"^train\.viewpoints is apart, but no photo tells its viewpoint: tell it, or"
        ):
            lessons(photos, crops, apart=True)


def test_a_photo_without_a_crop_is_no_lesson(tmp_path: Path) -> None:
    crops = stored_crops(tmp_path / "crops", ["a1.jpg", "b1.jpg", "q1.jpg"])
    found = lessons(PHOTOS, crops, _pseudo({"q1.jpg": "bo", "q2.jpg": "al"}))
    assert found.targets.labels.ravel().tolist() == [0, 1, 1]


def test_one_individual_is_nothing_to_learn_from(crops: Crops) -> None:
    photos = PHOTOS[PHOTOS["identity"] != "bo"]
    with pytest.raises(UserError) as caught:
        lessons(photos, crops, None)
    assert str(caught.value) == (
        "3 training photos of 1 individual, nothing to learn from: the catalogue must "
        "name at least two individuals, each with a photo that does not validate"
    )


def test_margins_follow_the_counts_of_photos(crops: Crops) -> None:
    network = _network(crops)
    expected = [0.271 * 3**-0.364 + 0.05, 0.271 + 0.05]
    assert network.head.margins.tolist() == pytest.approx(expected)
    assert network.head.weight.shape == (2 * 2, 8)
    assert network.head.logit_scale == 20.0


def test_mirror_images_can_be_individuals_of_their_own(crops: Crops) -> None:
    train = SMALL_TRAIN.model_copy(update={"augment": NO_AUGMENT.model_copy(update={"flip": 0.5, "mirror": "other"})})
    network = _network(crops, train, 5)
    once = [0.271 * 3**-0.364 + 0.05, 0.271 + 0.05]
    assert network.head.margins.tolist() == pytest.approx(once * 2)
    assert network.head.weight.shape == (2 * 2 * 2, 8)
    assert network.embedder.config.mirror == "other"


def test_cyclic_pooling_and_the_species_head_are_switches(crops: Crops) -> None:
    species = PHOTOS.assign(species=["orca" if name == "al" else "fin_whale" for name in PHOTOS["identity"].fillna("")])
    plain = _network(crops, photos=species)
    head = SMALL_TRAIN.species.model_copy(update={"share": 0.5})
    both = _network(crops, SMALL_TRAIN.model_copy(update={"cyclic": True, "species": head}), photos=species)
    assert (plain.embedder.config.cyclic, both.embedder.config.cyclic) == (False, True)
    assert plain.heads.species is None
    assert both.heads.species is not None


def test_a_backbone_of_one_size_alone_says_so_where_views_are_to_grow(crops: Crops) -> None:
    vit = SMALL_TRAIN.model_copy(update={"backbone": "vit_tiny_patch16_224", "image_size": 64, "first_size": 32})
    with pytest.raises(UserError) as caught:
        _network(crops, vit)
    assert str(caught.value) == (
        "train.first_size: vit_tiny_patch16_224 takes views of one size alone: set it to 64, which is train.image_size"
    )
    whole = vit.model_copy(update={"first_size": 64})
    assert _network(crops, whole).training
    grows = SMALL_TRAIN.model_copy(update={"image_size": 64})
    grown, plain = (_network(crops, train) for train in (grows, grows.model_copy(update={"first_size": 64})))
    assert grown.training
    assert all(torch.equal(a, b) for a, b in zip(grown.state_dict().values(), plain.state_dict().values(), strict=True))


def test_the_seed_decides_the_initial_weights(crops: Crops) -> None:
    first, same, other = (_network(crops, seed=seed).head.weight for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_second_round_starts_from_the_firsts_weights_with_its_own_margins(tmp_path: Path, crops: Crops) -> None:
    first = _network(crops, seed=5)
    save_model(tmp_path / "r1", first.embedder, first.head, ["al", "bo"])
    second = _network(crops, pseudo_labels=_pseudo({"q1.jpg": "bo"}), start=tmp_path / "r1")
    for name, tensor in second.embedder.state_dict().items():
        assert torch.equal(tensor, first.embedder.state_dict()[name]), name
    assert torch.equal(second.head.weight, first.head.weight)
    assert second.head.margins.tolist() == pytest.approx([0.271 * n**-0.364 + 0.05 for n in (3, 2)])


def test_a_round_of_other_individuals_is_no_start(tmp_path: Path, crops: Crops) -> None:
    first = _network(crops)
    save_model(tmp_path / "r1", first.embedder, first.head, ["al", "cy"])
    with pytest.raises(UserError) as caught:
        _network(crops, start=tmp_path / "r1")
    assert str(caught.value) == (f"{tmp_path}/r1 was trained on other individuals: set retrain.start to pretrained")


def test_validation_alone_is_scored(crops: Crops) -> None:
    network = _network(crops)

    def metrics(photos: pd.DataFrame) -> dict[str, float]:
        return _task(crops, photos=photos).validate(network, Photos(crops.pixels, 4))

    every = metrics(PHOTOS)
    assert set(every) == {"map5", "top1", "top5", "auroc_new"}
    assert all(0 <= value <= 1 for value in every.values())
    assert metrics(PHOTOS[PHOTOS["split"] != TEST]) == every
    assert metrics(PHOTOS[PHOTOS["split"] == TRAIN]) == {}
    assert set(metrics(PHOTOS[PHOTOS["identity"] != "zoe"])) == {"map5", "top1", "top5"}


def test_margins_ramp_and_mirror_images_have_labels_of_their_own(crops: Crops) -> None:
    ramp = SMALL_TRAIN.margin.model_copy(update={"ramp": 0.5})
    other = NO_AUGMENT.model_copy(update={"mirror": "other"})
    task = _task(crops, SMALL_TRAIN.model_copy(update={"margin": ramp, "augment": other}))
    network = task.new_network(Recipe(task.train, 1, 1e-3, 0))
    strengths = []
    for step in (0, 2, 5, 9):
        task.at_step(network, step, 10)
        strengths.append(network.head.strength)
    assert strengths == pytest.approx([0.2, 0.52, 1.0, 1.0])
    mirrored = torch.tensor([True, False, False, True])
    assert task.mirrored(task.lessons.targets, mirrored).labels.tolist() == [[2], [0], [0], [3]]
    assert _task(crops).mirrored(task.lessons.targets, mirrored).labels.tolist() == [[0], [0], [0], [1]]


def test_two_rounds_end_to_end(tmp_path: Path, crops: Crops) -> None:
    first = _round(crops)
    assert first.classes == ["al", "bo"]
    assert set(first.history[0]) == {"epoch", "loss", "lr", "map5", "top1", "top5", "auroc_new"}
    first.save(tmp_path / "r1")
    again = _round(crops, "retrain", pseudo_labels=_pseudo({"q1.jpg": "bo"}), start=tmp_path / "r1")
    assert again.classes == load_model(tmp_path / "r1")[2]
    assert not torch.equal(again.network.head.weight, first.network.head.weight)


def test_a_fold_that_is_left_out_is_not_learned_from(crops: Crops, capsys: pytest.CaptureFixture[str]) -> None:
    assert _round(crops, "fold1", left_out=1).classes == ["al", "bo"]
    assert "2 photos of 2 individuals" in capsys.readouterr().out


@pytest.mark.parametrize("start", ["round1", "pretrained"])
def test_later_rounds_name_photos_anew(
    tmp_path: Path, crops: Crops, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    first = _network(crops)
    save_model(tmp_path / "r1", first.embedder, first.head, ["al", "bo"])
    asked = Embed(batch=4, mirror=False, amp=False)
    again = Retrain(start=start, rounds=3, epochs=1, lr_scale=1.0)
    later = Later(0, 1e-3, SMALL_TRAIN, asked, Mine(precision=0.01, targets="hard"), again)
    places = [Checkpoint("retrain", {"round": n}, [], []) for n in range(3)]
    photos, before = PHOTOS.assign(group=range(len(PHOTOS))), Earlier(tmp_path / "r1", _pseudo({"q1.jpg": "bo"}))
    with monkeypatch.context() as patch:
        asked_of: list[Embed] = []
        real = embed_crops
        patch.setattr(
            "finprint.individuals.rounds.embed_crops",
            lambda *given, **more: (asked_of.append(given[2]), real(*given, **more))[1],
        )
        trained = later_rounds(photos, crops, later, before, places)
    assert asked_of == [asked, asked]
    assert trained.classes == ["al", "bo"]
    assert [row["epoch"] for row in trained.history] == [1, 2, 3]
    numbers = trained.more["named_for_round"]
    assert list(numbers) == ["3", "4"]
    assert all("precision_validation" in row and "pseudo_labels" in row for row in numbers.values())
    assert trained.metrics() == {"named_for_round": numbers} | {
        name: value for name, value in trained.history[-1].items() if name not in ("epoch", "lr")
    }
    resumed = later_rounds(photos, crops, later, before, places)
    assert resumed.history == trained.history
    assert torch.equal(resumed.network.head.weight, trained.network.head.weight)


def test_the_epoch_that_is_kept_is_one_of_the_last_round(
    tmp_path: Path, crops: Crops, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Individuals, "merit", lambda _, row: -abs(row["epoch"] - 2))  # of three
    first = _network(crops)
    save_model(tmp_path / "r1", first.embedder, first.head, ["al", "bo"])
    train = SMALL_TRAIN.model_copy(update={"keep": "best", "epochs": 3})
    again = Retrain(start="round1", rounds=2, epochs=3, lr_scale=1.0)
    asked = Embed(batch=4, mirror=False, amp=False), Mine(precision=0.01, targets="hard")
    places = [Checkpoint("retrain", {"round": n}, [], []) for n in range(2)]
    photos = PHOTOS.assign(group=range(len(PHOTOS)))
    before = Earlier(tmp_path / "r1", _pseudo({"q1.jpg": "bo"}))
    trained = later_rounds(photos, crops, Later(0, 1e-3, train, *asked, again), before, places)
    losses = [row["loss"] for row in trained.history]
    assert len(set(losses)) == 6
    assert trained.metrics()["loss"] == losses[4]


def test_checkpoints_of_rounds_depend_on_what_each_round_depends_on() -> None:
    """Round 2 is made of given names; the rounds after it name the photos themselves."""
    again = Retrain(start="round1", rounds=2, epochs=1, lr_scale=0.5)
    later = Later(
        0, 1e-3, SMALL_TRAIN, Embed(batch=4, mirror=False, amp=False), Mine(precision=0.5, targets="hard"), again
    )

    def keys(**changes: Any) -> list[str]:
        return [place.folder.name for place in later_checkpoints(replace(later, **changes), "photos", [])]

    first, second = keys()
    assert keys(mine=Mine(precision=0.6, targets="hard"))[0] == first
    assert keys(mine=Mine(precision=0.6, targets="hard"))[1] != second
    assert keys(retrain=again.model_copy(update={"rounds": 1})) == [first]
    for changes in ({"lr": 2e-3}, {"seed": 1}, {"retrain": again.model_copy(update={"epochs": 2})}):
        assert first not in keys(**changes)
    stages = [place.folder.parent.name for place in later_checkpoints(later, "photos", [])]
    assert stages == ["retrain", "retrain3"]
    recipe = later.recipe()
    assert (recipe.lr, recipe.epochs) == (5e-4, 1)
    keyed = [round_checkpoint("train", recipe, photos).folder.name for photos in ("these", "these", "others")]
    assert keyed[0] == keyed[1] != keyed[2]


def test_a_second_round_that_begins_afresh_without_pseudo_labels_is_another_network(
    tmp_path: Path, crops: Crops
) -> None:
    """Two equal networks would answer no better than one."""
    again = Retrain(start="pretrained", rounds=1, epochs=1, lr_scale=1.0)
    asked = Embed(batch=4, mirror=False, amp=False), Mine(precision=0.5, targets="hard")
    later = Later(0, 1e-3, SMALL_TRAIN, *asked, again)
    first = _round(crops, recipe=Recipe(SMALL_TRAIN, 1, 1e-3, 0))
    places = later_checkpoints(later, "photos", [])
    second = later_rounds(PHOTOS, crops, later, Earlier(tmp_path, _pseudo({})), places)
    assert not torch.equal(second.network.head.weight, first.network.head.weight)


def test_files_that_a_recipe_names_enter_the_key(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    keys = []
    for content in (b"one", b"one", b"two"):
        weights.write_bytes(content)
        recipe = Recipe(SMALL_TRAIN.model_copy(update={"weights": str(weights)}), 1, 1e-3, 0)
        keys.append(round_checkpoint("train", recipe, "photos").folder.name)
    assert keys[0] == keys[1] != keys[2]
    assert RECIPE.files() == []  # `none` is no file


def test_a_training_can_be_watched(tmp_path: Path, crops: Crops, capsys: pytest.CaptureFixture[str]) -> None:
    _round(crops)
    (folder,) = (tmp_path / ".cache" / "live").glob("*/train")
    curves = EventAccumulator(str(folder)).Reload()
    assert {"loss", "lr", "photos/s", "validation/map5"} <= set(curves.Tags()["scalars"])
    assert re.search(r"^epoch 1/1: loss \d+\.\d{3}, map5 .*, \d+ photos/s$", capsys.readouterr().out, re.MULTILINE)


def test_what_round_one_learns_from_has_a_fingerprint(tmp_path: Path, crops: Crops) -> None:
    """Photos to identify do not enter it; names, splits and pixels do."""
    before = fingerprint(PHOTOS, crops)
    more = pd.concat([PHOTOS, PHOTOS.tail(1).assign(image="q9.jpg", identity=pd.NA, split=TEST)])
    assert fingerprint(more, crops) == before
    assert fingerprint(PHOTOS[PHOTOS["split"] != TEST], crops) == before
    for column, value in (("identity", "cy"), ("split", VALIDATION), ("species", "beluga"), ("fold", 5)):
        changed = PHOTOS.copy()
        changed.loc[changed.index[0], column] = value
        assert fingerprint(changed, crops) != before
    seen, turned = (PHOTOS.assign(viewpoint=side) for side in ("left", "right"))
    assert fingerprint(seen, crops) == before  # nothing is learned from the viewpoint,
    assert fingerprint(seen, crops, apart=True) != fingerprint(turned, crops, apart=True)  # unless it makes classes
    assert fingerprint(PHOTOS, stored_crops(tmp_path / "same", sorted(PHOTOS["image"], reverse=True))) == before
    assert fingerprint(PHOTOS, stored_crops(tmp_path / "other", sorted(PHOTOS["image"]))) != before  # of other colours


def test_new_photos_that_get_no_pseudo_label_do_not_train_round_two_again(tmp_path: Path) -> None:
    """Names, weights and pixels of pseudo-labelled photos enter its fingerprint; other photos to identify do not."""
    images, more = sorted(PHOTOS["image"]), PHOTOS.tail(1).assign(image="q9.jpg", identity=pd.NA, split=TEST)
    labels = _pseudo({"q1.jpg": "bo"})
    crops, wider = stored_crops(tmp_path / "few", images), stored_crops(tmp_path / "more", [*images, "q9.jpg"])
    before = fingerprint(PHOTOS, crops, labels)
    assert before != fingerprint(PHOTOS, crops)
    assert fingerprint(pd.concat([PHOTOS, more]), wider, labels) == before
    for changed in (_pseudo({"q1.jpg": "al"}), labels.assign(weight=0.5), _pseudo({"q1.jpg": "bo", "q9.jpg": "bo"})):
        assert fingerprint(pd.concat([PHOTOS, more]), wider, changed) != before
    assert fingerprint(PHOTOS, crops, labels.assign(score=0.8)) == before  # nothing is learned from the score
    assert fingerprint(PHOTOS, crops, _pseudo({"q1.jpg": "bo", "gone.jpg": "bo"})) == before  # nor without a crop
    assert fingerprint(PHOTOS, stored_crops(tmp_path / "turned", images[::-1]), labels) != before  # other colours


def test_new_photos_alone_do_not_train_round_two_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = Retrain(start="pretrained", rounds=1, epochs=1, lr_scale=1.0)
    asked = Embed(batch=4, mirror=False, amp=False), Mine(precision=0.5, targets="hard")
    later = Later(0, 1e-3, SMALL_TRAIN, *asked, again)
    model = tmp_path / "r1"
    model.mkdir()
    images, new = sorted(PHOTOS["image"]), PHOTOS.tail(1).assign(image="q9.jpg", identity=pd.NA, split=TEST)
    crops, wider = stored_crops(tmp_path / "few", images), stored_crops(tmp_path / "more", [*images, "q9.jpg"])
    more = pd.concat([PHOTOS, new])
    few, both = Earlier(model, _pseudo({"q1.jpg": "bo"})), Earlier(model, _pseudo({"q1.jpg": "bo", "q9.jpg": "al"}))

    before, (first,) = settled(PHOTOS, crops, later, few, [])
    assert before.labels["image"].tolist() == ["q1.jpg"]
    assert capsys.readouterr().out == ""
    for _ in range(2):  # not in the month after that, either
        before, (second,) = settled(more, wider, later, both, [])
        assert before.labels["image"].tolist() == ["q1.jpg"]
        assert second.folder == first.folder
        told = "1 pseudo-label came after round 2 was trained: not trained again for new photos"
        assert told in capsys.readouterr().out
    # Another name of a photo that was there, other params: it is trained again, and learns from all.
    renamed = replace(both, labels=_pseudo({"q1.jpg": "al", "q9.jpg": "al"}))
    before, (third,) = settled(more, wider, later, renamed, [])
    assert before.labels["image"].tolist() == ["q1.jpg", "q9.jpg"]
    before, (fourth,) = settled(more, wider, replace(later, lr=2e-3), both, [])
    assert before.labels["image"].tolist() == ["q1.jpg", "q9.jpg"]
    assert len({one.folder for one in (first, third, fourth)}) == 3


def test_of_several_trainings_before_new_photos_the_own_one_goes_on_and_else_the_longest(tmp_path: Path) -> None:
    again = Retrain(start="pretrained", rounds=1, epochs=3, lr_scale=1.0)
    mining = Embed(batch=4, mirror=False, amp=False), Mine(precision=0.5, targets="hard")
    later = Later(0, 1e-3, SMALL_TRAIN, *mining, again)
    model = tmp_path / "r1"
    model.mkdir()
    new = [PHOTOS.tail(1).assign(image=image, identity=pd.NA, split=TEST) for image in ("q8.jpg", "q9.jpg")]
    table = pd.concat([PHOTOS, *new])
    crops = stored_crops(tmp_path / "crops", sorted(table["image"]))
    named = {"q1.jpg": "bo", "q8.jpg": "al", "q9.jpg": "al"}

    def place(*images: str) -> Checkpoint:
        labels = _pseudo({image: named[image] for image in images})
        return settled(table, crops, later, Earlier(model, labels), [])[1][0]

    one = place("q1.jpg")
    write_json(one.folder / ASKED, ["q1.jpg"])
    assert place("q1.jpg", "q8.jpg").folder == one.folder  # q8 waits
    earlier = later_checkpoints(later, fingerprint(table, crops, _pseudo({"q8.jpg": "al"})), [model])[0]
    write_json(earlier.folder / ASKED, ["q8.jpg"])
    for longer, shorter in ((one, earlier), (earlier, one)):
        longer.save({"history": [{}, {}]})
        shorter.save({"history": [{}]})
        assert place("q1.jpg", "q8.jpg").folder == longer.folder
    own = later_checkpoints(later, fingerprint(table, crops, _pseudo(named)), [model])[0]
    write_json(own.folder / ASKED, ["q1.jpg", "q8.jpg", "q9.jpg"])
    assert place("q1.jpg", "q8.jpg", "q9.jpg").folder == own.folder


def test_rounds_that_name_photos_themselves_depend_on_all_of_them(tmp_path: Path) -> None:
    again = Retrain(start="round1", rounds=2, epochs=1, lr_scale=0.5)
    asked = Embed(batch=4, mirror=False, amp=False), Mine(precision=0.5, targets="hard")
    later = Later(0, 1e-3, SMALL_TRAIN, *asked, again)
    file = tmp_path / "photos"
    keys = []
    for content in ("ten photos", "twenty photos"):
        file.write_text(content)
        keys.append([place.folder.name for place in later_checkpoints(later, "learned", [], [file])])
    assert keys[0][0] == keys[1][0]
    assert keys[0][1] != keys[1][1]


def test_the_species_of_each_individual_and_a_head_for_more_than_one(crops: Crops) -> None:
    photos = PHOTOS.assign(species=PHOTOS["identity"].map({"al": "orca", "bo": "beluga"}))
    learn = lessons(photos, crops, None)
    assert learn.species.tolist() == [1, 0]
    assert lessons(PHOTOS, crops, None).species.tolist() == [0, 0]
    unknown = PHOTOS.assign(species=PHOTOS["identity"].map({"al": "orca"}))
    assert lessons(unknown, crops, None).species.tolist() == [0, -1]
    train = SMALL_TRAIN.model_copy(update={"species": SMALL_TRAIN.species.model_copy(update={"share": 0.5})})
    head = _network(crops, train, photos=photos).heads.species
    assert head is not None
    assert head.head.margins.tolist() == pytest.approx([0.226 + 0.05, 0.226 * 3**-0.72 + 0.05])
    assert head.of.tolist() == [1, 0]
    assert _network(crops, train).heads.species is None
    assert _network(crops, photos=photos).heads.species is None
    assert _network(crops, train, photos=unknown).heads.species is None  # one species, and one unknown


def test_another_run_s_weights_are_a_start(tmp_path: Path, crops: Crops) -> None:
    earlier = _network(crops, seed=5)
    save_model(tmp_path / "old", earlier.embedder, earlier.head, ["cy", "di"])  # of other individuals
    train = SMALL_TRAIN.model_copy(update={"continue_from": str(tmp_path / "old"), "image_size": 64})
    network = _network(crops, train)
    for name, tensor in network.embedder.state_dict().items():
        assert torch.equal(tensor, earlier.embedder.state_dict()[name]), name
    other = train.model_copy(update={"embedding": 16})
    with pytest.raises(UserError) as caught:
        _network(crops, other)
    assert str(caught.value) == (
        f"train.continue_from: {tmp_path}/old does not fit: "
        "it is of another backbone, fusion, embedding or (ViT) image_size"
    )


def test_a_start_that_is_no_model(tmp_path: Path, crops: Crops) -> None:
    train = SMALL_TRAIN.model_copy(update={"continue_from": str(tmp_path / "rond1")})
    with pytest.raises(UserError) as caught:
        _network(crops, train)
    told = "is no model folder; a copy of models/round1 is one (models/round1 itself is gone when train runs)"
    assert str(caught.value) == f"train.continue_from: {tmp_path}/rond1 {told}"


def test_stages_that_are_not_known(crops: Crops) -> None:
    finetune = SMALL_TRAIN.finetune.model_copy(update={"layer_decay": 0.9})
    train = SMALL_TRAIN.model_copy(update={"backbone": "regnety_002", "finetune": finetune})
    with pytest.raises(UserError) as caught:
        _network(crops, train)
    assert str(caught.value) == (
        "train.finetune: the stages of regnety_002 are not known: leave trainable, unfreeze, layer_decay"
    )


def test_what_has_learned_before_is_not_frozen_again(tmp_path: Path, crops: Crops) -> None:
    finetune = SMALL_TRAIN.finetune.model_copy(update={"unfreeze": [5]})
    recipe = Recipe(SMALL_TRAIN.model_copy(update={"finetune": finetune}), 1, 1e-3, 0)
    first = _round(crops, recipe=recipe)
    first.save(tmp_path / "r1")
    labels = _pseudo({"q1.jpg": "bo"})
    second = _round(crops, "retrain", recipe.thawed(), pseudo_labels=labels, start=tmp_path / "r1")
    name = "backbone.conv_stem.weight"
    before = _network(crops, recipe.train).embedder.state_dict()[name]
    assert torch.equal(first.network.embedder.state_dict()[name].cpu(), before)  # frozen in round 1
    assert not torch.equal(second.network.embedder.state_dict()[name].cpu(), before)
    again = Retrain(start="round1", rounds=1, epochs=1, lr_scale=1.0)
    asked = Embed(batch=4, mirror=False, amp=False), Mine(precision=0.5, targets="hard")
    for start, unfreezes in (("round1", []), ("pretrained", [5])):
        later = Later(0, 1e-3, recipe.train, *asked, again.model_copy(update={"start": start}))
        assert later.recipe().train.finetune.unfreeze == unfreezes
