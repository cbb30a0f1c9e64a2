"""Draw every kind of series of one patient on one sheet. Usage: tools/contact_sheet.py OUT.png [SEED]"""

from __future__ import annotations

import datetime as dt
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dicomfab.fabricate.anatomy import regions
from dicomfab.fabricate.anatomy.body import Region
from dicomfab.fabricate.kinds import KINDS
from dicomfab.fabricate.plan import SeriesPlan
from dicomfab.fabricate.recipe import ResolvedStudy, SeriesRecipe, StudyRecipe
from dicomfab.fabricate.resolve import resolve
from dicomfab.fabricate.study import plans
from dicomfab.pixels.picture import native_frame, seen

TILE, LABEL, COLUMNS = 240, 44, 7
NOW = dt.datetime(2026, 1, 31, 9, 30, tzinfo=dt.UTC)
PAPER, INK, QUIET = (18, 20, 24), (235, 238, 242), (150, 158, 168)
REGIONS: dict[str, Region] = {
    "CHEST": "chest", "HEAD": "head", "BRAIN": "head", "ABDOMENPELVIS": "abdomen", "KNEE": "knee",
    "WHOLEBODY": "whole",
}  # fmt: skip


def chosen(plan: SeriesPlan, study: ResolvedStudy) -> int:
    """The frame that shows a lesion, if frames are planes of a body; the middle one otherwise."""
    region = REGIONS.get(str(plan.dataset.get("BodyPartExamined", "")))
    if region is None or plan.count < 3 or "ImagePositionPatient" not in plan.varying(0):
        return plan.count * plan.frames // 2
    body = regions.build(region, study.body_seed, study.patient.sex)
    nodules = [one for one in body.lesions if one.kind == "nodule"] or body.lesions
    largest = max(nodules, key=lambda one: min(one.radii_mm), default=None)
    if largest is None:
        return plan.count // 2
    row, column = np.reshape([float(v) for v in plan.dataset.ImageOrientationPatient], (2, 3))
    normal = np.cross(row, column)
    corners = [[float(v) for v in plan.varying(n)["ImagePositionPatient"].split("\\")] for n in range(plan.count)]
    return int(np.argmin(np.abs((np.array(corners) - largest.centre_mm) @ normal)))


def pictures(kind: str, seed: int) -> list[tuple[str, Any]]:
    """Label and picture of each series of a kind; of a series of unlike instances its smallest."""
    found = []
    made = resolve(StudyRecipe((SeriesRecipe(kind),), seed=seed), now=NOW, draw_seed=lambda: seed)
    for _, group in itertools.groupby(plans(made, 2), key=lambda plan: plan.dataset.SeriesInstanceUID):
        parts = list(group)
        shown = [one for one in parts if "LABEL" not in one.dataset.get("ImageType", "")]
        for plan in [min(shown, key=lambda one: one.frames)] if kind == "wsi" else shown:
            index = chosen(plan, made)
            frame = next(itertools.islice(plan.pixels(), index, None))
            found.append((str(plan.dataset.SeriesDescription), seen(plan.dataset, native_frame(plan.dataset, frame))))
    return found


def main() -> None:
    out, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 7
    tiles = [(kind, label, picture) for kind in KINDS for label, picture in pictures(kind, seed)]
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + LABEL)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (kind, label, picture) in enumerate(tiles):
        image = Image.fromarray(picture).convert("RGB")
        scale = (TILE - 8) / max(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        left, top = number % COLUMNS * TILE, number // COLUMNS * (TILE + LABEL)
        sheet.paste(image, (left + (TILE - image.width) // 2, top + (TILE - image.height) // 2))
        draw.text((left + 6, top + TILE), kind, fill=INK, font=ImageFont.load_default(15))
        short = label if len(label) <= 30 else f"{label[:29]}…"
        draw.text((left + 6, top + TILE + 20), short, fill=QUIET, font=ImageFont.load_default(12))
    sheet.save(out, optimize=True)


if __name__ == "__main__":
    main()
