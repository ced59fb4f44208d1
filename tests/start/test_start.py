"""The command, from a folder to params.yaml, and what it refuses."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import save_photo, scenery

from finprint.base.errors import UserError
from finprint.base.params import read_yaml
from finprint.start import class_probe, run
from finprint.start.run import Asked, bring_in, start
from finprint.start.writing import write_params

OURS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project whose params train in small batches; it is the working folder."""
    root = tmp_path / "project"
    root.mkdir()
    text = OURS.read_text().replace("  batch: 32 ", "  batch: 2  ").replace("  batch: 64 ", "  batch: 2  ")
    (root / "params.yaml").write_text(text.replace("  embedding: 512 ", "  embedding: 8   "))
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def _measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first `start` of a test measures this machine, and the others count with what it found."""

    def once(measure: Callable[..., Any]) -> Callable[..., Any]:
        found: list[Any] = []

        def measured(*args: Any) -> Any:
            found.extend([] if found else [measure(*args)])
            return found[0]

        return measured

    for name in ("probe", "probe_classes"):
        monkeypatch.setattr(run, name, once(getattr(run, name)))


def fill(folder: Path, *names: str) -> Path:
    """Draw photos."""
    for number, name in enumerate(names):
        save_photo(folder / name, scenery(number))
    return folder


PHOTOS = ["A17/left/1.jpg", "A17/right/2.jpg", "B03/left/1.jpg", "B03/right/2.jpg", "queries/left/q.jpg"]


@pytest.mark.usefixtures("training_state", "_measured_once")
def test_a_folder_becomes_params(project: Path) -> None:
    fill(project / "data/raw/seals", *PHOTOS)
    write_params(project / "params.yaml", {"classes.of": ["identity"]})  # of an earlier `start --classes`
    first, second, third = start(Asked(Path("data/raw/seals"), 60))
    assert first.splitlines()[:3] == [
        "data/raw/seals is read with prepare.source: folder",
        "  folders      NAME/side/photo (4 photos)",
        "  catalogue    4 photos, 2 individuals, 0 of them with one photo",
    ]
    assert first.splitlines()[-1] == (
        "too few animals to tell new ones: the catalogue has 2, and 10 are needed. No answer will have a probability"
    )
    lines = second.splitlines()
    assert lines[0] == "params.yaml: 22 of 33 values changed"
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[1:]}
    assert told["prepare.source"] == "folder sub-folders are named after the animals"
    assert told["detector.enabled"] == "false no photo has a box: each is used whole"
    assert told["train.augment.mirror"] == "other the left side of an animal is no mirror image of its right side"
    params = read_yaml(project / "params.yaml")
    assert params["prepare"]["folder"] == "data/raw/seals"
    assert params["train"]["augment"]["mirror"] == "other"
    assert params["train"]["viewpoints"] == "apart"
    assert params["classes"]["of"] == []
    assert third.startswith("`dvc repro` will take about ")
    assert third.endswith("Next: dvc repro. Then open metrics/data.html and metrics/report.html")
    _, again, _ = start(Asked(Path("data/raw/seals"), 60))
    assert again.startswith("params.yaml: 0 of 32 values changed")


@pytest.mark.usefixtures("training_state", "_measured_once")
def test_a_folder_of_classes_becomes_params(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_probe, "TIMED", 4)
    fill(project / "data/raw/bottles", *(f"train/{'AB'[n % 2]}/{n}.jpg" for n in range(24)), "test/q.jpg")
    asked = Asked(Path("data/raw/bottles"), 60, classes=True)
    first, second, third = start(asked)
    assert first.splitlines()[:3] == [
        "data/raw/bottles is read with prepare.source: folder, prepare.queries: test",
        "  folders      folder/NAME/photo (24 photos)",
        "  catalogue    24 photos, 2 classes, 0 of them with one photo",
    ]
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in second.splitlines()[1:]}
    assert told["prepare.source"] == "folder sub-folders are named after the classes"
    assert told["classes.folds"] == "[0] one part judges the models: as many as the minutes and the images allow"
    assert third.endswith("Next: dvc repro judge. Then open metrics/data.html and metrics/classes/identity.html")
    params = read_yaml(project / "params.yaml")
    assert params["prepare"]["queries"] == "test"
    assert params["classes"]["of"] == ["identity"]
    assert "\n  of: [identity]  " in (project / "params.yaml").read_text()
    _, again, _ = start(asked)
    assert again.startswith("params.yaml: 0 of ")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["A/1.jpg", "A/2.jpg"],
            "data/raw/x has one class, A (2 images): put the images of each class, at least two, into a folder of its "
            "name",
        ),
        (
            ["A/1.jpg", "B/1.jpg", "B/2.jpg"],
            "data/raw/x has 3 images of 2 classes: at least 10 with a name are needed, because some of them judge what "
            "the others teach",
        ),
    ],
)
def test_a_folder_of_too_few_classes(names: list[str], message: str, project: Path) -> None:
    fill(project / "data/raw/x", *names)
    with pytest.raises(UserError) as caught:
        list(start(Asked(Path("data/raw/x"), 60, classes=True)))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["queries/q.jpg"],
            "data/raw/x has no photo in a sub-folder: give each individual a sub-folder with its photos, or set "
            "prepare.folders.identity to file if the names of files begin with their names (A17_1.jpg)",
        ),
        (
            ["A/1.jpg", "A/2.jpg", "A/3.jpg", "A/4.jpg", "queries/q.jpg"],
            "data/raw/x has one individual, A (4 photos): there is nobody to tell it from. Name at least one more",
        ),
        (
            ["A/1.jpg", "B/1.jpg", "queries/q.jpg"],
            "data/raw/x has 2 photos of 2 individuals: a catalogue needs at least 4 photos with a name",
        ),
        (
            ["A/1.jpg", "A/2.jpg", "B/1.jpg", "B/2.jpg"],
            "data/raw/x has no photo to identify, so there is nothing to answer: put such photos into "
            "data/raw/x/queries",
        ),
    ],
)
def test_a_folder_that_cannot_be_answered(names: list[str], message: str, project: Path) -> None:
    fill(project / "data/raw/x", *names)
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(UserError) as caught:
        list(start(Asked(Path("data/raw/x"), 60)))
    assert str(caught.value) == message
    assert (project / "params.yaml").read_bytes() == before


def test_photos_that_cannot_be_read(project: Path) -> None:
    for name in PHOTOS:
        path = project / "data/raw/x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no photo")
    with pytest.raises(UserError, match=r"^no photo can be read; data/raw/x/A17/left/1\.jpg, for one: "):
        list(start(Asked(Path("data/raw/x"), 60)))


@pytest.mark.parametrize("minutes", [0, -5, float("nan")])
def test_no_minutes(minutes: float, project: Path) -> None:
    with pytest.raises(UserError) as caught:
        list(start(Asked(project, minutes)))
    assert str(caught.value) == f"--minutes is {minutes:g}: it must be more than 0"


def test_params_that_are_no_params(project: Path) -> None:
    fill(project / "data/raw/x", *PHOTOS)
    (project / "params.yaml").write_text(OURS.read_text().replace("epochs: 9 ", "epochs: no"))
    with pytest.raises(UserError, match=r"^params\.yaml: train\.epochs must be a whole number, not "):
        list(start(Asked(Path("data/raw/x"), 60)))


def test_a_folder_elsewhere_is_linked_when_asked(project: Path, tmp_path: Path) -> None:
    away = fill(tmp_path / "stick/My seals", "A/1.jpg")
    with pytest.raises(UserError) as caught:
        bring_in(away, link=False)
    assert str(caught.value) == (
        f"{away} lies outside of data/raw: move or copy it there, or add --link, which makes data/raw/My seals a link "
        "to it"
    )
    assert bring_in(away, link=True) == Path("data/raw/My seals")
    assert (project / "data/raw/My seals/A/1.jpg").is_file()
    assert bring_in(away, link=True) == Path("data/raw/My seals")
    other = fill(tmp_path / "other/My seals", "A/1.jpg")
    with pytest.raises(UserError) as caught:
        bring_in(other, link=True)
    assert str(caught.value) == f"data/raw/My seals exists already: rename it or {other}"
    with pytest.raises(UserError, match=r"^nowhere is missing$"):
        bring_in(Path("nowhere"), link=True)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file is no folder$"):
        bring_in(tmp_path / "file", link=True)


def test_a_folder_is_called_as_it_lies_in_the_project(project: Path) -> None:
    fill(project / "data/raw/x", "A/1.jpg")
    for name in ("data/raw/x", "./data/raw/../raw/x/", str(project / "data/raw/x")):
        assert bring_in(Path(name), link=False) == Path("data/raw/x")
    with pytest.raises(UserError, match=r"lies outside of data/raw"):
        bring_in(Path("data/raw"), link=False)


def test_the_error_is_one_line_and_exit_code_2(project: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "finprint", "start", "nowhere", "--minutes", "5"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(OURS.parent / "src")},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (2, "error: nowhere is missing\n")
