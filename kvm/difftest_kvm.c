/*
 * The reference in a guest: the host's processor, at 64-bit CPL 3 of a small guest (difftest_guest.h).
 *
 * A run fills one record per test, enters the guest once and reads what came out. Against the native reference it has
 * no limit by the cost of a signal, sees RF, NT and ID as the processor has them, and nothing of the host's process
 * lies around the test.
 */
#include "kvm/difftest.h"

#include "cpu/isa.h"
#include "cpu/xstate.h"
#include "kvm/difftest_guest.h"
#include "kvm/host.h"
#include "kvm/small_guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define MEMORY_BYTES (32u << 20)
#define LIMIT_NS     3000000000ull
#define TAIL_BYTES   21u /* jmp [rip+pad]; pad, address: aligned, for AC may be set */

enum { AT_KSTACK_END = 0x1000 };

struct kvm_reference {
    struct small_guest guest;
    struct xsave_layout xsave;
    uint8_t *variables, *records, *results, *code, *data, *read_only, *pristine;
    struct difftest_memory loaded;
    bool loaded_valid;
    bool gp_emulated;
    bool jumps; /* tests of this run end by a jump where they can; a single one ends by INT3 like in the interpreter */
    uint64_t states, guest_ns; /* how many ran in how much time inside the guest */
    unsigned explained;        /* failures of KVM told so far */
};

/* The order in which the driver pops. */
static const uint8_t gpr_order[15] = { R15, R14, R13, R12, R11, R10, R9, R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX };

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, 8);
}
static uint64_t get64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return value;
}

/* --- opening --- */

static uint8_t *map_pages(struct kvm_reference *kvm, uint64_t linear, uint64_t physical, unsigned pages, uint64_t flags)
{
    for (unsigned i = 0; i < pages; i++)
        if (!small_guest_map(&kvm->guest, linear + 4096u * i, physical + 4096u * i, flags | SMALL_GUEST_USER))
            return NULL;
    return small_guest_at(&kvm->guest, physical);
}

static uint8_t *take_pages(struct kvm_reference *kvm, uint64_t linear, unsigned pages, uint64_t flags,
                           uint64_t *physical)
{
    *physical = small_guest_take(&kvm->guest, pages);
    return *physical ? map_pages(kvm, linear, *physical, pages, flags) : NULL;
}

static bool map_everything(struct kvm_reference *kvm)
{
    const uint64_t data_flags = SMALL_GUEST_WRITE | SMALL_GUEST_NO_EXECUTE;
    uint64_t code, physical, kstack = small_guest_take(&kvm->guest, 1);
    uint8_t *driver = take_pages(kvm, GUEST_DRIVER, 1, 0, &physical);
    kvm->variables = take_pages(kvm, GUEST_DRIVER + GUEST_VARIABLES, 1, data_flags, &physical);
    kvm->code = take_pages(kvm, DIFFTEST_CODE, DIFFTEST_CODE_BYTES / 4096, 0, &code);
    kvm->data = take_pages(kvm, DIFFTEST_DATA, DIFFTEST_DATA_BYTES / 4096, data_flags, &physical);
    kvm->read_only = take_pages(kvm, DIFFTEST_READ_ONLY, 1, SMALL_GUEST_NO_EXECUTE, &physical);
    kvm->pristine =
        take_pages(kvm, GUEST_DRIVER + GUEST_PRISTINE, DIFFTEST_DATA_BYTES / 4096, SMALL_GUEST_NO_EXECUTE, &physical);
    kvm->records = take_pages(kvm, GUEST_DRIVER + GUEST_RECORDS, (DIFFTEST_BATCH_MAX * RECORD_BYTES + 4095) / 4096,
                              data_flags, &physical);
    kvm->results = take_pages(kvm, GUEST_DRIVER + GUEST_DATA, DIFFTEST_BATCH_MAX * DIFFTEST_DATA_BYTES / 4096,
                              data_flags, &physical);
    if (!kstack || !driver || !kvm->variables || !kvm->code || !kvm->data || !kvm->read_only || !kvm->pristine ||
        !kvm->records || !kvm->results || !take_pages(kvm, GUEST_DRIVER + GUEST_STACK, 1, data_flags, &physical) ||
        !map_pages(kvm, GUEST_DRIVER + GUEST_CODE, code, DIFFTEST_CODE_BYTES / 4096, data_flags) ||
        !map_pages(kvm, GUEST_DRIVER + GUEST_KSTACK, kstack, 1, SMALL_GUEST_NO_EXECUTE))
        return false;
    memcpy(driver, difftest_driver, (size_t)(difftest_driver_end - difftest_driver));
    memset(kvm->code, 0xCC, DIFFTEST_CODE_BYTES);
    small_guest_stack(&kvm->guest, SMALL_GUEST_KERNEL + kstack + AT_KSTACK_END);
    return true;
}

static bool install_handlers(struct kvm_reference *kvm)
{
    uint64_t at = small_guest_take(&kvm->guest, 1);
    if (!at)
        return false;
    memcpy(small_guest_at(&kvm->guest, at), difftest_handlers, (size_t)(difftest_handlers_end - difftest_handlers));
    for (unsigned vector = 0; vector < 32; vector++)
        small_guest_gate(&kvm->guest, vector, SMALL_GUEST_KERNEL + at + DIFFTEST_STUB_BYTES * vector,
                         vector == VEC_BP || vector == VEC_OF ? 3 : 0);
    return true;
}

/* Enters the driver anew: at the start, and after KVM has given up on a test. */
static bool enter_driver(struct kvm_reference *kvm)
{
    struct vcpu *vcpu = &kvm->guest.vcpu;
    struct kvm_sregs sregs;
    struct kvm_vcpu_events events;
    struct kvm_regs regs = { .rip = GUEST_DRIVER, .rflags = FLAGS_FIXED | FLAG_IF };
    memset(&events, 0, sizeof(events));
    small_guest_sregs(&kvm->guest, 3, &sregs);
    sregs.cr4 |= CR4_OSXSAVE | CR4_FSGSBASE;
    sregs.gs = (struct kvm_segment){ .base = DIFFTEST_GS_BASE, .unusable = 1 };
    if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs)) {
        sregs.cr4 &= ~(uint64_t)CR4_FSGSBASE;
        if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
            return false;
    }
    struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = kvm->xsave.components };
    ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs); /* a page-table-based KVM keeps the host's whatever we say */
    return !ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) && !ioctl(vcpu->fd, KVM_SET_REGS, &regs);
}

static void *kvm_open(const char **why)
{
    struct host_kvm host;
    bool fits = true;
    struct kvm_reference *kvm = calloc(1, sizeof(*kvm));
    *why = "no memory";
    if (!kvm)
        return NULL;
    host_look(&host);
    if (host_can(&host, HOST_INSTRUCTION_KVM, why) == HOST_NO || small_guest_open(&kvm->guest, MEMORY_BYTES, why)) {
        free(kvm);
        return NULL;
    }
    kvm->gp_emulated = !host.probes[HOST_CPL3_GP];
    kvm->xsave = kvm->guest.vcpu.xsave;
    kvm->xsave.components &= ~XSTATE_PKRU;
    *why = "the guest's memory is too small, or the host's XSAVE components lie too far out";
    for (unsigned i = 2; i < 8; i++)
        fits &= kvm->xsave.offset[i] + 1024 <= RECORD_BYTES - RECORD_IMAGE;
    if (fits && map_everything(kvm) && install_handlers(kvm)) {
        *why = "KVM does not take the guest's registers";
        put64(kvm->variables + VAR_MASK, kvm->xsave.components);
        put64(kvm->variables + VAR_AVX, kvm->xsave.components >> 2 & 1);
        if (enter_driver(kvm))
            return kvm;
    }
    small_guest_close(&kvm->guest);
    free(kvm);
    return NULL;
}

static void kvm_close(void *self)
{
    struct kvm_reference *kvm = self;
    if (!kvm)
        return;
    small_guest_close(&kvm->guest);
    free(kvm);
}

/* --- one run --- */

static void load_memory(struct kvm_reference *kvm, const struct difftest_memory *memory)
{
    if (kvm->loaded_valid && memcmp(&kvm->loaded, memory, sizeof(*memory)) == 0)
        return;
    kvm->loaded = *memory;
    kvm->loaded_valid = true;
    memcpy(kvm->data, memory->data, DIFFTEST_DATA_BYTES);
    memcpy(kvm->pristine, memory->data, DIFFTEST_DATA_BYTES);
    memcpy(kvm->read_only, memory->read_only, DIFFTEST_READ_ONLY_BYTES);
}

/* True if a jump may stand behind the instruction in place of the INT3: it can do nothing but fall through or fault. */
static bool falls_through(const struct kvm_reference *kvm, const struct difftest_case *test)
{
    return kvm->jumps && !test->step && test->row && !(test->row->attributes & ISA_BRANCH) &&
           strncmp(test->row->mnemonic, "POPF", 4) != 0 &&
           test->state.rip + test->length + TAIL_BYTES <= DIFFTEST_CODE + DIFFTEST_CODE_BYTES;
}

static void put_code(const struct kvm_reference *kvm, uint8_t *record, const struct difftest_case *test)
{
    uint8_t *code = record + RECORD_CODE;
    unsigned length = test->length;
    uint64_t room = DIFFTEST_CODE + DIFFTEST_CODE_BYTES - test->state.rip;
    if (length > room)
        length = (unsigned)room;
    memcpy(code, test->bytes, length);
    if (falls_through(kvm, test)) {
        uint8_t pad = (uint8_t)(-(test->state.rip + length + 6) & 7);
        memset(code + length, 0xCC, TAIL_BYTES);
        memcpy(code + length, (const uint8_t[6]){ 0xFF, 0x25, pad }, 6);
        put64(code + length + 6 + pad, GUEST_DRIVER + (uint64_t)(difftest_driver_ran - difftest_driver));
        length += TAIL_BYTES;
    }
    put64(record + RECORD_WRITE, length);
    put64(record + RECORD_REMOVE, length);
    put64(record + RECORD_AT, GUEST_DRIVER + GUEST_CODE + (test->state.rip - DIFFTEST_CODE));
}

/* True if both have the same bytes at the same place: writing code that is then run costs more than the run. */
static bool same_code(const struct kvm_reference *kvm, const struct difftest_case *a, const struct difftest_case *b)
{
    return a->length == b->length && a->state.rip == b->state.rip && memcmp(a->bytes, b->bytes, a->length) == 0 &&
           falls_through(kvm, a) == falls_through(kvm, b);
}

static void put_record(struct kvm_reference *kvm, uint8_t *record, const struct difftest_case *test)
{
    /* nothing is written through the pointers */
    struct difftest_state *state = (struct difftest_state *)(uintptr_t)&test->state;
    struct xsave_registers registers = { &state->x87, state->zmm, state->opmask, &state->mxcsr, NULL };
    for (unsigned i = 0; i < 15; i++)
        put64(record + RECORD_GPR + 8 * i, state->gpr[gpr_order[i]]);
    const uint64_t frame[5] = { state->rip, SMALL_GUEST_USER_CS,
                                state->rflags | FLAGS_FIXED | FLAG_IF | (test->step ? FLAG_TF : 0), state->gpr[RSP],
                                SMALL_GUEST_USER_SS };
    memcpy(record + RECORD_FRAME, frame, sizeof(frame));
    put_code(kvm, record, test);
    memset(record + RECORD_IMAGE + 512, 0, 64);
    xsave_image_put(&kvm->xsave, record + RECORD_IMAGE, &registers);
}

static void take_record(const struct kvm_reference *kvm, unsigned index, const struct difftest_case *test,
                        struct difftest_outcome *outcome)
{
    const uint8_t *record = kvm->records + (uint64_t)index * RECORD_BYTES;
    struct difftest_state *state = &outcome->state;
    struct xsave_registers registers = { &state->x87, state->zmm, state->opmask, &state->mxcsr, NULL };
    uint64_t vector = get64(record + RECORD_VECTOR);
    for (unsigned i = 0; i < 15; i++)
        state->gpr[gpr_order[i]] = get64(record + RECORD_OUT + 8 * i);
    state->gpr[RSP] = get64(record + RECORD_RSP);
    state->rflags = get64(record + RECORD_OUT_TOP - 8);
    xsave_image_get(&kvm->xsave, record + RECORD_IMAGE, &registers);
    if (vector == RECORD_RAN) {
        outcome->vector = VEC_BP;
        outcome->error = 0;
        state->rip = test->state.rip + test->length + 1;
    } else {
        outcome->vector = (uint8_t)vector;
        outcome->error = (uint32_t)get64(record + RECORD_ERROR);
        state->rip = get64(record + RECORD_RIP);
    }
    outcome->cr2 = outcome->vector == VEC_PF ? get64(record + RECORD_CR2) : 0;
    outcome->lost = state->rip - GUEST_DRIVER < MEMORY_BYTES; /* a fault of the driver's own */
    outcome->data_changed = get64(record + RECORD_CHANGED);
    if (outcome->data_changed)
        memcpy(outcome->data, kvm->results + (uint64_t)index * DIFFTEST_DATA_BYTES, DIFFTEST_DATA_BYTES);
}

/* Time this thread has had, the guest included: others on the machine do not count. */
static uint64_t thread_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* KVM gave up in the middle of a test: that one has no outcome; the guest goes on with the next. */
static void skip_test(struct kvm_reference *kvm, int exit, const struct difftest_case *tests, unsigned count,
                      struct difftest_outcome *outcomes)
{
    uint64_t current = get64(kvm->variables + VAR_CURRENT);
    uint64_t index = (current - GUEST_DRIVER - GUEST_RECORDS) / RECORD_BYTES;
    outcomes[index].no_verdict = true;
    if (kvm->explained++ < 3)
        vcpu_explain(&kvm->guest.vcpu, exit, "sim difftest: kvm: ", stderr);
    memset(kvm->code, 0xCC, DIFFTEST_CODE_BYTES);
    memcpy(kvm->data, kvm->loaded.data, DIFFTEST_DATA_BYTES);
    if (index + 1 < count)
        put_code(kvm, kvm->records + (index + 1) * RECORD_BYTES, &tests[index + 1]);
    put64(kvm->variables + VAR_CURRENT, current + RECORD_BYTES);
    put64(kvm->variables + VAR_OUT_TOP, current + RECORD_BYTES + RECORD_OUT_TOP);
    put64(kvm->variables + VAR_DATA, GUEST_DRIVER + GUEST_DATA + (index + 1) * DIFFTEST_DATA_BYTES);
    enter_driver(kvm);
}

static void kvm_run(void *self, const struct difftest_memory *memory, const struct difftest_case *tests,
                    struct difftest_outcome *outcomes, unsigned count)
{
    struct kvm_reference *kvm = self;
    struct vcpu *vcpu = &kvm->guest.vcpu;
    load_memory(kvm, memory);
    kvm->jumps = count > 1;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *record = kvm->records + i * RECORD_BYTES;
        put_record(kvm, record, &tests[i]);
        if (i && same_code(kvm, &tests[i - 1], &tests[i])) {
            put64(record + RECORD_WRITE, 0);
            put64(record - RECORD_BYTES + RECORD_REMOVE, 0);
        }
        outcomes[i].lost = outcomes[i].no_verdict = false;
        outcomes[i].gp_emulated = kvm->gp_emulated;
    }
    put64(kvm->variables + VAR_CURRENT, GUEST_DRIVER + GUEST_RECORDS);
    put64(kvm->variables + VAR_OUT_TOP, GUEST_DRIVER + GUEST_RECORDS + RECORD_OUT_TOP);
    put64(kvm->variables + VAR_DATA, GUEST_DRIVER + GUEST_DATA);
    put64(kvm->variables + VAR_COUNT, count);
    uint64_t started = thread_ns();
    for (;;) {
        int exit = vcpu_run(vcpu, LIMIT_NS);
        if (exit == KVM_EXIT_IO && vcpu->run->io.port == 0x55)
            break;
        if (exit == KVM_EXIT_INTR && !vcpu->timed_out)
            continue;
        skip_test(kvm, exit, tests, count, outcomes);
    }
    kvm->guest_ns += thread_ns() - started;
    kvm->states += count;
    for (unsigned i = 0; i < count; i++)
        if (!outcomes[i].no_verdict)
            take_record(kvm, i, &tests[i], &outcomes[i]);
}

static bool kvm_gp_emulated(const void *self)
{
    return ((const struct kvm_reference *)self)->gp_emulated;
}

static double kvm_rate(const void *self)
{
    const struct kvm_reference *kvm = self;
    return kvm->guest_ns ? (double)kvm->states * 1e9 / (double)kvm->guest_ns : 0;
}

/* What the host keeps for itself in its own process it keeps in a page-table-based guest, too. */
static const char *kvm_row_skipped(const struct isa_row *row)
{
    if (strcmp(row->mnemonic, "FXSAVE") == 0 || strcmp(row->mnemonic, "FXRSTOR") == 0)
        return "a page-table-based KVM executes it in software where it must fault; the native reference has it";
    return difftest_native.row_skipped(row);
}

const struct difftest_reference difftest_kvm = {
    .name = "kvm",
    .batch = DIFFTEST_BATCH_MAX,
    .traps_are_slow = true,
    .open = kvm_open,
    .close = kvm_close,
    .run = kvm_run,
    .rate = kvm_rate,
    .gp_emulated = kvm_gp_emulated,
    .row_skipped = kvm_row_skipped,
};
