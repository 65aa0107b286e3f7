/*
 * Lockstep's explained list is not out of date: of each entry and each of its mnemonics an example is skipped for that
 * reason, and with the entry left out the reference does something else than the interpreter. An entry that is no
 * longer needed fails here, on a host it is about. Exit status 77 where there is no KVM.
 */
#include "kvm/cosim_skip.h"
#include "kvm/difftest.h"
#include "cpu/model.h"
#include "tests/unit/small_machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct host_kvm host;

struct example {
    const char *name, *mnemonic;
    enum small_mode mode;
    const char *code; /* hexadecimal; a blank in front of another instruction, in which the first one shows */
    void (*prepare)(struct system_vector *vector);
};

/* --- preparations --- */

static void mask_nothing(struct system_vector *vector)
{
    vector->state.gpr[RAX] = 0x1234;
    vector->state.gpr[RBX] = 0xFFFFFFFF00000056;
    vector->state.gpr[RCX] = 0xFFFFFFFF00000057;
    vector->state.gpr[RDX] = 0x99;
}
static void zero_al(struct system_vector *vector)
{
    vector->state.gpr[RAX] = 0x12340000;
}
static void leave_zero(struct system_vector *vector)
{
    vector->state.gpr[RAX] = 10;
}
static void use_bases(struct system_vector *vector)
{
    vector->state.segment[GS].base = 0x1000;
    vector->state.msr.kernel_gs_base = 0x2000;
    vector->state.gpr[RSP] = SMALL_STACK - 0x100;
    small_machine_put(vector, SMALL_DATA, "\1\2\3\4\5\6\7\10", 8);
}
/* A frame for IRETQ to the next instruction. */
static void push_frame(struct system_vector *vector)
{
    const uint64_t frame[] = { SMALL_CODE + 2, SMALL_CS, FLAGS_FIXED, SMALL_STACK - 0x100, SMALL_SS };
    small_machine_put(vector, vector->state.gpr[RSP], frame, sizeof(frame));
}
/* SYSRET goes to RCX. */
static void go_to_user(struct system_vector *vector)
{
    vector->state.gpr[RCX] = SMALL_CODE + 0x20;
    vector->state.gpr[R11] = FLAGS_FIXED;
    vector->state.msr.star = 0x23ull << 48 | (uint64_t)SMALL_CS << 32;
    small_machine_put(vector, SMALL_CODE + 0x20, "\xF4", 1);
}
static void hold_trap_flag(struct system_vector *vector)
{
    vector->state.rflags |= FLAG_TF;
}
static void hold_iopl(struct system_vector *vector)
{
    vector->state.rflags |= FLAG_IOPL;
}
static void dirty_stack(struct system_vector *vector)
{
    small_machine_put(vector, vector->state.gpr[RSP] - 8, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 8);
}
static void set_task_switched(struct system_vector *vector)
{
    vector->state.cr0 |= CR0_TS;
}
static void set_pcid(struct system_vector *vector)
{
    vector->state.gpr[RDX] = vector->state.cr4 | CR4_PCIDE;
}
static void point_to_kernel(struct system_vector *vector)
{
    const uint64_t entry = 0x2003;
    small_machine_put(vector, 0x1000 + 8 * 511, &entry, sizeof(entry));
    vector->state.gpr[RBX] = 0xFFFFFF8000009000;
}
static void lock_page(struct system_vector *vector)
{
    vector->state.cr4 |= CR4_PKE;
    vector->state.pkru = 3;
}
/* A selector that this machine's GDT alone has, not one of Linux's: code or data of CPL 3. */
#define OWN_SELECTOR 0x3Bu
static void own_descriptor(struct system_vector *vector, uint64_t descriptor)
{
    small_machine_put(vector, vector->state.gdtr.base + (OWN_SELECTOR & ~7u), &descriptor, sizeof(descriptor));
    vector->state.gpr[RDX] = OWN_SELECTOR;
}
static void own_data(struct system_vector *vector)
{
    const uint8_t pointer[] = { 0x10, 0x80, 0, 0, OWN_SELECTOR, 0 };
    own_descriptor(vector, 0x00CFF3000000FFFF);
    small_machine_put(vector, SMALL_DATA, pointer, sizeof(pointer));
    small_machine_put(vector, vector->state.gpr[RSP], &(uint8_t){ OWN_SELECTOR }, 1);
    vector->state.segment[SS].selector = vector->state.segment[FS].selector = OWN_SELECTOR;
}
/* A far pointer to the next instruction, in memory and on the stack. */
static void own_code(struct system_vector *vector)
{
    const uint8_t pointer[16] = { 0x10, 0x80, 0, 0, 0, 0, 0, 0, OWN_SELECTOR };
    own_descriptor(vector, 0x00AFFB000000FFFF);
    small_machine_put(vector, SMALL_DATA, pointer, sizeof(pointer));
    small_machine_put(vector, vector->state.gpr[RSP], pointer, sizeof(pointer));
}
static void own_tables(struct system_vector *vector)
{
    vector->state.tr.selector = 0x48;
    vector->state.ldtr.selector = 0x50;
}
/* A page that nothing has touched so far, with something else than the page at 0. */
static void use_fresh_page(struct system_vector *vector)
{
    vector->state.gpr[RBX] = 0x20000;
    small_machine_put(vector, 0x20000, "\1\2\3\4", 4);
}

static const struct example examples[] = {
    { "counts-zeros", "LZCNT", SMALL_KERNEL64, "f30fbdc3", NULL },
    { "counts-zeros", "TZCNT", SMALL_KERNEL64, "f30fbcc1", NULL },
    { "counts-zeros", "MOVBE", SMALL_KERNEL64, "0f38f003", use_bases },
    { "two-segments", "MOV", SMALL_KERNEL64, "652e488b03", use_bases },
    { "cmpxchg-writes-back", "CMPXCHG", SMALL_KERNEL64, "0fb1d1", mask_nothing },
    { "adjust-flags", "AAM", SMALL_KERNEL32, "d40a", leave_zero },
    { "adjust-flags", "AAD", SMALL_KERNEL32, "d50a", zero_al },
    { "push-segment", "PUSH", SMALL_KERNEL32, "16", dirty_stack },
    { "runs-on", "MFENCE", SMALL_KERNEL64, "0faef0", NULL },
    { "runs-on", "LFENCE", SMALL_KERNEL64, "0faee8", NULL },
    { "runs-on", "SFENCE", SMALL_KERNEL64, "0faef8", NULL },
    { "runs-on", "IRET", SMALL_KERNEL64, "48cf", push_frame },
    { "runs-on", "SWAPGS", SMALL_KERNEL64, "0f01f8", use_bases },
    { "runs-on", "SYSRET", SMALL_KERNEL64, "480f07", go_to_user },
    { "runs-on", "FXSAVE", SMALL_KERNEL64, "0fae03", NULL },
    { "runs-on", "FXRSTOR", SMALL_KERNEL64, "0fae0b", NULL },
    { "runs-on", "RDFSBASE", SMALL_KERNEL64, "f3480faec1", NULL },
    { "runs-on", "RDGSBASE", SMALL_KERNEL64, "f3480faec9", NULL },
    { "runs-on", "WRFSBASE", SMALL_KERNEL64, "f3480faed3", NULL },
    { "runs-on", "WRGSBASE", SMALL_KERNEL64, "f3480faedb", NULL },
    { "runs-on", "ENDBR32", SMALL_KERNEL64, "f30f1efb", NULL },
    { "runs-on", "ENDBR64", SMALL_KERNEL64, "f30f1efa", NULL },
    { "legacy-paging", "ADD", SMALL_PAGED32, "01d8", NULL },
    { "legacy-user", "ARPL", SMALL_USER32, "63c3", NULL },
    { "exception", "UD2", SMALL_KERNEL64, "0f0b", NULL },
    { "tf-hidden", "PUSHFQ", SMALL_KERNEL64, "9c", hold_trap_flag },
    { "tf-hidden", "PUSHF", SMALL_KERNEL64, "669c", hold_trap_flag },
    { "tf-hidden", "PUSHFD", SMALL_KERNEL32, "9c", hold_trap_flag },
    { "pcid", "MOV", SMALL_KERNEL64, "0f22e2", set_pcid },
    { "kernel-entry", "SYSCALL", SMALL_USER64, "0f05", NULL },
    { "kernel-entry", "SYSENTER", SMALL_USER64, "0f34", NULL },
    { "kernel-entry", "INT", SMALL_USER64, "cd80", NULL },
    { "kernel-entry", "INT1", SMALL_USER64, "f1", NULL },
    { "kernel-entry", "INT3", SMALL_USER64, "cc", NULL },
    { "kernel-entry", "IRET", SMALL_USER64, "48cf", push_frame },
    { "host-tables", "SGDT", SMALL_USER64, "0f0103", NULL },
    { "host-tables", "SIDT", SMALL_USER64, "0f010b", NULL },
    { "host-tables", "SLDT", SMALL_USER64, "480f00c0", own_tables },
    { "host-tables", "STR", SMALL_USER64, "0f00c8", own_tables },
    { "host-tables", "SMSW", SMALL_USER64, "480f01e0", NULL },
    { "host-tables", "LAR", SMALL_USER64, "0f02c2", own_data },
    { "host-tables", "LSL", SMALL_USER64, "0f03c2", own_data },
    { "host-tables", "VERR", SMALL_USER64, "0f00e2", own_data },
    { "host-tables", "VERW", SMALL_USER64, "0f00ea", own_data },
    { "tf-seen", "PUSHF", SMALL_USER64, "669c", NULL },
    { "tf-seen", "PUSHFQ", SMALL_USER64, "9c", NULL },
    { "segment-base", "WRFSBASE", SMALL_USER64, "f3480faed3 648b042500000000", use_fresh_page },
    { "segment-base", "WRGSBASE", SMALL_USER64, "f3480faedb 658b042500000000", use_fresh_page },
    { "far", "RETF", SMALL_USER64, "48cb", own_code },
    { "far", "LSS", SMALL_USER64, "0fb203", own_data },
    { "far", "LFS", SMALL_USER64, "0fb403", own_data },
    { "far", "LGS", SMALL_USER64, "0fb503", own_data },
    { "far-transfer", "JMP", SMALL_USER64, "48ff2b", own_code },
    { "far-transfer", "CALL", SMALL_USER64, "48ff1b", own_code },
    { "selectors", "MOV", SMALL_USER64, "8cd0", own_data },
    { "selectors", "PUSH", SMALL_USER64, "0fa0", own_data },
    { "selectors", "POP", SMALL_USER64, "0fa1", own_data },
    { "iopl", "CLI", SMALL_USER64, "fa", hold_iopl },
    { "iopl", "STI", SMALL_USER64, "fb", hold_iopl },
    { "no-ts", "ADDPS", SMALL_USER64, "0f58c1", set_task_switched },
    { "gp-emulated", "INVPCID", SMALL_USER64, "660f38820b", NULL },
    { "protection-key", "MOV", SMALL_USER64, "488b03", lock_page },
    { "kernel-half", "MOV", SMALL_USER64, "488b03", point_to_kernel },
    { "host-lacks", "GF2P8MULB", SMALL_USER64, "660f38cfc1", NULL },
    { "host-lacks", "SHA1NEXTE", SMALL_USER64, "0f38c8c1", NULL },
    { "host-lacks", "MOVDIRI", SMALL_USER64, "0f38f90b", NULL },
};
#define EXAMPLES (sizeof(examples) / sizeof(examples[0]))

/* --- one example --- */

static const struct cosim_skip *entry_of(const char *name)
{
    for (unsigned i = 0; i < cosim_skip_count; i++)
        if (strcmp(cosim_skips[i].name, name) == 0)
            return &cosim_skips[i];
    return NULL;
}

static bool step_one(void *context)
{
    system_bench_step(context);
    return true;
}

/* The counts of one step, with an entry of the list left out or not. */
static struct cosim_totals run(const struct example *example, const char *unskipped, char *text, size_t text_bytes)
{
    struct system_vector vector;
    struct system_bench bench;
    uint8_t code[2 * INSN_BYTES_MAX];
    unsigned count = 0, steps = 1;
    const char *why;
    for (const char *at = example->code; *at; at += 2) {
        if (*at == ' ') {
            steps++;
            at++;
        }
        code[count++] = (uint8_t)strtoul((char[]){ at[0], at[1], 0 }, NULL, 16);
    }
    small_machine(&vector, example->mode, code, count);
    /* what follows stops nothing and changes little: a step too far shows in RIP */
    small_machine_put(&vector, SMALL_CODE + count, "\x90\x90\x90\x90\x90\x90\x90\x90\xF4", 9);
    if (example->prepare)
        example->prepare(&vector);
    assert_int_equal(system_bench_open(&bench, &vector), 0);
    system_bench_load(&bench, &vector);
    struct cosim_insn at;
    cosim_look(&bench.cpu, &at);
    assert_true(at.decoded);
    assert_string_equal(at.insn.row->mnemonic, example->mnemonic);
    struct cosim cosim = { .cpu = &bench.cpu, .kind = &cosim_kvm, .advance = step_one, .context = &bench };
    cosim.report = fmemopen(text, text_bytes, "w");
    assert_true(cosim_open(&cosim, &why));
    cosim_kvm_unskip(cosim.reference, unskipped);
    cosim.memory_steps = 1;
    for (unsigned i = 0; i < steps; i++)
        cosim_step(&cosim);
    cosim_close(&cosim);
    fclose(cosim.report);
    system_bench_close(&bench);
    system_vector_free(&vector);
    return cosim.totals;
}

/* The host has what the example is about; "host-lacks" alone is about what it has not. */
static bool fits_host(const struct example *example)
{
    const struct cosim_skip *skip = entry_of(example->name);
    return cosim_skip_on_host(skip->where, &host);
}

/* True if the entry was needed: the step was anything but equal. */
static bool check_example(const struct example *example)
{
    char text[2048] = "";
    const struct cosim_skip *skip = entry_of(example->name);
    struct cosim_totals with = run(example, NULL, text, sizeof(text));
    if (!with.skipped[0] && !with.skipped[1])
        return true; /* not skipped here: this host has what the entry is about */
    if (strcmp(with.reasons[0].reason, skip->reason) != 0) {
        print_error("%s: %s is skipped for another reason: %s\n", example->name, example->mnemonic,
                    with.reasons[0].reason);
        return false;
    }
    struct cosim_totals without = run(example, skip->name, text, sizeof(text));
    bool equal = without.equal[0] + without.equal[1] == without.steps && !without.differing;
    if (equal)
        print_error("%s: %s runs as it should: the entry is out of date\n", example->name, example->mnemonic);
    return !equal;
}

/* --- tests --- */

static void every_entry_has_examples(void **state)
{
    (void)state;
    for (unsigned i = 0; i < cosim_skip_count; i++) {
        const char *const any[] = { NULL, NULL };
        for (const char *const *name = cosim_skips[i].mnemonics ? cosim_skips[i].mnemonics : any;; name++) {
            unsigned found = 0;
            if (cosim_skips[i].mnemonics && !*name)
                break;
            for (unsigned j = 0; j < EXAMPLES; j++)
                found += strcmp(examples[j].name, cosim_skips[i].name) == 0 &&
                         (!*name || strcmp(examples[j].mnemonic, *name) == 0);
            if (!found)
                fail_msg("%s has no example of %s", cosim_skips[i].name, *name ? *name : "it");
            if (!*name)
                break;
        }
    }
}

static void every_entry_is_needed(void **state)
{
    (void)state;
    unsigned stale = 0, tried = 0;
    for (unsigned i = 0; i < EXAMPLES; i++) {
        assert_non_null(entry_of(examples[i].name));
        if (!fits_host(&examples[i]))
            continue;
        tried++;
        stale += !check_example(&examples[i]);
    }
    print_message("%u of %u examples are about this host\n", tried, (unsigned)EXAMPLES);
    assert_int_equal(stale, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_has_examples),
        cmocka_unit_test(every_entry_is_needed),
    };
    host_look(&host);
    if (host.kind == HOST_WITHOUT_KVM) {
        printf("skipped: %s\n", host.why_not);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
