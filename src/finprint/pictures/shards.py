"""Crops as a few tar shards (WebDataset layout) with an index table of offsets, read at random through mmap.

Few big files because DVC's cost is per file: 50,000 small ones cost 65 s of overhead against 5 s.
"""

import io
import mmap
import tarfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import sha256_bytes
from finprint.base.words import counted
from finprint.pictures.images import BadPhoto, decode_jpeg
from finprint.store.tables import CROPS, read_table

INDEX = "index.parquet"
OPEN = 256  # shards mapped at a time: each holds one of the files that a process may have open, often 1,024


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
            raise damaged(self.image) from None


def damaged(image: str) -> UserError:
    """What is said of a crop that cannot be decoded, or is not what the index says."""
    return UserError(f"the crop of {image} is damaged: `dvc repro --force crop` makes it anew")


class Crops:
    """The crops of a folder that the crop stage wrote, and of further folders behind them.

    The index holds the hash of each crop. It is compared whenever a crop is read, so that the hashes can stand for the
    crops: nobody need read them all to know what they are.

    Attributes:
        index: the table `CROPS`, one row a crop.
        folders: that hold them.

    Raises:
        UserError: the index or a shard is missing or damaged.
    """

    def __init__(self, *folders: Path) -> None:
        self.folders = folders
        tables = [read_table(folder / INDEX, CROPS) for folder in folders]
        self.index = index = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
        self._digests = _digests(index)
        places = [folder / str(shard) for folder, its in zip(folders, tables, strict=True) for shard in its["shard"]]
        self._shard, self._paths = pd.factorize(pd.Series(places, dtype=object))
        self._offset, self._length = (index[name].to_numpy() for name in ("offset", "length"))
        self._rows = pd.Series(np.arange(len(index)), index=index["image"])
        ends = pd.Series(self._offset + self._length).groupby(self._shard).max()
        for path, end in zip(self._paths, ends, strict=True):
            if not path.is_file() or path.stat().st_size < end:
                raise UserError(f"{path} is missing or cut short: `dvc repro crop` makes it anew")
        self._map = lru_cache(OPEN)(_mapped)
        for path in self._paths[:OPEN]:  # where all fit, what is read is what lay there at the beginning
            self._map(path)

    def __len__(self) -> int:
        return len(self.index)

    def __reduce__(self) -> tuple[Any, ...]:
        return Crops, self.folders  # another process opens the same folders

    def beside(self, folder: Path) -> "Crops":
        """The same crops, and behind them those of another folder."""
        return Crops(*self.folders, folder)

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

    def image(self, row: int) -> str:
        """The id of the photo whose crop stands in `row`."""
        return str(self.index["image"].iat[row])

    def digest(self, row: int) -> str:
        """The SHA-256 of the crop in `row`, by the index; where that has none, the crop is read."""
        return self._told(row) or sha256_bytes(self.jpeg(row))

    def _told(self, row: int) -> str:
        """What the index says is the crop's SHA-256; "": nothing."""
        told = self._digests[row]
        return told.tobytes().hex() if told.any() else ""

    def jpeg(self, row: int) -> bytes:
        """The JPEG bytes of the crop in `row`.

        Raises:
            UserError: they are not those of the index.
        """
        offset, told = self._offset[row], self._told(row)
        content = self._map(self._paths[self._shard[row]])[offset : offset + self._length[row]]
        if told and told != sha256_bytes(content):
            raise damaged(self.image(row))
        return content

    def pixels(self, row: int) -> np.ndarray:
        """The crop in `row`, `(H, W, 3)` RGB uint8.

        Raises:
            UserError: its JPEG is damaged.
        """
        return self.stored(row).pixels()

    def stored(self, row: int) -> StoredCrop:
        """The crop in `row` as it is stored."""
        return StoredCrop(self.image(row), self.jpeg(row))


def _digests(index: pd.DataFrame) -> np.ndarray:
    """(N, 32) uint8, the crops' hashes; zeros where there is none."""
    none = "0" * 64
    told = index["sha256"].fillna(none) if "sha256" in index else [none] * len(index)
    return np.frombuffer(bytes.fromhex("".join(told)), np.uint8).reshape(len(index), 32)


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
