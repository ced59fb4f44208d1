"""What a bundle says of itself: its format, its members, and the hash of each file."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from finprint.base.errors import UserError
from finprint.base.files import read_json, sha256_path, write_json

KIND, FORMAT = "finprint bundle", 1
MANIFEST = "manifest.json"
AGAIN = "copy the bundle again, or make it anew with `dvc repro bundle`"


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json.

    Attributes:
        finprint: the version of finprint that wrote the bundle.
        system: hash of all that answers depend on besides the gallery: `enrol` leaves it as it is.
        shares: weight of each member's cosines in the answers, by the member's name, of sum 1.
        look: the members whose vectors choose what the second look compares; empty: there is none.
        gallery: name of the gallery's folder. `enrol` writes a new folder and then changes this name.
        files: SHA-256 of each file, by its path in the bundle.
    """

    finprint: str
    system: str
    shares: dict[str, float]
    look: list[str]
    gallery: str
    files: dict[str, str]

    @property
    def members(self) -> list[str]:
        """The names of all members: those that have a share, and those that the second look needs."""
        return list(dict.fromkeys([*self.shares, *self.look]))

    def write(self, folder: Path) -> None:
        """Write manifest.json, atomically."""
        write_json(folder / MANIFEST, {"kind": KIND, "format": FORMAT} | asdict(self))

    @staticmethod
    def read(folder: Path) -> "Manifest":
        """The manifest of a bundle.

        Raises:
            UserError: the folder is no bundle, its manifest is damaged, or it is of another format.
        """
        path = folder / MANIFEST
        try:
            told: dict[str, Any] = read_json(path)
            if told.pop("kind") != KIND:
                raise ValueError
            written = int(told.pop("format"))
        except OSError:
            raise UserError(f"{folder} is no bundle, {MANIFEST} is missing: `dvc repro bundle` makes one") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path} is damaged, or not of a finprint bundle: {AGAIN}") from None
        if written != FORMAT:
            cure = "`dvc repro bundle` makes it anew" if written < FORMAT else "install the finprint that wrote it"
            raise UserError(
                f"{folder} is a bundle of format {written}, and this finprint reads format {FORMAT}: {cure}"
            )
        if told.keys() != {field.name for field in fields(Manifest)} or not all(map(_is_inside, told["files"])):
            raise UserError(f"{path} is damaged, or not of a finprint bundle: {AGAIN}")
        return Manifest(**told)

    def check(self, folder: Path) -> None:
        """Refuse a bundle one of whose files is missing or has changed.

        Raises:
            UserError: names the file.
        """
        for name, sha256 in self.files.items():
            path = folder / name
            if not path.is_file():
                raise UserError(f"{path} is missing: {AGAIN}")
            if sha256_path(path) != sha256:
                raise UserError(f"{path} is not as the bundle was written, its hash differs: {AGAIN}")


def _is_inside(name: str) -> bool:
    """Is it a path within the bundle?"""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder but the manifest, by its path from there, sorted."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: sha256_path(folder / name) for name in names if name != MANIFEST}
