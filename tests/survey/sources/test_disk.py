"""What lies in a folder: photos and files in one form of their names, and what is never read, each with its reason."""

import os
import socket
import unicodedata
from pathlib import Path

import pytest

from finprint.base.errors import UserError
from finprint.survey.sources.disk import inner, plain_path, refuse_unwatched, walk

COPY = "DVC does not watch what lies behind it: copy the photos into prepare.folder"


def _files(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"photo")


def test_photos_and_other_files(tmp_path: Path) -> None:
    _files(tmp_path, "b/2.JPG", "a.jfif", "a.jpe", "b/1.heic", "note.txt", "boxes.csv", "labels/1.txt", "x", "old.mp3")
    disk = walk(tmp_path)
    assert disk.photos() == ["a.jfif", "a.jpe", "b/1.heic", "b/2.JPG"]
    why = "not a photo: {} files are not read"
    others = [("note.txt", why.format(".txt")), ("old.mp3", why.format(".mp3")), ("x", why.format("such"))]
    assert disk.strays(disk.photos(), ["boxes.csv", "labels"]) == others
    assert disk.strays(["a.jpe", "old.mp3"], ["boxes.csv", "labels"], "unused") == sorted(
        [*others[:1], others[2], *((name, "unused") for name in ("a.jfif", "b/1.heic", "b/2.JPG"))]
    )


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "._a.jpg", ".thumbnails/a.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/a/._a.jpg",
        "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", "$RECYCLE.BIN/a.jpg", "#recycle/a.jpg",
        "System Volume Information/a", "Icon\r", "~$list.xlsx",
    ],
)  # fmt: skip
def test_litter_is_passed_over(tmp_path: Path, name: str) -> None:
    _files(tmp_path, name, f"A17/{name}", "A17/a.jpg")
    disk = walk(tmp_path)
    assert (list(disk.files), disk.barred) == (["A17/a.jpg"], {})


def test_what_is_never_read(tmp_path: Path) -> None:
    root = tmp_path / "survey"
    _files(tmp_path, "elsewhere/1.jpg", "survey/A/1.jpg", "survey/A/tab\there.jpg")
    (root / "A/inside.jpg").symlink_to("1.jpg")
    (root / "A/outside.jpg").symlink_to(tmp_path / "elsewhere/1.jpg")
    (root / "A/gone.jpg").symlink_to("nowhere.jpg")
    (root / "A/loop.jpg").symlink_to("loop.jpg")
    (root / "A/up").symlink_to("..")
    (root / "B").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(root / "A/pipe.jpg")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as plug:
        os.chdir(root)
        plug.bind("plug.jpg")
        os.chdir(here)
    (root / os.fsdecode(b"A/caf\xe9.jpg")).write_bytes(b"")
    (root / os.fsdecode(b"\xff")).mkdir()
    _files(root / os.fsdecode(b"\xff"), "1.jpg", "2.jpg")
    disk = walk(root)
    assert list(disk.files) == ["A/1.jpg", "A/inside.jpg"]
    assert disk.barred == {
        "A/caf\\xe9.jpg": "its name is not UTF-8: rename it",
        "A/gone.jpg": "is a link that leads nowhere: remove it",
        "A/loop.jpg": "is a link that leads nowhere: remove it",
        "A/outside.jpg": f"is a link out of the folder, and {COPY}",
        "A/pipe.jpg": "is no file but a pipe: remove it",
        "A/tab\\x09here.jpg": "its name has a control character: rename it",
        "A/up": f"is a link to a folder, and {COPY}",
        "B": f"is a link to a folder, and {COPY}",
        "\\xff": "its name is not UTF-8: rename it",
        "plug.jpg": "is no file but a socket: remove it",
    }
    assert disk.missing("A/1.jpg") == ""
    assert disk.missing("A/pipe.jpg") == "is no file but a pipe: remove it"
    assert disk.missing("B/1.jpg") == f"B is a link to a folder, and {COPY}"
    assert disk.missing("a/1.JPG") == "not on disk; did you mean A/1.jpg?"
    (root / ".hidden").mkdir()
    os.mkfifo(root / ".hidden/1.jpg")  # a table may name it all the same
    assert disk.missing(".hidden/1.jpg") == "is no file but a pipe: remove it"
    assert disk.missing(" A/1.jpg ") == "not on disk; did you mean A/1.jpg?"
    assert disk.missing("z.jpg") == ""  # whoever opens it says that it is not there


def test_a_folder_that_is_a_link_is_read_because_dvc_follows_it(tmp_path: Path) -> None:
    _files(tmp_path, "far/A/1.jpg")
    (tmp_path / "near").symlink_to("far")
    assert walk(tmp_path / "near").path("A/1.jpg") == f"{tmp_path}/near/A/1.jpg"


def test_photos_that_dvc_itself_has_linked_to_its_cache(tmp_path: Path) -> None:
    cached = tmp_path / "cache/files/md5/ab" / ("0" * 30)
    _files(tmp_path, str(cached.relative_to(tmp_path)))
    (tmp_path / "survey").mkdir()
    (tmp_path / "survey/1.jpg").symlink_to(cached)
    assert list(walk(tmp_path / "survey").files) == ["1.jpg"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_found_in_either_form(tmp_path: Path, form: str) -> None:
    there = unicodedata.normalize(form, "Zoë/café.jpg")
    _files(tmp_path, there)
    disk = walk(tmp_path)
    assert disk.files == {unicodedata.normalize("NFC", there): there}
    for written in ("NFC", "NFD"):
        name = inner(unicodedata.normalize(written, there), tmp_path, "table")
        assert Path(disk.path(name)).read_bytes() == b"photo"


def test_two_files_that_look_alike(tmp_path: Path) -> None:
    _files(tmp_path, *(unicodedata.normalize(form, "café.jpg") for form in ("NFC", "NFD")))
    disk = walk(tmp_path)
    assert list(disk.files) == ["café.jpg"]
    assert [*disk.barred.values()] == [
        "another file has the same name, written in other code points: rename one of them"
    ]


def test_deep_folders(tmp_path: Path) -> None:
    """Deeper than functions may call one another."""
    levels = [tmp_path / ("d/" * level) for level in range(1, 1201)]
    for level in levels:
        level.mkdir()
    (levels[-1] / "1.jpg").touch()
    assert walk(tmp_path).photos() == ["d/" * 1200 + "1.jpg"]
    (levels[-1] / "1.jpg").unlink()
    for level in levels[::-1]:  # pytest itself could not remove them
        level.rmdir()


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("./im/a.jpg", "im/a.jpg"),
        ("im\\a.jpg", "im/a.jpg"),
        ("im//b/../a.jpg", "im/a.jpg"),
        ("{}/im/a.jpg", "im/a.jpg"),
    ],
)
def test_paths_in_tables(tmp_path: Path, written: str, plain: str) -> None:
    assert plain_path(written.format(tmp_path), tmp_path) == plain
    assert inner(written.format(tmp_path), tmp_path, "table") == plain


@pytest.mark.parametrize(
    "written", ["../a.jpg", "im/../../a.jpg", "/etc/a.jpg", "C:\\photos\\a.jpg", "c:/a.jpg", "..\\a.jpg",
                "https://a.b/c.jpg", "file:///a.jpg", "~/a.jpg", "\\\\server\\a.jpg", ".."],
)  # fmt: skip
def test_paths_that_leave_the_folder(tmp_path: Path, written: str) -> None:
    with pytest.raises(UserError) as caught:
        inner(written, tmp_path, "table row 3")
    assert str(caught.value) == (
        f"table row 3: {written!r} leads out of {tmp_path}, and DVC does not watch what lies there: copy the photos "
        "into prepare.folder"
    )


def test_a_table_elsewhere(tmp_path: Path) -> None:
    _files(tmp_path, "far.csv", "survey/near.csv")
    (tmp_path / "survey/boxes.csv").symlink_to(tmp_path / "far.csv")
    refuse_unwatched(tmp_path / "survey/near.csv", tmp_path / "survey")
    refuse_unwatched(tmp_path / "survey/gone.csv", tmp_path / "survey")
    with pytest.raises(UserError) as caught:
        refuse_unwatched(tmp_path / "survey/boxes.csv", tmp_path / "survey")
    assert str(caught.value) == f"{tmp_path}/survey/boxes.csv is a link out of the folder, and {COPY}"
    (tmp_path / "survey/linked").symlink_to(tmp_path)
    with pytest.raises(UserError) as caught:
        refuse_unwatched(tmp_path / "survey/linked/far.csv", tmp_path / "survey")
    assert str(caught.value) == f"{tmp_path}/survey/linked is a link to a folder, and {COPY}"
    (tmp_path / "survey/labels").mkdir()
    os.mkfifo(tmp_path / "survey/labels/1.txt")
    with pytest.raises(UserError) as caught:
        refuse_unwatched(tmp_path / "survey/labels", tmp_path / "survey")
    assert str(caught.value) == f"{tmp_path}/survey/labels/1.txt is no file but a pipe: remove it"


def test_a_folder_that_cannot_be_opened(tmp_path: Path) -> None:
    _files(tmp_path, "A/1.jpg", "B/1.jpg")
    (tmp_path / "A").chmod(0)
    try:
        disk = walk(tmp_path)
        if os.geteuid():  # root may open everything
            assert disk.barred == {"A": "cannot be opened: Permission denied"}
        assert "B/1.jpg" in disk.files
    finally:
        (tmp_path / "A").chmod(0o700)
