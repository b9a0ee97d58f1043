"""The page at `/`: a few files of this package, held in memory, under a strict content policy."""

from __future__ import annotations

from pathlib import Path

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_FOLDER = Path(__file__).parent
_CSS, _JS = "text/css; charset=utf-8", "text/javascript; charset=utf-8"
_FILES = {  # path -> (file, type): nothing else can be asked for, so no path is ever built from a request
    "/": ("index.html", "text/html; charset=utf-8"),
    "/static/page.css": ("page.css", _CSS),
    "/static/page.js": ("page.js", _JS),
    "/static/api.js": ("api.js", _JS),
    "/static/boxes.js": ("boxes.js", _JS),
    "/static/camera.js": ("camera.js", _JS),
    "/static/stats.js": ("stats.js", _JS),
    "/static/view.js": ("view.js", _JS),
}
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def page_routes() -> list[BaseRoute]:
    """Return the routes of the page's files."""
    return [_route(path, _FOLDER / name, media_type) for path, (name, media_type) in _FILES.items()]


def _route(path: str, file: Path, media_type: str) -> Route:
    content = file.read_bytes()

    async def send_file(_: object) -> Response:
        return Response(content, media_type=media_type, headers=PAGE_HEADERS)

    return Route(path, send_file, methods=["GET"])
