"""Classify images by an exported model: python classify_images.py IMAGES... > answers.csv

It needs torch, numpy and opencv, and the files beside it; it does not need finprint. An image is looked at as a whole,
and through the JPEG that the models have learned from: crop it first if they were trained on crops, and do not resize
it, because its size in px may count.
"""

import csv
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch

HERE = Path(__file__).parent


def view(pixels: np.ndarray, side: int, padded: bool) -> np.ndarray:
    """An image (H, W, 3) uint8 as a square that a model sees."""
    height, width = pixels.shape[:2]
    if padded and height != width:
        edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        longer = max(height, width)
        top, left = (longer - height) // 2, (longer - width) // 2
        borders = (top, longer - height - top, left, longer - width - left)
        colour = np.median(edge, axis=0).tolist()
        pixels = cv2.copyMakeBorder(pixels, *borders, cv2.BORDER_CONSTANT, value=colour)
    shrinks = side * side < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def stored(pixels: np.ndarray, most: int, quality: int) -> np.ndarray:
    """An image (H, W, 3) as the models' photos were stored: with a shorter side of `most` px at most, and as JPEG."""
    height, width = pixels.shape[:2]
    scale = min(1.0, most / min(height, width))
    if scale < 1:
        pixels = cv2.resize(pixels, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if max(pixels.shape[:2]) <= 64:
        how += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    again = cv2.imdecode(cv2.imencode(".jpg", pixels, how)[1], cv2.IMREAD_COLOR)
    assert again is not None
    return again


def main(images: list[str]) -> None:
    config = json.loads((HERE / "config.json").read_text(encoding="utf-8"))
    model = torch.export.load(HERE / "model.pt2").module()
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["image", "answer", "probability", *config["classes"]])
    for image in images:
        pixels = cv2.imread(image, cv2.IMREAD_COLOR)
        if pixels is None:
            print(f"{image}: not an image", file=sys.stderr)
            continue
        seen = stored(pixels, config["stored"]["image_size"], config["stored"]["quality"])[:, :, ::-1].copy()
        squares = [view(seen, form["image_size"], form["padded"]) for form in config["squares"]]
        crops = [torch.from_numpy(square).permute(2, 0, 1)[None].float() / 255 for square in squares]
        height, width = pixels.shape[:2]
        with torch.no_grad():
            chances = model(crops, torch.tensor([[width, height]]).log())[0].tolist()
        best = int(np.argmax(chances))
        out.writerow([image, config["classes"][best], f"{chances[best]:.6g}", *(f"{chance:.6g}" for chance in chances)])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1:])
