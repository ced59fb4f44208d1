"""Trained models classify new images by one command, and as a file that torch alone can run."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import save_photo
from PIL import Image
from pods import CLASSES, CLASSIFY, MIRROR, crops, photos

from finprint.base.checkpoint import Checkpoint
from finprint.base.errors import UserError
from finprint.base.files import read_json, write_json
from finprint.classes.classifier import Classifier, load_classifier
from finprint.classes.export import CONFIG, MODEL, SCRIPT, Exported, export
from finprint.classes.extras import LENGTHS
from finprint.classes.guesses import guess
from finprint.classes.heads import SoftmaxHead
from finprint.classes.labels import labelled
from finprint.classes.trained import Ensemble, classify_images, images_in, load_ensemble
from finprint.classes.training import train_model
from finprint.classes.voting import Joint, Sharpness
from finprint.crops.params import Crop
from finprint.learning.recipe import Recipe
from finprint.model.embedder import Embedder, ModelConfig, save_model
from finprint.model.views import plain_view
from finprint.params import load_params
from finprint.pictures.images import decode_jpeg, encode_jpeg

pytestmark = pytest.mark.usefixtures("training_state")
RULES = Joint("mean", [1.0], Sharpness(1.2, 0.001))
WHOLE: Crop = load_params(Path(__file__).parents[2] / "params.yaml").crop


@pytest.fixture
def ensemble(tmp_path: Path) -> Ensemble:
    table = photos()
    stored = crops(tmp_path / "crops", table)
    labels = labelled(table, stored, "identity", CLASSES)
    for fold in CLASSES.folds:
        recipe = Recipe(CLASSIFY, 1, 1e-3, fold)
        trained = train_model(labels, stored, recipe, fold, Checkpoint("classify", {"fold": fold}, [], []))
        trained.save(tmp_path / "models" / str(fold))
    members = [load_classifier(tmp_path / "models" / str(fold)) for fold in CLASSES.folds]
    return Ensemble(members, RULES, [MIRROR] * len(members))


def _images(folder: Path) -> list[Path]:
    """A photo in the colour of each class, and a file that is no image."""
    made = []
    for name in "abc":
        made.append(save_photo(folder / f"{name}.png", _colour(name)))
    (folder / "no.jpg").write_text("no")
    return made


def _odd_images(folder: Path) -> None:
    """A palette, a grey and a transparent image of the first colour, and one of 16 bits of grey."""
    image = Image.fromarray(_colour("a"))
    image.convert("P").save(folder / "palette.png")
    image.convert("RGBA").save(folder / "transparent.png")
    image.convert("L").save(folder / "grey.png")
    Image.fromarray(np.full((32, 40), 9000, np.uint16)).save(folder / "sixteen.png")


def _colour(name: str) -> np.ndarray:
    colour = np.random.default_rng([ord(name), 0]).integers(30, 220, 3) + 15
    return np.broadcast_to(colour, (32, 40, 3)).astype(np.uint8)


def test_new_images_are_classified(tmp_path: Path, ensemble: Ensemble) -> None:
    _images(tmp_path / "new")
    _odd_images(tmp_path / "new")
    table, bad = classify_images(images_in([tmp_path / "new"]), ensemble, None, WHOLE)
    answers = dict(zip([Path(image).stem for image in table["image"]], table["answer"], strict=True))
    assert [answers[name] for name in ("a", "b", "c", "palette", "transparent")] == ["ant", "bee", "cod", "ant", "ant"]
    assert "grey" in answers
    np.testing.assert_allclose(table[["ant", "bee", "cod"]].sum(axis=1), 1)
    assert (table[["ant", "bee", "cod"]].max(axis=1) == table["probability"]).all()
    assert bad[0] == f"{tmp_path}/new/no.jpg: not an image"
    assert bad[1].startswith(f"{tmp_path}/new/sixteen.png: ")
    assert len(bad) == 2


def test_an_export_runs_without_finprint_and_says_the_same(tmp_path: Path, ensemble: Ensemble) -> None:
    made = _images(tmp_path / "new")
    assert export(ensemble, tmp_path / "out", WHOLE) < 1e-4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([MODEL, CONFIG, SCRIPT])
    assert "finprint" not in (tmp_path / "out" / SCRIPT).read_text().split('"""')[2]
    ran = subprocess.run(
        [sys.executable, "-I", str(tmp_path / "out" / SCRIPT), *map(str, made), str(tmp_path / "new" / "no.jpg")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = list(csv.DictReader(ran.stdout.splitlines()))
    ours, _ = classify_images(made, ensemble, None, WHOLE)
    assert [row["answer"] for row in rows] == ["ant", "bee", "cod"]
    theirs = pd.DataFrame(rows)[["ant", "bee", "cod"]].astype(float)
    np.testing.assert_allclose(theirs, ours[["ant", "bee", "cod"]], atol=0.05)  # bfloat16 on our side
    assert "no.jpg: not an image" in ran.stderr


@pytest.mark.parametrize(
    "joint", [RULES, Joint("geometric", [0.3, 0.7], Sharpness(0.9, 0.0, [0.8, 1.0, 1.3]))], ids=["mean", "geometric"]
)
def test_the_exported_module_is_the_models_joined_and_sharpened(ensemble: Ensemble, joint: Joint) -> None:
    views = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    each = []
    with torch.no_grad():
        for member in ensemble.members:
            both = [torch.softmax(member.head(member.embedder.cpu()(shown)), 1) for shown in (views, views.flip(3))]
            each.append(((both[0] + both[1]) / 2).numpy())
        exported = Exported(replace(ensemble, joint=joint)).eval()([views], torch.zeros(2, 2)).numpy()
    np.testing.assert_allclose(exported, joint.apply(each), atol=1e-5)


def test_each_exported_model_looks_at_its_own_views(ensemble: Ensemble) -> None:
    crops = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    views = [MIRROR.model_copy(update={"views": kind}) for kind in ("plain", "turns")]
    shown = [[crops], [crops.rot90(quarter, (2, 3)) for quarter in range(4)]]
    shown[1] += [view.flip(3) for view in shown[1]]
    each = []
    with torch.no_grad():
        for member, looks in zip(ensemble.members, shown, strict=True):
            chances = [torch.softmax(member.head(member.embedder.cpu()(look)), 1) for look in looks]
            each.append(torch.stack(chances).mean(0).numpy())
        exported = Exported(replace(ensemble, views=views)).eval()([crops], torch.zeros(2, 2)).numpy()
    np.testing.assert_allclose(exported, RULES.apply(each), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"joint": replace(RULES, by="majority")}, "vote.by is majority"),
        ({"views": [MIRROR, MIRROR.model_copy(update={"views": "halton"})]}, "guess.views is halton"),
    ],
)
def test_what_cannot_be_exported_is_named(
    tmp_path: Path, ensemble: Ensemble, change: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        export(replace(ensemble, **change), tmp_path / "out", WHOLE)  # type: ignore[arg-type]


def _untrained(side: int, classes: list[str], padded: bool = False, extras: str = "none") -> Classifier:
    embedder = Embedder(ModelConfig("resnet18", "average", 0, side, padded=padded)).eval()
    return Classifier(embedder, SoftmaxHead(embedder.features, len(classes), LENGTHS[extras]), classes)


def test_models_of_several_sizes_of_which_one_knows_the_size_of_a_crop(tmp_path: Path) -> None:
    """They have 32 px, 64 px padded, and 32 px again; the script makes the squares and measures the image."""
    torch.manual_seed(0)
    told = [(32, False, "none"), (64, True, "size"), (32, False, "none")]
    members = [_untrained(side, ["ant", "bee"], padded, extras) for side, padded, extras in told]
    members[1].head.standardise(np.array([[3.0, 3.0], [5.0, 5.0]]))
    ensemble = Ensemble(members, Joint("geometric", [0.2, 0.5, 0.3], Sharpness(1.0, 0.0)), [MIRROR] * 3)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 90, 3)).astype(np.uint8)
    images = [save_photo(tmp_path / "wide.png", pixels), save_photo(tmp_path / "part.png", pixels[:, :50])]
    assert export(ensemble, tmp_path / "out", WHOLE) < 1e-4
    assert read_json(tmp_path / "out" / CONFIG)["squares"] == [
        {"image_size": 32, "padded": False}, {"image_size": 64, "padded": True},
    ]  # fmt: skip
    script = [sys.executable, "-I", str(tmp_path / "out" / SCRIPT), *map(str, images)]
    rows = list(csv.DictReader(subprocess.run(script, capture_output=True, text=True, check=True).stdout.splitlines()))
    read = [cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB) for image in images]
    crops = [decode_jpeg(encode_jpeg(image, WHOLE.quality)) for image in read]
    each = []
    with torch.no_grad():
        for member, (side, padded, extras) in zip(members, told, strict=True):
            sizes = torch.tensor([[90.0, 40.0], [50.0, 40.0]]).log() if extras == "size" else None
            squares = torch.from_numpy(np.stack([plain_view(crop, side, padded) for crop in crops]))
            shown = squares.permute(0, 3, 1, 2).float() / 255
            both = [torch.softmax(member.head(member.embedder(one), sizes), 1) for one in (shown, shown.flip(3))]
            each.append(((both[0] + both[1]) / 2).numpy())
    theirs = pd.DataFrame(rows)[["ant", "bee"]].astype(float)
    np.testing.assert_allclose(theirs, ensemble.joint.apply(each), atol=1e-4)


def test_texture_cannot_be_exported(tmp_path: Path) -> None:
    members = [_untrained(32, ["ant", "bee"], extras="all")]
    with pytest.raises(
        UserError, match=r"look at extras that .* cannot measure: set extras to size or none, in classify"
    ):
        export(Ensemble(members, RULES, [MIRROR]), tmp_path / "out", WHOLE)


def test_models_of_other_classes_are_named(tmp_path: Path) -> None:
    for fold, classes in enumerate((["ant", "bee"], ["ant", "cod"])):
        model = _untrained(32, classes)
        save_model(tmp_path / "models" / str(fold), model.embedder, model.head, classes)
    rules, fitted = tmp_path / "rules.json", {"by": "mean", "temperature": 1.0, "clip": 0.0}
    write_json(rules, {"models": ["0", "1"]})
    with pytest.raises(UserError, match=r"models/1 tells other classes than .*/models/0: run `dvc repro` for the"):
        load_ensemble(tmp_path / "models", rules)
    write_json(rules, {"models": ["1"], "guess": MIRROR.model_dump()} | fitted)
    assert load_ensemble(tmp_path / "models", rules).classes == ["ant", "cod"], "what is left from before has no vote"
    write_json(rules, {"models": ["1"], "guess": {"batch": 4, "views": "halton", "count": 9}} | fitted)
    assert load_ensemble(tmp_path / "models", rules).views[0].rotate == 180, "rules of an earlier version"
    other = "is of other classes or models than .*/models: run `dvc repro judge`"
    for wrong in ({"powers": [1.0, 1.1, 0.9]}, {"classes": ["ant", "bee"]}, {"shares": [0.5, 0.5]}):
        write_json(rules, {"models": ["1"], "guess": MIRROR.model_dump()} | fitted | wrong)
        with pytest.raises(UserError, match=other):
            load_ensemble(tmp_path / "models", rules)
    write_json(rules, {"models": ["1", "2"]})
    with pytest.raises(UserError, match=r"models/2 is missing: `dvc exp run -S 'classes.of=\[models\]' judge` trains"):
        load_ensemble(tmp_path / "models", rules)
    table = photos()
    stored = crops(tmp_path / "crops", table)
    with pytest.raises(UserError, match="the model tells other classes than the photos show: run `dvc repro`"):
        guess(model, labelled(table, stored, "identity", CLASSES), stored, 0, MIRROR, CLASSIFY)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rules\.json is missing: `dvc exp run -S 'classes.of=\[identity\]'"):
        load_ensemble(Path("models/classes/identity"), tmp_path / "rules.json")
    with pytest.raises(UserError, match=r"nothing\.jpg is missing"):
        images_in([tmp_path / "nothing.jpg"])
    with pytest.raises(UserError, match="there is no image in"):
        images_in([tmp_path])
