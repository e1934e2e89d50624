/* AVX512-BF16: like avx512f.c, but bf16 products by vdpbf16ps, which is a numerics class of its own. */
#include "baton_kernels.h"
#include "elementary.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma"))), \
                             apply_to = function)
#include "vector.h"

#define BK_TILE_ROWS 6
#define BK_TILE_VECTORS 4
#include "gemm.inc"
#define BK_REGISTERS 32
#include "attention.inc"
#include "kv.inc"
#include "rows.inc"

/* Pairs of k ascending, one chain per output. x: pairs of bf16; depth counts k, even. */
BK_INLINE void tile_dp(const size_t rows, const uint16_t *x, size_t ldx, const uint16_t *w, float *y, size_t ldy,
                       size_t depth, bool first) {
    __m512 acc[rows][4];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (size_t c = 0; c < 4; c++)
            acc[r][c] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(y + r * ldy + 16 * c);
    for (size_t k = 0; k < depth; k += 2) {
        __m512i column[4];
        _mm_prefetch((const char *)(w + 64 * k + 4096), _MM_HINT_T0);
        _mm_prefetch((const char *)(w + 64 * k + 4096 + 32), _MM_HINT_T0);
        _mm_prefetch((const char *)(w + 64 * k + 4096 + 64), _MM_HINT_T0);
        _mm_prefetch((const char *)(w + 64 * k + 4096 + 96), _MM_HINT_T0);
#pragma clang loop unroll(full)
        for (size_t c = 0; c < 4; c++) column[c] = _mm512_loadu_si512(w + 64 * k + 32 * c);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            int32_t pair;
            memcpy(&pair, x + r * ldx + k, 4);
            __m512bh value = (__m512bh)_mm512_set1_epi32(pair);
#pragma clang loop unroll(full)
            for (size_t c = 0; c < 4; c++) acc[r][c] = _mm512_dpbf16_ps(acc[r][c], value, (__m512bh)column[c]);
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (size_t c = 0; c < 4; c++) _mm512_storeu_ps(y + r * ldy + 16 * c, acc[r][c]);
}

static void gemm_dpbf16(const void *activations, const uint16_t *w, float *y, size_t ldy, size_t m, size_t k,
                        size_t panel0, size_t panel1) {
    const uint16_t *x = activations;
    size_t depth = bk_padded_k(k), step = m > BK_TILE_ROWS ? 2 * BK_BLOCK_K : depth;
    for (size_t panel = panel0; panel < panel1; panel++)
        for (size_t k0 = 0; k0 < depth; k0 += step) {
            size_t span = depth - k0 < step ? depth - k0 : step;
            for (size_t row = 0, rows; row < m; row += rows) {
                rows = bk_tile_height(m - row);
#define BK_DP_CALL(ROWS)                                                                    \
    tile_dp(ROWS, x + row * depth + k0, depth, w + panel * 64 * depth + 64 * k0,            \
            y + row * ldy + 64 * panel, ldy, span, k0 == 0)
                BK_WITH_ROWS(rows, BK_DP_CALL)
#undef BK_DP_CALL
            }
        }
}

static void round_rows_dp(const float *x, size_t ldx, void *out, size_t m, size_t k) {
    size_t padded = bk_padded_k(k);
    for (size_t r = 0; r < m; r++) {
        uint16_t *to = (uint16_t *)out + r * padded;
        for (size_t i = 0; i < k; i += 16) {
            bk_vh rounded = __builtin_convertvector(bk_round_v(bk_load_some(x + r * ldx + i, k - i)) >> 16, bk_vh);
            memcpy(to + i, &rounded, (k - i < 16 ? k - i : 16) * sizeof(uint16_t));
        }
        if (padded > k) to[k] = 0;
    }
}

const bk_kernels bk_avx512bf16 = {
    .name = "avx512bf16", .bf16_family = "dpbf16", .isa = BK_AVX512BF16,
    .gemm_f32 = gemm_f32, .round_rows = round_rows_dp, .gemm_bf16 = gemm_dpbf16, .attention = attention,
    .attention_parts = attention_parts, .attention_fold = attention_fold, .store_kv = store_kv,
    .rms_norm = rms_norm, .swiglu = swiglu, .add = add, .rope = rope, .exp = exp_all, .argmax = argmax,
};
#pragma clang attribute pop
#endif
