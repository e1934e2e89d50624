/* What the files for AMX have in common and lend to others: products and attention, for the table of avx512bf16.c, and tiles, which
 * the team gives back. */
#ifndef BATON_AMX_H
#define BATON_AMX_H

#include "baton_kernels.h"

#if defined(__x86_64__)
/* gemm_bf16 of the "amx" family, and gemm_int8. They leave the calling thread's tiles in use: shaping them takes as long as a part of a
 * product of few rows. */
void bk_gemm_amx(const void *x, const uint16_t *w, float *y, size_t ldy, size_t m, size_t k, size_t panel0, size_t panel1,
                 const bk_read_ahead *later);
void bk_gemm_int8_amx(const void *x, const uint8_t *w, float *y, size_t ldy, size_t m, size_t k, size_t group, size_t panel0,
                      size_t panel1);

/* The attention of the same table, which leaves the tiles like this as well. */
void bk_attention_amx(const bk_attention *a, const bk_attention *next, float *scratch);
void bk_attention_parts_amx(const bk_attention *a, size_t from, size_t to, float *parts, float *scratch);
void bk_attention_fold_amx(const bk_attention *a, const float *parts, float *scratch);

/* What the instruction that shapes tiles reads. */
typedef struct {
    _Alignas(64) uint8_t palette;
    uint8_t start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} bk_tile_shapes;

/* How the calling thread's tiles are shaped, a number for each shape; 0 if they are not in use. In amxbf16.c it is the rows of a block. */
extern _Thread_local size_t bk_tiles_shaped;
/* Tiles in use would be saved each time that the thread is switched. */
void bk_release_tiles(void);
#endif

#endif
