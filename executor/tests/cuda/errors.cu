// Errors: those that pass, the one that stays, and a kernel that the simulated device lacks.
#include "check.h"
#include "kernels.cuh"
#include <cstring>

__global__ void mystery(float *x) { x[0] = 1; }

int main(int count, char **words) {
    float *device;
    CHECK(cudaMalloc(&device, 1024));
    if (count > 1 && !strcmp(words[1], "unknown")) {
        mystery<<<1, 1>>>(device);
        return cudaGetLastError() == cudaErrorInvalidDeviceFunction ? 0 : 1;
    }
    EXPECT(cudaMemcpy(device, nullptr, 4, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    EXPECT(cudaPeekAtLastError() == cudaErrorInvalidValue);
    EXPECT(cudaGetLastError() == cudaErrorInvalidValue);
    EXPECT(cudaGetLastError() == cudaSuccess);
    float word = 0;
    EXPECT(cudaMemcpy(device + 256, &word, 4, cudaMemcpyHostToDevice) != cudaSuccess);
    EXPECT(cudaFree(device + 1) == cudaErrorInvalidValue);
    EXPECT(cudaStreamSynchronize((cudaStream_t)12345) != cudaSuccess);
    void *much;
    EXPECT(cudaMalloc(&much, (size_t)1 << 50) == cudaErrorMemoryAllocation);
    fill<<<1, 2048>>>(device, 1, 256);
    EXPECT(cudaGetLastError() == cudaErrorInvalidConfiguration);
    EXPECT(cudaMallocManaged(&much, 8) == cudaErrorNotSupported);
    EXPECT(cudaDeviceSynchronize() == cudaSuccess);
    // Beyond the allocation: launched without waiting, so it shows when somebody waits, and stays.
    fill<<<1024, 1024>>>(device, 1, 1 << 20);
    EXPECT(cudaDeviceSynchronize() == cudaErrorIllegalAddress);
    EXPECT(cudaGetLastError() == cudaErrorIllegalAddress);
    EXPECT(cudaMalloc(&much, 8) == cudaErrorIllegalAddress);
    EXPECT(cudaGetLastError() == cudaErrorIllegalAddress);
    puts("errors as documented");
}
