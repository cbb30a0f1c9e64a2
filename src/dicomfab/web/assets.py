"""What pages load beside themselves: compressed once, kept by browsers for ever under a name that changes with it."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent / "static"
_FOR_EVER = "public, max-age=31536000, immutable"
_COMPRESSED = frozenset({".css", ".js", ".svg", ".json", ".html", ".map", ".txt"})


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent; ``packed`` is empty where compressing gains nothing."""

    content: bytes
    packed: bytes
    media_type: str


@cache
def version() -> str:
    """Names this state of all assets."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(STATIC)}\0{path.stat().st_size}\0{path.stat().st_mtime_ns}\0".encode())
    return digest.hexdigest()[:12]


def address(name: str) -> str:
    """Where an asset is found: under a name that nothing else will ever have."""
    return f"/static/{version()}/{name}"


@cache
def _asset(name: str, changed_ns: int, size: int) -> Asset:
    del changed_ns, size  # they tell one state of the file from another
    path = STATIC / name
    content = path.read_bytes()
    packed = gzip.compress(content, 9, mtime=0) if path.suffix in _COMPRESSED else b""
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(content, packed if len(packed) < len(content) else b"", media_type)


class Assets:
    """Serves the files below ``static``, whether or not their address names a version."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request.

        Raises:
            HTTPException: 404, there is no such file; 405, it is not asked for with GET or HEAD.
        """
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405)
        name = str(scope["path"]).removeprefix(str(scope.get("root_path", ""))).lstrip("/")
        is_pinned = name.startswith(f"{version()}/") or b"v=" in scope["query_string"]
        response = _response(name.removeprefix(f"{version()}/"), Headers(scope=scope), is_pinned=is_pinned)
        await response(scope, receive, send)


def _response(name: str, headers: Headers, *, is_pinned: bool) -> Response:
    path = (STATIC / name).resolve()
    if not path.is_relative_to(STATIC) or not path.is_file():
        raise HTTPException(404)
    status = path.stat()
    asset = _asset(name, status.st_mtime_ns, status.st_size)
    answer = {
        "Cache-Control": _FOR_EVER if is_pinned else "no-cache",
        "ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"',
        "Vary": "Accept-Encoding",
    }
    if headers.get("if-none-match") == answer["ETag"]:
        return Response(status_code=304, headers=answer)
    if asset.packed and "gzip" in headers.get("accept-encoding", ""):
        return Response(asset.packed, media_type=asset.media_type, headers={**answer, "Content-Encoding": "gzip"})
    return Response(asset.content, media_type=asset.media_type, headers=answer)
