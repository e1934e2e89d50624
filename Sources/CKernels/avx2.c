/* AVX2 and FMA: sixteen 256-bit registers, a tile of 6 rows x 16 columns. */
#include "baton_kernels.h"
#include "elementary.h"

#if defined(__x86_64__)
#include <math.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#include "vector.h"

#define BK_TILE_ROWS 6
#define BK_TILE_VECTORS 1
#include "gemm.inc"
#define BK_REGISTERS 8
#include "attention.inc"
#include "kv.inc"
#include "rows.inc"

const bk_kernels bk_avx2 = {
    .name = "avx2", .bf16_family = "fma", .isa = BK_AVX2,
    .gemm_f32 = gemm_f32, .round_rows = round_rows_fma, .gemm_bf16 = gemm_bf16_fma, .attention = attention,
    .attention_parts = attention_parts, .attention_fold = attention_fold, .store_kv = store_kv,
    .rms_norm = rms_norm, .swiglu = swiglu, .add = add, .rope = rope, .exp = exp_all, .argmax = argmax,
};
#pragma clang attribute pop
#endif
