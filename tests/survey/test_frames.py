"""Boxes on the photo as it is, whichever copy of it they were drawn on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SurveyFolder, prepare_params, save_photo, scenery
from PIL import Image

from finprint.pictures.images import UPRIGHT
from finprint.store.tables import SIDES
from finprint.survey.frames import to_photos
from finprint.survey.prepare import survey
from finprint.survey.sources import read_source

STORED = [10.0, 20.0, 110.0, 70.0]  # of 200 x 100 px


def _boxes(path: Path, size: tuple[int, int], *drawn: tuple[list[float], bool, float, float]) -> pd.DataFrame:
    rows = [(str(path), *size, *corners, share, *of) for corners, share, *of in drawn]
    return pd.DataFrame(rows, columns=["path", "width", "height", *SIDES, "share", "drawn_width", "drawn_height"])


def test_a_copy_of_another_size(tmp_path: Path) -> None:
    nan = float("nan")
    boxes = _boxes(
        tmp_path / "a.jpg",
        (200, 100),
        (STORED, False, nan, nan),
        (STORED, False, 200, 100),
        ([5.0, 10.0, 55.0, 35.0], False, 100, 50),
        ([100.0, 200.0, 1100.0, 700.0], False, 2000, 1001),
        ([0.05, 0.2, 0.55, 0.7], True, 640, 640),  # shares, of whatever it was stretched to
        ([32.0, 128.0, 352.0, 448.0], False, 640, 640),
        ([20.0, 90.0, 70.0, 190.0], False, 100, 200),
    )
    corners, reasons = to_photos(boxes)
    assert corners[:2].tolist() == [STORED, STORED]  # to the bit
    assert np.allclose(corners[2:5], STORED, rtol=2e-3)
    assert reasons == [""] * 5 + [
        "was drawn on a photo of 640 x 640 px, and this is not its copy",
        "was drawn on a photo of 100 x 200 px, and this is not its copy",
    ]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_box_that_was_drawn_before_exif_has_turned_the_photo(
    tmp_path: Path, orientation: int, share: bool, scale: int
) -> None:
    path = save_photo(tmp_path / "a.jpg", scenery(1, 200, 100), orientation)
    mask = np.zeros((100, 200), np.uint8)
    mask[20:70, 10:110] = 255
    rows, columns = np.nonzero(np.asarray(Image.fromarray(mask).transpose(UPRIGHT[orientation])))
    told = (np.array(STORED) / [200, 100, 200, 100] if share else scale * np.array(STORED)).tolist()
    corners, reasons = to_photos(_boxes(path, (100, 200), (told, share, scale * 200, scale * 100)))
    assert reasons == [""]
    assert np.allclose(corners[0], [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])


def test_a_file_that_tells_the_stored_size_of_boxes_drawn_upright(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", scenery(1, 200, 100), 6)
    upright = [[10.0, 20.0, 60.0, 170.0], [10.0, 20.0, 60.0, 70.0]]  # the first reaches below 100 px
    corners, reasons = to_photos(_boxes(path, (100, 200), *[(box, False, 200, 100) for box in upright]))
    assert (corners.tolist(), reasons) == (upright, ["", ""])


def test_a_survey_with_boxes_of_another_photo(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,B,")  # 96 x 64 px
    rows = ["a.jpg,48,32,fin,1,2,20,30", "b.jpg,64,64,fin,1,2,20,30"]
    folder.table("boxes.csv", "filename,width,height,class,xmin,ymin,xmax,ymax", *rows)
    params = prepare_params()
    done = survey(read_source(params, folder.root)[0], params, 0)
    assert done.boxes[SIDES].to_numpy().tolist() == [[2, 4, 40, 60]]
    assert done.rejects.to_numpy().tolist() == [
        ["b.jpg", "boxes", "box (1, 2, 20, 30) was drawn on a photo of 64 x 64 px, and this is not its copy"]
    ]
