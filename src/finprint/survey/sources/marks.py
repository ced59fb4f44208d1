"""Boxes as numbers: read from text, made upright around polygons and turned boxes, told apart as pixels or shares."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from finprint.base.errors import UserError
from finprint.survey.names import one_form

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
NUMBERS = re.compile(rf"[\s\[({{]*{NUMBER}(?:[\s,;\[\](){{}}]+{NUMBER})*[\s\])}}]*")  # in whatever brackets
GROUP = re.compile(r"[\[(]([^\[\]()]+)[\])]")  # innermost brackets
SLACK = 0.01  # by which shares may reach beyond the photo
NONE = (math.nan,) * 4
Corners = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max


class Mark(NamedTuple):
    """A box, or a photo without one: then corners are NaN and `written` is empty. A malformed box has NaN as well."""

    image: str
    part: str | None
    x_min: float
    y_min: float
    x_max: float
    y_max: float
    confidence: float
    share: bool  # corners are shares of the photo's sides, not pixels
    written: str  # as it stood there, for messages


def numbers_in(text: object) -> list[float]:
    """The numbers of a text that has nothing else but brackets, commas and spaces; else none."""
    if not isinstance(text, str) or not NUMBERS.fullmatch(text):
        return []
    return [float(number) for number in re.findall(NUMBER, text)]


def hull(points: Iterable[float]) -> Corners:
    """The upright box around points x, y, x, y, ..."""
    places = np.fromiter(points, float)
    if len(places) < 4 or len(places) % 2:
        return NONE
    return (*places.reshape(-1, 2).min(axis=0).tolist(), *places.reshape(-1, 2).max(axis=0).tolist())


def turned(box: Sequence[float], degrees: float, centred: bool = True) -> Corners:
    """The upright box around x_min, y_min, width, height turned clockwise, about its centre or its first corner."""
    x, y, width, height = box
    pivot = (x + width / 2, y + height / 2) if centred else (x, y)
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    points = []
    for across, down in itertools.product((x, x + width), (y, y + height)):
        a, b = across - pivot[0], down - pivot[1]
        points += [pivot[0] + a * cosine - b * sine, pivot[1] + a * sine + b * cosine]
    return hull(points)


def from_corners(box: Sequence[float]) -> Corners:
    """x_min, y_min, x_max, y_max as they are."""
    return (box[0], box[1], box[2], box[3])


def from_size(box: Sequence[float]) -> Corners:
    """Corners of x_min, y_min, width, height."""
    return (box[0], box[1], box[0] + box[2], box[1] + box[3])


def from_centre(box: Sequence[float]) -> Corners:
    """Corners of x_centre, y_centre, width, height."""
    return (box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2)


FORMS: dict[str, Callable[[Sequence[float]], Corners]] = {
    "corners": from_corners, "size": from_size, "centre": from_centre,
}  # fmt: skip


def boxes_in(text: str, form: str, several: int = 1) -> list[Corners]:
    """The boxes of a cell; none where it cannot be told what its numbers are.

    Four numbers are a box. So are any four in brackets of their own. Other even numbers are the points of a polygon, of
    which eight are a turned box, unless `several` boxes are expected.
    """
    numbers = numbers_in(text)
    groups = [inner for group in GROUP.findall(text) if (inner := numbers_in(group))]
    if len(numbers) == 4:
        return [FORMS[form](numbers)]
    if len(groups) > 1 and all(len(group) == 4 for group in groups) and 4 * len(groups) == len(numbers):
        return [FORMS[form](group) for group in groups]
    if several > 1 and len(numbers) == 4 * several:
        return [FORMS[form](numbers[start : start + 4]) for start in range(0, len(numbers), 4)]
    if len(numbers) >= 6 and len(numbers) % 2 == 0:
        return [hull(numbers)]
    return []


def are_shares(marks: Sequence[Mark], told: str) -> bool:
    """Are the corners shares of the photos' sides? They are where all lie between 0 and 1.

    Raises:
        UserError: some boxes lie between 0 and 1, and others do not.
    """
    shares, pixels = None, None
    for mark in marks:
        corners = mark[2:6]
        if any(math.isnan(corner) for corner in corners):
            continue
        if all(-SLACK <= corner <= 1 + SLACK for corner in corners):
            shares = shares or (mark if any(corner % 1 for corner in corners) or corners == (0, 0, 1, 1) else None)
        else:
            pixels = pixels or mark
    if shares and pixels and any(corner % 1 for corner in shares[2:6]):
        raise UserError(
            f"{told} mixes shares of the photo's sides ({shares.written} of {shares.image}) and pixels "
            f"({pixels.written} of {pixels.image}): write all boxes in one of the two"
        )
    return bool(shares) and not pixels


class PhotoNames:
    """Photos by the names that tables of boxes have for them.

    A table may call a photo by the end of its path, by a longer path, in another case or Unicode form, or without the
    suffix of its file.

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
        return []

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
