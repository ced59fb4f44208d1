"""Decisions about identified photos enter a bundle's gallery, by vectors alone: nothing is trained."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from finprint.base.errors import UserError
from finprint.base.files import atomic, caching_in, hold, remove, write_json
from finprint.bundle.asked import Asked, with_columns
from finprint.bundle.bundle import Bundle
from finprint.bundle.features import FEATURES
from finprint.bundle.gallery import PICTURES, Gallery, link, write_pictures
from finprint.bundle.identified import DECISIONS, REVIEW, Identified
from finprint.bundle.ledger import ENROLLED, ENTERING, Ledger, Source
from finprint.bundle.manifest import Manifest, hashes
from finprint.bundle.tables import gallery_table
from finprint.pictures.shards import Crops
from finprint.store.arrays import Selection
from finprint.store.decisions import Decision, Log, content, names_made, standing
from finprint.store.tables import SIDES


@dataclass(frozen=True)
class Entering:
    """Photos that come into the gallery, with all that it keeps of them.

    Attributes:
        photos: rows of the table `GALLERY`.
        vectors: (N, sum of D).
        pictures: their crops, as for `write_pictures`.
    """

    photos: pd.DataFrame
    vectors: np.ndarray
    pictures: list[tuple[Crops, dict[str, str]]]


def enrol(out: Path, folder: Path) -> dict[str, int]:
    """Have the standing decisions on identified photos enter the gallery of a bundle, atomically.

    The same decisions enrolled again change nothing, and those that were undone since count no more.

    Args:
        out: folder that `identify` wrote, with the log of decisions in it.
        folder: of the bundle.

    Returns:
        Counts: photos that came in, that left, that show another individual now; new individuals; and what the gallery
        has after it, `photos` and `individuals`.

    Raises:
        UserError: there is no decision, one cannot be applied, or another system identified the photos.
    """
    Manifest.read(folder)  # or a lock would be laid where no bundle is
    with _locked(folder):
        bundle, identified = Bundle.load(folder), Identified.load(out)
        if identified.run["system"] != bundle.manifest.system:
            raise UserError(
                f"{out} was identified by another system than {folder}: run `finprint identify` again, with --bundle "
                f"{folder} and --out {out}; the decisions are kept"
            )
        log = Log(out / DECISIONS)
        lines = log.read()
        if not lines:
            raise UserError(f"{log.path} holds no decision: `finprint review {out}` is the page to decide on")
        decisions = standing(lines)
        ledger = Ledger.read(bundle)
        before = ledger.as_json()
        with TemporaryDirectory() as scratch:
            name = out.resolve().name
            entering, ids = _entering(name, identified, decisions, bundle, Path(scratch))
            _tell_late_boxes(decisions, ids, bundle.gallery.photos, ledger.sources.get(lines[0].id))
            every = {image: ids.get(image, "") for image in identified.photos["image"]}
            ledger.sources[lines[0].id] = Source(name, every, decisions, sorted(names_made(lines)))
            photos = pd.concat([bundle.gallery.photos, entering.photos], ignore_index=True)
            replay = ledger.applied(photos)
            after = photos.assign(identity=photos["image"].map(replay.shows).astype("string"))
            grown = _grown(bundle, after, entering, ledger, replay.origins)
            features = [out / REVIEW / FEATURES, Path(scratch) / REVIEW / FEATURES]
            if ledger.as_json() != before:
                _write(bundle, grown, entering, ledger, features)
        return _counts(bundle.gallery.photos, after)


def for_the_pipeline(out: Path, bundle: Bundle) -> list[Decision]:
    """All lines of the log of identified photos, with the photos' contents, as the pipeline's log can hold them.

    Photos of the gallery that the pipeline knows keep their id.
    """
    identified, gallery = Identified.load(out).photos, bundle.gallery.photos
    enrolled = gallery[gallery["labelled"].isna()]
    hashes_of = {
        image: "" if pd.isna(sha256) else str(sha256)
        for table in (enrolled, identified)
        for image, sha256 in zip(table["image"], table["sha256"], strict=True)
    }
    return [
        line.model_copy(update={"answer": None, "contents": tuple(hashes_of.get(photo, "") for photo in line.every)})
        for line in Log(out / DECISIONS).read()
    ]


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """In the block no other run changes the bundle."""
    path = folder / ".lock"
    with hold(path, f"another run enrols decisions in {folder}: waiting for its end"):
        try:
            yield
        finally:
            remove(path)


def _entering(
    name: str, identified: Identified, decisions: Sequence[Decision], bundle: Bundle, scratch: Path
) -> tuple[Entering, dict[str, str]]:
    """What comes into the gallery, and the id in the gallery of each photo that is in it now."""
    ids = _ids(name, identified, decisions, bundle.gallery.photos)
    there = set(bundle.gallery.photos["image"])
    first = {image: photo for photo, image in reversed(ids.items()) if image not in there}  # of copies of one photo
    fresh = {photo: image for photo, image in ids.items() if first.get(image) == photo}
    boxes = {one.photo: one.box for one in decisions if one.action == "box" and one.photo in fresh and one.box}
    corrected = _with_boxes(identified, boxes, bundle, scratch)
    rows: dict[str, np.ndarray] = {}
    pictures = [(identified.crops, {image: photo for photo, image in fresh.items() if photo not in boxes})]
    for one in filter(None, (identified, corrected)):
        rows |= dict(zip(one.crops.index["image"], one.vectors, strict=True))
    if corrected:
        pictures.append((corrected.crops, {fresh[photo]: photo for photo in boxes}))
    told = identified.photos.set_index("image").loc[list(fresh)].reset_index().assign(image=list(fresh.values()))
    vectors = np.stack([rows[photo] for photo in fresh]) if fresh else identified.vectors[:0]
    return Entering(gallery_table(told), vectors, pictures), ids


def _tell_late_boxes(
    decisions: Sequence[Decision], ids: Mapping[str, str], gallery: pd.DataFrame, last: Source | None
) -> None:
    """Say which boxes do nothing because their photo is in the gallery already; of those since the last time."""
    there, known = set(gallery["image"]), {one.id for one in (last.decisions if last else ())}
    boxes = [one for one in decisions if one.action == "box" and one.id not in known]
    if late := [one.photo for one in boxes if ids.get(one.photo) in there]:
        print(f"boxes that were corrected after their photos were enrolled are not used: {', '.join(late)}", flush=True)


def _ids(name: str, identified: Identified, decisions: Sequence[Decision], gallery: pd.DataFrame) -> dict[str, str]:
    """The id in the gallery of each photo that is to be in it; one that comes in is called NAME/PHOTO there, because
    cameras give the same names again and again.

    Raises:
        UserError: a photo has no vector.
    """
    rows = identified.photos.set_index("image")
    embedded, taken = set(identified.crops.index["image"]), set(gallery["image"])
    there = {content(*row): row[1] for row in zip(gallery["sha256"], gallery["image"], strict=True)}
    ids = {}
    for decision in decisions:
        photo = decision.photo
        about_gallery = decision.action == "relabel" and not decision.to
        if decision.action not in ENTERING or photo not in rows.index or about_gallery:
            continue
        if photo not in embedded:
            raise UserError(f"{photo} cannot be enrolled: {rows.loc[photo, 'problem']!s}")
        own = content(str(rows.loc[photo, "sha256"]), photo)
        called = f"{name}/{photo}"
        ids[photo] = there.setdefault(own, called if called not in taken else f"{called} ({own[:8]})")
    return ids


def _with_boxes(
    identified: Identified, boxes: Mapping[str, Sequence[float]], bundle: Bundle, scratch: Path
) -> Identified | None:
    """The photos whose boxes a person has corrected, cropped and embedded anew."""
    if not boxes:
        return None
    from finprint.bundle.identify import identified_in  # torch takes seconds to import

    rows = identified.photos.set_index("image")
    told = pd.DataFrame(list(boxes.values()), columns=SIDES).assign(image=list(boxes))
    told["path"] = rows["path"].loc[list(boxes)].to_numpy()
    with caching_in(scratch / ".cache"):
        corrected = identified_in(Asked(Path(identified.run["folder"]), with_columns(told)), bundle, scratch / REVIEW)
    before = rows["sha256"]
    for image, sha256, problem in corrected.photos[["image", "sha256", "problem"]].itertuples(index=False):
        if image not in set(corrected.crops.index["image"]) or before[image] != sha256:
            why = problem if pd.notna(problem) else "its content is another"
            raise UserError(f"{image} with its corrected box cannot be enrolled: {why}")
    return corrected


def _grown(
    bundle: Bundle, photos: pd.DataFrame, entering: Entering, ledger: Ledger, called: Mapping[str, str]
) -> Gallery:
    """The gallery with the photos that come in, and with the names as they are now."""
    ends = np.cumsum([one.array.shape[1] for one in bundle.gallery.members.values()])[:-1]
    arrays = np.split(entering.vectors, ends, axis=1)
    members = {
        name: replace(
            one,
            images=photos["image"],
            array=Selection([one.array, array]),
            classes=np.array(_classes(ledger.classes[name], called), object),
        )
        for (name, one), array in zip(bundle.gallery.members.items(), arrays, strict=True)
    }
    return Gallery(photos, members, bundle.gallery.pictures)


def _classes(before: Sequence[str], called: Mapping[str, str]) -> list[str]:
    """What a classifier's classes are called now; nobody's name, "", for the second of two that are one."""
    now = [called.get(name, name) for name in before]
    kept = dict(zip(reversed(now), reversed(before), strict=True)) | {
        name: name for name, other in zip(before, now, strict=True) if name == other
    }
    return [other if kept[other] == name else "" for name, other in zip(before, now, strict=True)]


def _write(bundle: Bundle, grown: Gallery, entering: Entering, ledger: Ledger, features: Sequence[Path]) -> None:
    """Write the new gallery beside the old one, and only then have the manifest name it."""
    folder, old = bundle.folder, bundle.manifest.gallery
    for path in folder.glob("gallery-*"):
        if path.name != old:
            remove(path)  # of an enrolment that was killed
    new = f"gallery-{int(old.removeprefix('gallery-')) + 1}"
    with atomic(folder / new) as draft:
        grown.write_tables(draft)
        pictures = [(crops, images) for crops, images in entering.pictures if images]
        write_pictures(draft / PICTURES, pictures, folder / old / PICTURES)
        if bundle.manifest.look:
            (draft / FEATURES).mkdir()
            for path in [path for source in (bundle.features, *features) for path in sorted(source.glob("*"))]:
                if not (draft / FEATURES / path.name).exists():
                    link(path, draft / FEATURES / path.name)
        write_json(draft / ENROLLED, ledger.as_json())
    others = {name: sha256 for name, sha256 in bundle.manifest.files.items() if not name.startswith(f"{old}/")}
    own = {f"{new}/{name}": sha256 for name, sha256 in hashes(folder / new).items()}
    replace(bundle.manifest, gallery=new, files=others | own).write(folder)
    remove(folder / old)


def _counts(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, int]:
    """What has changed from one table `GALLERY` to the other."""
    was = after["image"].map(before.set_index("image")["identity"]).astype("string")
    now = after["identity"]
    return {
        "came": int((was.isna() & now.notna()).sum()),
        "left": int((was.notna() & now.isna()).sum()),
        "renamed": int((was.notna() & now.notna() & (was != now)).sum()),
        "new_individuals": len(set(now.dropna()) - set(was.dropna())),
        "photos": int(now.notna().sum()),
        "individuals": now.nunique(),
    }
