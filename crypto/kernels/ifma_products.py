"""The emitted kernels as functions that numba code can call.

Every function takes the workspace of `crypto.kernels.ifma_emit`, `limbs`, and slot numbers. They
are module-level functions with module-level intrinsics, the only form in which numba's cache finds
them again in another process.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import extending
from numba.np import arrayobj
from numpy import int64, uint64
from numpy.typing import NDArray

from crypto.compiling import kernel
from crypto.kernels.ifma_emit import (
    I32,
    LANES,
    PAD,
    SCRATCH,
    Builder,
    Product,
    Value,
    VectorBuilder,
    cgutils,
    constant,
    loop,
)

WORD_BITS, DIGIT_BITS = 64, 52
CACHE_LINE_WORDS = 8

intrinsic: Any = extending.intrinsic
make_array: Any = arrayobj.make_array


def _data(context: Any, builder: Builder, array_type: Any, array: Value) -> Value:
    """Return the address of an array's first word."""
    return make_array(array_type)(context, builder, array).data


def _product(workspace: Any, **kind: bool) -> Any:
    """Return the signature and the code generator of one kind of product."""

    def codegen(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        data = _data(context, builder, signature.args[0], arguments[0])
        Product(builder, data, *arguments[1:], **kind).emit()
        return context.get_dummy_value()

    return types.void(workspace, *[types.int64] * 4), codegen


@intrinsic
def _multiply(typing: Any, workspace: Any, limbs: Any, out: Any, x: Any, y: Any) -> Any:
    return _product(workspace, x_is_pair=False)


@intrinsic
def _multiply_short(typing: Any, workspace: Any, limbs: Any, out: Any, x: Any, y: Any) -> Any:
    return _product(workspace, x_is_pair=True)


@intrinsic
def _multiply_pairs(typing: Any, workspace: Any, limbs: Any, out: Any, x: Any, y: Any) -> Any:
    return _product(workspace, x_is_pair=True, y_is_pair=True)


@intrinsic
def _square(typing: Any, workspace: Any, limbs: Any, out: Any, x: Any, y: Any) -> Any:
    return _product(workspace, x_is_pair=True, square=True)


@kernel
def multiply(workspace: NDArray[uint64], limbs: int, out: int, x: int, y: int) -> None:
    """Compute ``x * y / R`` modulo m; x below R and y below 4 m, or the other way round."""
    _multiply(workspace, limbs, out, x, y)


@kernel
def multiply_short(workspace: NDArray[uint64], limbs: int, out: int, x: int, y: int) -> None:
    """Multiply a pair (slots x, x + 1) by one number below R: ``x * y / R`` modulo ``m**2``."""
    _multiply_short(workspace, limbs, out, x, y)


@kernel
def multiply_pairs(workspace: NDArray[uint64], limbs: int, out: int, x: int, y: int) -> None:
    """Multiply pairs: ``x * y / R`` modulo ``m**2``."""
    _multiply_pairs(workspace, limbs, out, x, y)


@kernel
def square(workspace: NDArray[uint64], limbs: int, x: int) -> None:
    """Square a pair in place: ``x * x / R`` modulo ``m**2``."""
    _square(workspace, limbs, x, x, x)


@intrinsic
def _gather(
    typing: Any, workspace: Any, limbs: Any, out: Any, table: Any, rows: Any, words: Any
) -> Any:
    def codegen(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        _, limbs_, out_, _, _, words_ = arguments
        data, table_data, rows_data = (
            _data(context, builder, signature.args[i], arguments[i]) for i in (0, 3, 4)
        )
        table_struct = make_array(signature.args[3])(context, builder, arguments[3])
        width = builder.extract_value(table_struct.shape, 1)
        vectors, source = VectorBuilder(builder, data), VectorBuilder(builder, table_data)
        stride = builder.mul(builder.add(limbs_, constant(PAD)), constant(LANES))
        scratch, slot = (builder.mul(s, stride) for s in (constant(SCRATCH), out_))
        firsts = _row_starts(builder, rows_data, width)
        with loop(builder, constant(0), words_, LANES) as word:
            loaded = [source.load_unaligned(builder.add(first, word)) for first in firsts]
            index = builder.add(scratch, builder.mul(word, constant(LANES)))
            for i, vector in enumerate(_transposed(builder, loaded)):
                vectors.store(vector, index, i)
        lanes_words, lanes_limbs = (builder.mul(n, constant(LANES)) for n in (words_, limbs_))
        with loop(builder, lanes_words, lanes_limbs, LANES) as position:
            vectors.store(vectors.zero, builder.add(scratch, position))
        with loop(builder, constant(0), limbs_, 1) as digit:
            bit = builder.mul(digit, constant(DIGIT_BITS))
            word = builder.lshr(bit, constant(WORD_BITS.bit_length() - 1))
            shift = vectors.splat(builder.and_(bit, constant(WORD_BITS - 1)))
            index = builder.add(scratch, builder.mul(word, constant(LANES)))
            low, high = vectors.load(index), vectors.load(index, 1)
            shifted = _funnel(builder, high, low, shift)
            position = builder.add(slot, builder.mul(digit, constant(LANES)))
            vectors.store(builder.and_(shifted, vectors.digit_mask), position)
        return context.get_dummy_value()

    signature = types.void(workspace, types.int64, types.int64, table, rows, types.int64)
    return signature, codegen


@intrinsic
def _prefetch(typing: Any, table: Any, rows: Any, first: Any, words: Any) -> Any:
    def codegen(context: Any, builder: Builder, signature: Any, arguments: Any) -> Value:
        table_data, rows_data = (
            _data(context, builder, signature.args[i], arguments[i]) for i in (0, 1)
        )
        width = builder.extract_value(
            make_array(signature.args[0])(context, builder, arguments[0]).shape, 1
        )
        byte_pointer = ir.IntType(8).as_pointer()
        hint = ir.FunctionType(ir.VoidType(), [byte_pointer, I32, I32, I32])
        prefetch = cgutils.get_or_insert_function(builder.module, hint, "llvm.prefetch.p0")
        read, keep, is_data = (ir.Constant(I32, value) for value in (0, 3, 1))
        firsts = _row_starts(builder, rows_data, width)
        end = builder.add(arguments[2], arguments[3])

        def ask_for(word: Value) -> None:
            for row in firsts:
                address = builder.gep(table_data, [builder.add(row, word)])
                builder.call(
                    prefetch, [builder.bitcast(address, byte_pointer), read, keep, is_data]
                )

        with loop(builder, arguments[2], end, CACHE_LINE_WORDS) as word:
            ask_for(word)
        # Rows need not begin with a line of the cache; then the last words lie in one more.
        ask_for(builder.sub(end, constant(1)))
        return context.get_dummy_value()

    return types.void(table, rows, types.int64, types.int64), codegen


@kernel
def gather(
    workspace: NDArray[uint64],
    limbs: int,
    out: int,
    table: NDArray[uint64],
    rows: NDArray[int64],
    words: int,
) -> None:
    """Load the first `words` words (a multiple of 8) of eight rows of a table as eight numbers."""
    _gather(workspace, limbs, out, table, rows, words)


@kernel
def prefetch(table: NDArray[uint64], rows: NDArray[int64], first: int, words: int) -> None:
    """Ask for words `first` to ``first + words`` of eight rows of a table to be cached."""
    _prefetch(table, rows, first, words)


def _row_starts(builder: Builder, rows: Value, width: Value) -> list[Value]:
    return [
        builder.mul(builder.load(builder.gep(rows, [constant(lane)])), width)
        for lane in range(LANES)
    ]


def _transposed(builder: Builder, vectors: list[Value]) -> list[Value]:
    """Transpose 8 x 8 words in registers: three rounds that swap blocks of 1, 2 and 4."""
    mask_type = ir.VectorType(I32, LANES)
    step = 1
    while step < LANES:
        low = [i if not i & step else LANES + i - step for i in range(LANES)]
        high = [i + step if not i & step else LANES + i for i in range(LANES)]
        result = list(vectors)
        for i in range(LANES):
            if not i & step:
                pair = vectors[i], vectors[i + step]
                result[i] = builder.shuffle_vector(*pair, ir.Constant(mask_type, low))
                result[i + step] = builder.shuffle_vector(*pair, ir.Constant(mask_type, high))
        vectors = result
        step *= 2
    return vectors


def _funnel(builder: Builder, high: Value, low: Value, shift: Value) -> Value:
    """Shift two words right and keep the lower (`shift` below 64)."""
    kind = ir.FunctionType(low.type, [low.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.fshr.v8i64")
    return builder.call(function, [high, low, shift])
