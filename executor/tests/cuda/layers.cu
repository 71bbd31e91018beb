// cuBLASLt's product with a bias and an activation, and cuDNN's convolution, against ones computed here. The libraries are found at
// run time, so that nothing of them is needed to build this; numbers are those of their headers.
//
//     layers matmul|convolution
#include "check.h"
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <dlfcn.h>
#include <vector>

typedef std::vector<float> Floats;

static void *library;
template <class Function> static Function find(const char *name) {
    void *found = dlsym(library, name);
    EXPECT(found);
    return (Function)found;
}

// Small whole numbers: every order of adding gives the same.
static Floats numbers(size_t count, int step, int modulus) {
    Floats all(count);
    for (size_t i = 0; i < count; i++) all[i] = (int)(i * step % modulus) - modulus / 2;
    return all;
}

static float *on_device(const Floats &values) {
    float *start;
    CHECK(cudaMalloc(&start, values.size() * sizeof(float)));
    CHECK(cudaMemcpy(start, values.data(), values.size() * sizeof(float), cudaMemcpyHostToDevice));
    return start;
}

static void compare(const Floats &expected, const float *device) {
    Floats got(expected.size());
    CHECK(cudaMemcpy(got.data(), device, got.size() * sizeof(float), cudaMemcpyDeviceToHost));
    EXPECT(got == expected);
}

// d = relu(2 transposed(a) b - c + bias), column-major.
static void matmul() {
    typedef void *Object;
    struct Result {
        uint64_t algorithm[8];
        size_t workspace;
        int state;
        float waves;
        int reserved[4];
    };
    library = dlopen("libcublasLt.so.13", RTLD_NOW);
    EXPECT(library);
    const int m = 20, n = 30, k = 40;
    Floats a = numbers(m * k, 7, 11), b = numbers(k * n, 5, 13), c = numbers(m * n, 3, 17), bias = numbers(m, 9, 23), d(m * n);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int l = 0; l < k; l++) sum += a[i * k + l] * b[j * k + l];
            d[j * m + i] = std::max(0.0f, 2 * sum - c[j * m + i] + bias[i]);
        }
    float *da = on_device(a), *db = on_device(b), *dc = on_device(c), *dbias = on_device(bias), *dd = on_device(Floats(m * n));
    void *workspace;
    size_t room = 1 << 20;
    CHECK(cudaMalloc(&workspace, room));
    Object handle, desc, la, lb, lc, preference;
    EXPECT(find<int (*)(Object *)>("cublasLtCreate")(&handle) == 0);
    EXPECT(find<int (*)(Object *, int, int)>("cublasLtMatmulDescCreate")(&desc, 68, 0) == 0);
    auto set = find<int (*)(Object, int, const void *, size_t)>("cublasLtMatmulDescSetAttribute");
    int transposed = 1, epilogue = 2 | 4;
    EXPECT(set(desc, 3, &transposed, 4) == 0);
    EXPECT(set(desc, 7, &epilogue, 4) == 0);
    EXPECT(set(desc, 8, &dbias, 8) == 0);
    auto layout = find<int (*)(Object *, int, uint64_t, uint64_t, int64_t)>("cublasLtMatrixLayoutCreate");
    EXPECT(layout(&la, 0, k, m, k) == 0);
    EXPECT(layout(&lb, 0, k, n, k) == 0);
    EXPECT(layout(&lc, 0, m, n, m) == 0);
    EXPECT(find<int (*)(Object *)>("cublasLtMatmulPreferenceCreate")(&preference) == 0);
    EXPECT(find<int (*)(Object, int, const void *, size_t)>("cublasLtMatmulPreferenceSetAttribute")(preference, 1, &room, 8) == 0);
    Result result;
    int found = 0;
    auto heuristic = find<int (*)(Object, Object, Object, Object, Object, Object, Object, int, Result *, int *)>(
        "cublasLtMatmulAlgoGetHeuristic");
    EXPECT(heuristic(handle, desc, la, lb, lc, lc, preference, 1, &result, &found) == 0);
    EXPECT(found == 1 && result.state == 0 && result.workspace <= room);
    auto multiply = find<int (*)(Object, Object, const float *, const void *, Object, const void *, Object, const float *, const void *,
                                 Object, void *, Object, const void *, void *, size_t, cudaStream_t)>("cublasLtMatmul");
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    float alpha = 2, beta = -1;
    for (int i = 0; i < 3; i++)
        EXPECT(multiply(handle, desc, &alpha, da, la, db, lb, &beta, dc, lc, dd, lc, result.algorithm, workspace, room, stream) == 0);
    CHECK(cudaStreamSynchronize(stream));
    compare(d, dd);
    for (Object one : {la, lb, lc}) EXPECT(find<int (*)(Object)>("cublasLtMatrixLayoutDestroy")(one) == 0);
    EXPECT(find<int (*)(Object)>("cublasLtMatmulPreferenceDestroy")(preference) == 0);
    EXPECT(find<int (*)(Object)>("cublasLtMatmulDescDestroy")(desc) == 0);
    EXPECT(find<int (*)(Object)>("cublasLtDestroy")(handle) == 0);
    puts("the product as computed here");
}

// y = x * w with a border of one zero, cuDNN's cross-correlation.
static void convolution() {
    typedef void *Object;
    library = dlopen("libcudnn.so.9", RTLD_NOW);
    EXPECT(library);
    const int N = 2, C = 3, K = 4, H = 10, W = 12;
    Floats x = numbers(N * C * H * W, 7, 11), w = numbers(K * C * 9, 5, 7), y(N * K * H * W);
    auto at = [&](int image, int channel, int row, int column) {
        bool inside = row >= 0 && row < H && column >= 0 && column < W;
        return inside ? x[((image * C + channel) * H + row) * W + column] : 0.0f;
    };
    for (int image = 0; image < N; image++)
        for (int out = 0; out < K; out++)
            for (int i = 0; i < H * W; i++) {
                float sum = 0;
                for (int t = 0; t < C * 9; t++)
                    sum += w[out * C * 9 + t] * at(image, t / 9, i / W + t % 9 / 3 - 1, i % W + t % 3 - 1);
                y[(image * K + out) * H * W + i] = sum;
            }
    float *dx = on_device(x), *dw = on_device(w), *dy = on_device(Floats(y.size()));
    Object handle, tx, ty, filter, conv;
    EXPECT(find<int (*)(Object *)>("cudnnCreate")(&handle) == 0);
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    EXPECT(find<int (*)(Object, cudaStream_t)>("cudnnSetStream")(handle, stream) == 0);
    for (Object *one : {&tx, &ty}) EXPECT(find<int (*)(Object *)>("cudnnCreateTensorDescriptor")(one) == 0);
    auto set = find<int (*)(Object, int, int, int, int, int, int)>("cudnnSetTensor4dDescriptor");
    EXPECT(set(tx, 0, 0, N, C, H, W) == 0);
    EXPECT(set(ty, 0, 0, N, K, H, W) == 0);
    EXPECT(find<int (*)(Object *)>("cudnnCreateFilterDescriptor")(&filter) == 0);
    EXPECT(find<int (*)(Object, int, int, int, int, int, int)>("cudnnSetFilter4dDescriptor")(filter, 0, 0, K, C, 3, 3) == 0);
    EXPECT(find<int (*)(Object *)>("cudnnCreateConvolutionDescriptor")(&conv) == 0);
    auto set_conv = find<int (*)(Object, int, int, int, int, int, int, int, int)>("cudnnSetConvolution2dDescriptor");
    EXPECT(set_conv(conv, 1, 1, 1, 1, 1, 1, 1, 0) == 0);
    // CUDNN_FMA_MATH: floats all the way.
    EXPECT(find<int (*)(Object, int)>("cudnnSetConvolutionMathType")(conv, 3) == 0);
    size_t room = 0;
    auto ask = find<int (*)(Object, Object, Object, Object, Object, int, size_t *)>("cudnnGetConvolutionForwardWorkspaceSize");
    EXPECT(ask(handle, tx, filter, conv, ty, 0, &room) == 0);
    void *workspace = nullptr;
    if (room) CHECK(cudaMalloc(&workspace, room));
    auto forward = find<int (*)(Object, const float *, Object, const void *, Object, const void *, Object, int, void *, size_t,
                                const float *, Object, void *)>("cudnnConvolutionForward");
    float one = 1, zero = 0;
    for (int i = 0; i < 3; i++) EXPECT(forward(handle, &one, tx, dx, filter, dw, conv, 0, workspace, room, &zero, ty, dy) == 0);
    CHECK(cudaStreamSynchronize(stream));
    compare(y, dy);
    EXPECT(find<int (*)(Object)>("cudnnDestroy")(handle) == 0);
    puts("the convolution as computed here");
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "convolution")) convolution();
    else matmul();
}
