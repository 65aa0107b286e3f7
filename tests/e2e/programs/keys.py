"""Writes private keys made of chosen numbers into the working folder, as DER: elliptic curves and RSA."""
CURVES = {"prime256v1": (32, "06082a8648ce3d030107"), "secp384r1": (48, "06052b81040022"), "secp521r1": (66, "06052b81040023"),
          "secp256k1": (32, "06052b8104000a"), "brainpoolP256r1": (32, "06092b2403030208010107")}
MONTGOMERY = {"x25519": (32, "06032b656e"), "x448": (56, "06032b656f"), "ed25519": (32, "06032b6570"), "ed448": (57, "06032b6571")}


def der(tag, content):
    size = len(content)
    octets = (size.bit_length() + 7) // 8
    length = bytes([size]) if size < 128 else bytes([0x80 | octets]) + size.to_bytes(octets, "big")
    return bytes([tag]) + length + content


def integer(n):
    return der(2, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def secret(size, which):
    return bytes((i * 37 + which * 101 + 11) % 251 for i in range(size))


def write(name, content):
    with open(name + ".der", "wb") as file:
        file.write(content)


for which, one in enumerate("ab"):
    for curve, (size, oid) in CURVES.items():
        scalar = b"\0" + secret(size - 1, which)  # below the order of each of the curves
        write(f"{curve}.{one}", der(0x30, integer(1) + der(4, scalar) + der(0xA0, bytes.fromhex(oid))))
    for curve, (size, oid) in MONTGOMERY.items():
        write(f"{curve}.{one}", der(0x30, integer(0) + der(0x30, bytes.fromhex(oid)) + der(4, der(4, secret(size, which)))))

p, q, e = 2 ** 607 - 1, 2 ** 521 - 1, 65537  # primes that anybody knows: Mersenne's
d = pow(e, -1, (p - 1) * (q - 1))
numbers = [0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p)]
write("rsa", der(0x30, b"".join(integer(n) for n in numbers)))
print("modulus", p * q % 10 ** 40, "private", d % 10 ** 40)
