"""YOLOv5 of ultralytics: trained on the photos that have boxes, kept as weights that any ultralytics can load."""

import os
import pickle
import random
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from finprint.device import best_device, repeatable
from finprint.errors import UserError
from finprint.files import atomic, cache, read_json, remove, write_json
from finprint.images import decode, encode_jpeg, resize
from finprint.params import Detector
from finprint.tables import SIDES

WEIGHTS, CONFIG = "weights.pt", "detector.json"


@dataclass(frozen=True)
class Found:
    """A box that the detector found: part, corners in pixels of the photo given, confidence."""

    part: str
    box: np.ndarray  # (4,) x_min, y_min, x_max, y_max
    confidence: float


def train_detector(
    boxes: pd.DataFrame, held_out: Collection[str], params: Detector, seed: int, scratch: Path, folder: Path
) -> dict[str, Any]:
    """Train YOLOv5 on the boxed photos and measure it on those held out.

    Args:
        boxes: table `BOXES`.
        held_out: the groups whose photos measure and do not train, as `hold_out` chooses them.
        params: the section `detector`.
        seed: of the initial weights and the augmentations.
        scratch: a folder for ultralytics' working tree; a run found there goes on where it stopped.
        folder: the model folder to write.

    Returns:
        mAP50 and mAP50-95, overall and for each part, and the counts of photos.

    Raises:
        UserError: there are too few boxed photos, or the weights cannot be read.
    """
    boxed = boxes.drop_duplicates("path")  # a row a photo
    measures = boxed["group"].isin(held_out)
    if measures.all() or not measures.any():
        raise UserError(
            f"{len(boxed)} photos with boxes are too few to train a detector and to measure it: "
            "add boxes, or set detector.enabled to false"
        )
    parts = sorted(boxes["part"].unique())
    data = scratch / "data.yaml"
    if not data.exists():
        for name, chosen in (("train", boxed[~measures]), ("val", boxed[measures])):
            _write_photos(scratch / "photos", name, chosen, boxes, parts, params.image_size)
        tree = {"path": str((scratch / "photos").resolve()), "train": "images/train", "val": "images/val"}
        data.write_text(yaml.safe_dump(tree | {"names": dict(enumerate(parts))}))

    last = scratch / "run" / "weights" / "last.pt"
    yolo_class = ultralytics_yolo()
    print(f"{(~measures).sum()} photos to train the detector, {measures.sum()} to measure it", flush=True)
    done = _epochs_done(last, params.epochs)
    if done < params.epochs:
        yolo = yolo_class(last) if done else _load(params.weights)
        yolo.add_callback("on_train_epoch_end", _say)
        yolo.train(**{"resume": True} if done else _recipe(params, seed, data, scratch))
    trained = yolo_class(last)
    metrics = trained.val(
        data=str(data), imgsz=params.image_size, batch=params.batch, device=str(best_device()), workers=0,
        plots=False, verbose=False, project=str(scratch), name="val", exist_ok=True,
    ).box  # fmt: skip
    found: dict[str, Any] = {"map50": metrics.map50, "map50_95": metrics.map}
    for number, ap50, ap in zip(metrics.ap_class_index, metrics.ap50, metrics.ap, strict=True):
        found[parts[number]] = {"map50": ap50, "map50_95": ap}
    save_detector(folder, trained, params.image_size)
    return found | {"train_photos": int((~measures).sum()), "held_out_photos": int(measures.sum())}


def hold_out(boxes: pd.DataFrame, share: float, seed: int) -> set[str]:
    """Choose the groups that measure the detector: about `share` of the boxed photos, never more."""
    size = boxes.drop_duplicates("path")["group"].value_counts()
    groups = sorted(size.index)
    random.Random(seed).shuffle(groups)
    wanted, chosen = round(share * size.sum()), set()
    for group in groups:
        if size[group] <= wanted:
            chosen.add(group)
            wanted -= size[group]
    return chosen


def save_detector(folder: Path, trained: Any, image_size: int) -> None:
    """Write a trained YOLO without the dates, paths and arguments that make its bytes differ each time."""
    network = trained.model.half()
    network.args = {"task": "detect", "imgsz": image_size, "data": None, "single_cls": False}
    network.yaml.pop("yaml_file", None)
    network.__dict__.pop("pt_path", None)  # where it was read from
    for parameter in network.parameters():
        parameter.requires_grad = False
    with atomic(folder) as part:
        part.mkdir()
        torch.save({"model": network, "ema": None, "train_args": network.args, "date": None}, part / WEIGHTS)
        write_json(part / CONFIG, {"enabled": True, "parts": list(trained.names.values()), "image_size": image_size})


def save_no_detector(folder: Path) -> None:
    """Write the folder that says: there is no detector."""
    with atomic(folder) as part:
        part.mkdir()
        write_json(part / CONFIG, {"enabled": False, "parts": []})


class TrainedDetector:
    """A detector read from its model folder.

    Attributes:
        image_size: px, the longer side at which it wants its photos.
    """

    def __init__(self, folder: Path) -> None:
        config = read_json(folder / CONFIG)
        self.image_size: int = config["image_size"]
        self.parts: list[str] = config["parts"]
        self._yolo = ultralytics_yolo()(folder / WEIGHTS)

    @staticmethod
    def enabled(folder: Path) -> bool:
        """Is there a detector in `folder`, or does it say that there is none?"""
        if not (folder / CONFIG).is_file():
            raise UserError(f"{folder} holds no detector: `dvc repro detector` makes it")
        return bool(read_json(folder / CONFIG)["enabled"])

    def find(self, photos: list[np.ndarray], confidence: float) -> list[list[Found]]:
        """Find parts in a batch of photos, `(H, W, 3)` RGB uint8 each.

        A photo's boxes do not depend on what else is in the batch: each is padded to the same square.

        Returns:
            For each photo the boxes of at least `confidence`, surest first.
        """
        results = self._yolo.predict(
            [np.ascontiguousarray(photo[:, :, ::-1]) for photo in photos], imgsz=self.image_size, conf=confidence,
            rect=False, batch=len(photos), device=str(best_device()), verbose=False, save=False,
        )  # fmt: skip
        found = []
        for result in results:
            boxes, classes = result.boxes.xyxy.cpu().numpy(), result.boxes.cls.int().tolist()
            sure = result.boxes.conf.tolist()
            found.append([Found(self.parts[c], box, p) for c, box, p in zip(classes, boxes, sure, strict=True)])
        return found


def shrink(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """A photo with its longer side shrunk to `image_size` px, as the detector is trained on and as it looks."""
    height, width = pixels.shape[:2]
    scale = min(1.0, image_size / max(height, width))
    return resize(pixels, max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else pixels


def ultralytics_yolo() -> Any:
    """The class YOLO, imported with telemetry, downloads and its own experiment trackers switched off.

    With its `dvc` setting on, ultralytics would rewrite the project's dvc.yaml in the middle of a run.
    """
    home = cache() / "ultralytics"
    home.mkdir(parents=True, exist_ok=True)
    os.environ |= {"YOLO_CONFIG_DIR": str(home.resolve()), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    os.environ.setdefault("YOLO_VERBOSE", "false")
    from ultralytics import YOLO
    from ultralytics.utils import SETTINGS, torch_utils

    torch_utils.NUM_THREADS = torch.get_num_threads()  # on a CPU it would leave one core idle: of two, half the speed
    repeatable()

    trackers = ("clearml", "comet", "dvc", "hub", "mlflow", "neptune", "raytune", "tensorboard", "wandb")
    off = dict.fromkeys(("sync", *trackers), False)
    if any(SETTINGS.get(key) for key in off):
        SETTINGS.update({key: False for key in off if key in SETTINGS})
    return YOLO


def _load(weights: str) -> Any:
    if weights.endswith(".pt") and not Path(weights).is_file():
        raise UserError(f"detector.weights: {weights} is not on disk (no stage downloads; yolov5n.yaml trains afresh)")
    try:
        return ultralytics_yolo()(weights, task="detect")
    except Exception as error:  # a damaged .pt makes ultralytics and pickle raise whatever comes
        raise UserError(f"detector.weights: {weights}: {(str(error) or repr(error)).splitlines()[0]}") from None


def _say(trainer: Any) -> None:
    losses = ", ".join(f"{name} {value:.3f}" for name, value in trainer.label_loss_items(trainer.tloss).items())
    print(f"epoch {trainer.epoch + 1}/{trainer.epochs}: {losses}", flush=True)


def _epochs_done(last: Path, epochs: int) -> int:
    """Epochs that ultralytics' `last.pt` has behind it; none where there is no such file, or half of one."""
    try:
        epoch = torch.load(last, map_location="cpu", weights_only=False)["epoch"]
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):
        return 0
    return epochs if epoch == -1 else int(epoch) + 1  # -1: finished, and stripped for use


def _recipe(params: Detector, seed: int, data: Path, scratch: Path) -> dict[str, Any]:
    """ultralytics' arguments. The nominal batch equals the batch: gradients piled up to 64 photos would
    leave a small set with a handful of steps. `optimizer=auto` would ignore lr0. With `pretrained` False it would
    take the architecture of a .pt and forget its weights; with True it carries the classes over by their names."""
    return {
        "data": str(data), "epochs": params.epochs, "imgsz": params.image_size, "batch": params.batch,
        "nbs": params.batch, "optimizer": "AdamW", "lr0": params.lr, "lrf": 0.05, "cos_lr": True, "warmup_epochs": 1.0,
        "scale": params.scale, "mosaic": params.mosaic,
        "close_mosaic": max(1, params.epochs // 4), "val": False, "cache": "ram", "amp": False, "plots": False,
        "workers": 0, "seed": seed, "deterministic": True, "device": str(best_device()), "verbose": False,
        "project": str(scratch.resolve()), "name": "run", "exist_ok": True,
        "pretrained": params.weights.endswith(".pt"),
    }  # fmt: skip


def _write_photos(
    root: Path, split: str, photos: pd.DataFrame, boxes: pd.DataFrame, parts: list[str], image_size: int
) -> None:
    """Photos and labels as ultralytics wants them, at the size it trains on: decoded once, not every epoch."""
    for kind in ("images", "labels"):
        remove(root / kind / split)
        (root / kind / split).mkdir(parents=True)
    by_photo = boxes.groupby("path")
    for number, photo in enumerate(photos.itertuples()):
        pixels, _ = decode(Path(str(photo.path)), shorter_side=image_size)
        (root / "images" / split / f"{number:06}.jpg").write_bytes(encode_jpeg(shrink(pixels, image_size), 95))
        mine = by_photo.get_group(photo.path)
        corners = mine[SIDES].to_numpy() / [photo.width, photo.height, photo.width, photo.height]
        centres, extents = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
        lines = [
            f"{parts.index(part)} {' '.join(f'{value:.6f}' for value in values)}"
            for part, values in zip(mine["part"], np.hstack([centres, extents]), strict=True)
        ]
        (root / "labels" / split / f"{number:06}.txt").write_text("\n".join(lines) + "\n")
