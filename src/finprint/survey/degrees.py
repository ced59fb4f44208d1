"""Latitude and longitude, and other numbers, as tables write them."""

import pandas as pd

MOST = {"latitude": 90.0, "longitude": 180.0}  # degrees


def read_numbers(texts: pd.Series, most: float) -> tuple[pd.Series, pd.Series]:
    """Texts as numbers, and what is wrong with a text, such as "which is no number"; missing where nothing is.

    Args:
        texts: such as -43.2 or -43,2; missing ones stay missing.
        most: the greatest number on this Earth, without its sign.
    """
    numbers = pd.to_numeric(texts.astype("string").str.replace(",", "."), errors="coerce").astype(float)
    wrong = pd.Series(pd.NA, texts.index, dtype="string")
    wrong[numbers.abs() > most] = "which is not on this Earth"
    wrong[numbers.isna() & texts.notna()] = "which is no number"
    return numbers, wrong
