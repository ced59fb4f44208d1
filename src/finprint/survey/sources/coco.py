"""COCO's annotations, read as a table."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.survey.sources.json_values import dicts, read_json
from finprint.survey.sources.marks import hull, turned
from finprint.survey.sources.masks import mask_box


def is_coco_file(path: Path) -> bool:
    """Is it a JSON file with COCO's images? MegaDetector's list its detections."""
    content = read_json(path)
    listed = isinstance(content, dict) and isinstance(content.get("images"), list)
    return (
        listed
        and "detection_categories" not in content
        and not any("detections" in p for p in dicts(content["images"]))
    )


def read_coco(path: Path) -> pd.DataFrame:
    """COCO's annotations as a table of strings: a row an annotation, its photo's columns and `category` beside it.

    What is nested has dots in its name: CVAT's individuals stand in `attributes.individual`. `bbox` is the upright box
    of an annotation that is turned or has only a polygon. Photos without an annotation have a row as well.

    Raises:
        UserError: the file is no JSON, or not in COCO's form.
    """
    content = read_json(path)
    try:
        images = _texts(content["images"]).rename(columns={"id": "image_id"})
        marks = _texts([_upright(mark) for mark in content.get("annotations") or [{"image_id": None}]])
        names = {_text(category["id"]): category["name"] for category in content.get("categories") or []}
        marks["category"] = marks["category_id"].map(names) if "category_id" in marks else pd.NA
        lost = marks["image_id"].dropna()[lambda ids: ~ids.isin(images["image_id"])]
        table = images.merge(marks.drop(columns="id", errors="ignore"), on="image_id", how="left", suffixes=("", "_2"))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path} is not in COCO's form (images, annotations, categories): {error!r}") from None
    if len(lost):
        raise UserError(
            f"{path}: {counted(len(lost), 'annotation')} of images that it does not list, such as {lost.iloc[0]}"
        )
    return table.astype("string")


def _upright(mark: dict[str, Any]) -> dict[str, Any]:
    """An annotation whose bbox is the upright one."""
    box, outline = mark.get("bbox"), mark.get("segmentation")
    angle = (mark.get("attributes") or {}).get("rotation") if isinstance(mark.get("attributes"), dict) else None
    if box and len(box) == 4 and angle:
        corners = turned([float(side) for side in box], float(angle))
    elif not box and isinstance(outline, list) and outline:
        corners = hull(number for ring in outline for number in (ring if isinstance(ring, list) else [ring]))
    elif not box and isinstance(outline, dict):
        corners = mask_box(outline)
    elif box and len(box) == 8:
        corners = hull(float(number) for number in box)
    else:
        return mark | ({"bbox": [float(side) for side in box]} if box and all(isinstance(s, str) for s in box) else {})
    if math.isnan(corners[0]):
        return mark | {"bbox": " ".join(f"outline {outline or box}".split())[:80]}
    return mark | {"bbox": [corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]]}


def _texts(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """A table of strings: a number must not become a float because another row lacks it."""
    return pd.DataFrame([{key: _text(value) for key, value in _flat(row)} for row in rows])


def _flat(row: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict) and key != "segmentation":
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _text(value: Any) -> str | None:
    if value is None or value == "" or value == []:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)
