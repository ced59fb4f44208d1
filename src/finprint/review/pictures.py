"""Pictures for the page: cut from the originals when they are asked for, and kept in memory for a while."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from finprint.base.errors import UserError
from finprint.pictures.decoding import Window, decode_at
from finprint.pictures.images import BadPhoto, ChangedPhoto, encode_jpeg, read_photo, resize, thumbnail
from finprint.review.case import Box, Case, Photo

LONGEST = {"crop": 6000, "photo": 2400}  # px of the longer side, at most
SMALL = (240, 160)  # px at most, of a small picture
QUALITY = 92
KEPT = 256 * 2**20  # bytes of pictures in memory


@dataclass(frozen=True)
class Picture:
    """A JPEG, and what a person must know of it; empty where it is cut from the original, as it should be."""

    jpeg: bytes
    note: str = ""


class Pictures:
    """The pictures of a case."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._kept: OrderedDict[tuple[str, ...], Picture] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def crop(self, image: str, box: Box | None = None) -> Picture:
        """What the crop shows, from the original at full resolution; the stored crop where the original is gone.

        Raises:
            UserError: there is neither.
        """
        photo = self._photo(image)
        window = self._case.window(box, image) if box else self._case.region(image)
        return self._keep(("crop", image, str(window)), lambda: self._cut(photo, "crop", window))

    def photo(self, image: str) -> Picture:
        """The whole photo; the stored crop where the original is gone.

        Raises:
            UserError: there is neither.
        """
        photo = self._photo(image)
        return self._keep(("photo", image), lambda: self._cut(photo, "photo", None))

    def small(self, image: str) -> Picture:
        """A small picture of the stored crop, or of the original where there is no crop.

        Raises:
            UserError: there is neither.
        """
        photo = self._photo(image)

        def made() -> Picture:
            if (stored := self._case.stored(image)) is not None:
                return Picture(thumbnail(stored[0].pixels(stored[1]), *SMALL))
            try:
                pixels, _ = decode_at(photo.path, 8)
            except BadPhoto as bad:
                raise UserError(f"{photo.path}: {bad}") from None
            return Picture(thumbnail(pixels, *SMALL))

        return self._keep(("small", image), made)

    def _photo(self, image: str) -> Photo:
        if image not in self._case.photos:
            raise UserError(f"there is no photo {image}")
        return self._case.photos[image]

    def _cut(self, photo: Photo, kind: str, window: Window | None) -> Picture:
        if photo.path == Path() and (stored := self._case.stored(photo.image)) is not None:
            return Picture(stored[0].jpeg(stored[1]))
        try:
            content = read_photo(photo.path, photo.sha256)
            left, top, right, bottom = window or (0, 0, *photo.size)
            longer = max(right - left, bottom - top)
            step = next((step for step in (1, 2, 4) if longer <= 2 * step * LONGEST[kind]), 8)
            scaled = None if window is None else (left // step, top // step, -(-right // step), -(-bottom // step))
            pixels, _ = decode_at(photo.path, step, scaled, content)
        except (BadPhoto, ChangedPhoto) as failure:
            return self._instead(photo, failure)
        factor = LONGEST[kind] / max(pixels.shape[:2])
        if factor < 1:
            pixels = resize(pixels, max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
        return Picture(encode_jpeg(pixels, QUALITY))

    def _instead(self, photo: Photo, failure: Exception) -> Picture:
        """The stored crop of a photo whose original cannot be shown."""
        gone = not photo.path.exists()
        changed = isinstance(failure, ChangedPhoto) and not gone
        why = "is gone" if gone else "has changed since it was read" if changed else f"cannot be read: {failure}"
        stored = self._case.stored(photo.image)
        if stored is None:
            raise UserError(f"the photo {photo.path} {why}, and no crop of it is stored")
        return Picture(stored[0].jpeg(stored[1]), f"The original {why}. This is the stored crop: {photo.path}")

    def _keep(self, key: tuple[str, ...], make: Callable[[], Picture]) -> Picture:
        """The picture of a key (kind, photo, ...), from memory if its file is as it was; with a note it is not kept."""
        path = self._case.photos[key[1]].path
        stat = path.stat() if path.exists() else None
        key = (*key, str(stat and (stat.st_size, stat.st_mtime_ns)))
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        picture = make()
        if not picture.note:
            with self._lock:
                if key not in self._kept:
                    self._bytes += len(picture.jpeg)
                self._kept[key] = picture
                while self._bytes > KEPT:
                    self._bytes -= len(self._kept.popitem(last=False)[1].jpeg)
        return picture
