"""Photos' files are read once as long as they do not change, and what is known of them is never of another file."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from conftest import save_photo, scenery
from PIL import Image

from finprint.base.files import cache, sha256_path
from finprint.survey import readings
from finprint.survey.readings import Reading, read_all

TAKEN = datetime(2024, 5, 6, 7, 8, 9)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Five photos, one of them with a date, one of them bad, and a name without a file."""
    found = [save_photo(tmp_path / f"{number}.jpg", scenery(number)) for number in range(4)]
    exif = Image.Exif()
    exif[0x0132] = f"{TAKEN:%Y:%m:%d %H:%M:%S}"
    Image.fromarray(scenery(4)).save(tmp_path / "dated.jpg", exif=exif)
    (tmp_path / "note.jpg").write_text("no photo")
    return [*found, tmp_path / "dated.jpg", tmp_path / "note.jpg", tmp_path / "missing.jpg"]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are really read, as they are."""
    names: list[str] = []
    really = readings.read_one

    def watched(path: Path) -> Reading:
        names.append(path.name)
        return really(path)

    monkeypatch.setattr(readings, "read_one", watched)
    return names


def test_what_is_read(paths: list[Path]) -> None:
    found = read_all(paths)
    assert [one.reason for one in found] == [""] * 5 + ["not an image", "not on disk"]
    assert [one.sha256 for one in found[:5]] == [sha256_path(path) for path in paths[:5]]
    assert {(one.width, one.height, len(one.bits)) for one in found[:5]} == {(96, 64, 32)}
    assert [one.taken for one in found[:5]] == [None] * 4 + [TAKEN]


def test_good_ones_are_read_once(paths: list[Path], read: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    first = read_all(paths)
    assert sorted(read) == sorted(path.name for path in paths)
    assert capsys.readouterr().out == ""
    read.clear()
    assert read_all(paths[::-1]) == first[::-1]
    assert sorted(read) == ["missing.jpg", "note.jpg"]
    assert capsys.readouterr().out == "5 of 7 photos were read before, 2 to read\n"


def test_a_path_twice_is_read_once(paths: list[Path], read: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    one, other = read_all([paths[0], paths[0]])
    assert one == other
    assert read == ["0.jpg"]
    assert capsys.readouterr().out == ""


def test_changed_files_are_read_again(paths: list[Path], read: list[str]) -> None:
    first = read_all(paths)
    read.clear()
    stat = paths[0].stat()
    pixels = Image.open(paths[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels.save(paths[0], quality=90)
    with paths[0].open("ab") as file:
        file.write(bytes(max(0, stat.st_size - paths[0].stat().st_size)))
    os.utime(paths[0], ns=(stat.st_atime_ns, stat.st_mtime_ns))  # somebody hides the change
    save_photo(paths[-1], scenery(9))
    second = read_all(paths)
    assert sorted(read) == ["0.jpg", "missing.jpg", "note.jpg"]
    assert second[0].sha256 == sha256_path(paths[0]) != first[0].sha256
    assert not second[-1].reason


def test_a_killed_run_goes_on(paths: list[Path], read: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    really = readings.read_one

    def killed(path: Path) -> Reading:
        if path == paths[3]:
            raise KeyboardInterrupt
        return really(path)

    monkeypatch.setattr(readings, "read_one", killed)
    with pytest.raises(KeyboardInterrupt):
        read_all(paths)
    monkeypatch.setattr(readings, "read_one", really)
    read.clear()
    read_all(paths)
    assert set(read) & {"0.jpg", "1.jpg", "2.jpg"} == set()


def test_what_is_saved_on_the_way(paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed outright has saved what it read up to a moment ago."""
    sizes: list[int] = []
    monkeypatch.setattr(readings, "SAVED", -1)
    monkeypatch.setattr(readings, "_save", lambda _, known: sizes.append(len(known)))
    read_all(paths[:4])
    assert sizes == [1, 2, 3, 4, 4]


def test_only_files_that_are_there_are_kept(paths: list[Path], read: list[str]) -> None:
    read_all(paths)
    paths[1].unlink()
    read_all([save_photo(paths[0].with_name("more.jpg"), scenery(8))])
    (kept,) = (cache() / "readings").glob("*.parquet")
    assert {Path(path).name for path, *_ in readings._load(kept)} == {
        "0.jpg",
        "2.jpg",
        "3.jpg",
        "dated.jpg",
        "more.jpg",
    }


def test_damaged_or_older_readings_do_not_count(
    paths: list[Path], read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all(paths[:2])
    (kept,) = (cache() / "readings").glob("*.parquet")
    kept.write_bytes(kept.read_bytes()[:100])
    read.clear()
    read_all(paths[:2])
    assert sorted(read) == ["0.jpg", "1.jpg"]
    read.clear()
    monkeypatch.setattr(readings, "_key", lambda: "other code")
    read_all(paths[:2])
    assert sorted(read) == ["0.jpg", "1.jpg"]
    assert {path.name for path in (cache() / "readings").iterdir()} == {"lock", "other code.parquet"}


def test_two_runs_save_at_once(paths: list[Path]) -> None:
    """Neither takes the other's draft away; what one of them has read may be lost, not more."""
    read = dict(zip(map(readings._stamp, paths[:3]), read_all(paths[:3]), strict=True))
    (kept,) = (cache() / "readings").glob("*.parquet")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: readings._save(kept, read), range(40)))
    assert readings._load(kept) == read
