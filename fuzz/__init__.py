"""Fuzz targets for what reads a peer's bytes.

Each ``fuzz_*.py`` has a plain function ``one_input(data)`` that raises if something is wrong. ``make fuzz`` runs them
all with atheris; ``tests/unit/fuzz`` runs them on the inputs in ``corpus``, with nothing but pytest. To keep what a run
has found, from the project's folder::

    python -m fuzz.choose pdu_stream fuzz/found/pdu_stream
"""
