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


@pytest.mark.parametrize("damage", ["short tar", "empty tar", "no tar", "table"])
def test_a_damaged_chunk_is_passed_over(damage: str) -> None:
    with CropCache("k") as cache:
        cache.add({"a": _cuts("a")})
        cache.add({"b": _cuts("b")})
    tar, table = cache.folder / "00000000.tar", cache.folder / "00000000.parquet"
    if damage == "short tar":
        tar.write_bytes(tar.read_bytes()[:520])
    elif damage == "empty tar":
        tar.write_bytes(b"")
    elif damage == "no tar":
        tar.unlink()
    else:
        table.write_bytes(table.read_bytes()[:-9])
    with CropCache("k") as cache:
        assert "a" not in cache
        assert _same(cache.get("b"), _cuts("b"))
        cache.add({"a": _cuts("a")})
    with CropCache("k") as cache:
        assert _same(cache.get("a"), _cuts("a"))


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
