from __future__ import annotations

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from dicomfab.archive.attributes import ATTRIBUTES


def test_the_attributes_of_the_index_are_those_of_the_data_dictionary():
    """They are written out, since asking the dictionary loads all of pydicom."""
    for one in ATTRIBUTES:
        assert one.tag == tag_for_keyword(one.keyword)
        assert one.vr == dictionary_VR(one.tag)
        assert one.multi == (dictionary_VM(one.tag) != "1")
