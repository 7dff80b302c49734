#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Look for key bytes, and what is made from them, in a core file.

usage: scan.py CORE NAME=KIND:FILE...
KIND: bytes    the file's bytes: any run of 12 of them (a trailing newline left out)
      dek      96 bytes, HMAC key | AES key | IV key: any run of 12, AES-256 round keys of the AES key (encryption and
               decryption), SHA-512 states after the inner and outer pad of both HMAC keys, and the padded keys themselves
Prints a line a finding; exits 1 if there is any.
"""
import mmap
import sys

RUN = 12
MASK = (1 << 64) - 1


def sbox():
    """AES's S-box from its definition (FIPS 197 section 5.1.1)."""
    table, p, q = [0] * 256, 1, 1
    while True:
        p = p ^ ((p << 1) & 0xFF) ^ (0x1B if p & 0x80 else 0)
        q ^= q << 1
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        x = q ^ (q << 1 | q >> 7) ^ (q << 2 | q >> 6) ^ (q << 3 | q >> 5) ^ (q << 4 | q >> 4)
        table[p] = (x ^ 0x63) & 0xFF
        if p == 1:
            break
    table[0] = 0x63
    return table


SBOX = sbox()


def times(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product & 0xFF


def round_keys(key):
    """The 15 round keys of AES-256 (FIPS 197 section 5.2)."""
    words, rcon = [key[i:i + 4] for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        word = words[i - 1]
        if i % 8 == 0:
            word = bytes([SBOX[word[1]] ^ rcon, SBOX[word[2]], SBOX[word[3]], SBOX[word[0]]])
            rcon = times(rcon, 2)
        elif i % 8 == 4:
            word = bytes(SBOX[b] for b in word)
        words.append(bytes(x ^ y for x, y in zip(word, words[i - 8])))
    return [b"".join(words[i:i + 4]) for i in range(0, 60, 4)]


def inverse_mix(key):
    """InvMixColumns of a round key: what the equivalent inverse cipher keeps (FIPS 197 section 5.3.5)."""
    out = bytearray()
    for c in range(0, 16, 4):
        column = key[c:c + 4]
        for row in range(4):
            value = 0
            for i, factor in enumerate((14, 11, 13, 9)):
                value ^= times(column[(row + i) % 4], factor)
            out.append(value)
    return bytes(out)


def primes(count):
    found, candidate = [], 2
    while len(found) < count:
        if all(candidate % p for p in found):
            found.append(candidate)
        candidate += 1
    return found


def root_fraction(n, power):
    """The first 64 bits of the fraction of the square or cube root of n (FIPS 180-4 section 4.2.3)."""
    target, low, high = n << (64 * power), 0, n << 64
    while low < high:
        middle = (low + high + 1) // 2
        if middle ** power <= target:
            low = middle
        else:
            high = middle - 1
    return low & MASK


PRIMES = primes(80)
K = [root_fraction(p, 3) for p in PRIMES]
H0 = [root_fraction(p, 2) for p in PRIMES[:8]]


def sha512_block(block):
    """SHA-512's state after one block (FIPS 180-4 section 6.4.2)."""
    def rotate(x, n):
        return (x >> n | x << (64 - n)) & MASK
    w = [int.from_bytes(block[i:i + 8], "big") for i in range(0, 128, 8)]
    for t in range(16, 80):
        s0 = rotate(w[t - 15], 1) ^ rotate(w[t - 15], 8) ^ w[t - 15] >> 7
        s1 = rotate(w[t - 2], 19) ^ rotate(w[t - 2], 61) ^ w[t - 2] >> 6
        w.append((w[t - 16] + s0 + w[t - 7] + s1) & MASK)
    a, b, c, d, e, f, g, h = H0
    for t in range(80):
        t1 = (h + (rotate(e, 14) ^ rotate(e, 18) ^ rotate(e, 41)) + (e & f ^ ~e & MASK & g) + K[t] + w[t]) & MASK
        t2 = ((rotate(a, 28) ^ rotate(a, 34) ^ rotate(a, 39)) + (a & b ^ a & c ^ b & c)) & MASK
        a, b, c, d, e, f, g, h = (t1 + t2) & MASK, a, b, c, (d + t1) & MASK, e, f, g
    return [(x + y) & MASK for x, y in zip(H0, (a, b, c, d, e, f, g, h))]


def runs(secret):
    return {secret[i:i + RUN] for i in range(0, len(secret) - RUN + 1)} or {secret}


def dek_needles(dek):
    needles = {run: "bytes" for run in runs(dek)}
    for number, key in enumerate(round_keys(dek[32:64])[2:], 2):
        swapped = b"".join(key[i:i + 4][::-1] for i in range(0, 16, 4))
        for form in (key, swapped):
            needles[form] = f"AES round key {number}"
        if number < 14:
            needles[inverse_mix(key)] = f"AES decryption round key {number}"
    for name, key in (("HMAC key", dek[:32]), ("IV key", dek[64:96])):
        for pad in (0x36, 0x5C):
            padded = bytes(b ^ pad for b in key)
            needles[padded[:16]] = f"{name} with pad {pad:#x}"
            state = sha512_block(padded + bytes([pad]) * 96)
            for order in ("little", "big"):
                needles[b"".join(x.to_bytes(8, order) for x in state[:3])] = f"SHA-512 state of the {name}, pad {pad:#x}"
    return needles


def main():
    found = 0
    with open(sys.argv[1], "rb") as file:
        core = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        for argument in sys.argv[2:]:
            name, rest = argument.split("=", 1)
            kind, path = rest.split(":", 1)
            with open(path, "rb") as secret_file:
                secret = secret_file.read()
            needles = dek_needles(secret[:96]) if kind == "dek" else {run: "bytes" for run in runs(secret.rstrip(b"\n"))}
            for needle, what in needles.items():
                at = core.find(needle)
                if at >= 0:
                    print(f"{name}: {what} at offset {at:#x} of the core")
                    found += 1
    print(f"{found} findings")
    return 1 if found else 0


def self_test():
    """FIPS 197 A.3's last round key and SHA-512("abc")."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    assert round_keys(key)[14].hex() == "fe4890d1e6188d0b046df344706c631e", round_keys(key)[14].hex()
    block = b"abc\x80" + bytes(123) + b"\x18"
    assert f"{sha512_block(block)[0]:016x}" == "ddaf35a193617aba"


if __name__ == "__main__":
    self_test()
    sys.exit(main())
