/* AMX: products of int8 by TDPBSUD. A group of inputs is one instruction, whose sums of integers are exact; scales are applied by AVX-512, in
 * the order of groups, so these are the bits of every other kernel. */
#include "amx.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdalign.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx512f,f16c,amx-tile,amx-int8"))), apply_to = function)

enum {
    TILE_ROWS = 16,
    QUAD_BYTES = 4 * BK_PANEL, /* from four inputs to the next in a panel: a row of a tile of weights begins there */
    HALF = BK_PANEL / 2,       /* columns that are summed before they get their scales */
    HALVES = BK_PANEL / HALF,
    MOST_GROUPS = 4,           /* of a span, which several blocks of outputs share */
    NEAR = 8192                /* how far a single pass fetches ahead of itself */
};

/* Sums of integers of a group and half a panel. Two of them fill a page: were they larger, the processor would take what is read from one
 * for what is written to the other, whose addresses end alike. */
typedef struct { alignas(64) int32_t of[HALF / 16][TILE_ROWS][16]; } sums;

/* Rows [rows] with some groups of one panel. */
typedef struct {
    const unsigned char *x, *scales; /* the first group's inputs of the first row, and its scale and start */
    size_t x_stride, scales_stride;  /* bytes from row to row */
    const unsigned char *w;
    float *y;
    size_t y_stride, rows;
    size_t groups, group; /* how many, and the inputs of each */
    bool first;           /* of the row's groups */
    const unsigned char *ahead;
    size_t lines; /* of `ahead`, to be fetched for each group */
} int8_block;

/*
 * Tiles 0 and 1 hold the sums of whole blocks, 4 their activations, 5 weights; 6 and 7 sums and activations of the rows that are too few for
 * a block. So all blocks of a product do with one shape of the tiles.
 */
static void shape_tiles(size_t rest, size_t group) {
    size_t key = rest + 32 * group; /* beyond any number of rows in amxbf16.c */
    if (bk_tiles_shaped == key) return;
    bk_tile_shapes shapes = {.palette = 1};
    for (size_t tile = 0; tile < 8; tile++) shapes.row_bytes[tile] = 64, shapes.rows[tile] = TILE_ROWS;
    shapes.row_bytes[4] = shapes.row_bytes[7] = (uint16_t)group;
    shapes.rows[5] = (uint8_t)(group / 4);
    if (rest > 0) shapes.rows[6] = shapes.rows[7] = (uint8_t)rest;
    _tile_loadconfig(&shapes);
    bk_tiles_shaped = key;
}

/* w: at the first of the half's columns. */
static void sum_half(const unsigned char *x, size_t x_stride, const unsigned char *w, bool whole, sums *s) {
    if (whole) {
        _tile_loadd(4, x, x_stride);
        _tile_zero(0);
        _tile_loadd(5, w, QUAD_BYTES);
        _tile_dpbsud(0, 4, 5);
        _tile_stored(0, s->of[0], 64);
        _tile_zero(1);
        _tile_loadd(5, w + 64, QUAD_BYTES);
        _tile_dpbsud(1, 4, 5);
        _tile_stored(1, s->of[1], 64);
    } else {
        _tile_loadd(7, x, x_stride);
        _tile_zero(6);
        _tile_loadd(5, w, QUAD_BYTES);
        _tile_dpbsud(6, 7, 5);
        _tile_stored(6, s->of[0], 64);
        _tile_zero(6);
        _tile_loadd(5, w + 64, QUAD_BYTES);
        _tile_dpbsud(6, 7, 5);
        _tile_stored(6, s->of[1], 64);
    }
}

/* y += sums * scales, for one group and half the panel, at y. */
static void scale_half(const int8_block *b, const unsigned char *scales, const unsigned char *weight_scales, float *y, bool first,
                       const sums *s) {
    __m512 weights[HALF / 16];
    for (size_t c = 0; c < HALF / 16; c++) weights[c] = _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(weight_scales + 32 * c)));
    for (size_t r = 0; r < b->rows; r++, scales += b->scales_stride, y += b->y_stride) {
        float scale;
        int32_t start;
        memcpy(&scale, scales, 4);
        memcpy(&start, scales + 4, 4);
#pragma clang loop unroll(full)
        for (size_t c = 0; c < HALF / 16; c++) {
            __m512i sum = _mm512_add_epi32(_mm512_load_si512(s->of[c][r]), _mm512_set1_epi32(start));
            __m512 factor = _mm512_mul_ps(_mm512_set1_ps(scale), weights[c]);
            __m512 before = first ? _mm512_setzero_ps() : _mm512_loadu_ps(y + 16 * c);
            _mm512_storeu_ps(y + 16 * c, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), factor, before));
        }
    }
}

/* While some integers are summed, those before get their scales. */
static void run_block(const int8_block *b) {
    alignas(4096) sums two[2];
    const bool whole = b->rows == TILE_ROWS;
    const size_t bytes = BK_PANEL * (b->group + 2), halves = HALVES * b->groups;
    const unsigned char *ahead = b->ahead;
    sum_half(b->x, b->x_stride, b->w, whole, &two[0]);
    for (size_t i = 0; i < halves; i++) {
        size_t next = i + 1, group = i / HALVES, half = i % HALVES;
        for (size_t l = 0; half == 0 && l < b->lines; l++, ahead += 64) _mm_prefetch((const char *)ahead, _MM_HINT_T0);
        if (next < halves)
            sum_half(b->x + next / HALVES * b->group, b->x_stride, b->w + next / HALVES * bytes + next % HALVES * 4 * HALF, whole,
                     &two[next % 2]);
        scale_half(b, b->scales + 8 * group, b->w + (group + 1) * bytes - 2 * BK_PANEL + 2 * half * HALF, b->y + half * HALF,
                   b->first && group == 0, &two[i % 2]);
    }
}

/* A group that is shorter than the others: copied, and padded with zeros. */
typedef struct {
    alignas(64) int8_t x[TILE_ROWS][BK_INT8_GROUP];
    alignas(64) uint8_t w[BK_INT8_GROUP / 4 * QUAD_BYTES + 2 * BK_PANEL];
} short_group;

static void run_short(int8_block b, size_t inputs, short_group *copy) {
    memset(copy, 0, sizeof *copy);
    for (size_t r = 0; r < b.rows; r++) memcpy(copy->x[r], b.x + r * b.x_stride, inputs);
    memcpy(copy->w, b.w, inputs / 4 * QUAD_BYTES);
    memcpy(copy->w + BK_PANEL * b.group, b.w + BK_PANEL * inputs, 2 * BK_PANEL);
    b.x = (const unsigned char *)copy->x, b.x_stride = sizeof copy->x[0], b.w = copy->w, b.groups = 1;
    run_block(&b);
}

/* Blocks of rows share some groups of weights, which the first of them brings in, and between them fetch the groups to come. */
void bk_gemm_int8_amx(const void *activations, const uint8_t *weights, float *y, size_t ldy, size_t m, size_t k, size_t group, size_t panel0,
                      size_t panel1) {
    const size_t depth = bk_int8_padded(k), whole = depth / group, rest = depth % group, row_bytes = bk_int8_row_bytes(k, group);
    const size_t group_bytes = BK_PANEL * (group + 2), lines = group_bytes / 64, passes = (m + TILE_ROWS - 1) / TILE_ROWS;
    const size_t most = passes == 1 ? whole + 1 : MOST_GROUPS, sharing = passes < 4 ? passes : 4;
    short_group copy;
    shape_tiles(m % TILE_ROWS, group);
    for (size_t panel = panel0; panel < panel1; panel++)
        for (size_t g = 0, groups; g < whole + (rest > 0); g += groups) {
            const unsigned char *w = weights + panel * bk_int8_panel_bytes(k, group) + g * group_bytes;
            groups = g == whole ? 1 : whole - g < most ? whole - g : most;
            const unsigned char *ahead = w + (passes == 1 ? NEAR : groups * group_bytes);
            for (size_t row = 0, pass = 0; row < m; row += TILE_ROWS, pass++) {
                const unsigned char *x = (const unsigned char *)activations + row * row_bytes;
                int8_block b = {
                    .x = x + g * group, .x_stride = row_bytes, .scales = x + bk_int8_groups_offset(k) + 8 * g, .scales_stride = row_bytes,
                    .w = w, .y = y + row * ldy + BK_PANEL * panel, .y_stride = ldy, .rows = m - row < TILE_ROWS ? m - row : TILE_ROWS,
                    .groups = groups, .group = group, .first = g == 0, .ahead = ahead,
                    .lines = pass < sharing ? (lines + sharing - 1) / sharing : 0};
                ahead += 64 * b.lines * groups;
                if (g == whole) run_short(b, rest, &copy);
                else run_block(&b);
            }
        }
}
#pragma clang attribute pop
#endif
