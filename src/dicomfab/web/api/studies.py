"""Studies of the local store: fabricate, list, look at, delete."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Request, Response
from pydantic import Field, model_validator

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.app.plain import study_dict
from dicomfab.archive.records import SeriesSummary, StudyFilter, StudySort, StudySummary
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.fabricate.recipe_file import RecipeFile
from dicomfab.model.actor import Actor
from dicomfab.services import pictures
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.api.jobs import Job
from dicomfab.web.api.shared import Given, Limit, Listed, Offset, Told, begun, cut, listed, resource, told_model
from dicomfab.web.studies import drawn, middle
from dicomfab.web.study_form import StudyForm

router = resource("studies")

StudyUid = Annotated[str, Path(description="Study Instance UID.", max_length=64, examples=["2.25.1"])]
_MOST_STUDIES = 1000

Study: Any = told_model(
    "Study",
    StudySummary,
    expires_at=(str | None, Field(description="When a copy from production is removed; null for others.")),
)
Series: Any = told_model("Series", SeriesSummary)


class StudyDetail(Study):  # type: ignore[misc]
    """A local study with its series."""

    series_list: list[Series]


class Instance(Told):
    """A SOP instance of the local store."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    series_instance_uid: str
    size_bytes: int = Field(description="Of the data set.")
    made_here: bool = Field(description="This installation is known to have fabricated it.")


class Fabricate(Given):
    """A study to be made: by a whole recipe, or by the name of one or kinds, with values of the form.

    What is left out is invented.
    """

    recipe: RecipeFile | str | None = Field(
        None, description="A recipe, or the name of one.", examples=[{"series": ["text-card"], "seed": 7}]
    )
    kinds: list[str] = Field([], max_length=100, description="Instead of a recipe.", examples=[[]])
    patient_id: str = ""
    patient_name: str = Field("", description="FAMILY^GIVEN.")
    birth_date: str = ""
    sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_description: str = ""
    slices: int | None = Field(None, ge=1, le=10**6)
    style: str = ""
    script: str = Field("", description="That an invented name is written in; the study has its character set.")
    contact: bool = Field(False, description="Invent an address and a telephone number too.")
    transfer_syntax: str = ""
    seed: int | None = Field(None, ge=0, lt=2**63, description="Same recipe, seed and date: same bytes.")
    count: int = Field(1, ge=1, le=_MOST_STUDIES, description="How many studies.", examples=[1])
    priority: int = Field(5, ge=1, le=9, examples=[5])

    @model_validator(mode="after")
    def _recipe_is_whole(self) -> Fabricate:
        """A whole recipe says everything itself."""
        beside = self.model_fields_set - {"recipe", "count", "priority"}
        if isinstance(self.recipe, RecipeFile) and beside:
            raise ValueError(f"a whole recipe is given; put {', '.join(sorted(beside))} into it")
        return self


class Deleted(Told):
    """What was removed from the local store."""

    deleted: str
    instances: int


@router.get("", response_model=Listed[Study], dependencies=[permission(Action.VIEW)])
def every(
    request: Request,
    actor: CurrentActor,
    application: CurrentApplication,
    search: Annotated[str, Query(description="Words of name, id, accession number or description.")] = "",
    patient_name: str = "",
    patient_id: str = "",
    accession_number: str = "",
    modality: str = "",
    date_from: Annotated[str, Query(pattern=r"^(\d{8})?$", description="YYYYMMDD.")] = "",
    date_to: Annotated[str, Query(pattern=r"^(\d{8})?$", description="YYYYMMDD.")] = "",
    sort: StudySort = StudySort.STORED,
    descending: bool = True,
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List the local studies that one may see, the newest first."""
    wanted = StudyFilter(search, patient_name, patient_id, accession_number, modality, date_from, date_to)
    page = application.studies.page(actor, wanted, sort=sort, descending=descending, limit=limit, offset=offset)
    items = [study_dict(study, application.copies) for study in page.studies]
    return listed(request, items, page.total, limit, offset)


@router.post("", status_code=202, response_model=Job, dependencies=[permission(Action.FABRICATE)])
def fabricate(body: Fabricate, response: Response, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Fabricate studies into the local store: valid, synthetic, marked as such. The answer is the job."""
    recipe = _recipe(application, actor, body)
    studies = list(application.studies.resolve_several(actor, recipe, body.count))
    return begun(application, response, application.jobs.fabricate(actor, studies, priority=body.priority))


@router.get("/{study}", response_model=StudyDetail, dependencies=[permission(Action.VIEW)])
def show(study: StudyUid, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Show a local study with its series."""
    detail = application.studies.show(actor, study)
    values = study_dict(detail.summary, application.copies)
    return {**values, "series_list": list(detail.series)}


@router.get("/{study}/instances", response_model=Listed[Instance], dependencies=[permission(Action.VIEW)])
def instances(
    request: Request,
    study: StudyUid,
    actor: CurrentActor,
    application: CurrentApplication,
    series: Annotated[str, Query(description="Only of this series, by its UID.")] = "",
    limit: Limit = 50,
    offset: Offset = 0,
) -> Any:
    """List the instances of a local study."""
    application.studies.show(actor, study)
    found = [
        {
            "sop_instance_uid": one.identity.sop_instance_uid,
            "sop_class_uid": one.identity.sop_class_uid,
            "transfer_syntax_uid": one.identity.transfer_syntax_uid,
            "series_instance_uid": one.series_instance_uid,
            "size_bytes": one.size_bytes,
            "made_here": one.made_here,
        }
        for one in application.studies.local.instances(study)
        if series in ("", one.series_instance_uid)
    ]
    return cut(request, found, limit, offset)


@router.get(
    "/{study}/preview.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The picture."}},
    dependencies=[permission(Action.VIEW)],
)
def picture(
    study: StudyUid,
    actor: CurrentActor,
    application: CurrentApplication,
    series: Annotated[str, Query(description="Series Instance UID; the first series if left out.")] = "",
) -> Response:
    """Show the middle instance of a series, windowed, as PNG."""
    detail = application.studies.show(actor, study)
    content = drawn(application, middle(application, detail, series), longest=pictures.LONGEST_EDGE)
    return Response(content, media_type="image/png")


@router.delete("/{study}", response_model=Deleted, dependencies=[permission(Action.DELETE)])
def delete(study: StudyUid, actor: CurrentActor, application: CurrentApplication) -> Any:
    """Delete a local study with its files; what was sent to servers stays there."""
    summary = application.studies.brief(actor, study).summary
    application.studies.delete(actor, study)
    return {"deleted": study, "instances": summary.instance_count}


def _recipe(application: Application, actor: Actor, body: Fabricate) -> StudyRecipe:
    if isinstance(body.recipe, RecipeFile):
        return body.recipe.study()
    given = body.model_dump(exclude={"count", "priority"}, exclude_none=True)
    texts = {name: value if isinstance(value, list) else str(value) for name, value in given.items()}
    return StudyForm(**texts).recipe(  # type: ignore[arg-type]
        lambda name: application.recipes.named(actor, name).recipe.study(),
        lambda number: application.patients.get(actor, number).data.patient,
    )
