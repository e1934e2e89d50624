/*
 * Kernels of the forward pass: the contract.
 *
 * Every result here is a function of its inputs alone. No sum order and no rounding depends on the number of rows, on a
 * tile, on the thread that computes it, or (but for the one exception below) on the instruction set:
 *
 *   - one output, one chain: y = fold over k, ascending, of fma(x[k], w[k], acc), acc starting at +0;
 *   - sums over a row run in 16 lanes (index mod 16), ascending, and end in the fixed tree of bk_reduce (vector.h);
 *   - exp, sin, cos, log2, exp2 are ours (elementary.h), built from correctly rounded operations only;
 *   - nothing is contracted by the compiler: a multiply and an add that are one rounding are written as fma.
 *
 * The exceptions are instructions that multiply pairs of bf16, and round differently from fma: AVX512-BF16's vdpbf16ps and
 * AMX's TDPBF16PS. Each is a kernel family of its own ("dpbf16" and "amx" beside "fma"), and a numerics class of its own. The sums
 * of "amx" are stated below, for matrices and for attention over pairs.
 *
 * Products of int8 weights have one arithmetic for all instruction sets, stated at bk_int8_padded below.
 *
 * Shapes are row-major, in elements, slowest first; `ld…` is the distance between rows. Nothing here allocates, and
 * nothing checks its arguments: that is the Swift target's work.
 */
#ifndef BATON_KERNELS_H
#define BATON_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Output columns of a packed weight panel. */
#define BK_PANEL 64
/* Greatest group of inputs that share a scale in int8 weights, and the one for weights that are quantized here. */
#define BK_INT8_GROUP 64
/* Key positions of an attention partition, and the lanes of a transposed group of keys. */
#define BK_PARTITION 256
#define BK_LANES 16
/* Queries (token rows x heads of a group) that one call of `attention` keeps in its scratch at a time. */
#define BK_ATTENTION_QUERIES 64
#define BK_MAX_HEAD_DIM 256
/* Elements that share a sum of `softmax_weights`. */
#define BK_SUM_BLOCK 1024

/* Types of weights, KV and checkpoints. Those in blocks (Q...) are checkpoints' alone: see dequantize.c. Pairs are KV's alone. */
typedef enum {
    BK_FLOAT32 = 0, BK_BFLOAT16 = 1, BK_FLOAT16 = 2, BK_INT8 = 3, BK_BFLOAT16_PAIRS = 4,
    BK_Q4_0 = 16, BK_Q4_1, BK_Q5_0, BK_Q5_1, BK_Q8_0, BK_Q4_K, BK_Q5_K, BK_Q6_K
} bk_type;
typedef enum {
    BK_SCALAR = 0, BK_AVX2 = 1, BK_AVX2VNNI = 2, BK_AVX512F = 3, BK_AVX512VNNI = 4, BK_AVX512BF16 = 5,
    BK_AMXBF16 = 6
} bk_isa;

/*
 * Products of bf16 in the family "amx", for every number of rows: inputs are taken 32 at a time, ascending, the last ones padded
 * with zeros. Of each 32,
 *     even = fold over k = 0, 2, ... 30 of fma(x[k], w[k], even),  odd = the same over k = 1, 3, ... 31,  both from +0;
 *     y = y + (even + odd), from +0.
 * Every fma and every sum is rounded to nearest even. Subnormal numbers count as zeros of their sign, in x and w and as the
 * result of any of these operations. The state of the processor (MXCSR) has no say in it.
 */

/*
 * Attention of `row_count` token rows over one KV head.
 *
 * The KV pool of a layer is an array of blocks of `block_stride` bytes, each
 *     K [kv_heads][block_size / 16][head_dim][16]   then   V [kv_heads][block_size][head_dim]
 * of `kv_type`. BK_BFLOAT16_PAIRS, which only "dpbf16" and "amx" kernels know and only for a head_dim of whole vectors of 16, has
 *     K [kv_heads][block_size / 16][head_dim / 2][16][2]   and   V [kv_heads][block_size / 2][head_dim][2]
 * in bf16. BK_INT8 adds   K scales [kv_heads][block_size]   and   V scales [kv_heads][block_size]   in float32.
 * Position p of a row's sequence lives in slot p % block_size of block tables[row.table + p / block_size].
 * A row sees positions max(0, position - window + 1) ... position; window 0 means no window.
 *
 * Positions are split into partitions [256 i, 256 i + 256). Per query and partition, over its visible positions:
 *     s_j = scale * fold_d fma(q[d], k[d][j], acc);   m = max s_j;   p_j = exp(s_j - m);
 *     l = 16 lanes (position mod 16), then the tree;  o[d] = fold_j fma(p_j, v[j][d], o[d]), from +0.
 * For BK_INT8: s_j = scale * (kscale_j * fold_d ...), and fma(p_j * vscale_j, v[j][d], o[d]), each product rounded.
 * For BK_BFLOAT16_PAIRS: q and p_j rounded to bf16 (nearest even; l sums p_j before that), and folds over pairs (d, d + 1) and
 * (j, j + 1), j even, of vdpbf16ps; of a pair of slots, those that are not visible count as 0 in p and v. In the family "amx" the
 * products are those stated above instead: of q and k; and of p and v, 16 slots of a group at a time instead of 32, where those that
 * are not visible count as 0. The output is (O + 0) / L, so that no zero has a sign.
 * The first partition that is seen gives (M, L, O) = (m, l, o); each later one is folded in, left to right, as
 *     M' = max(M, m), a = exp(M - M'), b = exp(m - M'), L' = (L * a) + (l * b), O' = (O * a) + (o * b),
 * every product and every sum rounded on its own. The output is O / L. Slots that are not visible are never read into
 * an addition or a maximum, so their contents (even NaN) do not matter.
 *
 * Rows may be of several sequences. Where neighbours have a partition in the same blocks, K and V of it are read once for
 * all of them; that changes no sum.
 */
typedef struct {
    uint32_t query, out; /* which rows of q and of out are its own */
    uint32_t table;      /* where its block table begins in `tables` */
    int32_t position;
    /* Leading partitions that lie in the same blocks as those of the row before it, whole and seen to their end by both;
     * BK_SAME_SEQUENCE for the next row of the same sequence, at a higher position. Of the first row it means nothing. */
    uint32_t shared;
} bk_attention_row;
#define BK_SAME_SEQUENCE UINT32_MAX

typedef struct {
    const float *q;           /* [...][ldq]; head h of a row at h * head_dim */
    float *out;               /* [...][ldo]; same layout */
    size_t ldq, ldo;
    const unsigned char *pool; /* block 0 of the layer */
    size_t block_stride;
    const int32_t *tables;    /* block ids of the sequences */
    const bk_attention_row *rows;
    size_t row_count;
    size_t block_size;        /* 16, 32, 64, 128 or 256 */
    size_t kv_heads, kv_head; /* of the pool; the one to read */
    size_t group;             /* query heads per KV head; heads kv_head * group ... + group - 1 */
    size_t head_dim;          /* even, at most BK_MAX_HEAD_DIM */
    int32_t window;
    float scale;              /* above 0 */
    bk_type kv_type;          /* BK_FLOAT32, BK_BFLOAT16, BK_BFLOAT16_PAIRS or BK_INT8 */
} bk_attention;

/* Floats of scratch that one call of `attention` needs, 64-byte aligned. */
static inline size_t bk_attention_scratch(void) {
    return (size_t)BK_ATTENTION_QUERIES * (BK_PARTITION + BK_LANES + 2 * BK_MAX_HEAD_DIM) + 164 * (size_t)BK_MAX_HEAD_DIM;
}

/* Floats of one partition's (m, l, o) of `queries` queries, as `attention_parts` leaves them. */
static inline size_t bk_attention_part(size_t queries, size_t head_dim) {
    return 2 * ((queries + 15) / 16 * 16) + queries * ((head_dim + 15) / 16 * 16);
}

/* Memory that will be read soon: blocks blocks[0] ... blocks[count - 1] of `stride` bytes, block b at base + b * stride. */
typedef struct {
    const unsigned char *base;
    size_t stride;
    const int32_t *blocks;
    size_t count;
} bk_read_ahead;

/* The kernels of one instruction set. */
typedef struct {
    const char *name;   /* "scalar", "avx2", "avx2vnni", "avx512f", "avx512vnni", "avx512bf16", "amxbf16" */
    const char *bf16_family; /* "fma", "dpbf16" or "amx" */
    bk_isa isa;

    /* y[m][n] = sum_k x[m][k] w[k][n] for the columns of panels [panel0, panel1).
     * x: [m][ldx]; w: [panels][k][64]; y: [m][ldy], ldy >= 64 * panels (padding columns are written). */
    void (*gemm_f32)(const float *x, size_t ldx, const float *w, float *y, size_t ldy,
                     size_t m, size_t k, size_t panel0, size_t panel1);

    /* The activations of gemm_bf16: x rounded to bf16 (nearest even), K padded with zero to even, in the family's
     * own element (fma: float32, else bf16), rows of bk_padded_k(k) elements.
     * x: [m][ldx] float32 -> out: [m][bk_padded_k(k)]. `out` needs 4 bytes per element in both families. */
    void (*round_rows)(const float *x, size_t ldx, void *out, size_t m, size_t k);

    /* Like gemm_f32; x from round_rows; w: [panels][K/2][64][2] bf16. `later`: what to fetch while memory has nothing
     * else to do, or NULL. */
    void (*gemm_bf16)(const void *x, const uint16_t *w, float *y, size_t ldy,
                      size_t m, size_t k, size_t panel0, size_t panel1, const bk_read_ahead *later);

    /* The activations of gemm_int8 (see there): x: [m][ldx] float32 -> out: m rows of bk_int8_row_bytes(k, group). */
    void (*quantize_rows)(const float *x, size_t ldx, void *out, size_t m, size_t k, size_t group);

    /* Like gemm_f32; x from quantize_rows, w from bk_pack_int8 or bk_pack_q8_0, both of the same `group`. */
    void (*gemm_int8)(const void *x, const uint8_t *w, float *y, size_t ldy,
                      size_t m, size_t k, size_t group, size_t panel0, size_t panel1);

    /* `next`: what the calling thread is likely to compute afterwards, or NULL; the first of its keys are fetched.
     * `scratch`: bk_attention_scratch() floats, 64-byte aligned, owned by the calling thread. */
    void (*attention)(const bk_attention *a, const bk_attention *next, float *scratch);
    /* The same in two steps, so that threads can share a long sequence; at most BK_ATTENTION_QUERIES queries. The first
     * leaves (m, l, o) of partitions from ... to - 1 in `parts`, one behind the other, 64-byte aligned; the second folds
     * those of all partitions that a query sees, left to right. Equal bits to `attention`. */
    void (*attention_parts)(const bk_attention *a, size_t from, size_t to, float *parts, float *scratch);
    void (*attention_fold)(const bk_attention *a, const float *parts, float *scratch);

    /* Stores one token's K and V into slot `slot` of a block (layout above). bf16: nearest even. int8: q = nearest even
     * of x * (127 / amax), scale amax / 127, amax the largest |x| of the head; amax below 2^-119 stores zeros and scale
     * 0; a head with a NaN or an infinity stores zeros and scale NaN, so that it shows. k, v: [kv_heads][head_dim]. */
    void (*store_kv)(const float *k, const float *v, void *block, bk_type kv_type,
                     size_t kv_heads, size_t head_dim, size_t block_size, size_t slot);

    /* out[i] = (x[i] * (1 / sqrt(sum x^2 / n + eps))) * w[i]; x, w, out: [n]; out may be x. */
    void (*rms_norm)(const float *x, const float *w, float *out, size_t n, float eps);
    /* Columns first ... first + n - 1 (a panel: n <= 64, first a multiple of 64) of m rows of activations of width k:
     * silu(gate) * up, silu(g) = g / (1 + exp(-g)), stored like round_rows (BK_BFLOAT16), quantize_rows (BK_INT8, `group`)
     * or as they are (BK_FLOAT32). y: [m][ldy], gates in columns 0 ... 63, ups in 64 ... 127. */
    void (*gate_rows)(const float *y, size_t ldy, size_t m, size_t n, bk_type format, void *out, size_t k, size_t group,
                      size_t first);
    /* x[i] += y[i]; [n]. */
    void (*add)(float *x, const float *y, size_t n);
    /* Rotates head vectors in place, half-split layout: pairs (i, i + head_dim/2).
     * x: [heads][head_dim]; cosine, sine: [head_dim/2]. Products and sums rounded on their own. */
    void (*rope)(float *x, size_t heads, size_t head_dim, const float *cosine, const float *sine);
    /* weights[i] = exp((x[i] - largest) / temperature); [n]. Sums in float64, one for each BK_SUM_BLOCK of them (the last
     * may be shorter), of those that are at least `least`: 16 lanes (index mod 16), ascending, then the fixed tree. */
    void (*softmax_weights)(const float *x, size_t n, float largest, float temperature, float least, float *weights,
                            double *sums);
    /* Writes the indexes of the elements of x [n] that are at least `least` to `found` [n], ascending; how many. */
    size_t (*find_at_least)(const float *x, size_t n, float least, int32_t *found);
    /* Lowest index of the largest of [n], n < 2^31; -1 if all are -inf. *bad: whether one is NaN or +inf (then the
     * index means nothing). */
    int64_t (*argmax)(const float *x, size_t n, bool *bad);
} bk_kernels;

/* The kernels of `isa`, or NULL if this processor or this build lacks it. */
const bk_kernels *bk_kernels_for(bk_isa isa);
/* The best that this processor has. */
const bk_kernels *bk_kernels_best(void);

static inline size_t bk_panels(size_t n) { return (n + BK_PANEL - 1) / BK_PANEL; }
static inline size_t bk_padded_k(size_t k) { return (k + 1) & ~(size_t)1; }

/*
 * Int8. The inputs of a row are cut into groups of `group` (32 or 64; the last may be shorter), each with a scale of its
 * own, for weights and activations alike.
 *
 *   weights      ws = float16 nearest to amax / 127, or the next one up if amax / ws would exceed 127.5 (which only
 *                subnormal scales do: tiny groups are coarse, not clipped); at most 65504, beyond which weights are
 *                clipped. q = w / ws, to the nearest integer (ties to even), within +-127; ws = 0 gives 0.
 *   activations  xs = amax / 127 in float32; q = x * (127 / amax), to the nearest integer (ties to even).
 *                A group of amax < 2^-100 counts as zeros.
 *   output       y = fold over groups, ascending, of fma((float)(sum over k of qx[k] qw[k]), xs * ws, acc), from +0.
 *                The sum of integers is exact (it stays under 2^24), the product of scales is rounded on its own.
 *
 * A group that holds an infinity or a NaN has the scale NaN and bytes 0, so that what depends on it is NaN.
 *
 * A panel of weights is one stream: per group [inputs/4][64][4] bytes q + 128, then [64] float16 scales; K is padded with
 * zeros to a multiple of 4. A row of activations is [padded k] signed bytes, then from bk_int8_groups_offset on, per group,
 * float32 xs and int32 -128 * (sum of q), where a sum with the biased weights has to start.
 */
static inline size_t bk_int8_padded(size_t k) { return (k + 3) & ~(size_t)3; }
static inline size_t bk_int8_groups(size_t k, size_t group) { return (k + group - 1) / group; }
static inline size_t bk_int8_panel_bytes(size_t k, size_t group) {
    return BK_PANEL * (bk_int8_padded(k) + 2 * bk_int8_groups(k, group));
}
static inline size_t bk_int8_groups_offset(size_t k) { return (k + 63) & ~(size_t)63; }
static inline size_t bk_int8_row_bytes(size_t k, size_t group) {
    return bk_int8_groups_offset(k) + ((8 * bk_int8_groups(k, group) + 63) & ~(size_t)63);
}

/* Packs one panel. rows: the panel's 64 weight rows, each [k] of src_type (unaligned, little-endian; k whole blocks of it), NULL
 * for a row of zeros. dst: the panel's [k][64] float32 or [K/2][64][2] bf16 (nearest even). */
void bk_pack_f32(const void *const rows[BK_PANEL], bk_type src_type, size_t k, float *dst);
void bk_pack_bf16(const void *const rows[BK_PANEL], bk_type src_type, size_t k, uint16_t *dst);
/* The same, quantized; dst: bk_int8_panel_bytes(k, group), 64-byte aligned. */
void bk_pack_int8(const void *const rows[BK_PANEL], bk_type src_type, size_t k, size_t group, uint8_t *dst);
/* The same from rows that are quantized already, as GGUF's Q8_0: [k/32] of { float16 scale; int8 [32] }, k a multiple of
 * 32, for group 32. Bytes and scales stay as they are; a scale that is not finite becomes NaN. */
void bk_pack_q8_0(const void *const rows[BK_PANEL], size_t k, uint8_t *dst);
/* Reads weight row `row` back, as float32. w: the packed matrix; out: [k]. */
void bk_unpack_row_f32(const float *w, size_t k, size_t row, float *out);
void bk_unpack_row_bf16(const uint16_t *w, size_t k, size_t row, float *out);
void bk_unpack_row_int8(const uint8_t *w, size_t k, size_t group, size_t row, float *out);

/* Converts n elements (whole blocks) to float32. src may be unaligned. */
void bk_widen(const void *src, bk_type src_type, float *out, size_t n);
/* Converts x: [n] to BK_FLOAT32, BK_FLOAT16, BK_BFLOAT16 (nearest even) or BK_Q8_0 (n whole blocks); out may be unaligned. */
void bk_narrow(const float *x, bk_type type, void *out, size_t n);

/* Elementary functions; errors in units in the last place of the result, as tested. */
float bk_exp(float x);      /* < 1 ulp; 0 below the smallest normal result, +inf above 88.722835 */
float bk_silu(float x);     /* x / (1 + exp(-x)) */
double bk_log2(double x);   /* positive normal x; < 2 ulp away from 1, absolute error < 1e-16 near it */
double bk_exp2(double x);   /* |x| < 1000; < 2 ulp */
/* sin and cos of |x| < 2^26, absolute error < 1e-15. */
void bk_sincos(double x, double *sine, double *cosine);
/* cosine, sine of float32(position) * inv_freq[i] (the product rounded to float32) for i < n. */
void bk_rope_table(int32_t position, const float *inv_freq, size_t n, float *cosine, float *sine);

/*
 * A team of threads that split outputs. The calling thread is member 0; members 1 ... n-1 are pthreads that spin
 * briefly and then sleep on a futex. One call of bk_team_for at a time.
 */
typedef struct bk_team bk_team;
typedef void (*bk_range_body)(void *context, size_t begin, size_t end, size_t index);
/* Called on the calling thread; may call bk_team_place and bk_team_limit. */
typedef void (*bk_relief)(void *context);
/* NULL on failure. Nobody is pinned at first. */
bk_team *bk_team_create(size_t max_threads);
void bk_team_destroy(bk_team *team);
/* Calls body(context, begin, end, i) for consecutive ranges of at most `chunk` items until all `items` are done; members
 * take ranges as they get free, i < threads says which member runs. A member that the system has not scheduled by the
 * time the work is done is not waited for: a busy neighbour costs a thread, not a time slice per kernel. */
void bk_team_for(bk_team *team, size_t threads, size_t items, size_t chunk, bk_range_body body, void *context);
/* The same on all members within the limit, which may change while it runs: between two ranges of its own the calling
 * thread calls relief(context), and members leave after their range, or join. i < max_threads of bk_team_create. */
void bk_team_for_relieved(
    bk_team *team, size_t items, size_t chunk, bk_range_body body, bk_relief relief, void *context);
/* From now on member i runs on cores[i] (member 0 is the caller, which moves at once); members past `count` run wherever
 * the process may. No member is where it was before when this returns. Costs nothing where nothing changes. False, and
 * nothing is changed, if the process may not run on one of them. */
bool bk_team_place(bk_team *team, const int *cores, size_t count);
/* From now on at most `threads` members are at work, the caller included (at first all that there are). When this returns
 * the others have left what they were at after the range that they had begun, and sleep: their cores are free. */
void bk_team_limit(bk_team *team, size_t threads);
/* What a team does when one of its threads has done its part: the thread gives back what kernels left in use of its processor (AMX's
 * tiles). To be called by whoever calls kernels without a team. */
void bk_leave_kernels(void);
/* Writes the numbers of the cores that the calling thread may run on, ascending, at most `capacity`. Returns how many
 * there are. */
size_t bk_allowed_cores(int *cores, size_t capacity);

#endif
