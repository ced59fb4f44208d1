"""A finished run of the pipeline as a bundle."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from finprint.answers.rules import Rules
from finprint.answers.species import PROBABILITIES
from finprint.base.errors import UserError
from finprint.base.files import atomic, read_json, sha256_json, sha256_path
from finprint.base.unchanged import depend_on
from finprint.bundle.features import FEATURES, write_features
from finprint.bundle.gallery import Gallery
from finprint.bundle.manifest import Manifest, hashes
from finprint.bundle.settings import Settings
from finprint.bundle.tables import gallery_table
from finprint.keypoints.tables import WORTH
from finprint.matching.catalogue import build_catalogue
from finprint.pictures.shards import Crops
from finprint.store.arrays import Selection
from finprint.store.tables import PHOTOS, SIGHTINGS, read_table
from finprint.store.vectors import Vectors, read_vectors

DETECTOR, MODELS, GALLERY = "detector", "models", "gallery-0"
SPECIES, SPECIES_RULES = "species", "rules.json"


@dataclass(frozen=True)
class Finished:
    """What a run has left.

    Attributes:
        photos: table `PHOTOS`.
        crops: of these photos.
        detector: its model folder.
        rules: the folder of the fitted rules.
        models: the model folders by the members' names, the rounds first, in the order of the rules' shares.
        vectors: of the same members.
        rounds: how many of them are rounds: the second look compares by the vectors of these.
        worth: file of what the second look has learned; it is missing if nothing was.
        species: the models that tell species, and the rules of their answers; None: there are none.
    """

    photos: pd.DataFrame
    crops: Crops
    detector: Path
    rules: Path
    models: Mapping[str, Path]
    vectors: Mapping[str, Vectors]
    rounds: int
    worth: Path
    species: tuple[Path, Path] | None = None


def read_finished(data: Path, models: Path, left_out: Sequence[int]) -> Finished:
    """What a run has left in the folders `data` and `models`; the stage watches what is read.

    Args:
        left_out: the folds that have a model of their own.

    Raises:
        UserError: something is missing or damaged.
    """
    rounds = ["round1", "round2"]
    folders = {name: models / name for name in rounds} | {f"fold{n}": models / "folds" / str(n) for n in left_out}
    sources = {name: data / name for name in rounds} | {f"fold{n}": data / "folds" / str(n) for n in left_out}
    tables = [data / name for name in ("photos.parquet", "crops", "search", "sightings.parquet")]
    told = data / "labels" / "species"
    species = (models / "classes" / "species", told / "rules.json") if (told / PROBABILITIES).is_dir() else None
    worth = data / "match" / WORTH
    for path in (worth.parent, models / "detector", *folders.values(), *sources.values(), *tables, *(species or ())):
        depend_on(path)
    photos, crops, rules = read_table(tables[0], PHOTOS), Crops(tables[1]), tables[2]
    photos = photos.merge(read_table(tables[3], SIGHTINGS), on="image", how="left")
    vectors = {name: read_vectors(folder) for name, folder in sources.items()}
    return Finished(photos, crops, models / "detector", rules, folders, vectors, len(rounds), worth, species)


def write_bundle(run: Finished, settings: Settings, folder: Path) -> dict[str, float]:
    """Write a bundle, atomically: files are copied. With a second look, local features of the gallery that the cache
    lacks are computed.

    Args:
        run: what is bundled.
        settings: with which it ran.
        folder: to write.

    Returns:
        Counts: photos and individuals of the gallery, members, bytes.

    Raises:
        UserError: a model is not the one that made the vectors.
    """
    rules = Rules.load(run.rules)
    shares = {name: share for name, share in zip(run.models, rules.shares, strict=True) if share}
    looks = any(rules.blend.weights.get(name) for name in ("keypoints", "descriptors"))
    look = list(run.models)[: run.rounds] if looks else []
    members = list(dict.fromkeys([*shares, *look]))
    gallery = _gallery(run, members)
    with atomic(folder) as draft:
        draft.mkdir()
        rules.save(draft)
        settings.write(draft)
        shutil.copytree(run.detector, draft / DETECTOR)
        for name in members:
            _copy_model(run.models[name], run.vectors[name], draft / MODELS / name)
        if look and run.worth.exists():
            shutil.copy(run.worth, draft / WORTH)
        if run.species and rules.params.species == "prior":
            for name in read_json(run.species[1])["models"]:  # others may lie there, left from earlier runs
                shutil.copytree(run.species[0] / name, draft / SPECIES / MODELS / name)
            shutil.copy(run.species[1], draft / SPECIES / SPECIES_RULES)
        system = sha256_json(hashes(draft))
        gallery.write(draft / GALLERY)
        if look:
            rows = run.crops.rows(gallery.photos["image"])
            write_features(draft / GALLERY / FEATURES, run.photos, run.crops, settings.match, rows)
        manifest = Manifest(version("finprint"), system, shares, look, GALLERY, hashes(draft))
        manifest.write(draft)
    return {
        "photos": len(gallery.photos),
        "individuals": gallery.photos["identity"].nunique(),
        "members": len(members),
        "megabytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
    }


def _gallery(run: Finished, members: Sequence[str]) -> Gallery:
    """The labelled photos in the order in which the pipeline searches them."""
    catalogue = build_catalogue(run.photos, *(run.vectors[name] for name in members))
    rows = catalogue.labelled
    photos = catalogue.photos.iloc[rows].reset_index(drop=True)
    table = gallery_table(photos.assign(labelled=photos["identity"]))
    vectors = {
        name: replace(one, images=photos["image"], array=Selection([one.array], rows))
        for name, one in zip(members, catalogue.members, strict=True)
    }
    return Gallery(table, vectors, run.crops)


def _copy_model(model: Path, vectors: Vectors, folder: Path) -> None:
    if sha256_path(model) != vectors.model:
        raise UserError(f"{model} is not the model that made the vectors: run `dvc repro` again")
    shutil.copytree(model, folder)
