/*
 * Glued code against the engine: the same guests on two machines, one with stencils on its blocks, stopped at the same
 * cycles, must have the same state hash (every field of the vCPU and the chips, every page of RAM).
 *
 *   test_stencil FOLDER      FOLDER: has the test guests, mix.bin, rings.bin and asm/
 */
#include "cpu/engine.h"
#include "cpu/mem.h"
#include "replay/hash.h"
#include "tests/stencil/guest.h"
#include "tests/stencil/loops.h"
#include "tests/stencil/stencil.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static const char *folder;

/* --- two machines --- */

struct pair {
    struct guest guest[2]; /* [1] is glued */
    struct state_hash hash[2];
    struct glue *glue;
    uint64_t seed;
};

static uint64_t random_next(struct pair *pair)
{
    pair->seed ^= pair->seed << 13;
    pair->seed ^= pair->seed >> 7;
    pair->seed ^= pair->seed << 17;
    return pair->seed;
}

static void pair_create(struct pair *pair, const struct load_request *request, uint64_t ram_bytes)
{
    const char *why = "";
    *pair = (struct pair){ .glue = glue_create(&why), .seed = 0x9E3779B97F4A7C15ull };
    if (!pair->glue)
        fail_msg("no glue: %s", why);
    for (unsigned i = 0; i < 2; i++) {
        guest_create(&pair->guest[i], request, ram_bytes, "x86-64-v2");
        assert_int_equal(state_hash_init(&pair->hash[i], machine_board(pair->guest[i].machine)), 0);
    }
}

static void pair_destroy(struct pair *pair)
{
    for (unsigned i = 0; i < 2; i++) {
        state_hash_destroy(&pair->hash[i]);
        guest_destroy(&pair->guest[i]);
    }
    glue_destroy(pair->glue);
}

static struct cpu *cpu_of(struct pair *pair, unsigned i)
{
    return machine_boot_cpu(pair->guest[i].machine);
}

/* Runs both up to a cycle, compares them, and glues what the second has met. */
static void pair_run(struct pair *pair, uint64_t stop_cycle, const char *what)
{
    for (unsigned i = 0; i < 2; i++)
        guest_run(&pair->guest[i], stop_cycle);
    const struct cpu *plain = cpu_of(pair, 0), *glued = cpu_of(pair, 1);
    if (machine_now(pair->guest[0].machine) != machine_now(pair->guest[1].machine) ||
        pair->guest[0].console != pair->guest[1].console || pair->guest[0].ended != pair->guest[1].ended ||
        state_hash_take(&pair->hash[0]) != state_hash_take(&pair->hash[1])) {
        for (unsigned r = 0; r < GPR_SLOTS; r++)
            if (plain->gpr[r] != glued->gpr[r])
                print_error("register %u: %#lx, glued %#lx\n", r, plain->gpr[r], glued->gpr[r]);
        if (plain->rflags != glued->rflags)
            print_error("RFLAGS: %#lx, glued %#lx\n", plain->rflags, glued->rflags);
        fail_msg("%s: different states at cycle %lu, glued %lu", what, machine_now(pair->guest[0].machine),
                 machine_now(pair->guest[1].machine));
    }
    glue_blocks(pair->glue, cpu_of(pair, 1));
    glue_link(pair->glue, cpu_of(pair, 1));
}

static uint64_t now_of(const struct pair *pair)
{
    return machine_now(pair->guest[0].machine);
}

/* --- forms ----------------------------------------------------------------------------------------------------------
 */

/*
 * What has stencils, once each: R14 and R13 point somewhere, R12 counts rounds. The flags of everything are looked at.
 */
__asm__(".pushsection .rodata\n.intel_syntax noprefix\nforms:\n"
        "1: mov rax, rbx\n mov ecx, edx\n mov r8w, r9w\n mov ah, bl\n"
        "mov rsi, 0x12345678\n mov edi, -5\n mov r10, 0x123456789abcdef0\n mov dl, 200\n"
        "mov rax, [r14 + 8]\n mov eax, [r14 + r13 * 4 + 16]\n mov cl, [r14 + 3]\n mov r9w, [r14 + r13]\n"
        "movzx edx, byte ptr [r14 + r13 * 2]\n movsx rdx, word ptr [r14 + 5]\n movsxd r9, dword ptr [r14]\n"
        "mov [r14 + 32], rbx\n mov [r14 + r13 * 8], ecx\n mov byte ptr [r14 + 1], 0x80\n mov qword ptr [r14 + 48], -9\n"
        "add rax, rbx\n add al, 5\n add r8, [r14]\n add [r14 + 40], r9d\n add qword ptr [r14 + r13 * 2 + 3], -7\n"
        "adc rdx, rax\n pushfq\n pop r11\n"
        "sub cx, r9w\n sub rbx, 0x7fffffff\n sbb eax, [r14 + r13 * 8]\n sub byte ptr [r14 + 9], 3\n pushfq\n pop r15\n"
        "and rdx, 0x0ff0\n or [r14 + 24], r11\n xor eax, [r14 + 24]\n xor r8, r15\n and byte ptr [r14 + 2], 0x5a\n"
        "pushfq\n pop rdi\n xor r8, rdi\n"
        "shl rax, 5\n pushfq\n pop rdi\n xor r8, rdi\n sar ebx, cl\n pushfq\n pop rdi\n xor r8, rdi\n"
        "shr r9, 1\n rol edx, 7\n ror r10, cl\n shl dword ptr [r14 + 12], 3\n pushfq\n pop rdi\n xor r8, rdi\n"
        "lea rbx, [rax + rcx * 4 + 100]\n lea r9, [rip + 0x10]\n lea esi, [rsi - 1]\n"
        "inc rcx\n dec dl\n inc dword ptr [r14 + 20]\n pushfq\n pop rdi\n xor r8, rdi\n neg rdx\n not r9d\n"
        "push rax\n push rbx\n pop rax\n pop rbx\n call 9f\n"
        "cmp rax, rbx\n jb 2f\n add r8, 1\n"
        "2: cmp cl, 100\n jle 3f\n add r8, 3\n"
        "3: test byte ptr [r14], 4\n jz 4f\n add r8, 5\n"
        "4: cmp qword ptr [r14 + r13 * 8], 17\n jg 5f\n add r8, 7\n"
        "5: cmp edx, [r14 + 28]\n jae 6f\n add r8, 11\n"
        "6: add r8, r8\n jo 7f\n setc al\n cmovz rbx, r8\n"
        "7: mov ecx, 5\n"
        "8: mov [r14 + rcx * 8 + 64], r8\n xor r8, rcx\n dec ecx\n jnz 8b\n" /* to its own block's start */
        "xor ecx, ecx\n"
        "10: add r8, [r14 + rcx]\n add rcx, 8\n cmp rcx, 64\n jb 10b\n"
        "dec r12\n jnz 1b\n jmp 1b\n"
        "9: push rbp\n mov rbp, rsp\n add r8, [rsp + 8]\n pop rbp\n ret\n"
        "forms_end:\n.att_syntax\n.popsection");
extern const uint8_t forms[], forms_end[];

#define DATA  0x200000ull
#define STACK 0x280000ull
#define ROUND 400u /* cycles, and some */

/* Random registers, flags and data, equal on both. */
static void scatter(struct pair *pair)
{
    static const uint64_t places[] = { DATA + 0x800,         DATA + 0x100, DATA + 0xFF8, DATA + 0x1FD0,
                                       FLAT_ADDRESS + 0xC00, 0xFEE00300,   0x8000000 };
    uint64_t gpr[16], data[64];
    for (unsigned r = 0; r < 16; r++)
        gpr[r] = random_next(pair) >> (random_next(pair) & 63);
    for (unsigned i = 0; i < 64; i++)
        data[i] = random_next(pair);
    uint64_t draw = random_next(pair);
    gpr[R14] = places[draw % 16 < 7 ? draw % 7 : 0] + (draw >> 8) % 16;
    gpr[R13] = (draw >> 16) % 12;
    gpr[RSP] = STACK + ((draw >> 24) % 4 ? 0 : (draw >> 32) % 4096);
    uint64_t flags = random_next(pair) & FLAGS_STATUS;
    for (unsigned i = 0; i < 2; i++) {
        struct cpu *cpu = cpu_of(pair, i);
        memcpy(cpu->gpr, gpr, sizeof(gpr));
        cpu->gpr[GPR_RIP] = FLAT_ADDRESS;
        cpu->rflags = FLAGS_FIXED | flags;
        cpu_update_mode(cpu);
        ram_write(&cpu->board->ram, DATA + 0x800, data, sizeof(data));
    }
    if (draw >> 60 == 0) /* a cache: the second machine alone takes the slow ways */
        tlb_flush(cpu_of(pair, 1));
}

static void test_forms(void **state)
{
    (void)state;
    struct load_request request = {
        .entry = LOAD_FLAT, .kernel = { .path = "forms", .bytes = forms, .size_bytes = (size_t)(forms_end - forms) }
    };
    struct pair pair;
    pair_create(&pair, &request, 16u << 20);
    for (unsigned i = 0; i < 3000; i++) {
        scatter(&pair);
        char what[32];
        snprintf(what, sizeof(what), "case %u", i);
        pair_run(&pair, now_of(&pair) + 1 + random_next(&pair) % ROUND, what);
        assert_false(pair.guest[0].ended);
    }
    const struct glue_counts *counts = glue_counts(pair.glue);
    print_message("%lu blocks, %lu of %lu ops are stencils\n", counts->blocks, counts->stencils, counts->ops);
    assert_true(counts->stencils * 100 > counts->ops * 95);
    pair_destroy(&pair);
}

static void test_loops(void **state)
{
    (void)state;
    for (unsigned l = 0; l < loop_count; l++) {
        struct load_request request = { .entry = LOAD_FLAT,
                                        .kernel = { .path = loops[l].name,
                                                    .bytes = loops[l].begin,
                                                    .size_bytes = (size_t)(loops[l].end - loops[l].begin) } };
        struct pair pair;
        pair_create(&pair, &request, 16u << 20);
        for (unsigned i = 0; i < 300; i++)
            pair_run(&pair, now_of(&pair) + 1 + random_next(&pair) % (i % 10 ? 1000 : 30000), loops[l].name);
        pair_destroy(&pair);
    }
}

/* --- whole guests ---------------------------------------------------------------------------------------------------
 */

/* Runs a guest to its end, with stops and gluing at random cycles. It ends as it does without: by writing 0. */
static void check_guest(const char *name, enum load_entry entry)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.bin", folder, name);
    if (access(path, R_OK)) {
        print_message("%s is not there\n", path);
        skip();
    }
    struct image image = guest_file(path);
    struct load_request request = { .entry = entry, .kernel = image };
    struct pair pair;
    pair_create(&pair, &request, 64u << 20);
    while (!pair.guest[0].ended)
        pair_run(&pair, now_of(&pair) + 1 + random_next(&pair) % (now_of(&pair) < 1000000 ? 20000 : 400000), name);
    const struct board *board = machine_board(pair.guest[1].machine);
    assert_int_equal(board->request, BOARD_DEBUG_EXIT);
    assert_int_equal(board->request_code, 0);
    const struct glue_counts *counts = glue_counts(pair.glue);
    print_message("%s: %lu blocks, %lu of %lu ops are stencils\n", name, counts->blocks, counts->stencils, counts->ops);
    assert_true(counts->stencils > 0 && counts->links > 0);
    pair_destroy(&pair);
    free((void *)(uintptr_t)image.bytes);
}

static void test_mix(void **state)
{
    (void)state;
    check_guest("mix", LOAD_FLAT);
}

/* Programs at CPL 3, faults, interrupts, self-modifying code, paging, other modes. */
static void test_guests(void **state)
{
    (void)state;
    static const char *const names[] = {
        "rings",         "asm/alu",   "asm/atomic",    "asm/bit",   "asm/branch", "asm/coherent", "asm/compat",
        "asm/exception", "asm/flags", "asm/interrupt", "asm/debug", "asm/long64", "asm/move",     "asm/muldiv",
        "asm/paging",    "asm/shift", "asm/smc",       "asm/stack", "asm/string", "asm/system",
    };
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        check_guest(names[i], LOAD_AUTO);
}

int main(int argc, char **argv)
{
    folder = argc > 1 ? argv[1] : "build/release/tests";
    const char *why = "";
    struct glue *glue = glue_create(&why);
    if (!glue) {
        printf("skipped: %s\n", why);
        return 77;
    }
    glue_destroy(glue);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_mix),
        cmocka_unit_test(test_guests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
