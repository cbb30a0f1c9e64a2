"""Every setting is described, in the program and in the guide, and no secret is shown."""

from __future__ import annotations

import re
from pathlib import Path

from dicomfab.app import sign_in_settings
from dicomfab.app.settings import Settings, load_settings
from dicomfab.app.settings_words import described
from dicomfab.app.web_settings import WebSettings

GUIDE = Path(__file__).parents[3] / "docs" / "user-guides" / "settings.md"
OF_TESTS = {"DICOMFAB_LEASE_S"}
TITLED = ("LDAP", "SAML", "OIDC")


def names() -> set[str]:
    return {row.name for row in described(Settings(Path("home")), WebSettings(), {})}


def test_every_setting_is_described() -> None:
    told = f"{Settings.__doc__} {WebSettings.__doc__} {Path(sign_in_settings.__file__).read_text()}"
    known = set(re.findall(r"DICOMFAB_[A-Z0-9_]+[A-Z0-9]\b", told)) | {f"DICOMFAB_{one}_TITLE" for one in TITLED}
    assert names() == known - OF_TESTS | {"DICOMFAB_WEB_CERTIFICATE"}


def test_the_guide_has_every_setting() -> None:
    told = set(re.findall(r"DICOMFAB_[A-Z0-9_]+", GUIDE.read_text()))
    assert names() <= told
    assert told - names() == {"DICOMFAB_SERVER", "DICOMFAB_TOKEN", "DICOMFAB_TOKEN_FILE"}


def test_what_was_given_is_told_from_what_is_usual(tmp_path: Path) -> None:
    env = {"DICOMFAB_HOME": str(tmp_path), "DICOMFAB_WEB_PORT": "5009"}
    rows = {row.name: row for row in described(load_settings(env), WebSettings(), env)}
    assert (rows["DICOMFAB_WEB_PORT"].value, rows["DICOMFAB_WEB_PORT"].is_given) == ("5009", True)
    assert rows["DICOMFAB_HOME"].value == str(tmp_path)
    assert not rows["DICOMFAB_AUTH"].is_given


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    env = {
        "DICOMFAB_HOME": str(tmp_path),
        "DICOMFAB_DATABASE": "postgresql://someone:SECRET1@db.example/lab",
        "DICOMFAB_MONITOR_WEBHOOK": "https://hooks.example/SECRET2",
    }
    rows = described(load_settings(env), WebSettings(), env)
    assert not any("SECRET" in row.value or "someone" in row.value for row in rows)
    assert {row.value for row in rows if row.name == "DICOMFAB_DATABASE"} == {"lab on db.example:5432"}
