from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomfab.dicomweb.errors import status_of
from dicomfab.dicomweb.ports import HeldInstance
from dicomfab.model.errors import (
    AccessDenied,
    ConfirmationRequired,
    Conflict,
    DicomFabError,
    DiskFull,
    InstanceUnreadable,
    InvalidInput,
    NotFound,
    NotSignedIn,
    TranscodingFailed,
)
from tests.unit.dicomweb.asking import ask, place
from tests.unit.dicomweb.conftest import Fabricate
from tests.unit.dicomweb.memory_store import MemoryStore


@pytest.fixture
def store(fabricated: Fabricate, tmp_path: Path) -> MemoryStore:
    return MemoryStore(tmp_path, fabricated("ct-chest", "dx-chest"))


def test_every_resource_answers(store: MemoryStore) -> None:
    held = store.held[0][0]
    study, series, instance = (place(held, depth) for depth in (1, 2, 3))
    for path in (
        "studies", "series", "instances", study, f"{study}/series", f"{study}/instances", f"{study}/metadata", series,
        f"{series}/instances", f"{series}/metadata", instance, f"{instance}/metadata", f"{instance}/frames/1",
        f"{instance}/bulkdata/7FE00010", f"{study}/rendered", f"{series}/rendered", f"{instance}/rendered",
        f"{instance}/frames/1/rendered", f"{study}/thumbnail", f"{series}/thumbnail", f"{instance}/thumbnail",
        f"{instance}/frames/1/thumbnail",
    ):  # fmt: skip
        assert ask(store, path).status == 200, path
        head = ask(store, path, method="HEAD")
        assert (head.status, head.content) == (200, b"")
        assert head.headers["Content-Type"]


@pytest.mark.parametrize("path", ["", "study", "studies/", "studies/1.2/nonsense", "studies/1.2/series/1.2/frames/1"])
def test_a_path_that_is_none_is_not_found(store: MemoryStore, path: str) -> None:
    answer = ask(store, path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("studies/abc", "StudyInstanceUID"),
        ("studies/..", "StudyInstanceUID"),
        ("studies/1.2/series/%2e", "SeriesInstanceUID"),
        ("studies/1.2/series/1.2/instances/" + "1." * 40 + "1", "SOPInstanceUID"),
        ("studies/1.2\n/metadata", "StudyInstanceUID"),
    ],
)
def test_a_uid_that_is_none_is_refused_at_the_door(store: MemoryStore, path: str, field: str) -> None:
    answer = ask(store, path)
    assert (answer.status, answer.json["field"]) == (400, field)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH", "POST", "x"])
def test_a_method_that_is_none_is_not_allowed(store: MemoryStore, method: str) -> None:
    answer = ask(store, f"{place(store.held[0][0])}/metadata", method=method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    if method != "POST":
        assert ask(store, "studies", method=method).headers["Allow"] == "GET, HEAD, POST"
        if method != "DELETE":
            answer = ask(store, place(store.held[0][0], 1), method=method)
            assert answer.headers["Allow"] == "GET, HEAD, POST, DELETE"


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_may_be_deleted_is(store: MemoryStore, depth: int) -> None:
    path = place(store.held[0][0], depth)
    assert ask(store, path, method="DELETE").status == 403
    store.may_delete = True
    store.in_use.add(store.held[0][0].study_instance_uid)
    assert ask(store, path, method="DELETE").status == 409
    store.in_use.clear()
    answer = ask(store, path, method="DELETE")
    assert (answer.status, answer.content) == (204, b"")
    assert ask(store, path, method="DELETE").status == ask(store, path).status == 404


def test_a_bad_query_is_told_by_its_parameter(store: MemoryStore) -> None:
    answer = ask(store, "studies", ("limit", "many"))
    assert (answer.status, answer.json["field"]) == (400, "limit")
    assert answer.json["remedy"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidInput("x"), 400),
        (NotSignedIn("x"), 401),
        (AccessDenied("x"), 403),
        (ConfirmationRequired("x"), 403),
        (NotFound("x"), 404),
        (TranscodingFailed("x"), 406),
        (Conflict("x"), 409),
        (DiskFull("x"), 507),
        (InstanceUnreadable("x"), 500),
    ],
)
def test_what_the_store_refuses_is_told_with_the_status_that_says_so(
    tmp_path: Path, error: DicomFabError, status: int
) -> None:
    class Refusing(MemoryStore):
        def find(self, search: Any) -> Any:
            raise error

        def instances(self, study: str, series: str = "", instance: str = "") -> Sequence[HeldInstance]:
            raise error

    store = Refusing(tmp_path)
    for path in ("studies", "studies/1.2", "studies/1.2/metadata", "studies/1.2/series/1.3/instances/1.4/frames/1"):
        assert ask(store, path).status == status == status_of(error)


PATHS = st.lists(
    st.sampled_from(
        ["studies", "series", "instances", "metadata", "frames", "bulkdata", "rendered", "1.2.3", "1", "7FE00010"]
    )
    | st.text(max_size=5),
    max_size=9,
).map("/".join)
HEADERS = st.dictionaries(
    st.sampled_from(["accept", "content_type", "range", "if_none_match", "content_length"]), st.text(max_size=30)
)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "DELETE"])


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(METHODS, PATHS, st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=3), HEADERS, st.binary())
def test_no_request_makes_a_failure_of_ours(
    store: MemoryStore, method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    assert ask(store, path, *query, method=method, body=[body], **headers).status < 500
    real = place(store.held[0][0])
    assert ask(store, f"{real}/{path}", *query, method=method, body=[body], **headers).status < 500
