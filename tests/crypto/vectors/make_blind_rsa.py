"""Make blind_rsa.json: signatures by Python's own integers, from the text of crypto/README.md.

Nothing of ours is imported. Run: python tests/crypto/vectors/make_blind_rsa.py
The primes are the first above sqrt(2) * 2**511 plus two numbers from SHA-256, so that anybody can
make them again; a key that everybody can make protects nothing.
"""

import hashlib
import json
import math
from pathlib import Path

E = 65537
ITEMS = [b"", b"7", b"007", bytes(range(256)), "Zoë".encode(), b"x" * 300]


def is_prime(number):
    """Miller-Rabin with the first 40 odd bases: enough for numbers that nobody chose."""
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in range(3, 83, 2):
        power = pow(base, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def prime(name):
    number = math.isqrt(1 << 1023) + int(hashlib.sha512(name).hexdigest(), 16) // 8 | 1
    while not is_prime(number) or math.gcd(number - 1, E) != 1:
        number += 2
    return number


def expand(message, tag, size):
    return hashlib.shake_256(message + size.to_bytes(2, "big") + tag + bytes([len(tag)])).digest(
        size
    )


p, q = prime(b"p"), prime(b"q")
n, d = p * q, pow(E, -1, math.lcm(p - 1, q - 1))
width = (n.bit_length() + 7) // 8
encoded = b"blind-rsa/1:" + n.to_bytes(width, "big")
digest = hashlib.sha256(encoded).digest()


def signature(item, tag):
    size = (n.bit_length() + 128 + 7) // 8
    number = int.from_bytes(expand(item, tag + digest, size), "big") % n
    return pow(number, d, n).to_bytes(width, "big")


def entry(item):
    signed = signature(item, b"SecureBoost-blind-RSA-v1-hash:")
    tag = hashlib.sha256(b"SecureBoost-blind-RSA-v1-tag:" + digest + signed)
    return {"data": item.hex(), "signature": signed.hex(), "tag": tag.hexdigest()}


if __name__ == "__main__":
    proof = [signature(bytes([i]), b"SecureBoost-blind-RSA-v1-key-proof:").hex() for i in range(8)]
    vectors = {
        "p": f"{p:x}",
        "q": f"{q:x}",
        "public_key": encoded.hex(),
        "proof": proof,
        "items": [entry(item) for item in ITEMS],
    }
    Path(__file__).with_name("blind_rsa.json").write_text(json.dumps(vectors, indent=1) + "\n")
