"""The detector: a hold-out without leaks, labels with the right numbers, weights that say nothing of this machine."""

import getpass
import importlib.util
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import save_photo, scenery
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from finprint.base.errors import UserError
from finprint.base.files import SEAL, read_json, sha256_path
from finprint.detector import training
from finprint.detector.loading import ultralytics_yolo
from finprint.detector.params import Detector
from finprint.detector.training import _write_photos, hold_out, train_detector
from finprint.detector.yolo import CONFIG, WEIGHTS, TrainedDetector, save_detector, save_no_detector, shrink
from finprint.params import load_params
from finprint.pictures.images import decode
from finprint.store.tables import BOXES, SIDES

OURS = load_params(Path(__file__).parents[2] / "params.yaml").detector
HEADER = ["path", "part", "x_min", "y_min", "x_max", "y_max"]
RED = (255, 0, 0)
THREADS = torch.get_num_threads()


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """ultralytics writes its settings below DVC_ROOT: not into the project's cache here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("root")))
        yield


def _boxes(folder: Path, count: int, width: int = 96, height: int = 64) -> pd.DataFrame:
    """Red animals on many-coloured seas, two photos a group: every photo has a body, every second one a fin."""
    boxes = []
    for number in range(count):
        left, top = 4 + number % 8, 8 + number % 5
        pixels = scenery(number, width, height).copy()
        pixels[top : top + 30, left : left + 50] = RED
        path = save_photo(folder / f"{number}.jpg", pixels)
        facts = [path.name, str(path), sha256_path(path), width, height, f"{number // 2}"]
        boxes.append([*facts, "body", left, top, left + 50, top + 30, 1.0])
        if number % 2:
            boxes.append([*facts, "fin", left, top, left + 20, top + 10, 1.0])
    return pd.DataFrame(boxes, columns=list(BOXES.columns))


def _params(**changes: Any) -> Detector:
    quick = {"network": "yolov5n.yaml", "image_size": 64, "epochs": 1, "batch": 4, "holdout": 0.34}
    return Detector.model_validate(OURS.model_dump() | quick | changes)


def _train(boxes: pd.DataFrame, params: Detector, seed: int, scratch: Path, folder: Path) -> dict[str, Any]:
    """As the stage does."""
    return train_detector(boxes, hold_out(boxes, params.holdout, seed), params, seed, scratch, folder)


# -- who is held out --


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=40), share=st.floats(0.05, 0.6), seed=st.integers(0, 50))
def test_whole_groups_are_held_out_about_the_share_asked_for(sizes: list[int], share: float, seed: int) -> None:
    groups = np.repeat([f"g{number * 7}" for number in range(len(sizes))], sizes)
    photos = pd.DataFrame({"path": [f"{n}.jpg" for n in range(len(groups))], "group": groups})
    boxes = pd.concat([photos, photos[::3]]).sample(frac=1, random_state=seed)  # some photos have two boxes
    held = hold_out(boxes, share, seed)
    size = photos["group"].value_counts()
    left_over = round(share * len(photos)) - size[list(held)].sum()
    if left_over < 0:  # none was so small
        assert (size > round(share * len(photos))).all()
        assert size[list(held)].tolist() == [size.min()]
        return
    assert (size.drop(list(held)) > left_over).all()  # no group that stayed in training would have fitted
    assert held == hold_out(boxes, share, seed)


def test_another_seed_holds_out_others() -> None:
    boxes = pd.DataFrame({"path": np.arange(100), "group": np.arange(100)})
    held = [hold_out(boxes, 0.2, seed) for seed in (0, 1)]
    assert len(held[0]) == len(held[1]) == 20
    assert len(held[0] & held[1]) < 12


@pytest.mark.parametrize(("count", "groups", "complaint"), [(1, 1, "1 photos"), (0, 0, "0 photos"), (6, 1, "6 photos")])
def test_too_few_photos_to_train_and_measure(tmp_path: Path, count: int, groups: int, complaint: str) -> None:
    """None, one, or one single encounter."""
    boxes = _boxes(tmp_path, max(count, 1)).assign(group="one")
    with pytest.raises(UserError) as caught:
        _train(boxes[:0] if count == 0 else boxes, _params(), 1, tmp_path / "s", tmp_path / "m")
    assert str(caught.value) == (
        f"{complaint} with boxes are too few to train a detector and to measure it: "
        "add boxes, or set detector.enabled to false"
    )
    assert not (tmp_path / "m").exists()


# -- what ultralytics gets to see --


def test_labels_by_hand(tmp_path: Path) -> None:
    """Class, then centre and extents as shares of the photo's sides: ultralytics' format."""
    save_photo(tmp_path / "a.jpg", scenery(1, 200, 100))
    path = str(tmp_path / "a.jpg")
    photos = pd.DataFrame([{"path": path, "sha256": sha256_path(tmp_path / "a.jpg"), "width": 200, "height": 100}])
    boxes = pd.DataFrame(
        [[path, "fin", 20, 10, 60, 40], [path, "body", 0, 0, 200, 100], ["b.jpg", "fin", 1, 2, 3, 4]],
        columns=HEADER,
    )
    (tmp_path / "data" / "labels" / "train").mkdir(parents=True)
    (tmp_path / "data" / "labels" / "train" / "old.txt").write_text("left by a killed run")
    _write_photos(tmp_path / "data", "train", photos, boxes, ["body", "fin"], 64)
    assert [path.name for path in (tmp_path / "data" / "labels" / "train").iterdir()] == ["000000.txt"]
    assert (tmp_path / "data" / "labels" / "train" / "000000.txt").read_text() == (
        "1 0.200000 0.250000 0.200000 0.300000\n0 0.500000 0.500000 1.000000 1.000000\n"
    )
    pixels, full = decode(tmp_path / "data" / "images" / "train" / "000000.jpg")
    assert full == (64, 32)
    assert np.abs(pixels.astype(float) - shrink(decode(tmp_path / "a.jpg")[0], 64)).mean() < 8


def test_photos_without_an_animal_are_learned_from(tmp_path: Path) -> None:
    """Their labels are empty files, which is how ultralytics is told that there is nothing; and they need no part."""
    boxes = _boxes(tmp_path / "in", 8)
    bare = boxes["image"].isin(["2.jpg", "3.jpg"])
    boxes.loc[bare, ["part", *SIDES]] = None
    boxes = boxes.drop_duplicates(["image", "part"])
    scores = train_detector(boxes, {"0", "1"}, _params(), 1, tmp_path / "scratch", tmp_path / "model")
    labels = tmp_path / "scratch" / "photos" / "labels"
    empty = [path.name for path in sorted((labels / "val").glob("*.txt")) if not path.read_bytes()]
    assert empty == ["000002.txt", "000003.txt"]
    assert all(path.read_bytes() for path in (labels / "train").glob("*.txt"))
    assert scores["held_out_photos"] == 4
    assert TrainedDetector(tmp_path / "model").parts == ["body", "fin"]
    with pytest.raises(UserError, match=r"^6 photos with boxes are too few"):
        train_detector(boxes, {"1"}, _params(), 1, tmp_path / "scratch", tmp_path / "model")


def test_labels_of_a_photo_on_its_side_are_upright(tmp_path: Path) -> None:
    upright = np.full((160, 80, 3), 90, np.uint8)
    upright[120:150, 10:50] = RED
    save_photo(tmp_path / "a.jpg", np.ascontiguousarray(np.rot90(upright)), orientation=6)
    path = str(tmp_path / "a.jpg")
    photos = pd.DataFrame([{"path": path, "sha256": sha256_path(tmp_path / "a.jpg"), "width": 80, "height": 160}])
    _write_photos(
        tmp_path, "val", photos, pd.DataFrame([[path, "body", 10, 120, 50, 150]], columns=HEADER), ["body"], 64
    )
    pixels, (width, height) = decode(tmp_path / "images" / "val" / "000000.jpg")
    numbers = (tmp_path / "labels" / "val" / "000000.txt").read_text().split()
    x, y, w, h = (float(number) for number in numbers[1:])
    inside = np.zeros(pixels.shape[:2], bool)
    inside[
        round((y - h / 2) * height) : round((y + h / 2) * height),
        round((x - w / 2) * width) : round((x + w / 2) * width),
    ] = True
    red = (pixels[..., 0] > 170) & (pixels[..., 1] < 60)
    assert (red & inside).sum() / (red | inside).sum() > 0.8


@given(width=st.integers(1, 400), height=st.integers(1, 400), size=st.integers(32, 200))
def test_shrinking_keeps_the_shape(width: int, height: int, size: int) -> None:
    small = shrink(np.zeros((height, width, 3), np.uint8), size)
    assert max(small.shape[:2]) == min(size, max(width, height))
    assert min(small.shape[:2]) >= 1
    scale = max(small.shape[:2]) / max(width, height)
    assert abs(small.shape[0] - height * scale) <= 1
    assert abs(small.shape[1] - width * scale) <= 1


def test_ultralytics_is_kept_from_the_network_and_from_our_dvc_yaml() -> None:
    yolo = ultralytics_yolo()
    from ultralytics.utils import ONLINE, SETTINGS

    assert yolo.__name__ == "YOLO"
    for key in ("sync", "dvc", "hub", "wandb", "mlflow", "comet", "clearml", "neptune", "raytune", "tensorboard"):
        assert SETTINGS.get(key, False) is False, key
    assert ONLINE is False
    SETTINGS.update({"dvc": True, "sync": True})  # as a user may have set them for other work
    ultralytics_yolo()
    assert (SETTINGS["dvc"], SETTINGS["sync"]) == (False, False)


@pytest.mark.parametrize(
    ("network", "complaint"),
    [
        (
            "models/mine.pt",
            "detector.network: models/mine.pt is not on disk (no stage downloads it; yolov5n.yaml trains from scratch)",
        ),
        ("yolov99.yaml", "detector.network: yolov99.yaml: "),
        ("http://example.org/yolov5n.yaml", "detector.network: http://example.org/yolov5n.yaml is not on disk"),
        ("ul://someone/project/x.pt", "detector.network: ul://someone/project/x.pt is not on disk"),
        ("yolov5nu.pt", "detector.network: yolov5nu.pt is not on disk"),
    ],
)
def test_weights_that_cannot_be_read(tmp_path: Path, network: str, complaint: str) -> None:
    boxes = _boxes(tmp_path / "in", 6)
    with pytest.raises(UserError) as caught:
        _train(boxes, _params(network=network), 1, tmp_path / "s", tmp_path / "m")
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("network", ["yolov5n", "models/x.onnx", "x.PT", ""])
def test_a_network_that_is_neither_weights_nor_an_architecture(network: str) -> None:
    with pytest.raises(ValidationError, match=r"must be weights \(.pt\) or an architecture \(.yaml\)"):
        _params(network=network)


# -- the model folder --


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with two trainings of one seed, their inputs and scratch in folders of other names; their scores."""
    root = tmp_path_factory.mktemp("detector")
    boxes = _boxes(root / "in", 12)
    theirs = Path(str(importlib.util.find_spec("ultralytics").origin)).parent  # type: ignore[union-attr]  # not imported yet
    scores = []
    for name in ("a", "elsewhere"):
        architecture = root / f"net_{name}" / "yolov5n.yaml"
        architecture.parent.mkdir()
        shutil.copy(theirs / "cfg" / "models" / "v5" / "yolov5.yaml", architecture)
        params = _params(network=str(architecture))
        scores.append(_train(boxes, params, 3, root / f"scratch_{name}", root / name))
    assert scores[0] == scores[1]
    return root, scores[0]


def test_training_reports_what_it_measured(trained: tuple[Path, dict[str, Any]]) -> None:
    _, scores = trained
    assert (scores["train_photos"], scores["held_out_photos"]) == (8, 4)
    assert set(scores) == {"map50", "map50_95", "body", "fin", "train_photos", "held_out_photos"}
    for its in (scores, scores["body"], scores["fin"]):
        assert 0 <= its["map50_95"] <= its["map50"] <= 1


@pytest.mark.usefixtures("trained")
def test_training_leaves_no_core_idle() -> None:
    assert torch.get_num_threads() == THREADS  # ultralytics on its own: one less


def test_the_same_seed_gives_the_same_bytes_wherever_it_ran(trained: tuple[Path, dict[str, Any]]) -> None:
    root, _ = trained
    for name in (WEIGHTS, CONFIG):
        assert (root / "a" / name).read_bytes() == (root / "elsewhere" / name).read_bytes()


def test_killed_after_its_last_epoch_it_is_measured_and_not_trained_again(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, scores = trained
    boxes = _boxes(root / "in", 12)
    params = _params(network=str(root / "net_a" / "yolov5n.yaml"))
    scratch = tmp_path / "scratch"
    shutil.copytree(root / "scratch_a", scratch)
    (scratch / "data.yaml").unlink()  # it names the photos by their path
    last, kept = scratch / "run" / "weights" / "last.pt", scratch / "kept.pt"
    for damage in ("none", "half of last.pt", "no last.pt"):  # ultralytics writes that one in place
        if damage == "half of last.pt":
            last.write_bytes(last.read_bytes()[:1000])
        elif damage == "no last.pt":
            last.unlink()
        assert _train(boxes, params, 3, scratch, tmp_path / damage) == scores
        assert "epoch " not in capsys.readouterr().out
        assert (tmp_path / damage / WEIGHTS).read_bytes() == (root / "a" / WEIGHTS).read_bytes()
    whole = kept.read_bytes()
    for content in (whole[:1000], whole[:-SEAL], b"x" * 1000):
        kept.write_bytes(content)
        assert training._restore(kept, last) == 0
        assert not kept.exists()
    kept.write_bytes(b"")
    capsys.readouterr()
    assert _train(boxes, params, 3, scratch, tmp_path / "afresh") == scores
    told = capsys.readouterr().out
    assert told.count(f"{kept} is damaged: what it held is made anew\n") == 1
    assert f"epoch {params.epochs}/{params.epochs}" in told
    assert (tmp_path / "afresh" / WEIGHTS).read_bytes() == (root / "a" / WEIGHTS).read_bytes()


def test_killed_in_mid_training_it_goes_on_after_the_last_whole_epoch(
    trained: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, scores = trained
    boxes = _boxes(root / "in", 12)
    params = _params(network=str(root / "net_a" / "yolov5n.yaml"), epochs=3)

    def dies(trainer: Any) -> None:
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "_say", dies)
        with pytest.raises(KeyboardInterrupt):
            _train(boxes, params, 3, tmp_path / "scratch", tmp_path / "model")
    assert not (tmp_path / "model").exists()
    (tmp_path / "scratch" / "run" / "weights" / "last.pt").write_bytes(b"half")  # as a kill in its write leaves it
    capsys.readouterr()
    assert _train(boxes, params, 3, tmp_path / "scratch", tmp_path / "model").keys() == scores.keys()
    assert re.findall(r"^epoch (\d)/3", capsys.readouterr().out, re.MULTILINE) == ["2", "3"]


def test_saving_twice_gives_equal_bytes(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root, _ = trained
    for name in ("one", "other"):
        save_detector(tmp_path / name, ultralytics_yolo()(root / "a" / WEIGHTS), 64)
    assert (tmp_path / "one" / WEIGHTS).read_bytes() == (tmp_path / "other" / WEIGHTS).read_bytes()


def test_the_folder_names_no_place_no_person_and_no_date(trained: tuple[Path, dict[str, Any]]) -> None:
    root, _ = trained
    content = b"".join(path.read_bytes() for path in sorted((root / "a").iterdir()))
    for word in (
        str(root),
        str(Path.cwd()),
        str(Path.home()) + "/",
        "/tmp/",
        socket.gethostname(),
        f"/{getpass.getuser()}/",
        ".pt\0",
    ):
        assert word.encode() not in content, word
    assert not re.search(rb"20[2-9]\d-[01]\d-[0-3]\d", content)
    # The control: ultralytics' own file has the date and the places in it, so the search can find them.
    theirs = (root / "scratch_a" / "run" / "weights" / "last.pt").read_bytes()
    assert str(root).encode() in theirs
    assert re.search(rb"20[2-9]\d-[01]\d-[0-3]\d", theirs)


def test_plain_ultralytics_loads_the_weights(trained: tuple[Path, dict[str, Any]]) -> None:
    from ultralytics import YOLO

    root, _ = trained
    ours, theirs = YOLO(root / "a" / WEIGHTS), YOLO(root / "scratch_a" / "run" / "weights" / "last.pt")
    assert ours.names == {0: "body", 1: "fin"}
    mine, wanted = ours.model.state_dict(), theirs.model.state_dict()
    assert list(mine) == list(wanted)
    assert all(torch.equal(mine[name].float(), wanted[name].half().float()) for name in mine)
    pixels = scenery(3, 96, 64)
    assert ours.predict(pixels, imgsz=64, verbose=False, save=False)[0].orig_shape == (64, 96)


def test_training_goes_on_from_weights_and_keeps_the_classes_by_their_names(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """Part `fin` alone, which was the second of two: of next to no learning the weights given come out again."""
    root, _ = trained
    boxes = _boxes(tmp_path / "in", 12)
    fins = boxes[boxes["part"] == "fin"]
    params = _params(network=str(root / "a" / WEIGHTS), lr=1e-9)
    scores = _train(fins, params, 3, tmp_path / "s", tmp_path / "m")
    assert "fin" in scores
    assert "body" not in scores
    given = ultralytics_yolo()(root / "a" / WEIGHTS).model.model[-1].cv3
    learnt = ultralytics_yolo()(tmp_path / "m" / WEIGHTS).model.model[-1].cv3
    for ours, theirs in zip(learnt, given, strict=True):
        assert torch.allclose(ours[0].conv.weight.float(), theirs[0].conv.weight.float(), atol=1e-3)
        assert ours[-1].weight.shape[0] == 1
        assert torch.allclose(ours[-1].weight[0].float(), theirs[-1].weight[1].float(), atol=1e-3)
        assert not torch.allclose(ours[-1].weight[0].float(), theirs[-1].weight[0].float(), atol=1e-3)


def test_the_trained_detector_finds_in_its_own_words(trained: tuple[Path, dict[str, Any]]) -> None:
    root, _ = trained
    assert TrainedDetector.enabled(root / "a")
    detector = TrainedDetector(root / "a")
    assert (detector.image_size, detector.parts) == (64, ["body", "fin"])
    photos = [shrink(decode(root / "in" / f"{number}.jpg")[0], 64) for number in range(3)]
    photos += [np.ascontiguousarray(photos[0].transpose(1, 0, 2)), photos[1][:24].copy()]
    together = detector.find(photos, 0.0001)
    assert [len(detections) > 0 for detections in together] == [True] * 5
    for photo, detections in zip(photos, together, strict=True):
        height, width = photo.shape[:2]
        sure = [one.confidence for one in detections]
        assert sure == sorted(sure, reverse=True)
        assert min(sure) >= 0.0001
        for one in detections:
            assert one.part in ("body", "fin")
            assert (one.box >= 0).all()
            assert (one.box <= [width, height, width, height]).all()
    floor = together[0][len(together[0]) // 2].confidence
    assert all(one.confidence >= floor for one in detector.find(photos[:1], floor)[0])
    for photo, detections in zip(photos, together, strict=True):  # alone or in company: the same boxes
        (alone,) = detector.find([photo], 0.0001)
        assert [one.part for one in alone] == [one.part for one in detections]
        assert np.allclose([one.box for one in alone], [one.box for one in detections], atol=0.05)


def test_in_batches_of_one_size_the_company_changes_no_bit(trained: tuple[Path, dict[str, Any]]) -> None:
    """What cropping relies on, so that crops of an earlier run fit those of a later one."""
    root, _ = trained
    detector = TrainedDetector(root / "a")
    photos = [shrink(scenery(seed, 96, 64), 64) for seed in range(8)]

    def bits(detections: list[Any]) -> list[Any]:
        return [(one.part, one.box.tobytes(), one.confidence) for one in detections]

    together = [bits(detections) for detections in detector.find(photos, 0.0001)]
    black = [np.zeros_like(photos[0])] * 7
    assert all(together)
    assert [bits(detector.find([photo, *black], 0.0001)[0]) for photo in photos] == together
    assert [bits(detections) for detections in detector.find(photos[::-1], 0.0001)] == together[::-1]


def test_red_is_red_for_the_detector(trained: tuple[Path, dict[str, Any]]) -> None:
    """The oracle: ultralytics itself, which takes a Pillow image as RGB."""
    from ultralytics import YOLO

    root, _ = trained
    photo = shrink(decode(root / "in" / "0.jpg")[0], 64)
    (theirs,) = YOLO(root / "a" / WEIGHTS).predict(
        Image.fromarray(photo), imgsz=64, conf=0.0001, rect=False, verbose=False, save=False
    )
    (ours,) = TrainedDetector(root / "a").find([photo], 0.0001)
    assert len(ours) > 0
    assert np.allclose([one.confidence for one in ours], theirs.boxes.conf.cpu().numpy(), rtol=1e-4)
    assert np.allclose([one.box for one in ours], theirs.boxes.xyxy.cpu().numpy(), atol=0.01)


def test_the_folder_that_says_no_detector(tmp_path: Path) -> None:
    save_no_detector(tmp_path / "m")
    assert not TrainedDetector.enabled(tmp_path / "m")
    assert read_json(tmp_path / "m" / CONFIG) == {"enabled": False, "parts": []}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "the file: "),
        ("{}", "enabled: "),
        ('{"enabled": true, "parts": ["body"], "image_size": "64"}', "image_size: "),
        ('{"enabled": true, "parts": "body", "image_size": 64}', "parts: "),
        ('{"enabled": true, "parts": ["body"], "image_size": 64, "hook": "x"}', "hook: "),
    ],
)
def test_a_folder_that_says_nonsense(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / CONFIG).write_text(content)
    with pytest.raises(UserError) as caught:
        TrainedDetector.enabled(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / CONFIG} is damaged ({complaint}")
    assert str(caught.value).endswith("): `dvc repro` makes it anew")


def test_weights_of_other_parts_than_the_folder_says(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    root, _ = trained
    shutil.copytree(root / "a", tmp_path / "m")
    (tmp_path / "m" / CONFIG).write_text('{"enabled": true, "parts": ["body"], "image_size": 64}')
    with pytest.raises(UserError) as caught:
        TrainedDetector(tmp_path / "m")
    assert str(caught.value) == f"{tmp_path / 'm'}: weights of 2 parts, but detector.json has 1"


def test_a_photo_that_changed_since_it_was_prepared_is_not_learned(tmp_path: Path) -> None:
    boxes = _boxes(tmp_path / "in", 6)
    changed = Path(boxes["path"].iloc[-1])
    changed.write_bytes(Path(boxes["path"].iloc[0]).read_bytes())
    with pytest.raises(UserError) as caught:
        _train(boxes, _params(), 1, tmp_path / "s", tmp_path / "m")
    assert str(caught.value) == f"run `dvc repro prepare` again: {changed} has changed since (its content is another)"


def test_a_folder_that_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        TrainedDetector.enabled(tmp_path)
    assert str(caught.value) == f"{tmp_path} holds no detector: `dvc repro detector` makes it"
