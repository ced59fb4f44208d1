"""The log of a review and what stands after it: a decision is checked before it is written."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from threading import RLock
from typing import Any

from finprint.base.errors import UserError
from finprint.review.case import Case
from finprint.store.decisions import FURTHER, Decision, Log, content, located, new_name, undone
from finprint.store.replay import Replay
from finprint.survey.names import whole_name
from finprint.survey.sources.decided import as_in_a_run

GRADES = ("distinctiveness", "quality")
SETTLED = {"confirm": "confirmed", "new": "new", "unsure": "unsure", "unusable": "unusable"}  # a photo to identify


class Ledger:
    """The log of a case and what stands after it. Other processes may write into the same log.

    Attributes:
        decisions: all lines of the log.
        replay: what stands.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.lock = RLock()
        self._log = Log(case.log)
        self._contents = {content(photo.sha256, image): image for image, photo in case.photos.items()}
        self._stamp: tuple[int, int] | None = (-1, -1)  # not yet read
        self.decisions: list[Decision] = []
        self.replay = Replay({})
        self._members: dict[str, list[str]] | None = None
        self._now: dict[str, str] = {}  # what the individuals of the answers are called now
        self.refresh()

    def refresh(self) -> int:
        """Read the log where it has changed; returns how many decisions it holds."""
        with self.lock:
            stamp = _stamp(self.case.log)
            if stamp != self._stamp:
                self.decisions = located(self._log.read(), self._contents)
                self._stamp = stamp  # of before the reading: a line that comes meanwhile is read next time
                self._stand()
            return len(self.decisions)

    def _stand(self) -> None:
        of_pipeline = self.case.again is None
        lines = [as_in_a_run(one) for one in self.decisions] if of_pipeline else self.decisions
        before = {image: self.case.before.get(image) for image in self.case.photos}
        self.replay, self._members = Replay.of_log(before, lines), None
        self._now = self.replay.since(self.case.gallery)

    def members(self) -> dict[str, list[str]]:
        """The photos of each individual, by its present name."""
        with self.lock:
            if self._members is None:
                self._members = {name: list(photos) for name, photos in self.replay.members.items()}
            return self._members

    def answered(self, name: str) -> str:
        """What an individual is called now whom an answer names."""
        return self._now.get(name) or self.replay.now(name)

    def add(self, fields: dict[str, Any]) -> Decision:
        """Check a decision against what stands, complete it and write it.

        Args:
            fields: of a `Decision`, without `when`.

        Raises:
            UserError: it contradicts what stands, such as a name that is taken.
        """
        with self.lock:
            self.refresh()
            if given := next((one for one in self.decisions if fields.get("id") and one.id == fields["id"]), None):
                return given  # it was sent twice, because its answer was lost
            decision = self._log.append(Decision(**self._completed(fields)))
            self.refresh()
            return decision

    def _completed(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields with the answer that the reviewer saw, and a name where a new individual has none."""
        action, to = fields["action"], fields.get("to", "")
        members = self.members()
        of_pipeline = self.case.again is None
        if of_pipeline and to not in members and to:  # as the next run will call it
            fields["to"] = to = whole_name(to)
        images = [*filter(None, [fields.get("photo")]), *(fields.get("photos") or ())]
        if strange := next((image for image in images if image not in self.case.photos), None):
            raise UserError(f"there is no photo {strange}")
        if of_pipeline and (further := next((image for image in images if FURTHER.search(image)), None)):
            raise UserError(
                f"{further} is a further animal in a photo: only photos of `finprint identify` can tell those"
            )
        if action in ("confirm", "relabel", "merge") and to not in members:
            raise UserError(f"there is no individual {to}: reload the page, it may have another name now")
        if action in ("merge", "rename", "split") and fields.get("individual") not in members:
            raise UserError(f"there is no individual {fields.get('individual')} any more: reload the page")
        if action == "merge" and to == fields["individual"]:
            raise UserError(f"{to} cannot be merged with itself")
        if action in ("new", "rename", "split"):
            if to in members:
                raise UserError(f"{to} is the name of another individual")
            fields["to"] = to or self.free_name()
        if action == "split" and set(images) >= set(members[fields["individual"]]):
            raise UserError(f"these are all photos of {fields['individual']}: rename it instead")
        if action == "grade":  # the last line on a photo counts, so it has both
            graded = dict(zip(GRADES, self.replay.grades.get(fields.get("photo", ""), (None, None)), strict=True))
            fields = graded | fields
        if action in (*SETTLED, "box") and len(images) == 1 and images[0] in self.case.answers:
            fields["answer"] = self.seen(images[0])
        return fields

    def seen(self, image: str) -> dict[str, Any]:
        """The answers to a photo as the page shows them, for the log."""
        answers = [
            {"identity": one.identity, "probability": None if one.probability is None else round(one.probability, 4)}
            for one in self.case.answers[image]
        ]
        return {"answers": answers, "run": self.case.run}

    def free_name(self) -> str:
        """A name for a new individual that nobody has, and nobody had."""
        said = {one.to for one in self.decisions}
        had = {*self.replay.origins, *self._now}
        return new_name({*self.replay.members, *had, *self.case.proposed, *said})

    def undo(self, who: str, of: str = "", own_id: str = "") -> Decision:
        """Take back a decision: the one named, or the last one of a reviewer that stands.

        Args:
            who: the reviewer.
            of: the id of a decision; "": the last one.
            own_id: of this undoing; one that is sent twice undoes once.

        Returns:
            The decision that is taken back.

        Raises:
            UserError: there is none.
        """
        with self.lock:
            self.refresh()
            if own_id and (done := next((one for one in self.decisions if one.id == own_id), None)):
                return next(one for one in self.decisions if one.id == done.of)
            void = undone(self.decisions)
            mine = (one for one in reversed(self.decisions) if one.action != "undo" and one.id not in void)
            last = next((one for one in mine if (one.id == of if of else one.who == who)), None)
            if last is None:
                raise UserError(
                    f"no decision of {who} is left to undo" if not of else "this decision is undone already"
                )
            self._log.append(Decision(id=own_id, action="undo", who=who, of=last.id))
            self.refresh()
            return last

    def progress(self) -> dict[str, int]:
        """How many photos to identify were settled, and how."""
        with self.lock:
            settled = self.replay.settled
            counts = Counter(SETTLED[settled[image].action] for image in self.case.answers if image in settled)
            return {"photos": len(self.case.answers), "decided": sum(counts.values()), **counts}

    def touched(self, since: int) -> set[str] | None:
        """The photos that decisions after the first `since` are about; None: it may be any."""
        by_id = {one.id: one for one in self.decisions}
        images: set[str] = set()
        for one in self.decisions[since:]:
            meant = by_id.get(one.of, one) if one.action == "undo" else one
            if meant.action in ("merge", "rename"):
                return None
            images.update(meant.every)
        return images


def named(decisions: Iterable[Decision], image: str) -> list[Decision]:
    """The decisions that name a photo, in order, undone ones and their undoing among them."""
    decisions = list(decisions)
    own = {one.id for one in decisions if image in one.every}
    return [one for one in decisions if one.id in own or one.of in own]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns
