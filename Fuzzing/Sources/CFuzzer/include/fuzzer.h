// What the fuzzer takes from libFuzzer and from the sanitizers' runtime.
#pragma once
#include <stddef.h>
#include <stdint.h>

// libFuzzer's own mutation, in place.
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

// Memory that is allocated while a run is measured: bytes alive at once, at most, and the largest piece.
struct bf_memory {
    size_t peak;
    size_t largest;
};

// Once, before the first run.
void bf_install_hooks(void);
void bf_begin(void);
struct bf_memory bf_end(void);
