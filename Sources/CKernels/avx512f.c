/* AVX-512 F, BW, DQ, VL: thirty-two 512-bit registers, a tile of 6 rows x 64 columns. With and without VNNI, which differ in
 * speed alone. */
#include "baton_kernels.h"
#include "elementary.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#include "vector.h"

#define BK_TILE_ROWS 6
#define BK_TILE_VECTORS 4
#include "gemm.inc"
#define BK_REGISTERS 32
#include "attention.inc"
#include "kv.inc"
#include "rows.inc"
#include "quantize.inc"
#define BK_ROUND_PART round_part_fma
#define BK_ROUND_ELEMENT float
#include "gate.inc"

/* Bytes of even and odd place widened to 16 bits: exact, where vpmaddubsw would saturate. */
BK_INLINE bk_vi dot_widened(bk_vi acc, bk_vi weights, bk_vi activations) {
    __m512i w = (__m512i)weights, x = (__m512i)activations;
    __m512i even = _mm512_madd_epi16(_mm512_and_si512(w, _mm512_set1_epi16(0xff)),
                                     _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8));
    __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(w, 8), _mm512_srai_epi16(x, 8));
    return acc + (bk_vi)_mm512_add_epi32(even, odd);
}
BK_INLINE bk_v load_f16(const unsigned char *p) { return (bk_v)_mm512_cvtph_ps(_mm256_loadu_si256((const void *)p)); }

#define BK_INT8(name) name##_int8
#define BK_INT8_DOT dot_widened
#define BK_INT8_SCALES load_f16
#define BK_INT8_ROWS 4
#define BK_INT8_VECTORS 4
#include "gemm_int8.inc"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma"))), \
                             apply_to = function)
BK_INLINE bk_vi dot_vnni(bk_vi acc, bk_vi w, bk_vi x) {
    return (bk_vi)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)w, (__m512i)x);
}

#define BK_INT8(name) name##_int8_vnni
#define BK_INT8_DOT dot_vnni
#define BK_INT8_SCALES load_f16
#define BK_INT8_ROWS 6
#define BK_INT8_VECTORS 4
#define BK_INT8_HELD 3
#include "gemm_int8.inc"
#pragma clang attribute pop

#define BK_AVX512F_TABLE(NAME, ISA, GEMM_INT8)                                                   \
    {.name = NAME, .bf16_family = "fma", .isa = ISA, .round_rows = round_rows_fma,                \
     .gemm_bf16 = gemm_bf16_fma, .gemm_int8 = GEMM_INT8, BK_COMMON_KERNELS}

const bk_kernels bk_avx512f = BK_AVX512F_TABLE("avx512f", BK_AVX512F, gemm_int8);
const bk_kernels bk_avx512vnni = BK_AVX512F_TABLE("avx512vnni", BK_AVX512VNNI, gemm_int8_vnni);
#endif
