/*
 * The guests of the target "executor": a small machine state made from a typed input.
 *
 * Memory map (physical; linear is the same where paging is on):
 *   1000 GDT   2000 IDT   3000 TSS   4000 page tables   8000 exception stubs   9000 kernel stack, growing down
 *   10000-11FFF the code, which ends in a jump to its start   20000-23FFF data   2F000 user stack, growing down
 * With paging, linear 30000-31FFF is the code again, 32000 a page table, 200000 (32-bit paging: 400000) all of RAM
 * through a large page, FEE00000 the local APIC. Exceptions go to stubs that step over one byte and return; other
 * vectors return.
 */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include "fuzz/bench.h"

enum guest_mode {
    GUEST_REAL,
    GUEST_VM86,
    GUEST_PROTECTED16,
    GUEST_PROTECTED32,
    GUEST_USER32,
    GUEST_PAGED32,
    GUEST_PAE,
    GUEST_COMPATIBLE, /* 32-bit code at CPL 3 under a 64-bit system */
    GUEST_LONG,
    GUEST_LONG_USER,
    GUEST_MODES
};

#define GUEST_HEADER_BYTES 16u
#define GUEST_CODE_MAX     4096u /* bytes; of an input's: 1024 */

/* The header of an input; every value is admitted. */
struct guest {
    uint8_t mode;    /* enum guest_mode, modulo GUEST_MODES */
    uint8_t model;   /* CPU model, modulo their number */
    uint8_t control; /* 1 CR0.TS, 2 CR0.EM, 4 no CR4.OSFXSR, 8 CR4.OSXSAVE (all of XCR0), 16 no OSXMMEXCPT,
                        32 CR0.AM, 64 CR0.WP, 128 UMIP, SMEP, SMAP, TSD, PKE where the model has them */
    uint8_t flags;   /* 1 TF, 2 IF, 4 AC, 8 DF, 16 NT, 32 IOPL 3, 64 DR7: a data and a code breakpoint, 128 VIF */
    uint8_t memory; /* pages of data: 1 second is read-only, 2 third is absent, 4 fourth is the other's, 8 fourth is NX,
                       16 second page of code is absent, 32 data holds code pointers, 64 limits are tight */
    uint8_t offset; /* of the code: 0..127 from its page's start, 128..255 that many before the page's end */
    uint8_t floating; /* 1 FCW and MXCSR at random (unmasked exceptions too), 2 x87 registers and tags at random */
    uint64_t cycles;  /* to run, at least 1; in an input a byte: 16 + this many */
    uint64_t seed;    /* of registers, data, and of where a run is interrupted */
    const uint8_t *code;
    unsigned code_bytes; /* up to GUEST_CODE_MAX */
    /* Not in an input of "executor": */
    bool acknowledges;    /* vectors 32 to 255 are acknowledged at all interrupt controllers (modes without paging) */
    const uint8_t *typed; /* at the console */
    unsigned typed_bytes;
};

/* data: at least GUEST_HEADER_BYTES. */
void guest_parse(struct guest *guest, const uint8_t *data, size_t size);
/* Makes the bench's machine this guest. The bench stands at power-up and has the model. */
void guest_set_up(const struct guest *guest, struct bench *bench);

#endif
