"""The tables of a bundle: their columns, checked where they are read and written."""

import pandas as pd
import pandera.pandas as pa

from finprint.store.decisions import FURTHER
from finprint.store.tables import text

TOLD = ["species", "encounter", "viewpoint", "date", "place"]  # what is known of a photo besides its individual
COORDINATES = ["latitude", "longitude"]  # of a photo to identify, in degrees; exports tell them
GALLERY = pa.DataFrameSchema(
    {
        "image": pa.Column("string", unique=True, coerce=True),
        "identity": text(nullable=True),  # missing: the photo is not in the gallery now
        "labelled": text(nullable=True),  # the name that the pipeline knew; missing: the photo was enrolled
        **{name: text(nullable=True) for name in TOLD},  # date: as ISO 8601 writes it
        "sha256": pa.Column("string", pa.Check.str_length(64, 64), coerce=True),
        "width": pa.Column("int32", pa.Check.gt(0), coerce=True),  # px, upright
        "height": pa.Column("int32", pa.Check.gt(0), coerce=True),
    },
    strict=True,
    name="gallery of a bundle",
)


def gallery_table(photos: pd.DataFrame) -> pd.DataFrame:
    """Table `GALLERY` from one that has some of its columns; what is not told is missing."""
    table = photos.reindex(columns=list(GALLERY.columns))
    return table.astype(dict.fromkeys(("identity", "labelled", *TOLD), "string"))


def contents(photos: pd.DataFrame) -> pd.Series:
    """`content` of each row of a table with columns sha256 and image; missing where the photo could not be read."""
    further = photos["image"].astype("string").str.extract(f"({FURTHER.pattern})")[0].fillna("")
    return photos["sha256"].astype("string") + further
