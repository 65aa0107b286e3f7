/*
 * A vCPU for people (show.h). Names of bits are those of SDM vol. 1, 3.4.3 and vol. 3A, 2.5.
 */
#include "replay/show.h"

#include "cpu/insn.h"
#include "cpu/mem.h"
#include "cpu/model.h"

#include <inttypes.h>

/* Names of bits from 0 up, NULL for those without one. */
static const char *const flag_names[22] = {
    [0] = "CF",  [2] = "PF",  [4] = "AF",  [6] = "ZF",  [7] = "SF",  [8] = "TF",   [9] = "IF",   [10] = "DF",
    [11] = "OF", [14] = "NT", [16] = "RF", [17] = "VM", [18] = "AC", [19] = "VIF", [20] = "VIP", [21] = "ID"
};
static const char *const cr0_names[32] = {
    "PE", "MP", "EM", "TS", "ET", "NE", [16] = "WP", [18] = "AM", [29] = "NW", [30] = "CD", [31] = "PG"
};
static const char *const cr4_names[23] = { "VME",          "PVI",
                                           "TSD",          "DE",
                                           "PSE",          "PAE",
                                           "MCE",          "PGE",
                                           "PCE",          "OSFXSR",
                                           "OSXMMEXCPT",   "UMIP",
                                           "LA57",         [16] = "FSGSBASE",
                                           [17] = "PCIDE", [18] = "OSXSAVE",
                                           [20] = "SMEP",  [21] = "SMAP",
                                           [22] = "PKE" };
static const char *const efer_names[12] = { "SCE", [8] = "LME", [10] = "LMA", [11] = "NXE" };
static const char *const activity_names[] = { "active", "halted", "waits for SIPI", "shut down" };

struct cpu *show_find_cpu(const struct board *board, unsigned number)
{
    for (unsigned i = 0; i < board->part_count; i++)
        if (board->parts[i].fields == cpu_fields && number-- == 0)
            return board->parts[i].state;
    return NULL;
}

/* --- the instruction at RIP --- */

/* As many bytes as can be fetched from there; MMIO is not read, since reading it could change a chip. */
static unsigned fetch(struct cpu *cpu, uint64_t linear, uint8_t bytes[INSN_BYTES_MAX])
{
    for (unsigned i = 0; i < INSN_BYTES_MAX; i++) {
        uint64_t physical;
        if (!mmu_peek(cpu, linear + i, &physical) || !ram_read(&cpu->board->ram, physical, &bytes[i], 1))
            return i;
    }
    return INSN_BYTES_MAX;
}

void show_instruction(struct cpu *cpu, char out[SHOW_INSTRUCTION_BYTES])
{
    uint8_t bytes[INSN_BYTES_MAX];
    char text[120];
    struct insn insn;
    bool code64 = (cpu->mode & MODE_CODE_MASK) == MODE_CODE64;
    uint64_t rip = cpu_rip(cpu);
    uint64_t linear = code64 ? rip : (uint32_t)(cpu->segment[CS].base + rip);
    int at = snprintf(out, SHOW_INSTRUCTION_BYTES, code64 ? "%016" PRIx64 " " : "%08" PRIx64 " ", rip);
    unsigned available = fetch(cpu, linear, bytes);
    if (!available) {
        snprintf(out + at, (size_t)(SHOW_INSTRUCTION_BYTES - at), " no instruction can be fetched here");
        return;
    }
    enum decode_status status =
        decode(bytes, available, mode_code_bits(cpu->mode), cpu->model ? cpu->model->features : NULL, &insn);
    unsigned length = status == DECODE_OK ? insn.length : available < 8 ? available : 8;
    for (unsigned i = 0; i < length; i++)
        at += snprintf(out + at, (size_t)(SHOW_INSTRUCTION_BYTES - at), " %02x", bytes[i]);
    if (status == DECODE_OK)
        insn_format(&insn, rip, text, sizeof(text));
    else
        snprintf(text, sizeof(text), "%s",
                 status == DECODE_UD         ? "(no instruction: #UD)"
                 : status == DECODE_TOO_LONG ? "(longer than 15 bytes: #GP)"
                                             : "(goes on where nothing can be fetched)");
    snprintf(out + at, (size_t)(SHOW_INSTRUCTION_BYTES - at), "%*s  %s", length < 8 ? (int)(8 - length) * 3 : 0, "",
             text);
}

/* --- registers --- */

static void print_bits(FILE *out, uint64_t value, const char *const *names, unsigned count)
{
    for (unsigned bit = count; bit-- > 0;)
        if (value >> bit & 1 && names[bit])
            fprintf(out, " %s", names[bit]);
}

#define BITS(out, value, names) print_bits(out, value, names, sizeof(names) / sizeof((names)[0]))

static void print_general(const struct cpu *cpu, FILE *out)
{
    static const char *const names[16] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
                                           "R8",  "R9",  "R10", "R11", "R12", "R13", "R14", "R15" };
    static const uint8_t order[16] = { RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8, R9, R10, R11, R12, R13, R14, R15 };
    for (unsigned i = 0; i < 16; i++)
        fprintf(out, "%s%-3s %016" PRIx64 "%s", i % 4 ? "  " : "  ", names[order[i]], cpu->gpr[order[i]],
                i % 4 == 3 ? "\n" : "");
}

static const char *code_mode(const struct cpu *cpu)
{
    if (!(cpu->cr0 & CR0_PE))
        return "real mode";
    if (cpu->rflags & FLAG_VM)
        return "virtual-8086 mode";
    switch (cpu->mode & MODE_CODE_MASK) {
    case MODE_CODE64:
        return "64-bit mode";
    case MODE_CODE32:
        return cpu->efer & EFER_LMA ? "compatibility mode, 32 bits" : "protected mode, 32 bits";
    default:
        return cpu->efer & EFER_LMA ? "compatibility mode, 16 bits" : "protected mode, 16 bits";
    }
}

static void print_segment(FILE *out, const char *name, const struct segment *segment)
{
    fprintf(out, "  %-4s %04x  base %016" PRIx64 "  limit %08" PRIx32 "  ", name, segment->selector, segment->base,
            segment->limit);
    if (segment->attributes & SEG_UNUSABLE || !(segment->attributes & SEG_P))
        fputs("unusable\n", out);
    else
        fprintf(out, "type %x%s DPL %u%s%s\n", (unsigned)SEG_TYPE(segment->attributes),
                segment->attributes & SEG_S ? "" : " system", (unsigned)SEG_DPL(segment->attributes),
                segment->attributes & SEG_L ? " L" : "", segment->attributes & SEG_DB ? " D/B" : "");
}

static void print_segments(const struct cpu *cpu, FILE *out)
{
    static const char *const names[] = { "ES", "CS", "SS", "DS", "FS", "GS" };
    for (unsigned i = ES; i <= GS; i++)
        print_segment(out, names[i], &cpu->segment[i]);
    print_segment(out, "LDTR", &cpu->ldtr);
    print_segment(out, "TR", &cpu->tr);
    fprintf(out, "  GDTR base %016" PRIx64 "  limit %04x     IDTR base %016" PRIx64 "  limit %04x\n", cpu->gdtr.base,
            cpu->gdtr.limit, cpu->idtr.base, cpu->idtr.limit);
}

void show_cpu(const struct cpu *cpu, FILE *out)
{
    fprintf(out, "cpu%" PRIu32 ": %s, CPL %u, %s, %" PRIu64 " instructions\n", cpu->id, code_mode(cpu), cpu->cpl,
            activity_names[cpu->activity & 3], cpu->retired);
    print_general(cpu, out);
    fprintf(out, "  RFLAGS %08" PRIx64 "  IOPL %u", cpu->rflags, (unsigned)(cpu->rflags >> 12 & 3));
    BITS(out, cpu->rflags, flag_names);
    fprintf(out, "\n  CR0 %08" PRIx64 " ", cpu->cr0);
    BITS(out, cpu->cr0, cr0_names);
    fprintf(out, "\n  CR4 %08" PRIx64 " ", cpu->cr4);
    BITS(out, cpu->cr4, cr4_names);
    fprintf(out, "\n  EFER %08" PRIx64, cpu->efer);
    BITS(out, cpu->efer, efer_names);
    fprintf(out, "\n  CR2 %016" PRIx64 "  CR3 %016" PRIx64 "  MXCSR %08" PRIx32 "\n", cpu->cr2, cpu->cr3, cpu->mxcsr);
    print_segments(cpu, out);
}

/* --- faults --- */

const char *show_vector(unsigned vector)
{
    static const char *const names[20] = { "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL,
                                           "#TS", "#NP", "#SS", "#GP", "#PF", NULL,  "#MF", "#AC", "#MC", "#XM" };
    return vector < 20 && names[vector] ? names[vector] : "interrupt";
}

int show_fault(const struct fault *fault, char *out, size_t out_bytes)
{
    const char *name = show_vector(fault->vector);
    char error[16] = "", address[32] = "";
    if (name[0] == 'i')
        return snprintf(out, out_bytes, "interrupt %02x", fault->vector);
    if (fault->has_error)
        snprintf(error, sizeof(error), "(%04" PRIx32 ")", fault->error);
    if (fault->vector == VEC_PF)
        snprintf(address, sizeof(address), " at %016" PRIx64, fault->cr2);
    return snprintf(out, out_bytes, "%s%s%s", name, error, address);
}

static void show_shutdown(struct cpu *cpu, const char *title, FILE *out)
{
    const struct shutdown_cause *cause = &cpu->shutdown;
    char text[SHOW_INSTRUCTION_BYTES];
    fputs(title, out);
    for (unsigned i = 0; i < cause->count; i++) {
        show_fault(&cause->chain[i], text, sizeof(text));
        if (i == 0 && cause->external)
            snprintf(text, sizeof(text), "interrupt %02x", cause->chain[0].vector);
        fprintf(out, "%s%s", i == 0 ? "" : cause->chain[i].vector == VEC_DF ? ", " : " -> ", text);
    }
    show_instruction(cpu, text);
    fprintf(out, "\n  %-13s%s\n", "instruction", text);
    fprintf(out, "  %-13s%" PRIu64 ", CPL %u, CS %04x, RSP %016" PRIx64 ", RFLAGS %08" PRIx64 "\n", "at cycle",
            cause->cycle, cpu->cpl, cause->cs, cause->rsp, cpu->rflags);
    fprintf(out,
            "  %-13sCR0 %08" PRIx64 ", CR2 %016" PRIx64 ", CR3 %016" PRIx64 ", CR4 %08" PRIx64 ", EFER %04" PRIx64 "\n",
            "control", cpu->cr0, cpu->cr2, cpu->cr3, cpu->cr4, cpu->efer);
    fprintf(out, "  %-13sIDT %016" PRIx64 " limit %04x, GDT %016" PRIx64 " limit %04x, TR %04x\n", "tables",
            cpu->idtr.base, cpu->idtr.limit, cpu->gdtr.base, cpu->gdtr.limit, cpu->tr.selector);
}

void show_shutdowns(const struct board *board, const char *title, FILE *out)
{
    struct cpu *cpu;
    for (unsigned i = 0; (cpu = show_find_cpu(board, i)); i++)
        if (cpu->shutdown.count)
            show_shutdown(cpu, title, out);
}
