"""The log of decisions: it only grows, survives a crash, takes several writers, and knows what still counts."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from finprint.base.errors import UserError
from finprint.store.decisions import Decision, Log, new_name, standing


def _log(folder: Path) -> Log:
    return Log(folder / "log.jsonl")


def test_a_decision_is_one_line_that_is_read_back(tmp_path: Path) -> None:
    log = _log(tmp_path / "made")
    assert log.read() == []
    answer = {"run": "abc", "names": [["A17", 0.8], ["new_individual", 0.1]]}
    first = log.append(Decision(action="confirm", photo="a b/ü.jpg", to="A17", who="Ada", answer=answer))
    second = log.append(Decision(action="box", photo="q.jpg", box=(1, 2.5, 30, 40)))
    assert log.read() == [first, second]
    assert len({first.id, second.id}) == 2
    assert first.when.endswith("Z")
    lines = log.path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith('{"action":"confirm","photo":"a b/ü.jpg","to":"A17","answer":{')


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    log = _log(tmp_path)
    script = (
        "import sys; from pathlib import Path; from finprint.store.decisions import Decision, Log\n"
        "log = Log(Path(sys.argv[1]))\n"
        "for n in range(50): log.append(Decision(action='unsure', photo=f'{sys.argv[2]}{n}', who='x' * 300))\n"
    )
    command = [sys.executable, "-c", script, str(log.path)]
    running = [subprocess.Popen([*command, who], env=os.environ | {"PYTHONPATH": "src"}) for who in "ab"]
    assert [one.wait(60) for one in running] == [0, 0]
    lines = log.read()
    assert {line.photo for line in lines} == {f"{who}{n}" for who in "ab" for n in range(50)}
    for who in "ab":
        assert [line.photo for line in lines if line.photo[0] == who] == [f"{who}{n}" for n in range(50)]


def test_what_a_crash_left_of_the_last_line_is_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = _log(tmp_path)
    first = log.append(Decision(action="unsure", photo="a"))
    with log.path.open("a") as file:
        file.write('{"action":"conf')
    second = log.append(Decision(action="unsure", photo="b"))
    assert log.read() == [first, second]
    with log.path.open("a") as file:
        file.write('{"act')
    capsys.readouterr()
    assert log.read() == [first, second]
    assert capsys.readouterr().err == f"{log.path}: its last line was cut off; it is now in log.jsonl.damaged\n"
    assert log.read() == [first, second]
    assert capsys.readouterr().err == ""  # said once
    assert (tmp_path / "log.jsonl.damaged").read_text() == '{"action":"conf\n{"act\n'


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    log = _log(tmp_path)
    log.path.write_text(
        '{"action":"unsure","photo":"a"}\n\n{"action":"gone","photo":"b"}\n{"action":"unsure","photo":"c"}\n'
    )
    with pytest.raises(UserError) as caught:
        log.read()
    assert str(caught.value).startswith(f"{log.path} line 3 is damaged (action: Input should be 'confirm', 'new'")
    log.path.write_text('{"action":"unsure","photo":"a","colour":"red"}\n')
    with pytest.raises(UserError, match="line 1 is damaged \\(colour: Extra inputs are not permitted\\): mend"):
        log.read()


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = _log(tmp_path)
    first = log.append(Decision(action="unsure", photo="a"))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("finprint.store.decisions.os.fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            log.append(Decision(action="unsure", photo="b"))
    assert caught.value.filename == str(log.path)
    assert log.read() == [first]


def test_a_disk_that_takes_only_a_piece_of_a_line_leaves_nothing_of_it(tmp_path: Path) -> None:
    log = _log(tmp_path)
    first = log.append(Decision(action="unsure", photo="a"))
    script = (
        "import resource, sys; from pathlib import Path; from finprint.store.decisions import Decision, Log\n"
        "path = Path(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20,) * 2)\n"
        "Log(path).append(Decision(action='unsure', photo='b'))\n"
    )
    command = [sys.executable, "-c", script, str(log.path)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": "src"}, capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert log.read() == [first]


def test_a_new_individual_without_a_name_gets_one_for_good(tmp_path: Path) -> None:
    log = _log(tmp_path)
    first = log.append(Decision(action="new", photo="a"), taken=["new_0001"])
    second = log.append(Decision(action="new", photos=("b", "c")), taken=["new_0001"])
    log.append(Decision(action="undo", of=first.id))
    third = log.append(Decision(action="new", photo="a"))
    assert [line.to for line in (first, second, third)] == ["new_0002", "new_0003", "new_0001"]
    assert [(one.photo, one.to) for one in standing(log.read())] == [
        ("b", "new_0003"),
        ("c", "new_0003"),
        ("a", "new_0001"),
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action": "confirm", "photo": "a"}, "confirm needs to"),
        ({"action": "confirm", "to": "A"}, "confirm needs photo"),
        ({"action": "merge", "individual": "A"}, "merge needs to"),
        ({"action": "split", "individual": "A", "to": "B"}, "split needs photos"),
        ({"action": "box", "photo": "a", "box": (5, 5, 5, 9)}, "box is empty"),
        ({"action": "grade", "photo": "a"}, "grade needs distinctiveness or quality"),
        ({"action": "grade", "photo": "a", "quality": 4}, "Input should be 1, 2 or 3"),
        ({"action": "undo"}, "undo needs of"),
    ],
)
def test_an_incomplete_decision_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Decision.model_validate(fields)


def _numbered(*decisions: Decision) -> list[Decision]:
    return [one.model_copy(update={"id": f"{number:012x}"}) for number, one in enumerate(decisions, start=1)]


def test_what_stands() -> None:
    lines = _numbered(
        Decision(action="confirm", photo="a", to="A1"),
        Decision(action="merge", individual="A1", to="A2"),
        Decision(action="unsure", photo="a"),  # the last on a photo counts
        Decision(action="grade", photo="a", quality=2),  # which is about something else
        Decision(action="new", photos=("b", "c"), to="new_0001"),
        Decision(action="confirm", photo="c", to="A3"),
        Decision(action="confirm", photo="d", to="A4"),
        Decision(action="undo", of=f"{7:012x}"),
        Decision(action="merge", individual="A1", to="A2"),
    )
    assert [(one.action, one.photo, one.to) for one in standing(lines)] == [
        ("merge", "", "A2"),
        ("unsure", "a", ""),
        ("grade", "a", ""),
        ("new", "b", "new_0001"),
        ("confirm", "c", "A3"),
        ("merge", "", "A2"),
    ]


def test_after_an_undo_the_decision_before_it_stands_and_an_undo_can_be_undone() -> None:
    lines = _numbered(
        Decision(action="confirm", photo="a", to="A1"),
        Decision(action="confirm", photo="a", to="A2"),
        Decision(action="undo", of=f"{2:012x}"),
        Decision(action="undo", of=f"{3:012x}"),
    )
    assert [one.to for one in standing(lines[:2])] == ["A2"]
    assert [one.to for one in standing(lines[:3])] == ["A1"]
    assert [one.to for one in standing(lines)] == ["A2"]


def test_a_name_that_nobody_has() -> None:
    assert new_name([]) == "new_0001"
    assert new_name(["new_0001", "new_0003", "A"]) == "new_0002"


def test_a_stage_reads_a_log_that_is_cut_off_and_leaves_it_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = _log(tmp_path)
    first = log.append(Decision(action="unsure", photo="a"))
    with log.path.open("a") as file:
        file.write('{"act')
    before = log.path.read_bytes()
    assert log.read(mend=False) == [first]
    assert log.path.read_bytes() == before
    assert capsys.readouterr().err == f"{log.path}: its last line is cut off and does not count\n"
    assert [path.name for path in tmp_path.iterdir()] == ["log.jsonl"]
    log.path.write_bytes(b"")
    assert log.read(mend=False) == log.read() == []
    assert capsys.readouterr().err == ""  # nothing of an empty log is cut off
