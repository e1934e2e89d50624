/*
 * Elementary functions from correctly rounded operations only (+, -, *, /, fma), so that every machine gives the same
 * bits. libm's own differ from one C library, and from one processor, to the next.
 *
 * exp: x = n ln2 + r, |r| <= ln2/2, ln2 split in two floats; exp(r) = 1 + r + r^2 q(r) with q of degree 4 from a Remez
 * exchange on the relative error (3.1e-9, a twentieth of a float32 rounding), coefficients rounded to float32.
 * sin, cos: Cody-Waite reduction by pi/2 in three doubles, then Taylor polynomials (remainder below 1e-17 on pi/4).
 * log2: m in [sqrt(1/2), sqrt(2)), log m = 2 atanh((m - 1) / (m + 1)) by its series. exp2: Taylor on |f ln2| <= ln2/2.
 */
#pragma STDC FP_CONTRACT OFF

#include "baton_kernels.h"
#include "elementary.h"
#include <math.h>

float bk_exp(float x) {
    if (x != x) return x;
    if (x < -87.33654f) return 0.0f;
    if (x > 88.722835f) return INFINITY;
    float t = fmaf(x, 0x1.715476p+0f, 0x1.8p23f);
    float n = t - 0x1.8p23f;
    float r = fmaf(n, -0x1.62e43p-1f, x);
    r = fmaf(n, 0x1.05c61p-29f, r);
    float p = 0x1.6a23dp-10f;
    p = fmaf(p, r, 0x1.123a2p-7f);
    p = fmaf(p, r, 0x1.5558f2p-5f);
    p = fmaf(p, r, 0x1.555492p-3f);
    p = fmaf(p, r, 0x1.fffffcp-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    int32_t whole = (int32_t)n, half = whole >> 1;
    float y = p * bk_from_bits((uint32_t)(half + 127) << 23);
    return y * bk_from_bits((uint32_t)(whole - half + 127) << 23);
}

float bk_silu(float x) { return x / (1.0f + bk_exp(-x)); }

static double scaled(double x, int exponent) {
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double power;
    memcpy(&power, &bits, 8);
    return x * power;
}

double bk_log2(double x) {
    uint64_t bits;
    memcpy(&bits, &x, 8);
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    bits = (bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull;
    double m;
    memcpy(&m, &bits, 8);
    if (m > 1.4142135623730951) { m *= 0.5; exponent += 1; }
    double s = (m - 1) / (m + 1), z = s * s, p = 0;
    for (int i = 25; i >= 3; i -= 2) p = fma(p, z, 1.0 / i);
    double log = fma(s * z, p, s) * 2;
    return fma(log, 0x1.71547652b82fep+0, (double)exponent);
}

double bk_exp2(double x) {
    double n = (x + 0x1.8p52) - 0x1.8p52;
    double r = (x - n) * 0x1.62e42fefa39efp-1, p = 0, factorial = 1307674368000.0; /* 15! */
    for (int i = 15; i >= 1; i--) {
        p = fma(p, r, 1 / factorial);
        factorial /= i;
    }
    return scaled(fma(p, r, 1), (int)n);
}

void bk_sincos(double x, double *sine, double *cosine) {
    double n = fma(x, 0x1.45f306dc9c883p-1, 0x1.8p52) - 0x1.8p52;
    double r = fma(n, -0x1.921fb54442d18p+0, x);
    r = fma(n, -0x1.1a62633145c07p-54, r);
    r = fma(n, 0x1.f1976b7ed8fbcp-110, r);
    double z = r * r, s = 0, c = 0, factorial = 355687428096000.0; /* 17! */
    for (int i = 17; i >= 3; i -= 2) {
        s = fma(s, z, ((i / 2) % 2 ? -1.0 : 1.0) / factorial);
        factorial /= (double)i * (i - 1);
    }
    s = fma(r * z, s, r);
    factorial = 6402373705728000.0; /* 18! */
    for (int i = 18; i >= 2; i -= 2) {
        c = fma(c, z, ((i / 2) % 2 ? -1.0 : 1.0) / factorial);
        factorial /= (double)i * (i - 1);
    }
    c = fma(c, z, 1);
    switch ((int64_t)n & 3) {
    case 0: *sine = s; *cosine = c; break;
    case 1: *sine = c; *cosine = -s; break;
    case 2: *sine = -s; *cosine = -c; break;
    default: *sine = -c; *cosine = s; break;
    }
}

void bk_rope_table(int32_t position, const float *inv_freq, size_t n, float *cosine, float *sine) {
    for (size_t i = 0; i < n; i++) {
        float angle = (float)position * inv_freq[i];
        double s, c;
        bk_sincos((double)angle, &s, &c);
        cosine[i] = (float)c;
        sine[i] = (float)s;
    }
}
