/* Any processor: on x86-64 each fma is a call of fmaf, on arm64 the lanes are NEON's. */
#include "baton_kernels.h"
#include "elementary.h"
#include "vector.h"

#if defined(__aarch64__)
#define BK_TILE_ROWS 6
#define BK_REGISTERS 8
#else
#define BK_TILE_ROWS 1
#define BK_REGISTERS 1
#endif
#define BK_TILE_VECTORS 1
#include "gemm.inc"
#include "attention.inc"
#include "kv.inc"
#include "rows.inc"
#include "quantize.inc"
#define BK_ROUND_PART round_part_fma
#define BK_ROUND_ELEMENT float
#include "gate.inc"

typedef int16_t bk_vs __attribute__((vector_size(64)));
typedef uint16_t bk_vus __attribute__((vector_size(64)));

/* Bytes of even and odd place widened to 16 bits, in which a product of the two fits. */
BK_INLINE bk_vi dot_widened(bk_vi acc, bk_vi w, bk_vi x) {
    bk_vi even = (bk_vi)((bk_vs)(w & 0x00ff00ff) * ((bk_vs)((bk_vs)x << 8) >> 8));
    bk_vi odd = (bk_vi)((bk_vs)((bk_vus)w >> 8) * ((bk_vs)x >> 8));
    return acc + (((even << 16) >> 16) + (even >> 16)) + (((odd << 16) >> 16) + (odd >> 16));
}
BK_INLINE bk_v load_f16(const unsigned char *p) {
    bk_v v;
    for (int l = 0; l < 16; l++) {
        uint16_t half;
        memcpy(&half, p + 2 * l, 2);
        v[l] = bk_of_f16(half);
    }
    return v;
}

#define BK_INT8(name) name##_int8
#define BK_INT8_DOT dot_widened
#define BK_INT8_SCALES load_f16
#define BK_INT8_ROWS 1
#define BK_INT8_VECTORS 4
#include "gemm_int8.inc"

const bk_kernels bk_scalar = {
    .name = "scalar", .bf16_family = "fma", .isa = BK_SCALAR,
    .round_rows = round_rows_fma, .gemm_bf16 = gemm_bf16_fma, .gemm_int8 = gemm_int8, BK_COMMON_KERNELS,
};
