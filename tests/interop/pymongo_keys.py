# SPDX-License-Identifier: Apache-2.0
"""Key documents: made by one side, then found, used, renamed, rewrapped and deleted by the other."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor

from bson import decode
from bson.binary import Binary
from pymongo.errors import DuplicateKeyError, EncryptionError, OperationFailure

from pymongo_documents import elements, field, material_of, shape
from pymongo_sides import ALGORITHMS, bytes_of, equal, id_of, refused, text_of

PROVIDERS = "local", "local:second"
UNIQUE = {"unique": True, "partialFilterExpression": {"keyAltNames": {"$exists": True}}}
FIELDS = [
    ("_id", 5),
    ("keyAltNames", 4),
    ("keyMaterial", 5),
    ("creationDate", 9),
    ("updateDate", 9),
    ("status", 16),
    ("masterKey", 3),
]


def names_in(document):
    return decode(document).get("keyAltNames")


def opens(lab, dekvault, key_id, plain="a text"):
    """Each side reads what the other encrypts with this key now. The driver is a new one, since they remember keys."""
    with lab.driver() as driver:
        payload = dekvault.encrypt(text_of(key_id), "random", f'"{plain}"')
        equal(driver.encryption.decrypt(payload), plain)
        equal(dekvault.decrypt(driver.encrypt(key_id, "random", plain)), plain)


def refused_as_duplicate(lab, function, *args):
    """With 11000; to findAndModify DocumentDB answers what PostgreSQL says of its index, with code 1."""
    error = refused(OperationFailure, function, *args)
    if lab.kind == "documentdb" and error.code == 1:
        assert "conflicting key value violates" in str(error), error
    else:
        equal(error.code, 11000)


# ---- Creating ----


def created_by_dekvault(tap, lab, driver, provider, names, material):
    dekvault, what = lab.dekvault, describe(provider, names, material)
    with tap.case(f"dekvault makes a key {what}: the bytes are as the driver writes them"):
        key_id = id_of(dekvault.create(provider, names, material))
        document = driver.raw(key_id)
        example = driver.raw(driver.create(provider, [f"{name} again" for name in names]))
        equal(shape(document), shape(example))
        equal([(name, kind) for name, kind, _ in elements(document)], FIELDS if names else [FIELDS[0], *FIELDS[2:]])
        equal((key_id[6] >> 4, key_id[8] >> 6), (4, 2))
        equal(field(document, "creationDate"), field(document, "updateDate"))
        equal(field(document, "status"), field(example, "status"))
        equal(field(document, "masterKey"), field(example, "masterKey"))
        equal(names_in(document), list(names) or None)
    with tap.case("... the driver's getKey, getKeyByAltName and getKeys find it"):
        equal(driver.get(key_id), document)
        for name in names:
            equal(driver.get_by_name(name), document)
        assert document in driver.get_all()
    opened_and_used(tap, lab, driver, key_id, provider, material)
    if names:
        with tap.case("... by its last name too: the driver encrypts, dekvault decrypts"):
            payload = driver.encryption.encrypt("by name", ALGORITHMS["random"], key_alt_name=names[-1])
            equal(dekvault.decrypt(payload), "by name")


def created_by_driver(tap, lab, driver, provider, names, material):
    dekvault, what = lab.dekvault, describe(provider, names, material)
    with tap.case(f"the driver makes a key {what}: dekvault finds it by _id and by each name"):
        key_id = driver.create(provider, names, material)
        document = driver.raw(key_id)
        for selector in (text_of(key_id), *(f"name:{name}" for name in names)):
            equal(dekvault.documents("key", "show", selector), [document])
        assert document in dekvault.documents("key", "list")
    opened_and_used(tap, lab, driver, key_id, provider, material)
    if names:
        with tap.case("... by its last name too: dekvault encrypts, the driver decrypts"):
            equal(driver.encryption.decrypt(dekvault.encrypt(f"name:{names[-1]}", "random", '"by name"')), "by name")
    if len(names) > 1:
        with tap.case("... a difference: libmongocrypt keeps the names in reverse, dekvault as they were given"):
            equal(names_in(document), list(reversed(names)))


def opened_and_used(tap, lab, driver, key_id, provider, material):
    with tap.case("... the specification opens it: 96 bytes, those that were given"):
        opened = material_of(driver.raw(key_id), driver.kms_providers[provider]["key"])
        equal(len(opened), 96)
        assert material is None or opened == material
    with tap.case("... and both sides encrypt and decrypt with it"):
        opens(lab, lab.dekvault, key_id)


def describe(provider, names, material):
    given = ", its material given" if material else ""
    return f"under {provider} with {len(names)} name{'' if len(names) == 1 else 's'}{given}"


def creating(tap, lab, driver):
    for provider in PROVIDERS:
        for count in 0, 1, 3:
            for given in False, True:
                made_by = f"{provider}/{count}/{given}"
                created_by_dekvault(tap, lab, driver, provider, lab.names(f"dekvault/{made_by}", count), lab.material(given))
                created_by_driver(tap, lab, driver, provider, lab.names(f"driver/{made_by}", count), lab.material(given))
    with tap.case("material of 95 and 97 bytes: both sides refuse it"):
        for size in 95, 97:
            lab.dekvault.fails(2, "key", "create", "local", "--material-file", "-", stdin=secrets.token_bytes(size))
            refused(EncryptionError, driver.create, "local", material=secrets.token_bytes(size))


# ---- Alt names ----


def names_by_driver(tap, lab, driver):
    """On a document that dekvault made."""
    dekvault, vault = lab.dekvault, driver.encryption
    text = dekvault.create("local", ["renamed by the driver"])
    key_id = id_of(text)
    with tap.case("dekvault's key: addKeyAltName gives the previous document, and dekvault finds it by the name"):
        before = driver.raw(key_id)
        equal(bytes_of(vault.add_key_alt_name(key_id, "a second name")), before)
        equal(dekvault.documents("key", "show", "name:a second name"), [driver.raw(key_id)])
        equal(names_in(driver.raw(key_id)), ["renamed by the driver", "a second name"])
    with tap.case("... addKeyAltName of a name that it has changes nothing"):
        before = driver.raw(key_id)
        vault.add_key_alt_name(key_id, "a second name")
        equal(driver.raw(key_id), before)
    with tap.case("... dekvault's add-name of the same says that nothing changed"):
        equal(dekvault.json("key", "add-name", text, "a second name"), {"_id": text, "changed": False})
        equal(driver.raw(key_id), before)
    with tap.case("... removeKeyAltName: dekvault finds it no more by that name"):
        before = driver.raw(key_id)
        equal(bytes_of(vault.remove_key_alt_name(key_id, "renamed by the driver")), before)
        dekvault.fails(3, "key", "show", "name:renamed by the driver")
        equal(names_in(driver.raw(key_id)), ["a second name"])
    with tap.case("... removeKeyAltName of the last name takes the field away, and the key opens"):
        vault.remove_key_alt_name(key_id, "a second name")
        equal(field(driver.raw(key_id), "keyAltNames"), None)
        equal(dekvault.documents("key", "show", text), [driver.raw(key_id)])
        opens(lab, dekvault, key_id)
    with tap.case("... a name that it had may be given to another key by dekvault"):
        dekvault.create("local", ["a second name"])
    with tap.case("... and addKeyAltName of that is refused as a duplicate"):
        refused_as_duplicate(lab, vault.add_key_alt_name, key_id, "a second name")
        equal(field(driver.raw(key_id), "keyAltNames"), None)


def names_by_dekvault(tap, lab, driver):
    """On a document that the driver made."""
    dekvault, vault = lab.dekvault, driver.encryption
    key_id = driver.create("local", ["renamed by dekvault"])
    text = text_of(key_id)
    first = driver.raw(key_id)
    with tap.case("the driver's key: key add-name, and getKeyByAltName finds it"):
        equal(dekvault.json("key", "add-name", text, "third"), {"_id": text, "changed": True})
        equal(driver.get_by_name("third"), driver.raw(key_id))
        equal(names_in(driver.raw(key_id)), ["renamed by dekvault", "third"])
    with tap.case("... the rest of its bytes stay, updateDate too"):
        for name, _, value in elements(first):
            assert name == "keyAltNames" or field(driver.raw(key_id), name) == value, name
        equal([name for name, _, _ in elements(driver.raw(key_id))], [name for name, _, _ in elements(first)])
    with tap.case("... it is what addKeyAltName would have written"):
        other = driver.create("local", ["renamed by the driver for comparison"])
        vault.add_key_alt_name(other, "fourth")
        equal(shape(driver.raw(key_id)), shape(driver.raw(other)))
    with tap.case("... key remove-name, by the name"):
        equal(dekvault.json("key", "remove-name", "name:third", "third"), {"_id": text, "changed": True})
        equal(driver.get_by_name("third"), None)
        equal(driver.raw(key_id), first)
    with tap.case("... key remove-name of a name that it hasn't changes nothing"):
        equal(dekvault.json("key", "remove-name", text, "third"), {"_id": text, "changed": False})
        equal(driver.raw(key_id), first)
    with tap.case("... key remove-name of the last name takes the field away, as the driver does"):
        dekvault.ok("key", "remove-name", text, "renamed by dekvault")
        for name in "renamed by the driver for comparison", "fourth":
            vault.remove_key_alt_name(other, name)
        equal(field(driver.raw(key_id), "keyAltNames"), None)
        equal(shape(driver.raw(key_id)), shape(driver.raw(other)))
    with tap.case("... and addKeyAltName brings the field back, at the place where dekvault brings it back"):
        vault.add_key_alt_name(key_id, "back")
        dekvault.ok("key", "add-name", text_of(other), "back too")
        equal(shape(driver.raw(key_id)), shape(driver.raw(other)))
        equal(dekvault.documents("key", "show", "name:back"), [driver.raw(key_id)])
    with tap.case("... whatever the names, both sides encrypt and decrypt with it"):
        opens(lab, dekvault, key_id)


def clashes(tap, lab, driver):
    dekvault, vault = lab.dekvault, driver.encryption
    ours, theirs = id_of(dekvault.create("local", ["dekvault's name"])), driver.create("local", ["the driver's name"])
    before = driver.vault.count_documents({})
    with tap.case("createDataKey with a name that dekvault gave: refused as a duplicate"):
        error = refused(EncryptionError, driver.create, "local", ["dekvault's name"])
        assert isinstance(error.cause, DuplicateKeyError), error
    with tap.case("... also as the second of two names"):
        error = refused(EncryptionError, driver.create, "local", ["a new name", "dekvault's name"])
        assert isinstance(error.cause, DuplicateKeyError), error
    with tap.case("key create with a name that the driver gave: exit code 4"):
        said = dekvault.fails(4, "key", "create", "local", "--name", "the driver's name")
        assert "the driver's name" in said, said
    with tap.case("... also as the second of two names"):
        dekvault.fails(4, "key", "create", "local", "--name", "a new name", "--name", "the driver's name")
    with tap.case("... and none of them left a document"):
        equal(driver.vault.count_documents({}), before)
        equal(driver.get_by_name("a new name"), None)
    with tap.case("addKeyAltName to dekvault's key of a name of another: refused as a duplicate"):
        refused_as_duplicate(lab, vault.add_key_alt_name, ours, "the driver's name")
    with tap.case("key add-name to the driver's key of a name of another: exit code 4"):
        dekvault.fails(4, "key", "add-name", text_of(theirs), "dekvault's name")
    with tap.case("... and both have the names that they had"):
        equal((names_in(driver.raw(ours)), names_in(driver.raw(theirs))), (["dekvault's name"], ["the driver's name"]))
    with tap.case("a name twice for one key: both sides refuse it"):
        dekvault.fails(2, "key", "create", "local", "--name", "twice", "--name", "twice")
        refused(EncryptionError, driver.create, "local", ["twice", "twice"])
        equal(driver.get_by_name("twice"), None)


def race(tap, lab, driver):
    """Both sides at once, 16 of them, for one name."""

    def by_dekvault():
        code = lab.dekvault.run("key", "create", "local", "--name", "raced for").returncode
        assert code in (0, 4), code
        return code == 0

    def by_driver():
        with lab.driver() as one:
            try:
                one.create("local", ["raced for"])
                return True
            except EncryptionError as error:
                assert isinstance(error.cause, DuplicateKeyError), error
                return False

    with tap.case("8 of each side make a key of one name at once: one of all has it"), ThreadPoolExecutor(16) as pool:
        won = [task.result() for task in [pool.submit(make) for make in [by_dekvault, by_driver] * 8]]
        equal(won.count(True), 1)
        equal(driver.vault.count_documents({"keyAltNames": "raced for"}), 1)


# ---- Deleting, no such key ----


def deleting(tap, lab, driver):
    dekvault, vault = lab.dekvault, driver.encryption
    with tap.case("deleteKey of dekvault's key: gone for dekvault"):
        text = dekvault.create("local", ["to be deleted"])
        equal(vault.delete_key(id_of(text)).deleted_count, 1)
        dekvault.fails(3, "key", "show", text)
        dekvault.fails(3, "key", "show", "name:to be deleted")
        dekvault.fails(3, "encrypt", text, stdin=b"1")
    with tap.case("key delete of the driver's key: gone for the driver, and its name is free"):
        key_id = driver.create("local", ["to be deleted"])
        dekvault.ok("key", "delete", "name:to be deleted", "--yes")
        equal(driver.get(key_id), None)
        equal(driver.get_by_name("to be deleted"), None)
        vault.delete_key(driver.create("local", ["to be deleted"]))
    with tap.case("what the other side has deleted: deletedCount 0 and exit code 3"):
        equal(vault.delete_key(key_id).deleted_count, 0)
        dekvault.fails(3, "key", "delete", text, "--yes")
    with tap.case("... no document for add and remove of names, and exit code 3"):
        equal(vault.add_key_alt_name(key_id, "x"), None)
        equal(vault.remove_key_alt_name(key_id, "x"), None)
        dekvault.fails(3, "key", "add-name", text, "x")
        dekvault.fails(3, "key", "remove-name", text, "x")
    with tap.case("... neither side decrypts what was encrypted with it"):
        payload = b"\2" + bytes(key_id) + b"\2" + bytes(64)
        refused(EncryptionError, vault.decrypt, Binary(payload, 6))
        said = dekvault.fails(3, "decrypt", stdin=lab.to_json(Binary(payload, 6)).encode())
        assert text_of(key_id) in said, said


# ---- Rewrapping by the driver, status ----


def rewrapping(tap, lab, driver):
    dekvault = lab.dekvault
    key_id = id_of(dekvault.create("local", ["to be rewrapped"]))
    payload = dekvault.encrypt(text_of(key_id), "random", '"before"')
    before = driver.raw(key_id)
    time.sleep(0.002)  # so that updateDate must differ
    with tap.case("rewrapManyDataKey moves dekvault's key from local to local:second"):
        result = driver.encryption.rewrap_many_data_key({"_id": key_id}, provider="local:second")
        equal(result.bulk_write_result.modified_count, 1)
        after = driver.raw(key_id)
        equal(decode(after)["masterKey"], {"provider": "local:second"})
        keys = [driver.kms_providers[provider]["key"] for provider in PROVIDERS]
        equal(material_of(after, keys[1]), material_of(before, keys[0]))
        for name in "_id", "keyAltNames", "creationDate", "status":
            equal(field(after, name), field(before, name))
        assert decode(after)["updateDate"] > decode(before)["updateDate"]
    with tap.case("... dekvault shows it so, and lists it under its new provider alone"):
        equal(dekvault.documents("key", "show", "name:to be rewrapped"), [after])
        assert after in dekvault.documents("key", "list", "--provider", "local:second")
        assert after not in dekvault.documents("key", "list", "--provider", "local")
    with tap.case("... dekvault decrypts what it encrypted before, and both go on with it"):
        equal(dekvault.decrypt(payload), "before")
        opens(lab, dekvault, key_id)
    with tap.case("... and back, without a provider for the driver's own rewrap under the same key"):
        driver.encryption.rewrap_many_data_key({"_id": key_id}, provider="local")
        once = driver.raw(key_id)
        driver.encryption.rewrap_many_data_key({"_id": key_id})
        assert field(driver.raw(key_id), "keyMaterial") != field(once, "keyMaterial")
        equal(field(driver.raw(key_id), "masterKey"), field(before, "masterKey"))
        equal(dekvault.decrypt(payload), "before")


def disabling(tap, lab, driver):
    """A document that says 1, disabled: such a status and any other int32 is as good as 0 for drivers."""
    dekvault = lab.dekvault
    key_id = driver.create("local", ["disabled"])
    payload = driver.encrypt(key_id, "random", "still there")
    driver.vault.update_one({"_id": key_id}, {"$set": {"status": 1}})
    with tap.case("a key with status 1: dekvault encrypts with it no more, and decrypts"):
        equal(dekvault.documents("key", "list", "--status", "disabled"), [driver.raw(key_id)])
        dekvault.fails(9, "encrypt", text_of(key_id), stdin=b"1")
        equal(dekvault.decrypt(payload), "still there")
    with tap.case("... drivers don't look at status: they read and use it"), lab.driver() as other:
        equal(other.encryption.decrypt(payload), "still there")
        equal(dekvault.decrypt(other.encrypt(key_id, "random", "used")), "used")


# ---- Listing, export and import ----


def listing(tap, lab, driver):
    dekvault = lab.dekvault
    with tap.case("key list --json has every document, byte for byte, ordered by _id"):
        stored = [bytes(found.raw) for found in driver.raw_vault.find().sort("_id", 1)]
        equal(dekvault.documents("key", "list"), stored)
    with tap.case("vault info counts what the driver counts, by provider"):
        info = dekvault.json("vault", "info")
        equal(info["keys"], driver.vault.count_documents({}))
        for provider in PROVIDERS:
            counted = sum(part["count"] for part in info["by"] if part["provider"] == provider)
            equal(counted, driver.vault.count_documents({"masterKey.provider": provider}))
    with tap.case("key list --name-prefix finds what a query finds"):
        found = [bytes(one.raw) for one in driver.raw_vault.find({"keyAltNames": {"$regex": "^driver/"}}).sort("_id", 1)]
        equal(dekvault.documents("key", "list", "--name-prefix", "driver/"), found)
        assert found
    with tap.case("the driver's documents as Extended JSON: key import finds them all present"):
        lines = [lab.to_json(decode(document, codec_options=lab.codec)) for document in stored]
        result = dekvault.json("key", "import", stdin="\n".join(lines).encode())
        equal((result["inserted"], result["present"], result["refused"]), (0, len(stored), []))
    with tap.case("key import brings back what the driver deleted, the same bytes"):
        driver.encryption.delete_key(decode(stored[0])["_id"])
        result = dekvault.json("key", "import", stdin="\n".join(lines).encode())
        equal((result["inserted"], result["present"]), (1, len(stored) - 1))
        equal(driver.raw(decode(stored[0])["_id"]), stored[0])


# ---- The unique index ----


def index_of(collection):
    return {name: index for name, index in collection.index_information().items() if name != "_id_"}


def indexes(tap, lab, driver):
    dekvault = lab.dekvault
    with tap.case("the index that vault init made is the specification's"):
        (name, index), = index_of(driver.vault).items()
        equal(name, "keyAltNames_1")
        equal(index["key"], [("keyAltNames", 1)])
        equal({option: index[option] for option in UNIQUE}, UNIQUE)
    with tap.case("... creating it as the driver's manual says changes nothing"):
        equal(driver.vault.create_index("keyAltNames", **UNIQUE), "keyAltNames_1")
        equal(len(index_of(driver.vault)), 1)
    other = driver.vault.database["made_by_driver"]
    with tap.case("a vault without the index: vault info says so"):
        driver.vault.database.create_collection(other.name)
        equal(dekvault.json("--vault", "other", "vault", "info")["index"], "missing")
    with tap.case("the index that the driver made is ok for dekvault"):
        other.create_index("keyAltNames", **UNIQUE)
        equal(dekvault.json("--vault", "other", "vault", "info")["index"], "ok")
    with tap.case("... vault init leaves it alone"):
        before = index_of(other)
        equal(dekvault.json("--vault", "other", "vault", "init")["index"], "ok")
        equal(index_of(other), before)
    with tap.case("... and it keeps dekvault from giving a name twice"):
        dekvault.ok("--vault", "other", "key", "create", "local", "--name", "once")
        dekvault.fails(4, "--vault", "other", "key", "create", "local", "--name", "once")
        equal(other.count_documents({}), 1)
    with tap.case("key create makes the index where it is missing, after dropping empty lists of names as the shell does"):
        other.drop()
        key_id = driver.create("local")
        other.insert_one({**driver.vault.find_one({"_id": key_id}), "keyAltNames": []})
        dekvault.ok("--vault", "other", "key", "create", "local", "--name", "first")
        equal({option: index_of(other)["keyAltNames_1"][option] for option in UNIQUE}, UNIQUE)
        assert "keyAltNames" not in other.find_one({"_id": key_id})
    with tap.case("an index under another name is ok for dekvault"):
        other.drop()
        other.create_index("keyAltNames", name="another", **UNIQUE)
        equal(dekvault.json("--vault", "other", "vault", "info")["index"], "ok")
    with tap.case("one that isn't unique is not"):
        other.drop()
        other.create_index("keyAltNames")
        assert dekvault.json("--vault", "other", "vault", "info")["index"] != "ok"
        dekvault.fails(2, "--vault", "other", "key", "create", "local", "--name", "first")


# ---- Keys that a driver can't open ----


def pkcs11(tap, lab, driver):
    dekvault, vault = lab.dekvault, driver.encryption
    text = dekvault.create("pkcs11:interop", ["in the token"])
    key_id = id_of(text)
    document = driver.raw(key_id)
    payload = dekvault.encrypt(text, "random", '"for us alone"')
    with tap.case("a key of a token: getKey, getKeyByAltName and getKeys give it"):
        equal(driver.get(key_id), document)
        equal(driver.get_by_name("in the token"), document)
        equal(len(driver.get_all()), driver.vault.count_documents({}))
        assert document in driver.get_all()
    with tap.case("... its shape is that of every key document, but for masterKey"):
        equal([(name, kind) for name, kind, _ in elements(document)], FIELDS)
        equal(list(decode(document)["masterKey"]), ["provider", "keyId", "profile"])
    with tap.case("... the driver can't decrypt with it, and says why"):
        assert "pkcs11" in str(refused(EncryptionError, vault.decrypt, payload))
    with tap.case("... nor encrypt"):
        assert "pkcs11" in str(refused(EncryptionError, driver.encrypt, key_id, "random", 1))
    with tap.case("... nor make such a key"):
        refused(Exception, driver.create, "pkcs11:interop")
    with tap.case("... the same driver goes on with other keys"):
        other = id_of(dekvault.create("local"))
        equal(vault.decrypt(dekvault.encrypt(text_of(other), "random", "true")), True)
    with tap.case("... rewrapManyDataKey of all keys is refused as a whole, and no document changes"):
        before = [bytes(found.raw) for found in driver.raw_vault.find().sort("_id", 1)]
        refused(EncryptionError, vault.rewrap_many_data_key, {}, provider="local:second")
        equal([bytes(found.raw) for found in driver.raw_vault.find().sort("_id", 1)], before)
    with tap.case("... rewrapManyDataKey of the driver's own providers' keys works beside it"):
        result = vault.rewrap_many_data_key({"_id": other, "masterKey.provider": "local"}, provider="local:second")
        equal(result.bulk_write_result.modified_count, 1)
        equal(driver.raw(key_id), document)
    with tap.case("... the driver renames it, and dekvault still opens it"):
        vault.add_key_alt_name(key_id, "named by the driver")
        vault.remove_key_alt_name(key_id, "in the token")
        equal(dekvault.documents("key", "show", "name:named by the driver"), [driver.raw(key_id)])
        equal(dekvault.decrypt(payload), "for us alone")
    with tap.case("... the driver deletes it, and dekvault opens it no more"):
        equal(vault.delete_key(key_id).deleted_count, 1)
        said = dekvault.fails(3, "decrypt", stdin=lab.to_json(payload).encode())
        assert text in said, said


PARTS = [
    creating,
    names_by_driver,
    names_by_dekvault,
    clashes,
    race,
    deleting,
    rewrapping,
    disabling,
    listing,
    indexes,
    pkcs11,
]


def test(tap, lab):
    with lab.driver() as driver:
        for part in PARTS:
            with tap.part(part.__name__):
                part(tap, lab, driver)
