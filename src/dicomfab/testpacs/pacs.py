"""What a test PACS answers: its archive behind the DIMSE handlers, with a log that names no patient."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from pydicom import Dataset

from dicomfab.archive.archive import Archive
from dicomfab.archive.errors import ArchiveFailure, ArchiveQueryError
from dicomfab.archive.receive import ArchiveReceiver
from dicomfab.dimse.handlers import Refusal, Requestor, StoreSink
from dicomfab.model.query import Level, QueryModel
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity
from dicomfab.model.values import Environment

log = logging.getLogger(__name__)

FIND_OUT_OF_RESOURCES = 0xA700  # PS3.4 C.4.1.1.4
UNABLE_TO_CALCULATE_MATCHES = 0xA701  # PS3.4 C.4.2.1.5, C.4.3.1.4


class PacsHandlers:
    """The handlers of one server (see :class:`dicomfab.dimse.handlers.Handlers`).

    Args:
        archive: what it holds.
        ae_title: its own, for Retrieve AE Title (0008,0054).
        environment: where what it receives belongs.
        destinations: the move destinations that it knows: AE title -> host and port.
    """

    def __init__(
        self, archive: Archive, ae_title: str, environment: Environment, destinations: Mapping[str, tuple[str, int]]
    ) -> None:
        self._archive = archive
        self._ae_title = ae_title
        self._receiver = ArchiveReceiver(archive, environment)
        self._destinations = dict(destinations)

    def begin_store(self, requestor: Requestor, identity: InstanceIdentity) -> StoreSink:
        """C-STORE (PS3.4 B.2.3): success means that file and index are on disk.

        Raises:
            Refusal: C000 for a UID that is none, A700 when the disk takes no more; on finishing also C000 for what
                cannot be parsed, A900 for another instance than announced, 0111 for a duplicate where refused.
        """
        return _LoggedSink(self._receiver.begin_store(requestor, identity), requestor, identity)

    def find(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Iterator[Dataset]:
        """C-FIND (PS3.4 C.4.1).

        Raises:
            Refusal: A900 for an identifier that cannot be answered, A700 when the index fails.
        """
        level = _level(identifier)
        count = 0
        try:
            for match in self._archive.find(model, identifier, retrieve_ae_title=self._ae_title):
                yield match
                count += 1
        except ArchiveQueryError as error:
            raise self._refused("C-FIND", requestor, level, error.status, error.field) from error
        except ArchiveFailure as error:
            raise self._refused("C-FIND", requestor, level, FIND_OUT_OF_RESOURCES, "index") from error
        except GeneratorExit:
            log.info("C-FIND from %s: %s, %s level: ended by it after %d matches", _who(requestor), model, level, count)
            raise
        log.info("C-FIND from %s: %s, %s level: %d matches", _who(requestor), model, level, count)

    def select(self, requestor: Requestor, model: QueryModel, identifier: Dataset) -> Sequence[InstanceFile]:
        """The instances of a C-MOVE or C-GET (PS3.4 C.4.2, C.4.3).

        Raises:
            Refusal: A900 without a valid level and its unique key, A701 when the index fails.
        """
        level = _level(identifier)
        try:
            found = [stored.file for stored in self._archive.select(model, identifier)]
        except ArchiveQueryError as error:
            raise self._refused("retrieve", requestor, level, error.status, error.field) from error
        except ArchiveFailure as error:
            raise self._refused("retrieve", requestor, level, UNABLE_TO_CALCULATE_MATCHES, "index") from error
        log.info("retrieve for %s: %s, %s level: %d instances", _who(requestor), model, level, len(found))
        return found

    def destination(self, requestor: Requestor, move_destination: str) -> tuple[str, int] | None:
        """Host and port of a move destination; ``None``, so A801, for one that this server does not know."""
        address = self._destinations.get(move_destination)
        if address is None:
            log.warning("C-MOVE from %s to unknown destination %r: A801", _who(requestor), move_destination)
        else:
            log.info("C-MOVE from %s to %s at %s:%d", _who(requestor), move_destination, *address)
        return address

    @staticmethod
    def _refused(operation: str, requestor: Requestor, level: str, status: int, reason: str) -> Refusal:
        log.warning("%s from %s, %s level: %04X (%s)", operation, _who(requestor), level, status, reason)
        return Refusal(status, f"cannot answer: {reason}")


class _LoggedSink:
    def __init__(self, sink: StoreSink, requestor: Requestor, identity: InstanceIdentity) -> None:
        self._sink = sink
        self._requestor = requestor
        self._identity = identity

    def write(self, chunk: Buffer) -> None:
        self._sink.write(chunk)

    def finish(self) -> int:
        status = self._sink.finish()
        log.info("C-STORE from %s: %s: %04X", _who(self._requestor), self._identity.sop_instance_uid, status)
        return status

    def discard(self) -> None:
        self._sink.discard()


def _who(requestor: Requestor) -> str:
    return f"{requestor.ae_title}@{requestor.address}"


def _level(identifier: Dataset) -> str:
    """The level, if it is one: anything else in its place may be anything, a patient's name too."""
    level = str(identifier.get("QueryRetrieveLevel", ""))
    return level if level in set(Level) else "no valid"
