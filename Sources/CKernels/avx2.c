/* AVX2, FMA and F16C: sixteen 256-bit registers, a tile of 6 rows x 16 columns. With and without AVX-VNNI, which differ in
 * speed alone. */
#include "baton_kernels.h"
#include "elementary.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "vector.h"

#define BK_TILE_ROWS 6
#define BK_TILE_VECTORS 1
#include "gemm.inc"
#define BK_REGISTERS 8
#include "attention.inc"
#include "kv.inc"
#include "rows.inc"
#include "quantize.inc"
#define BK_ROUND_PART round_part_fma
#define BK_ROUND_ELEMENT float
#include "gate.inc"

BK_INLINE __m256i low(bk_vi v) { return (__m256i)__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
BK_INLINE __m256i high(bk_vi v) { return (__m256i)__builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15); }
typedef int32_t bk_half __attribute__((vector_size(32)));
BK_INLINE bk_vi join(__m256i a, __m256i b) {
    return __builtin_shufflevector((bk_half)a, (bk_half)b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}

/* Bytes of even and odd place widened to 16 bits: exact, where vpmaddubsw would saturate. */
BK_INLINE __m256i widened(__m256i w, __m256i x) {
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(w, _mm256_set1_epi16(0xff)),
                                     _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(w, 8), _mm256_srai_epi16(x, 8));
    return _mm256_add_epi32(even, odd);
}
BK_INLINE bk_vi dot_widened(bk_vi acc, bk_vi w, bk_vi x) {
    return acc + join(widened(low(w), low(x)), widened(high(w), low(x)));
}
BK_INLINE bk_v load_f16(const unsigned char *p) {
    bk_v v;
    __m256 halves[2] = {_mm256_cvtph_ps(_mm_loadu_si128((const void *)p)),
                        _mm256_cvtph_ps(_mm_loadu_si128((const void *)(p + 16)))};
    memcpy(&v, halves, sizeof v);
    return v;
}

#define BK_INT8(name) name##_int8
#define BK_INT8_DOT dot_widened
#define BK_INT8_SCALES load_f16
#define BK_INT8_ROWS 4
#define BK_INT8_VECTORS 1
#include "gemm_int8.inc"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,avxvnni"))), apply_to = function)
BK_INLINE bk_vi dot_vnni(bk_vi acc, bk_vi w, bk_vi x) {
    return join(_mm256_dpbusd_avx_epi32(low(acc), low(w), low(x)), _mm256_dpbusd_avx_epi32(high(acc), high(w), low(x)));
}

#define BK_INT8(name) name##_int8_vnni
#define BK_INT8_DOT dot_vnni
#define BK_INT8_SCALES load_f16
#define BK_INT8_ROWS 6
#define BK_INT8_VECTORS 1
#include "gemm_int8.inc"
#pragma clang attribute pop

#define BK_AVX2_TABLE(NAME, ISA, GEMM_INT8)                                                      \
    {.name = NAME, .bf16_family = "fma", .isa = ISA, .round_rows = round_rows_fma,                \
     .gemm_bf16 = gemm_bf16_fma, .gemm_int8 = GEMM_INT8, BK_COMMON_KERNELS}

const bk_kernels bk_avx2 = BK_AVX2_TABLE("avx2", BK_AVX2, gemm_int8);
const bk_kernels bk_avx2vnni = BK_AVX2_TABLE("avx2vnni", BK_AVX2VNNI, gemm_int8_vnni);
#endif
