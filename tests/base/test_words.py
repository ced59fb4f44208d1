"""Numbers in sentences."""

from finprint.base.words import counted


def test_one_is_no_plural() -> None:
    assert [counted(number, "photo") for number in (0, 1, 2)] == ["0 photos", "1 photo", "2 photos"]
