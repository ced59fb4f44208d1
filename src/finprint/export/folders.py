"""Photos in a folder for each individual; the originals stay as they are."""

import itertools
import os
import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import atomic, read_json, write_json

MADE = ".made-by-finprint.json"  # what the exports have put there: the size in bytes of each photo
UNSAFE = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


def folder_name(name: str) -> str:
    """A name that every system takes for a folder's."""
    return UNSAFE.sub("_", name).strip(". ") or "_"


def _file_name(image: str) -> str:
    """The photo's id as a file's name: of NAME.jpg#2, a further animal of a photo, NAME#2.jpg."""
    return re.sub(r"(\.\w+)(#\d+)$", r"\2\1", image)


def _apart(names: Iterable[str]) -> dict[str, str]:
    """A safe name for each, different ones for different names, also where capital and small letters are one."""
    safe: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(set(names)):
        stem, dot, suffix = folder_name(name).rpartition(".")
        stem, suffix = (stem, dot + suffix) if stem else (folder_name(name), "")
        tries = itertools.chain([stem + suffix], (f"{stem}_{number}{suffix}" for number in itertools.count(2)))
        safe[name] = next(one for one in tries if one.casefold() not in taken)
        taken.add(safe[name].casefold())
    return safe


def into_folders(sightings: pd.DataFrame, root: Path, folder: Path, how: Literal["copy", "link"]) -> tuple[int, int]:
    """Copy or link each photo into the folder of its individual; what an earlier export has put elsewhere goes.

    Args:
        sightings: columns path, from `root`, image and individual.
        root: where the photos lie.
        folder: in which the folders are made. It keeps a list of what was made; everything else in it is left alone,
            and so is a copy that was changed since.
        how: copy, or link: a symbolic link, which needs no space and breaks when the original moves.

    Returns:
        The numbers of photos that are new there, and of those that are gone from there.

    Raises:
        UserError: a photo is gone.
    """
    folders, files = _apart(sightings["individual"]), _apart(map(_file_name, sightings["image"]))
    places = {}
    for path, image, name in sightings[["path", "image", "individual"]].itertuples(index=False):
        if not (source := root / path).is_file():
            raise UserError(f"{source} is gone: put it back, or export without --folders")
        places[f"{folders[name]}/{files[_file_name(image)]}"] = source
    made: dict[str, int] = read_json(folder / MADE) if (folder / MADE).exists() else {}
    new = {place: source for place, source in places.items() if not _there(folder / place)}
    write_json(folder / MADE, made | {place: source.stat().st_size for place, source in new.items()})
    for place, source in new.items():
        _put(source, folder / place, how)
    stale = [place for place in made if place not in places and _there(folder / place)]
    gone = [place for place in stale if (folder / place).is_symlink() or (folder / place).stat().st_size == made[place]]
    for place in gone:
        (folder / place).unlink()
        with suppress(OSError):  # something else lies in it
            (folder / place).parent.rmdir()
    write_json(folder / MADE, {place: source.stat().st_size for place, source in places.items() if place in made | new})
    return len(new), len(gone)


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _put(source: Path, target: Path, how: Literal["copy", "link"]) -> None:
    """Copy or link a photo."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if how == "copy":
        with atomic(target) as draft:  # a killed run leaves no half photo, which the next one would take for whole
            shutil.copy2(source, draft)
    else:
        target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))
