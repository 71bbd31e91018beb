// Kernels that the simulated device knows by name. On a GPU they are compiled like any others.
#pragma once
#include <cuda_runtime.h>

static __device__ __forceinline__ int thread() { return blockIdx.x * blockDim.x + threadIdx.x; }

__global__ void fill(float *x, float value, int n) {
    if (int i = thread(); i < n) x[i] = value;
}
__global__ void vector_add(const float *a, const float *b, float *out, int n) {
    if (int i = thread(); i < n) out[i] = a[i] + b[i];
}
__global__ void subtract(const float *a, const float *b, float *out, int n) {
    if (int i = thread(); i < n) out[i] = a[i] - b[i];
}
__global__ void saxpy(float a, const float *x, float *y, int n) {
    if (int i = thread(); i < n) y[i] = fmaf(a, x[i], y[i]);
}
__global__ void scale(float *x, float factor, int n) {
    if (int i = thread(); i < n) x[i] *= factor;
}
__global__ void relu(const float *x, float *y, int n) {
    if (int i = thread(); i < n) y[i] = x[i] > 0 ? x[i] : 0;
}
__global__ void relu_gradient(const float *y, const float *upstream, float *out, int n) {
    if (int i = thread(); i < n) out[i] = y[i] > 0 ? upstream[i] : 0;
}
__global__ void sgd_step(float *weights, const float *gradient, float rate, int n) {
    if (int i = thread(); i < n) weights[i] = fmaf(-rate, gradient[i], weights[i]);
}
// One thread adds up in order, so that the result is the same everywhere.
__global__ void reduce_sum(const float *x, float *out, int n) {
    if (thread() != 0) return;
    float sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    *out = sum;
}

template <class A, class B>
static __device__ void product(float *c, int m, int n, int k, A a, B b) {
    for (int at = thread(); at < m * n; at += gridDim.x * blockDim.x) {
        float sum = 0;
        for (int i = 0; i < k; i++) sum = fmaf(a(at / n, i), b(i, at % n), sum);
        c[at] = sum;
    }
}
// Row-major c (m, n) = a (m, k) b (k, n); _nt: b (n, k); _tn: a (k, m).
__global__ void matmul(const float *a, const float *b, float *c, int m, int n, int k) {
    product(c, m, n, k, [=](int i, int l) { return a[i * k + l]; }, [=](int l, int j) { return b[l * n + j]; });
}
__global__ void matmul_nt(const float *a, const float *b, float *c, int m, int n, int k) {
    product(c, m, n, k, [=](int i, int l) { return a[i * k + l]; }, [=](int l, int j) { return b[j * k + l]; });
}
__global__ void matmul_tn(const float *a, const float *b, float *c, int m, int n, int k) {
    product(c, m, n, k, [=](int i, int l) { return a[l * m + i]; }, [=](int l, int j) { return b[l * n + j]; });
}
