"""The external validators where they cannot do their work."""

from __future__ import annotations

from pathlib import Path

from dicomfab.validity.expected import reason_for
from dicomfab.validity.external import Tools, check_entities, check_iod, find_tools
from dicomfab.validity.findings import Severity
from dicomfab.validity.run import validate

PRIVATE = "(0x0099,0x1001)  ?  - Warning - Unrecognized tag - assuming explicit value representation OK"


def test_programs_that_cannot_be_started_are_errors_of_every_file(card: Path, tmp_path: Path) -> None:
    tools = Tools(tmp_path)
    (tmp_path / "dciodvfy").write_text("not a program")
    check = check_iod(tools, card)
    assert check.iod == ""
    assert [(f.severity, f.message) for f in check.findings] == [
        (Severity.ERROR, "dciodvfy cannot be run here: Permission denied")
    ]
    ((finding, paths),) = check_entities(tools, [card])
    assert finding.message == "dcentvfy cannot be run here: No such file or directory"
    assert paths == [card]
    assert validate([card], tools=tools).verdict == "invalid"


def test_the_installation_brings_them(card: Path) -> None:
    tools = find_tools()
    assert tools.problem == ""
    assert check_iod(tools, card).iod == "SCImage"


def test_only_what_is_listed_is_expected() -> None:
    assert reason_for(PRIVATE, "CTImage", "")
    assert not reason_for(PRIVATE.replace("0x0099", "0x0098"), "CTImage", "")
    laterality = "Warning - is only permitted to be empty when actually unknown; x - attribute <Laterality>"
    assert reason_for(laterality, "SCImage", "")
    assert not reason_for(laterality, "DXImageForPresentation", "")
    view = "Warning - Unrecognized defined term <MLO> for value 1 of attribute <View Position>"
    assert reason_for(view, "MammographyImageForPresentation", "")
    assert not reason_for(view, "DXImageForPresentation", "")
