"""Labels in text files, one a photo: KITTI's, DOTA's or YOLO's, told apart by their lines."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from finprint.survey.sources.label_files import named, photo_of
from finprint.survey.sources.marks import NONE, NOTHING_TOLD, Mark, Told, hull, mark_of, numbers_in, or_none
from finprint.survey.sources.photo_names import PhotoNames
from finprint.survey.sources.sheets import read_text
from finprint.survey.sources.yolo_labels import read_yolo

HEADER = re.compile(r"(?:imagesource|gsd|acquisition dates)\s*:.*", re.IGNORECASE)  # of DOTA's files
IGNORED = "DontCare"  # so KITTI calls regions that nobody has looked at


def read_text_labels(
    folder: Path,
    files: Iterable[Path],
    part: str,
    photos: PhotoNames,
    around: Sequence[Path] = (),
    said: Told = NOTHING_TOLD,
) -> list[Mark]:
    """Read the labels of a folder, all of them in one form; those that are neither KITTI's nor DOTA's are YOLO's.

    Args:
        folder: the folder.
        files: the labels in it.
        part: what all boxes show; empty: as the labels say.
        photos: the photos' ids.
        around: further folders that may have YOLO's list of classes.
        said: what the owner says about YOLO's four numbers.

    Raises:
        UserError: nobody says what the classes are called, or which photo a label belongs to.
    """
    lines = {path: _lines(path) for path in files}
    for read in (_kitti, _dota):
        if any(read(line, "") for these in lines.values() for line in these):
            return [
                mark for path, these in lines.items() for mark in _marks(these, photo_of(path, folder, photos), read)
            ]
    return read_yolo(folder, lines, part, photos, around, said)


def _lines(path: Path) -> list[str]:
    lines = [" ".join(line.split()) for line in read_text(path).splitlines()]
    return [line for line in lines if line and not HEADER.fullmatch(line)]


def _marks(lines: Sequence[str], image: str, read: Callable[[str, str], Mark | None]) -> list[Mark]:
    """The boxes of one file; a line in another form is malformed."""
    marks = [read(line, image) or mark_of(image, "?", NONE, line) for line in lines]
    return or_none([mark for mark in marks if mark.part != IGNORED], image)


def _kitti(line: str, image: str) -> Mark | None:
    """`type truncated occluded alpha left top right bottom`, seven numbers of three dimensions, perhaps a score."""
    called, numbers = named(line)
    if not called or len(numbers) not in (14, 15):
        return None
    sure = numbers[14] if len(numbers) == 15 else 1.0
    return mark_of(image, called, (numbers[3], numbers[4], numbers[5], numbers[6]), line, sure=sure)


def _dota(line: str, image: str) -> Mark | None:
    """The four corners of a turned box, the class, and perhaps whether it is difficult."""
    words = line.split()
    numbers, rest = numbers_in(" ".join(words[:8])), words[8:]
    if len(rest) > 1 and rest[-1].isdigit():
        rest = rest[:-1]
    if len(numbers) != 8 or not rest or numbers_in(rest[0]):
        return None
    return mark_of(image, " ".join(rest), hull(numbers), line)
