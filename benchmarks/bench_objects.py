"""What do derived objects cost beside highdicom, which makes the same four of the same CT series.

``python benchmarks/bench_objects.py [--quick] [--dir DIR]``

Both describe a CT of 200 slices that is there already, and encode the object; processor time of one process. highdicom
is told what to say and which voxels to mark, while ours finds lesions and voxels itself, for a patient that is new in
every run. The body that the images show is there, as it is in a study. The gate: at most twice the library's own time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import highdicom as hd
import numpy as np
import report
from child_fabricate import NOW
from pydicom import Dataset, dcmread
from pydicom.sr.codedict import codes
from pydicom.uid import UID, generate_uid
from report import Table

from dicomfab.fabricate.encode.document import encode_document
from dicomfab.fabricate.encode.series import encode_series
from dicomfab.fabricate.iods import object_family, regions
from dicomfab.fabricate.plan import Planned
from dicomfab.fabricate.planning import numbered
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve

GATE = 0.5  # highdicom's time to ours
_IMAGES = "ct-chest"


@dataclass(frozen=True)
class Case:
    """A study whose images are planned.

    Args:
        study: it, with one object.
        kind: of the object.
        before: the images.
        images: a data set for each slice, without pixels, as the library wants them.
    """

    study: ResolvedStudy
    kind: str
    before: tuple[Planned, ...]
    images: list[Dataset]

    @classmethod
    def of(cls, kind: str, seed: int) -> Case:
        """A new patient."""
        study = resolve(StudyRecipe((SeriesRecipe(_IMAGES), SeriesRecipe(kind)), seed=seed), now=NOW, draw_seed=int)
        _, _, plan = next(numbered(study, 1))
        regions.body(study, "chest")
        images = [plan.attributes(index) for index in range(plan.count)]
        return cls(study, kind, (Planned(_IMAGES, plan),), images)

    def ours(self) -> bytes:
        """The object, made here."""
        plan = object_family(self.kind).plan_object(self.study, self.study.series[1], 2, self.before)
        made = next(encode_series(plan, plan.transfer_syntax_uid, 1)) if plan.frames else next(encode_document(plan))
        return made.header() + b"".join(made.buffers)


def _saved(ds: Dataset) -> bytes:
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _identified() -> dict[str, Any]:
    return {
        "series_instance_uid": generate_uid(), "series_number": 2, "sop_instance_uid": generate_uid(),
        "instance_number": 1,
    }  # fmt: skip


_DEVICE = {
    "manufacturer": "M", "manufacturer_model_name": "M", "software_versions": "1", "device_serial_number": "1",
}  # fmt: skip


def _pointed_at(ds: Dataset) -> list[str]:
    return [str(one.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for one in ds.ContentSequence
            if one.ValueType == "IMAGE"]  # fmt: skip


def _key_objects(made: Dataset, case: Case) -> Callable[[], bytes]:
    shown = set(_pointed_at(made))
    images = [one for one in case.images if one.SOPInstanceUID in shown]

    def make() -> bytes:
        content = hd.ko.KeyObjectSelection(codes.DCM.OfInterest, images, description="Key images")
        return _saved(hd.ko.KeyObjectSelectionDocument(images, content, manufacturer="M", **_identified()))

    return make


def _presentation(made: Dataset, case: Case) -> Callable[[], bytes]:
    marked = [one for one in made.GraphicAnnotationSequence if "GraphicObjectSequence" in one]
    by_uid = {str(one.SOPInstanceUID): one for one in case.images}

    def annotation(layer: Any, item: Dataset) -> Any:
        circles = [
            hd.pr.GraphicObject("CIRCLE", np.array(one.GraphicData).reshape(-1, 2), "PIXEL")
            for one in item.GraphicObjectSequence
        ]
        texts = [
            hd.pr.TextObject(one.UnformattedTextValue, "PIXEL", anchor_point=tuple(one.AnchorPoint))
            for one in item.TextObjectSequence
        ]
        image = by_uid[str(item.ReferencedImageSequence[0].ReferencedSOPInstanceUID)]
        return hd.pr.GraphicAnnotation([image], layer, graphic_objects=circles, text_objects=texts)

    def make() -> bytes:
        layer = hd.pr.GraphicLayer("FINDINGS", 1)
        window = hd.pr.SoftcopyVOILUTTransformation(-550, 1600, "LUNG")
        return _saved(
            hd.pr.GrayscaleSoftcopyPresentationState(
                case.images, content_label="FINDINGS", graphic_layers=[layer], voi_lut_transformations=[window],
                graphic_annotations=[annotation(layer, item) for item in marked], **_DEVICE, **_identified(),
            )
        )  # fmt: skip

    return make


def _segmentation(made: Dataset, case: Case) -> Callable[[], bytes]:
    places = {str(one.SOPInstanceUID): n for n, one in enumerate(case.images)}
    segments = made.SegmentSequence
    voxels = np.zeros((len(places), made.Rows, made.Columns, len(segments)), np.uint8)
    for frame, item in zip(made.pixel_array, made.PerFrameFunctionalGroupsSequence, strict=True):
        source = item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        segment = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        voxels[places[str(source)], :, :, segment - 1] = frame
    algorithm = hd.AlgorithmIdentificationSequence("Truth", codes.DCM.ArtificialIntelligence, "1")
    described = [
        hd.seg.SegmentDescription(
            number, one.SegmentLabel, codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Nodule, "AUTOMATIC",
            algorithm, tracking_uid=generate_uid(), tracking_id=f"lesion {number}",
        )
        for number, one in enumerate(segments, 1)
    ]  # fmt: skip

    def make() -> bytes:
        return _saved(hd.seg.Segmentation(case.images, voxels, "BINARY", described, **_DEVICE, **_identified()))

    return make


def _measurements(made: Dataset, case: Case) -> Callable[[], bytes]:
    whole = next(one for one in made.ContentSequence if one.ConceptNameCodeSequence[0].CodeValue == "126010")
    lesions = len(whole.ContentSequence)
    frame_of_reference_uid = UID(case.images[0].FrameOfReferenceUID)
    ends = np.array([[-5.0, 0, 0], [5, 0, 0], [0, -5, 0], [0, 5, 0], [0, 0, -5], [0, 0, 5]])
    device = hd.sr.ObserverContext(codes.DCM.Device, hd.sr.DeviceObserverIdentifyingAttributes(uid=generate_uid()))

    def group(number: int) -> Any:
        surface = hd.sr.VolumeSurface(
            hd.sr.GraphicTypeValues3D.ELLIPSOID, [ends], frame_of_reference_uid,
            source_series=hd.sr.SourceSeriesForSegmentation(UID(case.images[0].SeriesInstanceUID)),
        )  # fmt: skip
        return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            hd.sr.TrackingIdentifier(generate_uid(), f"lesion {number}"), referenced_volume_surface=surface,
            finding_type=codes.SCT.Nodule, finding_sites=[hd.sr.FindingSite(codes.SCT.Lung)],
            measurements=[
                hd.sr.Measurement(name, 10.0, unit)
                for name, unit in (
                    (codes.SCT.LongAxis, codes.UCUM.Millimeter), (codes.SCT.ShortAxis, codes.UCUM.Millimeter),
                    (codes.SCT.Volume, codes.UCUM.CubicMillimeter),
                    (codes.DCM.AttenuationCoefficient, codes.UCUM.HounsfieldUnit),
                )
            ],
        )  # fmt: skip

    def make() -> bytes:
        content = hd.sr.MeasurementReport(
            hd.sr.ObservationContext(observer_device_context=device),
            hd.sr.CodedConcept("169069000", "SCT", "CT of chest"),
            [group(number) for number in range(lesions)],
        )
        return _saved(
            hd.sr.Comprehensive3DSR(
                case.images, content[0], manufacturer="M", is_complete=True, record_evidence=True, **_identified()
            )
        )

    return make


LIBRARY: dict[str, Callable[[Dataset, Case], Callable[[], bytes]]] = {
    "ko": _key_objects,
    "pr": _presentation,
    "seg": _segmentation,
    "sr-measurements": _measurements,
}


def _spent_ms(make: Callable[[], bytes]) -> float:
    start = time.process_time()
    make()
    return 1000 * (time.process_time() - start)


def measured(kind: str, seeds: Sequence[int]) -> tuple[list[float], list[float]]:
    """Milliseconds of processor time, ours and the library's, for each patient."""
    ours, theirs = [], []
    for seed in seeds:
        case = Case.of(kind, seed)
        ours.append(_spent_ms(case.ours))
        make = LIBRARY[kind](dcmread(BytesIO(case.ours()), force=True), case)
        theirs.append(_spent_ms(make))
    return ours, theirs


def main() -> int:
    """Measure."""
    given = report.options(__doc__ or "")
    report.facts({"out": given.dir})
    table = Table()
    table.section("an object of a CT of 200 slices, made and encoded, processor time")
    for kind in LIBRARY:
        measured(kind, [1])  # compiles, and reads tables
        ours, theirs = measured(kind, range(2, 2 + given.runs))
        table.lower(kind, "ms", ours, f"highdicom {hd.__version__}", theirs, GATE)
    return table.finish()


if __name__ == "__main__":
    sys.exit(main())
