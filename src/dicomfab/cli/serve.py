"""``dicomfab serve``: the web interface."""

from __future__ import annotations

import contextlib
import signal
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
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve the web interface on this computer only, until Ctrl-C.

    No sign-in is configured (mode none), so it listens on 127.0.0.1 and nowhere else. Ctrl-C ends the pages and their
    tasks; the lab's test PACS servers stay up.
    """
    from dicomfab.web.run import serve as run

    built = application()

    def ready(url: str) -> None:
        output.print_text(f"DICOM Fabricator is at {url}  (this computer only; stop with Ctrl-C)")
        output.print_text("Mode none: no sign-in; everyone on this computer is administrator.")
        if open_browser:
            import webbrowser

            webbrowser.open(url)

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager's stop ends it like Ctrl-C
    with contextlib.suppress(KeyboardInterrupt):  # raised again by the server after it has ended in good order
        run(built, port or built.settings.web_port, ready)
    output.print_text("The web interface has ended. Test PACS servers that run stay up: dicomfab lab stop ends them.")
