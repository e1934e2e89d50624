// What this machine gives right now: bytes read from memory and multiply-adds done in registers, each second.
//
//   probe THREADS   prints {"read_gb_per_second": ..., "peak_gflop_per_second": ..., "peak_of": "bf16 dot" | "fp32 FMA"}
//
// Other programs on the machine move both by a factor of two, so speeds are told as ratios to a probe of the same round.
#include <immintrin.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512BF16__)
#define PEAK_OF "bf16 dot"
typedef __m512 vector;
static const int OPERATIONS = 64;
static inline vector accumulate(vector sum) {
    const __m512i twos = _mm512_set1_epi16(0x4000);
    return _mm512_dpbf16_ps(sum, (__m512bh)twos, (__m512bh)twos);
}
#elif defined(__AVX512F__)
#define PEAK_OF "fp32 FMA"
typedef __m512 vector;
static const int OPERATIONS = 32;
static inline vector accumulate(vector sum) { return _mm512_fmadd_ps(_mm512_set1_ps(2), _mm512_set1_ps(2), sum); }
#elif defined(__AVX2__) && defined(__FMA__)
#define PEAK_OF "fp32 FMA"
typedef __m256 vector;
static const int OPERATIONS = 16;
static inline vector accumulate(vector sum) { return _mm256_fmadd_ps(_mm256_set1_ps(2), _mm256_set1_ps(2), sum); }
#else
#error "the probe wants AVX2 with FMA, or AVX-512"
#endif

// Chains: enough to hide the latency, few enough for sixteen registers.
enum { READ_BYTES = 1 << 30, PASSES = 3, CHAINS = 12 };
static const long PEAK_STEPS = 8L << 20;

// Keeps the compiler from leaving the reads out.
static volatile uint64_t read_sink;

// Best of PASSES over one buffer that no cache holds: bytes[READ_BYTES].
static double read_bytes_per_second(const uint8_t *bytes, int threads) {
    double best = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        uint64_t sum = 0;
        double start = omp_get_wtime();
#pragma omp parallel for num_threads(threads) schedule(static) reduction(+ : sum)
        for (long chunk = 0; chunk < READ_BYTES / 4096; chunk++) {
            const uint64_t *words = (const uint64_t *)(bytes + chunk * 4096);
            uint64_t lanes[32] = {0};
            for (int word = 0; word < 512; word += 32)
                for (int lane = 0; lane < 32; lane++) lanes[lane] += words[word + lane];
            for (int lane = 0; lane < 32; lane++) sum += lanes[lane];
        }
        double rate = READ_BYTES / (omp_get_wtime() - start);
        if (rate > best) best = rate;
        read_sink = sum;
    }
    return best;
}

// Independent chains of the widest multiply-add there is; returns operations (two for each multiply-add).
static double multiply_add(long steps) {
    vector sums[CHAINS] = {0};
    for (long step = 0; step < steps; step++)
        for (int chain = 0; chain < CHAINS; chain++) {
            sums[chain] = accumulate(sums[chain]);
            __asm__ volatile("" : "+x"(sums[chain]));
        }
    return (double)steps * CHAINS * OPERATIONS;
}

static double peak_per_second(int threads) {
    double best = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        double operations = 0, start = omp_get_wtime();
#pragma omp parallel num_threads(threads) reduction(+ : operations)
        operations += multiply_add(PEAK_STEPS);
        double rate = operations / (omp_get_wtime() - start);
        if (rate > best) best = rate;
    }
    return best;
}

int main(int count, char **arguments) {
    char *end = NULL;
    long threads = count == 2 ? strtol(arguments[1], &end, 10) : 0;
    if (threads < 1 || threads > 1024 || *end != '\0') {
        fprintf(stderr, "usage: %s THREADS\n", arguments[0]);
        return 2;
    }
    uint8_t *bytes = aligned_alloc(4096, READ_BYTES);
    if (bytes == NULL) {
        fprintf(stderr, "%s: no %d bytes of memory\n", arguments[0], READ_BYTES);
        return 1;
    }
    memset(bytes, 1, READ_BYTES);
    double read = read_bytes_per_second(bytes, (int)threads), peak = peak_per_second((int)threads);
    printf("{\"read_gb_per_second\": %.1f, \"peak_gflop_per_second\": %.0f, \"peak_of\": \"" PEAK_OF "\"}\n",
           read / 1e9, peak / 1e9);
    free(bytes);
    return 0;
}
