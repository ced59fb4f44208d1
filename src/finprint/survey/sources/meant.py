"""Which files a table means where it writes the names of its photos otherwise than the disk does."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from finprint.base.words import counted
from finprint.survey.sources.disk import Disk, plain_path
from finprint.survey.sources.photo_names import PhotoNames


def meant(names: Iterable[str], disk: Disk, table: Path, apart: tuple[str, ...] = ()) -> dict[str, str]:
    """The one file that each name of a table can only mean where no file is called so; a line tells how many.

    A name means a file as in `PhotoNames`. Files that the table names as they are mean themselves, and are nobody
    else's; nor is a file that two names may mean. Files beside the table come first.

    Args:
        names: of photos, as they are written.
        disk: where they lie.
        table: for the line.
        apart: sub-folders whose photos are not meant, such as those of the photos to identify: `test/`.
    """
    plain = {name: plain_path(name, disk.folder) for name in dict.fromkeys(names)}
    below = table.parent.parts[len(disk.folder.parts) :]
    beside = {name: there for name, path in plain.items() if (there := "/".join([*below, path])) in disk.files}
    beside = beside if below else {}
    plain = {name: path for name, path in plain.items() if name not in beside}
    own = set(plain.values()) & disk.files.keys()
    open_ones = [name for name, path in plain.items() if path not in own and not _barred(path, disk)]
    if not open_ones:
        return beside
    photos = PhotoNames(name for name in disk.photos() if not name.startswith(apart))
    fits = {name: files[0] for name in open_ones if len(files := photos.called(name)) == 1 and files[0] not in own}
    claims = Counter(fits.values())
    sure = {name: file for name, file in fits.items() if claims[file] == 1}
    if sure:
        name, file = next(iter(sure.items()))
        print(
            f"{table}: {counted(len(sure), 'name')} of photos written otherwise than on disk; each can only be one "
            f"file, as {name!r} is {file}",
            flush=True,
        )
    return beside | sure


def hints(names: Iterable[str], disk: Disk) -> dict[str, str]:
    """For names of no file that may mean several: why they cannot be opened, and what to do."""
    gone = [name for name in names if name not in disk.files]
    photos = PhotoNames(disk.photos() if gone else [])
    several = {name: files for name in gone if len(files := photos.called(name)) > 1}
    return {
        name: f"not on disk; {len(files)} files may be meant, {files[0]} and {files[1]}: write the whole path"
        for name, files in several.items()
    }


def _barred(path: str, disk: Disk) -> bool:
    return any(one in disk.barred for one in (path, *(parent.as_posix() for parent in Path(path).parents)))
