"""Asks a handler as a client would, and reads what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dicomfab.dicomweb.handler import Handler
from dicomfab.dicomweb.media_types import parse_media_type
from dicomfab.dicomweb.messages import Request
from dicomfab.dicomweb.multipart import read_parts
from dicomfab.dicomweb.ports import HeldInstance, WebStore

ROOT = "http://host/dicom-web"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def parts(self) -> list[tuple[dict[str, str], bytes]]:
        found = parse_media_type(self.headers["Content-Type"])
        assert found.name == "multipart/related"
        read = read_parts([self.content], found.parameter("boundary"))
        return [(dict(part.headers), b"".join(part.content)) for part in read]


def ask(
    store: WebStore,
    path: str,
    *query: tuple[str, str],
    method: str = "GET",
    body: Iterable[bytes] = (),
    handler: Handler | None = None,
    **headers: str,
) -> Answer:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    response = (handler or Handler()).answer(store, Request(method, path, ROOT, query, sent, body))
    content = b"".join(response.content())
    if "Content-Length" in response.headers and method != "HEAD":
        assert len(content) == int(response.headers["Content-Length"])
    return Answer(response.status, dict(response.headers), content)


def place(held: HeldInstance, depth: int = 3) -> str:
    names = ("studies", "series", "instances")
    uids = (held.study_instance_uid, held.series_instance_uid, held.file.identity.sop_instance_uid)
    return "/".join(f"{name}/{uid}" for name, uid in list(zip(names, uids, strict=True))[:depth])


def related(kind: str, syntax: str = "") -> str:
    return f'multipart/related; type="{kind}"' + (f"; transfer-syntax={syntax}" if syntax else "")
