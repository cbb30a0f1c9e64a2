"""The lines that an administrator adds to the other side's configuration, filled with names.

Texts (:mod:`dicomfab.diagnosis.settings_lines`) name what :data:`PLACEHOLDERS` lists, and nothing else:

* settings of one server: ``{name}`` its name, ``{host}`` and ``{port}`` its address, ``{called}`` its AE title as we
  call it, ``{calling}`` our AE title, ``{our_host}`` this machine's address as the server sees it, ``{our_port}`` of
  our own Storage SCP;
* settings of a C-MOVE: ``{source}`` and ``{destination}`` the names, ``{source_host}``, ``{source_port}``,
  ``{destination_host}`` and ``{destination_port}`` the addresses, ``{source_aec}`` the AE title under which the source
  calls the destination, ``{destination_aec}`` that of the destination as we know it, ``{move_ae}`` the move destination
  in the C-MOVE.
  :attr:`Setting.KNOW_DESTINATION`, :attr:`Setting.SEND_WITH_TLS` and :attr:`Setting.SEND_WITHOUT_TLS` are for the
  source's administrator, :attr:`Setting.KNOW_SOURCE` for the destination's.

A name that is not given shows as ``<name>``. A format after the colon quotes a value as the file wants it: ``json``,
``python``, ``symbol`` (a word to refer by), ``cfg`` and ``cfg-quoted`` (``dcmqrscp.cfg``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.diagnosis.implementations import Fingerprint, Product, fingerprint, product_of
from dicomfab.diagnosis.settings_lines import DESTINATION_SETTINGS, LINES, MOVE_SETTINGS, Setting, Template

__all__ = [
    "AT_DESTINATION",
    "PLACEHOLDERS",
    "Fingerprint",
    "Line",
    "Product",
    "Setting",
    "fingerprint",
    "lines_for",
    "product_of",
]

_SERVER: Final = frozenset({"name", "host", "port", "called", "calling", "our_host", "our_port"})
_MOVE: Final = frozenset(
    "source source_host source_port source_aec destination destination_host destination_port destination_aec "
    "move_ae".split()
)
#: Setting -> what its texts may name.
PLACEHOLDERS: Final[Mapping[Setting, frozenset[str]]] = {
    setting: _MOVE if setting in MOVE_SETTINGS else _SERVER for setting in Setting
}


#: Placeholder of one server -> what it is where the destination of a C-MOVE is that server, and the source calls it.
AT_DESTINATION: Final = {
    "name": "destination",
    "host": "destination_host",
    "port": "destination_port",
    "called": "destination_aec",
    "calling": "source_aec",
    "our_host": "source_host",
    "our_port": "source_port",
}
_MAY_BE: Final = {Product.DCMTK: (Product.DCMTK, Product.ORTHANC), Product.UNKNOWN: tuple(Product)}


@dataclass(frozen=True, slots=True)
class Line:
    """What to add where, for one product.

    Args:
        product: for which.
        place: file or page.
        text: exactly what to write there.
        tried: whether our tests add it to the real product and see that it helps; else it is from documentation.
    """

    product: str
    place: str
    text: str
    tried: bool = True


def lines_for(settings: Sequence[Setting], product: Product, names: Mapping[str, str]) -> tuple[Line, ...]:
    """What to give an administrator: for their product if it is known, else for each that we know.

    What is built on DCMTK may be Orthanc, so both are given for DCMTK. In a C-MOVE, it is the destination that lets the
    source in, accepts instances and stores them: settings of that kind are then for the destination's product, and the
    source stands in our place.

    Args:
        settings: in the order in which to give them.
        product: of the server; of the source in a C-MOVE.
        names: for the placeholders; ``destination_product`` besides in a C-MOVE.
    """
    found: list[Line] = []
    for setting in settings:
        whose, named = product, names
        if "destination_product" in names and setting in DESTINATION_SETTINGS:
            whose = Product(names["destination_product"])
            named = {**names, **{ours: names[theirs] for ours, theirs in AT_DESTINATION.items() if theirs in names}}
        filled = _Names({name: _Name(value) for name, value in named.items()})
        for wanted in _MAY_BE.get(whose, (whose,)):
            found += [_line(line, filled) for line in LINES[setting] if line.product is wanted]
    return tuple(dict.fromkeys(found))


def _line(line: Template, names: Mapping[str, str]) -> Line:
    place = line.place.format_map(names)
    try:
        return Line(str(line.product), place, line.text.format_map(names), line.tried)
    except _NotWritable as value:
        text = f"the file cannot hold {str(value)!r}: choose an AE title of letters, digits, '-' and '_'"
        return Line(str(line.product), place, text, line.tried)


class _NotWritable(Exception):
    """The format of the file has no way to write the value."""


class _Names(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return _Name(f"<{name}>")


class _Name(str):
    """A value that is quoted as a format asks for."""

    __slots__ = ()

    def __format__(self, form: str) -> str:
        text = str(self)
        match form:
            case "json":
                return json.dumps(text)
            case "python":
                return repr(text)
            case "symbol":
                return re.sub(r"[^A-Za-z0-9_-]", "_", text)
            case "cfg" if not re.fullmatch(r"[^\s\"'(),#=]+", text):
                raise _NotWritable(text)
            case "cfg-quoted" if '"' in text:
                raise _NotWritable(text)
            case "cfg-quoted":
                return f'"{text}"' if not re.fullmatch(r"[\w.-]+", text) else text
        return text
