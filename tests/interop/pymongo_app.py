# SPDX-License-Identifier: Apache-2.0
"""An application on libmongoc and libdekvault beside one on the driver: each reads the people that the other stored."""

import os
import subprocess

from pymongo import MongoClient
from pymongo.encryption import AutoEncryptionOpts

from pymongo_documents import BINARY, OBJECT_ID, STRING, elements
from pymongo_sides import RAW, equal, id_of


def app(lab, *args):
    command = [lab.example, lab.dekvault.conf, "people's", lab.database, *args]
    environment = {**os.environ, "MONGODB_URI": lab.uri}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def app_ok(lab, *args):
    done = app(lab, *args)
    equal((done.returncode, done.stderr), (0, ""))
    return done.stdout


def test(tap, lab):
    options = AutoEncryptionOpts(lab.kms_providers, lab.name_space, bypass_auto_encryption=True)
    with lab.driver() as driver, MongoClient(lab.uri, auto_encryption_opts=options) as reading:
        key_id = id_of(lab.dekvault.create("local:second", ["people's"]))
        plain, decrypting = driver.client[lab.database].people, reading[lab.database].people
        with tap.case("the example stores a person, and reads it back decrypted"):
            equal(app_ok(lab, "Ann", "123-45-6789"), "123-45-6789\n")
        with tap.case("... what it stored is a document with a binary of subtype 6"):
            stored = plain.with_options(codec_options=RAW).find_one({"name": "Ann"})
            kinds = [(name, kind) for name, kind, _ in elements(stored.raw)]
            equal(kinds, [("_id", OBJECT_ID), ("name", STRING), ("ssn", BINARY)])
            equal(stored["ssn"].subtype, 6)
            assert b"123-45" not in stored.raw
        with tap.case("... a client with automatic decryption reads it in clear"):
            equal(decrypting.find_one({"name": "Ann"})["ssn"], "123-45-6789")
        with tap.case("... so does the driver's explicit decryption"):
            equal(driver.encryption.decrypt(plain.find_one({"name": "Ann"})["ssn"]), "123-45-6789")
        for name, algorithm, ssn in ("Ben", "random", "987-65-4321"), ("Cleo", "deterministic", "ünïcode"):
            with tap.case(f"the driver stores a person, {algorithm}: the example reads it"):
                plain.insert_one({"name": name, "ssn": driver.encrypt(key_id, algorithm, ssn)})
                equal(app_ok(lab, name), f"{ssn}\n")
        with tap.case("a client with automatic decryption reads all of them at once"):
            found = {one["name"]: one["ssn"] for one in decrypting.find()}
            equal(found, {"Ann": "123-45-6789", "Ben": "987-65-4321", "Cleo": "ünïcode"})
        with tap.case("the example says that there is nobody of a name"):
            done = app(lab, "Nobody")
            equal((done.returncode, done.stdout), (1, ""))
            assert "no such person" in done.stderr, done.stderr
        with tap.case("... or that an ssn is no text, or isn't encrypted"):
            plain.insert_one({"name": "Dan", "ssn": driver.encrypt(key_id, "random", 5)})
            plain.insert_one({"name": "Eve", "ssn": "in clear"})
            for name in "Dan", "Eve":
                done = app(lab, name)
                equal((name, done.returncode, done.stdout), (name, 1, ""))
        with tap.case("... and that a field was changed"):
            ssn = plain.find_one({"name": "Ben"})["ssn"]
            plain.update_one({"name": "Ben"}, {"$set": {"ssn": type(ssn)(ssn[:-1] + bytes([ssn[-1] ^ 1]), 6)}})
            done = app(lab, "Ben")
            equal((done.returncode, done.stdout), (1, ""))
        with tap.case("... and that its key is gone"):
            driver.encryption.delete_key(key_id)
            done = app(lab, "Cleo")
            equal((done.returncode, done.stdout), (1, ""))
            assert "people's" in done.stderr, done.stderr
