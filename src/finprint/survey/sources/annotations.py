"""Boxes as programs for drawing them export them: COCO, MegaDetector, VIA, LabelMe, Label Studio, Pascal VOC, CVAT."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.survey.sources.marks import NONE, Corners, Mark, from_centre, from_size, hull, turned
from finprint.survey.sources.sheets import read_text

JSON_FORMS = "COCO, MegaDetector, VIA, LabelMe, Label Studio, CreateML"
# What Label Studio puts before the name of a file: where it is served from, and a number.
SERVED = re.compile(r"^.*(?:\?d=|/data/upload/(?:\d+/)?)")
UPLOADED = re.compile(r"(?<![^/])[0-9a-f]{8}-(?=[^/]+$)")


def read_json_boxes(path: Path) -> list[Mark]:
    """The boxes of a JSON file in any of `JSON_FORMS`; photos without a box have a mark as well.

    Raises:
        UserError: the file is no JSON, or in none of these forms.
    """
    content = _json(path)
    try:
        marks = _marks(content)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise UserError(f"{path} is incomplete or not in its usual form: {error!r}") from None
    if marks is None:
        raise UserError(f"{path} is in none of the known forms ({JSON_FORMS}): it is {_looks(content)}")
    return marks


def _marks(content: Any) -> list[Mark] | None:
    """None where the form is unknown."""
    if isinstance(content, list) and content and all(isinstance(task, dict) for task in content):
        if any("result" in one for task in content for one in _dicts(task.get("annotations"))):
            return [mark for task in content for mark in _label_studio(task)]
        if any("coordinates" in one for task in content for one in _dicts(task.get("annotations"))):
            return [mark for task in content for mark in _create_ml(task)]
        if any(_is_region(one) for task in content for value in task.values() for one in _dicts(value)):
            return [mark for task in content for mark in _label_studio_min(task)]
        return None
    if not isinstance(content, dict):
        return None
    if "shapes" in content:
        return list(_labelme(content))
    if "detection_categories" in content or any("detections" in photo for photo in _dicts(content.get("images"))):
        return [mark for photo in content["images"] for mark in _megadetector(photo, content)]
    if {"file", "view", "metadata"} <= content.keys():
        return list(_via_3(content))
    photos = content.get("_via_img_metadata", content)
    if photos and all(isinstance(photo, dict) and "regions" in photo for photo in photos.values()):
        return [mark for photo in photos.values() for mark in _via(photo)]
    return None


def is_coco_file(path: Path) -> bool:
    """Is it a JSON file with COCO's images? MegaDetector's list its detections."""
    content = _json(path)
    listed = isinstance(content, dict) and isinstance(content.get("images"), list)
    return (
        listed
        and "detection_categories" not in content
        and not any("detections" in p for p in _dicts(content["images"]))
    )


def read_coco(path: Path) -> pd.DataFrame:
    """COCO's annotations as a table of strings: a row an annotation, its photo's columns and `category` beside it.

    What is nested has dots in its name: CVAT's individuals stand in `attributes.individual`. `bbox` is the upright box
    of an annotation that is turned or has only a polygon. Photos without an annotation have a row as well.

    Raises:
        UserError: the file is no JSON, or not in COCO's form.
    """
    content = _json(path)
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
    elif box and len(box) == 8:
        corners = hull(float(number) for number in box)
    else:
        return mark
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


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}") from None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _looks(content: Any) -> str:
    if isinstance(content, dict):
        return f"a dict of {', '.join(list(content)[:8]) or 'nothing'}"
    if isinstance(content, list) and content:
        first = content[0]
        return f"a list, and its first entry is {_looks(first) if isinstance(first, dict) else repr(first)[:60]}"
    return "an empty list" if content == [] else repr(content)[:60]


def _mark(image: str, part: str | None, corners: Corners, written: Any, share: bool = False, sure: Any = 1.0) -> Mark:
    return Mark(str(image), part, *corners, float(sure), share, " ".join(str(written).split())[:200])


def _or_none(marks: list[Mark], image: str) -> list[Mark]:
    """The marks, or that which says that there are none."""
    return marks or [Mark(str(image), None, *NONE, 1.0, False, "")]


def _megadetector(photo: dict[str, Any], content: dict[str, Any]) -> list[Mark]:
    """Boxes x, y, width, height as shares. Where it sees no animal there may be one: of that it is not sure at all."""
    names = {str(code): name for code, name in (content.get("detection_categories") or {}).items()}
    marks = []
    for detection in photo.get("detections") or []:
        box, code = detection.get("bbox") or [], str(detection.get("category", ""))
        corners = from_size(box) if len(box) == 4 else NONE
        marks.append(_mark(photo["file"], names.get(code, code), corners, box, True, detection.get("conf", 1.0)))
    return marks or [mark._replace(confidence=0.0) for mark in _or_none([], photo["file"])]


def _labelme(content: dict[str, Any]) -> Iterator[Mark]:
    image = str(content.get("imagePath") or "").replace("\\", "/").rpartition("/")[2]
    marks = []
    for shape in content["shapes"]:
        points = [number for point in shape["points"] for number in point]
        corners = hull(points)
        if shape.get("shape_type") == "circle" and len(points) == 4:  # its centre, and a point on it
            x, y, radius = points[0], points[1], math.dist(points[:2], points[2:])
            corners = (x - radius, y - radius, x + radius, y + radius)
        marks.append(_mark(image, shape.get("label"), corners, shape["points"]))
    yield from _or_none(marks, image)


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


def _via(photo: dict[str, Any]) -> list[Mark]:
    regions = photo["regions"]
    marks = [
        _mark(
            photo["filename"], label_of(region.get("region_attributes")), shape_of(region["shape_attributes"]),
            region["shape_attributes"],
        )
        for region in (regions.values() if isinstance(regions, dict) else regions)
    ]  # fmt: skip
    return _or_none(marks, photo["filename"])


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
            mark = _mark(image, label_of(named), shape_of(region), region) if region else _or_none([], image)[0]
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"{path} line {line + 2}: the region is not as VIA writes it: {error}") from None
        marks.append(mark)
    return marks


def _via_3(content: dict[str, Any]) -> Iterator[Mark]:
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
        of[image].append(_mark(image, label_of(told), corners, numbers))
    for image, marks in of.items():
        yield from _or_none(marks, image)


def _uploaded(image: str) -> str:
    """A photo's name without what Label Studio adds: the address it is served from, and a number before the name."""
    plain = unquote(str(image))
    return UPLOADED.sub("", SERVED.sub("", plain))


def _is_region(value: dict[str, Any]) -> bool:
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
        return _mark(image, part, NONE, region)
    shares = [corner / side for corner, side in zip(corners, (wide, high) * 2, strict=True)]
    return _mark(image, part, (shares[0], shares[1], shares[2], shares[3]), corners, True)


def _labels(region: dict[str, Any]) -> str | None:
    lists = [value for key, value in region.items() if key.endswith("labels") and isinstance(value, list) and value]
    return str(lists[0][0]) if lists else None


def _image_of(data: dict[str, Any]) -> str:
    key = next((key for key in ("image", "img", "photo", "ocr", "url", "file") if key in data), next(iter(data)))
    return _uploaded(data[key])


def _label_studio(task: dict[str, Any]) -> list[Mark]:
    image = _image_of(task["data"])
    marks = []
    answers = [one for one in _dicts(task.get("annotations")) if not one.get("was_cancelled")]
    for answer in answers[:1]:  # of several people's the first
        for one in answer.get("result") or []:
            value = one.get("value") or {}
            if _is_region(value) or "radiusX" in value:
                sizes = {key: one.get(key) for key in ("original_width", "original_height")}
                marks.append(_region(value | sizes, image, _labels(value)))
    return _or_none(marks, image)


def _label_studio_min(task: dict[str, Any]) -> list[Mark]:
    image = _image_of(task)
    regions = [one for value in task.values() for one in _dicts(value) if _is_region(one) or "radiusX" in one]
    return _or_none([_region(one, image, _labels(one)) for one in regions], image)


def _create_ml(task: dict[str, Any]) -> list[Mark]:
    image = str(task.get("image") or task.get("imagefilename"))
    marks = []
    for one in _dicts(task.get("annotations")):
        box = [float(one["coordinates"][side]) for side in ("x", "y", "width", "height")]
        marks.append(_mark(image, one.get("label"), from_centre(box), box))
    return _or_none(marks, image)


def read_xml_boxes(path: Path) -> list[Mark]:
    """The boxes of an XML file: Pascal VOC's of one photo, or CVAT's of many.

    Raises:
        UserError: the file is no XML, or in neither form.
    """
    try:
        root = ElementTree.fromstring(path.read_bytes())
        if root.tag == "annotations" and root.find("image") is not None:
            return [mark for photo in root.iter("image") for mark in _cvat(photo)]
        if root.tag == "annotation":
            return _voc(root, path)
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is no XML: {error}") from None
    except (TypeError, ValueError, LookupError) as error:
        raise UserError(f"{path} is not in Pascal VOC's or CVAT's form: {error}") from None
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
        marks.append(_mark(image, (one.findtext("name") or "").strip() or None, _voc_shape(shape, told), told))
    return _or_none(marks, image)


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
        marks.append(_mark(image, told.get("label"), corners, dict(told)))
    return _or_none(marks, image)
