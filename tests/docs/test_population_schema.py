"""The schema of populations that is published is that of the code."""

from __future__ import annotations

import json
from pathlib import Path

from dicomfab.fabricate.population.file import json_schema

PUBLISHED = Path(__file__).parents[2] / "docs" / "reference" / "population.schema.json"


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(PUBLISHED.read_text()) == json.loads(json.dumps(json_schema()))
