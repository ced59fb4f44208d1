"""What is to be reviewed: photos to identify with their answers, and the catalogue that they are compared with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from finprint.answers.tables import ANSWERS, PROPOSED
from finprint.base.errors import UserError
from finprint.base.files import sha256_path
from finprint.bundle.bundle import Bundle
from finprint.bundle.identified import DECISIONS, REVIEW, Identified
from finprint.bundle.identify import identify_one
from finprint.bundle.ledger import names_without
from finprint.bundle.tables import TOLD
from finprint.bundle.writing import MODELS
from finprint.crops.cutting import place
from finprint.crops.params import Crop
from finprint.detector.yolo import Detection
from finprint.keypoints.tables import no_points, read_points
from finprint.pictures.decoding import Window
from finprint.pictures.shards import Crops
from finprint.store.decisions import LOG
from finprint.store.tables import PHOTOS, SIDES, SIGHTINGS, TEST, names_before, names_of, read_table

ROUND2 = "round2"  # the member whose heat maps explain a match
Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max, px of the original


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the names proposed for a photo.

    Attributes:
        identity: the individual, or `NEW`.
        probability: that the answer is right; None where it could not be learned.
        score: see `ANSWERS`.
        match: the catalogue photo most alike; None for a new individual.
    """

    identity: str
    probability: float | None
    score: float
    match: str | None


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo and what is known of it. An empty text: nobody has told."""

    image: str
    path: Path  # of the original; Path(): it is not on this machine
    sha256: str
    size: tuple[int, int]  # width and height, px, upright
    species: str
    encounter: str
    viewpoint: str
    date: str
    place: str


@dataclass(frozen=True)
class Case:
    """What a review is about.

    Attributes:
        title: for people.
        log: the log of decisions.
        run: a hash of the answers, by which a decision tells what its reviewer saw.
        source: the file of the answers; a newer one means that the page shows old answers.
        photos: by their ids: the photos to identify, and the catalogue's.
        gallery: the individual in each photo of the catalogue when the answers were made.
        before: the individual in each photo without the decisions of the log; those in whom nobody was known are left
            out, or None.
        answers: of each photo to identify, best first, in the order in which the photos are listed.
        crops: the stored crops.
        crop: how crops are cut.
        points: table `POINTS`.
        proposed: the proposed new individuals: the photos of each.
        model: folder of the model that explains a match.
        again: answers a photo anew with another box; None where that takes a run of the pipeline.
    """

    title: str
    log: Path
    run: str
    source: Path
    photos: dict[str, Photo]
    gallery: Mapping[str, str]
    before: Mapping[str, str | None]
    answers: dict[str, list[Answer]]
    crops: list[Crops]
    crop: Crop
    points: pd.DataFrame = field(default_factory=no_points)
    proposed: dict[str, list[str]] = field(default_factory=dict)
    model: Path | None = None
    again: Callable[[Photo, Box], list[Answer]] | None = None

    def stored(self, image: str) -> tuple[Crops, int] | None:
        """Where the crop of a photo is stored."""
        return self._places.get(image)

    def region(self, image: str) -> Window | None:
        """What the stored crop shows of the original: left, top, right, bottom, px. None: there is no crop."""
        if (stored := self.stored(image)) is None or image not in self.photos:
            return None
        part, confidence, *sides = stored[0].index[["part", "confidence", *SIDES]].iloc[stored[1]]
        return place(Detection(part, np.array(sides, float), confidence), 1, self.photos[image].size, self.crop)

    def window(self, box: Box, image: str) -> Window:
        """What is cut out for a box that a person has drawn."""
        return place(Detection("drawn", np.array(box, float), 1.0), 1, self.photos[image].size, self.crop)

    def box(self, image: str) -> Box | None:
        """The box of a photo's crop, px of the original."""
        if (stored := self.stored(image)) is None:
            return None
        left, top, right, bottom = map(float, stored[0].index[SIDES].iloc[stored[1]])
        return left, top, right, bottom

    def __post_init__(self) -> None:
        places = {image: (crops, row) for crops in self.crops[::-1] for row, image in enumerate(crops.index["image"])}
        object.__setattr__(self, "_places", places)

    _places: dict[str, tuple[Crops, int]] = field(init=False, repr=False, default_factory=dict)


def pipeline_case(crop: Crop, root: Path = Path()) -> Case:
    """The photos and answers of the pipeline's last run.

    Args:
        crop: the section `crop` of params.yaml.
        root: of the project.

    Raises:
        UserError: a stage has not yet written what is needed.
    """
    data = root / "data"
    source = data / "search" / "answers.parquet"
    photos, answers = read_table(data / "photos.parquet", PHOTOS), read_table(source, ANSWERS)
    crops = Crops(data / "crops")
    proposed = read_table(data / "search" / "new_individuals.csv", PROPOSED)
    model = root / "models" / "round2"
    return Case(
        title="the pipeline's last run",
        log=data / "decisions" / LOG,
        run=sha256_path(source)[:12],
        source=source,
        photos=photos_of(photos, root, [*answers["query"].unique(), *crops.index["image"]]),
        gallery=names_of(photos[photos["split"] != TEST]),
        before=names_before(photos, read_table(data / "sightings.parquet", SIGHTINGS)),
        answers=answers_of(answers),
        crops=[crops],
        crop=crop,
        points=read_points(data / "match") if (data / "match" / "points.parquet").exists() else no_points(),
        proposed=groups(proposed),
        model=model if model.exists() else None,
    )


def identified_case(out: Path, bundle_folder: Path | None = None) -> Case:
    """The photos and answers that `finprint identify` has written into a folder, beside its bundle's gallery.

    The gallery's originals need not be on this machine: its photos are shown by the bundle's small pictures. A gallery
    photo that has the id of a photo to identify is not shown, because a decision could not tell the two apart.

    Args:
        out: the folder.
        bundle_folder: where the bundle lies now; None: where it lay when the photos were identified.

    Raises:
        UserError: it holds no identified photos, or there is no bundle.
    """
    identified = Identified.load(out)
    bundle = Bundle.load(bundle_folder or Path(identified.run["bundle_folder"]))
    root = Path(identified.run["folder"])
    asked = identified.photos.dropna(subset=["sha256"])
    before = names_without(bundle, out / DECISIONS)
    there = bundle.gallery.photos[bundle.gallery.photos["image"].isin(before)].assign(path="")
    gallery = there[~there["image"].isin(asked["image"])]
    photos = photos_of(gallery, Path()) | photos_of(asked, root)
    answers = identified.answers.assign(
        match=identified.answers["match"].where(lambda match: match.isin(gallery["image"]))
    )

    def again(photo: Photo, box: Box) -> list[Answer]:
        told = {name: text for name in TOLD if (text := getattr(photo, name))}
        return next(iter(answers_of(identify_one(bundle, photo.path, box, told).answers).values()), [])

    source = out / REVIEW / "answers.parquet"
    return Case(
        title=out.name,
        log=out / DECISIONS,
        run=sha256_path(source)[:12],
        source=source,
        photos=photos,
        gallery=names_of(identified.gallery),
        before={image: before[image] for image in gallery["image"]},
        answers=answers_of(answers),
        crops=[identified.crops, bundle.gallery.pictures],
        crop=bundle.settings.crop,
        points=identified.points,
        proposed=groups(identified.proposed),
        model=bundle.folder / MODELS / (ROUND2 if ROUND2 in bundle.manifest.members else bundle.manifest.members[-1]),
        again=again,
    )


def photos_of(table: pd.DataFrame, root: Path, named: Iterable[str] = ()) -> dict[str, Photo]:
    """The photos of a table, by their ids.

    Args:
        table: of the columns of `PHOTOS`, perhaps with `date` and `place`.
        root: the folder that the paths start from.
        named: ids that must be there too. One such as `a.jpg#2` is the second animal in a.jpg.
    """
    told = {name: table[name].fillna("").astype(str) if name in table else [""] * len(table) for name in TOLD}
    columns = zip(
        table["image"], table["path"], table["sha256"], table["width"], table["height"],
        *told.values(), strict=True,
    )  # fmt: skip
    photos = {
        image: Photo(image, root / path, sha256, (int(width), int(height)), *texts)
        for image, path, sha256, width, height, *texts in columns
    }
    for image in named:
        whole = photos.get(image.rpartition("#")[0])
        if image not in photos and whole is not None:
            photos[image] = Photo(image, whole.path, whole.sha256, whole.size, *(getattr(whole, name) for name in TOLD))
    return photos


def answers_of(table: pd.DataFrame) -> dict[str, list[Answer]]:
    """The answers of a table `ANSWERS`, best first, by their photo."""
    answers: dict[str, list[Answer]] = {}
    ordered = table.sort_values(["query", "rank"], kind="stable")
    columns = ordered[["query", "identity", "probability", "score", "match"]]
    for query, identity, probability, score, match in columns.itertuples(index=False):
        answers.setdefault(query, []).append(
            Answer(
                identity,
                None if pd.isna(probability) else float(probability),
                float(score),
                None if pd.isna(match) else match,
            )
        )
    return answers


def groups(table: pd.DataFrame) -> dict[str, list[str]]:
    """The photos of each proposed new individual, from a table `PROPOSED`."""
    return {str(name): rows["image"].tolist() for name, rows in table.groupby("proposed", sort=True)}


def check_photos(case: Case) -> None:
    """Raise a UserError where there is nothing to review, or answers are of photos that nobody knows."""
    if not case.answers:
        raise UserError(f"{case.source} holds no answers: there is no photo to identify")
    if strange := next((image for image in case.answers if image not in case.photos), None):
        raise UserError(f"{case.source} answers {strange}, which is none of the photos: run the identification again")
