"""Training YOLOv5 on the photos that have boxes, and measuring it on photos held out."""

import pickle
import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from finprint.base.device import best_device
from finprint.base.errors import UserError
from finprint.base.files import remove
from finprint.detector.params import Detector
from finprint.detector.yolo import save_detector, shrink, ultralytics_yolo
from finprint.pictures.images import decode, encode_jpeg
from finprint.store.tables import SIDES

CODE = ("base", "detector", "pictures", "store")  # the rooms that a training depends on, besides params and boxes


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
        yolo = yolo_class(last) if done else _load(params.network)
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


def _load(weights: str) -> Any:
    if weights.endswith(".pt") and not Path(weights).is_file():
        raise UserError(f"detector.network: {weights} is not on disk (no stage downloads; yolov5n.yaml trains afresh)")
    try:
        return ultralytics_yolo()(weights, task="detect")
    except Exception as error:  # a damaged .pt makes ultralytics and pickle raise whatever comes
        raise UserError(f"detector.network: {weights}: {(str(error) or repr(error)).splitlines()[0]}") from None


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
        "scale": params.zoom, "mosaic": params.mosaic,
        "close_mosaic": max(1, params.epochs // 4), "val": False, "cache": "ram", "amp": False, "plots": False,
        "workers": 0, "seed": seed, "deterministic": True, "device": str(best_device()), "verbose": False,
        "project": str(scratch.resolve()), "name": "run", "exist_ok": True,
        "pretrained": params.network.endswith(".pt"),
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
