# SPDX-License-Identifier: Apache-2.0
"""Fields of every type that may be encrypted: what one side encrypts with the other's key, the other reads."""

import ast
import json
import re
import struct

from bson import Binary, Code, Decimal128, Int64, Regex, Timestamp, decode, encode
from bson.datetime_ms import DatetimeMS
from pymongo.errors import EncryptionError

from pymongo_sides import CODEC, equal, id_of, refused, text_of, to_json

ALL_TYPES = {1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19}
NO_DETERMINISTIC = {1, 3, 4, 8, 15, 19}
LITERAL = r'"(?:[^"\\]|\\.)*"'
ENTRY = re.compile(rf"\{{0x([0-9a-f]+), BYTES\(({LITERAL}(?:\s+{LITERAL})*)\), (true|false)\}}")

# Which no side encrypts: (type, value's bytes, Extended JSON)
FORBIDDEN = {
    "undefined": (6, b"", '{"$undefined": true}'),
    "null": (10, b"", "null"),
    "minKey": (255, b"", '{"$minKey": 1}'),
    "maxKey": (127, b"", '{"$maxKey": 1}'),
    "binary of subtype 6": (5, b"\1\0\0\0\6\2", '{"$binary": {"base64": "Ag==", "subType": "06"}}'),
}


# More values, as an application has them.
VALUES = {
    "a double, minus zero": -0.0,
    "a double, not a number": float("nan"),
    "a double, infinite": float("-inf"),
    "a long text": "dekvault " * 10000,
    "a text in several scripts": "Grüße, 世界, 🔑",
    "a document in documents": {"a": {"b": {"c": [1, "two", {"3": None}]}}, "": ""},
    "an empty array": [],
    "a UUID": Binary(bytes(range(16)), 4),
    "a user's binary": Binary(b"\0\xff", 128),
    "a date before 1970": DatetimeMS(-1),
    "the first date": DatetimeMS(-(2**63)),
    "the lowest int32": -(2**31),
    "the lowest int64": Int64(-(2**63)),
    "the highest int64": Int64(2**63 - 1),
    "the highest timestamp": Timestamp(2**32 - 1, 2**32 - 1),
    "a decimal": Decimal128("1234.5600"),
    "a decimal, infinite": Decimal128("-Infinity"),
    "a decimal, tiny": Decimal128("1E-6176"),
    "code with a scope": Code("f(x)", {"x": 1}),
    "a regular expression with options": Regex("^a.*z$", "imsx"),
}


class Sample:
    def __init__(self, label, kind, value):
        self.kind = kind
        self.value = value
        self.algorithms = ["random"] if kind in NO_DETERMINISTIC else ["random", "deterministic"]
        self.document = document_of(kind, value)
        self.label = f"type 0x{kind:02x}, {label}"

    def json(self):
        """Canonical Extended JSON; two types come out of the driver's decoder as something else."""
        if self.kind == 12:
            return json.dumps({"$dbPointer": {"$ref": "c", "$id": {"$oid": self.value[-12:].hex()}}})
        if self.kind == 14:
            return json.dumps({"$symbol": self.value[4:-1].decode()})
        return to_json(decode(self.document, codec_options=CODEC)["v"])

    def told(self):
        """The document that this JSON tells: a decimal's is the usual form of its number."""
        if self.kind == 19:
            return encode({"v": Decimal128(str(decode(self.document)["v"]))})
        return self.document


def document_of(kind, value):
    """{"v": value}"""
    return struct.pack("<i", 4 + 3 + len(value) + 1) + bytes([kind]) + b"v\0" + value + b"\0"


def samples_of(path):
    """The samples of the C tests, whose literals mean the same in Python, and the values above."""
    text = path.read_text()
    found = []
    for number, (kind, literals, too) in enumerate(ENTRY.findall(text), 1):
        value = b"".join(ast.literal_eval("b" + literal) for literal in re.findall(LITERAL, literals))
        found.append(Sample(f"sample {number}", int(kind, 16), value))
        equal(too == "true", "deterministic" in found[-1].algorithms)
    equal(len(found), len(re.findall(r"^ +\{0x", text, re.M)))
    equal({sample.kind for sample in found}, ALL_TYPES)
    for label, value in VALUES.items():
        document = encode({"v": value}, codec_options=CODEC)
        found.append(Sample(label, document[4], document[7:-1]))
    return found


def both_ways(tap, dekvault, driver, sample, algorithm, ours, theirs):
    with tap.case(f"{sample.label}, {algorithm}: dekvault encrypts with the driver's key, the driver decrypts"):
        payload = dekvault.encrypt(text_of(theirs), algorithm, sample.json())
        equal(driver.decrypt_raw(payload), sample.told())
    with tap.case(f"{sample.label}, {algorithm}: the driver encrypts with dekvault's key, dekvault decrypts"):
        payload = driver.encrypt_raw(ours, algorithm, sample.document)
        equal(dekvault.decrypt(payload), json.loads(sample.json()))


def deterministic(tap, dekvault, driver, sample, keys):
    if "deterministic" in sample.algorithms:
        with tap.case(f"{sample.label}, deterministic: the same bytes from both sides, with either's key"):
            for key in keys:
                by_dekvault = dekvault.encrypt(text_of(key), "deterministic", sample.json())
                equal(by_dekvault, driver.encrypt_raw(key, "deterministic", sample.document))
    else:
        with tap.case(f"{sample.label}: both sides refuse it deterministic"):
            dekvault.fails(2, "encrypt", text_of(keys[0]), "--algorithm", "deterministic", stdin=sample.json().encode())
            refused(Exception, driver.encrypt_raw, keys[0], "deterministic", sample.document)


def forbidden(tap, dekvault, driver, key):
    for name, (kind, value, text) in FORBIDDEN.items():
        for algorithm in "random", "deterministic":
            with tap.case(f"{name}, {algorithm}: both sides refuse it"):
                dekvault.fails(2, "encrypt", text_of(key), "--algorithm", algorithm, stdin=text.encode())
                error = refused(Exception, driver.encrypt_raw, key, algorithm, document_of(kind, value))
                assert "invalid for encryption" in str(error), error


def damaged(tap, dekvault, driver, ours, theirs):
    with tap.case("a payload that dekvault made, with a bit changed, is refused by both"):
        payload = dekvault.encrypt(text_of(theirs), "random", '"text"')
        for at in 0, 1, 17, 18, 40, len(payload) - 1:
            changed = type(payload)(payload[:at] + bytes([payload[at] ^ 4]) + payload[at + 1 :], 6)
            done = dekvault.run("decrypt", stdin=to_json(changed).encode())
            # Of another _id: there is no such key.
            equal((at, done.returncode), (at, 3 if at == 1 else 7))
            refused(EncryptionError, driver.encryption.decrypt, changed)
    with tap.case("the same of the driver's"):
        payload = driver.encrypt(ours, "random", "text")
        for at in 0, 17, 18, 40, len(payload) - 1:
            changed = type(payload)(payload[:at] + bytes([payload[at] ^ 4]) + payload[at + 1 :], 6)
            dekvault.fails(7, "decrypt", stdin=to_json(changed).encode())


def test(tap, lab):
    dekvault = lab.dekvault
    with lab.driver() as driver:
        theirs = driver.create("local")
        ours = id_of(dekvault.create("local:second"))
        for sample in samples_of(lab.samples):
            for algorithm in sample.algorithms:
                both_ways(tap, dekvault, driver, sample, algorithm, ours, theirs)
            deterministic(tap, dekvault, driver, sample, (ours, theirs))
        forbidden(tap, dekvault, driver, ours)
        damaged(tap, dekvault, driver, ours, theirs)
