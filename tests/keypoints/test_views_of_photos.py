"""What the extractor sees of a photo."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from conftest import save_photo
from scenes import SMALL, matched, scene, stored, turned

from finprint.base.errors import UserError
from finprint.base.files import sha256_path
from finprint.keypoints.views import CutAgain, StoredCrops, enlarged, grown
from finprint.pictures.images import ChangedPhoto
from finprint.pictures.shards import INDEX, Crops
from finprint.store.tables import CROPS, SIDES, read_table, write_table


@pytest.mark.parametrize(
    ("width", "height", "size", "wanted"),
    [(200, 160, 400, (320, 400)), (200, 160, 100, (80, 100)), (100, 31, 400, None), (1000, 80, 320, None)],
)
def test_sizes(width: int, height: int, size: int, wanted: tuple[int, int] | None) -> None:
    pixels = enlarged(np.zeros((height, width, 3), np.uint8), size)
    assert (pixels is None) if wanted is None else (pixels is not None and pixels.shape == (*wanted, 3))


BOX = [400.0, 300.0, 800.0, 620.0]  # of the animal in each photo of 1200 x 900 px


def _survey(folder: Path, suffix: str = ".png") -> tuple[pd.DataFrame, Crops]:
    """Three large photos, each with a scene of 400 x 320 px in it, and small crops of these."""
    scenes = {"one": scene(1), "copy": turned(scene(1)), "other": scene(2)}
    rows = []
    for name, pixels in scenes.items():
        photo = np.full((900, 1200, 3), 90, np.uint8)
        photo[300:620, 400:800] = cv2.resize(pixels, (400, 320), interpolation=cv2.INTER_CUBIC)
        path = save_photo(folder / f"{name}{suffix}", photo)
        rows.append((f"{name}{suffix}", str(path), sha256_path(path), 1200, 900))
    photos = pd.DataFrame(rows, columns=["image", "path", "sha256", "width", "height"])
    small = {row[0]: cv2.resize(pixels, (38, 30)) for row, pixels in zip(rows, scenes.values(), strict=True)}
    stored(folder / "crops", small)
    index = read_table(folder / "crops" / INDEX, CROPS).assign(part="body", **dict(zip(SIDES, BOX, strict=True)))
    write_table(folder / "crops" / INDEX, index, CROPS)
    return photos, Crops(folder / "crops")


def test_a_border_grows_a_box_no_farther_than_the_photo_goes() -> None:
    boxes, sizes = np.array([[100.0, 50, 200, 70], [0, 0, 30, 30]]), np.array([[224.0, 224], [40, 20]])
    assert grown(boxes, sizes, 0.5).tolist() == [[50, 40, 224, 80], [0, 0, 40, 20]]


def test_the_box_is_cut_out_of_the_photo(tmp_path: Path) -> None:
    photos, crops = _survey(tmp_path)
    scene_again = CutAgain(photos, crops, 0.0, 384).pixels(0)
    assert (scene_again == cv2.resize(scene(1), (400, 320), interpolation=cv2.INTER_CUBIC)).all()
    assert CutAgain(photos, crops, 0.1, 384).pixels(0).shape == (384, 480, 3)  # 32 and 40 px more on each side
    assert CutAgain(photos, crops, 1.0, 601).pixels(0).shape == (900, 1200, 3)  # no farther than the photo goes
    assert CutAgain(photos, crops, 0.0, 200).pixels(0).shape == (160, 200, 3)  # no finer than is wanted
    assert CutAgain(photos, crops, 0.0, 201).pixels(0).shape == (320, 400, 3)
    assert StoredCrops(crops).pixels(0).shape == (30, 38, 3)


def test_a_crop_that_no_box_made_has_no_border(tmp_path: Path) -> None:
    photos, crops = _survey(tmp_path)
    crops.index["part"] = "whole"
    assert CutAgain(photos, crops, 0.5, 384).pixels(0).shape == (320, 400, 3)


def test_keys_tell_photos_and_boxes_apart(tmp_path: Path) -> None:
    photos, crops = _survey(tmp_path)
    views = CutAgain(photos, crops, 0.0, 384)
    keys = [views.key(row) for row in range(3)]
    assert len({*keys, CutAgain(photos, crops, 0.1, 384).key(0), StoredCrops(crops).key(0)}) == 5
    assert CutAgain(photos[::-1].reset_index(drop=True), crops, 0.0, 384).key(0) == keys[0]


def test_photos_whose_stored_crops_are_too_small(tmp_path: Path) -> None:
    photos, crops = _survey(tmp_path, ".jpg")
    table = pd.DataFrame(
        {"query": ["one.jpg"] * 2, "match": ["copy.jpg", "other.jpg"], "identity": "al", "cosine": 0.5}
    )
    stored_crops = matched(table, photos, crops, SMALL)
    assert stored_crops.too_small == ["copy.jpg", "one.jpg", "other.jpg"]
    assert stored_crops.pairs["score"].isna().all()
    cut_again = matched(table, photos, crops, SMALL.model_copy(update={"pixels": "photos"}))
    assert cut_again.too_small == []
    assert cut_again.pairs["score"][0] > 3 * cut_again.pairs["score"][1]


def test_a_photo_that_is_gone_is_named(tmp_path: Path) -> None:
    photos, crops = _survey(tmp_path)
    (tmp_path / "copy.png").unlink()
    table = pd.DataFrame({"query": ["one.png"], "match": ["copy.png"], "identity": "al", "cosine": 0.5})
    with pytest.raises(UserError) as caught:
        matched(table, photos, crops, SMALL.model_copy(update={"pixels": "photos"}))
    gone = f"run `dvc repro prepare` again: {tmp_path / 'copy.png'} has changed since (not on disk)"
    assert str(caught.value) == gone


@pytest.mark.parametrize("ship", ["path", "bytes"])
def test_a_photo_that_was_replaced_is_named(tmp_path: Path, ship: str) -> None:
    """Else its features would be kept under the hash of the photo that it replaced."""
    photos, crops = _survey(tmp_path)
    views = CutAgain(photos, crops, 0.0, 384)
    (tmp_path / "one.png").write_bytes((tmp_path / "other.png").read_bytes())
    row = crops.index["image"].tolist().index("one.png")
    with pytest.raises(ChangedPhoto, match=r"prepare` again: .*one\.png has changed since"):
        views.portable(row, ship).pixels()
    with pytest.raises(ChangedPhoto, match=r"one\.png"):
        views.pixels(row)


def test_few_views_are_sent_together_where_whole_photos_travel(tmp_path: Path) -> None:
    photos, crops = _survey(tmp_path)
    views = CutAgain(photos, crops, 0.0, 384)
    assert [one.most(ship) for one in (views, StoredCrops(crops)) for ship in ("bytes", "path")] == [32] + [1024] * 3
