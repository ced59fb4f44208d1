"""The rules: from what a folder holds and the minutes there are to the values of params.yaml, each with its reason.

docs/experiments.md has where each rule was measured.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finprint.base.params import changed
from finprint.keypoints.params import FEWEST
from finprint.learning.finetuning import one_size
from finprint.params import Params
from finprint.start.cost import KEYPOINTS, LOOK_SIDE, Speed, Work, minutes
from finprint.start.facts import Facts
from finprint.start.reading import changes
from finprint.start.rungs import FULL, SIDES, Look, Training, rungs

AT_ONCE = 3  # minutes that a head with descriptors may take in any case: a run that trains nothing takes one as well
GROW = 0.7  # the first views' side, as a share of the last ones'
LONG = 16  # epochs from which mixup is of use
EXTRACTOR = "aliked"  # of the second look
DETECTOR_EPOCHS, DETECTOR_LEAST, DETECTOR_PASSES = 27, 3, 6000  # of a detector; it sees so many photos at least
DETECTORS = 0.2  # share of the minutes in which it learns
FINE_SIDE, FINE_KEYPOINTS = 640, 512  # px of the longer side and local features of a crop, where few are compared
COMPARED, NEAR = 500_000, 200  # pairs compared by descriptors, about: minutes; photos of each query, at least
NEAREST, LISTED = 40, 200  # individuals that are scored for a query: by the nearest photos, and by all, at most
ENOUGH_BOXES = 30  # that a detector can learn from
NARROW = 0.5  # share of the photo's width or height; in a narrower window the views move less
WHOLE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Choice:
    """A value of params.yaml, and why."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Window:
    """What is cut out of each photo.

    Attributes:
        whole: left, top, right, bottom, as shares of width and height.
        score: mean reciprocal rank of the right animal by what lies in it.
        before: the same by the whole photo.
        strip: is a strip at an edge left out, that shows no scene?
    """

    whole: list[float]
    score: float
    before: float
    strip: bool = False


@dataclass(frozen=True)
class Plan:
    """What `finprint start` writes.

    Attributes:
        choices: every value that it decides.
        params: all of params.yaml with these values.
        seconds: of each stage, by its name.
    """

    choices: Sequence[Choice]
    params: Params
    seconds: Mapping[str, float]


def plan(work: Work, base: Params, budget: float, window: Window | None = None) -> Plan:
    """The best recipe that fits into the minutes.

    Args:
        work: the folder, and the speed of the machine.
        base: params.yaml as it is; what the rules do not decide stays.
        budget: minutes.
        window: in which the animals of photos without a box differ, if one was found.
    """
    fixed = [*source_choices(work.facts, base), *crop_choices(work.facts), *window_choices(window)]
    fixed += [encounter_choice(work.facts), *_detector_epochs(work, base, budget, fixed)]
    side = base.train.image_size if one_size(base.train) else None
    for training, look in rungs(math.isfinite(work.speed.pair), side):
        choices = [*fixed, *training_choices(training, work.facts, side), *look_choices(look, work)]
        choices += given_up(base, choices)
        params = changed(base, {choice.key: choice.value for choice in choices})
        seconds = work.seconds(params)
        if minutes(seconds) <= (budget if training.side or not look else max(budget, AT_ONCE)):
            break
    return Plan(choices, params, seconds)


def _detector_epochs(work: Work, base: Params, budget: float, choices: Sequence[Choice]) -> Iterator[Choice]:
    """How long a detector learns: of many photos not so long that the minutes are gone."""
    learns = any(choice.key == "detector.enabled" and choice.value for choice in choices)
    if not learns:
        return
    detector, speed = base.detector, work.speed
    photos = work.facts.boxed * (1 - detector.holdout)
    fit = DETECTORS * 60 * budget / (photos * speed.detected * speed.learning(detector.image_size))
    least = max(DETECTOR_LEAST, math.ceil(DETECTOR_PASSES / photos))
    epochs = min(DETECTOR_EPOCHS, max(least, int(fit)))
    why = "more epochs give little" if epochs == DETECTOR_EPOCHS else "a fifth of the minutes, or as few as it takes"
    yield Choice("detector.epochs", epochs, why)


def within(base: Params, window: Window | None) -> Params:
    """Params with the window, on which the crops depend."""
    return changed(base, {choice.key: choice.value for choice in window_choices(window)})


def source_choices(facts: Facts, base: Params, named: str = "animals") -> Iterator[Choice]:
    """Where the photos lie and how they are read.

    Args:
        facts: of the folder.
        base: params.yaml as it is.
        named: what the folders are named after.
    """
    prepare = facts.looked.params
    told = {
        "folder": f"sub-folders are named after the {named}",
        "csv": f"{prepare.csv.file} lists the photos",
        "happywhale": "train_images and train.csv: Kaggle's layout",
    }
    yield Choice("prepare.source", prepare.source, told[prepare.source])
    yield Choice("prepare.folder", str(facts.looked.folder), "your photos")
    there = any((facts.looked.folder / name).is_dir() for name in prepare.asked)
    if prepare.source == "folder" or (prepare.source == "csv" and there):
        yield Choice("prepare.queries", prepare.queries, "where its photos to identify lie")
    own = {f"prepare.{key}": (value, why) for key, value, why in changes(prepare, base.prepare)}
    if prepare.source == "csv":
        for name, value in prepare.csv.model_dump().items():
            key, why = f"prepare.csv.{name}", f"column of {prepare.csv.file}" if value else "no such column"
            yield Choice(key, *own.pop(key, (value, why)))
    for key, (value, why) in own.items():
        yield Choice(key, value, why)


def crop_choices(facts: Facts) -> Iterator[Choice]:
    """What is cut out of the photos."""
    every = facts.boxed >= facts.photos or facts.shared
    learned = ENOUGH_BOXES <= facts.boxed < facts.photos
    nearly = learned and facts.nearly_boxed
    if nearly:
        rest = facts.photos - facts.boxed
        why = f"{rest} of {facts.photos} photos have no box: a detector learns to find the animal in these"
    elif learned:
        why = f"{facts.boxed} of {facts.photos} photos have a box: a detector learns to find the animal in the others"
    elif facts.boxed >= facts.photos:
        why = "every photo has a box"
    elif facts.boxed:
        why = f"{facts.boxed} photos with a box are too few for a detector to learn from ({ENOUGH_BOXES} are needed)"
    else:
        why = "no photo has a box: each is used whole"
    yield Choice("detector.enabled", learned, why)
    given = every or nearly or (bool(facts.boxed) and not learned)
    why = "your boxes are cut out" if given else "its boxes are cut out, if there is a detector"
    yield Choice("crop.boxes_from", "given" if given else "detector", why)
    known = [part for part in ("body", "fin") if part in facts.parts]
    parts = known or list(facts.parts) or ["body", "fin"]
    yield Choice("crop.parts", parts, "the parts that your boxes show" if facts.parts else "no box shows another part")


def window_choices(window: Window | None) -> Iterator[Choice]:
    """What is cut out of a photo without a box, and how much its views move."""
    if window is None:
        yield Choice("crop.whole", list(WHOLE), "no part of the photos tells animals apart better than all of it")
    else:
        better = (
            f"animals are told apart better there: mean reciprocal rank {window.score:.2f}, whole {window.before:.2f}"
        )
        strip = "a strip of one colour or of text at the edge, as cameras write it, is left out" if window.strip else ""
        yield Choice(
            "crop.whole", window.whole, "; ".join(filter(None, [strip, better * (window.score > window.before)]))
        )
    left, top, right, bottom = window.whole if window else WHOLE
    narrow = min(right - left, bottom - top) < NARROW
    yield Choice(
        "train.augment.shift",
        0.06 if narrow else 0.1,
        "a narrow crop may move less" if narrow else "a wide crop may move",
    )


def encounter_choice(facts: Facts) -> Choice:
    """Whether a photo is also judged by the others of its encounter."""
    if facts.one_animal:
        return Choice("search.encounter", "fit", "each encounter in your table shows one animal, so its photos help")
    return Choice("search.encounter", "ignore", "nothing shows that an encounter is one with one animal")


def look_choices(look: Look | None, work: Work) -> Iterator[Choice]:
    """How many pairs of photos are matched by their local features."""
    facts = work.facts
    if look is None:
        yield Choice("match.enabled", False, _why_no_look(work.speed))
        return
    yield Choice("match.enabled", True, "matched local features find what the training has not learned")
    yield Choice("match.extractor", EXTRACTOR, "the strongest")
    compared = max(NEAR, round(COMPARED / max(facts.asked, 1) / 100) * 100)
    every = facts.comparable <= compared
    fine = look.fine and every
    side, keypoints = (FINE_SIDE, FINE_KEYPOINTS) if fine else (LOOK_SIDE, KEYPOINTS)
    yield Choice("match.image_size", side, "px; finer marks are found" if fine else "px; larger pictures take longer")
    why = "512 tell animals better than 256" if fine else "half of 512 take half the time"
    yield Choice("match.keypoints", keypoints, why)
    why = "a gallery so small is also searched by descriptors" if every else "farther photos would take minutes"
    yield Choice("match.compared", facts.named if every else compared, why)
    listed = min(max(len(facts.each), NEAREST), LISTED) if every else NEAREST
    yield Choice("search.shortlist", listed, "whomever the descriptors find is scored")
    yield _lessons(look, facts)
    each = look.individuals * look.photos
    why = f"{each} pairs for each photo fit into the minutes" if each else "no time for pairs"
    yield Choice("match.individuals", look.individuals, why)
    if each:
        yield Choice("match.photos", look.photos, "the nearest photos of each")
    yield Choice("match.pixels", "photos", "the photos are finer than the stored crops, and show what lies around them")


def _why_no_look(speed: Speed) -> str:
    if math.isinf(speed.points):
        return "the networks of the second look are not installed"
    return "no time for a second look" if math.isfinite(speed.pair) else "the photos are too small for local features"


def _lessons(look: Look, facts: Facts) -> Choice:
    """How long it is learned which matched features tell animals apart."""
    if not facts.teaching:
        return Choice("match.learn_epochs", 0, f"fewer than {FEWEST} animals have two photos")
    why = "your named photos show which matched features tell animals apart" if look.epochs else "no time to learn"
    return Choice("match.learn_epochs", look.epochs, why)


def training_choices(training: Training, facts: Facts, only: int | None = None) -> Iterator[Choice]:
    """How much is trained and how; `only` as for `trainings`."""
    frozen = not training.side
    side = only or training.side or SIDES[0]
    if only is not None:
        size = first_size = "the backbone takes views of this size alone"
    elif frozen:
        size, first_size = "the head alone learns, so large views cost little", "frozen features have one size"
    else:
        first_size = "small views first: faster"
        size = f"{side} px: the largest views that the minutes allow" if side < SIDES[0] else "larger views gain little"
    yield Choice("train.image_size", side, size)
    yield Choice("train.first_size", side if only or frozen else max(32, round(GROW * side / 16) * 16), first_size)
    yield Choice("train.finetune.trainable", 0.0 if frozen else 1.0, _why_trainable(frozen))
    yield Choice("train.epochs", training.first, _why_epochs(training))
    yield Choice("train.score_every", 1 if training.first < LONG else 5, "scoring costs time")
    yield Choice("train.margin.centres", 1, "few photos of each animal")
    mixup = 0.2 if training.first >= LONG and not frozen else 0.0
    yield Choice(
        "train.augment.mixup", mixup, "keeps a long training from overfitting" if mixup else "slows a short one"
    )
    yield _mirror(facts)
    yield _viewpoints(facts)
    yield Choice("retrain.start", training.start, _why_start(training))
    yield Choice("retrain.epochs", training.second, "as long as round 1" if training.start == "pretrained" else "a few")
    yield Choice("retrain.lr_scale", 1.0 if training.start == "pretrained" else 0.5, "goes with retrain.start")
    yield Choice("mine.precision", 0.95, "a second round learns from names that are nearly sure")


def without_detector(base: Params, choices: Sequence[Choice]) -> Iterator[Choice]:
    """Values of `base` that cannot stay if these choices leave out the detector."""
    now = {choice.key: choice.value for choice in choices}
    if now["detector.enabled"]:
        return
    if base.crop.slices > 1:
        yield Choice("crop.slices", 1, "only a detector looks at slices")
    if base.crop.animals == "each" and now["crop.boxes_from"] == "detector":
        yield Choice("crop.animals", "best", "only a detector or boxes find several animals")


def given_up(base: Params, choices: Sequence[Choice]) -> Iterator[Choice]:
    """Values of `base` that cannot stay beside these choices."""
    now = {choice.key: choice.value for choice in choices}
    yield from without_detector(base, choices)
    if "identity" in base.classes.of:
        yield Choice("classes.of", [one for one in base.classes.of if one != "identity"], "individuals are no classes")
    if base.train.augment.cutmix and not now["train.finetune.trainable"]:
        yield Choice("train.augment.cutmix", 0.0, "a head alone cannot learn from parts of photos")
    if any(epoch >= now["train.epochs"] for epoch in base.train.finetune.unfreeze):
        yield Choice("train.finetune.unfreeze", [], "there are fewer epochs than its values")


def _mirror(facts: Facts) -> Choice:
    """What the mirror image of a photo shows."""
    key = "train.augment.mirror"
    if facts.two_sides:
        return Choice(key, "other", "the left side of an animal is no mirror image of its right side")
    if facts.alike and not facts.boxed:
        return Choice(key, "other", "the photos are cropped alike, so a mirror image would be another animal")
    return Choice(key, "same", "photos may show either side")


def _viewpoints(facts: Facts) -> Choice:
    """Whether the sides of an animal are classes of their own."""
    key = "train.viewpoints"
    if facts.two_sides:
        why = "the two sides of an animal are two pictures, and new animals are told better"
        return Choice(key, "apart", why + _silent(facts))
    if facts.sides.get("left") and facts.sides.get("right"):
        return Choice(key, "together", "most photos do not tell left and right" + _silent(facts))
    return Choice(key, "together", "left and right are not told")


def _silent(facts: Facts) -> str:
    """How many photos do not tell their viewpoint, if some do."""
    silent, every = facts.sides.get("", 0), sum(facts.sides.values())
    return f" ({silent} of {every} photos do not tell their viewpoint)" if silent else ""


def _why_trainable(frozen: bool) -> str:
    return "no time to train the backbone: its features stay as they are" if frozen else "all of the backbone learns"


def _why_epochs(training: Training) -> str:
    if not training.side:
        return "a head on frozen features learns in seconds"
    return "more epochs give nothing" if training.first == FULL else "as many as the minutes allow"


def _why_start(training: Training) -> str:
    if training.start == "pretrained":
        return "a second network that begins afresh adds most"
    return "no time to begin afresh"
