"""Tables as spreadsheets and programs save them: any separator and encoding, compressed, or an Excel file."""

import csv
import gzip
import io
import os
import posixpath
import re
import zlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from finprint.base.errors import UserError
from finprint.base.words import counted
from finprint.pictures.images import SUFFIXES
from finprint.survey.sources.encodings import text_of
from finprint.survey.sources.excel import LOOKED_AT, ZIP, Row, count_of, read_excel

FORMS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".xlsx")  # a table of the same name may lie in any of them
SEPARATORS = ",;\t|"
OLD_EXCEL, GZIP = b"\xd0\xcf\x11\xe0", b"\x1f\x8b"
# What else a table of the same name may be, and what to do with it.
OTHERS = {
    ".xls": "save it as .xlsx or CSV", ".xlsb": "save it as .xlsx or CSV", ".xlsm": "save it as .xlsx or CSV",
    ".ods": "save it as .xlsx or CSV", ".numbers": "save it as .xlsx or CSV", ".txt": "rename it to .tsv",
    ".zip": "unpack it", ".csv.zip": "unpack it",
}  # fmt: skip
# What a spreadsheet shows where a formula fails, in any language; where nothing was found it shows #N/A, which says so.
ERROR = re.compile(r"#(?:[¡¿]?[^\W\d_]+(?:/0)?[!?]|NV|N/D)|Err:\d{3}|#{3,}")
NO_TABLES = {"{": "JSON", "[": "JSON", "<": "a web page or XML"}  # by how they begin
TOTALS = frozenset([
    "total", "totals", "sum", "subtotal", "sub-total", "grand total", "count", "counts", "average", "mean", "summe",
    "gesamt", "suma", "somme", "totale",
])  # fmt: skip
NUMBER = re.compile(r"[-+]?[\d., ]+%?")
SEPARATOR = re.compile(r'"?sep=(.)"?[\r\n]')  # the first line by which Excel may say it
TWICE, COMMAS = "twice", "commas"  # of a table's `attrs`: columns of one name; may numbers have decimal commas?


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
        UserError: the file is missing or no table, lacks a column, a cell of its first required column is empty, or
            one of another holds an error of a spreadsheet.
    """
    place = locate(path)
    if optional and place is None:
        return pd.DataFrame(columns=required, dtype="string")
    if place is None:
        raise UserError(f"{path} is missing{_beside(path)}")
    table = _read(place, required)
    require(table, required, place)
    if required:
        refuse_blanks(table, required[0], place)
    refuse_errors(table, required, place)
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


def _beside(path: Path) -> str:
    """What lies beside a missing table that it may be, and what to do with that."""
    stem = path.name.removesuffix(".gz").rpartition(".")[0].casefold()
    there = sorted(path.parent.iterdir()) if path.parent.is_dir() and os.access(path.parent, os.R_OK) else []
    meant = [(one.name, OTHERS.get(one.name.casefold().removeprefix(stem))) for one in there]
    return next((f", but {name} is there: {advice}" for name, advice in meant if advice), "")


def refuse_blanks(table: pd.DataFrame, column: str, path: Path) -> None:
    """Raise a UserError with the first line of `table` where `column` is empty."""
    blank = table.index[table[column].isna()]
    if len(blank):
        second = table.loc[blank[0]].count() > 1 and blank[0] > table.index[0] and blank[0] - 1 not in table.index
        hint = ". After an empty line, it looks like a second table: give that a file of its own" if second else ""
        raise UserError(f"{path} line {blank[0] + 2}: {column} is empty{hint}")


def refuse_errors(table: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    """Raise a UserError with the first line where one of the columns holds an error of a spreadsheet."""
    for column in columns:
        wrong = table[column].str.fullmatch(ERROR).fillna(False).astype(bool)
        if wrong.any():
            line = table.index[wrong][0]
            raise UserError(
                f"{path} line {line + 2}: {column} is {table.loc[line, column]}, an error of the spreadsheet: mend the "
                "formula, or empty the cell if it is not known"
            )


def require(table: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    """Raise a UserError that names the columns which `table` lacks or has twice."""
    columns = list(columns)
    missing = [column for column in columns if column not in table.columns]
    if missing:
        photo = any(posixpath.splitext(name)[1].lower() in SUFFIXES for name in table.columns)
        hint = ": its first line must name the columns" if photo else ""
        raise UserError(f"{path} has no column {', '.join(missing)} (it has: {', '.join(table.columns)}){hint}")
    if twice := [column for column in columns if column in table.attrs.get(TWICE, ())]:
        raise UserError(f"{path} has two columns called {twice[0]}, and they differ: rename or remove one of them")


def _read(path: Path, required: list[str]) -> pd.DataFrame:
    content = read_content(path)
    if content.startswith(ZIP):
        rows, commas = read_excel(content, required, path), False
    else:
        text = text_of(content, path, "save the table as CSV in UTF-8, or as .xlsx")
        if kind := next((kind for start, kind in NO_TABLES.items() if text.lstrip().startswith(start)), ""):
            raise UserError(f"{path} holds {kind}: save the table as CSV or .xlsx")
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
    """The text of a file in any encoding that `text_of` knows.

    Args:
        path: of the file, which may be compressed by gzip.
        advice: what to do where it is no text.

    Raises:
        UserError: it is missing, damaged, or no text.
    """
    return text_of(read_content(path), path, advice)


def _separator(text: str, required: list[str]) -> str:
    """The separator by which the header has the required columns, and the rows as many cells as the header."""
    if told := SEPARATOR.match(text):
        return told[1]

    def fits(separator: str) -> tuple[int, bool, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        head = [[cell.strip() for cell in cells] for cells, _ in zip(reader, range(LOOKED_AT), strict=False) if cells]
        names = head[0] if head else []
        even = all(len(cells) == len(names) for cells in head)
        return max((count_of(cells, required) for cells in head), default=0), len(names) > 1 and even, len(names)

    return max(SEPARATORS, key=fits)  # the first of the best


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


def _table(rows: list[Row], required: list[str], path: Path) -> pd.DataFrame:
    """A table from rows that are not empty; its header is the first with all required columns, else the first row."""
    if not rows:
        raise UserError(f"{path} is empty: its first line must name the columns")
    whole = [count_of(cells, required) == len(required) for _, cells in rows[:LOOKED_AT]]
    start = whole.index(True) if required and True in whole else 0
    header, below = rows[start][1], _without_totals(rows[start + 1 :], rows[start][1], required, path)
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


def _without_totals(rows: list[Row], header: list[str], required: list[str], path: Path) -> list[Row]:
    """The rows below the header but those that repeat it, and those that hold totals: `Total`, and numbers.

    Without a required column, a photo may be called 12 and its part `count`: then only the last rows are totals.
    """
    head = [cell.casefold() for cell in header]
    first = head.index(required[0].casefold()) if required and required[0].casefold() in head else None

    def counts(cells: list[str]) -> bool:
        filled = [cell.casefold().rstrip(" :") for cell in cells if cell]
        photo = "" if first is None or first >= len(cells) else cells[first].casefold().rstrip(" :")
        rest = [cell for cell in filled if cell not in TOTALS]
        return len(rest) < len(filled) and (not photo or photo in TOTALS) and all(NUMBER.fullmatch(one) for one in rest)

    below = 0 if first is not None else max((n for n, row in enumerate(rows, 1) if not counts(row[1])), default=0)
    over = [
        line
        for number, (line, cells) in enumerate(rows)
        if [cell.casefold() for cell in cells] == head or (number >= below and counts(cells))
    ]
    if over:
        print(f"{path}: {counted(len(over), 'row')} of totals or of the header again, from line {over[0]}, not read")
    gone = set(over)
    return [row for row in rows if row[0] not in gone]


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
