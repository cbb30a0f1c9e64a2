"""Where one can go: the pages of the navigation, which the command palette offers as well."""

from __future__ import annotations

from dataclasses import dataclass

from dicomfab.access.policy import Action, Scope, decide
from dicomfab.model.actor import Actor


@dataclass(frozen=True, slots=True)
class Entry:
    """One page.

    Args:
        address: of the page.
        label: as the navigation shows it.
        icon: name of its symbol in Bootstrap Icons.
        action: whoever may do it nowhere does not see the entry; the page asks for it again.
        key: with Ctrl it leads there.
        needs_accounts: there is nothing on the page while nobody signs in.
    """

    address: str
    label: str
    icon: str
    action: Action
    key: str = ""
    needs_accounts: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Pages that belong together."""

    label: str
    entries: tuple[Entry, ...]


GROUPS = (
    Group(
        "Work",
        (
            Entry("/", "Dashboard", "speedometer2", Action.VIEW, "1"),
            Entry("/query", "Query PACS", "search", Action.QUERY, "2"),
            Entry("/studies", "Studies", "collection", Action.VIEW, "3"),
            Entry("/studies/new", "Create study", "magic", Action.FABRICATE, "n"),
            Entry("/patients", "Patients", "people", Action.VIEW),
            Entry("/jobs", "Jobs", "list-task", Action.VIEW, "5"),
            Entry("/schedules", "Schedules", "calendar-week", Action.VIEW),
        ),
    ),
    Group(
        "Orders",
        (
            Entry("/orders", "Orders", "clipboard2-pulse", Action.VIEW),
            Entry("/procedures", "Procedures", "calendar2-check", Action.VIEW),
            Entry("/messages", "HL7 messages", "envelope", Action.VIEW),
            Entry("/modality", "Modality", "camera", Action.FABRICATE),
        ),
    ),
    Group(
        "Servers",
        (
            Entry("/pacs", "PACS Management", "hdd-network", Action.VIEW, "4"),
            Entry("/monitor", "Monitoring", "activity", Action.VIEW, "6"),
            Entry("/doctor", "Doctor", "heart-pulse", Action.ECHO),
            Entry("/compare", "Compare", "intersect", Action.QUERY),
        ),
    ),
    Group(
        "Installation",
        (
            Entry("/audit", "Audit", "journal-text", Action.READ_AUDIT),
            Entry("/users", "Users", "person-gear", Action.MANAGE_USERS, needs_accounts=True),
            Entry("/directories", "Directories", "door-open", Action.MANAGE_USERS, needs_accounts=True),
            Entry("/settings", "Settings", "sliders", Action.CONFIGURE),
            Entry("/help", "Help", "question-circle", Action.OWN_ACCOUNT),
        ),
    ),
)


def groups_for(actor: Actor, *, has_accounts: bool) -> list[Group]:
    """What the actor can go to.

    Args:
        actor: who looks.
        has_accounts: people sign in here.
    """
    kept = [
        Group(group.label, tuple(e for e in group.entries if _is_open(e, actor, has_accounts=has_accounts)))
        for group in GROUPS
    ]
    return [group for group in kept if group.entries]


def current_address(path: str) -> str:
    """The entry that a page belongs to: the longest address that its path begins with; empty for none."""
    fitting = [
        entry.address
        for group in GROUPS
        for entry in group.entries
        if path == entry.address or (entry.address != "/" and path.startswith(f"{entry.address}/"))
    ]
    return max(fitting, key=len, default="")


def _is_open(entry: Entry, actor: Actor, *, has_accounts: bool) -> bool:
    if entry.needs_accounts and not has_accounts:
        return False
    return any(decide(actor, entry.action, scope).allowed for scope in Scope)
