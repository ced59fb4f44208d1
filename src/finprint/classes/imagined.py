"""Images that a generator made of each class, in a folder like that of the crops; models learn from them, too."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa
from PIL import Image, ImageDraw, ImageFont

from finprint.base.files import atomic, sha256_bytes
from finprint.classes.labels import Labelled
from finprint.pictures.images import encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.store.tables import CROPS, SIDES, read_table, write_table

TOLD = "labels.parquet"
MADE = pa.DataFrameSchema(
    {"image": pa.Column("string", unique=True, coerce=True), "label": pa.Column("string", coerce=True)},
    strict=True,
    name="made images",
)
QUALITY = 95  # of the JPEGs, 1 to 100


def write_made(folder: Path, made: Mapping[str, np.ndarray]) -> None:
    """Write made images as a folder of crops, a shard a class, with a table of their labels.

    Args:
        folder: to write into; it is there.
        made: (N, S, S, 3) uint8 of each class.
    """
    rows = []
    for number, (name, images) in enumerate(made.items()):
        shard, contents = f"made-{number:05}.tar", [encode_jpeg(image, QUALITY) for image in images]
        places = write_shard(folder / shard, [(f"{row:08}.jpg", content) for row, content in enumerate(contents)])
        side = float(images.shape[1])
        rows += [
            (f"imagined/{name}/{row}", "whole", 0.0, 0.0, side, side, 0.0, shard, *place, sha256_bytes(content))
            for row, (place, content) in enumerate(zip(places, contents, strict=True))
        ]
    index = pd.DataFrame(rows, columns=["image", "part", *SIDES, "confidence", "shard", "offset", "length", "sha256"])
    labels = [name for name, images in made.items() for _ in images]
    write_table(folder / INDEX, index, CROPS)
    write_table(folder / TOLD, index[["image"]].assign(label=pd.array(labels, "string")), MADE)


def beside_made(labels: Labelled, crops: Crops, folder: Path) -> tuple[Labelled, Crops]:
    """The same labels and crops with the made images of a folder beside them, to learn from alone.

    Raises:
        UserError: a file of the folder is missing or damaged.
    """
    table = read_table(folder / TOLD, MADE)
    if not len(table):
        return labels, crops
    print(f"{len(table)} made images beside the photos", flush=True)
    return labels.with_made(table), crops.beside(folder)


def write_sheet(path: Path, pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """A PNG with a row for each class: its name, real images, made ones.

    Args:
        path: to write.
        pairs: real and made images, (N, S, S, 3) uint8 each, by the name of their class.
    """
    side = next(iter(pairs.values()))[1].shape[1]
    across = max(len(images) for pair in pairs.values() for images in pair)
    step, left = side + 2, 160
    size = (left + (2 * across + 1) * step, 20 + len(pairs) * max(step, 16))
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for column, title in ((0, "photos"), (across + 1, "made")):
        draw.text((left + column * step, 3), title, "black", font)
    for row, (name, pair) in enumerate(pairs.items()):
        top = 20 + row * max(step, 16)
        draw.text((4, top + 1), name[:26], "black", font)
        for first, images in zip((0, across + 1), pair, strict=True):
            for column, image in enumerate(images, start=first):
                sheet.paste(Image.fromarray(image), (left + column * step, top))
    with atomic(path) as draft:
        sheet.save(draft, format="PNG")
