/*
 * decode() against Zydis: all opcodes of the one-byte, 0F, 0F38 and 0F3A maps, behind many prefixes, with pseudo-random
 * bytes after them, in the three modes. Compared are validity, length, memory operand, immediates and the registers of
 * the operands.
 *
 * fuzz/zydis_oracle.c says where the two differ on purpose, and why. Anything else is a failure. Built only where Zydis
 * is installed.
 */
#include "fuzz/zydis_oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define TAILS        24u
#define REPORTED_MAX 400u

struct tester {
    struct zydis_oracle oracle;
    uint64_t random;
    unsigned compared, both, reported;
    char seen[REPORTED_MAX][48];
};

/* xorshift64*, so that every run sees the same bytes. */
static uint64_t next_random(struct tester *t)
{
    t->random ^= t->random >> 12;
    t->random ^= t->random << 25;
    t->random ^= t->random >> 27;
    return t->random * 0x2545F4914F6CDD1Dull;
}

/* Explained departures that some bytes needed, in any mode. */
#define EXCEPTIONS_MAX 128u
static bool needed[EXCEPTIONS_MAX];

/* Each kind of difference is reported once a mnemonic. */
static void report(struct tester *t, const struct zydis_pair *p, enum zydis_difference difference)
{
    char key[48], text[500];

    snprintf(key, sizeof(key), "%d %s", difference, zydis_pair_mnemonic(p));
    for (unsigned i = 0; i < t->reported; i++)
        if (!strcmp(t->seen[i], key))
            return;
    if (t->reported == REPORTED_MAX)
        return;
    memcpy(t->seen[t->reported++], key, sizeof(key));
    zydis_pair_format(p, difference, text, sizeof(text));
    print_message("%s\n", text);
}

static void compare(struct tester *t, const uint8_t *bytes)
{
    struct zydis_pair p;
    enum zydis_difference difference = zydis_oracle_compare(&t->oracle, bytes, 15, &p);

    if (p.exception >= 0)
        needed[p.exception] = true;
    t->compared++;
    t->both += p.valid && p.status == DECODE_OK && p.zydis.length == p.insn.length;
    if (difference != NONE)
        report(t, &p, difference);
}

static void compare_opcode(struct tester *t, const char *prefixes, unsigned prefix_count, unsigned map, unsigned opcode)
{
    uint8_t bytes[16];
    unsigned at = prefix_count;

    memcpy(bytes, prefixes, prefix_count);
    if (map)
        bytes[at++] = 0x0F;
    if (map >= 2)
        bytes[at++] = map == 2 ? 0x38 : 0x3A;
    bytes[at++] = (uint8_t)opcode;
    for (unsigned tail = 0; tail < TAILS; tail++) {
        for (unsigned i = at; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(next_random(t) >> 32);
        /* Half of the ModRM bytes name a register: the other half would hide them. */
        if (tail & 1)
            bytes[at] |= 0xC0;
        compare(t, bytes);
    }
}

static void compare_mode(unsigned mode_bits)
{
    static const struct {
        unsigned count;
        const char *bytes;
    } prefixes[] = {
        { 0, "" },         { 1, "\x66" },     { 1, "\xF2" },     { 1, "\xF3" },         { 1, "\x67" },
        { 1, "\xF0" },     { 1, "\x48" },     { 1, "\x47" },     { 2, "\x66\x48" },     { 2, "\xF3\x48" },
        { 2, "\xF2\x4F" }, { 2, "\x66\xF2" }, { 2, "\xF3\x66" }, { 3, "\x66\xF3\x4D" }, { 2, "\x48\x66" },
        { 1, "\x64" },     { 2, "\x2E\x65" }, { 2, "\x67\x66" }, { 3, "\xF2\xF3\x66" }, { 2, "\x66\xF0" }
    };
    struct tester t = { .random = 0x9E3779B97F4A7C15ull + mode_bits };

    assert_int_equal(zydis_oracle_init(&t.oracle, mode_bits), 0);
    for (unsigned map = 0; map < 4; map++)
        for (unsigned opcode = 0; opcode < 256; opcode++)
            for (unsigned i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
                compare_opcode(&t, prefixes[i].bytes, prefixes[i].count, map, opcode);
    print_message("%u-bit mode: %u compared, %u valid in both\n", mode_bits, t.compared, t.both);
    assert_int_equal(t.reported, 0);
}

static void agrees_in_16_bit_mode(void **state)
{
    (void)state;
    compare_mode(16);
}

static void agrees_in_32_bit_mode(void **state)
{
    (void)state;
    compare_mode(32);
}

static void agrees_in_64_bit_mode(void **state)
{
    (void)state;
    compare_mode(64);
}

/* All of ModRM behind each opcode and mandatory prefix, and the opcodes of VEX, EVEX, MVEX and XOP. */
static void compare_all_modrm(unsigned mode_bits)
{
    static const char prefixes[] = { 0, 0x66, (char)0xF3, (char)0xF2 };
    struct tester t = { .random = mode_bits };
    assert_int_equal(zydis_oracle_init(&t.oracle, mode_bits), 0);
    for (unsigned i = 0; i < 4 * 4 * 0x10000; i++) {
        uint8_t bytes[16];
        unsigned at = 0, map = i >> 18, prefix = i >> 16 & 3;
        for (unsigned j = 0; j < sizeof(bytes); j++)
            bytes[j] = (uint8_t)(next_random(&t) >> 32);
        if (map == 3) { /* 0F 0F: the opcode stands behind; else one of the others */
            static const uint8_t escapes[] = { 0x62, 0xC4, 0x8F, 0x62 };
            static const uint8_t maps[] = { 1, 2, 3, 5, 6, 8, 9, 10 };
            bytes[0] = escapes[prefix];
            bytes[1] = (uint8_t)((bytes[1] & 0xE0) | 0xE0 | maps[i & 7]);
            if (i & 8)
                bytes[2] |= 0x78; /* vvvv unused */
            if (prefix == 3)
                bytes[2] &= 0xFB; /* MVEX */
            bytes[prefix == 1 || prefix == 2 ? 3 : 4] = (uint8_t)(i >> 8);
        } else {
            if (prefix)
                bytes[at++] = (uint8_t)prefixes[prefix];
            bytes[at++] = 0x0F;
            if (map)
                bytes[at++] = map == 1 ? 0x38 : 0x3A;
            bytes[at++] = (uint8_t)(i >> 8);
            bytes[at] = (uint8_t)i;
        }
        compare(&t, bytes);
    }
    assert_int_equal(t.reported, 0);
}

/* Encodings that random bytes hardly meet. */
static void compare_witnesses(unsigned mode_bits)
{
    static const char *const witnesses[] = {
        "\x62\xF2\x7D\x49\xC6\x0C\x08", /* VGATHERPF0DPS */
        "\x62\xF2\x7F\x48\x68\xC1",     /* VP2INTERSECTD */
        "\xC4\xE2\x78\x49\xC0",         /* TILERELEASE */
        "\xC4\xE2\x73\x5E\xC2",         /* TDPBSSD */
        "\xC4\xE2\x72\x5C\xC2",         /* TDPBF16PS */
        "\x62\xF1\xFF\x18\x2A\xC0",     /* VCVTSI2SD with EVEX.W and a rounding mode */
        "\x62\xF1\xFF\x18\x7B\xC0",     /* VCVTUSI2SD */
    };
    struct tester t = { .random = mode_bits };
    assert_int_equal(zydis_oracle_init(&t.oracle, mode_bits), 0);
    for (unsigned i = 0; i < sizeof(witnesses) / sizeof(witnesses[0]); i++) {
        uint8_t bytes[16] = { 0 };
        memcpy(bytes, witnesses[i], strlen(witnesses[i]));
        compare(&t, bytes);
    }
    assert_int_equal(t.reported, 0);
}

/* An explained departure that nothing needs would hide the next one. */
static void no_exception_is_stale(void **state)
{
    (void)state;
    char name[100];
    unsigned stale = 0;
    assert_true(zydis_exception_count() <= EXCEPTIONS_MAX);
    compare_all_modrm(64);
    compare_all_modrm(32);
    compare_witnesses(64);
    compare_witnesses(32);
    for (unsigned i = 0; i < zydis_exception_count(); i++) {
        if (needed[i])
            continue;
        zydis_exception_name(i, name, sizeof(name));
        print_message("not needed: %s\n", name);
        stale++;
    }
    assert_int_equal(stale, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_in_16_bit_mode),
        cmocka_unit_test(agrees_in_32_bit_mode),
        cmocka_unit_test(agrees_in_64_bit_mode),
        cmocka_unit_test(no_exception_is_stale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
