"""Excel's files as rows of text: what their cells show."""

import io
import re
import warnings
import zipfile
import zlib
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import openpyxl

from finprint.base.errors import UserError

ZIP = b"PK\x03\x04"  # how Excel's files begin, and others
PADDED = re.compile("0+")  # Excel's format of a number that keeps its leading zeros
# A formula without the value that it had when the file was saved. An empty text is a value, and told by its type.
UNSAVED = re.compile(rb"<c ([^>]*)>\s*<f(?:[^>]*/>|[^>]*>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
PLACE = re.compile(rb'\br="([A-Z]+\d+)"')
LOOKED_AT = 50  # rows that may hold the header
# What files of other programs have in them, which are zip files as Excel's are.
OTHERS = {"mimetype": "an OpenDocument file", "Index/": "a file of Apple's Numbers", "xl/workbook.bin": "an .xlsb file"}
Row = tuple[int, list[str]]  # its line in the file, and its cells; "" is empty


def read_excel(content: bytes, required: list[str], path: Path) -> list[Row]:
    """The rows of the one sheet with the required columns; if there are none of these, of the first with anything.

    Raises:
        UserError: it is no such file or empty, several sheets have the columns, or a formula has no saved value.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of styles and the like, which do not matter here
            sheets = _sheets(content)
            unsaved = _unsaved(content)
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, TypeError, IndexError, OSError, SyntaxError) as error:
        what = _other_program(content) or f"no Excel file that can be read ({error})"
        raise UserError(f"{path} is {what}: save it as .xlsx or CSV") from None
    if not sheets:
        raise UserError(f"{path} is empty: no sheet has a cell")
    fits = {name: max(count_of(cells, required) for _, cells in rows[:LOOKED_AT]) for name, rows in sheets.items()}
    chosen = max(fits, key=lambda name: fits[name])
    whole = [name for name, fit in fits.items() if fit == len(set(required))]
    if required and len(whole) > 1:
        raise UserError(
            f"{path} has {len(whole)} sheets with {', '.join(required)}, {whole[0]!r} and {whole[1]!r}: put all rows "
            "into one of them and remove the others"
        )
    for line, cells in sheets[chosen]:
        for column, cell in enumerate(cells):
            if not cell and (place := f"{openpyxl.utils.get_column_letter(column + 1)}{line}") in unsaved:
                raise UserError(
                    f"{path}, cell {place} of {chosen!r} is a formula without its value: open the file in Excel or "
                    "LibreOffice and save it, or save it as CSV"
                )
    if len(sheets) > 1:
        print(f"{path} has {len(sheets)} sheets: {chosen!r} is read", flush=True)
    return sheets[chosen]


def count_of(cells: list[str], required: list[str]) -> int:
    """How many of the required columns are among the cells of a row."""
    return len({name.casefold() for name in required} & {cell.casefold() for cell in cells})


def _sheets(content: bytes) -> dict[str, list[Row]]:
    """The rows of each sheet that has anything, all as long as the longest."""
    merged = any(b"mergeCell " in xml for xml in _xml(content))
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
    return sheets


def _xml(content: bytes) -> list[bytes]:
    """The sheets as they are in the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        names = [name for name in files.namelist() if name.startswith("xl/worksheets/") and name.endswith(".xml")]
        return [files.read(name) for name in names]


def _unsaved(content: bytes) -> set[str]:
    """The cells, such as B2, that hold a formula without its value; of all sheets."""
    cells = [cell[1] for xml in _xml(content) for cell in UNSAVED.finditer(xml) if b't="str"' not in cell[1]]
    return {place[1].decode() for cell in cells if (place := PLACE.search(cell))}


def _other_program(content: bytes) -> str:
    """What a zip file is that is not Excel's; empty where nothing tells."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as files:
            names = files.namelist()
    except zipfile.BadZipFile:
        return ""
    told = [what for start, what in OTHERS.items() if any(name.startswith(start) for name in names)]
    return told[0] if told else f"a zip file with {names[0]} in it" if names and "xl/workbook.xml" not in names else ""


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
