"""Whom each photo shows after decisions: one replay for surveys, bundles, reviews and exports."""

from typing import Any

import pytest

from finprint.base.errors import UserError
from finprint.store.decisions import Decision, names_made, standing
from finprint.store.replay import Replay

SHOWS = {"a": "A", "b": "B", "c": "C", "q": None, "r": None}


def _lines(*told: dict[str, Any]) -> list[Decision]:
    return [Decision.model_validate({"id": f"{number:012x}"} | one) for number, one in enumerate(told, start=1)]


def _confirm(photo: str, to: str) -> dict[str, Any]:
    return {"action": "confirm", "photo": photo, "to": to}


def _rename(individual: str, to: str) -> dict[str, Any]:
    return {"action": "rename", "individual": individual, "to": to}


def _merge(individual: str, to: str) -> dict[str, Any]:
    return {"action": "merge", "individual": individual, "to": to}


def _new(photo: str, to: str) -> dict[str, Any]:
    return {"action": "new", "photo": photo, "to": to}


def _strictly(*told: dict[str, Any]) -> Replay:
    lines = _lines(*told)
    replay = Replay(SHOWS, names_made(lines))
    for one in standing(lines):
        replay.apply(one)
    return replay


def test_a_name_that_was_given_to_another_means_its_new_bearer() -> None:
    replay = _strictly(_merge("A", "B"), _rename("C", "A"), _confirm("q", "A"))
    assert replay.shows == {"a": "B", "b": "B", "c": "A", "q": "A", "r": None}
    assert replay.origins == {"A": "B", "B": "B", "C": "A"}
    assert replay.since({"a": "A", "b": "B", "c": "C"}) == {"A": "B", "B": "B", "C": "A"}
    assert {name: list(photos) for name, photos in replay.members.items()} == {"B": ["b", "a"], "A": ["c", "q"]}


def test_former_names_are_followed() -> None:
    replay = _strictly(_rename("A", "Ann"), _merge("B", "A"), _rename("Ann", "Annie"))
    assert [replay.now(name) for name in ("A", "Ann", "B", "Cy")] == ["Annie", "Annie", "Annie", "Cy"]
    assert replay.shows["b"] == "Annie"


def test_what_the_individuals_of_another_time_are_called() -> None:
    """As they were where a photo still is, else as most of their photos are."""
    replay = Replay({"a1": "A", "a2": "X", "a3": "X", "b1": "Y", "b2": "Y", "b3": "Z", "c": None})
    then = {"a1": "A", "a2": "A", "a3": "A", "b1": "B", "b2": "B", "b3": "B", "c": "C", "gone": "D"}
    assert replay.since(then) == {"A": "A", "B": "Y", "C": "C", "D": "D"}


def test_a_photo_that_was_confirmed_and_is_relabelled_stays_in_the_catalogue() -> None:
    """A run has made it a photo of the catalogue; without the log it is one to identify."""
    lines = _lines(_confirm("q", "A"), {"action": "relabel", "photo": "q", "to": "B"})
    assert [(one.action, one.to) for one in standing(lines)] == [("confirm", "B")]
    lines = _lines(_confirm("q", "A"), {"action": "relabel", "photo": "q"})
    assert [(one.action, one.to) for one in standing(lines)] == [("unsure", "")]
    lines = _lines({"action": "relabel", "photo": "a", "to": "B"}, {"action": "relabel", "photo": "a", "to": "C"})
    assert [(one.action, one.to) for one in standing(lines)] == [("relabel", "C")]


def test_a_split_leaves_alone_what_a_later_decision_names() -> None:
    split = {"action": "split", "individual": "A", "photos": ["a", "q"], "to": "Bea"}
    replay = _strictly(_confirm("q", "A"), split, _confirm("q", "C"))
    assert replay.shows == SHOWS | {"a": "Bea", "q": "C"}
    assert _strictly(_confirm("q", "A"), split).shows == SHOWS | {"a": "Bea", "q": "Bea"}
    alone = split | {"photos": ["q"]}
    assert [one.action for one in standing(_lines(_confirm("q", "A"), alone, _confirm("q", "C")))] == ["confirm"]


def test_a_new_animal_stays_one_where_its_first_photo_is_decided_again() -> None:
    replay = _strictly(_new("q", "Tom"), _confirm("r", "Tom"), {"action": "unusable", "photo": "q"})
    assert replay.shows == SHOWS | {"r": "Tom"}
    replay = _strictly(_new("q", "Tom"), _confirm("r", "Tom"), _new("q", "Tom"), _rename("Tom", "Old Tom"))
    assert replay.shows == SHOWS | {"q": "Old Tom", "r": "Old Tom"}
    with pytest.raises(UserError, match="no individual is called 'Tom'"):
        _strictly(_new("q", "Tom"), _confirm("r", "Tom"), {"action": "undo", "of": f"{1:012x}"})


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([_confirm("zz", "A")], "no photo is called 'zz'"),
        ([_confirm("q", "Anna")], "no individual is called 'Anna'"),
        ([_confirm("a", "B")], "'a' is labelled as 'A' already: write relabel"),
        ([_new("q", "A")], "'A' is in the catalogue already, so it is not new: write confirm"),
        ([_new("q", "T"), _new("r", "T")], "two decisions give the name 'T' to two new individuals, in 'q' and 'r': "),
        ([_rename("A", "B")], "'B' is another individual already: to make them one, write merge"),
        ([_merge("D", "A")], "no individual is called 'D'"),
        ([{"action": "split", "individual": "A", "photos": ["q"], "to": "T"}], "'q' shows nobody who is known, so"),
        ([{"action": "split", "individual": "A", "photos": ["b"], "to": "T"}], "'b' shows 'B' and not 'A', so it"),
    ],
)
def test_what_cannot_be(told: list[dict[str, Any]], why: str) -> None:
    with pytest.raises(UserError) as caught:
        _strictly(*told)
    assert str(caught.value).startswith(why)
    Replay.of_log(SHOWS, _lines(*told))  # a page or an export goes on


def test_right_answers_follow_names_and_make_none_known() -> None:
    replay = Replay({"a": "A"}, truth={"q": "A", "r": "Z"})
    replay.merge("Z", "A")
    replay.rename("A", "Anna")
    assert replay.truth == {"q": "Anna", "r": "Anna"}
    replay = Replay({"a": "A", "b": None}, truth={"q": "Z"})
    assert "Z" not in replay
    replay.new("b", "Z")
    assert "Z" in replay
