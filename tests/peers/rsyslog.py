"""A real rsyslog that takes messages over mutual TLS (RFC 5425), started, stopped and killed as often as wanted."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from dicomfab.syslog.receiver import SyslogReceiver
from tests.peers.programs import free_port, program
from tests.unit.dimse.transport.secure_peers import Authority, Pair

OURS: Final = "dicomfab.example"
_DEADLINE_S: Final = 20.0

# As the guide has it, and with a queue on disk: what was read when it is stopped is written when it starts again.
_CONFIGURATION: Final = """\
global(workDirectory="{folder}" maxMessageSize="64k" defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}"
  defaultNetstreamDriverKeyFile="{key}")
main_queue(queue.type="LinkedList" queue.filename="main" queue.saveOnShutdown="on" queue.timeoutShutdown="10000")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name"
  permittedPeer=["{ours}"])
template(name="lines" type="string" string="%pri% %msgid% %structured-data% %msg%\\n")
ruleset(name="audit") {{
  action(type="omfile" file="{out}" template="lines" asyncWriting="off" flushOnTXEnd="on")
}}
input(type="imtcp" port="{port}" address="127.0.0.1" ruleset="audit" supportOctetCountedFraming="on")
"""


class Rsyslog:
    """One installation of it, which may run or not.

    Args:
        folder: an empty one.
        server: its certificate; one for ``localhost`` if left out.
    """

    def __init__(self, folder: Path, server: Pair | None = None) -> None:
        self._program = program("rsyslogd")
        if not list(Path("/usr/lib").glob("*/rsyslog/lmnsd_gtls.so")):
            if os.environ.get("CI"):
                pytest.fail("rsyslog-gnutls is not installed, and CI allows no skip")
            pytest.skip("rsyslog-gnutls is not installed: run tools/debian_peers.sh")
        certificates = folder / "certificates"
        certificates.mkdir()
        self.authority = Authority(certificates, "hospital")
        self.client = self.authority.issue(OURS)
        self.port = free_port()
        self._folder = folder
        self._out = folder / "audit.log"
        shown = server or self.authority.issue("localhost")
        names = {"certificate": shown.certificate, "key": shown.key, "ca": self.authority.file, "out": self._out}
        text = _CONFIGURATION.format(folder=folder, port=self.port, ours=OURS, **names)
        (folder / "rsyslog.conf").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it listens when this returns."""
        pid, configuration = self._folder / "rsyslog.pid", self._folder / "rsyslog.conf"
        pid.unlink(missing_ok=True)
        with (self._folder / "rsyslog.err").open("ab") as errors:
            command = [self._program, "-n", "-f", str(configuration), "-i", str(pid)]
            self._process = subprocess.Popen(command, stdout=errors, stderr=errors)
        end = time.monotonic() + _DEADLINE_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop(signal.SIGKILL)
                pytest.fail(f"rsyslog did not start:\n{self.errors}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; what it had read is written first, unless it is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_DEADLINE_S)

    @property
    def receiver(self) -> SyslogReceiver:
        """How it is called."""
        return self.called()

    def called(self, client: Pair | None = None, *, ca: str = "", host: str = "localhost") -> SyslogReceiver:
        """How it is called with another certificate, CA or name."""
        ours = client or self.client
        return SyslogReceiver(host, self.port, Path(ours.certificate), Path(ours.key), Path(ca or self.authority.file))

    def environment(self) -> dict[str, str]:
        """The settings of whoever delivers to it."""
        return {
            "DICOMFAB_AUDIT_SYSLOG": str(self.receiver),
            "DICOMFAB_AUDIT_SYSLOG_CA": self.authority.file,
            "DICOMFAB_AUDIT_SYSLOG_CERTIFICATE": self.client.certificate,
            "DICOMFAB_AUDIT_SYSLOG_KEY": self.client.key,
        }

    @property
    def lines(self) -> list[str]:
        """What it has written."""
        return self._out.read_text("utf-8").splitlines() if self._out.exists() else []

    @property
    def numbers(self) -> list[int]:
        """Of the entries, as it has written them."""
        return [int(number) for line in self.lines for number in re.findall(r' entry="(\d+)"', line)]

    @property
    def errors(self) -> str:
        """What it complains about."""
        return (self._folder / "rsyslog.err").read_text("utf-8", "replace")


@contextmanager
def rsyslog(folder: Path) -> Iterator[Rsyslog]:
    """One that runs at the beginning of the block, and does not after it."""
    made = Rsyslog(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()
