"""A browser driven through chromedriver, in the words of the W3C's WebDriver protocol."""

import base64
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"Enter": "\ue007", "Escape": "\ue00c", "Left": "\ue012", "Up": "\ue013", "Right": "\ue014", "Down": "\ue015"}
KEYS |= {"Tab": "\ue004", "Shift": "\ue008"}
SWITCHES = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SWITCHES += ["--disable-sync", "--disable-component-update", "--disable-dev-shm-usage", "--window-size=1440,900"]


class Browser:
    """One headless Chromium with one session."""

    def __init__(self, chromedriver: str, chromium: str, profile: Path) -> None:
        self._driver = subprocess.Popen(
            [chromedriver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._driver.stdout is not None
        port = None
        for line in self._driver.stdout:
            if started := re.search(r"started successfully on port (\d+)", line):
                port = int(started[1])
                break
        assert port, "chromedriver has not started"
        self._root = f"http://127.0.0.1:{port}"
        options = {"binary": chromium, "args": [*SWITCHES, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        made = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._root += f"/session/{made['sessionId']}"

    def close(self) -> None:
        """End the browser and its driver."""
        self._call("DELETE", "")
        self._driver.terminate()
        self._driver.wait(30)
        if self._driver.stdout:
            self._driver.stdout.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            told = json.load(error)["value"]
            error.close()
            raise AssertionError(f"{told['error']}: {told['message'].splitlines()[0]}") from None

    def open(self, address: str) -> None:
        """Open an address; returns once its page and its scripts are there.

        The driver may answer sooner on a busy machine, if the page before it has just been left.
        """
        self._call("POST", "/url", {"url": address})
        self.wait(
            "document.readyState === 'complete' && (location.href === 'about:blank') === arguments[0]",
            address == "about:blank",
        )

    def reload(self) -> None:
        self._call("POST", "/refresh", {})

    def run(self, script: str, *given: Any) -> Any:
        """What a function body in JavaScript returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": given})

    def wait(self, condition: str | Callable[[], Any], *given: Any, seconds: float = 15) -> Any:
        """Wait until a JavaScript expression, or a function, is true; returns its value."""
        end = time.monotonic() + seconds
        while True:
            value = condition() if callable(condition) else self.run(f"return {condition}", *given)
            if value or time.monotonic() > end:
                assert value, f"it has not come true in {seconds} s: {condition}\n{self.text('body')[:2000]}"
                return value
            time.sleep(0.03)

    def element(self, selector: str) -> str:
        return self._call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector: str) -> None:
        self._call("POST", f"/element/{self.element(selector)}/click", {})

    def text(self, selector: str) -> str:
        return self._call("GET", f"/element/{self.element(selector)}/text")

    def write(self, selector: str, text: str) -> None:
        """Replace what stands in a field."""
        element = self.element(selector)
        self._call("POST", f"/element/{element}/clear", {})
        self._call("POST", f"/element/{element}/value", {"text": text})

    def keys(self, *names: str) -> None:
        """Press keys one after another; those held with Shift are written "Shift+x"."""
        actions = []
        for name in names:
            held, _, key = name.rpartition("+") if len(name) > 1 else ("", "", name)
            down = [{"type": "keyDown", "value": KEYS[held]}] if held else []
            up = [{"type": "keyUp", "value": KEYS[held]}] if held else []
            value = KEYS.get(key, key)
            actions += [*down, {"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}, *up]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at a place of the window, move, and let go; px."""
        steps = [
            {"type": "pointerMove", "duration": 0, "x": round(start[0]), "y": round(start[1])},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerMove", "duration": 50, "x": round(end[0]), "y": round(end[1])},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}, "actions": steps}
        self._call("POST", "/actions", {"actions": [mouse]})

    def size(self, width: int, height: int) -> None:
        self._call("POST", "/window/rect", {"width": width, "height": height})

    def command(self, name: str, **params: Any) -> Any:
        """A command of Chromium's own protocol."""
        return self._call("POST", "/goog/cdp/execute", {"cmd": name, "params": params})

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._call("GET", "/screenshot")))

    def complaints(self) -> list[str]:
        """The errors that the browser has logged since this was last asked."""
        entries = self._call("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def tab(self, handle: str = "") -> str:
        """Go to another tab, or open one; returns its handle."""
        handle = handle or self._call("POST", "/window/new", {"type": "tab"})["handle"]
        self._call("POST", "/window", {"handle": handle})
        return handle

    def tabs(self) -> list[str]:
        return self._call("GET", "/window/handles")

    def close_tab(self) -> None:
        self._call("DELETE", "/window")
