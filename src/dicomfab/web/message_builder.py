"""Building HL7 messages: by a template or as text, with a look at each segment, then taken here or sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.datastructures import FormData as SubmittedForm
from starlette.responses import RedirectResponse, Response

from dicomfab.access.policy import Action
from dicomfab.app.build import Application
from dicomfab.hl7.character_sets import decoded
from dicomfab.hl7.orders import read
from dicomfab.hl7.templates import TEMPLATES, Template, TemplateField, template
from dicomfab.hl7.writing import from_text
from dicomfab.model import values
from dicomfab.model.actor import Actor
from dicomfab.model.errors import ConfirmationRequired, DicomFabError, InvalidInput
from dicomfab.model.values import Environment
from dicomfab.services.ordering.outgoing import new_control_id
from dicomfab.web.access import CurrentActor, CurrentApplication, permission
from dicomfab.web.errors import status_of
from dicomfab.web.message_view import lines_of, segments_of
from dicomfab.web.order_form import order_number
from dicomfab.web.server_form import FormData
from dicomfab.web.templating import page

#: The choice of writing the message oneself.
AS_TEXT: Final = "text"
#: Values that are asked for at once; the others open with a click.
_USUAL: Final = frozenset(
    {
        "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", "PriorPatientID",
        "PriorIssuerOfPatientID", "AccessionNumber", "PlacerOrderNumberImagingServiceRequest",
        "RequestedProcedureID", "StudyInstanceUID", "RequestedProcedureCodeSequence",
        "RequestedProcedureDescription", "OrderStatus", "Modality", "ScheduledProcedureStepID",
        "ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "ScheduledStationAETitle",
        "ResultStatus", "NameOfPhysiciansReadingStudy", "ReportText",
    }
)  # fmt: skip
_PARTS: Final = {
    "patient": "Patient",
    "visit": "Visit",
    "order": "Order",
    "step": "Scheduled step",
    "report": "Report",
    "message": "Message header",
}
_WHERE: Final = ("environment", "host", "port", "confirm_host", "template", "text")

router = APIRouter(prefix="/messages/new")


@dataclass(frozen=True, slots=True)
class Draft:
    """What the form holds.

    Args:
        name: of the template, or ``text``.
        given: keyword -> value, as typed.
        text: the message itself, with a line for each segment.
        environment: whose patients and orders it is about; empty until somebody says it.
        host: of the receiver.
        port: of the receiver.
        confirm_host: the receiver's name typed again, for production.
    """

    name: str
    given: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    environment: str = str(Environment.TEST)
    host: str = "127.0.0.1"
    port: str = ""
    confirm_host: str = ""

    @property
    def is_text(self) -> bool:
        """Whether the message is written by hand."""
        return self.name == AS_TEXT


@router.get("", dependencies=[permission(Action.FABRICATE)])
def new(request: Request, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The form: of a template, filled in from a procedure, or with the text of a message that there is."""
    asked = request.query_params
    name, number, before = (asked.get(one, "").strip() for one in ("template", "procedure", "from"))
    own_port = str(application.settings.hl7_port)
    if before:
        found = application.ordering.messages.show(actor, order_number(before))
        environment = str(found.environment)
        text = lines_of(decoded(found.data)[0])
        return _form(request, Draft(AS_TEXT, text=text, environment=environment, port=own_port))
    if name == AS_TEXT:
        return _form(request, Draft(AS_TEXT, port=own_port))
    chosen = template(name or next(iter(TEMPLATES)))
    given = {one.entry.keyword: one.default for one in chosen.fields}
    given["MessageControlID"] = new_control_id()
    given |= {one: asked[one] for one in asked if one in given}
    if number:
        given |= application.ordering.builder.filled(actor, chosen.name, order_number(number))
    return _form(request, Draft(chosen.name, given, port=own_port))


@router.post("/preview", dependencies=[permission(Action.FABRICATE)])
def preview(request: Request, form: FormData, actor: CurrentActor, application: CurrentApplication) -> Response:
    """The message as it would be, or what is missing; nothing is kept."""
    draft = draft_of(form)
    return page(request, "messages/preview.html", _looked_at(application, actor, draft))


@router.post("/take", dependencies=[permission(Action.FABRICATE)])
def take(request: Request, form: FormData, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Take the message here, as if it had come over MLLP."""
    draft = draft_of(form)
    try:
        data = _message(application, actor, draft)
        taken = application.ordering.intake.take(actor, data, Environment(draft.environment), peer="web page")
    except InvalidInput as error:
        return _form(request, draft, error)
    return RedirectResponse(f"/messages/{taken.message.number}", status_code=303)


@router.post("/send", dependencies=[permission(Action.STORE)])
def send(request: Request, form: FormData, actor: CurrentActor, application: CurrentApplication) -> Response:
    """Send the message over MLLP; the page that it leads to says what was answered."""
    draft = draft_of(form)
    try:
        data = _message(application, actor, draft)
        environment = Environment(draft.environment)
        host, port = values.host(draft.host, field="host"), values.port(draft.port, field="port")
        if environment is Environment.PROD and draft.confirm_host.strip().casefold() != host.casefold():
            raise ConfirmationRequired(
                f"confirm_host: {host} is a receiver of production",
                cause="what it is sent there changes orders and patients of a hospital",
                remedy=f"if you mean it, type its name again: {host}",
            )
        sent = application.ordering.messages.send(actor, data, environment, host, port)
    except DicomFabError as error:
        return _form(request, draft, error)
    return RedirectResponse(f"/messages/{sent.number}", status_code=303)


def draft_of(form: SubmittedForm) -> Draft:
    """Read what the browser sends.

    Raises:
        NotFound: there is no such template.
        InvalidInput: the environment is none.
    """
    said = {name: str(form.get(name, "")) for name in _WHERE}
    if said["environment"] not in set(Environment):
        raise InvalidInput("environment: is test or prod", field="environment", value=said["environment"])
    if said["template"] == AS_TEXT:
        given: dict[str, str] = {}
    else:
        given = {one.entry.keyword: str(form.get(one.entry.keyword, "")) for one in template(said["template"]).fields}
    where = (said["environment"], said["host"].strip(), said["port"].strip(), said["confirm_host"])
    return Draft(said["template"], given, said["text"], *where)


def _message(application: Application, actor: Actor, draft: Draft) -> bytes:
    if not draft.is_text:
        return application.ordering.builder.build(actor, draft.name, draft.given)
    text = "\r".join(line for line in draft.text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line.strip())
    if not text:
        raise InvalidInput("text: is empty", field="text", value="", remedy="paste an HL7 v2 message")
    return from_text(f"{text}\r")


def _looked_at(application: Application, actor: Actor, draft: Draft) -> dict[str, Any]:
    error: DicomFabError | None = None
    text = ""
    segments: Any = ()
    try:
        text = decoded(_message(application, actor, draft))[0]
        segments = segments_of(text, read(text))
    except InvalidInput as failure:
        error = failure
    label = _label(draft, error)
    return {"error": error, "label": label, "text": lines_of(text), "segments": segments}


def _label(draft: Draft, error: DicomFabError | None) -> str:
    """What the field is called that a message still needs."""
    if not isinstance(error, InvalidInput) or draft.is_text:
        return ""
    named = (one.entry.label for one in template(draft.name).fields if one.entry.keyword == error.field)
    return next(named, "")


def _parts(chosen: Template) -> list[tuple[str, list[TemplateField], list[TemplateField]]]:
    """Title of each part of the form, its usual fields, and its others."""
    parts = []
    for part, fields in groupby(chosen.fields, lambda one: one.entry.part):
        found = list(fields)
        usual = [one for one in found if one.is_needed or one.entry.keyword in _USUAL]
        parts.append((_PARTS[part], usual, [one for one in found if one not in usual]))
    return parts


def _form(request: Request, draft: Draft, error: DicomFabError | None = None) -> Response:
    wrong = error.field if isinstance(error, InvalidInput) else ""
    if isinstance(error, ConfirmationRequired):
        wrong = "confirm_host"
    chosen = None if draft.is_text else template(draft.name)
    shown = {*_WHERE, *draft.given}
    context = {
        "draft": draft,
        "chosen": chosen,
        "parts": _parts(chosen) if chosen else [],
        "templates": [(name, f"{one.message_type}: {one.description}") for name, one in TEMPLATES.items()],
        "error": error,
        "wrong": wrong if wrong in shown else "",
    }
    return page(request, "messages/new.html", context, status_code=status_of(error) if error else 200)
