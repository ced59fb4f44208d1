"""Photos found by the names that tables have for them."""

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from finprint.survey.names import one_form

EXPORTED = re.compile(
    r"_(?:jpe?g|png|tiff?|webp|bmp|heic)\.rf\.[0-9A-Za-z]+(?:\.\w+)?$"
)  # Roboflow's IMG_1_jpg.rf.6f2c.jpg


# Behind these a path leads elsewhere: to the root, a drive, an address on the web, somebody's home, the folder above.
ELSEWHERE = re.compile(r"/|[A-Za-z]:/|[A-Za-z][\w+.-]*://|~\w*/|\.\./")
ZEROS = re.compile(r"(?<!\d)0+(?=\d)")  # leading ones, which spreadsheets lose


class PhotoNames:
    """Photos by the names that tables have for them.

    A table may call a photo by the end of its path, by a longer path, in another case or Unicode form, without the
    suffix of its file, without leading zeros, as an address on the web has it (IMG%201.jpg), by its place on another
    machine (C:\\Users\\me\\IMG_1.JPG), or as Roboflow renames it.

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
        self._short: dict[str, set[str]] = {}  # the ends without leading zeros
        for end, photos_of in self._ends.items():
            self._short.setdefault(ZEROS.sub("", end), set()).update(photos_of)

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

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
        for plain in (EXPORTED.sub("", name), unquote(name)):
            if plain != name:
                return self.called(plain)
        if short := self._short.get(ZEROS.sub("", _small(name))) or self._short.get(
            ZEROS.sub("", _small(name, suffix=False))
        ):
            return sorted(short)
        return self._elsewhere(name)

    def _elsewhere(self, name: str) -> list[str]:
        """The photos whose paths have the longest end in common with that of a place on another machine."""
        if not ELSEWHERE.match(name.replace("\\", "/").strip()):
            return []
        ends = [end for whole in (_small(name), _small(name, suffix=False)) for end in _ends(whole)[1:]]
        there = (self._ends.get(end) for end in sorted(ends, key=lambda end: -end.count("/")))
        return sorted(next((photos for photos in there if photos), ()))

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
