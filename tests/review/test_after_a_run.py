"""The review of a run that has applied the decisions of the log already: none is applied twice, each can be undone."""

from pathlib import Path

import pytest
from reviewed import read_case, write_run

from finprint.review.review import Review
from finprint.store.decisions import Decision, Log


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ada was merged into Bo, then Cleo was renamed to Ada; the run calls them so."""
    log = Log(tmp_path / "data/decisions/log.jsonl")
    log.append(Decision(action="merge", individual="Ada", to="Bo", who="ann"))
    log.append(Decision(action="rename", individual="Cleo", to="Ada", who="ann"))
    write_run(tmp_path, {"Ada": "Bo", "Cleo": "Ada"})
    return tmp_path


def _photos(review: Review, name: str) -> list[str]:
    return sorted(one["image"] for one in review.individual(name)["photos"])


def test_a_name_that_was_given_again_keeps_its_photos(root: Path) -> None:
    review = Review(read_case(root), "ann")
    assert _photos(review, "Ada") == ["g02.jpg", "g08.jpg", "g14.jpg"]  # Cleo's
    assert _photos(review, "Bo") == ["g00.jpg", "g01.jpg", "g06.jpg", "g07.jpg", "g12.jpg", "g13.jpg"]
    assert review.photo("q02.jpg")["answers"][0]["identity"] == "Ada"  # the run means Cleo, too
    assert review.photo("q00.jpg")["answers"][0]["identity"] == "Bo"


def test_what_the_run_has_applied_can_be_undone(root: Path) -> None:
    review = Review(read_case(root), "ann")
    review.undo("ann", "")
    assert _photos(review, "Cleo") == ["g02.jpg", "g08.jpg", "g14.jpg"]
    assert review.photo("q02.jpg")["answers"][0]["identity"] == "Cleo"
    review.undo("ann", "")
    assert _photos(review, "Ada") == ["g00.jpg", "g06.jpg", "g12.jpg"]


def test_decisions_after_the_run_follow(root: Path) -> None:
    review = Review(read_case(root), "ann")
    review.decide({"action": "rename", "individual": "Ada", "to": "Zoe", "who": "ann"})
    review.decide({"action": "confirm", "photo": "q02.jpg", "to": "Zoe", "who": "ann"})
    assert _photos(review, "Zoe") == ["g02.jpg", "g08.jpg", "g14.jpg", "q02.jpg"]
    assert review.photo("q02.jpg")["answers"][0]["identity"] == "Zoe"
