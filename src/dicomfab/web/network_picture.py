"""The layout of the picture of servers and routes: where each box stands, and the way of each arrow.

Test servers stand in a column on the left, production servers in one on the right. A route within an environment leaves
and arrives on the outer side of its column, one between them on the inner side. Every end of a route has a place of its
own on the side of its box, so that names written there never lie on each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from dicomfab.model.values import Environment
from dicomfab.registry.server import PacsServer
from dicomfab.services.pacs import ServerOverview
from dicomfab.services.routes import Route

BOX_WIDTH: Final = 210.0
_BOX_LEAST: Final = 78.0
_BOX_GAP: Final = 34.0
_END_GAP: Final = 19.0
_MOST_ENDS_APART: Final = 14
_OUTER: Final = 214.0
_MIDDLE: Final = 390.0
_TOP: Final = 132.0
_ZONE_HEAD: Final = 44.0
_MARGIN: Final = 12.0
_OUR_WIDTH: Final = 240.0
_OUR_HEIGHT: Final = 52.0
#: Ways run straight as far as a name of 16 characters is long, so that none crosses another's name.
_STRAIGHT: Final = 122.0
_ARC: Final = 24.0
_ARC_MOST: Final = 84.0
#: With more routes than this, their names are shown only for the server that is pointed at.
MANY_ROUTES: Final = 24


@dataclass(frozen=True, slots=True)
class Box:
    """A server in the picture.

    Args:
        row: the server with its last test.
        x: its left edge.
        y: its upper edge.
        height: of the box; its width is ``BOX_WIDTH``.
    """

    row: ServerOverview
    x: float
    y: float
    height: float

    @property
    def outline(self) -> str:
        """With its corners cut off: the shape of production, as an SVG path."""
        cut, right, bottom = 12.0, self.x + BOX_WIDTH, self.y + self.height
        return (
            f"M{self.x + cut:g},{self.y:g} H{right - cut:g} L{right:g},{self.y + cut:g} V{bottom - cut:g} "
            f"L{right - cut:g},{bottom:g} H{self.x + cut:g} L{self.x:g},{bottom - cut:g} V{self.y + cut:g} Z"
        )


@dataclass(frozen=True, slots=True)
class Arrow:
    """A route in the picture.

    Args:
        route: what it is.
        path: its way, as an SVG path.
        head: the point of the arrow, as an SVG path.
        label_x: where its name begins or ends.
        label_y: the base line of its name.
        anchor: ``start`` or ``end``.
    """

    route: Route
    path: str
    head: str
    label_x: float
    label_y: float
    anchor: str


@dataclass(frozen=True, slots=True)
class Zone:
    """An environment in the picture, with its servers."""

    environment: Environment
    x: float
    y: float
    width: float
    height: float
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything in its place, in units of the picture.

    Args:
        width: of all.
        height: of all.
        zones: the environments that have servers.
        arrows: by the id of the server that they come from.
        our_x: left edge of our own node; its size is ``our_width`` by ``our_height``.
        is_crowded: too many routes for their names to be shown all at once.
    """

    width: float
    height: float
    zones: tuple[Zone, ...]
    arrows: dict[str, list[Arrow]]
    our_x: float
    is_crowded: bool
    box_width: float = BOX_WIDTH
    our_width: float = _OUR_WIDTH
    our_height: float = _OUR_HEIGHT
    top: float = _MARGIN


_End = tuple[str, str, str]
"""Server, the other server, and ``out`` or ``in``."""


def picture_of(rows: Sequence[ServerOverview], routes: Iterable[Route]) -> Picture:
    """Place servers and the routes between them.

    Args:
        rows: the servers.
        routes: those with a move AE title, between these servers.
    """
    existing = [route for route in routes if route.ae_title]
    columns = [
        (environment, [row for row in rows if row.server.environment is environment]) for environment in Environment
    ]
    columns = [(environment, column) for environment, column in columns if column]
    sides = _sides(columns, existing)
    zones: list[Zone] = []
    x = _MARGIN
    for environment, column in columns:
        is_left = environment is Environment.TEST
        inner = _MIDDLE / 2 if len(columns) > 1 else _OUTER / 2
        width = _OUTER + BOX_WIDTH + inner - 20
        box_x = x + _OUTER if is_left else x + inner - 20
        boxes = _boxes(column, sides, box_x)
        bottom = boxes[-1].y + boxes[-1].height + 24
        zones.append(Zone(environment, x, _TOP, width, bottom - _TOP, boxes))
        x += width + 40
    width = x - 40 + _MARGIN if zones else 2 * _MARGIN + _OUR_WIDTH
    height = max((zone.y + zone.height for zone in zones), default=_TOP) + _MARGIN
    boxes_by_id = {box.row.server.id: box for zone in zones for box in zone.boxes}
    arrows: dict[str, list[Arrow]] = {}
    for route in existing:
        arrows.setdefault(route.source.id, []).append(_arrow(route, boxes_by_id, sides))
    return Picture(width, height, tuple(zones), arrows, (width - _OUR_WIDTH) / 2, len(existing) > MANY_ROUTES)


_Sides = dict[tuple[str, bool], list[_End]]
"""Server and whether it is the outer side -> the ends there, from above."""


def _sides(columns: Sequence[tuple[Environment, Sequence[ServerOverview]]], routes: Iterable[Route]) -> _Sides:
    place = {row.server.id: number for _, column in columns for number, row in enumerate(column)}
    sides: _Sides = {}
    for route in routes:
        is_outer = route.source.environment is route.destination.environment
        for end in ((*route.edge, "out"), (*reversed(route.edge), "in")):
            sides.setdefault((end[0], is_outer), []).append((end[0], end[1], end[2]))
    for (server, is_outer), ends in sides.items():
        ends.sort(key=lambda end: _order(end, place, is_outer=is_outer, here=place[server]))
    return sides


def _order(end: _End, place: dict[str, int], *, is_outer: bool, here: int) -> tuple[int, int, int]:
    """From above: so that ways within an environment lie inside each other, and those between them do not cross."""
    other = place[end[1]]
    if not is_outer:
        return 0, other, 0 if end[2] == "out" else 1
    is_below = other > here
    return int(is_below), here - other, 0 if end[2] == "in" else 1


def _boxes(column: Sequence[ServerOverview], sides: _Sides, x: float) -> tuple[Box, ...]:
    boxes = []
    y = _TOP + _ZONE_HEAD
    for row in column:
        ends = max(len(sides.get((row.server.id, is_outer), ())) for is_outer in (True, False))
        height = max(_BOX_LEAST, min(ends, _MOST_ENDS_APART) * _END_GAP + 14)
        boxes.append(Box(row, x, y, height))
        y += height + _BOX_GAP
    return tuple(boxes)


def _arrow(route: Route, boxes: dict[str, Box], sides: _Sides) -> Arrow:
    source, destination = route.source, route.destination
    is_outer = source.environment is destination.environment
    start = _point(boxes[source.id], sides[source.id, is_outer], (*route.edge, "out"), is_outer=is_outer)
    end = _point(
        boxes[destination.id], sides[destination.id, is_outer], (destination.id, source.id, "in"), is_outer=is_outer
    )
    out = _direction(source, is_outer=is_outer)
    into = _direction(destination, is_outer=is_outer)
    leave, arrive, tip = start[0] + out * _STRAIGHT, end[0] + into * _STRAIGHT, end[0] + into * 9
    bend = min(_ARC_MOST, _ARC + abs(end[1] - start[1]) * 0.12) if is_outer else abs(arrive - leave) * 0.5
    path = (
        f"M{start[0]:.1f},{start[1]:.1f} H{leave:.1f} C{leave + out * bend:.1f},{start[1]:.1f} "
        f"{arrive + into * bend:.1f},{end[1]:.1f} {arrive:.1f},{end[1]:.1f} H{tip:.1f}"
    )
    head = f"M{end[0]:.1f},{end[1]:.1f} l{into * 10:g},-4.5 v9 z"
    anchor = "start" if out > 0 else "end"
    return Arrow(route, path, head, start[0] + out * 7, start[1] - 4, anchor)


def _point(box: Box, ends: Sequence[_End], end: _End, *, is_outer: bool) -> tuple[float, float]:
    gap = min(_END_GAP, (box.height - 14) / len(ends))
    first = box.y + box.height / 2 - gap * (len(ends) - 1) / 2 + 3
    x = box.x + BOX_WIDTH if _direction(box.row.server, is_outer=is_outer) > 0 else box.x
    return x, first + gap * ends.index(end)


def _direction(server: PacsServer, *, is_outer: bool) -> int:
    """1 if the side of its box looks to the right, -1 if to the left."""
    return 1 if is_outer == server.is_production else -1
