"""params.yaml: every knob typed, every mistake named."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from finprint.base.errors import UserError
from finprint.base.params import Positive, Seed, load_sections
from finprint.crops.params import Crop
from finprint.params import Params, load_params

OURS = Path(__file__).parents[1] / "params.yaml"


def _edited(folder: Path, edits: dict[str, Any], gone: str = "") -> Path:
    """A copy of the project's params.yaml with keys (dotted) set, and one taken away."""
    reader = YAML(typ="safe", pure=True)
    tree = reader.load(OURS.read_text(encoding="utf-8"))
    for key, value in [*edits.items(), (gone, None)]:
        *sections, last = key.split(".")
        at = tree
        for section in sections:
            at = at[section]
        if key and key == gone:
            del at[last]
        elif key:
            at[last] = value
    path = folder / "params.yaml"
    with path.open("w", encoding="utf-8") as file:
        reader.dump(tree, file)
    return path


def _with_lr(folder: Path, written: str) -> Path:
    path = folder / "params.yaml"
    text, count = re.subn(r"(?m)^lr:.*$", f"lr: {written}", OURS.read_text(encoding="utf-8"))
    assert count == 1
    path.write_text(text, encoding="utf-8")
    return path


def _complaint(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_params(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}")
    return message.removeprefix(f"{path}").removeprefix(": ")


def test_the_project_s_own_params_are_well_formed() -> None:
    params = load_params(OURS)
    assert params.model_dump() == YAML(typ="safe", pure=True).load(OURS.read_text(encoding="utf-8"))


def test_no_knob_hides_in_the_code() -> None:
    """Whatever can be set stands in params.yaml: no field has a default."""
    todo: list[type[BaseModel]] = [Params]
    seen = 0
    while todo:
        for name, field in todo.pop().model_fields.items():
            seen += 1
            assert field.is_required(), name
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                todo.append(field.annotation)
    assert seen > 50


@pytest.mark.parametrize(
    ("written", "value"), [("1e-05", 1e-5), ("1e-5", 1e-5), ("1E-3", 1e-3), ("3", 3.0), ("0.002", 0.002), ("1e3", 1e3)]
)
def test_numbers_as_dvc_writes_them(tmp_path: Path, written: str, value: float) -> None:
    assert load_params(_with_lr(tmp_path, written)).lr == value


def test_the_usual_loader_would_read_text() -> None:
    """Why a YAML 1.2 loader: should this fail one day, the plain one will do."""
    assert yaml.safe_load("lr: 1e-05") == {"lr": "1e-05"}


@given(value=st.floats(min_value=1e-300, max_value=1e300))
def test_any_positive_number_survives_its_text(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    assert load_params(_with_lr(tmp_path_factory.mktemp("lr"), repr(value))).lr == value


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("abc", "lr must be a number, not 'abc'"),
        ("'0.01'", "lr must be a number, not '0.01'"),
        ("0", "lr must be more than 0, not 0"),
        ("-0.1", "lr must be more than 0, not -0.1"),
        ("true", "lr must be a number, not True"),
        (".nan", "lr must be a finite number, not nan"),
        (".inf", "lr must be a finite number, not inf"),
        ("", "lr must be a number, not empty"),
    ],
)
def test_a_learning_rate_that_is_none(tmp_path: Path, written: str, complaint: str) -> None:
    assert _complaint(_with_lr(tmp_path, written)) == complaint


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("sed", "unknown key sed (did you mean seed?)"),
        ("prepare.new_shares", "unknown key prepare.new_shares (did you mean new_share?)"),
        ("prepare.sample.individual", "unknown key prepare.sample.individual (did you mean individuals?)"),
        ("train.margin.powr", "unknown key train.margin.powr (did you mean power?)"),
        ("evaluate.zzz", "unknown key evaluate.zzz (the keys are: bootstrap, explained)"),
    ],
)
def test_an_unknown_key_is_named(tmp_path: Path, key: str, complaint: str) -> None:
    assert _complaint(_edited(tmp_path, {key: 1})) == complaint


@pytest.mark.parametrize("key", ["seed", "search", "train.augment.blur", "prepare.species_typos"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    assert _complaint(_edited(tmp_path, {}, gone=key)) == f"{key} is missing"


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    path = _edited(tmp_path, {"lr": "fast", "crop.quality": 101, "croop": 1})
    assert _complaint(path) == (
        f"lr must be a number, not 'fast'; {path}: crop.quality must be at most "
        f"100, not 101; {path}: unknown key croop (did you mean crop?)"
    )


@pytest.mark.parametrize("fold", [6, 9])
def test_a_fold_beyond_the_folds(tmp_path: Path, fold: int) -> None:
    path = _edited(tmp_path, {"prepare.fold": fold, "prepare.folds": 6})
    assert _complaint(path) == f"prepare: fold is {fold}, but with folds: 6 the last one is 5"
    assert load_params(_edited(tmp_path, {"prepare.fold": 5, "prepare.folds": 6})).prepare.fold == 5


@pytest.mark.parametrize(
    ("left_out", "complaint"),
    [
        ([1, 6], "fold.left_out has 6, but the folds are 0 to 5"),
        ([2, 0], "fold.left_out has 0, which is prepare.fold: this fold validates already"),
        ([2, 3, 2], "fold: left_out names 2 twice"),
    ],
)
def test_folds_that_cannot_be_left_out(tmp_path: Path, left_out: list[int], complaint: str) -> None:
    assert _complaint(_edited(tmp_path, {"fold.left_out": left_out})) == complaint
    assert load_params(_edited(tmp_path, {"fold.left_out": [1, 5]})).fold.left_out == [1, 5]
    assert _complaint(_edited(tmp_path, {"fold.left_out": [1], "train.continue_from": "models/mine"})) == (
        "fold.left_out must be empty, because the model in train.continue_from may have learned from the folds"
    )


def test_a_part_of_a_photo_holds_something(tmp_path: Path) -> None:
    path = _edited(tmp_path, {"crop.whole": [0.6, 0.1, 0.4, 1.0]})
    assert _complaint(path) == "crop: whole holds nothing: left 0.6, top 0.1, right 0.4, bottom 1.0"
    assert load_params(_edited(tmp_path, {"crop.whole": [0.4, 0, 0.6, 1]})).crop.whole == [0.4, 0, 0.6, 1]


def test_shares_are_as_many_as_the_models(tmp_path: Path) -> None:
    shares = {"search.shares": [0.3, 0.7]}
    assert load_params(_edited(tmp_path, shares)).search.shares == [0.3, 0.7]
    assert _complaint(_edited(tmp_path, shares | {"fold.left_out": [1, 2]})) == (
        "search.shares has 2 weights for 4 models: round 1, round 2 and those of fold.left_out"
    )


@pytest.mark.parametrize(
    ("edits", "complaint"),
    [
        ({"prepare.fold": -1}, "prepare.fold must be at least 0, not -1"),
        (
            {"prepare.folder": ""},
            "prepare: folder is '', which is the project itself: it must name the photos' folder",
        ),
        (
            {"prepare.folder": "data"},
            "prepare: folder is 'data', which is the project itself: it must name the photos' folder",
        ),
        ({"prepare.background": "/sea"}, "prepare: background is '/sea': it must name a sub-folder of prepare.folder"),
        (
            {"prepare.background": "queries/"},
            "prepare: background and queries are both 'queries': they must be two folders",
        ),
        ({"prepare.queries": "../q"}, "prepare: queries is '../q': it must name a sub-folder of prepare.folder"),
        ({"prepare.day_first": "yes"}, "prepare.day_first must be 'auto', True or False, not 'yes'"),
        (
            {"prepare.folders.groups": "trips.csv"},
            "prepare.folders: groups is 'trips.csv': it must be TABLE:COLUMN, such as trips.csv:boat",
        ),
        (
            {"prepare.folders.identity": 0},
            "prepare.folders.identity must be 'auto', 'file', 'first', 'last', 1, 2, 3, 4, 5, 6, 7 or 8, not 0",
        ),
        (
            {"prepare.source": "disk"},
            "prepare.source must be 'sample', 'happywhale', 'folder' or 'csv', not 'disk'",
        ),
        (
            {"prepare.sample.photos": 20, "prepare.sample.individuals": 11},
            "prepare.sample: photos must be at least twice individuals",
        ),
        ({"detector.image_size": 100}, "detector.image_size must be a multiple of 32, not 100"),
        ({"detector.enabled": "yes"}, "detector.enabled must be true or false, not 'yes'"),
        ({"detector.holdout": 1.0}, "detector.holdout must be less than 1, not 1.0"),
        ({"crop.parts": []}, "crop.parts must be a list of at least 1, not of 0"),
        ({"crop.parts": [7]}, "crop.parts.0 must be text, not 7"),
        ({"train.epochs": 2.5}, "train.epochs must be a whole number, not 2.5"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"train.fusion": 3}, "train.fusion must be 'gem', 'dolg', 'average' or 'means', not 3"),
    ],
)
def test_a_value_out_of_range_is_named_with_its_key(tmp_path: Path, edits: dict[str, Any], complaint: str) -> None:
    assert _complaint(_edited(tmp_path, edits)) == complaint


def test_a_second_round_afresh_unfreezes_in_time_as_well(tmp_path: Path) -> None:
    late = {"train.finetune.unfreeze": [2, 5], "retrain.start": "pretrained", "retrain.epochs": 5}
    assert _complaint(_edited(tmp_path, late)) == (
        "train.finetune.unfreeze has 5, but round 2 starts from pretrained weights (retrain.start), and with "
        "retrain.epochs: 5 its last epoch is 4"
    )
    for fine in ({"retrain.start": "round1"}, {"retrain.epochs": 6}):
        load_params(_edited(tmp_path, late | fine))


def test_a_section_that_is_no_section(tmp_path: Path) -> None:
    assert _complaint(_edited(tmp_path, {"crop": 3})).startswith("crop must be a section with keys of its own, not 3")


@pytest.mark.parametrize("shares", ["equal", "fit", [0.3, 0.7], [0.0, 1.0]])
def test_shares_of_the_rounds(tmp_path: Path, shares: Any) -> None:
    assert load_params(_edited(tmp_path, {"search.shares": shares})).search.shares == shares


@pytest.mark.parametrize(
    ("edits", "complaint"),
    [
        ({"search.shares": [0.5, 0.7]}, "shares are [0.5, 0.7], which add up to 1.2 and not to 1"),
        (
            {"search.new.target": "new_share", "search.new.value": -0.1},
            "value is -0.1, but as new_share it is a share, 0 to 1",
        ),
        (
            {"search.new.target": "fixed", "search.new.per_species": True},
            "per_species needs a target fitted on validation, and fixed is not",
        ),
    ],
)
def test_search_params_that_contradict_each_other(tmp_path: Path, edits: dict[str, Any], complaint: str) -> None:
    assert _complaint(_edited(tmp_path, edits)).endswith(complaint)


def test_params_do_not_change_under_way() -> None:
    params = load_params(OURS)
    with pytest.raises(ValidationError, match="frozen"):
        params.train.epochs = 3


def test_no_file(tmp_path: Path) -> None:
    assert _complaint(tmp_path / "params.yaml") == " is missing: run from the project's root"


@pytest.mark.parametrize("text", ["lr: [1, 2\nseed: 3\n", "lr: 1\nlr: 2\n", "\tlr: 1\n"])
def test_a_file_that_is_not_yaml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    assert _complaint(path).startswith(" is not YAML: ")


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes("lr: 1  # 5°\n".encode("latin-1"))
    assert _complaint(path).startswith(" is not YAML: ")


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("")
    assert _complaint(path) == "the whole file must be a list of keys and values"


def test_a_key_by_its_old_name_is_told_its_new_one(tmp_path: Path) -> None:
    renamed = {
        "crop.margin": "crop.border",
        "crop.boxes": "crop.boxes_from",
        "detector.scale": "detector.zoom",
        "detector.weights": "detector.network",
        "train.head_lr": "train.head_lr_factor",
        "train.margin.scale": "train.margin.one_photo",
        "train.species.scale": "train.species.one_photo",
        "train.start": "train.continue_from",
        "train.margin.floor": "train.margin.least",
        "search.nearest": "search.mean_photos",
        "prepare.csv.query": "prepare.csv.query_value",
    }
    for old, new in renamed.items():
        assert _complaint(_edited(tmp_path, {old: 1})) == f"{old} is called {new} now"
        assert _complaint(_edited(tmp_path, {old: 1}, gone=new)).split("; ")[0] == f"{new} is missing"


def test_a_value_by_its_old_name_is_told_its_new_one(tmp_path: Path) -> None:
    edited = _edited(tmp_path, {"crop.boxes_from": "found"})
    assert _complaint(edited) == "crop.boxes_from: the value 'found' is called 'detector' now"


@pytest.mark.parametrize(
    ("edits", "complaint"),
    [
        ({"search.shares": "foo"}, "search.shares must be 'equal' or 'fit', or a list, not 'foo'"),
        ({"search.shares": [0.5, "a"]}, "search.shares.1 must be a number, not 'a'"),
        ({"search.new.expected_new": "x"}, "search.new.expected_new must be 'validation', or a number, not 'x'"),
        ({"crop.whole": [0, 1]}, "crop.whole must be a list of at least 4, not of 2"),
        ({"train.schedule": "cosine"}, "train.schedule must be a section with keys of its own, not 'cosine'"),
        ({"train.BATCH": 3}, "unknown key train.BATCH (did you mean batch?)"),
        ({"detector": None}, "detector must be a section with keys of its own, not empty"),
    ],
)
def test_a_mistake_is_told_in_plain_words(tmp_path: Path, edits: dict[str, Any], complaint: str) -> None:
    assert _complaint(_edited(tmp_path, edits)) == complaint


def test_steps_are_shared_by_processes_that_divide_them(tmp_path: Path) -> None:
    assert _complaint(_edited(tmp_path, {"train.parts": 3})) == "train: parts is 3, which does not divide batch: 32"
    assert (
        _complaint(_edited(tmp_path, {"train.parts": 32})) == "train: parts is 32, but with batch: 32 it is at most 16"
    )
    shared = {"engine.processes": 3, "train.parts": 4}
    assert _complaint(_edited(tmp_path, shared)) == (
        "engine.processes is 3, which does not divide train.parts: 4; each process takes as many parts of a step"
    )
    load_params(
        _edited(tmp_path, shared | {"engine.processes": 2})
    )  # a frozen backbone, as in classify, needs no other
    trained = {"engine.processes": 2, "train.parts": 2, "classes.of": ["species"], "classify.finetune.trainable": 1.0}
    assert _complaint(_edited(tmp_path, trained)).startswith(
        "engine.processes is 2, which does not divide classify.parts: 1;"
    )
    load_params(_edited(tmp_path, trained | {"classify.parts": 4}))


def test_what_needs_a_detector(tmp_path: Path) -> None:
    off = {"detector.enabled": False}
    assert _complaint(_edited(tmp_path, off | {"crop.slices": 3})) == (
        "crop.slices is 3, which needs a detector, and detector.enabled is false"
    )
    assert _complaint(_edited(tmp_path, off | {"crop.animals": "each"})) == (
        "crop.animals is each, which needs a detector, and detector.enabled is false"
    )
    load_params(_edited(tmp_path, off | {"crop.animals": "each", "crop.boxes_from": "given"}))


def test_a_section_is_read_without_the_others(tmp_path: Path) -> None:
    path = _edited(tmp_path, {"train.epochs": "many"})
    assert load_sections(path, seed=Seed, lr=Positive, crop=Crop).crop == load_params(OURS).crop
    with pytest.raises(UserError, match=r"crop\.quality must be at most 100, not 101"):
        load_sections(_edited(tmp_path, {"crop.quality": 101}), crop=Crop)
    with pytest.raises(UserError, match="crop is missing"):
        load_sections(_edited(tmp_path, {}, gone="crop"), crop=Crop)
