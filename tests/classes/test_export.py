"""Trained models classify new images by one command, and as a file that torch alone can run."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import save_photo
from pods import CLASSES, CLASSIFY, crops, photos

from finprint.base.checkpoint import Checkpoint
from finprint.base.errors import UserError
from finprint.classes.classifier import load_classifier
from finprint.classes.export import CONFIG, MODEL, SCRIPT, Exported, export
from finprint.classes.labels import labelled
from finprint.classes.params import Guess
from finprint.classes.trained import Ensemble, classify_images, images_in, load_ensemble
from finprint.classes.training import train_model
from finprint.classes.voting import Sharpness
from finprint.crops.params import Crop
from finprint.learning.recipe import Recipe
from finprint.params import load_params

pytestmark = pytest.mark.usefixtures("training_state")
RULES = Sharpness(1.2, 0.001)
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
    return Ensemble(members, "mean", RULES, Guess(batch=4, views="mirror", count=1))


def _images(folder: Path) -> list[Path]:
    """A photo in the colour of each class, and a file that is no image."""
    made = []
    for name in "abc":
        colour = np.random.default_rng([ord(name), 0]).integers(30, 220, 3) + 15
        pixels = np.broadcast_to(colour, (32, 40, 3)).astype(np.uint8)
        made.append(save_photo(folder / f"{name}.png", pixels))
    (folder / "no.jpg").write_text("no")
    return made


def test_new_images_are_classified(tmp_path: Path, ensemble: Ensemble) -> None:
    _images(tmp_path / "new")
    table, bad = classify_images(images_in([tmp_path / "new"]), ensemble, None, WHOLE)
    assert table["answer"].tolist() == ["ant", "bee", "cod"]
    np.testing.assert_allclose(table[["ant", "bee", "cod"]].sum(axis=1), 1)
    assert (table[["ant", "bee", "cod"]].max(axis=1) == table["probability"]).all()
    assert bad == [f"{tmp_path}/new/no.jpg: not an image"]


def test_an_export_runs_without_finprint_and_says_the_same(tmp_path: Path, ensemble: Ensemble) -> None:
    made = _images(tmp_path / "new")
    assert export(ensemble, tmp_path / "out") < 1e-4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([MODEL, CONFIG, SCRIPT])
    assert "finprint" not in (tmp_path / "out" / SCRIPT).read_text().split('"""')[2]
    ran = subprocess.run(
        [sys.executable, "-I", str(tmp_path / "out" / SCRIPT), *map(str, made), str(tmp_path / "new" / "no.jpg")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rows = list(csv.DictReader(ran.stdout.splitlines()))
    ours, _ = classify_images(made, ensemble, None, WHOLE.model_copy(update={"quality": 100}))
    assert [row["answer"] for row in rows] == ["ant", "bee", "cod"]
    theirs = pd.DataFrame(rows)[["ant", "bee", "cod"]].astype(float)
    np.testing.assert_allclose(theirs, ours[["ant", "bee", "cod"]], atol=0.05)  # bfloat16 and JPEG on our side
    assert "no.jpg: not an image" in ran.stderr


def test_the_exported_module_is_the_models_joined_and_sharpened(ensemble: Ensemble) -> None:
    views = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    each = []
    with torch.no_grad():
        for member in ensemble.members:
            both = [torch.softmax(member.head(member.embedder.cpu()(shown)), 1) for shown in (views, views.flip(3))]
            each.append(((both[0] + both[1]) / 2).numpy())
        exported = Exported(ensemble).eval()(views).numpy()
    np.testing.assert_allclose(exported, RULES.apply((each[0] + each[1]) / 2), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "majority"}, "vote.by is majority"),
        ({"views": Guess(batch=4, views="halton", count=4)}, "guess.views is halton"),
    ],
)
def test_what_cannot_be_exported_is_named(
    tmp_path: Path, ensemble: Ensemble, change: dict[str, object], message: str
) -> None:
    fields = {"by": ensemble.by, "views": ensemble.views} | change
    with pytest.raises(UserError, match=message):
        export(Ensemble(ensemble.members, sharpness=RULES, **fields), tmp_path / "out")  # type: ignore[arg-type]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"models/classes/identity is missing: `dvc exp run -S 'classes.of=\[identity\]'"
    ):
        load_ensemble(Path("models/classes/identity"), tmp_path / "rules.json")
    with pytest.raises(UserError, match=r"nothing\.jpg is missing"):
        images_in([tmp_path / "nothing.jpg"])
    with pytest.raises(UserError, match="there is no image in"):
        images_in([tmp_path])
