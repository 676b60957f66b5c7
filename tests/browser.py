"""A headless Chromium that tests control through the DevTools protocol, over pipes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.report_examples import CHROMIUM

TIMEOUT_S = 60
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --proxy-server=127.0.0.1:9 --remote-debugging-pipe"
)
_CHARTS_ARE_DRAWN = """
    [...document.querySelectorAll('.chart')].every(place => place.querySelector('svg')
        || place.textContent.includes('could not be drawn') || place.closest('details:not([open])'))
"""


class Page:
    """One page of a running browser."""

    def __init__(self, requests: int, answers: int) -> None:
        self._requests, self._answers = requests, answers
        self._buffer, self._count, self._session = b"", 0, ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def call(self, method: str, **params: Any) -> Any:  # Any: the protocol's JSON nests freely
        """Result of a method of the DevTools protocol."""
        self._count += 1
        request = {"id": self._count, "method": method, "params": params}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._requests, json.dumps(request).encode() + b"\0")
        while (answer := self._next_message()).get("id") != self._count:
            pass
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _next_message(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._answers, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def open(self, place: Path | str, *, width: int = 1280, dark: bool = False, touch: bool = False) -> None:
        """Load a file or an address in a window of `width` pixels and wait until its charts are drawn."""
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": touch}
        self.call("Emulation.setDeviceMetricsOverride", **metrics)
        self.call("Emulation.setTouchEmulationEnabled", enabled=touch)
        self.set_media(dark=dark)
        self.call("Page.navigate", url=place if isinstance(place, str) else place.as_uri())
        self.wait_for("document.readyState === 'complete'")
        self.wait_for(_CHARTS_ARE_DRAWN)

    def set_media(self, *, dark: bool = False, medium: str = "") -> None:
        """Emulate a colour scheme, and a medium such as "print"."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=medium, features=[scheme])

    def wait_for(self, condition: str) -> None:
        """Wait until a JavaScript condition is true."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.run(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.05)

    def centre(self, selector: str) -> tuple[float, float]:
        """Centre of an element in the window, after the page has scrolled to it."""
        box = self.run(f"""(() => {{
            const place = document.querySelector({json.dumps(selector)});
            place.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = place.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()""")
        return box[0], box[1]

    def turn_wheel(self, x: float, y: float) -> float:
        """Pixels by which the page scrolls when the wheel turns at a point."""
        before = self.run("window.scrollY")
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=120)
        time.sleep(0.3)
        return float(self.run("window.scrollY") - before)

    def tap(self, x: float, y: float) -> None:
        """Touch a point and lift the finger."""
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def save_picture(self, path: Path) -> None:
        """Write the whole page as PNG."""
        picture = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(picture["data"]))

    def save_pdf(self, path: Path) -> None:
        """Print the page to a PDF file."""
        path.write_bytes(base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"]))


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A browser with a new profile in `folder`; it ends with the context."""
    assert CHROMIUM is not None, "CI must have chromium"
    requests, answers = os.pipe(), os.pipe()
    # The protocol uses the descriptors 3 and 4 of the browser.
    command = f'exec "$0" "$@" 3<&{requests[0]} 4>&{answers[1]}'
    arguments = [CHROMIUM, *_FLAGS.split(), f"--user-data-dir={folder / 'profile'}", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", command, *arguments], pass_fds=(requests[0], answers[1]), stderr=subprocess.DEVNULL
    )
    os.close(requests[0])
    os.close(answers[1])
    try:
        yield Page(requests[1], answers[0])
    finally:
        os.write(requests[1], b'{"id": 0, "method": "Browser.close"}\0')
        process.wait(TIMEOUT_S)
        os.close(requests[1])
        os.close(answers[0])
