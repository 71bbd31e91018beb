// Descriptors of cuBLASLt and cuDNN, set, read back and put together, which needs no GPU: what the libraries say natively they must
// say through the proxy, whatever happens to the process in between. The libraries are found at run time, so that nothing of them
// is needed to build this; numbers are those of their headers. It writes a line a step to a file.
//
//     descriptors FILE STEPS [PAUSE_US|forbidden]
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void *Object;
typedef int (*Call)();

static void *lt, *dnn;
static FILE *out;

static void say(int status) { fprintf(out, " %d", status); }

static void *find(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "no %s\n", name);
        exit(4);
    }
    return found;
}
#define LT(name, types) ((int(*) types)find(lt, "cublasLt" #name))
#define DNN(name, types) ((int(*) types)find(dnn, "cudnn" #name))

static void bytes(const char *what, int status, const void *start, size_t len) {
    fprintf(out, " %s=%d:", what, status);
    for (size_t i = 0; i < len; i++) fprintf(out, "%02x", ((const uint8_t *)start)[i]);
}

// cuBLASLt: a description of a product, a layout of the library's and one in memory of our own.
static void *product, *layout, *preference;
static uint64_t own_layout[8];

static void lt_set(const char *kind, void *desc, int attribute, const void *value, size_t len) {
    char name[64];
    snprintf(name, sizeof name, "cublasLt%sSetAttribute", kind);
    int status = ((int (*)(void *, int, const void *, size_t))find(lt, name))(desc, attribute, value, len);
    fprintf(out, " %s%d=%d", kind, attribute, status);
}
static void lt_get(const char *kind, void *desc, int attribute, size_t len) {
    char name[64];
    uint8_t value[64] = {0};
    size_t written = 0;
    snprintf(name, sizeof name, "cublasLt%sGetAttribute", kind);
    int status = ((int (*)(void *, int, void *, size_t, size_t *))find(lt, name))(desc, attribute, value, len, &written);
    bytes(kind, status, value, len);
    fprintf(out, "/%zu", written);
}

static void lt_begin(void) {
    fprintf(out, "%d", LT(MatmulDescCreate, (void **, int, int))(&product, 68, 0));
    fprintf(out, "%d", LT(MatrixLayoutCreate, (void **, int, uint64_t, uint64_t, int64_t))(&layout, 0, 30, 40, 50));
    fprintf(out, "%d", LT(MatmulPreferenceCreate, (void **))(&preference));
    int (*init)(void *, size_t, int, uint64_t, uint64_t, int64_t) = find(lt, "cublasLtMatrixLayoutInit_internal");
    fprintf(out, "%d\n", init(own_layout, sizeof own_layout, 2, 7, 8, 9));
}

static void lt_step(int step) {
    int32_t transposed = step & 1, epilogue = 1 << step % 3, mode = 0;
    uint64_t workspace = 1000 + step, bias = 0x200000001000 + 256 * step, columns = 40 + step;
    void *fresh = NULL;
    fprintf(out, " %d", LT(MatrixLayoutCreate, (void **, int, uint64_t, uint64_t, int64_t))(&fresh, 0, step + 1, 2, step + 1));
    lt_set("MatmulDesc", product, step % 2 ? 3 : 4, &transposed, 4);
    lt_set("MatmulDesc", product, 7, &epilogue, 4);
    lt_set("MatmulDesc", product, 8, &bias, 8);
    lt_set("MatmulDesc", product, 2, &mode, 4);
    lt_set("MatmulDesc", product, 3, &mode, 3);
    lt_set("MatrixLayout", layout, 3, &columns, 8);
    lt_set("MatrixLayout", (void *)own_layout, 2, &columns, 8);
    lt_set("MatmulPreference", preference, 1, &workspace, 8);
    for (int attribute = 0; attribute < 9; attribute++) lt_get("MatmulDesc", product, attribute, attribute == 8 ? 8 : 4);
    for (int attribute = 0; attribute < 7; attribute++) {
        lt_get("MatrixLayout", layout, attribute, attribute < 2 || attribute == 5 ? 4 : 8);
        lt_get("MatrixLayout", (void *)own_layout, attribute, attribute < 2 || attribute == 5 ? 4 : 8);
    }
    lt_get("MatrixLayout", fresh, 2, 8);
    lt_get("MatmulPreference", preference, 1, 8);
    fprintf(out, " %d", LT(MatrixLayoutDestroy, (void *))(fresh));
}

// cuDNN's descriptors.
static Object tensor, filter, convolution, pooling, activation, lrn, attention, dropout;

static void dnn_begin(void) {
    fprintf(out, "%d", DNN(CreateTensorDescriptor, (Object *))(&tensor));
    fprintf(out, "%d", DNN(CreateFilterDescriptor, (Object *))(&filter));
    fprintf(out, "%d", DNN(CreateConvolutionDescriptor, (Object *))(&convolution));
    fprintf(out, "%d", DNN(CreatePoolingDescriptor, (Object *))(&pooling));
    fprintf(out, "%d", DNN(CreateActivationDescriptor, (Object *))(&activation));
    fprintf(out, "%d", DNN(CreateAttnDescriptor, (Object *))(&attention));
    fprintf(out, "%d", DNN(CreateDropoutDescriptor, (Object *))(&dropout));
    fprintf(out, "%d\n", DNN(CreateLRNDescriptor, (Object *))(&lrn));
}

static void dnn_step(int step) {
    int dims[4] = {2, 3, 8 + step % 5, 9}, strides[4] = {27 * dims[2], 9 * dims[2], 9, 1}, kernel[4] = {4, 3, 3, 3};
    int pads[2] = {step % 3, 1}, ones[2] = {1, 1}, window[2] = {2, 2};
    int got[16] = {0}, type = -1, mode = -1, count = -1, format = -1;
    double coefficient = 0, a = 0, b = 0, k = 0;
    unsigned n = 0;
    // In some steps only: in others what was set before must still hold.
    if (step % 4 == 0) {
        fprintf(out, " %d", DNN(SetTensorNdDescriptor, (Object, int, int, int *, int *))(tensor, 0, 4, dims, strides));
        fprintf(out, " %d", DNN(SetFilterNdDescriptor, (Object, int, int, int, int *))(filter, 0, 0, 4, kernel));
        fprintf(out, " %d", DNN(SetConvolutionNdDescriptor, (Object, int, int *, int *, int *, int, int))
                (convolution, 2, pads, ones, ones, 1, 0));
        fprintf(out, " %d", DNN(SetPoolingNdDescriptor, (Object, int, int, int, int *, int *, int *))
                (pooling, 1, 1, 2, window, pads, ones));
        fprintf(out, " %d", DNN(SetActivationDescriptor, (Object, int, int, double))(activation, 4, 1, 1.5 + step));
        fprintf(out, " %d", DNN(SetLRNDescriptor, (Object, unsigned, double, double, double))(lrn, 5, 1e-4, 0.75 + step, 2.0));
    }
    // Many arguments, a double among them, and other descriptors' handles in and out.
    typedef int (*SetAttention)(Object, unsigned, int, double, int, int, int, Object, Object, int, int, int, int, int, int, int, int, int, int, int);
    typedef int (*GetAttention)(Object, unsigned *, int *, double *, int *, int *, int *, Object *, Object *, int *, int *, int *, int *,
                                int *, int *, int *, int *, int *, int *, int *);
    if (step % 4 == 1)
        fprintf(out, " %d", ((SetAttention)DNN(SetAttnDescriptor, ()))(attention, 0, 2, 0.5 + step, 0, 0, 0, dropout, dropout, 8, 8, 8, 4, 4,
                                                                       4, 8, 16, 17 + step, 3, 1));
    unsigned flags = 0;
    int part[14] = {0};
    Object drops[2] = {NULL, NULL};
    double scaler = 0;
    int was = ((GetAttention)DNN(GetAttnDescriptor, ()))(attention, &flags, &part[0], &scaler, &part[1], &part[2], &part[3], &drops[0],
                                                         &drops[1], &part[4], &part[5], &part[6], &part[7], &part[8], &part[9],
                                                         &part[10], &part[11], &part[12], &part[13], &type);
    bytes("attention", was, part, sizeof part);
    fprintf(out, " %.17g %d", scaler, (drops[0] == dropout) + (drops[1] == dropout));
    fprintf(out, " %d", DNN(SetConvolutionGroupCount, (Object, int))(convolution, 1));
    fprintf(out, " %d", DNN(SetTensorNdDescriptor, (Object, int, int, int *, int *))(tensor, 0, 99, dims, strides));
    int status = DNN(GetTensorNdDescriptor, (Object, int, int *, int *, int *, int *))(tensor, 4, &type, &count, got, got + 4);
    bytes("tensor", status, got, 32);
    status = DNN(GetFilterNdDescriptor, (Object, int, int *, int *, int *, int *))(filter, 4, &type, &format, &count, got);
    bytes("filter", status, got, 16);
    status = DNN(GetConvolutionNdDescriptor, (Object, int, int *, int *, int *, int *, int *, int *))
             (convolution, 2, &count, got, got + 2, got + 4, &mode, &type);
    bytes("convolution", status, got, 24);
    status = DNN(GetConvolutionNdForwardOutputDim, (Object, Object, Object, int, int *))(convolution, tensor, filter, 4, got);
    bytes("output", status, got, 16);
    status = DNN(GetPoolingNdForwardOutputDim, (Object, Object, int, int *))(pooling, tensor, 4, got);
    bytes("pooled", status, got, 16);
    status = DNN(GetActivationDescriptor, (Object, int *, int *, double *))(activation, &mode, &format, &coefficient);
    fprintf(out, " activation=%d:%d %d %.17g", status, mode, format, coefficient);
    status = DNN(GetLRNDescriptor, (Object, unsigned *, double *, double *, double *))(lrn, &n, &a, &b, &k);
    fprintf(out, " lrn=%d:%u %.17g %.17g %.17g", status, n, a, b, k);
}

// cuDNN's graphs.
static int set(Object desc, int attribute, int type, int64_t count, const void *values) {
    return DNN(BackendSetAttribute, (Object, int, int, int64_t, const void *))(desc, attribute, type, count, values);
}
static int get(Object desc, int attribute, int type, int64_t room, int64_t *count, void *values) {
    return DNN(BackendGetAttribute, (Object, int, int, int64_t, int64_t *, void *))(desc, attribute, type, room, count, values);
}
static int create(int kind, Object *desc) { return DNN(BackendCreateDescriptor, (int, Object *))(kind, desc); }
static int finalize(Object desc) { return DNN(BackendFinalize, (Object))(desc); }
static int destroy(Object desc) { return DNN(BackendDestroyDescriptor, (Object))(desc); }

static Object new_tensor(int64_t id, int64_t rows) {
    int64_t dims[3] = {1, rows, 8}, strides[3] = {8 * rows, 8, 1}, alignment = 16;
    int type = 0;
    int8_t by_value = 0;
    Object desc = NULL;
    say(create(17, &desc));
    say(set(desc, 901, 1, 1, &type));
    say(set(desc, 902, 3, 3, dims));
    say(set(desc, 903, 3, 3, strides));
    say(set(desc, 906, 3, 1, &id));
    say(set(desc, 900, 3, 1, &alignment));
    say(set(desc, 908, 2, 1, &by_value));
    say(finalize(desc));
    return desc;
}

enum { KNOBS = 4 };
static Object relu, operation, graph, engine, x, y, knobs[KNOBS];

// y = relu(x), as an operation in a graph, and an engine that can carry it out, asked for its knobs.
static void graph_begin(int64_t number) {
    int mode = 100, type = 0;
    x = new_tensor('x', number + 4);
    y = new_tensor('y', number + 4);
    say(create(0, &relu));
    say(set(relu, 0, 14, 1, &mode));
    say(set(relu, 1, 1, 1, &type));
    say(finalize(relu));
    say(create(13, &operation));
    say(set(operation, 750, 15, 1, &relu));
    say(set(operation, 751, 15, 1, &x));
    say(set(operation, 753, 15, 1, &y));
    say(finalize(operation));
    say(create(15, &graph));
    say(set(graph, 801, 15, 1, &operation));
    say(finalize(graph));
    int64_t index = number % 3, count = -1;
    say(create(2, &engine));
    say(set(engine, 1300, 15, 1, &graph));
    say(set(engine, 1301, 3, 1, &index));
    say(finalize(engine));
    for (int i = 0; i < KNOBS; i++) say(create(8, &knobs[i]));
    say(get(engine, 1302, 15, KNOBS, &count, knobs));
    fprintf(out, ":%lld\n", (long long)count);
    // What was found stays when one of those that it was found with goes.
    say(destroy(knobs[0]));
}

static void graph_end(void) {
    for (int i = 1; i < KNOBS; i++) say(destroy(knobs[i]));
    Object all[] = {engine, graph, operation, relu, x, y};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) say(destroy(all[i]));
}

static void ask(Object desc, int attribute, int type, int64_t room, size_t len) {
    uint8_t values[64] = {0};
    int64_t count = -1;
    bytes("is", get(desc, attribute, type, room, &count, values), values, len);
    fprintf(out, "/%lld", (long long)count);
}

static void graph_step(int step) {
    ask(x, 902, 3, 4, 24);
    ask(y, 903, 3, 4, 24);
    ask(relu, 0, 14, 1, 4);
    ask(graph, 802, 3, 1, 8);
    ask(engine, 1303, 11, 8, 32);
    ask(knobs[1], 1200, 9, 1, 4);
    ask(knobs[1], 1201, 3, 1, 8);
    ask(knobs[1], 1202, 3, 1, 8);
    ask(knobs[2], 1200, 9, 1, 4);
    // Another graph of what is there.
    Object other = NULL, again = NULL, z = new_tensor('z', 4);
    say(create(13, &other));
    say(set(other, 750, 15, 1, &relu));
    say(set(other, 751, 15, 1, &x));
    say(set(other, 753, 15, 1, &z));
    say(finalize(other));
    say(create(15, &again));
    say(set(again, 801, 15, 1, &other));
    say(finalize(again));
    ask(again, 802, 3, 1, 8);
    // Addresses, here of scalars of the host's.
    Object pack = NULL;
    float scalar = step;
    void *pointers[2] = {&scalar, NULL};
    int64_t ids[2] = {'s', 't'};
    say(create(16, &pack));
    say(set(pack, 1001, 6, 2, pointers));
    say(set(pack, 1000, 3, 2, ids));
    say(finalize(pack));
    say(destroy(pack));
    say(destroy(again));
    say(destroy(other));
    say(destroy(z));
}

// What cuDNN forbids, and does not check: descriptors are used when they, or what they are made from, are gone.
static void forbidden(void) {
    Object pieces[3], other = NULL;
    int mode = 100, type = 0;
    create(0, &pieces[0]);
    set(pieces[0], 0, 14, 1, &mode);
    set(pieces[0], 1, 1, 1, &type);
    finalize(pieces[0]);
    for (int i = 1; i < 3; i++) pieces[i] = new_tensor(i, 4);
    create(13, &other);
    set(other, 750, 15, 1, &pieces[0]);
    set(other, 751, 15, 1, &pieces[1]);
    set(other, 753, 15, 1, &pieces[2]);
    for (int i = 0; i < 3; i++) destroy(pieces[i]);
    say(finalize(other));
    destroy(other);
    // Something else takes its memory.
    for (int i = 0; i < 64; i++) new_tensor(i, 5);
    say(set(other, 753, 15, 1, &pieces[2]));
    say(finalize(other));
    fprintf(out, "\n");
}

int main(int argc, char **argv) {
    out = fopen(argv[1], "w");
    int steps = atoi(argv[2]), pause = argc > 3 ? atoi(argv[3]) : 0;
    lt = dlopen("libcublasLt.so.13", RTLD_NOW);
    dnn = dlopen("libcudnn.so.9", RTLD_NOW);
    if (!out || !lt || !dnn) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    fprintf(out, "%zu %zu ", ((size_t(*)(void))find(lt, "cublasLtGetVersion"))(), ((size_t(*)(void))find(dnn, "cudnnGetVersion"))());
    fprintf(out, "%s; ", ((const char *(*)(int))find(lt, "cublasLtGetStatusString"))(15));
    fprintf(out, "%s\n", ((const char *(*)(int))find(dnn, "cudnnGetErrorString"))(3000));
    if (argc > 3 && !strcmp(argv[3], "forbidden")) forbidden();
    lt_begin();
    dnn_begin();
    graph_begin(4);
    for (int step = 0; step < steps; step++) {
        fprintf(out, "%d", step);
        lt_step(step);
        dnn_step(step);
        graph_step(step);
        if (step % 7 == 6) {
            graph_end();
            graph_begin(step);
        }
        fprintf(out, "\n");
        fflush(out);
        usleep(pause);
    }
    return 0;
}
