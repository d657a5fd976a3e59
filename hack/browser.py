"""A headless Chromium, driven by its DevTools protocol: for tests of the docs site, and to look at it.

python -m hack.browser URL FILE.png [--width 400] [--dark] [--window]    a picture of the whole page, or
                                                                          of what a window shows of it

`missing` installs Debian's chromium where that is possible.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from hack.cluster.errors import Missing
from hack.cluster.progress import Progress
from hack.cluster.requirements import missing_packages

PART = "browser"
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",  # containers have 64 MiB of it
    "--disable-gpu",
    "--hide-scrollbars",
)
START_SECONDS = 30.0
ANSWER_SECONDS = 30.0


def program() -> str | None:
    """Return the path of a browser on this machine; None if there is none."""
    return next((found for name in _PROGRAMS if (found := shutil.which(name))), None)


def missing(*, install: bool) -> Missing | None:
    """Return None if there is a browser, else what is missing; `install` installs Debian's, if possible."""
    if program():
        return None
    return missing_packages(PART, Progress(None), install=install)


class Page:
    """One tab. What it asked the network for is in `requests`, URL by URL."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._loads = 0
        self.requests: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol. Raises RuntimeError with the browser's words if it refuses."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                message = await self._next()
                if message.get("id") != number:
                    continue
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error'].get('message')}")
                result: dict[str, Any] = message["result"]
                return result

    async def open(self, url: str, *, width: int = 1400, height: int = 900, dark: bool = False) -> None:
        """Load a page in a window of that size and wait until it is there."""
        await self.call("Page.enable")
        await self.call("Network.enable")
        await self.call("Emulation.setFocusEmulationEnabled", enabled=True)  # the clipboard needs focus
        phone = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        before = self._loads
        await self.call("Page.navigate", url=url)
        async with asyncio.timeout(ANSWER_SECONDS):
            while self._loads == before:
                await self._next()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; a promise is awaited. Raises RuntimeError."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Return the value of an expression once it is true; raises TimeoutError with the expression."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 - nothing tells
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise TimeoutError(f"never true: {expression}") from error
        return value

    async def click(self, selector: str) -> None:
        """Click the middle of an element, with the mouse."""
        x, y = await self.until(
            f"(() => {{ const e = document.querySelector({selector!r}); if (!e) return null;"
            " e.scrollIntoView({block: 'center', behavior: 'instant'}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {}
            await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    async def type(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def picture(self, *, whole: bool = True) -> bytes:
        """Return a PNG of the page, or of what the window shows of it."""
        taken = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(taken["data"])

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json()
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif message.get("method") == "Page.loadEventFired":
            self._loads += 1
        return message


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """Start a browser with one tab, and end it; raises RuntimeError if there is none or it does not start."""
    found = program()
    if found is None:
        raise RuntimeError("no browser; run: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="aim-browser-", ignore_cleanup_errors=True) as profile:
        # Chromium can't make its sandbox as root.
        sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
        process = await asyncio.create_subprocess_exec(
            *(found, *_FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            port = await _port(Path(profile) / "DevToolsActivePort", process)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
                async with session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            # Its helpers are processes of the same group.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _port(file: Path, process: asyncio.subprocess.Process) -> int:
    """Return the port that the browser writes into its profile once it listens."""
    async with asyncio.timeout(START_SECONDS):
        while not (port := _written(file)):
            if process.returncode is not None:
                raise RuntimeError(f"the browser ended with code {process.returncode}")
            await asyncio.sleep(0.05)
    return int(port)


def _written(file: Path) -> str:
    """Return the first line of a file; "" as long as there is none."""
    return file.read_text().partition("\n")[0] if file.exists() else ""


async def _picture(url: str, *, width: int, dark: bool, whole: bool) -> bytes:
    async with browser() as page:
        await page.open(url, width=width, dark=dark)
        await asyncio.sleep(0.5)  # scripts lay some things out late
        return await page.picture(whole=whole)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    parser.add_argument("--width", type=int, default=1400)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--window", action="store_true")
    asked = parser.parse_args()
    if (lack := missing(install=True)) is not None:
        print(f"{lack.reason}. {lack.remedy}", file=sys.stderr)
        return 2
    taking = _picture(asked.url, width=asked.width, dark=asked.dark, whole=not asked.window)
    asked.file.write_bytes(asyncio.run(taking))
    return 0


if __name__ == "__main__":
    sys.exit(main())
