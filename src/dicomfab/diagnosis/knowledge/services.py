"""C-ECHO and C-FIND (PS3.4 annexes A and C), and how quickly a server answers."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.checks import Stage
from dicomfab.diagnosis.products import Setting
from dicomfab.diagnosis.rules import Rule, Who

_ECHO: Final = "C-ECHO failed"
_FIND: Final = "C-FIND failed"
_STATUS: Final = "PS3.7 annex C"
_FIND_STATUS: Final = "PS3.4 C.4.1.1.4"
_BROKEN_OFF: Final = "abort-*|released|closed|reset"
_NOT_DICOM: Final = "violation|not-dicom|timeout-pdu|speaks-*"
_HEX: Final = "[0-9A-F]"
_UNABLE: Final = f"C{_HEX * 3}"
_OUT_OF_RESOURCES: Final = f"A7{_HEX * 2}|0213"
_KNOWN_FIND: Final = f"0122|0211|0124|{_OUT_OF_RESOURCES}|A900|{_UNABLE}|timeout-dimse|{_BROKEN_OFF}|{_NOT_DICOM}"

RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "time-over",
        Stage.ENTRY,
        {"time": "over"},
        "The time ran out",
        "The server answers so slowly that not everything could be tried.",
        "Try again with more time: dicomfab doctor {id} --limit 60",
        Who.US,
        30,
        tells="A second examination with more time.",
    ),
    # ------------------------------------------------------------------ C-ECHO
    Rule(
        "echo-not-supported",
        Stage.ECHO,
        {"echo": "0122|0211"},
        _ECHO,
        "The server agreed to C-ECHO and then answered that it does not support it: its configuration contradicts "
        "itself.",
        "Have verification (C-ECHO) enabled for {calling}.",
        Who.ADMINISTRATOR,
        85,
        settings=(Setting.KNOW_US,),
        reference=_STATUS,
    ),
    Rule(
        "echo-not-allowed",
        Stage.ECHO,
        {"echo": "0124"},
        _ECHO,
        "The server knows {calling} and does not allow it C-ECHO.",
        "Have C-ECHO allowed for {calling}.",
        Who.ADMINISTRATOR,
        92,
        settings=(Setting.KNOW_US,),
        reference=_STATUS,
    ),
    Rule(
        "echo-refused",
        Stage.ECHO,
        {"echo": f"!0122|0211|0124|{_BROKEN_OFF}|{_NOT_DICOM}|timeout-*|ok|-"},
        _ECHO,
        "The server answers C-ECHO with the failure {fact:echo}: its software has a problem of its own.",
        "Have the server's log at this moment looked at.",
        Who.ADMINISTRATOR,
        60,
        tells="The server's log, or its maker's conformance statement, says what {fact:echo} means.",
        reference=_STATUS,
    ),
    Rule(
        "echo-no-answer",
        Stage.ECHO,
        {"echo": "timeout-dimse", "find": "!ok|some"},
        _ECHO,
        "The server lets us in and then does not answer: its application hangs, behind a port that still works.",
        "Have the server's application restarted, and its log looked at.",
        Who.ADMINISTRATOR,
        80,
        tells="Do others get answers from it at this moment?",
    ),
    Rule(
        "echo-alone-no-answer",
        Stage.ECHO,
        {"echo": "timeout-dimse", "find": "ok|some"},
        _ECHO,
        "The server answers queries and leaves C-ECHO unanswered: a fault in its software.",
        "Report it to the server's maker; for monitoring, a query tells more of this server than C-ECHO.",
        Who.ADMINISTRATOR,
        80,
    ),
    Rule(
        "echo-broken-off",
        Stage.ECHO,
        {"echo": _BROKEN_OFF},
        _ECHO,
        "The server lets us in and then breaks off ({fact:echo}): its application fails, it decides only now that it "
        "does not want {calling}, or a device in between cuts the connection.",
        "Have the server's log at this moment looked at, and {calling} with the address {our_host} registered.",
        Who.ADMINISTRATOR,
        65,
        settings=(Setting.KNOW_US,),
        tells="The server's log at this moment. If our call ends there without a reason, a device in between cut it.",
        reference="PS3.8 9.3.8",
    ),
    Rule(
        "echo-not-allowed-orthanc",
        Stage.ECHO,
        {"echo": "abort-0-*", "product": "Orthanc"},
        _ECHO,
        "Orthanc does not allow {calling} C-ECHO: it says so by breaking off.",
        "Have {calling} added to the modalities that Orthanc knows, with C-ECHO allowed.",
        Who.ADMINISTRATOR,
        92,
        settings=(Setting.KNOW_US,),
    ),
    Rule(
        "echo-garbled",
        Stage.ECHO,
        {"echo": _NOT_DICOM},
        _ECHO,
        "The answer to C-ECHO is not what DICOM allows: a fault in the server's software, or a device in between that "
        "changes or holds back the traffic.",
        "Report it to the server's maker with a trace: dicomfab doctor {id} --trace",
        Who.ADMINISTRATOR,
        60,
        tells="Call the server from its own network: if that works, a device in between is to blame.",
    ),
    # ------------------------------------------------------------------ C-FIND
    Rule(
        "find-not-supported",
        Stage.FIND,
        {"find": "none", "find.code": "0122|0211"},
        _FIND,
        "The server agreed to C-FIND and then answered that it does not support it: queries are switched off there.",
        "Have C-FIND enabled for {calling}.",
        Who.ADMINISTRATOR,
        88,
        settings=(Setting.ALLOW_FIND,),
        reference=_FIND_STATUS,
    ),
    Rule(
        "find-not-allowed",
        Stage.FIND,
        {"find.code": "0124"},
        _FIND,
        "The server knows {calling} and does not allow it queries.",
        "Have C-FIND allowed for {calling}.",
        Who.ADMINISTRATOR,
        93,
        settings=(Setting.ALLOW_FIND,),
        reference=_STATUS,
    ),
    Rule(
        "find-out-of-resources",
        Stage.FIND,
        {"find.code": _OUT_OF_RESOURCES},
        _FIND,
        "The server is out of resources even for a query that matches nothing: its database is down, its disk full or "
        "its memory used up.",
        "Have database, disk and memory of the server looked at.",
        Who.ADMINISTRATOR,
        85,
        reference=_FIND_STATUS,
    ),
    Rule(
        "find-identifier",
        Stage.FIND,
        {"find": "none", "find.code": "A900"},
        _FIND,
        "The server says that no query fits what it can search for (A900): it demands other keys than the standard "
        "does, or it is no archive (a worklist server answers like that).",
        "Check with the administrator that {called} on port {port} is the archive's AE title and port for queries.",
        Who.ADMINISTRATOR,
        70,
        tells="The server's conformance statement lists the keys that it demands.",
        reference=_FIND_STATUS,
    ),
    Rule(
        "find-unable",
        Stage.FIND,
        {"find": "none", "find.code": _UNABLE},
        _FIND,
        "The server is unable to process any query (code {fact:find.code}): most often its database is down, or its "
        "query software failed.",
        "Have the server's log at this moment looked at, and its database.",
        Who.ADMINISTRATOR,
        75,
        tells="The server's log says what {fact:find.code} stands for; each maker has codes of its own.",
        reference=_FIND_STATUS,
    ),
    Rule(
        "find-no-answer",
        Stage.FIND,
        {"find.code": "timeout-dimse", "echo": "ok|-"},
        _FIND,
        "The server answers C-ECHO, and a query that matches nothing gets no answer: its database hangs or is "
        "overloaded.",
        "Have the server's database looked at. If it is known to be slow, give it more time: "
        "dicomfab pacs edit {id} --dimse-timeout-s 120",
        Who.ADMINISTRATOR,
        85,
        tells="How long does the server need for a query by a Study Instance UID on its own screen?",
    ),
    Rule(
        "find-broken-off",
        Stage.FIND,
        {"find.code": _BROKEN_OFF, "echo": "ok|-"},
        _FIND,
        "The server answers C-ECHO and breaks off during a query ({fact:find.code}): its query software fails, or "
        "queries are not allowed for {calling}.",
        "Have the server's log at this moment looked at, and C-FIND allowed for {calling}.",
        Who.ADMINISTRATOR,
        75,
        settings=(Setting.ALLOW_FIND,),
        tells="The server's log at this moment says which of the two it is.",
    ),
    Rule(
        "find-not-allowed-orthanc",
        Stage.FIND,
        {"find.code": "abort-0-*", "echo": "ok|-", "product": "Orthanc"},
        _FIND,
        "Orthanc does not allow {calling} queries: it says so by breaking off.",
        "Have C-FIND allowed for {calling} in Orthanc's configuration.",
        Who.ADMINISTRATOR,
        93,
        settings=(Setting.ALLOW_FIND,),
    ),
    Rule(
        "find-garbled",
        Stage.FIND,
        {"find.code": _NOT_DICOM, "echo": "ok|-"},
        _FIND,
        "The answer to a query is not what DICOM allows: a fault in the server's software, or a device in between that "
        "changes or holds back the traffic.",
        "Report it to the server's maker with a trace: dicomfab doctor {id} --trace",
        Who.ADMINISTRATOR,
        60,
        tells="Call the server from its own network: if that works, a device in between is to blame.",
    ),
    Rule(
        "find-patient-root",
        Stage.FIND,
        {
            "find": "some",
            "find.study.STUDY": "ok",
            "find.study.SERIES": "ok",
            "find.study.IMAGE": "ok",
            "find.code": f"0122|0211|A900|{_UNABLE}",
        },
        "C-FIND works in part",
        "Queries in the study root work; in the patient root they fail ({fact:find.code}): {fact:find.failed}. "
        "Searching for studies works; searching for patients does not.",
        "Have the Patient Root Query/Retrieve Information Model enabled, or do without searches at patient level.",
        Who.ADMINISTRATOR,
        90,
        reference="PS3.4 C.6.1",
    ),
    Rule(
        "find-levels",
        Stage.FIND,
        {"find": "some", "find.study.STUDY": "ok", "find.study.IMAGE": f"0122|0211|A900|{_UNABLE}"},
        "C-FIND works in part",
        "The server finds studies and not what is in them ({fact:find.code}): {fact:find.failed}.",
        "Have queries at series and instance level enabled: without them nobody can see whether a study arrived whole.",
        Who.ADMINISTRATOR,
        90,
        reference="PS3.4 C.6.2",
    ),
    Rule(
        "find-study-root",
        Stage.FIND,
        {"find": "some", "find.study.STUDY": f"0122|0211|A900|{_UNABLE}"},
        "C-FIND works in part",
        "Queries in the patient root work; in the study root, in which studies are searched for, they fail "
        "({fact:find.code}).",
        "Have the Study Root Query/Retrieve Information Model enabled at the server.",
        Who.ADMINISTRATOR,
        90,
        settings=(Setting.ALLOW_FIND,),
        reference="PS3.4 C.6.2",
    ),
    Rule(
        "find-unknown",
        Stage.FIND,
        {"find": "none", "find.code": f"!{_KNOWN_FIND}"},
        _FIND,
        "The server answers every query with {fact:find.code}.",
        "Have the server's log at this moment looked at.",
        Who.ADMINISTRATOR,
        40,
        tells="The server's log, or its maker's conformance statement, says what {fact:find.code} means.",
        reference=_STATUS,
    ),
    Rule(
        "find-ignores-keys",
        Stage.FIND,
        {"find.matches": "yes"},
        "C-FIND ignores what is asked for",
        "Asked for UIDs and a patient ID that nobody has, the server answers with matches: it ignores the keys, so its "
        "answers cannot be relied on.",
        "Report it to the server's maker. Do not retrieve or delete by what it answers.",
        Who.ADMINISTRATOR,
        93,
        reference="PS3.4 C.2.2.2",
    ),
    # ------------------------------------------------------------------ speed
    Rule(
        "slow",
        Stage.FIND,
        {"slow": "*", "echo": "ok|-", "find": "ok|-", "association.titles": "all", "context.refused": "-"},
        "The server is slow",
        "The server works, and {fact:slow} took {fact:slow.seconds} s; a second is long.",
        "Have the server's load, and the way to it, looked at.",
        Who.ADMINISTRATOR,
        90,
        tells="If C-ECHO is quick and queries are slow, it is the database; if all is slow, the network or the name "
        "lookups of the server (many look up the name of every caller).",
    ),
)
