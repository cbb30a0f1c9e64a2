"""The form of a modality: from what the browser sends to what the modality does."""

from __future__ import annotations

import shlex
from functools import partial
from typing import Final

from fastapi import Request
from pydantic import BaseModel

from dicomfab.app.build import Application
from dicomfab.fabricate.kinds import ALL_KINDS
from dicomfab.model import values
from dicomfab.model.actor import Actor
from dicomfab.model.errors import InvalidInput, NotFound
from dicomfab.model.study import Patient
from dicomfab.services.ordering.modality import AE_TITLE, COMMIT_S, PORT, ModalityConfig
from dicomfab.services.ordering.modality_config import pace_of
from dicomfab.services.ordering.performing import REASONS
from dicomfab.services.ordering.ris_address import own_ris, ris_peer

#: What can happen, and what it is called.
CASES: Final = (
    ("", "as it should be"),
    ("group", "all items of the patient together, as one (group case)"),
    ("append", "series added to the study that was made (append case)"),
    ("wrong-item", "the wrong item is taken first, and noticed after the images"),
    ("unscheduled", "an examination that nobody ordered"),
)
PACES: Final = (("fast", "without waiting"), ("10x", "ten times as fast as in reality"), ("real", "as in reality"))
_TEXTS: Final = {
    "--ris": "ris", "--pacs": "pacs", "--ae": "ae", "--port": "port", "--modality": "modality",
    "--accession": "accession", "--kind": "kind", "--timing": "timing", "--patient": "patient", "--reason": "reason",
}  # fmt: skip
#: Fields that say what happens, as opposed to where.
SPECIAL: Final = frozenset({"case", "patient", "kind", "timing", "discontinue", "reason", "no_commitment", "announce"})


class Wanted(BaseModel):
    """The form, and the same in the address."""

    ris: str = ""
    pacs: str = ""
    ae: str = AE_TITLE
    port: str = str(PORT)
    modality: str = ""
    accession: str = ""
    item: str = ""  # the accession number of the row whose button was pressed
    case: str = ""
    patient: str = ""
    kind: str = ""
    timing: str = "fast"
    discontinue: str = ""
    reason: str = ""
    no_commitment: str = ""
    announce: str = ""

    @property
    def parameters(self) -> dict[str, str]:
        """For an address that shows the same; what is as usual is left out."""
        usual = Wanted()
        return {name: value for name, value in self if value != getattr(usual, name)}

    @property
    def is_special(self) -> bool:
        """Whether anything goes otherwise than it should."""
        return any(name in self.parameters for name in SPECIAL)

    @property
    def command(self) -> str:
        """The same on the command line."""
        words, said = ["dicomfab modality run"], self.parameters
        words += [f"{option} {shlex.quote(said[name])}" for option, name in _TEXTS.items() if said.get(name)]
        words += [f"--{self.case}"] if self.case else []
        words += [
            f"--{name.replace('_', '-')}" for name in ("discontinue", "no_commitment", "announce") if name in said
        ]
        return " ".join(words)


def wanted_of(request: Request) -> Wanted:
    """Read the form from the address."""
    known = {name: request.query_params[name].strip() for name in Wanted.model_fields if name in request.query_params}
    return Wanted(**known)


def config_of(application: Application, actor: Actor, wanted: Wanted) -> ModalityConfig:
    """What the modality does.

    Raises:
        InvalidInput: a field cannot be used.
        NotFound: there is no such server.
    """
    if not wanted.pacs:
        raise InvalidInput("pacs: choose a server", field="pacs", value="")
    if wanted.case not in {case for case, _ in CASES}:
        raise InvalidInput("case: is none that is known", field="case", value=wanted.case)
    if wanted.kind and wanted.kind not in ALL_KINDS:
        raise InvalidInput("kind: is none that is known", field="kind", value=wanted.kind)
    ris = wanted.ris.strip() or own_ris(application.settings.worklist_port)
    return ModalityConfig(
        worklist=ris_peer(ris, partial(application.pacs.resolve, actor), field="ris"),
        pacs=application.pacs.get(actor, wanted.pacs),
        ae_title=values.ae_title(wanted.ae, field="ae"),
        port=values.port(wanted.port, field="port"),
        accession_number=wanted.accession.strip(),
        modality=wanted.modality.strip().upper(),
        kind=wanted.kind,
        is_discontinued=bool(wanted.discontinue),
        reason=wanted.reason if wanted.discontinue and wanted.reason in REASONS else "",
        commit_s=0.0 if wanted.no_commitment else COMMIT_S,
        pace=pace_of(wanted.timing, field="timing"),
        is_appended=wanted.case == "append",
        is_wrong_item=wanted.case == "wrong-item",
        is_grouped=wanted.case == "group",
        unscheduled=_patient(application, actor, wanted) if wanted.case == "unscheduled" else None,
        announce=bool(wanted.announce),
    )


def _patient(application: Application, actor: Actor, wanted: Wanted) -> Patient:
    """Whose unscheduled examination it is: a registered patient; of another only the ID is known."""
    given = wanted.patient.strip()
    if not given or len(given) > 64 or "\\" in given or not given.isprintable():
        said = "is no patient ID" if given else "is empty"
        raise InvalidInput(f"patient: {said}", field="patient", value=given, remedy="name the patient's ID")
    try:
        return application.patients.resolve_reference(actor, given).data.patient
    except NotFound:
        return Patient("", given)
