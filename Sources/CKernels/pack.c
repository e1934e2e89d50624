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
