"""The stage `imagine`: a generator learns from the photos that a fold's model may see, and makes more of each class."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finprint.base.checkpoint import Checkpoint
from finprint.base.files import atomic
from finprint.classes.imagined import write_made, write_sheet
from finprint.classes.labels import Labelled
from finprint.classes.params import Imagine
from finprint.classes.rivals import Rivals, SmallPhotos
from finprint.model.views import plain_view
from finprint.pictures.shards import Crops

# The rooms that made images depend on, besides params and photos
CODE = ("base", "classes", "learning", "model", "pictures", "store")
SHOWN = 8  # images of a kind and class on the contact sheet
SHEET = "sheet.png"


@dataclass(frozen=True)
class Asked:
    """What images are wanted.

    Attributes:
        of: what is told, and `fold`, whose model they are for.
        params: the section `imagine`.
        seed: of the generator.
    """

    of: str
    fold: int
    params: Imagine
    seed: int


def imagine(
    labels: Labelled, crops: Crops, asked: Asked, folder: Path
) -> tuple[dict[str, Any], Callable[[], None] | None]:
    """Learn to make images of each class, and write them to a folder; an empty one if none are wanted.

    The generator learns from the photos that the fold's model learns from, and from no other: neither the fold nor the
    test share reaches it.

    Args:
        labels: which photos show what.
        crops: of these photos.
        asked: what is wanted.
        folder: to write.

    Returns:
        Metrics, and what to call when it is certain that nothing changed meanwhile.
    """
    if not asked.params.per_class:
        with atomic(folder) as draft:
            draft.mkdir()
            write_made(draft, {})
        return {"made": 0}, None
    small = small_photos(labels, crops, asked)
    settings = {"params": asked.params.model_dump(exclude={"per_class"}), "seed": asked.seed}
    photos = {"photos": labels.fingerprint(crops), "fold": asked.fold}
    checkpoint = Checkpoint(f"imagine_{asked.of}{asked.fold}", settings | photos, [], CODE)
    print(f"a generator learns from {len(small.codes)} photos of {len(labels.classes)} classes", flush=True)
    rivals = Rivals(len(labels.classes), asked.params, asked.seed)
    rivals.learn(small, checkpoint)
    taught = [code for code in range(len(labels.classes)) if (small.codes == code).any()]
    made = {labels.classes[code]: rivals.made(code, asked.params.per_class) for code in taught}
    real = {labels.classes[code]: small.views[small.codes == code][:SHOWN] for code in taught}
    with atomic(folder) as draft:
        draft.mkdir()
        write_made(draft, made)
        write_sheet(
            draft / SHEET, {name: (real[name].transpose(0, 2, 3, 1), images[:SHOWN]) for name, images in made.items()}
        )
    told = {"made": sum(map(len, made.values())), "photos": len(small.codes), "classes": len(taught)}
    return told | {"steps": rivals.steps, "distance": rivals.distance}, checkpoint.finish


def small_photos(labels: Labelled, crops: Crops, asked: Asked) -> SmallPhotos:
    """What the generator learns from: plain views of the photos that the fold's model learns from, all in memory."""
    learned, side = labels.learns(asked.fold), asked.params.image_size
    rows = crops.rows(learned["image"])
    views = np.empty((len(rows), 3, side, side), np.uint8)
    for number, row in enumerate(rows):
        views[number] = plain_view(crops.pixels(int(row)), side, asked.params.padded).transpose(2, 0, 1)
    return SmallPhotos(views, labels.codes(learned["label"]))
