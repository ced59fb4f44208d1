"""Shards: plain tar files of the same bytes each time, read at random through the index."""

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import scenery
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.errors import UserError
from finprint.base.files import sha256_bytes
from finprint.pictures.images import decode_jpeg, encode_jpeg
from finprint.pictures.shards import INDEX, Crops, write_shard
from finprint.store.tables import CROPS, read_table, write_table

CONTENTS = st.lists(st.binary(max_size=1300), max_size=25)  # around tar's blocks of 512 bytes


def _members(contents: list[bytes]) -> list[tuple[str, bytes]]:
    return [(f"{number:08}.jpg", content) for number, content in enumerate(contents)]


@given(contents=CONTENTS)
def test_offsets_are_those_of_tarfile(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    places = write_shard(path, _members(contents))
    raw = path.read_bytes()
    with tarfile.open(path) as tar:
        infos = tar.getmembers()
        assert [(info.name, tar.extractfile(info).read()) for info in infos] == _members(contents)  # type: ignore[union-attr]
    assert places == [(info.offset_data, info.size) for info in infos]
    assert [raw[offset : offset + length] for offset, length in places] == contents


@given(contents=CONTENTS)
def test_same_members_same_bytes(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    one, other = tmp_path_factory.mktemp("one") / "a.tar", tmp_path_factory.mktemp("other") / "b.tar"
    assert write_shard(one, _members(contents)) == write_shard(other, _members(contents))
    assert one.read_bytes() == other.read_bytes()


def test_a_shard_says_nothing_of_when_and_by_whom(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", _members([b"a", b"b"]))
    with tarfile.open(tmp_path / "a.tar") as tar:
        for info in tar:
            assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")


def _write_crops(folder: Path, shards: dict[str, dict[str, bytes]]) -> None:
    folder.mkdir()
    rows = []
    for shard, members in shards.items():
        for image, place in zip(members, write_shard(folder / shard, list(members.items())), strict=True):
            rows.append([image, "fin", 0.0, 0.0, 9.0, 9.0, 0.5, shard, *place, sha256_bytes(members[image])])
    write_table(folder / INDEX, pd.DataFrame(rows, columns=list(CROPS.columns)), CROPS)


def test_crops_are_read_in_any_order(tmp_path: Path) -> None:
    jpegs = {f"{number}.jpg": encode_jpeg(scenery(number, 40 + number, 32), 90) for number in range(7)}
    names = list(jpegs)
    shards = {"crops-00000.tar": names[:4], "crops-00001.tar": names[4:]}
    _write_crops(tmp_path / "crops", {shard: {n: jpegs[n] for n in mine} for shard, mine in shards.items()})
    crops = Crops(tmp_path / "crops")
    assert len(crops) == 7
    assert crops.index["image"].tolist() == names
    wanted = pd.Series(["5.jpg", "0.jpg", "6.jpg", "5.jpg"])
    rows = crops.rows(wanted)
    assert rows.tolist() == [5, 0, 6, 5]
    for image, row in zip(wanted, rows, strict=True):
        assert crops.jpeg(row) == jpegs[image]
        assert np.array_equal(crops.pixels(row), decode_jpeg(jpegs[image]))


def test_a_photo_without_a_crop_is_named(tmp_path: Path) -> None:
    _write_crops(tmp_path / "crops", {"crops-00000.tar": {"a.jpg": b"a"}})
    with pytest.raises(UserError) as caught:
        Crops(tmp_path / "crops").rows(pd.Series(["a.jpg", "b.jpg", "c.jpg"]))
    assert str(caught.value) == "no crop of 2 photos, such as b.jpg: run `dvc repro crop`"


def test_no_folder_of_crops(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        Crops(tmp_path / "crops")
    assert str(caught.value) == f"{tmp_path}/crops/index.parquet is missing: `dvc repro` makes it"


def test_a_folder_without_crops(tmp_path: Path) -> None:
    _write_crops(tmp_path / "crops", {"crops-00000.tar": {}})
    assert len(Crops(tmp_path / "crops")) == 0


def test_a_damaged_shard_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "crops"
    jpegs = {f"{number}.jpg": encode_jpeg(scenery(number), 90) for number in range(2)}
    _write_crops(folder, {"crops-00000.tar": jpegs})
    shard = folder / "crops-00000.tar"
    content = shard.read_bytes()
    crops = Crops(folder)
    offset, length = crops.index[["offset", "length"]].iloc[1]
    shard.write_bytes(content[:offset] + bytes(length) + content[offset + length :])
    assert Crops(folder).pixels(0).shape == (64, 96, 3)
    with pytest.raises(UserError) as caught:
        Crops(folder).pixels(1)
    assert str(caught.value) == "the crop of 1.jpg is damaged: `dvc repro --force crop` makes it anew"
    for damaged in (content[: offset + length - 1], b"", None):
        shard.unlink()
        if damaged is not None:
            shard.write_bytes(damaged)
        with pytest.raises(UserError) as caught:
            Crops(folder)
        assert str(caught.value) == f"{shard} is missing or cut short: `dvc repro crop` makes it anew"


def test_the_index_tells_what_crops_are_without_reading_them(tmp_path: Path) -> None:
    jpegs = {f"{number}.jpg": encode_jpeg(scenery(number), 90) for number in range(3)}
    _write_crops(tmp_path / "crops", {"a.tar": jpegs})
    crops = Crops(tmp_path / "crops")
    expected = [sha256_bytes(content) for content in jpegs.values()]
    assert [crops.digest(row) for row in range(3)] == expected
    old = read_table(tmp_path / "crops" / INDEX, CROPS).drop(columns="sha256")
    write_table(tmp_path / "crops" / INDEX, old, CROPS)  # as it was before there were hashes
    assert [Crops(tmp_path / "crops").digest(row) for row in range(3)] == expected


def test_another_picture_in_the_place_of_a_crop_is_noticed(tmp_path: Path) -> None:
    """Hashes stand for crops, so no crop may be another than its hash says, even if it can be decoded."""
    one, other = (encode_jpeg(scenery(number), 90) for number in range(2))
    other = other[: len(one)].ljust(len(one), b"\0")
    _write_crops(tmp_path / "crops", {"a.tar": {"a.jpg": one}})
    shard = tmp_path / "crops" / "a.tar"
    shard.write_bytes(shard.read_bytes().replace(one, other))
    with pytest.raises(UserError) as caught:
        Crops(tmp_path / "crops").jpeg(0)
    assert str(caught.value) == "the crop of a.jpg is damaged: `dvc repro --force crop` makes it anew"


def test_more_shards_than_a_process_may_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finprint.pictures.shards.OPEN", 2)
    shards = {f"{number}.tar": {f"{number}.jpg": bytes([number]) * 9} for number in range(5)}
    _write_crops(tmp_path / "crops", shards)
    crops = Crops(tmp_path / "crops")
    for row in (4, 0, 3, 1, 2, 4):
        assert crops.jpeg(row) == bytes([row]) * 9
