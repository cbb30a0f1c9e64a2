"""The viewer: OHIF, that shows the studies of the local store over DICOMweb.

Its files come with the package (see ``frontend/viewer.py``) and hold nothing of anybody: whoever asks gets them. The
page that starts it is for those who may see the studies that it names.
"""

from __future__ import annotations

import gzip
import json
import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from dicomfab.access.policy import Action
from dicomfab.model.errors import LocalFailure
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.templating import page

VIEWER: Final = Path(__file__).resolve().parent / "viewer"
ROOT: Final = "/ohif"
ASSETS: Final = f"{ROOT}/assets"
_LONGEST_NAME: Final = 200
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Build:
    """The viewer that came with this package.

    Args:
        version: of OHIF.
        base: address of its files, another one for every build, with a slash at the end.
        scripts: that start it.
        styles: that it needs from the start.
    """

    version: str
    base: str
    scripts: tuple[str, ...]
    styles: tuple[str, ...]


@cache
def build() -> Build:
    """The viewer that came with this package.

    Raises:
        LocalFailure: there is none.
    """
    try:
        told = json.loads((VIEWER / "build.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise LocalFailure(
            "the viewer is not installed",
            cause="its files are fetched when the package is built, and were not",
            remedy="install the package again, with access to an npm registry: make setup",
        ) from error
    return Build(told["version"], told["base"], tuple(told["scripts"]), tuple(told["styles"]))


class Files:
    """Serves the viewer's files. Most lie there compressed only; who does not take that gets them unpacked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request.

        Raises:
            HTTPException: 404, there is no such file; 405, it is not asked for with GET or HEAD.
        """
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405)
        name = str(scope["path"]).removeprefix(str(scope.get("root_path", ""))).lstrip("/")
        takes_gzip = "gzip" in Headers(scope=scope).get("accept-encoding", "")
        response = await anyio.to_thread.run_sync(_file, name, takes_gzip)
        await response(scope, receive, send)


router = APIRouter(prefix=ROOT)
# Before the pages, which take every address that is left.
router.routes.append(Mount(ASSETS, Files()))


@router.get("", dependencies=[permission(Action.VIEW)])
@router.get("/", dependencies=[permission(Action.VIEW)])
def studies() -> Response:
    """OHIF has a list of studies at this place; ours is better."""
    return RedirectResponse("/studies", 303)


@router.get("/{mode:path}", dependencies=[permission(Action.VIEW)])
def start(request: Request, mode: str, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The page that starts the viewer, which looks at the address itself."""
    if "." in mode.rpartition("/")[2]:
        raise HTTPException(404)
    for study in studies_in(request.query_params.getlist("StudyInstanceUIDs")):
        application.studies.brief(actor, study)
    return page(request, "ohif.html", {"build": build()})


def studies_in(values: Iterable[str]) -> list[str]:
    """The Study Instance UIDs of an address of the viewer, each once; several may stand in one value."""
    return list(dict.fromkeys(uid.strip() for value in values for uid in value.split(",") if uid.strip()))


def _file(name: str, takes_gzip: bool) -> Response:
    if "\0" in name or any(len(part) > _LONGEST_NAME for part in name.split("/")):
        raise HTTPException(404)
    path = (VIEWER / name).resolve()
    if not path.is_relative_to(VIEWER):
        raise HTTPException(404)
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    packed = path.with_name(f"{path.name}.gz")
    if packed.is_file():
        if not takes_gzip:
            return Response(gzip.decompress(packed.read_bytes()), media_type=media_type, headers=headers)
        return FileResponse(packed, media_type=media_type, headers={**headers, "Content-Encoding": "gzip"})
    if not path.is_file() or path.suffix == ".gz" or path.parent == VIEWER:
        raise HTTPException(404)
    return FileResponse(path, media_type=media_type, headers=headers)
