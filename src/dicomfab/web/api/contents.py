"""What is inside a local study: the attributes of its instances, and all of it as a zip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import StreamingResponse

from dicomfab.access.policy import Action
from dicomfab.services import attributes as inside
from dicomfab.services.media import media
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.shared import Told, resource
from dicomfab.web.api.studies import StudyUid

router: APIRouter = resource("studies")


class Attribute(Told):
    """An attribute of an instance."""

    path: str = Field(description="Where it stands, such as (0040,0275)[0].(0008,0104).")
    tag: str
    keyword: str = ""
    vr: str = ""
    value: str = Field("", description="As text, values joined by backslash; of a binary one the first bytes.")


class Attributes(Told):
    """Attributes of an instance in the order of the file, those in sequences after their sequence."""

    items: list[Attribute]
    note: str = Field(description="What is not listed, and why; blank if nothing is left out.")


@router.get(
    "/{study}/instances/{instance}/attributes", response_model=Attributes, dependencies=[permission(Action.VIEW)]
)
def attributes(
    study: StudyUid,
    instance: Annotated[str, Path(description="SOP Instance UID.", max_length=64)],
    actor: CurrentActor,
    application: CurrentApplication,
    search: Annotated[str, Query(description="Words in tag, keyword, VR or value, at all levels.")] = "",
    path: Annotated[str, Query(description="A sequence; the whole instance if left out.")] = "",
    first: Annotated[int, Query(ge=0, le=10**9, description="With a path: the item to begin with.")] = 0,
) -> Any:
    """List the attributes of an instance, sequences included."""
    file = inside.instance_of(application.studies, actor, study, instance).path
    if search:
        found = inside.search(file, search)
        note = "" if found.is_complete else found.problem or f"the search ended after {found.looked_at} attributes"
        return {"items": [one.as_dict() for one in found.attributes], "note": note}
    tree = inside.tree(file, path, first=first)
    nodes = [*tree.nodes, *(node for item in tree.items for node in item.nodes)]
    short = [node.attribute.path for node in nodes if node.missing]
    note = tree.problem or (f"not all items are listed of {', '.join(short[:5])}; ask by path" if short else "")
    return {"items": [one.as_dict() for one in _flat(nodes)], "note": note}


@router.get(
    "/{study}/zip",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}, "description": "The zip."}},
    dependencies=[permission(Action.EXPORT)],
)
def zipped(study: StudyUid, actor: CurrentActor, application: CurrentApplication) -> StreamingResponse:
    """Export a study as a zip with a DICOMDIR; each instance keeps its transfer syntax."""
    made = media(application.studies, actor, [study])
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
    return StreamingResponse(made.chunks, media_type="application/zip", headers=headers)


def _flat(nodes: Sequence[inside.Node]) -> list[inside.Attribute]:
    rows: list[inside.Attribute] = []
    for node in nodes:
        rows.append(node.attribute)
        for item in node.children:
            rows += _flat(item.nodes)
    return rows
