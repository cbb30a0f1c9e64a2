"""From stored values to grey of eight bits: modality and VOI transformations, presentation (PS3.4 N.2, PS3.3 C.11)."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from dicomfab.pixels.data_set import DamagedInstance, Element
from dicomfab.pixels.stored_frames import Frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Without a window the grey scale runs between these percentiles of the frame.
_LOW, _HIGH = 0.5, 99.5
_SAMPLED: Final = 1 << 18  # pixels that are enough to know these
_WINDOW_CENTER, _WINDOW_WIDTH, _VOI_FUNCTION = 0x00281050, 0x00281051, 0x00281056
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053
_MODALITY_LUT, _VOI_LUT, _LUT_DESCRIPTOR, _LUT_DATA = 0x00283000, 0x00283010, 0x00283002, 0x00283006
_PRESENTATION_SHAPE: Final = 0x20500020
_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_FRAME_VOI_LUT, _VALUE_TRANSFORMATION = 0x00289132, 0x00289145
_WHITE: Final = 255.0
_FAR: Final = 1e12  # further from zero than any entry of a table
_ENTRIES: Final = 1 << 16  # of a table at most
_SEGMENTS_BYTES: Final = 8 * _ENTRIES  # the plain table has a quarter of that
_DISCRETE, _LINEAR, _INDIRECT = range(3)

#: Elements of a data set or an item by their tag.
Scope: TypeAlias = Mapping[int, Element]


class Function(enum.StrEnum):
    """VOI LUT Function (0028,1056)."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """Which values are told apart (PS3.3 C.11.2.1.2, C.11.2.1.3).

    Args:
        centre, width: in what the modality transformation gives, Hounsfield units for example; the width is positive.
        function: from values to grey.
    """

    centre: float
    width: float
    function: Function = Function.LINEAR

    def grey(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values as grey, 0 to 255."""
        import numpy as np

        if self.function is Function.SIGMOID:
            with np.errstate(over="ignore"):  # of what is far away, which is black
                return _WHITE / (1 + np.exp(-4 * (values - self.centre) / self.width))
        centre, width = self.centre, self.width
        if self.function is Function.LINEAR and width >= 1:
            centre, width = centre - 0.5, width - 1
        if width == 0:
            return np.where(values > centre, _WHITE, 0.0)
        return np.clip(((values - centre) / width + 0.5) * _WHITE, 0, _WHITE)


@dataclass(frozen=True, slots=True)
class Table:
    """A lookup table (PS3.3 C.11.1.1.1, C.11.2.1.1).

    Args:
        first: the value that the first entry is for; those before and behind the table have its first and last.
        entries: from there on.
        bits: of an entry.
    """

    first: int
    entries: NDArray[Any]
    bits: int

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """The entries for values."""
        import numpy as np

        if values.dtype.kind == "f":
            values = np.rint(np.nan_to_num(values.astype(np.float64)).clip(-_FAR, _FAR))
        places = values.astype(np.int64) - self.first
        return np.asarray(self.entries[np.clip(places, 0, len(self.entries) - 1)])


@dataclass(frozen=True, slots=True)
class Display:
    """How a frame of grey is displayed.

    Args:
        slope, intercept: of the modality transformation.
        modality: its table, instead.
        window: which values are told apart; without one, and without a table, most of those that are there.
        voi: a table, instead.
        is_inverse: the lowest value is white.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality: Table | None = None
    window: Window | None = None
    voi: Table | None = None
    is_inverse: bool = False

    def grey(self, frame: NDArray[Any]) -> NDArray[np.uint8]:
        """A frame of stored values, (rows, columns), as grey of eight bits."""
        import numpy as np

        with np.errstate(over="ignore", invalid="ignore"):  # numbers of any size may be stated
            return self._of(frame)

    def _of(self, frame: NDArray[Any]) -> NDArray[np.uint8]:
        import numpy as np

        if frame.dtype.kind == "f" or frame.dtype.itemsize > 2:
            return self._grey(frame, frame)
        # Each value once; then by its bits, which are its place in a table of all that there may be.
        unsigned = np.dtype(f"u{frame.dtype.itemsize}")
        values = np.arange(int(frame.min()), int(frame.max()) + 1)
        table: NDArray[np.uint8] = np.zeros(1 << 8 * unsigned.itemsize, np.uint8)
        table[values.astype(frame.dtype).view(unsigned)] = self._grey(values, frame)
        return np.take(table, np.ascontiguousarray(frame).view(unsigned))

    def _grey(self, stored: NDArray[Any], frame: NDArray[Any]) -> NDArray[np.uint8]:
        import numpy as np

        values = self.transformed(stored)
        if self.window is None and self.voi is not None:
            grey = self.voi.of(values) * (_WHITE / ((1 << self.voi.bits) - 1))
        else:
            grey = (self.window or self._most_of(frame)).grey(values)
        if self.is_inverse:
            grey = _WHITE - grey
        return np.rint(np.nan_to_num(grey)).clip(0, _WHITE).astype(np.uint8)

    def transformed(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """What stored values are after the modality transformation (PS3.3 C.11.1)."""
        import numpy as np

        values = stored if self.modality is None else self.modality.of(stored)
        values = values.astype(np.float64)
        return values if self.modality is not None else values * self.slope + self.intercept

    def _most_of(self, frame: NDArray[Any]) -> Window:
        import numpy as np

        step = max(1, math.isqrt(frame.size // _SAMPLED))
        sampled = frame[::step, ::step]
        there = sampled[np.isfinite(sampled)] if frame.dtype.kind == "f" else sampled
        edges = np.percentile(there, (_LOW, _HIGH)) if there.size else np.zeros(2)
        low, high = sorted(float(edge) for edge in self.transformed(edges))
        return Window((low + high) / 2, high - low or 1.0, Function.LINEAR_EXACT)


#: Of single bits.
BINARY: Final = Window(0.5, 1.0, Function.LINEAR_EXACT)


def display_of(frames: Frames, index: int) -> Display:
    """How a frame is displayed at first: with its first window, or else its first table.

    Functional groups are looked into, those of the frame first (PS3.3 C.7.6.16.2.9, C.7.6.16.2.10).

    Args:
        frames: of the instance.
        index: of the frame, from 0.

    Raises:
        DamagedInstance: functional groups or tables cannot be parsed.
    """
    groups = list(_groups(frames, index))
    transforming = [*_macros(frames, groups, _VALUE_TRANSFORMATION), frames.elements]
    shape = _text(frames, frames.elements, _PRESENTATION_SHAPE)
    return Display(
        slope=_first_number(frames, transforming, _SLOPE, 1.0),
        intercept=_first_number(frames, transforming, _INTERCEPT, 0.0),
        modality=_table(frames, frames.elements, _MODALITY_LUT),
        window=_window(frames, [*_macros(frames, groups, _FRAME_VOI_LUT), frames.elements]),
        voi=_table(frames, frames.elements, _VOI_LUT),
        is_inverse=frames.photometric == "MONOCHROME1" or shape == "INVERSE",
    )


def table_in(frames: Frames, scope: Scope, descriptor_tag: int, data_tag: int) -> Table | None:
    """A lookup table; nothing if there is none, or one of descriptor and data is empty.

    Raises:
        DamagedInstance: descriptor and data contradict each other.
    """
    import numpy as np

    found = _described(frames, scope, descriptor_tag, data_tag)
    if found is None:
        return None
    count, first, bits, raw = found
    if len(raw) < count:
        raise _no_table("its descriptor and its data contradict each other")
    return Table(first, np.frombuffer(raw, "<u2" if len(raw) >= 2 * count else "u1", count), bits)


def segmented_table_in(frames: Frames, scope: Scope, descriptor_tag: int, data_tag: int) -> Table | None:
    """A lookup table that is stored in segments (PS3.3 C.7.9.2); nothing if there is none.

    Raises:
        DamagedInstance: its segments cannot be expanded.
    """
    import numpy as np

    found = _described(frames, scope, descriptor_tag, data_tag)
    if found is None:
        return None
    count, first, bits, raw = found
    width = 1 if bits == 8 else 2
    data = np.frombuffer(raw[: min(len(raw) - len(raw) % width, _SEGMENTS_BYTES)], f"<u{width}")
    return Table(first, np.array(_Segments(data.tolist(), count, width).expanded(), np.uint16), bits)


class _Segments:
    """The segments of a lookup table, which may be damaged: whatever they say, no more than the table is made.

    Args:
        data: they, as numbers.
        count: of the entries of the table.
        width: of a number, in bytes.
    """

    def __init__(self, data: list[int], count: int, width: int) -> None:
        self._data, self._count, self._width = data, count, width
        self._made: list[int] = []
        self._left = 2 * _ENTRIES  # segments that are looked at: empty ones make nothing

    def expanded(self) -> list[int]:
        """The entries.

        Raises:
            DamagedInstance: there are less than the table has.
        """
        at = 0
        while len(self._made) < self._count and at + 1 < len(self._data):
            at = self._copied(at) if self._data[at] == _INDIRECT else self._one(at)
        if len(self._made) < self._count:
            raise _no_table("its segments do not fill it")
        return self._made[: self._count]

    def _copied(self, at: int) -> int:
        """What an indirect segment points at; that is none itself."""
        end = at + 2 + 4 // self._width
        place, number = 0, self._data[at + 1]
        for part in reversed(self._data[at + 2 : end]):
            place = place << 8 * self._width | part
        place //= self._width
        self._left -= 1
        while number and len(self._made) < self._count:
            place, number = self._one(place), number - 1
        return end

    def _one(self, at: int) -> int:
        """A discrete or a linear segment; where the next one begins."""
        self._left -= 1
        kind, length = self._data[at : at + 2] if at + 1 < len(self._data) and self._left > 0 else (-1, 0)
        if kind == _DISCRETE:
            self._made += self._data[at + 2 : at + 2 + length]
            return at + 2 + length
        if kind != _LINEAR or not self._made or at + 2 >= len(self._data):
            raise _no_table("its segments contradict each other")
        low, high = self._made[-1], self._data[at + 2]
        self._made += [round(low + (high - low) * step / length) for step in range(1, length + 1)]
        return at + 3


def _described(frames: Frames, scope: Scope, descriptor_tag: int, data_tag: int) -> tuple[int, int, int, bytes] | None:
    """How many entries a table has, the value of the first, bits of an entry, and its data."""
    import numpy as np

    descriptor, data = scope.get(descriptor_tag), scope.get(data_tag)
    stated = frames.data_set.plain_value(descriptor) if descriptor is not None else b""
    raw = frames.data_set.plain_value(data) if data is not None else b""
    if descriptor is None or not stated or not raw:
        return None
    if len(stated) != 6:
        raise _no_table("its descriptor has not three numbers")
    count, first, bits = np.frombuffer(stated, "<i2" if descriptor.vr == "SS" else "<u2").tolist()
    if not 8 <= bits <= 16:
        raise _no_table(f"its descriptor says that its entries have {bits} bits")
    return count & 0xFFFF or _ENTRIES, first, bits, raw


def _no_table(why: str) -> DamagedInstance:
    return DamagedInstance(
        f"a lookup table cannot be read: {why}",
        cause="the instance was made otherwise than PS3.3 C.7.9 and C.11 say",
        remedy="check the instance with a DICOM validator",
    )


def _groups(frames: Frames, index: int) -> Iterator[Scope]:
    """The functional groups of a frame, then those that all share."""
    for tag, place in ((_PER_FRAME, index), (_SHARED, 0)):
        yield _item(frames, frames.elements, tag, place)


def _macros(frames: Frames, groups: Sequence[Scope], tag: int) -> list[Scope]:
    return [_item(frames, group, tag) for group in groups]


def _item(frames: Frames, scope: Scope, tag: int, place: int = 0) -> Scope:
    """The elements of an item of a sequence; none if it is not there."""
    sequence = scope.get(tag)
    if sequence is None or not sequence.is_sequence:
        return {}
    item = next(islice(frames.data_set.items(sequence), place, place + 1), None)
    return {} if item is None else {element.tag: element for element in item.elements()}


def _window(frames: Frames, scopes: Sequence[Scope]) -> Window | None:
    for scope in scopes:
        centre, width = (_number(frames, scope, tag) for tag in (_WINDOW_CENTER, _WINDOW_WIDTH))
        if centre is not None and width is not None and width > 0:
            function = _text(frames, scope, _VOI_FUNCTION)
            return Window(centre, width, Function(function) if function in list(Function) else Function.LINEAR)
    return None


def _table(frames: Frames, scope: Scope, sequence_tag: int) -> Table | None:
    return table_in(frames, _item(frames, scope, sequence_tag), _LUT_DESCRIPTOR, _LUT_DATA)


def _first_number(frames: Frames, scopes: Sequence[Scope], tag: int, default: float) -> float:
    found = (_number(frames, scope, tag) for scope in scopes)
    return next((number for number in found if number is not None), default)


def _number(frames: Frames, scope: Scope, tag: int) -> float | None:
    """The first value of a decimal string; nothing if it is none, or not finite."""
    try:
        number = float(_text(frames, scope, tag))
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def _text(frames: Frames, scope: Scope, tag: int) -> str:
    element = scope.get(tag)
    if element is None:
        return ""
    return frames.data_set.value(element)[:256].decode("latin-1").partition("\\")[0].strip(" \0")
