"""The inspector page: every exchange, newest first, and a form that places calls."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'"
)
_KINDS = {"inspector.html": "text/html", "inspector.js": "text/javascript", "inspector.css": "text/css"}


def mount(app: web.Application) -> None:
    """Serve the page at / and its two files."""
    for path, name in (("/", "inspector.html"), ("/inspector.js", "inspector.js"), ("/inspector.css", "inspector.css")):
        app.router.add_get(path, _file(name))


def _file(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}

    async def serve(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=_KINDS[name], headers=headers)

    return serve
