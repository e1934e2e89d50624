/* Packing of weights: once per weight, so plain C. */
#include "dequantize.h"
#include "elementary.h"

/* Columns of a panel are filled in strips of K, so that the strip stays in the cache while all 64 rows write to it. */

void bk_pack_f32(const void *const rows[BK_PANEL], bk_type src_type, size_t k, float *dst) {
    float strip[BK_STRIP];
    for (size_t k0 = 0; k0 < k; k0 += BK_STRIP) {
        size_t n = k - k0 < BK_STRIP ? k - k0 : BK_STRIP;
        for (size_t c = 0; c < BK_PANEL; c++) {
            if (rows[c]) bk_widen_range(rows[c], src_type, k0, n, strip);
            for (size_t i = 0; i < n; i++) dst[(k0 + i) * BK_PANEL + c] = rows[c] ? strip[i] : 0;
        }
    }
}

void bk_pack_bf16(const void *const rows[BK_PANEL], bk_type src_type, size_t k, uint16_t *dst) {
    float strip[BK_STRIP];
    for (size_t k0 = 0; k0 < k; k0 += BK_STRIP) {
        size_t n = k - k0 < BK_STRIP ? k - k0 : BK_STRIP, padded = bk_padded_k(n);
        for (size_t c = 0; c < BK_PANEL; c++) {
            if (rows[c]) bk_widen_range(rows[c], src_type, k0, n, strip);
            for (size_t i = 0; i < padded; i++) {
                float value = rows[c] && i < n ? strip[i] : 0;
                dst[((k0 + i) / 2 * BK_PANEL + c) * 2 + i % 2] = bk_to_bf16(value);
            }
        }
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

/* One group of one column: values [n], padded with zeros to [padded]. */
static void pack_int8_group(const float *values, size_t n, size_t padded, size_t column, uint8_t *dst) {
    int32_t most = 0; /* magnitudes as integers: NaN and infinity are the largest */
    for (size_t i = 0; i < n; i++) {
        int32_t magnitude = (int32_t)(bk_bits(values[i]) & 0x7fffffffu);
        most = magnitude > most ? magnitude : most;
    }
    uint16_t half = int8_scale(bk_from_bits((uint32_t)most));
    float scale = bk_of_f16(half);
    uint8_t bytes[BK_INT8_GROUP];
    for (size_t i = 0; i < padded; i++)
        bytes[i] = scale > 0 && i < n ? (uint8_t)(int8_quotient(values[i], scale) + 128) : 128;
    for (size_t i = 0; i < padded; i += 4) memcpy(dst + (i / 4 * BK_PANEL + column) * 4, bytes + i, 4);
    memcpy(dst + BK_PANEL * padded + 2 * column, &half, 2);
}

void bk_pack_int8(const void *const rows[BK_PANEL], bk_type src_type, size_t k, size_t group, uint8_t *dst) {
    for (size_t k0 = 0; k0 < k; k0 += BK_STRIP) {
        size_t strip_end = k - k0 < BK_STRIP ? k - k0 : BK_STRIP;
        for (size_t c = 0; c < BK_PANEL; c++) {
            float strip[BK_STRIP] = {0};
            if (rows[c]) bk_widen_range(rows[c], src_type, k0, strip_end, strip);
            for (size_t g = 0; g < strip_end; g += group) {
                size_t n = strip_end - g < group ? strip_end - g : group;
                /* All groups before this one are whole. */
                pack_int8_group(strip + g, n, bk_int8_padded(n), c, dst + (k0 + g) / group * BK_PANEL * (group + 2));
            }
        }
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
