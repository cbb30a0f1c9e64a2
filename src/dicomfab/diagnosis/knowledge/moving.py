"""C-MOVE between two servers (PS3.4 C.4.2); the facts are those of :mod:`dicomfab.services.doctor.move`."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.checks import Stage
from dicomfab.diagnosis.knowledge import moving_destination, moving_unsure
from dicomfab.diagnosis.knowledge.moving_destination import COMPARE, DROPPED, SILENT, move_rule
from dicomfab.diagnosis.products import Setting
from dicomfab.diagnosis.rules import Rule, Who

#: Final statuses and codes behind which the sub-operations failed.
_SUBOPERATIONS: Final = "A7??|B000|C???"


_REGISTRY: Final = (
    move_rule(
        "move-no-route",
        Stage.ENTRY,
        {"route": "missing"},
        "Our registry has no C-MOVE route from {source} to {destination}: nobody has said yet under which AE title "
        "{source} knows {destination}.",
        "Check C-MOVE routing configuration: ask the administrator of {source} for that AE title, then "
        "dicomfab pacs route {source_id} {destination_id} --ae TITLE",
        Who.US,
        98,
    ),
    move_rule(
        "move-switched-off",
        Stage.ENTRY,
        {"entry": "move-off"},
        "Our entry of {source} says that it is not to be asked for C-MOVE.",
        "Ensure both PACS support C-MOVE. If {source} does, name all that it may be asked for: dicomfab pacs edit "
        "{source_id} --capability echo --capability store --capability find --capability move --capability get",
        Who.US,
        98,
    ),
    move_rule(
        "move-title-differs-in-case",
        Stage.DESTINATION,
        {"route": "case", "known": "A801"},
        "The Move AE title of our route, {move_ae}, is not quite the name of {destination}, {destination_aec}: "
        "upper and lower case and spaces count, and {source} does not know {move_ae}.",
        "Verify Move AE titles are correct: dicomfab pacs route {source_id} {destination_id} --ae {destination_aec}",
        Who.US,
        98,
    ),
    move_rule(
        "move-title-wrong",
        Stage.DESTINATION,
        {"route": "other", "known": "A801", "known.own-title": "0000"},
        "{source} does not know the Move AE title of our route, {move_ae}; it knows {destination} under that server's "
        "own AE title, {destination_aec}.",
        "Verify Move AE titles are correct: dicomfab pacs route {source_id} {destination_id} --ae {destination_aec}",
        Who.US,
        98,
    ),
)

_NOT_KNOWN: Final = (
    move_rule(
        "move-destination-unknown",
        Stage.DESTINATION,
        {"known": "A801", "known.own-title": "!0000", "route": "!case"},
        "{source} does not know the move destination {move_ae} (status A801): it is not in its table of other servers.",
        "Verify Move AE titles are correct. Have the administrator of {source} add {destination}: AE title {move_ae}, "
        "address {destination_host}, port {destination_port}.",
        Who.SOURCE_ADMINISTRATOR,
        97,
        settings=(Setting.KNOW_DESTINATION,),
    ),
    move_rule(
        "move-destination-unknown-late",
        Stage.DESTINATION,
        {"known": "!A801", "move": "A801", "product": "!pynetdicom"},
        "{source} found the study, and then did not know the move destination {move_ae} (status A801).",
        "Verify Move AE titles are correct. Have the administrator of {source} add {destination}: AE title {move_ae}, "
        "address {destination_host}, port {destination_port}; or correct the Move AE title of our route.",
        Who.SOURCE_ADMINISTRATOR,
        95,
        settings=(Setting.KNOW_DESTINATION,),
    ),
    move_rule(
        "move-pynetdicom-cannot-reach",
        Stage.MOVE,
        {"known": "!A801", "move": "A801", "product": "pynetdicom", "as-source": "ok"},
        "{source} got no association with {destination}, though that lets it in when we call under its name. (It is "
        "built with pynetdicom, which says A801 then, as of a destination that it does not know.)",
        COMPARE,
        Who.SOURCE_ADMINISTRATOR,
        88,
        settings=(Setting.KNOW_DESTINATION,),
        tells="The log of {source} at this moment names the address that it called.",
    ),
    move_rule(
        "move-orthanc-cannot-send",
        Stage.MOVE,
        {"move": "C000", "product": "Orthanc", "as-source": "ok", "stored": "0000", "arrived": "!all"},
        "{source} is an Orthanc. It has no entry with the AE title {move_ae}, or one with a wrong address or port: it "
        "answers C000 to both. {destination} itself is up, lets {source} in and stores.",
        "Verify Move AE titles are correct. Have the administrator of {source} compare the entry with the line below, "
        "or add it.",
        Who.SOURCE_ADMINISTRATOR,
        90,
        settings=(Setting.KNOW_DESTINATION,),
        tells="The log of Orthanc says which: 'Unknown modality', or 'DicomAssociation' with an address.",
    ),
    move_rule(
        "move-not-processed",
        Stage.MOVE,
        {
            "move": "C???",
            "product": "!Orthanc|pynetdicom|dcm4chee",
            "as-source": "ok",
            "stored": "0000",
            "arrived": "!all",
        },
        "{source} could not process the request (status {fact:move}). Many servers answer so when they do not know the "
        "move destination {move_ae}, or cannot reach it.",
        "Verify Move AE titles are correct. Have the administrator of {source} check the entry of {destination}: AE "
        "title {move_ae}, address {destination_host}, port {destination_port}.",
        Who.SOURCE_ADMINISTRATOR,
        62,
        settings=(Setting.KNOW_DESTINATION,),
        tells="The log of {source} at this moment.",
    ),
    move_rule(
        "move-pynetdicom-handler",
        Stage.MOVE,
        {"move": "C51?", "product": "pynetdicom"},
        "The program behind {source} failed (status {fact:move}): C511 is an error in its handler of C-MOVE, C513 to "
        "C516 are values that the handler must not give.",
        "Show whoever wrote the program its log of this moment; its handler of evt.EVT_C_MOVE is at fault.",
        Who.SOURCE_ADMINISTRATOR,
        93,
    ),
    move_rule(
        "move-dcm4chee-not-allowed",
        Stage.MOVE,
        {"move": "C801", "product": "dcm4chee"},
        "{source} knows the move destination {move_ae}, and does not allow us to name it.",
        "Have the administrator of {source} allow {move_ae} as move destination for our AE title {calling}.",
        Who.SOURCE_ADMINISTRATOR,
        85,
        settings=(Setting.KNOW_DESTINATION,),
    ),
)

_SOURCE: Final = (
    move_rule(
        "move-wrong-address-proven",
        Stage.MOVE,
        {"move": _SUBOPERATIONS, "as-source": "ok", "stored": "0000", "listener": "arrived", "arrived": "!all"},
        "{source} can send: it sent to us. {destination} is up, lets it in and stores. So {source} has a wrong address "
        "or port for {move_ae}, or a firewall is between the two.",
        COMPARE,
        Who.SOURCE_ADMINISTRATOR,
        96,
        settings=(Setting.KNOW_DESTINATION,),
    ),
    move_rule(
        "move-wrong-address",
        Stage.MOVE,
        {
            "move": "A7??|B000",
            "counters": "none|zero|unreported",
            "as-source": "ok",
            "lacks": "-",
            "stored": "0000",
            "listener": "!arrived",
            "destination.tls": "-",
            "arrived": "!all|some",
        },
        "{source} knows {move_ae}, and its sub-operations fail. {destination} is up, lets {source} in when we call "
        "under its name, and stores. So {source} has a wrong address or port for {move_ae}, or a firewall is between "
        "the two.",
        COMPARE,
        Who.SOURCE_ADMINISTRATOR,
        86,
        settings=(Setting.KNOW_DESTINATION,),
        tells="Who listens at the address that {source} has? Its log names it.",
    ),
    move_rule(
        "move-silent-address",
        Stage.MOVE,
        {"move": SILENT, "known": f"!{SILENT}", "as-source": "ok", "stored": "0000", "arrived": "!all"},
        "{source} does not answer while it tries to send. {destination} is up, lets it in and stores. So {source} "
        "calls an address from which nothing comes back: it has a wrong one for {move_ae}, or a firewall drops it.",
        COMPARE,
        Who.SOURCE_ADMINISTRATOR,
        74,
        settings=(Setting.KNOW_DESTINATION,),
        tells="The log of {source} at this moment: which address it called, and how long it waited.",
    ),
    move_rule(
        "move-source-silent",
        Stage.MOVE,
        {"move": SILENT, "known": SILENT},
        "{source} accepts a C-MOVE and answers nothing, even to one that matches no study: its program hangs.",
        "Have the administrator of {source} look at its log, and restart it.",
        Who.SOURCE_ADMINISTRATOR,
        88,
    ),
    move_rule(
        "move-without-tls",
        Stage.MOVE,
        {
            "move": f"{_SUBOPERATIONS}|{SILENT}",
            "destination.tls": "ok",
            "as-source": "ok",
            "stored": "0000",
            "arrived": "!all",
        },
        "{destination} is up, secured by TLS, lets {source} in when we call under its name, and stores. So {source} "
        "calls it without TLS, does not trust its certificate, or has a wrong address or port for {move_ae}.",
        "Have the administrator of {source} look whether its entry {move_ae} says TLS, whether it trusts the "
        "certificate of {destination}, and whether it has the address {destination_host} and the port "
        "{destination_port}.",
        Who.SOURCE_ADMINISTRATOR,
        86,
        settings=(Setting.SEND_WITH_TLS,),
        tells="The log of {destination} at this moment: a connection that was not TLS.",
    ),
    move_rule(
        "move-answered-too-late",
        Stage.MOVE,
        {"move": f"A702|B000|{SILENT}", "known": f"!{SILENT}", "arrived": "all"},
        "Everything arrived on {destination}, though {source} reports failure or nothing ({fact:move}): it does not "
        "wait long enough for the answers of {destination}, or reports wrongly.",
        "Have the administrator of {source} raise its time-out for sub-operations; look why {destination} is slow.",
        Who.SOURCE_ADMINISTRATOR,
        86,
    ),
    move_rule(
        "move-no-such-study",
        Stage.FIND,
        {"study": "missing"},
        "{source} has no such study.",
        "Look for it: dicomfab query. Check the Study Instance UID, digit by digit.",
        Who.US,
        98,
    ),
    move_rule(
        "move-not-kept-by-source",
        Stage.STORE,
        {"study": "unlisted", "move": "0000", "counters": "zero|unreported", "arrived": "none|unasked"},
        "{source} answered success to a C-STORE and does not list the instance; so it had nothing to move.",
        "Look at the log of {source}: rules or a late index keep new instances from being seen. Name a study that it "
        "lists: --study UID.",
        Who.SOURCE_ADMINISTRATOR,
        88,
    ),
    move_rule(
        "move-nothing-matched",
        Stage.MOVE,
        {"study": "found|new", "move": "0000", "counters": "zero", "arrived": "none|unasked"},
        "{source} lists the study in C-FIND, and its C-MOVE answers success without a single sub-operation: it matches "
        "nothing, sends nothing, or has it offline.",
        "Have the administrator of {source} look whether the study is online, and whether retrieving asks another "
        "archive or index than querying.",
        Who.SOURCE_ADMINISTRATOR,
        84,
    ),
    move_rule(
        "move-fewer-than-listed",
        Stage.MOVE,
        {"move": "0000|B000", "counters": "fewer"},
        "{source} lists more instances than it says it has sent, and reports no failure.",
        "Have the administrator of {source} look whether some are offline, or held back by a rule.",
        Who.SOURCE_ADMINISTRATOR,
        84,
    ),
    move_rule(
        "move-unsupported",
        Stage.MOVE,
        {"move": "no-context|0122|0211"},
        "{source} does not offer C-MOVE in the study root, or not on this port ({fact:move}).",
        "Ensure both PACS support C-MOVE: have the administrator of {source} switch it on, or tell the right port.",
        Who.SOURCE_ADMINISTRATOR,
        96,
        settings=(Setting.ALLOW_MOVE,),
    ),
    move_rule(
        "move-not-allowed",
        Stage.MOVE,
        {"move": "0124"},
        "{source} does not allow us, {calling}, to ask for C-MOVE.",
        "Have the administrator of {source} allow C-MOVE to {calling}.",
        Who.SOURCE_ADMINISTRATOR,
        97,
        settings=(Setting.ALLOW_MOVE,),
    ),
    move_rule(
        "move-matches-not-calculated",
        Stage.MOVE,
        {"move": "A701"},
        "{source} could not work out what is to be moved (status A701): its database is down or overloaded.",
        "Have the administrator of {source} look at its database and log. Move study by study.",
        Who.SOURCE_ADMINISTRATOR,
        88,
    ),
    move_rule(
        "move-identifier-refused",
        Stage.MOVE,
        {"move": "A9??"},
        "{source} does not take requests at this level of the study root (status {fact:move}).",
        "Ask its administrator for its DICOM conformance statement: which levels and information models it retrieves.",
        Who.SOURCE_ADMINISTRATOR,
        86,
    ),
    move_rule(
        "move-broken-off",
        Stage.MOVE,
        {"move": DROPPED},
        "{source} ended the association in the middle of the C-MOVE ({fact:move}): its program failed.",
        "Have the administrator of {source} look at its log at this moment.",
        Who.SOURCE_ADMINISTRATOR,
        90,
    ),
)

_ARRIVAL: Final = (
    move_rule(
        "move-went-elsewhere",
        Stage.ARRIVAL,
        {"elsewhere": "*", "study": "new|unlisted"},
        "The instance arrived on {fact:elsewhere} instead: the entry {move_ae} in the table of {source} leads there.",
        "Have the administrator of {source} correct the entry {move_ae}: address {destination_host}, port "
        "{destination_port}.",
        Who.SOURCE_ADMINISTRATOR,
        98,
        settings=(Setting.KNOW_DESTINATION,),
    ),
    move_rule(
        "move-may-have-gone-elsewhere",
        Stage.ARRIVAL,
        {"elsewhere": "*", "study": "found"},
        "The study is on {fact:elsewhere}, where it may have been before, and not on {destination}: the entry "
        "{move_ae} in the table of {source} may lead there.",
        "Have the administrator of {source} check the entry {move_ae}: address {destination_host}, port "
        "{destination_port}.",
        Who.SOURCE_ADMINISTRATOR,
        70,
        settings=(Setting.KNOW_DESTINATION,),
        tells="The same without --study: the instance is new, so where it is found it went.",
    ),
    move_rule(
        "move-not-kept",
        Stage.ARRIVAL,
        {"move": "0000", "counters": "all|unreported", "arrived": "none", "stored": "0000", "stored.listed": "no"},
        "{destination} answers success and does not list what it was sent, neither by {source} nor by us.",
        "Have the administrator of {destination} look for rules that discard or hold back instances, for one that "
        "awaits reconciliation, and how long its index takes.",
        Who.DESTINATION_ADMINISTRATOR,
        93,
    ),
    move_rule(
        "move-went-to-nobody-we-know",
        Stage.ARRIVAL,
        {
            "move": "0000",
            "counters": "all|unreported",
            "arrived": "none",
            "elsewhere": "-",
            "stored": "0000",
            "stored.listed": "yes",
        },
        "{source} says that it sent the instance, and it is on no server that we can ask. {destination} keeps what we "
        "send it. So the entry {move_ae} of {source} leads to another server, or {source} does not wait for the end.",
        COMPARE,
        Who.SOURCE_ADMINISTRATOR,
        82,
        settings=(Setting.KNOW_DESTINATION,),
        tells="The log of {source} at this moment names the address that it called.",
    ),
    move_rule(
        "move-arrived-in-part",
        Stage.ARRIVAL,
        {"move": "0000", "counters": "all", "arrived": "some"},
        "{source} sent everything, and {destination} lists only a part.",
        "Have the administrator of {destination} look for rules that discard instances, and how long its index takes.",
        Who.DESTINATION_ADMINISTRATOR,
        72,
        tells="Ask again in a minute: what is there then was only late.",
    ),
)

RULES: Final[tuple[Rule, ...]] = (
    *_REGISTRY,
    *_NOT_KNOWN,
    *moving_destination.RULES,
    *_SOURCE,
    *_ARRIVAL,
    *moving_unsure.RULES,
)
