"""Messages in the shapes that systems send, written by us."""

from __future__ import annotations

ORM = "".join(
    line + "\r"
    for line in (
        r"MSH|^~\&|RIS|HOSPITAL|DICOMFAB|LAB|20260131093000||ORM^O01^ORM_O01|MSG0001|P|2.3.1||||||8859/1",
        "PID|1||SYN4711^^^SYN-HOSP&1.2.3&ISO~99^^^OTHER||Lindgren^Astrid^M^III^Dr.||19500102000000|F|||Main St 1^^Town",
        "NTE|1||Speaks Swedish",
        "PV1|1|O|RAD^1^2|||||1234^Ref^Erring^^^Dr.|||||||||||V77",
        "ORC|NW|P1^RIS|F1^RIS||SC||^^^20260201080000^^R",
        r"OBR|1|P1^RIS|F1^RIS|24628-0^CT Chest \T\ more^LN^CTC^CT Chest^L||||||||||||1234^Req&x^Uest||ACC1|RP1|SPS1"
        "||||CT|||||||^cough",
        "NTE|1||with contrast",
        "ZDS|1.2.826.0.1.3680043.8.498.77^RIS^Application^DICOM",
    )
)

OMI_JAPANESE = "".join(
    line + "\r"
    for line in (
        r"MSH|^~\&|OF|HOSP|DSS|LAB|20260131093000||OMI^O23^OMI_O23|MSG0002|P|2.5.1||||||UNICODE UTF-8",
        "PID|1||SYN5^^^SYN-J||YAMADA^TARO^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P||19801231|M",
        "ORC|NW|PL9^OP|FI9^OF",
        "TQ1|1||||||20260203||S",
        "OBR|1|PL9^OP|FI9^OF|X^CHEST XR^L||||||||||||||IGNORED",
        "IPC|ACC9^OF|RP9|1.2.826.0.1.3680043.8.498.9|SPS1|DX|PX1^Chest PA^L|STN1|ROOM1|CR_AET",
        "IPC|ACC9^OF|RP9|1.2.826.0.1.3680043.8.498.9|SPS2|DX|PX2^Chest LAT^L|STN1|ROOM1|CR_AET",
    )
)

ADT = "".join(
    line + "\r"
    for line in (
        r"MSH|^~\&|ADT|HOSP|||20260131||ADT^A04|MSG0003|P|2.3",
        "EVN|A04",
        "PID|1|EXT7|||Roe^Max||19700131|U",
        "OBX|1|NM|^Body Weight||72500|g",
        "OBX|2|NM|^Body Height||181|cm",
    )
)
