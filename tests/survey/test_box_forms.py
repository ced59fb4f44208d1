"""What the numbers of a table of boxes are: decided by the whole table and its photos, or asked for by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import prepare_params, save_photo, scenery

from finprint.base.errors import UserError
from finprint.survey.box_forms import settle
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source
from finprint.survey.sources.boxes import read_boxes

WIDTH, HEIGHT = 4000, 3000
# Animals anywhere in a photo: corners in shares of its sides.
ANYWHERE = np.array([[0.1, 0.2, 0.3, 0.5], [0.6, 0.5, 0.9, 0.8], [0.4, 0.7, 0.55, 0.95], [0.7, 0.1, 0.95, 0.3]])
FILLING = np.array([[0.1, 0.2, 0.7, 0.8], [0.2, 0.1, 0.8, 0.7], [0.05, 0.05, 0.65, 0.55]])  # fits corners and size
SIZE, PIXELS = np.array([WIDTH, HEIGHT] * 2), np.array([1.0, 1, 1, 1])


def _numbers(corners: np.ndarray, form: str) -> np.ndarray:
    """Corners as they are written in a form."""
    low, extent = corners[:, :2], corners[:, 2:] - corners[:, :2]
    return {
        "corners": corners, "size": np.hstack([low, extent]), "centre": np.hstack([low + extent / 2, extent])
    }[form]  # fmt: skip


def _settled(folder: Path, numbers: np.ndarray, entry: str = "t.csv:fin", header: str = "image,bbox") -> np.ndarray:
    """The corners that come out of a table of boxes, or of a folder of YOLO's labels, of large photos."""
    photos = [f"{row}.jpg" for row in range(len(numbers))]
    cells = [" ".join(f"{number:g}" for number in box) for box in numbers]
    if entry.startswith("labels"):
        (folder / "labels").mkdir()
        for photo, cell in zip(photos, cells, strict=True):
            (folder / "labels" / photo).with_suffix(".txt").write_text(f"0 {cell}\n")
    else:
        cells = cells if "bbox" in header else [cell.replace(" ", ",") for cell in cells]
        rows = [f"{photo},{cell}" for photo, cell in zip(photos, cells, strict=True)]
        (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    boxes, _ = read_boxes(folder, [entry], 0, photos)
    table = settle(boxes.assign(width=WIDTH, height=HEIGHT))
    return table[["x_min", "y_min", "x_max", "y_max"]].to_numpy(float)


@pytest.mark.parametrize("form", ["corners", "size"])
def test_the_photos_tell_what_a_column_of_four_numbers_is(tmp_path: Path, form: str) -> None:
    """Also where corners fit most rows, as of animals at the upper left."""
    corners = np.vstack([ANYWHERE, FILLING]) * SIZE
    assert np.allclose(_settled(tmp_path, _numbers(corners, form)), corners)


def test_numbers_that_fit_both_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        _settled(tmp_path, _numbers(FILLING * SIZE, "size"))
    assert str(caught.value) == (
        "t.csv: are the four numbers of a box two corners, or a corner, width and height? The 3 boxes fit both, such "
        "as '400 600 2400 1800': write t.csv:fin:corners in prepare.boxes or write t.csv:fin:size in prepare.boxes"
    )


@pytest.mark.parametrize("form", ["corners", "size", "centre"])
def test_what_is_told_is_not_asked(tmp_path: Path, form: str) -> None:
    numbers = _numbers(FILLING * SIZE, form)
    assert np.allclose(_settled(tmp_path, numbers, f"t.csv:fin:{form}"), FILLING * SIZE)
    header = {"corners": "image,bbox_xyxy", "size": "image,bbox_xywh", "centre": "image,bbox_cxcywh"}[form]
    assert np.allclose(_settled(tmp_path, numbers, header=header), FILLING * SIZE)


@pytest.mark.parametrize(
    ("form", "entry", "header", "custom"),
    [
        ("corners", "labels:fin", "", "a centre, width and height"),
        ("corners", "t.csv:fin", "image,x,y,w,h", "a corner, width and height"),
        ("size", "t.csv:fin", "image,x_min,y_min,x_max,y_max", "two corners"),
        ("centre", "t.csv:fin", "image,x,y,w,h", "a corner, width and height"),
        ("centre", "t.csv:fin", "image,bbox", ""),
    ],
)
def test_another_form_than_that_of_custom(tmp_path: Path, form: str, entry: str, header: str, custom: str) -> None:
    """A folder of YOLO's labels that holds corners, columns x, y, w, h that hold centres."""
    corners = ANYWHERE * (PIXELS if entry.startswith("labels") else SIZE)
    corners = corners if form != "centre" else np.vstack([corners, np.array([0.8, 0.8, 1, 1]) * SIZE])
    with pytest.raises(UserError) as caught:
        _settled(tmp_path, _numbers(corners, form), entry, header)
    name = entry.partition(":")[0]
    words = {"corners": "two corners", "size": "a corner, width and height", "centre": "a centre, width and height"}
    assert str(caught.value).startswith(f"{name}: read as {custom}")
    assert f"they fit: write {entry}:" in str(caught.value)
    assert words[form] in str(caught.value).partition(". Read as ")[2]
    assert f"write {entry}:{form} in prepare.boxes" in str(caught.value)


def test_corners_in_yolo_s_labels_are_read_where_the_param_says_so(tmp_path: Path) -> None:
    assert np.allclose(_settled(tmp_path, ANYWHERE, "labels:fin:corners"), ANYWHERE)


@pytest.mark.parametrize("boxes", [FILLING, ANYWHERE])
def test_yolo_s_own_form_is_not_doubted(tmp_path: Path, boxes: np.ndarray) -> None:
    assert np.allclose(_settled(tmp_path, _numbers(boxes, "centre"), "labels:fin"), boxes)


@pytest.mark.parametrize("unit", ["", "percent", "pixels"])
def test_percent_without_a_sign(tmp_path: Path, unit: str) -> None:
    entry, header = f"t.csv:fin:{unit}".rstrip(":"), "image,x_min,y_min,x_max,y_max"
    numbers = np.vstack([ANYWHERE, [0.001, 0.002, 0.5, 0.9]]) * 100  # the last one has some below 1
    if unit:
        wanted = numbers / 100 if unit == "percent" else numbers
        assert np.allclose(_settled(tmp_path, numbers, entry, header), wanted)
        return
    with pytest.raises(UserError) as caught:
        _settled(tmp_path, numbers, entry, header)
    assert str(caught.value) == (
        "t.csv: no number is above 100, such as '10, 20, 30, 50' in a photo of 4000 x 3000 px. If they are percent of "
        "the sides, write t.csv:fin:percent in prepare.boxes; if they are pixels, write t.csv:fin:pixels in "
        "prepare.boxes"
    )


BOXES = np.vstack([ANYWHERE, FILLING, ANYWHERE * 0.9, ANYWHERE * 0.8]) * SIZE
COLUMNS = "image,x_min,y_min,x_max,y_max"


def test_x_and_y_the_other_way_round(tmp_path: Path) -> None:
    """As TensorFlow writes them."""
    for name, header in (("one", COLUMNS), ("two", "image,bbox")):
        (tmp_path / name).mkdir()
        with pytest.raises(UserError, match=r"With x and y the other way round they fit: write x before y"):
            _settled(tmp_path / name, (ANYWHERE * SIZE)[:, [1, 0, 3, 2]] * [1, 1, 1, 1], header=header)


@pytest.mark.parametrize(
    ("factor", "where", "other"),
    [(0.25, "all boxes lie in the upper left quarter", "smaller"), (2.0, "80% of the boxes reach outside", "larger")],
)
def test_boxes_drawn_on_copies_of_another_size(tmp_path: Path, factor: float, where: str, other: str) -> None:
    with pytest.raises(UserError) as caught:
        _settled(tmp_path, BOXES * factor, header=COLUMNS)
    first = ", ".join(f"{number:g}" for number in BOXES[0] * factor)
    assert str(caught.value) == (
        f"t.csv: {where} of their photos, such as {first!r} in one of 4000 x 3000 px. Were they drawn on {other} "
        "copies? Then add columns width and height with the copies' size; if not, write t.csv:fin:pixels in "
        "prepare.boxes"
    )
    assert np.allclose(_settled(tmp_path, BOXES * factor, "t.csv:fin:pixels", COLUMNS), BOXES * factor)


def test_small_photos_have_small_boxes(tmp_path: Path) -> None:
    boxes = pd.DataFrame({"told": "t.csv", "form": "corners", "share": False, "written": "1", "image": "a"}, index=[0])
    corners = {"x_min": 1.0, "y_min": 2.0, "x_max": 90.0, "y_max": 80.0}
    table = boxes.assign(**corners, width=160, height=120, drawn_width=np.nan, drawn_height=np.nan)
    assert settle(table)["x_max"].tolist() == [90.0]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [("t.csv:fin:xyxy", "'xyxy' is none of corners, size, centre, pixels, percent"), ("t.csv:fin:size", "")],
)
def test_words_that_the_param_may_have(entry: str, complaint: str) -> None:
    if not complaint:
        assert prepare_params(boxes=[entry]).boxes == [entry]
        return
    with pytest.raises(ValueError, match=complaint):
        prepare_params(boxes=[entry])


def test_a_table_of_which_no_box_can_be_used(tmp_path: Path) -> None:
    """Pascal VOC with shares of the sides; one such box among good ones is a reject."""
    for number in range(2):
        save_photo(tmp_path / f"A{number}" / f"{number}.jpg", scenery(number))
    header, rows = "image,part,x_min,y_min,x_max,y_max", ["0.jpg,fin,200,20,300,40", "1.jpg,fin,200,20,300,40"]
    params = prepare_params(source="folder", new_share=0.0)
    (tmp_path / "boxes.csv").write_text("\n".join([header, *rows]))
    with pytest.raises(UserError) as caught:
        survey(read_source(params, tmp_path)[0], params, 1)
    assert str(caught.value) == (
        "boxes.csv: none of 2 boxes can be used; of the first, of A0/0.jpg: box (200, 20, 300, 40) lies outside the "
        "photo of 96 x 64 px"
    )
    (tmp_path / "boxes.csv").write_text("\n".join([header, *rows, "1.jpg,fin,20,20,30,40"]))
    assert len(survey(read_source(params, tmp_path)[0], params, 1).boxes) == 1
