/* What the file for AMX lends to others: a product, for the table of avx512bf16.c, and tiles, which the team gives back. */
#ifndef BATON_AMX_H
#define BATON_AMX_H

#include "baton_kernels.h"

#if defined(__x86_64__)
/* gemm_bf16 of the "amx" family. Leaves the calling thread's tiles in use: to shape them takes longer than a product of few rows. */
void bk_gemm_amx(const void *x, const uint16_t *w, float *y, size_t ldy, size_t m, size_t k, size_t panel0, size_t panel1,
                 const bk_read_ahead *later);

/* For how many rows the calling thread's tiles are shaped; 0 if they are not in use. */
extern _Thread_local size_t bk_tiles_shaped;
void bk_release_tiles(void);

/* To be called when a thread has done its part of a product, or each time it is switched its tiles would be saved. */
static inline void bk_done_with_tiles(void) {
    if (bk_tiles_shaped != 0) bk_release_tiles();
}
#else
static inline void bk_done_with_tiles(void) {}
#endif

#endif
