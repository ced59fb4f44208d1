"""YOLOv5 of ultralytics: trained on the photos that have boxes, kept as weights that any ultralytics can load."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from finprint.base.device import best_device, repeatable
from finprint.base.errors import UserError
from finprint.base.files import atomic, cache, read_json, write_json
from finprint.pictures.images import resize

WEIGHTS, CONFIG = "weights.pt", "detector.json"


@dataclass(frozen=True)
class Found:
    """A box that the detector found: part, corners in pixels of the photo given, confidence."""

    part: str
    box: np.ndarray  # (4,) x_min, y_min, x_max, y_max
    confidence: float


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
