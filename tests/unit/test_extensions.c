/*
 * Instructions of the later extensions, from their bytes: decoded, lowered and run, and the same bytes run on the host
 * where it has the feature. What this kind of host may lack is held to published vectors: FIPS 180-4 (SHA), FIPS 197
 * (AES).
 *
 * A case is assembled once, as text inside of a host function; labels around it give the bytes to the simulator. It
 * may use rax, rbx, rcx, rdx, rsi (which points to 64 bytes of memory) and xmm0 to xmm2. Flags that the table calls
 * undefined are not compared, unless SIM_TEST_UNDEFINED is set (meaningful on an Intel host).
 */
#include "cpu/block.h"
#include "cpu/handler.h"
#include "cpu/insn.h"
#include "cpu/model.h"
#include "tests/unit/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#define PAGE   0x10000u
#define MEMORY (PAGE + 0x800)

struct state {
    uint64_t rax, rbx, rcx, rdx, rsi, flags;
    uint64_t reserved[2];
    _Alignas(64) uint64_t xmm[3][2];
    uint64_t unused[2];
    _Alignas(64) uint64_t memory[8];
};

struct bench {
    struct cpu cpu;
    struct engine engine;
    struct tlb_entry tlb[TLB_ENTRIES];
    _Alignas(64) uint8_t memory[4096];
    _Alignas(16) uint8_t block[256];
};

static struct cpu_model all_features; /* every row exists, whatever the models advertise */

static int setup(void **state)
{
    static const uint64_t every[2] = { UINT64_MAX, UINT64_MAX };
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    all_features = *cpu_model_find("x86-64-v2");
    all_features.features = every;
    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        b->tlb[i] = (struct tlb_entry){ .read = TLB_EMPTY, .write = TLB_EMPTY };
    b->tlb[(PAGE >> 12) % TLB_ENTRIES] = (struct tlb_entry){ PAGE, PAGE, (uintptr_t)b->memory - PAGE, 0 };
    b->cpu.engine = &b->engine;
    b->cpu.tlb = b->tlb;
    b->cpu.model = &all_features;
    b->cpu.rflags = FLAGS_FIXED;
    b->cpu.mxcsr = 0x1F80;
    *state = b;
    return 0;
}
static int teardown(void **state)
{
    free(*state);
    return 0;
}

#define MODE_TEST (MODE_CODE64 | MODE_LONG | MODE_PROTECTED | MODE_OSFXSR | MODE_AVX | MODE_AVX512)

static struct insn decoded(const uint8_t *bytes, unsigned count)
{
    struct insn insn;
    assert_int_equal(decode(bytes, count, 64, NULL, &insn), DECODE_OK);
    assert_int_equal(insn.length, count);
    return insn;
}

static bool went_through[ISA_ROW_COUNT];

/* Runs one instruction in the given mode; false: it faulted, see cpu.fault. */
static bool run(struct bench *b, const uint8_t *bytes, unsigned count, uint32_t mode, struct state *s)
{
    struct cpu *cpu = &b->cpu;
    struct block *block = (struct block *)b->block;
    cpu->mode = mode;
    assert_true(lower_block(cpu, block, 0, mode | MODE_SINGLE, bytes, count, true) <= sizeof b->block);
    cpu->gpr[RAX] = s->rax;
    cpu->gpr[RBX] = s->rbx;
    cpu->gpr[RCX] = s->rcx;
    cpu->gpr[RDX] = s->rdx;
    cpu->gpr[RSI] = MEMORY;
    cpu->gpr[GPR_RIP] = 0x4000;
    memcpy(b->memory + 0x800, s->memory, sizeof s->memory);
    for (unsigned i = 0; i < 3; i++)
        memcpy(&cpu->zmm[i], s->xmm[i], 16);
    flags_set_status(cpu, s->flags);
    cpu->cycle = cpu->retired = 1000;
    b->engine.outcome = ENGINE_BOUNDARY;
    const struct op *op = block->ops;
    while (op)
        op = op->run(cpu, op);
    s->rax = cpu->gpr[RAX];
    s->rbx = cpu->gpr[RBX];
    s->rcx = cpu->gpr[RCX];
    s->rdx = cpu->gpr[RDX];
    s->flags = flags_read(cpu) & FLAGS_STATUS;
    memcpy(s->memory, b->memory + 0x800, sizeof s->memory);
    for (unsigned i = 0; i < 3; i++)
        memcpy(s->xmm[i], &cpu->zmm[i], 16);
    struct insn insn;
    if (b->engine.outcome != ENGINE_BOUNDARY)
        return false;
    if (decode(bytes, count, 64, NULL, &insn) == DECODE_OK)
        went_through[insn.row - isa_rows] = true;
    return true;
}

/* --- against the host --------------------------------------------------------------------------------------------- */

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Random values, one in two replaced by an edge: zeros, ones, single bits, small numbers. */
static uint64_t operand(uint64_t *seed)
{
    uint64_t value = random_next(seed), kind = random_next(seed);
    switch (kind & 15) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return 1ull << (value & 63);
    case 3:
        return (1ull << (value & 63)) - 1;
    case 4:
        return ~0ull << (value & 63);
    case 5:
        return value & 0xFF;
    case 6:
        return value & 0xFFFF;
    case 7:
        return (uint32_t)value;
    case 8:
        return value & random_next(seed) & random_next(seed);
    default:
        return value;
    }
}

static struct state random_state(uint64_t *seed)
{
    struct state s = { operand(seed), operand(seed), operand(seed), operand(seed), 0, operand(seed) & FLAGS_STATUS,
                       { 0 },         { { 0 } },     { 0 },         { 0 } };
    for (unsigned i = 0; i < 6; i++)
        s.xmm[i / 2][i % 2] = operand(seed);
    for (unsigned i = 0; i < 8; i++)
        s.memory[i] = operand(seed);
    return s;
}

#ifdef __x86_64__

struct host_case {
    const char *text;
    const char *feature;
    void (*run)(struct state *s);
    const uint8_t *begin, *end;
    bool present;
};

#define HOST(name, text)                                                                                               \
    extern const uint8_t begin_##name[] __attribute__((visibility("hidden")));                                         \
    extern const uint8_t end_##name[] __attribute__((visibility("hidden")));                                           \
    static __attribute__((noinline)) void host_##name(struct state *s)                                                 \
    {                                                                                                                  \
        __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"                                                                  \
                         "movdqu 64(%%rdi), %%xmm0\n\tmovdqu 80(%%rdi), %%xmm1\n\tmovdqu 96(%%rdi), %%xmm2\n\t"        \
                         "mov (%%rdi), %%rax\n\tmov 8(%%rdi), %%rbx\n\tmov 16(%%rdi), %%rcx\n\t"                       \
                         "mov 24(%%rdi), %%rdx\n\tlea 128(%%rdi), %%rsi\n\tpushq 40(%%rdi)\n\tpopfq\n"                 \
                         "begin_" #name ":\n\t" text "\nend_" #name ":\n\t"                                            \
                         "pushfq\n\tpopq 40(%%rdi)\n\tmov %%rax, (%%rdi)\n\tmov %%rbx, 8(%%rdi)\n\t"                   \
                         "mov %%rcx, 16(%%rdi)\n\tmov %%rdx, 24(%%rdi)\n\tmovdqu %%xmm0, 64(%%rdi)\n\t"                \
                         "movdqu %%xmm1, 80(%%rdi)\n\tmovdqu %%xmm2, 96(%%rdi)\n\tlea 128(%%rsp), %%rsp"               \
                         :                                                                                             \
                         : "D"(s)                                                                                      \
                         : "rax", "rbx", "rcx", "rdx", "rsi", "xmm0", "xmm1", "xmm2", "cc", "memory");                 \
    }
#define CASE(name, feature, text)                                                                                      \
    { text, feature, host_##name, begin_##name, end_##name, __builtin_cpu_supports(feature) != 0 },

/* clang-format off */
#define GENERAL_CASES(M)                                    \
    M(andn32, "bmi", "andn %%ecx, %%ebx, %%eax")            \
    M(andn64, "bmi", "andn %%rcx, %%rbx, %%rax")            \
    M(andn64m, "bmi", "andn 8(%%rsi), %%rbx, %%rax")        \
    M(bextr32, "bmi", "bextr %%ecx, %%ebx, %%eax")          \
    M(bextr64, "bmi", "bextr %%rcx, %%rbx, %%rax")          \
    M(bextr64m, "bmi", "bextr %%rcx, 8(%%rsi), %%rax")      \
    M(blsi32, "bmi", "blsi %%ecx, %%eax")                   \
    M(blsi64m, "bmi", "blsi (%%rsi), %%rax")                \
    M(blsmsk32, "bmi", "blsmsk %%ecx, %%eax")               \
    M(blsmsk64, "bmi", "blsmsk %%rcx, %%rcx")               \
    M(blsr32, "bmi", "blsr %%ecx, %%eax")                   \
    M(blsr64, "bmi", "blsr %%rcx, %%rax")                   \
    M(tzcnt16, "bmi", "tzcnt %%cx, %%ax")                   \
    M(tzcnt32, "bmi", "tzcnt %%ecx, %%eax")                 \
    M(tzcnt64, "bmi", "tzcnt 8(%%rsi), %%rax")              \
    M(lzcnt16, "lzcnt", "lzcnt %%cx, %%ax")                 \
    M(lzcnt32, "lzcnt", "lzcnt %%ecx, %%eax")               \
    M(lzcnt64, "lzcnt", "lzcnt 8(%%rsi), %%rax")            \
    M(bzhi32, "bmi2", "bzhi %%ecx, %%ebx, %%eax")           \
    M(bzhi64, "bmi2", "bzhi %%rcx, %%rbx, %%rax")           \
    M(bzhi64m, "bmi2", "bzhi %%rcx, (%%rsi), %%rax")        \
    M(pdep32, "bmi2", "pdep %%ecx, %%ebx, %%eax")           \
    M(pdep64m, "bmi2", "pdep (%%rsi), %%rbx, %%rax")        \
    M(pext32, "bmi2", "pext %%ecx, %%ebx, %%eax")           \
    M(pext64, "bmi2", "pext %%rcx, %%rbx, %%rax")           \
    M(mulx32, "bmi2", "mulx %%ecx, %%ebx, %%eax")           \
    M(mulx64m, "bmi2", "mulx (%%rsi), %%rbx, %%rax")        \
    M(mulx64s, "bmi2", "mulx %%rcx, %%rax, %%rax")          \
    M(mulx64d, "bmi2", "mulx %%rdx, %%rdx, %%rcx")          \
    M(sarx32, "bmi2", "sarx %%ecx, %%ebx, %%eax")           \
    M(sarx64m, "bmi2", "sarx %%rcx, (%%rsi), %%rax")        \
    M(shlx32, "bmi2", "shlx %%ecx, %%ebx, %%eax")           \
    M(shlx64, "bmi2", "shlx %%rcx, %%rbx, %%rax")           \
    M(shrx32m, "bmi2", "shrx %%ecx, (%%rsi), %%eax")        \
    M(shrx64, "bmi2", "shrx %%rcx, %%rbx, %%rax")           \
    M(rorx32, "bmi2", "rorx $39, %%ebx, %%eax")             \
    M(rorx64, "bmi2", "rorx $39, %%rbx, %%rax")             \
    M(rorx64z, "bmi2", "rorx $64, (%%rsi), %%rax")          \
    M(adcx32, "adx", "adcx %%ecx, %%eax")                   \
    M(adcx64, "adx", "adcx (%%rsi), %%rax")                 \
    M(adox32, "adx", "adox %%ecx, %%eax")                   \
    M(adox64, "adx", "adox %%rcx, %%rax")                   \
    M(movbe16, "movbe", "movbe (%%rsi), %%ax")              \
    M(movbe32, "movbe", "movbe (%%rsi), %%eax")             \
    M(movbe64, "movbe", "movbe (%%rsi), %%rax")             \
    M(movbe16s, "movbe", "movbe %%ax, 9(%%rsi)")            \
    M(movbe32s, "movbe", "movbe %%eax, 9(%%rsi)")           \
    M(movbe64s, "movbe", "movbe %%rax, 9(%%rsi)")
#define VECTOR_CASES(M)                                                 \
    M(aesenc, "aes", "aesenc %%xmm1, %%xmm0")                           \
    M(aesenclast, "aes", "aesenclast 16(%%rsi), %%xmm0")                \
    M(aesdec, "aes", "aesdec %%xmm1, %%xmm0")                           \
    M(aesdeclast, "aes", "aesdeclast %%xmm1, %%xmm0")                   \
    M(aesimc, "aes", "aesimc %%xmm1, %%xmm0")                           \
    M(aeskeygen, "aes", "aeskeygenassist $0x36, %%xmm1, %%xmm0")        \
    M(pclmul00, "pclmul", "pclmulqdq $0, %%xmm1, %%xmm0")               \
    M(pclmul01, "pclmul", "pclmulqdq $1, %%xmm1, %%xmm0")               \
    M(pclmul10, "pclmul", "pclmulqdq $0x10, (%%rsi), %%xmm0")           \
    M(pclmul11, "pclmul", "pclmulqdq $0xFF, %%xmm1, %%xmm1")
#define MAYBE_CASES(M)                                                  \
    M(sha1rnds4, "sha", "sha1rnds4 $1, %%xmm1, %%xmm0")                 \
    M(sha256rnds2, "sha", "sha256rnds2 %%xmm2, %%xmm1")                 \
    M(gf2p8mulb, "gfni", "gf2p8mulb %%xmm1, %%xmm0")                    \
    M(gf2p8affineqb, "gfni", "gf2p8affineqb $0x5A, %%xmm1, %%xmm0")     \
    M(gf2p8affineinvqb, "gfni", "gf2p8affineinvqb $0x5A, (%%rsi), %%xmm0")
/* clang-format on */
#define DEFINE_HOST(name, feature, text) HOST(name, text)
GENERAL_CASES(DEFINE_HOST)
VECTOR_CASES(DEFINE_HOST)
MAYBE_CASES(DEFINE_HOST)

#define STATES 3000u

static void compare(struct bench *b, const struct host_case *c)
{
    unsigned count = (unsigned)(c->end - c->begin);
    struct insn insn = decoded(c->begin, count);
    uint32_t compared = FLAGS_STATUS & ~(getenv("SIM_TEST_UNDEFINED") ? 0 : insn.row->flags_undefined);
    uint64_t seed = 0x9E3779B97F4A7C15;
    for (unsigned i = 0; i < STATES; i++) {
        struct state in = random_state(&seed), want = in, got = in;
        c->run(&want);
        if (!run(b, c->begin, count, MODE_TEST, &got))
            fail_msg("%s: fault %u", c->text, b->cpu.fault.vector);
        bool equal = want.rax == got.rax && want.rbx == got.rbx && want.rcx == got.rcx && want.rdx == got.rdx &&
                     !((want.flags ^ got.flags) & compared) && !memcmp(want.xmm, got.xmm, sizeof want.xmm) &&
                     !memcmp(want.memory, got.memory, sizeof want.memory);
        if (!equal)
            fail_msg("%s: in rax %llx rbx %llx rcx %llx rdx %llx flags %llx; want rax %llx rbx %llx flags %llx xmm0 "
                     "%llx:%llx, got %llx %llx %llx %llx:%llx",
                     c->text, (unsigned long long)in.rax, (unsigned long long)in.rbx, (unsigned long long)in.rcx,
                     (unsigned long long)in.rdx, (unsigned long long)in.flags, (unsigned long long)want.rax,
                     (unsigned long long)want.rbx, (unsigned long long)(want.flags & FLAGS_STATUS),
                     (unsigned long long)want.xmm[0][1], (unsigned long long)want.xmm[0][0],
                     (unsigned long long)got.rax, (unsigned long long)got.rbx, (unsigned long long)got.flags,
                     (unsigned long long)got.xmm[0][1], (unsigned long long)got.xmm[0][0]);
    }
}

static void compare_all(void **state, const struct host_case *cases, unsigned count)
{
    const char *lacking = NULL;
    for (unsigned i = 0; i < count; i++) {
        if (cases[i].present)
            compare(*state, &cases[i]);
        else
            lacking = cases[i].feature;
    }
    if (lacking) {
        print_message("this host lacks %s: not compared\n", lacking);
        skip();
    }
}

static void test_general(void **state)
{
    const struct host_case cases[] = { GENERAL_CASES(CASE) };
    compare_all(state, cases, sizeof cases / sizeof cases[0]);
}
static void test_vector(void **state)
{
    const struct host_case cases[] = { VECTOR_CASES(CASE) };
    compare_all(state, cases, sizeof cases / sizeof cases[0]);
}
/* Apart from the rest, because few hosts have all of them. */
static void test_maybe(void **state)
{
    const struct host_case cases[] = { MAYBE_CASES(CASE) };
    compare_all(state, cases, sizeof cases / sizeof cases[0]);
}

#endif /* __x86_64__ */

/* --- known answers ------------------------------------------------------------------------------------------------ */

typedef uint32_t lanes[4]; /* lane 0 first */

/* dst = instruction(dst, src), with third in XMM0. opcode: the bytes before ModRM (xmm1, xmm2); imm < 0: none. */
static void vector(struct bench *b, const char *opcode, int imm, const lanes third, lanes dst, const lanes src)
{
    uint8_t bytes[8];
    unsigned count = (unsigned)strlen(opcode);
    struct state s = { 0 };
    memcpy(bytes, opcode, count);
    bytes[count++] = 0xCA;
    if (imm >= 0)
        bytes[count++] = (uint8_t)imm;
    memcpy(s.xmm[0], third, 16);
    memcpy(s.xmm[1], dst, 16);
    memcpy(s.xmm[2], src, 16);
    assert_true(run(b, bytes, count, MODE_TEST, &s));
    memcpy(dst, s.xmm[1], 16);
}

#define SHA1RNDS4   "\x0F\x3A\xCC"
#define SHA1NEXTE   "\x0F\x38\xC8"
#define SHA1MSG1    "\x0F\x38\xC9"
#define SHA1MSG2    "\x0F\x38\xCA"
#define SHA256RNDS2 "\x0F\x38\xCB"
#define SHA256MSG1  "\x0F\x38\xCC"
#define SHA256MSG2  "\x0F\x38\xCD"
#define AESENC      "\x66\x0F\x38\xDC"
#define AESENCLAST  "\x66\x0F\x38\xDD"
#define AESDEC      "\x66\x0F\x38\xDE"
#define AESDECLAST  "\x66\x0F\x38\xDF"
#define AESIMC      "\x66\x0F\x38\xDB"
#define AESKEYGEN   "\x66\x0F\x3A\xDF"
#define GF2P8MULB   "\x66\x0F\x38\xCF"
#define GF2P8AFF    "\x66\x0F\x3A\xCE"
#define GF2P8INV    "\x66\x0F\x3A\xCF"

static const lanes zero;

/* FIPS 180-4 by way of FIPS 180-2 appendix B.1: "abc", one block. */
static void test_sha256(void **state)
{
    static const uint32_t k[64] = {
        0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5,
        0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174,
        0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA,
        0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967,
        0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85,
        0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070,
        0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3,
        0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2,
    };
    struct bench *b = *state;
    uint32_t w[64] = { 0x61626380, [15] = 24 };
    lanes abef = { 0x9B05688C, 0x510E527F, 0xBB67AE85, 0x6A09E667 };
    lanes cdgh = { 0x5BE0CD19, 0x1F83D9AB, 0xA54FF53A, 0x3C6EF372 };
    for (unsigned i = 16; i < 64; i += 4) {
        vector(b, SHA256MSG1, -1, zero, memcpy(&w[i], &w[i - 16], 16), &w[i - 12]);
        for (unsigned j = 0; j < 4; j++)
            w[i + j] += w[i + j - 7];
        vector(b, SHA256MSG2, -1, zero, &w[i], &w[i - 4]);
    }
    for (unsigned i = 0; i < 64; i += 4) {
        lanes first = { w[i] + k[i], w[i + 1] + k[i + 1] }, second = { w[i + 2] + k[i + 2], w[i + 3] + k[i + 3] };
        vector(b, SHA256RNDS2, -1, first, cdgh, abef);
        vector(b, SHA256RNDS2, -1, second, abef, cdgh);
    }
    assert_int_equal(abef[3] + 0x6A09E667, 0xBA7816BF);
    assert_int_equal(abef[2] + 0xBB67AE85, 0x8F01CFEA);
    assert_int_equal(cdgh[3] + 0x3C6EF372, 0x414140DE);
    assert_int_equal(cdgh[2] + 0xA54FF53A, 0x5DAE2223);
    assert_int_equal(abef[1] + 0x510E527F, 0xB00361A3);
    assert_int_equal(abef[0] + 0x9B05688C, 0x96177A9C);
    assert_int_equal(cdgh[1] + 0x1F83D9AB, 0xB410FF61);
    assert_int_equal((uint32_t)(cdgh[0] + 0x5BE0CD19), 0xF20015AD);
}

/* FIPS 180-2 appendix A.1. Words run from the top lane downwards here. */
static void test_sha1(void **state)
{
    struct bench *b = *state;
    uint32_t words[20][4] = { { 0, 0, 0, 0x61626380 }, { 0 }, { 0 }, { 24, 0, 0, 0 } };
    lanes abcd = { 0x10325476, 0x98BADCFE, 0xEFCDAB89, 0x67452301 }, e = { 0, 0, 0, 0xC3D2E1F0 }, before;
    for (unsigned i = 4; i < 20; i++) {
        memcpy(words[i], words[i - 4], 16);
        vector(b, SHA1MSG1, -1, zero, words[i], words[i - 3]);
        for (unsigned j = 0; j < 4; j++)
            words[i][j] ^= words[i - 2][j];
        vector(b, SHA1MSG2, -1, zero, words[i], words[i - 1]);
    }
    for (unsigned i = 0; i < 20; i++) {
        lanes in;
        memcpy(in, i ? e : words[0], 16);
        if (i)
            vector(b, SHA1NEXTE, -1, zero, in, words[i]); /* e: the A of four rounds before */
        else
            in[3] += e[3];
        memcpy(before, abcd, 16);
        vector(b, SHA1RNDS4, (int)i / 5, zero, abcd, in);
        memcpy(e, before, 16);
    }
    lanes last = { 0, 0, 0, 0xC3D2E1F0 };
    vector(b, SHA1NEXTE, -1, zero, e, last);
    assert_int_equal((uint32_t)(abcd[3] + 0x67452301), 0xA9993E36);
    assert_int_equal((uint32_t)(abcd[2] + 0xEFCDAB89), 0x4706816A);
    assert_int_equal((uint32_t)(abcd[1] + 0x98BADCFE), 0xBA3E2571);
    assert_int_equal((uint32_t)(abcd[0] + 0x10325476), 0x7850C26C);
    assert_int_equal(e[3], 0x9CD0D89D);
}

/* FIPS 197, appendices A.1 and C.1: key 00 01 .. 0F, plain text 00 11 .. FF. */
static void test_aes(void **state)
{
    static const uint8_t want[16] = { 0x69, 0xC4, 0xE0, 0xD8, 0x6A, 0x7B, 0x04, 0x30,
                                      0xD8, 0xCD, 0xB7, 0x80, 0x70, 0xB4, 0xC5, 0x5A };
    struct bench *b = *state;
    lanes key[11] = { { 0x03020100, 0x07060504, 0x0B0A0908, 0x0F0E0D0C } };
    lanes text = { 0x33221100, 0x77665544, 0xBBAA9988, 0xFFEEDDCC }, plain;
    unsigned constant = 1;
    for (unsigned i = 1; i < 11; i++) {
        lanes help;
        vector(b, AESKEYGEN, (int)constant, zero, memset(help, 0, 16), key[i - 1]);
        uint32_t word = help[3];
        for (unsigned j = 0; j < 4; j++)
            word = key[i][j] = key[i - 1][j] ^ word;
        constant = constant << 1 ^ (constant & 0x80 ? 0x11B : 0);
    }
    memcpy(plain, text, 16);
    for (unsigned j = 0; j < 4; j++)
        text[j] ^= key[0][j];
    for (unsigned i = 1; i < 11; i++)
        vector(b, i < 10 ? AESENC : AESENCLAST, -1, zero, text, key[i]);
    assert_memory_equal(text, want, 16);
    for (unsigned j = 0; j < 4; j++)
        text[j] ^= key[10][j];
    for (unsigned i = 9; i > 0; i--) {
        lanes inverse;
        vector(b, AESIMC, -1, zero, memset(inverse, 0, 16), key[i]);
        vector(b, AESDEC, -1, zero, text, inverse);
    }
    vector(b, AESDECLAST, -1, zero, text, key[0]);
    assert_memory_equal(text, plain, 16);
}

/* FIPS 197: {57} * {83} = {C1}, {57} * {13} = {FE} (4.2); the S-box is an inverse and an affine map (5.1.1). */
static void test_gfni(void **state)
{
    struct bench *b = *state;
    lanes x = { 0x57575757, 0, 0x01010101, 0 }, y = { 0x13830201, 0x12345678, 0x89ABCDEF, 0 };
    vector(b, GF2P8MULB, -1, zero, x, y);
    assert_int_equal(x[0], 0xFEC1AE57);
    assert_int_equal(x[1], 0);
    assert_int_equal(x[2], 0x89ABCDEF);
    const lanes matrix = { 0x1F3E7CF8, 0xF1E3C78F, 0x1F3E7CF8, 0xF1E3C78F };
    lanes in = { 0xFF530100, 0x030201FE, 0, 0x12345678 };
    vector(b, GF2P8INV, 0x63, zero, in, matrix);
    assert_int_equal(in[0], 0x16ED7C63);
    assert_int_equal(in[1], 0x7B777CBB);
    assert_int_equal(in[2], 0x63636363);
    const lanes diagonals = { 0x10204080, 0x01020408, 0x08040201, 0x80402010 };
    lanes same = { 0x89ABCDEF, 0x12345678, 0x89ABCDEF, 0x12345678 };
    vector(b, GF2P8AFF, 0, zero, same, diagonals);
    assert_int_equal(same[0], 0x89ABCDEF);
    assert_int_equal(same[1], 0x12345678);
    assert_int_equal(same[2], 0x91D5B3F7); /* bits in reverse */
    assert_int_equal(same[3], 0x482C6A1E);
}

/* --- VEX and EVEX forms ------------------------------------------------------------------------------------------ */

/* Each 128-bit unit of a longer form is what the legacy form computes; what lies above the vector becomes zero. */
static void test_vector_lengths(void **state)
{
    static const struct {
        uint8_t map, opcode, w;
        bool imm, only_128, unary;
    } forms[] = {
        { 2, 0xDC, 0, false, false, false }, { 2, 0xDD, 0, false, false, false }, { 2, 0xDE, 0, false, false, false },
        { 2, 0xDF, 0, false, false, false }, { 2, 0xDB, 0, false, true, true },   { 3, 0xDF, 0, true, true, true },
        { 3, 0x44, 0, true, false, false },  { 2, 0xCF, 0, false, false, false }, { 3, 0xCE, 1, true, false, false },
        { 3, 0xCF, 1, true, false, false },
    };
    struct bench *b = *state;
    struct cpu *cpu = &b->cpu;
    uint64_t seed = 99;
    for (unsigned n = 0; n < 200 * sizeof forms / sizeof forms[0]; n++) {
        unsigned i = n % (sizeof forms / sizeof forms[0]), kind = n / 10 % 4; /* VEX.128, VEX.256, EVEX.256, EVEX.512 */
        unsigned length = kind == 0 ? 16 : kind < 3 ? 32 : 64;
        uint8_t imm = (uint8_t)random_next(&seed), vvvv = forms[i].unary ? 0x78 : 0x70;
        union vector_register want = { .u64 = { 0 } }, x, y;
        if (forms[i].only_128 && kind)
            continue;
        for (unsigned k = 0; k < 8; k++) {
            x.u64[k] = random_next(&seed);
            y.u64[k] = random_next(&seed);
        }
        for (unsigned unit = 0; unit < length; unit += 16) {
            const char opcode[] = { 0x66, 0x0F, forms[i].map == 2 ? 0x38 : 0x3A, (char)forms[i].opcode, 0 };
            lanes dst, src;
            memcpy(dst, &x.u8[unit], 16);
            memcpy(src, &y.u8[unit], 16);
            vector(b, opcode, forms[i].imm ? imm : -1, zero, dst, src);
            memcpy(&want.u8[unit], dst, 16);
        }
        uint8_t vex[] = {
            0xC4, 0xE0 | forms[i].map, (uint8_t)(forms[i].w << 7 | vvvv | kind << 2 | 1), forms[i].opcode, 0xCA, imm
        };
        uint8_t evex[] = { 0x62,
                           0xF0 | forms[i].map,
                           (uint8_t)(forms[i].w << 7 | vvvv | 5),
                           kind == 2 ? 0x28 : 0x48,
                           forms[i].opcode,
                           0xCA,
                           imm };
        struct state s = { 0 };
        memcpy(s.xmm[1], &x, 16);
        memcpy(s.xmm[2], &y, 16);
        cpu->zmm[1] = x; /* run() replaces the low 16 bytes, by the same */
        cpu->zmm[2] = y;
        assert_true(run(b, kind < 2 ? vex : evex, (kind < 2 ? 5u : 6u) + forms[i].imm, MODE_TEST, &s));
        assert_memory_equal(&cpu->zmm[1], &want, 64);
    }
}

/* --- what is refused ---------------------------------------------------------------------------------------------- */

#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static void refused(struct bench *b, const uint8_t *bytes, unsigned count, uint32_t mode, enum vector vector)
{
    struct state s = { 0 };
    assert_false(run(b, bytes, count, mode, &s));
    assert_int_equal(b->cpu.fault.vector, vector);
}

static void test_refused(void **state)
{
    struct bench *b = *state;
    struct state s = { .rbx = 0xF0, .rcx = 0xFF };
    assert_true(run(b, BYTES(0xC4, 0xE2, 0x60, 0xF2, 0xC1), MODE_TEST, &s)); /* ANDN EAX, EBX, ECX */
    assert_int_equal(s.rax, 0x0F);
    refused(b, BYTES(0xC4, 0xE2, 0x64, 0xF2, 0xC1), MODE_TEST, VEC_UD);       /* VEX.L */
    refused(b, BYTES(0x66, 0xC4, 0xE2, 0x60, 0xF2, 0xC1), MODE_TEST, VEC_UD); /* a prefix before VEX */
    refused(b, BYTES(0xC4, 0xE3, 0x63, 0xF0, 0xC1, 1), MODE_TEST, VEC_UD);    /* RORX: vvvv is not used */
    refused(b, BYTES(0xC4, 0xE2, 0x78, 0xF3, 0xC1), MODE_TEST, VEC_UD);       /* group 17 /0 */
    /* without a word about vector state: not even CR4.OSXSAVE */
    assert_true(run(b, BYTES(0xC4, 0xE2, 0x60, 0xF2, 0xC1), MODE_CODE64 | MODE_LONG | MODE_PROTECTED | MODE_TS, &s));
    /* real mode: C4 C0 would be LES with a register, so it is VEX, and VEX is #UD */
    refused(b, BYTES(0xC4, 0xE2, 0x60, 0xF2, 0xC1), MODE_CODE16, VEC_UD);
    refused(b, BYTES(0xC4, 0xE2, 0x60, 0xF2, 0xC1), MODE_CODE16 | MODE_PROTECTED | MODE_VM86, VEC_UD);
    /* legacy SSE rules */
    refused(b, BYTES(0x66, 0x0F, 0x38, 0xDC, 0x46, 0x08), MODE_TEST, VEC_GP); /* AESENC XMM0, [RSI + 8] */
    refused(b, BYTES(0x0F, 0x38, 0xC8, 0xC1), MODE_TEST | MODE_TS, VEC_NM);
    refused(b, BYTES(0x66, 0x0F, 0x38, 0xDC, 0xC1), MODE_CODE64 | MODE_LONG | MODE_PROTECTED, VEC_UD);
}

static bool row_went_through(const struct isa_row *row)
{
    return went_through[row - isa_rows];
}

/* --rows: with known answers and comparisons alike, so they are run to find out. */
int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
#ifdef __x86_64__
        TEST(test_general), TEST(test_vector),         TEST(test_maybe),
#endif
        TEST(test_sha256),  TEST(test_sha1),           TEST(test_aes),
        TEST(test_gfni),    TEST(test_vector_lengths), TEST(test_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return rows_asked(argc, argv) ? rows_print(row_went_through) : failed;
}
