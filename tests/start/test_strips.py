"""Strips of text or of one colour at the edges of photos."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import save_photo, scenery

from finprint.start.strips import strips, strips_of
from finprint.start.window import without_strips


def _photo(number: int, top: int = 0, bottom: int = 0, ground: int = 0) -> np.ndarray:
    """A scene with strips of so many of 200 px; the lower one tells the day."""
    photo = cv2.resize(scenery(number), (300, 200))
    photo[:top] = ground
    if bottom:
        photo[-bottom:] = ground
        at = (5 + number % 7, 200 - bottom // 4)
        cv2.putText(
            photo, f"CAM{number:02d}  2021-05-{number:02d}", at, cv2.FONT_HERSHEY_SIMPLEX, bottom / 40, (255,) * 3
        )
    noise = np.random.default_rng(number).integers(-6, 7, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("top", "bottom"), [(0, 16), (10, 16), (12, 0), (0, 0)])
def test_a_strip_that_all_photos_have_is_found(top: int, bottom: int) -> None:
    found = strips([_photo(number, top, bottom) for number in range(30)])
    np.testing.assert_allclose(found, (top / 200, bottom / 200), atol=0.01)


def test_what_is_no_strip() -> None:
    assert strips([_photo(number, bottom=16) for number in range(10)]) == (0, 0), "too few photos tell"
    assert strips([_photo(number, bottom=100) for number in range(30)]) == (0, 0), "half of a photo is no strip"
    changing = [_photo(number, bottom=16, ground=number * 8) for number in range(30)]
    assert strips(changing) == (0, 0), "water that differs from day to day"


def test_photos_on_disk_and_what_is_left_of_them(tmp_path: Path) -> None:
    paths = [save_photo(tmp_path / f"{number}.png", _photo(number, bottom=16)) for number in range(30)]
    (tmp_path / "torn.png").write_bytes(paths[0].read_bytes()[:200])
    edges = strips_of([*paths, tmp_path / "torn.png"])
    window = without_strips(edges)
    assert window is not None
    assert window.whole[:3] == [0.0, 0.0, 1.0]
    assert window.whole[3] == pytest.approx(0.92, abs=0.01)
    assert without_strips((0.0, 0.0)) is None
