"""Which matches are explained, and one of them as a picture: doubtful ones first, every mistake named."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import judged, scenery
from PIL import Image
from torch import nn

from finprint.answers.tables import ANSWERS
from finprint.base.errors import UserError
from finprint.model.embedder import Embedder, ModelConfig, load_model, save_model
from finprint.pictures.images import decode_jpeg, encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.report.matches import doubtful, heat_maps
from finprint.report.pair import _said, explain_match
from finprint.store.tables import CROPS, NEW, PHOTOS, REJECTS, write_table

ROOT = Path(__file__).parents[2]
IMAGES = ["q1.jpg", "q2.jpg", "v1.jpg", "g$_$.jpg", "g2.jpg", "lost.jpg"]
Row = tuple[str, int, str, float, float | None, str | None]


def _table(*rows: Row) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["query", "rank", "identity", "score", "probability", "match"])
    return ANSWERS.validate(table)


ANSWERED = _table(
    ("q1.jpg", 2, "bo", 0.6, None, "g2.jpg"),
    ("q1.jpg", 1, "al", 0.7, None, "g$_$.jpg"),
    ("q2.jpg", 1, NEW, 0.5, None, None),
)
CHECKED = _table(("v1.jpg", 1, NEW, 0.5, None, None), ("v1.jpg", 2, "bo", 0.4, None, "g2.jpg"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of the pipeline leaves, as far as it is read here."""
    root = tmp_path_factory.mktemp("run")
    (root / "data/crops").mkdir(parents=True)
    pixels = [scenery(n, 60 + 10 * n, 48) for n in range(len(IMAGES))]
    places = write_shard(root / "data/crops/0.tar", [(f"{n}.jpg", encode_jpeg(p, 92)) for n, p in enumerate(pixels)])
    crops = pd.DataFrame({"image": IMAGES, "part": "whole", "confidence": 0.0, "shard": "0.tar"})
    crops = crops.assign(x_min=0.0, y_min=0.0, x_max=1.0, y_max=1.0)
    crops["offset"], crops["length"] = [place[0] for place in places], [place[1] for place in places]
    write_table(root / "data/crops" / INDEX, crops, CROPS)
    photos = pd.DataFrame({"image": IMAGES, "identity": [None, None, "bo", "al", "bo", None], "split": "train"})
    photos = photos.assign(path="p", sha256="0" * 64, width=9, height=9, species=None, group=0, fold=0).assign(
        encounter=None, viewpoint=None
    )
    write_table(root / "data/photos.parquet", photos, PHOTOS)
    broken = pd.DataFrame([("torn.jpg", "photos", "cannot be read: truncated")], columns=["image", "table", "reason"])
    write_table(root / "data/rejects.csv", broken, REJECTS)
    write_table(root / "data/search/answers.parquet", ANSWERED, ANSWERS)
    write_table(root / "data/search/validation.parquet", CHECKED, ANSWERS)
    torch.manual_seed(1)
    embedder = Embedder(ModelConfig("tf_efficientnet_lite0", "gem", 8, 32))
    save_model(root / "models/round2", embedder, nn.Identity(), [])
    return root


def _explain(run: Path, query: str, match: str | None = None, output: Path | None = None) -> Path:
    return explain_match(run / "data", run / "models/round2", run / "metrics/explained", query, match, output)


def test_wrong_ones_first_then_the_least_sure() -> None:
    first = judged(
        _table(
            ("a", 1, "al", 0.9, 0.95, "g1"),
            ("b", 1, "bo", 0.9, 0.15, "g2"),
            ("c", 1, NEW, 0.5, 0.40, None),
            ("c", 2, "al", 0.4, 0.30, "g3"),
            ("d", 1, NEW, 0.5, 0.01, None),  # no match at all
            ("e", 1, "al", 0.9, 0.97, "g4"),
            ("e", 2, "bo", 0.8, 0.01, "g5"),
        ),
        pd.Series({"a": "al", "c": NEW, "e": "bo"}),
    )
    second = judged(
        _table(("f", 1, "al", 0.2, None, "g6"), ("g", 1, "al", 0.9, 0.96, "g7")), pd.Series({"f": "al", "g": "cy"})
    )
    # g and e are wrong; f's cosine stands for its probability; b's truth is unknown.
    expected = [("g", "g7"), ("e", "g4"), ("b", "g2"), ("f", "g6"), ("c", "g3"), ("a", "g1")]
    assert doubtful([first, second], 99) == expected
    assert doubtful([second, first], 3) == expected[:3]
    shuffled = judged(first.answers.sample(frac=1, random_state=1), first.truth)
    assert doubtful([shuffled, second], 99) == expected
    assert doubtful([first, second], 0) == []
    assert doubtful([judged(_table(), pd.Series(dtype=object)), second], 9) == [("g", "g7"), ("f", "g6")]


def test_heat_maps_are_crops_under_their_heat(run: Path) -> None:
    crops = Crops(run / "data/crops")
    embedder, _, _ = load_model(run / "models/round2")
    pairs = [("q1.jpg", "g2.jpg"), ("v1.jpg", "g2.jpg")]
    made = heat_maps(embedder, crops, pairs)
    assert list(made) == pairs
    shown = [decode_jpeg(jpeg) for jpeg in made["q1.jpg", "g2.jpg"]]
    assert [image.shape for image in shown] == [(48, 60, 3), (48, 100, 3)]
    for image, row in zip(shown, (0, 4), strict=True):
        assert np.abs(image.astype(int) - crops.pixels(row)).max() > 50
    assert made == heat_maps(embedder, crops, pairs)
    assert heat_maps(embedder, crops, []) == {}
    with pytest.raises(UserError, match=r"no crop of 1 photo, such as gone\.jpg"):
        heat_maps(embedder, crops, [("q1.jpg", "gone.jpg")])


def test_a_picture_of_the_best_match(run: Path, tmp_path: Path) -> None:
    path = _explain(run, "q1.jpg")
    assert path == run / "metrics/explained/q1.jpg.png"
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.height < image.width < 2 * image.height  # two rows, which fit on a page
    best, other = (_explain(run, "q1.jpg", match, tmp_path / f"{n}.png") for n, match in enumerate(IMAGES[3:5]))
    assert best.read_bytes() == path.read_bytes()
    assert other.read_bytes() != path.read_bytes()


def test_the_picture_says_what_the_report_says() -> None:
    assert _said(ANSWERED, "g2.jpg") == "answer 2: bo, score 0.600"
    sure = ANSWERED.assign(probability=0.516)
    assert _said(sure, "g$_$.jpg") == "answer 1: al, score 0.700, 52 % sure"
    assert _said(ANSWERED, "lost.jpg") == "this match is none of the five answers"


def test_under_a_new_individual_lies_the_best_match(run: Path, tmp_path: Path) -> None:
    plain, named = _explain(run, "v1.jpg"), _explain(run, "v1.jpg", "g2.jpg", tmp_path / "named.png")
    assert plain.read_bytes() == named.read_bytes()


@pytest.mark.parametrize(
    ("query", "match", "message"),
    [
        ("q1.jpeg", None, "there is no crop of q1.jpeg: did you mean q1.jpg?"),
        ("zzz", None, "there is no crop of zzz: data/queries.csv lists the photos to identify"),
        ("q1.jpg", "g3.jpg", "there is no crop of g3.jpg: did you mean g2.jpg?"),
        ("Eg 1/g2.jpg", None, "there is no crop of Eg 1/g2.jpg: a photo of this name is g2.jpg now"),
        ("torn.jpg", None, "there is no crop of torn.jpg: it was rejected, cannot be read: truncated"),
        ("q2.jpg", None, "q2.jpg was answered with no photo: name one to compare it with, --match PHOTO"),
        ("lost.jpg", None, "lost.jpg was not searched for: name a photo to compare it with, --match PHOTO"),
    ],
)
def test_mistakes_are_named(run: Path, query: str, match: str | None, message: str) -> None:
    with pytest.raises(UserError) as caught:
        _explain(run, query, match)
    assert str(caught.value) == message


def test_another_format_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"x\.gif: the picture is a PNG, name it so"):
        _explain(run, "q1.jpg", output=tmp_path / "x.gif")
    assert not (tmp_path / "x.gif").exists()


def test_the_command(run: Path) -> None:
    command = [sys.executable, "-m", "finprint", "explain", "--match=g2.jpg", "q2.jpg", "--output", "made/here.png"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    (run / "params.yaml").touch()
    done = subprocess.run(command, cwd=run, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "made/here.png\n", "")
    assert (run / "made/here.png").stat().st_size > 1000
