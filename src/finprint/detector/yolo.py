"""A trained YOLOv5: its model folder, whose weights any ultralytics can load, and what it sees in photos."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from finprint.base.device import best_device
from finprint.base.errors import UserError
from finprint.base.files import atomic, write_json
from finprint.detector.loading import load_yolo
from finprint.pictures.images import resize

WEIGHTS, CONFIG = "weights.pt", "detector.json"


@dataclass(frozen=True)
class Detection:
    """What the detector sees, or what a person has drawn: part, corners in pixels of the photo given, confidence."""

    part: str
    box: np.ndarray  # (4,) x_min, y_min, x_max, y_max
    confidence: float


class _Config(BaseModel):
    """What stands beside the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    enabled: bool
    parts: list[str]
    image_size: int = 0  # px


def save_detector(folder: Path, trained: Any, image_size: int) -> None:
    """Write a trained YOLO without the dates, paths and arguments that make its bytes differ each time."""
    network = trained.model.half()
    network.args = {"task": "detect", "imgsz": image_size, "data": None, "single_cls": False}
    network.yaml.pop("yaml_file", None)
    network.__dict__.pop("pt_path", None)  # where it was read from
    for parameter in network.parameters():
        parameter.requires_grad = False
    with atomic(folder) as draft:
        draft.mkdir()
        torch.save({"model": network, "ema": None, "train_args": network.args, "date": None}, draft / WEIGHTS)
        write_json(draft / CONFIG, {"enabled": True, "parts": list(trained.names.values()), "image_size": image_size})


def save_no_detector(folder: Path) -> None:
    """Write the folder that says: there is no detector."""
    with atomic(folder) as draft:
        draft.mkdir()
        write_json(draft / CONFIG, {"enabled": False, "parts": []})


class TrainedDetector:
    """A detector read from its model folder, without running anything that the folder's files say.

    Attributes:
        image_size: px, the longer side at which it wants its photos.
        parts: what it tells apart.

    Raises:
        UserError: the folder holds no detector, or one that is damaged or cannot be loaded without running code.
    """

    def __init__(self, folder: Path) -> None:
        config = _read_config(folder)
        self._folder = folder
        self.image_size, self.parts = config.image_size, config.parts
        self._yolo = load_yolo(folder / WEIGHTS, f"{folder} holds no detector of this project")
        if len(self._yolo.names) != len(self.parts):
            raise UserError(f"{folder}: weights of {len(self._yolo.names)} parts, but {CONFIG} has {len(self.parts)}")

    def __reduce__(self) -> tuple[Any, ...]:
        """It travels to another process as its files, which are loaded there with the same care."""
        return _unpacked, ({name: (self._folder / name).read_bytes() for name in (WEIGHTS, CONFIG)},)

    @staticmethod
    def enabled(folder: Path) -> bool:
        """Is there a detector in `folder`, or does it say that there is none?"""
        return _read_config(folder).enabled

    def find(self, photos: list[np.ndarray], confidence: float) -> list[list[Detection]]:
        """Find parts in a batch of photos, `(H, W, 3)` RGB uint8 each.

        A photo's boxes do not depend on what else is in the batch: each is padded to the same square.

        Returns:
            For each photo what is seen with at least `confidence`, surest first.
        """
        results = self._yolo.predict(
            [np.ascontiguousarray(photo[:, :, ::-1]) for photo in photos], imgsz=self.image_size, conf=confidence,
            rect=False, batch=len(photos), device=str(best_device()), verbose=False, save=False,
        )  # fmt: skip
        detections = []
        for result in results:
            boxes, classes = result.boxes.xyxy.cpu().numpy(), result.boxes.cls.int().tolist()
            rows = zip(classes, boxes, result.boxes.conf.tolist(), strict=True)
            detections.append([Detection(self.parts[number], box, sure) for number, box, sure in rows])
        return detections


def _unpacked(files: dict[str, bytes]) -> TrainedDetector:
    """The detector of these files of a folder."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return TrainedDetector(Path(folder))


def _read_config(folder: Path) -> _Config:
    try:
        return _Config.model_validate_json((folder / CONFIG).read_bytes())
    except FileNotFoundError:
        raise UserError(f"{folder} holds no detector: `dvc repro detector` makes it") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(f"{folder / CONFIG} is damaged ({key}: {first['msg']}): `dvc repro` makes it anew") from None


def shrink(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """A photo with its longer side shrunk to `image_size` px, as the detector is trained on and as it looks."""
    height, width = pixels.shape[:2]
    scale = min(1.0, image_size / max(height, width))
    return resize(pixels, max(1, round(width * scale)), max(1, round(height * scale))) if scale < 1 else pixels
