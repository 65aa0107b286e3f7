/*
 * What the targets share: findings, and buffers that end at an inaccessible page.
 */
#include "fuzz/fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096u

/* Statistics of the process: no input changes what another does. */
static uint64_t counted;
static const char *counted_unit = "inputs";

void fuzz_count(const char *unit, uint64_t count)
{
    counted += count;
    counted_unit = unit;
}

uint64_t fuzz_counted(const char **unit)
{
    *unit = counted_unit;
    return counted;
}

void fuzz_finding(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("finding: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    abort();
}

const uint8_t *fuzz_guarded(const uint8_t *bytes, size_t size)
{
    static uint8_t *start; /* one mapping for the life of the process: it holds nothing between calls */

    if (!start) {
        start = mmap(NULL, FUZZ_BYTES_MAX + PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED || mprotect(start + FUZZ_BYTES_MAX, PAGE_BYTES, PROT_NONE))
            fuzz_finding("no memory for the guarded buffer");
    }
    if (size > FUZZ_BYTES_MAX)
        fuzz_finding("an input of %zu bytes", size);
    uint8_t *at = start + FUZZ_BYTES_MAX - size;
    if (size)
        memcpy(at, bytes, size);
    return at;
}
