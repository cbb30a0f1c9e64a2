"""WADO-RS: metadata, the attributes of instances in JSON without their long values (PS3.18 10.4.1.1.2)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

from dicomfab.dicomweb.conditional import CACHING, entity_tag, file_key, not_modified
from dicomfab.dicomweb.held import address, begun, held_at, open_now
from dicomfab.dicomweb.json_model import data_set_text
from dicomfab.dicomweb.media_types import DICOM_JSON, JSON, Offer, acceptable, choose
from dicomfab.dicomweb.messages import Request, Response
from dicomfab.dicomweb.ports import HeldInstance, WebStore
from dicomfab.dicomweb.qido import json_array
from dicomfab.dicomweb.remembered import Remembered

_OFFERS: Final = (Offer(DICOM_JSON), Offer(JSON))
_TEXTS: Final = Remembered[str](32 << 20)


def metadata(store: WebStore, request: Request, uids: Mapping[str, str]) -> Response:
    """Answer with the metadata of a study, a series or an instance.

    Args:
        store: where they are.
        request: with what is accepted.
        uids: what the path names.

    Raises:
        NotFound: there is no such instance.
        NotAcceptable: JSON is not accepted.
        DamagedInstance: the first of them cannot be parsed.
    """
    held = list(held_at(store, uids))
    offer = choose(acceptable(request), _OFFERS)
    etag = entity_tag(held, offer.name, request.root)
    unchanged = not_modified(request, etag)
    if unchanged:
        return unchanged
    texts = (metadata_text(one, request.root) for one in held)
    headers = {"Content-Type": offer.name, "ETag": etag, "Cache-Control": CACHING}
    return Response(200, headers, begun(json_array(texts)))


def metadata_text(held: HeldInstance, root: str) -> str:
    """The metadata of one instance.

    Args:
        held: the instance.
        root: of the addresses of long values.
    """
    bulk = f"{address(root, held)}/bulkdata/"

    def made() -> str:
        with ExitStack() as stack:
            return data_set_text(open_now(stack, held), lambda place: bulk + place)

    return _TEXTS.get((bulk, *file_key(held)), made)
