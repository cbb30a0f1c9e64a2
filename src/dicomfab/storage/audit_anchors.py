"""Anchors: where the audit log stood, noted outside the database so that a tail that was cut off is missed."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Self

from dicomfab.model.errors import InvalidInput, LocalFailure

_MAC: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Anchor:
    """The number and the MAC (64 hexadecimal digits) of an entry that was the newest at some moment."""

    seq: int
    mac: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """``SEQ:MAC``, as ``dicomfab audit verify`` prints it.

        Raises:
            InvalidInput: it is something else.
        """
        seq, _, mac = text.strip().partition(":")
        if not (seq.isascii() and seq.isdigit() and 0 < len(seq) < 19 and _MAC.fullmatch(mac.lower())):
            raise InvalidInput(
                f"{text!r} is no anchor",
                field="anchor",
                value=text,
                cause="an anchor is the number of an entry, a colon and 64 hexadecimal digits",
                remedy="copy one that dicomfab audit verify has printed, whole",
            )
        return cls(int(seq), mac.lower())

    def __str__(self) -> str:
        """As :meth:`parse` reads it."""
        return f"{self.seq}:{self.mac}"


class AnchorFile:
    """Anchors in a file, one line of JSON each, the newest at the end.

    Args:
        path: of the file; made readable by its owner only when there is something to write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def age_s(self) -> float:
        """Seconds since something was written; infinite if nothing ever was."""
        try:
            return time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return float("inf")
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def add(self, anchor: Anchor, at: datetime) -> None:
        """Write an anchor to the end; it is on the disk when this returns.

        Raises:
            LocalFailure: it cannot be written.
        """
        line = json.dumps({"at": at.isoformat(timespec="seconds"), "seq": anchor.seq, "mac": anchor.mac}) + "\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "ab") as file:
                # One write, so that lines of several processes do not mix; the line feed before it ends what a power
                # cut may have left unfinished.
                file.write(("\n" + line).encode("ascii"))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error

    def read(self) -> list[Anchor]:
        """All anchors, in the order of their entries.

        Raises:
            LocalFailure: the file cannot be read, or holds a line that is no anchor. A line that is no JSON is left
                out: a power cut leaves one unfinished.
        """
        try:
            lines = self.path.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from error
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                values = json.loads(line)
            except ValueError:
                continue
            try:
                found.append(Anchor.parse(f"{values['seq']}:{values['mac']}"))
            except (KeyError, TypeError, InvalidInput) as error:
                raise self._unusable(f"line {number} is no anchor: it was damaged or edited") from error
        return sorted(found)

    def _unusable(self, reason: str) -> LocalFailure:
        return LocalFailure(
            f"the anchors of the audit log, {self.path}, cannot be used ({reason})",
            cause="the file was changed by hand, or belongs to another user",
            remedy="compare it with a copy that is kept elsewhere; it is a finding in itself",
        )
