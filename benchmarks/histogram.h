/* Latencies in nanoseconds, kept to within 1.6 percent in fixed memory: 32 linear steps in each power of two. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define STEPS 64
#define STEP_BITS 6
#define ROWS (40 - STEP_BITS) /* up to 2^40 ns, 18 minutes */

struct histogram {
    uint64_t counts[ROWS * STEPS];
    uint64_t total, largest;
};

static void histogram_add(struct histogram *h, uint64_t ns) {
    unsigned row = 0, step = (unsigned)ns;
    if (ns >= STEPS) {
        unsigned top = 63 - (unsigned)__builtin_clzll(ns); /* >= STEP_BITS */
        row = top - STEP_BITS + 1;
        step = (unsigned)(ns >> row); /* STEPS / 2 ... STEPS - 1 */
    }
    if (row >= ROWS) row = ROWS - 1, step = STEPS - 1;
    h->counts[row * STEPS + step]++;
    h->total++;
    if (ns > h->largest) h->largest = ns;
}

/* The value that the share `q` (0 to 1) of all samples stays at or under, in microseconds; 0 without samples. */
static double histogram_quantile(const struct histogram *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->total + 0.5), seen = 0;
    if (!h->total) return 0;
    if (rank < 1) rank = 1;
    for (unsigned row = 0; row < ROWS; row++)
        for (unsigned step = 0; step < STEPS; step++) {
            seen += h->counts[row * STEPS + step];
            if (seen >= rank) return (double)(((uint64_t)step << row) + ((uint64_t)1 << row) / 2) / 1000.0;
        }
    return (double)h->largest / 1000.0;
}

#endif
