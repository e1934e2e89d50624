/*
 * CRC32C (Castagnoli), alone and fused with a copy.
 *
 * `crc` is the checksum of what came before, 0 at first; the result is that of everything so far, so that a value can
 * be carried through any number of calls. Every implementation gives the same value; the fastest that the processor
 * has is chosen at the first call.
 */
#ifndef BATON_CHECKSUM_H
#define BATON_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of `data[0 ... count)`. */
uint32_t bc_crc32c(uint32_t crc, const void *data, size_t count);

/* The same, while copying to `target[0 ... count)`, which must not overlap: one pass over the memory. */
uint32_t bc_crc32c_copy(uint32_t crc, void *restrict target, const void *restrict source, size_t count);

/* One table look-up a byte; what the others are tested against. */
uint32_t bc_crc32c_scalar(uint32_t crc, const void *data, size_t count);

#endif
