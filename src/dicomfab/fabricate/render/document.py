"""Scanned paper: a filled-in questionnaire in black and white, as the scanner of a reception desk makes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dicomfab.fabricate.render.marks import SYNTHETIC
from dicomfab.fabricate.seeds import Draw, derive

# A4 at 100 pixels an inch: an odd number of pixels, so that pages begin within a byte.
ROWS: Final = 1169
COLUMNS: Final = 827
PIXEL_MM: Final = 0.254
_TITLE: Final = "MR SAFETY QUESTIONNAIRE"
_QUESTIONS: Final = (
    "Do you have a cardiac pacemaker or defibrillator?",
    "Do you have an artificial heart valve or a stent?",
    "Have you had an operation on your head or eyes?",
    "Do you have a cochlear implant or a hearing aid?",
    "Do you have a nerve stimulator or a drug pump?",
    "Could there be metal splinters in your body?",
    "Do you have artificial joints, plates or screws?",
    "Do you have tattoos or permanent make-up?",
    "Have you ever had a reaction to a contrast agent?",
    "Do you have a disease of the kidneys?",
    "Are you afraid of narrow spaces?",
    "Could you be pregnant?",
)


def pages(seed: int, count: int) -> Iterator[NDArray[np.bool_]]:
    """Draw the pages of a questionnaire.

    Args:
        seed: decides the answers and the specks on the glass.
        count: pages.

    Yields:
        (1169, 827), true where the paper is white.
    """
    for number in range(1, count + 1):
        image = Image.new("L", (COLUMNS, ROWS), 255)
        draw = ImageDraw.Draw(image)
        _printed(draw, number, count)
        _answered(draw, Draw(seed, "questionnaire", number))
        rng = np.random.default_rng(derive(seed, "specks", number))
        grey = np.asarray(image, np.float32) + rng.normal(0, 14, (ROWS, COLUMNS)).astype(np.float32)
        yield grey > 128 - 60 * (rng.random((ROWS, COLUMNS)) < 0.999)


def _printed(draw: ImageDraw.ImageDraw, number: int, count: int) -> None:
    draw.text((60, 40), SYNTHETIC, fill=0, font=ImageFont.load_default(22))
    draw.text((60, 84), _TITLE, fill=0, font=ImageFont.load_default(34))
    draw.text((60, 132), "Please tick one box for each question.", fill=0, font=ImageFont.load_default(18))
    draw.line((60, 166, COLUMNS - 60, 166), fill=0, width=3)
    for n, question in enumerate(_QUESTIONS):
        top = _top(n)
        draw.text((60, top), f"{n + 1 + (number - 1) * len(_QUESTIONS)}.", fill=0, font=ImageFont.load_default(19))
        draw.text((100, top), question, fill=0, font=ImageFont.load_default(19))
        for left, answer in ((630, "yes"), (710, "no")):
            draw.rectangle((left, top + 2, left + 20, top + 22), outline=0, width=2)
            draw.text((left + 27, top), answer, fill=0, font=ImageFont.load_default(19))
    draw.rectangle((60, 962, COLUMNS - 60, 1080), outline=0, width=2)
    draw.text((72, 968), "Date and signature", fill=0, font=ImageFont.load_default(15))
    draw.text((COLUMNS - 170, 1100), f"page {number} of {count}", fill=0, font=ImageFont.load_default(16))


def _answered(draw: ImageDraw.ImageDraw, drawn: Draw) -> None:
    for n in range(len(_QUESTIONS)):
        left, top = 630 + 80 * (drawn.below(6) > 0), _top(n)
        shake = [drawn.between(-2.5, 2.5) for _ in range(4)]
        draw.line((left + 1 + shake[0], top + 9, left + 8 + shake[1], top + 20 + shake[2]), fill=0, width=3)
        draw.line((left + 8 + shake[1], top + 20 + shake[2], left + 27 + shake[3], top - 6), fill=0, width=3)
    x, y, stroke = 260.0, 1020.0, []
    for n in range(46):
        stroke.append((x, y))
        x += drawn.between(1, 10)
        y = 1022 + (-1) ** n * drawn.between(2, 26) * (1 - n / 60)
    draw.line(stroke, fill=0, width=2, joint="curve")


def _top(question: int) -> int:
    return 196 + 62 * question
