"""Whom each photo of a gallery shows when all decisions are applied, in their order, to the names of the pipeline.

Names are never changed in place: every enrolment begins again with the pipeline's names. So what is enrolled twice is
enrolled once, and a decision that is undone counts no more.
"""

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from finprint.base.errors import UserError
from finprint.store.decisions import Decision


@dataclass
class State:
    """Whom each photo shows, while decisions are applied.

    Attributes:
        shows: the individual on each photo of the gallery, by the photo's id; None: the photo does not count.
        called: what each individual is called now, by each name that it had before.
        centres: whose centre in the members' classifiers each one is now, by the name that the pipeline knew.
        made: the decision that made each new individual, and its first photo, by the individual's name.
    """

    shows: dict[str, str | None]
    called: dict[str, str] = field(default_factory=dict)
    centres: dict[str, str] = field(default_factory=dict)
    made: dict[str, tuple[str, str]] = field(default_factory=dict)

    def apply(self, decisions: Iterable[Decision], photos: Mapping[str, str], log: str) -> None:
        """Apply standing decisions.

        A photo that is confirmed as an individual who gets this name by a later line is confirmed at the end: what was
        decided on a photo again stands at its last place.

        Args:
            decisions: in their order.
            photos: the id in the gallery of each identified photo, by its id there; "" of those that did not enter.
            log: where the decisions stand, for messages.

        Raises:
            UserError: a decision is about a photo or an individual that is not there, or gives a name that is taken.
        """
        waiting: list[Decision] = []
        try:
            for decision in decisions:
                there = decision.to in self or self.called.get(decision.to) in self
                if decision.action == "confirm" and not there:
                    waiting.append(decision)
                elif act := _ACTS.get(decision.action):
                    act(self, decision, photos)
            for decision in waiting:
                self.confirm(decision, photos)
        except UserError as error:
            raise UserError(f"{log}: {error}") from None

    def __post_init__(self) -> None:
        self._photos = Counter(name for name in self.shows.values() if name is not None)

    def __contains__(self, name: str | None) -> bool:
        """Is there an individual of this name in the gallery?"""
        return name is not None and self._photos[name] > 0

    def _show(self, photo: str, name: str | None) -> None:
        """From now on a photo shows this individual."""
        before = self.shows[photo]
        if before is not None:
            self._photos[before] -= 1
        if name is not None:
            self._photos[name] += 1
        self.shows[photo] = name

    def _named(self, name: str, what: str) -> str:
        """What an individual is called now.

        Raises:
            UserError: there is none of that name.
        """
        if name in self:
            return name
        if self.called.get(name) in self:
            return self.called[name]
        near = difflib.get_close_matches(name, sorted(+self._photos), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"{what}: no individual of the catalogue is called {name!r}{hint}")

    def _free(self, name: str, what: str) -> None:
        if name in self:
            raise UserError(f"{what}: an individual of the catalogue is called {name!r} already: give another name")

    def _call(self, old: str, new: str) -> None:
        """From now on the individual has another name."""
        for photo in [photo for photo, shown in self.shows.items() if shown == old]:
            self._show(photo, new)
        self.called = {before: new if now == old else now for before, now in self.called.items()} | {old: new}
        self.called.pop(new, None)
        self.centres = {before: new if now == old else now for before, now in self.centres.items()}

    def classes(self, before: Sequence[str]) -> list[str]:
        """What a classifier's classes are called now; nobody's name, "", for the second of two that are one."""
        kept = {now: name for name, now in reversed(self.centres.items())} | {
            name: name for name, now in self.centres.items() if name == now
        }
        return [self.centres[name] if kept[self.centres[name]] == name else "" for name in before]

    def _photo(self, photo: str, photos: Mapping[str, str], what: str) -> str:
        """The id in the gallery of a photo that a decision names: where two have one id, the identified one is meant.

        Raises:
            UserError: there is no such photo.
        """
        if photo in photos:
            return photos[photo]
        if photo in self.shows:
            return photo
        raise UserError(
            f"{what}: there is no such photo any more, neither identified nor in the catalogue: undo the decision"
        )

    def confirm(self, decision: Decision, photos: Mapping[str, str]) -> None:
        """The photo shows a known individual."""
        what = f"confirm {decision.photo!r}"
        photo, name = self._photo(decision.photo, photos, what), self._named(decision.to, what)
        before = self.shows[photo]
        if before not in (None, name):
            raise UserError(f"{what} as {name!r}: it is in the catalogue as {before!r}: relabel it")
        self._show(photo, name)

    def new(self, decision: Decision, photos: Mapping[str, str]) -> None:
        """The photo shows a new individual; photos of one decision show the same one."""
        what, name = f"new {decision.photo!r}", decision.to
        photo = self._photo(decision.photo, photos, what)
        maker, first = self.made.get(name, ("", ""))
        if name in self and maker and maker != decision.id:
            raise UserError(
                f"{name!r} is the name of two new animals, of {first!r} and {decision.photo!r}: confirm the second "
                "photo as the first's animal, or give another name"
            )
        if maker != decision.id:
            self._free(name, what)
        if self.shows[photo] not in (None, name):
            raise UserError(f"{what}: it is in the catalogue as {self.shows[photo]!r}: relabel it")
        self.made.setdefault(name, (decision.id, decision.photo))
        self.called.pop(name, None)
        self._show(photo, name)

    def relabel(self, decision: Decision, photos: Mapping[str, str]) -> None:
        """The photo shows another individual than was told; nobody knows whom if no name is given."""
        photo = self._photo(decision.photo, photos, f"relabel {decision.photo!r}")
        name = decision.to if decision.to in self else self.called.get(decision.to, decision.to)
        if photo:  # one that did not enter is nobody's already
            self._show(photo, name or None)

    def drop(self, decision: Decision, photos: Mapping[str, str]) -> None:
        """The photo is not used."""
        photo = self._photo(decision.photo, photos, f"drop {decision.photo!r}")
        if photo:
            self._show(photo, None)

    def merge(self, decision: Decision, photos: Mapping[str, str]) -> None:
        """Two individuals are one."""
        what = f"merge {decision.individual!r} into {decision.to!r}"
        old, new = self._named(decision.individual, what), self._named(decision.to, what)
        if old != new:
            self._call(old, new)

    def rename(self, decision: Decision, photos: Mapping[str, str]) -> None:
        """An individual gets a name that nobody has."""
        what = f"rename {decision.individual!r}"
        old = self._named(decision.individual, what)
        if old != decision.to:
            self._free(decision.to, what)
            self._call(old, decision.to)

    def split(self, decision: Decision, photos: Mapping[str, str]) -> None:
        """Some photos of an individual show another, new one."""
        what = f"split {decision.individual!r}"
        old = self._named(decision.individual, what)
        self._free(decision.to, what)
        for each in decision.every:
            photo = self._photo(each, photos, what)
            if self.shows.get(photo) != old:
                raise UserError(f"{what}: {each!r} does not show it but {self.shows.get(photo) or 'nobody'}")
            self._show(photo, decision.to)


_ACTS: dict[str, Callable[[State, Decision, Mapping[str, str]], None]] = {
    "confirm": State.confirm,
    "new": State.new,
    "relabel": State.relabel,
    "drop": State.drop,
    "merge": State.merge,
    "rename": State.rename,
    "split": State.split,
}
ENTERING = ("confirm", "new", "relabel")  # by these an identified photo enters the gallery
