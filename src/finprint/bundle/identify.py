"""Photos identified by a bundle: cropped, embedded, answered, and written for people and for the review page."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from finprint.answers.species import COLUMN
from finprint.answers.tables import write_sheet
from finprint.base.files import caching_in, hold
from finprint.bundle.asked import Asked, Header, asked, headers, with_columns
from finprint.bundle.bundle import Answered, Bundle
from finprint.bundle.encounters import joint_answers
from finprint.bundle.features import FEATURES
from finprint.bundle.identified import CROPS, REVIEW, Identified
from finprint.bundle.looks import look_again
from finprint.bundle.sheets import answer_sheet
from finprint.bundle.tables import contents
from finprint.bundle.vectors import vectors_of
from finprint.crops.cache import CHUNK, CropCache, Cut
from finprint.crops.cropping import crop_key, crop_photos
from finprint.keypoints.tables import no_points
from finprint.pictures.shards import Crops
from finprint.store.tables import BOXES, REJECTS, SIDES, TEST, read_table


def identify(given: Sequence[Path], bundle: Bundle, out: Path) -> Identified:
    """Identify photos and write the answers into `out`. A run that was killed goes on where it was.

    Nothing is trained; neither DVC nor git nor a project is needed.

    Args:
        given: a folder, a table or single photos, as for `asked`.
        bundle: the trained system.
        out: the folder to write: answers.csv, answers.xlsx, encounters.csv, and `review` for the review page.

    Raises:
        UserError: there is no photo.
    """
    photos = asked(given)
    message = f"another run identifies photos into {out}: waiting for its end"
    with caching_in(out / ".cache"), hold(out / ".cache" / "lock", message):
        identified = identified_in(photos, bundle, out / REVIEW)
        identified.write(out / REVIEW)
        _write_sheets(identified, bundle, out)
    return identified


def identify_one(
    bundle: Bundle, path: Path, box: Sequence[float] | None = None, told: Mapping[str, str] | None = None
) -> Identified:
    """Identify one photo, and write nothing.

    Args:
        bundle: the trained system.
        path: of the photo.
        box: of the animal, left, top, right, bottom in px of the photo; None: the detector looks for it.
        told: what is known of the photo, by the names of `TOLD`, such as its viewpoint.

    Returns:
        A photo, its answers, its crop with the box; a photo that cannot be used has a problem and no answers.
    """
    row = {"image": path.name} | dict(told or {}) | (dict(zip(SIDES, box, strict=True)) if box is not None else {})
    with TemporaryDirectory() as folder, caching_in(Path(folder) / ".cache"):
        return identified_in(Asked(path.parent, with_columns(pd.DataFrame([row]))), bundle, Path(folder) / REVIEW)


def identified_in(photos: Asked, bundle: Bundle, folder: Path) -> Identified:
    """Crop, embed and answer photos; crops and local features are written into a folder."""
    read = headers([photos.folder / path for path in photos.photos["path"]])
    table = _with_headers(photos.photos, read)
    good = table[table["problem"].isna()]
    crops = _cropped(good, photos.folder, bundle, folder / CROPS)
    rejects = read_table(folder / CROPS / "rejects.csv", REJECTS).set_index("image")["reason"]
    table["problem"] = table["problem"].fillna(table["image"].map(rejects).astype("string"))
    arrays = vectors_of(bundle, crops)
    queries = rows_of_crops(table, crops.index["image"])
    answered, points = _answered(queries, crops, arrays, bundle, (photos.folder, folder / FEATURES))
    told = pd.concat([table, queries[~queries["image"].isin(table["image"])]], ignore_index=True)
    told["p_new"] = told["image"].map(answered.new)
    told["problem"] = told["problem"].fillna(_in_the_gallery(told, bundle.gallery.photos))
    run = {
        "bundle": bundle.hash, "bundle_folder": str(bundle.folder), "system": bundle.manifest.system,
        "folder": str(photos.folder), "finprint": version("finprint"), **bundle.fitted(),
    }  # fmt: skip
    gallery = bundle.gallery.photos.dropna(subset="identity")
    return Identified(told, answered.answers, crops, np.hstack(arrays), points, answered.proposed, gallery, run)


def answered_anew(identified: Identified, bundle: Bundle) -> pd.DataFrame:
    """Table `ANSWERS` of photos that were identified before, with the bundle's gallery as it is now; writes nothing.

    Raises:
        UserError: the bundle looks a second time, and a photo cannot be read any more.
    """
    ends = np.cumsum([one.array.shape[1] for one in bundle.gallery.members.values()])[:-1]
    arrays = np.split(identified.vectors, ends, axis=1)
    queries = rows_of_crops(identified.photos, identified.crops.index["image"])
    with TemporaryDirectory() as scratch:
        places = (Path(identified.run["folder"]), Path(scratch) / FEATURES)
        return _answered(queries, identified.crops, arrays, bundle, places)[0].answers


def _answered(
    queries: pd.DataFrame, crops: Crops, arrays: Sequence[np.ndarray], bundle: Bundle, places: tuple[Path, Path]
) -> tuple[Answered, pd.DataFrame]:
    """The answers to photos, and the matched points of the second look, table `POINTS`.

    Args:
        queries: a row of `Identified.photos` for each crop.
        crops: of these photos, in their order.
        arrays: their vectors by each member.
        bundle: the trained system.
        places: the folder in which the photos lie, and one to write local features into.
    """
    placed = queries.assign(path=[str(places[0] / path) for path in queries["path"]])
    looked = look_again(bundle, placed, crops, arrays, places[1])
    answered = bundle.answer(_with_species(queries, crops, bundle), arrays, looked.scores if looked else None)
    return answered, looked.points if looked else no_points()


def _with_headers(photos: pd.DataFrame, read: list[Header]) -> pd.DataFrame:
    """The photos with what their files say; a date that a table tells stands above the camera's."""
    said = pd.DataFrame([vars(one) for one in read])
    table = photos.assign(problem=said["problem"].replace("", pd.NA).astype("string"))
    for name in ("width", "height"):
        table[name] = said[name].where(said[name] > 0).astype("Int32")
    table["sha256"] = said["sha256"].replace("", pd.NA).astype("string")
    table["date"] = table["date"].fillna(said["date"].astype("string"))
    return table


def _cropped(photos: pd.DataFrame, root: Path, bundle: Bundle, folder: Path) -> Crops:
    """The crops of the photos that can be read."""
    boxed = photos.dropna(subset=SIDES)
    params = bundle.settings.crop
    boxes = boxed[["image", "path", "sha256", "width", "height", *SIDES]].assign(
        group=boxed["image"], part=params.parts[0], confidence=1.0
    )
    if len(boxes):
        params = params.model_copy(update={"boxes_from": "given"})
    placed = photos.assign(path=[str(root / path) for path in photos["path"]], split=TEST)
    with CropCache(crop_key(params, bundle.detector_folder, bundle.engine), bundle.engine) as cache:
        crop_photos(placed, BOXES.validate(boxes[list(BOXES.columns)]), bundle.detector, params, cache, folder)
    return Crops(folder)


def rows_of_crops(table: pd.DataFrame, images: pd.Series) -> pd.DataFrame:
    """The table's rows of some crops, in order; a further animal of a photo, NAME#2, has the row of the photo."""
    rows = table.set_index("image")
    of = [image if image in rows.index else image.rpartition("#")[0] for image in images]
    return rows.loc[of].reset_index(drop=True).assign(image=images.to_numpy())


def _with_species(photos: pd.DataFrame, crops: Crops, bundle: Bundle) -> pd.DataFrame:
    """The photos with the chance of each species, as `answers.species` has it, where the bundle tells species.

    Args:
        photos: N rows.
        crops: of these photos, in their order.
        bundle: the trained system.
    """
    if bundle.species is None:
        return photos
    columns = ["part", *SIDES, "confidence"]
    arrays = [np.zeros((0, len(bundle.species.classes)))]
    for start in range(0, len(crops), CHUNK):
        rows = crops.index.iloc[start : start + CHUNK]
        told = zip(rows.index, rows[columns].itertuples(index=False), strict=True)
        cuts = [Cut(part, np.array(sides), sure, crops.jpeg(row)) for row, (part, *sides, sure) in told]
        arrays.append(bundle.species.probabilities(cuts))
    names = [COLUMN + name for name in bundle.species.classes]
    return photos.assign(**dict(zip(names, np.concatenate(arrays).astype(np.float32).T, strict=True)))


def _in_the_gallery(photos: pd.DataFrame, gallery: pd.DataFrame) -> pd.Series:
    """What to say of animals in photos that are in the gallery already; missing for the others."""
    known = gallery.dropna(subset="identity")
    there = known.assign(content=contents(known)).drop_duplicates("content").set_index("content")
    told = "is in the catalogue already: " + there["identity"] + " (" + there["image"] + "); compared with the others"
    return contents(photos).map(told).astype("string")


def _write_sheets(identified: Identified, bundle: Bundle, out: Path) -> None:
    encounters = identified.photos.set_index("image")["encounter"]
    individuals = bundle.gallery.photos["identity"].nunique()
    joint = joint_answers(identified.answers, encounters, individuals, bundle.rules.together)
    write_sheet(out / "encounters.csv", joint)
    table = answer_sheet(identified)
    write_sheet(out / "answers.csv", table)
    write_sheet(out / "answers.xlsx", table)
