"""Whom each photo shows after decisions: the one place where decisions are applied to names."""

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from finprint.base.errors import UserError
from finprint.store.decisions import Decision, names_made, standing

SETTLING = ("confirm", "new", "unsure", "unusable")  # what may be decided on a photo to identify
Box = tuple[float, float, float, float]


class Replay:
    """Whom each photo shows, while decisions are applied one by one to the names that were there without them.

    Attributes:
        shows: the individual in each photo, by its present name; None: nobody is known in it, or it is not used.
        truth: the same for photos whose right answers only an evaluation reads. They follow merges and renames, but no
            name is known from them.
        settled: the decision that settled each photo to identify.
        told: the photos of which a decision says whom they show, or that nobody knows.
        unused: the photos that were dropped or called unusable.
        grades: distinctiveness and quality of photos, 1 to 3.
        boxes: drawn boxes.
        origins: what each individual that was there at the start is called now.
    """

    def __init__(
        self,
        shows: Mapping[str, str | None],
        expected: Iterable[str] = (),
        truth: Mapping[str, str | None] | None = None,
        strict: bool = True,
    ) -> None:
        """Begin with names.

        Args:
            shows: the individual in each photo before the decisions.
            expected: names that some decision gives, so that an earlier one may use them.
            truth: see the attribute.
            strict: refuse what cannot be; else do the most likely thing, because a page or an export must go on.
        """
        self.shows = dict(shows)
        self.truth = dict(truth or {})
        self.settled: dict[str, Decision] = {}
        self.told: set[str] = set()
        self.unused: set[str] = set()
        self.grades: dict[str, tuple[int | None, int | None]] = {}
        self.boxes: dict[str, Box] = {}
        self.members: dict[str, dict[str, None]] = {}  # the photos of each individual, in order
        for photo, name in self.shows.items():
            if name is not None:
                self.members.setdefault(name, {})[photo] = None
        self.origins = {name: name for name in self.members}
        self._strict = strict
        self._expected = set(expected)
        self._called: dict[str, str] = {}  # the present name, by each former one
        self._made: dict[str, tuple[str, str] | None] = {}  # decision and photo of new ones; None: not yet made

    @staticmethod
    def of_log(shows: Mapping[str, str | None], lines: Sequence[Decision]) -> "Replay":
        """Names after all that stands of a log; what cannot be is not refused.

        Args:
            shows: the individual in each photo without this log.
            lines: of the log.
        """
        replay = Replay(shows, names_made(lines), strict=False)
        for decision in standing(lines):
            replay.apply(decision)
        return replay

    def __contains__(self, name: str | None) -> bool:
        """Does a photo show an individual of this name?"""
        return name in self.members

    def now(self, name: str) -> str:
        """What an individual is called now that has, or had, this name; the name itself if nobody has."""
        return name if name in self.members else self._called.get(name, name)

    def since(self, names: Mapping[str, str]) -> dict[str, str]:
        """What the individuals of another time are called now: as most of their photos are, or as they were if any is.

        Args:
            names: the individual in each photo at that time.
        """
        photos: dict[str, list[str]] = {}
        for photo, name in names.items():
            photos.setdefault(name, []).append(photo)
        called = {}
        for name, own in photos.items():
            counts = Counter(shown for photo in own if (shown := self.shows.get(photo)) is not None)
            called[name] = name if name in counts or not counts else counts.most_common(1)[0][0]
        return called

    def apply(self, decision: Decision) -> None:
        """Apply one decision.

        Raises:
            UserError: it is about a photo or an individual that is not there, or gives a name that is taken.
        """
        action, to, photos = decision.action, decision.to, decision.every
        if action == "merge":
            self.merge(decision.individual, to)
        elif action == "rename":
            self.rename(decision.individual, to)
        elif action == "box" and decision.box is not None:
            self.boxes[decision.photo] = decision.box
        elif action == "grade":
            self.grades[decision.photo] = (decision.distinctiveness, decision.quality)
        else:
            for photo in photos if self._strict else [photo for photo in photos if photo in self.shows]:
                if action == "confirm":
                    self.confirm(photo, to)
                elif action == "new":
                    self.new(photo, to, decision.id)
                elif action == "split":
                    self.split(photo, to, decision.id, decision.individual)
                elif action == "relabel":
                    self.relabel(photo, to or None)
                elif action in ("drop", "unusable"):
                    self.drop(photo)
                if action in SETTLING:
                    self.settled[photo] = decision

    def confirm(self, photo: str, to: str) -> None:
        """The photo to identify shows an individual."""
        name, before = self._individual(to), self._shown(photo)
        if before not in (None, name):
            self._refuse(f"{photo!r} is labelled as {before!r} already: write relabel")
        self._show(photo, name)

    def new(self, photo: str, to: str, maker: str = "") -> None:
        """The photo shows a new individual.

        Args:
            photo: its id.
            to: the individual's name.
            maker: tells new individuals of one name apart: the decision's id.
        """
        before = self._shown(photo)
        if before == to:  # as its owner's table says, too
            self._made.setdefault(to, (maker, photo))
        self._make(to, maker, photo)
        if before not in (None, to):
            self._refuse(f"{photo!r} is labelled as {before!r} already: write relabel")
        self._show(photo, to)

    def split(self, photo: str, to: str, maker: str = "", individual: str = "") -> None:
        """The photo shows a new individual, and not the one whom it is labelled as.

        Args:
            photo: its id.
            to: the new individual's name.
            maker: as for `new`.
            individual: whom it showed; "": anybody.
        """
        before = self._shown(photo)
        if before is None:
            self._refuse(f"{photo!r} shows nobody who is known, so there is nobody to split")
        if individual and before != self._individual(individual) and before != to:
            self._refuse(f"{photo!r} shows {before!r} and not {individual!r}, so it cannot be split from it")
        self._make(to, maker, photo)
        self._show(photo, to)

    def relabel(self, photo: str, to: str | None) -> None:
        """The photo shows another individual than was told; None: nobody knows whom."""
        self._shown(photo)
        self._show(photo, None if to is None else self._individual(to))

    def drop(self, photo: str) -> None:
        """The photo is not used."""
        self._shown(photo)
        self._show(photo, None)
        self.unused.add(photo)

    def merge(self, one: str, to: str) -> None:
        """Two individuals are one, called `to`."""
        before, after = self._bearer(one), self.now(to)
        self._call(before, to if after == before else after)  # perhaps a name that it had before

    def rename(self, one: str, to: str) -> None:
        """An individual gets a name that nobody has."""
        before = self._bearer(one)
        if to in self.members and to != before and self._made.get(to, ("", "")) is not None:
            self._refuse(f"{to!r} is another individual already: to make them one, write merge")
        self._call(before, to)

    def _bearer(self, name: str) -> str:
        """As `_individual`, of one who is there already."""
        now = self._individual(name)
        if now not in self.members and now not in self.truth.values():
            self._refuse(f"no individual is called {name!r}")
        return now

    def _call(self, old: str, new: str) -> None:
        """From now on the individual has another name."""
        if old == new:
            return
        for photo in self.members.pop(old, {}):
            self.shows[photo] = new
            self.members.setdefault(new, {})[photo] = None
        self._called = {name: new if now == old else now for name, now in self._called.items()} | {old: new}
        self._called.pop(new, None)
        self._made.pop(old, None)
        if self._made.get(new, ("", "")) is None:
            self._made.pop(new)
        self.origins = {name: new if now == old else now for name, now in self.origins.items()}
        self.truth = {photo: new if name == old else name for photo, name in self.truth.items()}

    def _individual(self, name: str) -> str:
        """What the individual of a name is called now.

        Raises:
            UserError: nobody is called so.
        """
        now = self.now(name)
        if now in self.members:
            return now
        if name in self._expected:
            self._made.setdefault(name, None)
        elif now not in self.truth.values():
            near = difflib.get_close_matches(name, sorted(self.members), 1)
            self._refuse(f"no individual is called {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return now

    def _make(self, name: str, maker: str, photo: str) -> None:
        """There is a new individual of this name.

        Raises:
            UserError: somebody else is called so.
        """
        made = self._made.get(name)
        if name in self.members and name not in self._made:
            self._refuse(f"{name!r} is in the catalogue already, so it is not new: write confirm")
        elif name in self.members and made is not None and made[0] != maker:
            self._refuse(
                f"two decisions give the name {name!r} to two new individuals, in {made[1]!r} and {photo!r}: give one "
                "of them another name"
            )
        elif name not in self.members or made is None:
            self._made[name] = (maker, photo)
        self._called.pop(name, None)  # the name is given anew

    def _shown(self, photo: str) -> str | None:
        """Whom the photo shows until now.

        Raises:
            UserError: there is no such photo.
        """
        if photo not in self.shows:
            self._refuse(f"no photo is called {photo!r}")
        return self.shows.get(photo)

    def _show(self, photo: str, name: str | None) -> None:
        """From now on a photo shows this individual."""
        before = self.shows.get(photo)
        if before is not None and before != name:
            own = self.members[before]
            own.pop(photo)
            if not own:
                self.members.pop(before)
        self.shows[photo] = name
        self.told.add(photo)
        if name is not None:
            self.members.setdefault(name, {})[photo] = None

    def _refuse(self, why: str) -> None:
        if self._strict:
            raise UserError(why)
