"""The state machine of PS3.8 section 9.2 as data: table 9-10, cell by cell.

A cell that is missing cannot occur: the service primitive is not allowed in that state (the user's own mistake), or
the transport cannot report it there.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class State(enum.IntEnum):
    """Tables 9-1 to 9-5."""

    STA1 = 1  # idle
    STA2 = 2  # transport connection open, awaiting A-ASSOCIATE-RQ
    STA3 = 3  # awaiting local A-ASSOCIATE response primitive
    STA4 = 4  # awaiting transport connection opening to complete
    STA5 = 5  # awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ
    STA6 = 6  # association established, ready for data transfer
    STA7 = 7  # awaiting A-RELEASE-RP
    STA8 = 8  # awaiting local A-RELEASE response primitive
    STA9 = 9  # release collision, requestor side: awaiting A-RELEASE response primitive
    STA10 = 10  # release collision, acceptor side: awaiting A-RELEASE-RP
    STA11 = 11  # release collision, requestor side: awaiting A-RELEASE-RP
    STA12 = 12  # release collision, acceptor side: awaiting A-RELEASE response primitive
    STA13 = 13  # awaiting transport connection close


class Happening(enum.IntEnum):
    """The events of table 9-10."""

    EVT1 = 1  # A-ASSOCIATE request primitive
    EVT2 = 2  # transport connection confirmation
    EVT3 = 3  # A-ASSOCIATE-AC received
    EVT4 = 4  # A-ASSOCIATE-RJ received
    EVT5 = 5  # transport connection indication
    EVT6 = 6  # A-ASSOCIATE-RQ received
    EVT7 = 7  # A-ASSOCIATE response primitive: accept
    EVT8 = 8  # A-ASSOCIATE response primitive: reject
    EVT9 = 9  # P-DATA request primitive
    EVT10 = 10  # P-DATA-TF received
    EVT11 = 11  # A-RELEASE request primitive
    EVT12 = 12  # A-RELEASE-RQ received
    EVT13 = 13  # A-RELEASE-RP received
    EVT14 = 14  # A-RELEASE response primitive
    EVT15 = 15  # A-ABORT request primitive
    EVT16 = 16  # A-ABORT received
    EVT17 = 17  # transport connection closed
    EVT18 = 18  # ARTIM timer expired
    EVT19 = 19  # unrecognized or invalid PDU received


class Action(enum.Enum):
    """Tables 9-6 to 9-9."""

    AE_1 = "AE-1: issue a transport connect request"
    AE_2 = "AE-2: send A-ASSOCIATE-RQ"
    AE_3 = "AE-3: issue A-ASSOCIATE confirmation: accepted"
    AE_4 = "AE-4: issue A-ASSOCIATE confirmation: rejected; close the transport connection"
    AE_5 = "AE-5: start ARTIM"
    AE_6 = "AE-6: stop ARTIM; issue A-ASSOCIATE indication, or send A-ASSOCIATE-RJ and start ARTIM if not acceptable"
    AE_7 = "AE-7: send A-ASSOCIATE-AC"
    AE_8 = "AE-8: send A-ASSOCIATE-RJ; start ARTIM"
    DT_1 = "DT-1: send P-DATA-TF"
    DT_2 = "DT-2: issue P-DATA indication"
    AR_1 = "AR-1: send A-RELEASE-RQ"
    AR_2 = "AR-2: issue A-RELEASE indication"
    AR_3 = "AR-3: issue A-RELEASE confirmation; close the transport connection"
    AR_4 = "AR-4: send A-RELEASE-RP; start ARTIM"
    AR_5 = "AR-5: stop ARTIM"
    AR_6 = "AR-6: issue P-DATA indication"
    AR_7 = "AR-7: send P-DATA-TF"
    AR_8 = "AR-8: issue A-RELEASE indication: release collision"
    AR_9 = "AR-9: send A-RELEASE-RP"
    AR_10 = "AR-10: issue A-RELEASE confirmation"
    AA_1 = "AA-1: send A-ABORT (service-user); start ARTIM"
    AA_2 = "AA-2: stop ARTIM; close the transport connection"
    AA_3 = "AA-3: issue A-ABORT or A-P-ABORT indication; close the transport connection"
    AA_4 = "AA-4: issue A-P-ABORT indication"
    AA_5 = "AA-5: stop ARTIM"
    AA_6 = "AA-6: ignore the PDU"
    AA_7 = "AA-7: send A-ABORT"
    AA_8 = "AA-8: send A-ABORT (service-provider); issue A-P-ABORT indication; start ARTIM"


@dataclass(frozen=True, slots=True)
class Transition:
    """One cell of table 9-10.

    Args:
        action: what is done.
        next_state: where it leads.
        otherwise: where it leads instead if the request is not acceptable (AE-6) or we are the acceptor (AR-8).
    """

    action: Action
    next_state: State
    otherwise: State | None = None


_DESTINATION: Final = {
    Action.AE_1: State.STA4,
    Action.AE_2: State.STA5,
    Action.AE_3: State.STA6,
    Action.AE_4: State.STA1,
    Action.AE_5: State.STA2,
    Action.AE_6: State.STA3,
    Action.AE_7: State.STA6,
    Action.AE_8: State.STA13,
    Action.DT_1: State.STA6,
    Action.DT_2: State.STA6,
    Action.AR_1: State.STA7,
    Action.AR_2: State.STA8,
    Action.AR_3: State.STA1,
    Action.AR_4: State.STA13,
    Action.AR_5: State.STA1,
    Action.AR_6: State.STA7,
    Action.AR_7: State.STA8,
    Action.AR_8: State.STA9,
    Action.AR_9: State.STA11,
    Action.AR_10: State.STA12,
    Action.AA_1: State.STA13,
    Action.AA_2: State.STA1,
    Action.AA_3: State.STA1,
    Action.AA_4: State.STA1,
    Action.AA_5: State.STA1,
    Action.AA_6: State.STA13,
    Action.AA_7: State.STA13,
    Action.AA_8: State.STA13,
}
_OTHERWISE: Final = {Action.AE_6: State.STA13, Action.AR_8: State.STA10}

# Rows of table 9-10: the action in states 1 to 13, "." for a cell that is empty.
_ROWS: Final = """
1   AE-1 .    .    .    .    .    .    .    .    .     .    .    .
2   .    .    .    AE-2 .    .    .    .    .    .     .    .    .
3   .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
4   .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
5   AE-5 .    .    .    .    .    .    .    .    .     .    .    .
6   .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
7   .    .    AE-7 .    .    .    .    .    .    .     .    .    .
8   .    .    AE-8 .    .    .    .    .    .    .     .    .    .
9   .    .    .    .    .    DT-1 .    AR-7 .    .     .    .    .
10  .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
11  .    .    .    .    .    AR-1 .    .    .    .     .    .    .
12  .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-6
13  .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3 AA-8 AA-6
14  .    .    .    .    .    .    .    AR-4 AR-9 .     .    AR-4 .
15  .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1 AA-1 .
16  .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3 AA-3 AA-2
17  .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4 AA-4 AR-5
18  .    AA-2 .    .    .    .    .    .    .    .     .    .    AA-2
19  .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8 AA-8 AA-7
"""


def _table() -> dict[Happening, dict[State, Transition]]:
    table: dict[Happening, dict[State, Transition]] = {}
    for row in _ROWS.strip().splitlines():
        number, *cells = row.split()
        table[Happening(int(number))] = {
            state: Transition(action, _DESTINATION[action], _OTHERWISE.get(action))
            for state, cell in zip(State, cells, strict=True)
            if cell != "."
            for action in (Action[cell.replace("-", "_")],)
        }
    return table


#: What to do on an event in a state, and the state that follows.
TRANSITIONS: Final = _table()
