/*
 * Sixteen float32 lanes, in clang's vector extension: one source, whatever the registers. Each lane is computed by
 * correctly rounded operations, so the bits are equal on every instruction set.
 */
#ifndef BATON_VECTOR_H
#define BATON_VECTOR_H

#pragma STDC FP_CONTRACT OFF
#pragma clang diagnostic ignored "-Wpsabi"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define BK_INLINE static inline __attribute__((always_inline, unused))

typedef float bk_v __attribute__((vector_size(64)));
typedef double bk_d __attribute__((vector_size(128)));
typedef int32_t bk_vi __attribute__((vector_size(64)));
typedef uint32_t bk_vu __attribute__((vector_size(64)));
typedef uint16_t bk_vh __attribute__((vector_size(32)));

BK_INLINE bk_v bk_splat(float x) { return (bk_v){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
BK_INLINE bk_v bk_load(const float *p) { bk_v v; memcpy(&v, p, sizeof v); return v; }
BK_INLINE void bk_store(float *p, bk_v v) { memcpy(p, &v, sizeof v); }
/* The first n lanes; the others are zero and their memory is not touched. */
BK_INLINE bk_v bk_load_some(const float *p, size_t n) {
    bk_v v = {0};
    if (n >= 16) return bk_load(p);
    memcpy(&v, p, n * sizeof(float));
    return v;
}
BK_INLINE void bk_store_some(float *p, bk_v v, size_t n) { memcpy(p, &v, (n < 16 ? n : 16) * sizeof(float)); }

BK_INLINE bk_v bk_fma(bk_v a, bk_v b, bk_v c) { return __builtin_elementwise_fma(a, b, c); }
BK_INLINE bk_v bk_select(bk_vi mask, bk_v a, bk_v b) {
    return (bk_v)((mask & (bk_vi)a) | (~mask & (bk_vi)b));
}
/* a > b ? a : b, so that the outcome for NaN is the same everywhere. */
BK_INLINE bk_v bk_larger(bk_v a, bk_v b) { return bk_select(a > b, a, b); }

BK_INLINE bk_v bk_widen_h(bk_vh h) { return (bk_v)(__builtin_convertvector(h, bk_vu) << 16); }
BK_INLINE bk_v bk_load_h(const uint16_t *p) { bk_vh h; memcpy(&h, p, sizeof h); return bk_widen_h(h); }
BK_INLINE bk_v bk_load_h_some(const uint16_t *p, size_t n) {
    bk_vh h = {0};
    if (n >= 16) return bk_load_h(p);
    memcpy(&h, p, n * sizeof(uint16_t));
    return bk_widen_h(h);
}

/* Nearest bf16, ties to even, left in the upper half of each lane. */
BK_INLINE bk_vu bk_round_v(bk_v x) {
    bk_vu u = (bk_vu)x;
    bk_vu rounded = u + 0x7fffu + ((u >> 16) & 1u);
    bk_vi nan = x != x;
    return (((bk_vu)nan & (u | 0x400000u)) | (~(bk_vu)nan & rounded)) & 0xffff0000u;
}

/* The fixed tree: lane i with i + 8, then i + 4, i + 2, i + 1. */
BK_INLINE float bk_reduce(bk_v v) {
    float a[16];
    bk_store(a, v);
    for (int step = 8; step > 0; step /= 2)
        for (int i = 0; i < step; i++) a[i] = a[i] + a[i + step];
    return a[0];
}

BK_INLINE double bk_reduce_d(bk_d v) {
    double a[16];
    memcpy(a, &v, sizeof a);
    for (int step = 8; step > 0; step /= 2)
        for (int i = 0; i < step; i++) a[i] = a[i] + a[i + step];
    return a[0];
}

/* Lane-wise bk_exp (elementary.h has the derivation) for x that is not above 88.722835: the same bits by fewer operations.
 * 2^n goes straight into the exponent: where the result is not 0 it is a normal number, and below 2^128. The low bits of t
 * hold n. */
BK_INLINE bk_v bk_exp_finite(bk_v x) {
    const bk_v magic = bk_splat(0x1.8p23f);
    bk_v t = bk_fma(x, bk_splat(0x1.715476p+0f), magic);
    bk_v n = t - magic;
    bk_v r = bk_fma(n, bk_splat(-0x1.62e43p-1f), x);
    r = bk_fma(n, bk_splat(0x1.05c61p-29f), r);
    bk_v p = bk_splat(0x1.6a23dp-10f);
    p = bk_fma(p, r, bk_splat(0x1.123a2p-7f));
    p = bk_fma(p, r, bk_splat(0x1.5558f2p-5f));
    p = bk_fma(p, r, bk_splat(0x1.555492p-3f));
    p = bk_fma(p, r, bk_splat(0x1.fffffcp-2f));
    p = bk_fma(p, r, bk_splat(1.0f));
    p = bk_fma(p, r, bk_splat(1.0f));
    bk_v y = (bk_v)((bk_vu)p + ((bk_vu)t << 23));
    y = bk_select(x < bk_splat(-87.33654f), bk_splat(0.0f), y);
    return bk_select(x != x, x, y);
}

/* Lane-wise bk_exp. */
BK_INLINE bk_v bk_exp_v(bk_v x) { return bk_select(x > bk_splat(88.722835f), bk_splat(INFINITY), bk_exp_finite(x)); }

#endif
