/* AMX: products of bfloat16 by TDPBF16PS, on tiles of 16 rows of 64 bytes; baton_kernels.h states the sums. All else is as in avx512bf16.c,
 * which has the table. */
#include "amx.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <stdalign.h>
#include <string.h>
#pragma clang attribute push(__attribute__((target("avx512f,amx-tile,amx-bf16"))), apply_to = function)
#define BK_INLINE static inline __attribute__((always_inline, unused))

enum {
    TILE_ROWS = 16,
    STEP = 32,                       /* inputs of one TDPBF16PS */
    STEP_BYTES = 2 * STEP * BK_PANEL, /* of a panel */
    PAIR_BYTES = 4 * BK_PANEL,       /* from a pair of inputs to the next in a panel: a row of a tile of weights begins there */
    STEP_LINES = STEP_BYTES / 64,
    MOST_ROWS = 2 * TILE_ROWS,       /* of a block of outputs */
    MOST_STEPS = 18,                 /* of a block of K that several blocks of outputs share */
    LATER_LINES = 4,                 /* of what is read later, in a step */
    NEAR = 2 * STEP_BYTES            /* how far a single pass fetches ahead of itself */
};

/* Where a block of outputs has its inputs, and what it fetches. */
typedef struct {
    const unsigned char *x, *w;
    size_t x_stride; /* bytes from row to row */
    float *y;
    size_t y_stride; /* bytes */
    size_t steps;
    bool first; /* of the blocks of K */
    const unsigned char *ahead;
} amx_block;

_Thread_local size_t bk_tiles_shaped;

/* For a block of that many rows: tiles 0 ... 3 hold outputs, and the others what the two kinds of blocks below say. */
static void shape_tiles(size_t rows) {
    bk_tile_shapes shapes = {.palette = 1};
    size_t upper = rows < TILE_ROWS ? rows : TILE_ROWS, lower = rows - upper;
    for (size_t tile = 0; tile < 8; tile++) shapes.row_bytes[tile] = 64, shapes.rows[tile] = TILE_ROWS;
    if (lower == 0) {
        for (size_t tile = 0; tile < 5; tile++) shapes.rows[tile] = (uint8_t)upper;
    } else {
        shapes.rows[2] = shapes.rows[3] = shapes.rows[5] = (uint8_t)lower;
    }
    _tile_loadconfig(&shapes);
    bk_tiles_shaped = rows;
}

void bk_release_tiles(void) {
    _tile_release();
    bk_tiles_shaped = 0;
}

BK_INLINE const unsigned char *fetch_ahead(const unsigned char *ahead, const size_t lines) {
#pragma clang loop unroll(full)
    for (size_t l = 0; l < lines; l++) _mm_prefetch((const char *)ahead + 64 * l, _MM_HINT_T0);
    return ahead + 64 * lines;
}

/* At most 16 rows with the 64 columns of a panel: activations in tile 4, weights in 5 ... 7. */
BK_INLINE void wide_block(const size_t lines, const amx_block *b) {
    const unsigned char *x = b->x, *w = b->w, *ahead = b->ahead;
    float *y = b->y;
    if (b->first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, y, b->y_stride);
        _tile_loadd(1, y + 16, b->y_stride);
        _tile_loadd(2, y + 32, b->y_stride);
        _tile_loadd(3, y + 48, b->y_stride);
    }
    for (size_t step = 0; step < b->steps; step++, x += 2 * STEP, w += STEP_BYTES) {
        _tile_loadd(4, x, b->x_stride);
        _tile_loadd(5, w, PAIR_BYTES);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, w + 64, PAIR_BYTES);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, w + 128, PAIR_BYTES);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, w + 192, PAIR_BYTES);
        _tile_dpbf16ps(3, 4, 5);
        ahead = fetch_ahead(ahead, lines);
    }
    _tile_stored(0, y, b->y_stride);
    _tile_stored(1, y + 16, b->y_stride);
    _tile_stored(2, y + 32, b->y_stride);
    _tile_stored(3, y + 48, b->y_stride);
}

/* 17 ... 32 rows with 32 columns: activations in tiles 4 and 5, weights in 6 and 7. */
BK_INLINE void tall_block(const size_t lines, const amx_block *b) {
    const unsigned char *x = b->x, *w = b->w, *ahead = b->ahead;
    float *y = b->y, *lower = (float *)((unsigned char *)y + TILE_ROWS * b->y_stride);
    if (b->first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, y, b->y_stride);
        _tile_loadd(1, y + 16, b->y_stride);
        _tile_loadd(2, lower, b->y_stride);
        _tile_loadd(3, lower + 16, b->y_stride);
    }
    for (size_t step = 0; step < b->steps; step++, x += 2 * STEP, w += STEP_BYTES) {
        _tile_loadd(4, x, b->x_stride);
        _tile_loadd(6, w, PAIR_BYTES);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, w + 64, PAIR_BYTES);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, x + TILE_ROWS * b->x_stride, b->x_stride);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        ahead = fetch_ahead(ahead, lines);
    }
    _tile_stored(0, y, b->y_stride);
    _tile_stored(1, y + 16, b->y_stride);
    _tile_stored(2, lower, b->y_stride);
    _tile_stored(3, lower + 16, b->y_stride);
}

static void run_block(bool tall, size_t lines, const amx_block *b) {
#define BK_BLOCK(LINES) case LINES: if (tall) tall_block(LINES, b); else wide_block(LINES, b); return;
    switch (lines) { BK_BLOCK(0) BK_BLOCK(LATER_LINES) BK_BLOCK(STEP_LINES / 4) BK_BLOCK(STEP_LINES / 2) BK_BLOCK(STEP_LINES) }
#undef BK_BLOCK
}

/* What somebody else reads later, `steps` steps at a time. NULL once all is fetched. */
typedef struct {
    const bk_read_ahead *later;
    const unsigned char *at, *end;
    size_t next;
} amx_later;

static const unsigned char *take_later(amx_later *l, size_t steps) {
    if (l->at >= l->end) {
        if (!l->later || l->next >= l->later->count) return NULL;
        l->at = l->later->base + (size_t)l->later->blocks[l->next++] * l->later->stride;
        l->end = l->at + l->later->stride;
    }
    const unsigned char *from = l->at;
    l->at += 64 * LATER_LINES * steps;
    return from;
}

/* What a product walks through: rows [m] from x on, in blocks, with one block of K of one panel. */
typedef struct {
    const unsigned char *x, *w;
    size_t x_stride, m, steps;
    float *y;
    size_t y_stride;
    bool first;
} amx_span;

/*
 * The blocks of a span share its weights, which the first of them brings in, and between them fetch those of the next span. A
 * single pass streams the whole panel, well ahead of itself. From the fifth pass on memory would idle: there what somebody
 * else reads later is fetched.
 */
static void run_span(const amx_span *s, amx_later *later) {
    size_t passes = 0, most = s->m <= TILE_ROWS ? 1 : s->m <= 2 * MOST_ROWS - TILE_ROWS ? 2 : 4;
    const unsigned char *ahead = s->w + (most == 1 ? NEAR : STEP_BYTES * s->steps);
    for (size_t row = 0, rows; row < s->m; row += rows) {
        rows = s->m - row < MOST_ROWS ? s->m - row : MOST_ROWS;
        bool tall = rows > TILE_ROWS;
        if (bk_tiles_shaped != rows) shape_tiles(rows);
        for (size_t column = 0; column < BK_PANEL; column += tall ? BK_PANEL / 2 : BK_PANEL, passes++) {
            amx_block b = {
                .x = s->x + row * s->x_stride, .x_stride = s->x_stride, .w = s->w + 4 * column, .y_stride = s->y_stride,
                .y = (float *)((unsigned char *)s->y + row * s->y_stride) + column, .steps = s->steps, .first = s->first, .ahead = ahead};
            size_t lines = passes < most ? STEP_LINES / most : 0;
            ahead += 64 * lines * s->steps;
            if (lines == 0 && (b.ahead = take_later(later, s->steps)) != NULL) lines = LATER_LINES;
            run_block(tall, lines, &b);
        }
    }
}

/* The last inputs of rows and panels, if they are not enough for a step: copied, and padded with zeros. */
typedef struct {
    alignas(64) uint16_t x[MOST_ROWS][STEP];
    alignas(64) uint16_t w[STEP / 2][2 * BK_PANEL];
} amx_tail;

static void run_tail(const amx_span *s, size_t inputs, amx_tail *tail, amx_later *later) {
    memset(tail->w, 0, sizeof tail->w);
    memcpy(tail->w, s->w, inputs / 2 * PAIR_BYTES);
    for (size_t row = 0, rows; row < s->m; row += rows) {
        rows = s->m - row < MOST_ROWS ? s->m - row : MOST_ROWS;
        memset(tail->x, 0, sizeof tail->x);
        for (size_t r = 0; r < rows; r++) memcpy(tail->x[r], s->x + (row + r) * s->x_stride, 2 * inputs);
        amx_span part = *s;
        part.x = (const unsigned char *)tail->x, part.x_stride = sizeof tail->x[0], part.m = rows;
        part.w = (const unsigned char *)tail->w;
        part.y = (float *)((unsigned char *)s->y + row * s->y_stride);
        run_span(&part, later);
    }
}

void bk_gemm_amx(const void *activations, const uint16_t *w, float *y, size_t ldy, size_t m, size_t k, size_t panel0,
                 size_t panel1, const bk_read_ahead *later) {
    const size_t depth = bk_padded_k(k), steps = depth / STEP, inputs = depth % STEP;
    const size_t most = m <= TILE_ROWS ? steps : MOST_STEPS, spans = steps == 0 ? 1 : (steps + most - 1) / most;
    const size_t each = (steps + spans - 1) / spans;
    amx_later fetches = {.later = later};
    amx_tail tail;
    for (size_t panel = panel0; panel < panel1; panel++) {
        amx_span s = {.x_stride = 2 * depth, .m = m, .y = y + BK_PANEL * panel, .y_stride = 4 * ldy};
        for (size_t step = 0; step < steps; step += each) {
            s.x = (const unsigned char *)activations + 2 * STEP * step;
            s.w = (const unsigned char *)(w + BK_PANEL * (panel * depth + STEP * step));
            s.steps = steps - step < each ? steps - step : each;
            s.first = step == 0;
            run_span(&s, &fetches);
        }
        if (inputs == 0) continue;
        s.x = (const unsigned char *)activations + 2 * STEP * steps;
        s.w = (const unsigned char *)(w + BK_PANEL * (panel * depth + STEP * steps));
        s.steps = 1, s.first = steps == 0;
        run_tail(&s, inputs, &tail, &fetches);
    }
}
#pragma clang attribute pop
#endif
