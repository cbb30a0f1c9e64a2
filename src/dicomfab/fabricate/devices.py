"""What acquired a series and where: the device, its site, and the people at it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomfab.fabricate import checks

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: Keyword of the attribute -> our field, for those that are plain text.
_TEXTS: Final = {
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "model",
    "StationName": "station",
    "DeviceSerialNumber": "serial_number",
    "SoftwareVersions": "software",
    "InstitutionName": "institution",
    "InstitutionalDepartmentName": "department",
    "PerformingPhysicianName": "performing_physician",
    "OperatorsName": "operator",
    "ProtocolName": "protocol",
}
_PEOPLE: Final = ("performing_physician", "operator")
_SHORT: Final = ("station",)  # SH; the others are LO
_PRIVATE_GROUP: Final = 0x0019


@dataclass(frozen=True, slots=True)
class Device:
    """A device at a site. Blank fields leave what the kind of series says.

    Args:
        manufacturer: Manufacturer (0008,0070), LO, like all that is not explained here.
        model: ManufacturerModelName (0008,1090).
        station: StationName (0008,1010), SH.
        serial_number: DeviceSerialNumber (0018,1000).
        software: SoftwareVersions (0018,1020).
        institution: InstitutionName (0008,0080).
        department: InstitutionalDepartmentName (0008,1040).
        performing_physician: PerformingPhysicianName (0008,1050), PN.
        operator: OperatorsName (0008,1070), PN.
        protocol: ProtocolName (0018,1030).
        private_creator: of a block in group 0019, as devices write them: a creator of our own, never a real vendor's.
        private: texts of its elements (VR LO), from (0019,xx01) on.
    """

    manufacturer: str = ""
    model: str = ""
    station: str = ""
    serial_number: str = ""
    software: str = ""
    institution: str = ""
    department: str = ""
    performing_physician: str = ""
    operator: str = ""
    protocol: str = ""
    private_creator: str = ""
    private: tuple[str, ...] = ()

    def texts(self) -> Iterator[str]:
        """All that it says."""
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            yield from (value,) if isinstance(value, str) else value

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> Device:
        """Take back what :func:`dataclasses.asdict` gave."""
        given = {**values, "private": tuple(values.get("private", ()))}  # type: ignore[arg-type]
        return cls(**given)  # type: ignore[arg-type]


def checked(device: Device | None) -> Device | None:
    """The device as DICOM can store it.

    Raises:
        InvalidInput: naming the field.
    """
    if device is None:
        return None
    values = {
        name: checks.person_name(value, field=name)
        if name in _PEOPLE and value
        else checks.text(value, field=name, limit=16 if name in _SHORT else 64)
        for name, value in dataclasses.asdict(device).items()
        if name != "private"
    }
    private = tuple(checks.text(one, field="private", limit=64) for one in device.private)
    return Device(**values, private=private) if values != _BLANK or private else None


_BLANK: Final = {one.name: "" for one in dataclasses.fields(Device) if one.name != "private"}


def describe(ds: Dataset, device: Device) -> None:
    """Have a data set say what acquired it."""
    for keyword, name in _TEXTS.items():
        value = getattr(device, name)
        if value:
            setattr(ds, keyword, value)
    if device.private_creator:
        block = ds.private_block(_PRIVATE_GROUP, device.private_creator, create=True)
        for number, value in enumerate(device.private, 1):
            block.add_new(number, "LO", value)
