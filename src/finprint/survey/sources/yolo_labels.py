"""YOLO's labels: a text file a photo, a box a line, as shares of the photo's sides."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from finprint.base.errors import UserError
from finprint.survey.sources.disk import BESIDE
from finprint.survey.sources.label_files import CONFIGS, LISTS, named, photo_of
from finprint.survey.sources.marks import FORMS, NONE, NOTHING_TOLD, SLACK, Corners, Mark, Told, hull, in_percent
from finprint.survey.sources.photo_names import PhotoNames
from finprint.survey.sources.sheets import read_text


def read_yolo(
    folder: Path,
    files: Mapping[Path, Sequence[str]],
    part: str,
    photos: PhotoNames,
    around: Sequence[Path] = (),
    said: Told = NOTHING_TOLD,
) -> list[Mark]:
    """Read the labels of a folder.

    A line is `class x_centre y_centre width height`, or `class` and the points of a polygon or of a turned box, each
    optionally with a confidence at its end. The class is a number or a name. A label belongs to the photo of its path
    below `folder`, or else to the only photo that is called so. An empty file says that its photo shows nothing.

    Args:
        folder: the folder. A label's list of classes lies beside it or in the next folder above that has one.
        files: the labels in it, with their lines.
        part: what all boxes show; empty: as their classes are called.
        photos: the photos' ids.
        around: further folders that may have the list of classes.
        said: what the owner says about the four numbers, if they are not what YOLO's should be.

    Raises:
        UserError: nobody says what the classes are called, or which photo a label belongs to.
    """
    marks = []
    classes: dict[Path, tuple[dict[int, str], bool]] = {}  # by the folder of the labels
    for path, lines in files.items():
        if path.parent not in classes:
            own = [one for one in (path.parent, *path.parent.parents) if one.is_relative_to(folder)]
            classes[path.parent] = _classes([*own, *around])
        names, keypoints = classes[path.parent]
        image = photo_of(path, folder, photos)
        for line in lines or [""]:
            called, values = named(line)
            if line and not (names or part or called):
                name = folder.name if around else BESIDE
                raise UserError(f"{path.parent} has no classes.txt: write prepare.boxes as {name}:body or :fin")
            if not called:
                number, *values = values or [math.nan]
                called = names.get(int(number), "") if number == number and number % 1 == 0 else ""
            shows = part or called
            corners, sure, form = _box(values[:4] if keypoints else values, said) if shows else (NONE, 1.0, "")
            mark = Mark(image, shows or "?", *corners, sure, said.unit != "pixels", line, form=form)
            marks.append(in_percent(mark) if said.unit == "percent" else mark)
    return marks


def _box(values: list[float], said: Told) -> tuple[Corners, float, str]:
    """Corners, confidence and the form that is not certain.

    Corners are NaN where the values are neither a box nor a polygon, or lie outside of the photo: they are pixels then.
    """
    sure = 1.0
    if len(values) == 5 or (len(values) > 6 and len(values) % 2):
        *values, sure = values
    four = len(values) == 4
    corners = FORMS[said.form or "centre"](values) if four else hull(values) if len(values) >= 6 else NONE
    centre = ((corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2)
    inside = bool(said.unit) or all(-SLACK <= place <= 1 + SLACK for place in centre)
    return (corners if inside else NONE), sure, "centre" if four and not said.form else ""


def _classes(places: Iterable[Path]) -> tuple[dict[int, str], bool]:
    """The classes' names by their number, and whether points of the animal follow each box."""
    for place in places:
        for path in (place / name for name in LISTS):
            if path.is_file():
                return dict(enumerate(line.strip() for line in read_text(path).splitlines())), False
        for path in (place / name for name in CONFIGS):
            if path.is_file():
                return _configured(path)
    return {}, False


def _configured(path: Path) -> tuple[dict[int, str], bool]:
    try:
        content: Any = yaml.safe_load(read_text(path))
        names = content["names"]
        listed = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name).strip() for number, name in listed}, "kpt_shape" in content
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not list the classes under `names`: {' '.join(str(error).split())}") from None
