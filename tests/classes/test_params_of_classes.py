"""What params.yaml may say of classes, and how a contradiction is told."""

from pathlib import Path
from typing import Any

import pytest
from conftest import edited_params
from pods import CLASSIFY
from pydantic import ValidationError

from finprint.base.errors import UserError
from finprint.check import check_params
from finprint.classes.params import Classes, Classify, Guess
from finprint.classes.training import model_seed
from finprint.params import load_params

NO_VIEWS: dict[str, Any] = {"guess.members": {}}  # of members that an edit takes away


@pytest.mark.parametrize(
    ("edits", "complaint"),
    [
        ({"classes.of": ["colour"]}, "classes.of.0 must be 'identity' or 'species', not 'colour'"),
        ({"classes.of": ["species", "species"]}, "of is ['species', 'species'], which names something twice"),
        (
            {"classes.of": ["species"], "classes.folds": []},
            "folds is empty: it must list the folds that a model leaves",
        ),
        ({"classes.folds": [0, 1], "classes.test": [1]}, "test has 1, which folds has, too"),
        ({"classes.folds": [6]}, "classes.folds has 6, but the folds are 0 to 5"),
        ({"classes.of": ["species"], "classes.members": []}, "members is empty: it must name a model for each fold"),
        ({"classes.members": ["a", "a"]}, "members is ['a', 'a'], which names something twice"),
        ({"classes.members": ["no/name"]}, "members has 'no/name', but a name has letters of English, digits and _"),
        (
            {"classes.of": ["species"], "classes.members": ["lite3"]},
            "classes.members has 'lite3', but classify.members tells plain, any_turn, any_turn_frozen0, ",
        ),
        (
            {"classes.of": ["species"], "classes.members": ["x"], "classify.members": {"x": {"epoch": 2}}} | NO_VIEWS,
            "classify.members.x: params.yaml: unknown key epoch",
        ),
        (
            {
                "classes.of": ["species"],
                "classes.members": ["x"],
                "classify.members": {"x": {"stages": "fit", "fusion": "gem"}},
            }
            | NO_VIEWS,
            "classify.members.x: params.yaml: stages must be all where fusion is gem",
        ),
        (
            {"classes.of": ["species"], "classes.test": [1, 2, 3, 4, 5]},
            "classes.test leaves no fold to learn from",
        ),
        ({"classify.embedding": 64}, "embedding must be 0 where finetune.trainable is 0"),
        (
            {"classify.finetune.trainable": 1.0, "classify.embedding": 64},
            "embedding must be 0 where head is fitted: a head is fitted to features",
        ),
        ({"classify.fitted": []}, "fitted is empty: it must name what is fitted to the features, such as regression"),
        ({"classify.fitted": ["hidden", "hidden"]}, "fitted is ['hidden', 'hidden'], which names something twice"),
        (
            {"classify.finetune.trainable": 1.0, "classify.fitted": ["hidden"]},
            "fitted names hidden alone, but a network that learns begins without it: add regression",
        ),
        (
            {"classify.head": "random", "classify.start_share": 0.5},
            "start_share must be 0 where head is random",
        ),
        ({"classify.fusion": "dolg"}, "fusion cannot be dolg where finetune.trainable is 0"),
        (
            {"classify.fusion": "gem", "classify.stages": "fit"},
            "stages must be all where fusion is gem: only means has stages to choose from",
        ),
        ({"classify.augment.cutmix": 1.0}, "augment.cutmix must be 0 where finetune.trainable is 0"),
        (
            {"classify.augment.grow": "restarts"},
            "augment.grow is restarts, which needs schedule.kind: restarts, with cycles of at least 2",
        ),
        (
            {"imagine.per_class": 9, "classify.extras": "size"},
            "imagine.per_class is 9, which needs classify.extras: none; a made image has no true size",
        ),
        ({"imagine.image_size": 48}, "imagine.image_size must be 32, 64 or 128, not 48"),
    ],
)
def test_a_contradiction_is_told(tmp_path: Path, edits: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UserError) as told:
        load_params(edited_params(tmp_path, edits))
    assert complaint in str(told.value)


def test_what_the_section_names_is_looked_at_when_classes_are_told(tmp_path: Path) -> None:
    wrong = {"classify.backbone": "resnet18"}  # no package has its weights
    check_params(edited_params(tmp_path, wrong))
    with pytest.raises(UserError, match=r"^classify\.weights: packages have weights of "):
        check_params(edited_params(tmp_path, wrong | {"classes.of": ["species"]}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "resnet5O"}, "classify.members.big: classify.backbone: timm has no resnet5O"),
        (
            {"continue_from": "models/old"},
            "classify.members.big: classify.continue_from: models/old is no model folder; a copy of "
            "models/classes/OF/FOLD-MEMBER is one",
        ),
    ],
)
def test_what_a_member_names_is_looked_at(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    edits = {"classes.of": ["species"], "classes.members": ["plain", "big"], "classify.members": {"big": changes}}
    with pytest.raises(UserError) as caught:
        check_params(edited_params(tmp_path, edits | NO_VIEWS))
    assert str(caught.value).startswith(message)


def test_every_size_of_a_model_is_looked_at(tmp_path: Path) -> None:
    """The second fold's model would see views of a size that a transformer does not have."""
    sizes = {"classify.sizes": [96, 128], "classify.backbone": "vit_tiny_patch16_224", "classify.weights": "none"}
    edits = {"classes.of": ["species"], "classify.first_size": 96}
    edits |= {"classify.finetune.trainable": 1.0}
    check_params(edited_params(tmp_path, sizes | edits | {"classes.folds": [0, 2]}))
    with pytest.raises(UserError, match=r"^classify\.first_size: vit_tiny_patch16_224 takes views of one size alone"):
        check_params(edited_params(tmp_path, sizes | edits | {"classes.folds": [0, 1]}))


def test_every_member_of_params_yaml_can_run(tmp_path: Path) -> None:
    members = [*load_params().classify.members]
    assert "any_turn" in members
    check_params(edited_params(tmp_path, {"classes.of": ["identity"], "classes.members": members}))


def test_plain_is_no_name_for_changes() -> None:
    with pytest.raises(ValidationError, match="members has plain, which is the section as it stands"):
        Classify.model_validate(CLASSIFY.model_dump() | {"members": {"plain": {"smoothing": 0.2}}})


def test_the_folds_models_take_the_sizes_in_turn() -> None:
    one = CLASSIFY.model_copy(update={"image_size": 64, "first_size": 64})
    assert one.of_model("plain", 3) == one
    several = one.model_copy(update={"sizes": [64, 96, 128]})
    assert [several.of_model("plain", fold).image_size for fold in range(4)] == [64, 96, 128, 64]
    assert several.of_model("plain", 1).first_size == 96
    growing = several.model_copy(update={"first_size": 32}).of_model("plain", 2)
    assert (growing.first_size, growing.image_size) == (32, 128)


def test_a_member_changes_what_it_names() -> None:
    members = {"large": {"image_size": 96, "finetune": {"trainable": 0.5}}, "soft": {"smoothing": 0.2}}
    section = CLASSIFY.model_copy(update={"members": members, "sizes": [64, 128]})
    large, soft = section.of_model("large", 1), section.of_model("soft", 0)
    assert (large.image_size, large.finetune.trainable) == (128, 0.5)  # the fold's size counts
    assert large.finetune.hold_norms == section.finetune.hold_norms
    assert (soft.smoothing, soft.finetune) == (0.2, section.finetune)
    assert large.members == {}, "another member is no reason to learn again"


def test_a_member_looks_at_views_of_its_own() -> None:
    section = Guess(batch=4, views="halton", count=9, rotate=180, members={"turned": {"views": "turns"}})
    assert section.of_model("turned") == Guess(batch=4, views="turns", count=9, rotate=180, members={})
    assert section.of_model("plain") == Guess(batch=4, views="halton", count=9, rotate=180, members={})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lite9": {"views": "turns"}}, "guess.members has 'lite9', but classify.members tells any_turn, "),
        ({"lite1": {"views": "turn"}}, "guess.members.lite1: params.yaml: views must be 'plain'"),
        ({"lite1": {"look": 1}}, "guess.members.lite1: params.yaml: unknown key look"),
    ],
)
def test_what_guess_changes_for_a_member_is_looked_at(
    tmp_path: Path, changes: dict[str, dict[str, str]], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        check_params(edited_params(tmp_path, {"guess.members": changes}))
    assert message in str(caught.value)


def test_models_have_names_and_seeds_of_their_own() -> None:
    classes = Classes(of=["identity"], folds=[0, 3], members=["plain", "lite1"], test=[])
    assert classes.models == ["0-plain", "0-lite1", "3-plain", "3-lite1"]
    assert model_seed(7, "plain", 3) == 7 + 1000 * 552_847 + 3, "the same on every day and machine"
    assert len({model_seed(7, member, fold) for member in classes.members for fold in range(10)}) == 20
