#include "baton_probes.h"

#include <stdbool.h>

/* Keeps a result alive that nobody reads. */
static volatile float bp_sink;

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f"))) static uint64_t read_avx512(const void *data, size_t bytes) {
    const char *p = data;
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < bytes; i += 256) {
        _mm_prefetch(p + i + 8192, _MM_HINT_T0);
        _mm_prefetch(p + i + 8192 + 64, _MM_HINT_T0);
        _mm_prefetch(p + i + 8192 + 128, _MM_HINT_T0);
        _mm_prefetch(p + i + 8192 + 192, _MM_HINT_T0);
        a = _mm512_add_epi64(a, _mm512_loadu_si512(p + i));
        b = _mm512_add_epi64(b, _mm512_loadu_si512(p + i + 64));
        c = _mm512_add_epi64(c, _mm512_loadu_si512(p + i + 128));
        d = _mm512_add_epi64(d, _mm512_loadu_si512(p + i + 192));
    }
    return (uint64_t)_mm512_reduce_add_epi64(_mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d)));
}

enum { CHAINS = 24, SHORT_CHAINS = 12 };

__attribute__((target("avx512f"))) static double float32_avx512(size_t iterations) {
    __m512 acc[CHAINS], x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_set1_ps((float)i);
    for (size_t n = 0; n < iterations; n++)
#pragma clang loop unroll(full)
        for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_fmadd_ps(acc[i], x, y);
    for (int i = 1; i < CHAINS; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
    bp_sink = _mm512_reduce_add_ps(acc[0]);
    return 2.0 * CHAINS * 16 * (double)iterations;
}

__attribute__((target("avx512f,avx512bf16"))) static double bfloat16_avx512(size_t iterations) {
    __m512 acc[CHAINS];
    __m512bh x = (__m512bh)_mm512_set1_epi32(0x3c003c00), y = (__m512bh)_mm512_set1_epi32(0x3c013c02);
    for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_set1_ps((float)i);
    for (size_t n = 0; n < iterations; n++)
#pragma clang loop unroll(full)
        for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_dpbf16_ps(acc[i], x, y);
    for (int i = 1; i < CHAINS; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
    bp_sink = _mm512_reduce_add_ps(acc[0]);
    return 4.0 * CHAINS * 16 * (double)iterations;
}

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

#define BP_TILES(NAME, TARGET, PRODUCT, BYTES)                                                        \
    __attribute__((target("avx512f,amx-tile," TARGET))) static double NAME(size_t iterations) {       \
        _Alignas(64) tile_shapes shapes = {.palette = 1};                                             \
        for (int i = 0; i < 8; i++) shapes.row_bytes[i] = 64, shapes.rows[i] = 16;                    \
        _tile_loadconfig(&shapes);                                                                    \
        for (size_t n = 0; n < iterations; n++) {                                                     \
            PRODUCT(0, 4, 6);                                                                         \
            PRODUCT(1, 4, 7);                                                                         \
            PRODUCT(2, 5, 6);                                                                         \
            PRODUCT(3, 5, 7);                                                                         \
        }                                                                                             \
        _tile_release();                                                                              \
        return 4.0 * 2 * 16 * 16 * (64 / BYTES) * (double)iterations;                                 \
    }
BP_TILES(bfloat16_tiles, "amx-bf16", _tile_dpbf16ps, 2)
BP_TILES(int8_tiles, "amx-int8", _tile_dpbsud, 1)

__attribute__((target("avx512f,avx512vnni"))) static double int8_avx512(size_t iterations) {
    __m512i acc[CHAINS], x = _mm512_set1_epi8(3), y = _mm512_set1_epi8(1);
    for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_set1_epi32(i);
    for (size_t n = 0; n < iterations; n++)
#pragma clang loop unroll(full)
        for (int i = 0; i < CHAINS; i++) acc[i] = _mm512_dpbusd_epi32(acc[i], x, y);
    for (int i = 1; i < CHAINS; i++) acc[0] = _mm512_add_epi32(acc[0], acc[i]);
    bp_sink = (float)_mm512_reduce_add_epi32(acc[0]);
    return 8.0 * CHAINS * 16 * (double)iterations;
}

__attribute__((target("avx2"))) static uint64_t read_avx2(const void *data, size_t bytes) {
    const char *p = data;
    __m256i a = _mm256_setzero_si256(), b = a;
    for (size_t i = 0; i < bytes; i += 128) {
        _mm_prefetch(p + i + 4096, _MM_HINT_T0);
        _mm_prefetch(p + i + 4096 + 64, _MM_HINT_T0);
        a = _mm256_add_epi64(a, _mm256_loadu_si256((const __m256i *)(p + i)));
        b = _mm256_add_epi64(b, _mm256_loadu_si256((const __m256i *)(p + i + 32)));
        a = _mm256_add_epi64(a, _mm256_loadu_si256((const __m256i *)(p + i + 64)));
        b = _mm256_add_epi64(b, _mm256_loadu_si256((const __m256i *)(p + i + 96)));
    }
    a = _mm256_add_epi64(a, b);
    return (uint64_t)(_mm256_extract_epi64(a, 0) + _mm256_extract_epi64(a, 1) + _mm256_extract_epi64(a, 2) + _mm256_extract_epi64(a, 3));
}

__attribute__((target("avx2,fma"))) static double float32_avx2(size_t iterations) {
    __m256 acc[SHORT_CHAINS], x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    for (int i = 0; i < SHORT_CHAINS; i++) acc[i] = _mm256_set1_ps((float)i);
    for (size_t n = 0; n < iterations; n++)
#pragma clang loop unroll(full)
        for (int i = 0; i < SHORT_CHAINS; i++) acc[i] = _mm256_fmadd_ps(acc[i], x, y);
    for (int i = 1; i < SHORT_CHAINS; i++) acc[0] = _mm256_add_ps(acc[0], acc[i]);
    bp_sink = _mm256_cvtss_f32(acc[0]);
    return 2.0 * SHORT_CHAINS * 8 * (double)iterations;
}

__attribute__((target("avx2"))) static double int8_avx2(size_t iterations) {
    __m256i acc[SHORT_CHAINS], x = _mm256_set1_epi16(3), y = _mm256_set1_epi16(1);
    for (int i = 0; i < SHORT_CHAINS; i++) acc[i] = _mm256_set1_epi32(i);
    for (size_t n = 0; n < iterations; n++)
#pragma clang loop unroll(full)
        for (int i = 0; i < SHORT_CHAINS; i++) {
            __m256i product = _mm256_madd_epi16(_mm256_xor_si256(x, acc[i]), y);
            acc[i] = _mm256_add_epi32(acc[i], product);
        }
    for (int i = 1; i < SHORT_CHAINS; i++) acc[0] = _mm256_add_epi32(acc[0], acc[i]);
    bp_sink = (float)_mm256_extract_epi32(acc[0], 0);
    return 4.0 * SHORT_CHAINS * 8 * (double)iterations;
}

static bool has_avx512(void) { return __builtin_cpu_supports("avx512f"); }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#endif

static uint64_t read_plain(const void *data, size_t bytes) {
    const uint64_t *p = data;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < bytes / 8; i += 8)
        for (int k = 0; k < 8; k++) sum[k] += p[i + k];
    return sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
}

typedef float lanes __attribute__((vector_size(16)));

static double float32_plain(size_t iterations) {
    lanes acc[16] = {0}, x = {0.5f, 0.5f, 0.5f, 0.5f}, y = {1, 1, 1, 1};
    for (size_t n = 0; n < iterations; n++)
        for (int i = 0; i < 16; i++) acc[i] = acc[i] * x + y;
    lanes sum = {0};
    for (int i = 0; i < 16; i++) sum += acc[i];
    bp_sink = sum[0] + sum[1] + sum[2] + sum[3];
    return 2.0 * 16 * 4 * (double)iterations;
}

uint64_t bp_read(const void *data, size_t bytes) {
#if defined(__x86_64__)
    if (has_avx512()) return read_avx512(data, bytes);
    if (has_avx2()) return read_avx2(data, bytes);
#endif
    return read_plain(data, bytes);
}

double bp_compute(bp_arithmetic arithmetic, size_t iterations) {
#if defined(__x86_64__)
    if (arithmetic == BP_BFLOAT16_TILES) return bfloat16_tiles(iterations);
    if (arithmetic == BP_INT8_TILES) return int8_tiles(iterations);
    if (has_avx512()) {
        if (arithmetic == BP_BFLOAT16 && __builtin_cpu_supports("avx512bf16")) return bfloat16_avx512(iterations);
        if (arithmetic == BP_INT8 && __builtin_cpu_supports("avx512vnni")) return int8_avx512(iterations);
        if (arithmetic != BP_INT8) return float32_avx512(iterations);
    }
    if (has_avx2()) return arithmetic == BP_INT8 ? int8_avx2(iterations) : float32_avx2(iterations);
#endif
    return float32_plain(iterations);
}
