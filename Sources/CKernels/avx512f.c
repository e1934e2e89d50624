/* AVX-512 F, BW, DQ, VL: thirty-two 512-bit registers, a tile of 6 rows x 64 columns. */
#include "baton_kernels.h"
#include "elementary.h"

#if defined(__x86_64__)
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

const bk_kernels bk_avx512f = {
    .name = "avx512f", .bf16_family = "fma", .isa = BK_AVX512F,
    .gemm_f32 = gemm_f32, .round_rows = round_rows_fma, .gemm_bf16 = gemm_bf16_fma, .attention = attention,
    .attention_parts = attention_parts, .attention_fold = attention_fold, .store_kv = store_kv,
    .rms_norm = rms_norm, .swiglu = swiglu, .add = add, .rope = rope, .exp = exp_all, .argmax = argmax,
};
#pragma clang attribute pop
#endif
