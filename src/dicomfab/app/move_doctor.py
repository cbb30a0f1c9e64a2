"""The examination of a C-MOVE, wired."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from dicomfab.app.lab_store import remove_doctors_study
from dicomfab.app.settings import Settings
from dicomfab.archive.archive import Archive
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.trace import Trace
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import PacsServer
from dicomfab.services.doctor.move import MoveDoctor, Tools
from dicomfab.services.receiving import ReceivingService
from dicomfab.services.recording import Record
from dicomfab.services.routes import RouteService

if TYPE_CHECKING:
    from dicomfab.app.work import Work


def move_doctor(
    settings: Settings,
    noted: Callable[[str, Callable[..., Any]], Callable[..., Any]],
    registry: Callable[[], Registry],
    receiving: ReceivingService,
    local: Archive,
    check_move: Callable[[str, PacsServer, PacsServer], object],
    open_trace: Callable[[str], Trace | None],
    record: Record,
) -> MoveDoctor:
    """Says why a C-MOVE fails; see :class:`dicomfab.services.doctor.move_case.Tools`.

    Args:
        settings: of the installation.
        noted: gives an operation with its calls noted in traces.
        registry: servers and routes as they are now.
        receiving: our own Storage SCP.
        local: the local study store.
        check_move: raises if a study may not be moved for what it is made of.
        open_trace: gives a trace for an association by its title, if anybody wants to see them.
        record: has it recorded what is done.
    """
    tools = Tools(
        noted("C-FIND", find),
        noted("C-STORE", store),
        registry,
        remove=partial(remove_doctors_study, settings),
        receiving=receiving,
        forget=local.delete_study,
        check_move=check_move,
        open_trace=open_trace,
        record=record,
    )
    return MoveDoctor(tools)


def route_service(
    work: Work, doctor: Callable[[], MoveDoctor], open_trace: Callable[[str], Trace | None]
) -> RouteService:
    """The routes of all servers, and what tests them.

    Args:
        work: the installation.
        doctor: makes what tests them, when it is first asked for.
        open_trace: as for :func:`move_doctor`.
    """
    from dicomfab.storage.route_tests import RouteTestRepository

    tests = RouteTestRepository(work.database)
    return RouteService(work.pacs, tests, doctor, open_trace)
