"""When photos were taken: as the tables tell it, else by the cameras' clocks, read in the background."""

from collections.abc import Iterable
from pathlib import Path
from threading import Thread

from finprint.pictures.images import date_taken
from finprint.review.case import Photo

FORM = "%Y-%m-%d %H:%M"


class Dates:
    """The date of each photo, as far as it has been read. A file's head is read once; its pixels are not."""

    def __init__(self, photos: Iterable[Photo]) -> None:
        photos = list(photos)
        self._dates = {photo.image: photo.date for photo in photos if photo.date}
        self._untold = [photo for photo in photos if not photo.date]
        self.done = not self._untold

    def start(self) -> None:
        """Read the dates that no table tells, in a thread that ends with the process."""
        Thread(target=self._read, name="dates", daemon=True).start()

    def _read(self) -> None:
        for photo in self._untold:
            self._dates[photo.image] = _taken(photo.path)
        self.done = True

    def of(self, photo: Photo) -> str:
        """When a photo was taken; "" where that is unknown."""
        if photo.image not in self._dates:
            self._dates[photo.image] = _taken(photo.path)
        return self._dates[photo.image]

    def so_far(self, photo: Photo) -> str:
        """The same, without waiting: "" where it has not been read yet."""
        return self._dates.get(photo.image, "")


def _taken(path: Path) -> str:
    when = date_taken(path)
    return when.strftime(FORM) if when else ""
