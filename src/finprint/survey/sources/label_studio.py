"""Boxes as Label Studio exports them: JSON, JSON-MIN and CSV."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.sources.json_values import dicts
from finprint.survey.sources.marks import NONE, Mark, drawn_on, from_centre, hull, mark_of, or_none, turned

# What Label Studio puts before the name of a file: where it is served from, and a number.
# What Label Studio puts before the name of a file: where it is served from, and a number.
SERVED = re.compile(r"^.*(?:\?d=|/data/upload/(?:\d+/)?)")
REGIONS = r'\s*\[\s*\{.*"(?:\w*labels|original_width)"\s*:'  # how a cell of its CSV begins
UPLOADED = re.compile(r"(?<![^/])[0-9a-f]{8}-(?=[^/]+$)")


def _uploaded(image: str) -> str:
    """A photo's name without what Label Studio adds: the address it is served from, and a number before the name."""
    plain = unquote(str(image))
    return UPLOADED.sub("", SERVED.sub("", plain))


def is_region(value: dict[str, Any]) -> bool:
    """Is it a rectangle or a polygon as Label Studio writes them?"""
    return {"x", "y", "width", "height"} <= value.keys() or "points" in value


def _region(region: dict[str, Any], image: str, part: str | None) -> Mark:
    """Label Studio's regions are in percent; a rectangle is turned about its first corner, in pixels."""
    wide, high = float(region.get("original_width") or 100), float(region.get("original_height") or 100)
    if "points" in region:
        corners = hull(n for x, y in region["points"] for n in (x * wide / 100, y * high / 100))
    elif {"radiusX", "radiusY"} <= region.keys():
        extents = (2 * region["radiusX"] * wide / 100, 2 * region["radiusY"] * high / 100)
        corners = from_centre([region["x"] * wide / 100, region["y"] * high / 100, *extents])
    elif {"x", "y", "width", "height"} <= region.keys():
        sides = [
            region[s] * side / 100 for s, side in zip(("x", "y", "width", "height"), (wide, high) * 2, strict=True)
        ]
        corners = turned(sides, region.get("rotation") or 0, centred=False)
    else:
        return mark_of(image, part, NONE, region)
    shares = [corner / side for corner, side in zip(corners, (wide, high) * 2, strict=True)]
    mark = mark_of(image, part, (shares[0], shares[1], shares[2], shares[3]), corners, True)
    return drawn_on([mark], region.get("original_width"), region.get("original_height"))[0]


def _labels(region: dict[str, Any]) -> str | None:
    lists = [value for key, value in region.items() if key.endswith("labels") and isinstance(value, list) and value]
    return str(lists[0][0]) if lists else None


def _image_of(data: dict[str, Any]) -> str:
    key = next((key for key in ("image", "img", "photo", "ocr", "url", "file") if key in data), next(iter(data)))
    return _uploaded(data[key])


def read_task(task: dict[str, Any]) -> list[Mark]:
    """The boxes of a photo in Label Studio's JSON."""
    image = _image_of(task["data"])
    marks = []
    answers = [one for one in dicts(task.get("annotations")) if not one.get("was_cancelled")]
    for answer in answers[:1]:  # of several people's the first
        for one in answer.get("result") or []:
            value = one.get("value") or {}
            if is_region(value) or "radiusX" in value:
                sizes = {key: one.get(key) for key in ("original_width", "original_height")}
                marks.append(_region(value | sizes, image, _labels(value)))
    return or_none(marks, image)


def read_task_min(task: dict[str, Any]) -> list[Mark]:
    """The boxes of a photo in Label Studio's JSON-MIN."""
    image = _image_of(task)
    regions = [one for value in task.values() for one in dicts(value) if is_region(one) or "radiusX" in one]
    return or_none([_region(one, image, _labels(one)) for one in regions], image)


def region_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table whose cells are lists of regions, as in Label Studio's CSV; none where it is another's."""
    return [
        str(name) for name in table if table[name].str.match(r'\s*\[\s*\{.*"(?:\w*labels|original_width)"\s*:').any()
    ]


def read_task_table(table: pd.DataFrame, columns: list[str], path: Path) -> list[Mark]:
    """The boxes of Label Studio's CSV: a row a photo, its regions in `columns` as JSON.

    Raises:
        UserError: a cell is no JSON, or not as Label Studio writes it.
    """
    marks = []
    for line, row in zip(table.index, table.to_dict("records"), strict=True):
        task = {str(name): cell for name, cell in row.items() if not pd.isna(cell)}
        try:
            marks += read_task_min(task | {name: json.loads(task[name]) for name in columns if name in task})
        except (ValueError, TypeError, AttributeError, KeyError, StopIteration) as error:
            raise UserError(
                f"{path} line {line + 2}: the regions are not as Label Studio writes them: {error}"
            ) from None
    return marks
