"""A small store that satisfies the port: instances in files, all that is known of them in memory."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from dicomfab.dicomweb.ports import HeldInstance, Kept, NotStored, Row, Search
from dicomfab.model.errors import AccessDenied, Conflict, DiskFull, NotFound
from dicomfab.model.part10 import file_header
from dicomfab.model.query import Level
from dicomfab.model.study import Buffer, InstanceFile, InstanceIdentity
from dicomfab.pixels.transcode import transcode

KEYS = {Level.STUDY: "StudyInstanceUID", Level.SERIES: "SeriesInstanceUID", Level.IMAGE: "SOPInstanceUID"}
UNMATCHED = frozenset({0x00080018, 0x00080060, 0x00200013})  # no keys of studies here


class MemoryStore:
    def __init__(self, folder: Path, files: Sequence[InstanceFile] = ()) -> None:
        self.folder = folder
        self.held: list[tuple[HeldInstance, Dataset]] = []
        self.refused: dict[str, int] = {}  # SOP Instance UID -> failure reason
        self.warned: dict[str, int] = {}
        self.space = 1 << 40
        self.transcodings = 0
        self.searches = 0
        self.in_use: set[str] = set()
        self.may_delete = False
        for file in files:
            self.add(file)

    def add(self, file: InstanceFile) -> HeldInstance:
        ds = dcmread(file.path, stop_before_pixels=True, force=True)
        held = HeldInstance(file, str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID))
        self.held.append((held, ds))
        return held

    def can_match(self, level: Level, tag: int) -> bool:
        return level is not Level.STUDY or tag not in UNMATCHED

    def find(self, search: Search) -> Iterator[Row]:
        self.searches += 1
        groups: dict[str, list[Dataset]] = {}
        for _, ds in self.held:
            groups.setdefault(str(ds.get(KEYS[search.level])), []).append(ds)
        return (
            self._answer(search, group)
            for group in groups.values()
            if all(self._matches(key, group) for key in search.identifier)
        )

    def instances(self, study: str, series: str = "", instance: str = "") -> Sequence[HeldInstance]:
        return [
            held
            for held, _ in self.held
            if study in ("", held.study_instance_uid)
            and series in ("", held.series_instance_uid)
            and instance in ("", held.file.identity.sop_instance_uid)
        ]

    @contextmanager
    def transcoded(self, file: InstanceFile, transfer_syntax_uid: str) -> Iterator[InstanceFile]:
        self.transcodings += 1
        made = transcode(file, transfer_syntax_uid, self.folder)
        try:
            yield made
        finally:
            made.path.unlink()

    def begin(self, identity: InstanceIdentity) -> Sink:
        return Sink(self, identity)

    def delete(self, study: str, series: str = "", instance: str = "") -> None:
        found = self.instances(study, series, instance)
        if not found:
            raise NotFound("not here")
        if study in self.in_use:
            raise Conflict("in use")
        if not self.may_delete:
            raise AccessDenied("not by you")
        self.held = [one for one in self.held if one[0] not in found]

    def _matches(self, key: DataElement, group: list[Dataset]) -> bool:
        if key.VR == "SQ":
            items = [item for ds in group for item in ds.get(key.tag, DataElement(key.tag, "SQ", [])).value]
            wanted = key.value[0] if key.value else Dataset()
            return not len(wanted) or any(all(self._matches(k, [item]) for k in wanted) for item in items)
        if key.keyword in ("SpecificCharacterSet", "QueryRetrieveLevel") or key.value in (None, ""):
            return True
        stored = {one for ds in group for one in texts(value_of(ds, key.keyword))}
        return any(fnmatch.fnmatchcase(one, pattern) for pattern in texts(key.value) for one in stored)

    def _answer(self, search: Search, group: list[Dataset]) -> Row:
        computed: dict[str, Any] = {
            "ModalitiesInStudy": sorted({ds.Modality for ds in group}),
            "NumberOfStudyRelatedSeries": len({ds.SeriesInstanceUID for ds in group}),
            "NumberOfStudyRelatedInstances": len(group),
            "NumberOfSeriesRelatedInstances": len(group),
            "InstanceAvailability": "ONLINE",
        }
        row = {int(key.tag): (key.VR, text_of(key, group[0], computed)) for key in search.identifier}
        if search.include_all:
            for element in group[0]:
                if element.VR not in ("SQ", "OB", "OW", "UN"):
                    row.setdefault(int(element.tag), (element.VR, "\\".join(texts(element.value))))
        row[0x00080052] = ("CS", search.level.value)
        return row


def text_of(key: DataElement, ds: Dataset, computed: dict[str, Any]) -> str | list[Row]:
    if key.VR == "SQ":
        return [
            {int(one.tag): (one.VR, "\\".join(texts(one.value))) for one in item if one.VR != "SQ"}
            for item in ds.get(key.keyword, [])
        ]
    return "\\".join(texts(computed.get(key.keyword, ds.get(key.tag).value if key.tag in ds else None)))


class Sink:
    def __init__(self, store: MemoryStore, identity: InstanceIdentity) -> None:
        if store.refused.get(identity.sop_instance_uid) == 0x0122:
            raise NotStored(0x0122)
        self.store, self.identity = store, identity
        self.head = file_header(identity.sop_class_uid, identity.sop_instance_uid, identity.transfer_syntax_uid)
        self.content = bytearray()
        self.longest = 0
        self.is_open = True

    def write(self, chunk: Buffer) -> None:
        self.longest = max(self.longest, len(chunk))
        self.store.space -= len(chunk)
        if self.store.space < 0:
            raise DiskFull("no space", cause="the disk is full", remedy="make room")
        self.content += chunk

    def commit(self) -> Kept:
        uid = self.identity.sop_instance_uid
        if uid in self.store.refused:
            raise NotStored(self.store.refused[uid])
        path = self.store.folder / f"{uid}.dcm"
        path.write_bytes(self.head + self.content)
        held = self.store.add(InstanceFile(path, self.identity, len(self.head)))
        self.is_open = False
        return Kept(held.study_instance_uid, held.series_instance_uid, self.store.warned.get(uid, 0))

    def discard(self) -> None:
        self.is_open = False


def value_of(ds: Dataset, keyword: str) -> Any:
    return ds.get("Modality" if keyword == "ModalitiesInStudy" else keyword)


def texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list | MultiValue) else str(value).split("\\")
