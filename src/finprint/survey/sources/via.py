"""Boxes as VIA, the VGG Image Annotator, exports them: JSON of its versions 2 and 3, and its table."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from finprint.base.errors import UserError
from finprint.survey.sources.marks import NONE, Corners, Mark, from_centre, from_size, hull, mark_of, or_none, turned


def shape_of(shape: dict[str, Any]) -> Corners:
    """The upright box of a shape in VIA's words."""
    if {"all_points_x", "all_points_y"} <= shape.keys():
        return hull(n for point in zip(shape["all_points_x"], shape["all_points_y"], strict=True) for n in point)
    if {"x", "y", "width", "height"} <= shape.keys():
        return from_size([float(shape[side]) for side in ("x", "y", "width", "height")])
    if {"cx", "cy"} <= shape.keys() and ("r" in shape or {"rx", "ry"} <= shape.keys()):
        width, height = 2 * float(shape.get("rx", shape.get("r", 0))), 2 * float(shape.get("ry", shape.get("r", 0)))
        upright = from_centre([float(shape["cx"]), float(shape["cy"]), width, height])
        sides = (upright[0], upright[1], width, height)
        return turned(sides, math.degrees(float(shape.get("theta", 0)))) if shape.get("theta") else upright
    return NONE


def label_of(attributes: Any) -> str | None:
    """The part among a region's attributes: that called part, label, class, ..., or the only one there is."""
    if not isinstance(attributes, dict):
        return None
    texts = {str(key).casefold(): _choice(value) for key, value in attributes.items()}
    named = [texts[key] for key in ("part", "label", "class", "category", "type", "name") if texts.get(key)]
    return named[0] if named else next(iter(texts.values())) if len(texts) == 1 else None


def _choice(value: Any) -> str | None:
    """A text, or the one that is ticked among several."""
    if isinstance(value, dict):
        return next((str(key) for key, ticked in value.items() if ticked), None)
    return str(value) if value not in (None, "") else None


def read_via(photo: dict[str, Any]) -> list[Mark]:
    """The boxes of a photo in the JSON of VIA 2."""
    regions = photo["regions"]
    marks = [
        mark_of(
            photo["filename"], label_of(region.get("region_attributes")), shape_of(region["shape_attributes"]),
            region["shape_attributes"],
        )
        for region in (regions.values() if isinstance(regions, dict) else regions)
    ]  # fmt: skip
    return or_none(marks, photo["filename"])


def read_via_table(table: pd.DataFrame, path: Path) -> list[Mark]:
    """VIA's table: a row a region, whose shape and attributes are JSON; an empty shape says that the photo has none.

    Raises:
        UserError: a cell is no JSON.
    """
    told = table["region_attributes"] if "region_attributes" in table else pd.Series(pd.NA, table.index)
    marks = []
    for line, image, shape, attributes in zip(
        table.index, table["filename"], table["region_shape_attributes"], told, strict=True
    ):
        try:
            region = {} if pd.isna(shape) else json.loads(shape)
            named = {} if pd.isna(attributes) else json.loads(attributes)
            mark = mark_of(image, label_of(named), shape_of(region), region) if region else or_none([], image)[0]
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path} line {line + 2}: the region is not as VIA writes it: {error}") from None
        marks.append(mark)
    return marks


def read_via_3(content: dict[str, Any]) -> Iterator[Mark]:
    """VIA 3: xy is a shape's code, 2 for a rectangle, and its numbers; 6 and 7 are lines and polygons of points."""
    attributes = {str(code): one.get("aname", code) for code, one in (content.get("attribute") or {}).items()}
    options = {str(code): one.get("options") or {} for code, one in (content.get("attribute") or {}).items()}
    of: dict[str, list[Mark]] = {str(one["fname"]): [] for one in content["file"].values()}
    for mark in content["metadata"].values():
        (file, *_) = content["view"][str(mark["vid"])]["fid_list"]
        image = str(content["file"][str(file)]["fname"])
        kind, *numbers = mark["xy"] or [0]
        told = {
            attributes.get(code, code): options.get(code, {}).get(value, value) for code, value in mark["av"].items()
        }
        corners = from_size(numbers) if kind == 2 else hull(numbers) if kind in (6, 7) else NONE
        of[image].append(mark_of(image, label_of(told), corners, numbers))
    for image, marks in of.items():
        yield from or_none(marks, image)
