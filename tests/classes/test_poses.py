"""The views whose answers are averaged."""

import math

import numpy as np
import pytest
from conftest import scenery

from finprint.classes.params import Guess
from finprint.classes.poses import halton, looks, ten_crop
from finprint.model.views import plain_view


def _asked(kind: str, count: int = 1) -> Guess:
    return Guess.model_validate({"batch": 1, "views": kind, "count": count, "rotate": 15, "members": {}})


def _views(kind: str, count: int = 1, padded: bool = False) -> list[np.ndarray]:
    return [look(scenery(1), 48, padded) for look in looks(_asked(kind, count))]


@pytest.mark.parametrize(
    ("kind", "count", "views"), [("plain", 1, 1), ("mirror", 1, 2), ("turns", 1, 8), ("halton", 5, 5)]
)
def test_the_plain_view_is_the_first_and_all_differ(kind: str, count: int, views: int) -> None:
    made = _views(kind, count)
    assert len(made) == views
    assert np.array_equal(made[0], plain_view(scenery(1), 48))
    assert len({view.tobytes() for view in made}) == views
    assert {view.shape for view in made} == {(48, 48, 3)}


def test_turns_are_those_of_the_square() -> None:
    made, plain = _views("turns", padded=True), plain_view(scenery(1), 48, padded=True)
    assert np.array_equal(made[1], np.rot90(plain))
    assert np.array_equal(made[4], plain[:, ::-1])


def test_ten_crops_are_five_places_and_their_mirror_images() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8)[:, None] * 2, (1, 64))[..., None].repeat(3, axis=2)  # dark above
    made = [look(ramp, 64, False) for look in looks(_asked("ten_crop"))]
    assert len(made) == len(ten_crop()) == 10
    tops = [view[2:5].mean() for view in made]
    assert max(tops[1], tops[2]) < tops[0] < min(tops[3], tops[4])  # upper corners, middle, lower corners


def test_halton_poses_stay_in_their_bounds_and_are_the_same_each_time() -> None:
    poses = halton(70, 20.0)
    assert poses == halton(70, 20.0)
    angles = [math.degrees(pose.angle) for pose in poses]
    assert -20 < min(angles) < -18
    assert 18 < max(angles) < 20
    assert [pose.angle * 9 for pose in poses] == pytest.approx([pose.angle for pose in halton(70, 180.0)])
    assert all(1 / 1.4 <= pose.zoom <= 1.4 and 1 / 1.2 <= pose.stretch <= 1.2 for pose in poses)
    assert 25 < sum(pose.mirror for pose in poses) < 45
