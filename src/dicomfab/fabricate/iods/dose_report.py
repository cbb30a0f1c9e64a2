"""X-Ray Radiation Dose SR (PS3.3 A.35.8) of CT, after TID 10011: what the series say that were acquired."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from dicomfab.fabricate.iods import sr_content as sr
from dicomfab.fabricate.iods import sr_document
from dicomfab.fabricate.iods.references import of_kinds
from dicomfab.fabricate.kinds import ALL_KINDS, OBJECTS, Code
from dicomfab.fabricate.plan import Planned, SeriesPlan
from dicomfab.fabricate.recipe import ResolvedSeries, ResolvedStudy
from dicomfab.fabricate.seeds import uid

SOP_CLASS_UID: Final = "1.2.840.10008.5.1.4.1.1.88.67"
_MINUTES: Final = 10
_EQUIPMENT: Final = (
    "Manufacturer", "ManufacturerModelName", "StationName", "DeviceSerialNumber", "SoftwareVersions",
    "InstitutionName", "InstitutionalDepartmentName",
)  # fmt: skip

_MGY: Final[Code] = ("mGy", "UCUM", "mGy")
_MGY_CM: Final[Code] = ("mGy.cm", "UCUM", "mGy.cm")
_EVENTS: Final[Code] = ("{events}", "UCUM", "events")
_SECOND: Final[Code] = ("s", "UCUM", "s")
_RATIO: Final[Code] = ("{ratio}", "UCUM", "ratio")
_SOURCES: Final[Code] = ("{X-Ray sources}", "UCUM", "X-Ray sources")
_KV: Final[Code] = ("kV", "UCUM", "kV")
_MA: Final[Code] = ("mA", "UCUM", "mA")


def _dcm(value: str, meaning: str) -> Code:
    return value, "DCM", meaning


@dataclass(frozen=True, slots=True)
class Event:
    """An irradiation event, as the attributes of a CT series tell of it.

    Args:
        uid: Irradiation Event UID.
        protocol: Acquisition Protocol.
        region: Target Region.
        start: of the irradiation (VR DT).
        length_mm: Scanning Length.
        table_speed_mm_s: of the couch.
        kvp: of the tube.
        current_ma: of the tube.
        rotation_s: exposure time of a rotation.
        pitch: table feed in collimations.
        single_mm: Nominal Single Collimation Width.
        total_mm: Nominal Total Collimation Width.
        ctdi_vol_mgy: Mean CTDIvol.
        phantom: that it refers to.
        modulation: X-Ray Modulation Type.
    """

    uid: str
    protocol: str
    region: Code
    start: str
    length_mm: float
    table_speed_mm_s: float
    kvp: float
    current_ma: float
    rotation_s: float
    pitch: float
    single_mm: float
    total_mm: float
    ctdi_vol_mgy: float
    phantom: Code
    modulation: str

    @property
    def exposure_s(self) -> float:
        """Exposure time of the whole event."""
        return round(self.length_mm / self.table_speed_mm_s, 3)

    @property
    def dlp_mgy_cm(self) -> float:
        """Dose Length Product."""
        return round(self.ctdi_vol_mgy * self.length_mm / 10, 2)

    @property
    def end(self) -> str:
        """When the irradiation was over (VR DT)."""
        begun = dt.datetime.strptime(self.start[:14], "%Y%m%d%H%M%S").replace(tzinfo=dt.UTC)
        seconds = float(f"0{self.start[14:]}") + self.exposure_s
        return (begun + dt.timedelta(seconds=seconds)).strftime("%Y%m%d%H%M%S.%f")


def events(study: ResolvedStudy, before: Sequence[Planned]) -> list[Event]:
    """One for each CT series, in order."""
    return [_event(study, one) for one in of_kinds(before, OBJECTS["sr-dose"].needs)]


def plan_object(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> SeriesPlan:
    """One report on all CT series, by the device that acquired the first of them."""
    scans = of_kinds(before, OBJECTS["sr-dose"].needs)
    found = events(study, before)
    ds = sr_document.started(study, SOP_CLASS_UID, series_number, ALL_KINDS[series.kind].description, _MINUTES)
    for keyword in _EQUIPMENT:
        if keyword in scans[0].dataset:
            setattr(ds, keyword, scans[0].dataset[keyword].value)
    content = [
        *_context(study, ds, found),
        _accumulated(found),
        *(_acquisition(event) for event in found),
        sr.code(
            sr.CONTAINS,
            _dcm("113854", "Source of Dose Information"),
            _dcm("113867", "Computed From Image Attributes"),
        ),
    ]
    root = sr.container("", _dcm("113701", "X-Ray Radiation Dose Report"), content, template="10011")
    return sr_document.finished(ds, study, series_number, root, scans)


def truth_of(
    study: ResolvedStudy, series: ResolvedSeries, series_number: int, before: Sequence[Planned]
) -> dict[str, object]:
    """What the report says, ready for JSON.

    Returns:
        ``dlp_total_mgy_cm`` and ``events``, each with ``event_uid``,
        ``length_mm``, ``ctdi_vol_mgy`` and ``dlp_mgy_cm``.
    """
    found = events(study, before)
    return {
        "dlp_total_mgy_cm": _total(found),
        "events": [
            {
                "event_uid": event.uid,
                "length_mm": event.length_mm,
                "ctdi_vol_mgy": event.ctdi_vol_mgy,
                "dlp_mgy_cm": event.dlp_mgy_cm,
            }
            for event in found
        ],
    }


def _total(found: Sequence[Event]) -> float:
    return round(sum(event.dlp_mgy_cm for event in found), 2)


def _event(study: ResolvedStudy, scan: Planned) -> Event:
    said = _Said(scan.dataset)
    first = scan.plan.varying(0)
    count = int(scan.dataset.get("NumberOfFrames", scan.plan.count))
    day = str(first.get("AcquisitionDate") or scan.dataset.get("AcquisitionDate", study.study_date))
    time = first.get("AcquisitionTime")
    return Event(
        uid=str(said.get("IrradiationEventUID") or study.uid("irradiation", int(scan.dataset.SeriesNumber))),
        protocol=str(scan.dataset.ProtocolName),
        region=_code(said.get("AnatomicRegionSequence")),
        start=day + time if time else str(scan.dataset.AcquisitionDateTime),
        length_mm=round(count * said.number("SpacingBetweenSlices"), 2),
        table_speed_mm_s=said.number("TableSpeed"),
        kvp=said.number("KVP"),
        current_ma=said.number("XRayTubeCurrent", "XRayTubeCurrentInmA"),
        rotation_s=said.number("RevolutionTime"),
        pitch=said.number("SpiralPitchFactor"),
        single_mm=said.number("SingleCollimationWidth"),
        total_mm=said.number("TotalCollimationWidth"),
        ctdi_vol_mgy=said.number("CTDIvol"),
        phantom=_code(said.get("CTDIPhantomTypeCodeSequence")),
        modulation=str(said.get("ExposureModulationType")),
    )


class _Said:
    """What a CT series says: in its data set, or in the shared functional groups if it is an enhanced one."""

    def __init__(self, ds: Dataset) -> None:
        self._places = [ds]
        for shared in ds.get("SharedFunctionalGroupsSequence", ()):
            self._places += [item for group in shared if group.VR == "SQ" for item in group.value]

    def get(self, *keywords: str) -> object:
        """The first value that there is of these attributes."""
        return next((place[word].value for word in keywords for place in self._places if word in place), None)

    def number(self, *keywords: str) -> float:
        """The same as a number."""
        return float(str(self.get(*keywords)))


def _code(items: object) -> Code:
    item: Dataset = items[0]  # type: ignore[index]
    return str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning)


def _context(study: ResolvedStudy, ds: Dataset, found: Sequence[Event]) -> list[Dataset]:
    """The procedure, the device that observed it (TID 1004), and what is accumulated."""
    intent = sr.code(sr.MODIFIER, ("363703001", "SCT", "Has Intent"), ("261004008", "SCT", "Diagnostic Intent"))
    observer = uid("device", ds.Manufacturer, ds.ManufacturerModelName, ds.DeviceSerialNumber)
    scope = sr.uid_reference(sr.PROPERTY, _dcm("110180", "Study Instance UID"), study.study_instance_uid)
    return [
        sr.code(
            sr.MODIFIER,
            _dcm("121058", "Procedure reported"),
            ("77477000", "SCT", "Computed Tomography X-Ray"),
            [intent],
        ),
        sr.code(sr.CONTEXT, _dcm("121005", "Observer Type"), _dcm("121007", "Device")),
        sr.uid_reference(sr.CONTEXT, _dcm("121012", "Device Observer UID"), observer),
        sr.text(sr.CONTEXT, _dcm("121013", "Device Observer Name"), str(ds.StationName)),
        sr.text(sr.CONTEXT, _dcm("121014", "Device Observer Manufacturer"), str(ds.Manufacturer)),
        sr.text(sr.CONTEXT, _dcm("121015", "Device Observer Model Name"), str(ds.ManufacturerModelName)),
        sr.text(sr.CONTEXT, _dcm("121016", "Device Observer Serial Number"), str(ds.DeviceSerialNumber)),
        sr.code(sr.CONTEXT, _dcm("113876", "Device Role in Procedure"), _dcm("113859", "Irradiating Device")),
        sr.moment(sr.CONTEXT, _dcm("113809", "Start of X-Ray Irradiation"), min(event.start for event in found)),
        sr.moment(sr.CONTEXT, _dcm("113810", "End of X-Ray Irradiation"), max(event.end for event in found)),
        sr.code(sr.CONTEXT, _dcm("113705", "Scope of Accumulation"), _dcm("113014", "Study"), [scope]),
    ]


def _accumulated(found: Sequence[Event]) -> Dataset:
    """CT Accumulated Dose Data (TID 10012)."""
    return sr.container(
        sr.CONTAINS,
        _dcm("113811", "CT Accumulated Dose Data"),
        [
            sr.number(sr.CONTAINS, _dcm("113812", "Total Number of Irradiation Events"), len(found), _EVENTS),
            sr.number(sr.CONTAINS, _dcm("113813", "CT Dose Length Product Total"), _total(found), _MGY_CM),
        ],
        template="10012",
    )


def _acquisition(event: Event) -> Dataset:
    """CT Irradiation Event Data (TID 10013)."""
    spiral: Code = ("116152004", "SCT", "Spiral Acquisition")
    said = event.modulation
    modulation = [sr.text(sr.CONTAINS, _dcm("113842", "X-Ray Modulation Type"), said)] if said else []
    return sr.container(
        sr.CONTAINS,
        _dcm("113819", "CT Acquisition"),
        [
            sr.text(sr.CONTAINS, _dcm("125203", "Acquisition Protocol"), event.protocol),
            sr.code(sr.CONTAINS, _dcm("123014", "Target Region"), event.region),
            sr.code(sr.CONTAINS, _dcm("113820", "CT Acquisition Type"), spiral),
            sr.uid_reference(sr.CONTAINS, _dcm("113769", "Irradiation Event UID"), event.uid),
            _parameters(event),
            _dose(event),
            *modulation,
        ],
        template="10013",
    )


def _parameters(event: Event) -> Dataset:
    source = [
        sr.text(sr.CONTAINS, _dcm("113832", "Identification of the X-Ray Source"), "1"),
        sr.number(sr.CONTAINS, _dcm("113733", "KVP"), event.kvp, _KV),
        sr.number(sr.CONTAINS, _dcm("113833", "Maximum X-Ray Tube Current"), event.current_ma, _MA),
        sr.number(sr.CONTAINS, _dcm("113734", "X-Ray Tube Current"), event.current_ma, _MA),
        sr.number(sr.CONTAINS, _dcm("113834", "Exposure Time per Rotation"), event.rotation_s, _SECOND),
    ]
    said = [
        sr.number(sr.CONTAINS, _dcm("113824", "Exposure Time"), event.exposure_s, _SECOND),
        sr.number(sr.CONTAINS, _dcm("113825", "Scanning Length"), event.length_mm, sr.MM),
        sr.number(sr.CONTAINS, _dcm("113826", "Nominal Single Collimation Width"), event.single_mm, sr.MM),
        sr.number(sr.CONTAINS, _dcm("113827", "Nominal Total Collimation Width"), event.total_mm, sr.MM),
        sr.number(sr.CONTAINS, _dcm("113828", "Pitch Factor"), event.pitch, _RATIO),
        sr.number(sr.CONTAINS, _dcm("113823", "Number of X-Ray Sources"), 1, _SOURCES),
        sr.container(sr.CONTAINS, _dcm("113831", "CT X-Ray Source Parameters"), source),
    ]
    return sr.container(sr.CONTAINS, _dcm("113822", "CT Acquisition Parameters"), said)


def _dose(event: Event) -> Dataset:
    said = [
        sr.number(sr.CONTAINS, _dcm("113830", "Mean CTDIvol"), event.ctdi_vol_mgy, _MGY),
        sr.code(sr.CONTAINS, _dcm("113835", "CTDIw Phantom Type"), event.phantom),
        sr.number(sr.CONTAINS, _dcm("113838", "DLP"), event.dlp_mgy_cm, _MGY_CM),
    ]
    return sr.container(sr.CONTAINS, _dcm("113829", "CT Dose"), said)
