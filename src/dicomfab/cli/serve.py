"""``dicomfab serve``: the web interface."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.session import application

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port on 127.0.0.1. [default: DICOMFAB_WEB_PORT, or 5001]")
    ] = None,
    receive: Annotated[
        bool, typer.Option("--receive", help="Run `dicomfab receive` beside it, for as long as it runs.")
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve the web interface on this computer only, until Ctrl-C.

    No sign-in is configured (mode none), so it listens on 127.0.0.1 and nowhere else. Ctrl-C ends the pages;
    jobs go on in their workers, and the lab's test PACS servers stay up.
    """
    from dicomfab.web.run import serve as run

    built = application()
    children = contextlib.ExitStack()

    def ready(url: str) -> None:
        output.print_text(f"DICOM Fabricator is at {url}  (this computer only; stop with Ctrl-C)")
        output.print_text("Mode none: no sign-in; everyone on this computer is administrator.")
        if receive:
            children.enter_context(_receiver())
        if open_browser:
            import webbrowser

            webbrowser.open(url)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop ends it like Ctrl-C
    # A KeyboardInterrupt is raised again by the server after it has ended in good order.
    with contextlib.suppress(KeyboardInterrupt), children:
        run(built, port or built.settings.web_port, ready)
    output.print_text("The web interface has ended. Test PACS servers that run stay up: dicomfab lab stop ends them.")


@contextlib.contextmanager
def _receiver() -> Iterator[None]:
    """Receive in a process of its own, which ends with this one, however this one ends; it prints its own lines."""
    command = [sys.executable, "-m", "dicomfab", "receive", "--until-input-ends"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
