"""What people decided about photos and individuals: a log that only ever grows."""

import fcntl
import itertools
import os
import re
import secrets
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from finprint.base.errors import UserError
from finprint.base.files import writing

LOG = "log.jsonl"  # in data/decisions
OF_PHOTOS = ("confirm", "new", "unsure", "unusable", "relabel", "drop")  # the last one on a photo counts
OF_INDIVIDUALS = ("merge", "rename", "split")  # each counts, in their order
NAMING = ("new", "merge", "rename", "split")  # these may give a name that nobody had
AWAY = "\0"  # begins what a photo is called that is not here
FURTHER = re.compile(r"#\d+$")  # ends the id of a further animal in a photo
Action = Literal[
    "confirm", "new", "unsure", "unusable", "relabel", "drop", "merge", "rename", "split", "box", "grade", "undo"
]
Grade = Literal[1, 2, 3]


class Decision(BaseModel):
    """A line of the log.

    Attributes:
        action: confirm: the photo to identify shows the individual `to`. new: it shows the new individual `to`;
            empty: the log makes a name. unsure: nobody can tell. unusable: the photo is too bad to tell anything.
            relabel: the labelled photo shows `to`; empty: nobody knows whom. drop: the photo is not used. merge:
            `individual` is `to`. rename: `individual` is called `to`, as nobody was before. split: the `photos` of
            `individual` show `to`. box: the animal in the photo lies in `box`. grade: how good the photo is. undo:
            the line `of` does not count.
        photo: its id. `photos`: several at once.
        contents: the SHA-256 of each of these photos, "" of those that are known by their id: photos that `identify`
            has named are called otherwise, or are not there yet, in the pipeline's collection (`located`).
        box: left, top, right, bottom, in px of the original photo.
        distinctiveness: of the animal, and `quality`, of the photo: 1 (poor) to 3 (good).
        answer: what was answered when a person decided: the names and probabilities, and the hash of the run.
        who: decided; `when`, in UTC, is given by the log, and so is the line's `id`, unless it has one: a page that had
            no answer sends a decision again, and knows it by its id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Action
    photo: str = ""
    photos: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    individual: str = ""
    to: str = ""
    box: tuple[float, float, float, float] | None = None
    distinctiveness: Grade | None = None
    quality: Grade | None = None
    of: str = ""
    answer: dict[str, Any] | None = None
    who: str = ""
    when: str = ""
    id: str = Field(default="", pattern=r"^([0-9a-f]{12})?$")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        wanted = {
            "merge": ("individual", "to"), "rename": ("individual", "to"), "split": ("individual", "to", "photos"),
            "confirm": ("to",), "box": ("photo", "box"), "grade": ("photo",), "undo": ("of",),
        }  # fmt: skip
        for name in wanted.get(self.action, ()):
            if not getattr(self, name):
                raise ValueError(f"{self.action} needs {name}")
        if self.action in OF_PHOTOS and not self.every:
            raise ValueError(f"{self.action} needs photo")
        if self.contents and len(self.contents) != len(self.every):
            raise ValueError("contents needs a hash for each photo")
        if self.box and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("box is empty: it is left, top, right, bottom")
        if self.action == "grade" and self.distinctiveness is None and self.quality is None:
            raise ValueError("grade needs distinctiveness or quality")
        return self

    @property
    def every(self) -> tuple[str, ...]:
        """The photos that it is about."""
        return (self.photo, *self.photos) if self.photo else self.photos


@dataclass(frozen=True)
class Log:
    """The file of decisions, a line of JSON each. Lines are appended and never changed."""

    path: Path

    def append(self, decision: Decision, taken: Collection[str] = ()) -> Decision:
        """Write a line, and return it with its id and time. It has reached the disk when this returns.

        Several processes may append at the same time. What a crash left of a last line is set aside first.

        Args:
            decision: a new individual without a name gets one here, so that it keeps this name whatever is undone.
            taken: names that individuals have already, beside those in the log.

        Raises:
            OSError: the disk is full or cannot be written to. Nothing of the line is left then.
        """
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        line = decision.model_copy(update={"id": decision.id or secrets.token_hex(6), "when": now})
        with writing(self.path), self._locked() as file:
            end = self._whole(file)
            if line.action == "new" and not line.to:
                name = new_name({*taken, *(earlier.to for earlier in self._lines(file))})
                line = line.model_copy(update={"to": name})
            self._write(file, end, [line])
        return line

    def take(self, lines: Sequence[Decision]) -> int:
        """Write lines of another log as they are, but those whose ids are there already; returns how many are new.

        Raises:
            OSError: as `append`.
        """
        with writing(self.path), self._locked() as file:
            end = self._whole(file)
            there = {one.id for one in self._lines(file)}
            new = [line for line in lines if line.id not in there]
            self._write(file, end, new)
        return len(new)

    def read(self, mend: bool = True) -> list[Decision]:
        """All lines, the first one first; none where there is no file.

        Args:
            mend: set a last line that is cut off aside. A stage must not, because it depends on the file.

        Raises:
            UserError: a line before the last is damaged.
        """
        if not self.path.exists():
            return []
        if self._cut_off():  # another process is writing a line, or a crash left half of one
            if mend:
                with suppress(OSError), self._locked() as file:  # it may be allowed to be read only
                    self._whole(file)
            if self._cut_off():
                print(f"{self.path}: its last line is cut off and does not count", file=sys.stderr, flush=True)
        with self.path.open("rb", buffering=0) as file:
            return self._lines(file)

    def _cut_off(self) -> bool:
        content = self.path.read_bytes()
        return bool(content) and not content.endswith(b"\n")

    def _write(self, file: BinaryIO, end: int, lines: Sequence[Decision]) -> None:
        """Write lines behind the first `end` bytes, all or none."""
        text = "".join(line.model_dump_json(exclude_defaults=True) + "\n" for line in lines).encode()
        try:
            while text:  # a disk that fills up takes a piece first, and says so at the next one
                text = text[file.write(text) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(end)
            raise

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, open to be read and appended to, which no other process writes to meanwhile."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    def _whole(self, file: BinaryIO) -> int:
        """Set a last line that is cut off aside; the length of the file that is left."""
        file.seek(0)
        content = file.read()
        end = content.rfind(b"\n") + 1
        if end < len(content):
            aside = self.path.with_name(f"{self.path.name}.damaged")
            with aside.open("ab") as kept:
                kept.write(content[end:] + b"\n")
            file.truncate(end)
            print(f"{self.path}: its last line was cut off; it is now in {aside.name}", file=sys.stderr, flush=True)
        return end

    def _lines(self, file: BinaryIO) -> list[Decision]:
        """All whole lines of the file."""
        file.seek(0)
        lines = file.read().split(b"\n")[:-1]
        return [self._parsed(number, line) for number, line in enumerate(lines, start=1) if line.strip()]

    def _parsed(self, number: int, line: bytes) -> Decision:
        try:
            return Decision.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            what = ".".join(map(str, first["loc"])) or "it"
            raise UserError(
                f"{self.path} line {number} is damaged ({what}: {first['msg']}): mend the line or take it out"
            ) from None


def content(sha256: str, image: str) -> str:
    """What tells an animal in a photo: the photo's content, and which animal in it."""
    further = FURTHER.search(image)
    return sha256 + (further[0] if further else "")


def located(lines: Sequence[Decision], images: Mapping[str, str]) -> list[Decision]:
    """The lines, where photos that are known by their content bear the ids that they have here.

    One that is not here, or not yet, is called `AWAY` and its content.

    Args:
        lines: of a log.
        images: the ids of the photos that are here, by their `content`.
    """
    return [line if not line.contents else _located(line, images) for line in lines]


def _located(line: Decision, images: Mapping[str, str]) -> Decision:
    ids = []
    for photo, sha256 in zip(line.every, line.contents, strict=True):
        told = content(sha256, photo)
        ids.append(images.get(told, AWAY + told) if sha256 else photo)
    first, rest = (ids[0], ids[1:]) if line.photo else ("", ids)
    return line.model_copy(update={"photo": first, "photos": tuple(rest), "contents": ()})


def undone(lines: Sequence[Decision]) -> set[str]:
    """The ids of the lines that do not count, because a later line undoes them. An undo can be undone."""
    void: set[str] = set()
    for line in reversed(lines):
        if line.action == "undo" and line.id not in void:
            void.add(line.of)
    return void


def standing(lines: Sequence[Decision]) -> list[Decision]:
    """What counts of a log, in its order: nothing undone, and of what was decided on a photo the last alone.

    A decision on several photos becomes one for each of them; of a split, the photos that nothing later names stay.
    A relabel of a photo that the log itself has named becomes a confirmation, or unsure if it names nobody: the photo
    is one to identify, and without the log nobody would know whom it shows.
    """
    void = undone(lines)
    last: dict[object, Decision] = {}
    for line in lines:
        if line.id in void or line.action == "undo":
            continue
        if line.action in OF_INDIVIDUALS:
            last[len(last), line.id] = line
        for photo in line.every if line.action not in OF_INDIVIDUALS else ():
            kind = line.action if line.action in ("box", "grade") else "name"
            before = last.pop((kind, photo), None)  # its place is that of the last
            action = line.action
            if action == "relabel" and before and before.action in ("confirm", "new", "unsure"):
                action = "confirm" if line.to else "unsure"
            last[kind, photo] = line.model_copy(update={"action": action, "photo": photo, "photos": ()})
    return _without_renamed(list(last.values()))


def _without_renamed(lines: list[Decision]) -> list[Decision]:
    """The decisions, where splits are about the photos alone that no later one names."""
    kept, later = [], set[str]()
    for line in reversed(lines):
        if line.action == "split":
            left = tuple(photo for photo in line.every if photo not in later)
            line = line.model_copy(update={"photo": "", "photos": left})
        if line.action in OF_PHOTOS:
            later.add(line.photo)
        if line.action != "split" or line.every:
            kept.append(line)
    return kept[::-1]


def names_made(lines: Sequence[Decision]) -> set[str]:
    """The names that decisions give, those among them that count no more because their photo was decided again.

    A new individual stays one where the photo that it was first seen on turns out to be unusable.
    """
    void = undone(lines)
    return {line.to for line in lines if line.action in NAMING and line.to and line.id not in void}


def new_name(taken: Collection[str]) -> str:
    """A name for a new individual: the first of new_0001, new_0002, ... that nobody has."""
    return next(name for number in itertools.count(1) if (name := f"new_{number:04d}") not in taken)
