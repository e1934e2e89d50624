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

const bk_kernels bk_scalar = {
    .name = "scalar", .bf16_family = "fma", .isa = BK_SCALAR,
    .gemm_f32 = gemm_f32, .round_rows = round_rows_fma, .gemm_bf16 = gemm_bf16_fma, .attention = attention,
    .attention_parts = attention_parts, .attention_fold = attention_fold, .store_kv = store_kv,
    .rms_norm = rms_norm, .swiglu = swiglu, .add = add, .rope = rope, .exp = exp_all, .argmax = argmax,
};
