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
#define XSTATE_MAX   8192u
#define XSTATE_MAGIC 0x46505853u /* FP_XSTATE_MAGIC1, in front of what the kernel says about the frame's image */

/* The XSAVE components we load and compare (SDM vol. 1, 13.1), and where the host has them. */
enum { X87_STATE = 0, SSE_STATE = 1, AVX_STATE = 2, OPMASK_STATE = 5, ZMM_HI256_STATE = 6, HI16_ZMM_STATE = 7 };
#define FEATURES_SEEN 0xE7u

struct difftest_native {
    uint8_t *memory; /* writable mapping of everything: code, data, read-only page */
    uint8_t *stack;
    uint32_t offset[8]; /* of the XSAVE components */
    uint64_t features;  /* XSAVE components the kernel puts into a frame */
    struct difftest_memory loaded;
    bool loaded_valid;
    uint64_t clean_flags; /* ID and NT, which the kernel does not load from a frame, are as here */

    /* the batch that runs */
    volatile bool running;
    unsigned index, count; /* index: count of tests begun */
    const struct difftest_case *tests;
    struct difftest_outcome *outcomes;
    greg_t caller_gregs[NGREG];
    uint8_t caller_xstate[XSTATE_MAX];
    size_t xstate_bytes;
};

/* Signals have no context argument of ours. */
static struct difftest_native *the_native;

#define DATA_OFFSET      DIFFTEST_CODE_BYTES
#define READ_ONLY_OFFSET (DIFFTEST_CODE_BYTES + DIFFTEST_DATA_BYTES)

/* --- the frame's image and our state --- */

static void get(const uint8_t *image, unsigned at, void *to, unsigned bytes)
{
    memcpy(to, image + at, bytes);
}
static void put(uint8_t *image, unsigned at, const void *from, unsigned bytes)
{
    memcpy(image + at, from, bytes);
}

static unsigned top_of(uint16_t fsw)
{
    return fsw >> 11 & 7;
}

static void put_x87(uint8_t *image, const struct x87 *x87)
{
    put(image, FX_FCW, &x87->fcw, 2);
    put(image, FX_FSW, &x87->fsw, 2);
    put(image, FX_TAGS, (const uint8_t[2]){ x87->tags, 0 }, 2);
    put(image, FX_FOP, &x87->fop, 2);
    put(image, FX_FIP, &x87->fip, 8);
    put(image, FX_FDP, &x87->fdp, 8);
    for (unsigned i = 0; i < 8; i++) {
        const struct x87_register *r = &x87->r[(top_of(x87->fsw) + i) & 7];
        put(image, FX_ST + 16 * i, &r->mantissa, 8);
        put(image, FX_ST + 16 * i + 8, &r->exponent, 2);
    }
}

static void get_x87(const uint8_t *image, struct x87 *x87)
{
    memset(x87, 0, sizeof(*x87));
    get(image, FX_FCW, &x87->fcw, 2);
    get(image, FX_FSW, &x87->fsw, 2);
    get(image, FX_TAGS, &x87->tags, 1);
    get(image, FX_FOP, &x87->fop, 2);
    get(image, FX_FIP, &x87->fip, 8);
    get(image, FX_FDP, &x87->fdp, 8);
    for (unsigned i = 0; i < 8; i++) {
        struct x87_register *r = &x87->r[(top_of(x87->fsw) + i) & 7];
        get(image, FX_ST + 16 * i, &r->mantissa, 8);
        get(image, FX_ST + 16 * i + 8, &r->exponent, 2);
    }
}

static void put_image(const struct difftest_native *native, uint8_t *image, const struct difftest_state *state)
{
    uint64_t bv;
    get(image, XSAVE_BV, &bv, 8);
    bv |= native->features;
    put(image, XSAVE_BV, &bv, 8);
    put_x87(image, &state->x87);
    put(image, FX_MXCSR, &state->mxcsr, 4);
    for (unsigned i = 0; i < 16; i++)
        put(image, FX_XMM + 16 * i, state->zmm[i].u8, 16);
    if (native->features >> AVX_STATE & 1)
        for (unsigned i = 0; i < 16; i++)
            put(image, native->offset[AVX_STATE] + 16 * i, state->zmm[i].u8 + 16, 16);
    if (!(native->features >> HI16_ZMM_STATE & 1))
        return;
    put(image, native->offset[OPMASK_STATE], state->opmask, 64);
    for (unsigned i = 0; i < 16; i++) {
        put(image, native->offset[ZMM_HI256_STATE] + 32 * i, state->zmm[i].u8 + 32, 32);
        put(image, native->offset[HI16_ZMM_STATE] + 64 * i, state->zmm[16 + i].u8, 64);
    }
}

static void get_image(const struct difftest_native *native, const uint8_t *image, struct difftest_state *state)
{
    uint64_t bv;
    get(image, XSAVE_BV, &bv, 8);
    memset(state->zmm, 0, sizeof(state->zmm));
    memset(state->opmask, 0, sizeof(state->opmask));
    get_x87(image, &state->x87);
    if (!(bv >> X87_STATE & 1)) {
        memset(&state->x87, 0, sizeof(state->x87));
        state->x87.fcw = 0x37F;
    }
    get(image, FX_MXCSR, &state->mxcsr, 4);
    for (unsigned i = 0; i < 16; i++) {
        if (bv >> SSE_STATE & 1)
            get(image, FX_XMM + 16 * i, state->zmm[i].u8, 16);
        if (bv & native->features & 1u << AVX_STATE)
            get(image, native->offset[AVX_STATE] + 16 * i, state->zmm[i].u8 + 16, 16);
        if (bv & native->features & 1u << ZMM_HI256_STATE)
            get(image, native->offset[ZMM_HI256_STATE] + 32 * i, state->zmm[i].u8 + 32, 32);
        if (bv & native->features & 1u << HI16_ZMM_STATE)
            get(image, native->offset[HI16_ZMM_STATE] + 64 * i, state->zmm[16 + i].u8, 64);
    }
    if (bv & native->features & 1u << OPMASK_STATE)
        get(image, native->offset[OPMASK_STATE], state->opmask, 64);
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
    outcome->lost = outcome->no_verdict = outcome->gp_emulated = false;
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
        memcpy(native->caller_xstate, image, native->xstate_bytes);
    } else {
        end_test(native, context, image, flags);
    }
    if (++native->index < native->count) {
        begin_test(native, context, image);
        return;
    }
    memcpy(context->uc_mcontext.gregs, native->caller_gregs, sizeof(native->caller_gregs));
    memcpy(image, native->caller_xstate, native->xstate_bytes);
    native->running = false;
}

static void native_run(void *reference, const struct difftest_memory *memory, const struct difftest_case *tests,
                       struct difftest_outcome *outcomes, unsigned count)
{
    struct difftest_native *native = reference;
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

static bool find_xsave(struct difftest_native *native, const char **why)
{
    unsigned eax, ebx, ecx, edx, low, high;
    if (!__get_cpuid_count(1, 0, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE)) {
        *why = "the host has no XSAVE";
        return false;
    }
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    native->features = low & FEATURES_SEEN;
    if ((native->features & 0xE0) != 0xE0)
        native->features &= 7;
    for (unsigned i = AVX_STATE; i < 8; i++)
        if (__get_cpuid_count(0xD, i, &eax, &ebx, &ecx, &edx))
            native->offset[i] = ebx;
    __get_cpuid_count(0xD, 0, &eax, &ebx, &ecx, &edx);
    native->xstate_bytes = ebx;
    if (ebx > XSTATE_MAX) {
        *why = "the host's XSAVE area is larger than expected";
        return false;
    }
    return true;
}

static void native_close(void *reference);

static void *native_open(const char **why)
{
    struct difftest_native *native = calloc(1, sizeof(*native));
    *why = "no memory";
    if (!native)
        return NULL;
    the_native = native;
    native->clean_flags = __builtin_ia32_readeflags_u64() & ~(uint64_t)(FLAG_AC | FLAG_NT | FLAG_DF | FLAG_ID);
    bool good = find_xsave(native, why);
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

static void native_close(void *reference)
{
    struct difftest_native *native = reference;
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

#else

static void *native_open(const char **why)
{
    *why = "the host is no x86-64 Linux";
    return NULL;
}
static void native_close(void *reference)
{
    (void)reference;
}
static void native_run(void *reference, const struct difftest_memory *memory, const struct difftest_case *tests,
                       struct difftest_outcome *outcomes, unsigned count)
{
    (void)reference, (void)memory, (void)tests, (void)outcomes, (void)count;
}

#endif

/* --- what is left out --- */

/* What works alike on both sides, at CPL 3 in 64-bit mode, without a trace of the host. */
static const char *native_row_skipped(const struct isa_row *row)
{
    static const struct {
        const char *mnemonic, *reason;
    } skipped[] = {
        { "SYSCALL", "calls the host's kernel" },
        { "SYSENTER", "calls the host's kernel" },
        { "INT", "calls the host's kernel" },
        { "INT1", "the host's kernel takes it for a debugger's" },
        { "INT3", "ends the test" },
        { "IRET", "changes CS and SS" },
        { "RETF", "changes CS" },
        { "RDTSC", "reads the time" },
        { "RDTSCP", "reads the time" },
        { "RDPMC", "reads the time" },
        { "RDRAND", "draws a random number" },
        { "RDSEED", "draws a random number" },
        { "CPUID", "the model answers, not the host" },
        { "XGETBV", "the model answers, not the host" },
        { "RDPID", "the model answers, not the host" },
        { "SGDT", "the host's tables" },
        { "SIDT", "the host's tables" },
        { "SLDT", "the host's tables" },
        { "STR", "the host's tables" },
        { "SMSW", "the host's control register" },
        { "LAR", "the host's tables" },
        { "LSL", "the host's tables" },
        { "VERR", "the host's tables" },
        { "VERW", "the host's tables" },
        { "LSS", "changes a segment register" },
        { "LFS", "changes a segment register" },
        { "LGS", "changes a segment register" },
        { "WRFSBASE", "changes the host's thread" },
        { "WRGSBASE", "changes a segment base that a signal frame lacks" },
        { "RDFSBASE", "the host's thread" },
        { "WRPKRU", "changes state that is not compared" },
        { "RDPKRU", "reads state that is not compared" },
        { "XSAVE", "its image depends on the components of the host" },
        { "XSAVEOPT", "its image depends on the components of the host" },
        { "XSAVEC", "its image depends on the components of the host" },
        { "XRSTOR", "its image depends on the components of the host" },
        { "UMONITOR", "waits" },
        { "UMWAIT", "waits" },
        { "TPAUSE", "waits" },
        { "MONITOR", "waits" },
        { "MWAIT", "waits" },
        { "RTM", "transactions" },
        { "XBEGIN", "transactions" },
        { "XABORT", "transactions" },
        { "XEND", "transactions" },
        { "XTEST", "transactions" },
    };
    if (row->attributes & ISA_UNIMPLEMENTED)
        return "not implemented";
    if (row->attributes & ISA_NOT64)
        return "not in 64-bit mode";
    for (unsigned i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++)
        if (strcmp(row->mnemonic, skipped[i].mnemonic) == 0)
            return skipped[i].reason;
    for (unsigned i = 0; i < row->operand_count; i++) {
        const struct operand_code *operand = &row->operand[i];
        if (operand->cls == CLASS_SEG && i == 0 && strcmp(row->mnemonic, "PUSH") != 0)
            return "changes a segment register";
        if (operand->size == SIZE_P)
            return "changes CS";
    }
    return NULL;
}

/* This process: its program, libraries and stack, wherever they are today. */
static bool native_occupies(const void *reference, uint64_t linear)
{
    unsigned char resident;
    (void)reference;
    return mincore((void *)(uintptr_t)(linear & ~4095ull), 4096, &resident) == 0;
}

const struct difftest_reference difftest_native = {
    .name = "native",
    .batch = 32,
    .open = native_open,
    .close = native_close,
    .run = native_run,
    .occupies = native_occupies,
    .row_skipped = native_row_skipped,
};
