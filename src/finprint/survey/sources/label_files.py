"""Files of labels, each of one photo: which files they are, and of which photos."""

from pathlib import Path

from finprint.base.errors import UserError
from finprint.survey.sources.marks import numbers_in
from finprint.survey.sources.photo_names import PhotoNames

LISTS = ("classes.txt", "obj.names", "predefined_classes.txt", "_darknet.labels")  # a class a line
CONFIGS = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
NO_LABELS = {
    *LISTS,
    *CONFIGS,
    "train.txt",
    "val.txt",
    "valid.txt",
    "test.txt",
    "notes.txt",
    "obj.data",
    "requirements.txt",
}
# Folders that an export puts above its labels, of which no photo's path knows.
ABOVE = {
    "labels", "images", "train", "val", "valid", "validation", "test", "obj_train_data", "obj_valid_data", "labeltxt",
    "label_2", "training", "testing",
}  # fmt: skip


def is_label(path: Path, folder: Path) -> bool:
    """Is a file below `folder` a photo's labels, rather than what exports and systems put beside them?"""
    steps = path.relative_to(folder).parts
    litter = any(step.startswith((".", "@", "__MACOSX")) for step in steps)
    name = path.name.casefold()
    return not litter and name not in NO_LABELS and not name.startswith(("readme", "license")) and path.is_file()


def photo_of(label: Path, folder: Path, photos: PhotoNames) -> str:
    """The photo that a file of labels belongs to, or the file's own name where there is none.

    Raises:
        UserError: several photos are called so.
    """
    name = label.relative_to(folder).with_suffix("").as_posix()
    steps = name.split("/")
    while len(steps) > 1 and steps[0].casefold() in ABOVE:
        steps = steps[1:]
    called = photos.called(name) or photos.called("/".join(steps)) or [name]
    if len(called) > 1:
        raise UserError(
            f"{label}: {len(called)} photos are called so, {called[0]} and {called[1]}: "
            "give labels the sub-folders of their photos"
        )
    return called[0]


def named(line: str) -> tuple[str, list[float]]:
    """The name at the beginning of a line, where it does not begin with a number, and the numbers behind it."""
    words = line.split()
    start = next((k for k, word in enumerate(words) if numbers_in(word)), len(words))
    return " ".join(words[:start]), numbers_in(" ".join(words[start:]))
