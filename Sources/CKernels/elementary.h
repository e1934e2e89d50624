/* Scalar elementary functions, shared by all files: see elementary.c. */
#ifndef BATON_ELEMENTARY_H
#define BATON_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

static inline float bk_from_bits(uint32_t bits) { float x; memcpy(&x, &bits, 4); return x; }
static inline uint32_t bk_bits(float x) { uint32_t bits; memcpy(&bits, &x, 4); return bits; }

/* Nearest bf16, ties to even; NaN stays NaN (made quiet). */
static inline uint16_t bk_to_bf16(float x) {
    uint32_t u = bk_bits(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}
static inline float bk_of_bf16(uint16_t h) { return bk_from_bits((uint32_t)h << 16); }

static inline float bk_of_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 0x3ffu;
    if (exponent == 31) return bk_from_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent) return bk_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float magnitude = (float)fraction * 0x1p-24f; /* zero or subnormal: exact */
    return bk_from_bits(sign | bk_bits(magnitude));
}

/* Nearest float16, ties to even, of a finite x in [0, 65504]. */
static inline uint16_t bk_to_f16(float x) {
    if (x < 0x1p-14f) return (uint16_t)(bk_bits(x + 0x1p-1f) - bk_bits(0x1p-1f)); /* subnormal: steps of 2^-24 */
    uint32_t u = bk_bits(x) - (112u << 23);
    return (uint16_t)((u + 0xfffu + ((u >> 13) & 1u)) >> 13);
}

#endif
