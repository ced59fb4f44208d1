"""Boxes as numbers: read from text, made upright around polygons and turned boxes, told apart as pixels or shares."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from finprint.base.errors import UserError

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
    drawn_width: float = math.nan  # px of the photo that the box was drawn on, where the file tells
    drawn_height: float = math.nan
    form: str = ""  # one of `FORMS` if four numbers were read so by custom; with a `?` if guessed; empty: it is certain


class Told(NamedTuple):
    """What the owner of a table says about its four numbers; empty: nothing."""

    form: str = ""  # one of `FORMS`
    unit: str = ""  # pixels or percent


def mark_of(image: str, part: str | None, corners: Corners, written: Any, share: bool = False, sure: Any = 1.0) -> Mark:
    """A mark of anything that a file has written."""
    return Mark(str(image), part, *corners, float(sure), share, " ".join(str(written).split())[:200])


def or_none(marks: list[Mark], image: str) -> list[Mark]:
    """The marks, or that which says that there are none."""
    return marks or [Mark(str(image), None, *NONE, 1.0, False, "")]


def drawn_on(marks: Iterable[Mark], width: Any, height: Any) -> list[Mark]:
    """The marks with the size of the photo that they were drawn on, where `width` and `height` are numbers."""
    size = [numbers_in(str(side)) for side in (width, height)]
    if any(len(side) != 1 or side[0] <= 0 for side in size):
        return [*marks]
    return [mark._replace(drawn_width=size[0][0], drawn_height=size[1][0]) for mark in marks]


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
    """Corners of x_min, y_min, width, height; drawn leftwards or upwards, a box has negative ones."""
    x, y = sorted((box[0], box[0] + box[2])), sorted((box[1], box[1] + box[3]))
    return (x[0], y[0], x[1], y[1])


def from_centre(box: Sequence[float]) -> Corners:
    """Corners of x_centre, y_centre, width, height."""
    return (box[0] - box[2] / 2, box[1] - box[3] / 2, box[0] + box[2] / 2, box[1] + box[3] / 2)


FORMS: dict[str, Callable[[Sequence[float]], Corners]] = {
    "corners": from_corners, "size": from_size, "centre": from_centre,
}  # fmt: skip
NOTHING_TOLD = Told()
OWN = "prepare.csv.box"  # what boxes in the survey's own table are called by, as others by their entry in prepare.boxes


def in_percent(mark: Mark) -> Mark:
    """A mark whose numbers are percent of the photo's sides."""
    x_min, y_min, x_max, y_max = (corner / 100 for corner in mark[2:6])
    return mark._replace(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max, share=True)


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
