"""Training YOLOv5 on the photos that have boxes, and measuring it on photos held out."""

import random
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from finprint.base.device import best_device
from finprint.base.errors import UserError
from finprint.base.files import SEAL, atomic, intact, remove, seal, write_text, writing
from finprint.detector.loading import load_yolo
from finprint.detector.params import Detector
from finprint.detector.yolo import save_detector, shrink
from finprint.pictures.images import BadPhoto, decode, encode_jpeg, read_photo
from finprint.store.tables import SIDES

CODE = ("base", "detector", "pictures", "store")  # the rooms that a training depends on, besides params and boxes


def train_detector(
    boxes: pd.DataFrame, held_out: Collection[str], params: Detector, seed: int, scratch: Path, folder: Path
) -> dict[str, Any]:
    """Train YOLOv5 on the boxed photos and measure it on those held out. Photos without an animal are among them.

    Args:
        boxes: table `BOXES`.
        held_out: the groups whose photos measure and do not train, as `hold_out` chooses them.
        params: the section `detector`.
        seed: of the initial weights and the augmentations.
        scratch: a folder for ultralytics' working tree; a run that was killed there goes on.
        folder: the model folder to write.

    Returns:
        mAP50 and mAP50-95, overall and for each part, and the counts of photos.

    Raises:
        UserError: there are too few boxed photos, one has changed since it was prepared, or the network cannot be
            loaded.
    """
    boxed = boxes.drop_duplicates("path")  # a row a photo
    measures = boxed["group"].isin(held_out)
    animals = boxed["path"].isin(boxes.loc[boxes["part"].notna(), "path"])
    if not (animals & measures).any() or not (animals & ~measures).any():
        raise UserError(
            f"{animals.sum()} photos with boxes are too few to train a detector and to measure it: "
            "add boxes, or set detector.enabled to false"
        )
    parts = sorted(boxes["part"].dropna().unique())
    data = scratch / "data.yaml"
    if not data.exists():
        for name, chosen in (("train", boxed[~measures]), ("val", boxed[measures])):
            _write_photos(scratch / "photos", name, chosen, boxes, parts, params.image_size)
        tree = {"path": str((scratch / "photos").resolve()), "train": "images/train", "val": "images/val"}
        write_text(data, yaml.safe_dump(tree | {"names": dict(enumerate(parts))}))  # last: a killed run begins anew

    print(f"{(~measures).sum()} photos to train the detector, {measures.sum()} to measure it", flush=True)
    trained = _train(params, seed, data, scratch)
    metrics = trained.val(
        data=str(data), imgsz=params.image_size, batch=params.batch, device=str(best_device()), workers=0,
        plots=False, verbose=False, project=str(scratch), name="val", exist_ok=True,
    ).box  # fmt: skip
    scores: dict[str, Any] = {"map50": metrics.map50, "map50_95": metrics.map}
    for number, ap50, ap in zip(metrics.ap_class_index, metrics.ap50, metrics.ap, strict=True):
        scores[parts[number]] = {"map50": ap50, "map50_95": ap}
    save_detector(folder, trained, params.image_size)
    return scores | {"train_photos": int((~measures).sum()), "held_out_photos": int(measures.sum())}


def hold_out(boxes: pd.DataFrame, share: float, seed: int) -> set[str]:
    """Choose the groups that measure the detector: about `share` of the boxed photos, and more only if every group has
    more. Where all photos are one group, nothing is chosen."""
    size = boxes.drop_duplicates("path")["group"].value_counts()
    groups = sorted(size.index)
    random.Random(seed).shuffle(groups)
    wanted, chosen = round(share * size.sum()), set()
    for group in groups:
        if size[group] <= wanted:
            chosen.add(group)
            wanted -= size[group]
    if wanted and not chosen and len(size) > 1:
        return {min(groups, key=lambda group: size[group])}
    return chosen


def _train(params: Detector, seed: int, data: Path, scratch: Path) -> Any:
    """The trained YOLO; a run that was killed in `scratch` goes on after its last whole epoch."""
    last, kept = scratch / "run" / "weights" / "last.pt", scratch / "kept.pt"
    for pickled in (scratch / "photos" / "labels").glob("*.cache"):  # ultralytics would load it and run what it says
        remove(pickled)

    def keep(_: Any) -> None:
        """ultralytics writes its checkpoint in place: a kill in the middle would leave half of one."""
        with atomic(kept) as draft:
            draft.write_bytes(last.read_bytes())
            seal(draft)

    done = _restore(kept, last)
    if done < params.epochs:
        yolo = load_yolo(last, "a checkpoint") if done else load_yolo(params.network, "detector.network")
        yolo.add_callback("on_train_epoch_end", _say)
        yolo.add_callback("on_model_save", keep)
        with writing(scratch):
            yolo.train(**{"resume": True, "data": str(data)} if done else _recipe(params, seed, data, scratch))
    return load_yolo(last, "a checkpoint")


def _restore(kept: Path, last: Path) -> int:
    """Put the checkpoint that was kept where ultralytics goes on from; returns the number of its epochs."""
    if not intact(kept):
        return 0
    last.parent.mkdir(parents=True, exist_ok=True)
    last.write_bytes(kept.read_bytes()[:-SEAL])
    return int(load_yolo(last, "a checkpoint").ckpt["epoch"]) + 1


def _say(trainer: Any) -> None:
    losses = ", ".join(f"{name} {value:.3f}" for name, value in trainer.label_loss_items(trainer.tloss).items())
    print(f"epoch {trainer.epoch + 1}/{trainer.epochs}: {losses}", flush=True)


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
        path = Path(str(photo.path))
        try:
            pixels, _ = decode(path, image_size, read_photo(path, str(photo.sha256)))
        except BadPhoto as bad:
            raise UserError(f"{path}: {bad}") from None
        (root / "images" / split / f"{number:06}.jpg").write_bytes(encode_jpeg(shrink(pixels, image_size), 95))
        own = by_photo.get_group(photo.path).dropna(subset="part")
        corners = own[SIDES].to_numpy() / [photo.width, photo.height, photo.width, photo.height]
        centres, extents = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
        lines = [
            f"{parts.index(part)} {' '.join(f'{value:.6f}' for value in values)}\n"
            for part, values in zip(own["part"], np.hstack([centres, extents]), strict=True)
        ]
        (root / "labels" / split / f"{number:06}.txt").write_text("".join(lines))
