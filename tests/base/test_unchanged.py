"""What a stage depends on must stay as it is while the stage runs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import finprint
from finprint.base.errors import UserError
from finprint.base.unchanged import SKIPPED, Unchanged, depend_on, same_file

STAGE = """
import os, sys
from pathlib import Path
from finprint.base.cli import Input, Output, run
from finprint.base.params import Count, Positive, load_sections

def main(photos: Input, model: Output) -> None:
    params = load_sections(lr=Positive)
    model.write_text(str(params.lr))
    exec(os.environ.get("MEANWHILE", ""))
    return lambda: print("forgotten")

if __name__ == "__main__":
    run(main)
"""


GROUPED = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Paths:
    photos: Input
    model: Output

def main(paths: Paths) -> None:
"""


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A folder with a stage, its params and its input."""
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "params.yaml").write_text("lr: 0.002\nseed: 7\n")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("a")
    return tmp_path


def _run(folder: Path, meanwhile: str = "") -> tuple[int, str, str]:
    command = [sys.executable, "stage.py", "--photos", "photos", "--model", "model"]
    package = Path(__file__).parents[2] / "src"
    env = os.environ | {"MEANWHILE": meanwhile, "PYTHONPATH": str(package)}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_options_may_be_the_fields_of_a_dataclass(stage: Path) -> None:
    text = STAGE.replace("def main(photos: Input, model: Output) -> None:", GROUPED).replace(
        "model.write", "paths.model.write"
    )
    (stage / "stage.py").write_text(text)
    assert _run(stage) == (0, "forgotten\n", "")
    assert (stage / "model").read_text() == "0.002"
    code, _, err = _run(stage, "Path('photos/b.jpg').write_text('b')")
    assert code == 2
    assert err.startswith("error: photos/b.jpg has come while this stage ran")


def test_what_is_kept_between_runs_is_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "photos"))
    (tmp_path / "photos" / ".cache").mkdir(parents=True)
    before = Unchanged([tmp_path / "photos"], Path(__file__))
    (tmp_path / "photos" / ".cache" / "readings").write_text("kept")
    before.check()


def test_nothing_changes(stage: Path) -> None:
    assert _run(stage) == (0, "forgotten\n", "")
    assert _run(stage) == (0, "forgotten\n", "")  # its own output of before is no input


@pytest.mark.parametrize(
    ("meanwhile", "told"),
    [
        ("Path('params.yaml').write_text('lr: 0.9\\nseed: 7')", "params.yaml: lr has changed from 0.002 to 0.9"),
        ("Path('params.yaml').write_text('seed: 7')", "params.yaml: lr has changed from 0.002 to None"),
        ("Path('params.yaml').unlink()", "params.yaml is missing: run from the project's root: it has changed"),
        ("Path('photos/a.jpg').write_text('b, longer')", "photos/a.jpg has changed"),
        ("Path('photos/b.jpg').write_text('b')", "photos/b.jpg has come"),
        ("Path('photos/a.jpg').unlink()", "photos/a.jpg has gone"),
        ("Path('stage.py').write_text('# new')", "stage.py has changed"),
    ],
)
def test_what_changed_is_named_and_nothing_is_forgotten(stage: Path, meanwhile: str, told: str) -> None:
    code, out, err = _run(stage, meanwhile)
    assert (code, out) == (2, "")
    assert err == (
        f"error: {told} while this stage ran, so its result is not recorded. Its work is kept: undo the change and run "
        "the same command to use it, or leave the change and run the same command to begin anew\n"
    )


def test_code_that_was_edited_while_it_was_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "stage.py"
    script.write_text("# as it was imported")
    monkeypatch.setattr(finprint, "BEGAN", script.stat().st_mtime_ns - 1)
    with pytest.raises(UserError, match=r"stage\.py has changed while this stage ran"):
        Unchanged([], script).check()
    os.utime(script, ns=(0, time.time_ns() + 10**15))  # the clock was set back: a file from the future is no edit
    Unchanged([], script).check()


def test_what_the_stage_does_not_read_may_change(stage: Path) -> None:
    assert _run(stage, "Path('params.yaml').write_text('lr: 0.002\\nseed: 8')") == (0, "forgotten\n", "")
    assert _run(stage, "Path('notes.txt').write_text('x')") == (0, "forgotten\n", "")


def test_a_photo_replaced_by_one_of_the_same_length_and_time(tmp_path: Path) -> None:
    photo, other = tmp_path / "a.jpg", tmp_path / "b.jpg"
    photo.write_text("one")
    other.write_text("two")
    os.utime(other, ns=(photo.stat().st_atime_ns, photo.stat().st_mtime_ns))
    before = Unchanged([photo], Path(__file__))
    before.check()
    other.replace(photo)
    with pytest.raises(UserError, match=r"a\.jpg has changed while this stage ran"):
        before.check()


def test_the_same_file_under_other_names_and_rights(tmp_path: Path) -> None:
    """What DVC and backups do to files meanwhile is no change of their content."""
    photo = tmp_path / "a.jpg"
    photo.write_text("one")
    before = Unchanged([photo], Path(__file__))
    os.link(photo, tmp_path / "b.jpg")
    photo.chmod(0o444)
    before.check()


@pytest.mark.parametrize(
    ("now", "same"),
    [
        ((3, 10, 7, 20), True),
        ((3, 10, 8, 20), True),  # a network drive has numbered it anew
        ((3, 10, 7, 21), True),  # another link to it, other rights
        ((3, 10, 8, 21), False),  # another file of the same length and time
        ((4, 10, 7, 20), False),
        ((3, 11, 7, 20), False),
    ],
)
def test_what_a_file_s_state_tells(now: tuple[int, int, int, int], same: bool) -> None:
    assert same_file((3, 10, 7, 20), now) is same


@pytest.mark.parametrize("name", SKIPPED)
def test_what_dvc_passes_over_may_come(tmp_path: Path, name: str) -> None:
    (tmp_path / "photos").mkdir()
    before = Unchanged([tmp_path / "photos"], Path(__file__))
    (tmp_path / "photos" / name).write_text("x")
    before.check()
    assert name in (Path(__file__).parents[2] / ".dvcignore").read_text().splitlines()


def test_what_cannot_be_looked_at_is_missing(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("gone")
    before = Unchanged([tmp_path], Path(__file__))
    before.check()
    (tmp_path / "gone").write_text("x")
    with pytest.raises(UserError, match=r"gone has come"):
        before.check()


def test_a_stage_watches_what_it_names_itself_and_not_what_one_before_it_did(tmp_path: Path) -> None:
    earlier, later = tmp_path / "earlier", tmp_path / "later"
    depend_on(earlier)
    before = Unchanged([], Path(__file__))
    depend_on(later)
    earlier.write_text("x")
    before.check()
    later.write_text("x")
    with pytest.raises(UserError, match=r"later has come"):
        before.check()


def test_code_counts_where_the_stage_imports_from_its_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "finprint"
    for room in ("base", "report"):
        (package / room).mkdir(parents=True)
        (package / room / "a.py").write_text("")
    monkeypatch.setattr(finprint, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(finprint, "BEGAN", time.time_ns())
    loaded = type(sys)("loaded")
    loaded.__file__ = str(package / "base" / "a.py")
    monkeypatch.setitem(sys.modules, "loaded", loaded)
    before = Unchanged([], Path(__file__))
    (package / "report" / "a.py").write_text("# a plot's colour")
    (package / "base" / "__pycache__").mkdir()
    (package / "base" / "__pycache__" / "a.pyc").write_text("")
    before.check()
    (package / "base" / "b.py").write_text("# new")  # DVC hashes the room, not the module
    with pytest.raises(UserError, match=r"base/b\.py has come while this stage ran"):
        before.check()
