"""The gallery of a bundle: labelled photos with their vectors by each member, and small pictures of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from finprint.bundle.tables import GALLERY
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.store.tables import CROPS, read_table, write_table
from finprint.store.vectors import Vectors, read_vectors, write_vectors

PHOTOS, PICTURES = "photos.parquet", "pictures"
SHARD = 1000  # pictures in a shard


@dataclass(frozen=True)
class Gallery:
    """N photos.

    Attributes:
        photos: table `GALLERY`.
        members: vectors by each member's name, with a row for each photo.
        pictures: the photos' crops.
    """

    photos: pd.DataFrame
    members: Mapping[str, Vectors]
    pictures: Crops

    def write(self, folder: Path) -> None:
        """Write the gallery into a folder that is not there yet."""
        folder.mkdir()
        write_table(folder / PHOTOS, self.photos, GALLERY)
        for name, vectors in self.members.items():
            write_vectors(folder / name, vectors)
        write_pictures(folder / PICTURES, self.photos["image"], [self.pictures])

    @staticmethod
    def read(folder: Path, members: Sequence[str]) -> "Gallery":
        """Read the gallery in a folder.

        Raises:
            UserError: a file is missing or damaged.
        """
        vectors = {name: read_vectors(folder / name) for name in members}
        return Gallery(read_table(folder / PHOTOS, GALLERY), vectors, Crops(folder / PICTURES))


def write_pictures(folder: Path, images: pd.Series, sources: Sequence[Crops]) -> None:
    """Write the crops of some photos into shards of their own, each as the JPEG that it is.

    Args:
        folder: to write.
        images: of the photos.
        sources: crops; the first that has a photo gives its picture.
    """
    folder.mkdir()
    places = {image: (one, row) for one in reversed(sources) for row, image in enumerate(one.index["image"])}
    told = (
        pd.concat([one.index for one in sources]).drop_duplicates("image").set_index("image").loc[images].reset_index()
    )
    tables = [told.iloc[:0]]
    for number, start in enumerate(range(0, len(told), SHARD)):
        own, shard = told.iloc[start : start + SHARD], f"pictures-{number:05}.tar"
        jpegs = [crops.jpeg(row) for crops, row in (places[image] for image in own["image"])]
        ends = write_shard(folder / shard, [(f"{start + n:08}.jpg", jpeg) for n, jpeg in enumerate(jpegs)])
        offsets, lengths = zip(*ends, strict=True)
        tables.append(own.assign(shard=shard, offset=offsets, length=lengths))
    write_table(folder / INDEX, pd.concat(tables, ignore_index=True), CROPS)
