// Copies of all kinds, fills, streams, events, variables, threads; every result against one computed here.
#include "check.h"
#include "kernels.cuh"
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

__constant__ float factor = 1.5f;
__device__ float table[4] = {1, 2, 3, 4};

__global__ void scale_by_factor(float *x, int n) {
    if (int i = thread(); i < n) x[i] *= factor;
}

static void elementwise() {
    const int n = 100003;
    std::vector<float> a(n), b(n), c(n);
    for (int i = 0; i < n; i++) a[i] = i * 0.5f, b[i] = 1.0f / (i + 1);
    float *da, *db, *dc;
    CHECK(cudaMalloc(&da, n * sizeof(float)));
    CHECK(cudaMalloc(&db, n * sizeof(float)));
    CHECK(cudaMalloc(&dc, n * sizeof(float)));
    CHECK(cudaMemcpy(da, a.data(), n * sizeof(float), cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(db, b.data(), n * sizeof(float), cudaMemcpyDefault));
    vector_add<<<blocks(n), 256>>>(da, db, dc, n);
    CHECK(cudaGetLastError());
    saxpy<<<blocks(n), 256>>>(0.25f, da, dc, n);
    CHECK(cudaMemcpy(c.data(), dc, n * sizeof(float), cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++) EXPECT(c[i] == fmaf(0.25f, a[i], a[i] + b[i]));
    // A module's variables: as initialised, then as written.
    scale_by_factor<<<blocks(n), 256>>>(da, n);
    float two = 2;
    CHECK(cudaMemcpyToSymbol(factor, &two, sizeof two));
    scale_by_factor<<<blocks(n), 256>>>(da, n);
    CHECK(cudaMemcpy(c.data(), da, n * sizeof(float), cudaMemcpyDeviceToHost));
    for (int i = 0; i < n; i++) EXPECT(c[i] == a[i] * 1.5f * 2);
    float third, *address;
    CHECK(cudaMemcpyFromSymbol(&third, table, sizeof third, 2 * sizeof third));
    EXPECT(third == 3);
    CHECK(cudaGetSymbolAddress((void **)&address, table));
    CHECK(cudaMemcpy(&third, address + 3, sizeof third, cudaMemcpyDeviceToHost));
    EXPECT(third == 4);
    EXPECT(cudaFree(address) == cudaErrorInvalidValue);
    // A pointer into the middle of an allocation, and a sum in order.
    reduce_sum<<<1, 1>>>(db + 10, dc, n - 10);
    float sum = 0, device_sum;
    for (int i = 10; i < n; i++) sum += b[i];
    CHECK(cudaMemcpy(&device_sum, dc, sizeof sum, cudaMemcpyDeviceToHost));
    EXPECT(sum == device_sum);
    CHECK(cudaFree(da));
    CHECK(cudaFree(db));
    CHECK(cudaFree(dc));
}

static void asynchronous() {
    const int n = 1 << 20;
    float *host, *back, *device;
    CHECK(cudaMallocHost(&host, n * sizeof(float)));
    CHECK(cudaHostAlloc(&back, n * sizeof(float), cudaHostAllocDefault));
    CHECK(cudaMalloc(&device, n * sizeof(float)));
    cudaStream_t one, other;
    CHECK(cudaStreamCreate(&one));
    CHECK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
    cudaEvent_t begin, end;
    CHECK(cudaEventCreate(&begin));
    CHECK(cudaEventCreate(&end));
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < n; i++) host[i] = i + round;
        CHECK(cudaEventRecord(begin, one));
        CHECK(cudaMemcpyAsync(device, host, n * sizeof(float), cudaMemcpyHostToDevice, one));
        scale<<<blocks(n), 256, 0, one>>>(device, 3, n);
        CHECK(cudaEventRecord(end, one));
        CHECK(cudaStreamWaitEvent(other, end, 0));
        CHECK(cudaMemcpyAsync(back, device, n * sizeof(float), cudaMemcpyDeviceToHost, other));
        // What is written next may be what was just read.
        CHECK(cudaMemcpyAsync(device, back, 4, cudaMemcpyHostToDevice, other));
        CHECK(cudaStreamSynchronize(other));
        for (int i = 0; i < n; i++) EXPECT(back[i] == 3.0f * (i + round));
    }
    float milliseconds = -1;
    CHECK(cudaEventSynchronize(end));
    CHECK(cudaEventQuery(end));
    CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
    EXPECT(milliseconds >= 0 && milliseconds < 60000);
    int called = 0;
    CHECK(cudaLaunchHostFunc(one, [](void *data) { ++*(int *)data; }, &called));
    CHECK(cudaStreamSynchronize(one));
    EXPECT(called == 1);
    CHECK(cudaEventDestroy(begin));
    CHECK(cudaEventDestroy(end));
    CHECK(cudaStreamDestroy(one));
    CHECK(cudaStreamDestroy(other));
    CHECK(cudaFree(device));
    CHECK(cudaFreeHost(host));
    CHECK(cudaFreeHost(back));
}

static void rows() {
    const size_t width = 300, height = 7;
    unsigned char host[height][width], back[height][width + 5];
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) host[y][x] = x * 3 + y * 7;
    memset(back, 1, sizeof back);
    void *device;
    size_t pitch;
    CHECK(cudaMallocPitch(&device, &pitch, width, height));
    EXPECT(pitch >= width);
    CHECK(cudaMemcpy2D(device, pitch, host, width, width, height, cudaMemcpyHostToDevice));
    CHECK(cudaMemset2D((char *)device + 2 * pitch, pitch, 0xAB, 10, 2));
    CHECK(cudaMemcpy2D(back, width + 5, device, pitch, width, height, cudaMemcpyDeviceToHost));
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width + 5; x++)
            EXPECT(back[y][x] == (x >= width ? 1 : (y == 2 || y == 3) && x < 10 ? 0xAB : host[y][x]));
    CHECK(cudaFree(device));
}

static void queries() {
    int count = 0, major = 0;
    CHECK(cudaGetDeviceCount(&count));
    EXPECT(count == 1);
    cudaDeviceProp prop;
    CHECK(cudaGetDeviceProperties(&prop, 0));
    CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
    EXPECT(prop.major == major && prop.warpSize == 32 && prop.totalGlobalMem > 1 << 20 && strlen(prop.name) > 3);
    size_t before, after, total;
    void *device;
    CHECK(cudaMemGetInfo(&before, &total));
    CHECK(cudaMalloc(&device, 64 << 20));
    CHECK(cudaMemGetInfo(&after, &total));
    EXPECT(before > after && total >= before);
    cudaPointerAttributes attributes;
    CHECK(cudaPointerGetAttributes(&attributes, (char *)device + 100));
    EXPECT(attributes.type == cudaMemoryTypeDevice);
    CHECK(cudaPointerGetAttributes(&attributes, &count));
    EXPECT(attributes.type == cudaMemoryTypeUnregistered);
    CHECK(cudaFree(device));
    cudaFuncAttributes function;
    CHECK(cudaFuncGetAttributes(&function, saxpy));
    EXPECT(function.maxThreadsPerBlock > 0);
}

// A long copy is one command, also where several threads share a stream: what is always written as a whole is always read as one.
static void threads() {
    const size_t size = 32 << 20;
    unsigned char *device, *here, *there;
    CHECK(cudaMalloc(&device, size));
    CHECK(cudaMallocHost(&here, size));
    CHECK(cudaMallocHost(&there, size));
    memset(there, 255, size);
    CHECK(cudaMemset(device, 0, size));
    std::atomic<bool> over{false};
    auto again = [&](auto give) {
        for (int i = 0; !over; i = (i + 1) % 100) {
            CHECK(give(i));
            CHECK(cudaStreamSynchronize(0));
        }
    };
    std::thread set([&] { again([&](int i) { return cudaMemsetAsync(device, i, size, 0); }); });
    std::thread write([&] { again([&](int) { return cudaMemcpyAsync(device, there, size, cudaMemcpyHostToDevice, 0); }); });
    for (int round = 0; round < 20; round++) {
        CHECK(cudaMemcpy(here, device, size, cudaMemcpyDeviceToHost));
        EXPECT(memcmp(here, here + 1, size - 1) == 0);
    }
    over = true;
    set.join();
    write.join();
    CHECK(cudaFree(device));
    CHECK(cudaFreeHost(here));
    CHECK(cudaFreeHost(there));
}

int main() {
    elementwise();
    threads();
    asynchronous();
    rows();
    queries();
    CHECK(cudaDeviceSynchronize());
    puts("all as computed here");
}
