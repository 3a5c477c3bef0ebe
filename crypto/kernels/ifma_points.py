"""Points of edwards25519 and the group ristretto255, eight at once, as LLVM instructions.

A point is four elements of the field in neighbouring slots, ``X, Y, Z, T`` with ``x = X / Z``,
``y = Y / Z`` and ``T = X Y / Z``, on the curve ``-x**2 + y**2 = 1 + D x**2 y**2``. A point that is
to be added is kept as ``Y + X, Y - X, 2 Z, 2 D T``.

Sources: H. Hisil, K. Wong, G. Carter, E. Dawson, Twisted Edwards curves revisited (2008), for sums;
RFC 9496 (2023), for encoding, decoding and the map from the field to the group.
"""

from llvmlite import ir

from crypto.kernels.ifma_emit import LANES, VECTOR, Value, constant
from crypto.kernels.ifma_field import SLOT_WORDS, Element, Field, P

D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
SQRT_AD_MINUS_ONE = 25063068953384623474111414158702152701244531502492656460079210482610430750235
INVSQRT_A_MINUS_D = 54469307008909316920995813868745141605393597292927456921205312896311721017578
ONE_MINUS_D_SQ = (1 - D * D) % P
D_MINUS_ONE_SQ = (D - 1) ** 2 % P

TABLE = 8
"""Multiples in a table: 1 to 8 times a point, for digits of 4 bits with a sign."""

POINT, CHOSEN, INPUT, STATUS, MULTIPLES, SLOTS = 0, 4, 8, 10, 11, 11 + 4 * TABLE
"""Slots: a point; the multiple to add; two numbers that come in or go out; a mask; the table."""


class Points(Field):
    """Emits what is done with points; every method stands for one compiled function."""

    def decode(self) -> None:
        """Read the number in `INPUT` as an element of the group; `STATUS` is 1 where it is one."""
        s, one = self.load(constant(INPUT)), self.constant(1)
        ss = self.square(s)
        u1, u2 = self.subtract(one, ss), self.add(one, ss)
        u2_squared = self.square(u2)
        du1_squared = self.multiply(self.constant(D), self.square(u1))
        v = self.negate(self.add(du1_squared, u2_squared))
        was_square, inverse_root = self._root_of_ratio(one, self.multiply(v, u2_squared))
        den_x = self.multiply(inverse_root, u2)
        den_y = self.multiply(self.multiply(inverse_root, den_x), v)
        x = self.absolute(self.multiply(self.add(s, s), den_x))
        y = self.multiply(u1, den_y)
        t = self.multiply(x, y)
        wrong = self.builder.or_(self.is_negative(t), self.is_zero(y))
        fine = self.builder.and_(was_square, self.builder.not_(wrong))
        # the identity, 0, is refused: it would tell nothing of the scalar that it is multiplied by
        fine = self.builder.and_(fine, self.builder.not_(self.is_zero(s)))
        self._put_point((x, y, one, t))
        status = self.builder.zext(fine, VECTOR)
        self.vectors.store(status, constant(STATUS * SLOT_WORDS))

    def encode(self) -> None:
        """Write the point as an element of the group to `INPUT`."""
        x0, y0, z0, t0 = self._point(constant(POINT))
        u1 = self.multiply(self.add(z0, y0), self.subtract(z0, y0))
        u2 = self.multiply(x0, y0)
        one = self.constant(1)
        _, inverse_root = self._root_of_ratio(one, self.multiply(u1, self.square(u2)))
        den1, den2 = self.multiply(inverse_root, u1), self.multiply(inverse_root, u2)
        z_inverse = self.multiply(self.multiply(den1, den2), t0)
        sqrt_m1 = self.constant(SQRT_M1)
        rotate = self.is_negative(self.multiply(t0, z_inverse))
        x = self.select(rotate, self.multiply(y0, sqrt_m1), x0)
        y = self.select(rotate, self.multiply(x0, sqrt_m1), y0)
        enchanted = self.multiply(den1, self.constant(INVSQRT_A_MINUS_D))
        den_inverse = self.select(rotate, enchanted, den2)
        negative = self.is_negative(self.multiply(x, z_inverse))
        y = self.select(negative, self.negate(y), y)
        s = self.absolute(self.multiply(den_inverse, self.subtract(z0, y)))
        self.store(self.frozen(s), constant(INPUT))

    def hash(self) -> None:
        """Map the two numbers in `INPUT` to points and add them: RFC 9496, section 4.3.4."""
        self._put_point(self._map(self.load(constant(INPUT))))
        self.keep(constant(CHOSEN))
        self._put_point(self._map(self.load(constant(INPUT + 1))))
        self.add_chosen()

    def double(self, *, with_t: bool) -> None:
        """Double the point; T only where a sum follows."""
        x, y, z, _ = self._point(constant(POINT))
        a, b = self.square(x), self.square(y)
        zz, xy = self.square(z), self.multiply(x, y)
        e = self.add(xy, xy)
        g = self.subtract(b, a)
        f = self.subtract(g, self.add(zz, zz))
        h = self.negate(self.add(a, b))
        self._put_products(e, f, g, h, with_t=with_t)

    def add_chosen(self) -> None:
        """Add what is in `CHOSEN` to the point."""
        x, y, z, t = self._point(constant(POINT))
        plus, minus, twice_z, twice_dt = self._point(constant(CHOSEN))
        a = self.multiply(self.subtract(y, x), minus)
        b = self.multiply(self.add(y, x), plus)
        c, d = self.multiply(t, twice_dt), self.multiply(z, twice_z)
        self._put_products(
            self.subtract(b, a), self.subtract(d, c), self.add(d, c), self.add(b, a), with_t=True
        )

    def keep(self, slot: Value) -> None:
        """Write the point to `slot` in the form in which it can be added."""
        x, y, z, t = self._point(constant(POINT))
        twice_d = self.constant(2 * D)
        kept = (self.add(y, x), self.subtract(y, x), self.add(z, z), self.multiply(t, twice_d))
        self._put(kept, slot)

    def choose(self, digit: Value) -> None:
        """Put `digit` times the base into `CHOSEN`, -8 to 8; every entry is read whatever it is."""
        builder, zero = self.builder, constant(0)
        negative = builder.icmp_signed("<", digit, zero)
        size = builder.select(negative, builder.sub(zero, digit), digit)
        one = self.constant(1)
        chosen = [one, one, self.constant(2), self.constant(0)]
        for entry in range(TABLE):
            mask = self._mask_of(builder.icmp_unsigned("==", size, constant(entry + 1)))
            multiple = self._point(constant(MULTIPLES + 4 * entry))
            chosen = [self.select(mask, a, b) for a, b in zip(multiple, chosen, strict=True)]
        plus, minus, twice_z, twice_dt = chosen
        mask = self._mask_of(negative)
        chosen = [
            self.select(mask, minus, plus),
            self.select(mask, plus, minus),
            twice_z,
            self.select(mask, self.negate(twice_dt), twice_dt),
        ]
        self._put(chosen, constant(CHOSEN))

    def put_identity(self) -> None:
        """Make the point the identity."""
        zero, one = self.constant(0), self.constant(1)
        self._put_point((zero, one, one, zero))

    def _map(self, t: Element) -> tuple[Element, ...]:
        one, d = self.constant(1), self.constant(D)
        r = self.multiply(self.constant(SQRT_M1), self.square(t))
        u = self.multiply(self.add(r, one), self.constant(ONE_MINUS_D_SQ))
        rd = self.multiply(r, d)
        v = self.multiply(self.negate(self.add(one, rd)), self.add(r, d))
        was_square, root = self._root_of_ratio(u, v)
        other = self.negate(self.absolute(self.multiply(root, t)))
        s = self.select(was_square, root, other)
        c = self.select(was_square, self.constant(-1), r)
        n = self.multiply(self.multiply(c, self.subtract(r, one)), self.constant(D_MINUS_ONE_SQ))
        n = self.subtract(n, v)
        sv, ss = self.multiply(s, v), self.square(s)
        w0, w1 = self.add(sv, sv), self.multiply(n, self.constant(SQRT_AD_MINUS_ONE))
        w2, w3 = self.subtract(one, ss), self.add(one, ss)
        multiply = self.multiply
        return multiply(w0, w3), multiply(w2, w1), multiply(w1, w3), multiply(w0, w2)

    def _root_of_ratio(self, u: Element, v: Element) -> tuple[Value, Element]:
        """Emit whether u / v is a square, and the root of it or of SQRT_M1 times it."""
        multiply, sqrt_m1 = self.multiply, self.constant(SQRT_M1)
        v3 = multiply(self.square(v), v)
        v7 = multiply(self.square(v3), v)
        root = multiply(multiply(u, v3), self.root_power(multiply(u, v7)))
        check = multiply(v, self.square(root))
        minus_u = self.negate(u)
        correct = self.equal(check, u)
        flipped = self.equal(check, minus_u)
        flipped_i = self.equal(check, multiply(minus_u, sqrt_m1))
        turn = self.builder.or_(flipped, flipped_i)
        root = self.select(turn, multiply(root, sqrt_m1), root)
        return self.builder.or_(correct, flipped), self.absolute(root)

    def _mask_of(self, condition: Value) -> Value:
        lanes = ir.VectorType(ir.IntType(1), LANES)
        bits = self.builder.select(condition, ir.Constant(ir.IntType(8), 255), _NONE)
        return self.builder.bitcast(bits, lanes)

    def _put_products(
        self, e: Element, f: Element, g: Element, h: Element, *, with_t: bool
    ) -> None:
        self.store(self.multiply(e, f), constant(POINT))
        self.store(self.multiply(g, h), constant(POINT + 1))
        self.store(self.multiply(f, g), constant(POINT + 2))
        if with_t:
            self.store(self.multiply(e, h), constant(POINT + 3))

    def _point(self, slot: Value) -> list[Element]:
        return [self.load(self.builder.add(slot, constant(i))) for i in range(4)]

    def _put_point(self, point: tuple[Element, ...]) -> None:
        self._put(point, constant(POINT))

    def _put(self, elements: "list[Element] | tuple[Element, ...]", slot: Value) -> None:
        for i, element in enumerate(elements):
            self.store(element, self.builder.add(slot, constant(i)))


_NONE = ir.Constant(ir.IntType(8), 0)
