"""The user information item: what can be read can be written and read again."""

from __future__ import annotations

from dataclasses import replace

from dicomfab.ul.errors import ProtocolError
from dicomfab.ul.user_information import UserInformation, decode_user_information, encode_user_information


def sendable(user: UserInformation) -> UserInformation:
    """The same with a version name that may be sent: reading one is laxer, for peers are."""
    name = user.implementation_version_name.encode("ascii", "replace")[:16].decode("ascii").strip("\0 ")
    return replace(user, implementation_version_name=name)


def one_input(data: bytes) -> None:
    """The value of item 50H."""
    try:
        user = decode_user_information(data)
    except ProtocolError:
        return
    user = sendable(user)
    encoded = encode_user_information(user)
    assert decode_user_information(encoded) == user
