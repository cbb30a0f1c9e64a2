from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dicomfab.app.build import Application
from dicomfab.model.errors import PortInUse
from dicomfab.web.run import serve


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_explained_with_its_process(application: Application, taken: int) -> None:
    with pytest.raises(PortInUse) as caught:
        serve(application, taken, lambda _url: pytest.fail("must not be ready"))
    assert str(taken) in caught.value.what
    assert "pid" in caught.value.what
    assert "dicomfab serve --port" in caught.value.remedy
