"""Size, shape and texture of drawn figures whose numbers are known."""

import math

import cv2
import numpy as np
import pandas as pd
import pytest

from finprint.classes.extras import LENGTHS, measure, shape, texture
from finprint.store.tables import SIDES


def _bar(angle: float) -> np.ndarray:
    """A dark bar of 80 x 16 px on white, turned by degrees, in the middle of 128 px."""
    grey = np.full((128, 128), 255, np.uint8)
    box = cv2.boxPoints(((64, 64), (80, 16), angle)).astype(np.int32)
    return cv2.fillPoly(grey, [box], 20)


def test_the_shape_of_a_bar() -> None:
    x, y, covered, cosine, sine, long, short = shape(_bar(0))
    assert (x, y) == pytest.approx((0.5, 0.5), abs=0.01)
    assert covered == pytest.approx(80 * 16 / 128**2, rel=0.1)
    assert (cosine, sine) == pytest.approx((1, 0), abs=0.01)
    assert math.exp(long) == pytest.approx(80 / math.sqrt(12) / 128, rel=0.05)  # deviation of an even bar
    assert math.exp(short) == pytest.approx(16 / math.sqrt(12) / 128, rel=0.15)


@pytest.mark.parametrize("angle", [30, 90, 150])
def test_its_angle_counts_twice(angle: int) -> None:
    _, _, _, cosine, sine, *axes = shape(_bar(angle))
    assert (cosine, sine) == pytest.approx(
        (math.cos(math.radians(2 * angle)), math.sin(math.radians(2 * angle))), abs=0.05
    )
    assert axes == pytest.approx(shape(_bar(0))[5:], abs=0.1)


def test_an_empty_crop_has_a_shape_and_a_texture() -> None:
    blank = np.full((20, 30), 128, np.uint8)
    assert np.isfinite(shape(blank)).all()
    assert np.isfinite(texture(blank)).all()
    assert texture(np.zeros((1, 9), np.uint8)).tolist() == [0.0] * 52


def test_noise_has_another_texture_than_a_slope() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    slope = np.tile(np.arange(64, dtype=np.uint8) * 4, (64, 1))
    assert texture(noise)[1] > 5 * texture(slope)[1]  # contrast


def test_the_true_size_comes_from_the_box() -> None:
    index = pd.DataFrame([[0.0, 0, 100, 50], [10, 10, 11, 11]], columns=SIDES)
    crops = [np.full((8, 8, 3), 9, np.uint8)] * 2
    sizes = measure(index, crops.__getitem__, "size")
    np.testing.assert_allclose(sizes, [[math.log(100), math.log(50)], [0, 0]], rtol=1e-6)
    assert measure(index, crops.__getitem__, "all").shape == (2, LENGTHS["all"])
