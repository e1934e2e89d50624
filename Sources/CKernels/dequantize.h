/* Elements of a checkpoint as float32: see dequantize.c. */
#ifndef BATON_DEQUANTIZE_H
#define BATON_DEQUANTIZE_H

#include "baton_kernels.h"

/* Elements of a row that are widened at a time: a multiple of every block, or half of a block of 256. */
#define BK_STRIP 128

/* Widens elements [first, first + n) of the row at src to out: [n]. For types in blocks: first is a multiple of BK_STRIP,
 * and n is a multiple of the smaller of BK_STRIP and the block. */
void bk_widen_range(const void *src, bk_type type, size_t first, size_t n, float *out);

#endif
