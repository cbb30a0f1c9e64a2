"""Associations and presentation contexts (PS3.8 7.1, 9.3)."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.checks import Stage
from dicomfab.diagnosis.products import Setting
from dicomfab.diagnosis.rules import Rule, Who

_AE_TITLE: Final = "AE Title not recognized"
_REJECTED: Final = "Association rejected"
_REJECTION: Final = "PS3.8 9.3.4"
_CONTEXTS: Final = "PS3.8 9.3.3.2"
_REFUSED: Final = "1|2|3|4"
_KNOWN_REJECTIONS: Final = "?/1/1|?/1/2|?/1/3|?/1/7|?/2/1|?/2/2|?/3/1|?/3/2"
_TAKE_OUT: Final = (
    "If the server is not meant to do that, name in our entry what it does: "
    "dicomfab pacs edit {id} --capability echo --capability ..."
)

RULES: Final[tuple[Rule, ...]] = (
    # ------------------------------------------------------------------ rejected (PS3.8 table 9-21)
    Rule(
        "ae-calling",
        Stage.ASSOCIATION,
        {"association": "?/1/3"},
        _AE_TITLE,
        "The server does not know our AE title {calling}: it is not in its list, or written otherwise there "
        "(upper and lower case and spaces count).",
        "Check your application's AE Titles. Ensure both sides use the same connection names: have {calling} at "
        "{our_host} added at the server.",
        Who.ADMINISTRATOR,
        95,
        settings=(Setting.KNOW_US,),
        reference=_REJECTION,
    ),
    Rule(
        "ae-calling-one-of-ours",
        Stage.ASSOCIATION,
        {"association": "ok", "association.code": "?/1/3|?/1/1"},
        _AE_TITLE,
        "The server lets {fact:association.in} in, and not {fact:association.out}, which our entry also uses.",
        "Check your application's AE Titles. Ensure both sides use the same connection names: use only "
        "{fact:association.in} in our entry (dicomfab pacs edit {id}), or have {fact:association.out} added at the "
        "server.",
        Who.US,
        95,
        settings=(Setting.KNOW_US,),
        reference=_REJECTION,
    ),
    Rule(
        "ae-called",
        Stage.ASSOCIATION,
        {"association.code": "?/1/7", "association.called": "-", "entry.own-title": "-"},
        _AE_TITLE,
        "The server on port {port} does not go by the AE title {called} (upper and lower case count).",
        "Verify the server's AE Title (AEC) with its administrator, then: dicomfab pacs edit {id} --aec TITLE",
        Who.US,
        92,
        settings=(Setting.ANSWER_TO,),
        reference=_REJECTION,
    ),
    Rule(
        "ae-called-another-entry",
        Stage.ASSOCIATION,
        {"association.code": "?/1/7", "association.called": "other"},
        _AE_TITLE,
        "The server on port {port} does not go by {called}, but by {fact:association.called-in}, as another entry of "
        "our registry says.",
        "Verify the server's AE Title (AEC): dicomfab pacs edit {id} --aec {fact:association.called-in}",
        Who.US,
        96,
        reference=_REJECTION,
    ),
    Rule(
        "ae-called-is-ours",
        Stage.ASSOCIATION,
        {"association.code": "?/1/7", "association.called": "-", "entry.own-title": "yes"},
        _AE_TITLE,
        "Our entry calls the server by {called}, which is our own AE title: the two were mixed up.",
        "Verify the server's AE Title (AEC): ask its administrator for it, then: dicomfab pacs edit {id} --aec TITLE",
        Who.US,
        93,
        reference=_REJECTION,
    ),
    Rule(
        "rejected-no-reason",
        Stage.ASSOCIATION,
        {"association": "?/1/1"},
        _REJECTED,
        "The server refuses us and gives no reason: most often it does not know our AE title {calling} from the "
        "address {our_host}; else it is paused, or out of licences.",
        "Have our AE title {calling} and the address {our_host} registered at the server.",
        Who.ADMINISTRATOR,
        70,
        settings=(Setting.KNOW_US,),
        tells="The server's log at this moment says why.",
        reference=_REJECTION,
    ),
    Rule(
        "rejected-application-context",
        Stage.ASSOCIATION,
        {"association": "1/1/2"},
        _REJECTED,
        "The server does not take our request for DICOM: the port belongs to software of another kind, or a device in "
        "between changes what we send.",
        "Check the DICOM port with the administrator; look for proxies and firewalls that inspect traffic.",
        Who.ADMINISTRATOR,
        75,
        tells="The server's log at this moment, and a trace: dicomfab doctor {id} --trace",
        reference=_REJECTION,
    ),
    Rule(
        "rejected-limit-of-an-ae-title",
        Stage.ASSOCIATION,
        {"association": "2/1/2"},
        _REJECTED,
        "The server has as many associations open for this AE title as it allows. (Software built on dcm4che says so "
        "with this code, which the standard has for something else.)",
        "Have the limit raised or stale associations closed; use fewer at once: "
        "dicomfab pacs edit {id} --max-associations 1",
        Who.ADMINISTRATOR,
        75,
        reference=_REJECTION,
    ),
    Rule(
        "rejected-by-a-router",
        Stage.ASSOCIATION,
        {"association": "?/2/1"},
        _REJECTED,
        "The server's protocol layer refuses us without a reason: a DICOM router or proxy in front of it does not let "
        "us through, or it has an internal error.",
        "Look at the log of the server, and of a router in front of it; have {calling} at {our_host} let through.",
        Who.ADMINISTRATOR,
        60,
        tells="Is there a DICOM router or proxy between {our_host} and {host}?",
        reference=_REJECTION,
    ),
    Rule(
        "rejected-protocol-version",
        Stage.ASSOCIATION,
        {"association": "?/2/2"},
        _REJECTED,
        "The server does not understand version 1 of the DICOM protocol, the only one there is: it is not DICOM "
        "software, or a device in between changes what we send.",
        "Check the DICOM port with the administrator.",
        Who.ADMINISTRATOR,
        75,
        tells="A trace of what comes back: dicomfab doctor {id} --trace",
        reference=_REJECTION,
    ),
    Rule(
        "rejected-at-first",
        Stage.ASSOCIATION,
        {"association": "ok", "association.before": "*"},
        "The server is busy",
        "The server refused us (code {fact:association.before}) and took us half a second later: it is at its limit "
        "at times.",
        "Use fewer associations at once: dicomfab pacs edit {id} --max-associations 1; have its limit raised if this "
        "happens often.",
        Who.ADMINISTRATOR,
        90,
        reference=_REJECTION,
    ),
    Rule(
        "rejected-congestion",
        Stage.ASSOCIATION,
        {"association": "?/3/1"},
        _REJECTED,
        "The server is too busy for us at the moment, or is just starting.",
        "Try again in a few minutes. If it stays so, have the server's load and log looked at.",
        Who.ADMINISTRATOR,
        85,
        reference=_REJECTION,
    ),
    Rule(
        "rejected-limit",
        Stage.ASSOCIATION,
        {"association": "?/3/2"},
        _REJECTED,
        "The server has as many associations open as it allows. Often they are left over from programs that did not "
        "close them.",
        "Have stale associations closed (a restart does it) or the limit raised; use fewer at once: "
        "dicomfab pacs edit {id} --max-associations 1",
        Who.ADMINISTRATOR,
        92,
        reference=_REJECTION,
    ),
    Rule(
        "rejected-unknown",
        Stage.ASSOCIATION,
        {"association": "?/?/?", "association.code": f"!{_KNOWN_REJECTIONS}"},
        _REJECTED,
        "The server refuses us with a code that the standard does not have: {fact:association.code}.",
        "Have the server's log looked at.",
        Who.ADMINISTRATOR,
        30,
        tells="The server's log at this moment, or its maker's conformance statement, says what the code means.",
        reference=_REJECTION,
    ),
    # ------------------------------------------------------------------ broken off
    Rule(
        "association-aborted",
        Stage.ASSOCIATION,
        {"association": "abort-*|released"},
        "Association aborted",
        "The server breaks off instead of answering our request: its software fails on it.",
        "Have the server's log looked at; the server may need a restart.",
        Who.ADMINISTRATOR,
        60,
        tells="Does it answer others at this moment? A trace shows what we sent: dicomfab doctor {id} --trace",
        reference="PS3.8 9.3.8",
    ),
    Rule(
        "association-garbled",
        Stage.ASSOCIATION,
        {"association": "violation|timeout-pdu", "tls.speaks": "no|-"},
        "Protocol violation",
        "The answer of the server is not what DICOM allows: a fault in its software, or a device in between that "
        "changes or holds back the traffic.",
        "Report it to the server's maker with a trace: dicomfab doctor {id} --trace",
        Who.ADMINISTRATOR,
        60,
        tells="Call the server from its own network: if that works, a device in between is to blame.",
        reference="PS3.8 9.2",
    ),
    Rule(
        "release-no-answer",
        Stage.ASSOCIATION,
        {"association": "ok", "association.release": "*"},
        "The server does not let go",
        "When we end an association, the server does not answer for {fact:association.release} s: a fault in its "
        "software. Every operation takes so much longer.",
        "Report it to the server's maker. What was done before the end of an association stands.",
        Who.ADMINISTRATOR,
        90,
        reference="PS3.8 7.2",
    ),
    # ------------------------------------------------------------------ services (PS3.8 table 9-18)
    Rule(
        "context-none",
        Stage.CONTEXT,
        {f"context.{operation}": "1|2|3|-" for operation in ("echo", "find", "move", "get", "store")}
        | {"context.refused": "*"},
        "No service on offer",
        "The server lets us in and offers nothing that our entry asks for: {called} on port {port} is for something "
        "else, such as worklist or print.",
        "Ask the administrator for the AE title and port of its archive, then: dicomfab pacs edit {id}",
        Who.US,
        93,
        reference=_CONTEXTS,
    ),
    Rule(
        "context-syntaxes",
        Stage.CONTEXT,
        {"context.echo": "4"},
        "Presentation context rejected",
        "The server knows the services and none of the transfer syntaxes that every DICOM software has to know.",
        "Have Implicit VR Little Endian switched on at the server.",
        Who.ADMINISTRATOR,
        94,
        reference="PS3.5 10.1",
    ),
    Rule(
        "context-echo",
        Stage.CONTEXT,
        {"context.echo": "1|2|3"},
        "C-ECHO not on offer",
        "The server does not offer C-ECHO to us, though every DICOM server has to.",
        f"Have it enabled for {{calling}}. {_TAKE_OUT}",
        Who.ADMINISTRATOR,
        85,
        settings=(Setting.KNOW_US,),
        reference="PS3.4 A.4",
    ),
    Rule(
        "context-find",
        Stage.CONTEXT,
        {"context.find": _REFUSED},
        "C-FIND not on offer",
        "The server lets us in and does not offer C-FIND to {calling} under the AE title {called}: it is switched off, "
        "or queries go to another AE title or port.",
        f"Have C-FIND enabled for {{calling}}, or ask for the AE title and port for queries. {_TAKE_OUT}",
        Who.ADMINISTRATOR,
        91,
        settings=(Setting.ALLOW_FIND,),
        reference=_CONTEXTS,
    ),
    Rule(
        "context-find-patient-root",
        Stage.CONTEXT,
        {"context.find": "patient-root"},
        "C-FIND in the study root not on offer",
        "The server answers queries in the patient root only, and studies are searched for in the study root.",
        "Have the Study Root Query/Retrieve Information Model enabled at the server.",
        Who.ADMINISTRATOR,
        92,
        settings=(Setting.ALLOW_FIND,),
        reference="PS3.4 C.6.2",
    ),
    Rule(
        "context-store",
        Stage.CONTEXT,
        {"context.store": _REFUSED},
        "C-STORE not on offer",
        "The server lets us in and takes none of the usual kinds of images: storing is switched off for {calling}, or "
        "goes to another AE title or port.",
        f"Have C-STORE enabled for {{calling}}, or ask for the AE title and port for storing. {_TAKE_OUT}",
        Who.ADMINISTRATOR,
        90,
        settings=(Setting.ALLOW_STORE,),
        reference="PS3.4 B.3",
    ),
    Rule(
        "context-move",
        Stage.CONTEXT,
        {"context.move": _REFUSED},
        "C-MOVE not on offer",
        "The server lets us in and does not offer C-MOVE to {calling}.",
        f"Have C-MOVE enabled for {{calling}}. {_TAKE_OUT}",
        Who.ADMINISTRATOR,
        90,
        settings=(Setting.ALLOW_MOVE,),
        reference="PS3.4 C.6",
    ),
    Rule(
        "context-get",
        Stage.CONTEXT,
        {"context.get": _REFUSED},
        "C-GET not on offer",
        "The server does not offer C-GET; many do not, and C-MOVE does the same.",
        "Take it out of our entry by naming the others: dicomfab pacs edit {id} --capability echo --capability ...",
        Who.US,
        90,
        reference="PS3.4 C.6",
    ),
)
