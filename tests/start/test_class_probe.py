"""A look at some images: have they an upright position?"""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import prepare_params, save_photo

from finprint.base.params import changed
from finprint.params import load_params
from finprint.start import class_probe
from finprint.start.class_probe import better, probe_classes, spread
from finprint.start.class_recipe import SURE
from finprint.survey.look import Looked, look

OURS = Path(__file__).parents[2] / "params.yaml"


def _arrow(seed: int, head: bool, turn: float) -> np.ndarray:
    """(96, 96, 3) a stick, with a head or without, whose end points to `turn` degrees."""
    rng = np.random.default_rng(seed)
    page = rng.integers(190, 230, (96, 96, 3)).astype(np.uint8)
    points = np.array([[20.0, 0], [-20, 0], *([[8, 12], [20, 0], [8, -12]] if head else [])])
    angle = np.radians(turn)
    turned = points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    placed = (48 + turned + rng.uniform(-6, 6, 2)).astype(np.int32)
    for one, other in zip(placed[:-1].tolist(), placed[1:].tolist(), strict=True):
        cv2.line(page, one, other, rng.integers(0, 80, 3).tolist(), 4)
    return page


def _folder(root: Path, upright: bool, count: int = 60) -> Looked:
    """Two classes: arrows that point up or down; or arrows and sticks that point anywhere."""
    rng = np.random.default_rng(0)
    for number in range(count):
        first = number % 2 == 0
        turn = (90 if first else 270) if upright else rng.uniform(0, 360)
        save_photo(root / f"{'one' if first else 'two'}/{number}.jpg", _arrow(number, upright or first, turn))
    return look(root, prepare_params(source="sample"))


@pytest.mark.usefixtures("training_state")
def test_arrows_that_point_anywhere_are_not_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_probe, "TIMED", 4)
    base = changed(load_params(OURS), {"train.batch": 4, "embed.batch": 4})
    upright = probe_classes(_folder(tmp_path / "upright", True), base)
    monkeypatch.setattr(class_probe, "frozen_sections", lambda base, turns: {})  # they were timed above
    monkeypatch.setattr(class_probe, "training_speed", lambda cut, base: upright.speed)
    turned = probe_classes(_folder(tmp_path / "turned", False), base)
    assert upright.turns < -SURE
    assert turned.turns > 1
    assert set(upright.views) == {"large0", "large1", "large2", "lite1", "lite2", "plain"}
    assert 0 < upright.views["plain"] < upright.views["large2"]
    assert upright.fit > 0
    assert min(upright.speed.learning(96), upright.speed.embedding(96)) > 1e-5


def test_standard_errors_by_hand() -> None:
    """Features that tell the class against noise, both ways."""
    rng = np.random.default_rng(1)
    codes = np.arange(80) % 2
    noise = rng.normal(size=(80, 2, 4)).astype(np.float32)
    clear = noise + 3 * codes[:, None, None]
    assert better(clear, noise, codes) > SURE
    assert better(noise, clear, codes) == pytest.approx(-better(clear, noise, codes))
    assert better(noise, noise, codes) == 0


def test_small_classes_are_seen_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_probe, "SEEN", 10)
    for number in range(30):
        name = "rare" if number < 3 else "common"
        save_photo(tmp_path / f"{name}/{number}.jpg", _arrow(number, True, 0))
    paths, names = spread(look(tmp_path, prepare_params(source="sample")))
    assert sorted(names) == ["common"] * 7 + ["rare"] * 3
    assert len(set(paths)) == 10
    assert all(path.parent.name == name for path, name in zip(paths, names, strict=True))
