/*
 * Fuzz target "executor": the same guest run in different ways comes to the same state.
 *
 * Input: a header of 16 bytes that says in which mode and state the code runs (struct guest), then the code, any bytes.
 *
 * Policy: every byte string of at least 17 bytes is admitted. The three ways of ways.h agree. The two top bits of the
 * seed choose what becomes of what manuals leave undefined. A guest may power off, reset, triple-fault or halt; it may
 * not crash, hang or trip an assertion.
 */
#include "fuzz/fuzz.h"
#include "fuzz/ways.h"

int fuzz_one(const uint8_t *data, size_t size)
{
    struct guest guest;

    if (size <= GUEST_HEADER_BYTES)
        return 0;
    guest_parse(&guest, data, size);
    ways_check(&guest);
    return 0;
}
