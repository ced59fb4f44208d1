"""What several test modules share: drawn photos, a survey folder to fill, and how hypothesis searches."""

import csv
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import settings
from PIL import Image
from ruamel.yaml import YAML

from finprint.base.params import read_yaml, section_at
from finprint.evaluation.judging import Judged
from finprint.individuals.params import AnimalAugment, Margin, SpeciesHead, Train
from finprint.learning.params import Finetune, Schedule
from finprint.params import load_params
from finprint.survey.params import Prepare

# The same examples on every run and no files left behind; the machine's speed is no property of the code.
settings.register_profile("finprint", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("finprint")

ORIENTATION = 0x0112  # of EXIF
HEAVY = {"browser", "engine", "project", "trained", "training_state"}  # fixtures of tests that take seconds

NO_AUGMENT = AnimalAugment(
    rotate=0,
    shift=0,
    zoom=0,
    zoom_by="difference",
    stretch=0,
    shear=0,
    flip=0,
    mirror="same",
    mixup=0,
    cutmix=0,
    mixed="photos",
    colour=0,
    grey=0,
    blur=0,
    noise=0,
    erase=0,
    grow=0,
    patience=2,
)
# A network that trains in a second: the small one that timm tests itself with, from random weights, no augmentation.
SMALL_TRAIN = Train(
    viewpoints="together",
    backbone="test_efficientnet",
    weights="none",
    fusion="gem",
    embedding=8,
    image_size=32,
    first_size=32,
    padded=False,
    epochs=1,
    score_every=1,
    batch=4,
    parts=1,
    head_lr_factor=10.0,
    weight_decay=0.01,
    schedule=Schedule(kind="cosine", warmup=0.2, drops=[0.5], cycles=2, cycle_decay=1.0),
    continue_from="",
    cyclic=False,
    swa=0.0,
    species=SpeciesHead(share=0.0, logit_scale=33.1, one_photo=0.226, power=-0.72),
    finetune=Finetune(trainable=1.0, unfreeze=[], layer_decay=1.0, hold_norms=False),
    ema=0.5,
    keep="last",
    amp=False,
    margin=Margin(centres=2, logit_scale=20.0, one_photo=0.271, power=-0.364, least=0.05, ramp=0.0),
    augment=NO_AUGMENT,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that train, start a browser or a cluster, or look at a whole finished run."""
    for item in items:
        if isinstance(item, pytest.Function) and HEAVY & set(item.fixturenames):
            item.add_marker("heavy")


def scenery(seed: int, width: int = 96, height: int = 64) -> np.ndarray:
    """Smooth random colours (H, W, 3): photos of different seeds are far apart for a difference hash."""
    cells = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC))


def save_photo(path: Path, pixels: np.ndarray, orientation: int = 0, quality: int = 90) -> Path:
    """Write a photo in the format of its suffix; with an EXIF orientation if it is not 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, quality=quality, exif=exif)
    return path


def prepare_params(**changes: Any) -> Prepare:
    """The section `prepare` of the project's own params.yaml, of the Kaggle layout, with some changes."""
    ours = load_params(Path(__file__).parents[1] / "params.yaml").prepare
    return Prepare.model_validate(ours.model_dump() | {"source": "happywhale", "species_typos": {}} | changes)


def edited_params(folder: Path, edits: Mapping[str, Any]) -> Path:
    """The project's params.yaml in a folder, with some values changed, each named by its dotted key."""
    tree = read_yaml(Path(__file__).parents[1] / "params.yaml")
    for key, value in edits.items():
        place, last = section_at(tree, key)
        place[last] = value
    path = folder / "params.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(tree, file)
    return path


def judged(answers: pd.DataFrame, truth: pd.Series) -> Judged:
    """Answers beside their truth, where every name is an animal's own."""
    return Judged(answers, truth, truth)


class SurveyFolder:
    """A folder in the layout of Happywhale, filled photo by photo and table by table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._drawn = 0
        (root / "train_images").mkdir(parents=True)

    def photos(self, *names: str, split: str = "train") -> None:
        """Draw photos, each of another scene."""
        for name in names:
            self._drawn += 1
            save_photo(self.root / f"{split}_images" / name, scenery(self._drawn))

    def table(self, name: str, header: str, *rows: str) -> None:
        """Write a CSV line by line."""
        (self.root / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")

    def train(self, *rows: str) -> None:
        """Write train.csv, and draw its photos where they are not there."""
        self.table("train.csv", "image,species,individual_id,encounter", *rows)
        names = [row[0] for row in csv.reader(rows)]
        self.photos(*(name for name in dict.fromkeys(names) if not (self.root / "train_images" / name).exists()))


@pytest.fixture(autouse=True)
def _kept(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept between runs goes to a temporary folder; DVC, where it really runs, sees to that itself."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setenv("DVC_ROOT", str(tmp_path / "kept"))


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """What a test sets is put back: tests with more threads than `make test` gives them take four times as long."""
    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny finished run of the pipeline, and its bundle (see `finished.py`). Not to be written into."""
    from finished import finish

    return finish(tmp_path_factory.mktemp("project"))


@pytest.fixture
def folder(tmp_path: Path) -> SurveyFolder:
    """An empty survey folder."""
    return SurveyFolder(tmp_path / "survey")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB of its own, which can be filled or mounted anew as read-only (`mount -o remount,ro`)."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small disk needs root, and a kernel that permits it")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)  # a traceback may still hold a file of it open


@pytest.fixture
def training_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Checkpoints go to a temporary folder; torch's strictness, which training switches on, is put back."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    strict = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(strict)
