"""``dicomfab serve``: the web interface."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from dicomfab.cli import output
from dicomfab.cli.session import actor, application

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port. [default: DICOMFAB_WEB_PORT, or 5001]")
    ] = None,
    receive: Annotated[
        bool, typer.Option("--receive", help="Run `dicomfab receive` beside it, for as long as it runs.")
    ] = False,
    ris: Annotated[
        bool,
        typer.Option("--ris", help="Run `dicomfab ris run --test --any-caller` beside it, for as long as it runs."),
    ] = False,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Serve the web interface until Ctrl-C.

    Without sign-in (mode none) it listens on 127.0.0.1 and nowhere else. With DICOMFAB_AUTH=local people sign in,
    and DICOMFAB_WEB_HOST may name another address. Ctrl-C ends the pages; jobs go on in their workers, and the
    lab's test PACS servers stay up.
    """
    from dicomfab.app.web_settings import Mode, load_web_settings

    web = load_web_settings()
    built = application()
    children = contextlib.ExitStack()

    def ready(url: str) -> None:
        gc.freeze()
        gc.enable()
        only = "this computer only; " if web.is_local else ""
        output.print_text(f"DICOM Fabricator is at {url}  ({only}stop with Ctrl-C)")
        if web.asks_nobody:
            output.print_text("Mode none: no sign-in; everyone on this computer is administrator.")
        elif Mode.LOCAL in web.modes and (code := built.set_up.offer(actor())):
            output.print_text(f"Nobody can sign in yet. Make the first administrator at {url}/set-up with this code:")
            output.print_text(f"  {code}  (works once, within an hour)")
        if receive:
            children.enter_context(_beside("receive"))
        if ris:
            children.enter_context(_beside("ris", "run", "--test", "--any-caller"))
        if built.settings.worker_idle_s:  # else you run workers yourself, and they monitor
            children.enter_context(_beside("monitor", "run"))
        if open_browser:
            import webbrowser

            webbrowser.open(url)

    # A KeyboardInterrupt is raised again by the server after it has ended in good order.
    running = built.audit.running(actor(), "serve")
    gc.disable()  # what is made until the pages are served stays; looking through it takes a fifth of that time
    children.callback(gc.enable)
    with contextlib.suppress(KeyboardInterrupt), running, children:
        from dicomfab.web.run import serve as run

        run(built, web, port or built.settings.web_port, ready)
    output.print_text("The web interface has ended. Test PACS servers that run stay up: dicomfab lab stop ends them.")


@contextlib.contextmanager
def _beside(*words: str) -> Iterator[None]:
    """A command in a process of its own, which ends with this one, however this one ends; it prints its own lines."""
    command = [sys.executable, "-m", "dicomfab", *words, "--until-input-ends"]
    # Not in our process group: Ctrl-C in a terminal ends us first, who may need it to the end.
    child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
