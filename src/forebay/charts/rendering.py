"""Pictures of Vega-Lite specifications, by vl-convert.

`drawing` runs this file as a script in processes of its own. The script must start quickly and must not depend on how
its parent found the package. Therefore it imports the standard library only, and vl-convert when it draws.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any, NamedTuple, TextIO

VEGA_LITE = "6.4"
"""Version of Vega-Lite that Altair writes and vl-convert draws."""
_PNG_SCALE = 2.0


class Picture(NamedTuple):
    """A chart as SVG text and as the bytes of a PNG file."""

    svg: str
    png: bytes


def draw(spec: dict[str, Any]) -> Picture:  # Any: Vega-Lite's JSON nests freely
    """Picture of a Vega-Lite specification.

    Raises
    ------
    ValueError
        If vl-convert cannot draw it.
    """
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    return Picture(svg, vl_convert.svg_to_png(svg, scale=_PNG_SCALE))


def bundle_vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, which sets `window.vegaEmbed`."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE))


def answer_requests(requests: TextIO, answers: TextIO) -> None:
    """Answer each request, a line of JSON, by a line of JSON. A request that fails ends the process."""
    for line in requests:
        request = json.loads(line)
        if "spec" in request:
            picture = draw(request["spec"])
            answer = {"svg": picture.svg, "png": base64.b64encode(picture.png).decode()}
        else:
            answer = {"bundle": bundle_vega()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    try:
        answer_requests(sys.stdin, sys.stdout)
    except BrokenPipeError:  # the parent has ended; at exit, Python would try to write the answer once more
        os._exit(0)
