"""C-MOVE between two servers, as far as the destination is at fault (PS3.4 C.4.2); see :mod:`.moving`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dicomfab.diagnosis.checks import Role, Stage
from dicomfab.diagnosis.products import Setting
from dicomfab.diagnosis.rules import Rule, Who

SILENT: Final = "timeout-*"
DROPPED: Final = "abort-*|closed*|reset*|released|violation"
_NO_WAY: Final = f"refused|no-answer|unreachable|name-*|tls-*|{SILENT}|{DROPPED}"

COMPARE: Final = (
    "Check network connectivity between PACS: in the table of {source}, the entry {move_ae} has to have the address "
    "{destination_host} and the port {destination_port}; and a firewall must let {source} through to them."
)


def move_rule(
    id_: str,
    stage: Stage,
    when: Mapping[str, str],
    cause: str,
    remedy: str,
    who: Who,
    likelihood: int,
    *,
    settings: tuple[Setting, ...] = (),
    tells: str = "",
    reference: str = "PS3.4 C.4.2.1.5",
    heading: str = "C-MOVE failed",
) -> Rule:
    """A rule that sees all facts of a C-MOVE, under the heading that the user's guide has for failures."""
    return Rule(id_, stage, when, heading, cause, remedy, who, likelihood, settings, tells, reference, Role.MOVE)


RULES: Final[tuple[Rule, ...]] = (
    move_rule(
        "move-destination-down",
        Stage.DESTINATION,
        {"as-source": _NO_WAY, "arrived": "!all|before"},
        "{destination} cannot be reached at {destination_host}:{destination_port} ({fact:as-source}), neither by us "
        "nor, as it seems, by {source}.",
        "Check network connectivity between PACS: check if {destination} is running, and its address and port.",
        Who.DESTINATION_ADMINISTRATOR,
        96,
        reference="PS3.8 9.1",
    ),
    move_rule(
        "move-source-not-let-in",
        Stage.DESTINATION,
        {"as-source": "1/1/1|1/1/3|2/1/1|1/2/1|2/2/1", "arrived": "!all|before"},
        "{destination} does not let {source} in: it refused an association under that server's AE title, {source_aec} "
        "(code {fact:as-source}).",
        "Have the administrator of {destination} add {source}: AE title {source_aec}, address {source_host}. Case and "
        "spaces count.",
        Who.DESTINATION_ADMINISTRATOR,
        96,
        settings=(Setting.KNOW_SOURCE,),
        reference="PS3.8 9.3.4",
    ),
    move_rule(
        "move-class-not-taken",
        Stage.DESTINATION,
        {"lacks": "class", "arrived": "!all|before"},
        "{destination} does not take this kind of object: {fact:lacks.what}.",
        "Have the administrator of {destination} enable these SOP classes, or leave such objects where they are.",
        Who.DESTINATION_ADMINISTRATOR,
        95,
        settings=(Setting.ACCEPT_SOP_CLASS,),
        reference="PS3.8 9.3.3.2",
    ),
    move_rule(
        "move-syntax-not-taken",
        Stage.DESTINATION,
        {"lacks": "syntax", "arrived": "!all|before"},
        "{destination} does not take the objects as {source} has them: {fact:lacks.what}; and {source} does not "
        "convert them.",
        "Have the administrator of {destination} enable the transfer syntax, or that of {source} let it convert.",
        Who.DESTINATION_ADMINISTRATOR,
        94,
        settings=(Setting.ACCEPT_TRANSFER_SYNTAX,),
        reference="PS3.8 9.3.3.2",
    ),
    move_rule(
        "move-some-not-taken",
        Stage.DESTINATION,
        {"lacks": "*", "arrived": "all|before", "study.only-one": "yes"},
        "One instance could be moved. {destination} does not take all of the study: {fact:lacks.what}.",
        "Have the administrator of {destination} enable what is missing.",
        Who.DESTINATION_ADMINISTRATOR,
        80,
        settings=(Setting.ACCEPT_SOP_CLASS, Setting.ACCEPT_TRANSFER_SYNTAX),
        reference="PS3.8 9.3.3.2",
    ),
    move_rule(
        "move-destination-full",
        Stage.STORE,
        {"stored": "A7??|0213"},
        "{destination} takes no more (status {fact:stored}): its disk, quota or database is full or down.",
        "Have the administrator of {destination} free space; then move again.",
        Who.DESTINATION_ADMINISTRATOR,
        95,
        settings=(Setting.MORE_SPACE,),
        reference="PS3.4 B.2.3",
    ),
    move_rule(
        "move-destination-forbids-storing",
        Stage.STORE,
        {"stored": "0124|0122|0211|no-context"},
        "{destination} lets {source} in, but does not allow it to store ({fact:stored}).",
        "Have the administrator of {destination} allow C-STORE to {source_aec}.",
        Who.DESTINATION_ADMINISTRATOR,
        94,
        settings=(Setting.ALLOW_STORE,),
        reference="PS3.4 B.2.3",
    ),
    move_rule(
        "move-destination-refuses-to-store",
        Stage.STORE,
        {"stored": "A8??|A9??|C???|0110|0111|F???"},
        "{destination} refuses to store even a small valid instance (status {fact:stored}).",
        "Have the administrator of {destination} look at its log at this moment: it says what it did not like.",
        Who.DESTINATION_ADMINISTRATOR,
        92,
        reference="PS3.4 B.2.3",
    ),
    move_rule(
        "move-destination-breaks-off",
        Stage.STORE,
        {"stored": f"{SILENT}|{DROPPED}"},
        "{destination} lets {source} in, and breaks off or falls silent when it is to store ({fact:stored}).",
        "Have the administrator of {destination} look at its log and disk; a firewall that cuts larger transfers "
        "shows the same.",
        Who.DESTINATION_ADMINISTRATOR,
        90,
    ),
)
