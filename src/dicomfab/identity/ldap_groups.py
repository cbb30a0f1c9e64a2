"""In which of some groups somebody is: nested ones and the primary one included.

Active Directory computes all groups of somebody as security identifiers in ``tokenGroups`` (MS-ADTS 3.1.1.4.5.19);
whoever is asked about is looked up by name. What is in both is the answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from dicomfab.identity import ldap_explain
from dicomfab.identity.ldap_names import escaped, is_text, is_whole_name, same
from dicomfab.identity.ldap_talk import Found, Talk
from dicomfab.model.person import Step

_ATTRIBUTES: Final = ("sAMAccountName", "cn", "objectSid", "groupType")
_GROUP: Final = "(objectCategory=group)"
#: Filters are kept to a size that every controller takes.
_AT_ONCE: Final = 100


def groups_of(talk: Talk, dn: str, asked: Collection[str]) -> frozenset[str]:
    """Those of some groups that somebody is in, spelled as they were asked for.

    Args:
        talk: by whom to ask.
        dn: whose groups.
        asked: each by its common name, ``sAMAccountName`` or distinguished name; a name that two groups bear gives
            nothing, else whoever may make groups somewhere could become anybody.

    Raises:
        DirectoryUnavailable: they cannot be read.
    """
    identifiers = _identifiers(talk, sorted(name for name in asked if name and is_text(name)))
    if not identifiers:
        return frozenset()
    found = talk.read(dn, ("tokenGroups",))
    held = frozenset(found.attributes.get("tokengroups", ())) if found else frozenset()
    if not held:
        raise ldap_explain.groups_hidden(dn)
    groups = frozenset(name for name, identifier in identifiers.items() if identifier in held)
    told = ", ".join(sorted(groups)) or "none of those asked about"
    talk.tell(Step(f"read the groups of {dn}, nested ones too", f"in {len(held)} groups: {told}"))
    return groups


def _identifiers(talk: Talk, asked: list[str]) -> Mapping[str, bytes]:
    """The security identifier of each group that was asked about and is there, by the name that was asked for."""
    if not asked:
        return {}
    plain = [name for name in asked if not is_whole_name(name)]
    named: list[Found] = []
    for start in range(0, len(plain), _AT_ONCE):
        either = "".join(
            f"(sAMAccountName={escaped(name)})(cn={escaped(name)})" for name in plain[start : start + _AT_ONCE]
        )
        named += talk.search(f"(&{_GROUP}(|{either}))", _ATTRIBUTES)
    found: dict[str, bytes] = {}
    problems: list[str] = []
    for name in asked:
        if is_whole_name(name):
            one = talk.read(name, _ATTRIBUTES, filter_=_GROUP)
            bearing = [one] if one else []
        else:
            bearing = [one for one in named if same(name) in map(same, _names(one))]
        problem = _problem(bearing)
        if problem:
            problems.append(f"{name}: {problem}")
        else:
            found[name] = bearing[0].attributes["objectsid"][0]
    told = "; ".join((f"{len(found)} are there", *problems))
    talk.tell(Step(f"look for the {len(asked)} groups that are asked about", told))
    return found


def _names(found: Found) -> Iterable[str]:
    for attribute in ("samaccountname", "cn"):
        for value in found.attributes.get(attribute, ()):
            yield value.decode(errors="replace")


def _problem(bearing: list[Found]) -> str:
    """Why the groups that bear a name are not one that gives something; blank if they are."""
    if not bearing:
        return "there is no such group"
    if len({one.dn for one in bearing}) > 1:
        return f"several groups bear this name, so it gives nothing: {'; '.join(sorted(one.dn for one in bearing))}"
    if not _is_security(bearing[0]):
        return "it is a distribution list, which gives no rights"
    return "" if bearing[0].attributes.get("objectsid") else "its security identifier cannot be read"


def _is_security(found: Found) -> bool:
    """Whether the topmost bit of ``groupType`` is set (MS-ADTS 2.2.12): the number is signed, so it is negative."""
    values = found.attributes.get("grouptype", ())
    return not values or values[0].startswith(b"-")
