"""The guide to operations: its proxies and its database are real here, and its figures are those of the code."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from dicomfab.app.build import Application
from dicomfab.dicomweb.handler import MAX_BODY_BYTES
from dicomfab.fabricate.recipe import StudyRecipe
from dicomfab.model.account import Account
from dicomfab.model.actor import Actor, Role
from dicomfab.model.part10 import file_header
from dicomfab.testpacs.log_file import LOG_BYTES, LOG_FILES
from dicomfab.web import door, run
from tests.docs.examples import CLONE, blocks, commands
from tests.docs.proxies import Proxy, apache, nginx
from tests.peers.postgres import PostgresServer, _program, postgres_server
from tests.security.served import Served, _AsNamed, in_a_process, installation, person, sign_in, token
from tests.unit.archive.builders import EXPLICIT, dataset, encode, identity_of
from tests.unit.web.people import OWNER

DOCUMENT = CLONE / "docs" / "user-guides" / "operations.md"
PAGE = DOCUMENT.read_text("utf-8")
BLOCKS = blocks(DOCUMENT)
NAME = "dicomfab.example.com"
CALLER = "127.0.0.7"
UPLOAD_BYTES = 50 << 20
WAIT_S = 30.0


def environment() -> dict[str, str]:
    """The file of variables, as the page has it."""
    (text,) = [one.text for one in BLOCKS if one.text.startswith("DICOMFAB_AUTH=")]
    return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that stands for /etc/dicomfab: certificate and key, and who signed it."""
    folder = tmp_path_factory.mktemp("etc")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    own = authority.issue_cert(NAME)
    for pem in own.cert_chain_pems:
        pem.write_to_path(folder / "chain.pem", append=True)
    own.private_key_pem.write_to_path(folder / "key.pem")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``dicomfab serve`` with the variables of the page, and two people."""
    home = tmp_path_factory.mktemp("operations") / "home"
    with installation(home) as application:
        person(application, "anna", Role.ADMIN)
        person(application, "ben", Role.TEST_WRITE)
    with in_a_process(home, **environment()) as served:
        yield served


@pytest.fixture(scope="module", params=["nginx", "apache"])
def proxy(
    request: pytest.FixtureRequest, served: Served, files: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    start = {"nginx": nginx, "apache": apache}[request.param]
    (block,) = [one.text for one in BLOCKS if one.language == request.param]
    with start(block, served.port, files, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def client(proxy: Proxy, files: Path) -> Iterator[httpx.Client]:
    """A browser on another address of this machine, which trusts the authority alone."""
    context = ssl.create_default_context(cafile=str(files / "authority.pem"))
    transport = _AsNamed(NAME, verify=context, local_address=CALLER)
    with httpx.Client(
        base_url=f"https://{NAME}:{proxy.secure}", transport=transport, trust_env=False, timeout=WAIT_S,
        headers={"Sec-Fetch-Site": "same-origin"},
    ) as client:  # fmt: skip
        yield client


def account(application: Application, name: str) -> Account:
    return application.accounts.named(OWNER, name)


@pytest.mark.full
def test_people_are_led_to_tls_and_sign_in_there(proxy: Proxy, client: httpx.Client, served: Served) -> None:
    plain = httpx.get(f"http://127.0.0.1:{proxy.plain}/pacs?all=1", headers={"Host": NAME}, trust_env=False)
    assert (plain.status_code, plain.headers["location"]) == (301, f"https://{NAME}/pacs?all=1")
    assert client.get("/pacs").status_code == 303
    spoofed = client.post(
        "/sign-in", data={"name": "ben", "password": "wrong"},
        headers={"X-Forwarded-For": "192.0.2.66", "X-Forwarded-Proto": "http"},
    )  # fmt: skip
    assert spoofed.status_code == 401
    answer = sign_in(client, "ben")
    assert answer.status_code == 303
    assert not answer.headers["location"].startswith("http:")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    page = client.get("/pacs")
    assert page.status_code == 200
    assert page.headers["strict-transport-security"]
    assert client.get("/healthz").text == "ok"
    with installation(served.home) as application:
        ben = account(application, "ben")
        assert {one.address for one in application.sign_in.sessions(OWNER, ben.id)} == {CALLER}


@pytest.mark.full
def test_other_names_are_refused_behind_it_too(client: httpx.Client) -> None:
    assert client.get("/sign-in", headers={"Host": "evil.example"}).status_code in {403, 404, 421}


@pytest.mark.full
def test_progress_comes_as_it_happens(client: httpx.Client, served: Served) -> None:
    with installation(served.home) as application:
        ben = account(application, "ben")
        actor = Actor("ben", ben.roles, "web", ben.id)
        wanted = [application.studies.resolve_recipe(actor, StudyRecipe(("text-card",), seed=1))]
        job = application.jobs.fabricate(actor, wanted)
        assert sign_in(client, "ben").status_code == 303
        with client.stream("GET", f"/jobs/{job.id}/events", timeout=WAIT_S) as answer:
            lines = answer.iter_lines()
            assert next(line for line in lines if line.startswith("event:"))
            asked = client.post(f"/jobs/{job.id}/ask", data={"event": "cancel"})  # while the stream is open
            assert asked.status_code in {200, 204, 303}
            assert any("end" in line for line in lines if line.startswith("event:"))


@pytest.mark.full
def test_fifty_megabytes_are_stored(client: httpx.Client, served: Served, proxy: Proxy) -> None:
    study = f"1.2.{proxy.secure}"
    rows = 1 << 12
    data = dataset(
        study, f"{study}.1", f"{study}.1.1", Rows=rows, Columns=rows, BitsAllocated=16, BitsStored=16, HighBit=15,
        PixelRepresentation=0, SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
    )  # fmt: skip
    data.NumberOfFrames = 2
    data.add_new(0x7FE00010, "OW", bytes(2 * 2 * rows * rows))
    identity = identity_of(data)
    body = file_header(identity.sop_class_uid, identity.sop_instance_uid, EXPLICIT) + encode(data)
    assert len(body) > UPLOAD_BYTES
    with installation(served.home) as application:
        shown = token(application, account(application, "anna"))  # what is not proven to be fabricated is real
    headers = {
        "Authorization": f"Bearer {shown}",
        "Content-Type": "application/dicom",
        "Accept": "application/dicom+json",
    }
    stored = client.post("/dicom-web/studies", content=body, headers=headers, timeout=120)
    assert stored.status_code == 200, stored.text
    (address,) = stored.json()["00081190"]["Value"]
    assert address.startswith(f"https://{NAME}"), address
    found = client.get("/dicom-web/studies", params={"StudyInstanceUID": study}, headers=headers)
    assert len(found.json()) == 1
    assert not list(proxy.folder.glob("body/*"))


@pytest.mark.full
def test_commands_from_afar_go_through(client: httpx.Client, served: Served) -> None:
    with installation(served.home) as application:
        shown = token(application, account(application, "anna"))
    headers = {"Authorization": f"Bearer {shown}"}
    said = client.post("/api/v1/commands", json={"arguments": ["pacs", "list", "--json"]}, headers=headers, timeout=60)
    assert json.loads(said.text.splitlines()[-1])["exit"] == 0


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


def as_printed(document: Path, heading: str) -> str:
    """The shell blocks below a heading."""
    text = document.read_text("utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.full
def test_two_machines_share_a_database(postgres: PostgresServer, tmp_path: Path) -> None:
    """What is printed, typed in a shell; who administers the server is another user of PostgreSQL here."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "sudo").write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    (bin_folder / "sudo").chmod(0o755)
    key = tmp_path / "audit.key"
    key.write_text("0123456789abcdef" * 4)
    key.chmod(0o600)
    script = as_printed(DOCUMENT, "PostgreSQL")
    script = re.sub(r"@db\.example\.\w+/dicomfab\?sslmode=verify-full", f"@127.0.0.1:{postgres.port}/dicomfab", script)
    script = script.replace("/etc/dicomfab/audit.key", str(key))
    assert str(postgres.port) in script
    paths = [bin_folder, Path(_program("initdb")).parent, CLONE / ".venv" / "bin"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DICOMFAB_")}
    env = inherited | {
        "PATH": os.pathsep.join([*map(str, paths), os.environ["PATH"]]), "DICOMFAB_HOME": str(tmp_path / "one"),
        "DICOMFAB_AUDIT_KEY_FILE": str(key), "PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "owner",
    }  # fmt: skip
    other = "DICOMFAB_HOME=$DICOMFAB_HOME-other dicomfab"
    looked = f"{other} pacs list --json > listed\n{other} study list --json > studies\n"
    postgres.execute("DROP DATABASE IF EXISTS dicomfab")
    postgres.execute("DROP ROLE IF EXISTS dicomfab")
    done = subprocess.run(
        ["bash", "-euc", f"{script}\n{looked}"], env=env, cwd=tmp_path, input="secret-word\nsecret-word\n", text=True,
        capture_output=True, timeout=120, check=False, start_new_session=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert ":PASSWORD@" not in done.stdout + done.stderr
    assert "hospital-pacs" in (tmp_path / "listed").read_text()
    assert not (tmp_path / "one" / "dicomfab.sqlite3").exists()
    owners = postgres.execute("SELECT tableowner FROM pg_tables WHERE schemaname = 'public'", "dicomfab")
    assert set(owners) == {("dicomfab",)}


# --- figures and commands -----------------------------------------------------------------------------------------


def test_the_limits_are_those_of_the_door() -> None:
    assert (door.OPEN_BYTES, door.MOST_BYTES, MAX_BODY_BYTES) == (64 << 10, 64 << 20, 8 << 30)
    for said in ("64 kB for who is not signed in", "64 MB for forms and commands", "8 GiB for STOW-RS"):
        assert said in PAGE


def test_logs_are_as_large_as_they_are_said_to_be() -> None:
    rows = dict(re.findall(r"^\| (`web\.log`|`ris\.log`.*?|`lab/logs`) \| .* \| (.*) \|$", PAGE, re.MULTILINE))
    numbers = {2: "two", 3: "three", 4: "four"}
    own = f"{numbers[run._LOGS_KEPT + 1]} files of {run._LOG_BYTES // 1_000_000} MB, the oldest goes"
    others = f"{numbers[LOG_FILES + 1]} files of {LOG_BYTES // 1_000_000} MB, the oldest goes"
    assert list(rows.values()) == [own, others, others]


def test_the_figures_are_those_of_the_benchmarks() -> None:
    measured = (CLONE / "docs" / "reference" / "benchmarks.md").read_text("utf-8")
    table = PAGE.split("## How large a machine")[1].split("\n\n")[2]
    figures = re.findall(r"\| ([\d.,]+)(?= /s| ms| s,)", table)
    assert len(figures) == 5
    for figure in figures:
        assert re.search(rf"(?<![\d.,]){re.escape(figure)}", measured) or figure == "12", figure
    assert "| equal | 11.8 s, 111 MB |" in measured


def test_the_commands_exist_with_their_options() -> None:
    reference = (CLONE / "docs" / "reference" / "command-line.md").read_text("utf-8")
    sections = dict(re.findall(r"^#{2,4} (dicomfab [^\n]+)\n(.*?)(?=^#{2,4} |\Z)", reference, re.M | re.S))
    printed = [one for block in BLOCKS if block.language == "bash" for one in commands(block.text)]
    named = re.findall(r"`(dicomfab [^`]+)`", PAGE)
    for command in [*printed, *named]:
        if not command.startswith("dicomfab "):
            continue
        words = command.split("#")[0].split()
        name = next(" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in sections)
        for option in (word for word in words if word.startswith("--")):
            assert f"`{option}" in sections[name] or f"{option}`" in sections[name], command


def test_the_files_for_systemd_are_there_and_all_are_told() -> None:
    told = set(re.findall(r"^\| `(dicomfab[\w.-]*)` \|", PAGE, re.MULTILINE))
    assert told == {path.name for path in (CLONE / "packaging").glob("dicomfab*")}
    units = [path.read_text("utf-8") for path in (CLONE / "packaging").glob("*.service")]
    for said in ("/opt/dicomfab/bin/dicomfab", "/var/lib/dicomfab", "/etc/dicomfab/dicomfab.env"):
        assert said in PAGE
        assert all(said in unit for unit in units)


def test_the_settings_are_known() -> None:
    known = {*re.findall(r"`(DICOMFAB_[A-Z_]+)`", (CLONE / "docs/user-guides/settings.md").read_text("utf-8"))}
    assert set(environment()) <= known
