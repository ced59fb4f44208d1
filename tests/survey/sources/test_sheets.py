"""Tables in every form that programs save: the same cells come out, as text, or an error says what to do."""

import gzip
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest
from conftest import SurveyFolder, prepare_params
from hypothesis import given
from hypothesis import strategies as st

from finprint.base.errors import UserError
from finprint.survey.sources import read_source
from finprint.survey.sources.sheets import COMMAS, locate, read_sheet, require

ADVICE = "save the table as CSV in UTF-8, or as .xlsx"
WANTED = [["café.jpg", "007", None], ["12.jpg", "875923901e14", 'a, b; "c"'], ["x y.jpg", "12", "NA"]]


def _cells(table: pd.DataFrame) -> list[list[Any]]:
    return table.astype(object).where(table.notna(), None).to_numpy().tolist()


def _excel(path: Path, *rows: list[Any], **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for name, content in sheets.items():
        sheet = book.create_sheet(name)
        for row in content:
            sheet.append(row)
    book.save(path)
    return path


def _separated(separator: str) -> str:
    rows = [[cell or "" for cell in row] for row in [["image", "identity", "note"], *WANTED]]
    quoted = [
        ['"' + cell.replace('"', '""') + '"' if set(cell) & set(',;\t"') else cell for cell in row] for row in rows
    ]
    return "".join(separator.join(row) + "\r\n" for row in quoted)


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_separators_and_encodings(tmp_path: Path, separator: str, encoding: str, packed: bool) -> None:
    content = _separated(separator).encode(encoding)
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(content) if packed else content)
    table = read_sheet(tmp_path / "t.csv", ["image"])
    assert table.columns.tolist() == ["image", "identity", "note"]
    assert _cells(table) == WANTED
    assert {str(kind) for kind in table.dtypes} == {"string"}
    assert table.attrs[COMMAS] == (separator != ",")


def test_excel_keeps_ids_as_they_are_shown(tmp_path: Path) -> None:
    path = _excel(
        tmp_path / "t.xlsx",
        ["image", "id", "number", "when", "share", "yes"],
        ["a.jpg", "007", 12.0, datetime(2021, 7, 3, 10, 5), 0.25, True],
        ["b.jpg", "875923901e14", 136215123456, datetime(2021, 7, 3), 1e-3, None],
        ["c.jpg", 7, -3, date(2021, 7, 4), 2.5, None],
        ["d.jpg", 7, None, time(10, 5), 2, None],
    )
    book = openpyxl.load_workbook(path)
    book.active["B4"].number_format = "000"  # shown as 007
    book.save(path)
    assert _cells(read_sheet(tmp_path / "t.csv", ["image"])) == [
        ["a.jpg", "007", "12", "2021-07-03 10:05:00", "0.25", "TRUE"],
        ["b.jpg", "875923901e14", "136215123456", "2021-07-03", "0.001", None],
        ["c.jpg", "007", "-3", "2021-07-04", "2.5", None],
        ["d.jpg", "7", None, "10:05:00", "2", None],
    ]


def test_excel_s_sheets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _excel(
        tmp_path / "t.xlsx", ["whales of 2023"], notes=[["who", "what"], ["me", "this"]], data=[["Image"], ["a.jpg"]]
    )
    assert _cells(read_sheet(path, ["image"])) == [["a.jpg"]]
    assert capsys.readouterr().out == f"{path} has 3 sheets: 'data' is read\n"
    assert _cells(read_sheet(_excel(tmp_path / "u.xlsx", empty=[], b=[["x"], [1]]), [])) == [["1"]]
    with pytest.raises(UserError) as caught:
        read_sheet(_excel(tmp_path / "v.xlsx"), [])
    assert str(caught.value) == f"{tmp_path}/v.xlsx is empty: no sheet has a cell"


def test_lines_around_the_table(tmp_path: Path) -> None:
    text = 'sep=;\nWhales of 2023;;\n\n image ; Identity ;;\na.jpg; A ;;\n;;;\n\n"b\n.jpg";B\nc.jpg;;;\n;;\n\n'
    (tmp_path / "t.csv").write_text(text)
    table = read_sheet(tmp_path / "t.csv", ["image", "identity"])
    assert table.columns.tolist() == ["image", "identity"]
    assert _cells(table) == [["a.jpg", "A"], ["b\n.jpg", "B"], ["c.jpg", None]]
    assert [line + 2 for line in table.index] == [5, 8, 10]
    (tmp_path / "t.csv").write_text(text + ";D;\n")
    with pytest.raises(UserError) as caught:
        read_sheet(tmp_path / "t.csv", ["image", "identity"])
    assert str(caught.value) == f"{tmp_path}/t.csv line 13: image is empty"


def test_columns_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,note,id,note,id\na.jpg,x,A,y,A\n")
    table = read_sheet(tmp_path / "t.csv", ["image"])
    assert _cells(table) == [["a.jpg", "x", "A"]]
    require(table, ["id"], tmp_path / "t.csv")
    with pytest.raises(UserError) as caught:
        require(table, ["note"], tmp_path / "t.csv")
    message = f"{tmp_path}/t.csv has two columns called note, and they differ: rename or remove one of them"
    assert str(caught.value) == message


def test_columns_without_a_name(tmp_path: Path) -> None:
    """pandas' index has none, and spreadsheets leave empty columns behind."""
    (tmp_path / "t.csv").write_text(",image,,\n0,a.jpg,,\n1,b.jpg,,\n")
    assert read_sheet(tmp_path / "t.csv", ["image"]).columns.tolist() == ["Unnamed: 0", "image"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty: its first line must name the columns"),
        (b"\n , \n", "is empty: its first line must name the columns"),
        (b"image,a\nx.jpg,1,2\n", "is no CSV table: line 2 has more cells than the header. A cell that has the "
         "separator in it must stand in quotes"),
        (b"image;a\nx.jpg,1\n", "is no CSV table: its header has 2 columns, and each row has one"),
        (b'image,a\n"x.jpg,1\n',
         "is no CSV table: the quotes of a cell in line 2 do not match: unexpected end of data"),
        (b"photo,a\nx.jpg,1\n", "has no column image (it has: photo, a)"),
        ("image\nä.jpg\n".encode() + b"\xe4.jpg\n", f"line 3 is not UTF-8: {ADVICE}"),
        (b"\xff\xfei\x00m", f"line 1 is not utf-16: {ADVICE}"),
        (b"image\nx\x00y\n" * 60, f"is no text: {ADVICE}"),
        (b"PAR1" + bytes(range(256)), f"is no text: {ADVICE}"),
        (b"\xd0\xcf\x11\xe0abc", "is an old Excel file, or has a password: save it as .xlsx without one, or as CSV"),
        (b"image,identity\na.jpg,A\n\n,species\n", "line 4: image is empty"),
        (b"image,identity,c\na.jpg,A\n\n,species,photos\n,orca,12\n", "line 4: image is empty. After an empty line, it "
         "looks like a second table: give that a file of its own"),
        (b' {"path": "a.jpg"}', "holds JSON: save the table as CSV or .xlsx"),
        (b"<html><table>", "holds a web page or XML: save the table as CSV or .xlsx"),
        (b"a.jpg,A17\n", "has no column image (it has: a.jpg, A17): its first line must name the columns"),
        (b"image,a\nx.jpg,1\n\xfel\xab\xe9\n", f"line 3 is in no encoding that can be told: {ADVICE}"),
        (b"PK\x03\x04abc", "is no Excel file that can be read (File is not a zip file): save it as .xlsx or CSV"),
        (gzip.compress(b"image\nx.jpg\n")[:-9],
         "is damaged: Compressed file ended before the end-of-stream marker was reached"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_sheet(path, ["image"])
    assert str(caught.value) == f"{path} {complaint}"


@pytest.mark.parametrize(
    ("encoding", "name", "called"),
    [
        ("mac_roman", "café, Zoë, García, LEÓN, Björn", "Mac OS Roman"),
        ("cp1251", "Белуха, Алёна", "Windows' Cyrillic code page"),
        ("koi8_r", "Белуха Ладога", "KOI8-R"),
        ("cp1250", "Łucja, żółw", "Windows' Central European code page"),
        ("cp1253", "Δελφίνι", "Windows' Greek code page"),
        (
            "cp1252",
            "Zoë, O\u2019Brien, “Tom\u2019s”, d\u2019Arc, Miloš, El Niño, Þór, 12° ± ½, €50, Jan\u2013Mar, x",
            "",
        ),
    ],
)
def test_code_pages(tmp_path: Path, encoding: str, name: str, called: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_bytes(f'image,identity\na.jpg,"{name}"\n'.encode(encoding))
    assert _cells(read_sheet(tmp_path / "t.csv", ["image"])) == [["a.jpg", name]]
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path}/t.csv is read in {called} (") if called else not said


@pytest.mark.parametrize("value", ["#REF!", "#NAME?", "#¡REF!", "#DIV/0!", "Err:502", "#####"])
@pytest.mark.parametrize("column", ["image", "identity", "note"])
def test_errors_of_spreadsheets(tmp_path: Path, value: str, column: str) -> None:
    """In a column that is used they are refused by line; in another one they do no harm. #N/A means nobody."""
    row = {"image": "a.jpg", "identity": "A17", "note": "x"} | {column: value}
    (tmp_path / "t.csv").write_text(f"image,identity,note\nb.jpg,#N/A,y\n{','.join(row.values())}\n")
    if column == "note":
        assert len(read_sheet(tmp_path / "t.csv", ["image", "identity"])) == 2
        return
    with pytest.raises(UserError) as caught:
        read_sheet(tmp_path / "t.csv", ["image", "identity"])
    assert str(caught.value) == (
        f"{tmp_path}/t.csv line 3: {column} is {value}, an error of the spreadsheet: mend the formula, or empty the "
        "cell if it is not known"
    )


def test_a_formula_without_its_value(tmp_path: Path) -> None:
    path = _excel(tmp_path / "t.xlsx", ["image", "identity"], ["a.jpg", "A17"], ["b.jpg", '="A"&17'])
    with pytest.raises(UserError) as caught:
        read_sheet(path, ["image"])
    assert str(caught.value) == (
        f"{path}, cell B3 of 'Sheet' is a formula without its value: open the file in Excel or LibreOffice and save "
        "it, or save it as CSV"
    )


def test_a_formula_with_its_value(tmp_path: Path) -> None:
    """As Excel saves it; an empty text is a value."""
    path = _excel(tmp_path / "t.xlsx", ["image", "identity"], ["a.jpg", '="A"&17'], ["b.jpg", '=""'])
    with zipfile.ZipFile(path) as book:
        files = {name: book.read(name) for name in book.namelist()}
    sheet = files["xl/worksheets/sheet1.xml"]
    sheet = sheet.replace(b'<c r="B2"><f>"A"&amp;17</f><v />', b'<c r="B2" t="str"><f>"A"&amp;17</f><v>A17</v>')
    sheet = sheet.replace(b'<c r="B3"><f>""</f><v />', b'<c r="B3" t="str"><f>""</f><v></v>')
    with zipfile.ZipFile(path, "w") as book:
        for name, content in files.items():
            book.writestr(name, sheet if name == "xl/worksheets/sheet1.xml" else content)
    assert _cells(read_sheet(path, ["image"])) == [["a.jpg", "A17"], ["b.jpg", None]]


def test_two_sheets_with_the_same_columns(tmp_path: Path) -> None:
    year = [["image", "identity"], ["a.jpg", "A17"]]
    path = _excel(tmp_path / "t.xlsx", ["notes"], **{"2019": year, "2020": year})
    with pytest.raises(UserError) as caught:
        read_sheet(path, ["image"])
    assert str(caught.value) == (
        f"{path} has 2 sheets with image, '2019' and '2020': put all rows into one of them and remove the others"
    )


def test_totals_and_a_header_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["image,identity,photos", "a.jpg,A17,3", "Image,Identity,Photos", "b.jpg,total,4", "Total:,,7", ",sum,7"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    assert _cells(read_sheet(tmp_path / "t.csv", ["image"])) == [["a.jpg", "A17", "3"], ["b.jpg", "total", "4"]]
    said = f"{tmp_path}/t.csv: 3 rows of totals or of the header again, from line 3, not read\n"
    assert capsys.readouterr().out == said


def test_totals_of_a_table_without_names_stand_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,part,x\n12,count,3\n13,fin,4\nTotal,,7")
    assert _cells(read_sheet(tmp_path / "t.csv", [])) == [["12", "count", "3"], ["13", "fin", "4"]]


@pytest.mark.parametrize(
    ("name", "what"),
    [("t.xls", "save it as .xlsx or CSV"), ("T.ODS", "save it as .xlsx or CSV"), ("t.zip", "unpack it"),
     ("t.numbers", "save it as .xlsx or CSV"), ("t.txt", "rename it to .tsv"), ("other.xls", "")],
)  # fmt: skip
def test_what_lies_beside_a_missing_table(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError) as caught:
        read_sheet(tmp_path / "t.csv", ["image"])
    assert str(caught.value) == f"{tmp_path}/t.csv is missing" + (f", but {name} is there: {what}" if what else "")


@pytest.mark.parametrize(
    ("inner", "what"),
    [("mimetype", "an OpenDocument file"), ("Index/a.iwa", "a file of Apple's Numbers"),
     ("xl/workbook.bin", "an .xlsb file"), ("t.csv", "a zip file with t.csv in it")],
)  # fmt: skip
def test_zip_files_of_other_programs(tmp_path: Path, inner: str, what: str) -> None:
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as file:
        file.writestr(inner, "x")
    with pytest.raises(UserError) as caught:
        read_sheet(tmp_path / "t.xlsx", ["image"])
    assert str(caught.value) == f"{tmp_path}/t.xlsx is {what}: save it as .xlsx or CSV"


def test_missing_and_twice(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    assert locate(path) is None
    assert read_sheet(path, ["a", "b"], optional=True).columns.tolist() == ["a", "b"]
    with pytest.raises(UserError, match=r"boxes\.csv is missing"):
        read_sheet(path, [])
    (tmp_path / "boxes.tsv").write_text("a\tb\n1\t2\n")
    assert locate(path) == tmp_path / "boxes.tsv"
    _excel(tmp_path / "boxes.xlsx", ["a"])
    with pytest.raises(UserError) as caught:
        locate(path)
    wanted = f"{tmp_path}/boxes.tsv and boxes.xlsx are one table in two forms: remove one of them"
    assert str(caught.value) == wanted


@given(
    rows=st.lists(st.lists(st.text("aé,;\t\"'\n |0.", max_size=5), min_size=2, max_size=2), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t|"),
)
def test_whatever_the_cells(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], separator: str) -> None:
    """What pandas writes comes back, but for spaces around cells and empty rows."""
    path = tmp_path_factory.mktemp("sheets") / "t.csv"
    pd.DataFrame(rows, columns=["one", "two"]).to_csv(path, index=False, sep=separator)
    wanted = [[cell.replace("\r\n", "\n").strip() or None for cell in row] for row in rows]
    wanted = [row for row in wanted if any(row)]
    assert _cells(read_sheet(path, [])) == wanted


def test_a_survey_in_spreadsheets(folder: SurveyFolder) -> None:
    folder.train("a.jpg,orca,A,", "b.jpg,orca,007,")
    folder.photos("q.jpg", split="test")
    (folder.root / "train.csv").unlink()
    rows = [["image", "species", "individual_id"], ["a.jpg", "orca", "A"], ["b.jpg", "orca", "007"]]
    _excel(folder.root / "train.xlsx", *rows)
    (folder.root / "boxes.csv").write_text("image;part;x_min;y_min;x_max;y_max\r\na.jpg;fin;1,5;2;30,25;40\r\n")
    (folder.root / "test_truth.csv").write_text("image\tindividual_id\nq.jpg\tZoé\n", encoding="utf-16")
    (folder.root / "decisions.csv").write_bytes("action;id;to\nmerge;Zoé;Zoë\n".encode("cp1252"))
    source, decided = read_source(prepare_params(), folder.root)
    assert source.labelled["identity"].tolist() == ["A", "007"]
    assert source.truth["identity"].tolist() == ["Zoë"]
    assert source.boxes[["x_min", "x_max"]].to_numpy().tolist() == [[1.5, 30.25]]
    assert decided["merge"] == 1


def test_a_table_is_found_in_capital_letters(tmp_path: Path) -> None:
    (tmp_path / "BOXES.CSV").write_text("image\na.jpg\n")
    assert locate(tmp_path / "boxes.csv") == tmp_path / "BOXES.CSV"
    assert read_sheet(tmp_path / "boxes.csv", ["image"])["image"].tolist() == ["a.jpg"]
    (tmp_path / "Boxes.xlsx").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        locate(tmp_path / "boxes.csv")
    assert str(caught.value) == f"{tmp_path}/BOXES.CSV and Boxes.xlsx are one table in two forms: remove one of them"
    assert locate(tmp_path / "gone" / "boxes.csv") is None


def test_cells_merged_down_a_column_belong_to_each_row(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    photos = [["1.jpg", "x", 7], ["2.jpg"], ["3.jpg"], ["4.jpg"]]
    for row in [["Photos", None, "Animal"], ["path", "date", "identity"], *photos]:
        book.active.append(row)
    book.active["C3"].number_format = "000"
    for merged in ("A1:B1", "C3:C5", "B3:B4"):
        book.active.merge_cells(merged)
    book.save(tmp_path / "t.xlsx")
    table = read_sheet(tmp_path / "t.xlsx", ["path", "identity"])
    assert table.fillna("").to_numpy().tolist() == [
        ["1.jpg", "x", "007"], ["2.jpg", "x", "007"], ["3.jpg", "", "007"], ["4.jpg", "", ""],
    ]  # fmt: skip
