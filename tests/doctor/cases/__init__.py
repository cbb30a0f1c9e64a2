"""Broken worlds, one module for each part of the road. A module lists its worlds as ``CASES``.

Every case says which rule has to rank first; a rule of the knowledge that no case names fails
``tests/doctor/test_every_rule.py``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from dicomfab.diagnosis.reason import Diagnosis, Verdict
from tests.doctor.site import Site


@dataclass(frozen=True)
class Case:
    """One world.

    Args:
        name: for the reader of a failure.
        rule: that ranks first; none if nothing is wrong, or if nothing can be told.
        diagnosed: makes the world and has it diagnosed.
        verdict: what it comes to.
        also: rules that have to be there as well, further down.
        peers: it needs a real peer (Orthanc, DCMTK).
    """

    name: str
    rule: str
    diagnosed: Callable[[Site], Diagnosis]
    verdict: Verdict = Verdict.FOUND
    also: tuple[str, ...] = ()
    peers: bool = False


def healthy(name: str, diagnosed: Callable[[Site], Diagnosis], *, peers: bool = False) -> Case:
    """A world with nothing wrong."""
    return Case(name, "", diagnosed, Verdict.HEALTHY, peers=peers)


def all_cases() -> list[Case]:
    """The cases of all modules of this package."""
    modules = [importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)]
    return [case for module in modules for case in getattr(module, "CASES", ())]


def parameters() -> list[object]:
    """The same for ``pytest.mark.parametrize``."""
    return [pytest.param(case, id=case.name, marks=_marks(case)) for case in all_cases()]


#: Worlds of which a like one is in the short run: they wait for seconds until a move has come to its end.
_LONG = (
    "move: a study went elsewhere", "move: destination keeps a part", "move: destination keeps nothing",
    "move: elsewhere not looked for", "move: moves nothing", "move: some refused", "move: went to nobody we know",
)  # fmt: skip


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    if case.peers:  # another program's start takes seconds
        return [pytest.mark.peers, pytest.mark.full]
    return [pytest.mark.full] if case.name in _LONG else []
