/*
 * Stored weights to float32 and back. The blocks are ggml's (ggml-common.h and ggml-quants.c name the formats), little-endian
 * and unaligned; every product and sum is rounded on its own, in the order that ggml's reference code has, so that the
 * bits are those that any reader of the format gets.
 *
 *     type   elements  bytes  layout                                      element
 *     Q4_0   32        18     f16 d, 16 x u4 pair                         d (q - 8)
 *     Q4_1   32        20     f16 d, f16 m, 16 x u4 pair                  d q + m
 *     Q5_0   32        22     f16 d, u32 fifth bits, 16 x u4 pair         d (q - 16)
 *     Q5_1   32        24     f16 d, f16 m, u32 fifth bits, 16 x u4 pair  d q + m
 *     Q8_0   32        34     f16 d, 32 x i8                              d q
 *     Q4_K   256       144    f16 d, f16 m, 12 bytes of 8 scales and 8 minima of 6 bits, 128 x u4 pair   (d s) q - (m t)
 *     Q5_K   256       176    the same with 32 bytes of fifth bits before the pairs                      (d s) q - (m t)
 *     Q6_K   256       210    128 x u4 pair, 64 x four u2, 16 x i8 scale, f16 d                          (d s) (q - 32)
 *
 * A pair of a 32-element block holds elements j (low) and j + 16 (high).
 */
#include "dequantize.h"
#include "elementary.h"
#include <math.h>

#pragma STDC FP_CONTRACT OFF

static inline float half_at(const unsigned char *at) {
    uint16_t bits;
    memcpy(&bits, at, 2);
    return bk_of_f16(bits);
}

static void widen_f32(const unsigned char *src, size_t n, float *out) { memcpy(out, src, 4 * n); }

static void widen_f16(const unsigned char *src, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = half_at(src + 2 * i);
}

static void widen_bf16(const unsigned char *src, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        uint16_t bits;
        memcpy(&bits, src + 2 * i, 2);
        out[i] = bk_of_bf16(bits);
    }
}

static void q4_0(const unsigned char *block, float *out) {
    float d = half_at(block);
    for (int j = 0; j < 16; j++) {
        int q = block[2 + j];
        out[j] = d * (float)((q & 15) - 8);
        out[j + 16] = d * (float)((q >> 4) - 8);
    }
}

static void q4_1(const unsigned char *block, float *out) {
    float d = half_at(block), m = half_at(block + 2);
    for (int j = 0; j < 16; j++) {
        int q = block[4 + j];
        float low = d * (float)(q & 15), high = d * (float)(q >> 4);
        out[j] = low + m;
        out[j + 16] = high + m;
    }
}

static inline int fifth_bit(uint32_t bits, int j) { return (int)(bits >> j & 1u) << 4; }

static void q5_0(const unsigned char *block, float *out) {
    float d = half_at(block);
    uint32_t bits;
    memcpy(&bits, block + 2, 4);
    for (int j = 0; j < 16; j++) {
        int q = block[6 + j];
        out[j] = d * (float)(((q & 15) | fifth_bit(bits, j)) - 16);
        out[j + 16] = d * (float)(((q >> 4) | fifth_bit(bits, j + 16)) - 16);
    }
}

static void q5_1(const unsigned char *block, float *out) {
    float d = half_at(block), m = half_at(block + 2);
    uint32_t bits;
    memcpy(&bits, block + 4, 4);
    for (int j = 0; j < 16; j++) {
        int q = block[8 + j];
        float low = d * (float)((q & 15) | fifth_bit(bits, j)), high = d * (float)((q >> 4) | fifth_bit(bits, j + 16));
        out[j] = low + m;
        out[j + 16] = high + m;
    }
}

static void q8_0(const unsigned char *block, float *out) {
    float d = half_at(block);
    for (int j = 0; j < 32; j++) out[j] = d * (float)(int8_t)block[2 + j];
}

/* Scale and minimum of the group of 32 elements number j of 8, 6 bits each. */
static inline void group_scale(const unsigned char *s, int j, int *scale, int *minimum) {
    if (j < 4) {
        *scale = s[j] & 63;
        *minimum = s[j + 4] & 63;
    } else {
        *scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *minimum = (s[j + 4] >> 4) | (s[j] >> 6) << 4;
    }
}

/* Half of a block of Q4_K or, where `fifth` is not NULL, of Q5_K. */
static void q45_k_half(const unsigned char *block, const unsigned char *fifth, const unsigned char *pairs, int half, float *out) {
    float d = half_at(block), m = half_at(block + 2);
    for (int group = 4 * half; group < 4 * half + 4; group++) {
        int scale, minimum;
        group_scale(block + 4, group, &scale, &minimum);
        float step = d * (float)scale, base = m * (float)minimum;
        const unsigned char *q = pairs + group / 2 * 32;
        for (int l = 0; l < 32; l++) {
            int value = group % 2 ? q[l] >> 4 : q[l] & 15;
            if (fifth) value |= (fifth[l] >> group & 1) << 4;
            float scaled = step * (float)value;
            *out++ = scaled - base;
        }
    }
}

static void q4_k_half(const unsigned char *block, int half, float *out) { q45_k_half(block, NULL, block + 16, half, out); }

static void q5_k_half(const unsigned char *block, int half, float *out) { q45_k_half(block, block + 16, block + 48, half, out); }

static void q6_k_half(const unsigned char *block, int half, float *out) {
    const unsigned char *low = block + 64 * half, *high = block + 128 + 32 * half;
    const int8_t *scales = (const int8_t *)block + 192 + 8 * half;
    float d = half_at(block + 208);
    for (int quarter = 0; quarter < 4; quarter++)
        for (int l = 0; l < 32; l++) {
            int pair = low[l + quarter % 2 * 32], q = quarter < 2 ? pair & 15 : pair >> 4;
            q |= (high[l] >> 2 * quarter & 3) << 4;
            float step = d * (float)scales[2 * quarter + l / 16];
            out[32 * quarter + l] = step * (float)(q - 32);
        }
}

typedef void (*block_reader)(const unsigned char *block, float *out);
typedef void (*half_reader)(const unsigned char *block, int half, float *out);

static void widen_blocks(const unsigned char *src, size_t block_bytes, size_t first, size_t n, float *out, block_reader read) {
    for (size_t i = first; i < first + n; i += 32) read(src + i / 32 * block_bytes, out + (i - first));
}

static void widen_halves(const unsigned char *src, size_t block_bytes, size_t first, size_t n, float *out, half_reader read) {
    for (size_t i = first; i < first + n; i += 128) read(src + i / 256 * block_bytes, i / 128 % 2, out + (i - first));
}

void bk_widen_range(const void *src, bk_type type, size_t first, size_t n, float *out) {
    const unsigned char *row = src;
    switch (type) {
    case BK_FLOAT32: widen_f32(row + 4 * first, n, out); break;
    case BK_FLOAT16: widen_f16(row + 2 * first, n, out); break;
    case BK_BFLOAT16: widen_bf16(row + 2 * first, n, out); break;
    case BK_Q4_0: widen_blocks(row, 18, first, n, out, q4_0); break;
    case BK_Q4_1: widen_blocks(row, 20, first, n, out, q4_1); break;
    case BK_Q5_0: widen_blocks(row, 22, first, n, out, q5_0); break;
    case BK_Q5_1: widen_blocks(row, 24, first, n, out, q5_1); break;
    case BK_Q8_0: widen_blocks(row, 34, first, n, out, q8_0); break;
    case BK_Q4_K: widen_halves(row, 144, first, n, out, q4_k_half); break;
    case BK_Q5_K: widen_halves(row, 176, first, n, out, q5_k_half); break;
    case BK_Q6_K: widen_halves(row, 210, first, n, out, q6_k_half); break;
    case BK_INT8: case BK_BFLOAT16_PAIRS: break; /* no checkpoint's */
    }
}

void bk_widen(const void *src, bk_type src_type, float *out, size_t n) { bk_widen_range(src, src_type, 0, n, out); }

/* Nearest f16, ties to even; beyond 65504 infinity. */
static uint16_t to_f16(float x) {
    uint32_t bits = bk_bits(x), magnitude = bits & 0x7fffffffu;
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000u);
    if (magnitude > 0x7f800000u) return sign | 0x7e00u;
    if (magnitude >= 0x477ff000u) return sign | 0x7c00u;
    /* A multiple of 2^-24: adding 2^23 leaves it, rounded, in the low bits. */
    if (magnitude < 0x38800000u) return sign | (uint16_t)(bk_bits(bk_from_bits(magnitude) * 0x1p24f + 0x1p23f) & 0x7fffffu);
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return sign | (uint16_t)((magnitude - 0x38000000u) >> 13);
}

/* As ggml's quantize_row_q8_0_ref: the largest magnitude becomes 127, the rest is rounded half away from zero. */
static void narrow_q8_0(const float *x, unsigned char *block) {
    float largest = 0;
    for (int j = 0; j < 32; j++) largest = fmaxf(largest, fabsf(x[j]));
    float d = largest / 127, inverse = d > 0 ? 1 / d : 0;
    uint16_t scale = to_f16(d);
    memcpy(block, &scale, 2);
    for (int j = 0; j < 32; j++) {
        float q = roundf(x[j] * inverse);
        block[2 + j] = (unsigned char)(q >= -127 && q <= 127 ? (int8_t)q : 0);
    }
}

void bk_narrow(const float *x, bk_type type, void *out, size_t n) {
    unsigned char *to = out;
    if (type == BK_Q8_0) {
        for (size_t i = 0; i < n; i += 32) narrow_q8_0(x + i, to + i / 32 * 34);
    } else if (type == BK_FLOAT32) {
        memcpy(to, x, 4 * n);
    } else {
        for (size_t i = 0; i < n; i++) {
            uint16_t bits = type == BK_BFLOAT16 ? bk_to_bf16(x[i]) : to_f16(x[i]);
            memcpy(to + 2 * i, &bits, 2);
        }
    }
}
