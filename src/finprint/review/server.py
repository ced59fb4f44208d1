"""The server of the page: it answers on this machine alone, and only requests that bear its token."""

import fcntl
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from html import escape
from pathlib import Path
from socket import AF_INET, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, socket
from typing import Any, TextIO
from urllib.parse import quote

from pydantic import ValidationError
from waitress import create_server
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from finprint.base.errors import UserError
from finprint.base.files import cache, sha256_bytes
from finprint.review.access import HEADERS, kept_token, refusal
from finprint.review.case import Case, check_photos
from finprint.review.pictures import Picture
from finprint.review.review import Review

PAGE = Path(__file__).with_name("page")
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
HOST = "127.0.0.1"
THREADS = 8  # a browser asks for six things at once
LARGEST = 2**20  # bytes of a request
TEXTS = {"id": 12, "action": 20, "who": 80, "photo": 1000, "individual": 200, "to": 200}  # their longest, characters


class App:
    """The page and what it asks for, as a WSGI application."""

    def __init__(self, review: Review, token: str) -> None:
        self.review = review
        self._token = token
        self._gets: dict[str, Callable[[Any], Any]] = {
            "overview": lambda _: review.overview(),
            "news": lambda asked: review.news(asked.get("seen", 0, int)),
            "photo": lambda asked: review.photo(asked["image"]),
            "individual": lambda asked: review.individual(asked["name"]),
            "names": lambda asked: review.names(asked.get("search", "")),
            "catalogue": lambda asked: review.catalogue(
                asked.get("search", ""),
                asked.get("by", "name"),
                max(0, asked.get("start", 0, int)),
                min(500, asked.get("count", 100, int)),
            ),
            "proposals": lambda _: review.proposals(),
        }
        self._posts: dict[str, Callable[[dict[str, Any]], Any]] = {
            "decide": lambda given: review.decide(_decision(given)),
            "undo": lambda given: review.undo(_who(given), str(given.get("of", "")), str(given.get("id", ""))),
        }

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = LARGEST
        response = self._answered(request)
        response.headers.extend(HEADERS)
        return response(environ, start_response)

    def _answered(self, request: Request) -> Response:
        if why := refusal(request, self._token):
            return _refused(why)
        path = request.path.split("/", 2)[2:]
        if not path:  # the address without its last slash
            return Response(status=308, headers={"Location": f"/{self._token}/"})
        try:
            return self._found(request, path[0])
        except UserError as error:
            return _json({"error": str(error)}, 409)
        except ValidationError as error:  # of a decision
            return _json({"error": f"the decision is incomplete: {error.errors()[0]['msg']}"}, 400)
        except HTTPException as error:  # an argument is missing, or no JSON
            return _json({"error": f"the request is wrong: {error.description}"}, error.code or 400)
        except OSError as error:  # a full disk, a log that cannot be written
            return _json({"error": f"{error.filename or 'the disk'}: {error.strerror}. Nothing was saved"}, 500)

    def _found(self, request: Request, path: str) -> Response:
        asked = request.args
        if request.method == "POST":
            given = request.get_json()
            if path in self._posts and isinstance(given, dict):
                return _json(self._posts[path](given))
        elif path in self._gets:
            return _json(self._gets[path](asked))
        elif path == "picture":
            kind = asked.get("kind", "small")
            return _picture(self.review.picture(asked["image"], kind), kind == "small")
        elif path == "heat":
            pair = self.review.explainer.heat(asked["query"], asked["match"])
            return _picture(Picture(pair[asked.get("side") == "match"]), True)
        elif (file := PAGE / (path or "review.html")).suffix in TYPES and file.parent == PAGE and file.is_file():
            kind = f"{TYPES[file.suffix]}; charset=utf-8"
            return Response(file.read_bytes(), content_type=kind, headers={"Cache-Control": "no-cache"})
        return _json({"error": f"there is nothing called {path} here"}, 404)


@contextmanager
def listening(case: Case, port: int, who: str) -> Iterator[tuple[Any, str]]:
    """A server that listens, to be run by its `run()`, and the page's address.

    Args:
        case: to review.
        port: of 127.0.0.1; 0: any that is free.
        who: the reviewer until the page is told another name.

    Raises:
        UserError: the port is in use, another server reviews the same photos, or there is nothing to review.
    """
    check_photos(case)
    folder = cache() / "review" / sha256_bytes(str(case.log.resolve()).encode())[:16]
    logging.getLogger("waitress").setLevel(logging.ERROR)
    with ExitStack() as stack:
        lock = stack.enter_context(_alone(folder, case))
        token = kept_token(folder)
        review = Review(case, who)
        bound = stack.enter_context(_bound(port))
        server = create_server(App(review, token), sockets=[bound], threads=THREADS, ident="finprint")
        stack.callback(server.close)
        address = f"http://{HOST}:{bound.getsockname()[1]}/{token}/"
        lock.write(address)
        lock.flush()
        review.dates.start()
        yield server, address


def serve(case: Case, port: int, who: str, ready: Callable[[str], None]) -> None:
    """Serve the page of a case until Ctrl-C; `ready` is called with the page's address. See `listening`."""
    with listening(case, port, who) as (server, address):
        ready(address)
        server.run()


def _bound(port: int) -> socket:
    """A socket of this machine alone, with this port."""
    bound = socket(AF_INET, SOCK_STREAM)
    bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)  # the port of a server that has just ended is free at once
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        raise UserError(
            f"port {port} of this machine cannot be used ({error.strerror}): name another one, --port {port + 1}"
        ) from None
    return bound


def _alone(folder: Path, case: Case) -> TextIO:
    """A file that is locked as long as this process serves the case; it holds the page's address."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        address = lock.read().strip()
        lock.close()
        raise UserError(
            f"{case.title} is being reviewed already: open {address or 'the page of that server'}, several people can "
            "use it at once, or end that server first"
        ) from None
    lock.truncate(0)
    return lock


def _decision(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a decision, of the right types and no others."""
    fields: dict[str, Any] = {}
    for name, longest in TEXTS.items():
        text = str(given.get(name) or "").strip()
        if len(text) > longest or not text.isprintable():
            raise UserError(f"{name} is too long (more than {longest} characters), or holds what is no text")
        if text:
            fields[name] = text
    fields["who"] = _who(given)
    if images := given.get("photos"):
        fields["photos"] = [str(image) for image in images]
    if box := given.get("box"):
        fields["box"] = [round(float(side), 1) for side in box]
        left, top, right, bottom = fields["box"]
        if not (0 <= left < right and 0 <= top < bottom):
            raise UserError("the box is empty: draw it again")
    for name in ("distinctiveness", "quality"):
        if given.get(name) is not None:
            if given[name] not in (1, 2, 3):
                raise UserError(f"{name} is 1, 2 or 3")
            fields[name] = given[name]
    return fields


def _who(given: dict[str, Any]) -> str:
    """The reviewer's name."""
    if not (who := " ".join(str(given.get("who") or "").split())[:80]):
        raise UserError("say who you are: enter your name at the top of the page")
    return who


def _json(value: Any, status: int = 200) -> Response:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Response(text, status, mimetype="application/json", headers={"Cache-Control": "no-store"})


def _picture(picture: Picture, kept: bool) -> Response:
    """A JPEG, which the browser may keep where it does not hang on a file that may go or change."""
    headers = {"Cache-Control": "private, max-age=3600" if kept and not picture.note else "no-store"}
    if picture.note:
        headers["X-Note"] = quote(picture.note)
    return Response(picture.jpeg, mimetype="image/jpeg", headers=headers)


def _refused(why: str) -> Response:
    """One page that says why a request was refused."""
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Refused</title>'
        f"<h1>Refused</h1><p>This request was refused because {escape(why)}.</p>"
        "<p>To review photos, open the address that <code>finprint review</code> has printed: copy all of it into the "
        "address bar.</p></html>"
    )
    return Response(text, 403, mimetype="text/html", headers={"Cache-Control": "no-store"})
