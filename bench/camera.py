"""Photos as large as a camera's, for the benches: animals of the drawn pod, small in the picture and filling it.

Not a bench itself. What a large photo holds beyond the small drawing is texture of all scales and a sensor's noise.
"""

import io
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from finprint.base.files import sha256_bytes, sha256_path
from finprint.pictures.images import decode
from finprint.store.tables import BOXES, PHOTOS, SIDES, TEST
from finprint.survey.sample.draw import draw_pod
from finprint.survey.sources.boxes import read_table_of_boxes

QUALITY = 90  # of the JPEGs
NOISE = 4.0  # grey levels of 255, standard deviation of the sensor's noise
TEXTURE = 5.0  # grey levels, standard deviation of each octave of texture
SHARES = (0.1, 1.0)  # least and greatest share of the photo's width that the animal takes; their logarithm is uniform


def take_photos(
    folder: Path, count: int, width: int, height: int, table: Path | None = None, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write `count` JPEGs of width x height px and tell of them in the tables `PHOTOS` and `BOXES`.

    The animal takes a share of the width between `SHARES`. With a `table` of boxes (image, bbox, width, height of the
    photo: Happywhale's fullbody_test_charm.csv) it is as large as a box of it, drawn at random, would be in a photo of
    so many pixels.
    """
    pod = folder / "pod"
    draw_pod(pod, individuals=8, photos=40, test_photos=0, boxed_share=1.0, seed=seed)
    drawn = pd.read_csv(pod / "boxes.csv")
    drawn = drawn[drawn["part"] == "body"].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    grain = _grain(width, height, rng)
    shorter = None if table is None else rng.choice(shorter_sides(table, width * height), count)
    photos, boxes = [], []
    for number in range(count):
        animal = drawn.iloc[number % len(drawn)]
        small, _ = decode(pod / "train_images" / animal["image"])
        share = float(np.exp(rng.uniform(*np.log(SHARES))))
        if shorter is not None:
            extent = (animal["x_max"] - animal["x_min"], animal["y_max"] - animal["y_min"])
            share = min(1.0, shorter[number] / min(extent) * extent[0] / width)
        pixels, box = _place(small, animal[SIDES].to_numpy(float), share, width, height, rng)
        noisy = cv2.add(pixels, np.roll(grain, rng.integers(0, (height, width)), (0, 1)), dtype=cv2.CV_8U)
        image = f"{number:06}.jpg"
        path = folder / image
        Image.fromarray(noisy).save(path, quality=QUALITY)
        fact = {"image": image, "path": str(path), "width": width, "height": height, "sha256": sha256_path(path)}
        photos.append(fact | {"group": number})
        boxes.append(fact | {"group": image, "part": "body", "confidence": 1.0} | dict(zip(SIDES, box, strict=True)))
    return _photos_table(photos), BOXES.validate(pd.DataFrame(boxes)[list(BOXES.columns)])


def shorter_sides(table: Path, pixels: int) -> np.ndarray:
    """The shorter sides of a table's boxes, in px, as if each photo had so many pixels."""
    boxes = read_table_of_boxes(table, "body").dropna(subset=SIDES)
    size = pd.read_csv(table).drop_duplicates("image").set_index("image")[["width", "height"]]
    shorter = np.minimum(boxes["x_max"] - boxes["x_min"], boxes["y_max"] - boxes["y_min"])
    area = boxes["image"].map(size["width"] * size["height"])
    return (shorter * np.sqrt(pixels / area)).to_numpy(float)


def take_small_photos(folder: Path, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`count` photos of 320 x 240 px, 100 different pictures with a number behind each; their table, and no boxes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(100):
        cells = rng.integers(0, 256, (9, 9, 3)).astype(np.uint8)
        pixels = cv2.resize(cells, (320, 240), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(pixels).save(encoded := io.BytesIO(), "JPEG", quality=QUALITY)
        pictures.append(encoded.getvalue())
    photos = []
    for number in range(count):
        path, content = folder / f"{number:06}.jpg", pictures[number % 100] + f"{number:06}".encode()
        path.write_bytes(content)
        fact = {"image": path.name, "path": str(path), "width": 320, "height": 240, "group": number}
        photos.append(fact | {"sha256": sha256_bytes(content)})
    return _photos_table(photos), BOXES.validate(pd.DataFrame(columns=list(BOXES.columns)))


def _photos_table(photos: list[dict[str, object]]) -> pd.DataFrame:
    unknown = dict.fromkeys(("species", "identity", "encounter", "viewpoint"))
    return PHOTOS.validate(pd.DataFrame(photos).assign(split=TEST, fold=-1, **unknown)[list(PHOTOS.columns)])


def _place(
    small: np.ndarray, box: np.ndarray, share: float, width: int, height: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[float]]:
    """A drawn photo enlarged until its animal takes `share` of the width (or all of the height), and its box.

    What the drawing does not reach is filled with its outermost pixels.
    """
    scale = min(share * width / (box[2] - box[0]), height / (box[3] - box[1]))
    size = np.array([width, height]) / scale  # of the photo, in pixels of the drawing
    room = size - (box[2:] - box[:2])
    corner = box[:2] - rng.uniform(0, 1, 2) * room
    move = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    pixels = cv2.warpAffine(small, move, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    placed = np.clip((box - np.tile(corner, 2)) * scale, 0, [width, height, width, height])
    return pixels, placed.tolist()


def _grain(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """(height, width, 3) int16: octaves of texture, the same in all colours, and noise of each pixel."""
    grain = NOISE * rng.standard_normal((height, width, 3), dtype=np.float32)
    for octave in (2, 4, 8, 16, 32, 64):
        cells = rng.standard_normal((-(-height // octave), -(-width // octave)), dtype=np.float32)
        grain += TEXTURE * cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.rint(grain).astype(np.int16)
