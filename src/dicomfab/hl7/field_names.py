"""What the fields of segments are called (HL7 v2.5.1, the tables of chapters 2 to 8; ZDS by IHE RAD TF-2 4.4)."""

from __future__ import annotations

from typing import Final

SEGMENTS: Final = {
    "MSH": "Message header",
    "SFT": "Software",
    "EVN": "Event",
    "PID": "Patient",
    "PD1": "Patient, more",
    "NK1": "Next of kin",
    "MRG": "Merged patient",
    "PV1": "Visit",
    "PV2": "Visit, more",
    "AL1": "Allergy",
    "ORC": "Order",
    "OBR": "Observation request",
    "IPC": "Imaging procedure",
    "TQ1": "Timing",
    "NTE": "Note",
    "OBX": "Observation",
    "ZDS": "Study",
    "MSA": "Acknowledgement",
    "ERR": "Error",
}
_NAMES: Final = {
    "MSH": "Field separator|Encoding characters|Sending application|Sending facility|Receiving application|"
    "Receiving facility|Date and time|Security|Message type|Control ID|Processing ID|Version|Sequence number|"
    "Continuation pointer|Accept acknowledgement|Application acknowledgement|Country|Character set|Language|"
    "Alternate character set handling|Message profile",
    "EVN": "Event|Recorded at|Planned at|Reason|Operator|Occurred at|Facility",
    "PID": "Set ID|Patient ID (external)|Patient identifiers|Alternate patient ID|Patient name|Mother's maiden name|"
    "Birth date|Sex|Alias|Race|Address|County|Phone (home)|Phone (business)|Language|Marital status|Religion|"
    "Account number|SSN|Driver's license|Mother's identifier|Ethnic group|Birth place|Multiple birth|Birth order|"
    "Citizenship|Veteran status|Nationality|Death date|Death indicator|Identity unknown|Identity reliability|"
    "Last update|Last update facility|Species|Breed|Strain|Production class|Tribal citizenship",
    "MRG": "Prior patient identifiers|Prior alternate ID|Prior account number|Prior patient ID|Prior visit number|"
    "Prior alternate visit ID|Prior patient name",
    "PV1": "Set ID|Patient class|Location|Admission type|Preadmit number|Prior location|Attending doctor|"
    "Referring doctor|Consulting doctor|Hospital service|Temporary location|Preadmit test|Readmission|Admit source|"
    "Ambulatory status|VIP|Admitting doctor|Patient type|Visit number",
    "ORC": "Order control|Placer order number|Filler order number|Placer group number|Order status|Response flag|"
    "Quantity/timing|Parent|Transaction at|Entered by|Verified by|Ordering provider|Enterer's location|"
    "Call back phone|Effective at|Control code reason|Entering organization|Entering device|Action by|"
    "Beneficiary notice|Ordering facility|Facility address|Facility phone|Provider address|Status modifier|"
    "Beneficiary override|Filler's expected availability|Confidentiality code",
    "OBR": "Set ID|Placer order number|Filler order number|Universal service ID|Priority|Requested at|Observed at|"
    "Observation end|Collection volume|Collector|Specimen action|Danger code|Clinical information|"
    "Specimen received|Specimen source|Ordering provider|Call back phone|Placer field 1 (accession number)|"
    "Placer field 2 (requested procedure ID)|Filler field 1 (scheduled step ID)|Filler field 2|Result changed at|"
    "Charge|Diagnostic service (modality)|Result status|Parent result|Quantity/timing|Result copies|Parent|"
    "Transportation mode|Reason for study|Principal result interpreter|Assistant|Technician|Transcriptionist|"
    "Scheduled at|Sample containers|Transport logistics|Collector's comment|Transport arrangement|"
    "Transport arranged|Escort|Patient transport comment|Procedure code|Procedure code modifier",
    "IPC": "Accession number|Requested procedure ID|Study Instance UID|Scheduled procedure step ID|Modality|"
    "Protocol code|Scheduled station name|Scheduled step location|Scheduled AE title",
    "TQ1": "Set ID|Quantity|Repeat pattern|Explicit time|Relative time|Service duration|Start|End|Priority|"
    "Condition text|Instruction|Conjunction|Occurrence duration|Total occurrences",
    "NTE": "Set ID|Source|Comment|Type",
    "OBX": "Set ID|Value type|Observation identifier|Sub-ID|Value|Units|Reference range|Abnormal flags|Probability|"
    "Nature of abnormal test|Result status|Effective date|Access checks|Observed at|Producer|Observer|Method",
    "ZDS": "Study Instance UID",
    "MSA": "Acknowledgement code|Control ID of the message|Text|Expected sequence|Delayed|Error condition",
    "ERR": "Code and location|Location|HL7 error code|Severity|Application error code|Parameter|Diagnostic|"
    "User message",
}
_FIELDS: Final = {segment: names.split("|") for segment, names in _NAMES.items()}


def field_name(segment: str, number: int) -> str:
    """What a field is called; empty if nobody has said it, as in segments of a site's own (Z...)."""
    names = _FIELDS.get(segment, ())
    return names[number - 1] if 0 < number <= len(names) else ""
