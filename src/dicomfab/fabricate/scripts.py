"""People's names in nine scripts, and the character sets that write them (PS3.5 6.1.2, annexes H to J).

Of Japanese, Korean and Chinese names the component groups belong together: alphabetic, ideographic and, where the language
has one, phonetic writing of the same name (PS3.5 6.2.1.1).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final

from dicomfab.fabricate.seeds import Draw
from dicomfab.model.errors import InvalidInput

#: A name in each component group that its language uses.
Name = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """How people of a place are called, and how that is written.

    Args:
        name: of the script, as recipes have it.
        title: what it is called in sentences.
        character_set: SpecificCharacterSet (0008,0005), several values joined by backslash; what it cannot hold is
            written in UTF-8.
        family: family names.
        female, male: given names.
    """

    name: str
    title: str
    character_set: str
    family: tuple[Name, ...]
    female: tuple[Name, ...]
    male: tuple[Name, ...]

    def person(self, draw: Draw, sex: str) -> str:
        """A person name (PN), its component groups joined by ``=``.

        Args:
            draw: decides.
            sex: ``F`` or ``M``.
        """
        family, every = draw.choice(self.family), self.female if sex == "F" else self.male
        given = draw.choice([one for one in every if _length(family, one) <= _LONGEST] or every)
        return "=".join(f"{one}^{other}" for one, other in zip(family, given, strict=True))


def _length(family: Name, given: Name) -> int:
    """Of all component groups together as ISO 2022 has them, in bytes; a kanji or kana is one character."""
    groups = [f"{one}^{other}" for one, other in zip(family, given, strict=True)]
    return len("=".join(groups).encode("iso2022_jp", "ignore"))


def _names(text: str) -> tuple[Name, ...]:
    """Names with blanks between them, the groups of each joined by slashes."""
    return tuple(tuple(name.split("/")) for name in text.split())


#: The standard allows 64 characters in each component group (PS3.5 6.2), but receivers count the bytes of all of them.
_LONGEST: Final = 64
#: Latin is what :mod:`dicomfab.fabricate.people` invents by itself.
LATIN: Final = "latin"
_ALL: Final = (
    Script(
        "japanese",
        "Japanese: romaji, kanji and hiragana",
        r"\ISO 2022 IR 87",
        _names(
            "Sato/佐藤/さとう Suzuki/鈴木/すずき Takahashi/高橋/たかはし Tanaka/田中/たなか Watanabe/渡辺/わたなべ Ito/伊藤/いとう "
            "Okada/岡田/おかだ Nakamura/中村/なかむら Kobayashi/小林/こばやし Kato/加藤/かとう Yoshida/吉田/よしだ "
            "Yamada/山田/やまだ Sasaki/佐々木/ささき Yamaguchi/山口/やまぐち Goto/後藤/ごとう Inoue/井上/いのうえ "
            "Kimura/木村/きむら Hayashi/林/はやし Shimizu/清水/しみず Mori/森/もり Abe/阿部/あべ Ikeda/池田/いけだ "
            "Saito/斎藤/さいとう Ogawa/小川/おがわ"
        ),
        _names(
            "Yoko/洋子/ようこ Keiko/恵子/けいこ Kazuko/和子/かずこ Sachiko/幸子/さちこ Akiko/明子/あきこ Yumi/由美/ゆみ "
            "Naoko/直子/なおこ Mayumi/真由美/まゆみ Kumiko/久美子/くみこ Tomoko/智子/ともこ Aoi/葵/あおい Sakura/桜/さくら "
            "Haruka/遥/はるか Misaki/美咲/みさき"
        ),
        _names(
            "Hiroshi/博/ひろし Takashi/隆/たかし Kenji/健二/けんじ Makoto/誠/まこと Akira/明/あきら Satoru/悟/さとる "
            "Shigeru/茂/しげる Tadashi/正/ただし Yutaka/豊/ゆたか Daisuke/大輔/だいすけ Kenta/健太/けんた Sho/翔/しょう "
            "Takuya/拓也/たくや Naoki/直樹/なおき"
        ),
    ),
    Script(
        "korean",
        "Korean: romanized, hanja and hangul",
        r"\ISO 2022 IR 149",
        _names(
            "Kim/金/김 Lee/李/이 Park/朴/박 Choi/崔/최 Jung/鄭/정 Kang/姜/강 Cho/趙/조 Yoon/尹/윤 Jang/張/장 Lim/林/임 Han/韓/한 "
            "Oh/吳/오 Seo/徐/서 Shin/申/신 Kwon/權/권 Hwang/黃/황 Ahn/安/안 Song/宋/송 Hong/洪/홍 Yang/梁/양 Moon/文/문 Son/孫/손"
        ),
        _names(
            "Youngsook/英淑/영숙 Jungja/貞子/정자 Soonja/順子/순자 Miyoung/美英/미영 Eunju/恩珠/은주 Jihye/智惠/지혜 "
            "Soojin/秀珍/수진 Hyunjung/賢貞/현정 Minji/敏智/민지 Seoyeon/瑞姸/서연 Hana/河娜/하나 Yuna/允兒/윤아"
        ),
        _names(
            "Youngho/英浩/영호 Sunghoon/成勳/성훈 Jungho/正浩/정호 Minsoo/民秀/민수 Jihoon/志勳/지훈 Dongwook/東旭/동욱 "
            "Hyunwoo/賢宇/현우 Sangchul/相哲/상철 Kyungsoo/敬秀/경수 Taeho/泰浩/태호 Junho/俊浩/준호 Woojin/宇鎭/우진"
        ),
    ),
    Script(
        "chinese",
        "Chinese: pinyin and simplified characters",
        "GB18030",
        _names(
            "Wang/王 Li/李 Zhang/张 Liu/刘 Chen/陈 Yang/杨 Huang/黄 Zhao/赵 Wu/吴 Zhou/周 Xu/徐 Sun/孙 Ma/马 Zhu/朱 Hu/胡 "
            "Guo/郭 He/何 Gao/高 Lin/林 Luo/罗 Zheng/郑 Liang/梁 Xie/谢 Song/宋"
        ),
        _names(
            "Xiuying/秀英 Guiying/桂英 Lihua/丽华 Fang/芳 Na/娜 Min/敏 Jing/静 Yan/艳 Juan/娟 Xia/霞 Yuhan/雨涵 "
            "Xinyi/欣怡 Zihan/梓涵 "
            "Meiling/美玲"
        ),
        _names(
            "Wei/伟 Qiang/强 Lei/磊 Jun/军 Yong/勇 Jie/杰 Tao/涛 Chao/超 Ming/明 Gang/刚 Haoran/浩然 Zixuan/子轩 Yuchen/宇辰 "
            "Jianguo/建国"
        ),
    ),
    Script(
        "cyrillic",
        "Russian, in Cyrillic letters",
        "ISO_IR 144",
        _names(
            "Орлов Кузнецов Соколов Попов Лебедев Козлов Новик Морозов Волков Зайцев Павлюк Семенюк "
            "Голубев Виноград "
            "Богдан Воронюк Федорук Михайлюк Белый Тарасюк Жуковец Комар"
        ),
        _names(
            "Анна Мария Елена Ольга Наталья Татьяна Ирина Светлана Екатерина Юлия Людмила Галина Вера Надежда Дарья"
        ),
        _names(
            "Александр Сергей Дмитрий Андрей Алексей Максим Евгений Иван Михаил Николай Владимир Павел Юрий Олег Борис"
        ),
    ),
    Script(
        "greek",
        "Greek",
        "ISO_IR 126",
        _names(
            "Παπαδάκης Νικολάου Γεωργίου Δημητρίου Ιωάννου Κωνσταντίνου Βασιλείου Αθανασίου Οικονόμου "
            "Αγγελής Καρράς "
            "Λάμπρου Μακρής Μαυρίδης Σπανός Ραφτόπουλος Θεοδώρου Ζαχαρίου Ευθυμίου Χατζής"
        ),
        _names(
            "Μαρία Ελένη Αικατερίνη Βασιλική Σοφία Αγγελική Γεωργία Δήμητρα Ιωάννα Αναστασία Ειρήνη Ευαγγελία Χριστίνα"
        ),
        _names(
            "Γεώργιος Ιωάννης Δημήτριος Κωνσταντίνος Νικόλαος Παναγιώτης Βασίλειος Χρήστος Αθανάσιος "
            "Ευάγγελος Πέτρος Σπύρος"
        ),
    ),
    Script(
        "arabic",
        "Arabic",
        "ISO_IR 127",
        _names(
            "المصري الحسن الخطيب النجار الحداد السيد العلي المنصور الشامي البغدادي القاسم الصالح "
            "العمري الزهراني الحربي "
            "الغامدي القحطاني الدوسري الشريف الكردي"
        ),
        _names("فاطمة عائشة مريم زينب خديجة سارة نور ليلى هدى سلمى رنا منى أمينة سعاد"),
        _names("محمد أحمد علي حسن حسين عمر يوسف إبراهيم خالد محمود سعيد عبدالله طارق سامي"),
    ),
    Script(
        "hebrew",
        "Hebrew",
        "ISO_IR 138",
        _names(
            "כהן לוי מזרחי פרץ ביטון דהן אברהם פרידמן מלכה אזולאי כץ יוסף דוד עמר אוחיון חדד גבאי קליין שפירא רוזנברג"
        ),
        _names("שרה רחל רבקה לאה מרים אסתר חנה יעל נועה תמר מיכל דנה שירה רות"),
        _names("דוד משה יוסף אברהם יצחק יעקב דניאל אורי איתן נועם עידו רון גיל אלון"),
    ),
    Script(
        "thai",
        "Thai",
        "ISO_IR 166",
        _names("แสงทอง ศรีสุข บุญมี ทองดี ใจดี สุขใจ พรหมมา วงศ์ใหญ่ แก้วมณี จันทร์เพ็ญ รักไทย มั่นคง สายทอง คำแก้ว ชัยชนะ เพชรดี"),
        _names("สมหญิง มาลี สุดา วันดี นารี อรุณี พรทิพย์ กัลยา ศิริพร จันทรา อัมพร รัตนา"),
        _names("สมชาย สมศักดิ์ ประเสริฐ วิชัย สุรชัย อนันต์ ธนากร ชาญชัย กิตติ วีระ ณรงค์ พิชัย"),
    ),
)
SCRIPTS: Final[dict[str, Script]] = {one.name: one for one in _ALL}


def checked_script(name: str | None) -> str:
    """The name of a script; Latin if none is given.

    Raises:
        InvalidInput: there is none of this name.
    """
    if name is None or name == LATIN or name in SCRIPTS:
        return name or LATIN
    raise InvalidInput(
        f"script: {name!r} is not known",
        field="script",
        value=name,
        cause=f"names are invented in {LATIN}, {', '.join(SCRIPTS)}",
        remedy="name one of them",
    )


# How Unicode's names of letters begin; Han characters alone are taken for Chinese.
_LETTERS: Final = {
    "HIRAGANA": "japanese",
    "KATAKANA": "japanese",
    "HANGUL": "korean",
    "CJK": "chinese",
    "CYRILLIC": "cyrillic",
    "GREEK": "greek",
    "ARABIC": "arabic",
    "HEBREW": "hebrew",
    "THAI": "thai",
}


def script_of(name: str) -> str:
    """The script that a name is written in, told by its letters; Latin if they are of none of :data:`SCRIPTS`."""
    letters = {unicodedata.name(character, "").partition(" ")[0] for character in name}
    return next((script for letter, script in _LETTERS.items() if letter in letters), LATIN)
