#include "baton_checksum.h"

#include <stdbool.h>
#include <string.h>

/* The polynomial 0x1EDC6F41 with its bits reversed, as the algorithm shifts right. */
#define POLYNOMIAL 0x82F63B78u

static uint32_t table[256];

__attribute__((constructor)) static void fill_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; bit++) value = value & 1 ? value >> 1 ^ POLYNOMIAL : value >> 1;
        table[byte] = value;
    }
}

static uint32_t scalar_step(uint32_t state, const unsigned char *data, size_t count) {
    for (size_t i = 0; i < count; i++) state = table[(state ^ data[i]) & 0xFF] ^ state >> 8;
    return state;
}

uint32_t bc_crc32c_scalar(uint32_t crc, const void *data, size_t count) {
    return ~scalar_step(~crc, data, count);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("sse4.2"))) static uint32_t hardware_step(
    uint32_t state, unsigned char *target, const unsigned char *source, size_t count) {
    uint64_t wide = state;
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word;
        memcpy(&word, source + i, 8);
        if (target) memcpy(target + i, &word, 8);
        wide = _mm_crc32_u64(wide, word);
    }
    state = (uint32_t)wide;
    for (; i < count; i++) {
        if (target) target[i] = source[i];
        state = _mm_crc32_u8(state, source[i]);
    }
    return state;
}

static bool has_instruction(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>

static uint32_t hardware_step(uint32_t state, unsigned char *target, const unsigned char *source, size_t count) {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word;
        memcpy(&word, source + i, 8);
        if (target) memcpy(target + i, &word, 8);
        state = __crc32cd(state, word);
    }
    for (; i < count; i++) {
        if (target) target[i] = source[i];
        state = __crc32cb(state, source[i]);
    }
    return state;
}

static bool has_instruction(void) { return true; }
#else
static uint32_t hardware_step(uint32_t state, unsigned char *target, const unsigned char *source, size_t count) {
    (void)target, (void)source, (void)count;
    return state;
}

static bool has_instruction(void) { return false; }
#endif

uint32_t bc_crc32c(uint32_t crc, const void *data, size_t count) {
    if (has_instruction()) return ~hardware_step(~crc, NULL, data, count);
    return bc_crc32c_scalar(crc, data, count);
}

uint32_t bc_crc32c_copy(uint32_t crc, void *restrict target, const void *restrict source, size_t count) {
    if (has_instruction()) return ~hardware_step(~crc, target, source, count);
    memcpy(target, source, count);
    return bc_crc32c_scalar(crc, source, count);
}
