"""One server: real peers, healthy and set up wrongly."""

from __future__ import annotations

from typing import Any

from dicomfab.diagnosis.reason import Diagnosis
from dicomfab.dimse.peer import Peer
from dicomfab.registry.server import PacsServer
from tests.doctor.cases import Case, healthy
from tests.doctor.site import Site
from tests.peers import programs, pynetdicom_peers


def entry(site: Site, peer: Peer, **settings: Any) -> PacsServer:
    return site.entry(peer.port, **{"aec": peer.called_ae_title, **settings})


def of_orthanc(configuration: dict[str, Any] | None = None, **settings: Any) -> Any:
    def diagnosed(site: Site) -> Diagnosis:
        orthanc = site.stack.enter_context(programs.orthanc(site.folder, settings=configuration))
        return site.diagnosis(entry(site, orthanc.peer, **settings))

    return diagnosed


def of_dcmqrscp(**settings: Any) -> Any:
    def diagnosed(site: Site) -> Diagnosis:
        peer = site.stack.enter_context(programs.dcmqrscp(site.folder))
        return site.diagnosis(entry(site, peer, **settings))

    return diagnosed


def of_storescp(*options: str, **settings: Any) -> Any:
    def diagnosed(site: Site) -> Diagnosis:
        peer = site.stack.enter_context(programs.storescp(site.folder, *options))
        return site.diagnosis(entry(site, peer, **settings))

    return diagnosed


def pynetdicom_without_handlers(site: Site) -> Diagnosis:
    """It offers C-FIND, and has nothing that answers it."""
    peer = site.stack.enter_context(pynetdicom_peers.acceptor([]))
    return site.diagnosis(entry(site, peer))


STRICT = {
    "DicomAlwaysAllowEcho": False,
    "DicomAlwaysAllowStore": False,
    "DicomAlwaysAllowFind": False,
    "DicomAlwaysAllowGet": False,
}


def knowing_us(**allowed: bool) -> dict[str, Any]:
    """Orthanc's configuration with us as a modality."""
    return {"DicomModalities": {"FAB": {"AET": "DICOMFAB", "Host": "127.0.0.1", "Port": 11112, **allowed}}}


def knowing_another(**allowed: bool) -> dict[str, Any]:
    """The same with another AE title beside ours, by which it is seen whether Orthanc has started."""
    us = knowing_us()["DicomModalities"]
    return {"DicomModalities": {**us, "ANOTHER": {**us["FAB"], "AET": "ANOTHER", **allowed}}}


CASES = [
    healthy("Orthanc", of_orthanc(), peers=True),
    Case("Orthanc called by another AE title", "ae-called", of_orthanc(aec="ORTANC"), peers=True),
    Case(
        "Orthanc that does not know us",
        "ae-calling",
        of_orthanc(STRICT, aet_find="STRANGER", aet_echo="STRANGER", aet_store="STRANGER"),
        peers=True,
    ),
    Case(
        "Orthanc that allows C-FIND to those that it knows, and not us",
        "find-not-allowed-orthanc",
        of_orthanc({"DicomAlwaysAllowFind": False}, aet_find="STRANGER"),
        peers=True,
    ),
    Case(
        "Orthanc that knows us and does not allow us C-FIND",
        "find-not-allowed-orthanc",
        of_orthanc({"DicomAlwaysAllowFind": False, **knowing_us(AllowFind=False)}),
        peers=True,
    ),
    Case(
        "Orthanc that knows us and does not allow us C-ECHO",
        "echo-not-allowed-orthanc",
        of_orthanc({"DicomAlwaysAllowEcho": False, **knowing_another(AllowEcho=False)}, aet_echo="ANOTHER"),
        peers=True,
    ),
    healthy("dcmqrscp", of_dcmqrscp(), peers=True),
    Case("storescp as an archive", "context-find", of_storescp(), peers=True),
    healthy("storescp, and the entry says so", of_storescp(capabilities=["echo", "store"]), peers=True),
    Case("pynetdicom without handlers", "find-unable", pynetdicom_without_handlers, peers=True),
]
