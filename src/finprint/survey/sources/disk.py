"""What lies in a source's folder, and what is never read there because DVC does not watch it."""

import os
import posixpath
import re
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from finprint.base.errors import UserError
from finprint.pictures.images import RAW, SUFFIXES
from finprint.survey.names import one_form

# Made by systems and programs beside the photos, mostly thumbnails; names that begin with a dot are passed over, too.
LITTER = frozenset({
    "@eadir", "@recycle", "#recycle", "#snapshot", "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini",
    "picasa.ini", "$recycle.bin", "lost+found", "icon\r",
}) | {"system volume information"}  # fmt: skip
OWN_CACHE = re.compile(r".*/files/md5/[0-9a-f]{2}/[0-9a-f]{30}")  # of DVC, which may link what it tracks from there
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ELSEWHERE = re.compile(r"[A-Za-z]:[/\\]|[A-Za-z][\w+.-]*://|~\w*[/\\]")  # another drive, an address, somebody's home
COPY = "copy the photos into prepare.folder"
UNWATCHED = f"DVC does not watch what lies behind it: {COPY}"
UNPACK = "unpack it"
OTHERS = {  # what may hold photos, and what to do with it
    frozenset(RAW): "export these photos as JPEG",
    frozenset([".avif", ".jxl", ".psd", ".xcf", ".jp2", ".pdf", ".svg"]): "export these photos as JPEG",
    frozenset([".mp4", ".mov", ".avi", ".mts", ".m4v", ".mkv"]): "export frames of the video as JPEG",
    frozenset([".zip", ".rar", ".7z", ".tar", ".gz", ".tgz"]): UNPACK,
}
BESIDE = "."  # in prepare.boxes: labels that lie beside the photos
LABELS = (".txt", ".xml", ".json")  # of photos, in one of these forms
KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFBLK: "a device", stat.S_IFCHR: "a device"}


def is_litter(name: str) -> bool:
    """Is a file or folder passed over without a word? `~$` begins the lock of an open Excel file."""
    return name.startswith((".", "~$")) or name.casefold() in LITTER


@dataclass(frozen=True)
class Disk:
    """The files below a folder.

    Attributes:
        folder: the folder.
        root: the real folder, links resolved, that DVC watches: `folder` or one around it.
        files: each file's path from the folder in one form (see `one_form`), which is a photo's id, and as the disk
            has it; sorted by the former.
        barred: what is never read, by the same name, and why.
    """

    folder: Path
    root: Path
    files: dict[str, str]
    barred: dict[str, str]

    def photos(self) -> list[str]:
        """The files that are photos by their suffix."""
        return [name for name in self.files if _suffix(name) in SUFFIXES]

    def labels(self) -> list[str]:
        """The files that are called as a photo beside them and hold its labels, by their suffix."""
        called = {one for name in self.photos() for one in (name, posixpath.splitext(name)[0])}
        return [name for name in self.files if _suffix(name) in LABELS and posixpath.splitext(name)[0] in called]

    def strays(self, used: Collection[str], own: Collection[str] = (), why: str = "") -> list[tuple[str, str]]:
        """What is not used, with the reason: `why` of photos; nothing of the survey's `own` tables."""
        tables = tuple(f"{name}/" for name in own if name not in self.files)
        rows = dict(self.barred)
        for name in self.files:
            if _suffix(name) not in SUFFIXES:
                rows[name] = f"not a photo: {Path(name).suffix or 'such'} files are not read{_advice(name)}"
            elif why:
                rows[name] = why
        free = rows.keys() - set(used) - set(own)
        return [(name, rows[name]) for name in sorted(free) if not name.startswith(tables)]

    def path(self, name: str) -> str:
        """Where the photo of this id lies."""
        return (self.folder / self.files.get(name, name)).as_posix()

    def missing(self, name: str) -> str:
        """Why the photo of this id cannot be opened; empty where it can be."""
        if name in self.files:
            return ""
        outwards = [name, *(parent.as_posix() for parent in Path(name).parents)]
        for one in outwards[-2::-1]:
            if why := self.barred.get(one) or _why_not(self.folder / one, self.root):
                return why if one == name else f"{one} {why}"
        alike = self._folded.get(name.strip().casefold())
        return f"not on disk; did you mean {alike}?" if alike else ""

    def unopened(self, names: Iterable[str]) -> dict[str, str]:
        """Paths of the photos of these ids that must not or cannot be opened, and why."""
        return {self.path(name): why for name in sorted(names) if (why := self.missing(name))}

    @cached_property
    def _folded(self) -> dict[str, str]:
        return {name.casefold(): name for name in self.files}


def walk(folder: Path, watched: Path | None = None) -> Disk:
    """List the files below a folder. Links to folders are not followed; thumbnails and hidden files are passed over.

    What DVC cannot read or does not watch is barred: names that are not UTF-8, links to folders or out of the folder,
    pipes, sockets, devices, and folders that cannot be opened.

    Args:
        folder: the folder.
        watched: the folder that DVC watches, which `folder` lies in; None: `folder` itself.
    """
    root = (watched or folder).resolve()
    files: dict[str, str] = {}
    barred: dict[str, str] = {}
    if not folder.is_dir():
        return Disk(folder, root, files, barred)
    for real, why in sorted(_entries(folder, root)):
        name = one_form(_shown(real))
        if not why and name in files:
            why = "another file has the same name, written in other code points: rename one of them"
            name = real
        if why:
            barred[name] = why
        else:
            files[name] = real
    return Disk(folder, root, dict(sorted(files.items())), barred)


def _entries(folder: Path, root: Path) -> Iterator[tuple[str, str]]:
    """(path from the folder, why it is barred) of all files below `folder`, and of the folders that are barred."""
    waiting = [""]
    while waiting:
        at = waiting.pop()
        try:
            entries = list(os.scandir(folder / at))
        except OSError as error:
            yield at, f"cannot be opened: {error.strerror}"
            continue
        for entry in entries:
            name = f"{at}/{entry.name}" if at else entry.name
            if is_litter(entry.name):
                continue
            if why := _barred(entry, root):
                yield name, why
            elif entry.is_dir(follow_symlinks=False):
                waiting.append(name)
            else:
                yield name, ""


def _barred(entry: "os.DirEntry[str]", root: Path) -> str:
    if _shown(entry.name) != entry.name:
        control = CONTROL.search(entry.name)
        return "its name has a control character: rename it" if control else "its name is not UTF-8: rename it"
    plain = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
    return "" if plain else _why_not(Path(entry.path), root)


def _why_not(path: Path, root: Path) -> str:
    """Why a file or folder is not read; empty where it is, or where it is not there."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return ""
    if stat.S_ISLNK(mode):
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError):  # a loop
            return "is a link that leads nowhere: remove it"
        if target.is_dir():
            return f"is a link to a folder, and {UNWATCHED}"
        if not target.is_relative_to(root) and not OWN_CACHE.fullmatch(target.as_posix()):
            return f"is a link out of the folder, and {UNWATCHED}"
        mode = target.stat().st_mode
    return f"is no file but {KINDS[kind]}: remove it" if (kind := stat.S_IFMT(mode)) in KINDS else ""


def _shown(name: str) -> str:
    """A file's name that can be printed in one line: bytes that are not UTF-8, and control characters, escaped."""
    printable = os.fsencode(name).decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda sign: f"\\x{ord(sign[0]):02x}", printable)


def _advice(name: str) -> str:
    """What to do with a file that is no photo, but may hold some."""
    return next((f"; {advice}" for suffixes, advice in OTHERS.items() if _suffix(name) in suffixes), "")


def _suffix(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def plain_path(name: str, folder: Path) -> str:
    """A path from `folder` as tables write it, as an id: slashes, no dots, in one form; an absolute one as well."""
    plain = one_form(name).replace("\\", "/")
    if plain.startswith("/"):
        for root in (folder.absolute(), folder.resolve()):
            if Path(plain).is_relative_to(root):
                plain = Path(plain).relative_to(root).as_posix()
    return posixpath.normpath(plain)


def inner(name: str, folder: Path, told: str) -> str:
    """The path from `folder` of a file that a table or a param names, as `plain_path` writes it.

    Args:
        name: as it is written; an absolute one may lead into the folder.
        folder: the folder.
        told: who names it, for the message.

    Raises:
        UserError: it leads out of the folder, to where DVC does not watch, or is the folder itself.
    """
    plain = plain_path(name, folder)
    if plain == ".":
        raise UserError(f"{told}: {name!r} is {folder} itself: name what lies in it")
    if plain.startswith(("/", "../")) or plain == ".." or ELSEWHERE.match(name.strip()):
        raise UserError(f"{told}: {name!r} leads out of {folder}, and DVC does not watch what lies there: {COPY}")
    return plain


def refuse_unwatched(path: Path, folder: Path) -> None:
    """Raise a UserError where a table of the survey in `folder`, or what is in a folder of labels, may not be read."""
    root = folder.resolve()
    for one in [path, *path.parents]:
        if one == folder:
            break
        if why := _why_not(one, root):
            raise UserError(f"{one} {why}")
    for name, why in walk(path, folder).barred.items():
        raise UserError(f"{path}/{name} {why}")
