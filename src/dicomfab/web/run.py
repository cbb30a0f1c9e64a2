"""Serve the pages until Ctrl-C: on loopback, or where the settings say."""

from __future__ import annotations

import ipaddress
import logging
import logging.handlers
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import uvicorn

from dicomfab.app.build import Application
from dicomfab.app.web_settings import LOOPBACK, WebSettings
from dicomfab.app.workers import replace_lost_worker
from dicomfab.model.errors import DicomFabError, PortInUse
from dicomfab.model.log_lines import LogLines
from dicomfab.testpacs.ports import listening, not_free
from dicomfab.web.app import create_app

log = logging.getLogger(__name__)

_STREAMS_CLOSE_WITHIN_S = 3
_WORKERS_LOOKED_AFTER_S = 10.0
#: What does not come to its end within this time, when the pages end, is left alone.
END_WITHIN_S = 30.0
_LOG_BYTES = 2_000_000
_LOGS_KEPT = 3
_LOGGED = ("dicomfab", "uvicorn.error")


def serve(application: Application, web: WebSettings, port: int, on_ready: Callable[[str], None]) -> None:
    """Listen, tell the address, and serve until SIGINT or SIGTERM.

    Then open streams are closed. Jobs go on: workers do them, in processes of their own. While the pages are served, a
    worker is started when a job is due and none is alive, so that jobs also go on after a reboot.

    Args:
        application: whose pages.
        web: how they are served.
        port: to listen on.
        on_ready: called with the address once the port is ours and connections are accepted.

    Raises:
        PortInUse: naming the process that has it.
        LocalFailure: the port cannot be listened on for another reason.
    """
    with _bound(web.host, port) as bound, logging_to(application.settings.logs / "web.log"):
        bound.listen()
        try:
            server = server_of(application, web)
            on_ready(_address(web, bound.getsockname()[1]))
            with workers_kept(application), work_ended(server.config.app), _rechecked(application, web):
                server.run(sockets=[bound])
        finally:
            application.close()


def _rechecked(application: Application, web: WebSettings) -> AbstractContextManager[object]:
    """Directories are asked again about those who are signed in, during the block."""
    return nullcontext() if web.asks_nobody else application.account_parts.rechecking()


def server_of(application: Application, web: WebSettings) -> uvicorn.Server:
    """The HTTP server of the pages; it is given the sockets that it listens on.

    Args:
        application: whose pages.
        web: how they are served.
    """
    config = uvicorn.Config(
        create_app(application, web),
        access_log=False,  # its lines hold the query, in which patients are named; the app logs paths
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=_STREAMS_CLOSE_WITHIN_S,
        server_header=False,
        proxy_headers=bool(web.proxies),
        forwarded_allow_ips=[one for proxy in sorted(web.proxies) for one in _as_seen(proxy)],
        ws="none",
        ssl_certfile=web.certificate,
        ssl_keyfile=web.key,
    )
    return uvicorn.Server(config)


def _as_seen(proxy: str) -> Iterator[str]:
    """A network of proxies, also as an IPv6 socket shows IPv4 callers (RFC 4291 2.5.5.2)."""
    yield proxy
    network = ipaddress.ip_network(proxy)
    if network.version == 4:
        yield f"::ffff:{network.network_address}/{96 + network.prefixlen}"


@contextmanager
def workers_kept(application: Application, every_s: float = _WORKERS_LOOKED_AFTER_S) -> Iterator[None]:
    """While the block runs, start a worker whenever a job is due and none is alive."""
    ended = threading.Event()

    def look_after() -> None:
        while not ended.wait(every_s):
            _look_for_worker(application)

    _look_for_worker(application)  # the first time here: what it needs of the application is made by one thread
    thread = threading.Thread(target=look_after, name="workers", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def work_ended(pages: Any) -> Iterator[None]:
    """After the block, break off what was begun on the pages and calls servers, so that none stays in progress."""
    try:
        yield
    finally:
        for runs in (pages.state.modality_runs, pages.state.doctor_runs, pages.state.route_runs):
            runs.end(END_WITHIN_S)


def _look_for_worker(application: Application) -> None:
    try:
        application.audit.beat()
        if replace_lost_worker(application):
            log.info("a job was due and no worker alive: one was started")
    except DicomFabError as error:
        log.warning("workers could not be looked after: %s", error.heading)


def _address(web: WebSettings, port: int) -> str:
    if web.host in {LOOPBACK, "localhost"}:
        name = "localhost"
    else:  # no other loopback address goes by that name everywhere
        name = web.host if web.is_local else min(web.names, default=web.host)
    return f"{'https' if web.is_secure else 'http'}://{f'[{name}]' if ':' in name else name}:{port}"


def _bound(host: str, port: int) -> socket.socket:
    try:
        return listening(host, port)
    except OSError as error:
        raise _explained(not_free(error, host, port, "web interface"), port) from error


def _explained(taken: DicomFabError, port: int) -> DicomFabError:
    if not isinstance(taken, PortInUse):
        return taken
    return PortInUse(
        taken.what,
        cause="the web interface, or another program, runs there already",
        remedy=f"open http://localhost:{port} if it is ours, stop it, or choose another: dicomfab serve --port "
        f"{port + 1 if port < 65535 else port - 1}",
    )


def _log_thread(args: threading.ExceptHookArgs) -> None:
    """A fault in a thread of its own belongs into the file as well, to which the pages point."""
    name = args.thread.name if args.thread else "that has ended"
    log.error("thread %s ended by a fault", name, exc_info=args.exc_value)


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Write what this program says into a file, from INFO up.

    Of other packages only the web server's own messages: a DICOM library's lines may hold identifiers of patients. So
    may the words of an exception, of which only kind and places are written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, encoding="utf-8")
    handler.setFormatter(LogLines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in _LOGGED]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    told, threading.excepthook = threading.excepthook, _log_thread
    try:
        yield
    finally:
        threading.excepthook = told
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        handler.close()
