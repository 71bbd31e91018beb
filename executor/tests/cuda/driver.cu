// The driver's API alone, found at run time as programs do that must start without a GPU: contexts, a module from PTX text,
// launches with both kinds of parameters, memory, streams, events.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cuda.h>
#include <dlfcn.h>
#include <vector>

#define CHECK(call)                                                               \
    do {                                                                          \
        CUresult code = (call);                                                   \
        if (code != CUDA_SUCCESS) {                                               \
            fprintf(stderr, "%s:%d: %s: %d\n", __FILE__, __LINE__, #call, code);  \
            exit(3);                                                              \
        }                                                                         \
    } while (0)
#define EXPECT(condition)                                                            \
    do {                                                                             \
        if (!(condition)) {                                                          \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);  \
            exit(4);                                                                 \
        }                                                                            \
    } while (0)

static const char *ptx = R"(
.version 7.0
.target sm_52
.address_size 64
.visible .entry vector_add(.param .u64 a, .param .u64 b, .param .u64 out, .param .u32 n)
{
    .reg .pred %p; .reg .b32 %r<6>; .reg .f32 %f<3>; .reg .b64 %d<8>;
    ld.param.u64 %d0, [a]; ld.param.u64 %d1, [b]; ld.param.u64 %d2, [out]; ld.param.u32 %r0, [n];
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.s32 %r4, %r1, %r2, %r3;
    setp.ge.s32 %p, %r4, %r0; @%p bra END;
    mul.wide.s32 %d3, %r4, 4; add.s64 %d4, %d0, %d3; add.s64 %d5, %d1, %d3; add.s64 %d6, %d2, %d3;
    ld.global.f32 %f0, [%d4]; ld.global.f32 %f1, [%d5]; add.f32 %f2, %f0, %f1; st.global.f32 [%d6], %f2;
END: ret;
}
)";

static void *library;

template <class F>
static F *function(const char *name) {
    static decltype(&cuGetProcAddress) get = (decltype(&cuGetProcAddress))dlsym(library, "cuGetProcAddress_v2");
    void *found = nullptr;
    CUdriverProcAddressQueryResult status;
    CHECK(get(name, &found, 12000, CU_GET_PROC_ADDRESS_DEFAULT, &status));
    EXPECT(found && status == CU_GET_PROC_ADDRESS_SUCCESS);
    return (F *)found;
}

// The header's macros make newer versions' names of these; a program asks by the plain one.
#define CALL(name) function<decltype(name)>(#name)

int main() {
    library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    EXPECT(library);
    CHECK(CALL(cuInit)(0));
    int count = 0, version = 0;
    CUdevice device;
    CHECK(CALL(cuDeviceGetCount)(&count));
    CHECK(CALL(cuDriverGetVersion)(&version));
    EXPECT(count == 1 && version >= 12000);
    CHECK(CALL(cuDeviceGet)(&device, 0));
    char name[64];
    CHECK(CALL(cuDeviceGetName)(name, sizeof name, device));
    EXPECT(strlen(name) > 3);
    CUcontext context;
    CHECK(CALL(cuDevicePrimaryCtxRetain)(&context, device));
    CHECK(CALL(cuCtxSetCurrent)(context));

    CUmodule module;
    CUfunction add;
    CHECK(CALL(cuModuleLoadData)(&module, ptx));
    CHECK(CALL(cuModuleGetFunction)(&add, module, "vector_add"));
    CUfunction none;
    EXPECT(CALL(cuModuleGetFunction)(&none, module, "none") == CUDA_ERROR_NOT_FOUND);

    const int n = 5000;
    std::vector<float> host(n), back(n);
    for (int i = 0; i < n; i++) host[i] = i;
    CUdeviceptr a, out;
    auto allocate = CALL(cuMemAlloc);
    CHECK(allocate(&a, n * sizeof(float)));
    CHECK(allocate(&out, n * sizeof(float)));
    EXPECT(allocate(&out, 0) == CUDA_ERROR_INVALID_VALUE);
    CUstream stream;
    CUevent begin, end;
    CHECK(CALL(cuStreamCreate)(&stream, CU_STREAM_NON_BLOCKING));
    auto event = CALL(cuEventCreate);
    auto record = CALL(cuEventRecord);
    CHECK(event(&begin, CU_EVENT_DEFAULT));
    CHECK(event(&end, CU_EVENT_DEFAULT));
    CHECK(record(begin, stream));
    CHECK(CALL(cuMemcpyHtoDAsync)(a, host.data(), n * sizeof(float), stream));
    auto launch = CALL(cuLaunchKernel);
    int items = n;
    void *args[] = {&a, &a, &out, &items};
    CHECK(launch(add, (n + 255) / 256, 1, 1, 256, 1, 1, 0, stream, args, nullptr));
    struct {
        CUdeviceptr a, b, out;
        int n;
    } packed = {a, out, out, n};
    size_t size = 28;
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &packed, CU_LAUNCH_PARAM_BUFFER_SIZE, &size, CU_LAUNCH_PARAM_END};
    CHECK(launch(add, (n + 255) / 256, 1, 1, 256, 1, 1, 0, stream, nullptr, extra));
    CHECK(record(end, stream));
    CHECK(CALL(cuMemcpyDtoHAsync)(back.data(), out, n * sizeof(float), stream));
    CHECK(CALL(cuStreamSynchronize)(stream));
    for (int i = 0; i < n; i++) EXPECT(back[i] == 3.0f * i);
    float milliseconds = -1;
    CHECK(CALL(cuEventElapsedTime)(&milliseconds, begin, end));
    EXPECT(milliseconds >= 0);
    CHECK(CALL(cuMemsetD32)(out, 0x3F800000, n));
    CHECK(CALL(cuMemcpyDtoH)(back.data(), out, n * sizeof(float)));
    for (float v : back) EXPECT(v == 1);
    CHECK(CALL(cuMemFree)(a));
    CHECK(CALL(cuModuleUnload)(module));
    CHECK(CALL(cuDevicePrimaryCtxRelease)(device));
    const void *table;
    CUuuid id = {};
    EXPECT(CALL(cuGetExportTable)(&table, &id) == CUDA_ERROR_NOT_SUPPORTED);
    puts("the driver's calls as documented");
}
