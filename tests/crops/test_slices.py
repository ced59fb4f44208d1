"""Slices: they cover the photo, and an animal seen in several of them is one."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.crops.slices import merge, side_share, windows
from finprint.detector.yolo import Detection


def test_two_by_two_by_hand() -> None:
    assert windows(180, 90, 1) == [(0, 0, 180, 90)]
    assert windows(180, 90, 2) == [
        (0, 0, 180, 90), (0, 0, 100, 50), (80, 0, 180, 50), (0, 40, 100, 90), (80, 40, 180, 90),
    ]  # fmt: skip


@given(width=st.integers(8, 5000), height=st.integers(8, 5000), count=st.integers(2, 8))
def test_slices_cover_the_photo_and_overlap_by_a_fifth(width: int, height: int, count: int) -> None:
    whole, *slices = windows(width, height, count)
    assert whole == (0, 0, width, height)
    assert len(slices) == count**2
    for length, ends in (
        (width, [(s[0], s[2]) for s in slices[:count]]),
        (height, [(s[1], s[3]) for s in slices[::count]]),
    ):
        assert ends[0][0] == 0
        assert ends[-1][1] == length
        side = length * side_share(count)
        for (start, stop), (following, _) in itertools.pairwise(ends):
            assert abs(stop - start - side) <= 1
            assert abs(stop - following - 0.2 * side) <= 1


def _detection(part: str, sure: float, *box: float) -> Detection:
    return Detection(part, np.array(box, float), sure)


def _merged(*detections: list[Detection]) -> list[tuple[str, float, list[float]]]:
    places = windows(180, 90, 2)
    padded = list(detections) + [[]] * (len(places) - len(detections))
    return [(one.part, one.confidence, one.box.tolist()) for one in merge(padded, places)]


def test_boxes_of_slices_are_moved_to_the_photo() -> None:
    assert _merged([], [], [], [], [_detection("fin", 0.7, 10, 20, 30, 40)]) == [("fin", 0.7, [90, 60, 110, 80])]
    assert _merged() == []


def test_an_animal_in_the_overlap_is_one_the_surest() -> None:
    left, right = _detection("fin", 0.6, 82, 10, 98, 30), _detection("fin", 0.8, 2, 10, 18, 30)
    assert _merged([], [left], [right]) == [("fin", 0.8, [82, 10, 98, 30])]
    assert len(_merged([_detection("body", 0.5, 82, 10, 98, 30)], [left])) == 2  # another part is another thing


@pytest.mark.parametrize("sure", [0.3, 0.9])
def test_a_piece_cut_off_by_a_slices_border_is_dropped_where_the_whole_is_seen(sure: float) -> None:
    whole = _detection("body", 0.5, 60, 10, 150, 40)
    piece = _detection("body", sure, 60, 10, 100, 40)  # ends at the border of the first slice
    assert _merged([whole], [piece]) == [("body", 0.5, [60, 10, 150, 40])]
    inner = _detection("body", sure, 60, 10, 95, 40)  # ends before it: perhaps another animal in front
    assert len(_merged([whole], [inner])) == 2


def test_a_piece_that_nobody_else_sees_stays() -> None:
    assert _merged([], [_detection("body", 0.4, 60, 10, 100, 40)]) == [("body", 0.4, [60, 10, 100, 40])]


def test_of_two_pieces_the_larger_stays() -> None:
    pieces = [_detection("body", 0.9, 79, 10, 100, 40)], [_detection("body", 0.4, 0, 10, 60, 40)]
    assert _merged([], *pieces) == [("body", 0.4, [80, 10, 140, 40])]


def test_a_border_of_the_photo_cuts_nothing() -> None:
    whole, corner = _detection("body", 0.5, 0, 0, 40, 40), _detection("body", 0.9, 0, 0, 20, 20)
    assert len(_merged([whole], [corner])) == 2
