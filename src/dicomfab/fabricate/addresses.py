"""Where invented people live and how they are called: streets and towns that do not exist, in nine scripts and Latin.

Postal codes have the form of the country but are not given out: those of the United Kingdom begin with ZZ, all others
with 00. Telephone numbers are of the same kind: Ofcom keeps +44 1632 960000 to 960999 for drama; Thailand has no area
40; in the other countries no exchange begins with 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dicomfab.fabricate.scripts import LATIN
from dicomfab.fabricate.seeds import Draw

_LETTERS: Final = "ABDEFGHJLNPQRSTUWXYZ"  # without those that postcodes of the United Kingdom do not end in


@dataclass(frozen=True, slots=True)
class Place:
    """A country's way to write addresses and telephone numbers.

    Args:
        address: PatientAddress (0010,1040), LO, with ``{street}``, ``{town}``, ``{house}`` and ``{code}``.
        code: the postal code; ``#`` stands for a digit and ``@`` for a letter.
        phone: PatientTelephoneNumbers (0010,2154), SH; ``#`` stands for a digit.
        streets, towns: names.
    """

    address: str
    code: str
    phone: str
    streets: tuple[str, ...]
    towns: tuple[str, ...]

    def home(self, draw: Draw) -> tuple[str, str]:
        """An address and a telephone number."""
        street, town = draw.choice(self.streets), draw.choice(self.towns)
        house, code = 1 + draw.below(99), _filled(self.code, draw)
        return self.address.format(street=street, town=town, house=house, code=code), _filled(self.phone, draw)


def _filled(pattern: str, draw: Draw) -> str:
    places = {"#": lambda: str(draw.below(10)), "@": lambda: draw.choice(_LETTERS)}
    return "".join(places[one]() if one in places else one for one in pattern)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.replace("_", " ") for name in text.split())


PLACES: Final[dict[str, Place]] = {
    LATIN: Place(
        "{house} {street}, {town} {code}",
        "ZZ# #@@",
        "+44 1632 960###",
        _names(
            "Alder_Lane Beacon_Street Birch_Avenue Chapel_Hill Copper_Row Fern_Close Harbour_Road Hazel_Way "
            "Juniper_Street Lantern_Lane Linden_Road Mill_Crescent Orchard_Way Quarry_Lane Rowan_Drive Willow_Court"
        ),
        _names(
            "Alderwick Brackenmere Copperbridge Dunmarsh Elmscombe Fallowgate Greywater Harrowby_Cross Larkenfield "
            "Millhaven Northwell Oakenshaw Ravensby Thornmere Westmarrow"
        ),
    ),
    "japanese": Place(
        "〒{code} {town}{street}{house}",
        "000-####",
        "+81 3-0###-####",
        _names("桜町 緑町 若葉町 朝日町 青葉町 花園町 松風町 泉町 南町 北町 中町 春日町 栄町"),
        _names("緑川市 桜浜市 星見市 若月市 風早市 青嶺市 白波市 花岡市 月野市 清流市"),
    ),
    "korean": Place(
        "({code}) {town} {street} {house}",
        "00###",
        "+82 2-0###-####",
        _names("은행나무로 벚꽃로 소나무길 무지개로 햇살길 달빛로 바람길 새봄로 푸른길 하늘로 강변길 언덕길"),
        _names("가람시 한별시 솔내시 미리내시 샛별시 푸른시 은하시 나래시 다솜시 이슬시"),
    ),
    "chinese": Place(
        "{town}{street}{house}号 {code}",
        "00####",
        "+86 10 0### ####",
        _names("青松路 和平街 梧桐路 明月路 长风街 春晓路 桃花街 翠竹路 石桥街 东湖路 南苑街 金桂路"),
        _names("青溪市 云湖市 星河市 碧泉市 明峰市 松江湾市 白鹭市 晴川市 月亮湾市 春山市"),
    ),
    "cyrillic": Place(
        "{code}, г. {town}, ул. {street}, д. {house}",
        "00####",
        "+7 495 0##-##-##",
        _names("Садовая Берёзовая Кленовая Озёрная Лесная Полевая Солнечная Речная Луговая Сосновая Зимняя Весенняя"),
        _names("Светлоозёрск Верхнеполье Заречинск Белокамск Новоберёзовск Сосноград Яснополье Тихореченск Ветроград"),
    ),
    "greek": Place(
        "{street} {house}, {code} {town}",
        "00# ##",
        "+30 210 0## ####",
        _names("Ελιάς Θάλασσας Λεμονιάς Αμυγδαλιάς Πλατάνου Ηλίου Γαλήνης Ανθέων Ροδιάς Κυπαρισσιού Πηγής Αυγής"),
        _names("Γαλανόπετρα Ηλιοχώρι Ασπρονέρι Ανεμόλοφος Λευκάμμος Χρυσάγρι Δροσόκαμπος Αστροχώρι Φεγγαρόπολη"),
    ),
    "arabic": Place(
        "شارع {street} {house}، {town} {code}",
        "00###",
        "+966 11 0## ####",
        _names("النخيل الياسمين الورد الربيع الزيتون السلام البحر النور القمر الوادي الرمان الفجر"),
        _names("واحة_النجوم مدينة_الغيم عين_الصفاء تل_الضياء روضة_الندى وادي_السحاب مدينة_المرجان خليج_اللؤلؤ"),
    ),
    "hebrew": Place(
        "רחוב {street} {house}, {town} {code}",
        "00#####",
        "+972 3-0##-####",
        _names("הדקל האלון הרימון הגפן השקד הזית הברוש האורן התאנה הנרקיס הכלנית החרוב"),
        _names("נווה_ארזים גבעת_כוכבים עין_שחר מעלה_ענבר תל_לבנה גן_אלמוגים רמת_סהר בית_עננים"),
    ),
    "thai": Place(
        "{house} ถนน{street} เมือง{town} {code}",
        "00###",
        "+66 40 0## ###",
        _names("ดอกแก้ว มะลิ ลีลาวดี ชมพูพันธุ์ สายลม แสงจันทร์ ริมธาร ต้นไทร รุ่งอรุณ ฟ้าใส สายรุ้ง ใบโพธิ์"),
        _names("ดาวเหนือ ทรายทอง ธารทิพย์ เขาเมฆ จันทร์ฉาย ลมหวน บึงแก้ว ทุ่งตะวัน"),
    ),
}
"""By script, Latin among them."""
