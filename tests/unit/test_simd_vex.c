/*
 * VEX and EVEX rows against the host's own processor: each row of the vector classes in the encodings and states of
 * vex_form.h, run here and there; vectors, opmasks, general registers, flags, MXCSR and memory are compared. Floating
 * point runs on both paths. It needs a host with AVX-512 F and VL; rows of features that the host lacks are left out.
 */
#define _GNU_SOURCE /* REG_RIP */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cpu/flags.h"
#include "cpu/simd.h"
#include "tests/unit/rows.h"
#include "tests/unit/vex_form.h"
#include "tests/unit/operands.h"

#ifdef __x86_64__
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- one instruction on the host --- */

_Static_assert(offsetof(struct vex_state, k) == 512 && offsetof(struct vex_state, rax) == 576 &&
                   offsetof(struct vex_state, flags) == 608 && offsetof(struct vex_state, mxcsr) == 616,
               "host_run_vex has these offsets");

/* Loads the state, calls the code, stores the state. */
void host_run_vex(struct vex_state *state, const void *code);
__asm__(".text\n.globl host_run_vex\n.type host_run_vex, @function\n"
        "host_run_vex:\n"
        "  push %rbx\n  push %rbp\n  sub $24, %rsp\n"
        "  mov %rdi, %rbx\n"
        "  stmxcsr (%rsp)\n"
        "  vmovdqu64 (%rbx), %zmm0\n  vmovdqu64 64(%rbx), %zmm1\n"
        "  vmovdqu64 128(%rbx), %zmm2\n  vmovdqu64 192(%rbx), %zmm3\n"
        "  vmovdqu64 256(%rbx), %zmm16\n  vmovdqu64 320(%rbx), %zmm17\n"
        "  vmovdqu64 384(%rbx), %zmm18\n  vmovdqu64 448(%rbx), %zmm19\n"
        "  kmovq 512(%rbx), %k0\n  kmovq 520(%rbx), %k1\n  kmovq 528(%rbx), %k2\n  kmovq 536(%rbx), %k3\n"
        "  kmovq 544(%rbx), %k4\n  kmovq 552(%rbx), %k5\n  kmovq 560(%rbx), %k6\n  kmovq 568(%rbx), %k7\n"
        "  mov 576(%rbx), %rax\n  mov 584(%rbx), %rcx\n  mov 592(%rbx), %rdx\n  mov 600(%rbx), %rdi\n"
        "  ldmxcsr 616(%rbx)\n"
        "  push 608(%rbx)\n  popfq\n"
        "  call *%rsi\n"
        "  pushfq\n  pop 608(%rbx)\n"
        "  stmxcsr 616(%rbx)\n"
        "  ldmxcsr (%rsp)\n"
        "  vmovdqu64 %zmm0, (%rbx)\n  vmovdqu64 %zmm1, 64(%rbx)\n"
        "  vmovdqu64 %zmm2, 128(%rbx)\n  vmovdqu64 %zmm3, 192(%rbx)\n"
        "  vmovdqu64 %zmm16, 256(%rbx)\n  vmovdqu64 %zmm17, 320(%rbx)\n"
        "  vmovdqu64 %zmm18, 384(%rbx)\n  vmovdqu64 %zmm19, 448(%rbx)\n"
        "  kmovq %k0, 512(%rbx)\n  kmovq %k1, 520(%rbx)\n  kmovq %k2, 528(%rbx)\n  kmovq %k3, 536(%rbx)\n"
        "  kmovq %k4, 544(%rbx)\n  kmovq %k5, 552(%rbx)\n  kmovq %k6, 560(%rbx)\n  kmovq %k7, 568(%rbx)\n"
        "  vzeroupper\n"
        "  mov %rax, 576(%rbx)\n  mov %rcx, 584(%rbx)\n  mov %rdx, 592(%rbx)\n"
        "  add $24, %rsp\n  pop %rbp\n  pop %rbx\n  ret\n"
        ".size host_run_vex, .-host_run_vex\n");

static uint8_t *code_page, *data_page;
static unsigned code_bytes;
static uint32_t trap_mxcsr;
static volatile sig_atomic_t trapped;

/* Goes on behind the instruction with its exceptions masked. */
static void on_sigfpe(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number, (void)info;
    ucontext_t *at = context;
    trap_mxcsr = at->uc_mcontext.fpregs->mxcsr;
    trapped = 1;
    at->uc_mcontext.fpregs->mxcsr |= MXCSR_MASKS;
    at->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)(code_page + code_bytes);
}
static sigjmp_buf illegal;
static void on_sigill(int signal_number)
{
    (void)signal_number;
    siglongjmp(illegal, 1);
}

/* False: the host says #UD. */
static bool run_on_host(struct vex_state *state)
{
    trapped = 0;
    if (sigsetjmp(illegal, 1))
        return false;
    host_run_vex(state, code_page);
    state->flags &= FLAGS_STATUS;
    state->trapped = (uint32_t)trapped;
    if (trapped)
        state->mxcsr = trap_mxcsr;
    return true;
}

/* --- the rows --- */

enum presence { NOT_COMPARED, LACKING, PRESENT };

static enum presence feature_here(const char *feature)
{
    const struct {
        const char *name;
        bool there;
    } features[] = {
#define FEATURE(row, host) { row, __builtin_cpu_supports(host) }
        FEATURE("avx", "avx"),
        FEATURE("avx2", "avx2"),
        FEATURE("fma", "fma"),
        FEATURE("f16c", "avx2"),
        FEATURE("avx512f", "avx512f"),
        FEATURE("avx512cd", "avx512cd"),
        FEATURE("avx512bw", "avx512bw"),
        FEATURE("avx512dq", "avx512dq"),
        FEATURE("avx512ifma", "avx512ifma"),
        FEATURE("avx512vbmi", "avx512vbmi"),
        FEATURE("avx512vbmi2", "avx512vbmi2"),
        FEATURE("avx512vnni", "avx512vnni"),
        FEATURE("avx512bitalg", "avx512bitalg"),
        FEATURE("avx512vpopcntdq", "avx512vpopcntdq"),
        FEATURE("avx512bf16", "avx512bf16"),
    };
    for (unsigned i = 0; i < COUNT(features); i++) {
        if (!strcmp(feature, features[i].name))
            return features[i].there ? PRESENT : LACKING;
    }
    return NOT_COMPARED;
}
/* Rows that go through the comparison, on a host that has everything. */
static bool row_is_compared(const struct isa_row *row)
{
    static const char *const excluded[] = { "-", "ldmxcsr", "stmxcsr", "vmaskmovdqu" };
    if (row->isa_class < ISA_CLASS_AVX || feature_here(row->feature_name) == NOT_COMPARED)
        return false;
    for (unsigned i = 0; i < COUNT(excluded); i++) {
        if (!strcmp(row->handler_name, excluded[i]))
            return false;
    }
    return !strstr(row->handler_name, "rcp") && !strstr(row->handler_name, "rsqrt");
}
static bool row_is_tested(const struct isa_row *row)
{
    return row_is_compared(row) && feature_here(row->feature_name) == PRESENT;
}

static void load_code(struct vex_form form)
{
    memcpy(code_page, form.code, form.code_bytes);
    code_bytes = form.code_bytes;
    code_page[code_bytes] = 0xC3;
}

/* One execution on both. False: they differ, and it was printed how. */
static bool compare(struct vex_bench *bench, const struct isa_row *row, const struct vex_state *start,
                    const uint8_t *memory, bool soft)
{
    struct vex_state host = *start, mine = *start;
    uint8_t written[VEX_AREA];
    memcpy(data_page, memory, VEX_AREA);
    bool host_ran = run_on_host(&host);
    memcpy(written, data_page, VEX_AREA);
    memcpy(data_page, memory, VEX_AREA);
    bool ran = vex_bench_run(bench, code_page, code_bytes, &mine, soft);
    bool same_memory = !memcmp(written, data_page, VEX_AREA);
    if (host_ran == ran && (!ran || (!memcmp(&host, &mine, sizeof host) && same_memory)))
        return true;
    print_message("%s %s (%s), %s path, code", row->mnemonic, row->operands, row->encoding, soft ? "soft" : "host");
    for (unsigned i = 0; i < code_bytes; i++)
        print_message(" %02x", code_page[i]);
    print_message("; host %s, sim %s, memory %s\n", host_ran ? "ran" : "#UD", ran ? "ran" : "faulted",
                  same_memory ? "equal" : "differs");
    if (getenv("VERBOSE")) {
        vex_state_print("start", start);
        vex_state_print("host", &host);
        vex_state_print("sim", &mine);
        print_message("memory");
        for (unsigned i = 0; i < VEX_AREA / 8; i++)
            print_message("%s%02x%02x%02x%02x%02x%02x%02x%02x", i % 8 ? " " : "\n  ", memory[8 * i + 7],
                          memory[8 * i + 6], memory[8 * i + 5], memory[8 * i + 4], memory[8 * i + 3], memory[8 * i + 2],
                          memory[8 * i + 1], memory[8 * i]);
        print_message("\n");
    }
    return false;
}

/* Registers 2 and 18: lanes of 32 or 64 bits from -16 to 15, which stay in the memory that is looked at. */
static void small_indexes(struct vex_state *state, const struct isa_row *row, uint64_t *seed)
{
    bool wide = row->accepts.opcode & 1; /* VPGATHERQD, VGATHERQPS, ... have odd opcodes */
    for (unsigned i = 0; i < 8; i++) {
        uint64_t r = operand_random(seed);
        for (unsigned v = 2; v < VEX_VECTORS; v += 4) {
            int low = (int)(r >> v & 31) - 16, high = (int)(r >> (v + 16) & 31) - 16;
            if (wide) {
                state->zmm[v].i64[i] = low;
            } else {
                state->zmm[v].i32[2 * i] = low;
                state->zmm[v].i32[2 * i + 1] = high;
            }
        }
    }
}

enum masking { ALL_MASKED, SOME_UNMASKED };

/* All rows, `rounds` states for each length and operand form. */
static void compare_rows(enum masking masking, unsigned rounds)
{
    if (!__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512bw")) {
        print_message("skipped: the host has no AVX-512\n");
        return;
    }
    code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(code_page != MAP_FAILED && data_page != MAP_FAILED);
    struct vex_bench bench = vex_bench_make(data_page);
    struct sigaction fpe = { .sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO }, fpe_before;
    struct sigaction ill = { .sa_handler = on_sigill }, ill_before;
    sigaction(SIGFPE, &fpe, &fpe_before);
    sigaction(SIGILL, &ill, &ill_before);
    uint64_t seed = 7 + masking;
    unsigned failures = 0, rows = 0;
    const char *only = getenv("ONLY");
    for (unsigned n = 0; n < ISA_ROW_COUNT; n++) {
        const struct isa_row *row = &isa_rows[n];
        if (!row_is_tested(row) || (only && !strstr(row->mnemonic, only)))
            continue;
        rows++;
        unsigned row_failures = 0;
        for (unsigned form = 0; form < 6; form++) {
            bool memory = form & 1;
            unsigned length = form >> 1;
            if ((!row->accepts.has_modrm && memory) || !(row->accepts.mods & (memory ? 1 : 2)) ||
                !(row->accepts.vector_lengths >> length & 1))
                continue;
            for (unsigned round = 0; round < rounds && row_failures < 1; round++) {
                uint8_t data[VEX_AREA];
                uint64_t r = operand_random(&seed);
                uint32_t masks =
                    masking == ALL_MASKED ? MXCSR_MASKS : (uint32_t)(r & operand_random(&seed)) & MXCSR_MASKS;
                uint32_t rare = r >> 32 & 3 ? 0 : (uint32_t)(r >> 40) & (MXCSR_DAZ | MXCSR_FTZ | MXCSR_FLAGS);
                load_code(vex_encode(row, memory, length, &seed));
                struct vex_state start =
                    vex_random_state(&seed, round, masks | rare | ((uint32_t)(r >> 20) & MXCSR_RC), data_page, data);
                if (row->attributes & ISA_VSIB)
                    small_indexes(&start, row, &seed);
                row_failures += !compare(&bench, row, &start, data, round & 1);
            }
        }
        failures += row_failures;
    }
    sigaction(SIGFPE, &fpe_before, NULL);
    sigaction(SIGILL, &ill_before, NULL);
    vex_bench_free(bench);
    munmap(code_page, 4096);
    munmap(data_page, 4096);
    print_message("%u rows compared with the host\n", rows);
    assert_int_equal(failures, 0);
}

static void rows_match_the_host(void **state)
{
    (void)state;
    compare_rows(ALL_MASKED, 48);
}
static void unmasked_exceptions_match_the_host(void **state)
{
    (void)state;
    compare_rows(SOME_UNMASKED, 16);
}
#endif

int main(int argc, char **argv)
{
#ifdef __x86_64__
    if (rows_asked(argc, argv))
        return rows_print(row_is_compared);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_match_the_host),
        cmocka_unit_test(unmasked_exceptions_match_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
#else
    (void)argc, (void)argv;
    return 0;
#endif
}
