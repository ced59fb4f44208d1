"""The trained models of classes with all that their answer needs: new images are classified by them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import read_json, sha256_bytes
from finprint.classes.classifier import Classifier, load_classifier
from finprint.classes.extras import LENGTHS, measure
from finprint.classes.params import Guess
from finprint.classes.voting import Joint, Sharpness
from finprint.crops.cache import Cut
from finprint.crops.cropping import made_crops, plan
from finprint.crops.params import Crop
from finprint.detector.yolo import TrainedDetector
from finprint.pictures.images import SUFFIXES, BadPhoto, decode, decode_jpeg, read_photo
from finprint.store.tables import SIDES, TEST

# Params of `guess` that rules of an earlier version lack: their views turned by any angle.
LATER = {"rotate": 180.0, "members": {}}


@dataclass(frozen=True)
class Ensemble:
    """All models that tell one kind of class, and the rules that validation gave.

    Attributes:
        members: of each fold, one fold's after the other's.
        joint: how their probabilities become one.
        views: that the models look at, in their order.
    """

    members: Sequence[Classifier]
    joint: Joint
    views: Sequence[Guess]

    @property
    def classes(self) -> list[str]:
        """The C names."""
        return self.members[0].classes

    def probabilities(self, cuts: Sequence[Cut]) -> np.ndarray:
        """(N, C) of N crops; rows sum to 1."""
        pixels = [decode_jpeg(one.jpeg) for one in cuts]
        index = pd.DataFrame([one.box for one in cuts], columns=SIDES)
        rows = np.arange(len(cuts))
        extras = {0: np.zeros((len(cuts), 0), np.float32)}  # by their number
        for kind, length in LENGTHS.items():
            if length and any(member.head.extras == length for member in self.members):
                extras[length] = measure(index, pixels.__getitem__, kind)
        arrays = [
            member.probabilities(pixels.__getitem__, rows, extras[member.head.extras], views)
            for member, views in zip(self.members, self.views, strict=True)
        ]
        return self.joint.apply(arrays)


def load_ensemble(models: Path, rules: Path) -> Ensemble:
    """Read the rules of `data/labels/OF/rules.json` and the models of `models/classes/OF` that they name.

    Other models may lie there, left from earlier runs.

    Raises:
        UserError: there are none, a file is missing, or the models tell different classes.
    """
    fitted = read_json(rules) if rules.is_file() else {}
    names = fitted.get("models", ["0-plain"])
    folders = [models / name for name in names]
    for needed in (rules, *folders):
        if not needed.exists():
            told = f"`dvc exp run -S 'classes.of=[{models.name}]' judge` trains and fits it"
            raise UserError(f"{needed} is missing: {told}")
    members = [load_classifier(folder) for folder in folders]
    for member, folder in zip(members, folders, strict=True):
        if member.classes != members[0].classes:
            raise UserError(f"{folder} tells other classes than {folders[0]}: run `dvc repro` for the stage classify")
    shares, powers = fitted.get("shares", [1.0]), fitted.get("powers", ())  # rules of earlier versions had none
    told = fitted.get("classes", members[0].classes) == members[0].classes
    if not told or len(powers) not in (0, len(members[0].classes)) or len(members) % len(shares):
        raise UserError(f"{rules} is of other classes or models than {models}: run `dvc repro judge`")
    sharpness = Sharpness(fitted["temperature"], fitted["clip"], powers)
    joint = Joint(fitted["by"], shares, sharpness)
    section = Guess.model_validate(LATER | fitted["guess"])
    return Ensemble(members, joint, [section.of_model(name.partition("-")[2]) for name in names])


def images_in(paths: Sequence[Path]) -> list[Path]:
    """The image files that are named, and those in folders that are, sorted within a folder.

    Raises:
        UserError: a path is missing, or there is no image.
    """
    images: list[Path] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path} is missing")
        inside = (one for one in sorted(path.rglob("*")) if one.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        images += inside
    if not images:
        raise UserError(f"there is no image in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(images))


def classify_images(
    images: Sequence[Path], ensemble: Ensemble, detector: TrainedDetector | None, crop: Crop
) -> tuple[pd.DataFrame, list[str]]:
    """The probabilities of new images, cropped as those of the survey were.

    Args:
        images: files.
        ensemble: the models.
        detector: finds the animals; None: `crop.whole` is cut out.
        crop: the section.

    Returns:
        A table (image, answer, probability, a column for each class), and a line for each image that cannot be read.
    """
    rows, bad = [], []
    for path in images:
        try:
            content = read_photo(path)
            _, (width, height) = decode(path, 1, content)
            rows.append((str(path), str(path), sha256_bytes(content), width, height, TEST))
        except BadPhoto as why:
            bad.append(f"{path}: {why}")
    table = pd.DataFrame(rows, columns=["image", "path", "sha256", "width", "height", "split"])
    jobs = plan(table, pd.DataFrame(), crop.model_copy(update={"boxes_from": "detector", "animals": "best"}))
    named, cuts = [], []
    threads = cv2.getNumThreads()
    for image, (_, made) in zip(table["image"], made_crops(jobs, detector, crop), strict=True):
        if isinstance(made, Exception):
            bad.append(f"{image}: {made}")
        else:
            named.append(image)
            cuts.append(made[0])
    cv2.setNumThreads(threads)
    if not cuts:
        return pd.DataFrame(columns=["image", "answer", "probability", *ensemble.classes]), bad
    array = ensemble.probabilities(cuts)
    best = np.array(ensemble.classes, object)[array.argmax(axis=1)]
    told = pd.DataFrame({"image": named, "answer": best, "probability": array.max(axis=1)})
    return pd.concat([told, pd.DataFrame(array, columns=ensemble.classes)], axis=1), bad
