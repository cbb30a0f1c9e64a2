"""The picture of the network: from two servers to thirty, everything has a place of its own."""

from __future__ import annotations

from itertools import combinations

import pytest

from dicomfab.registry.server import PacsServer
from dicomfab.services.pacs import ServerOverview
from dicomfab.services.routes import Route
from dicomfab.web.network_picture import BOX_WIDTH, MANY_ROUTES, Picture, picture_of


def drawn(count: int, production: int, every: int) -> tuple[Picture, int]:
    servers = [
        PacsServer(
            id=f"s{n}",
            name=f"Server {n}",
            host="localhost",
            port=104,
            aec=f"S{n}",
            environment="prod" if n < production else "test",  # type: ignore[arg-type]
        )
        for n in range(count)
    ]
    pairs = [(a, b) for a in servers for b in servers if a is not b]
    routes = [Route(a, b, b.aec if n % every == 0 else "") for n, (a, b) in enumerate(pairs)]
    picture = picture_of([ServerOverview(server, {}, None) for server in servers], routes)
    return picture, sum(bool(route.ae_title) for route in routes)


@pytest.mark.parametrize(
    ("count", "production", "every"), [(0, 0, 1), (1, 1, 1), (2, 0, 1), (2, 1, 1), (4, 2, 1), (12, 5, 3), (30, 9, 7)]
)
def test_boxes_stand_apart_in_their_zone_and_names_never_lie_on_each_other(
    count: int, production: int, every: int
) -> None:
    picture, routes = drawn(count, production, every)
    boxes = [box for zone in picture.zones for box in zone.boxes]
    arrows = [arrow for leaving in picture.arrows.values() for arrow in leaving]
    assert (len(boxes), len(arrows)) == (count, routes)
    assert picture.is_crowded == (routes > MANY_ROUTES)
    for zone in picture.zones:
        assert zone.x + zone.width <= picture.width
        assert zone.y + zone.height <= picture.height
        for box in zone.boxes:
            assert zone.x < box.x < box.x + BOX_WIDTH < zone.x + zone.width
            assert zone.y < box.y < box.y + box.height < zone.y + zone.height
        for upper, lower in combinations(zone.boxes, 2):
            assert upper.y + upper.height < lower.y
    places = [(arrow.label_x, arrow.label_y) for arrow in arrows]
    for (x, y), (other_x, other_y) in combinations(places, 2):
        assert x != other_x or abs(y - other_y) > 11


def test_thirty_servers_that_all_know_each_other_still_have_a_place() -> None:
    picture, routes = drawn(30, 15, 1)
    assert routes == 870
    assert len({(arrow.label_x, arrow.label_y) for leaving in picture.arrows.values() for arrow in leaving}) == 870
    assert picture.height < 30 * 300
