"""Messages from what is known of a requested procedure, and from what somebody gives."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.hl7.building import MEANINGS, build
from dicomfab.hl7.templates import Template, template
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.procedure import RequestedProcedure, ScheduledStep
from dicomfab.services.ordering.outgoing import new_control_id
from dicomfab.services.ordering.procedures import ProcedureService

_SEVERAL: Final = "OtherPatientIDs"


@dataclass(frozen=True, slots=True)
class MessageBuilder:
    """Builds messages by the templates (see :data:`~dicomfab.hl7.templates.TEMPLATES`).

    Args:
        schedule: shows what is known of procedures.
        now: local time of the site.
    """

    schedule: ProcedureService
    now: Callable[[], dt.datetime]

    def build(self, actor: Actor, name: str, given: Mapping[str, str]) -> bytes:
        """A message; nothing is sent or kept.

        Args:
            actor: needs FABRICATE.
            name: of the template.
            given: keyword -> value.

        Raises:
            AccessDenied: the actor may not.
            NotFound: there is no such template.
            InvalidInput: a value is missing or cannot be used; names its keyword.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        return build(template(name), given, control_id=new_control_id(), now=self.now())

    def filled(self, actor: Actor, name: str, number: int, step_id: str = "") -> dict[str, str]:
        """The values that a template takes of a requested procedure, to be looked over and built.

        Args:
            actor: needs VIEW in the environment of the procedure.
            name: of the template.
            number: of the procedure.
            step_id: of the step; empty for its first.

        Raises:
            NotFound: there is no such template, procedure or step.
        """
        chosen = template(name)
        procedure = self.schedule.show(actor, number).procedure
        steps = [one for one in procedure.steps if step_id in ("", one.step_id)]
        if step_id and not steps:
            raise NotFound(
                f"requested procedure {number} has no step {step_id}.",
                remedy=f"see what it has: dicomfab order procedures {number}",
            )
        return values_of(chosen, procedure, steps[0] if steps else None)[0]


def values_of(
    chosen: Template, procedure: RequestedProcedure, step: ScheduledStep | None
) -> tuple[dict[str, str], list[str]]:
    """What a message takes of a procedure, and keywords of what it cannot hold.

    Args:
        chosen: the template.
        procedure: that it is about.
        step: one of its steps; ``None`` for the procedure as a whole.
    """
    known: dict[str, str] = {}
    for one in (*procedure.fields, *(step.fields if step else ())):
        if one.keyword == _SEVERAL and known.get(_SEVERAL) and one.value:
            known[_SEVERAL] += f"\\{one.value}"
        elif one.value:
            known.setdefault(one.keyword, one.value)
    known["StudyInstanceUID"] = procedure.study_instance_uid
    for code, text in MEANINGS:
        if code in known and known.get(text):  # a message holds both in one place
            known[code] = "^".join([*(*known[code].split("^"), "")[:2], known[text]])
    values, left_out = {}, []
    for place in chosen.fields:
        keyword = place.entry.keyword
        try:
            value = place.entry.checked(known.get(keyword, ""))
        except InvalidInput:
            left_out.append(keyword)
            continue
        if value:
            values[keyword] = value
    if "ScheduledProcedureStepStartDate" not in values:
        values.pop("ScheduledProcedureStepStartTime", None)
    return values, left_out
