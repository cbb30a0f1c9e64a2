"""The C-MOVE routes of the predecessor: ``move_routing`` of a server, destination -> the AE title that it knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dicomfab.model.errors import InvalidInput
from dicomfab.registry import fields
from dicomfab.registry.fields import MOVE_ROUTING
from dicomfab.registry.registry import Registry
from dicomfab.services.legacy.findings import Finding, Kind, Verdict, clipped, reason

#: Whose routes make sense here.
_HERE: Final = (Verdict.ADD, Verdict.SAME)


@dataclass(frozen=True, slots=True)
class Place:
    """A server of the file, as an end of routes.

    Args:
        called: what routes may call it.
        name: for people.
        id: here, if it is here or will be.
        verdict: what becomes of it.
        routes: as they stand in the file.
    """

    called: frozenset[str]
    name: str
    id: str
    verdict: Verdict
    routes: object


def plan_routes(
    places: Iterable[Place], file: str, registry: Registry
) -> tuple[list[Finding], dict[str, dict[str, str]]]:
    """Judge the routes between servers.

    Args:
        places: the servers of the file.
        file: what findings call it.
        registry: the servers that there will be, with the routes that there are.

    Returns:
        A finding for each route that has an AE title, and the new ones: source -> destination -> AE title.
    """
    places = tuple(places)
    ends = {called: place for place in places for called in place.called}
    findings: list[Finding] = []
    new: dict[str, dict[str, str]] = {}
    for place in places:
        titled = _titled(place.routes)
        if place.verdict not in _HERE:
            if titled:
                says = f"{len(titled)} of its C-MOVE routes are not taken, since the server is not"
                findings.append(Finding(file, place.name, Kind.ROUTE, Verdict.REFUSED, says))
            continue
        if not isinstance(place.routes, dict | None):
            says = f"{MOVE_ROUTING}: it is no object keyed by servers"
            findings.append(Finding(file, place.name, Kind.ROUTE, Verdict.REFUSED, says))
        known = registry.routes_from(place.id) | new.get(place.id, {})
        for called, title in titled.items():
            end = ends.get(called)
            verdict, says = _judged(place, called, title, end, known)
            entry = f"{place.name} -> {end.name if end else clipped(called)}"
            findings.append(Finding(file, entry, Kind.ROUTE, verdict, says))
            if verdict is Verdict.ADD and end is not None:
                known[end.id] = new.setdefault(place.id, {})[end.id] = fields.ae_title(title, MOVE_ROUTING)
    return findings, new


def _titled(routes: object) -> dict[str, object]:
    """Those that there are: blank is how the predecessor writes that there is none."""
    if not isinstance(routes, dict):
        return {}
    return {to: one for to, one in routes.items() if one is not None and not (isinstance(one, str) and not one.strip())}


def _judged(
    place: Place, called: str, title: object, end: Place | None, known: Mapping[str, str]
) -> tuple[Verdict, str]:
    if end is None:
        return Verdict.REFUSED, f"{MOVE_ROUTING}: no server of the file has the id {clipped(called)!r}"
    if end.verdict not in _HERE:
        return Verdict.REFUSED, "its destination is not taken"
    if end.id == place.id:
        return Verdict.REFUSED, "a server cannot move to itself"
    try:
        ae_title = fields.ae_title(title, MOVE_ROUTING)
    except InvalidInput as error:
        return Verdict.REFUSED, reason(error.what)
    old = known.get(end.id)
    if old is None:
        return Verdict.ADD, f"move AE title {ae_title}"
    if old == ae_title:
        return Verdict.SAME, f"there is this route already, {old}"
    return Verdict.CONFLICT, f"move AE title {old} here, {ae_title} there; what is here stays"
