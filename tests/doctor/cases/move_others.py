"""C-MOVE with servers of other makers: Orthanc, dcmqrscp and pynetdicom at one end, a server of ours at the other."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom import evt

from dicomfab.diagnosis.reason import Diagnosis
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.sop_classes import FIND, MOVE, VERIFICATION
from dicomfab.fabricate.recipe import SeriesRecipe, StudyRecipe
from dicomfab.model.values import Environment
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import MoveRoute, PacsServer
from dicomfab.services.doctor.move import MoveDoctor, Tools
from tests.doctor.cases import Case, healthy
from tests.doctor.move_world import HOST, SOURCE, TITLE, Breaking, knowing, lab, setting, with_entry
from tests.doctor.site import Site
from tests.peers import programs
from tests.peers.pynetdicom_peers import ae
from tests.unit.services.hospital import ADMIN, Hospital

DCM4CHEE = "1.2.40.0.13.1.3"
SC = "1.2.840.10008.5.1.4.1.1.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


# ---------------------------------------------------------------------- the other maker's server is the source


@dataclass
class Ends:
    """A source of another maker, and a destination of ours."""

    site: Site
    hospital: Hospital
    destination: PacsServer

    def diagnosis(self, port: int, aec: str, route: str = "OURS") -> Diagnosis:
        values = {"host": HOST, "environment": "test", "dimse_timeout_s": 10}
        source = PacsServer(id="source", name="The source", port=port, aec=aec, **values)
        registry = Registry((source, self.destination), (MoveRoute("source", "ours", route),))
        doctor = MoveDoctor(Tools(find, store, lambda: registry))
        return doctor.diagnose(ADMIN, source, self.destination)


def ends(site: Site, **destination: Any) -> Ends:
    hospital = Hospital(site.folder / "hospital", site.stack)
    return Ends(site, hospital, hospital.pacs("OURS", dimse_timeout_s=5, **destination))


#: AE title -> port of the destinations that the source knows.
Knows = Callable[[Ends], Mapping[str, int]]


def it_well(between: Ends) -> Mapping[str, int]:
    return {"OURS": between.destination.port}


def nobody(_between: Ends) -> Mapping[str, int]:
    return {}


def wrong_port(between: Ends) -> Mapping[str, int]:
    return {"OURS": between.site.closed_port()}


def wrong_server(between: Ends) -> Mapping[str, int]:
    """A server of ours with another AE title, which rejects whoever calls it OURS."""
    return {"OURS": between.hospital.pacs("OTHER").port}


def gone(between: Ends) -> Mapping[str, int]:
    """The destination has moved: both our registry and the source have the old port."""
    port = between.site.closed_port()
    between.destination = PacsServer(
        id="ours", name="OURS", host=HOST, port=port, aec="OURS", environment=Environment.TEST
    )
    return {"OURS": port}


def from_orthanc(knows: Knows, **settings: Any) -> Callable[[Site], Diagnosis]:
    def diagnosed(site: Site) -> Diagnosis:
        between = ends(site)
        known = {title: (HOST, port) for title, port in knows(between).items()}
        folder = site.folder / "orthanc"
        folder.mkdir()
        running = site.stack.enter_context(programs.orthanc(folder, known=known, settings=settings))
        return between.diagnosis(running.peer.port, "ORTHANC")

    return diagnosed


def from_dcmqrscp(knows: Knows) -> Callable[[Site], Diagnosis]:
    def diagnosed(site: Site) -> Diagnosis:
        between = ends(site)
        known = {title: (HOST, port) for title, port in knows(between).items()}
        folder = site.folder / "dcmqrscp"
        folder.mkdir()
        peer = site.stack.enter_context(programs.dcmqrscp(folder, known=known))
        return between.diagnosis(peer.port, "DCMQRSCP")

    return diagnosed


Moving = Callable[[evt.Event, Mapping[str, int], list[Dataset]], Iterator[Any]]


def properly(event: evt.Event, known: Mapping[str, int], held: list[Dataset]) -> Iterator[Any]:
    """C-MOVE as pynetdicom's documentation has it."""
    port = known.get(event.move_destination)
    if port is None:
        yield None, None
        return
    found = [ds for ds in held if ds.StudyInstanceUID == event.identifier.StudyInstanceUID]
    yield HOST, port, {"contexts": _contexts()}
    yield len(found)
    for instance in found:
        yield 0xFF00, instance


def failing(_event: evt.Event, _known: Mapping[str, int], _held: list[Dataset]) -> Iterator[Any]:
    raise ValueError("a mistake in the handler")
    yield


def saying(status: int) -> Moving:
    def moving(event: evt.Event, known: Mapping[str, int], held: list[Dataset]) -> Iterator[Any]:
        yield HOST, known["OURS"], {"contexts": _contexts()}
        yield 1
        yield status, None

    return moving


def _contexts() -> list[Any]:
    entity = ae("SOURCE")
    entity.add_requested_context(SC, list(PLAIN))
    return entity.requested_contexts


def from_pynetdicom(
    moving: Moving, knows: Knows = it_well, *, class_uid: str = "", moves: bool = True
) -> Callable[[Site], Diagnosis]:
    def diagnosed(site: Site) -> Diagnosis:
        between = ends(site)
        known, held = knows(between), list[Dataset]()
        entity = ae("SOURCE")
        if class_uid:
            entity.implementation_class_uid, entity.implementation_version_name = class_uid, "OTHER"
        for uid in (VERIFICATION, SC, *FIND.values(), *(MOVE.values() if moves else ())):
            entity.add_supported_context(uid, list(PLAIN))

        def keep(event: evt.Event) -> int:
            dataset = event.dataset
            dataset.file_meta = event.file_meta
            held.append(dataset)
            return 0x0000

        def list_held(event: evt.Event) -> Iterator[Any]:
            for dataset in held:
                wanted = event.identifier
                if dataset.StudyInstanceUID == wanted.get("StudyInstanceUID"):
                    yield 0xFF00, _match(dataset, wanted)

        handlers = [
            (evt.EVT_C_STORE, keep),
            (evt.EVT_C_FIND, list_held),
            (evt.EVT_C_MOVE, lambda event: moving(event, known, held)),
        ]
        server = entity.start_server((HOST, 0), block=False, evt_handlers=handlers)
        with contextlib.closing(_Ending(entity, server)):
            return between.diagnosis(server.server_address[1], "SOURCE")

    return diagnosed


@dataclass
class _Ending:
    entity: Any
    server: Any

    def close(self) -> None:
        for served in self.server.active_associations:
            served.join(20)
        self.entity.shutdown()


def _match(dataset: Dataset, wanted: Dataset) -> Dataset:
    match = Dataset()
    match.QueryRetrieveLevel = wanted.QueryRetrieveLevel
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(match, keyword, dataset[keyword].value)
    return match


# ---------------------------------------------------------------------- the other maker's server is the destination


def to_pynetdicom(
    classes: Mapping[str, tuple[str, ...]],
    *breaking: Breaking,
    recipe: StudyRecipe | None = None,
    most: int = 10,
    refuses: int = 0,
) -> Callable[[Site], Diagnosis]:
    """The destination of the lab, but made with pynetdicom: it takes these SOP classes in these transfer syntaxes."""

    def diagnosed(site: Site) -> Diagnosis:
        entity = ae(TITLE)
        entity.maximum_associations = most
        for uid in (VERIFICATION, *FIND.values()):
            entity.add_supported_context(uid, list(PLAIN))
        for uid, syntaxes in classes.items():
            entity.add_supported_context(uid, list(syntaxes))
        held: list[Dataset] = []

        def keep(event: evt.Event) -> int:
            if not refuses:
                held.append(event.dataset)
            return refuses

        def list_held(event: evt.Event) -> Iterator[Any]:
            for dataset in held:
                if dataset.StudyInstanceUID == event.identifier.get("StudyInstanceUID"):
                    yield 0xFF00, _match(dataset, event.identifier)

        handlers = [(evt.EVT_C_STORE, keep), (evt.EVT_C_FIND, list_held)]
        server = entity.start_server((HOST, 0), block=False, evt_handlers=handlers)
        port = server.server_address[1]
        with contextlib.closing(_Ending(entity, server)):
            world = lab(
                site, knowing(TITLE, lambda _site, _ports: port), with_entry("prod-pacs-2", port=port), *breaking
            )
            return world.diagnosis(study=world.study(recipe, on=(SOURCE,)) if recipe else "")

    return diagnosed


def naming_syntaxes(syntax: str) -> Breaking:
    """The source's C-FIND answers name the transfer syntax, as ours does not."""

    def named(*args: Any, **options: Any) -> Iterator[Dataset]:
        for match in find(*args, **options):
            if "SOPClassUID" in match:
                match.AvailableTransferSyntaxUID = syntax
            yield match

    return setting(find=named)


ANY = {SC: PLAIN, CT: PLAIN}
JPEG = StudyRecipe((SeriesRecipe("text-card", 2, transfer_syntax="jpeg"),), seed=5, accession_number="JPEG")
LARGE = StudyRecipe((SeriesRecipe("text-card", 11), SeriesRecipe("ct-chest", 1)), seed=5, accession_number="LARGE")


def not_converting(site: Site) -> Diagnosis:
    """Servers of ours convert what is not taken; this one does not."""
    plainly = functools.partial(store, transcode=False)
    site.monkeypatch.setattr("dicomfab.dimse.scp.retrieve.store", plainly)
    return to_pynetdicom({SC: PLAIN}, naming_syntaxes(JPEGBaseline8Bit), recipe=JPEG)(site)


CASES = [
    healthy("move: from Orthanc", from_orthanc(it_well), peers=True),
    healthy("move: from dcmqrscp", from_dcmqrscp(it_well), peers=True),
    healthy("move: from pynetdicom", from_pynetdicom(properly)),
    healthy("move: to pynetdicom", to_pynetdicom(ANY)),
    Case("move: Orthanc has no entry", "move-orthanc-cannot-send", from_orthanc(nobody), peers=True),
    Case("move: Orthanc has a wrong port", "move-orthanc-cannot-send", from_orthanc(wrong_port), peers=True),
    Case("move: Orthanc's destination is gone", "move-destination-down", from_orthanc(gone), peers=True),
    Case("move: Orthanc sends later, to a wrong port", "move-went-to-nobody-we-know", from_orthanc(
        wrong_port, SynchronousCMove=False), peers=True),
    Case("move: dcmqrscp has no entry", "move-destination-unknown-late", from_dcmqrscp(nobody), peers=True),
    Case("move: dcmqrscp has a wrong port", "move-wrong-address", from_dcmqrscp(wrong_port), peers=True),
    Case("move: dcmqrscp's destination is gone", "move-destination-down", from_dcmqrscp(gone), peers=True),
    Case("move: pynetdicom does not know it", "move-destination-unknown", from_pynetdicom(properly, nobody)),
    Case("move: pynetdicom has a wrong port", "move-pynetdicom-cannot-reach", from_pynetdicom(properly, wrong_server)),
    Case("move: pynetdicom's handler fails", "move-pynetdicom-handler", from_pynetdicom(failing)),
    Case("move: dcm4chee does not allow the destination", "move-dcm4chee-not-allowed", from_pynetdicom(
        saying(0xC801), class_uid=DCM4CHEE)),
    Case("move: C-MOVE not on offer", "move-unsupported", from_pynetdicom(properly, moves=False)),
    Case("move: SOP class not taken", "move-class-not-taken", to_pynetdicom({CT: PLAIN})),
    Case("move: transfer syntax not taken", "move-syntax-not-taken", not_converting),
    healthy("move: transfer syntax not taken, but converted", to_pynetdicom(
        {SC: PLAIN}, naming_syntaxes(JPEGBaseline8Bit), recipe=JPEG)),
    Case("move: part of a large study not taken", "move-some-not-taken", to_pynetdicom({SC: PLAIN}, recipe=LARGE)),
    Case("move: pynetdicom refuses to store", "move-destination-full", to_pynetdicom(ANY, refuses=0xA700)),
]  # fmt: skip
