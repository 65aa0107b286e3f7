/*
 * decode() against Zydis: all opcodes of the one-byte, 0F, 0F38 and 0F3A maps, behind many prefixes, with pseudo-random
 * bytes after them, in the three modes. Compared are validity, length, memory operand, immediates and the registers of
 * the operands.
 *
 * `exceptions` says where the two differ on purpose, and why. Anything else is a failure. Built only where Zydis is
 * installed.
 */
#include "cpu/insn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <Zydis/Zydis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAILS        24u
#define REPORTED_MAX 400u

enum difference { NONE, ONLY_ZYDIS, ONLY_SIM, LENGTH, MEMORY, IMMEDIATE, REGISTER, WIDTH };
static const char *const difference_names[] = {
    "none",       "only Zydis decodes it", "only sim decodes it", "length", "memory operand", "immediate", "register",
    "memory size"
};

/*
 * An instruction by Zydis's name of it and of its extension, or the row's mnemonic where Zydis has none; NULL: any. A
 * row that comes to the table makes an exception of the first kind useless, never wrong.
 */
static const struct exception {
    enum difference difference;
    const char *extension, *mnemonic;
} exceptions[] = {
    /* No rows yet: x86-64-v3 and v4. */
    { ONLY_ZYDIS, "AVX", NULL },
    { ONLY_ZYDIS, "AVX2", NULL },
    { ONLY_ZYDIS, "AVX2GATHER", NULL },
    { ONLY_ZYDIS, "AVX512EVEX", NULL },
    { ONLY_ZYDIS, "AVX512VEX", NULL },
    { ONLY_ZYDIS, "BMI1", NULL },
    { ONLY_ZYDIS, "BMI2", NULL },
    { ONLY_ZYDIS, "F16C", NULL },
    { ONLY_ZYDIS, "FMA", NULL },
    /* No rows: extensions that no model has. */
    { ONLY_ZYDIS, "ADOX_ADCX", NULL },
    { ONLY_ZYDIS, "AES", NULL },
    { ONLY_ZYDIS, "AMD3DNOW", NULL },
    { ONLY_ZYDIS, "AMD_INVLPGB", NULL },
    { ONLY_ZYDIS, "AMX_BF16", NULL },
    { ONLY_ZYDIS, "AMX_INT8", NULL },
    { ONLY_ZYDIS, "AMX_TILE", NULL },
    { ONLY_ZYDIS, "AVXAES", NULL },
    { ONLY_ZYDIS, "AVX_VNNI", NULL },
    { ONLY_ZYDIS, "CET", NULL },
    { ONLY_ZYDIS, "CLFLUSHOPT", NULL },
    { ONLY_ZYDIS, "CLWB", NULL },
    { ONLY_ZYDIS, "CLZERO", NULL },
    { ONLY_ZYDIS, "ENQCMD", NULL },
    { ONLY_ZYDIS, "FMA4", NULL },
    { ONLY_ZYDIS, "GFNI", NULL },
    { ONLY_ZYDIS, "HRESET", NULL },
    { ONLY_ZYDIS, "INVPCID", NULL },
    { ONLY_ZYDIS, "KEYLOCKER", NULL },
    { ONLY_ZYDIS, "KEYLOCKER_WIDE", NULL },
    { ONLY_ZYDIS, "MCOMMIT", NULL },
    { ONLY_ZYDIS, "MONITOR", NULL },
    { ONLY_ZYDIS, "MONITORX", NULL },
    { ONLY_ZYDIS, "MOVDIR", NULL },
    { ONLY_ZYDIS, "PADLOCK", NULL },
    { ONLY_ZYDIS, "PCLMULQDQ", NULL },
    { ONLY_ZYDIS, "PCONFIG", NULL },
    { ONLY_ZYDIS, "PKU", NULL },
    { ONLY_ZYDIS, "PT", NULL },
    { ONLY_ZYDIS, "RDPID", NULL },
    { ONLY_ZYDIS, "RDPRU", NULL },
    { ONLY_ZYDIS, "RDWRFSGS", NULL },
    { ONLY_ZYDIS, "RTM", NULL },
    { ONLY_ZYDIS, "SERIALIZE", NULL },
    { ONLY_ZYDIS, "SGX", NULL },
    { ONLY_ZYDIS, "SGX_ENCLV", NULL },
    { ONLY_ZYDIS, "SHA", NULL },
    { ONLY_ZYDIS, "SMX", NULL },
    { ONLY_ZYDIS, "SNP", NULL },
    { ONLY_ZYDIS, "SSE4A", NULL },
    { ONLY_ZYDIS, "SVM", NULL },
    { ONLY_ZYDIS, "TBM", NULL },
    { ONLY_ZYDIS, "TDX", NULL },
    { ONLY_ZYDIS, "TSX_LDTRK", NULL },
    { ONLY_ZYDIS, "UINTR", NULL },
    { ONLY_ZYDIS, "VAES", NULL },
    { ONLY_ZYDIS, "VMFUNC", NULL },
    { ONLY_ZYDIS, "VPCLMULQDQ", NULL },
    { ONLY_ZYDIS, "VTX", NULL },
    { ONLY_ZYDIS, "WAITPKG", NULL },
    { ONLY_ZYDIS, "XOP", NULL },
    /* Intel's processors know them in 64-bit mode only; Zydis lists AMD's legacy forms too. */
    { ONLY_ZYDIS, "BASE", "syscall" },
    { ONLY_ZYDIS, "BASE", "sysret" },
    /* Zydis gives the width of the cache line or of the register that is written; here it is what the manual's operand
       says. */
    { WIDTH, "CLFSH", NULL },
    { WIDTH, "AMD3DNOW_PREFETCH", NULL },
    { WIDTH, "PREFETCHWT1", NULL },
    { REGISTER, "BASE", "lar" },
    { REGISTER, "BASE", "lsl" },
    { REGISTER, "SSE", "movmskps" },
    { REGISTER, "SSE2", "movmskpd" },
    /* Zydis gives the wide NOPs with a register a second operand in places. */
    { REGISTER, "BASE", "nop" },
    /* 66 63: the SDM says r/m16; a 16-bit result comes from the same two bytes. */
    { WIDTH, "LONGMODE", "movsxd" },
};

struct tester {
    ZydisDecoder zydis;
    unsigned mode_bits;
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

struct pair {
    const uint8_t *bytes;
    enum decode_status status;
    struct insn insn;
    bool valid;
    ZydisDecodedInstruction zydis;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

static bool is_excepted(const struct pair *p, enum difference difference)
{
    const char *extension = p->valid ? ZydisISAExtGetString(p->zydis.meta.isa_ext) : "";
    const char *mnemonic = p->valid ? ZydisMnemonicGetString(p->zydis.mnemonic) : p->insn.row->mnemonic;

    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
        const struct exception *e = &exceptions[i];
        if (e->difference == difference && (!e->extension || !strcmp(e->extension, extension)) &&
            (!e->mnemonic || !strcasecmp(e->mnemonic, mnemonic)))
            return true;
    }
    return false;
}

/* Each kind of difference is reported once a mnemonic. */
static void report(struct tester *t, const struct pair *p, enum difference difference)
{
    char key[48], text[200] = "-";
    const char *mnemonic = p->valid ? ZydisMnemonicGetString(p->zydis.mnemonic) : p->insn.row->mnemonic;

    if (is_excepted(p, difference))
        return;
    snprintf(key, sizeof(key), "%d %s", difference, mnemonic);
    for (unsigned i = 0; i < t->reported; i++)
        if (!strcmp(t->seen[i], key))
            return;
    if (t->reported == REPORTED_MAX)
        return;
    memcpy(t->seen[t->reported++], key, sizeof(key));
    if (p->status == DECODE_OK)
        insn_format(&p->insn, 0, text, sizeof(text));
    print_message("%s, %u-bit mode:", difference_names[difference], t->mode_bits);
    for (unsigned i = 0; i < 15; i++)
        print_message(" %02x", p->bytes[i]);
    print_message("\n  sim: %s (%u bytes)   Zydis: %s %s (%u bytes)\n", text, p->insn.length,
                  p->valid ? ZydisISAExtGetString(p->zydis.meta.isa_ext) : "-", p->valid ? mnemonic : "-",
                  p->valid ? p->zydis.length : 0);
}

static int gpr_number(ZydisRegister reg)
{
    return reg == ZYDIS_REGISTER_NONE                               ? INSN_NO_REGISTER
           : reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP ? INSN_BASE_RIP
                                                                    : ZydisRegisterGetId(reg);
}

static enum difference compare_memory(const struct insn *insn, const ZydisDecodedOperand *operand)
{
    static const ZydisRegister segments[] = { ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS,
                                              ZYDIS_REGISTER_DS, ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS };
    const ZydisDecodedOperandMem *mem = &operand->mem;
    unsigned scale = mem->index == ZYDIS_REGISTER_NONE ? 0 : mem->scale ? (unsigned)__builtin_ctz(mem->scale) : 0;

    if (!insn->has_memory || gpr_number(mem->base) != insn->base || gpr_number(mem->index) != insn->index ||
        scale != insn->scale)
        return MEMORY;
    if (mem->disp.value != insn->displacement && (uint64_t)(mem->disp.value ^ insn->displacement)
                                                     << (64 - insn->address_bits))
        return MEMORY;
    if (mem->type == ZYDIS_MEMOP_TYPE_MEM && segments[insn->segment] != mem->segment)
        return MEMORY;
    return NONE;
}

static enum difference compare_register(const struct insn *insn, const struct operand *ours,
                                        const ZydisDecodedOperand *theirs)
{
    ZydisRegister reg = theirs->reg.value;
    int number = ZydisRegisterGetId(reg);

    if (ours->cls == CLASS_GPR && reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_R15B) {
        static const uint8_t numbers[] = { 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7 };
        unsigned index = (unsigned)(reg - ZYDIS_REGISTER_AL);
        number = index < 12 ? numbers[index] : (int)index - 4;
    }
    (void)insn;
    if (number != ours->number)
        return REGISTER;
    if (ours->cls == CLASS_GPR && theirs->size != 8u * ours->bytes)
        return REGISTER;
    return NONE;
}

/* Operand by operand where both list the same number of explicit ones. */
static enum difference compare_operands(const struct pair *p)
{
    const struct insn *insn = &p->insn;
    unsigned immediates = 0;
    enum difference difference = NONE;

    if (insn->row->attributes & ISA_REP || p->zydis.operand_count_visible != insn->operand_count)
        return NONE;
    for (unsigned i = 0; i < insn->operand_count && difference == NONE; i++) {
        const struct operand *ours = &insn->operand[i];
        const ZydisDecodedOperand *theirs = &p->operands[i];
        if (theirs->type == ZYDIS_OPERAND_TYPE_MEMORY) {
            difference = compare_memory(insn, theirs);
            if (difference == NONE && ours->bytes && theirs->size != 8u * ours->bytes)
                difference = WIDTH;
        } else if (theirs->type == ZYDIS_OPERAND_TYPE_REGISTER) {
            difference = ours->kind == OPERAND_REGISTER ? compare_register(insn, ours, theirs) : REGISTER;
        } else if (theirs->type == ZYDIS_OPERAND_TYPE_IMMEDIATE) {
            uint64_t value = immediates++ ? insn->immediate2 : insn->immediate;
            /* Byte instructions here take Ib, zero-extended; beyond the operand size it makes no difference. */
            uint64_t mask = theirs->imm.is_relative ? UINT64_MAX : UINT64_MAX >> (64 - p->zydis.operand_width);
            if ((value ^ theirs->imm.value.u) & mask)
                difference = IMMEDIATE;
        }
    }
    return difference;
}

static void compare(struct tester *t, const uint8_t *bytes)
{
    struct pair p = { .bytes = bytes };

    p.status = decode(bytes, 15, t->mode_bits, NULL, &p.insn);
    p.valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&t->zydis, bytes, 15, &p.zydis, p.operands));
    t->compared++;
    if (p.status != DECODE_OK) {
        if (p.valid)
            report(t, &p, ONLY_ZYDIS);
    } else if (!p.valid) {
        report(t, &p, ONLY_SIM);
    } else if (p.zydis.length != p.insn.length) {
        report(t, &p, LENGTH);
    } else {
        t->both++;
        enum difference difference = compare_operands(&p);
        if (difference != NONE)
            report(t, &p, difference);
    }
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
    struct tester t = { .mode_bits = mode_bits, .random = 0x9E3779B97F4A7C15ull + mode_bits };

    assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&t.zydis,
                                              mode_bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                                              : mode_bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                                                : ZYDIS_MACHINE_MODE_LEGACY_16,
                                              mode_bits == 64   ? ZYDIS_STACK_WIDTH_64
                                              : mode_bits == 32 ? ZYDIS_STACK_WIDTH_32
                                                                : ZYDIS_STACK_WIDTH_16)));
    /* What these extensions made of the wide NOPs and of PREFETCH is no instruction of ours. */
    ZydisDecoderEnableMode(&t.zydis, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&t.zydis, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(&t.zydis, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_in_16_bit_mode),
        cmocka_unit_test(agrees_in_32_bit_mode),
        cmocka_unit_test(agrees_in_64_bit_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
