"""A study with other UIDs and attributes, as a new study of the local store. Pixel data stay as they are."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.archive.archive import Archive
from dicomfab.archive.records import Outcome
from dicomfab.fabricate import checks
from dicomfab.fabricate.seeds import uid
from dicomfab.model.actor import Actor
from dicomfab.model.audit import AuditEvent, EventKind
from dicomfab.model.errors import Conflict, Interrupted, InvalidInput, TranscodingFailed
from dicomfab.model.study import InstanceFile, InstanceIdentity
from dicomfab.model.values import Environment
from dicomfab.pixels.elements import look_ahead, read_header
from dicomfab.pixels.streams import Source
from dicomfab.pixels.syntaxes import DEFLATED, EXPLICIT_LITTLE, NATIVE, Encoding
from dicomfab.pixels.transcode import transcode
from dicomfab.services.change_request import Changes
from dicomfab.services.marks import uids_of
from dicomfab.services.progress import Cancelled, OnProgress, Progress, ignore, never
from dicomfab.services.provenance import Origin
from dicomfab.services.recording import Record, nobody, recorded

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from dicomfab.archive.incoming import Batch

_CHUNK: Final = 1 << 20
_FIRST_OF_PIXELS: Final = 0x7FE00000
_BEHIND_PIXELS: Final = 0x7FE10000
_BEYOND: Final = 1 << 32  # greater than every tag
#: FrameOfReferenceUID and SynchronizationFrameOfReferenceUID.
_FRAMES_OF_REFERENCE: Final = (0x00200052, 0x00200200)
_OF_THE_STANDARD: Final = "1.2.840.10008."  # well-known frames of reference among them (PS3.6 annex A)
_UTF_8: Final = "ISO_IR 192"
#: Digital signatures and their parameters: of what was signed, something changed.
_SIGNATURES: Final = (0x4FFE0001, 0xFFFAFFFA)


@dataclass(frozen=True, slots=True)
class Changed:
    """A study that was made of another.

    Args:
        source_study_instance_uid: that other.
        study_instance_uid: its own.
        instances: how many.
        size_bytes: their data sets together.
        seconds: time taken.
    """

    source_study_instance_uid: str
    study_instance_uid: str
    instances: int
    size_bytes: int
    seconds: float


@dataclass(slots=True)
class ChangeService:
    """Makes changed studies of local ones.

    Args:
        local: the local store.
        origin: what a local study is made of.
        note_synthetic: remembers the Study Instance UID of a copy of a fabricated study: its mark proves nothing, since
            its UIDs do not follow from the recipe any more.
        record: where to record what is made.
    """

    local: Archive
    origin: Callable[[str], Origin] = lambda _study: Origin.REAL
    note_synthetic: Callable[[str], None] = lambda _study: None
    record: Record = nobody

    def make(
        self,
        actor: Actor,
        studies: Sequence[str],
        changes: Changes,
        *,
        on_progress: OnProgress = ignore,
        cancelled: Cancelled = never,
    ) -> list[Changed]:
        """Make a changed copy of each study, each all or nothing; the environment is that of its source.

        UIDs are replaced alike in all of the studies, wherever they stand: of study, series, SOP instance and frame of
        reference, and in every reference to one of them. References to what is not among the studies stay. The same
        studies and changes give the same UIDs: again makes nothing new. An attribute that is changed is changed in
        sequences too where it had the same value. Digital signatures are left out. Deflated instances become explicit
        VR little endian.

        Args:
            actor: needs FABRICATE, and VIEW of the studies.
            studies: Study Instance UIDs.
            changes: from :func:`~dicomfab.services.change_request.requested`.
            on_progress: told after each instance.
            cancelled: asked before each instance.

        Raises:
            AccessDenied, NotFound: nothing was made.
            InvalidInput: a value that an instance's character set cannot hold.
            TranscodingFailed: an instance is damaged.
            Conflict: the local store holds other instances under the new UIDs.
            Interrupted: it was cancelled.
        """
        require(actor, Action.FABRICATE, Scope.SYSTEM)
        environments = {}
        for study in studies:
            environments[study] = self.local.study(study).summary.environment
            require(actor, Action.VIEW, environments[study])
        replaced = self._new_uids(list(environments), changes)
        return [
            self._recorded(actor, study, environment, changes, replaced, on_progress, cancelled)
            for study, environment in environments.items()
        ]

    def _recorded(
        self,
        actor: Actor,
        study: str,
        environment: Environment,
        changes: Changes,
        replaced: Mapping[str, str],
        *then: Any,
    ) -> Changed:
        event = AuditEvent.by(
            actor,
            EventKind.FABRICATION,
            environment=str(environment),
            study_uids=(replaced.get(study, study),),
            detail={"changed copy of": study},
        )
        with recorded(self.record, event):
            return self._make(study, environment, changes, replaced, *then)

    def _new_uids(self, studies: Sequence[str], changes: Changes) -> dict[str, str]:
        """Every UID that the studies own, with its new one."""
        if not changes.new_uids:
            return {}
        found: dict[str, None] = {}
        for study in studies:
            found[study] = None
            for instance in self.local.instances(study):
                found[instance.series_instance_uid] = None
                found[instance.identity.sop_instance_uid] = None
                found.update(dict.fromkeys(uids_of(instance.file, _FRAMES_OF_REFERENCE)))
        return {
            one: uid("changed", changes.fingerprint, one)
            for one in found
            if one and not one.startswith(_OF_THE_STANDARD)
        }

    def _make(
        self,
        study: str,
        environment: Environment,
        changes: Changes,
        replaced: Mapping[str, str],
        on_progress: OnProgress,
        cancelled: Cancelled,
    ) -> Changed:
        start, size, instances = time.perf_counter(), 0, self.local.instances(study)
        own = replaced.get(study, study)
        if own != study and self.origin(study) is Origin.SYNTHETIC:
            self.note_synthetic(own)
        with tempfile.TemporaryDirectory(prefix="dicomfab-") as folder, self.local.batch() as batch:
            for done, instance in enumerate(instances, 1):
                if cancelled():
                    raise Interrupted("changing was cancelled; nothing of this study was kept, and nothing was sent")
                size += _changed(batch, instance.file, environment, changes, replaced, Path(folder))
                on_progress(Progress("changing", done, len(instances)))
        if any(stored.outcome in (Outcome.KEPT, Outcome.REFUSED) for stored in batch.stored):
            raise Conflict(
                f"the local store holds other instances under the UIDs of the changed study {own}. Nothing was sent",
                cause="its source was changed since, or another version of this program made it",
                remedy=f"delete it (dicomfab study delete {own}) or give another --salt",
            )
        return Changed(study, own, len(instances), size, time.perf_counter() - start)


def rewrite(
    batch: Batch, file: InstanceFile, environment: Environment, attributes: Mapping[str, str], folder: Path
) -> int:
    """Hand an instance with the UIDs that it has, and other attributes, to a batch that rewrites.

    Values are changed in sequences too where they were the same. All text becomes UTF-8 if the instance's character
    set cannot hold one of them.

    Args:
        batch: from :meth:`dicomfab.archive.archive.Archive.rewriting`.
        file: the instance as it is.
        environment: of its study.
        attributes: texts by keyword.
        folder: for what is only needed meanwhile.

    Returns:
        The bytes of its data set.

    Raises:
        TranscodingFailed: the instance is damaged.
    """
    return _changed(batch, file, environment, Changes(attributes=attributes), {}, folder, widens=True)


def _changed(
    batch: Batch,
    file: InstanceFile,
    environment: Environment,
    changes: Changes,
    replaced: Mapping[str, str],
    folder: Path,
    *,
    widens: bool = False,
) -> int:
    """Hand one changed instance to the batch; the bytes of its data set."""
    inflated = transcode(file, EXPLICIT_LITTLE, folder) if file.identity.transfer_syntax_uid == DEFLATED else None
    source = inflated or file
    identity = source.identity
    own = replaced.get(identity.sop_instance_uid, identity.sop_instance_uid)
    try:
        with source.path.open("rb") as opened, batch.begin(replace(identity, sop_instance_uid=own)) as incoming:
            _write(opened, source, changes, replaced, incoming.write, widens=widens)
            size = incoming.size_bytes
            incoming.commit(environment=environment)
    finally:
        if inflated is not None:
            inflated.path.unlink()
    return size


def _write(
    opened: BinaryIO,
    file: InstanceFile,
    changes: Changes,
    replaced: Mapping[str, str],
    write: Callable[[bytes], None],
    *,
    widens: bool,
) -> None:
    """The header changed, the pixel data byte for byte, then what comes behind them."""
    from pydicom.filereader import read_dataset

    encoding = NATIVE.get(file.identity.transfer_syntax_uid, NATIVE[EXPLICIT_LITTLE])
    size = os.fstat(opened.fileno()).st_size
    first, behind = _pixels(opened, file, encoding, size)
    opened.seek(file.dataset_offset)
    start = io.BytesIO(opened.read(first - file.dataset_offset))
    header = read_dataset(start, not encoding.explicit, encoding.little)
    _replace_uids(header, replaced)
    if widens:
        _widen(header, changes.attributes)
    _set(header, changes.attributes, file.identity)
    write(_encoded(header, encoding))
    opened.seek(first)
    left = behind - first
    while left:
        data = opened.read(min(left, _CHUNK))
        if not data:
            raise TranscodingFailed("the file ends within the pixel data", cause="it was cut short")
        write(data)
        left -= len(data)
    rest = read_dataset(io.BytesIO(opened.read()), not encoding.explicit, encoding.little)
    write(_encoded(rest, encoding))


def _pixels(opened: BinaryIO, file: InstanceFile, encoding: Encoding, size: int) -> tuple[int, int]:
    """Where group 7FE0 begins and ends; twice the end of the file if there is none."""
    places = []
    for wanted in (_FIRST_OF_PIXELS, _BEHIND_PIXELS):
        opened.seek(file.dataset_offset)
        source = Source(opened, file.dataset_offset, size)
        places.append(_begin_of(source, encoding, wanted))
    return places[0], places[1]


def _begin_of(source: Source, encoding: Encoding, wanted: int) -> int:
    """Where the first element of the top level begins whose tag is not less."""
    while source.position < source.size:
        begin = source.position
        tag, _, _ = read_header(source, encoding)
        if tag >= wanted:
            return begin
        source.seek(begin)
        look_ahead(source, encoding, begin + 1, _BEYOND)  # over this one element
    if source.position != source.size:
        raise TranscodingFailed(f"the file ends at byte {source.size}, within an element", cause="it was cut short")
    return source.size


def _replace_uids(dataset: Dataset, replaced: Mapping[str, str]) -> None:
    """Put the new UIDs in, at any depth."""
    for tag, vr in _representations(dataset):
        if vr == "UI":
            _replace_uid(dataset, tag, replaced)
        elif vr == "SQ":
            for item in dataset[tag].value or ():
                _replace_uids(item, replaced)


def _representations(dataset: Dataset) -> Iterator[tuple[BaseTag, str]]:
    """Tags and VRs; no value is decoded for it, so that what is not changed is written as it was read."""
    from pydicom.datadict import dictionary_VR

    for tag in list(dataset.keys()):
        vr: str | None = dataset.get_item(tag).VR
        if vr is None:
            try:
                vr = dictionary_VR(tag)
            except KeyError:  # private, in implicit VR
                continue
        yield tag, vr


def _replace_uid(dataset: Dataset, tag: BaseTag, replaced: Mapping[str, str]) -> None:
    element = dataset[tag]
    value = element.value
    several = [value] if isinstance(value, str) else list(value or ())
    new = [replaced.get(str(one), str(one)) for one in several]
    if new != [str(one) for one in several]:
        element.value = new[0] if isinstance(value, str) else new


def _set(dataset: Dataset, attributes: Mapping[str, object], identity: InstanceIdentity) -> None:
    before = {keyword: str(dataset.get(keyword, "") or "") for keyword in attributes}
    character_set = _character_set(dataset, "")
    if any(before.values()):
        _set_in_items(dataset, attributes, before, character_set, identity)
    for keyword, value in attributes.items():
        _set_one(dataset, keyword, value, character_set, identity)


def _set_in_items(
    dataset: Dataset,
    attributes: Mapping[str, object],
    before: Mapping[str, str],
    around: str,
    identity: InstanceIdentity,
) -> None:
    """Change attributes in sequences, such as the accession number of a request, where they said the same."""
    for tag, vr in _representations(dataset):
        for item in (dataset[tag].value or ()) if vr == "SQ" else ():
            character_set = _character_set(item, around)
            for keyword, value in attributes.items():
                if keyword not in item or not before[keyword]:
                    continue
                read = item.get_item(keyword)
                if str(item.get(keyword)) == before[keyword]:
                    _set_one(item, keyword, value, character_set, identity)
                else:
                    item[read.tag] = read  # with the bytes that it had, whatever they are taken for
            _set_in_items(item, attributes, before, character_set, identity)


def _character_set(dataset: Dataset, around: str) -> str:
    """That of a data set, an item perhaps, which has the one around it unless its own (PS3.5 7.5.3)."""
    if "SpecificCharacterSet" not in dataset:
        return around
    stated = dataset.SpecificCharacterSet or ""
    return stated if isinstance(stated, str) else "\\".join(stated)


def _widen(dataset: Dataset, attributes: Mapping[str, object]) -> None:
    """Turn all text to UTF-8 if the character set cannot hold one of the values."""
    own = _character_set(dataset, "")
    if all(checks.holds(own, value) for value in attributes.values() if isinstance(value, str)):
        return
    dataset.decode()
    _drop_character_sets(dataset)
    dataset.SpecificCharacterSet = _UTF_8


def _drop_character_sets(dataset: Dataset) -> None:
    """Out of the items, which then have that of the data set around them."""
    for tag, vr in _representations(dataset):
        for item in (dataset[tag].value or ()) if vr == "SQ" else ():
            if "SpecificCharacterSet" in item:
                del item.SpecificCharacterSet
            _drop_character_sets(item)


def _set_one(dataset: Dataset, keyword: str, value: object, character_set: str, identity: InstanceIdentity) -> None:
    """Set a value, if the character set can hold it."""
    if isinstance(value, str) and not checks.holds(character_set, value):
        raise InvalidInput(
            f"{keyword}: cannot be written in the character set {character_set or 'ISO_IR 6'} of the instances",
            field=keyword,
            value=value,
            cause=f"SOP instance {identity.sop_instance_uid} has it",
            remedy="write the value in letters of that character set",
        )
    setattr(dataset, keyword, value)


def _encoded(dataset: Dataset, encoding: Encoding) -> bytes:
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    for tag in _SIGNATURES:
        if tag in dataset:
            del dataset[tag]
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = encoding.little, not encoding.explicit
    write_dataset(buffer, dataset)
    return buffer.getvalue()
