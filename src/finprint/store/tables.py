"""The tables that flow between the stages: their columns, checked where they are read and written.

Ids are strings, always: `875923901e14` is a name and not a number. What is unknown is missing (NA),
never a sentinel such as -1 or "".
"""

from pathlib import Path

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaError, SchemaErrors

from finprint.base.errors import UserError
from finprint.base.files import atomic

TRAIN, VALIDATION, TEST = "train", "validation", "test"
NEW = "new_individual"
WHOLE = "whole"  # the part of a crop that no box made: what crop.whole says of the photo


def text(nullable: bool = False) -> pa.Column:
    return pa.Column("string", nullable=nullable, coerce=True)


PHOTOS = pa.DataFrameSchema(
    {
        "image": pa.Column("string", unique=True, coerce=True),  # file name: the photo's id
        "path": text(),  # from the project's root
        "sha256": pa.Column("string", pa.Check.str_length(64, 64), coerce=True),
        "width": pa.Column("int32", pa.Check.gt(0), coerce=True),  # px, upright
        "height": pa.Column("int32", pa.Check.gt(0), coerce=True),
        "species": text(nullable=True),
        "identity": text(nullable=True),
        "encounter": text(nullable=True),
        # left, right, or as a table tells it. Experiments from before there was such a column are read as well.
        "viewpoint": pa.Column("string", nullable=True, coerce=True, required=False),
        "group": pa.Column("int32", coerce=True),  # photos of one animal and group stay on one side
        "split": pa.Column("string", pa.Check.isin([TRAIN, VALIDATION, TEST]), coerce=True),
        "fold": pa.Column("int32", coerce=True),  # that its group was dealt to; -1 without an identity
    },
    strict=True,
    name="photos",
)
SIGHTINGS = pa.DataFrameSchema(  # what exports need besides; a table of its own, so that a date trains nothing again
    {
        "image": pa.Column("string", unique=True, coerce=True),
        "date": text(nullable=True),  # as ISO 8601 writes it
        "place": text(nullable=True),
        # in degrees. Runs without these two columns are read, too
        "latitude": pa.Column("float64", nullable=True, coerce=True, required=False),
        "longitude": pa.Column("float64", nullable=True, coerce=True, required=False),
        # whom it showed before data/decisions/log.jsonl was applied. Runs without this column are read, too
        "labelled": pa.Column("string", nullable=True, coerce=True, required=False),
    },
    strict=True,
    name="sightings",
)
SIDES = ["x_min", "y_min", "x_max", "y_max"]  # of a box
BOXES = pa.DataFrameSchema(  # with all that the detector needs: photos without boxes must not make it train again
    {
        "image": text(),
        "path": text(),
        "sha256": pa.Column("string", pa.Check.str_length(64, 64), coerce=True),
        "width": pa.Column("int32", pa.Check.gt(0), coerce=True),  # px, of the photo
        "height": pa.Column("int32", pa.Check.gt(0), coerce=True),
        "group": text(),  # the first boxed photo of its group
        "part": text(nullable=True),  # missing, as the corners are: the photo shows no animal
        **{side: pa.Column("float64", nullable=True, coerce=True) for side in SIDES},  # px
        "confidence": pa.Column("float64", pa.Check.in_range(0, 1), coerce=True),  # 1 where drawn by hand
    },
    strict=True,
    name="boxes",
)
CROPS = pa.DataFrameSchema(
    {
        "image": pa.Column("string", unique=True, coerce=True),
        "part": text(),
        **{side: pa.Column("float64", coerce=True) for side in SIDES},  # px, no margin
        "confidence": pa.Column("float64", pa.Check.in_range(0, 1), coerce=True),  # 0 for part whole
        "shard": text(),
        "offset": pa.Column("int64", coerce=True),  # bytes, where the JPEG starts in the shard
        "length": pa.Column("int64", coerce=True),  # bytes
        # of the JPEG. Indexes from before there was such a column are read as well.
        "sha256": pa.Column("string", pa.Check.str_length(64, 64), nullable=True, coerce=True, required=False),
    },
    strict=True,
    name="crops",
)
ROWS = pa.DataFrameSchema({"image": pa.Column("string", unique=True, coerce=True)}, strict=True, name="rows of vectors")
LABELS = pa.DataFrameSchema(
    {
        "image": text(),
        "identity": text(),
        "score": pa.Column("float64", coerce=True),  # cosine of the photo's nearest neighbour
        "weight": pa.Column("float64", pa.Check.in_range(0, 1), coerce=True),  # how much the name counts
    },
    strict=True,
    unique=["image", "identity"],
    name="pseudo-labels",
)
TRUTH = pa.DataFrameSchema(
    {"image": pa.Column("string", unique=True, coerce=True), "identity": text()}, strict=True, name="truth"
)
FINDINGS = pa.DataFrameSchema(
    {
        "kind": text(),
        "name": text(),
        "other": text(nullable=True),
        "detail": text(nullable=True),
    },
    strict=True,
    name="findings",
)
REJECTS = pa.DataFrameSchema({"image": text(), "table": text(), "reason": text()}, strict=True, name="rejects")


def names_of(photos: pd.DataFrame) -> dict[str, str]:
    """The individual in each photo of a table with columns image and identity, where one is known."""
    known = photos.dropna(subset="identity")
    return dict(zip(known["image"], known["identity"], strict=True))


def names_before(photos: pd.DataFrame, sightings: pd.DataFrame) -> dict[str, str]:
    """The individual in each photo of a run before the log of decisions was applied, where one was known.

    Args:
        photos: table `PHOTOS`.
        sightings: table `SIGHTINGS`.
    """
    if "labelled" not in sightings:
        return names_of(photos[photos["split"] != TEST])
    return names_of(sightings.rename(columns={"labelled": "identity"}))


def write_table(path: Path, table: pd.DataFrame, schema: pa.DataFrameSchema) -> None:
    """Check `table` and write it, as .parquet or .csv by the path's suffix, atomically."""
    columns = [name for name, column in schema.columns.items() if column.required or name in table]
    checked = schema.validate(table[columns].reset_index(drop=True))
    with atomic(path) as draft:
        if path.suffix == ".csv":
            checked.to_csv(draft, index=False, lineterminator="\n")
        else:
            checked.to_parquet(draft, index=False)


def read_table(path: Path, schema: pa.DataFrameSchema) -> pd.DataFrame:
    """Read a table that `write_table` wrote and check it.

    Raises:
        UserError: the file is missing, damaged, or does not fit the schema.
    """
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype="string", keep_default_na=False, na_values=[""])
        else:
            table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: `dvc repro` makes it") from None
    except Exception as error:  # a damaged file makes pandas and pyarrow raise whatever comes
        raise UserError(f"{path} is no table of {schema.name}: {' '.join(str(error).split())}") from None
    try:
        return schema.validate(table)
    except (SchemaError, SchemaErrors) as error:
        raise UserError(f"{path} is no table of {schema.name}: {' '.join(str(error).split())}") from None
