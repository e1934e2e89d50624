/* Which instruction sets this processor, and the operating system that saves its registers, offer. */
#include "baton_kernels.h"

extern const bk_kernels bk_scalar;

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

extern const bk_kernels bk_avx2, bk_avx2vnni, bk_avx512f, bk_avx512vnni, bk_avx512bf16, bk_amxbf16;

static uint64_t enabled_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Linux wants to be asked, once for all threads of a process, before it makes room for the tiles (8 KiB a thread). It refuses if a
 * thread's stack for signals is too small to hold them. */
static bool may_use_tiles(void) {
#if defined(__linux__)
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
}

static bool has_amx(uint32_t leaf7_edx, uint64_t state) {
    const uint32_t bf16 = 1u << 22, tile = 1u << 24, int8 = 1u << 25, all = bf16 | tile | int8;
    const uint64_t tiles = 3u << 17; /* their shapes and their data */
    uint32_t a, b, c, d;
    if ((leaf7_edx & all) != all || (state & tiles) != tiles) return false;
    /* Palette 1 as amxbf16.c takes it to be: 8 tiles, each of 16 rows of 64 bytes. */
    if (!__get_cpuid_count(0x1d, 1, &a, &b, &c, &d) || b >> 16 < 8 || (b & 0xffff) < 64 || (c & 0xffff) < 16) return false;
    return may_use_tiles();
}

static bool has(bk_isa isa) {
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
    const uint32_t osxsave = 1u << 27, f16c = 1u << 29, fma = 1u << 12, first = osxsave | f16c | fma;
    if ((c & first) != first) return false;
    uint64_t state = enabled_state();
    if ((state & 0x06) != 0x06) return false; /* XMM and YMM */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const uint32_t leaf7_edx = d;
    const uint32_t avx2 = 1u << 5, f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    if (isa == BK_AVX2) return (b & avx2) != 0;
    uint32_t a1 = 0, b1, c1, d1;
    if (!__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1)) a1 = 0;
    const uint32_t avx_vnni = 1u << 4, bf16 = 1u << 5;
    if (isa == BK_AVX2VNNI) return (b & avx2) && (a1 & avx_vnni);
    const uint32_t all = f | dq | bw | vl;
    if ((b & all) != all || (state & 0xe6) != 0xe6) return false; /* opmask and ZMM */
    if (isa == BK_AVX512F) return true;
    const uint32_t vnni = 1u << 11;
    if (!(c & vnni)) return false;
    if (isa == BK_AVX512VNNI) return true;
    return (a1 & bf16) && (isa == BK_AVX512BF16 || has_amx(leaf7_edx, state));
}

const bk_kernels *bk_kernels_for(bk_isa isa) {
    switch (isa) {
    case BK_SCALAR: return &bk_scalar;
    case BK_AVX2: return has(isa) ? &bk_avx2 : NULL;
    case BK_AVX2VNNI: return has(isa) ? &bk_avx2vnni : NULL;
    case BK_AVX512F: return has(isa) ? &bk_avx512f : NULL;
    case BK_AVX512VNNI: return has(isa) ? &bk_avx512vnni : NULL;
    case BK_AVX512BF16: return has(isa) ? &bk_avx512bf16 : NULL;
    case BK_AMXBF16: return has(isa) ? &bk_amxbf16 : NULL;
    }
    return NULL;
}
#else
const bk_kernels *bk_kernels_for(bk_isa isa) { return isa == BK_SCALAR ? &bk_scalar : NULL; }
#endif

const bk_kernels *bk_kernels_best(void) {
    for (int isa = BK_AMXBF16; isa > BK_SCALAR; isa--) {
        const bk_kernels *kernels = bk_kernels_for((bk_isa)isa);
        if (kernels) return kernels;
    }
    return &bk_scalar;
}
