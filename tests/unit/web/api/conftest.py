"""A program that asks the REST interface, in this process and over a real socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from dicomfab.testpacs.ports import listening
from tests.unit.web.conftest import Browser


class Program(Browser):
    """Asks below ``/api/v1`` as a script of this computer's own pages would."""

    def ask(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """The JSON of an answer that has to have this status; the whole answer where there is no JSON."""
        given = {"Sec-Fetch-Site": "same-origin", **{k.replace("_", "-"): v for k, v in headers.items()}}
        response = self.request(method, f"/api/v1{path}", json=body, headers=given)
        assert response.status_code == status, response.text
        kind = response.headers.get("content-type", "")
        if status >= 400:
            assert kind == "application/problem+json"
        return response.json() if response.content and "json" in kind else response

    def answer(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        headers = {"Sec-Fetch-Site": "same-origin", **arguments.pop("headers", {})}
        return self.request(method, f"/api/v1{path}", headers=headers, **arguments)


@pytest.fixture
def program(browser: Browser) -> Program:
    return Program(browser.app)


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application at a free port of this computer, as uvicorn serves it; its address."""
    with listening("127.0.0.1", 0) as bound:
        bound.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
