"""The field of 2**255 - 19, eight elements at once, as LLVM instructions for AVX-512 IFMA.

An element is five vectors: digit ``j`` of eight lanes, ``sum(digit_j * 2**(51 * j))``. Digits are
*lazy*: between operations they lie below ``2**51 + 2**15``, not below ``2**51``. The instructions
multiply the low 52 bits of their operands, so there is one bit to spare; every operation below
carries once and keeps the bound.

A product ``x_i * y_j`` has its low 52 bits in column ``i + j`` and the rest in column
``i + j + 1``, doubled, because 52 is one more than 51. Column ``k + 5`` counts 19 times in column
``k``. With digits below ``2**51 + 2**15`` a column stays below ``2**56``, and with the part that is
folded in below ``2**61``.

Source of the layout: D. Bernstein, Curve25519 (2006), for the radix; H. Cheng, G. Fotiadis, J.
Groszschaedl, P. Ryan, Highly vectorized SIKE for AVX-512 (2022), for lanes of whole field elements.
"""

from collections.abc import Sequence

from llvmlite import ir

from crypto.kernels.ifma_emit import (
    LANES,
    VECTOR,
    Builder,
    Value,
    VectorBuilder,
    cgutils,
    constant,
    loop,
)

P = 2**255 - 19
DIGITS = 5
RADIX_BITS = 51
FOLD = 19
"""2**255 modulo P."""
SLOT_WORDS = DIGITS * LANES
"""Words of an element in an array."""

Element = Sequence[Value]
"""Five vectors."""


def digits_of(value: int) -> list[int]:
    """Split a number below ``2**255`` into digits of 51 bits."""
    return [value >> RADIX_BITS * j & (1 << RADIX_BITS) - 1 for j in range(DIGITS)]


class Field:
    """Emits arithmetic modulo P; elements live in slots of one array of 64-bit words."""

    def __init__(self, builder: Builder, base: Value) -> None:
        self.builder = builder
        self.vectors = VectorBuilder(builder, base)
        self._mask = _splat((1 << RADIX_BITS) - 1)
        self._shift = _splat(RADIX_BITS)
        self._twice_p = [_splat(2 * digit) for digit in digits_of(P)]

    def load(self, slot: Value) -> Element:
        """Load an element from a slot."""
        first = self.builder.mul(slot, constant(SLOT_WORDS))
        return [self.vectors.load(first, j) for j in range(DIGITS)]

    def store(self, element: Element, slot: Value) -> None:
        """Store an element into a slot."""
        first = self.builder.mul(slot, constant(SLOT_WORDS))
        for j, digit in enumerate(element):
            self.vectors.store(digit, first, j)

    def constant(self, value: int) -> Element:
        """Return the element that is `value` in all lanes."""
        return [_splat(digit) for digit in digits_of(value % P)]

    def add(self, x: Element, y: Element) -> Element:
        """Emit ``x + y``."""
        return self._carried([self.builder.add(a, b) for a, b in zip(x, y, strict=True)])

    def subtract(self, x: Element, y: Element) -> Element:
        """Emit ``x - y``."""
        return self._carried(self._difference(x, y))

    def negate(self, x: Element) -> Element:
        """Emit ``-x``."""
        return self._carried(
            [self.builder.sub(p, a) for p, a in zip(self._twice_p, x, strict=True)]
        )

    def multiply(self, x: Element, y: Element) -> Element:
        """Emit ``x * y``."""
        columns = self._zeros()
        for i in range(DIGITS):
            for j in range(DIGITS):
                columns[i + j + 1] = self.vectors.high(columns[i + j + 1], x[i], y[j])
        columns = [self._twice(column) for column in columns]
        for i in range(DIGITS):
            for j in range(DIGITS):
                columns[i + j] = self.vectors.low(columns[i + j], x[i], y[j])
        return self._folded(columns)

    def square(self, x: Element) -> Element:
        """Emit ``x * x``."""
        low, high = self.vectors.low, self.vectors.high
        pairs = [(i, j) for i in range(DIGITS) for j in range(i + 1, DIGITS)]
        columns = self._zeros()
        for i, j in pairs:
            columns[i + j + 1] = high(columns[i + j + 1], x[i], x[j])
        columns = [self._twice(column) for column in columns]
        for i in range(DIGITS):
            columns[2 * i + 1] = high(columns[2 * i + 1], x[i], x[i])
        for i, j in pairs:
            columns[i + j] = low(columns[i + j], x[i], x[j])
        columns = [self._twice(column) for column in columns]
        for i in range(DIGITS):
            columns[2 * i] = low(columns[2 * i], x[i], x[i])
        return self._folded(columns)

    def square_times(self, x: Element, times: int) -> Element:
        """Emit a loop that squares `times` times."""
        variables = [cgutils.alloca_once(self.builder, VECTOR) for _ in range(DIGITS)]
        for digit, variable in zip(x, variables, strict=True):
            self.builder.store(digit, variable)
        with loop(self.builder, constant(0), constant(times), 1):
            squared = self.square([self.builder.load(variable) for variable in variables])
            for digit, variable in zip(squared, variables, strict=True):
                self.builder.store(digit, variable)
        return [self.builder.load(variable) for variable in variables]

    def root_power(self, x: Element) -> Element:
        """Emit ``x ** ((P - 5) / 8)``, where ``(P - 5) / 8 = 2**252 - 3``."""
        times, multiply = self.square_times, self.multiply
        x2 = self.square(x)
        x9 = multiply(x, times(x2, 2))
        x11 = multiply(x2, x9)
        ones5 = multiply(x9, self.square(x11))  # 2**5 - 1
        ones10 = multiply(ones5, times(ones5, 5))
        ones20 = multiply(ones10, times(ones10, 10))
        ones40 = multiply(ones20, times(ones20, 20))
        ones50 = multiply(ones10, times(ones40, 10))
        ones100 = multiply(ones50, times(ones50, 50))
        ones200 = multiply(ones100, times(ones100, 100))
        ones250 = multiply(ones50, times(ones200, 50))
        return multiply(x, times(ones250, 2))

    def frozen(self, x: Element) -> Element:
        """Emit the one representation below P, digits below 2**51."""
        builder = self.builder
        # the quotient by P is 0 or 1: it is what x + 19 carries beyond 2**255
        carry = builder.lshr(builder.add(x[0], _splat(FOLD)), self._shift)
        for digit in x[1:]:
            carry = builder.lshr(builder.add(digit, carry), self._shift)
        result = []
        total = builder.add(x[0], self._times_19(carry))
        for digit in x[1:]:
            result.append(builder.and_(total, self._mask))
            total = builder.add(digit, builder.lshr(total, self._shift))
        return [*result, builder.and_(total, self._mask)]

    def is_zero(self, x: Element) -> Value:
        """Emit a mask of the lanes in which x is 0."""
        return self._all_zero(self.frozen(x))

    def equal(self, x: Element, y: Element) -> Value:
        """Emit a mask of the lanes in which x and y are equal."""
        return self.is_zero(self.subtract(x, y))

    def is_negative(self, x: Element) -> Value:
        """Emit a mask of the lanes in which x, below P, is odd (RFC 9496, section 3.1)."""
        lowest = self.builder.and_(self.frozen(x)[0], _splat(1))
        return self.builder.icmp_unsigned("!=", lowest, self.vectors.zero)

    def select(self, mask: Value, x: Element, y: Element) -> Element:
        """Emit x in the lanes of the mask and y in the others."""
        return [self.builder.select(mask, a, b) for a, b in zip(x, y, strict=True)]

    def absolute(self, x: Element) -> Element:
        """Emit x or -x, whichever is not negative."""
        return self.select(self.is_negative(x), self.negate(x), x)

    def _difference(self, x: Element, y: Element) -> Element:
        """Digits of ``x + 2 P - y``, none of them negative."""
        add, sub = self.builder.add, self.builder.sub
        return [add(a, sub(p, b)) for a, p, b in zip(x, self._twice_p, y, strict=True)]

    def _zeros(self) -> list[Value]:
        return [self.vectors.zero] * (2 * DIGITS)

    def _twice(self, column: Value) -> Value:
        return column if column is self.vectors.zero else self.builder.add(column, column)

    def _folded(self, columns: Sequence[Value]) -> Element:
        low, high = columns[:DIGITS], columns[DIGITS:]
        return self._carried(
            [self.builder.add(a, self._times_19(b)) for a, b in zip(low, high, strict=True)]
        )

    def _carried(self, columns: Sequence[Value]) -> Element:
        """Carry once, all columns side by side; columns below 2**61 become lazy digits."""
        builder = self.builder
        carries = [builder.lshr(column, self._shift) for column in columns]
        carries = [self._times_19(carries[-1]), *carries[:-1]]
        return [
            builder.add(builder.and_(column, self._mask), carry)
            for column, carry in zip(columns, carries, strict=True)
        ]

    def _times_19(self, column: Value) -> Value:
        builder = self.builder
        times_16 = builder.shl(column, _splat(4))
        return builder.add(times_16, builder.add(column, builder.add(column, column)))

    def _all_zero(self, x: Element) -> Value:
        together = x[0]
        for digit in x[1:]:
            together = self.builder.or_(together, digit)
        return self.builder.icmp_unsigned("==", together, self.vectors.zero)


def _splat(word: int) -> Value:
    return ir.Constant(VECTOR, [word] * LANES)
