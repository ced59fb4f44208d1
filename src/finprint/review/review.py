"""What the page asks for: photos, answers, individuals, and what stands, as plain values for JSON."""

import difflib
from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

from finprint.base.errors import UserError
from finprint.review.case import Answer, Box, Case
from finprint.review.dates import Dates
from finprint.review.explaining import Explainer
from finprint.review.ledger import SETTLED, Ledger, named
from finprint.review.pictures import Picture, Pictures
from finprint.store.tables import NEW

LINES = 40  # matched points that are drawn of a pair, the surest ones
NAMES = 12  # individuals that a search lists
TOGETHER = 300  # photos of one encounter that are listed
BY = ("name", "photos", "encounters", "first", "last")  # orders of the catalogue
ACTIONS = (*SETTLED, "relabel", "drop", "merge", "rename", "split", "box", "grade")


class Review:
    """A case with its log, its pictures and its dates; `who` is its reviewer until the page is told another name."""

    def __init__(self, case: Case, who: str = "") -> None:
        self.case = case
        self.who = who
        self.ledger = Ledger(case)
        self.pictures = Pictures(case)
        self.dates = Dates(case.photos.values())
        self.explainer = Explainer(case)
        self._answers: dict[tuple[str, Box], list[Answer]] = {}
        self._made_at = _age(case)
        self._group = {image: name for name, images in case.proposed.items() for image in images}
        self._encounters: dict[str, list[str]] = defaultdict(list)
        for photo in case.photos.values():
            if photo.encounter:
                self._encounters[photo.encounter].append(photo.image)
        self._rows: tuple[tuple[int, bool], list[dict[str, Any]]] | None = None

    def overview(self) -> dict[str, Any]:
        """What the page needs once: of all photos to identify what can be filtered, and what stands.

        Columns rather than rows, because 10,000 photos are then a third of the text.
        """
        self.ledger.refresh()
        photos = [self.case.photos[image] for image in self.case.answers]
        first = [answers[0] for answers in self.case.answers.values()]
        return {
            "title": self.case.title,
            "who": self.who,
            "run": self.case.run,
            "log": str(self.case.log),
            "again": self.case.again is not None,
            "explains": self.case.model is not None,
            "images": [photo.image for photo in photos],
            "columns": {
                name: _coded([getattr(photo, name).replace("_", " ") for photo in photos])
                for name in ("encounter", "viewpoint", "species", "place")
            },
            "dates": [self.dates.so_far(photo) for photo in photos],
            "answered": _coded([answer.identity for answer in first]),
            "probabilities": [answer.probability for answer in first],
            "proposed": self.case.proposed,
            **self.news(0),
        }

    def news(self, seen: int) -> dict[str, Any]:
        """What has changed since the first `seen` decisions: of each photo to identify how it stands now."""
        with self.ledger.lock:
            count = self.ledger.refresh()
            touched = self.ledger.touched(seen) if seen <= count else None
            images = self.case.answers if touched is None else touched & self.case.answers.keys()
            return {
                "seen": count,
                "stands": {image: stands for image in images if (stands := self.stands(image)) or seen},
                "touched": None if touched is None else sorted(touched),
                "progress": self.ledger.progress(),
                "old": _age(self.case) != self._made_at,
            }

    def stands(self, image: str) -> list[str] | None:
        """[status, the individual's name, who decided, when, id]; None while nobody has."""
        decision = self.ledger.replay.settled.get(image)
        if decision is None:
            return None
        name = self.ledger.replay.shows.get(image) or ""
        return [SETTLED[decision.action], name, decision.who, decision.when, decision.id]

    def photo(self, image: str) -> dict[str, Any]:
        """All that the page shows of one photo to identify, or of one in the catalogue."""
        if image not in self.case.photos:
            raise UserError(f"there is no photo {image}")
        with self.ledger.lock:
            self.ledger.refresh()
            photo, drawn = self.case.photos[image], self.ledger.replay.boxes.get(image)
            group = self._group.get(image, "")
            together = self._encounters.get(photo.encounter, [image])[:TOGETHER]
            history = named(self.ledger.decisions, image)
            return {
                **self.brief(image),
                "size": photo.size,
                "box": drawn or self.case.box(image),
                "drawn": drawn is not None,
                "region": self.case.window(drawn, image) if drawn else self.case.region(image),
                "answers": [self._answer(answer) for answer in self.answers(image)],
                "points": {} if drawn else self._points(image),
                "proposed": group,
                "together": [self.brief(other) for other in together],
                "history": [one.model_dump(exclude_defaults=True, exclude={"answer"}) for one in history],
            }

    def answers(self, image: str) -> list[Answer]:
        """The answers to a photo, made anew where a box was drawn and a bundle is at hand."""
        box = self.ledger.replay.boxes.get(image)
        if box is None or self.case.again is None:
            return self.case.answers.get(image, [])
        if (image, box) not in self._answers:
            self._answers[image, box] = self.case.again(self.case.photos[image], box)
        return self._answers[image, box]

    def brief(self, image: str) -> dict[str, Any]:
        """One photo in a row of photos."""
        photo, replay = self.case.photos[image], self.ledger.replay
        return {
            "image": image,
            "individual": replay.shows.get(image) or "",
            "asked": image in self.case.answers,
            "stands": self.stands(image),
            "grade": replay.grades.get(image),
            "species": photo.species.replace("_", " "),
            "encounter": photo.encounter,
            "viewpoint": photo.viewpoint,
            "place": photo.place,
            "date": self.dates.of(photo),
        }

    def individual(self, name: str) -> dict[str, Any]:
        """All photos of an individual, the latest first."""
        with self.ledger.lock:
            self.ledger.refresh()
            now = self.ledger.replay.now(name)
            images = self.ledger.members().get(now)
            if images is None:
                raise UserError(f"there is no individual {name} any more: it was merged, renamed or taken back")
            photos = sorted((self.brief(image) for image in images), key=lambda one: (one["date"], one["image"]))
            return {"name": now, "photos": photos[::-1]}

    def names(self, search: str) -> list[dict[str, Any]]:
        """The individuals whose names hold a text, those that start with it first; else the names most like it."""
        with self.ledger.lock:
            self.ledger.refresh()
            members = self.ledger.members()
        wanted = search.strip().casefold()
        holding = [name for name in members if wanted in name.casefold()]
        holding.sort(key=lambda name: (not name.casefold().startswith(wanted), name.casefold()))
        chosen = holding or difflib.get_close_matches(search.strip(), members, n=NAMES)
        return [{"name": name, "photos": len(members[name]), "image": members[name][0]} for name in chosen[:NAMES]]

    def catalogue(self, search: str, by: str, start: int, count: int) -> dict[str, Any]:
        """Some rows of the catalogue: individuals with their photos and encounters, first and last seen."""
        with self.ledger.lock:
            seen = self.ledger.refresh()
            if self._rows is None or self._rows[0] != (seen, self.dates.done):
                made = [self._row(name, images) for name, images in self.ledger.members().items()]
                self._rows = ((seen, self.dates.done), made)
            rows = self._rows[1]
        wanted = search.strip().casefold()
        order = by if by in BY else "name"
        down = order != "name"
        rows = [row for row in rows if wanted in row["name"].casefold() or wanted in row["species"].casefold()]
        rows.sort(key=lambda row: row["name"].casefold())
        if down:
            rows.sort(key=lambda row: row[order], reverse=True)
        return {"individuals": len(rows), "rows": rows[start : start + count], "dated": self.dates.done}

    def _row(self, name: str, images: list[str]) -> dict[str, Any]:
        photos = [self.case.photos[image] for image in images]
        dates = sorted(filter(None, map(self.dates.so_far, photos)))
        grades = [self.ledger.replay.grades.get(image, (None, None)) for image in images]
        species = Counter(photo.species for photo in photos if photo.species)
        return {
            "name": name,
            "photos": len(images),
            "decided": sum(image in self.case.answers for image in images),
            "encounters": len({photo.encounter for photo in photos if photo.encounter}),
            "first": dates[0][:10] if dates else "",
            "last": dates[-1][:10] if dates else "",
            "sides": sorted({photo.viewpoint for photo in photos if photo.viewpoint}),
            "species": species.most_common(1)[0][0].replace("_", " ") if species else "",
            "distinctiveness": max((grade[0] or 0 for grade in grades), default=0),
            "quality": max((grade[1] or 0 for grade in grades), default=0),
            "image": images[0],
        }

    def proposals(self) -> list[dict[str, Any]]:
        """The proposed new individuals, with the photos that are not yet decided; groups that are done are left out."""
        with self.ledger.lock:
            self.ledger.refresh()
            settled = self.ledger.replay.settled
            left = {
                name: [image for image in images if image not in settled and image in self.case.photos]
                for name, images in self.case.proposed.items()
            }
            taken = self.ledger.members()
            return [
                {
                    "name": name,
                    "to": "" if name in taken else name,
                    "all": len(self.case.proposed[name]),
                    "photos": [self.brief(image) for image in images],
                }
                for name, images in sorted(left.items(), key=lambda one: (-len(one[1]), one[0]))
                if images
            ]

    def decide(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Write a decision, and say what stands now."""
        if fields.get("action") not in ACTIONS:
            raise UserError(f"{fields.get('action')!r} is none of the actions {', '.join(ACTIONS)}")
        before = self.ledger.refresh()
        decision = self.ledger.add(fields)
        return {"decision": decision.model_dump(), **self.news(before)}

    def undo(self, who: str, of: str, own_id: str = "") -> dict[str, Any]:
        """Take back a decision, and say what stands now."""
        before = self.ledger.refresh()
        decision = self.ledger.undo(who, of, own_id)
        return {"undone": decision.model_dump(), **self.news(before)}

    def picture(self, image: str, kind: str) -> Picture:
        """A picture of a photo: small, crop or photo."""
        if kind == "crop":
            return self.pictures.crop(image, self.ledger.replay.boxes.get(image))
        return self.pictures.photo(image) if kind == "photo" else self.pictures.small(image)

    def _answer(self, answer: Answer) -> dict[str, Any]:
        if answer.identity == NEW:
            return {**asdict(answer), "new": True, "photos": 0}
        now = self.ledger.answered(answer.identity)
        return {**asdict(answer), "identity": now, "new": False, "photos": len(self.ledger.replay.members.get(now, ()))}

    def _points(self, image: str) -> dict[str, list[list[float]]]:
        """The surest matched points with each catalogue photo: x, y and x, y in that photo, shares of the crops."""
        points = self.case.points
        rows = points[points["query"] == image].sort_values(["inlier", "score"], ascending=False, kind="stable")
        places = ["x", "y", "match_x", "match_y"]
        return {
            str(match): own[places][:LINES].astype(float).round(4).to_numpy().tolist()
            for match, own in rows.groupby("match")
        }


def _coded(values: list[str]) -> dict[str, Any]:
    """Texts as numbers in a list of the different ones."""
    names = {name: number for number, name in enumerate(sorted(set(values)))}
    return {"names": list(names), "codes": [names[value] for value in values]}


def _age(case: Case) -> int:
    """When the answers were written; 0: they are gone."""
    return case.source.stat().st_mtime_ns if case.source.exists() else 0
