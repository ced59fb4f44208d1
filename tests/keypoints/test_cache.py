"""The cache of the second look: what was kept is found again, and what is damaged is made anew."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from finprint.base.files import sha256_bytes
from finprint.keypoints.cache import Kept


def _key(name: str) -> str:
    return sha256_bytes(name.encode())


def _entry(name: str, rows: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng([ord(letter) for letter in name])
    return {"a": rng.random((rows, 3)).astype(np.float32), "b": rng.integers(0, 9, (2 * rows, 2)).astype(np.float16)}


def _add(kept: Kept, **rows: int) -> None:
    kept.add({_key(name): _entry(name, count) for name, count in rows.items()})


def _holds(kept: Kept, name: str, rows: int) -> bool:
    arrays, expected = kept.get(_key(name)), _entry(name, rows)
    same = [
        np.array_equal(arrays[part], expected[part]) and arrays[part].dtype == expected[part].dtype for part in "ab"
    ]
    return all(same) and set(arrays) == {"a", "b"}


def test_what_is_added_is_found_again_by_a_later_run(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "k", 4)
    _add(kept, one=3, none=0, two=5)
    _add(kept, three=1)
    kept.add({})
    assert len(list(kept.folder.iterdir())) == 2
    for again in (kept, Kept(tmp_path / "k", 4)):
        assert _holds(again, "one", 3)
        assert _holds(again, "none", 0)
        assert _holds(again, "two", 5)
        assert _holds(again, "three", 1)
        assert _key("four") not in again


def test_same_entries_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        _add(Kept(tmp_path / folder, 4), one=3, two=5)
    files = [next((tmp_path / folder).iterdir()) for folder in ("one", "other")]
    assert files[0].name == files[1].name
    assert files[0].read_bytes() == files[1].read_bytes()


def _damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    if kind == "flipped bit":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif kind == "short":
        path.write_bytes(content[:-9])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "other name":
        path.rename(path.with_name(f"{'0' * 64}.safetensors"))
    elif kind == "draft":
        path.rename(path.with_name(f".{path.stem}.part.safetensors"))
    else:  # files that bear their hash but are no chunks
        hostile = {
            "pickle": b"\x80\x04\x95code",
            "no keys": save({"a": np.zeros(3, np.float32)}),
            "ends beyond": save(
                {"keys": np.zeros((1, 32), np.uint8), "a": np.zeros((2, 3), np.float32), "a.ends": np.array([7])}
            ),
            "ends falling": save(
                {"keys": np.zeros((2, 32), np.uint8), "a": np.zeros((2, 3), np.float32), "a.ends": np.array([9, 2])}
            ),
            "no entries": save({"keys": np.zeros((0, 32), np.uint8)}),
        }[kind]
        path.unlink()
        path.with_name(f"{sha256_bytes(hostile)}.safetensors").write_bytes(hostile)


@pytest.mark.parametrize(
    "kind",
    ["flipped bit", "short", "empty", "other name", "draft", "pickle", "no keys", "ends beyond", "ends falling"],
)  # fmt: skip
def test_a_damaged_chunk_is_removed_and_made_anew(tmp_path: Path, kind: str) -> None:
    kept = Kept(tmp_path / "k", 4)
    _add(kept, one=3)
    first = next(kept.folder.iterdir())
    _add(kept, two=5)
    _damage(first, kind)
    again = Kept(tmp_path / "k", 4)
    assert _key("one") not in again
    assert _holds(again, "two", 5)
    assert len(list(again.folder.iterdir())) == 1
    _add(again, one=3)
    assert _holds(Kept(tmp_path / "k", 4), "one", 3)


def test_what_is_gone_is_forgotten_and_small_chunks_are_joined(tmp_path: Path) -> None:
    names = [f"name{number}" for number in range(40)]
    kept = Kept(tmp_path / "k", 4)
    for name in names:
        _add(kept, **{name: 2})
    kept.tidy([_key(name) for name in names])  # 40 chunks, where 10 will do
    assert len(list(kept.folder.iterdir())) == 10
    kept.tidy([_key(name) for name in names[:20]])  # half of them may be gone
    assert len(list(kept.folder.iterdir())) == 10
    kept.tidy([_key(name) for name in names[:19]])
    assert len(list(kept.folder.iterdir())) == 5
    for again in (kept, Kept(tmp_path / "k", 4)):
        assert [_key(name) in again for name in names] == [True] * 19 + [False] * 21
        assert all(_holds(again, name, 2) for name in names[:19])
    kept.tidy([])
    assert list(kept.folder.iterdir()) == []
