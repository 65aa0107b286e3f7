/*
 * State between struct cpu and a KVM vCPU: what goes in comes out, for every field of the vCPU's table and random
 * states of several modes. Exit status 77 where there is no KVM.
 */
#include "cpu/debug.h"
#include "cpu/model.h"
#include "devices/lapic_state.h"
#include "kvm/host.h"
#include "kvm/small_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <cmocka.h>

/* What this host's kernel keeps of what it is given (sim host). */
static struct host_kvm host;

struct bench {
    struct board board;
    struct lapic lapic;
    struct cpu cpu, back;
    struct vcpu vcpu;
    uint64_t random;
};

static uint64_t next_random(struct bench *b)
{
    return entropy_draw(0x5EED, 77, b->random++);
}
static uint64_t canonical(struct bench *b)
{
    return (uint64_t)((int64_t)(next_random(b) << 16) >> 16);
}

static int open_bench(void **state)
{
    const char *why;
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    assert_int_equal(board_init(&b->board, 2u << 20, 1), 0);
    assert_int_equal(cpu_init(&b->cpu, &b->board, &b->lapic, cpu_model_find("x86-64-v2"), 0), 0);
    assert_int_equal(vcpu_open(&b->vcpu, &why), 0);
    assert_int_equal(vcpu_map(&b->vcpu, 0, 0, b->board.ram.bytes, 2u << 20, 0), 0);
    assert_int_equal(vcpu_cpuid_of_host(&b->vcpu), 0);
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    vcpu_close(&b->vcpu);
    cpu_destroy(&b->cpu);
    board_destroy(&b->board);
    free(b);
    return 0;
}

static struct segment random_segment(struct bench *b, uint32_t attributes, bool base)
{
    bool granular = next_random(b) & 1;
    uint32_t limit = (uint32_t)next_random(b) & 0xFFFFF;
    return (struct segment){ .base = base ? (uint32_t)next_random(b) : 0,
                             .limit = granular ? limit << 12 | 0xFFF : limit,
                             .attributes = attributes | (granular ? SEG_G : 0) | (next_random(b) & 1 ? SEG_AVL : 0),
                             .selector = (uint16_t)(next_random(b) & 0xFFFC) };
}

enum mode { LONG_CPL0, LONG_CPL3, COMPATIBILITY, PROTECTED, PAE_PAGING, REAL, MODES };

static void random_segments(struct bench *b, enum mode mode)
{
    struct cpu *cpu = &b->cpu;
    bool is_long = mode == LONG_CPL0 || mode == LONG_CPL3;
    cpu->cpl = mode == LONG_CPL3 || mode == COMPATIBILITY ? 3 : 0;
    uint32_t dpl = (uint32_t)cpu->cpl << 5;
    for (unsigned i = ES; i <= GS; i++)
        cpu->segment[i] = random_segment(b, SEG_P | SEG_S | 3 | dpl | SEG_DB, true);
    cpu->segment[CS] = random_segment(b, SEG_P | SEG_S | 11 | dpl | (is_long ? SEG_L : SEG_DB), !is_long);
    cpu->segment[CS].selector |= cpu->cpl;
    cpu->segment[SS].selector |= cpu->cpl;
    if (is_long)
        cpu->segment[ES] = (struct segment){ .attributes = SEG_UNUSABLE };
    cpu->ldtr = (struct segment){ .base = 0x9000, .limit = 0xFFF, .attributes = SEG_P | 2, .selector = 0x48 };
    cpu->tr = (struct segment){ .base = 0x8000, .limit = 0x67, .attributes = SEG_P | 11, .selector = 0x40 };
    if (mode == REAL) {
        for (unsigned i = ES; i <= GS; i++) {
            uint16_t selector = (uint16_t)next_random(b);
            cpu->segment[i] = (struct segment){
                .base = selector * 16u, .limit = 0xFFFF, .attributes = SEG_P | SEG_S | 3, .selector = selector
            };
        }
    } else if (is_long) {
        cpu->segment[FS].base = canonical(b);
        cpu->segment[GS].base = canonical(b);
    }
    cpu->gdtr = (struct table_register){ .base = is_long ? canonical(b) : 0x1000, .limit = (uint16_t)next_random(b) };
    cpu->idtr = (struct table_register){ .base = is_long ? canonical(b) : 0x2000, .limit = (uint16_t)next_random(b) };
}

static void random_controls(struct bench *b, enum mode mode)
{
    struct cpu *cpu = &b->cpu;
    uint64_t r = next_random(b);
    cpu->cr0 = CR0_ET | CR0_NE | (r & (CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM));
    cpu->cr0 |= mode == REAL ? 0 : CR0_PE;
    cpu->cr0 |= mode == PROTECTED || mode == REAL ? 0 : CR0_PG;
    r = next_random(b);
    cpu->cr4 = r & (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT);
    cpu->cr4 |= mode == PROTECTED || mode == REAL ? 0 : CR4_PAE;
    cpu->efer = EFER_SCE * (r >> 40 & 1) | EFER_NXE * (r >> 41 & 1);
    cpu->efer |= mode == LONG_CPL0 || mode == LONG_CPL3 || mode == COMPATIBILITY ? EFER_LME | EFER_LMA : 0;
    cpu->cr2 = canonical(b);
    cpu->cr3 = 0x3000;
    for (unsigned i = 0; i < 4; i++)
        cpu->pdpte[i] = mode == PAE_PAGING ? 0x4001 + 0x1000 * (next_random(b) & 7) : 0;
    for (unsigned i = 0; i < 4; i++)
        cpu->dr[i] = canonical(b);
    cpu->dr6 = DR6_FIXED | (next_random(b) & (DR6_B_MASK | DR6_BS | DR6_BT));
    cpu->dr7 = DR7_FIXED | (next_random(b) & 0xFF);
}

static void random_state(struct bench *b, enum mode mode)
{
    struct cpu *cpu = &b->cpu;
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = next_random(b);
    cpu->gpr[GPR_RIP] = mode == LONG_CPL0 || mode == LONG_CPL3 ? canonical(b) : (uint32_t)next_random(b);
    cpu->rflags = FLAGS_FIXED | (next_random(b) & (FLAGS_STATUS | FLAG_DF | FLAG_AC | FLAG_ID | FLAG_IF));
    random_segments(b, mode);
    random_controls(b, mode);
    cpu->msr.star = next_random(b);
    cpu->msr.lstar = canonical(b);
    cpu->msr.cstar = canonical(b);
    cpu->msr.sfmask = (uint32_t)next_random(b);
    cpu->msr.kernel_gs_base = canonical(b);
    cpu->msr.sysenter_cs = next_random(b) & 0xFFFF;
    cpu->msr.sysenter_esp = canonical(b);
    cpu->msr.sysenter_eip = canonical(b);
    for (unsigned i = 0; i < 8; i++) {
        cpu->x87.r[i].mantissa = next_random(b);
        cpu->x87.r[i].exponent = (uint16_t)next_random(b);
        cpu->opmask[i] = next_random(b);
    }
    cpu->x87.fsw = (uint16_t)(next_random(b) & 0x7F3F & ~0x3F);
    cpu->x87.fcw = (uint16_t)(0x40 | (next_random(b) & 0xF3F));
    cpu->x87.tags = (uint8_t)next_random(b);
    cpu->x87.fop = (uint16_t)(next_random(b) & 0x7FF);
    cpu->x87.fip = (uint64_t)((int64_t)(next_random(b) << 16) >> 16);
    cpu->x87.fdp = (uint64_t)((int64_t)(next_random(b) << 16) >> 16);
    cpu->mxcsr = (uint32_t)(next_random(b) & 0xFFFF);
    for (unsigned i = 0; i < 32; i++)
        for (unsigned j = 0; j < 8; j++)
            cpu->zmm[i].u64[j] = next_random(b);
    cpu->pkru = 0;
    cpu->shadow = (uint8_t)(next_random(b) % 3);
    cpu->nmi_blocked = next_random(b) & 1;
    cpu->pending_db = next_random(b) % 4 == 0 ? PENDING_DB_STEP | (next_random(b) & 15) : 0;
    cpu_drop_caches(cpu);
}

/* A field's name without what stands in brackets or behind a dot, where the table has one entry for many. */
static bool compared(const struct bench *b, const struct field *field, enum mode mode)
{
    if (field->kind != FIELD_STATE || strstr(field->name, "reserved") || strstr(field->name, "SEG_FLAT"))
        return false;
    if (strcmp(field->name, "pdpte") == 0) /* registers in PAE paging alone */
        return b->vcpu.has_sregs2 && mode == PAE_PAGING;
    if (strcmp(field->name, "zmm") == 0 || strcmp(field->name, "opmask") == 0)
        return b->vcpu.xsave.components >> 7 & 1;
    if (strcmp(field->name, "xcr0") == 0 && !(b->cpu.cr4 & CR4_OSXSAVE))
        return false;
    return vcpu_holds_field(&b->vcpu, field->name);
}

static void compare_states(struct bench *b, enum mode mode)
{
    const struct part in = { "in", &b->cpu, sizeof(b->cpu), cpu_field_count, cpu_fields };
    const struct part out = { "out", &b->back, sizeof(b->back), cpu_field_count, cpu_fields };
    for (unsigned i = 0; i < cpu_field_count; i++) {
        const struct field *field = &cpu_fields[i];
        if (!compared(b, field, mode))
            continue;
        for (uint32_t j = 0; j < field->count; j++)
            if (field_value(&in, field, j) != field_value(&out, field, j))
                fail_msg("mode %d: %s[%u] went in as %llx and came out as %llx", (int)mode, field->name, j,
                         (unsigned long long)field_value(&in, field, j),
                         (unsigned long long)field_value(&out, field, j));
    }
}

static void every_field_comes_back(void **state)
{
    struct bench *b = *state;
    const char *what = "?";
    for (unsigned i = 0; i < 600; i++) {
        enum mode mode = (enum mode)(i % MODES);
        if (mode == PAE_PAGING && !host.probes[HOST_LEGACY_PAGING])
            continue;
        random_state(b, mode);
        int error = vcpu_load(&b->vcpu, &b->cpu, &what);
        if (error)
            fail_msg("mode %d: KVM refuses the %s: %s", (int)mode, what, strerror(-error));
        memset(&b->back, 0xA5, sizeof(b->back));
        error = vcpu_store(&b->vcpu, &b->back, &what);
        if (error)
            fail_msg("mode %d: KVM does not give the %s: %s", (int)mode, what, strerror(-error));
        b->back.pkru &= b->vcpu.xsave.components >> 9 & 1 ? ~0u : 0;
        compare_states(b, mode);
    }
}

/* Every field of the table travels, or is named as one that does not. */
static void every_field_is_known(void **state)
{
    struct bench *b = *state;
    random_state(b, LONG_CPL0);
    assert_int_equal(vcpu_load(&b->vcpu, &b->cpu, NULL), 0);
    for (unsigned i = 0; i < cpu_field_count; i++) {
        const struct field *field = &cpu_fields[i];
        if (field->kind != FIELD_STATE || strstr(field->name, "reserved"))
            continue;
        if (!vcpu_holds_field(&b->vcpu, field->name))
            print_message("%s stays ours on this host\n", field->name);
    }
    assert_true(vcpu_holds_field(&b->vcpu, "msr.lstar"));
    assert_true(vcpu_holds_field(&b->vcpu, "msr.pat"));
    assert_false(vcpu_holds_field(&b->vcpu, "retired"));
}

/* A guest that never exits is taken out in time, and runs on afterwards. */
static void watchdog_bites(void **state)
{
    (void)state;
    struct small_guest guest;
    struct kvm_sregs sregs;
    struct kvm_regs regs = { .rip = SMALL_GUEST_KERNEL + SMALL_GUEST_FREE, .rflags = 2 };
    const char *why;
    assert_int_equal(small_guest_open(&guest, 1u << 20, &why), 0);
    uint8_t *code = small_guest_at(&guest, small_guest_take(&guest, 1));
    memcpy(code, (const uint8_t[]){ 0xEB, 0xFE, 0xE6, 0x55 }, 4); /* jmp $; out 55h, al */
    small_guest_sregs(&guest, 0, &sregs);
    assert_int_equal(ioctl(guest.vcpu.fd, KVM_SET_SREGS, &sregs), 0);
    assert_int_equal(ioctl(guest.vcpu.fd, KVM_SET_REGS, &regs), 0);
    assert_int_equal(vcpu_run(&guest.vcpu, 5000000), KVM_EXIT_INTR);
    assert_true(guest.vcpu.timed_out);
    regs.rip += 2;
    assert_int_equal(ioctl(guest.vcpu.fd, KVM_SET_REGS, &regs), 0);
    assert_int_equal(vcpu_run(&guest.vcpu, 1000000000), KVM_EXIT_IO);
    assert_false(guest.vcpu.timed_out);
    small_guest_close(&guest);
}

/* What stopped the guest is said in words, with its registers and the instruction. */
static void explanations_are_words(void **state)
{
    struct bench *b = *state;
    struct kvm_sregs sregs;
    struct kvm_regs regs = { .rip = 0x5000, .rflags = 2, .rax = 0x1234567 };
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    memset(&sregs, 0, sizeof(sregs));
    ioctl(b->vcpu.fd, KVM_GET_SREGS, &sregs);
    ioctl(b->vcpu.fd, KVM_SET_REGS, &regs);
    b->vcpu.run->exit_reason = KVM_EXIT_SHUTDOWN;
    vcpu_explain(&b->vcpu, KVM_EXIT_SHUTDOWN, "sim: ", out);
    fclose(out);
    assert_non_null(strstr(text, "sim: the guest shut down"));
    assert_non_null(strstr(text, "0000000001234567"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_field_comes_back, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(every_field_is_known, open_bench, close_bench),
        cmocka_unit_test(watchdog_bites),
        cmocka_unit_test_setup_teardown(explanations_are_words, open_bench, close_bench),
    };
    host_look(&host);
    if (host.kind == HOST_WITHOUT_KVM) {
        printf("skipped: %s\n", host.why_not);
        return 77;
    }
    if (!host.probes[HOST_LEGACY_PAGING])
        printf("PAE paging left out: this KVM has no paging outside of long mode\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
