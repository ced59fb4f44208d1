"""COCO's masks in run lengths: the box around one, whichever way its counts are written."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from finprint.store.tables import SIDES
from finprint.survey.sources.boxes import count, read_table_of_boxes
from finprint.survey.sources.masks import mask_box, unpacked


def _counts(mask: np.ndarray) -> list[int]:
    """Of pixels outside, inside, outside, ... down the columns."""
    pixels = [False, *mask.T.ravel().tolist()]
    ends = [place for place in range(1, len(pixels)) if pixels[place] != pixels[place - 1]]
    return np.diff([1, *ends, len(pixels)]).tolist() if not mask.T.ravel()[0] else [
        0, *np.diff([*ends, len(pixels)]).tolist()
    ]  # fmt: skip


def _packed(counts: list[int]) -> str:
    """As pycocotools packs them: five bits a letter, the lowest first."""
    text = ""
    for place, number in enumerate(counts):
        rest, more = number - counts[place - 2] if place > 2 else number, True
        while more:
            bits, rest = rest & 0x1F, rest >> 5
            more = rest != -1 if bits & 0x10 else rest != 0
            text += chr(48 + bits + (0x20 if more else 0))
    return text


@given(mask=arrays.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 9))), long=st.booleans())
def test_the_box_around_a_mask(mask: np.ndarray, long: bool) -> None:
    mask = np.kron(mask, np.ones((40, 40), bool)) if long else mask
    counts = _counts(mask)
    assert unpacked(_packed(counts)) == counts
    rows, columns = np.nonzero(mask)
    for written in (counts, _packed(counts)):
        box = mask_box({"size": list(mask.shape), "counts": written})
        if len(rows):
            assert box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        else:
            assert all(math.isnan(side) for side in box)


@pytest.mark.parametrize("counts", [[1, 2], [5, -2, 9], "0`", []])
def test_a_damaged_mask_has_no_box(counts: list[int] | str) -> None:
    assert all(math.isnan(side) for side in mask_box({"size": [3, 4], "counts": counts}))


def test_annotations_that_have_a_mask_alone(tmp_path: Path) -> None:
    mask = np.zeros((100, 200), bool)
    mask[20:70, 10:110] = True
    outlines = [{"size": [100, 200], "counts": counts} for counts in (_counts(mask), _packed(_counts(mask)), [1, 2])]
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "fin"}],
        "annotations": [{"image_id": 1, "category_id": 1, "segmentation": one, "iscrowd": 1} for one in outlines],
    }
    (tmp_path / "coco.json").write_text(json.dumps(content))
    table, counts = count(read_table_of_boxes(tmp_path / "coco.json"), 0)
    assert counts == {"rows": 3, "boxes": 2, "empty": 0, "malformed": 1, "unsure": 0}
    assert table[SIDES].to_numpy(float)[:2].tolist() == [[10, 20, 110, 70]] * 2
