"""A finished run of the pipeline, as small as it goes, made by calling the rooms; and the bundle made of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from conftest import SMALL_TRAIN, save_photo, scenery
from examples import FIT

from finprint.answers.results import Evidence, search_all
from finprint.base.files import caching_in, sha256_path
from finprint.bundle.settings import Settings
from finprint.bundle.writing import read_finished, write_bundle
from finprint.crops.cache import CropCache
from finprint.crops.cropping import crop_key, crop_photos
from finprint.detector.yolo import save_no_detector
from finprint.model.embedder import Embedder, ModelConfig, save_model
from finprint.model.embedding import embed_crops
from finprint.model.heads import SubCentreArcFace
from finprint.model.params import Embed
from finprint.params import load_params
from finprint.pictures.shards import Crops
from finprint.store.tables import BOXES, PHOTOS, SIGHTINGS, TEST, TRAIN, VALIDATION, write_table
from finprint.store.vectors import write_vectors

OURS = load_params(Path(__file__).parents[1] / "params.yaml")
CROP = OURS.crop.model_copy(update={"image_size": 32, "shard_photos": 30})
SETTINGS = Settings(crop=CROP, embed=Embed(batch=16, mirror=True, amp=True), match=OURS.match)
ANIMALS = 14  # the last three are unknown to the catalogue that validation is searched in
SEARCH = FIT.model_copy(update={"blend": "fit", "mean_photos": 2, "neighbours": 20, "shortlist": 8})


@dataclass(frozen=True)
class Project:
    """A project whose pipeline has run: folders `data` and `models`, and the photos of its queries."""

    root: Path

    @property
    def queries(self) -> Path:
        return self.root / "queries"

    @property
    def bundle(self) -> Path:
        return self.root / "models/bundle"

    @property
    def answers(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "data/search/answers.parquet")

    @property
    def photos(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "data/photos.parquet")


def draw(path: Path, animal: int, number: int) -> Path:
    """A photo of an animal: its own colours, under a veil that differs from photo to photo."""
    veil = scenery(1000 + 50 * animal + number)
    return save_photo(path, (0.7 * scenery(animal) + 0.3 * veil).astype(np.uint8))


def _survey(root: Path) -> pd.DataFrame:
    """Photos on disk, and their table."""
    rows = []
    for animal in range(ANIMALS):
        known = animal < ANIMALS - 3
        for number in range(5):
            split = TRAIN if known and number < 3 else VALIDATION
            rows.append((f"{animal:02}_{number}.jpg", f"animal {animal:02}", split))
    rows += [(f"q{animal:02}.jpg", None, TEST) for animal in range(0, ANIMALS + 3)]
    table = pd.DataFrame(rows, columns=["image", "identity", "split"])
    paths = []
    for image, split in zip(table["image"], table["split"], strict=True):
        if split == TEST:
            paths.append(draw(root / "queries" / image, int(image[1:3]), 9))
        else:
            paths.append(draw(root / "survey" / image, *map(int, image.removesuffix(".jpg").split("_"))))
    table = table.assign(path=[str(path) for path in paths], sha256=[sha256_path(path) for path in paths])
    table = table.assign(width=96, height=64, species="orca", encounter=None, fold=0, group=range(len(table)))
    return PHOTOS.validate(table.reindex(columns=list(PHOTOS.columns)).astype({"identity": "string"}))


def _model(folder: Path, seed: int, classes: list[str]) -> None:
    torch.manual_seed(seed)
    embedder = Embedder(ModelConfig(SMALL_TRAIN.backbone, "gem", SMALL_TRAIN.embedding, SMALL_TRAIN.image_size))
    head = SubCentreArcFace(SMALL_TRAIN.embedding, torch.full((len(classes),), 0.2), 2, 20.0)
    save_model(folder, embedder, head, classes)


def finish(root: Path) -> Project:
    """Run the pipeline below `root`, and bundle it."""
    data, models = root / "data", root / "models"
    photos = _survey(root)
    write_table(data / "photos.parquet", photos, PHOTOS)
    write_table(data / "sightings.parquet", photos[["image"]].assign(date="2026-05-01", place="bay"), SIGHTINGS)
    save_no_detector(models / "detector")
    none = pd.DataFrame(columns=list(BOXES.columns))
    with caching_in(root / "kept"), CropCache(crop_key(CROP, models / "detector")) as cache:
        crop_photos(photos, none, None, CROP, cache, data / "crops")
    crops = Crops(data / "crops")
    classes = sorted(photos.loc[photos["split"] == TRAIN, "identity"].unique())
    rounds = []
    for number in (1, 2):
        _model(models / f"round{number}", number, classes)
        rounds.append(embed_crops(models / f"round{number}", crops, SETTINGS.embed, quiet=True))
        write_vectors(data / f"round{number}", rounds[-1])
    asked = photos.loc[photos["split"] == TEST, "image"].tolist()
    search_all(photos, Evidence(rounds, {}), asked, SEARCH).write(data / "search")
    write_bundle(read_finished(data, models, []), SETTINGS, models / "bundle")
    return Project(root)
