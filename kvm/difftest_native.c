/*
 * The reference without KVM: the host's processor, inside this process.
 *
 * Signals do all the work: a handler on its own stack writes the state of the next test into the signal frame (general
 * registers, RFLAGS with TF, the XSAVE image) and returns; the kernel loads it; the instruction runs and ends in #DB,
 * #BP or its fault, which is a signal again. So a test costs one signal, and vector, error code and CR2 stand in the
 * frame. The code is written through a second mapping of the same memory, so that no protection ever changes.
 */
#define _GNU_SOURCE /* REG_RIP, memfd_create */
#include "kvm/difftest.h"
#include "kvm/xsave_image.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)

#include <asm/prctl.h>
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_BYTES  (128u << 10)
#define XSTATE_MAGIC 0x46505853u /* FP_XSTATE_MAGIC1, in front of what the kernel says about the frame's image */

#define FX_KERNEL 464u /* in the FXSAVE image: what the kernel says about the frame */

struct difftest_native {
    uint8_t *memory; /* writable mapping of everything: code, data, read-only page */
    uint8_t *stack;
    struct xsave_layout xsave;
    struct difftest_memory loaded;
    bool loaded_valid;
    uint64_t clean_flags; /* ID and NT, which the kernel does not load from a frame, are as here */

    /* the batch that runs */
    volatile bool running;
    unsigned index, count; /* index: count of tests begun */
    const struct difftest_case *tests;
    struct difftest_outcome *outcomes;
    greg_t caller_gregs[NGREG];
    uint8_t caller_xstate[XSAVE_IMAGE_BYTES_MAX];
};

/* Signals have no context argument of ours. */
static struct difftest_native *the_native;

#define DATA_OFFSET      DIFFTEST_CODE_BYTES
#define READ_ONLY_OFFSET (DIFFTEST_CODE_BYTES + DIFFTEST_DATA_BYTES)

/* --- the frame's image and our state --- */

static void put_image(const struct difftest_native *native, uint8_t *image, const struct difftest_state *from)
{
    /* nothing is written through the pointers */
    struct difftest_state *state = (struct difftest_state *)(uintptr_t)from;
    const struct xsave_registers registers = { &state->x87, state->zmm, state->opmask, &state->mxcsr, NULL };
    xsave_image_put(&native->xsave, image, &registers);
}

static void get_image(const struct difftest_native *native, const uint8_t *image, struct difftest_state *state)
{
    const struct xsave_registers registers = { &state->x87, state->zmm, state->opmask, &state->mxcsr, NULL };
    xsave_image_get(&native->xsave, image, &registers);
}

static const int greg_of[16] = {
    [RAX] = REG_RAX, [RCX] = REG_RCX, [RDX] = REG_RDX, [RBX] = REG_RBX, [RSP] = REG_RSP, [RBP] = REG_RBP,
    [RSI] = REG_RSI, [RDI] = REG_RDI, [R8] = REG_R8,   [R9] = REG_R9,   [R10] = REG_R10, [R11] = REG_R11,
    [R12] = REG_R12, [R13] = REG_R13, [R14] = REG_R14, [R15] = REG_R15
};

/* --- the batch, from within the handler --- */

/* The test's bytes, or with remove what stood there: INT3 everywhere. */
static void put_code(const struct difftest_native *native, const struct difftest_case *test, bool remove)
{
    uint64_t offset = test->state.rip - DIFFTEST_CODE;
    for (unsigned i = 0; i < test->length && offset + i < DIFFTEST_CODE_BYTES; i++)
        native->memory[offset + i] = remove ? 0xCC : test->bytes[i];
}

static void begin_test(struct difftest_native *native, ucontext_t *context, uint8_t *image)
{
    const struct difftest_case *test = &native->tests[native->index];
    for (unsigned i = 0; i < 16; i++)
        context->uc_mcontext.gregs[greg_of[i]] = (greg_t)test->state.gpr[i];
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)test->state.rip;
    context->uc_mcontext.gregs[REG_EFL] =
        (greg_t)(test->state.rflags | FLAG_IF | FLAGS_FIXED | (test->step ? FLAG_TF : 0));
    put_image(native, image, &test->state);
    put_code(native, test, false);
}

static void end_test(struct difftest_native *native, const ucontext_t *context, const uint8_t *image, uint64_t flags)
{
    const greg_t *gregs = context->uc_mcontext.gregs;
    struct difftest_outcome *outcome = &native->outcomes[native->index];
    put_code(native, &native->tests[native->index], true);
    for (unsigned i = 0; i < 16; i++)
        outcome->state.gpr[i] = (uint64_t)gregs[greg_of[i]];
    outcome->state.rip = (uint64_t)gregs[REG_RIP];
    outcome->state.rflags = (uint64_t)gregs[REG_EFL] | (flags & (FLAG_ID | FLAG_NT));
    outcome->vector = (uint8_t)gregs[REG_TRAPNO];
    outcome->error = (uint32_t)gregs[REG_ERR];
    outcome->cr2 = outcome->vector == VEC_PF ? (uint64_t)gregs[REG_CR2] : 0;
    outcome->lost = outcome->gp_emulated = false;
    get_image(native, image, &outcome->state);
    const uint8_t *data = native->memory + DATA_OFFSET;
    outcome->data_changed = memcmp(data, native->loaded.data, DIFFTEST_DATA_BYTES) != 0;
    if (outcome->data_changed) {
        memcpy(outcome->data, data, DIFFTEST_DATA_BYTES);
        memcpy(native->memory + DATA_OFFSET, native->loaded.data, DIFFTEST_DATA_BYTES);
    }
}

static void on_signal(int number, siginfo_t *info, void *context_)
{
    struct difftest_native *native = the_native;
    ucontext_t *context = context_;
    uint64_t flags = __builtin_ia32_readeflags_u64();
    (void)info;
    __builtin_ia32_writeeflags_u64(native->clean_flags); /* above all AC: a test may have set it */
    if (!native->running) { /* not of a test: a bug of ours. The instruction runs again and ends the process. */
        signal(number, SIG_DFL);
        return;
    }
    uint8_t *image = (uint8_t *)context->uc_mcontext.fpregs;
    if (native->index == UINT32_MAX) {
        memcpy(native->caller_gregs, context->uc_mcontext.gregs, sizeof(native->caller_gregs));
        memcpy(native->caller_xstate, image, native->xsave.bytes);
    } else {
        end_test(native, context, image, flags);
    }
    if (++native->index < native->count) {
        begin_test(native, context, image);
        return;
    }
    memcpy(context->uc_mcontext.gregs, native->caller_gregs, sizeof(native->caller_gregs));
    memcpy(image, native->caller_xstate, native->xsave.bytes);
    native->running = false;
}

static void native_run(void *self, const struct difftest_memory *memory, const struct difftest_case *tests,
                       struct difftest_outcome *outcomes, unsigned count)
{
    struct difftest_native *native = self;
    if (!native->loaded_valid || memcmp(&native->loaded, memory, sizeof(*memory)) != 0) {
        native->loaded = *memory;
        native->loaded_valid = true;
        memcpy(native->memory + DATA_OFFSET, memory->data, DIFFTEST_DATA_BYTES);
        memcpy(native->memory + READ_ONLY_OFFSET, memory->read_only, DIFFTEST_READ_ONLY_BYTES);
    }
    native->tests = tests;
    native->outcomes = outcomes;
    native->count = count;
    native->index = UINT32_MAX;
    native->running = true;
    __asm__ volatile("int3" ::: "memory");
}

/* --- opening --- */

static bool map_layout(struct difftest_native *native)
{
    int fd = memfd_create("difftest", 0);
    if (fd < 0)
        return false;
    const struct {
        uint64_t linear;
        unsigned bytes, offset;
        int protection;
    } parts[] = {
        { DIFFTEST_CODE, DIFFTEST_CODE_BYTES, 0, PROT_READ | PROT_EXEC },
        { DIFFTEST_DATA, DIFFTEST_DATA_BYTES, DATA_OFFSET, PROT_READ | PROT_WRITE },
        { DIFFTEST_READ_ONLY, DIFFTEST_READ_ONLY_BYTES, READ_ONLY_OFFSET, PROT_READ },
    };
    bool good = ftruncate(fd, DIFFTEST_MEMORY_BYTES) == 0;
    if (good)
        native->memory = mmap(NULL, DIFFTEST_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    good = good && native->memory != MAP_FAILED;
    for (unsigned i = 0; good && i < sizeof(parts) / sizeof(parts[0]); i++) {
        void *at = (void *)(uintptr_t)parts[i].linear;
        good = mmap(at, parts[i].bytes, parts[i].protection, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_POPULATE, fd,
                    parts[i].offset) == at;
    }
    close(fd);
    if (good)
        memset(native->memory, 0xCC, DIFFTEST_CODE_BYTES);
    return good;
}

static bool take_signals(struct difftest_native *native)
{
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
    native->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (native->stack == MAP_FAILED)
        return false;
    stack_t stack = { .ss_sp = native->stack, .ss_size = STACK_BYTES };
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigfillset(&action.sa_mask);
    if (sigaltstack(&stack, NULL))
        return false;
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigaction(numbers[i], &action, NULL))
            return false;
    return true;
}

static void native_close(void *self);

static void *native_open(const char **why)
{
    struct difftest_native *native = calloc(1, sizeof(*native));
    *why = "no memory";
    if (!native)
        return NULL;
    the_native = native;
    native->clean_flags = __builtin_ia32_readeflags_u64() & ~(uint64_t)(FLAG_AC | FLAG_NT | FLAG_DF | FLAG_ID);
    bool good = xsave_layout_of_host(&native->xsave, why);
    if (good && !map_layout(native)) {
        *why = "the fixed addresses of the layout are taken";
        good = false;
    }
    if (good && (!take_signals(native) || syscall(SYS_arch_prctl, ARCH_SET_GS, DIFFTEST_GS_BASE))) {
        *why = "signals or GS cannot be had";
        good = false;
    }
    if (good)
        return native;
    native_close(native);
    return NULL;
}

static void native_close(void *self)
{
    struct difftest_native *native = self;
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
    if (!native)
        return;
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        signal(numbers[i], SIG_DFL);
    munmap((void *)(uintptr_t)DIFFTEST_CODE, DIFFTEST_CODE_BYTES);
    munmap((void *)(uintptr_t)DIFFTEST_DATA, DIFFTEST_DATA_BYTES + DIFFTEST_READ_ONLY_BYTES);
    if (native->memory && native->memory != MAP_FAILED)
        munmap(native->memory, DIFFTEST_MEMORY_BYTES);
    stack_t off = { .ss_flags = SS_DISABLE };
    sigaltstack(&off, NULL);
    if (native->stack && native->stack != MAP_FAILED)
        munmap(native->stack, STACK_BYTES);
    the_native = NULL;
    free(native);
}

bool difftest_native_features(uint64_t features[2])
{
    features[0] = 1;
    features[1] = 0;
    unsigned low = 0, high = 0;
    unsigned r[4];
    if (__get_cpuid_count(1, 0, &r[0], &r[1], &r[2], &r[3]) && r[2] & bit_OSXSAVE)
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    for (unsigned i = 1; i < ISA_FEATURE_COUNT; i++) {
        const struct isa_feature_info *info = &isa_features[i];
        unsigned regs[4] = { 0 };
        if (!__get_cpuid_count(info->leaf, info->subleaf, &regs[0], &regs[1], &regs[2], &regs[3]))
            continue;
        if (regs[info->reg] >> info->bit & 1)
            features[i / 64] |= 1ull << (i % 64);
    }
    return true;
}

void difftest_native_name(char *out, size_t bytes)
{
    char name[49] = { 0 };
    unsigned r[4];
    for (unsigned i = 0; i < 3; i++)
        if (__get_cpuid(0x80000002 + i, &r[0], &r[1], &r[2], &r[3]))
            memcpy(name + 16 * i, r, 16);
    const char *start = name;
    while (*start == ' ')
        start++;
    __get_cpuid(1, &r[0], &r[1], &r[2], &r[3]);
    unsigned family = r[0] >> 8 & 15, model = r[0] >> 4 & 15;
    if (family == 6 || family == 15)
        model |= r[0] >> 12 & 0xF0;
    if (family == 15)
        family += r[0] >> 20 & 0xFF;
    snprintf(out, bytes, "%s (family %u, model %u, stepping %u)", start, family, model, r[0] & 15);
}

bool difftest_native_is_intel(void)
{
    unsigned r[4] = { 0 };
    return __get_cpuid(0, &r[0], &r[1], &r[2], &r[3]) && r[1] == signature_INTEL_ebx;
}

#else

static void *native_open(const char **why)
{
    *why = "the host is no x86-64 Linux";
    return NULL;
}
static void native_close(void *self)
{
    (void)self;
}
static void native_run(void *self, const struct difftest_memory *memory, const struct difftest_case *tests,
                       struct difftest_outcome *outcomes, unsigned count)
{
    (void)self, (void)memory, (void)tests, (void)outcomes, (void)count;
}
bool difftest_native_features(uint64_t features[2])
{
    features[0] = features[1] = 0;
    return false;
}
void difftest_native_name(char *out, size_t bytes)
{
    snprintf(out, bytes, "none");
}
bool difftest_native_is_intel(void)
{
    return false;
}

#endif

const struct difftest_reference difftest_reference_native = {
    .name = "native", .batch = 32, .open = native_open, .close = native_close, .run = native_run
};
