"""One test PACS as one process: its DIMSE server and its web page, until SIGTERM.

Each server has a process of its own, because then one can be killed, restarted or made to hang without the others, each
has its own log, and they do not wait for one another's interpreter lock when instances move between them.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import uvicorn

from dicomfab.archive.archive import Archive
from dicomfab.archive.commitment import CommitmentLimits, Commitments
from dicomfab.dimse.handlers import ServerConfig
from dicomfab.dimse.scp.server import Server
from dicomfab.dimse.sop_classes import COMMITMENT
from dicomfab.testpacs import ports
from dicomfab.testpacs.folders import LabFolders
from dicomfab.testpacs.pacs import PacsHandlers
from dicomfab.testpacs.page import make_app
from dicomfab.testpacs.spec import LabConfig, ServerSpec

log = logging.getLogger(__name__)

_SAME_ASSOCIATION_S = 10.0
_STOP = frozenset({signal.SIGTERM, signal.SIGINT})


def serve(config: LabConfig, server: ServerSpec, folders: LabFolders) -> None:
    """Answer DIMSE and web requests until SIGTERM or SIGINT; then abort associations and close the archive.

    To be called in the main thread, before any other is started: the signals are waited for, not handled.

    Raises:
        PortInUse, LocalFailure: a port cannot be listened on.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP)
    archive = Archive(folders.data(server.id), on_duplicate=config.on_duplicate)
    with ExitStack() as running:
        running.enter_context(closing(archive))
        holdings = archive.storage()  # opens it, and clears up after a predecessor that was killed
        commitments = running.enter_context(_commitments(config, server, archive, folders))
        try:
            running.enter_context(_dimse(config, server, archive, commitments))
        except OSError as error:
            raise ports.not_free(error, config.bind, server.dicom_port, f"DICOM port of {server.name}") from error
        running.enter_context(web_page(config, server, archive))
        log.info(
            "%s (%s) listens on %s: DICOM %d, web %d; pid %d, %d instances",
            server.name, server.ae_title, config.bind, server.dicom_port, server.web_port, os.getpid(),
            holdings.instances,
        )  # fmt: skip
        log.info("stopping on %s", signal.Signals(signal.sigwait(_STOP)).name)
    log.info("stopped")


def _commitments(config: LabConfig, server: ServerSpec, archive: Archive, folders: LabFolders) -> Commitments:
    limits = CommitmentLimits(same_association_s=_SAME_ASSOCIATION_S if config.commitment_on_same_association else 0.0)
    destination = config.destinations(server.id).get
    return Commitments(archive, folders.commitments(server.id), destination, server.ae_title, limits=limits)


def _dimse(config: LabConfig, server: ServerSpec, archive: Archive, commitments: Commitments) -> Server:
    return Server(
        ServerConfig(
            ae_title=server.ae_title,
            host=config.bind,
            port=server.dicom_port,
            known_calling_ae_titles=config.known_calling_ae_titles,
        ),
        PacsHandlers(archive, server.ae_title, server.environment, config.destinations(server.id)),
        {COMMITMENT: commitments},
    )


@contextmanager
def web_page(config: LabConfig, server: ServerSpec, archive: Archive) -> Iterator[None]:
    """Serve the page of a server until the block ends.

    Raises:
        PortInUse, LocalFailure: the port cannot be listened on.
    """
    try:
        bound = ports.listening(config.bind, server.web_port)
    except OSError as error:
        raise ports.not_free(error, config.bind, server.web_port, f"web port of {server.name}") from error
    page = uvicorn.Server(
        uvicorn.Config(
            make_app(config, server, archive),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )
    # In a thread of its own uvicorn leaves the signals alone.
    thread = threading.Thread(target=page.run, kwargs={"sockets": [bound]}, name="web")
    thread.start()
    try:
        yield
    finally:
        page.should_exit = True
        thread.join()
