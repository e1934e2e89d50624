/* Packing of weights, conversions: once per weight, so plain C. */
#include "baton_kernels.h"
#include "elementary.h"

static inline float element(const unsigned char *src, bk_type type, size_t i) {
    uint16_t half;
    float value;
    if (type == BK_FLOAT32) {
        memcpy(&value, src + 4 * i, 4);
        return value;
    }
    memcpy(&half, src + 2 * i, 2);
    return type == BK_BFLOAT16 ? bk_of_bf16(half) : bk_of_f16(half);
}

static inline size_t element_bytes(bk_type type) { return type == BK_FLOAT32 ? 4 : 2; }

/* Columns of a panel are filled in strips of K, so that the strip stays in the cache while all 64 rows write to it. */
enum { STRIP = 128 };

void bk_pack_f32(const void *const rows[BK_PANEL], bk_type src_type, size_t k, float *dst) {
    for (size_t k0 = 0; k0 < k; k0 += STRIP)
        for (size_t c = 0; c < BK_PANEL; c++)
            for (size_t i = k0; i < k && i < k0 + STRIP; i++)
                dst[i * BK_PANEL + c] = rows[c] ? element(rows[c], src_type, i) : 0;
}

void bk_pack_bf16(const void *const rows[BK_PANEL], bk_type src_type, size_t k, uint16_t *dst) {
    size_t padded = bk_padded_k(k);
    for (size_t k0 = 0; k0 < padded; k0 += STRIP)
        for (size_t c = 0; c < BK_PANEL; c++)
            for (size_t i = k0; i < padded && i < k0 + STRIP; i++) {
                float value = rows[c] && i < k ? element(rows[c], src_type, i) : 0;
                dst[(i / 2 * BK_PANEL + c) * 2 + i % 2] = bk_to_bf16(value);
            }
}

/* The scale of a group of weights: the nearest float16, or the one above it where q would exceed 127. NaN if amax is not
 * finite. */
static uint16_t int8_scale(float amax) {
    const uint16_t nan = 0x7e00;
    if (!(amax <= 0x1.fffffep127f)) return nan;
    if (amax >= 127 * 65504.0f) return bk_to_f16(65504);
    uint16_t half = bk_to_f16(amax / 127);
    return bk_of_f16(half) * 127.5f < amax ? half + 1 : half;
}

static inline int32_t int8_quotient(float value, float scale) {
    float q = value / scale;
    q = q > 127 ? 127 : q < -127 ? -127 : q;
    return (int32_t)bk_bits(q + 0x1.8p23f) - (int32_t)bk_bits(0x1.8p23f);
}

void bk_pack_int8(const void *const rows[BK_PANEL], bk_type src_type, size_t k, size_t group, uint8_t *dst) {
    for (size_t k0 = 0; k0 < k; k0 += group) {
        size_t n = k - k0 < group ? k - k0 : group, padded = bk_int8_padded(n);
        uint8_t *scales = dst + BK_PANEL * padded;
        for (size_t c = 0; c < BK_PANEL; c++) {
            float values[BK_INT8_GROUP] = {0};
            int32_t most = 0; /* magnitudes as integers: NaN and infinity are the largest */
            if (rows[c]) bk_widen((const unsigned char *)rows[c] + k0 * element_bytes(src_type), src_type, values, n);
            for (size_t i = 0; i < n; i++) {
                int32_t magnitude = (int32_t)(bk_bits(values[i]) & 0x7fffffffu);
                most = magnitude > most ? magnitude : most;
            }
            uint16_t half = int8_scale(bk_from_bits((uint32_t)most));
            float scale = bk_of_f16(half);
            uint8_t bytes[BK_INT8_GROUP];
            for (size_t i = 0; i < padded; i++) bytes[i] = scale > 0 ? (uint8_t)(int8_quotient(values[i], scale) + 128) : 128;
            for (size_t i = 0; i < padded; i += 4) memcpy(dst + (i / 4 * BK_PANEL + c) * 4, bytes + i, 4);
            memcpy(scales + 2 * c, &half, 2);
        }
        dst = scales + 2 * BK_PANEL;
    }
}

void bk_pack_q8_0(const void *const rows[BK_PANEL], size_t k, uint8_t *dst) {
    enum { GROUP = 32, BLOCK_BYTES = 2 + GROUP };
    for (size_t g = 0; g < k / GROUP; g++, dst += BK_PANEL * BLOCK_BYTES) {
        for (size_t c = 0; c < BK_PANEL; c++) {
            const uint8_t *block = rows[c] ? (const uint8_t *)rows[c] + g * BLOCK_BYTES : NULL;
            uint16_t half = 0;
            if (block) memcpy(&half, block, 2);
            if ((half & 0x7c00u) == 0x7c00u) half = 0x7e00;
            for (size_t i = 0; i < GROUP; i++)
                dst[(i / 4 * BK_PANEL + c) * 4 + i % 4] = block ? (uint8_t)(block[2 + i] ^ 0x80u) : 128;
            memcpy(dst + BK_PANEL * GROUP + 2 * c, &half, 2);
        }
    }
}

void bk_unpack_row_int8(const uint8_t *w, size_t k, size_t group, size_t row, float *out) {
    size_t column = row % BK_PANEL;
    w += row / BK_PANEL * bk_int8_panel_bytes(k, group);
    for (size_t k0 = 0; k0 < k; k0 += group) {
        size_t n = k - k0 < group ? k - k0 : group;
        const uint8_t *scales = w + BK_PANEL * bk_int8_padded(n);
        uint16_t half;
        memcpy(&half, scales + 2 * column, 2);
        float scale = bk_of_f16(half);
        for (size_t i = 0; i < n; i++)
            out[k0 + i] = (float)(w[(i / 4 * BK_PANEL + column) * 4 + i % 4] - 128) * scale;
        w = scales + 2 * BK_PANEL;
    }
}

void bk_unpack_row_f32(const float *w, size_t k, size_t row, float *out) {
    const float *from = w + row / BK_PANEL * BK_PANEL * k + row % BK_PANEL;
    for (size_t i = 0; i < k; i++) out[i] = from[i * BK_PANEL];
}

void bk_unpack_row_bf16(const uint16_t *w, size_t k, size_t row, float *out) {
    const uint16_t *from = w + row / BK_PANEL * BK_PANEL * bk_padded_k(k) + row % BK_PANEL * 2;
    for (size_t i = 0; i < k; i++) out[i] = bk_of_bf16(from[i / 2 * BK_PANEL * 2 + i % 2]);
}

void bk_widen(const void *src, bk_type src_type, float *out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = element(src, src_type, i);
}
