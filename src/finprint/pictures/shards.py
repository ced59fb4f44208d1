"""Crops as a few tar shards (WebDataset layout) with an index table of offsets, read at random through mmap.

Few big files because DVC's cost is per file: 50,000 small ones cost 65 s of overhead against 5 s.
"""

import io
import mmap
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.pictures.images import BadPhoto, decode_jpeg
from finprint.store.tables import CROPS, read_table

INDEX = "index.parquet"


def write_shard(path: Path, members: list[tuple[str, bytes]]) -> list[tuple[int, int]]:
    """Write a tar of named JPEGs, in order, with zeroed times and owners: same members, same bytes.

    Returns:
        (offset, length) of each member's content in the file, in bytes.
    """
    places = []
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            padded = -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            places.append((tar.offset - padded, len(content)))
    return places


@dataclass(frozen=True, slots=True)
class StoredCrop:
    """A crop as it is stored. It can be sent to another process."""

    image: str
    jpeg: bytes

    def pixels(self) -> np.ndarray:
        """`(H, W, 3)` RGB uint8.

        Raises:
            UserError: the JPEG is damaged.
        """
        try:
            return decode_jpeg(self.jpeg)
        except BadPhoto:
            raise UserError(f"the crop of {self.image} is damaged: `dvc repro --force crop` makes it anew") from None


class Crops:
    """The crops of a folder that the crop stage wrote.

    Attributes:
        index: the table `CROPS`, one row a crop.

    Raises:
        UserError: the index or a shard is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.index = read_table(folder / INDEX, CROPS)
        self._maps: dict[str, mmap.mmap] = {}
        ends = (self.index["offset"] + self.index["length"]).groupby(self.index["shard"]).max()
        for shard, end in ends.items():
            path = folder / str(shard)
            if not path.is_file() or path.stat().st_size < end:
                raise UserError(f"{path} is missing or cut short: `dvc repro crop` makes it anew")
            with path.open("rb") as file:
                self._maps[str(shard)] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._places = list(zip(self.index["shard"], self.index["offset"], self.index["length"], strict=True))
        self._rows = pd.Series(np.arange(len(self.index)), index=self.index["image"])

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[Any, ...]:
        return Crops, (self._folder,)  # another process opens the same folder

    def rows(self, images: pd.Series) -> np.ndarray:
        """Row numbers `(N,)` of the crops of `images`.

        Raises:
            UserError: a photo has no crop.
        """
        missing = images[~images.isin(self._rows.index)]
        if len(missing):
            raise UserError(
                f"no crop of {counted(len(missing), 'photo')}, such as {missing.iloc[0]}: run `dvc repro crop`"
            )
        return self._rows.loc[images].to_numpy()

    def jpeg(self, row: int) -> bytes:
        """The JPEG bytes of the crop in `row`."""
        shard, offset, length = self._places[row]
        return self._maps[shard][offset : offset + length]

    def pixels(self, row: int) -> np.ndarray:
        """The crop in `row`, `(H, W, 3)` RGB uint8.

        Raises:
            UserError: its JPEG is damaged.
        """
        try:
            return decode_jpeg(self.jpeg(row))
        except BadPhoto:
            return self.stored(row).pixels()  # which names it

    def stored(self, row: int) -> StoredCrop:
        """The crop in `row` as it is stored."""
        return StoredCrop(self.index["image"].iloc[row], self.jpeg(row))
