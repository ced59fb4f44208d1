"""Crops: the right cut of the right pixels, whatever the scale at which the photo was looked at."""

import filecmp
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import save_photo, scenery
from hypothesis import given
from hypothesis import strategies as st

from finprint.cropping import choose, crop_photos, with_margin
from finprint.detector import Found
from finprint.images import decode, resize
from finprint.params import Crop, load_params
from finprint.shards import Crops
from finprint.tables import REJECTS, read_table

OURS = load_params(Path(__file__).parents[1] / "params.yaml").crop
BOX = ["x_min", "y_min", "x_max", "y_max"]
RED, BLUE = (255, 0, 0), (0, 0, 255)


class ColourFinder:
    """A detector that really looks: the body is red, the fin blue. It is as sure of each as it is told to be."""

    def __init__(self, image_size: int = 128, **sure: float) -> None:
        self.image_size = image_size
        self.sure = sure or {"body": 0.9}
        self.seen: list[tuple[int, int]] = []

    def find(self, photos: list[np.ndarray], confidence: float) -> list[list[Found]]:
        self.seen += [(photo.shape[1], photo.shape[0]) for photo in photos]
        return [[one for one in self._look(photo) if one.confidence >= confidence] for photo in photos]

    def _look(self, photo: np.ndarray) -> list[Found]:
        found = []
        for part, sure in self.sure.items():
            away = np.abs(photo.astype(int) - {"body": RED, "fin": BLUE}[part]).max(axis=2)
            rows, columns = np.nonzero(away < 110)
            if len(rows):
                corners = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                found.append(Found(part, np.array(corners, float), sure))
        return found


def _params(**changes: Any) -> Crop:
    fixed = {
        "parts": ["body", "fin"],
        "confidence": 0.25,
        "margin": 0.1,
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


def _table(*paths: Path) -> pd.DataFrame:
    return pd.DataFrame({"image": [p.name for p in paths], "path": [str(p) for p in paths]}, columns=["image", "path"])


def _crop(out: Path, *paths: Path, detector: Any = None, **changes: Any) -> Crops:
    crop_photos(_table(*paths), detector, _params(**changes), out)
    return Crops(out)


def _row(crops: Crops, number: int = 0) -> tuple[str, list[float], float]:
    row = crops.index.iloc[number]
    return row["part"], row[BOX].tolist(), row["confidence"]


def _decibels(left: np.ndarray, right: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(((left.astype(float) - right.astype(float)) ** 2).mean(), 1e-9)))


# -- choosing --


def _found(part: str, sure: float, corner: float = 0.0) -> Found:
    return Found(part, np.array([corner, corner, corner + 9, corner + 9]), sure)


@pytest.mark.parametrize(
    ("found", "part", "corner"),
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
def test_choosing_by_hand(found: list[tuple[str, float, float]], part: str, corner: float) -> None:
    chosen = choose([_found(*one) for one in found], _params(), 50, 40)
    assert (chosen.part, chosen.box[0]) == (part, corner)
    if part == "whole":
        assert chosen.box.tolist() == [0, 0, 50, 40]
        assert chosen.confidence == 0


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
    assert with_margin(np.array(box, float), margin, 100, 60) == cut


@given(data=st.data(), width=st.integers(1, 300), height=st.integers(1, 300), margin=st.floats(0, 1))
def test_a_cut_holds_the_box_and_lies_in_the_photo(data: st.DataObject, width: int, height: int, margin: float) -> None:
    x_min, x_max = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width))))
    y_min, y_max = sorted(data.draw(st.tuples(st.floats(0, height), st.floats(0, height))))
    left, top, right, bottom = with_margin(np.array([x_min, y_min, x_max, y_max]), margin, width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    if x_min < width and y_min < height:
        assert left <= x_min
        assert top <= y_min
    assert right >= x_max
    assert bottom >= y_max
    assert right - left <= (x_max - x_min) * (1 + 2 * margin) + 2 + 1e-6


# -- cutting --


def test_the_box_is_cut_out_with_its_margin(tmp_path: Path) -> None:
    path = save_photo(tmp_path / "a.jpg", _sea(200, 150, (RED, (40, 30, 140, 110))), quality=95)
    crops = _crop(tmp_path / "out", path, detector=ColourFinder(256), image_size=500)
    part, box, confidence = _row(crops)
    assert (part, confidence) == ("body", 0.9)
    assert np.allclose(box, [40, 30, 140, 110], atol=2)
    left, top, right, bottom = with_margin(np.array(box), 0.1, 200, 150)
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
    crops = _crop(tmp_path / "out", path, detector=ColourFinder(256), image_size=96, margin=0.0)
    _, box, _ = _row(crops)
    assert np.allclose(box, [1200, 600, 1320, 700], atol=2 * 2000 / 256)
    left, top, right, bottom = with_margin(np.array(box), 0.0, 2000, 1504)
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


def test_a_photo_gone_bad_since_prepare_is_listed_and_the_rest_goes_on(tmp_path: Path) -> None:
    paths = _photos(tmp_path / "in", 20)
    paths[1].write_bytes(paths[1].read_bytes()[:-500])
    paths[3].unlink()
    paths[17].write_bytes(b"")
    good = [path for number, path in enumerate(paths) if number not in (1, 3, 17)]
    counts = crop_photos(_table(*paths), ColourFinder(64, body=0.1), _params(shard_photos=4), tmp_path / "out")  # type: ignore[arg-type]
    assert (counts["photos"], counts["whole"], counts["rejects"]) == (20, 17, 3)
    crops = Crops(tmp_path / "out")
    assert crops.index["image"].tolist() == [path.name for path in good]
    for number, path in enumerate(good):  # nobody got a neighbour's pixels
        assert _decibels(crops.pixels(number), resize(decode(path)[0], *crops.pixels(number).shape[1::-1])) > 30
    rejects = read_table(tmp_path / "out" / "rejects.csv", REJECTS)
    assert rejects["image"].tolist() == ["1.jpg", "3.jpg", "17.jpg"]
    assert rejects["table"].unique().tolist() == ["photos"]
    assert rejects["reason"].iloc[0].startswith("cannot be decoded: image file is truncated")
    assert rejects["reason"].iloc[1:].tolist() == ["not on disk", "empty file"]


@pytest.mark.parametrize("count", [0, 3])
def test_no_photo_is_good(tmp_path: Path, count: int) -> None:
    paths = _photos(tmp_path / "in", count)
    for path in paths:
        path.write_bytes(b"")
    counts = crop_photos(_table(*paths), None, _params(), tmp_path / "out")
    assert counts == {"photos": count, "body": 0, "fin": 0, "whole": 0, "rejects": count, "confidence": 0.0}
    assert len(Crops(tmp_path / "out")) == 0
    assert len(read_table(tmp_path / "out" / "rejects.csv", REJECTS)) == count


def test_counts_by_hand(tmp_path: Path) -> None:
    body, fin = (RED, (20, 30, 80, 70)), (BLUE, (20, 30, 80, 70))
    photos = [_sea(100, 100, body), _sea(100, 100, body), _sea(100, 100, fin), _sea(100, 100)]
    paths = [save_photo(tmp_path / "in" / f"{n}.jpg", pixels) for n, pixels in enumerate(photos)]
    counts = crop_photos(_table(*paths), ColourFinder(128, body=0.9, fin=0.6), _params(), tmp_path / "out")  # type: ignore[arg-type]
    assert counts == {"photos": 4, "body": 2, "fin": 1, "whole": 1, "rejects": 0, "confidence": pytest.approx(0.8)}


class Blown(ColourFinder):
    """A detector that runs out of memory on its second batch."""

    def find(self, photos: list[np.ndarray], confidence: float) -> list[list[Found]]:
        if self.seen:
            raise MemoryError("out of memory")
        return super().find(photos, confidence)


def test_an_escaping_exception_leaves_nothing_half_written(tmp_path: Path) -> None:
    paths = _photos(tmp_path / "in", 20)
    with pytest.raises(MemoryError):
        _crop(tmp_path / "work" / "out", *paths, detector=Blown(64))
    assert list((tmp_path / "work").iterdir()) == []
    _crop(tmp_path / "work" / "out", *paths[:2])
    with pytest.raises(MemoryError):
        _crop(tmp_path / "work" / "out", *paths, detector=Blown(64))
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["out"]
    assert len(Crops(tmp_path / "work" / "out")) == 2  # the old crops, whole
