from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomfab.app.settings import load_settings
from dicomfab.model.errors import InvalidInput
from dicomfab.storage.address import PostgresAddress

NAME = "DICOMFAB_DATABASE"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


def test_without_the_setting_the_database_is_a_file_of_the_home(tmp_path):
    home = str(tmp_path)
    for unset in ({}, {NAME: ""}, {NAME: "  "}):
        assert load_settings({"DICOMFAB_HOME": home, **unset}).database == tmp_path / "dicomfab.sqlite3"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("postgresql://db.example/lab", PostgresAddress("lab", "db.example")),
        ("postgres://u:p@h:5433/lab", PostgresAddress("lab", "h", 5433, "u", "p")),
        ("postgresql://u@[::1]/lab", PostgresAddress("lab", "::1", user="u")),
        ("postgresql:///lab", PostgresAddress("lab")),
        ("postgresql:///lab?host=/run/db", PostgresAddress("lab", options={"host": "/run/db"})),
        ("postgresql://h/lab?sslmode=verify-full", PostgresAddress("lab", "h", options={"sslmode": "verify-full"})),
    ],
)
def test_addresses_are_read(text, address):
    found = load_settings({"DICOMFAB_HOME": "/x", NAME: text})
    assert found.database == address
    assert isinstance(load_settings({"DICOMFAB_HOME": "/x"}).database, Path)


@given(TEXT, TEXT, TEXT)
def test_anything_can_be_a_name_or_a_password(user, password, database):
    parts = [quote(part, safe="") for part in (user, password, database)]
    if "/" in database:
        return
    found = PostgresAddress.parse("postgresql://{}:{}@h/{}".format(*parts), name=NAME)
    assert (found.user, found.password, found.database) == (user, password, database)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("mysql://u:Sesame1@h/lab", "begin with postgresql"),
        ("/var/lib/Sesame1.sqlite3", "begin with postgresql"),
        ("postgresql://u:Sesame1@h", "names no database"),
        ("postgresql://u:Sesame1@h/", "names no database"),
        ("postgresql://u:Sesame1@h/a/b", "percent-encoded"),
        ("postgresql://u:Ses#ame1@h/lab", "URL that can be read"),
        ("postgresql://u:5/Sesame1@h", "percent-encoded"),
        ("postgresql://h/lab#Sesame1", "percent-encoded"),
        ("postgresql://u:Ses/ame1@h/lab", "URL that can be read"),
        ("postgresql://u:Sesame1@h:port/lab", "URL that can be read"),
        ("postgresql://u:Sesame1@h:99999/lab", "URL that can be read"),
        ("postgresql://u:Sesame1@[h/lab", "URL that can be read"),
        ("postgresql://u:%FFSesame1@h/lab", "URL that can be read"),
        ("postgresql://h/lab?password=Sesame1", "unknown options"),
        ("postgresql://h/lab?Sesame1", "URL that can be read"),
    ],
)
def test_what_cannot_be_used_names_the_setting_and_never_the_secret(text, why):
    with pytest.raises(InvalidInput, match=why) as caught:
        load_settings({"DICOMFAB_HOME": "/x", NAME: text})
    assert caught.value.field == NAME
    assert NAME in caught.value.what
    assert "ame1" not in f"{caught.value} {caught.value.as_dict()}"


@given(st.text())
def test_whatever_is_set_is_read_or_refused(text):
    try:
        found = PostgresAddress.parse(text, name=NAME)
    except InvalidInput:
        return
    assert found.database


def test_no_representation_shows_the_password():
    settings = load_settings({"DICOMFAB_HOME": "/x", NAME: "postgresql://u:Sesame1@h/lab"})
    assert settings.postgres is not None
    assert settings.postgres.password == "Sesame1"
    assert "Sesame1" not in f"{settings} {settings!r} {settings.postgres} {settings.postgres!r}"
