"""Tables with a column for each class, in which 1 marks its photos, as those of Kaggle, ISIC and Roboflow."""

from collections.abc import Collection

import pandas as pd

ONE_HOT = "one-hot"  # `prepare.csv.identity` of such a table
ONES, ZEROS = ("1", "1.0"), ("0", "0.0")


def with_one_hot(table: pd.DataFrame, but: Collection[str] = ()) -> pd.DataFrame:
    """A table with a further column `ONE_HOT`, the name of the column that has a 1; as it is if it has no such columns.

    There must be at least two columns of nothing but ones and zeros, one of which is 1 in each row.

    Args:
        table: of strings.
        but: columns that mean something else.
    """
    marks = [column for column in table if column not in but and table[column].isin([*ONES, *ZEROS]).all()]
    ones = table[marks].isin(ONES)
    if len(marks) < 2 or not len(table) or not (ones.sum(axis=1) == 1).all():
        return table
    return table.assign(**{ONE_HOT: ones.idxmax(axis=1).astype("string").str.strip()})
