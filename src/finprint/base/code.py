"""The code that a result depends on, as a hash: so a change elsewhere leaves what was computed valid."""

from collections.abc import Iterable
from pathlib import Path

import finprint
from finprint.base.files import sha256_json, sha256_path


def code_of(rooms: Iterable[str]) -> str:
    """A hash of the names and contents of every module of these rooms, the sub-packages of finprint.

    Raises:
        ValueError: there is no such room.
    """
    package = Path(finprint.__file__).parent
    hashes = []
    for room in rooms:
        modules = sorted((package / room).rglob("*.py"))
        if not modules:
            raise ValueError(f"{package} has no room {room}")
        hashes += [(path.relative_to(package).as_posix(), sha256_path(path)) for path in modules]
    return sha256_json(hashes)
