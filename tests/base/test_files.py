"""Writing: whole or not at all. Hashing: the content, nothing else."""

import errno
import hashlib
import io
import json
import os
import select
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.errors import UserError
from finprint.base.files import (
    SEAL,
    atomic,
    hold,
    intact,
    read_json,
    remove,
    seal,
    sha256_bytes,
    sha256_json,
    sha256_path,
    write_array,
    write_json,
    write_metrics,
    write_text,
    writing,
)


class Killed(BaseException):
    """Not an `Exception`: as Ctrl-C is none."""


def _tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: contents of files, None for folders."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "table.parquet"
    with atomic(path) as draft:
        draft.write_text("half")
        assert not path.exists()
        assert draft.parent == path.parent
        assert draft.suffix == ".parquet"
        draft.write_text("whole")
    assert _tree(tmp_path / "new" / "folder") == {"table.parquet": b"whole"}


@pytest.mark.parametrize("error", [ValueError, Killed])
def test_an_exception_leaves_the_old_file_and_no_debris(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_and_die() -> None:
        with atomic(path) as draft:
            draft.write_text("half")
            raise error

    with pytest.raises(error):
        write_and_die()
    assert _tree(tmp_path) == {"a.txt": b"old"}


@pytest.mark.parametrize("error", [ValueError, Killed])
def test_an_exception_leaves_the_old_folder_and_no_debris(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "model"
    with atomic(path) as draft:
        draft.mkdir()
        (draft / "weights").write_text("old")

    def write_and_die() -> None:
        with atomic(path) as draft:
            draft.mkdir()
            (draft / "weights").write_text("half")
            raise error

    with pytest.raises(error):
        write_and_die()
    assert _tree(tmp_path) == {"model": None, "model/weights": b"old"}


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    for names in (["a", "b"], ["c"]):
        with atomic(tmp_path / "out") as draft:
            draft.mkdir()
            for name in names:
                (draft / name).write_text(name)
    assert _tree(tmp_path) == {"out": None, "out/c": b"c"}


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_a_killed_run_left_is_swept_away(tmp_path: Path, is_folder: bool) -> None:
    path = tmp_path / "out"
    with atomic(path) as draft:  # learn the neighbour's name, then leave one there
        left = draft
        draft.mkdir()
    remove(path)
    if is_folder:
        left.mkdir()
        (left / "old").write_text("old")
    else:
        left.write_text("old")
    with atomic(path) as draft:
        draft.mkdir()
        (draft / "new").write_text("new")
    assert _tree(tmp_path) == {"out": None, "out/new": b"new"}


@pytest.mark.parametrize("is_folder", [True, False])
def test_all_of_it_reaches_the_disk_before_it_takes_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_folder: bool
) -> None:
    """Else a power cut could leave the name with half of the content, or with none."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(handle: int) -> None:
        steps.append(f"{Path(f'/dev/fd/{handle}').resolve().relative_to(tmp_path)} on disk")
        fsync(handle)

    def watched_replace(self: Path, target: Path) -> Path:
        steps.append(f"renamed to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    with atomic(tmp_path / "out.x") as draft:
        if is_folder:
            (draft / "inner").mkdir(parents=True)
            (draft / "inner" / "b").write_text("b")
            (draft / "a").write_text("a")
        else:
            draft.write_text("a")
    inside = ["/a", "/inner", "/inner/b"] if is_folder else []
    assert sorted(steps[:-2]) == [".out.draft.x on disk", *(f".out.draft.x{name} on disk" for name in inside)]
    assert steps[-2:] == ["renamed to out.x", ". on disk"]


def _fill(disk: Path) -> None:
    (disk / "other").write_bytes(bytes(shutil.disk_usage(disk).free))


@pytest.mark.parametrize("library", ["text", "numpy", "torch", "safetensors", "parquet", "zipfile"])
def test_a_full_disk_is_named_whatever_library_writes(small_disk: Path, library: str) -> None:
    """Few say where they failed, and some do not say why."""
    from pandas import DataFrame
    from safetensors.torch import save_file

    array = np.random.default_rng(0).random(2**20)  # 8 MiB
    path = small_disk / "out.bin"
    write_text(path, "old")
    if library == "text":
        _fill(small_disk)

    def write() -> None:
        with atomic(path) as draft:
            if library == "text":
                draft.write_text("new" * 2000)
            elif library == "numpy":
                array.tofile(draft)
            elif library == "torch":
                torch.save({"array": torch.from_numpy(array)}, draft)
            elif library == "safetensors":
                save_file({"array": torch.from_numpy(array)}, draft)
            elif library == "parquet":
                DataFrame({"array": array}).to_parquet(draft)
            else:
                with zipfile.ZipFile(draft, "w") as archive:
                    archive.writestr("array", array.tobytes())

    with pytest.raises(OSError) as caught:  # noqa: PT011 - number and name are compared
        write()
    assert caught.value.errno == errno.ENOSPC
    assert str(small_disk) in str(caught.value.filename)
    assert path.read_text() == "old"
    assert {file.name for file in small_disk.iterdir()} <= {"out.bin", "other"}


def test_a_read_only_disk_is_named(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for path in (small_disk / "out.json", small_disk / "new" / "out.json"):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - number and name are compared
            write_json(path, {})
        assert caught.value.errno == errno.EROFS
        assert str(small_disk) in str(caught.value.filename)


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    for error in (UserError("x"), ValueError("x"), FileNotFoundError(errno.ENOENT, "x", "photo.jpg")):
        with pytest.raises(type(error)) as caught, writing(tmp_path / "out"):
            raise error
        assert caught.value is error
    with pytest.raises(PermissionError) as denied, writing(tmp_path / "out"):
        raise OSError(errno.EACCES, "x", "photo.jpg")  # what was read, not what is written
    assert denied.value.filename == "photo.jpg"


# -- sealed files --


@pytest.mark.parametrize("content", [b"", b"x", bytes(3 * 2**20 + 5)])
def test_a_sealed_file_is_intact_until_one_bit_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "state"
    assert not intact(path)
    assert capsys.readouterr().out == ""  # absent is not damaged
    path.write_bytes(content)
    seal(path)
    sealed = path.read_bytes()
    assert sealed[:-SEAL] == content
    assert intact(path)
    turned = bytearray(sealed)
    turned[len(turned) // 3] ^= 4
    for damaged in (sealed[:-1], sealed[1:], sealed + b"x", sealed[: len(sealed) // 2], content, b"", bytes(turned)):
        path.write_bytes(damaged)
        assert not intact(path)
        assert capsys.readouterr().out == f"{path} is damaged: what it held is made anew\n"
        assert not path.exists()


def test_readers_pass_over_the_seal(tmp_path: Path) -> None:
    array = np.arange(5000.0)
    np.save(tmp_path / "a.npy", array)
    torch.save({"array": torch.from_numpy(array)}, tmp_path / "a.pt")
    for name in ("a.npy", "a.pt"):
        seal(tmp_path / name)
    assert np.array_equal(np.load(tmp_path / "a.npy", mmap_mode="r"), array)
    assert np.array_equal(np.load(tmp_path / "a.npy"), array)
    for source in (tmp_path / "a.pt", io.BytesIO((tmp_path / "a.pt").read_bytes())):
        assert np.array_equal(torch.load(source, weights_only=True)["array"].numpy(), array)


# -- locks --

HOLDER = """
import sys
from pathlib import Path
from finprint.base.files import hold
lock = hold(Path(sys.argv[1]), "wait for it")
print("held", flush=True)
sys.stdin.readline()
if sys.argv[2] == "removes":
    Path(sys.argv[1]).unlink()
"""


def _holder(path: Path, then: str = "") -> "subprocess.Popen[str]":
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    command = [sys.executable, "-c", HOLDER, str(path), then]
    return subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("end", ["ends", "removes", "dies"])
def test_a_lock_lets_one_process_in_after_the_other(tmp_path: Path, end: str) -> None:
    path = tmp_path / "new" / "lock"
    mine = hold(path, "never said")
    processes = [_holder(path, end) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "wait for it\n"
    if end == "removes":
        path.unlink()
    mine.close()
    readers = {process.stdout.fileno(): process for process in processes if process.stdout}
    for _ in range(2):
        (ready, *others), _, _ = select.select(list(readers), [], [], 30)
        assert others == []
        process = readers.pop(ready)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        if readers:
            assert select.select(list(readers), [], [], 0.3)[0] == []  # the other one still waits
        if end == "dies":
            process.kill()
        process.communicate("\n" if end != "dies" else None)


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
