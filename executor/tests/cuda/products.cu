// cuBLAS's products of 32-bit floats, against ones computed here. The library is found at run time, so that nothing of it is
// needed to build this.
#include "check.h"
#include <cmath>
#include <dlfcn.h>
#include <vector>

typedef void *Blas;
typedef int (*Create)(Blas *);
typedef int (*SetStream)(Blas, cudaStream_t);
typedef int (*Gemm)(Blas, int, int, int, int, int, const float *, const float *, int, const float *, int, const float *, float *, int);
typedef int (*Batched)(Blas, int, int, int, int, int, const float *, const float *, int, long long, const float *, int, long long,
                       const float *, float *, int, long long, int);

int main() {
    void *library = dlopen("libcublas.so.13", RTLD_NOW);
    EXPECT(library);
    auto create = (Create)dlsym(library, "cublasCreate_v2");
    auto set_stream = (SetStream)dlsym(library, "cublasSetStream_v2");
    auto gemm = (Gemm)dlsym(library, "cublasSgemm_v2");
    auto batched = (Batched)dlsym(library, "cublasSgemmStridedBatched");

    EXPECT(create && set_stream && gemm && batched);
    const int m = 20, n = 30, k = 40, batch = 3;
    std::vector<float> a(m * k * batch), b(k * n * batch), c(m * n * batch, 1), back(m * n * batch);
    // Small whole numbers: every order of adding gives the same.
    for (size_t i = 0; i < a.size(); i++) a[i] = (int)(i * 7 % 11) - 5;
    for (size_t i = 0; i < b.size(); i++) b[i] = (int)(i * 5 % 13) - 6;
    float *da, *db, *dc, alpha = 2, beta = -1;
    CHECK(cudaMalloc(&da, a.size() * sizeof(float)));
    CHECK(cudaMalloc(&db, b.size() * sizeof(float)));
    CHECK(cudaMalloc(&dc, c.size() * sizeof(float)));
    CHECK(cudaMemcpy(da, a.data(), a.size() * sizeof(float), cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy(db, b.data(), b.size() * sizeof(float), cudaMemcpyHostToDevice));
    Blas blas;
    cudaStream_t stream;
    EXPECT(create(&blas) == 0);
    CHECK(cudaStreamCreate(&stream));
    EXPECT(set_stream(blas, stream) == 0);
    for (int mode = 0; mode < 4; mode++) {
        bool ta = mode & 1, tb = mode & 2;
        CHECK(cudaMemcpyAsync(dc, c.data(), c.size() * sizeof(float), cudaMemcpyHostToDevice, stream));
        EXPECT(gemm(blas, ta, tb, m, n, k, &alpha, da, ta ? k : m, db, tb ? n : k, &beta, dc, m) == 0);
        EXPECT(batched(blas, ta, tb, m, n, k, &alpha, da + m * k, ta ? k : m, m * k, db + k * n, tb ? n : k, k * n, &beta,
                       dc + m * n, m, m * n, batch - 1) == 0);
        CHECK(cudaMemcpyAsync(back.data(), dc, back.size() * sizeof(float), cudaMemcpyDeviceToHost, stream));
        CHECK(cudaStreamSynchronize(stream));
        for (int which = 0; which < batch; which++)
            for (int i = 0; i < m; i++)
                for (int j = 0; j < n; j++) {
                    const float *x = &a[which * m * k], *y = &b[which * k * n];
                    float sum = 0;
                    for (int l = 0; l < k; l++) sum += (ta ? x[i * k + l] : x[l * m + i]) * (tb ? y[l * n + j] : y[j * k + l]);
                    EXPECT(back[which * m * n + j * m + i] == 2 * sum - 1);
                }
    }
    EXPECT(gemm(blas, 0, 0, m, n, k, &alpha, da, m - 1, db, k, &beta, dc, m) == 7);
    puts("products as computed here");
}
