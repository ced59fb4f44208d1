"""All that was ever enrolled in a bundle's gallery, and whom its photos show after these decisions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import read_json
from finprint.bundle.bundle import Bundle
from finprint.bundle.identified import DECISIONS
from finprint.store.decisions import OF_INDIVIDUALS, Decision, Log, names_made
from finprint.store.replay import Replay

ENROLLED = "enrolled.json"  # in the gallery's folder
ENTERING = ("confirm", "new", "relabel")  # by these an identified photo enters the gallery


@dataclass(frozen=True)
class Source:
    """Decisions on the photos that one run of `identify` identified.

    Attributes:
        name: of the folder that `identify` wrote, for messages.
        photos: the id in the gallery of each identified photo; "" of those that did not enter.
        decisions: those that stand.
        names: that any of the decisions give, see `names_made`.
    """

    name: str
    photos: dict[str, str]
    decisions: list[Decision]
    names: list[str]

    def as_json(self) -> dict[str, Any]:
        """The source as JSON can hold it; what was answered when a person decided is left out."""
        lines = [line.model_dump(mode="json", exclude_defaults=True, exclude={"answer"}) for line in self.decisions]
        return {"name": self.name, "photos": self.photos, "decisions": lines, "names": self.names}

    @staticmethod
    def of_json(told: Mapping[str, Any]) -> "Source":
        """The source that `as_json` gave."""
        decisions = [Decision.model_validate(line) for line in told["decisions"]]
        return Source(told["name"], told["photos"], decisions, told.get("names") or sorted(names_made(decisions)))

    def timed(self) -> Iterator[tuple[str, Decision]]:
        """The decisions in their order, each with when it was taken; never earlier than one before it, as where the
        clock was set back."""
        return zip(accumulate((one.when for one in self.decisions), max), self.decisions, strict=True)

    def apply(self, decision: Decision, replay: Replay) -> None:
        """Apply one of the decisions.

        Raises:
            UserError: it is about a photo or an individual that is not there, or gives a name that is taken.
        """
        if decision.action not in (*OF_INDIVIDUALS, *ENTERING, "drop", "unusable"):
            return
        subject = decision.individual or decision.photo
        try:
            photos = tuple(filter(None, (self._photo(one, decision, replay) for one in decision.every)))
            replay.apply(decision.model_copy(update={"photo": "", "photos": photos}))
        except UserError as error:
            raise UserError(f"{self.name}/{DECISIONS}: {decision.action} {subject!r}: {error}") from None

    def _photo(self, photo: str, decision: Decision, replay: Replay) -> str:
        """The id in the gallery: where two photos have one id, the identified one is meant. "": it did not enter."""
        if photo in self.photos:
            return self.photos[photo]
        if photo in replay.shows or decision.action == "unusable":
            return photo if photo in replay.shows else ""
        raise UserError("there is no such photo any more, neither identified nor in the catalogue: undo the decision")


@dataclass(frozen=True)
class Ledger:
    """All that was ever enrolled in a gallery.

    Attributes:
        classes: what the classifier of each member was trained to tell apart, by the member's name.
        sources: by the id of the first line of their log, in the order in which they were first enrolled.
    """

    classes: dict[str, list[str]]
    sources: dict[str, Source]

    @staticmethod
    def read(bundle: Bundle) -> "Ledger":
        """The ledger of a bundle; empty before the first enrolment."""
        path = bundle.folder / bundle.manifest.gallery / ENROLLED
        if not path.exists():
            return Ledger({name: list(one.classes) for name, one in bundle.gallery.members.items()}, {})
        told = read_json(path)
        return Ledger(told["classes"], {key: Source.of_json(one) for key, one in told["sources"].items()})

    def as_json(self) -> dict[str, Any]:
        """The ledger as JSON can hold it."""
        return {"classes": self.classes, "sources": {key: one.as_json() for key, one in self.sources.items()}}

    def applied(self, photos: pd.DataFrame, strict: bool = True) -> Replay:
        """Whom each photo of a table `GALLERY` shows after all decisions.

        Names are never changed in place: every enrolment begins again with the pipeline's names. So what is enrolled
        twice is enrolled once, and a decision that is undone counts no more.

        Args:
            photos: the table.
            strict: as for `Replay`.

        Raises:
            UserError: a decision cannot be applied.
        """
        labelled = photos["labelled"].astype(object).where(photos["labelled"].notna(), None)
        names = [name for source in self.sources.values() for name in source.names]
        replay = Replay(dict(zip(photos["image"], labelled, strict=True)), names, strict=strict)
        timed = [(when, source, one) for source in self.sources.values() for when, one in source.timed()]
        for _, source, decision in sorted(timed, key=itemgetter(0)):  # of all sources: one builds on the other
            source.apply(decision, replay)
        return replay


def names_without(bundle: Bundle, log: Path) -> dict[str, str | None]:
    """The individual in each photo of the gallery as it would be without the decisions of a log.

    Photos that came in by these decisions alone are left out; None: nobody is known.
    """
    photos, ledger, lines = bundle.gallery.photos, Ledger.read(bundle), Log(log).read()
    own = ledger.sources.pop(lines[0].id, None) if lines else None
    others = {image for source in ledger.sources.values() for image in source.photos.values()}
    came = set(photos.loc[photos["labelled"].isna(), "image"]) & set(own.photos.values() if own else ()) - others
    shows = ledger.applied(photos, strict=False).shows
    return {image: name for image, name in shows.items() if image not in came}
