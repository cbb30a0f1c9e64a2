from __future__ import annotations

import json


def test_derive_adds_series_and_says_what_it_did(dicomfab):
    assert dicomfab("study", "create", "--kind", "text-card:2", "--seed", "3", "--json").code == 0
    result = dicomfab("study", "derive", "latest", "--lossy", "jpeg", "--quality", "70")
    assert (result.code, result.err) == (0, "")
    assert "Compressed 2 instances with jpeg, quality 70" in result.out
    assert "series 2" in result.out
    made = json.loads(dicomfab("study", "derive", "latest", "--lossy", "j2k-lossy", "--json").out)
    assert (made["transfer_syntax"], made["quality"]) == ("j2k-lossy", 60)
    assert [(one["series_number"], one["instances"]) for one in made["series"]] == [(3, 2)]
    assert [left["reason"] for left in made["left_out"]] == ["it is lossy already"]
    again = dicomfab("study", "derive", "latest", "--lossy", "jpeg", "--again", "--json")
    assert len(json.loads(again.out)["series"]) == 3
    assert "left out: 2 instances" in dicomfab("study", "derive", "latest", "--lossy", "jpeg").out


def test_derive_names_what_is_wrong(dicomfab):
    dicomfab("study", "create", "--kind", "text-card", "--seed", "3")
    for words, told in (
        (["--lossy", "rle"], "loses nothing"),
        (["--lossy", "jpeg", "--quality", "0"], "not within 1 and 100"),
        (["--lossy", "jpeg-extended"], "not of 8 in 8"),
    ):
        result = dicomfab("study", "derive", "latest", *words)
        assert result.code == 2
        assert told in result.err
