"""C-MOVE between two servers: what was not tried, and what does not say why it failed; see :mod:`.moving`."""

from __future__ import annotations

from typing import Final

from dicomfab.diagnosis.checks import Stage
from dicomfab.diagnosis.knowledge.moving_destination import COMPARE, move_rule
from dicomfab.diagnosis.rules import Rule, Who

_CHECKLIST: Final = (
    "Check C-MOVE routing configuration. Verify Move AE titles are correct. Ensure both PACS support C-MOVE. "
    "Check network connectivity between PACS."
)

RULES: Final[tuple[Rule, ...]] = (
    move_rule(
        "move-failed",
        Stage.MOVE,
        {"move": "!0000|-", "arrived": "!all|before"},
        "{source} did not carry out the C-MOVE ({fact:move}). Without a likelier cause, only its log says why.",
        _CHECKLIST,
        Who.SOURCE_ADMINISTRATOR,
        20,
        tells="The logs of {source} and {destination} at this moment.",
    ),
    move_rule(
        "move-some-failed",
        Stage.MOVE,
        {"move": "0000|B000|A702", "counters": "some", "lacks": "-"},
        "Some instances were moved and others not; {destination} takes the kinds of all of them.",
        "Have the administrator of {destination} look at its log at this moment.",
        Who.DESTINATION_ADMINISTRATOR,
        45,
        tells="The log of {destination} says of each refused instance why.",
    ),
    move_rule(
        "move-not-there",
        Stage.ARRIVAL,
        {"move": "0000", "arrived": "none", "elsewhere": "-", "stored": "-", "counters": "!zero|fewer"},
        "{source} says that it sent everything, and {destination} does not list it.",
        COMPARE,
        Who.SOURCE_ADMINISTRATOR,
        45,
        tells="The log of {destination} at this moment: whether {source_aec} called at all.",
    ),
    move_rule(
        "move-not-tried-role",
        Stage.ENTRY,
        {"consent": "role", "move": "-"},
        "Whether a C-MOVE works was not tried: your role does not allow it.",
        "Have somebody repeat this who may store on both servers.",
        Who.US,
        30,
        heading="C-MOVE not tried",
        reference="",
        tells="The same command by a user with test_write, prod_write or admin, as the servers are.",
    ),
    move_rule(
        "move-not-tried-production",
        Stage.ENTRY,
        {"consent": "confirm", "move": "-"},
        "Whether a C-MOVE works was not tried: a production server is asked for C-ECHO and C-FIND only.",
        "Repeat the command with --yes-production if you mean it: one small synthetic instance is stored and moved.",
        Who.US,
        30,
        heading="C-MOVE not tried",
        reference="",
        tells="dicomfab doctor move --from {source_id} --to {destination_id} --yes-production",
    ),
    move_rule(
        "move-nothing-to-move",
        Stage.STORE,
        {"study": "no-store|refused", "move": "-"},
        "Whether a C-MOVE works was not tried: no instance of ours could be stored on {source} ({fact:study}).",
        "Name a study that {source} holds.",
        Who.US,
        30,
        heading="C-MOVE not tried",
        reference="",
        tells="dicomfab doctor move --from {source_id} --to {destination_id} --study UID",
    ),
    move_rule(
        "move-not-allowed-for-what-it-is",
        Stage.STORE,
        {"study": "not-allowed", "move": "-"},
        "Whether a C-MOVE works was not tried: our entries of {source} and {destination} do not allow there what would "
        "be moved, by what it is made of.",
        "Name a study that may go from {source} to {destination}: a real one to production, a synthetic one to tests.",
        Who.US,
        30,
        tells="dicomfab doctor move --from {source_id} --to {destination_id} --study UID",
        heading="C-MOVE not tried",
        reference="",
    ),
    move_rule(
        "move-was-there-before",
        Stage.ARRIVAL,
        {"move": "0000", "arrived": "before"},
        "{source} answers success, and the study was on {destination} before: whether it arrived again cannot be seen.",
        "Move a study that {destination} does not have, or leave --study out.",
        Who.US,
        30,
        heading="C-MOVE not proven",
        reference="",
        tells="dicomfab doctor move --from {source_id} --to {destination_id}",
    ),
    move_rule(
        "move-arrival-unseen",
        Stage.ARRIVAL,
        {"move": "0000", "counters": "all|unreported", "arrived": "unasked"},
        "{source} says that it sent everything. {destination} cannot be asked what it holds, so that is not proven.",
        "Look on {destination} itself, for patient ID SYN-DOCTOR if you named no study.",
        Who.US,
        30,
        heading="C-MOVE not proven",
        reference="",
        tells="A C-FIND at {destination}, once it answers ours.",
    ),
    move_rule(
        "move-out-of-time",
        Stage.MOVE,
        {"time": "over"},
        "The time for the examination was over before everything was tried.",
        "Look at the slowest check, and repeat.",
        Who.US,
        25,
        heading="Out of time",
        reference="",
        tells="The same again, or with a longer limit.",
    ),
)
