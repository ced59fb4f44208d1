"""Crops: the right cut of the right pixels, whatever the scale at which the photo was looked at."""

import filecmp
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from closure import modules, rooms
from conftest import save_photo, scenery
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from finprint.base.errors import UserError
from finprint.base.files import sha256_bytes, sha256_path
from finprint.crops import cropping
from finprint.crops.cache import CropCache
from finprint.crops.cropping import CODE, crop_key, crop_photos
from finprint.crops.cutting import (
    PhotoFile,
    boxes_step,
    choose,
    cut_step,
    look_step,
    place,
    read,
    stored_pixels,
    with_border,
)
from finprint.crops.params import Crop
from finprint.detector.yolo import Detection
from finprint.params import load_params
from finprint.pictures.images import BadPhoto, decode, resize
from finprint.pictures.shards import Crops
from finprint.store.tables import BOXES, PHOTOS, REJECTS, SIDES, read_table

OURS = load_params(Path(__file__).parents[2] / "params.yaml").crop
RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Caches go to a temporary folder; OpenCV's threads, which cropping switches off, are put back."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "root"))
    threads = cv2.getNumThreads()
    yield
    cv2.setNumThreads(threads)


class ColourFinder:
    """A detector that really looks: the body is red, the fin blue. It is as sure of each as it is told to be."""

    def __init__(self, image_size: int = 128, **sure: float) -> None:
        self.image_size, self.parts = image_size, ["body", "fin"]
        self.sure = sure or {"body": 0.9}
        self.seen: list[tuple[int, int]] = []

    def find(self, photos: list[np.ndarray], confidence: float) -> list[list[Detection]]:
        self.seen += [(photo.shape[1], photo.shape[0]) for photo in photos]
        return [[one for one in self._look(photo) if one.confidence >= confidence] for photo in photos]

    def _look(self, photo: np.ndarray) -> list[Detection]:
        detections = []
        for part, sure in self.sure.items():
            away = np.abs(photo.astype(int) - {"body": RED, "fin": BLUE}[part]).max(axis=2)
            rows, columns = np.nonzero(away < 110)
            if len(rows):
                corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                detections.append(Detection(part, np.array(corners, float), sure))
        return detections


def _params(**changes: Any) -> Crop:
    fixed = {
        "parts": ["body", "fin"],
        "confidence": 0.25,
        "border": 0.1,
        "image_size": 64,
        "quality": 95,
        "shard_photos": 100,
    }
    return Crop.model_validate(OURS.model_dump() | fixed | changes)


def _sea(width: int, height: int, *patches: tuple[tuple[int, int, int], tuple[int, int, int, int]]) -> np.ndarray:
    """A grey sea with patches of colour: (colour, (x_min, y_min, x_max, y_max))."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    for colour, (left, top, right, bottom) in patches:
        pixels[top:bottom, left:right] = colour
    return pixels


def _table(*paths: Path, split: str = "train") -> pd.DataFrame:
    """The table of photos, as `prepare` would have seen them; of a damaged one it would know nothing good."""
    rows = []
    for number, path in enumerate(paths):
        try:
            width, height = decode(path)[1]
        except BadPhoto:
            width, height = 100, 80
        digest = sha256_bytes(path.read_bytes() if path.exists() else str(path).encode())
        fact = {"image": path.name, "path": str(path), "sha256": digest, "width": width, "height": height}
        rows.append(
            fact | {"species": None, "identity": None, "encounter": None, "group": number, "split": split, "fold": -1}
        )
    return PHOTOS.validate(pd.DataFrame(rows, columns=list(PHOTOS.columns)))


def _boxes(*rows: tuple[str, str, tuple[float, float, float, float], float]) -> pd.DataFrame:
    """The table of boxes of rows (image, part, corners, confidence)."""
    told = [(image, image, "0" * 64, 9, 9, image, part, *corners, sure) for image, part, corners, sure in rows]
    return BOXES.validate(pd.DataFrame(told, columns=list(BOXES.columns)))


def _counted(
    out: Path, photos: pd.DataFrame, told: pd.DataFrame | None = None, detector: Any = None, **changes: Any
) -> dict[str, float]:
    """Crop, with the cache of all crops that this test made with such params."""
    key = sha256_bytes(repr([sorted((changes | {"shard_photos": 0}).items()), detector and detector.sure]).encode())
    with CropCache(key) as cache:
        return crop_photos(photos, _boxes() if told is None else told, detector, _params(**changes), cache, out)


def _crop(out: Path, *paths: Path, detector: Any = None, **changes: Any) -> Crops:
    _counted(out, _table(*paths), None, detector, **changes)
    return Crops(out)


def _row(crops: Crops, number: int = 0) -> tuple[str, list[float], float]:
    row = crops.index.iloc[number]
    return row["part"], row[SIDES].tolist(), row["confidence"]


def _decibels(left: np.ndarray, right: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(((left.astype(float) - right.astype(float)) ** 2).mean(), 1e-9)))


# -- choosing --


def _detection(part: str, sure: float, corner: float = 0.0) -> Detection:
    return Detection(part, np.array([corner, corner, corner + 9, corner + 9]), sure)


@pytest.mark.parametrize(
    ("told", "part", "corner"),
    [
        ([("fin", 0.9, 1), ("body", 0.3, 2)], "body", 2),  # the preferred part, though less sure
        ([("body", 0.4, 1), ("body", 0.8, 2), ("body", 0.6, 3)], "body", 2),  # the surest of it
        ([("body", 0.24, 1), ("fin", 0.5, 2)], "fin", 2),  # too doubtful a body is none
        ([("body", 0.25, 1)], "body", 1),  # the floor itself counts
        ([("boat", 0.99, 1)], "whole", 0),  # a part nobody asked for
        ([("body", 0.2, 1), ("fin", 0.1, 2)], "whole", 0),
        ([], "whole", 0),
    ],
)
def test_choosing_by_hand(told: list[tuple[str, float, float]], part: str, corner: float) -> None:
    first, *others = choose([_detection(*one) for one in told], _params(), (50, 40))
    assert (first.part, first.box[0]) == (part, corner)
    assert [other.confidence for other in others] == ([0.6, 0.4] if len(told) == 3 else [])
    if part == "whole":
        assert first.box.tolist() == [0, 0, 50, 40]
        assert first.confidence == 0


@pytest.mark.parametrize(
    ("box", "margin", "cut"),
    [
        ((20, 20, 40, 30), 0.0, (20, 20, 40, 30)),
        ((20, 20, 40, 30), 0.1, (18, 19, 42, 31)),
        ((20.6, 20.6, 39.2, 29.2), 0.0, (20, 20, 40, 30)),  # whole pixels, outwards
        ((1, 2, 41, 22), 0.5, (0, 0, 61, 32)),  # clipped at the corner
        ((60, 40, 100, 60), 1.0, (20, 20, 100, 60)),
        ((99.8, 59.9, 100, 60), 0.0, (99, 59, 100, 60)),
        ((100, 60, 100, 60), 0.5, (99, 59, 100, 60)),  # never empty
    ],
)
def test_margins_by_hand(box: tuple[float, ...], margin: float, cut: tuple[int, ...]) -> None:
    assert with_border(np.array(box, float), margin, 100, 60) == cut


@given(data=st.data(), width=st.integers(1, 300), height=st.integers(1, 300), margin=st.floats(0, 1))
def test_a_cut_holds_the_box_and_lies_in_the_photo(data: st.DataObject, width: int, height: int, margin: float) -> None:
    x_min, x_max = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width))))
    y_min, y_max = sorted(data.draw(st.tuples(st.floats(0, height), st.floats(0, height))))
    left, top, right, bottom = with_border(np.array([x_min, y_min, x_max, y_max]), margin, width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    if x_min < width and y_min < height:
        assert left <= x_min
        assert top <= y_min
    assert right >= x_max
    assert bottom >= y_max
    assert right - left <= (x_max - x_min) * (1 + 2 * margin) + 2 + 1e-6


# -- cutting --


def test_of_a_photo_without_a_box_a_part_may_be_the_crop(tmp_path: Path) -> None:
    """As far as it is told, with no margin, and decoded fine enough for that part; a box that counts comes first."""
    wanted: dict[str, Any] = {"whole": [0.25, 0.5, 0.75, 0.75], "border": 0.2, "image_size": 64}
    sea = save_photo(tmp_path / "sea.jpg", _sea(2048, 1024, (BLUE, (512, 512, 1536, 768))), quality=95)
    body = save_photo(tmp_path / "body.jpg", _sea(2048, 1024, (RED, (100, 100, 400, 300))), quality=95)
    for detector in (None, ColourFinder(256)):
        crops = _crop(tmp_path / "out", sea, body, detector=detector, **wanted)
        assert _row(crops) == ("whole", [512, 512, 1536, 768], 0)
        assert crops.pixels(0).shape == (64, 256, 3)
        assert np.abs(crops.pixels(0)[2:-2, 2:-2].astype(int) - BLUE).max() < 8
        assert _row(crops, 1)[0] == ("body" if detector else "whole")


def test_the_box_is_cut_out_with_its_margin(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", _sea(200, 150, (RED, (40, 30, 140, 110))), quality=95)
    crops = _crop(tmp_path / "out", path, detector=ColourFinder(256), image_size=500)
    part, box, confidence = _row(crops)
    assert (part, confidence) == ("body", 0.9)
    assert np.allclose(box, [40, 30, 140, 110], atol=2)
    left, top, right, bottom = with_border(np.array(box), 0.1, 200, 150)
    stored = crops.pixels(0)
    assert stored.shape == (bottom - top, right - left, 3)  # nothing is enlarged to 500
    assert _decibels(stored, decode(path)[0][top:bottom, left:right]) > 35


@pytest.mark.parametrize("size", [(1000, 700), (1001, 667), (333, 901)])
def test_boxes_are_in_pixels_of_the_full_photo(tmp_path: Path, size: tuple[int, int]) -> None:
    """The photo is decoded at a quarter or so, and the detector sees it smaller still."""
    width, height = size
    where = (width // 4, height // 3, width * 3 // 4, height * 2 // 3)
    path = save_photo(tmp_path / "a.jpg", _sea(width, height, (RED, where)))
    detector = ColourFinder(160)
    part, box, _ = _row(_crop(tmp_path / "out", path, detector=detector))
    assert part == "body"
    assert max(detector.seen[0]) == 160  # its longer side, and the photo's shape
    assert np.isclose(detector.seen[0][0] / detector.seen[0][1], width / height, rtol=0.02)
    assert np.allclose(box, where, atol=2 * max(size) / 160)


@pytest.mark.parametrize("size", [(1000, 700), (1001, 667), (333, 901), (30, 20)])
@pytest.mark.parametrize("detector", [None, ColourFinder(128, body=0.2)], ids=["off", "unsure"])
def test_without_a_box_the_whole_photo_is_the_crop(tmp_path: Path, size: tuple[int, int], detector: Any) -> None:
    path = save_photo(tmp_path / "a.jpg", _sea(*size, (RED, (5, 5, 20, 15))))
    crops = _crop(tmp_path / "out", path, detector=detector)
    assert _row(crops) == ("whole", [0, 0, *size], 0)
    assert min(crops.pixels(0).shape[:2]) == min(64, *size)


def test_the_preferred_part_is_cut(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", _sea(300, 300, (RED, (20, 100, 280, 200)), (BLUE, (120, 20, 180, 90))))
    finder = ColourFinder(320, body=0.5, fin=0.9)
    for parts, colour in ((["body", "fin"], RED), (["fin", "body"], BLUE), (["fin"], BLUE)):
        crops = _crop(tmp_path / "out", path, detector=finder, parts=parts)
        stored = crops.pixels(0)
        middle = stored[stored.shape[0] // 2, stored.shape[1] // 2]
        assert np.abs(middle.astype(int) - colour).max() < 40
        assert _row(crops)[0] == {RED: "body", BLUE: "fin"}[colour]


def test_the_stored_shorter_side_is_what_was_asked_for(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", _sea(900, 700, (RED, (100, 100, 800, 400))))
    stored = _crop(tmp_path / "out", path, detector=ColourFinder(256), image_size=48).pixels(0)
    assert stored.shape[0] == 48
    assert math.isclose(stored.shape[1] / 48, 700 / 300, rel_tol=0.06)  # the animal's shape is kept


def test_a_small_animal_in_a_large_photo_is_cut_from_a_finer_decode(tmp_path: Path) -> None:
    pixels = _sea(2000, 1504)
    body = np.random.default_rng(1).integers(0, 2, (50, 60)).astype(np.uint8)  # red skin with fine dark marks
    skin = np.dstack([255 - 140 * body, 0 * body, 0 * body]).repeat(2, 0).repeat(2, 1)
    pixels[600:700, 1200:1320] = skin
    path = save_photo(tmp_path / "a.jpg", pixels, quality=97)
    crops = _crop(tmp_path / "out", path, detector=ColourFinder(256), image_size=96, border=0.0)
    _, box, _ = _row(crops)
    assert np.allclose(box, [1200, 600, 1320, 700], atol=2 * 2000 / 256)
    left, top, right, bottom = with_border(np.array(box), 0.0, 2000, 1504)
    stored, full = crops.pixels(0), decode(path)[0]
    height, width = stored.shape[:2]
    assert height == 96
    wanted = resize(full[top:bottom, left:right], width, height)
    quarter = resize(decode(path, 376)[0], 2000, 1504)[top:bottom, left:right]
    assert _decibels(stored, wanted) > 27
    assert _decibels(resize(quarter, width, height), wanted) < 22  # the control: what a coarse decode would show


def test_a_photo_on_its_side_is_cropped_upright(tmp_path: Path) -> None:
    upright = _sea(300, 400, (RED, (50, 300, 150, 380)))
    path = save_photo(tmp_path / "a.jpg", np.ascontiguousarray(np.rot90(upright)), orientation=6)
    crops = _crop(tmp_path / "out", path, detector=ColourFinder(416))
    assert np.allclose(_row(crops)[1], [50, 300, 150, 380], atol=3)
    assert crops.pixels(0)[30, 40, 0] > 200


# -- many photos --


def _photos(folder: Path, count: int) -> list[Path]:
    return [save_photo(folder / f"{number}.jpg", scenery(number, 100 + number, 80)) for number in range(count)]


def test_shards_are_filled_in_order(tmp_path: Path) -> None:
    paths = _photos(tmp_path / "in", 7)
    crops = _crop(tmp_path / "out", *paths, shard_photos=3)
    assert crops.index["image"].tolist() == [path.name for path in paths]
    assert crops.index["shard"].tolist() == [f"crops-{number // 3:05}.tar" for number in range(7)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "crops-00000.tar", "crops-00001.tar", "crops-00002.tar", "index.parquet", "rejects.csv",
    ]  # fmt: skip
    for number, path in enumerate(paths):
        pixels = decode(path)[0]
        height, width = crops.pixels(number).shape[:2]
        assert _decibels(crops.pixels(number), resize(pixels, width, height)) > 30


def test_the_same_photos_give_the_same_bytes(tmp_path: Path) -> None:
    paths = _photos(tmp_path / "in", 20)
    for name in ("one", "other"):
        _crop(tmp_path / name, *paths, detector=ColourFinder(64), shard_photos=6)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 4 + 2
    assert filecmp.cmpfiles(tmp_path / "one", tmp_path / "other", names, shallow=False) == (names, [], [])


def test_a_bad_photo_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    paths = _photos(tmp_path / "in", 20)
    paths[1].write_bytes(paths[1].read_bytes()[:-500])
    paths[3].write_text("no photo")
    paths[17].write_bytes(b"")
    good = [path for number, path in enumerate(paths) if number not in (1, 3, 17)]
    counts = _counted(tmp_path / "out", _table(*paths), None, ColourFinder(64, body=0.1), shard_photos=4)
    assert (counts["photos"], counts["whole"], counts["rejects"]) == (20, 17, 3)
    crops = Crops(tmp_path / "out")
    assert crops.index["image"].tolist() == [path.name for path in good]
    for number, path in enumerate(good):  # nobody got a neighbour's pixels
        assert _decibels(crops.pixels(number), resize(decode(path)[0], *crops.pixels(number).shape[1::-1])) > 30
    rejects = read_table(tmp_path / "out" / "rejects.csv", REJECTS)
    assert rejects["image"].tolist() == ["1.jpg", "3.jpg", "17.jpg"]
    assert rejects["table"].unique().tolist() == ["photos"]
    assert rejects["reason"].iloc[0].startswith("cannot be decoded: image file is truncated")
    assert rejects["reason"].iloc[1:].tolist() == ["not an image", "empty file"]


@pytest.mark.parametrize("count", [0, 3])
def test_no_photo_is_good(tmp_path: Path, count: int) -> None:
    paths = _photos(tmp_path / "in", count)
    for path in paths:
        path.write_bytes(b"")
    counts = _counted(tmp_path / "out", _table(*paths))
    assert counts == {"photos": count, "body": 0, "fin": 0, "whole": 0, "rejects": count, "confidence": 0.0}
    assert len(Crops(tmp_path / "out")) == 0
    assert len(read_table(tmp_path / "out" / "rejects.csv", REJECTS)) == count


def test_counts_by_hand(tmp_path: Path) -> None:
    body, fin = (RED, (20, 30, 80, 70)), (BLUE, (20, 30, 80, 70))
    photos = [_sea(100, 100, body), _sea(100, 100, body), _sea(100, 100, fin), _sea(100, 100)]
    paths = [save_photo(tmp_path / "in" / f"{n}.jpg", pixels) for n, pixels in enumerate(photos)]
    counts = _counted(tmp_path / "out", _table(*paths), None, ColourFinder(128, body=0.9, fin=0.6))
    assert counts == {"photos": 4, "body": 2, "fin": 1, "whole": 1, "rejects": 0, "confidence": pytest.approx(0.8)}


class Blown(ColourFinder):
    """A detector that runs out of memory on its second batch."""

    def find(self, photos: list[np.ndarray], confidence: float) -> list[list[Detection]]:
        if self.seen:
            raise MemoryError("out of memory")
        return super().find(photos, confidence)


def test_an_escaping_exception_leaves_nothing_half_written(tmp_path: Path) -> None:
    paths = _photos(tmp_path / "in", 20)
    with pytest.raises(MemoryError):
        _crop(tmp_path / "work" / "out", *paths, detector=Blown(64))
    assert not (tmp_path / "work").exists()
    _crop(tmp_path / "work" / "out", *paths[:2])
    with pytest.raises(MemoryError):
        _crop(tmp_path / "work" / "out", *paths, detector=Blown(64))
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["out"]
    assert len(Crops(tmp_path / "work" / "out")) == 2  # the old crops, whole


# -- scales --


@pytest.mark.parametrize(
    ("side", "step"),
    [(159, 1), (319, 1), (320, 2), (959, 2), (960, 4), (1919, 4), (1920, 8), (9000, 8)],
)
def test_the_scale_of_a_crop_by_hand(side: int, step: int) -> None:
    assert cut_step(side, 160) == step


@pytest.mark.parametrize(
    ("size", "input_size", "slices", "step"),
    [
        ((480, 320), 224, 1, 1),
        ((4000, 3000), 224, 1, 4),  # three times the stored 160 px leave 750
        ((6000, 4000), 224, 1, 8),
        ((4000, 3000), 640, 1, 4),
        ((4000, 3000), 1280, 1, 2),
        ((4000, 3000), 1280, 2, 1),  # a slice has 2222 px
        ((6000, 4000), 640, 2, 4),
    ],
)
def test_the_scale_of_a_look_by_hand(size: tuple[int, int], input_size: int, slices: int, step: int) -> None:
    assert look_step(size, input_size, _params(image_size=160, slices=slices)) == step


@pytest.mark.parametrize("box", [(0, 0, 1600, 1200), (300, 200, 1100, 700), (640, 410, 960, 640)])
def test_a_crop_from_a_reduced_decode_is_that_of_a_full_one(tmp_path: Path, box: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    grain = sum(cv2.resize(rng.normal(0, 6, (1200 // n, 1600 // n, 1)), (1600, 1200))[..., None] for n in (1, 2, 4, 8))
    pixels = np.clip(scenery(4, 1600, 1200) + grain, 0, 255).astype(np.uint8)
    path = save_photo(tmp_path / "a.jpg", pixels)
    body, params = Detection("body", np.array(box, float), 1.0), _params()
    step = boxes_step([body], (1600, 1200), params)
    assert step > 1
    photo = read(PhotoFile(path, sha256_path(path), (1600, 1200)), step)
    mine = stored_pixels(photo, body, params)
    left, top, right, bottom = (step * edge for edge in place(body, step, photo.full, params))
    full = Image.fromarray(decode(path)[0][top:bottom, left:right])
    theirs = np.asarray(full.resize(mine.shape[1::-1], Image.Resampling.BILINEAR))
    assert _decibels(mine, theirs) > 40


# -- given boxes --


def test_given_boxes_are_cut_and_the_detector_does_not_look(tmp_path: Path) -> None:
    paths = [save_photo(tmp_path / f"{n}.jpg", _sea(200, 100, (RED, (20, 20, 90, 80)))) for n in range(4)]
    boxes = _boxes(
        ("0.jpg", "fin", (10, 10, 60, 60), 1.0), ("0.jpg", "body", (100.5, 5, 190, 95), 0.9),
        ("1.jpg", "fin", (30, 30, 80, 90), 0.5),
        ("2.jpg", "body", (30, 30, 80, 90), 0.2), ("2.jpg", "boat", (30, 30, 80, 90), 1.0),  # none that counts
    )  # fmt: skip
    detector = ColourFinder(200, body=0.7)
    _counted(tmp_path / "out", _table(*paths), boxes, detector, boxes_from="given")
    crops = Crops(tmp_path / "out")
    assert [_row(crops, n)[0::2] for n in range(4)] == [("body", 0.9), ("fin", 0.5), ("body", 0.7), ("body", 0.7)]
    assert [_row(crops, n)[1] for n in range(2)] == [[100.5, 5, 190, 95], [30, 30, 80, 90]]
    assert len([size for size in detector.seen if size == (200, 100)]) == cropping.BATCH  # one batch: 2.jpg and 3.jpg
    assert crops.pixels(1).shape[:2] == (96 - 24, 85 - 25)  # with its margin


def test_without_a_detector_photos_without_boxes_are_whole(tmp_path: Path) -> None:
    paths = _photos(tmp_path / "in", 3)
    boxes = _boxes(("1.jpg", "body", (10, 10, 60, 60), 1.0))
    counts = _counted(tmp_path / "out", _table(*paths), boxes, boxes_from="given")
    assert counts == {"photos": 3, "body": 1, "fin": 0, "whole": 2, "rejects": 0, "confidence": 1.0}
    assert Crops(tmp_path / "out").index["image"].tolist() == [path.name for path in paths]


def test_boxes_are_read_only_where_they_are_asked_for(tmp_path: Path) -> None:
    boxes = _boxes(("0.jpg", "body", (10, 10, 60, 60), 1.0))
    assert _counted(tmp_path / "out", _table(*_photos(tmp_path / "in", 1)), boxes)["whole"] == 1


def _named_twice(tmp_path: Path) -> pd.DataFrame:
    """Photos 0 and 1 show two named animals each, photo 2 one."""
    photos = _table(*_photos(tmp_path / "in", 3))
    return pd.concat([photos, photos.iloc[:2].assign(image=["0.jpg#2", "1.jpg#2"])], ignore_index=True)


def test_several_named_animals_need_given_boxes(tmp_path: Path) -> None:
    photos = _named_twice(tmp_path)
    with pytest.raises(UserError) as caught:
        _counted(tmp_path / "out", photos)
    assert str(caught.value) == ("2 photos show several named animals, such as 0.jpg: set crop.boxes_from to given")
    boxes = _boxes(*((image, "body", (9 * n, 5, 9 * n + 50, 60), 1.0) for n, image in enumerate(photos["image"])))
    _counted(tmp_path / "out", photos, boxes, boxes_from="given", animals="each")
    crops = Crops(tmp_path / "out")
    assert crops.index["image"].tolist() == photos["image"].tolist()
    assert crops.index["x_min"].tolist() == [0, 9, 18, 27, 36]
    _counted(tmp_path / "out", photos, boxes.iloc[:3], boxes_from="given")
    lost = read_table(tmp_path / "out" / "rejects.csv", REJECTS)
    assert lost["image"].tolist() == [image for image in photos["image"].iloc[3:] if image in ("0.jpg#2", "1.jpg#2")]
    assert set(lost["reason"]) == {"shares its photo with other animals and has no box that counts"}
    alone = ~photos["path"].duplicated(keep=False)
    boxes.loc[boxes["image"].isin(photos.loc[alone, "image"]), "part"] = "tail"
    with pytest.raises(UserError) as caught:
        _counted(tmp_path / "out", photos, boxes, boxes_from="given", parts=["tail"])
    assert str(caught.value) == (
        "4 animals share a photo with others, and none of them has a box of crop.parts (tail): "
        "add the part that your boxes show (prepare.csv.part, prepare.boxes) to crop.parts"
    )


# -- each animal --

PAIR = [
    ("a.jpg", "body", (10, 10, 60, 60), 0.6), ("a.jpg", "body", (100, 10, 190, 90), 0.8),
    ("a.jpg", "body", (0, 0, 9, 9), 0.2), ("a.jpg", "fin", (50, 5, 90, 60), 0.9),
]  # fmt: skip


def test_every_animal_of_a_photo_to_identify_is_a_crop(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", _sea(200, 100))
    for split, animals, names in (
        ("test", "each", ["a.jpg", "a.jpg#2"]), ("test", "best", ["a.jpg"]), ("train", "each", ["a.jpg"]),
    ):  # fmt: skip
        _counted(tmp_path / "out", _table(path, split=split), _boxes(*PAIR), boxes_from="given", animals=animals)
        crops = Crops(tmp_path / "out")
        assert crops.index["image"].tolist() == names
        assert crops.index["confidence"].tolist() == [0.8, 0.6][: len(names)]
        assert crops.index["x_min"].tolist() == [100, 10][: len(names)]
        assert [crops.pixels(row).shape[0] for row in range(len(crops))] == [64, 60][: len(names)]


def test_a_photo_may_not_have_the_name_of_an_animal(tmp_path: Path) -> None:
    paths = [save_photo(tmp_path / name, _sea(200, 100)) for name in ("a.jpg", "b.jpg")]
    photos = _table(*paths, split="test").assign(image=["a.jpg", "a.jpg#2"])
    with pytest.raises(UserError) as caught:
        _counted(tmp_path / "out", photos, _boxes(*PAIR), boxes_from="given", animals="each")
    assert str(caught.value) == "a.jpg#2 names a photo, but also an animal of crop.animals: rename the photo"
    assert not (tmp_path / "out").exists()


# -- slices --


class SharpFinder(ColourFinder):
    """A detector that sees nothing smaller than 16 px."""

    def _look(self, photo: np.ndarray) -> list[Detection]:
        return [one for one in super()._look(photo) if (one.box[2:] - one.box[:2]).min() >= 16]


def test_slices_find_a_tiny_animal(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", _sea(1600, 1200, (RED, (1000, 300, 1100, 380))))
    assert _row(_crop(tmp_path / "out", path, detector=SharpFinder(256)))[0] == "whole"
    finder = SharpFinder(256)
    part, box, _ = _row(_crop(tmp_path / "out", path, detector=finder, slices=3))
    assert part == "body"
    assert np.allclose(box, (1000, 300, 1100, 380), atol=5)
    assert {size for size in finder.seen if max(size) == 256} >= {(256, 192)}
    assert len(finder.seen) == cropping.BATCH  # the whole photo, nine slices, and six black ones


# -- crops of earlier runs --


def _told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[0]


def _equal(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    return filecmp.cmpfiles(one, other, names, shallow=False) == (names, [], [])


def test_added_photos_cost_only_their_own_crops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = _photos(tmp_path / "in", 30)
    before = ColourFinder(64)
    _counted(tmp_path / "out", _table(*paths[:13], *paths[16:]), None, before, shard_photos=6)
    assert _told(capsys) == "0 of 27 photos were cropped before, 27 to crop"
    again = ColourFinder(64)
    _counted(tmp_path / "out", _table(*paths), None, again, shard_photos=7)
    assert _told(capsys) == "27 of 30 photos were cropped before, 3 to crop"
    assert (len(before.seen), len(again.seen)) == (2 * cropping.BATCH, cropping.BATCH)
    os.environ["DVC_ROOT"] = str(tmp_path / "fresh")  # put back by the fixture
    _counted(tmp_path / "afresh", _table(*paths), None, ColourFinder(64), shard_photos=7)
    assert _told(capsys) == "0 of 30 photos were cropped before, 30 to crop"
    assert _equal(tmp_path / "out", tmp_path / "afresh")


@pytest.mark.parametrize("boxes_from", ["given", "detector"])
@pytest.mark.parametrize(
    ("change", "how"),
    [("swapped", "its content is another"), ("a pixel", "its content is another"), ("gone", "not on disk")],
)
def test_a_photo_that_changed_since_it_was_prepared_stops_the_run_and_spoils_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], boxes_from: str, change: str, how: str
) -> None:
    """Its key is the hash that `prepare` saw: the pixels of another photo must never be kept under it."""
    paths = [save_photo(tmp_path / f"{n}.jpg", _sea(200, 100, (RED, (20, 20, 90 + n, 80)))) for n in range(4)]
    photos, told = _table(*paths), _boxes(*((path.name, "body", (100, 20, 190, 95), 1.0) for path in paths))
    given: dict[str, Any] = {"told": told, "detector": ColourFinder(200), "boxes_from": boxes_from}
    before = paths[1].read_bytes()
    if change == "swapped":
        paths[1].write_bytes(paths[2].read_bytes())
    elif change == "a pixel":
        save_photo(paths[1], _sea(200, 100, (RED, (20, 20, 91, 80)), (BLUE, (150, 50, 151, 51))))
    else:
        paths[1].unlink()
    with pytest.raises(UserError) as caught:
        _counted(tmp_path / "out", photos, **given)
    assert str(caught.value) == f"run `dvc repro prepare` again: {paths[1]} has changed since ({how})"
    assert not (tmp_path / "out").exists()
    paths[1].write_bytes(before)
    _told(capsys)
    _counted(tmp_path / "out", photos, **given)
    assert _told(capsys) == "3 of 4 photos were cropped before, 1 to crop"
    os.environ["DVC_ROOT"] = str(tmp_path / "fresh")  # put back by the fixture
    _counted(tmp_path / "afresh", photos, **given)
    assert _equal(tmp_path / "out", tmp_path / "afresh")


def test_of_many_changed_photos_one_is_named(tmp_path: Path) -> None:
    paths = _photos(tmp_path / "in", 4)
    photos = _table(*paths)
    for path in paths[1:]:
        path.write_bytes(paths[0].read_bytes())
    with pytest.raises(UserError) as caught:
        _counted(tmp_path / "out", photos)
    assert str(caught.value) == (
        f"run `dvc repro prepare` again: {paths[1]} has changed since (its content is another); so have 2 other photos"
    )


def test_a_photo_swapped_between_two_decodes_is_noticed(tmp_path: Path) -> None:
    """A small animal is decoded a second time, finer."""
    path = save_photo(tmp_path / "a.jpg", _sea(2000, 1504, (RED, (1200, 600, 1320, 700))))
    photos = _table(path)

    class Swaps(ColourFinder):
        def find(self, photos: list[np.ndarray], confidence: float) -> list[list[Detection]]:
            save_photo(path, _sea(2000, 1504, (BLUE, (1200, 600, 1320, 700))))
            return super().find(photos, confidence)

    with pytest.raises(UserError, match="has changed since"):
        _counted(tmp_path / "out", photos, None, Swaps(256), image_size=96)


def test_a_changed_photo_or_box_is_cropped_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The control of the test above: bytes do differ where something did."""
    paths = _photos(tmp_path / "in", 5)
    rows: list[Any] = [(path.name, "body", (10, 10, 60, 60), 1.0) for path in paths]
    _counted(tmp_path / "one", _table(*paths), _boxes(*rows), boxes_from="given")
    _told(capsys)
    rows[2] = ("2.jpg", "body", (10, 10, 61, 60), 1.0)
    _counted(tmp_path / "other", _table(*paths), _boxes(*rows), boxes_from="given")
    assert _told(capsys) == "4 of 5 photos were cropped before, 1 to crop"
    assert not _equal(tmp_path / "one", tmp_path / "other")
    save_photo(paths[0], scenery(99, 100, 80))
    _counted(tmp_path / "third", _table(*paths), _boxes(*rows), boxes_from="given")
    assert _told(capsys) == "4 of 5 photos were cropped before, 1 to crop"
    assert not _equal(tmp_path / "other", tmp_path / "third")


def test_a_bad_photo_is_tried_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lack of memory may be over."""
    paths = _photos(tmp_path / "in", 3)
    paths[1].write_bytes(b"no photo")
    photos = _table(*paths)
    for before in (0, 2):
        assert _counted(tmp_path / "out", photos)["rejects"] == 1
        assert _told(capsys) == f"{before} of 3 photos were cropped before, {3 - before} to crop"


def test_what_the_cache_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "detector").mkdir()
    (tmp_path / "detector" / "weights.pt").write_bytes(b"weights")
    key = crop_key(_params(), tmp_path / "detector")
    for change in ({"shard_photos": 3}, {"boxes_from": "given"}, {"animals": "each"}):
        assert crop_key(_params(**change), tmp_path / "detector") == key
    for change in ({"quality": 90}, {"border": 0.2}, {"parts": ["fin"]}, {"slices": 2}, {"image_size": 65}):
        assert crop_key(_params(**change), tmp_path / "detector") != key
    monkeypatch.setattr(cropping, "decoder", lambda: "another")
    assert crop_key(_params(), tmp_path / "detector") != key
    monkeypatch.undo()
    (tmp_path / "detector" / "weights.pt").write_bytes(b"other weights")
    assert crop_key(_params(), tmp_path / "detector") != key


def test_the_cache_depends_on_all_code_that_makes_crops() -> None:
    root = Path(__file__).parents[2]
    imported = rooms(modules(root / "stages" / "crop.py", root / "src"), root / "src")
    others = {"__init__.py", "base", "engine", "store"}  # errors, files, progress, columns: no pixel comes from there
    assert imported == {f"src/finprint/{name}" for name in {*CODE, *others}}


KILLED = """
import sys, time
from pathlib import Path
import pandas as pd
from finprint.crops import cropping
from finprint.crops.cache import CropCache
from finprint.crops.params import Crop
from finprint.store.tables import BOXES
cropping.CHUNK = 32
add = CropCache.add
def slow(self, made):
    add(self, made)
    time.sleep(float(sys.argv[4]))
CropCache.add = slow
photos = pd.read_parquet(sys.argv[1])
boxes = BOXES.validate(pd.DataFrame(columns=list(BOXES.columns)))
with CropCache("killed") as cache:
    cropping.crop_photos(photos, boxes, None, Crop.model_validate_json(sys.argv[2]), cache, Path(sys.argv[3]))
"""


def test_a_killed_run_goes_on_at_its_last_chunk(tmp_path: Path) -> None:
    photos = _table(*_photos(tmp_path / "in", 100))
    photos.to_parquet(tmp_path / "photos.parquet")

    def run(out: str, wait: float) -> "subprocess.Popen[str]":
        args = ["photos.parquet", _params(shard_photos=30).model_dump_json(), out, str(wait)]
        command = [sys.executable, "-c", KILLED, *args]
        env = os.environ | {"PYTHONPATH": str(Path(cropping.__file__).parents[2])}
        return subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)

    victim = run("out", 60.0)
    while not list((tmp_path / "root").glob(".cache/crops/killed/0*.parquet")):
        assert victim.poll() is None
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert not (tmp_path / "out").exists()
    told, _ = run("out", 0.0).communicate()
    assert told == "32 of 100 photos were cropped before, 68 to crop\n"
    _counted(tmp_path / "afresh", photos, shard_photos=30)
    assert _equal(tmp_path / "out", tmp_path / "afresh")


def test_parts_that_no_box_shows_are_refused(tmp_path: Path) -> None:
    photos = _table(*_photos(tmp_path / "in", 3))
    boxes = _boxes(*((image, "dorsal", (5, 5, 50, 60), 1.0) for image in photos["image"]))
    with pytest.raises(UserError) as caught:
        _counted(tmp_path / "out", photos, boxes, boxes_from="given")
    assert str(caught.value) == "crop.parts is body, fin, but the boxes show dorsal: add one of these"
    # Without a detector, each photo is used whole.
    assert _counted(tmp_path / "out", photos, boxes, boxes_from="detector")["whole"] == len(photos)
