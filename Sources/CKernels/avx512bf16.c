/* AVX512-BF16: like avx512f.c with VNNI, but bf16 products by vdpbf16ps, which is a numerics class of its own. With AMX, matrices are
 * multiplied by amxbf16.c instead, and attention is that of amxattention.c. */
#include "amx.h"
#include "baton_kernels.h"
#include "elementary.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,fma"))), \
                             apply_to = function)
#include "vector.h"

#define BK_TILE_ROWS 6
#define BK_TILE_VECTORS 4
#include "gemm.inc"
#include "pairs.inc"

#define BK_REGISTERS 32
#define BK_PAIRS
#include "attention.inc"
#include "kv.inc"
#include "rows.inc"
#include "quantize.inc"

BK_INLINE bk_vi dot_vnni(bk_vi acc, bk_vi w, bk_vi x) {
    return (bk_vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)w, (__m512i)x);
}
BK_INLINE bk_v load_f16(const unsigned char *p) { return (bk_v)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }

#define BK_INT8(name) name##_int8
#define BK_INT8_DOT dot_vnni
#define BK_INT8_SCALES load_f16
#define BK_INT8_ROWS 6
#define BK_INT8_VECTORS 4
#define BK_INT8_HELD 3
#include "gemm_int8.inc"

/*
 * Pairs of k ascending, one chain per output. x: pairs of bf16; depth counts k, even. For each pair `lines` cache lines
 * of `ahead` are fetched.
 */
BK_INLINE void tile_dp(const size_t rows, const size_t lines, const uint16_t *x, size_t ldx, const uint16_t *w,
                       const uint16_t *ahead, float *y, size_t ldy, size_t depth, bool first) {
    __m512 acc[rows][4];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (size_t c = 0; c < 4; c++)
            acc[r][c] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(y + r * ldy + 16 * c);
    for (size_t k = 0; k < depth; k += 2) {
        __m512i column[4];
#pragma clang loop unroll(full)
        for (size_t l = 0; l < lines; l++) _mm_prefetch((const char *)ahead + 64 * l, _MM_HINT_T0);
        ahead += 32 * lines;
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

/*
 * Several tiles of rows share a block of K, which the first of them brings in and the others find in the first-level
 * cache. Meanwhile memory would idle: so the tiles fetch the next block between them, four lines for each pair of k in
 * all. A single tile streams the whole panel, well ahead of itself. Blocks are short where few tiles share one, and long
 * where many do, so that sums go to y and back less often.
 *
 * From the fifth tile on memory would idle again: there what somebody else reads later is fetched.
 */
static void gemm_dpbf16(const void *activations, const uint16_t *w, float *y, size_t ldy, size_t m, size_t k,
                        size_t panel0, size_t panel1, const bk_read_ahead *later) {
    const unsigned char *at = NULL, *end = NULL;
    size_t next = 0;
    const uint16_t *x = activations;
    size_t depth = bk_padded_k(k), tiles = (m + BK_TILE_ROWS - 1) / BK_TILE_ROWS;
    size_t most = tiles == 1 ? depth : tiles == 2 ? 64 : tiles <= 8 ? 128 : 288, blocks = (depth + most - 1) / most;
    size_t step = bk_padded_k((depth + blocks - 1) / blocks);
    for (size_t panel = panel0; panel < panel1; panel++)
        for (size_t k0 = 0; k0 < depth; k0 += step) {
            size_t span = depth - k0 < step ? depth - k0 : step;
            const uint16_t *block = w + panel * 64 * depth + 64 * k0, *ahead = block + (tiles == 1 ? 4096 : 64 * span);
            for (size_t row = 0, tile = 0, rows; row < m; row += rows, tile++) {
                rows = bk_tile_height(m - row);
                size_t lines = tiles == 1 ? 4 : tiles == 2 || (tiles == 3 && tile == 0) ? 2 : tile < 4 ? 1 : 0;
                const uint16_t *weights = ahead;
                bool reads = lines == 0 && later && (at < end || next < later->count);
                if (reads) {
                    if (at >= end) at = later->base + (size_t)later->blocks[next++] * later->stride, end = at + later->stride;
                    ahead = (const uint16_t *)at;
                    at += 32 * span;
                }
#define BK_DP_TILE(ROWS, LINES)                                                                            \
    tile_dp(ROWS, LINES, x + row * depth + k0, depth, block, ahead, y + row * ldy + 64 * panel, ldy, span, \
            k0 == 0)
#define BK_DP_CALL(ROWS)                           \
    switch (reads ? 1 : lines) {                   \
    case 4: BK_DP_TILE(ROWS, 4); break;            \
    case 2: BK_DP_TILE(ROWS, 2); break;            \
    case 1: BK_DP_TILE(ROWS, 1); break;            \
    default: BK_DP_TILE(ROWS, 0); break;           \
    }
                BK_WITH_ROWS(rows, BK_DP_CALL)
#undef BK_DP_CALL
#undef BK_DP_TILE
                ahead = weights + 16 * lines * span;
            }
        }
}

static void round_rows_dp(const float *x, size_t ldx, void *out, size_t m, size_t k) {
    size_t padded = bk_padded_k(k);
    for (size_t r = 0; r < m; r++) {
        uint16_t *to = (uint16_t *)out + r * padded;
        round_part_dp(x + r * ldx, to, k);
        if (padded > k) to[k] = 0;
    }
}

#define BK_ROUND_PART round_part_dp
#define BK_ROUND_ELEMENT uint16_t
#include "gate.inc"

const bk_kernels bk_avx512bf16 = {
    .name = "avx512bf16", .bf16_family = "dpbf16", .isa = BK_AVX512BF16,
    .round_rows = round_rows_dp, .gemm_bf16 = gemm_dpbf16, .gemm_int8 = gemm_int8, BK_COMMON_KERNELS,
};

/* Below this height tiles are no faster. Sums of integers are exact, so no bit depends on who sums. */
enum { LEAST_TILE_ROWS = 16 };

static void gemm_int8_tiles(const void *x, const uint8_t *w, float *y, size_t ldy, size_t m, size_t k, size_t group, size_t panel0,
                            size_t panel1) {
    if (m < LEAST_TILE_ROWS) gemm_int8(x, w, y, ldy, m, k, group, panel0, panel1);
    else bk_gemm_int8_amx(x, w, y, ldy, m, k, group, panel0, panel1);
}

const bk_kernels bk_amxbf16 = {
    .name = "amxbf16", .bf16_family = "amx", .isa = BK_AMXBF16,
    .round_rows = round_rows_dp, .gemm_bf16 = bk_gemm_amx, .gemm_int8 = gemm_int8_tiles, BK_ALL_BUT_ATTENTION,
    .attention = bk_attention_amx, .attention_parts = bk_attention_parts_amx, .attention_fold = bk_attention_fold_amx,
};
#pragma clang attribute pop
#endif
