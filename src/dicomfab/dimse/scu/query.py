"""What C-FIND, C-MOVE and C-GET have in common: one request, many responses (PS3.7 9.1.2 to 9.1.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydicom import Dataset

from dicomfab.dimse import command as dimse_command
from dicomfab.dimse import explain
from dicomfab.dimse.association import Association, OnRequest
from dicomfab.dimse.endings import PeerViolated
from dicomfab.dimse.identifier import IdentifierError, decode, encode
from dicomfab.dimse.messages import Response
from dicomfab.dimse.scu.responses import response_of
from dicomfab.dimse.status import Category, category


class Query:
    """One request under way.

    Args:
        association: open.
        operation: ``C-FIND``, ``C-MOVE`` or ``C-GET``.
        sop_class_uid: of the information model.
    """

    def __init__(self, association: Association, operation: str, sop_class_uid: str) -> None:
        self._association = association
        self._operation = operation
        self._context = association.context_for(sop_class_uid, operation)
        self._message_id = association.next_message_id()
        self._cancelled = False

    def send(self, command_field: int, identifier: Dataset, more: Mapping[str, Any] | None = None) -> None:
        """Send the request.

        Args:
            command_field: of the request.
            identifier: keys and QueryRetrieveLevel.
            more: further fields of the command set.
        """
        command = {
            "AffectedSOPClassUID": self._context.abstract_syntax,
            "CommandField": command_field,
            "MessageID": self._message_id,
            "Priority": dimse_command.PRIORITY_MEDIUM,
            "CommandDataSetType": dimse_command.DATA_SET,
            **(more or {}),
        }
        self._association.send(self._context, command, (encode(identifier, self._context.transfer_syntax),))

    def responses(
        self, timeout_s: float, on_request: OnRequest | None = None
    ) -> Iterator[tuple[Response, Dataset | None]]:
        """Every response with its identifier, the last one final.

        Args:
            timeout_s: seconds between two of them.
            on_request: takes the C-STORE requests of a C-GET.

        Raises:
            PeerError: the association ended before the final response.
        """
        association, operation = self._association, self._operation
        while True:
            message = association.response_to(self._message_id, operation, timeout_s, on_request)
            identifier = None
            if message.has_data_set:
                data = association.read_identifier(operation)
                try:
                    identifier = decode(data, message.context.transfer_syntax)
                except IdentifierError as error:
                    raise explain.ended(association.peer, PeerViolated(str(error)), f"during {operation}") from error
            response = response_of(message.command, None if operation == "C-FIND" else identifier)
            yield response, identifier
            if category(response.status) is not Category.PENDING:
                return

    def cancel(self) -> None:
        """Send C-CANCEL, once."""
        if not self._cancelled:
            self._cancelled = True
            self._association.cancel(self._context, self._message_id)
