"""The cache of crops: what was kept is found again, by one run at a time, and nothing grows without end."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from finprint.crops import cache as crop_cache
from finprint.crops.cache import CropCache, Cut


@pytest.fixture(autouse=True)
def _root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))


def _cuts(name: str, count: int = 1) -> list[Cut]:
    return [Cut("fin", np.array([1, 2, 3, 4 + n / 3]), 0.1 * n, f"{name} {n}".encode() * 99) for n in range(count)]


def _same(one: list[Cut], other: list[Cut]) -> bool:
    return [(c.part, c.box.tolist(), c.confidence, c.jpeg) for c in one] == [
        (c.part, c.box.tolist(), c.confidence, c.jpeg) for c in other
    ]


def _files(cache: CropCache) -> list[str]:
    return sorted(path.name for path in cache.folder.iterdir())


def test_what_is_added_is_found_again_by_a_later_run(tmp_path: Path) -> None:
    with CropCache("k" * 64) as cache:
        cache.add({"a": _cuts("a"), "b": _cuts("b", 3)})
        cache.add({"c": _cuts("c")})
        cache.add({})
        assert _same(cache.get("b"), _cuts("b", 3))
    assert cache.folder == tmp_path / ".cache" / "crops" / ("k" * 16)
    assert _files(cache) == ["00000000.parquet", "00000000.tar", "00000001.parquet", "00000001.tar"]
    with CropCache("k" * 64) as cache:
        assert [key in cache for key in "abcd"] == [True, True, True, False]
        for key, count in (("a", 1), ("b", 3), ("c", 1)):
            assert _same(cache.get(key), _cuts(key, count))
    with CropCache("other") as cache:
        assert "a" not in cache


def test_a_killed_run_leaves_a_tar_without_table_which_counts_for_nothing() -> None:
    with CropCache("k") as cache:
        cache.add({"a": _cuts("a")})
        (cache.folder / "00000001.tar").write_bytes(b"half")
    with CropCache("k") as cache:
        assert "a" in cache
        cache.add({"b": _cuts("b")})
    with CropCache("k") as cache:
        assert _same(cache.get("b"), _cuts("b"))


DAMAGES = ["short tar", "empty tar", "no tar", "a bit of the tar", "another tar", "short table", "a bit of the table"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_chunk_is_removed_in_one_line(damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with CropCache("k") as cache:
        cache.add({"a": _cuts("a")})
        cache.add({"b": _cuts("b")})
    tar, table = cache.folder / "00000000.tar", cache.folder / "00000000.parquet"
    file = table if "table" in damage else tar
    content = file.read_bytes()
    if damage == "no tar":
        tar.unlink()
    elif damage == "another tar":  # whole, and as long
        tar.write_bytes((cache.folder / "00000001.tar").read_bytes())
    elif damage.startswith("a bit"):
        turned = bytearray(content)
        turned[len(turned) // 2] ^= 1
        file.write_bytes(turned)
    else:
        file.write_bytes({"short tar": content[:520], "empty tar": b"", "short table": content[:-9]}[damage])
    with CropCache("k") as cache:
        told = capsys.readouterr().out.splitlines()
        assert len(told) == 1
        assert told[0].startswith(f"{file} is damaged: ")
        assert told[0].endswith(" made anew")
        assert "a" not in cache
        assert _files(cache) == ["00000001.parquet", "00000001.tar"]
        assert _same(cache.get("b"), _cuts("b"))
        cache.add({"a": _cuts("a")})
    with CropCache("k") as cache:
        assert capsys.readouterr().out == ""
        assert _same(cache.get("a"), _cuts("a"))


def test_whatever_byte_is_wrong_no_wrong_crop_comes_out() -> None:
    with CropCache("k") as cache:
        cache.add({"a": _cuts("a", 2)})
    for file in sorted(cache.folder.iterdir()):
        whole = {path: path.read_bytes() for path in cache.folder.iterdir()}
        for place in range(0, len(whole[file]), 97):
            turned = bytearray(whole[file])
            turned[place] ^= 0x10
            file.write_bytes(turned)
            with CropCache("k") as again:
                assert "a" not in again
            for path, content in whole.items():
                path.write_bytes(content)
    with CropCache("k") as again:
        assert _same(again.get("a"), _cuts("a", 2))


def test_what_a_kill_at_the_write_of_a_chunk_leaves_counts_for_nothing() -> None:
    with CropCache("k") as cache:
        cache.add({"a": _cuts("a")})
        for name in (".00000001.draft.tar", ".00000001.draft.parquet"):
            (cache.folder / name).write_bytes(b"half")
    with CropCache("k") as cache:
        assert "a" in cache
        cache.add({"b": _cuts("b")})
        cache.tidy(["a", "b"])
        assert _files(cache) == ["00000000.parquet", "00000000.tar", "00000001.parquet", "00000001.tar"]


def test_only_the_last_key_is_kept() -> None:
    for key in ("one", "two"):
        with CropCache(key) as cache:
            cache.add({"a": _cuts("a")})
            cache.tidy(["a"])
    assert sorted(path.name for path in cache.folder.parent.iterdir()) == ["lock", "two"]


def test_photos_gone_and_small_chunks_are_cleared_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crop_cache, "CHUNK", 4)
    keys = [f"{number}" for number in range(40)]
    with CropCache("k") as cache:
        for key in keys:  # 40 chunks of one photo, where 10 would do
            cache.add({key: _cuts(key, 2)})
        cache.tidy(keys)
        assert len(_files(cache)) == 2 * 10
        cache.tidy(keys[:20])  # half of them may be gone
        assert len(_files(cache)) == 2 * 10
        cache.tidy(keys[:19])
        assert len(_files(cache)) == 2 * 5
        assert all(_same(cache.get(key), _cuts(key, 2)) for key in keys[:19])
    with CropCache("k") as cache:
        assert [key in cache for key in keys] == [True] * 19 + [False] * 21
        assert all(_same(cache.get(key), _cuts(key, 2)) for key in keys[:19])
        cache.tidy([])
        assert _files(cache) == []


def test_one_run_at_a_time() -> None:
    code = "from finprint.crops.cache import CropCache\nwith CropCache('k') as cache: print('a' in cache)"
    with CropCache("k") as cache:
        env = os.environ | {"PYTHONPATH": str(Path(crop_cache.__file__).parents[2])}
        other = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
        assert other.stdout is not None
        assert other.stdout.readline() == "another run is cropping: waiting for its end\n"
        cache.add({"a": _cuts("a")})
    assert other.communicate()[0] == "True\n"
    assert other.returncode == 0
