# SPDX-License-Identifier: Apache-2.0
"""dekvault against MongoDB's Python driver, through one server. Run by pymongo.sh, which makes the folder LAB.

Usage: pymongo_main.py COUNT LAB DEKVAULT EXAMPLE SAMPLES NAMESPACE    COUNT: cases that were reported before
"""

import base64
import os
import pathlib
import secrets
import sys

from pymongo import MongoClient

import pymongo_app
import pymongo_fields
import pymongo_keys
from pymongo_sides import CODEC, Dekvault, Driver, Tap, to_json


class Lab:
    """What the tests stand on: the provider file and the keys in a folder, and a database of their own."""

    codec = CODEC
    to_json = staticmethod(to_json)

    def __init__(self, folder, program, example, samples, name_space):
        folder = pathlib.Path(folder)
        self.kind = os.environ.get("DEKVAULT_TEST_MONGODB_KIND")
        self.uri = (folder / "uri").read_text().strip()
        self.dekvault = Dekvault(program, folder / "dekvault.conf")
        self.example = example
        self.samples = pathlib.Path(samples)
        self.name_space = name_space
        self.database = name_space.partition(".")[0]
        self.kms_providers = {
            "local": {"key": (folder / "local.key").read_bytes()},
            "local:second": {"key": base64.b64decode((folder / "second.key").read_bytes(), validate=True)},
        }

    def driver(self):
        return Driver(self.uri, self.kms_providers, self.name_space)

    @staticmethod
    def names(prefix, count):
        return [f"{prefix}/{i}" for i in range(count)]

    @staticmethod
    def material(given):
        return secrets.token_bytes(96) if given else None


def main():
    tap = Tap(int(sys.argv[1]))
    lab = Lab(*sys.argv[2:])
    try:
        for suite in pymongo_keys, pymongo_fields, pymongo_app:
            with tap.part(suite.__name__):
                suite.test(tap, lab)
    finally:
        with MongoClient(lab.uri) as client:
            client.drop_database(lab.database)
    return tap.done()


sys.exit(main())
