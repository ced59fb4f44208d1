"""Who may talk to the server: the page that it has served itself, whose address holds the token, and nobody else."""

import hmac
import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from werkzeug.wrappers import Request

HOSTS = ("127.0.0.1", "localhost", "[::1]")
SAME = ("same-origin", "none", "")  # of Sec-Fetch-Site; "none": a person typed the address
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def refusal(request: Request, token: str) -> str:
    """Why a request is refused, for people; "" if it is let in.

    A page of another site can make a browser send requests to this server. It cannot know the token, nor set the
    headers Host and Origin, which name that site: also where the site's name leads to this machine (DNS rebinding).
    """
    host = request.headers.get("Host", "")
    if urlsplit(f"//{host}").hostname not in {name.strip("[]") for name in HOSTS}:
        return f"it was sent to {host or 'no host'}, and this server answers to 127.0.0.1 alone"
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "")
    if (origin is not None and origin != f"http://{host}") or site not in SAME:
        return "it comes from another site"
    given = request.path.split("/")[1]
    if not hmac.compare_digest(given.encode(), token.encode()):
        return "its token is wrong"
    if request.method not in ("GET", "HEAD", "POST"):
        return f"the method {request.method} is not one that the page uses"
    if request.method == "POST" and request.mimetype != "application/json":
        return "it holds no JSON"
    return ""


def kept_token(folder: Path) -> str:
    """The token of a review: kept in a file that only its owner may read, so that open pages outlive a restart."""
    path = folder / "token"
    if path.exists() and len(token := path.read_text(encoding="ascii").strip()) >= 32:
        return token
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(24)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token)
    return token
