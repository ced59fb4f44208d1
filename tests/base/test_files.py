"""Writing: whole or not at all. Hashing: the content, nothing else."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.files import (
    atomic,
    read_json,
    remove,
    sha256_bytes,
    sha256_json,
    sha256_path,
    write_array,
    write_json,
    write_metrics,
    write_text,
)


class Killed(BaseException):
    """Not an `Exception`: as Ctrl-C is none."""


def _tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: contents of files, None for folders."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.parquet"
    with atomic(path) as part:
        part.write_text("half")
        assert not path.exists()
        assert part.parent == path.parent
        assert part.suffix == ".parquet"
        part.write_text("whole")
    assert _tree(tmp_path / "new" / "folder") == {"table.parquet": b"whole"}


@pytest.mark.parametrize("error", [ValueError, Killed])
def test_an_exception_leaves_the_old_file_and_no_debris(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_and_die() -> None:
        with atomic(path) as part:
            part.write_text("half")
            raise error

    with pytest.raises(error):
        write_and_die()
    assert _tree(tmp_path) == {"a.txt": b"old"}


@pytest.mark.parametrize("error", [ValueError, Killed])
def test_an_exception_leaves_the_old_folder_and_no_debris(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "model"
    with atomic(path) as part:
        part.mkdir()
        (part / "weights").write_text("old")

    def write_and_die() -> None:
        with atomic(path) as part:
            part.mkdir()
            (part / "weights").write_text("half")
            raise error

    with pytest.raises(error):
        write_and_die()
    assert _tree(tmp_path) == {"model": None, "model/weights": b"old"}


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for names in (["a", "b"], ["c"]):
        with atomic(tmp_path / "out") as part:
            part.mkdir()
            for name in names:
                (part / name).write_text(name)
    assert _tree(tmp_path) == {"out": None, "out/c": b"c"}


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_a_killed_run_left_is_swept_away(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path / "out"
    with atomic(path) as part:  # learn the neighbour's name, then leave one there
        left = part
        part.mkdir()
    remove(path)
    if is_folder:
        left.mkdir()
        (left / "old").write_text("old")
    else:
        left.write_text("old")
    with atomic(path) as part:
        part.mkdir()
        (part / "new").write_text("new")
    assert _tree(tmp_path) == {"out": None, "out/new": b"new"}


def test_remove_takes_files_folders_and_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name in ("folder", "file", "nothing"):
        remove(tmp_path / name)
    assert _tree(tmp_path) == {}


def test_remove_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    remove(tmp_path / "link")
    assert _tree(tmp_path) == {"photos": None, "photos/a.jpg": b"precious"}


def test_json_keeps_order_and_letters(tmp_path: Path) -> None:
    value = {"z": [1, None], "a": {"Ærø": "ü"}}
    write_json(tmp_path / "a.json", value)
    assert (tmp_path / "a.json").read_bytes() == (
        '{\n  "z": [\n    1,\n    null\n  ],\n  "a": {\n    "Ærø": "ü"\n  }\n}\n'.encode()
    )
    assert read_json(tmp_path / "a.json") == value


def test_metrics_are_plain_numbers_of_six_decimals(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    write_metrics(path, {"n": np.int64(3), "share": np.float32(0.5), "deep": {"third": 1 / 3, "yes": True}, "none": {}})
    assert json.loads(path.read_text()) == {
        "n": 3, "share": 0.5, "deep": {"third": 0.333333, "yes": 1}, "none": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"map5": float("nan")}, "metric map5 is nan: metrics are finite numbers"),
        ({"test": {"map5": float("inf")}}, "metric test.map5 is inf: metrics are finite numbers"),
        ({"a": {"b": {"c": None}}}, "metric a.b.c is None: metrics are finite numbers"),
        ({"a": [1, 2]}, "metric a is [1, 2]: metrics are finite numbers"),
        ({"a": "0.5"}, "metric a is '0.5': metrics are finite numbers"),
    ],
)
def test_what_dvc_would_drop_or_choke_on_is_refused(tmp_path: Path, value: dict[str, Any], message: str) -> None:
    path = tmp_path / "m.json"
    write_text(path, "old")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        write_metrics(path, value)
    assert str(caught.value) == message
    assert _tree(tmp_path) == {"m.json": b"old"}


def test_arrays_come_back_and_hold_no_pickle(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    for name in ("a.npy", "b.npy"):
        write_array(tmp_path / name, array)
    back = np.load(tmp_path / "a.npy")
    assert back.dtype == np.float32
    assert np.array_equal(back, array)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
    with pytest.raises(ValueError, match="allow_pickle"):
        write_array(tmp_path / "c.npy", np.array([object()]))
    assert sorted(_tree(tmp_path)) == ["a.npy", "b.npy"]


def test_sha256_is_the_standard_one(tmp_path: Path) -> None:
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_bytes(b"abc") == sha256_path(tmp_path / "abc") == abc


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(), JSON, max_size=5))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert sha256_json(value) == sha256_json(dict(reversed(value.items())))


@given(left=JSON, right=JSON)
def test_other_values_have_other_hashes(left: Any, right: Any) -> None:
    same = json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    assert (sha256_json(left) == sha256_json(right)) == same


FILES = st.dictionaries(
    st.lists(st.sampled_from(["a", "b", "c.txt"]), min_size=1, max_size=3).map("/".join),
    st.binary(max_size=4),
    max_size=4,
)


def _write(folder: Path, files: dict[str, bytes]) -> bool:
    """Write files; False where one's name is another's folder."""
    for name, content in files.items():
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        except OSError:
            return False
    return True


@given(left=FILES, right=FILES)
def test_a_folder_s_hash_is_its_names_and_contents(
    tmp_path_factory: pytest.TempPathFactory, left: dict[str, bytes], right: dict[str, bytes]
) -> None:
    one, other, again = (tmp_path_factory.mktemp("x") for _ in range(3))
    if _write(one, left) and _write(other, right) and _write(again, dict(reversed(left.items()))):
        assert sha256_path(one) == sha256_path(again)
        assert (sha256_path(one) == sha256_path(other)) == (left == right)


def test_a_folder_s_hash_by_hand(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    listed = [["a", hashlib.sha256(b"1").hexdigest()], ["b/c", hashlib.sha256(b"2").hexdigest()]]
    assert sha256_path(tmp_path) == hashlib.sha256(json.dumps(listed).encode()).hexdigest()
