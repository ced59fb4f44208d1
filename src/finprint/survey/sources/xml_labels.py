"""Boxes in XML: Pascal VOC's, of one photo a file, and CVAT's, of many."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

from finprint.base.errors import UserError
from finprint.survey.sources.marks import NONE, Corners, Mark, drawn_on, hull, mark_of, or_none, turned
from finprint.survey.sources.sheets import read_content


def read_xml_boxes(path: Path) -> list[Mark]:
    """The boxes of an XML file: Pascal VOC's of one photo, or CVAT's of many.

    Raises:
        UserError: the file is no XML, or in neither form.
    """
    try:
        root = ElementTree.fromstring(read_content(path))
        if root.tag == "annotations" and root.find("image") is not None:
            return [mark for photo in root.iter("image") for mark in _cvat(photo)]
        if root.tag == "annotation":
            return _voc(root, path)
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is no XML: {error}") from None
    except (TypeError, ValueError, LookupError) as error:
        raise UserError(f"{path} is not in Pascal VOC's or CVAT's form: {error}") from None
    if root.tag == "annotations" and root.find("track") is not None:
        raise UserError(f"{path} is CVAT's form for video: export it as CVAT for images 1.1, COCO or YOLO")
    inner = ", ".join(dict.fromkeys(child.tag for child in root))
    raise UserError(
        f"{path} is in none of the known forms (Pascal VOC, CVAT): it is {root.tag} of {inner or 'nothing'}"
    )


def _voc(root: ElementTree.Element, path: Path) -> list[Mark]:
    image = (root.findtext("filename") or "").strip().replace("\\", "/") or path.stem
    marks = []
    for one in root.iter("object"):
        shapes = [shape for kind in ("robndbox", "bndbox", "polygon") for shape in one.findall(kind)]
        shape = shapes[0] if shapes else None
        told = {} if shape is None else {child.tag: (child.text or "").strip() for child in shape}
        marks.append(mark_of(image, (one.findtext("name") or "").strip() or None, _voc_shape(shape, told), told))
    return drawn_on(or_none(marks, image), root.findtext("size/width"), root.findtext("size/height"))


def _voc_shape(shape: ElementTree.Element | None, told: dict[str, str]) -> Corners:
    if shape is None:
        return NONE
    if shape.tag == "robndbox":  # angle in radians, clockwise
        x, y, width, height = (float(told[side]) for side in ("cx", "cy", "w", "h"))
        return turned((x - width / 2, y - height / 2, width, height), math.degrees(float(told["angle"])))
    if {"xmin", "ymin", "xmax", "ymax"} <= told.keys():
        return (float(told["xmin"]), float(told["ymin"]), float(told["xmax"]), float(told["ymax"]))
    return hull(float(leaf.text or "") for leaf in shape.iter() if not len(leaf))  # x1, y1, ..., or <pt> with x and y


def _cvat(photo: ElementTree.Element) -> list[Mark]:
    image = photo.attrib["name"]
    marks = []
    for one in photo:
        told = one.attrib
        if one.tag == "box":
            x, y, right, bottom = (float(told[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
            corners = turned((x, y, right - x, bottom - y), float(told.get("rotation", 0)))
        elif one.tag in ("polygon", "polyline", "points"):
            corners = hull(float(number) for number in re.split("[,;]", told["points"]))
        elif one.tag == "ellipse":
            x, y, across, down = (float(told[side]) for side in ("cx", "cy", "rx", "ry"))
            corners = turned((x - across, y - down, 2 * across, 2 * down), float(told.get("rotation", 0)))
        else:
            continue
        marks.append(mark_of(image, told.get("label"), corners, dict(told)))
    return drawn_on(or_none(marks, image), photo.get("width"), photo.get("height"))
