"""Montgomery products of eight numbers at once, as LLVM instructions for AVX-512 IFMA.

A number is `limbs` digits of 52 bits, digit-major and lane-minor: digit ``j`` of the eight lanes is
one 512-bit vector. All numbers of a computation lie in one *workspace*, an array of 64-bit words,
in slots of ``limbs + PAD`` vectors whose last `PAD` vectors stay zero:

====  =============  ==============================================================================
slot  name           content
====  =============  ==============================================================================
0     ``MODULUS``    digits of the modulus m, one word each; ``-1/m mod 2**52`` in the last word
1     ``OFFSET``     digits of a multiple of m, each at least ``2**52``, one word each
2, 3  ``SCRATCH``    column sums
4, 5  ``SQUARES``    all columns of a square
6...                 free
====  =============  ==============================================================================

With ``R = 2**(52 * limbs) >= 16 m``, a product is ``x * y / R mod m``. A number modulo ``m**2`` is
a *pair* ``A + B * m`` in two slots, and with the Montgomery quotient q of the first line
(``A * C = R * A' - q * m``)::

    A' = (A * C + q * m) / R
    B' = (A * D + B * C - q + q' * m) / R

is the product ``(A + B m) * (C + D m) / R``: nothing is ever longer than m. For factors below 4 m
(and one of them in each term of a sum below R) the results are below 2 m, so no final subtraction
is ever needed; ``-q`` is added as ``OFFSET - q``, whose digits are not negative.

The columns of a sum are kept lazily: a column takes at most ``6 * limbs`` products of 52 bits, so
64 bits are enough up to 680 limbs, and one pass at the end carries. `ROWS` digits of the multiplier
are worked off per sweep over the columns, and the quotient digits of the next sweep are computed as
soon as their columns are final, in the shadow of the rest of this one. The loops over columns run
at run time, so one compiled kernel serves every key length.

Sources: P. Montgomery, Modular multiplication without trial division (1985); S. Gueron and V.
Krasnov, Accelerating big integer arithmetic using Intel IFMA extensions (ARITH 2016), for lanes of
52-bit digits; C. Walter, Montgomery exponentiation needs no final subtractions (1999).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

from llvmlite import ir
from numba.core import cgutils as numba_cgutils

LANES = 8
DIGIT_BITS = 52
PAD = 4
ROWS = 2
COLUMNS = 5
"""Measured: sweeps of 2 rows by 5 columns keep all operands in registers."""
TILE = 10
"""Digits of a block of a square; limbs are a multiple of it, and of the other two."""

MODULUS, OFFSET, SCRATCH, SQUARES, FREE = 0, 1, 2, 4, 6

I64 = ir.IntType(64)
I32 = ir.IntType(32)
VECTOR = ir.VectorType(I64, LANES)
_ALIGNMENT = 64

Value = Any  # neither llvmlite nor numba's code generation has types
Builder = Any
cgutils: Any = numba_cgutils


def constant(value: int) -> Value:
    """Return a 64-bit constant."""
    return ir.Constant(I64, value)


class VectorBuilder:
    """Loads, stores and multiply-adds of vectors in one array of words."""

    def __init__(self, builder: Builder, base: Value) -> None:
        self.builder = builder
        self._base = base
        multiply_add = ir.FunctionType(VECTOR, [VECTOR] * 3)
        self._low, self._high = (
            cgutils.get_or_insert_function(
                builder.module, multiply_add, f"llvm.x86.avx512.vpmadd52{half}.uq.512"
            )
            for half in "lh"
        )
        self.zero = ir.Constant(VECTOR, [0] * LANES)
        self.digit_mask = ir.Constant(VECTOR, [(1 << DIGIT_BITS) - 1] * LANES)
        self._digit_shift = ir.Constant(VECTOR, [DIGIT_BITS] * LANES)

    def load(self, index: Value, vectors: int = 0) -> Value:
        """Load the vector that lies `vectors` after word `index`."""
        return self.builder.load(self._vector_at(index, vectors), align=_ALIGNMENT)

    def load_unaligned(self, index: Value) -> Value:
        """Load a vector from any word."""
        return self.builder.load(self._vector_at(index, 0), align=8)

    def store(self, vector: Value, index: Value, vectors: int = 0) -> None:
        """Store a vector `vectors` after word `index`."""
        self.builder.store(vector, self._vector_at(index, vectors), align=_ALIGNMENT)

    def broadcast(self, index: Value, words: int = 0) -> Value:
        """Load one word into all lanes; LLVM folds it into the instruction that uses it."""
        return self.splat(self.builder.load(self.word_at(index, words), align=8))

    def splat(self, word: Value) -> Value:
        """Copy a word into all lanes."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        vector = self.builder.insert_element(undefined, word, ir.Constant(I32, 0))
        lanes = ir.Constant(ir.VectorType(I32, LANES), [0] * LANES)
        return self.builder.shuffle_vector(vector, undefined, lanes)

    def low(self, total: Value, x: Value, y: Value) -> Value:
        """Add the low 52 bits of the product of the low 52 bits of x and y."""
        return self.builder.call(self._low, [total, x, y])

    def high(self, total: Value, x: Value, y: Value) -> Value:
        """Add the high 52 bits of the product of the low 52 bits of x and y."""
        return self.builder.call(self._high, [total, x, y])

    def carry(self, column: Value) -> Value:
        """Return what a column carries into the next."""
        return self.builder.lshr(column, self._digit_shift)

    def word_at(self, index: Value, words: int = 0) -> Value:
        """Return the address of a word; the constant part apart, so that LLVM folds it."""
        pointer = self.builder.gep(self._base, [index])
        return self.builder.gep(pointer, [constant(words)]) if words else pointer

    def _vector_at(self, index: Value, vectors: int) -> Value:
        return self.builder.bitcast(self.word_at(index, LANES * vectors), VECTOR.as_pointer())


@contextmanager
def loop(builder: Builder, start: Value, stop: Value, step: int) -> Iterator[Value]:
    """Emit a counted loop around what is emitted in the ``with`` block; gives the counter."""
    with cgutils.for_range_slice(builder, start, stop, constant(step), inc=True) as (index, _):
        yield index


class Product:
    """Emits ``out = x * y / R``.

    Parameters
    ----------
    x_is_pair, y_is_pair : bool
        Whether x (and with it the result) and y take two slots. y may be a pair only if x is.
    square : bool
        Square the pair x in place. Its B is doubled first, which saves one of the five products,
        and the columns of ``A * A`` come from half of its digit products.
    """

    def __init__(
        self,
        builder: Builder,
        workspace: Value,
        limbs: Value,
        out: Value,
        x: Value,
        y: Value,
        *,
        x_is_pair: bool,
        y_is_pair: bool = False,
        square: bool = False,
    ) -> None:
        self.builder = builder
        self.vectors = VectorBuilder(builder, workspace)
        stride = builder.mul(builder.add(limbs, constant(PAD)), constant(LANES))
        self._size = builder.mul(limbs, constant(LANES))
        self._modulus = constant(MODULUS)
        self._offset = builder.mul(stride, constant(OFFSET))
        self._inverse = self.vectors.broadcast(builder.sub(self._offset, constant(1)))

        def slots(slot: Value, count: int) -> list[Value]:
            first = builder.mul(slot, stride)
            return [builder.add(first, builder.mul(stride, constant(i))) for i in range(count)]

        self._parts = 2 if x_is_pair else 1
        self._out = slots(out, self._parts)
        self._sums = slots(constant(SCRATCH), self._parts)
        x_parts = slots(x, self._parts)
        self._multipliers = slots(y, 2 if y_is_pair else 1)
        # For each part of the result: which multiplier goes with which part of x.
        self._terms = [[] if square else [(0, x_parts[0])]]
        if x_is_pair:
            self._terms.append([(0, x_parts[1])])
        if y_is_pair:
            self._terms[1].append((1, x_parts[0]))
        self._squares = slots(constant(SQUARES), 1)[0] if square else None
        if square:
            self._double(x_parts[1])
            self._square_digits(x_parts[0])

    def emit(self) -> None:
        """Emit the whole product; the builder is left after it."""
        builder, vectors = self.builder, self.vectors
        with loop(builder, constant(0), self._size, LANES) as position:
            for part, sums in enumerate(self._sums):
                start = vectors.zero
                if part == 0 and self._squares is not None:
                    start = vectors.load(builder.add(self._squares, position))
                vectors.store(start, builder.add(sums, position))
        # What one sweep hands to the next lives in variables; LLVM makes registers of them.
        self._rows = [self._variables(ROWS) for _ in self._multipliers]
        self._quotients = [self._variables(ROWS) for _ in range(self._parts)]
        self._carries = self._variables(self._parts)
        lowest = [[vectors.load(sums, i) for i in range(ROWS)] for sums in self._sums]
        self._prepare_sweep(constant(0), lowest)
        with loop(builder, constant(0), self._size, LANES * ROWS) as row:
            rows = [self._values(row_variables) for row_variables in self._rows]
            quotients = [self._values(variables) for variables in self._quotients]
            if self._squares is not None:
                self._admit_columns(row)
            lowest = self._sweep(
                rows,
                quotients,
                constant(LANES * ROWS),
                constant(ROWS),
                carries=self._values(self._carries),
            )
            self._prepare_sweep(builder.add(row, constant(LANES * ROWS)), lowest)
            end = builder.add(self._size, constant(LANES * ROWS))
            with loop(builder, constant(LANES * (ROWS + COLUMNS)), end, LANES * COLUMNS) as column:
                self._sweep(rows, quotients, column, builder.lshr(column, constant(3)))
        if self._squares is not None:
            for i in range(ROWS):
                vectors.store(vectors.zero, builder.add(self._sums[0], self._size), i)
        self._carry_out()

    def _admit_columns(self, row: Value) -> None:
        """Put the columns of a square that this sweep reaches first where it looks for them."""
        builder, vectors = self.builder, self.vectors
        source = builder.add(builder.add(self._squares, row), self._size)
        for i in range(ROWS):
            vectors.store(vectors.load(source, i), builder.add(self._sums[0], self._size), i)

    def _sweep(
        self,
        rows: Sequence[Sequence[Value]],
        quotients: Sequence[Sequence[Value]],
        column: Value,
        modulus_digit: Value,
        carries: Sequence[Value] | None = None,
    ) -> list[list[Value]]:
        """Add `ROWS` rows to `COLUMNS` columns and store them `ROWS` places lower."""
        builder, vectors = self.builder, self.vectors
        totals = [
            [vectors.load(builder.add(sums, column), j) for j in range(COLUMNS)]
            for sums in self._sums
        ]
        if carries is not None:
            for total, carry in zip(totals, carries, strict=True):
                total[0] = builder.add(total[0], carry)
        for digit in range(-ROWS, COLUMNS):
            modulus = vectors.broadcast(builder.add(self._modulus, modulus_digit), digit)
            sources = [
                [
                    *(
                        (rows[m], vectors.load(builder.add(part, column), digit))
                        for m, part in terms
                    ),
                    (quotient, modulus),
                ]
                for terms, quotient in zip(self._terms, quotients, strict=True)
            ]
            # A before B and low before high in turn, so that neighbours do not wait for each other.
            for term, half, row, part in product(
                range(3), range(2), range(ROWS), range(self._parts)
            ):
                place = digit + row + half
                if term < len(sources[part]) and 0 <= place < COLUMNS:
                    multipliers, factor = sources[part][term]
                    add = vectors.high if half else vectors.low
                    totals[part][place] = add(totals[part][place], multipliers[row], factor)
        for total, sums in zip(totals, self._sums, strict=True):
            for j in range(COLUMNS):
                vectors.store(total[j], builder.add(sums, column), j - ROWS)
        return [total[:ROWS] for total in totals]

    def _prepare_sweep(self, row: Value, columns: Sequence[Sequence[Value]]) -> None:
        """Find the quotient digits that clear the lowest columns, and the carries out of them."""
        builder, vectors = self.builder, self.vectors
        rows = [
            [vectors.load(builder.add(multiplier, row), u) for u in range(ROWS)]
            for multiplier in self._multipliers
        ]
        offset = builder.add(self._offset, builder.lshr(row, constant(3)))
        all_quotients: list[list[Value]] = []
        for part, terms in enumerate(self._terms):
            quotients: list[Value] = []
            carry = vectors.zero
            for j in range(ROWS):
                total = builder.add(columns[part][j], carry)
                if part == 1:
                    minus_q = builder.sub(vectors.broadcast(offset, j), all_quotients[0][j])
                    total = builder.add(total, minus_q)
                for multiplier, factor in terms:
                    for u in range(j + 1):
                        total = vectors.low(total, rows[multiplier][u], vectors.load(factor, j - u))
                    for u in range(j):
                        total = vectors.high(
                            total, rows[multiplier][u], vectors.load(factor, j - u - 1)
                        )
                for u in range(j):
                    modulus = vectors.broadcast(self._modulus, j - u)
                    total = vectors.low(total, quotients[u], modulus)
                    modulus = vectors.broadcast(self._modulus, j - u - 1)
                    total = vectors.high(total, quotients[u], modulus)
                quotient = vectors.low(vectors.zero, total, self._inverse)
                quotients.append(quotient)
                total = vectors.low(total, quotient, vectors.broadcast(self._modulus, 0))
                carry = vectors.carry(total)
            all_quotients.append(quotients)
            builder.store(carry, self._carries[part])
        for values, variables in (
            *zip(all_quotients, self._quotients, strict=True),
            *zip(rows, self._rows, strict=True),
        ):
            for value, variable in zip(values, variables, strict=True):
                builder.store(value, variable)

    def _carry_out(self) -> None:
        """Carry through the column sums and write the result."""
        builder, vectors = self.builder, self.vectors
        carries = self._variables(self._parts)
        for carry in carries:
            builder.store(vectors.zero, carry)
        with loop(builder, constant(0), self._size, LANES) as position:
            for sums, out, carry in zip(self._sums, self._out, carries, strict=True):
                total = vectors.load(builder.add(sums, position))
                total = builder.add(total, builder.load(carry))
                builder.store(vectors.carry(total), carry)
                digit = builder.and_(total, vectors.digit_mask)
                vectors.store(digit, builder.add(out, position))

    def _double(self, part: Value) -> None:
        """Double a number in place."""
        builder, vectors = self.builder, self.vectors
        (carry,) = self._variables(1)
        builder.store(vectors.zero, carry)
        with loop(builder, constant(0), self._size, LANES) as position:
            digit = vectors.load(builder.add(part, position))
            total = builder.add(builder.add(digit, digit), builder.load(carry))
            builder.store(vectors.carry(total), carry)
            vectors.store(builder.and_(total, vectors.digit_mask), builder.add(part, position))

    def _square_digits(self, part: Value) -> None:
        """Sum the digit products of a square by column, block by block."""
        builder = self.builder
        step = LANES * TILE
        # The blocks on the diagonal write every column once; the others come twice.
        with loop(builder, constant(0), self._size, step) as block:
            self._square_block(part, block)
        with (
            loop(builder, constant(0), self._size, step) as block,
            loop(builder, builder.add(block, constant(step)), self._size, step) as other,
        ):
            self._add_block_twice(part, block, other)

    def _square_block(self, part: Value, block: Value) -> None:
        builder, vectors = self.builder, self.vectors
        digits = [vectors.load(builder.add(part, block), i) for i in range(TILE)]
        totals = [vectors.zero] * (2 * TILE)
        for i in range(TILE):
            for j in range(i + 1, TILE):
                totals[i + j] = vectors.low(totals[i + j], digits[i], digits[j])
                totals[i + j + 1] = vectors.high(totals[i + j + 1], digits[i], digits[j])
        columns = builder.add(self._squares, builder.add(block, block))
        for i, total in enumerate(totals):
            add = vectors.high if i & 1 else vectors.low
            total = add(builder.add(total, total), digits[i // 2], digits[i // 2])
            vectors.store(total, columns, i)

    def _add_block_twice(self, part: Value, block: Value, other: Value) -> None:
        builder, vectors = self.builder, self.vectors
        totals = [vectors.zero] * (2 * TILE)
        factors = [vectors.load(builder.add(part, other), j) for j in range(TILE)]
        for i in range(TILE):
            digit = vectors.load(builder.add(part, block), i)
            for j, factor in enumerate(factors):
                totals[i + j] = vectors.low(totals[i + j], digit, factor)
                totals[i + j + 1] = vectors.high(totals[i + j + 1], digit, factor)
        columns = builder.add(self._squares, builder.add(block, other))
        for i, total in enumerate(totals):
            twice = builder.add(total, total)
            vectors.store(builder.add(vectors.load(columns, i), twice), columns, i)

    def _variables(self, count: int) -> list[Value]:
        return [cgutils.alloca_once(self.builder, VECTOR) for _ in range(count)]

    def _values(self, variables: Sequence[Value]) -> list[Value]:
        return [self.builder.load(variable) for variable in variables]
