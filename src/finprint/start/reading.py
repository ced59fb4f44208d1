"""How `finprint start` reads a folder: its wrapping taken off, and names of classes read as what they say."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.params import changed
from finprint.params import Params
from finprint.pictures.images import SUFFIXES
from finprint.start.facts import HEADERS, evenly
from finprint.start.writing import at, stood_before, unwritten
from finprint.survey.box_forms import OtherForm, settle
from finprint.survey.dates import read_dates
from finprint.survey.folder_names import Kind, kind_of
from finprint.survey.look import Looked, look
from finprint.survey.names import Nobody, letters
from finprint.survey.params import Prepare
from finprint.survey.readings import read_one
from finprint.survey.sources.disk import is_litter, walk
from finprint.survey.sources.folders import asked_in, asks
from finprint.survey.sources.marks import OWN
from finprint.survey.sources.sheets import FORMS

# Keys below `prepare` that are not the same for all folders, and why. Another folder gets back what stood there before.
REASONS = {
    "encounter_gap": "when an image was taken says nothing of its class",
    "day_first": "your dates do not tell whether the day or the month stands first, or contradict each other",
    "nobody": "the other words are names of classes",
    "folders.identity": "the folders that hold images, or their files, are named after the classes",
    "folders.around": "the folders around those of classes tell nothing",
    "csv.unknown": "every word may be a class",
    "csv.box_form": "so the boxes fit their photos",
}
BACK = "as it was before another folder"
OF_CLASSES = [f"prepare.{key}" for key in REASONS if key != "csv.box_form"]
NO_NAME = ["?"]  # `prepare.nobody` where every word may be a class
FEWEST_FILES = 3  # of a class, on average, whose names begin with it
# What cameras and programs begin the names of files with.
OF_CAMERAS = frozenset({
    "dsc", "dscf", "dscn", "pict", "sam", "gopr", "gp", "pxl", "mvc", "p", "vid", "screenshot", "scan", "frame", "file",
    "whatsappimage", "untitled",
})  # fmt: skip
DEEPEST = 8  # level of folders that `prepare.folders.identity` can be


def unwrapped(folder: Path) -> Path:
    """The folder that holds the photos' folders, where only one folder lies around them, as after unpacking."""
    inner = folder
    while len(inside := _visible(inner)) == 1 and inside[0].is_dir():
        inner = inside[0]
    return inner if len(inside) > 1 and any(path.is_dir() for path in inside) else folder


def _visible(folder: Path) -> list[Path]:
    """The folders, photos and tables in a folder."""
    inside = [path for path in folder.iterdir() if not is_litter(path.name)]
    return [path for path in inside if path.is_dir() or path.name.lower().endswith((*SUFFIXES, *FORMS, ".json"))]


def read(folder: Path, base: Params, classes: bool) -> Looked:
    """Look at a folder.

    Args:
        folder: with the photos.
        base: params.yaml as it is. What it says of this folder stays.
        classes: the names tell classes, and not individuals. Then a class may be called `unknown` or `left`, and
            photos of different classes that were taken together belong to no encounter.

    Raises:
        UserError: as `look`; or boxes do not fit their photos in any form.
    """
    params, known = base.prepare, Path(base.prepare.folder) == folder
    back = {key: value for key, value in unwritten(base.model_dump()).items() if key.startswith("prepare.")}
    if not known:
        params = changed(base, back).prepare.model_copy(update={"source": "sample"})
    elif ("identity" in base.classes.of) != classes:
        params = changed(base, {key: back[key] for key in OF_CLASSES if key in back}).prepare
    return _with_fitting_boxes(_with_an_order(_classes(folder, params) if classes else look(folder, params)))


def _with_an_order(looked: Looked) -> Looked:
    """The folder with the day or the month first in its dates, if they do not tell it: the order that reads more."""
    photos = pd.concat([looked.animals, looked.source.queries]).dropna(subset="date").drop_duplicates("date")
    rows = dict(zip(photos["date"], photos["image"], strict=True))
    try:
        read_dates(rows, looked.params.day_first)
        return looked
    except UserError:
        good = {order: sum(one.when is not None for one in read_dates(rows, order).values()) for order in (True, False)}
        return replace(looked, params=looked.params.model_copy(update={"day_first": good[True] >= good[False]}))


def _with_fitting_boxes(looked: Looked) -> Looked:
    """The folder with its table's boxes read in the form that fits some photos, if one alone does.

    Raises:
        UserError: they do not fit, or nobody knows what the numbers of another table are.
    """
    try:
        _refuse_unsettled(looked)
        return looked
    except OtherForm as error:
        if not error.entry.startswith(OWN) or len(error.better) > 1:
            raise
        csv = looked.params.csv.model_copy(update={"box_form": error.better[0]})
        other = look(looked.folder, looked.params.model_copy(update={"csv": csv}))
        _refuse_unsettled(other)
        return other


def _refuse_unsettled(looked: Looked) -> None:
    """Refuse boxes that `prepare` would refuse, if they do not fit some photos."""
    boxes, barred = looked.source.boxes, list(looked.source.barred)
    photos = pd.concat([looked.source.labelled, looked.source.queries]).drop_duplicates("image").set_index("image")
    boxed = photos["path"].reindex(boxes.loc[boxes["written"] != "", "image"].unique()).dropna()
    boxed = boxed[~boxed.isin(barred)]
    if not len(boxed):
        return
    some = boxed.iloc[evenly(len(boxed), HEADERS)]
    sizes = {image: (one.width, one.height) for image, path in some.items() if (one := read_one(Path(path))).width}
    table = boxes[boxes["image"].isin(sizes.keys())].reset_index(drop=True)
    width, height = ([float(sizes[image][side]) for image in table["image"]] for side in (0, 1))
    settle(table.assign(width=width, height=height))


def _classes(folder: Path, params: Prepare) -> Looked:
    csv = params.csv.model_copy(update={"unknown": ""})
    every = params.model_copy(update={"nobody": NO_NAME, "encounter_gap": 0.0, "csv": csv})
    looked = _understood(folder, every)
    names = looked.animals["identity"].dropna().unique()
    nobody = [word for word in params.nobody if not any(name in Nobody([word]) for name in names)]
    with suppress(UserError):  # a folder around the classes' may have such a name, too
        other = _understood(folder, every.model_copy(update={"nobody": nobody}))
        if other.animals["identity"].equals(looked.animals["identity"]):
            return other
    return looked


def _understood(folder: Path, params: Prepare) -> Looked:
    """The folder, understood; by the names of its files, such as cat.12.jpg, if its folders tell no classes."""
    try:
        looked = _by_level(folder, params)
    except UserError:
        if named := _by_file(folder, params):
            return named
        raise
    names = looked.animals["identity"].dropna().unique()
    told = sum(not (asks(name) or kind_of(name) == Kind.SORT) for name in names) > 1
    return (None if told or looked.params.source != "folder" else _by_file(folder, params)) or looked


def _by_file(folder: Path, params: Prepare) -> Looked | None:
    """The folder, understood by the names of its files; None if these are a camera's, or most files have none."""
    files = params.folders.model_copy(update={"identity": "file", "around": "group"})
    if params.folders.identity != "auto":
        return None
    with suppress(UserError):
        looked = look(folder, params.model_copy(update={"folders": files}), classes=True)
        each = looked.animals["identity"].value_counts()
        own = not any(letters(name) in OF_CAMERAS or kind_of(name) == Kind.SORT for name in each.index)
        if own and len(each) > 1 and each.mean() >= FEWEST_FILES and len(looked.source.strays) < each.sum() / 10:
            return looked
    return None


def _by_level(folder: Path, params: Prepare) -> Looked:
    """The folder, understood; by the innermost folders if these tell all that the names tell, and more.

    Where they lie at several levels, the first ones count that hold images themselves.
    """
    depths = set(_depths(folder, params.model_copy(update={"queries": asked_in(folder, params)})))
    level: int | str = depths.pop() if len(depths) == 1 else "first"
    told = params.folders.model_copy(update={"identity": level, "around": "group"})
    by_level = params.model_copy(update={"folders": told})
    able = params.folders.identity == "auto" and level in ("first", *range(1, DEEPEST + 1))
    try:
        looked = look(folder, params, classes=True)
    except UserError as error:
        with suppress(UserError):
            if able:
                return look(folder, by_level, classes=True)
        raise error from None
    if able and looked.params.source == "folder" and looked.source.strays:
        with suppress(UserError):
            other = look(folder, by_level, classes=True)
            of = other.animals.set_index("image")["identity"]
            names = looked.animals["identity"].fillna("").to_numpy(str)
            kept = of.reindex(looked.animals["image"]).fillna("").to_numpy(str) == names
            return other if kept.all() and len(of) > len(kept) else looked
    return looked


def _depths(folder: Path, params: Prepare) -> Iterator[int]:
    """How deep the folders of photos lie, but for those to identify and photos in no folder."""
    for name in walk(folder).photos():
        if not name.startswith(params.asked) and "/" in name:
            yield name.count("/")


def changes(read_by: Prepare, before: Prepare) -> Iterator[tuple[str, Any, str]]:
    """Those of `REASONS` by which a folder is read otherwise than before: key, value and reason."""
    now, earlier = read_by.model_dump(), before.model_dump()
    for key, why in REASONS.items():
        value = at(now, key)
        if value != at(earlier, key) and (read_by.source == "csv" or not key.startswith("csv.")):
            yield key, value, BACK if value == stood_before(f"prepare.{key}") else why
