/*
 * decode() against Zydis (zydis_oracle.h): what is compared, and where the two differ on purpose.
 */
#include "fuzz/zydis_oracle.h"

#include <string.h>
#include <strings.h>

static const char *const difference_names[] = {
    "none",       "only Zydis decodes it", "only sim decodes it", "length", "memory operand", "immediate", "register",
    "memory size"
};

const char *zydis_difference_name(enum zydis_difference difference)
{
    return difference_names[difference];
}

/*
 * An instruction by Zydis's name of it and of its extension (with '_' at the end: the start of its finer name, the
 * set), or the row's mnemonic where Zydis has none; NULL: any. An exception that explains nothing any more hides a
 * departure to come: it goes when the row comes.
 */
static const struct exception {
    enum zydis_difference difference;
    const char *extension, *mnemonic;
} exceptions[] = {
    /* No rows: extensions that no model has. */
    { ONLY_ZYDIS, "AVX512ER_", NULL },
    { ONLY_ZYDIS, "AVX512PF_", NULL },
    { ONLY_ZYDIS, "AVX512_4FMAPS_", NULL },
    { ONLY_ZYDIS, "AVX512_4VNNIW_", NULL },
    { ONLY_ZYDIS, "AVX512_FP16_", NULL },
    { ONLY_ZYDIS, "AVX512_VP2INTERSECT_", NULL },
    { ONLY_ZYDIS, "AMD3DNOW", NULL },
    { ONLY_ZYDIS, "AMD_INVLPGB", NULL },
    { ONLY_ZYDIS, "AMX_BF16", NULL },
    { ONLY_ZYDIS, "AMX_INT8", NULL },
    { ONLY_ZYDIS, "AMX_TILE", NULL },
    { ONLY_ZYDIS, "AVX_VNNI", NULL },
    { ONLY_ZYDIS, "CET", NULL },
    { ONLY_ZYDIS, "CLZERO", NULL },
    { ONLY_ZYDIS, "ENQCMD", NULL },
    { ONLY_ZYDIS, "FMA4", NULL },
    { ONLY_ZYDIS, "HRESET", NULL },
    { ONLY_ZYDIS, "KEYLOCKER", NULL },
    { ONLY_ZYDIS, "KEYLOCKER_WIDE", NULL },
    { ONLY_ZYDIS, "KNC", NULL }, /* MVEX: 62 with bit 2 of its third byte clear, Knights Corner only */
    { ONLY_ZYDIS, "KNCE", NULL },
    { ONLY_ZYDIS, "KNCV", NULL },
    { ONLY_ZYDIS, "MCOMMIT", NULL },
    { ONLY_ZYDIS, "MONITOR", NULL },
    { ONLY_ZYDIS, "MONITORX", NULL },
    { ONLY_ZYDIS, "PADLOCK", NULL },
    { ONLY_ZYDIS, "PCONFIG", NULL },
    { ONLY_ZYDIS, "PT", NULL },
    { ONLY_ZYDIS, "RDPRU", NULL },
    { ONLY_ZYDIS, "RTM", NULL },
    { ONLY_ZYDIS, "SERIALIZE", NULL },
    { ONLY_ZYDIS, "SGX", NULL },
    { ONLY_ZYDIS, "SGX_ENCLV", NULL },
    { ONLY_ZYDIS, "SMX", NULL },
    { ONLY_ZYDIS, "SNP", NULL },
    { ONLY_ZYDIS, "SSE4A", NULL },
    { ONLY_ZYDIS, "SVM", NULL },
    { ONLY_ZYDIS, "TBM", NULL },
    { ONLY_ZYDIS, "TDX", NULL },
    { ONLY_ZYDIS, "TSX_LDTRK", NULL },
    { ONLY_ZYDIS, "UINTR", NULL },
    { ONLY_ZYDIS, "VMFUNC", NULL },
    { ONLY_ZYDIS, "VTX", NULL },
    { ONLY_ZYDIS, "WAITPKG", NULL },
    { ONLY_ZYDIS, "XOP", NULL },
    /* Intel's processors know them in 64-bit mode only; Zydis lists AMD's legacy forms too. */
    { ONLY_ZYDIS, "BASE", "syscall" },
    { ONLY_ZYDIS, "BASE", "sysret" },
    /* EVEX.W is ignored outside of 64-bit mode, with a rounding mode too, as an Intel Xeon with AVX-512 does; Zydis
       refuses the rounding mode of the form with 64 bits. */
    { ONLY_SIM, NULL, "VCVTSI2SD" },
    { ONLY_SIM, NULL, "VCVTUSI2SD" },
    /* Zydis gives the width of the cache line or of the register that is written; here it is what the manual's operand
       says. */
    { WIDTH, "CLFSH", NULL },
    { WIDTH, "CLFLUSHOPT", NULL },
    { WIDTH, "CLWB", NULL },
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

static bool is_of(const char *wanted, const char *extension, const char *set)
{
    size_t length = strlen(wanted);

    return wanted[length - 1] == '_' ? !strncmp(wanted, set, length) : !strcmp(wanted, extension);
}

unsigned zydis_exception_count(void)
{
    return sizeof(exceptions) / sizeof(exceptions[0]);
}

void zydis_exception_name(unsigned number, char *out, size_t out_bytes)
{
    const struct exception *e = &exceptions[number];
    snprintf(out, out_bytes, "%s, %s %s", difference_names[e->difference], e->extension ? e->extension : "",
             e->mnemonic ? e->mnemonic : "");
}

static bool is_excepted(struct zydis_pair *p, enum zydis_difference difference)
{
    const char *extension = p->valid ? ZydisISAExtGetString(p->zydis.meta.isa_ext) : "";
    const char *set = p->valid ? ZydisISASetGetString(p->zydis.meta.isa_set) : "";
    const char *mnemonic = p->valid ? ZydisMnemonicGetString(p->zydis.mnemonic) : p->insn.row->mnemonic;

    for (size_t i = 0; i < sizeof(exceptions) / sizeof(exceptions[0]); i++) {
        const struct exception *e = &exceptions[i];
        if (e->difference == difference && (!e->extension || is_of(e->extension, extension, set)) &&
            (!e->mnemonic || !strcasecmp(e->mnemonic, mnemonic))) {
            p->exception = (int)i;
            return true;
        }
    }
    return false;
}

static int gpr_number(ZydisRegister reg)
{
    return reg == ZYDIS_REGISTER_NONE                               ? INSN_NO_REGISTER
           : reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP ? INSN_BASE_RIP
                                                                    : ZydisRegisterGetId(reg);
}

static enum zydis_difference compare_memory(const struct insn *insn, const ZydisDecodedOperand *operand)
{
    static const ZydisRegister segments[] = { ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS, ZYDIS_REGISTER_SS,
                                              ZYDIS_REGISTER_DS, ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS };
    const ZydisDecodedOperandMem *mem = &operand->mem;
    unsigned scale = mem->index == ZYDIS_REGISTER_NONE ? 0 : mem->scale ? (unsigned)__builtin_ctz(mem->scale) : 0;

    /* A SIB byte without base, 32-bit addressing, REX.B set: Zydis 4.0 says R13D and forgets the displacement. The SDM
       (vol. 2A, table 2-3) and an Intel Xeon have no base there. */
    bool no_base = mem->base == ZYDIS_REGISTER_R13D && insn->base == INSN_NO_REGISTER && !mem->disp.has_displacement;

    if (!insn->has_memory || (gpr_number(mem->base) != insn->base && !no_base) ||
        gpr_number(mem->index) != insn->index || scale != insn->scale)
        return MEMORY;
    if (!no_base && mem->disp.value != insn->displacement &&
        (uint64_t)(mem->disp.value ^ insn->displacement) << (64 - insn->address_bits))
        return MEMORY;
    if (mem->type == ZYDIS_MEMOP_TYPE_MEM && segments[insn->segment] != mem->segment)
        return MEMORY;
    return NONE;
}

static enum zydis_difference compare_register(const struct insn *insn, const struct operand *ours,
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
static enum zydis_difference compare_operands(const struct zydis_pair *p)
{
    const struct insn *insn = &p->insn;
    unsigned immediates = 0;
    enum zydis_difference difference = NONE;

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

int zydis_oracle_init(struct zydis_oracle *oracle, unsigned mode_bits)
{
    ZydisMachineMode machine = mode_bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
                               : mode_bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                                                 : ZYDIS_MACHINE_MODE_LEGACY_16;
    ZydisStackWidth stack = mode_bits == 64   ? ZYDIS_STACK_WIDTH_64
                            : mode_bits == 32 ? ZYDIS_STACK_WIDTH_32
                                              : ZYDIS_STACK_WIDTH_16;

    oracle->mode_bits = mode_bits;
    if (!ZYAN_SUCCESS(ZydisDecoderInit(&oracle->decoder, machine, stack)))
        return -1;
    /* What these extensions made of the wide NOPs and of PREFETCH is no instruction of ours. */
    ZydisDecoderEnableMode(&oracle->decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
    ZydisDecoderEnableMode(&oracle->decoder, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
    ZydisDecoderEnableMode(&oracle->decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
    return 0;
}

enum zydis_difference zydis_oracle_compare(const struct zydis_oracle *oracle, const uint8_t *bytes, unsigned available,
                                           struct zydis_pair *p)
{
    enum zydis_difference difference;

    p->mode_bits = oracle->mode_bits;
    p->bytes = bytes;
    p->available = available;
    p->exception = -1;
    p->status = decode(bytes, available, oracle->mode_bits, NULL, &p->insn);
    p->valid = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&oracle->decoder, bytes, available, &p->zydis, p->operands));
    if (p->status != DECODE_OK)
        difference = p->valid ? ONLY_ZYDIS : NONE;
    else if (!p->valid)
        difference = ONLY_SIM;
    else if (p->zydis.length != p->insn.length)
        difference = LENGTH;
    else
        difference = compare_operands(p);
    return difference != NONE && is_excepted(p, difference) ? NONE : difference;
}

const char *zydis_pair_mnemonic(const struct zydis_pair *p)
{
    return p->valid ? ZydisMnemonicGetString(p->zydis.mnemonic) : p->status == DECODE_OK ? p->insn.row->mnemonic : "-";
}

void zydis_pair_format(const struct zydis_pair *p, enum zydis_difference difference, char *out, size_t out_bytes)
{
    char text[200] = "-", bytes[48];
    unsigned at = 0;

    bytes[0] = 0;
    for (unsigned i = 0; i < p->available && i < 15; i++)
        at += (unsigned)snprintf(bytes + at, sizeof(bytes) - at, " %02x", p->bytes[i]);
    if (p->status == DECODE_OK)
        insn_format(&p->insn, 0, text, sizeof(text));
    snprintf(out, out_bytes, "%s, %u-bit mode:%s\n  sim: %s (%u bytes)   Zydis: %s %s (%u bytes)",
             difference_names[difference], p->mode_bits, bytes, text, p->insn.length,
             p->valid ? ZydisISAExtGetString(p->zydis.meta.isa_ext) : "-", p->valid ? zydis_pair_mnemonic(p) : "-",
             p->valid ? p->zydis.length : 0);
}
