# SPDX-License-Identifier: Apache-2.0
"""Key documents as bytes: their elements in order, and the data key inside, opened without either side's code."""

import hmac
import struct

from bson import decode
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

STRING, DOCUMENT, ARRAY, BINARY, OBJECT_ID, DATE, INT32, INT64 = 2, 3, 4, 5, 7, 9, 16, 18
FIXED = {OBJECT_ID: 12, DATE: 8, INT32: 4, INT64: 8}


def length_of(kind, value):
    if kind in FIXED:
        return FIXED[kind]
    stated = struct.unpack_from("<i", value)[0]
    if kind in (DOCUMENT, ARRAY):
        return stated
    return {STRING: 4, BINARY: 5}[kind] + stated


def elements(document):
    """(name, type, value's bytes) of each element, in the order in which they are stored."""
    assert struct.unpack_from("<i", document)[0] == len(document) and document[-1] == 0
    found, at = [], 4
    while at < len(document) - 1:
        kind, end = document[at], document.index(b"\0", at + 1)
        size = length_of(kind, document[end + 1 :])
        found.append((document[at + 1 : end].decode(), kind, document[end + 1 : end + 1 + size]))
        at = end + 1 + size
    return found


def shape(document):
    """Names, types and subtypes, and those inside; lengths where they are fixed. Equal shapes differ only in values."""
    return [
        (name, kind, shape(value) if kind in (DOCUMENT, ARRAY) else value[:5] if kind == BINARY else None)
        for name, kind, value in elements(document)
    ]


def field(document, name):
    """The bytes of one element's value; None: it isn't there."""
    return next((value for found, _, value in elements(document) if found == name), None)


def material_of(document, local_key):
    """The data key in a document of `local`, by the specification's AEAD_AES_256_CBC_HMAC_SHA_512 without AAD."""
    wrapped = bytes(decode(document)["keyMaterial"])
    sealed, tag = wrapped[:-32], wrapped[-32:]
    assert hmac.compare_digest(hmac.digest(local_key[:32], sealed + bytes(8), "sha512")[:32], tag), "the wrap's MAC"
    decryptor = Cipher(algorithms.AES(local_key[32:64]), modes.CBC(sealed[:16])).decryptor()
    padded = decryptor.update(sealed[16:]) + decryptor.finalize()
    assert padded[-16:] == bytes([16]) * 16, "the wrap's padding"
    return padded[:-16]
