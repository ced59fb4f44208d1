"""Tables as spreadsheets and programs save them: any separator and encoding, compressed, or an Excel file."""

import csv
import gzip
import io
import os
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd

from finprint.base.errors import UserError

FORMS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".xlsx")  # a table of the same name may lie in any of them
SEPARATORS = ",;\t|"
LOOKED_AT = 50  # rows that tell the separator and where the header stands; bytes that tell the encoding
EXCEL, OLD_EXCEL, GZIP = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"\x1f\x8b"
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # byte-order marks
OF_UTF_8 = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")  # a letter of several bytes, or two rare ones of another encoding
PADDED = re.compile("0+")  # Excel's format of a number that keeps its leading zeros
SEPARATOR = re.compile(r'"?sep=(.)"?[\r\n]')  # the first line by which Excel may say it
TWICE, COMMAS = "twice", "commas"  # of a table's `attrs`: columns of one name; may numbers have decimal commas?
Row = tuple[int, list[str]]  # its line in the file, and its cells; "" is empty


def read_sheet(path: Path, required: list[str], optional: bool = False) -> pd.DataFrame:
    """Read a table of strings; only an empty cell is missing. An optional one that is not there is empty.

    Args:
        path: its name; one of another of `FORMS`, such as boxes.xlsx, is found as well.
        required: columns it must have, in capital or small letters; the cells of the first must not be empty.
        optional: the file may be missing.

    Returns:
        The table without empty rows and columns. The index is the line in the file less two, as it is for a table
        without empty lines.

    Raises:
        UserError: the file is missing or no table, lacks a column, or a cell of its first required column is empty.
    """
    place = locate(path)
    if optional and place is None:
        return pd.DataFrame(columns=required, dtype="string")
    if place is None:
        raise UserError(f"{path} is missing")
    table = _read(place, required)
    require(table, required, place)
    if required:
        refuse_blanks(table, required[0], place)
    return table


def forms_of(name: str) -> list[str]:
    """A table's name with each of the suffixes that it may have; one that is no table's has only itself."""
    stem = next((name.removesuffix(form) for form in sorted(FORMS, key=len, reverse=True) if name.endswith(form)), None)
    return [name] if stem is None else [name, *(f"{stem}{form}" for form in FORMS if f"{stem}{form}" != name)]


def locate(path: Path) -> Path | None:
    """Where a table lies: at its path, or beside it in another form, whatever the case; None where it is missing.

    Raises:
        UserError: it lies there in two forms.
    """
    order = {name.casefold(): place for place, name in reversed([*enumerate(forms_of(path.name))])}
    beside = [*path.parent.iterdir()] if path.parent.is_dir() and os.access(path.parent, os.R_OK) else []
    there = [one for one in beside if one.name.casefold() in order and (one == path or one.is_file())]
    there.sort(key=lambda one: (order[one.name.casefold()], one.name != path.name, one.name))
    if len(there) > 1:
        raise UserError(f"{there[0]} and {there[1].name} are one table in two forms: remove one of them")
    return there[0] if there else None


def refuse_blanks(table: pd.DataFrame, column: str, path: Path) -> None:
    """Raise a UserError with the first line of `table` where `column` is empty."""
    blank = table.index[table[column].isna()]
    if len(blank):
        raise UserError(f"{path} line {blank[0] + 2}: {column} is empty")


def require(table: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    """Raise a UserError that names the columns which `table` lacks or has twice."""
    columns = list(columns)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise UserError(f"{path} has no column {', '.join(missing)} (it has: {', '.join(table.columns)})")
    if twice := [column for column in columns if column in table.attrs.get(TWICE, ())]:
        raise UserError(f"{path} has two columns called {twice[0]}, and they differ: rename or remove one of them")


def _read(path: Path, required: list[str]) -> pd.DataFrame:
    content = read_content(path)
    if content.startswith(EXCEL):
        rows, commas = _excel(content, required, path), False
    else:
        text = _text(content, path, "save the table as CSV in UTF-8, or as .xlsx")
        separator = _separator(text, required)
        rows, commas = _rows(text, separator, path), separator != ","
    table = _table([(line, cells) for line, cells in rows if any(cells)], required, path)
    table.attrs[COMMAS] = commas
    return table


def suffix_of(path: Path) -> str:
    """The suffix of a file that may be compressed, in small letters: of coco.JSON.gz that is .json."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def read_content(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is compressed by gzip.

    Raises:
        UserError: it is missing, damaged, or an old Excel file.
    """
    try:
        content = path.read_bytes()
        if content.startswith(GZIP):
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if content.startswith(OLD_EXCEL):
        raise UserError(f"{path} is an old Excel file, or has a password: save it as .xlsx without one, or as CSV")
    return content


def read_text(path: Path, advice: str = "save it in UTF-8") -> str:
    """The text of a file in UTF-8 or UTF-16, or else in Windows' code page 1252, of which Latin-1 is a part.

    Args:
        path: of the file, which may be compressed by gzip.
        advice: what to do where it is no text.

    Raises:
        UserError: it is missing, damaged, or no text.
    """
    return _text(read_content(path), path, advice)


def _text(content: bytes, path: Path, advice: str) -> str:
    mark = next((encoding for start, encoding in MARKS.items() if content.startswith(start)), None)
    for encoding, place in (("utf-16-be", 0), ("utf-16-le", 1)):  # of Latin letters every other byte is 0
        if mark is None and content[place:LOOKED_AT:2].count(0) > len(content[:LOOKED_AT]) / 4:
            mark = encoding
    try:
        text = content.decode(mark or "utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        if mark or OF_UTF_8.search(content):
            raise UserError(f"{path} line {line} is not {mark or 'UTF-8'}: {advice}") from None
        text = content.decode("cp1252", errors="replace")
    if "\0" in text or "\ufffd" in text:
        raise UserError(f"{path} is no text: {advice}")
    return text


def _separator(text: str, required: list[str]) -> str:
    """The separator by which the header has the required columns, and the rows as many cells as the header."""
    if told := SEPARATOR.match(text):
        return told[1]

    def fits(separator: str) -> tuple[int, bool, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        head = [[cell.strip() for cell in cells] for cells, _ in zip(reader, range(LOOKED_AT), strict=False) if cells]
        names = head[0] if head else []
        even = all(len(cells) == len(names) for cells in head)
        return max((_has(cells, required) for cells in head), default=0), len(names) > 1 and even, len(names)

    return max(SEPARATORS, key=fits)  # the first of the best


def _has(cells: list[str], required: list[str]) -> int:
    """How many of the required columns are among the cells of a row."""
    return len({name.casefold() for name in required} & {cell.casefold() for cell in cells})


def _rows(text: str, separator: str, path: Path) -> list[Row]:
    csv.field_size_limit(2**31 - 1)  # a polygon may have more than the 131,072 letters that Python allows
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    rows: list[Row] = []
    line = 1
    try:
        for cells in reader:
            rows.append((line, [cell.strip() for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path} is no CSV table: the quotes of a cell in line {line} do not match: {error}") from None
    return rows[1:] if SEPARATOR.match(text) else rows


def _excel(content: bytes, required: list[str], path: Path) -> list[Row]:
    """The rows of an Excel file's first sheet with the required columns, else of its first with anything at all."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of styles and the like, which do not matter here
            merged = _has_merged(content)
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=not merged, data_only=True)
            sheets = {}
            for sheet in book.worksheets:
                if merged:
                    _fill_down(sheet)
                else:
                    sheet.reset_dimensions()  # some programs write wrong ones
                rows = [[_cell(cell) for cell in cells] for cells in sheet.iter_rows()]
                if width := max((len(cells) for cells in rows if any(cells)), default=0):
                    filled = [[*cells, *[""] * (width - len(cells))] for cells in rows]
                    sheets[sheet.title] = list(enumerate(filled, start=1))
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, IndexError, OSError, SyntaxError) as error:
        raise UserError(f"{path} is no Excel file that can be read ({error}): save it as .xlsx or CSV") from None
    if not sheets:
        raise UserError(f"{path} is empty: no sheet has a cell")
    chosen = max(sheets, key=lambda name: max(_has(cells, required) for _, cells in sheets[name][:LOOKED_AT]))
    if len(sheets) > 1:
        print(f"{path} has {len(sheets)} sheets: {chosen!r} is read", flush=True)
    return sheets[chosen]


def _has_merged(content: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        sheets = [name for name in files.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
        return any(b"mergeCell " in files.read(name) for name in sheets)


def _fill_down(sheet: Any) -> None:
    """Cells that are merged down a column all show what the first of them holds."""
    for merged in [one for one in sheet.merged_cells.ranges if one.max_row > one.min_row]:
        first = sheet.cell(merged.min_row, merged.min_col)
        sheet.unmerge_cells(merged.coord)
        for row in range(merged.min_row + 1, merged.max_row + 1):
            below = sheet.cell(row, merged.min_col)
            below.value, below.number_format = first.value, first.number_format


def _cell(cell: Any) -> str:
    """What an Excel cell shows, as text: whole numbers without decimals, dates by ISO 8601."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        value = value.replace(microsecond=0)
        return str(value.date() if value.time() == time() else value)
    if isinstance(value, date | time):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and PADDED.fullmatch(cell.number_format or ""):
        return f"{value:0{len(cell.number_format)}}"
    return str(value).strip()


def _table(rows: list[Row], required: list[str], path: Path) -> pd.DataFrame:
    """A table from rows that are not empty; its header is the first with all required columns, else the first row."""
    if not rows:
        raise UserError(f"{path} is empty: its first line must name the columns")
    heads = (k for k, (_, cells) in enumerate(rows[:LOOKED_AT]) if required and _has(cells, required) == len(required))
    start = next(heads, 0)
    header, below = rows[start][1], rows[start + 1 :]
    long = [line for line, cells in below if any(cells[len(header) :])]
    if long:
        raise UserError(
            f"{path} is no CSV table: line {long[0]} has more cells than the header. A cell that has the separator "
            "in it must stand in quotes"
        )
    if len(header) > 1 and below and all(len(cells) == 1 for _, cells in below):
        raise UserError(f"{path} is no CSV table: its header has {len(header)} columns, and each row has one")
    cells = [[*row, *[""] * (len(header) - len(row))][: len(header)] for _, row in below]
    table = pd.DataFrame(cells, index=[line - 2 for line, _ in below], columns=range(len(header)), dtype="string")
    return _named(table.replace({"": pd.NA}), header, required)


def _named(table: pd.DataFrame, header: list[str], required: list[str]) -> pd.DataFrame:
    """Name the columns; those without name and cells are dropped, a second one of the same name and cells as well."""
    spelled = {name.casefold(): name for name in required if name not in header}
    names: dict[str, int] = {}
    twice = []
    for place, written in enumerate(header):
        name = spelled.get(written.casefold(), written)
        if not name and table[place].isna().all():
            continue
        if name in names and not table[place].equals(table[names[name]]):
            twice.append(name)
        names.setdefault(name or f"Unnamed: {place}", place)
    named = table[list(names.values())].set_axis(list(names), axis=1)
    named.attrs[TWICE] = twice
    return named
