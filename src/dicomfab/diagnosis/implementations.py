"""Which software a server is: by what it says of itself, and by what it accepts (PS3.7 D.3.3.2)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dicomfab.model.part10 import IMPLEMENTATION_CLASS_UID

#: Storage Commitment Push Model (PS3.4 annex J). Orthanc accepts it; the servers that come with DCMTK do not.
STORAGE_COMMITMENT: Final = "1.2.840.10008.1.20.1"


class Product(enum.StrEnum):
    """Software that is known by its implementation class UID or version name (PS3.7 D.3.3.2)."""

    ORTHANC = "Orthanc"
    DCMTK = "DCMTK"  # also what many products are built with
    DCM4CHEE = "dcm4chee"
    PYNETDICOM = "pynetdicom"
    FO_DICOM = "fo-dicom"
    DICOMFAB = "DICOM Fabricator"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Which software, how sure, and by what.

    Args:
        product: the software.
        likelihood: percent.
        why: in a sentence; empty for an unknown one.
    """

    product: Product
    likelihood: int
    why: str = ""


# (start of the implementation class UID, start of the version name, product, percent if the UID says so, more of it).
# Seen of DCMTK 3.6.7, Orthanc 1.10 and pynetdicom 3.0; of dcm4che 2 and 5 and fo-dicom 3 to 5 from their sources.
_KNOWN: Final = (
    (IMPLEMENTATION_CLASS_UID.rpartition(".")[0] + ".", "DICOMFAB_", Product.DICOMFAB, 100, ""),
    ("1.2.826.0.1.3680043.9.3811.", "PYNETDICOM_", Product.PYNETDICOM, 95, "; what is built on it answers so too"),
    ("1.2.40.0.13.1.", "dcm4che", Product.DCM4CHEE, 80, "; other software built on dcm4che answers so too"),
    ("1.3.6.1.4.1.30071.8", "fo-dicom", Product.FO_DICOM, 95, "; what is built on it answers so too"),
    ("1.2.276.0.7230010.3.", "OFFIS_DCMTK_", Product.DCMTK, 50, "; Orthanc and others built on DCMTK answer so too"),
)
_BY_NAME_ONLY: Final = 70  # percent: class UIDs are unique, version names are not (PS3.7 D.3.3.2.3)
_BY_SERVICES: Final = 80


def fingerprint(
    class_uid: str, version_name: str = "", *, accepted: Iterable[str] = (), refused: Iterable[str] = ()
) -> Fingerprint:
    """Recognise a server's software.

    Args:
        class_uid: implementation class UID, from A-ASSOCIATE-AC.
        version_name: implementation version name, if it gave one.
        accepted: abstract syntaxes that it accepted. Orthanc is told from DCMTK only if
            :data:`STORAGE_COMMITMENT` was proposed.
        refused: abstract syntaxes that it refused.
    """
    for uid, name, product, likelihood, others in _KNOWN:
        by_uid = class_uid.startswith(uid)
        if by_uid or (name and version_name.startswith(name)):
            said = f"implementation class UID {class_uid}" if by_uid else f"implementation version name {version_name}"
            found = Fingerprint(product, likelihood if by_uid else min(likelihood, _BY_NAME_ONLY), said + others)
            return _by_services(found, said, accepted, refused) if product is Product.DCMTK else found
    return Fingerprint(Product.UNKNOWN, 0)


def _by_services(found: Fingerprint, said: str, accepted: Iterable[str], refused: Iterable[str]) -> Fingerprint:
    if STORAGE_COMMITMENT in accepted:
        return Fingerprint(Product.ORTHANC, _BY_SERVICES, f"{said}, and it offers storage commitment as Orthanc does")
    if STORAGE_COMMITMENT in refused:
        return Fingerprint(Product.DCMTK, _BY_SERVICES, f"{said}, and it does not offer storage commitment")
    return found


def product_of(
    class_uid: str, version_name: str = "", *, accepted: Iterable[str] = (), refused: Iterable[str] = ()
) -> Product:
    """The likeliest software; see :func:`fingerprint`."""
    return fingerprint(class_uid, version_name, accepted=accepted, refused=refused).product
