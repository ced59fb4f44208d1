"""Tables: what is written is what is read, ids stay text, and a wrong table is refused by name."""

from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaError

from finprint.answers.tables import ANSWERS
from finprint.base.errors import UserError
from finprint.store.tables import BOXES, CROPS, LABELS, PHOTOS, REJECTS, ROWS, TRUTH, read_table, write_table

SPOILED_BY_CARELESS_READERS = ["875923901e14", "00123", "1e5", "NA", "nan", "None", "null", "inf", "True", "-1", "0x1f"]
PHOTO: dict[str, Any] = {
    "image": "a.jpg", "path": "raw/a.jpg", "sha256": "0" * 64, "width": 9, "height": 8, "species": "orca",
    "identity": "00123", "encounter": pd.NA, "viewpoint": "left", "group": 0, "split": "train", "fold": 0,
}  # fmt: skip
CROP: dict[str, Any] = {
    "image": "a.jpg", "part": "fin", "x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1, "confidence": 0.5,
    "shard": "s.tar", "offset": 512, "length": 10,
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "query": "q.jpg",
    "rank": 1,
    "identity": "A",
    "score": 0.5,
    "probability": 0.9,
    "match": "a.jpg",
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ids_stay_text(tmp_path: Path, suffix: str) -> None:
    names = SPOILED_BY_CARELESS_READERS
    table = pd.DataFrame({"image": [f"{name}.jpg" for name in names], "identity": names})
    write_table(tmp_path / f"t{suffix}", table, TRUTH)
    assert read_table(tmp_path / f"t{suffix}", TRUTH)["identity"].tolist() == names


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=12)


@settings(max_examples=25)
@given(rows=st.dictionaries(TEXT, TEXT, max_size=6), suffix=st.sampled_from([".csv", ".parquet"]))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, str], suffix: str) -> None:
    path = tmp_path_factory.mktemp("t") / f"t{suffix}"
    table = pd.DataFrame({"image": list(rows), "identity": list(rows.values())}, dtype="string")
    write_table(path, table, TRUTH)
    assert read_table(path, TRUTH).to_numpy().tolist() == table.to_numpy().tolist()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_is_unknown_stays_missing(tmp_path: Path, suffix: str) -> None:
    write_table(tmp_path / f"p{suffix}", pd.DataFrame([PHOTO, PHOTO | {"image": "b.jpg", "identity": pd.NA}]), PHOTOS)
    back = read_table(tmp_path / f"p{suffix}", PHOTOS)
    assert back["identity"].isna().tolist() == [False, True]
    assert back["encounter"].isna().all()
    numbers = {name: str(kind) for name, kind in back.dtypes.items() if not pd.api.types.is_string_dtype(kind)}
    assert numbers == {"width": "int32", "height": "int32", "group": "int32", "fold": "int32"}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("schema", [PHOTOS, BOXES, CROPS, ROWS, LABELS, ANSWERS, TRUTH, REJECTS], ids=lambda s: s.name)
def test_a_table_without_rows(tmp_path: Path, schema: pa.DataFrameSchema, suffix: str) -> None:
    write_table(tmp_path / f"t{suffix}", pd.DataFrame(columns=list(schema.columns)), schema)
    back = read_table(tmp_path / f"t{suffix}", schema)
    assert len(back) == 0
    assert list(back.columns) == list(schema.columns)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_same_table_same_bytes_whatever_its_index(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame([PHOTO, PHOTO | {"image": "b.jpg"}])
    write_table(tmp_path / f"a{suffix}", table, PHOTOS)
    write_table(
        tmp_path / f"b{suffix}", table.set_axis([7, 3]).assign(helper=1)[[*reversed(PHOTOS.columns), "helper"]], PHOTOS
    )
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


@pytest.mark.parametrize(
    ("schema", "rows"),
    [
        (PHOTOS, [PHOTO, PHOTO]),  # a photo twice
        (PHOTOS, [PHOTO | {"split": "trian"}]),
        (PHOTOS, [PHOTO | {"width": 0}]),
        (PHOTOS, [PHOTO | {"sha256": "abc"}]),
        (PHOTOS, [PHOTO | {"path": pd.NA}]),
        (CROPS, [CROP | {"confidence": 1.5}]),
        (CROPS, [CROP | {"part": pd.NA}]),
        (ANSWERS, [ANSWER, ANSWER | {"rank": 2}]),  # an individual twice for one query
        (ANSWERS, [ANSWER | {"rank": 6}]),
        (TRUTH, [{"image": "a.jpg", "identity": pd.NA}]),
    ],
)
def test_a_wrong_table_is_not_written(tmp_path: Path, schema: pa.DataFrameSchema, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(SchemaError):
        write_table(tmp_path / "t.parquet", pd.DataFrame(rows), schema)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("schema", "row"), [(PHOTOS, PHOTO), (CROPS, CROP), (ANSWERS, ANSWER)])
def test_the_rows_above_are_right_but_for_what_is_wrong_with_them(
    tmp_path: Path, schema: pa.DataFrameSchema, row: dict[str, Any]
) -> None:
    write_table(tmp_path / "t.parquet", pd.DataFrame([row]), schema)
    assert read_table(tmp_path / "t.parquet", schema).astype(object).iloc[0].dropna().to_dict() == {
        key: value for key, value in row.items() if not pd.isna(value)
    }


def test_a_missing_table_says_how_to_make_it(tmp_path: Path) -> None:
    for name in ("t.csv", "t.parquet"):
        with pytest.raises(UserError) as caught:
            read_table(tmp_path / name, PHOTOS)
        assert str(caught.value) == f"{tmp_path}/{name} is missing: `dvc repro` makes it"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("image\na.jpg\n", "identity"),
        ("image,identity,weight\na.jpg,A,3\n", "weight"),
        ("image,identity\na.jpg,A\na.jpg,B\n", "image"),
        ("image,identity\na.jpg,\n", "identity"),
    ],
)
def test_a_table_spoiled_on_disk_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        read_table(tmp_path / "t.csv", TRUTH)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/t.csv is no table of truth: ")
    assert why in message.removeprefix(f"{tmp_path}")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"")
    with pytest.raises(UserError, match="is no table of truth"):
        read_table(path, TRUTH)


@given(cut=st.none() | st.floats(0, 1), turned=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 7)), max_size=3))
def test_a_damaged_table_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, cut: float | None, turned: list[tuple[float, int]]
) -> None:
    """Whatever pyarrow raises: OSError, KeyError, TypeError ..."""
    path = tmp_path_factory.mktemp("t") / "t.parquet"
    write_table(path, pd.DataFrame([PHOTO | {"image": f"{number}.jpg"} for number in range(50)]), PHOTOS)
    content = bytearray(path.read_bytes())
    for place, bit in turned:
        content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content if cut is None else content[: int(cut * len(content))])
    try:
        read_table(path, PHOTOS)
    except UserError as error:
        assert str(error).startswith(f"{path} is no table of photos: ")  # noqa: PT017 - it need not be refused
        assert "\n" not in str(error)  # noqa: PT017
