"""Photos in a folder for each individual; the originals stay as they are."""

import itertools
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import atomic

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


def into_folders(sightings: pd.DataFrame, root: Path, folder: Path, how: Literal["copy", "link"]) -> int:
    """Copy or link each photo into the folder of its individual.

    Args:
        sightings: columns path, from `root`, image and individual.
        root: where the photos lie.
        folder: in which the folders are made; what it holds already is left alone.
        how: copy, or link: a symbolic link, which needs no space and breaks when the original moves.

    Returns:
        The number of photos that are new there.

    Raises:
        UserError: a photo is gone.
    """
    made = 0
    folders, files = _apart(sightings["individual"]), _apart(map(_file_name, sightings["image"]))
    for path, image, name in sightings[["path", "image", "individual"]].itertuples(index=False):
        source = root / path
        if not source.is_file():
            raise UserError(f"{source} is gone: put it back, or export without --folders")
        target = folder / folders[name] / files[_file_name(image)]
        if target.exists() or target.is_symlink():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if how == "copy":
            with atomic(target) as draft:  # a killed run leaves no half photo, which the next one would take for whole
                shutil.copy2(source, draft)
        else:
            target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))
        made += 1
    return made
