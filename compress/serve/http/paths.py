"""`Paths`: which route a request means, behind a proxy's path and with a slash too many."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

WORK = ("/v1/", "/v2/models", "/v2/repository")  # what costs; the page, health and documentation stay open
ALIVE = "/livez"  # a probe may call the server by any name: the answer says nothing
MONITORED = (ALIVE, "/readyz", "/healthz", "/metrics", "/v2/health/live", "/v2/health/ready")
KEYED = (*WORK, "/metrics")


class Paths:
    """Names the routes of a server that a proxy shows under a path of its own.

    Some proxies send requests on as they came, others remove their path; both are understood.
    """

    def __init__(self, root_path: str) -> None:
        """Take the proxy's path, as in "/vision", or ""."""
        self._root_path = root_path

    def own(self, scope: Scope) -> Scope:
        """Return the request with the path that the routes know; the key and the limits look at nothing else."""
        path = asked = scope["path"]
        if self._root_path and path.startswith(f"{self._root_path}/"):
            path = path.removeprefix(self._root_path)
        if path.endswith("/") and (path.startswith(("/v1/", "/v2/")) or path[:-1] in MONITORED):
            path = path[:-1]
        return scope if path == asked else {**scope, "path": path, "raw_path": path.encode()}

    def lacks_slash(self, scope: Scope) -> bool:
        """Return whether a browser asks for the page so that its links would point beside the proxy's path."""
        return bool(self._root_path) and scope["path"] == self._root_path

    def with_slash(self) -> ASGIApp:
        """Return the answer that sends a browser to the page."""
        location = f"{self._root_path}/".encode()

        async def redirect(_: Scope, receive: Receive, send: Send) -> None:
            headers = [(b"location", location), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 308, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

        return redirect
