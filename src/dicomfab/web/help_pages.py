"""Help: the guide, here and without a network, and a search in it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.web import guide, guide_contents
from dicomfab.web.access import permission
from dicomfab.web.templating import page

_LONGEST = 200

router = APIRouter(prefix="/help")


@router.get("", dependencies=[permission(Action.OWN_ACCOUNT)])
def overview(request: Request, q: str = "") -> Response:
    """The first page of the guide, or what was found."""
    if not q.strip():
        return RedirectResponse(f"/help/{guide.FIRST}", status_code=303)
    wanted = q.strip()[:_LONGEST]
    return page(request, "help/found.html", {"wanted": wanted, "found": guide.search(wanted)})


@router.get("/{path:path}", dependencies=[permission(Action.OWN_ACCOUNT)])
def show(request: Request, path: str) -> Response:
    """A page of the guide, or a picture on one."""
    if not path.endswith(".md"):
        file, media_type = guide.picture(path)
        return FileResponse(file, media_type=media_type, headers={"Cache-Control": "no-cache"})
    before, after = guide_contents.neighbours(path)
    shown = {"document": guide.document(path), "contents": guide_contents.contents(), "first": guide.FIRST}
    return page(request, "help/page.html", {**shown, "before": before, "after": after, "wanted": ""})
