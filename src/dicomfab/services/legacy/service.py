"""Moving over from the predecessor: look at what its files hold, then carry it out."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dicomfab.access.policy import Action, Scope, require
from dicomfab.fabricate.patients import PatientData
from dicomfab.fabricate.people import ISSUER
from dicomfab.model.account import LOCAL
from dicomfab.model.actor import Actor
from dicomfab.model.errors import DicomFabError, InvalidInput
from dicomfab.registry.registry import Registry
from dicomfab.registry.server import MoveRoute
from dicomfab.services.account_rules import may_manage
from dicomfab.services.legacy import files
from dicomfab.services.legacy.files import Found
from dicomfab.services.legacy.findings import Finding, Kind, Plan, Verdict
from dicomfab.services.legacy.patients import plan_patients
from dicomfab.services.legacy.people import plan_accounts, plan_groups
from dicomfab.services.legacy.servers import ServerPlan, plan_servers
from dicomfab.services.tables import guarded

if TYPE_CHECKING:
    from dicomfab.services.accounts import AccountService
    from dicomfab.services.group_roles import GroupRoleService
    from dicomfab.services.pacs import PacsService
    from dicomfab.services.patients import PatientService

_COLUMNS: Final = ("patient_id", "name", "birth_date", "sex", "issuer", "address", "phone")
_SOURCE: Final = "the predecessor's files"


@dataclass(frozen=True, slots=True)
class Services:
    """What carries a move out; each records what it does.

    Args:
        pacs: servers and routes.
        patients: the registry of patients.
        groups: which roles groups give.
        accounts: local ones.
    """

    pacs: PacsService
    patients: PatientService
    groups: GroupRoleService
    accounts: AccountService


class LegacyImport:
    """Takes over servers, routes, patients, groups and accounts. What is here already is never changed.

    For administrators: who may change the servers, register patients and manage users.

    Args:
        services: what there is, and what carries it out.
        now: local time of the site.
    """

    def __init__(self, services: Services, now: Callable[[], dt.datetime]) -> None:
        self._services = services
        self._now = now

    def plan(self, actor: Actor, folder: Path) -> Plan:
        """What moving over would do; nothing is changed by asking.

        Args:
            actor: who asks.
            folder: the predecessor's, or the one that holds its files.

        Raises:
            AccessDenied: the actor is no administrator.
            NotFound: there is no such folder, or none of the files is in it.
        """
        _may(actor)
        to_read, aside = files.known_files(folder)
        planning = _Planning(self._services, actor, self._now().date())
        for found in to_read:
            planning.take(found)
        planning.findings += (
            Finding(one.label, "(file)", Kind.FILE, Verdict.ASIDE, files.ASIDE[one.name]) for one in aside
        )
        return planning.plan(str(folder), tuple(one.label for one in to_read))

    def carry_out(self, actor: Actor, plan: Plan) -> None:
        """Do what a plan says: servers with their routes at once, patients at once, then groups and accounts.

        What fails leaves what was done before it; the same plan of the same files, made anew, then holds the rest.

        Raises:
            AccessDenied, InvalidInput, Conflict, ConfirmationRequired: somebody changed what is here since the plan was
                made. It says what was done before.
        """
        _may(actor)
        steps: list[tuple[str, Callable[[], None]]] = [
            ("servers and routes", lambda: self._add_servers(actor, plan.servers)),
            ("patients", lambda: self._add_patients(actor, plan.patients)),
            ("groups", lambda: self._add_groups(actor, plan)),
            ("accounts", lambda: self._add_accounts(actor, plan)),
        ]
        done: list[str] = []
        for name, step in steps:
            try:
                step()
            except DicomFabError as error:
                error.remedy = f"look at the plan again and repeat; done before: {', '.join(done) or 'nothing'}"
                raise
            done.append(name)

    def _add_servers(self, actor: Actor, servers: Mapping[str, Mapping[str, Any]]) -> None:
        if servers:
            self._services.pacs.import_json(actor, json.dumps(servers), source=_SOURCE)

    def _add_patients(self, actor: Actor, patients: tuple[PatientData, ...]) -> None:
        if patients:
            out = io.StringIO(newline="")
            writer = csv.writer(out)
            writer.writerow(_COLUMNS)
            writer.writerows([guarded(getattr(one, name)) for name in _COLUMNS] for one in patients)
            self._services.patients.import_csv(actor, out.getvalue(), source=_SOURCE)

    def _add_groups(self, actor: Actor, plan: Plan) -> None:
        for group, roles in plan.groups.items():
            self._services.groups.put(actor, group, map(str, roles))

    def _add_accounts(self, actor: Actor, plan: Plan) -> None:
        # The active ones first: the last administrator cannot be disabled.
        for one in sorted(plan.accounts, key=lambda account: not account.is_active):
            # Nobody knows this password, and nobody can: the account waits for another.
            unknown = secrets.token_urlsafe(48)
            made = self._services.accounts.add(actor, one.name, map(str, one.roles), password=unknown)
            if not one.is_active:
                self._services.accounts.disable(actor, made.id)


class _Planning:
    """Reads one file after the other."""

    def __init__(self, services: Services, actor: Actor, today: dt.date) -> None:
        self._services = services
        self._actor = actor
        self._today = today
        self.findings: list[Finding] = []
        self._servers: Mapping[str, Mapping[str, Any]] = {}
        self._patients: tuple[PatientData, ...] = ()
        self._groups: Mapping[str, Any] = {}
        self._accounts: tuple[Any, ...] = ()

    def take(self, found: Found) -> None:
        """Judge one file; one that cannot be read is a finding."""
        for other in found.others:
            says = f"not read: the predecessor keeps it as {found.label}"
            self.findings.append(Finding(other, "(file)", Kind.FILE, Verdict.REFUSED, says))
        judge = {
            files.SERVERS: self._take_servers,
            files.PATIENTS: self._take_patients,
            files.GROUPS: self._take_groups,
            files.USERS: self._take_users,
        }[found.name]
        try:
            document = files.load(found)
        except InvalidInput as error:
            says = f"{error.what.removeprefix(f'{found.label}: ')} ({error.cause})"
            self.findings.append(Finding(found.label, "(file)", Kind.FILE, Verdict.REFUSED, says))
            return
        judge(document, found.label)

    def plan(self, folder: str, labels: tuple[str, ...]) -> Plan:
        """All of it."""
        found = tuple(self.findings)
        return Plan(folder, labels, found, self._servers, self._patients, self._groups, self._accounts)

    def _take_servers(self, document: Mapping[str, Any], label: str) -> None:
        rows = self._services.pacs.overview(self._actor)
        routes = tuple(MoveRoute(row.server.id, to, title) for row in rows for to, title in row.routes.items())
        here = Registry(tuple(row.server for row in rows), routes)
        planned = plan_servers(document, label, here)
        if barred := self._in_place_of_production(planned):
            planned = plan_servers(document, label, here, barred=barred)
        self.findings += planned.findings
        self._servers = planned.to_import

    def _in_place_of_production(self, planned: ServerPlan) -> dict[str, str]:
        """Test servers where production stands or stood: these are added by hand, by somebody who confirms it."""
        if not planned.to_import:
            return {}
        text = json.dumps(planned.to_import)
        taking = self._services.pacs.changing_sides(self._actor, text, source=_SOURCE)
        return {
            one.id: f"environment: it is a test server where production stands or stood, {one.aec} at {one.address};"
            " add it yourself: dicomfab pacs add --change-environment"
            for one in taking
        }

    def _take_patients(self, document: Mapping[str, Any], label: str) -> None:
        page = self._services.patients.page(self._actor, limit=None)
        here = {one.data.patient_id: one.data for one in page.patients if one.data.issuer == ISSUER}
        findings, added = plan_patients(document, label, here, today=self._today)
        self.findings += findings
        self._patients = tuple(added)

    def _take_groups(self, document: Mapping[str, Any], label: str) -> None:
        findings, self._groups = plan_groups(document, label, self._services.groups.every(self._actor))
        self.findings += findings

    def _take_users(self, document: Mapping[str, Any], label: str) -> None:
        here = [one for one in self._services.accounts.every(self._actor) if one.source == LOCAL]
        findings, made = plan_accounts(document, label, here)
        self.findings += findings
        self._accounts = tuple(made)


def _may(actor: Actor) -> None:
    may_manage(actor)
    require(actor, Action.CONFIGURE, Scope.SYSTEM)
    require(actor, Action.FABRICATE, Scope.SYSTEM)
