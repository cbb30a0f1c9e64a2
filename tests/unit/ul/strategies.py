"""Hypothesis strategies for every value that PS3.8 and PS3.7 annex D allow."""

from __future__ import annotations

import string
from itertools import pairwise

from hypothesis import strategies as st

from dicomfab.ul import (
    Abort,
    AssociateAC,
    AssociateRJ,
    AssociateRQ,
    AsynchronousOperations,
    CommonExtendedNegotiation,
    ContextResult,
    ExtendedNegotiation,
    PresentationContext,
    ReleaseRP,
    ReleaseRQ,
    RoleSelection,
    UserIdentity,
    UserInformation,
)
from dicomfab.ul.pdu import MAX_CONTEXTS

bytes_of_8_bits = st.integers(0, 0xFF)
numbers_of_16_bits = st.integers(0, 0xFFFF)
_uid_parts = st.lists(st.integers(0, 99_999), min_size=1, max_size=6)
#: 3 to 64 characters.
uids = _uid_parts.map(lambda parts: ".".join(map(str, (1, *parts)))) | st.sampled_from(("0.0", "2." + "25" * 31))
ae_titles = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="\\"), max_size=16).filter(
    lambda text: text == text.strip(" ") and text != ""
)
context_ids = st.integers(0, MAX_CONTEXTS - 1).map(lambda index: 2 * index + 1)
#: An implementation version name: 1 to 16 printable characters, or none.
version_names = st.text(string.ascii_letters + string.digits + "_.-/", max_size=16)

asynchronous_operations = st.builds(AsynchronousOperations, numbers_of_16_bits, numbers_of_16_bits)
roles = st.builds(RoleSelection, uids, st.booleans(), st.booleans())
extended = st.builds(ExtendedNegotiation, uids, st.binary(max_size=40))
common_extended = st.builds(CommonExtendedNegotiation, uids, uids, st.lists(uids, max_size=4).map(tuple))
identities = st.builds(
    UserIdentity, bytes_of_8_bits, st.binary(max_size=60), st.binary(max_size=60), response_requested=st.booleans()
)
max_pdu_lengths = st.one_of(st.just(0), st.integers(8, 0xFFFFFFFF))
user_information = st.builds(
    UserInformation,
    max_pdu_length=max_pdu_lengths,
    implementation_class_uid=st.one_of(st.just(""), uids),
    implementation_version_name=version_names,
    asynchronous_operations=st.none() | asynchronous_operations,
    roles=st.lists(roles, max_size=4).map(tuple),
    extended=st.lists(extended, max_size=3).map(tuple),
    common_extended=st.lists(common_extended, max_size=3).map(tuple),
    identity=st.none() | identities,
    identity_response=st.none() | st.binary(max_size=60),
)


@st.composite
def presentation_contexts(draw: st.DrawFn) -> tuple[PresentationContext, ...]:
    ids = draw(st.lists(context_ids, min_size=1, max_size=8, unique=True))
    return tuple(
        PresentationContext(one, draw(uids), tuple(draw(st.lists(uids, min_size=1, max_size=4)))) for one in ids
    )


@st.composite
def context_results(draw: st.DrawFn) -> tuple[ContextResult, ...]:
    answers = []
    for one in draw(st.lists(context_ids, max_size=8, unique=True)):
        result = draw(st.sampled_from((0, 0, 1, 2, 3, 4)))
        answers.append(ContextResult(one, result, draw(uids) if result == 0 else ""))
    return tuple(answers)


associate_requests = st.builds(
    AssociateRQ,
    ae_titles,
    ae_titles,
    presentation_contexts(),
    user_information,
    application_context=uids,
    protocol_version=numbers_of_16_bits,
)
associate_answers = st.builds(
    AssociateAC,
    ae_titles,
    ae_titles,
    context_results(),
    user_information,
    application_context=uids,
    protocol_version=numbers_of_16_bits,
)
rejections = st.builds(AssociateRJ, bytes_of_8_bits, bytes_of_8_bits, bytes_of_8_bits)
aborts = st.builds(Abort, bytes_of_8_bits, bytes_of_8_bits)
pdus = st.one_of(
    associate_requests,
    associate_answers,
    rejections,
    st.just(ReleaseRQ()),
    st.just(ReleaseRP()),
    aborts,
)


@st.composite
def data_streams(draw: st.DrawFn) -> bytes:
    """P-DATA-TF PDUs of any number of data values of any size, also empty ones, as a peer may cut them."""
    stream = bytearray()
    flags_and_data = st.tuples(st.integers(2, 3), st.binary(max_size=40))
    for _ in range(draw(st.integers(1, 6))):
        values = b"".join(
            (len(data) + 2).to_bytes(4, "big") + bytes((3, flags)) + data
            for flags, data in draw(st.lists(flags_and_data, min_size=1, max_size=4))
        )
        stream += b"\x04\x00" + len(values).to_bytes(4, "big") + values
    return bytes(stream)


def cut_at(data: bytes, positions: list[int]) -> list[bytes]:
    """The data in pieces, cut at some of the positions (taken modulo its length)."""
    edges = sorted({0, len(data), *(position % (len(data) + 1) for position in positions)})
    return [data[start:end] for start, end in pairwise(edges)]
