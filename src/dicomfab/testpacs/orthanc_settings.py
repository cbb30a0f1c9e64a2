"""The settings file of an Orthanc that plays one of the lab's servers."""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from typing import Any, Final

from dicomfab.archive.records import Duplicate
from dicomfab.testpacs.folders import LabFolders
from dicomfab.testpacs.spec import WEB_PASSWORD, WEB_USER, LabConfig, ServerSpec

#: Where Debian's package orthanc-dicomweb puts its plugin.
DICOMWEB_PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def settings(config: LabConfig, server: ServerSpec, folder: Path, plugins: tuple[Path, ...]) -> dict[str, Any]:
    """The settings of one server, by the names that Orthanc has for them.

    Args:
        config: of the lab.
        server: which one.
        folder: for index and storage.
        plugins: to be loaded.
    """
    return {
        "Name": server.name,
        "DatabaseServerIdentifier": server.id,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(plugin) for plugin in plugins],
        "OverwriteInstances": config.on_duplicate is Duplicate.REPLACE,
        "DefaultEncoding": "Utf8",  # else an answer to a query cannot have what Latin-1 has not
        **_web(config, server),
        **_dicom(config, server),
    }


def _web(config: LabConfig, server: ServerSpec) -> dict[str, Any]:
    return {
        "HttpPort": server.web_port,
        "RemoteAccessAllowed": not is_for_this_machine(config),
        "AuthenticationEnabled": True,
        "RegisteredUsers": {WEB_USER: WEB_PASSWORD},
        "WebDavEnabled": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
    }


def _dicom(config: LabConfig, server: ServerSpec) -> dict[str, Any]:
    everybody = not config.strict
    operations = ("Echo", "Store", "Find", "Get", "Move")
    return {
        "DicomAet": server.ae_title,
        "DicomPort": server.dicom_port,
        "DicomCheckCalledAet": True,
        **{f"DicomAlwaysAllow{operation}": everybody for operation in operations},
        # It listens everywhere: a strict lab of this machine alone knows its callers by their address too.
        "DicomCheckModalityHost": config.strict and is_for_this_machine(config),
        "DicomAlwaysAllowFindWorklist": False,
        "UnknownSopClassAccepted": True,
        "DicomModalities": {
            title: {"AET": title, "Host": host, "Port": port}
            for title, (host, port) in config.destinations(server.id).items()
        },
    }


def is_for_this_machine(config: LabConfig) -> bool:
    """Whether nobody else is to be answered."""
    return ipaddress.IPv4Address(config.bind).is_loopback


def write(folders: LabFolders, server_id: str, given: dict[str, Any]) -> Path:
    """Write the settings where only their owner reads them, for there is a password among them; gives where."""
    path = folders.orthanc_settings(server_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(given, file, indent=2)
    temporary.replace(path)
    return path
