# Makes vectors.jsonl from RFC 2104 (HMAC), RFC 5869 (HKDF) and the layout in package digest's documentation,
# with nothing but Python's standard library: python3 vectors.py > vectors.jsonl
import hashlib, hmac, json, struct

FIELDS = {"name": 1, "id_number": 2, "phone_number": 3, "bank_card_number": 4, "license_plate_number": 5, "driver_license_number": 6}
USES = range(1, 13)

def hkdf(secret, info):  # one block, no salt
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()

def key(root, use, field):
    return hkdf(root, b"heyan digest v1\x00hmac-sha256\x00" + bytes([ord("A") + use]) + b"\x00" + field.encode())

def sized(text):
    return struct.pack(">H", len(text.encode())) + text.encode()

def chained(length, use, field, message):
    for n in range(length):
        root = bytes(range(32 * n, 32 * n + 32))
        message = hmac.new(key(root, use, field), message, hashlib.sha256).digest()
    return message.hex()

def values(length, use, *pairs):
    message = bytes([use])
    for field, _, canonical in pairs:
        message += bytes([FIELDS[field], 1]) + sized(canonical)
    print(json.dumps({"chain": length, "use": use, "values": [[f, given] for f, given, _ in pairs],
                      "digest": chained(length, use, pairs[0][0], message)}, ensure_ascii=False))

def text(length, use, owner, *texts):
    message = bytes([use, 0, 0]) + sized(owner) + b"".join(sized(t) for t in texts)
    print(json.dumps({"chain": length, "use": use, "owner": owner, "texts": texts,
                      "digest": chained(length, use, "text", message)}, ensure_ascii=False))

ID = ("id_number", "11010519491231002x", "11010519491231002X")
PHONE = ("phone_number", "+86 138-0013-8000", "13800138000")
NAME = ("name", " 王 小明 ", "王小明")
PLATE = ("license_plate_number", "京A·12345", "京A12345")
LICENCE = ("driver_license_number", "11010519491231002X", "11010519491231002X")
LATIN = ("name", "José  María", "JOSÉ MARÍA")
for use in USES:
    values(1, use, ID)
    text(1, use, "acme", "agr-8841")
for length in (1, 2, 3):
    values(length, 1, PHONE)
    values(length, 2, PHONE, NAME)
    values(length, 2, PLATE, ID)
    values(length, 3, LICENCE)
    values(length, 4, PHONE, LATIN)
    text(length, 6, "client-1", "order-1", "", "id2")
