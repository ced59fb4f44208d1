"""Labels in text files: KITTI's, DOTA's and YOLO's are told apart, and the same corners come out."""

from pathlib import Path

import numpy as np
import pytest

from finprint.store.tables import SIDES
from finprint.survey.sources.boxes import count, read_table_of_boxes

BOX = [10.0, 20.0, 110.0, 70.0]
KITTI = "dorsal_fin 0.00 0 -1.57 10.0 20.0 110.0 70.0 1.5 1.6 3.9 1.0 1.5 10.0 -1.5"
UNLABELLED = "DontCare -1 -1 -10 5 5 9 9 -1 -1 -1 -1000 -1000 -1000 -10"
DOTA = "10 20 110.0 20 110 70 10 70 dorsal fin 0"


def _labels(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / f"{name}.txt").write_text(content)
    return folder


@pytest.mark.parametrize(
    ("content", "part", "sure"),
    [
        (f"{KITTI}\n{UNLABELLED}\n", "dorsal_fin", 1.0),
        (f"{UNLABELLED}\r\n{KITTI} 0.91\r\n", "dorsal_fin", 0.91),
        (KITTI.replace("_", " "), "dorsal fin", 1.0),
        (f"imagesource:GoogleEarth\ngsd:0.146\n{DOTA}\n", "dorsal fin", 1.0),
        (DOTA.replace("dorsal fin 0", "fin"), "fin", 1.0),
    ],
)
def test_boxes_in_pixels_with_the_name_of_their_class(tmp_path: Path, content: str, part: str, sure: float) -> None:
    labels = _labels(tmp_path / "labels", a=content, b="", c=f"{content}\nno box\n")
    table, counts = count(read_table_of_boxes(labels, photos=["A17/a.jpg", "b.png", "c.jpg"]), 0)
    assert counts == {"rows": 4, "boxes": 2, "empty": 1, "malformed": 1, "unsure": 0}
    assert table["image"].tolist() == ["A17/a.jpg", "b.png", "c.jpg", "c.jpg"]
    assert table["part"].tolist()[0] == part
    assert table["confidence"].tolist()[0] == sure
    assert table[SIDES].to_numpy(float)[0].tolist() == BOX
    assert not table["share"].any()
    assert table["written"].tolist()[3] == "no box"
    assert set(read_table_of_boxes(labels, "body").dropna(subset=SIDES)["part"]) == {"body"}


def test_a_photo_whose_regions_nobody_has_looked_at_has_no_box(tmp_path: Path) -> None:
    table = read_table_of_boxes(_labels(tmp_path / "label_2", a=KITTI, b=UNLABELLED))
    assert table["written"].tolist() == [KITTI, ""]


def test_yolo_s_classes_may_be_names(tmp_path: Path) -> None:
    labels = _labels(tmp_path / "labels", a="dorsal fin 0.3 0.45 0.5 0.5\nbody .1 .1 .2 .1 .2 .3 0.8\n")
    table = read_table_of_boxes(labels, photos=["a.jpg"])
    assert table["part"].tolist() == ["dorsal fin", "body"]
    assert np.allclose(table[SIDES].to_numpy(float), [[0.05, 0.2, 0.55, 0.7], [0.1, 0.1, 0.2, 0.3]])
    assert table["confidence"].tolist() == [1.0, 0.8]
