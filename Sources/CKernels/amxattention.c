/* AMX: attention as in avx512bf16.c, but over pairs of bf16 by TDPBF16PS. */
#include "amx.h"
#include "elementary.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include <string.h>
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,fma,amx-tile,amx-bf16"))), apply_to = function)
#include "vector.h"
#include "pairs.inc"

#define BK_REGISTERS 32
#define BK_PAIRS
#define BK_AMX
#include "attention.inc"

void bk_attention_amx(const bk_attention *a, const bk_attention *next, float *scratch) { attention(a, next, scratch); }
void bk_attention_parts_amx(const bk_attention *a, size_t from, size_t to, float *parts, float *scratch) {
    attention_parts(a, from, to, parts, scratch);
}
void bk_attention_fold_amx(const bk_attention *a, const float *parts, float *scratch) { attention_fold(a, parts, scratch); }
#pragma clang attribute pop
#endif
