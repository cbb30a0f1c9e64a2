"""Each broken world: the cause that ranks first is the right one, in time."""

from __future__ import annotations

import pytest

from dicomfab.diagnosis.checks import Outcome
from tests.doctor.cases import Case, parameters
from tests.doctor.site import Site


@pytest.mark.parametrize("case", parameters())
def test_the_right_cause_ranks_first(case: Case, site: Site) -> None:
    diagnosis = case.diagnosed(site)
    story = "\n".join(f"{c.role} {c.stage} {c.title}: {c.outcome} {c.seen} {dict(c.facts)}" for c in diagnosis.checks)
    rules = [cause.rule for cause in diagnosis.causes]
    assert (rules[:1], diagnosis.verdict) == ([case.rule] if case.rule else [], case.verdict), f"{rules}\n{story}"
    assert set(case.also) <= set(rules), story
    assert diagnosis.seconds < diagnosis.limit_s
    for cause in diagnosis.causes:
        text = f"{cause.cause} {cause.remedy} {cause.who} {cause.tells}"
        assert "{" not in text, text
        assert "unknown" not in text.replace("unknown study", ""), text
    if case.rule:
        assert any(check.outcome is not Outcome.OK for check in diagnosis.checks), story
