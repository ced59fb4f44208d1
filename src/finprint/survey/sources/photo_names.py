"""Photos found by the names that tables have for them."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from finprint.survey.names import one_form

EXPORTED = re.compile(
    r"_(?:jpe?g|png|tiff?|webp|bmp|heic)\.rf\.[0-9A-Za-z]+(?:\.\w+)?$"
)  # Roboflow's IMG_1_jpg.rf.6f2c.jpg


class PhotoNames:
    """Photos by the names that tables of boxes have for them.

    A table may call a photo by the end of its path, by a longer path, in another case or Unicode form, or without the
    suffix of its file, or as Roboflow renames it.

    Args:
        photos: the photos' ids.
    """

    def __init__(self, photos: Iterable[str]) -> None:
        self._ids: set[str] = set(photos)
        self._ends: dict[str, set[str]] = {}
        self._whole: dict[str, set[str]] = {}
        for photo in self._ids:
            for name in (_small(photo), _small(photo, suffix=False)):
                self._whole.setdefault(name, set()).add(photo)
                for end in _ends(name):
                    self._ends.setdefault(end, set()).add(photo)

    def __len__(self) -> int:
        return len(self._ids)

    def first(self) -> str:
        """The first of the ids."""
        return min(self._ids)

    def called(self, name: str) -> list[str]:
        """The ids of the photos that a table may mean by `name`, sorted; none where nothing is called so."""
        if name in self._ids:
            return [name]
        for spelled in dict.fromkeys((_small(name), _small(name, suffix=False))):
            whole = self._whole.get(spelled, set())
            if len(whole) == 1:
                return [*whole]
            for photos in (self._ends.get(spelled), *(self._whole.get(end) for end in _ends(spelled)[1:])):
                if photos:
                    return sorted(photos)
        original = EXPORTED.sub("", name)
        return self.called(original) if original != name else []

    def __contains__(self, name: str) -> bool:
        return name in self._ids

    def only(self, name: str) -> str:
        """The id of the only photo that a table may mean by `name`; else `name` itself."""
        photos = self.called(name)
        return photos[0] if len(photos) == 1 else name


def _small(name: str, suffix: bool = True) -> str:
    path = PurePosixPath(one_form(name).casefold().replace("\\", "/"))
    return (path if suffix else path.with_suffix("") if path.name else path).as_posix()


def _ends(name: str) -> list[str]:
    """`a/b/c`: itself, then `b/c`, then `c`."""
    steps = name.split("/")
    return ["/".join(steps[start:]) for start in range(len(steps))]
