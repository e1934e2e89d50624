#include "fuzzer.h"

#include <stdbool.h>

extern int __sanitizer_install_malloc_and_free_hooks(
    void (*malloc_hook)(const volatile void *, size_t), void (*free_hook)(const volatile void *));
extern size_t __sanitizer_get_allocated_size(const volatile void *block);

// Inputs are run by one thread; other threads' allocations are not the parser's.
static _Thread_local bool is_measuring;
static _Thread_local long live;
static _Thread_local struct bf_memory memory;

static void allocated(const volatile void *block, size_t size) {
    (void)block;
    if (!is_measuring) return;
    live += (long)size;
    if (live > 0 && (size_t)live > memory.peak) memory.peak = (size_t)live;
    if (size > memory.largest) memory.largest = size;
}

static void freed(const volatile void *block) {
    if (is_measuring && block) live -= (long)__sanitizer_get_allocated_size(block);
}

void bf_install_hooks(void) { __sanitizer_install_malloc_and_free_hooks(allocated, freed); }

void bf_begin(void) {
    live = 0;
    memory = (struct bf_memory){0, 0};
    is_measuring = true;
}

struct bf_memory bf_end(void) {
    is_measuring = false;
    return memory;
}
