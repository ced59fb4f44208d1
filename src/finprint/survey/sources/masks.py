"""COCO's masks in run lengths (RLE): the upright box around one."""

from typing import Any

import numpy as np

from finprint.survey.sources.marks import NONE, Corners


def mask_box(mask: dict[str, Any]) -> Corners:
    """The corners of the box around a mask, in pixels; NaN where it is empty or damaged.

    Args:
        mask: `size`, height and width, and `counts`, how many pixels in a row, column by column, are outside, inside,
            outside, ... Either a list of numbers or the text in which pycocotools packs them.
    """
    high, wide = (int(side) for side in mask["size"])
    counts = mask["counts"]
    runs = np.array(unpacked(counts) if isinstance(counts, str) else counts, np.int64)
    if runs.sum() != high * wide or (runs < 0).any():
        return NONE
    ends = runs.cumsum()
    spans = [(int(start), int(stop)) for start, stop in zip(ends[:-1:2], ends[1::2], strict=False) if stop > start]
    if not spans:
        return NONE
    columns = [(start // high, (stop - 1) // high) for start, stop in spans]
    rows = [(0, high - 1) if last > first else (start % high, (stop - 1) % high)
            for (start, stop), (first, last) in zip(spans, columns, strict=True)]  # fmt: skip
    return (
        float(min(first for first, _ in columns)),
        float(min(top for top, _ in rows)),
        float(max(last for _, last in columns) + 1),
        float(max(bottom for _, bottom in rows) + 1),
    )


def unpacked(text: str) -> list[int]:
    """The run lengths that pycocotools has packed into a text.

    A letter holds five bits, and a sixth that says whether more follow. From the fourth number on, each is written as
    its difference from the last but one.
    """
    numbers: list[int] = []
    place = 0
    while place < len(text):
        number = shift = 0
        more = True
        while more:
            if place == len(text):  # cut short in the midst of a number
                return []
            bits = ord(text[place]) - 48
            number |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            place, shift = place + 1, shift + 5
            if not more and bits & 0x10:
                number |= -1 << shift
        numbers.append(number + (numbers[-2] if len(numbers) > 2 else 0))
    return numbers
