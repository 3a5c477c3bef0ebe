"""ristretto255 in plain integers, as RFC 9496 writes it: the naive twin of the kernels."""

from functools import reduce

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578

IDENTITY = (0, 1, 1, 0)


def absolute(x):
    x %= P
    return P - x if x & 1 else x


def root_of_ratio(u, v):
    root = u * v**3 * pow(u * v**7, (P - 5) // 8, P) % P
    check = v * root**2 % P
    if check in (-u % P, -u * SQRT_M1 % P):
        root = root * SQRT_M1 % P
    return check in (u % P, -u % P), absolute(root)


def decode(element):
    """Return a point, or None where the bytes are no element."""
    s = int.from_bytes(element, "little")
    if s >= P or s & 1:
        return None
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1**2 - u2**2) % P
    was_square, inverse_root = root_of_ratio(1, v * u2**2 % P)
    den_x = inverse_root * u2 % P
    x = absolute(2 * s * den_x)
    y = u1 * inverse_root * den_x * v % P
    t = x * y % P
    return None if not was_square or t & 1 or y == 0 else (x, y, 1, t)


def encode(point):
    x, y, z, t = point
    u1, u2 = (z + y) * (z - y) % P, x * y % P
    _, inverse_root = root_of_ratio(1, u1 * u2**2 % P)
    den1, den2 = inverse_root * u1 % P, inverse_root * u2 % P
    z_inverse = den1 * den2 * t % P
    if t * z_inverse % P & 1:
        x, y, den_inverse = y * SQRT_M1 % P, x * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
    else:
        den_inverse = den2
    if x * z_inverse % P & 1:
        y = -y % P
    return absolute(den_inverse * (z - y)).to_bytes(32, "little")


def add(one, other):
    """Sum by the complete formulas for a = -1, in affine terms scaled by Z."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2), (y1 + x1) * (y2 + x2)
    c, d = 2 * D * t1 * t2, 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar, point):
    total = IDENTITY
    for bit in f"{scalar:b}":
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def mapped(half):
    """One half of the map from 64 bytes: RFC 9496, section 4.3.4."""
    t = (int.from_bytes(half, "little") & (1 << 255) - 1) % P
    r = SQRT_M1 * t * t % P
    u = (r + 1) * (1 - D * D) % P
    v = (-1 - r * D) * (r + D) % P
    was_square, s = root_of_ratio(u, v)
    c = -1
    if not was_square:
        s, c = -absolute(s * t) % P, r
    n = (c * (r - 1) * (D - 1) ** 2 - v) % P
    w0, w1, w2, w3 = 2 * s * v, n * SQRT_AD_MINUS_ONE, 1 - s * s, 1 + s * s
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


def hashed(uniform):
    """Map 64 bytes to a point."""
    return reduce(add, (mapped(uniform[:32]), mapped(uniform[32:])))
