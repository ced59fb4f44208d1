"""Text of any encoding: Unicode, or the code page by which all its words look like words."""

import re
from pathlib import Path

from finprint.base.errors import UserError

LOOKED_AT = 50  # bytes that tell whether text is UTF-16
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # byte-order marks
OF_UTF_8 = re.compile(rb"[\xc3-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
NO_ASCII = re.compile(rb"[\x80-\xff]")
NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# What programs write for Western Europe, on a Mac, for Central Europe, Russia and Greece. Where several fit, the first.
CODE_PAGES = {
    "cp1252": "Windows' Western code page", "mac_roman": "Mac OS Roman",
    "cp1250": "Windows' Central European code page", "cp1251": "Windows' Cyrillic code page",
    "koi8_r": "KOI8-R", "cp1253": "Windows' Greek code page",
}  # fmt: skip
DASH = re.compile("(?<![a-zà-ÿ])[–—]|[–—](?![a-zà-ÿ])")  # no letter of another code page, as it is between two letters
WORD = re.compile("[A-Za-z'\u0080-\u009f\u00a1-\uffff]+")
QUOTES = re.compile("^[“«‘¿¡]+|(?<=s)’$|[”»…°™®©]+$|^„(?=.*[“”]$)")
# As in d'Arc, O'Brien, Tom's.
APOSTROPHE = re.compile(r"(?<=^\w)['’](?=\w)|['’](?=[A-ZÀ-Þ]|(?:s|t|d|m|ll|re|ve)$)")
ACCENTS = re.compile("[À-ɏ]+")
MOST = {"cp1250": 3}  # accents one after the other, as in żółw; in other languages of Latin letters two
SCRIPTS = (re.compile("[A-Za-zªº\u00c0-\u024f]+"), re.compile("[\u0400-\u04ff]+"), re.compile("[\u0370-\u03ff]+"))


def text_of(content: bytes, path: Path, advice: str) -> str:
    """The text of a file in UTF-8, UTF-16 or one of `CODE_PAGES`. If that is not the first one, a line is printed.

    Args:
        content: of the file.
        path: for messages.
        advice: what to do where it is no text.

    Raises:
        UserError: it is no text or damaged UTF-8, or no code page makes words of it.
    """
    mark = next((encoding for start, encoding in MARKS.items() if content.startswith(start)), None)
    for encoding, place in (("utf-16-be", 0), ("utf-16-le", 1)):  # of Latin letters every other byte is 0
        if mark is None and content[place:LOOKED_AT:2].count(0) > len(content[:LOOKED_AT]) / 4:
            mark = encoding
    try:
        text = content.decode(mark or "utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        of_utf_8 = sum(len(letter) for letter in OF_UTF_8.findall(content))
        if mark or 2 * of_utf_8 > len(NO_ASCII.findall(content)):
            raise UserError(f"{path} line {line} is not {mark or 'UTF-8'}: {advice}") from None
        if NO_TEXT.search(content):
            raise UserError(f"{path} is no text: {advice}") from None
        text = _in_code_page(content, path, line, advice)
    if "\0" in text or "\ufffd" in text:
        raise UserError(f"{path} is no text: {advice}")
    return text


def _in_code_page(content: bytes, path: Path, line: int, advice: str) -> str:
    """The text in the first code page by which all its words look like words."""
    for encoding, called in CODE_PAGES.items():
        text = content.decode(encoding, errors="replace")
        words = sorted({word for word in WORD.findall(DASH.sub(" ", text)) if not word.isascii()})
        if "\ufffd" not in text and all(_is_word(word, MOST.get(encoding, 2)) for word in words):
            if encoding != "cp1252":
                shown = ", ".join(words[:3])
                print(f"{path} is read in {called} ({shown}): if this looks wrong, save it in UTF-8", flush=True)
            return text
    raise UserError(f"{path} line {line} is in no encoding that can be told: {advice}")


def _is_word(text: str, accents: int) -> bool:
    """Is it written as words are: in one script, without signs, capitals or many accents in its middle?"""
    words = APOSTROPHE.sub(" ", QUOTES.sub("", QUOTES.sub("", text))).split()
    return all(_is_plain(word, accents) for word in words if any(letter.isalpha() for letter in word))


def _is_plain(word: str, accents: int) -> bool:
    """Is it one word so written, without an apostrophe? `accents`: how many may follow one another."""
    of_one_script = any(script.fullmatch(word) for script in SCRIPTS)
    one_case = word.islower() or word.isupper() or word[1:].islower()
    camel = word[0].isupper() and all(letter.isascii() for letter in word[1:] if letter.isupper())  # OldTom
    return of_one_script and (one_case or camel) and all(len(run) <= accents for run in ACCENTS.findall(word))
