// Trains a small network by gradient descent, with a second thread at work on a stream of its own, and writes each step's loss
// to a file. Every loss is compared with one computed here in the same order.
//
//     train LOSSES STEPS [PAUSE_US]
#include "check.h"
#include "kernels.cuh"
#include <atomic>
#include <cmath>
#include <cstring>
#include <thread>
#include <unistd.h>
#include <vector>

typedef std::vector<float> Floats;
const int N = 64, D = 16, H = 32, O = 4;
const float RATE = 1e-4f;

static unsigned long long state = 42;
static float random_float() {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (float)(state >> 40) / (1 << 24) - 0.5f;
}
static Floats random_floats(int n) {
    Floats all(n);
    for (float &x : all) x = random_float();
    return all;
}

// c (m, n) of terms a(i, l) * b(l, j), as the kernels do.
template <class A, class B>
static Floats product(int m, int n, int k, A a, B b) {
    Floats c(m * n);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int l = 0; l < k; l++) sum = fmaf(a(i, l), b(l, j), sum);
            c[i * n + j] = sum;
        }
    return c;
}

struct Host {
    Floats x, t, w1, w2;
    float step() {
        Floats h = product(N, H, D, [&](int i, int l) { return x[i * D + l]; }, [&](int l, int j) { return w1[l * H + j]; });
        for (float &v : h) v = v > 0 ? v : 0;
        Floats e = product(N, O, H, [&](int i, int l) { return h[i * H + l]; }, [&](int l, int j) { return w2[l * O + j]; });
        for (int i = 0; i < N * O; i++) e[i] = e[i] - t[i];
        float loss = 0;
        for (float v : e) loss = fmaf(v, v, loss);
        Floats g2 = product(H, O, N, [&](int i, int l) { return h[l * H + i]; }, [&](int l, int j) { return e[l * O + j]; });
        Floats gh = product(N, H, O, [&](int i, int l) { return e[i * O + l]; }, [&](int l, int j) { return w2[j * O + l]; });
        for (int i = 0; i < N * H; i++) gh[i] = h[i] > 0 ? gh[i] : 0;
        Floats g1 = product(D, H, N, [&](int i, int l) { return x[l * D + i]; }, [&](int l, int j) { return gh[l * H + j]; });
        for (int i = 0; i < D * H; i++) w1[i] = fmaf(-RATE, g1[i], w1[i]);
        for (int i = 0; i < H * O; i++) w2[i] = fmaf(-RATE, g2[i], w2[i]);
        return loss;
    }
};

static float *device(const Floats &all) {
    float *to;
    CHECK(cudaMalloc(&to, all.size() * sizeof(float)));
    CHECK(cudaMemcpy(to, all.data(), all.size() * sizeof(float), cudaMemcpyHostToDevice));
    return to;
}
static float *device(int n) { return device(Floats(n)); }

struct Device {
    float *x, *t, *w1, *w2, *h = device(N * H), *e = device(N * O), *g1 = device(D * H), *g2 = device(H * O), *gh = device(N * H),
                            *loss = device(1);
    cudaStream_t stream;
    float step() {
        matmul<<<blocks(N * H), 256, 0, stream>>>(x, w1, h, N, H, D);
        relu<<<blocks(N * H), 256, 0, stream>>>(h, h, N * H);
        matmul<<<blocks(N * O), 256, 0, stream>>>(h, w2, e, N, O, H);
        subtract<<<blocks(N * O), 256, 0, stream>>>(e, t, e, N * O);
        matmul_nt<<<1, 256, 0, stream>>>(e, e, loss, 1, 1, N * O);
        matmul_tn<<<blocks(H * O), 256, 0, stream>>>(h, e, g2, H, O, N);
        matmul_nt<<<blocks(N * H), 256, 0, stream>>>(e, w2, gh, N, H, O);
        relu_gradient<<<blocks(N * H), 256, 0, stream>>>(h, gh, gh, N * H);
        matmul_tn<<<blocks(D * H), 256, 0, stream>>>(x, gh, g1, D, H, N);
        sgd_step<<<blocks(D * H), 256, 0, stream>>>(w1, g1, RATE, D * H);
        sgd_step<<<blocks(H * O), 256, 0, stream>>>(w2, g2, RATE, H * O);
        float result;
        CHECK(cudaMemcpyAsync(&result, loss, sizeof result, cudaMemcpyDeviceToHost, stream));
        CHECK(cudaStreamSynchronize(stream));
        return result;
    }
};

// Counts on the device, with memory that comes and goes.
static void other_thread(std::atomic<bool> &over, long &rounds) {
    const int n = 1000;
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    float *sum = device(n), back[n];
    for (rounds = 0; !over && rounds < 1 << 23; rounds++) {
        float *ones;
        CHECK(cudaMalloc(&ones, n * sizeof(float)));
        fill<<<blocks(n), 256, 0, stream>>>(ones, 1, n);
        saxpy<<<blocks(n), 256, 0, stream>>>(1, ones, sum, n);
        CHECK(cudaStreamSynchronize(stream));
        CHECK(cudaFree(ones));
        if (rounds % 16 == 0) {
            CHECK(cudaMemcpy(back, sum, sizeof back, cudaMemcpyDeviceToHost));
            for (float v : back) EXPECT(v == (float)(rounds + 1));
        }
        usleep(500);
    }
    CHECK(cudaStreamDestroy(stream));
}

int main(int count, char **words) {
    EXPECT(count >= 3);
    FILE *losses = fopen(words[1], "w");
    EXPECT(losses != nullptr);
    int steps = atoi(words[2]), pause = count > 3 ? atoi(words[3]) : 0;
    Host host{random_floats(N * D), random_floats(N * O), random_floats(D * H), random_floats(H * O)};
    Device on_device{device(host.x), device(host.t), device(host.w1), device(host.w2)};
    CHECK(cudaStreamCreate(&on_device.stream));
    std::atomic<bool> over(false);
    long rounds = 0;
    std::thread other(other_thread, std::ref(over), std::ref(rounds));
    for (int step = 0; step < steps; step++) {
        float loss = on_device.step(), expected = host.step();
        EXPECT(!memcmp(&loss, &expected, sizeof loss));
        fprintf(losses, "%d %a\n", step, loss);
        fflush(losses);
        if (pause) usleep(pause);
    }
    over = true;
    other.join();
    fclose(losses);
    CHECK(cudaDeviceSynchronize());
    EXPECT(rounds > 0);
}
