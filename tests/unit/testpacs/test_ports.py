from __future__ import annotations

import os
import socket

import pytest

from dicomfab.model.errors import LocalFailure, PortInUse
from dicomfab.testpacs import ports
from dicomfab.testpacs.spec import LabConfig


def lab_on_free_ports() -> LabConfig:
    found = ports.free_ports(8, "127.0.0.1")
    return LabConfig().with_ports(dicom_ports=found[:4], web_ports=found[4:])


def test_free_ports_are_different_and_can_be_had():
    config = lab_on_free_ports()
    ports.require_free(config.servers, config.bind)


def test_free_ports_are_none_that_connections_are_given():
    first, last = (int(port) for port in ports._CONNECTIONS.read_text().split())
    assert not {*ports.free_ports(50, "127.0.0.1")} & {*range(first, last + 1)}


def test_where_connections_are_given_all_ports_they_are_of_those(monkeypatch):
    monkeypatch.setattr(ports, "_first_of_connections", lambda: 1024)
    assert len({*ports.free_ports(8, "127.0.0.1")}) == 8


def test_no_port_is_free_at_an_address_of_another_machine():
    with pytest.raises(OSError, match="assign"):
        ports.free_ports(1, "192.0.2.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_named_with_its_process(address):
    config = lab_on_free_ports()
    with socket.create_server((address, config.servers[2].web_port)), pytest.raises(PortInUse) as caught:
        ports.require_free(config.servers, config.bind)
    what = caught.value.what
    assert f"port {config.servers[2].web_port}" in what
    assert "web port of Prod PACS 1" in what
    assert f"pid {os.getpid()}" in what
    assert "--free-ports" in caught.value.remedy


def test_a_port_whose_process_is_hidden_says_what_to_run(monkeypatch):
    monkeypatch.setattr(ports, "_owner", lambda _port: None)  # as it is for another user's process
    config = lab_on_free_ports()
    port = config.servers[0].dicom_port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUse) as caught:
        ports.require_free(config.servers, config.bind)
    assert f"sudo lsof -i :{port}" in caught.value.remedy


def test_an_address_of_another_machine_is_no_taken_port():
    with pytest.raises(LocalFailure, match="cannot be listened on") as caught:
        ports.require_free(lab_on_free_ports().servers, "192.0.2.1")
    assert not isinstance(caught.value, PortInUse)


def test_servers_do_not_wait_before_they_send_the_rest_of_an_answer() -> None:
    """Where the protocol of a socket is not named, asyncio leaves Nagle's algorithm on: 40 ms for each page."""
    with ports.listening("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP
