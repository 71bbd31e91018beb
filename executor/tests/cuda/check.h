// What the test programs share.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>

// Ends the program with the place and the error's name.
#define CHECK(call)                                                                         \
    do {                                                                                    \
        cudaError_t code = (call);                                                          \
        if (code != cudaSuccess) {                                                          \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorName(code)); \
            exit(3);                                                                        \
        }                                                                                   \
    } while (0)

#define EXPECT(condition)                                                        \
    do {                                                                         \
        if (!(condition)) {                                                      \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(4);                                                             \
        }                                                                        \
    } while (0)

static inline int blocks(int n) { return (n + 255) / 256; }
