"""Statuses that products use in their own way are explained when the peer says which product it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import evt

from dicomfab.diagnosis.implementations import Product
from dicomfab.dimse.handlers import Refusal, ServerConfig
from dicomfab.dimse.messages import Implementation, Response
from dicomfab.dimse.peer import Peer
from dicomfab.dimse.private_status import _PRIVATE
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.scu.find import find
from dicomfab.dimse.scu.get import get
from dicomfab.dimse.scu.move import move
from dicomfab.dimse.scu.store import store
from dicomfab.dimse.status import Category, category, failure, meaning
from dicomfab.model.errors import StatusFailure
from dicomfab.model.query import QueryModel
from tests.peers.pynetdicom_peers import acceptor
from tests.unit.dimse.memory_pacs import CT, MemoryPacs, make_instance

DCMTK = Implementation("1.2.276.0.7230010.3.0.3.6.7", "OFFIS_DCMTK_367")
DCM4CHEE = Implementation("1.2.40.0.13.1.3", "dcm4che-5.31.2")
PYNETDICOM = Implementation("1.2.826.0.1.3680043.9.3811.3.0.4", "PYNETDICOM_304")
IMPLEMENTATIONS = {Product.DCMTK: DCMTK, Product.DCM4CHEE: DCM4CHEE, Product.PYNETDICOM: PYNETDICOM}
KNOWN = [(product, operation, status) for product, table in _PRIVATE.items() for operation, status in table]


@pytest.mark.parametrize(("product", "operation", "status"), KNOWN)
def test_every_known_status_is_a_failure_told_in_the_words_of_its_product(
    product: Product, operation: str, status: int
) -> None:
    asked = operation or "C-STORE"
    assert category(status) is Category.FAILURE
    error = failure(asked, Response(status), "PACS", IMPLEMENTATIONS[product])
    words = _PRIVATE[product][operation, status]
    assert f"{status:04X}: {words.text}" in error.what
    assert (error.cause, error.remedy) == (words.cause, words.remedy)
    assert all((words.text, words.cause, words.remedy))
    assert words != meaning(asked, status), "says no more than the standard"


@pytest.mark.parametrize(
    ("implementation", "operation", "status", "expected"),
    [
        (DCM4CHEE, "C-STORE", 0xA771, "rejected in the archive"),
        (DCM4CHEE, "C-STORE", 0xA777, "no Patient ID"),
        (DCM4CHEE, "C-STORE", 0xA77A, "being deleted"),
        (DCM4CHEE, "C-STORE", 0xC409, "study instance UID"),
        (DCM4CHEE, "C-MOVE", 0xC801, "not allowed"),
        (PYNETDICOM, "C-STORE", 0xC211, "handler of C-STORE"),
        (PYNETDICOM, "C-FIND", 0xC311, "handler of C-FIND"),
        (PYNETDICOM, "C-GET", 0xC411, "handler of C-GET"),
        (PYNETDICOM, "C-MOVE", 0xC515, "cannot be called"),
        (PYNETDICOM, "C-ECHO", 0xC002, "no status"),
        (DCMTK, "C-MOVE", 0xC000, "could not begin"),
    ],
)
def test_codes_mean_what_the_product_means(
    implementation: Implementation, operation: str, status: int, expected: str
) -> None:
    assert expected in meaning(operation, status, implementation).text


@pytest.mark.parametrize(
    ("implementation", "operation", "status"),
    [
        (Implementation(), "C-STORE", 0xA777),  # nobody known
        (PYNETDICOM, "C-STORE", 0xA777),  # of another product
        (DCM4CHEE, "C-FIND", 0xA777),  # of another operation
        (DCMTK, "C-STORE", 0x0124),  # of the standard, and meant so
    ],
)
def test_everything_else_means_what_the_standard_says(
    implementation: Implementation, operation: str, status: int
) -> None:
    assert meaning(operation, status, implementation) == meaning(operation, status)


def _failing(event: evt.Event) -> int:
    raise ValueError(event.event.name)


@pytest.fixture(scope="module")
def broken() -> Iterator[Peer]:
    """A pynetdicom server whose handlers fail."""
    events = (evt.EVT_C_STORE, evt.EVT_C_FIND, evt.EVT_C_MOVE, evt.EVT_C_GET)
    with acceptor([(event, _failing) for event in events]) as peer:
        yield peer


def _study() -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "STUDY"
    identifier.StudyInstanceUID = "1.2.3"
    return identifier


def test_queries_and_retrievals_tell_what_the_peers_software_means(broken: Peer) -> None:
    root = QueryModel.STUDY_ROOT
    with pytest.raises(StatusFailure, match=r"C311: the handler of C-FIND"):
        list(find(broken, root, _study()))
    with pytest.raises(StatusFailure, match=r"C511: the handler of C-MOVE"):
        list(move(broken, root, _study(), "ANYWHERE"))
    with pytest.raises(StatusFailure, match=r"C411: the handler of C-GET"):
        list(get(broken, root, _study(), [CT], MemoryPacs()))


def test_storing_tells_what_the_peers_software_means(broken: Peer, tmp_path: Path) -> None:
    (outcome,) = store(broken, [make_instance(tmp_path, 1)])
    assert outcome.error is not None
    assert "C211: the handler of C-STORE" in outcome.error.what


def test_our_own_server_means_what_the_standard_says(tmp_path: Path) -> None:
    pacs = MemoryPacs()
    pacs.refuse = Refusal(0xC311, "")
    with Server(ServerConfig("MEMORY"), pacs) as server:
        peer = Peer("127.0.0.1", server.port, "MEMORY")
        with pytest.raises(StatusFailure, match="unable to process the query"):
            list(find(peer, QueryModel.STUDY_ROOT, _study()))
