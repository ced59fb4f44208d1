"""From labelled photos to probabilities, a submission and a verdict, by a head on frozen features and by the loop."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from pods import CLASSES, CLASSIFY, MIRROR, crops, photos

from finprint.base.checkpoint import Checkpoint
from finprint.base.errors import UserError
from finprint.classes.classifier import load_classifier
from finprint.classes.guesses import guess
from finprint.classes.judging import judged
from finprint.classes.labels import labelled, remarks
from finprint.classes.params import Classify, Judge, Vote
from finprint.classes.results import judge, told
from finprint.classes.task import Classes
from finprint.classes.training import drawn_back, train_model
from finprint.classes.voting import Voted, submission, vote
from finprint.learning.inputs import Photos
from finprint.learning.recipe import Recipe
from finprint.pictures.shards import Crops
from finprint.store.guesses import QUERY, Guesses, read_guesses, write_guesses
from finprint.store.tables import TEST, VALIDATION

pytestmark = pytest.mark.usefixtures("training_state")
FROZEN = CLASSIFY.finetune
VOTE = Vote(by="mean", shares="equal", temperature=1.0, clip=0.0)
TRUTH = pd.DataFrame({"image": ["a_0.jpg", "b_1.jpg", "c_2.jpg"], "identity": ["ant", "bee", "dab"]}, dtype="string")


def _member(table: pd.DataFrame, stored: Crops, train: Classify, fold: int, folder: Path) -> Guesses:
    labels = labelled(table, stored, "identity", CLASSES)
    recipe = Recipe(train, train.epochs, train.lr, fold)
    trained = train_model(labels, stored, recipe, fold, Checkpoint("classify", {"fold": fold}, [], []))
    trained.save(folder / str(fold))
    return guess(load_classifier(folder / str(fold)), labels, stored, fold, MIRROR, train)


def _voted(tmp_path: Path, train: Classify) -> Voted:
    table = photos()
    stored = crops(tmp_path / "crops", table)
    return vote([_member(table, stored, train, fold, tmp_path) for fold in CLASSES.folds], VOTE)


def test_a_head_on_frozen_features_tells_the_classes(tmp_path: Path) -> None:
    voted = _voted(tmp_path, CLASSIFY)
    assert voted.guesses.photos["role"].value_counts().to_dict() == {VALIDATION: 18, TEST: 9, QUERY: 4}
    stored = Crops(tmp_path / "crops")
    results = judge(
        "identity", voted.guesses, told(photos(), TRUTH, "identity"), stored, Judge(bootstrap=5, pairs=2), 0
    )
    for role, count in ((VALIDATION, 18), (TEST, 9), (QUERY, 2)):
        assert results.metrics[role]["top1"] == 1.0
        assert results.metrics[role]["photos"] == count
    assert results.metrics[QUERY]["unknown_class"] == 1  # dab is no class
    assert results.metrics[VALIDATION]["log_loss"] < 0.3
    results.page.write(tmp_path / "page.html", stored)
    assert "test share" in (tmp_path / "page.html").read_text()


def test_extras_stand_beside_the_features(tmp_path: Path) -> None:
    voted = _voted(tmp_path, CLASSIFY.model_copy(update={"extras": "all", "fusion": "means"}))
    validation = voted.guesses.of(VALIDATION)
    assert (validation.array.argmax(axis=1) == validation.codes()).all()
    head = load_classifier(tmp_path / "0").head
    assert head.extras == 61
    assert head.linear.in_features == 61 + 32 + 48 + 64  # the means of three stages
    assert head.hidden[0].in_features == head.linear.in_features
    assert float(head.std.min()) > 0


def test_a_whole_network_learns_by_the_loop(tmp_path: Path) -> None:
    learns = CLASSIFY.finetune.model_copy(update={"trainable": 1.0})
    train = CLASSIFY.model_copy(update={"finetune": learns, "epochs": 6, "smoothing": 0.1, "keep": "best"})
    table = photos()
    stored = crops(tmp_path / "crops", table)
    guesses = _member(table, stored, train, 0, tmp_path)
    again = _member(table, stored, train, 0, tmp_path / "again")
    assert np.array_equal(guesses.array, again.array)
    assert guesses.array.shape == (9 + 9 + 4, 3)
    np.testing.assert_allclose(guesses.array.sum(axis=1), 1, atol=1e-5)


def test_fine_tuning_begins_with_what_a_frozen_backbone_tells(tmp_path: Path) -> None:
    """Log loss and weights are those of the frozen model, extras included; the neck keeps what the head was fitted
    to. `start_share` draws the end back to this beginning."""
    table = photos()
    stored = crops(tmp_path / "crops", table)
    labels = labelled(table, stored, "identity", CLASSES)
    learns = CLASSIFY.finetune.model_copy(update={"trainable": 1.0, "hold_norms": True})
    asked = {"fusion": "means", "finetune": learns, "head": "fitted", "lr": 0.01, "extras": "all"}
    asked["fitted"] = ["regression", "discriminant"]
    train = CLASSIFY.model_copy(update=asked)
    recipe = Recipe(train, 2, train.lr, 0)
    task = Classes.of(labels, stored, train, 0)
    begins = task.new_network(recipe)
    frozen = train_model(labels, stored, replace(recipe, train=train.model_copy(update={"finetune": FROZEN})), 0, None)
    for name, tensor in frozen.network.state_dict().items():
        assert torch.equal(begins.state_dict()[name], tensor), name
    inputs = Photos(stored.pixels, 4)
    before = task.validate(begins, inputs)
    assert before == task.validate(frozen.network, inputs)
    assert before["log_loss"] < np.log(3) / 2  # a random head begins with more than log 3
    ends = train_model(labels, stored, recipe, 0, Checkpoint("classify", {}, [], []))
    trained = ends.network
    assert torch.equal(trained.embedder.neck[0].running_mean, frozen.network.embedder.neck[0].running_mean)
    assert not torch.equal(trained.head.linear.weight, frozen.network.head.linear.weight)
    stems = [network.embedder.backbone.conv_stem.weight.detach().clone() for network in (begins, trained)]
    assert not torch.equal(*stems)
    back = train.model_copy(update={"start_share": 0.25})
    between = drawn_back(replace(task, train=back, begins=begins), ends, inputs)
    middle = between.network.embedder.backbone.conv_stem.weight
    torch.testing.assert_close(middle, 0.25 * stems[0] + 0.75 * stems[1])
    assert between.metrics()["log_loss"] == task.validate(between.network, inputs)["log_loss"]


def test_views_of_features_and_of_photos_give_the_same(tmp_path: Path) -> None:
    table = photos()
    stored = crops(tmp_path / "crops", table)
    frozen = _member(table, stored, CLASSIFY, 0, tmp_path)
    labels = labelled(table, stored, "identity", CLASSES)
    rows = stored.rows(frozen.photos["image"])
    classifier = load_classifier(tmp_path / "0")
    by_views = classifier.probabilities(stored.pixels, rows, np.zeros((len(rows), 0), np.float32), MIRROR, quiet=True)
    assert labels.classes == ["ant", "bee", "cod"]
    np.testing.assert_allclose(by_views, frozen.array, atol=0.05)


def test_the_submission_has_a_row_for_each_photo_asked_for(tmp_path: Path) -> None:
    voted = _voted(tmp_path, CLASSIFY)
    table, missing = submission(voted, ["c_2.jpg", "gone.jpg", "a_0.jpg"])
    assert list(table.columns) == ["image", "ant", "bee", "cod"]
    assert table["image"].tolist() == ["c_2.jpg", "gone.jpg", "a_0.jpg"]
    assert missing == 1
    np.testing.assert_allclose(table[["ant", "bee", "cod"]].sum(axis=1), 1)
    assert table.loc[0, "cod"] > 0.5
    assert table.loc[2, "ant"] > 0.5
    usual = voted.guesses.of(VALIDATION).array.mean(axis=0)
    np.testing.assert_allclose(table.loc[1, ["ant", "bee", "cod"]].astype(float), usual)


def test_no_model_answers_what_it_has_learned(tmp_path: Path) -> None:
    table = photos()
    labels = labelled(table, crops(tmp_path / "crops", table), "identity", CLASSES)
    for fold in CLASSES.folds:
        learned, answered = set(labels.learns(fold)["image"]), set(labels.answers(fold)["image"])
        assert not learned & answered
        assert not learned & set(labels.table.loc[labels.table["fold"] == 2, "image"])
        assert set(labels.left_out(fold)["image"]) < answered


def test_photos_without_an_identity_take_the_fold_of_their_group(tmp_path: Path) -> None:
    table = photos().assign(species=pd.array(["orca", "beluga"] * 15 + ["orca"], "string"))
    table.loc[1, ["identity", "fold", "group"]] = [pd.NA, -1, 0]  # in a group with photo 0, which is in fold 0
    labels = labelled(table, crops(tmp_path / "crops", table), "species", CLASSES)
    assert labels.classes == ["beluga", "orca"]
    assert labels.table.set_index("image").loc["a1.jpg", "fold"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity": "ant"}, "photos have a identity, of 1 classes: ant; at least two are needed"),
        ({"fold": 0, "group": 0}, "classes.folds has 1, but no photo with a identity stands in fold 1"),
        ({"identity": ["image", "bee"] * 6}, "a identity is called 'image', as the submission's column of photos is"),
        (
            {"identity": ["ant", "bee"] * 6, "group": [1, 2] * 6, "fold": [0, 1] * 6, "encounter": "a boat"},
            r"no photo can judge the others: the photos of each identity all belong together \(a boat, an encounter\)",
        ),
    ],
)
def test_what_cannot_be_learned_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    table = photos()
    for column, value in change.items():
        told = table["split"] == "train"
        table.loc[told, column] = np.resize(value, told.sum())
    with pytest.raises(UserError, match=message):
        labelled(table, crops(tmp_path / "crops", table), "identity", CLASSES)


def test_no_class_stands_in_one_fold_alone_and_no_fold_is_empty(tmp_path: Path) -> None:
    table = photos()
    train = table["split"] == "train"
    table.loc[train, "group"] = range(train.sum())
    table.loc[train & (table["identity"] == "ant"), "fold"] = 1
    labels = labelled(table, crops(tmp_path / "crops", table), "identity", CLASSES)
    named = labels.table.dropna(subset="label")
    assert (named.groupby("label")["fold"].nunique() > 1).all()
    table.loc[train, "fold"] = [2] + [1] * (train.sum() - 1)
    named = labelled(table, crops(tmp_path / "more", table), "identity", CLASSES).table.dropna(subset="label")
    assert set(named["fold"]) == {0, 1, 2}
    assert (named.groupby("group")["fold"].nunique() == 1).all()


def test_what_a_model_learns_does_not_depend_on_other_folds_and_models(tmp_path: Path) -> None:
    table = photos()
    stored = crops(tmp_path / "crops", table)
    more = CLASSES.model_copy(update={"of": ["species", "identity"], "folds": [0], "members": ["plain", "lite1"]})
    one, other = (labelled(table, stored, "identity", classes) for classes in (CLASSES, more))
    assert one.fingerprint(stored) == other.fingerprint(stored)
    assert one.learns(0).equals(other.learns(0))


def test_a_class_of_one_group_is_learned_by_all_and_judged_by_none(tmp_path: Path) -> None:
    """A model that has never seen it would judge it, and every probability would be flattened to allow for that."""
    table = photos()
    table.loc[0, "identity"] = "zebu"  # in fold 0
    stored = crops(tmp_path / "crops", table)
    labels = labelled(table, stored, "identity", CLASSES)
    for fold in CLASSES.folds:
        assert table["image"][0] in set(labels.learns(fold)["image"])
        assert table["image"][0] not in set(labels.answers(fold)["image"])
        assert remarks(labels, fold) == [
            "1 of 4 classes have one group of photos that belong together, zebu for one: nothing judges them"
        ]
    few = replace(labels, table=labels.table.assign(fold=labels.table["fold"].where(labels.table["fold"] >= -1, 0)))
    assert remarks(few, 0) == [
        "1 of 4 classes have no photo outside fold 0, zebu for one: this model never answers them"
    ]


def test_near_duplicates_of_other_classes_join_nothing(tmp_path: Path) -> None:
    """Bottles on white look alike whatever they are: chains of near-duplicates would unite all classes."""
    table = photos()
    train = table["split"] == "train"
    table.loc[train, "group"] = range(train.sum())
    table.loc[[0, 9, 18], ["group", "fold"]] = [0, 0]  # an ant, a bee and a cod
    stored = crops(tmp_path / "crops", table)
    named = labelled(table, stored, "identity", CLASSES).table.dropna(subset="label")
    here = named.loc[[0, 9, 18]]
    assert here["label"].nunique() == here["group"].nunique() == here["fold"].nunique() == 3
    table.loc[train, ["group", "fold"]] = [0, 1]
    named = labelled(table, stored, "identity", CLASSES, folds=3).table.dropna(subset="label")
    assert (named.groupby("label")["fold"].nunique() == 3).all(), (
        "each photo stands alone, because nothing else is left"
    )
    boats = table.assign(encounter=table["group"].astype("string"))
    with pytest.raises(UserError, match="no photo can judge the others"):
        labelled(boats, stored, "identity", CLASSES)


def test_no_fold_is_empty_however_many_there_are(tmp_path: Path) -> None:
    table = photos()
    train = table["split"] == "train"
    table.loc[train, "group"] = range(train.sum())
    stored = crops(tmp_path / "crops", table)
    named = labelled(table, stored, "identity", CLASSES, folds=5).table.dropna(subset="label")
    assert set(named["fold"]) == {0, 1, 2, 3, 4}


def test_a_class_of_the_test_share_alone_is_not_learned(tmp_path: Path) -> None:
    table = photos()
    table.loc[2, "identity"] = "zebu"  # in fold 2, which is the test share
    labels = labelled(table, crops(tmp_path / "crops", table), "identity", CLASSES)
    assert labels.classes == ["ant", "bee", "cod"]
    rows = labels.answers(0).assign(role=TEST)[["image", "role", "group", "label"]].reset_index(drop=True)
    asked = rows[rows["label"].notna()].reset_index(drop=True)
    kept = judged(
        Guesses(asked, np.full((len(asked), 3), 1 / 3), labels.classes), TRUTH.rename(columns={"identity": "label"})
    )
    assert (kept[TEST].unknown, len(kept[TEST])) == (1, len(asked) - 1)


def test_guesses_are_checked_when_they_are_read(tmp_path: Path) -> None:
    rows = pd.DataFrame({"image": ["a", "b"], "role": "query", "group": 0, "label": pd.NA})
    good = Guesses(rows, np.array([[0.5, 0.5], [1, 0]], np.float32), ["x", "y"])
    write_guesses(tmp_path / "g", good)
    assert np.array_equal(read_guesses(tmp_path / "g").array, good.array)
    write_guesses(tmp_path / "g", Guesses(rows, np.array([[0.5, 0.5], [np.nan, 0]], np.float32), ["x", "y"]))
    with pytest.raises(UserError, match="the probabilities of b do not add up to 1"):
        read_guesses(tmp_path / "g")
    write_guesses(tmp_path / "g", Guesses(rows, good.array, ["x", "y", "z"]))
    with pytest.raises(UserError, match=r"probabilities of \(2, 2\), but 2 photos and 3 classes"):
        read_guesses(tmp_path / "g")
    with pytest.raises(UserError, match="missing"):
        read_guesses(tmp_path / "nothing")


def test_soft_labels_have_their_share_of_each_batch(tmp_path: Path) -> None:
    table = photos(queries=5)
    stored = crops(tmp_path / "crops", table)
    labels = labelled(table, stored, "identity", CLASSES)
    queries = table[table["split"] == "test"]["image"]
    rows = pd.DataFrame({"image": queries, "role": QUERY, "group": 0, "label": pd.NA})
    chances = np.random.default_rng(0).dirichlet([1, 1, 1], 5)
    write_guesses(tmp_path / "soft", Guesses(rows, chances, labels.classes))
    train = CLASSIFY.model_copy(update={"soft": str(tmp_path / "soft"), "soft_share": 0.34})
    task = Classes.of(labels, stored, train, 0)
    assert (len(task.lessons), task.soft) == (14, 5)
    np.testing.assert_allclose(task.lessons.targets.weights.numpy()[9:], chances, rtol=1e-6)
    assert task.lessons.targets.weights[:9].sum(dim=1).tolist() == [1.0] * 9
    order = task.order(np.random.default_rng(0), 6)
    assert order.shape == (2, 6)
    assert ((order >= 9).sum(axis=1) == 2).all()
    assert len(set(order[order < 9])) == 8
    many = task.order(np.random.default_rng(0), 3)
    assert len(set(many[many >= 9])) == 4  # each of four batches has room for one, and none comes twice


def test_soft_labels_of_other_classes_are_named(tmp_path: Path) -> None:
    table = photos()
    stored = crops(tmp_path / "crops", table)
    rows = pd.DataFrame({"image": ["a_0.jpg"], "role": QUERY, "group": 0, "label": pd.NA})
    write_guesses(tmp_path / "soft", Guesses(rows, np.array([[0.5, 0.5]]), ["ant", "dab"]))
    labels = labelled(table, stored, "identity", CLASSES)
    with pytest.raises(UserError, match=r"classify.soft: .*/soft has probabilities of other classes"):
        Classes.of(labels, stored, CLASSIFY.model_copy(update={"soft": str(tmp_path / "soft")}), 0)
