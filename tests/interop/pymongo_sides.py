# SPDX-License-Identifier: Apache-2.0
"""The two sides and the test's results.

Dekvault is the command line, Driver is MongoDB's own. Both work in one namespace of one server, with the same local keys.
"""

import contextlib
import json
import subprocess
import traceback
import uuid

from bson import decode, encode, json_util
from bson.binary import Binary
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.json_util import JSONMode, JSONOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.encryption import Algorithm, ClientEncryption

CODEC = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
CANONICAL = JSONOptions(json_mode=JSONMode.CANONICAL, datetime_conversion=DatetimeConversion.DATETIME_AUTO)
RAW = CodecOptions(document_class=RawBSONDocument)
ALGORITHMS = {
    "random": Algorithm.AEAD_AES_256_CBC_HMAC_SHA_512_Random,
    "deterministic": Algorithm.AEAD_AES_256_CBC_HMAC_SHA_512_Deterministic,
}


class Tap:
    """Test Anything Protocol: one line a case."""

    def __init__(self, count):
        self.count = count
        self.failed = 0

    def report(self, what, trace=None):
        self.count += 1
        self.failed += trace is not None
        print(f"{'ok' if trace is None else 'not ok'} {self.count} - {what}", flush=True)
        for line in (trace or "").splitlines():
            print(f"#   {line[:500]}", flush=True)

    @contextlib.contextmanager
    def case(self, what):
        """A case that passes when its body doesn't raise."""
        trace = None
        try:
            yield
        except Exception:
            trace = traceback.format_exc()
        self.report(what, trace)

    @contextlib.contextmanager
    def part(self, what):
        """Around many cases: what breaks between them is a failure too, and the next part is tried."""
        try:
            yield
        except Exception:
            self.report(f"{what} came to its end", traceback.format_exc())

    def done(self):
        print(f"1..{self.count}")
        return 1 if self.failed else 0


def equal(left, right):
    """assert that shows what it compared."""
    assert left == right, f"\n  {left!r}\nis not\n  {right!r}"


def refused(kind, function, *args, **kwargs):
    """The exception of that kind which the call must raise."""
    try:
        result = function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was expected, and {result!r} came back")


def id_of(text):
    """The _id, as in a document, of a UUID's text."""
    return Binary(uuid.UUID(text).bytes, 4)


def text_of(key_id):
    """The UUID's text of an _id."""
    return str(uuid.UUID(bytes=bytes(key_id)))


def bytes_of(found):
    """A RawBSONDocument's bytes; None of None."""
    return found and bytes(found.raw)


class Dekvault:
    """The command line."""

    def __init__(self, program, conf):
        self.program = program
        self.conf = conf

    def run(self, *args, stdin=b""):
        command = [self.program, "--config", self.conf, *args]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)

    def ok(self, *args, stdin=b""):
        """Its output, without the last newline."""
        done = self.run(*args, stdin=stdin)
        assert done.returncode == 0, f"{args}: exit code {done.returncode}: {done.stderr.decode()}"
        return done.stdout.decode().removesuffix("\n")

    def fails(self, code, *args, stdin=b""):
        """What it says while it ends with that exit code."""
        done = self.run(*args, stdin=stdin)
        said = done.stderr.decode()
        assert done.returncode == code, f"{args}: exit code {done.returncode}, not {code}: {said}"
        return said

    def json(self, *args, stdin=b""):
        return json.loads(self.ok(*args, "--json", stdin=stdin))

    def documents(self, *args):
        """What it prints, a document a line, as BSON's bytes."""
        return [from_json(line) for line in self.ok(*args, "--json").splitlines()]

    def create(self, provider, names=(), material=None):
        """A new key's UUID."""
        args = ["key", "create", provider]
        for name in names:
            args += ["--name", name]
        if material is not None:
            args += ["--material-file", "-"]
        return self.ok(*args, stdin=material or b"")

    def encrypt(self, key, algorithm, value_json):
        """The payload of subtype 6."""
        payload = json_util.loads(self.ok("encrypt", key, "--algorithm", algorithm, stdin=value_json.encode()))
        equal(payload.subtype, 6)
        return payload

    def decrypt(self, payload):
        """The value as the Extended JSON that is printed, parsed no further than that."""
        return json.loads(self.ok("decrypt", stdin=to_json(payload).encode()))


class Driver:
    """MongoDB's driver. Each has a cache of keys of its own, so a new one has seen nothing."""

    def __init__(self, uri, kms_providers, name_space):
        database, collection = name_space.split(".")
        self.client = MongoClient(uri)
        self.kms_providers = kms_providers
        self.name_space = name_space
        self.vault = self.client[database][collection]
        self.raw_vault = self.vault.with_options(codec_options=RAW)
        self.encryption = ClientEncryption(kms_providers, name_space, self.client, CODEC)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.encryption.close()
        self.client.close()

    def raw(self, key_id):
        """The stored document's bytes; None: there is none."""
        return bytes_of(self.raw_vault.find_one({"_id": key_id}))

    # The documents that its methods return, as bytes.

    def get(self, key_id):
        return bytes_of(self.encryption.get_key(key_id))

    def get_by_name(self, name):
        return bytes_of(self.encryption.get_key_by_alt_name(name))

    def get_all(self):
        return [bytes_of(found) for found in self.encryption.get_keys()]

    def create(self, provider, names=(), material=None):
        return self.encryption.create_data_key(provider, key_alt_names=list(names) or None, key_material=material)

    def encrypt(self, key_id, algorithm, value):
        return self.encryption.encrypt(value, ALGORITHMS[algorithm], key_id=key_id)

    # Some types of BSON have no Python type, and what a decoder does to a value is not the question here: so the bytes of
    # {"v": value} go to libmongocrypt as ClientEncryption's own methods pass them, beneath its conversion.

    def encrypt_raw(self, key_id, algorithm, document):
        encryption = self.encryption._encryption
        return decode(encryption.encrypt(document, ALGORITHMS[algorithm], key_id=key_id))["v"]

    def decrypt_raw(self, payload):
        return bytes(self.encryption._encryption.decrypt(encode({"v": payload})))


def to_json(value):
    return json_util.dumps(value, json_options=CANONICAL)


def from_json(line):
    """A document's bytes from its canonical Extended JSON."""
    return encode(json_util.loads(line, json_options=CANONICAL), codec_options=CODEC)
