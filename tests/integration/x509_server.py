# SPDX-License-Identifier: Apache-2.0
"""A MongoDB server that knows MONGODB-X509 and an empty collection, over TLS with client certificates: for what the tests'
own server can't do. Usage: x509_server.py CERTIFICATE CA accept|refuse; prints its port, then what it was asked, a line each.
Frames: github.com/mongodb/specifications, OP_MSG; the first hello comes as OP_QUERY."""
import socket
import ssl
import struct
import sys
import threading

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013


def element(name, value):
    key = name.encode() + b"\0"
    if isinstance(value, bool):
        return b"\x08" + key + bytes([value])
    if isinstance(value, float):
        return b"\x01" + key + struct.pack("<d", value)
    if isinstance(value, int):
        wide = name == "id"  # a cursor's
        return (b"\x12" if wide else b"\x10") + key + struct.pack("<q" if wide else "<i", value)
    if isinstance(value, str):
        return b"\x02" + key + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
    return (b"\x04" if value == [] else b"\x03") + key + document(value or {})


def document(fields):
    body = b"".join(element(name, value) for name, value in fields.items()) + b"\0"
    return struct.pack("<i", len(body) + 4) + body


def answer(command, known):
    if command in ("hello", "isMaster", "ismaster"):
        return {"ismaster": True, "isWritablePrimary": True, "helloOk": True, "maxBsonObjectSize": 16777216,
                "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000, "minWireVersion": 0, "maxWireVersion": 21,
                "ok": 1.0}
    if command == "authenticate":
        return {"ok": 1.0} if known else {"ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "unknown"}
    if not known:
        return {"ok": 0.0, "code": 13, "codeName": "Unauthorized", "errmsg": "command requires authentication"}
    return {"cursor": {"id": 0, "ns": "encryption.__keyVault", "firstBatch": []}, "ok": 1.0}


def read_exactly(stream, n):
    data = stream.recv(n)
    while 0 < len(data) < n:
        more = stream.recv(n - len(data))
        if not more:
            break
        data += more
    if len(data) < n:
        raise EOFError
    return data


def serve(stream, accepts):
    known = False
    subject = "/".join("=".join(pair) for group in stream.getpeercert()["subject"] for pair in group)
    while True:
        length, request, _, opcode = struct.unpack("<iiii", read_exactly(stream, 16))
        body = read_exactly(stream, length - 16)
        at = 5 if opcode == OP_MSG else 4 + body.index(b"\0", 4) - 4 + 1 + 8
        name = body[at + 5:body.index(b"\0", at + 5)].decode()
        if name == "authenticate":
            known = accepts and b"MONGODB-X509" in body
            print("authenticate", subject, "known" if known else "refused", flush=True)
        elif name not in ("hello", "isMaster", "ismaster"):
            print(name, "known" if known else "unknown", flush=True)
        reply = document(answer(name, known))
        if opcode == OP_MSG:
            reply, code = struct.pack("<iB", 0, 0) + reply, OP_MSG
        else:
            reply, code = struct.pack("<iqii", 8, 0, 0, 1) + reply, OP_REPLY
        stream.sendall(struct.pack("<iiii", len(reply) + 16, 1, request, code) + reply)


def handle(connection, context, accepts):
    try:
        with context.wrap_socket(connection, server_side=True) as stream:
            serve(stream, accepts)
    except (EOFError, OSError):
        connection.close()


def main():
    certificate, ca, mode = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=handle, args=(connection, context, mode == "accept"), daemon=True).start()


main()
