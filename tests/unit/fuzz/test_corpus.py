"""Every input that fuzzing has found worth keeping, replayed without a fuzzer."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[3] / "fuzz"
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.py"))


def test_every_target_has_inputs_and_every_input_a_target() -> None:
    assert TARGETS
    assert sorted(path.name for path in (FUZZ / "corpus").iterdir() if path.is_dir()) == TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_the_inputs_of(target: str) -> None:
    one_input = importlib.import_module(f"fuzz.fuzz_{target}").one_input
    inputs = sorted((FUZZ / "corpus" / target).iterdir())
    assert inputs
    for path in inputs:
        try:
            one_input(path.read_bytes())
        except Exception as error:
            error.add_note(f"input {path.name} of {target}")
            raise


@pytest.mark.parametrize("target", TARGETS)
def test_the_smallest_inputs_of(target: str) -> None:
    one_input = importlib.import_module(f"fuzz.fuzz_{target}").one_input
    one_input(b"")
    for byte in range(256):
        one_input(bytes((byte,)))
        one_input(bytes((byte,)) * 40)
