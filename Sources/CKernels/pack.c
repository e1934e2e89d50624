/* Packing of weights, storing of K and V, conversions: once per weight or token, so plain C. */
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

void bk_unpack_row_f32(const float *w, size_t k, size_t row, float *out) {
    const float *from = w + row / BK_PANEL * BK_PANEL * k + row % BK_PANEL;
    for (size_t i = 0; i < k; i++) out[i] = from[i * BK_PANEL];
}

void bk_unpack_row_bf16(const uint16_t *w, size_t k, size_t row, float *out) {
    const uint16_t *from = w + row / BK_PANEL * BK_PANEL * bk_padded_k(k) + row % BK_PANEL * 2;
    for (size_t i = 0; i < k; i++) out[i] = bk_of_bf16(from[i / 2 * BK_PANEL * 2 + i % 2]);
}

void bk_store_kv(const float *k, const float *v, void *block, bk_type kv_type, size_t kv_heads, size_t head_dim,
                 size_t block_size, size_t slot) {
    size_t head = block_size * head_dim;
    size_t key = slot / BK_LANES * BK_LANES * head_dim + slot % BK_LANES, value = kv_heads * head + slot * head_dim;
    for (size_t h = 0; h < kv_heads; h++)
        for (size_t d = 0; d < head_dim; d++) {
            size_t to_key = h * head + key + d * BK_LANES, to_value = h * head + value + d;
            float from_key = k[h * head_dim + d], from_value = v[h * head_dim + d];
            if (kv_type == BK_FLOAT32) {
                ((float *)block)[to_key] = from_key;
                ((float *)block)[to_value] = from_value;
            } else {
                ((uint16_t *)block)[to_key] = bk_to_bf16(from_key);
                ((uint16_t *)block)[to_value] = bk_to_bf16(from_value);
            }
        }
}
