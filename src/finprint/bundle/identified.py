"""What `identify` has made of some photos, in a folder: answers, boxes, crops, vectors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from finprint.answers.tables import ANSWERS, GALLERY, PROPOSED
from finprint.base.errors import UserError
from finprint.base.files import read_json, sha256_path, write_array, write_json
from finprint.bundle.tables import COORDINATES, TOLD
from finprint.evaluation.changed import Answered
from finprint.keypoints.tables import POINTS, read_points
from finprint.pictures.shards import INDEX, Crops
from finprint.store.tables import ROWS, SIDES, read_table, text, write_table

REVIEW, CROPS, RUN, DECISIONS = "review", "crops", "run.json", "decisions.jsonl"
OF_CROPS = "crops"  # in run.json: the hash of the crops' index, so that those of another run are noticed
NUMBER = pa.Column("Int32", pa.Check.gt(0), nullable=True, coerce=True)
IDENTIFIED = pa.DataFrameSchema(
    {
        "image": pa.Column("string", unique=True, coerce=True),
        "path": text(),  # from the folder that run.json names
        "width": NUMBER,  # px, upright; missing, as the hash is, where the file could not be read
        "height": NUMBER,
        "sha256": pa.Column("string", pa.Check.str_length(64, 64), nullable=True, coerce=True),
        **{name: text(nullable=True) for name in TOLD},
        **{name: pa.Column("float64", nullable=True, coerce=True) for name in COORDINATES},
        "p_new": pa.Column("float64", nullable=True, coerce=True),
        "problem": text(nullable=True),
    },
    strict=True,
    name="identified photos",
)
BOXED = pa.DataFrameSchema(
    {
        "image": pa.Column("string", unique=True, coerce=True),
        "part": text(),
        **{side: pa.Column("float64", coerce=True) for side in SIDES},  # px of the photo
        "confidence": pa.Column("float64", pa.Check.in_range(0, 1), coerce=True),
    },
    strict=True,
    name="boxes",
)


@dataclass(frozen=True)
class Identified:
    """Photos, and what was made of them.

    Attributes:
        photos: table `IDENTIFIED`, a row a photo; of a further animal in a photo, NAME#2, a row of its own.
        answers: table `ANSWERS`.
        crops: of the photos that have one; their table tells the boxes.
        vectors: (N, sum of D) float32, a row for each crop, the members' vectors one behind the other.
        points: table `POINTS`, the matched points of the second look.
        proposed: table `PROPOSED`, the photos that are called new, grouped into proposed new individuals.
        gallery: table `GALLERY`, the individuals in the photos with which they were compared.
        run: content of run.json: the hash of the `bundle`, its `bundle_folder` and the `folder` of the photos as they
            were given, its `system`, the version of `finprint`, the bundle's `rules`, a hash of each of its `models`.
    """

    photos: pd.DataFrame
    answers: pd.DataFrame
    crops: Crops
    vectors: np.ndarray
    points: pd.DataFrame
    proposed: pd.DataFrame
    gallery: pd.DataFrame
    run: dict[str, Any]

    def write(self, folder: Path) -> None:
        """Write all but the crops, which lie there already, into the folder `review`."""
        write_table(folder / "photos.parquet", self.photos, IDENTIFIED)
        write_table(folder / "answers.parquet", self.answers, ANSWERS)
        write_table(folder / "boxes.parquet", self.crops.index, BOXED)
        write_table(folder / "rows.parquet", self.crops.index, ROWS)
        write_array(folder / "vectors.npy", self.vectors)
        write_table(folder / "points.parquet", self.points, POINTS)
        write_table(folder / "new_individuals.csv", self.proposed, PROPOSED)
        write_table(folder / "gallery.parquet", self.gallery, GALLERY)
        write_json(folder / RUN, self.run | {OF_CROPS: sha256_path(folder / CROPS / INDEX)})

    @staticmethod
    def load(out: Path) -> "Identified":
        """Read what `identify` wrote into a folder.

        Raises:
            UserError: it wrote nothing there, it is damaged, or a run that was stopped has changed a part of it.
        """
        folder = out / REVIEW
        if not (folder / RUN).is_file():
            raise UserError(f"{out} holds no identified photos: `finprint identify PHOTOS --out {out}` first")
        try:
            run, vectors = read_json(folder / RUN), np.load(folder / "vectors.npy", allow_pickle=False)
            photos = read_table(folder / "photos.parquet", IDENTIFIED)
            answers = read_table(folder / "answers.parquet", ANSWERS)
            points, proposed = read_points(folder), read_table(folder / "new_individuals.csv", PROPOSED)
            gallery, crops = read_table(folder / "gallery.parquet", GALLERY), Crops(folder / CROPS)
            _of_one_run(folder, crops, len(vectors), run.pop(OF_CROPS, None))
            return Identified(photos, answers, crops, vectors, points, proposed, gallery, run)
        except (UserError, OSError, ValueError, EOFError):  # of a table, a shard or an array
            raise UserError(
                f"{folder} is damaged or of an older version: run `finprint identify` again with --out {out}; "
                "the decisions are kept"
            ) from None


def _of_one_run(folder: Path, crops: Crops, vectors: int, told: str | None) -> None:
    """Check that the crops are those that the rest was made from.

    Args:
        folder: the folder `review`.
        crops: that lie there now.
        vectors: their number.
        told: the hash of the crops' index when the rest was written; None: an older version did not keep it.

    Raises:
        UserError: they are of another run.
    """
    rows = read_table(folder / "rows.parquet", ROWS)["image"].tolist()
    same = told in (None, sha256_path(folder / CROPS / INDEX))
    if not same or rows != crops.index["image"].tolist() or len(rows) != vectors:
        raise UserError(f"{folder} holds parts of two runs")


def answered_of(identified: Identified) -> Answered:
    """What was answered, and from what, to be compared with another time."""
    answers, gallery = ANSWERS.validate(identified.answers), identified.gallery[list(GALLERY.columns)]
    rules, models = identified.run.get("rules", {}), tuple(identified.run.get("models", ()))
    return Answered(answers, GALLERY.validate(gallery.reset_index(drop=True)), rules, models)
