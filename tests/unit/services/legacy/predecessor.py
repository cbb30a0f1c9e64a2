"""Files as the predecessor leaves them: its shapes, with the faults that its users meet."""

from __future__ import annotations

import atexit
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dicomfab.app.build import Application
from dicomfab.app.settings import Settings
from dicomfab.model.actor import local_admin

OWNER = local_admin("owner", "cli")
ONE = "338e008a-30a1-4e59-b9c6-df4d3b9b2d74"
TWO = "72a5301c-c774-4d73-af88-0ebb3acfc1b0"
HASH = hashlib.sha256(b"admin123").hexdigest()
WHEN = "2025-01-01T00:00:00.000000"


def server(name: str, **more: Any) -> dict[str, Any]:
    """A server as the predecessor writes it."""
    return {
        "name": name,
        "description": "",
        "host": "pacs.example.com",
        "port": 104,
        "aet_find": "DICOMFAB",
        "aet_store": "DICOMFAB",
        "aet_echo": "DICOMFAB",
        "aec": "PACS",
        "environment": "test",
        "is_default": False,
        "is_active": True,
        "created_date": WHEN,
        "modified_date": WHEN,
        "last_tested": "",
        "test_status": "unknown",
        "test_message": "",
        "move_routing": {},
        **more,
    }


def servers() -> dict[str, Any]:
    """Two servers that know each other."""
    return {
        ONE: server("Test 1", id=ONE, port=11101, aec="TESTPACS", is_default=True, move_routing={TWO: "TESTPACS2"}),
        TWO: server("Prod 1", id=TWO, port=11102, aec="PRODPACS", environment="prod", move_routing={ONE: "TESTPACS1"}),
    }


def patient(patient_id: str, name: str = "DEMO^PATIENT", **more: Any) -> dict[str, Any]:
    """A patient as the predecessor writes it."""
    return {
        "patient_id": patient_id,
        "patient_name": name,
        "birth_date": "19900102",
        "sex": "M",
        "address": "123 Sample Street, Demo City, DC 12345",
        "phone": "555-123-4567",
        "created_date": WHEN,
        "last_used": WHEN,
        "study_count": 6,
        **more,
    }


def user(name: str, role: str = "test_read", **more: Any) -> dict[str, Any]:
    """An account as the predecessor writes it."""
    return {
        "username": name,
        "password_hash": HASH,
        "email": f"{name}@example.com",
        "role": role,
        "is_active": True,
        "created_at": WHEN,
        "last_login": None,
        **more,
    }


def group(name: str, role: str, **more: Any) -> dict[str, Any]:
    """A mapping as the predecessor writes it."""
    return {"enterprise_group": name, "application_role": role, "is_active": True, "description": "", **more}


def everything() -> dict[str, Any]:
    """One of each kind and more, of which nothing is at fault."""
    return {
        "data/pacs_config.json": servers(),
        "data/patient_registry.json": {i: patient(i) for i in ("SYN0001", "SYN0002")},
        "config/users.json": {"admin": user("admin", "admin"), "anna": user("anna", "test_write")},
        "config/group_mappings.json": {"mappings": {"DF-Admin": group("DF-Admin", "admin")}},
    }


def written(folder: Path, files: Mapping[str, Any]) -> Path:
    """A folder with these files; text and bytes as they are, the rest as JSON."""
    for label, content in files.items():
        path = folder / label
        path.parent.mkdir(parents=True, exist_ok=True)
        raw = content if isinstance(content, str | bytes) else json.dumps(content, indent=2)
        path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return folder


def installation(home: Path) -> Application:
    """An empty installation of ours."""
    shutil.copytree(_empty_home(), home)
    return Application(Settings(home=home))


@cache
def _empty_home() -> Path:
    """Made once: migrations take a second."""
    home = Path(tempfile.mkdtemp()) / "home"
    atexit.register(shutil.rmtree, home.parent)
    made = Application(Settings(home=home))
    made.registry.load()
    made.close()
    return home
