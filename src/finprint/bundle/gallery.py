"""The gallery of a bundle: labelled photos with their vectors by each member, and small pictures of them."""

import os
import shutil
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
        self.write_tables(folder)
        images = self.photos["image"]
        write_pictures(folder / PICTURES, [(self.pictures, dict(zip(images, images, strict=True)))])

    def write_tables(self, folder: Path) -> None:
        """Write all but the pictures."""
        folder.mkdir()
        write_table(folder / PHOTOS, self.photos, GALLERY)
        for name, vectors in self.members.items():
            write_vectors(folder / name, vectors)

    @staticmethod
    def read(folder: Path, members: Sequence[str]) -> "Gallery":
        """Read the gallery in a folder.

        Raises:
            UserError: a file is missing or damaged.
        """
        vectors = {name: read_vectors(folder / name) for name in members}
        return Gallery(read_table(folder / PHOTOS, GALLERY), vectors, Crops(folder / PICTURES))


def write_pictures(
    folder: Path, sources: Sequence[tuple[Crops, Mapping[str, str]]], before: Path | None = None
) -> None:
    """Write the crops of some photos into shards of their own, each as the JPEG that it is.

    Args:
        folder: to write.
        sources: crops, and the photos that are taken from them.
        before: a folder that this function wrote, whose shards are taken over as they are, as links where possible.
    """
    folder.mkdir()
    tables = [pd.DataFrame(columns=list(CROPS.columns)) if before is None else read_table(before / INDEX, CROPS)]
    shards = sorted(before.glob("*.tar")) if before else []
    for shard in shards:
        link(shard, folder / shard.name)
    number = len(shards)
    for crops, images in sources:
        rows, names = crops.rows(pd.Series(list(images.values()), dtype="string")), list(images)
        for start in range(0, len(rows), SHARD):
            own, name = rows[start : start + SHARD], f"pictures-{number:05}.tar"
            places = write_shard(folder / name, [(f"{n:08}.jpg", crops.jpeg(row)) for n, row in enumerate(own, start)])
            offsets, lengths = zip(*places, strict=True)
            table = crops.index.iloc[own].assign(image=names[start : start + SHARD], shard=name)
            digests = [crops.digest(row) for row in own]
            tables.append(table.assign(offset=offsets, length=lengths, sha256=digests))
            number += 1
    write_table(folder / INDEX, pd.concat([table for table in tables if len(table)] or tables), CROPS)


def link(path: Path, new: Path) -> None:
    """Give a file a second name; copy it where the disk knows no links."""
    try:
        os.link(path, new)
    except OSError:
        shutil.copy(path, new)
