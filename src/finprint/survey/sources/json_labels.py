"""Boxes in JSON as programs for drawing them export them, the program told by what stands in the file."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finprint.base.errors import UserError
from finprint.survey.sources.json_values import dicts, looks, read_json
from finprint.survey.sources.label_studio import is_region, read_task, read_task_min
from finprint.survey.sources.marks import NONE, Mark, drawn_on, from_centre, from_size, hull, mark_of, or_none
from finprint.survey.sources.via import read_via, read_via_3

NO_ANIMAL = ("person", "vehicle")  # what MegaDetector finds besides
JSON_FORMS = "COCO, MegaDetector, VIA, LabelMe, Label Studio, CreateML"


def read_json_boxes(path: Path) -> list[Mark]:
    """The boxes of a JSON file in any of `JSON_FORMS`; photos without a box have a mark as well.

    Raises:
        UserError: the file is no JSON, or in none of these forms.
    """
    content = read_json(path)
    try:
        marks = _marks(content)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise UserError(f"{path} is incomplete or not in its usual form: {error!r}") from None
    if marks is None:
        raise UserError(f"{path} is in none of the known forms ({JSON_FORMS}): it is {looks(content)}")
    return marks


def _marks(content: Any) -> list[Mark] | None:
    """None where the form is unknown."""
    if isinstance(content, list) and content and all(isinstance(task, dict) for task in content):
        if any("result" in one for task in content for one in dicts(task.get("annotations"))):
            return [mark for task in content for mark in read_task(task)]
        if any("coordinates" in one for task in content for one in dicts(task.get("annotations"))):
            return [mark for task in content for mark in _create_ml(task)]
        if all("bbox" in task and isinstance(task.get("file_name", task.get("image_id")), str) for task in content):
            return [_result(one) for one in content]
        if any(is_region(one) for task in content for value in task.values() for one in dicts(value)):
            return [mark for task in content for mark in read_task_min(task)]
        return None
    if not isinstance(content, dict):
        return None
    if "shapes" in content:
        return list(_labelme(content))
    if "detection_categories" in content or any("detections" in photo for photo in dicts(content.get("images"))):
        return [mark for photo in content["images"] for mark in _megadetector(photo, content)]
    if {"file", "view", "metadata"} <= content.keys():
        return list(read_via_3(content))
    photos = content.get("_via_img_metadata", content)
    if photos and all(isinstance(photo, dict) and "regions" in photo for photo in photos.values()):
        return [mark for photo in photos.values() for mark in read_via(photo)]
    return None


def _megadetector(photo: dict[str, Any], content: dict[str, Any]) -> list[Mark]:
    """Boxes x, y, width, height as shares. Where it sees no animal there may be one: of that it is not sure at all."""
    names = {str(code): name for code, name in (content.get("detection_categories") or {}).items()}
    marks = []
    for detection in photo.get("detections") or []:
        box, code = detection.get("bbox") or [], str(detection.get("category", ""))
        if names.get(code) in NO_ANIMAL:
            continue
        corners = from_size(box) if len(box) == 4 else NONE
        marks.append(mark_of(photo["file"], names.get(code, code), corners, box, True, detection.get("conf", 1.0)))
    return marks or [mark._replace(confidence=0.0) for mark in or_none([], photo["file"])]


def _labelme(content: dict[str, Any]) -> Iterator[Mark]:
    image = str(content.get("imagePath") or "").replace("\\", "/").rpartition("/")[2]
    marks = []
    for shape in content["shapes"]:
        points = [number for point in shape["points"] for number in point]
        corners = hull(points)
        if shape.get("shape_type") == "circle" and len(points) == 4:  # its centre, and a point on it
            x, y, radius = points[0], points[1], math.dist(points[:2], points[2:])
            corners = (x - radius, y - radius, x + radius, y + radius)
        marks.append(mark_of(image, shape.get("label"), corners, shape["points"]))
    yield from drawn_on(or_none(marks, image), content.get("imageWidth"), content.get("imageHeight"))


def _create_ml(task: dict[str, Any]) -> list[Mark]:
    image = str(task.get("image") or task.get("imagefilename"))
    marks = []
    for one in dicts(task.get("annotations")):
        box = [float(one["coordinates"][side]) for side in ("x", "y", "width", "height")]
        marks.append(mark_of(image, one.get("label"), from_centre(box), box))
    return or_none(marks, image)


def _result(one: dict[str, Any]) -> Mark:
    """A box in COCO's list of results; a photo's id is its name there, without the suffix."""
    box = [float(side) for side in one["bbox"]]
    image = str(one.get("file_name") or one["image_id"])
    return mark_of(image, one.get("category"), from_size(box) if len(box) == 4 else NONE, box, sure=one.get("score", 1))
