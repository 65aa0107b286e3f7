/*
 * The disassembler: a decoded instruction in Intel syntax, as objdump -M intel writes it but for spaces after commas
 * and the size in lower case. Everything comes from struct insn and its row.
 */
#include "cpu/insn.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
    char *out;
    size_t bytes, length;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *text, const char *format, ...)
{
    size_t left = text->length < text->bytes ? text->bytes - text->length : 0;
    va_list arguments;

    va_start(arguments, format);
    int n = vsnprintf(left ? text->out + text->length : NULL, left, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->length += (size_t)n;
}

static const char *const segment_names[] = { "es", "cs", "ss", "ds", "fs", "gs" };

static void put_gpr(struct text *text, unsigned number, unsigned bytes)
{
    static const char *const low[8] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di" };

    if (bytes == 1 && number >= 16)
        put(text, "%ch", "acdb"[(number - 16) & 3]);
    else if (bytes == 1 && number < 4)
        put(text, "%cl", "acdb"[number]);
    else if (number >= 8)
        put(text, "r%u%s", number & 15, bytes == 1 ? "b" : bytes == 2 ? "w" : bytes == 4 ? "d" : "");
    else
        put(text, "%s%s%s", bytes == 4 ? "e" : bytes == 8 ? "r" : "", low[number], bytes == 1 ? "l" : "");
}

static void put_register(struct text *text, const struct insn *insn, const struct operand *operand)
{
    unsigned number = operand->number;

    switch ((enum operand_class)operand->cls) {
    case CLASS_GPR:
        put_gpr(text, number, operand->bytes);
        break;
    case CLASS_SEG:
        put(text, "%s", number <= GS ? segment_names[number] : "?");
        break;
    case CLASS_CR:
        put(text, "cr%u", number);
        break;
    case CLASS_DR:
        put(text, "dr%u", number);
        break;
    case CLASS_ST:
        if (insn->row->operand[operand - insn->operand].source == FROM_FIXED && number == 0)
            put(text, "st");
        else
            put(text, "st(%u)", number);
        break;
    case CLASS_MMX:
        put(text, "mm%u", number);
        break;
    case CLASS_OPMASK:
        put(text, "k%u", number);
        break;
    case CLASS_VEC:
        put(text, "%cmm%u", operand->bytes == 64 ? 'z' : operand->bytes == 32 ? 'y' : 'x', number);
        break;
    case CLASS_NONE:
    case CLASS_MEM:
    case CLASS_IMM:
        put(text, "?%s", insn->row->mnemonic);
        break;
    }
}

static bool is_broadcast(const struct insn *insn, const struct operand *operand)
{
    return insn->evex & INSN_EVEX_B && operand->kind == OPERAND_MEMORY;
}
/* A broadcast is of 32 bits, with EVEX.W of 64; its rows have one W each. */
static unsigned broadcast_bytes(const struct insn *insn)
{
    return insn->row->accepts.w & 1 ? 4 : 8;
}

static void put_size(struct text *text, const struct insn *insn, const struct operand *operand)
{
    const char *name = NULL;

    switch (is_broadcast(insn, operand) ? broadcast_bytes(insn) : operand->bytes) {
    case 1:
        name = "byte";
        break;
    case 2:
        name = "word";
        break;
    case 4:
        name = "dword";
        break;
    case 6:
        name = "fword";
        break;
    case 8:
        name = "qword";
        break;
    case 10:
        name = "tbyte";
        break;
    case 16:
        name = "xmmword";
        break;
    case 32:
        name = "ymmword";
        break;
    case 64:
        name = "zmmword";
        break;
    default:
        break;
    }
    if (name && strcmp(insn->row->mnemonic, "LEA") != 0)
        put(text, "%s ptr ", name);
}

static void put_hex_signed(struct text *text, int64_t value, bool sign)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    if (sign || value < 0)
        put(text, "%c", value < 0 ? '-' : '+');
    put(text, "0x%llx", (unsigned long long)magnitude);
}

static uint64_t mask_of(unsigned bits)
{
    return UINT64_MAX >> (64 - bits);
}

static bool default_is_ss(const struct insn *insn)
{
    return insn->base == RSP || insn->base == RBP;
}

/* "seg:[base+index*scale+displacement]"; the segment only where it is not the default one, or there is nothing else. */
static void put_memory(struct text *text, const struct insn *insn, const struct operand *operand)
{
    unsigned bytes = insn->address_bits / 8;
    bool base = insn->base < 16, index = insn->index < 16, rip = insn->base == INSN_BASE_RIP;

    if (insn->has_modrm)
        put_size(text, insn, operand);
    if (!base && !index && !rip) {
        put(text, "%s:0x%llx", segment_names[insn->segment],
            (unsigned long long)((uint64_t)insn->displacement & mask_of(insn->address_bits)));
        return;
    }
    if (insn->segment != (default_is_ss(insn) ? SS : DS))
        put(text, "%s:", segment_names[insn->segment]);
    put(text, "[");
    if (base)
        put_gpr(text, insn->base, bytes);
    if (rip)
        put(text, bytes == 4 ? "eip" : "rip");
    if (index) {
        put(text, base ? "+" : "");
        put_gpr(text, insn->index, bytes);
        if (bytes > 2)
            put(text, "*%u", 1u << insn->scale);
    }
    if (insn->displacement || rip || !base)
        put_hex_signed(text, insn->displacement, true);
    put(text, "]");
}

static void put_string_operand(struct text *text, const struct insn *insn, const struct operand *operand,
                               bool destination)
{
    put_size(text, insn, operand);
    put(text, "%s:[", destination ? "es" : segment_names[insn->segment]);
    put_gpr(text, destination ? RDI : RSI, insn->address_bits / 8);
    put(text, "]");
}

static void put_immediate(struct text *text, const struct insn *insn, const struct operand_code *code,
                          const struct operand *operand, bool second)
{
    uint64_t value = second ? insn->immediate2 : insn->immediate;

    if (code->source == FROM_ONE)
        put(text, "1");
    else if (code->size == SIZE_SB || code->size == SIZE_Z)
        put(text, "0x%llx", (unsigned long long)(value & mask_of(insn->operand_bits == 8 ? 64 : insn->operand_bits)));
    else
        put(text, "0x%llx", (unsigned long long)(value & mask_of(operand->bytes ? 8u * operand->bytes : 64)));
}

static void put_operand(struct text *text, const struct insn *insn, uint64_t address, unsigned i, bool *second)
{
    const struct operand_code *code = &insn->row->operand[i];
    const struct operand *operand = &insn->operand[i];
    uint64_t next = address + insn->length;

    if (operand->kind == OPERAND_REGISTER) {
        put_register(text, insn, operand);
    } else if (code->source == FROM_STRING_SI || code->source == FROM_STRING_DI) {
        put_string_operand(text, insn, operand, code->source == FROM_STRING_DI);
    } else if (operand->kind == OPERAND_MEMORY) {
        put_memory(text, insn, operand);
    } else if (code->source == FROM_RELATIVE) {
        put(text, "0x%llx",
            (unsigned long long)((next + insn->immediate) & mask_of(insn->mode_bits == 64 ? 64 : insn->operand_bits)));
    } else if (code->source == FROM_FAR) {
        put(text, "0x%llx:0x%llx", (unsigned long long)insn->immediate2, (unsigned long long)insn->immediate);
    } else {
        put_immediate(text, insn, code, operand, *second);
        *second = true;
    }
}

/* EVEX decorations, as Zydis prints them: mask, broadcast, rounding. */
static void put_decorations(struct text *text, const struct insn *insn, unsigned i)
{
    static const char *const modes[] = { "rn", "rd", "ru", "rz" };
    const struct operand *operand = &insn->operand[i];
    bool last_register = operand->kind == OPERAND_REGISTER &&
                         (i + 1u == insn->operand_count || insn->operand[i + 1].kind == OPERAND_IMMEDIATE);

    if (i == 0 && insn->mask)
        put(text, insn->evex & INSN_EVEX_Z ? " {k%u} {z}" : " {k%u}", insn->mask);
    if (is_broadcast(insn, operand))
        put(text, " {1to%u}", operand->bytes / broadcast_bytes(insn));
    if (insn->evex & INSN_EVEX_B && !insn->has_memory && last_register) {
        if (insn->row->attributes & ISA_ROUNDING)
            put(text, " {%s-sae}", modes[INSN_EVEX_RC(insn->evex)]);
        else
            put(text, " {sae}");
    }
}

static void put_prefixes(struct text *text, const struct insn *insn)
{
    const char *name = insn->row->mnemonic;

    if (insn->lock)
        put(text, "lock ");
    if (!(insn->row->attributes & ISA_REP) || !insn->rep)
        return;
    if (strncmp(name, "CMPS", 4) == 0 || strncmp(name, "SCAS", 4) == 0)
        put(text, insn->rep == 0xF3 ? "repz " : "repnz ");
    else
        put(text, insn->rep == 0xF3 ? "rep " : "repnz ");
}

/* In lower case. String instructions leave out the letter of their size: the operands show it, and MOVSD has another
 * meaning. */
static void put_mnemonic(struct text *text, const struct insn *insn)
{
    const char *name = insn->row->mnemonic;
    size_t length = strlen(name);

    for (unsigned i = 0; i < insn->operand_count; i++) {
        uint8_t source = insn->row->operand[i].source;
        if ((source == FROM_STRING_SI || source == FROM_STRING_DI) && strchr("BWDQ", name[length - 1])) {
            length--;
            break;
        }
    }
    for (size_t i = 0; i < length; i++)
        put(text, "%c", tolower((unsigned char)name[i]));
}

int insn_format(const struct insn *insn, uint64_t address, char *out, size_t out_bytes)
{
    struct text text = { out, out_bytes, 0 };
    bool second = false;

    if (out_bytes)
        out[0] = '\0';
    put_prefixes(&text, insn);
    put_mnemonic(&text, insn);
    for (unsigned i = 0; i < insn->operand_count; i++) {
        put(&text, i ? ", " : " ");
        put_operand(&text, insn, address, i, &second);
        if (insn->evex)
            put_decorations(&text, insn, i);
    }
    if (insn->has_memory && insn->base == INSN_BASE_RIP)
        put(&text, "        # 0x%llx",
            (unsigned long long)((address + insn->length + (uint64_t)insn->displacement) &
                                 mask_of(insn->address_bits)));
    return (int)text.length;
}
