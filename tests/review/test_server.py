"""The server without a browser: who is let in, what is refused, and what the log holds afterwards."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from finished import Project
from reviewed import read_case, served, write_run
from werkzeug.test import Client, TestResponse

from finprint.base.errors import UserError
from finprint.bundle.bundle import Bundle
from finprint.bundle.identify import identify
from finprint.review.access import kept_token
from finprint.review.case import Case, identified_case
from finprint.review.review import Review
from finprint.review.server import App, listening
from finprint.store.decisions import Log

TOKEN = "t" * 32
HOST = {"Host": "127.0.0.1:8765"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    write_run(root)
    return root


@pytest.fixture
def case(run: Path) -> Iterator[Case]:
    case = read_case(run)
    yield case
    for path in case.log.parent.glob("*"):
        path.unlink()


@pytest.fixture
def client(case: Case) -> Client:
    return Client(App(Review(case, "ann"), TOKEN))


def get(client: Client, path: str, token: str = TOKEN, **headers: str) -> TestResponse:
    return client.get(f"/{token}/{path}", headers=HOST | {k.replace("_", "-"): v for k, v in headers.items()})


def decide(client: Client, **fields: Any) -> Any:
    answer = client.post(f"/{TOKEN}/decide", json={"who": "ann"} | fields, headers=HOST)
    assert answer.status_code == 200, answer.text
    return answer.json


def refused(client: Client, path: str = "decide", **fields: Any) -> str:
    answer = client.post(f"/{TOKEN}/{path}", json={"who": "ann"} | fields, headers=HOST)
    assert answer.status_code >= 400
    assert answer.json is not None
    return answer.json["error"]


@pytest.mark.parametrize(
    ("token", "headers", "why"),
    [
        ("x" * 32, {}, "its token is wrong"),
        ("", {}, "its token is wrong"),
        (TOKEN, {"Host": "evil.example"}, "it was sent to evil.example"),
        (TOKEN, {"Host": "127.0.0.1.evil.example:8765"}, "it was sent to 127.0.0.1.evil.example:8765"),
        (TOKEN, {"Origin": "http://evil.example"}, "it comes from another site"),
        (TOKEN, {"Origin": "null"}, "it comes from another site"),
        (TOKEN, {"Origin": "http://127.0.0.1:9999"}, "it comes from another site"),
        (TOKEN, {"Sec-Fetch-Site": "cross-site"}, "it comes from another site"),
    ],
)
@pytest.mark.parametrize("path", ["", "overview", "picture?image=q00.jpg", "review.js"])
def test_nobody_else_is_let_in(client: Client, token: str, headers: dict[str, str], why: str, path: str) -> None:
    answer = client.get(f"/{token}/{path}", headers=HOST | headers)
    assert answer.status_code == 403
    assert f"This request was refused because {why}" in answer.text
    assert TOKEN not in answer.text
    assert answer.headers["Content-Type"].startswith("text/html")


def test_another_site_cannot_decide(client: Client, case: Case) -> None:
    given = {"who": "eve", "action": "unsure", "photo": "q00.jpg"}
    form = client.post(f"/{TOKEN}/decide", data=json.dumps(given), content_type="text/plain", headers=HOST)
    assert form.status_code == 403  # what a form of any site could send without being asked
    assert client.put(f"/{TOKEN}/decide", json=given, headers=HOST).status_code == 403
    assert not case.log.exists()


def test_the_page_fetches_nothing_from_elsewhere(client: Client) -> None:
    page = get(client, "")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    for name in ("review.js", "viewer.js", "review.css", "icon.svg"):
        assert get(client, name).status_code == 200
    assert "http" not in page.text.replace("http-equiv", "")
    for path in ("../server.py", "%2e%2e/server.py", "page/review.js", "nothing.js"):
        assert get(client, path).status_code == 404


def test_a_decision_that_is_sent_twice_is_written_once(client: Client, case: Case) -> None:
    for _ in range(2):
        told = decide(client, id="0123456789ab", action="confirm", photo="q00.jpg", to="Bo")
        assert told["decision"]["id"] == "0123456789ab"
    for _ in range(2):
        client.post(f"/{TOKEN}/undo", json={"who": "ann", "id": "ba9876543210"}, headers=HOST)
    assert [json.loads(line)["action"] for line in case.log.read_text().splitlines()] == ["confirm", "undo"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"action": "confirm", "photo": "q00.jpg", "to": "Zoe"}, "there is no individual Zoe"),
        ({"action": "confirm", "photo": "zz.jpg", "to": "Bo"}, "there is no photo zz.jpg"),
        ({"action": "new", "photo": "q00.jpg", "to": "Bo"}, "Bo is the name of another individual"),
        ({"action": "rename", "individual": "Ada", "to": "Bo"}, "Bo is the name of another individual"),
        ({"action": "merge", "individual": "Ada", "to": "Ada"}, "Ada cannot be merged with itself"),
        ({"action": "split", "individual": "Ada", "photos": ["g00.jpg", "g06.jpg", "g12.jpg"]}, "these are all photos"),
        ({"action": "fly", "photo": "q00.jpg"}, "'fly' is none of the actions"),
        ({"action": "unsure", "photo": "q00.jpg", "who": " "}, "say who you are"),
        ({"action": "box", "photo": "q00.jpg", "box": [9, 9, 9, 20]}, "the box is empty"),
        ({"action": "grade", "photo": "q00.jpg", "quality": 4}, "quality is 1, 2 or 3"),
        ({"action": "grade", "photo": "q00.jpg"}, "the decision is incomplete"),
        ({"action": "unsure"}, "the decision is incomplete"),
        ({"action": "new", "photo": "q00.jpg", "to": "x" * 201}, "to is too long"),
    ],
)
def test_what_is_refused_is_not_written(client: Client, case: Case, fields: dict[str, Any], why: str) -> None:
    assert why in refused(client, **fields)
    assert not case.log.exists()


def test_names_are_followed_through_merges_and_back(client: Client) -> None:
    decide(client, action="merge", individual="Ada", to="Bo")
    assert get(client, "individual?name=Ada").json["name"] == "Bo"
    assert get(client, "photo?image=q00.jpg").json["answers"][0]["identity"] == "Bo"
    decide(client, action="rename", individual="Bo", to="Ada")
    told = get(client, "individual?name=Bo").json
    assert told["name"] == "Ada"
    assert len(told["photos"]) == 6
    client.post(f"/{TOKEN}/undo", json={"who": "ann"}, headers=HOST)
    client.post(f"/{TOKEN}/undo", json={"who": "ann"}, headers=HOST)
    assert len(get(client, "individual?name=Ada").json["photos"]) == 3
    assert len(get(client, "individual?name=Bo").json["photos"]) == 3


def test_a_last_line_that_is_damaged_is_set_aside_and_the_rest_counts(client: Client, case: Case) -> None:
    decide(client, action="confirm", photo="q00.jpg", to="Bo")
    with case.log.open("a") as file:
        file.write('{"action": "confirm", "pho')
    again = Client(App(Review(case, "ann"), TOKEN))
    assert get(again, "overview").json["progress"] == {"photos": 13, "decided": 1, "confirmed": 1}
    decide(again, action="unsure", photo="q01.jpg")
    assert len(case.log.read_text().splitlines()) == 2
    assert list(case.log.parent.glob("*.damaged"))


def test_a_disk_that_is_full_in_mid_decision_loses_nothing(case: Case, small_disk: Path) -> None:
    full = replace(case, log=small_disk / "log.jsonl")
    client = Client(App(Review(full, "ann"), TOKEN))
    decide(client, action="confirm", photo="q00.jpg", to="Bo")
    before = full.log.read_bytes()
    (small_disk / "filler").write_bytes(b"\1" * (shutil.disk_usage(small_disk).free))
    long = "x" * 200  # more than the page of the disk has left that holds the log
    told = ""
    while not told:
        answer = client.post(
            f"/{TOKEN}/decide", json={"who": "ann", "action": "new", "photo": "q01.jpg", "to": long}, headers=HOST
        )
        told = answer.json["error"] if answer.status_code == 500 else ""
        before = before if told else full.log.read_bytes()
        long = long[:-1]
    assert told == f"{full.log}: No space left on device. Nothing was saved"
    assert full.log.read_bytes() == before
    (small_disk / "filler").unlink()
    decide(client, action="unsure", photo="q02.jpg")
    assert [one.action for one in Log(full.log).read()][-1] == "unsure"


def test_lines_of_another_process_are_seen(client: Client, case: Case) -> None:
    seen = get(client, "overview").json["seen"]
    decide(Client(App(Review(case, "ben"), TOKEN)), action="unsure", photo="q05.jpg", who="ben")
    told = get(client, f"news?seen={seen}").json
    assert told["touched"] == ["q05.jpg"]
    assert told["stands"]["q05.jpg"][:3] == ["unsure", "", "ben"]


def test_an_old_page_is_told(client: Client, case: Case) -> None:
    assert get(client, "news").json["old"] is False
    content = case.source.read_bytes()
    case.source.unlink()
    assert get(client, "news").json["old"] is True
    case.source.write_bytes(content)


def test_a_second_server_and_a_port_in_use_are_refused(case: Case, tmp_path: Path) -> None:
    with served(case) as address:
        port = int(address.split(":")[2].split("/")[0])
        with pytest.raises(UserError, match="is being reviewed already: open " + address), listening(case, 0, "ben"):
            pass
        other = tmp_path / "other"
        write_run(other)
        with (
            pytest.raises(UserError, match=rf"port {port} .*--port {port + 1}$"),
            listening(read_case(other), port, "ben"),
        ):
            pass
    with served(case) as again:
        assert again.split("/")[3] == address.split("/")[3]  # the token is kept, so that open pages go on


def test_only_its_owner_can_read_the_token(tmp_path: Path) -> None:
    token = kept_token(tmp_path)
    assert len(token) == 32
    assert kept_token(tmp_path) == token
    assert (tmp_path / "token").stat().st_mode & 0o077 == 0


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "finprint", "review", "nowhere"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == (
        "error: nowhere holds no identified photos: `finprint identify PHOTOS --out nowhere` first\n"
    )


def test_what_identify_has_written_is_reviewed(project: Project, tmp_path: Path) -> None:
    photos = project.photos
    given = [project.root / path for path in photos.loc[photos["split"] == "test", "path"].head(3)]
    identify(given, Bundle.load(project.bundle), tmp_path / "june")
    case = identified_case(tmp_path / "june")
    client = Client(App(Review(case, "ann"), TOKEN))
    image = next(iter(case.answers))
    told = get(client, f"photo?image={image}").json
    assert told["asked"]
    first = next(answer for answer in told["answers"] if not answer["new"])
    assert first["photos"] > 0
    for kind in ("small", "crop", "photo"):
        for shown in (image, first["match"]):
            answer = client.get(f"/{TOKEN}/picture", query_string={"image": shown, "kind": kind}, headers=HOST)
            assert answer.mimetype == "image/jpeg"
            assert "X-Note" not in answer.headers
    width, height = told["size"]
    decide(client, action="box", photo=image, box=[0, 0, width / 2, height / 2])
    again = get(client, f"photo?image={image}").json
    assert again["drawn"]
    assert len(again["answers"]) == len(told["answers"])
    decide(client, action="confirm", photo=image, to=first["identity"])
    assert (tmp_path / "june/decisions.jsonl").read_text().count("\n") == 2
