"""Views: nothing asked, nothing changed; a mirror is a mirror; a rotation is torch's; same state, same bytes."""

import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import NO_AUGMENT
from hypothesis import given, settings
from hypothesis import strategies as st

from finprint.model.params import Augment
from finprint.model.views import Pose, edge_colour, plain_view, posed_view, random_view, squared, weaker


def _augment(**settings: Any) -> Augment:
    return NO_AUGMENT.model_validate(NO_AUGMENT.model_dump() | settings)


ALL = _augment(rotate=15, shift=0.1, zoom=0.15, shear=5, colour=0.3, grey=0.5, blur=0.5, erase=0.5)


def _photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth, coloured and without symmetry."""
    noise = np.random.default_rng(seed).uniform(0, 255, (6, 6, 3)).astype(np.float32)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def _view(pixels: np.ndarray, side: int, augment: Augment, seed: int = 0, mirror: bool = False) -> np.ndarray:
    return random_view(pixels, side, augment, np.random.default_rng(seed), mirror)


def _furthest(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


@pytest.mark.parametrize("size", [(64, 64), (200, 300), (150, 70), (40, 40), (33, 60)])
@pytest.mark.parametrize("seed", [0, 1])
def test_without_strength_a_view_is_the_plain_one(size: tuple[int, int], seed: int) -> None:
    pixels = _photo(*size)
    view = _view(pixels, 64, _augment(), seed)
    assert view.shape == (64, 64, 3)
    assert view.dtype == np.uint8
    assert _furthest(view, plain_view(pixels, 64)) <= 1


def test_plain_view_is_a_resize() -> None:
    checks = np.zeros((8, 8, 3), np.uint8)
    checks[::2, ::2] = 200
    assert (plain_view(checks, 4) == 50).all()  # area averaging: one of four
    assert plain_view(_photo(20, 50), 32).shape == (32, 32, 3)


@pytest.mark.parametrize("size", [(64, 64), (200, 300), (150, 70)])
def test_a_mirror_is_the_mirror_image(size: tuple[int, int]) -> None:
    pixels = _photo(*size)
    for seed in range(3):
        assert _furthest(_view(pixels, 64, _augment(), seed, mirror=True), plain_view(pixels, 64)[:, ::-1]) <= 1
    assert _furthest(plain_view(pixels, 64), plain_view(pixels, 64)[:, ::-1]) > 20  # the control


@pytest.mark.parametrize("seed", range(6))
def test_a_rotation_is_torchs_rotation(seed: int) -> None:
    pixels, side = _photo(96, 96), 96
    view = _view(pixels, side, _augment(rotate=40), seed)
    angle = math.radians(np.random.default_rng(seed).uniform(-1, 1) * 40)  # the first draw
    turn = torch.tensor([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0]])
    grid = F.affine_grid(turn[None], [1, 3, side, side], align_corners=False)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    expected = F.grid_sample(image, grid, align_corners=False)[0].permute(1, 2, 0).numpy()
    middle = slice(side // 4, -side // 4)  # the corners show what lies outside
    assert np.abs(view[middle, middle] - expected[middle, middle]).max() < 3
    assert abs(angle) > 0.01
    assert np.abs(pixels[middle, middle] - expected[middle, middle]).max() > 3  # the control


def test_a_shift_moves_the_photo() -> None:
    pixels, side = _photo(64, 64), 64
    dx, dy = _shift_of(3) * 0.25 * side
    view = _view(pixels, side, _augment(shift=0.25), 3)
    y, x = np.mgrid[20:44, 20:44].astype(np.float32)
    expected = cv2.remap(pixels, x + np.float32(dx), y + np.float32(dy), cv2.INTER_LINEAR)
    assert _furthest(view[20:44, 20:44], expected) <= 3


def _shift_of(seed: int) -> np.ndarray:
    """Angle, shear and zoom are drawn first."""
    rng = np.random.default_rng(seed)
    rng.uniform(-1, 1, 3)
    return rng.uniform(-1, 1, 2)


def test_same_state_same_bytes_and_another_state_another_view() -> None:
    pixels = _photo(90, 120)
    views = [_view(pixels, 64, ALL, seed).tobytes() for seed in (1, 1, 2, 3)]
    assert views[0] == views[1]
    assert len(set(views)) == 3


def test_the_angle_is_drawn_anew_for_each_view_and_its_strength_does_not_shift_other_draws() -> None:
    rng = np.random.default_rng(0)
    pixels = _photo(48, 48)
    assert len({random_view(pixels, 48, _augment(rotate=15), rng).tobytes() for _ in range(8)}) == 8
    used = [np.random.default_rng(5) for _ in range(2)]
    random_view(pixels, 48, ALL, used[0])
    random_view(pixels, 48, _augment(), used[1])
    assert used[0].random() == used[1].random()


def test_the_photo_is_not_changed() -> None:
    pixels = _photo(64, 64)
    before = pixels.copy()
    for seed in range(5):
        _view(pixels, 64, ALL, seed)
    np.testing.assert_array_equal(pixels, before)


def test_grey_has_no_colour_and_keeps_the_brightness() -> None:
    pixels = _photo(32, 32)
    view = _view(pixels, 32, _augment(grey=1.0))
    assert _furthest(view[..., 0], view[..., 1]) <= 1
    assert _furthest(view[..., 0], view[..., 2]) <= 1
    assert _furthest(view[..., 0], cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)) <= 1


def test_blur_smooths_and_erase_fills_one_rectangle_with_the_mean() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert _view(pixels, 64, _augment(blur=1.0)).std() < 0.8 * pixels.std()
    view = _view(pixels, 64, _augment(erase=1.0))
    changed = (view != pixels).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    patch = view[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert len(np.unique(patch.reshape(-1, 3), axis=0)) == 1
    assert _furthest(patch[0, 0], pixels.mean(axis=(0, 1))) <= 1
    for extent in (len(rows), len(columns)):
        assert 0.1 * 64 - 1 <= extent <= 0.3 * 64


@pytest.mark.parametrize("seed", range(5))
def test_tone_is_a_line_on_grey_photos(seed: int) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, axis=0).repeat(3, axis=2)
    view = _view(ramp, 256, _augment(colour=0.3), seed)[0, :, 0].astype(float)
    inside = np.flatnonzero((view > 2) & (view < 253))
    slope, start = np.polyfit(inside, view[inside], 1)
    assert np.abs(view[inside] - (slope * inside + start)).max() < 1.5
    assert 0.7 * 0.7 - 0.01 <= slope <= 1.3 * 1.3 + 0.01
    assert 0.7 * 128 - 2 <= slope * 128 + start <= 1.3 * 128 + 2  # mid-grey moves by the brightness alone


@settings(max_examples=40)
@given(height=st.integers(1, 150), width=st.integers(1, 150), side=st.integers(8, 64), seed=st.integers(0, 99))
def test_any_crop_gives_a_square(height: int, width: int, side: int, seed: int) -> None:
    view = _view(_photo(height, width), side, ALL, seed)
    assert view.shape == (side, side, 3)
    assert view.dtype == np.uint8


def test_weaker_augmentation() -> None:
    strong = NO_AUGMENT.model_copy(update={"rotate": 20.0, "blur": 0.4, "flip": 0.5, "mixup": 0.3, "grow": 0.5})
    half = weaker(strong, 0.5)
    assert (half.rotate, half.blur) == (10.0, 0.2)
    assert (half.flip, half.mixup, half.grow, half.mirror) == (0.5, 0.3, 0.5, "same")


def test_noise_is_added_where_it_is_drawn() -> None:
    grey = np.full((40, 40, 3), 128, np.uint8)
    noisy = random_view(grey, 32, NO_AUGMENT.model_copy(update={"noise": 1.0}), np.random.default_rng(0))
    assert 1 < noisy.astype(float).std() < 13
    assert abs(noisy.mean() - 128) < 1.5
    assert (random_view(grey, 32, NO_AUGMENT, np.random.default_rng(0)) == 128).all()


def test_a_padded_view_keeps_proportions_and_is_filled_with_the_colour_of_the_edge() -> None:
    pixels = np.full((20, 60, 3), 200, np.uint8)
    pixels[4:14, 20:40] = 10
    square = squared(pixels)
    assert square.shape == (60, 60, 3)
    assert (square[:20] == 200).all()
    assert np.array_equal(square[20:40], pixels)
    view = plain_view(pixels, 30, padded=True)
    assert ((view < 100).any(axis=(1, 2)).sum(), (view < 100).any(axis=(0, 2)).sum()) == (5, 10)
    assert np.array_equal(squared(square), square)


def test_the_colour_of_the_edge_is_the_usual_one() -> None:
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[0] = (9, 8, 7)
    pixels[:, 0] = pixels[:, -1] = (9, 8, 7)
    pixels[-1] = 250
    assert edge_colour(pixels).tolist() == [9, 8, 7]


def test_what_a_padded_pose_shows_beside_the_crop_is_the_colour_of_its_edge() -> None:
    pixels = np.full((40, 40, 3), 200, np.uint8)
    pixels[10:30, 10:30] = 10
    view = posed_view(pixels, 40, Pose(zoom=0.5), padded=True)
    assert (view[0] == 200).all()
    assert 80 < (view[..., 0] < 100).sum() < 120  # a quarter of 400


def test_a_stretch_widens_and_keeps_the_area() -> None:
    pixels = np.full((80, 80, 3), 255, np.uint8)
    pixels[30:50, 30:50] = 0
    dark = posed_view(pixels, 80, Pose(stretch=1.44))[..., 0] < 128
    width, height = dark.any(axis=0).sum(), dark.any(axis=1).sum()
    assert (width, height) == (pytest.approx(24, abs=1), pytest.approx(20 / 1.2, abs=1))


def test_zoom_by_ratio_is_even_in_its_logarithm() -> None:
    pixels = np.full((96, 96, 3), 255, np.uint8)
    pixels[32:64, 32:64] = 0
    augment = _augment(zoom=0.6, zoom_by="ratio")
    sides = [np.sqrt((_view(pixels, 96, augment, seed)[..., 0] < 128).sum()) / 32 for seed in range(300)]
    assert 1 / 1.65 < min(sides) < 1 / 1.5
    assert 1.5 < max(sides) < 1.65
    assert abs(np.log(sides).mean()) < 0.04
