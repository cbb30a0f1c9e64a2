"""Makes the home of an earlier version: its program is taken out of the history and fills a home by its commands.

Run it as root within ``unshare --uts``: the machine's name, which a home notes here and there, is then another one.
"""

from __future__ import annotations

import io
import os
import shlex
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent
ORDER = (
    r"MSH|^~\&|RIS|HOSPITAL|DICOMFAB|TEST|20250103101500||ORM^O01|M1|P|2.5" + "\r"
    "PID|1||SYN9||Roe^Richard||19610203|M\rORC|NW|P1|F1\rOBR|1|P1|F1|CTCHEST^CT of the chest||||||||||||||A9|||||||CT\r"
)
#: What is done, as far as the version has the command.
COMMANDS = """
pacs add --name Ward --host ward.example --port 11112 --aec WARD --environment test --description Beds
pacs add --name Archive --host archive.example --port 11113 --aec ARCHIVE --environment prod
pacs route ward archive --ae ARCHIVE
study create --kind text-card --seed 7 --patient-name Doe^Jane --patient-id SYN7 --study-date 20250102 --accession A7
study create --kind text-card --seed 8 --patient-name Doe^John --patient-id SYN8 --study-date 20250102 --accession A8
patient add --name Poe^Edgar --id SYN5 --birth-date 19090119 --sex M
study send A7 --to ward --detach
schedule add send A7 --to ward --cron '0 2 * * *'
users add nora test_read --password-file -
order add {order}
order add {order} --test
""".strip().splitlines()
ASKED = {
    "pacs": "pacs list",
    "studies": "study list",
    "patients": "patient list",
    "jobs": "jobs list",
    "schedules": "schedule list",
    "users": "users list",
    "orders": "order list",
    "messages": "hl7 list",
    "audit": "audit list",
}


def main(commit: str) -> None:
    socket.sethostname("example")
    with tempfile.TemporaryDirectory(prefix="dicomfab-old-") as folder:
        code, home = Path(folder, "code"), Path(folder, "home")
        code.mkdir()
        archived = subprocess.run(["git", "archive", commit, "src"], check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(archived)) as packed:
            packed.extractall(code, filter="data")
        order = Path(folder, "order.hl7")
        order.write_text(ORDER)
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(code / "src"),
            "DICOMFAB_HOME": str(home),
            "DICOMFAB_WORKER_IDLE_S": "0",
            "LOGNAME": "owner",
            "TZ": "UTC",
        }

        def run(words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
            command = [sys.executable, "-m", "dicomfab", *shlex.split(words.format(order=order))]
            return subprocess.run(command, env=env, capture_output=True, check=False, **options)

        for words in COMMANDS:
            done = run(words, input=b"a-Long-enough-passw0rd-of-nora\n")
            sys.stdout.write(f"{'failed' if done.returncode else 'done'}  {words}\n")
        said = {}
        for name, words in ASKED.items():
            done = run(f"{words} --json")
            if not done.returncode:
                said[name] = done.stdout
        revision = _revision(home)
        write(HERE / f"{revision}.tar.xz", home, said)
        sys.stdout.write(f"{revision}  {commit}\n")


def write(target: Path, home: Path, said: dict[str, bytes]) -> None:
    """One file, without anything of the machine that it was made on."""
    with tarfile.open(target, "w:xz", preset=9) as packed:
        for path in sorted(home.rglob("*")):
            name = path.relative_to(home)
            if path.is_file() and name.parts[0] != "logs" and path.suffix != ".lock":
                add(packed, f"home/{name}", path.read_bytes())
        for name, content in said.items():
            add(packed, f"said/{name}.json", content)


def add(packed: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o600
    packed.addfile(info, io.BytesIO(content))


def _revision(home: Path) -> str:
    with closing(sqlite3.connect(home / "dicomfab.sqlite3")) as database:
        (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(revision)


if __name__ == "__main__":
    main(sys.argv[1])
