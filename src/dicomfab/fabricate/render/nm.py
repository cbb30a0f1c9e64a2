"""Gamma cameras: what Tc-99m tracers in a body give in planar views, and in reconstructed SPECT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomfab.fabricate.anatomy.body import Body, Lesion
from dicomfab.fabricate.anatomy.scene import Grid
from dicomfab.fabricate.anatomy.tissue import Tissue, attenuation_table
from dicomfab.fabricate.render import emission
from dicomfab.fabricate.render.batches import in_order
from dicomfab.fabricate.render.marks import SYNTHETIC, stamp, text_mask
from dicomfab.fabricate.seeds import Draw, derive

SPECT_FWHM_MM: Final = 11.0
SPECT_MATRIX: Final = 128
SPECT_PIXEL_MM: Final = 4.8
_STORED: Final = 200.0  # of a SPECT voxel, for each unit of concentration
_SPECT_COUNTS: Final = 18.0  # detected in a voxel, in effect, for each unit of concentration
_AT_140_KEV: Final = 0.79  # attenuation, as a part of that at 70 keV
_DEPTH_MM: Final = 320.0
_STEP_MM: Final = 4.0  # of depth
_SLAB_STEPS: Final = 5
_INTRINSIC_MM: Final = 3.8
_SCATTER: Final = 0.2  # of the counts in the window
_SCATTER_MM: Final = 60.0
_FRONT_MM: Final = 145.0  # from the body's axis to the collimators
_BATCH: Final = 32
_LINES: Final = ("SYNTHETIC", "NOT FOR", "CLINICAL USE")

Floats = NDArray[np.float32]
Stored = NDArray[np.uint16]

_SOFT: Final = (
    Tissue.SKIN, Tissue.MUSCLE, Tissue.DIAPHRAGM, Tissue.MYOCARDIUM, Tissue.BLOOD, Tissue.VEIN, Tissue.LIVER,
    Tissue.SPLEEN, Tissue.STOMACH, Tissue.OESOPHAGUS, Tissue.GLAND, Tissue.CARTILAGE, Tissue.BOWEL_WALL,
    Tissue.BOWEL_CONTENT, Tissue.STOOL, Tissue.PANCREAS, Tissue.BLADDER_WALL, Tissue.PROSTATE, Tissue.UTERUS,
    Tissue.FIBROGLANDULAR, Tissue.NIPPLE, Tissue.THYROID, Tissue.SALIVARY_GLAND, Tissue.LYMPH_NODE, Tissue.NODULE,
    Tissue.LIVER_METASTASIS, Tissue.BREAST_MASS, Tissue.HEPATIC_VESSEL, Tissue.TENDON, Tissue.LIGAMENT,
    Tissue.LUNG_VESSEL, Tissue.BRAIN_VESSEL, Tissue.SINUS_MUCOSA, Tissue.EYE, Tissue.CANAL, Tissue.DURA,
)  # fmt: skip
_FATTY: Final = (
    Tissue.FAT, Tissue.INNER_FAT, Tissue.BELLY_FAT, Tissue.PERICARDIUM, Tissue.LUNG, Tissue.GREY_MATTER,
    Tissue.WHITE_MATTER, Tissue.DEEP_GREY, Tissue.BRAINSTEM, Tissue.CSF, Tissue.GALLBLADDER, Tissue.LIVER_CYST,
    Tissue.RENAL_CYST,
)  # fmt: skip


def concentrations(soft: float, fatty: float, **hot: float) -> dict[Tissue, float]:
    """Concentrations: of soft tissue; of fat, lung and brain; and of tissues by name."""
    named = {Tissue[name]: value for name, value in hot.items()}
    return {**dict.fromkeys(_SOFT, soft), **dict.fromkeys(_FATTY, fatty), **named}


#: Concentration by tissue, in arbitrary units, of a bone tracer after three hours.
BONE: Final = concentrations(
    0.5, 0.2, BONE=9.0, MARROW=5.0, COMPACT_BONE=5.5, DIPLOE=4.0, YELLOW_MARROW=1.8, TOOTH=3.0, CARTILAGE=1.2,
    DISC=2.5, HYALINE_CARTILAGE=4.0, KIDNEY=4.5, RENAL_MEDULLA=6.0, URINE=30.0, METASTASIS=90.0, BONE_BRUISE=14.0,
)  # fmt: skip
#: The same of a tracer that the renal cortex keeps.
KIDNEYS: Final = concentrations(
    0.25, 0.1, KIDNEY=40.0, RENAL_MEDULLA=14.0, URINE=2.0, LIVER=1.6, SPLEEN=1.4, MARROW=0.5
)  # fmt: skip
_AVID: Final = {Tissue.METASTASIS: (70.0, 170.0)}


@dataclass(frozen=True, slots=True)
class Camera:
    """Two opposed detectors over and under a lying patient.

    Args:
        rows: of each image.
        columns: of each image.
        pixel_mm: square.
        centre_x_mm: patient x of the middle column.
        top_z_mm: patient z of the upper edge.
    """

    rows: int
    columns: int
    pixel_mm: float
    centre_x_mm: float
    top_z_mm: float

    @property
    def left_mm(self) -> float:
        """Patient x of the leftmost pixels of the anterior image."""
        return self.centre_x_mm - (self.columns - 1) * self.pixel_mm / 2


def bone_uptake(body: Body) -> dict[Lesion, float]:
    """How much of a bone tracer each lesion takes up; marrow takes 5."""
    return {lesion: _lesion(lesion) for lesion in body.lesions}


def _lesion(lesion: Lesion) -> float:
    low_high = _AVID.get(lesion.tissue)
    if low_high is None:
        return BONE.get(lesion.tissue, 0.0)
    return round(Draw(0, "bone", lesion.kind, *(f"{value:.1f}" for value in lesion.radii_mm)).between(*low_high), 1)


def planar(body: Body, tracer: emission.Tracer, camera: Camera, counts: int, seed: int, workers: int) -> Stored:
    """An anterior and a posterior view.

    Args:
        body: what is looked at.
        tracer: what it holds.
        camera: where the detectors are.
        counts: in both images together, about.
        seed: decides the noise.
        workers: threads; the result does not depend on it.

    Returns:
        (2, rows, columns), counts: the anterior view with the patient's right on the left, then the posterior view.
    """
    emitted = tracer.table() * np.float32(_STEP_MM)
    passed = np.ones(256, np.float32)
    rates = attenuation_table().astype(np.float64) * (1e-6 * _AT_140_KEV * _STEP_MM)
    passed[: len(rates)] = np.exp(-rates)
    for number, lesion in enumerate(body.lesions):
        passed[emission.LESION_LABEL + number] = passed[lesion.tissue]
    slabs = round(_DEPTH_MM / _STEP_MM / _SLAB_STEPS)

    def batch(first: int, end: int) -> Floats:
        z_mm = camera.top_z_mm - (first + 0.5) * camera.pixel_mm
        corner = (camera.left_mm, (_STEP_MM - _DEPTH_MM) / 2, z_mm)
        spacing = (camera.pixel_mm, _STEP_MM, -camera.pixel_mm)
        grid = Grid(corner, spacing, (end - first, slabs * _SLAB_STEPS, camera.columns), jitter=first)
        seen = np.zeros((2, slabs, end - first, camera.columns), np.float32)
        emission.projected(emission.labels(body, grid), emitted, passed, _SLAB_STEPS, seen[0], seen[1])
        return seen

    seen = np.concatenate(list(in_order(batch, camera.rows, _BATCH, workers)), axis=2)
    views = np.stack([_detected(view, camera, behind=behind) for behind, view in enumerate(seen)])
    views *= np.float32(counts / max(float(views.sum(dtype=np.float64)), 1e-6))
    made = np.random.default_rng(derive(seed, "nm-planar")).poisson(views)
    return np.minimum(made, 65535).astype(np.uint16)


def _detected(slabs: Floats, camera: Camera, *, behind: int) -> Floats:
    """Blur each depth by its distance from the collimator, add scatter, and turn the posterior view round."""
    view = np.zeros(slabs.shape[1:], np.float32)
    for number, slab in enumerate(slabs):
        depth_mm = (number + 0.5) * _STEP_MM * _SLAB_STEPS - _DEPTH_MM / 2
        distance_mm = max(_FRONT_MM + (-depth_mm if behind else depth_mm), 10.0)
        fwhm_mm = np.hypot(_INTRINSIC_MM, 1.6 + 0.047 * distance_mm)
        view += emission.blurred(slab, emission.gaussian(float(fwhm_mm) / camera.pixel_mm))
    scattered = emission.blurred(view, emission.gaussian(_SCATTER_MM / camera.pixel_mm))
    view = view * np.float32(1 - _SCATTER) + scattered * np.float32(_SCATTER)
    return view[:, ::-1] if behind else view


def marked(pixels: Stored) -> None:
    """Stamp the mark into the upper left corner of (frames, rows, columns), as bright as what is there."""
    for frame in pixels:
        stamp_lines(frame, int(max(np.percentile(frame, 99.5), 8)), 11)


def stamp_lines(frame: Stored, value: int, height: int) -> None:
    """Stamp the mark into the upper left corner of (rows, columns), in one line or, if that is too long, three."""
    lines = [SYNTHETIC] if text_mask(SYNTHETIC, height).shape[1] + 4 <= frame.shape[1] else _LINES
    for number, line in enumerate(lines):
        stamp(frame, text_mask(line, height), 1 + number * height, 1, value)


def spect(body: Body, tracer: emission.Tracer, stack: emission.Stack, seed: int, workers: int) -> Iterator[Stored]:
    """Axial sections of reconstructed SPECT, corrected for attenuation.

    Args:
        body: what is looked at.
        tracer: what it holds.
        stack: where the sections lie.
        seed: decides the noise.
        workers: threads; the result does not depend on it.

    Yields:
        (matrix, matrix) stored values, in proportion to concentration.
    """
    emission.grain()  # made before threads ask for it

    def stored(index: int, mean: Floats) -> Stored:
        return counted(mean, emission.grain_of(seed, index, stack.matrix))

    return emission.sections(body, tracer.table(), stack, SPECT_FWHM_MM, workers, stored)


def counted(mean: Floats, grain: Floats) -> Stored:
    """Reconstructed values with the noise of the counts behind them, as stored, with the mark."""
    mean = mean + np.float32(0.05)
    mean += grain * np.sqrt(mean / np.float32(_SPECT_COUNTS))
    pixels = emission.stored(mean, _STORED)
    stamp_lines(pixels, round(8 * _STORED), 8 if len(pixels) < 100 else 10)
    return pixels
