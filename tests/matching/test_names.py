"""Names and codes: there and back, and what stands for nobody and for an individual whom the gallery lacks."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finprint.matching.names import NOBODY, UNKNOWN, Names, take
from finprint.store.tables import NEW


def test_hand_worked() -> None:
    names = Names(pd.Series(["zoe", "al", None, "al", pd.NA, "bo"], dtype="string"))
    assert names.individuals.tolist() == ["al", "bo", "zoe"]
    assert len(names) == 3
    asked = pd.Series(["bo", None, "cy", "zoe"], dtype="string")
    assert names.codes(asked).tolist() == [1, NOBODY, UNKNOWN, 2]
    assert names.codes(asked).dtype == np.int64
    assert names.of(np.array([[1, NOBODY], [UNKNOWN, 2]])).tolist() == [["bo", None], [NEW, "zoe"]]


def test_of_nobody() -> None:
    names = Names(pd.Series([None, None], dtype="string"))
    assert len(names) == 0
    assert names.codes(pd.Series(["al", None], dtype="string")).tolist() == [UNKNOWN, NOBODY]
    assert names.of(np.array([NOBODY, UNKNOWN])).tolist() == [None, NEW]


@given(identities=st.lists(st.sampled_from(["", "a", "b", "nan", "None", "1", NEW]), max_size=12))
def test_there_and_back(identities: list[str]) -> None:
    names = Names(pd.Series(identities, dtype="string"))
    codes = names.codes(pd.Series(identities, dtype="string"))
    assert names.of(codes).tolist() == identities
    assert sorted(set(codes.tolist())) == list(range(len(names)))


@pytest.mark.parametrize("values", [np.array([5, 6]), np.array(["x", "y"]), np.array(["x", None], object)])
def test_take_never_counts_from_the_end(values: np.ndarray) -> None:
    missing = {"i": 9, "U": "z", "O": None}[values.dtype.kind]
    taken = take(values, np.array([[1, -1], [-2, 0]]), missing)
    assert taken.tolist() == [[values[1], missing], [missing, values[0]]]
    assert taken.dtype == values.dtype
