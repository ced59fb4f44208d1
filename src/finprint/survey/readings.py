"""What each photo's file says: its size, hashes and date, read once as long as the file does not change."""

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import PIL

from finprint.base.code import code_of
from finprint.base.files import atomic, cache, hold, sha256_bytes, sha256_json, sha256_path
from finprint.base.progress import bar
from finprint.pictures.images import BadPhoto, date_taken, decode, perceptual_hash, read_photo

SHORTER_SIDE = 64  # px that a photo is decoded at, at least: a small scale, but every byte is read
SAVED = 30  # seconds from one saving of what is read to the next: what a killed run loses at most
Stamp = tuple[str, int, int, int]  # path, bytes, and nanoseconds of the last change of content and of anything


@dataclass(frozen=True)
class Reading:
    """What one photo's file says: `reason` is empty for a good one."""

    reason: str = ""
    sha256: str = ""
    width: int = 0
    height: int = 0
    bits: bytes = b""  # 32, `images.perceptual_hash`
    taken: datetime | None = None


STAMP = ["path", "bytes", "content_changed", "changed"]
COLUMNS = [*STAMP, *(field.name for field in fields(Reading))]


def read_all(paths: Sequence[Path]) -> list[Reading]:
    """Readings in the order of `paths`; a file that was good before and has not changed is not read again.

    They are kept in `.cache/readings/`, which can be deleted at any time; a killed run goes on from there. Files are
    told apart as DVC does it, by size and times: 50,000 photos are not decoded again when 100 are added.
    """
    kept = cache() / "readings" / f"{_key()}.parquet"
    good = _load(kept)
    stamps = [_stamp(path) for path in paths]
    wanted = dict.fromkeys(stamps)  # once each
    missing = [stamp for stamp in wanted if stamp not in good]
    before = len(wanted) - len(missing)
    if before:
        print(f"{before} of {len(wanted)} photos were read before, {len(missing)} to read", flush=True)
    bad: dict[Stamp, Reading] = {}
    saved = time.monotonic()
    pool = ThreadPoolExecutor(os.cpu_count())  # decoding and hashing release the interpreter lock
    try:
        read = pool.map(read_one, [Path(path) for path, *_ in missing])
        shown = bar("reading photos", len(missing), "photo", read)
        for stamp, reading in zip(missing, shown, strict=True):
            (bad if reading.reason else good)[stamp] = reading
            if time.monotonic() - saved > SAVED:
                _save(kept, good)
                saved = time.monotonic()
    finally:
        pool.shutdown(cancel_futures=True)
        if missing:
            _save(kept, good)
    return [good.get(stamp) or bad[stamp] for stamp in stamps]


def read_one(path: Path) -> Reading:
    """What one photo's file says, read anew."""
    try:
        content = read_photo(path)  # once: the hash is of what is decoded, even if somebody replaces the file
        pixels, (width, height) = decode(path, SHORTER_SIDE, content)
        bits = perceptual_hash(pixels, (width, height)).tobytes()
        return Reading("", sha256_bytes(content), width, height, bits, date_taken(content))
    except BadPhoto as bad:
        return Reading(str(bad))


def _stamp(path: Path) -> Stamp:
    try:
        told = path.stat()
    except OSError:
        return str(path), -1, 0, 0
    return str(path), told.st_size, told.st_mtime_ns, told.st_ctime_ns


def _key() -> str:
    """A hash of what readings depend on besides the files."""
    code = [sha256_path(Path(__file__)), code_of(["pictures"])]
    return sha256_json([code, [module.__version__ for module in (cv2, np, PIL)]])[:16]


def _load(path: Path) -> dict[Stamp, Reading]:
    try:
        table = pd.read_parquet(path)[COLUMNS]
    except (OSError, ValueError, KeyError):  # there is none, or a crash of the machine damaged it
        return {}
    taken = [None if pd.isna(when) else when.to_pydatetime() for when in table["taken"]]
    rows = table.assign(taken=pd.Series(taken, dtype=object)).itertuples(index=False, name=None)
    return {row[: len(STAMP)]: Reading(*row[len(STAMP) :]) for row in rows}


def _save(path: Path, good: dict[Stamp, Reading]) -> None:
    """Keep the latest reading of each file that still exists, and remove the readings that other code made."""
    latest = {stamp[0]: (*stamp, *astuple(reading)) for stamp, reading in good.items() if Path(stamp[0]).exists()}
    with hold(path.with_name("lock"), "another run saves readings of photos: waiting for its end"):
        with atomic(path) as draft:
            pd.DataFrame(list(latest.values()), columns=COLUMNS).to_parquet(draft)
        for other in path.parent.glob("*.parquet"):
            if other != path:
                other.unlink()
