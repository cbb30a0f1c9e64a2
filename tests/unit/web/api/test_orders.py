"""Orders over a real socket: messages taken and sent, procedures, the worklist, the loop; and who may what."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicomfab.api import Lab
from dicomfab.app.build import Application, build
from dicomfab.app.settings import Settings
from dicomfab.model.actor import Role
from dicomfab.model.audit import EventKind
from dicomfab.model.hl7_message import Hl7Message
from dicomfab.model.values import Environment
from dicomfab.services.ordering.ris import RisConfig
from dicomfab.storage.audit import AuditFilter
from dicomfab.storage.hl7_messages import MessageFilter
from dicomfab.testpacs.ports import free_ports
from dicomfab.web.api.messages import HL7, MOST_BYTES
from dicomfab.web.app import create_app
from tests.unit.services.hospital import Hospital, hospital
from tests.unit.services.ordering.conftest import message, orm, pid
from tests.unit.web.api.conftest import serving
from tests.unit.web.conftest import ACTOR
from tests.unit.web.people import LOCAL, add, token_of


@dataclass(frozen=True)
class Asked:
    """Somebody who asks a server at a real port."""

    client: httpx.Client

    def ask(self, method: str, path: str, status: int = 200, **arguments: Any) -> Any:
        """The JSON of an answer that has to have this status."""
        response = self.client.request(method, f"/api/v1{path}", **arguments)
        assert response.status_code == status, response.text
        if status >= 400:
            assert response.headers["content-type"] == "application/problem+json"
        return response.json()

    def give(self, data: bytes, environment: str = "test", status: int = 200, kind: str = HL7) -> Any:
        """A message, taken."""
        path = f"/messages?environment={environment}"
        return self.ask("POST", path, status, content=data, headers={"Content-Type": kind})


@pytest.fixture
def owner(application: Application) -> Iterator[Asked]:
    """The administrator of mode ``none``."""
    own = {"Sec-Fetch-Site": "same-origin"}
    with serving(create_app(application)) as address, httpx.Client(base_url=address, headers=own, timeout=30) as client:
        yield Asked(client)


@pytest.fixture
def as_role(application: Application) -> Iterator[Any]:
    """Makes somebody with roles, who shows a token."""
    clients: list[httpx.Client] = []

    with serving(create_app(application, LOCAL)) as address:

        def asked(*roles: Role) -> Asked:
            account = add(application, f"p{len(clients)}", *roles)
            token = {"Authorization": f"Bearer {token_of(application, account)}"}
            clients.append(httpx.Client(base_url=address, headers=token, timeout=30))
            return Asked(clients[-1])

        yield asked
        for client in clients:
            client.close()


def ledger(application: Application) -> tuple[Hl7Message, ...]:
    return application.ordering.messages.page(ACTOR, MessageFilter()).messages


def head(address: SplitResult, length: str) -> bytes:
    """A request to take a message, up to its body."""
    lines = (
        "POST /api/v1/messages?environment=test HTTP/1.1",
        f"Host: {address.netloc}",
        "Sec-Fetch-Site: same-origin",
        f"Content-Type: {HL7}",
        length,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def test_a_message_is_taken_and_what_follows_from_it_is_told(owner: Asked) -> None:
    taken = owner.give(orm())
    assert (taken["code"], taken["state"], taken["is_repeat"]) == ("AA", "applied", False)
    assert "MSA|AA|M1" in taken["acknowledgement"]
    assert owner.give(orm(), kind="text/plain; charset=utf-8")["is_repeat"] is True

    [listed] = owner.ask("GET", "/messages?search=M1&direction=in&state=applied")["items"]
    assert (listed["number"], listed["repeats"], listed["peer"]) == (taken["number"], 1, "127.0.0.1")
    assert owner.ask("GET", "/messages?direction=out")["total"] == 0
    shown = owner.ask("GET", f"/messages/{taken['number']}")
    assert (shown["message"], shown["acknowledgement"]) == (orm().decode(), taken["acknowledgement"])

    [number] = taken["orders"]
    [order] = owner.ask("GET", "/orders?search=doe&state=open&accession_number=A100")["items"]
    assert (order["number"], order["patient_id"], order["control"]) == (number, "P100", "NW")
    detail = owner.ask("GET", f"/orders/{number}")
    assert {**order, **detail} == detail
    by_keyword = {one["keyword"]: one for one in detail["fields"]}
    assert (by_keyword["PatientID"]["value"], by_keyword["PatientID"]["origin"]) == ("P100", "PID-3.1")

    [procedure] = owner.ask("GET", "/procedures?accession_number=A100&patient_id=P100&is_open=true")["items"]
    assert procedure["number"] == order["procedure"]
    assert [one["state"] for one in procedure["steps"]] == ["SCHEDULED"]
    for other in ("patient_id=P10", "accession_number=A10", "is_open=false", "environment=prod", "search=nobody"):
        assert owner.ask("GET", f"/procedures?{other}")["total"] == 0, other
    whole = owner.ask("GET", f"/procedures/{procedure['number']}")
    assert (whole["orders"], whole["performed"]) == ([number], [])
    assert [one["kind"] for one in whole["events"]] == ["ordered"]
    assert whole["events"][0]["message"] == taken["number"]
    origins = {one["keyword"]: one["origin"] for one in whole["steps"][0]["fields"]}
    assert origins["Modality"] == "OBR-24.1"


def test_the_worklist_is_that_of_one_environment(owner: Asked, application: Application) -> None:
    owner.give(orm())
    owner.give(orm("M2", accession="A101", patient=pid("P101", "ROE^RICHARD"), start="20261128090000", placer="PL2"))
    owner.give(orm("M3", accession="A102", patient=pid("P102")), "prod")
    found = owner.ask("GET", "/worklist?environment=test")
    assert [one["00080050"]["Value"] for one in found["items"]] == [["A100"], ["A101"]]
    [step] = found["items"][0]["00400100"]["Value"]
    assert step["00080060"]["Value"] == ["CT"]
    assert found["items"][0]["00100010"]["Value"] == [{"Alphabetic": "DOE^JANE"}]
    for more, wanted in (
        ("date_from=20261128", ["A101"]),
        ("date_to=20261127", ["A100"]),
        ("patient_id=P101", ["A101"]),
        ("modality=MR", []),
        ("modality=MR&modality=CT&station=CT1&limit=1&offset=1", ["A101"]),
    ):
        items = owner.ask("GET", f"/worklist?environment=test&{more}")["items"]
        assert [one["00080050"]["Value"][0] for one in items] == wanted, more
    part = owner.ask("GET", "/worklist?environment=test&limit=1")
    assert (part["total"], "offset=1" in part["next"]) == (2, True)
    assert owner.ask("GET", "/worklist", 422)["field"] == "environment"
    asked = application.audit.page(ACTOR, AuditFilter(kinds=frozenset({EventKind.QUERY}))).entries
    assert {"P100"} == set(asked[0].event.patient_ids)  # the part that was shown, and no more


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (b"", "AR", "no MSH"),
        (b"\x00\xff\xfegarbage", "AR", "no MSH"),
        (message(pid(), kind="SIU^S12"), "AR", "not acted on"),
        (message(pid()), "AE", "nothing is ordered"),
        (orm(control="CA"), "AE", ""),
        (orm().replace(b"DOE^JANE", b"M\xfcLLER"), "AE", "character set"),
    ],
)
def test_a_refused_message_is_a_problem_with_its_acknowledgement(
    owner: Asked, data: bytes, code: str, said: str
) -> None:
    problem = owner.give(data, status=422)
    assert (problem["code"], problem["field"], problem["error"]) == (code, "message", "InvalidInput")
    assert said in problem["detail"]
    assert f"MSA|{code}" in problem["acknowledgement"]
    assert owner.ask("GET", f"/messages/{problem['number']}")["state"] == "refused"
    assert owner.ask("GET", "/procedures")["total"] == 0


def test_whoever_accepts_hl7_gets_the_acknowledgement_itself(owner: Asked) -> None:
    headers = {"Content-Type": HL7, "Accept": f"{HL7};q=1, application/json;q=0.1"}

    def post(data: bytes) -> httpx.Response:
        return owner.client.post("/api/v1/messages?environment=test", content=data, headers=headers)

    taken = post(orm())
    assert (taken.status_code, taken.headers["content-type"]) == (200, HL7)
    assert b"\rMSA|AA|M1" in taken.content
    refused = post(orm("M2", control="CA", accession="A9"))
    assert (refused.status_code, refused.headers["content-type"]) == (422, HL7)
    assert b"\rMSA|AE|M2" in refused.content
    names = message(
        pid(name="山田^太郎"), *orm().decode().split("\r")[2:-1], control_id="M3", more="||||||UNICODE UTF-8"
    )
    assert b"UNICODE UTF-8" in post(names).content

    # Enhanced mode (MSH-15): never, and only when something is wrong.
    silent = post(message(pid(), kind="ADT^A04", control_id="M4", more="|||NE"))
    assert (silent.status_code, silent.content) == (204, b"")
    wrong = post(message(pid(), kind="SIU^S12", control_id="M5", more="|||NE"))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "CR")


def test_a_message_has_10_mb_at_most_however_it_comes(owner: Asked, application: Application) -> None:
    large = orm() + b"NTE|1||" + b"x" * (11 << 20)
    assert "10 MB" in owner.give(large, status=413)["detail"]

    # In pieces, without a length that could be looked at before.
    address = urlsplit(str(owner.client.base_url))
    with socket.create_connection((address.hostname, address.port), 30) as connection:
        connection.sendall(head(address, "Transfer-Encoding: chunked"))
        piece = b"x" * 65536
        answer = b""
        try:
            for _ in range((MOST_BYTES // len(piece)) + 1):
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            answer = connection.recv(65536)
        except ConnectionError:
            pytest.fail("hung up without an answer")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert ledger(application) == ()
    assert owner.give(orm())["code"] == "AA"


def test_a_message_that_is_broken_off_is_not_taken(owner: Asked, application: Application) -> None:
    address = urlsplit(str(owner.client.base_url))
    with socket.create_connection((address.hostname, address.port), 30) as connection:
        connection.sendall(head(address, f"Content-Length: {len(orm())}") + orm()[:-40])
    assert owner.give(orm("M2"))["code"] == "AA"
    assert [one.control_id for one in ledger(application)] == ["M2"]


def test_a_form_of_another_site_cannot_give_a_message(owner: Asked, application: Application) -> None:
    """Browsers send text/plain to other sites unasked; what sends no fetch metadata has to show a token."""
    for kind in ("text/plain", HL7, "application/x-www-form-urlencoded"):
        for site in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": ""}, {"Origin": "http://evil.example"}):
            headers = {"Sec-Fetch-Site": "", "Content-Type": kind, **site}
            answer = owner.client.post("/api/v1/messages?environment=test", content=orm(), headers=headers)
            assert answer.status_code == 403, (kind, site)
    for path, kind in (("/messages", "application/json"), ("/messages/send", HL7), ("/orders", HL7)):
        assert owner.ask("POST", path, 415, content=b"{}", headers={"Content-Type": kind})["code"] == "http-415"
    assert ledger(application) == ()


def test_an_order_is_pasted(owner: Asked) -> None:
    text = orm().decode().replace("\r", "\n")
    answer = owner.client.post("/api/v1/orders", json={"message": text, "environment": "test"})
    [kept] = answer.json()["items"]
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v1/orders/{kept['number']}")
    assert (kept["environment"], kept["accession_number"], kept["message"]) == ("test", "A100", text)
    assert owner.ask("GET", f"/procedures/{kept['procedure']}")["orders"] == [kept["number"]]
    assert owner.ask("POST", "/orders", 201, json={"message": text})["items"][0]["environment"] == "prod"
    assert owner.ask("POST", "/orders", 400, json={"message": "hello"})["fault"] == "caller"
    assert owner.ask("POST", "/orders", 422, json={"message": text, "state": "made"})["field"] == "state"


@pytest.mark.parametrize("what", ["orders", "procedures", "messages"])
def test_a_number_that_there_is_not(owner: Asked, what: str) -> None:
    assert owner.ask("GET", f"/{what}/77", 404)["error"] == "NotFound"
    for number in ("0", "-1", "x", str(2**63)):
        assert owner.ask("GET", f"/{what}/{number}", 422)["field"] == "number"
    assert owner.ask("GET", f"/{what}?limit=0", 422)["field"] == "limit"


def test_a_message_is_sent_over_mllp(owner: Asked, application: Application, tmp_path: Path) -> None:
    there = build(Settings(tmp_path / "there"))
    text = (
        orm().decode().replace("\r", "\n").replace("|2.5.1", "|2.5.1||||||8859/1").replace("DOE^JANE", "MÜLLER^JÜRGEN")
    )
    with there.ordering.ris.serving(ACTOR, RisConfig(Environment.TEST, hl7_port=0, dicom_port=0)) as ris:
        body = {"host": "127.0.0.1", "port": ris.hl7_port, "environment": "test"}
        sent = owner.ask("POST", "/messages/send", json={**body, "message": text})
        assert (sent["state"], sent["code"], sent["direction"]) == ("sent", "AA", "out")
        [came] = ledger(there)
        data = there.ordering.messages.show(ACTOR, came.number).data
        assert data == text.replace("\n", "\r").encode("latin-1")
        failed = owner.ask("POST", "/messages/send", json={**body, "message": text.replace("ORM^O01", "SIU^S12")})
        assert (failed["state"], failed["code"]) == ("failed", "AR")
    there.close()
    assert owner.ask("GET", "/messages?direction=out")["total"] == 2
    assert owner.ask("POST", "/messages/send", 502, json={**body, "message": text})["fault"] == "peer"
    assert ledger(application)[0].state == "failed"
    for change, status, field in (
        ({"message": "hello"}, 400, "message"),
        ({"message": f"\x0b{text}\x1c\n"}, 400, "message"),
        ({"message": text.replace("8859/1", "KLINGON")}, 400, "MSH-18"),
        ({"message": text.replace("8859/1", "ASCII")}, 400, "MSH-18"),
        ({"host": "http://x"}, 400, "host"),
        ({"port": 0}, 422, "port"),
        ({"environment": "live"}, 422, "environment"),
    ):
        assert owner.ask("POST", "/messages/send", status, json={**body, "message": text, **change})["field"] == field


def test_a_loop_is_checked(owner: Asked, application: Application, tmp_path: Path) -> None:
    owner.give(orm(accession="A/1", uid="1.2.3.4"))
    lab = Lab(application, ACTOR)
    with hospital(tmp_path / "hospital") as site:
        server = _added(application, site)
        open_loop = owner.ask("GET", f"/loop/A%2F1?pacs={server}")
        [one] = open_loop["items"]
        assert (open_loop["is_closed"], one["accession_number"]) == (False, "A/1")
        states = {step["name"]: step["state"] for step in one["loop"]}
        assert (states["ordered"], states["performed"], states["stored"]) == ("equal", "missing", "missing")
        # A study under the number of the order, but another one.
        made = lab.create("text-card", seed=4, accession_number="A/1").resolved.study_instance_uid
        lab.send(made, to=server)
        steps = {one["name"]: one for one in owner.ask("GET", f"/loop/A%2F1?pacs={server}")["items"][0]["loop"]}
        assert steps["findable"]["state"] == "different"
        assert steps["findable"]["mismatches"]["StudyInstanceUID"] == ["1.2.3.4", made]
        assert owner.ask("GET", f"/loop/A100?pacs={server}", 404)["error"] == "NotFound"
        assert owner.ask("GET", "/loop/A%2F1?pacs=nowhere", 404)["error"] == "NotFound"
        assert owner.ask("GET", "/loop/A%2F1", 422)["field"] == "pacs"


def _added(application: Application, site: Hospital) -> str:
    entry = site.pacs("THEPACS")
    return application.pacs.add(ACTOR, {**entry.as_dict(), "environment": "test"}).id


def test_who_sees_and_does_what(as_role: Any, owner: Asked, application: Application) -> None:
    owner.give(orm(), "prod")
    owner.give(orm("M2", accession="A101", patient=pid("P101")))
    reader, writer = as_role(Role.TEST_READ), as_role(Role.TEST_WRITE)
    [message_of_prod] = [one.number for one in ledger(application) if one.environment is Environment.PROD]
    [order] = owner.ask("GET", "/orders?environment=prod")["items"]
    for path in ("/orders", "/procedures", "/messages"):
        assert reader.ask("GET", path)["total"] == 1
        assert reader.ask("GET", f"{path}?environment=prod")["total"] == 0
        assert as_role(Role.PROD_READ).ask("GET", path)["total"] == 1
    hidden = (f"/orders/{order['number']}", f"/procedures/{order['procedure']}", f"/messages/{message_of_prod}")
    for path in hidden:
        owner.ask("GET", path)
        assert reader.ask("GET", path, 404)["error"] == "NotFound"
    assert reader.ask("GET", "/worklist?environment=test")["total"] == 1
    assert reader.ask("GET", "/worklist?environment=prod", 403)["error"] == "AccessDenied"
    before = ledger(application)
    assert writer.give(orm("M3"), "prod", 403)["error"] == "AccessDenied"
    assert writer.ask("POST", "/orders", 403, json={"message": orm().decode()})["error"] == "AccessDenied"
    [port] = free_ports(1, "127.0.0.1")
    body = {"host": "127.0.0.1", "port": port, "message": orm("M4").decode(), "environment": "test"}
    assert reader.ask("POST", "/messages/send", 403, json=body)["error"] == "AccessDenied"
    assert writer.ask("POST", "/messages/send", 403, json={**body, "environment": "prod"})["error"] == "AccessDenied"
    assert ledger(application) == before
    writer.ask("POST", "/messages/send", 502, json=body)
    entry = {"name": "Live", "host": "127.0.0.1", "port": port, "aec": "LIVE", "environment": "prod"}
    application.pacs.add(ACTOR, entry)
    assert reader.ask("GET", "/loop/A101?pacs=live", 403)["error"] == "AccessDenied"


def test_nobody_who_is_not_signed_in_gets_anything(as_role: Any) -> None:
    somebody = as_role(Role.ADMIN)
    del somebody.client.headers["Authorization"]
    for path in ("/orders", "/procedures", "/messages", "/worklist?environment=test", "/loop/A?pacs=x"):
        somebody.ask("GET", path, 401)
    somebody.client.headers["Sec-Fetch-Site"] = "same-origin"
    somebody.give(orm(), status=401)
    somebody.ask("POST", "/messages/send", 401, json={})


_SEGMENT = st.text(st.sampled_from("MSHPIDORCB|^~\\&\r\n0123456789 \x00\x0b\x1cÄ山"), max_size=60)


def test_whatever_comes_is_answered(owner: Asked) -> None:
    parts = st.lists(_SEGMENT | st.sampled_from([line for line in orm().decode().split("\r") if line]), max_size=6)

    @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(parts=parts, codec=st.sampled_from(["utf-8", "utf-16"]), kind=st.sampled_from([HL7, "text/plain"]))
    def given_to(parts: list[str], codec: str, kind: str) -> None:
        data = "\r".join(parts).encode(codec)
        answer = owner.client.post("/api/v1/messages?environment=test", content=data, headers={"Content-Type": kind})
        told = answer.json()
        assert answer.status_code in {200, 422}, told
        code = told["code"]
        assert code in ({"AA", "CA"} if answer.status_code == 200 else {"AE", "AR", "CE", "CR"})
        assert owner.ask("GET", f"/messages/{told['number']}")["code"] == code

    given_to()
