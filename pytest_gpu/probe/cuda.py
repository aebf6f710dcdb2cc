"""Checks whether CUDA starts and computes correctly, through the driver API only.

It needs only ``libcuda.so.1`` and the compiler in it: no toolkit, no CUDA runtime.
"""

import array
import ctypes
from typing import Any, Callable, Dict, List, Tuple

Report = Dict[str, Any]
Note = Callable[[Report], None]

COUNT = 1 << 18
ROUNDS = 1000
MULTIPLIER, ADDEND = 1664525, 1013904223
BLOCK = 256

_MASK = 0xFFFFFFFF

# PTX of version 6.0 for sm_50: the compilers of drivers from R470 on accept it, for every GPU
# since Maxwell. Integer and floating-point arithmetic, each result known beforehand.
PTX = b"""
.version 6.0
.target sm_50
.address_size 64

.visible .entry pytest_gpu_check(
    .param .u64 out,
    .param .u32 count,
    .param .u32 rounds,
    .param .u32 multiplier,
    .param .u32 addend
)
{
    .reg .pred %p<3>;
    .reg .b32 %r<14>;
    .reg .f32 %f<3>;
    .reg .b64 %rd<5>;

    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %tid.x;
    mad.lo.u32 %r4, %r1, %r2, %r3;
    ld.param.u32 %r5, [count];
    setp.ge.u32 %p1, %r4, %r5;
    @%p1 bra DONE;
    ld.param.u32 %r6, [rounds];
    ld.param.u32 %r7, [multiplier];
    ld.param.u32 %r8, [addend];
    mov.u32 %r9, %r4;
LOOP:
    setp.eq.u32 %p2, %r6, 0;
    @%p2 bra STORE;
    mad.lo.u32 %r9, %r9, %r7, %r8;
    sub.u32 %r6, %r6, 1;
    bra LOOP;
STORE:
    and.b32 %r10, %r4, 65535;
    cvt.rn.f32.u32 %f1, %r10;
    fma.rn.f32 %f2, %f1, 0f40400000, 0f3F800000;
    cvt.rzi.u32.f32 %r11, %f2;
    add.u32 %r12, %r9, %r11;
    ld.param.u64 %rd1, [out];
    cvta.to.global.u64 %rd2, %rd1;
    mul.wide.u32 %rd3, %r4, 4;
    add.s64 %rd4, %rd2, %rd3;
    st.global.u32 [%rd4], %r12;
DONE:
    ret;
}
\0"""


def expected() -> Any:
    """Return what the kernel must write: ``ROUNDS`` steps from each index, plus 3 * index + 1.

    The steps have a closed form, so that the check computes in another way than the GPU.
    """
    factor, summand = 1, 0
    for _ in range(ROUNDS):
        factor, summand = factor * MULTIPLIER & _MASK, (summand * MULTIPLIER + ADDEND) & _MASK
    steps = ((i * factor + summand + 3 * (i & 0xFFFF) + 1) & _MASK for i in range(COUNT))
    return array.array("I", steps)


class Failed(Exception):  # noqa: N818 - the answer of a call
    """A call of the CUDA driver API did not succeed."""

    def __init__(self, call: str, code: int, name: str) -> None:
        super().__init__(f"{call}: {name} ({code})")
        self.code = code


class Cuda:
    """The CUDA driver API; ``note`` gets the name of every call before it is made."""

    def __init__(self, note: Note) -> None:
        self.library: Any = ctypes.CDLL("libcuda.so.1")
        self.note = note

    def call(self, name: str, *arguments: Any) -> None:
        """Make a call.

        Raises:
            Failed: it did not return 0.
            AttributeError: this library has no such function.
        """
        self.note({"step": name})
        code = getattr(self.library, name)(*arguments)
        if code != 0:
            raise Failed(name, code, self.name_of(code))

    def name_of(self, code: int) -> str:
        """Return the name of a CUresult."""
        text = ctypes.c_char_p()
        try:
            self.library.cuGetErrorName(code, ctypes.byref(text))
        except AttributeError:
            return "error"
        return (text.value or b"error").decode("ascii", "replace")

    def integer(self, name: str, *arguments: Any) -> int:
        """Make a call whose first argument points to an int; return that int."""
        found = ctypes.c_int()
        self.call(name, ctypes.byref(found), *arguments)
        return found.value


def ask(note: Note) -> Report:
    """Return what CUDA says and computes; errors of CUDA are never raised."""
    found = {"init": None, "count": 0, "compute": ""}  # type: Report
    try:
        cuda = Cuda(note)
    except OSError as error:
        found["compute"] = f"libcuda.so.1 cannot be loaded: {error}"
        return found
    try:
        found["driver"] = cuda.integer("cuDriverGetVersion")
        cuda.call("cuInit", 0)
        found["init"] = 0
        note({"cuda": dict(found)})
        found["count"] = cuda.integer("cuDeviceGetCount")
        note({"cuda": dict(found)})
        found["compute"] = _all_compute(cuda, found["count"])
    except Failed as failure:
        found["compute"] = str(failure)
        if found["init"] is None:
            found["init"] = failure.code
    except AttributeError as error:
        found["compute"] = f"libcuda.so.1 lacks a function: {error}"
    return found


def _all_compute(cuda: Cuda, count: int) -> str:
    """Return ``ok`` if every visible GPU computes correctly, else what went wrong first."""
    wanted = expected()
    for ordinal in range(count):
        wrong = _wrong_results(cuda, ordinal, wanted)
        if wrong:
            return f"device {ordinal}: {wrong}"
    return "ok" if count else "CUDA sees no device"


def _wrong_results(cuda: Cuda, ordinal: int, wanted: Any) -> str:
    device = cuda.integer("cuDeviceGet", ordinal)
    context = ctypes.c_void_p()
    # Not cuCtxCreate: CUDA 13 gave it another argument. Every program can use the primary context.
    cuda.call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    try:
        cuda.call("cuCtxSetCurrent", context)
        return _compare(_launch(cuda), wanted)
    finally:
        cuda.library.cuDevicePrimaryCtxRelease_v2(device)


def _launch(cuda: Cuda) -> Any:
    """Compile and run the kernel; return what it wrote."""
    module, function, memory = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
    size = 4 * COUNT
    cuda.call("cuModuleLoadData", ctypes.byref(module), PTX)
    cuda.call("cuModuleGetFunction", ctypes.byref(function), module, b"pytest_gpu_check")
    cuda.call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(size))
    cuda.call("cuMemsetD32_v2", memory, ctypes.c_uint32(0xDEADBEEF), ctypes.c_size_t(COUNT))
    parameters, values = _parameters(memory)
    cuda.call("cuLaunchKernel", function, *_grid(), None, parameters, None)
    cuda.call("cuCtxSynchronize")
    del values  # they had to live as long as the pointers to them
    results = array.array("I", bytes(size))
    place = (ctypes.c_char * size).from_buffer(results)
    cuda.call("cuMemcpyDtoH_v2", place, memory, ctypes.c_size_t(size))
    del place
    cuda.call("cuMemFree_v2", memory)
    return results


def _grid() -> List[int]:
    """Return blocks by x, y, z, threads by x, y, z, and bytes of shared memory."""
    blocks = (COUNT + BLOCK - 1) // BLOCK
    return [blocks, 1, 1, BLOCK, 1, 1, 0]


def _parameters(memory: Any) -> Tuple[Any, List[Any]]:
    """Return the kernel's parameters for cuLaunchKernel: the pointers and their values."""
    numbers = [ctypes.c_uint32(value) for value in (COUNT, ROUNDS, MULTIPLIER, ADDEND)]
    values = [memory, *numbers]
    return (ctypes.c_void_p * len(values))(*map(ctypes.addressof, values)), values


def _compare(results: Any, wanted: Any) -> str:
    """Return which results are wrong, empty if none are."""
    if results == wanted:
        return ""
    wrong = [index for index, value in enumerate(results) if value != wanted[index]]
    first = wrong[0]
    return "{} of {} results are wrong, the first at {}: {} instead of {}".format(  # noqa: UP032
        len(wrong), COUNT, first, results[first], wanted[first]
    )
