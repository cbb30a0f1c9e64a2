"""From a response's command set to the value that the functions of this package hand out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from dicomfab.dimse.messages import Response
from dicomfab.model.suboperations import Suboperations

if TYPE_CHECKING:
    from pydicom import Dataset

_UNREPORTED: Final = Suboperations()
_RETRIEVED: Final = frozenset(
    "NumberOfRemainingSuboperations NumberOfCompletedSuboperations NumberOfFailedSuboperations "
    "NumberOfWarningSuboperations FailedSOPInstanceUIDList".split()
)


def response_of(command: Mapping[str, Any], identifier: Dataset | None = None) -> Response:
    """A response as plain values.

    Args:
        command: of a response.
        identifier: its data set, if it had one.
    """
    if identifier is None and _RETRIEVED.isdisjoint(command):
        return Response(command["Status"], command.get("ErrorComment", ""), _UNREPORTED)
    failed = command.get("FailedSOPInstanceUIDList")
    if identifier is not None:
        failed = identifier.get("FailedSOPInstanceUIDList", failed)
    return Response(
        status=command["Status"],
        comment=command.get("ErrorComment", ""),
        suboperations=Suboperations(
            remaining=command.get("NumberOfRemainingSuboperations"),
            completed=command.get("NumberOfCompletedSuboperations"),
            failed=command.get("NumberOfFailedSuboperations"),
            warning=command.get("NumberOfWarningSuboperations"),
        ),
        failed_sop_instance_uids=tuple(_texts(failed)),
    )


def _texts(value: object) -> Iterable[str]:
    """One text or several, whatever else the peer may have put there."""
    values: Iterable[object] = value if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
    return (str(text) for text in values if isinstance(text, str) and text)
