/*
 * The guest of `sim difftest --reference kvm`: what it and its host side (difftest_kvm.c) agree on.
 *
 * A driver at CPL 3 goes through a row of records. For each it writes the instruction into the code pages through an
 * alias, loads vector state and registers, enters the test by IRETQ, and comes back either by the jump behind the
 * instruction or through an exception, whose CPL 0 handler does nothing but to return to the driver: the frame is read
 * by CPL 3 through an alias of the kernel's stack. So hardware runs everything that takes time, also under a KVM that
 * runs CPL 0 in software. Behind the last record an INT3 at a known place makes the handler leave by an OUT.
 */
#ifndef KVM_DIFFTEST_GUEST_H
#define KVM_DIFFTEST_GUEST_H

/* Linear addresses: far from everything a test can reach by 32-bit addresses. Plain numbers, the assembler reads them
 * too. */
#define GUEST_DRIVER    0x00005A5A00000000
#define GUEST_VARIABLES 0x1000 /* from GUEST_DRIVER on: a page of variables */
#define GUEST_CODE      0x2000 /* writable alias of the code pages */
#define GUEST_PRISTINE  0x4000 /* what the data pages begin with */
#define GUEST_STACK     0x6000 /* the driver's stack, a page */
#define GUEST_KSTACK    0x7000 /* alias of the page of the kernel's stack */
#define GUEST_RECORDS   0x10000
#define GUEST_DATA      0x400000 /* for each record the data pages as it left them, if they changed */

/* Offsets in the page of variables. */
#define VAR_CURRENT 0 /* linear address of the running record */
#define VAR_COUNT   8 /* records left */
#define VAR_RSP     16
#define VAR_OUT_TOP 24 /* where the driver pushes the flags and registers of the running record */
#define VAR_MASK    32 /* XSAVE components */
#define VAR_DATA    48 /* where the running record's data pages go */
#define VAR_AVX     40 /* 1: VZEROUPPER exists */

/* Offsets in a record. */
#define RECORD_GPR     0   /* in: 15 registers, R15 first, RAX last, without RSP */
#define RECORD_FRAME   120 /* in: RIP, CS, RFLAGS, RSP, SS */
#define RECORD_CODE    160 /* in: up to 48 bytes */
#define RECORD_WRITE   208 /* in: how many of them to write before the test: 0 if they stand there already */
#define RECORD_AT      216 /* in: linear address in the alias */
#define RECORD_OUT     224 /* out: 15 registers in the same order, RFLAGS */
#define RECORD_OUT_TOP 352
#define RECORD_RSP     352 /* out */
#define RECORD_VECTOR  360 /* out: 256 if the jump behind the instruction was reached */
#define RECORD_ERROR   368
#define RECORD_RIP     376
#define RECORD_CR2     384
#define RECORD_CHANGED 392 /* out: not 0 if the data pages changed */
#define RECORD_REMOVE  400 /* in: how many to replace by INT3 behind the test: 0 if the next needs them */
#define RECORD_IMAGE   448 /* in and out: XSAVE image, in place because that is kinder to caches */
#define RECORD_BYTES   3520
#define RECORD_RAN     256

/* Exception frame at the end of the kernel's stack, as the handlers leave it. */
#define KSTACK_CR2    0xFB8
#define KSTACK_VECTOR 0xFC8
#define KSTACK_ERROR  0xFD0
#define KSTACK_RIP    0xFD8
#define KSTACK_FLAGS  0xFE8
#define KSTACK_RSP    0xFF0

/* Code, to be copied to GUEST_DRIVER, and its entries. */
extern const unsigned char difftest_driver[], difftest_driver_end[];
extern const unsigned char difftest_driver_ran[];    /* the jump behind a test */
extern const unsigned char difftest_driver_finish[]; /* the address behind its last INT3 */

/* The exception handlers: 32 stubs of DIFFTEST_STUB_BYTES each, then their common end. */
#define DIFFTEST_STUB_BYTES 16
extern const unsigned char difftest_handlers[], difftest_handlers_end[];

#endif
