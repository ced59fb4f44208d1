"""Processes side by side: sums in order, and an end of all when one ends."""

import pytest
import torch

from finprint.base.errors import UserError
from finprint.base.processes import ALONE, Team, team

ROWS = torch.tensor([[1e8, 1.0, 5.0], [1.0, 2.0, 6.0], [-1e8, 3.0, 7.0], [2.0, 4.0, 8.0]])


def add_and_fail(led: Team) -> None:
    """What the helper does: its half of the rows, and then a mistake."""
    assert led.add(ROWS[2:]).tolist() == [2.0, 10.0, 26.0]
    raise UserError("a photo is damaged")


def test_sums_are_taken_in_order() -> None:
    assert ALONE.add(ROWS).tolist() == [2.0, 10.0, 26.0]  # float32 has forgotten the 1 by then
    assert ALONE.add(ROWS[[0, 2, 1, 3]]).tolist() == [3.0, 10.0, 26.0]


def lead() -> None:
    with team(2, 4) as led:
        led.ask(add_and_fail)
        assert led.add(ROWS[:2]).tolist() == [2.0, 10.0, 26.0]
        led.wait()


def test_two_add_as_one_and_what_a_helper_cannot_do_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        lead()
    assert end.value.code == 2
    assert capfd.readouterr().err == "error: a photo is damaged\n"


def test_processes_that_do_not_divide_the_parts_are_refused() -> None:
    with pytest.raises(UserError, match=r"^3 processes do not divide parts: 4$"), team(3, 4):
        pass
