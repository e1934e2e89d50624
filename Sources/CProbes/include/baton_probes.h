/*
 * Ceilings of the machine: loops that do one thing as fast as it can be done, so that a benchmark can say what share of
 * the possible it reached. They compute nothing of use.
 */
#ifndef BATON_PROBES_H
#define BATON_PROBES_H

#include <stddef.h>
#include <stdint.h>

/* Arithmetic whose peak rate is measured: float32 fma, bf16 pairs, int8 quadruples, bf16 and int8 tiles (AMX). */
typedef enum { BP_FLOAT32 = 0, BP_BFLOAT16 = 1, BP_INT8 = 2, BP_BFLOAT16_TILES = 3, BP_INT8_TILES = 4 } bp_arithmetic;

/* Reads every byte of data, `bytes` a multiple of 1024, and returns a sum of them that means nothing. */
uint64_t bp_read(const void *data, size_t bytes);

/* Runs `iterations` of independent multiply-adds on registers, on the widest unit that this processor has for it (bf16
 * and int8 by float32 or widened products where there is none; only a process that was granted tiles may ask for them). Returns the operations done, two for each multiply-add. */
double bp_compute(bp_arithmetic arithmetic, size_t iterations);

#endif
