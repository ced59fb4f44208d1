"""Progress: a bar on a terminal, a line now and then in a log, nothing of what is short."""

import io
import re
import sys
import time

import pytest

from finprint.base import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def _shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, quiet: bool = False) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    for _ in progress.bar("cropping", 40, "photo", range(40), quiet=quiet):
        time.sleep(0.01)
    return stream.getvalue()


def test_a_terminal_has_a_bar_with_an_eta(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _shown(Terminal(), monkeypatch)
    assert "cropping: " in shown
    assert re.search(r"40/40 \[\d\d:\d\d<00:00", shown)
    assert "photo/s" in shown
    assert _shown(Terminal(), monkeypatch, quiet=True) == ""


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _shown(io.StringIO(), monkeypatch) == ""  # done in less than a minute
    monkeypatch.setattr(progress, "PERIOD", 0.1)
    lines = _shown(io.StringIO(), monkeypatch).splitlines()
    assert 3 <= len(lines) < 40
    assert all(re.match(r"cropping: .*\d+/40 \[\d\d:\d\d<.*photo/s", line) for line in lines)
