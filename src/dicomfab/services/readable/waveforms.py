"""Waveforms, drawn: ECG on its paper, others each in a strip of their own height (PS3.3 C.10.9)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicomfab.services.readable.blocks import Block, Drawing, Trace, facts
from dicomfab.services.readable.source import Item, written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Bytes of a multiplex group that are read at most, samples that are drawn of it, and how much of an ECG is.
READ_BYTES: Final = 16 << 20
SAMPLES: Final = 4 << 20
ECG_SECONDS: Final = 20.0
CHANNELS: Final = 32
_GROUPS: Final = 8
_MM_PER_SECOND: Final = 25.0
_MM_PER_MILLIVOLT: Final = 10.0
_ECG_STRIP_MM: Final = 25.0
_STRIP_MM: Final = 20.0
_WIDTH_MM: Final = 250.0
_MARGIN_MM: Final = 18.0
_SLOWEST, _FASTEST = 1e-4, 1e9  # samples a second
_COLUMNS_PER_MM: Final = 4
_MILLIVOLTS: Final = {"mV": 1.0, "uV": 1e-3, "V": 1e3, "nV": 1e-6}
_SAMPLES: Final = {
    ("SB", 8): "i1",
    ("UB", 8): "u1",
    ("SS", 16): "i2",
    ("US", 16): "u2",
    ("SL", 32): "i4",
    ("UL", 32): "u4",
}
_WAVEFORMS, _DATA = 0x54000100, 0x54001010
_ECG: Final = "1.2.840.10008.5.1.4.1.1.9.1."


@dataclass(frozen=True, slots=True)
class Channel:
    """How the samples of one channel become values (PS3.3 C.10.9.1.4).

    Args:
        label: of it.
        unit: of its values.
        factor: sensitivity with its correction; no number, or 0, if the instance has one that cannot be used.
        baseline: what sample 0 means; no number, if it cannot be read.
    """

    label: str
    unit: str
    factor: float
    baseline: float

    @property
    def is_clear(self) -> bool:
        """Whether its samples mean something."""
        return self.factor != 0 and math.isfinite(self.factor) and math.isfinite(self.baseline)


def blocks(whole: Item) -> Iterator[Block]:
    """A waveform: each multiplex group drawn, and what was written about it."""
    yield from facts(
        "",
        ("Acquired", whole.text(0x0008002A, characters=32)),
        ("Interpretation", " ".join(_annotations(whole))),
    )
    is_ecg = whole.text(0x00080016, characters=64).startswith(_ECG)
    for number, group in enumerate(whole.items(_WAVEFORMS, _GROUPS), 1):
        yield from _group(group, number, is_ecg=is_ecg)


def _annotations(whole: Item) -> Iterator[str]:
    for one in whole.items(0x0040B020, 40):
        text = one.text(0x00700006, characters=200)
        if text:
            yield text if text.endswith((".", ":")) else f"{text}."


def _group(group: Item, number: int, *, is_ecg: bool) -> Iterator[Block]:
    title = group.text(0x003A0020, characters=64) or f"Group {number}"
    channels = [_channel(one, place) for place, one in enumerate(group.items(0x003A0200, CHANNELS), 1)]
    total = int(min(max(group.number(0x003A0005, 0), 0), 4096))
    rate = group.number(0x003A001A, 0)
    kind = _SAMPLES.get((group.text(0x54001006, characters=8), int(group.number(0x54001004, 0))))
    if not channels or not total or not _SLOWEST <= rate <= _FASTEST or kind is None:
        said = f"{total} channels, {written(rate, 'Hz')}, {group.text(0x54001006, characters=8) or 'no kind of sample'}"
        yield from facts(title, ("Not drawn", f"its samples cannot be told apart ({said})"))
        return
    channels = channels[:total]
    unclear = ", ".join(channel.label for channel in channels if not channel.is_clear)
    if unclear:
        yield from facts(
            title, ("Not drawn", f"sensitivity or baseline cannot be used: it is 0 or no number ({unclear})")
        )
        return
    on_paper = is_ecg and all(channel.unit in _MILLIVOLTS for channel in channels)
    limit = min(SAMPLES // len(channels), max(1, int(ECG_SECONDS * rate)) if on_paper else SAMPLES)
    samples, stated = _samples(group, kind, total, limit)
    if not len(samples):
        yield from facts(title, ("Not drawn", "it has no samples"))
        return
    yield _drawn(title, channels, samples, rate, stated, on_paper=on_paper)


def _channel(item: Item, place: int) -> Channel:
    source = item.code(0x003A0208)
    # Without a sensitivity the units of the samples are arbitrary (PS3.3 C.10.9.1.4.2).
    unit_item = item.item(0x003A0211) if item.raw(0x003A0210) is not None else None
    unit = unit_item.text(0x00080100, characters=16) if unit_item is not None else ""
    factor = _stated(item, 0x003A0210, 1.0) * _stated(item, 0x003A0212, 1.0)
    label = item.text(0x003A0203, characters=32) or source.removeprefix("Lead ").split(" (")[0] or f"Channel {place}"
    return Channel(label[:32], unit, factor, _stated(item, 0x003A0213, 0.0))


def _stated(item: Item, tag: int, default: float) -> float:
    """A number that is there, which is none if it cannot be read; the default only stands for what is not there."""
    return default if item.raw(tag) is None else item.number(tag)


def _samples(group: Item, kind: str, channels: int, limit: int) -> tuple[NDArray[np.float64], int]:
    """The first samples as (samples, channels), and how many there are; those that are padding are no numbers."""
    import numpy as np

    raw = group.raw(_DATA)
    width = np.dtype(kind).itemsize
    step = width * channels
    stated = int(min(max(group.number(0x003A0010, 0), 0), 2**40)) or (raw.length // step if raw is not None else 0)
    data = group.data(_DATA, min(stated, limit, READ_BYTES // step) * step)
    little = raw is None or raw.scope.encoding.little or width == 1
    values = np.frombuffer(data[: len(data) - len(data) % step], f"{'<' if little else '>'}{kind}")
    samples = values.reshape(-1, channels)[:, :CHANNELS].astype(np.float64)
    padding = group.data(0x5400100A, width)
    if len(padding) == width:
        samples[samples == float(np.frombuffer(padding, f"{'<' if little else '>'}{kind}")[0])] = math.nan
    return samples, stated


def _drawn(
    title: str, channels: list[Channel], samples: NDArray[np.float64], rate: float, stated: int, *, on_paper: bool
) -> Drawing:
    import numpy as np

    seconds, whole = len(samples) / rate, stated / rate
    scale = _MM_PER_SECOND if on_paper else (_WIDTH_MM - _MARGIN_MM) / seconds
    width = min(_MARGIN_MM + seconds * scale, _MARGIN_MM + ECG_SECONDS * _MM_PER_SECOND)
    strip = _ECG_STRIP_MM if on_paper else _STRIP_MM
    traces = []
    for place, channel in enumerate(channels[: samples.shape[1]]):
        with np.errstate(over="ignore", invalid="ignore"):
            values = samples[:, place] * channel.factor + channel.baseline
        traces.append(_trace(channel, values, place * strip, strip, scale / rate, on_paper=on_paper))
    said = "25 mm/s, 10 mm/mV" if on_paper else "each channel fills its strip"
    said += f", {written(rate, 'Hz')}"
    if whole > seconds:
        said += f"; the first {written(seconds)} s of {written(whole)} s"
    marks = tuple((written(at), _MARGIN_MM + at * scale) for at in _marks(seconds))
    return Drawing(title, tuple(traces), round(width, 2), len(traces) * strip + 6, on_paper, said, marks)


def _trace(
    channel: Channel, values: NDArray[np.float64], top: float, strip: float, step_mm: float, *, on_paper: bool
) -> Trace:
    import numpy as np

    there = values[np.isfinite(values)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 0.0)
    if not math.isfinite(high - low):
        low, high, there = 0.0, 0.0, there[:0]
    middle, scale = top + strip / 2, 1.0
    if on_paper:
        scale, zero = _MILLIVOLTS[channel.unit] * _MM_PER_MILLIVOLT, 0.0
    else:
        zero = (low + high) / 2
        scale = (strip - 3) / (high - low) if high > low else 1.0
    with np.errstate(over="ignore", invalid="ignore"):
        y = np.clip(middle - (values - zero) * scale, 0, 10_000)
    return Trace(
        channel.label,
        channel.unit,
        written(low),
        written(high),
        tuple(_lines(y, step_mm)),
        round(middle, 2),
        top,
    )


def _lines(y: NDArray[np.float64], step_mm: float) -> Iterator[str]:
    """Unbroken lines: where there are many samples in a column, its lowest and its highest in their order."""
    import numpy as np

    per_column = max(1, int(1 / (_COLUMNS_PER_MM * step_mm)))
    if per_column > 2:
        whole = len(y) - len(y) % per_column
        columns = y[:whole].reshape(-1, per_column)
        # A column with a gap in it is a gap: comparisons with what is no number say nothing.
        broken = ~np.isfinite(columns).all(axis=1)
        places = np.sort(np.stack([columns.argmin(axis=1), columns.argmax(axis=1)], axis=1), axis=1)
        y = np.take_along_axis(columns, places, axis=1)
        y[broken] = math.nan
        x = ((np.arange(len(columns)) * per_column)[:, None] + places) * step_mm
        y, x = y.ravel(), x.ravel()
    else:
        x = np.arange(len(y)) * step_mm
    gaps = np.flatnonzero(~np.isfinite(y))
    for start, end in zip([0, *(gaps + 1)], [*gaps, len(y)], strict=True):
        if end - start > 1:
            pairs = zip(x[start:end] + _MARGIN_MM, y[start:end], strict=True)
            yield " ".join(f"{at:.2f},{value:.2f}" for at, value in pairs)


def _marks(seconds: float) -> Iterator[float]:
    step = 10.0 ** math.floor(math.log10(max(seconds, 1e-6)))
    step = step / 5 if seconds / step < 2 else step / 2 if seconds / step < 5 else step
    for number in range(1, 12):
        if number * step <= seconds:
            yield number * step
