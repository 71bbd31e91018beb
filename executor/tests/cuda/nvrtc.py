"""Compiles a kernel with NVRTC, the machine's own, and runs it by the driver's calls.

    nvrtc.py LIBNVRTC
"""

import ctypes
import sys

SOURCE = b"""extern "C" __global__ void vector_add(const float *a, const float *b, float *out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = a[i] + b[i];
}"""
N = 1000


def call(function, *arguments):
    status = function(*arguments)
    assert status == 0, (function.__name__, status)


def compiled():
    nvrtc, program, size = ctypes.CDLL(sys.argv[1]), ctypes.c_void_p(), ctypes.c_size_t()
    call(nvrtc.nvrtcCreateProgram, ctypes.byref(program), SOURCE, b"sum.cu", 0, None, None)
    options = (ctypes.c_char_p * 1)(b"--gpu-architecture=compute_90")
    call(nvrtc.nvrtcCompileProgram, program, 1, options)
    call(nvrtc.nvrtcGetPTXSize, program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    call(nvrtc.nvrtcGetPTX, program, text)
    return text


def main():
    cuda = ctypes.CDLL("libcuda.so.1")
    context, module, function = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    call(cuda.cuInit, 0)
    call(cuda.cuDevicePrimaryCtxRetain, ctypes.byref(context), 0)
    call(cuda.cuCtxSetCurrent, context)
    call(cuda.cuModuleLoadData, ctypes.byref(module), compiled())
    call(cuda.cuModuleGetFunction, ctypes.byref(function), module, b"vector_add")
    host, places = (ctypes.c_float * N)(*range(N)), [ctypes.c_uint64() for _ in range(3)]
    for place in places:
        call(cuda.cuMemAlloc_v2, ctypes.byref(place), ctypes.c_size_t(4 * N))
        call(cuda.cuMemcpyHtoD_v2, place, host, ctypes.c_size_t(4 * N))
    values = [*places, ctypes.c_int(N)]
    parameters = (ctypes.c_void_p * 4)(*(ctypes.addressof(value) for value in values))
    call(cuda.cuLaunchKernel, function, 4, 1, 1, 256, 1, 1, 0, None, parameters, None)
    call(cuda.cuMemcpyDtoH_v2, host, places[2], ctypes.c_size_t(4 * N))
    assert list(host) == [2.0 * i for i in range(N)]
    print("compiled here, run there")


main()
