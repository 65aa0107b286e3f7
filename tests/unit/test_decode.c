/*
 * Golden cases of the decoder and the disassembler: what the manual says about prefixes, sizes, addressing forms, and
 * the corners where one byte sequence could be taken for two instructions.
 */
#include "cpu/insn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static unsigned hex_bytes(const char *hex, uint8_t *out)
{
    unsigned count = 0, byte;

    for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
        out[count++] = (uint8_t)byte;
    return count;
}

static enum decode_status decode_hex(unsigned mode_bits, const char *hex, const uint64_t *features, struct insn *insn)
{
    uint8_t bytes[32];

    return decode(bytes, hex_bytes(hex, bytes), mode_bits, features, insn);
}

#define AT 0x401000u

/* All bytes of `hex` are one instruction with this text; NULL: #UD. */
static const struct golden {
    unsigned mode_bits;
    const char *hex, *text;
} goldens[] = {
    /* operand sizes */
    { 64, "00c8", "add al, cl" },
    { 64, "01c8", "add eax, ecx" },
    { 64, "6601c8", "add ax, cx" },
    { 64, "4801c8", "add rax, rcx" },
    { 64, "664801c8", "add rax, rcx" },
    { 64, "486601c8", "add ax, cx" }, /* a REX before another prefix is void */
    { 32, "01c8", "add eax, ecx" },
    { 32, "6601c8", "add ax, cx" },
    { 16, "01c8", "add ax, cx" },
    { 16, "6601c8", "add eax, ecx" },
    /* byte registers with and without REX */
    { 64, "00e0", "add al, ah" },
    { 64, "4000e0", "add al, spl" },
    { 64, "4500c7", "add r15b, r8b" },
    { 64, "b7ff", "mov bh, 0xff" },
    { 64, "40b7ff", "mov dil, 0xff" },
    /* immediates */
    { 64, "0580000000", "add eax, 0x80" },
    { 64, "480500000080", "add rax, 0xffffffff80000000" },
    { 64, "66050080", "add ax, 0x8000" },
    { 64, "83c0ff", "add eax, 0xffffffff" },
    { 64, "4883c080", "add rax, 0xffffffffffffff80" },
    { 64, "b8ffffffff", "mov eax, 0xffffffff" },
    { 64, "48b8efcdab8967452301", "mov rax, 0x123456789abcdef" },
    { 64, "66b83412", "mov ax, 0x1234" },
    { 16, "b83412", "mov ax, 0x1234" },
    { 64, "c8341201", "enter 0x1234, 0x1" },
    { 64, "c20800", "ret 0x8" },
    { 64, "d1e0", "shl eax, 1" },
    { 64, "d3e0", "shl eax, cl" },
    { 64, "c1e0ff", "shl eax, 0xff" },
    /* 32- and 64-bit addressing */
    { 64, "0108", "add dword ptr [rax], ecx" },
    { 64, "014808", "add dword ptr [rax+0x8], ecx" },
    { 64, "0148f8", "add dword ptr [rax-0x8], ecx" },
    { 64, "018800000080", "add dword ptr [rax-0x80000000], ecx" },
    { 64, "010c24", "add dword ptr [rsp], ecx" },
    { 64, "41010c24", "add dword ptr [r12], ecx" },
    { 64, "014d00", "add dword ptr [rbp], ecx" },
    { 64, "41014d00", "add dword ptr [r13], ecx" },
    { 64, "010c88", "add dword ptr [rax+rcx*4], ecx" },
    { 64, "42010ca0", "add dword ptr [rax+r12*4], ecx" },
    { 64, "010ccd10000000", "add dword ptr [rcx*8+0x10], ecx" },
    { 64, "010c2510000000", "add dword ptr ds:0x10, ecx" },
    { 64, "010c25000000ff", "add dword ptr ds:0xffffffffff000000, ecx" },
    { 64, "010d10000000", "add dword ptr [rip+0x10], ecx        # 0x401016" },
    { 64, "67010d10000000", "add dword ptr [eip+0x10], ecx        # 0x401017" },
    { 64, "670108", "add dword ptr [eax], ecx" },
    { 32, "010d10000000", "add dword ptr ds:0x10, ecx" },
    { 32, "0108", "add dword ptr [eax], ecx" },
    /* 16-bit addressing */
    { 16, "0100", "add word ptr [bx+si], ax" },
    { 16, "0103", "add word ptr [bp+di], ax" },
    { 16, "0106cdab", "add word ptr ds:0xabcd, ax" },
    { 16, "014600", "add word ptr [bp], ax" },
    { 16, "0147fe", "add word ptr [bx-0x2], ax" },
    { 16, "67660108", "add dword ptr [eax], ecx" },
    { 32, "670100", "add dword ptr [bx+si], eax" },
    /* segments */
    { 64, "64010c2510000000", "add dword ptr fs:0x10, ecx" },
    { 64, "2e0108", "add dword ptr [rax], ecx" },      /* ignored in 64-bit mode ... */
    { 64, "643e0108", "add dword ptr fs:[rax], ecx" }, /* ... and without effect on an FS before */
    { 32, "2e0108", "add dword ptr cs:[eax], ecx" },
    { 32, "3e014d00", "add dword ptr ds:[ebp], ecx" },
    { 32, "36014d00", "add dword ptr [ebp], ecx" },
    { 32, "262e0108", "add dword ptr cs:[eax], ecx" },
    { 64, "a1f0debc9a78563412", "mov eax, ds:0x123456789abcdef0" },
    { 64, "67a178563412", "mov eax, ds:0x12345678" },
    { 64, "48a3f0debc9a78563412", "mov ds:0x123456789abcdef0, rax" },
    { 32, "64a178563412", "mov eax, fs:0x12345678" },
    { 16, "a03412", "mov al, ds:0x1234" },
    /* 64-bit defaults */
    { 64, "50", "push rax" },
    { 64, "6650", "push ax" },
    { 64, "4150", "push r8" },
    { 64, "6aff", "push 0xffffffffffffffff" },
    { 64, "6800000080", "push 0xffffffff80000000" },
    { 64, "c3", "ret" },
    { 64, "ff20", "jmp qword ptr [rax]" },
    { 64, "66ff20", "jmp qword ptr [rax]" },
    { 64, "ffd0", "call rax" },
    { 32, "ffd0", "call eax" },
    { 32, "66ffd0", "call ax" },
    /* branches */
    { 64, "e900000000", "jmp 0x401005" },
    { 64, "66e900000000", "jmp 0x401006" },
    { 64, "ebfe", "jmp 0x401000" },
    { 32, "ebfe", "jmp 0x401000" },
    { 32, "66ebfe", "jmp 0x1001" },
    { 16, "e9fdff", "jmp 0x1000" },
    { 32, "ea785634122143", "jmp 0x4321:0x12345678" },
    { 32, "66ea78562143", "jmp 0x4321:0x5678" },
    { 64, "ea785634122143", NULL },
    /* one byte sequence, several instructions */
    { 64, "90", "nop" },
    { 64, "6690", "nop" },
    { 64, "4890", "nop" },
    { 64, "f390", "pause" },
    { 64, "4190", "xchg r8d, eax" },
    { 64, "4990", "xchg r8, rax" },
    { 64, "91", "xchg ecx, eax" },
    { 64, "f30f1efa", "endbr64" },
    { 64, "0fbcc1", "bsf eax, ecx" },
    { 64, "f20fbcc1", "bsf eax, ecx" },
    { 64, "f30fbcc1", "tzcnt eax, ecx" },
    { 64, "66f30fbcc1", "tzcnt ax, cx" },
    { 64, "0f38f000", "movbe eax, dword ptr [rax]" },
    { 64, "660f38f000", "movbe ax, word ptr [rax]" },
    { 64, "f20f38f000", "crc32 eax, byte ptr [rax]" },
    { 64, "66f20f38f100", "crc32 eax, word ptr [rax]" },
    { 64, "f30f38f000", NULL },
    { 64, "f30fb8c1", "popcnt eax, ecx" },
    { 64, "0fb8c1", NULL },
    { 64, "0fc708", "cmpxchg8b qword ptr [rax]" },
    { 64, "480fc708", "cmpxchg16b xmmword ptr [rax]" },
    { 64, "0fc7c8", NULL },
    { 64, "0faee8", "lfence" },
    { 64, "0faef0", "mfence" },
    { 64, "0fae38", "clflush byte ptr [rax]" },
    { 64, "0f58c1", "addps xmm0, xmm1" },
    { 64, "660f58c1", "addpd xmm0, xmm1" },
    { 64, "f20f58c1", "addsd xmm0, xmm1" },
    { 64, "f30f58c1", "addss xmm0, xmm1" },
    { 64, "66f20f58c1", "addsd xmm0, xmm1" },
    { 64, "f2f30f58c1", "addss xmm0, xmm1" }, /* the last of F2 and F3 */
    { 64, "450f58c1", "addps xmm8, xmm9" },
    { 64, "480f58c1", "addps xmm0, xmm1" },
    { 64, "660f6ec0", "movd xmm0, eax" },
    { 64, "66480f6ec0", "movq xmm0, rax" },
    { 64, "0f6ec0", "movd mm0, eax" },
    { 64, "4f0f6fc1", "movq mm0, mm1" }, /* no REX on MMX registers */
    { 64, "660f38f0c1", NULL },
    { 64, "98", "cwde" },
    { 64, "6698", "cbw" },
    { 64, "4898", "cdqe" },
    /* there in one mode only */
    { 32, "40", "inc eax" },
    { 32, "48", "dec eax" },
    { 32, "8200ff", "add byte ptr [eax], 0xff" },
    { 64, "8200ff", NULL },
    { 64, "06", NULL },
    { 32, "06", "push es" },
    { 32, "c408", "les ecx, fword ptr [eax]" },
    { 32, "c508", "lds ecx, fword ptr [eax]" },
    { 32, "6208", "bound ecx, qword ptr [eax]" },
    { 64, "6348f8", "movsxd ecx, dword ptr [rax-0x8]" },
    { 64, "486348f8", "movsxd rcx, dword ptr [rax-0x8]" },
    { 32, "6308", "arpl word ptr [eax], cx" },
    { 64, "0f05", "syscall" },
    /* segment, control and debug registers */
    { 64, "8ed8", "mov ds, ax" },
    { 64, "8ec8", NULL }, /* CS */
    { 64, "8ef8", NULL },
    { 64, "8c08", "mov word ptr [rax], cs" },
    { 64, "488cd8", "mov rax, ds" },
    { 64, "0f20c0", "mov rax, cr0" },
    { 64, "0f2000", "mov rax, cr0" }, /* mod is ignored */
    { 64, "660f22d8", "mov cr3, rax" },
    { 64, "440f20c0", "mov rax, cr8" },
    { 64, "0f20c8", NULL },
    { 32, "0f22e0", "mov cr4, eax" },
    { 64, "0f23f9", "mov dr7, rcx" },
    { 64, "440f23c1", NULL },
    /* LOCK */
    { 64, "f00108", "lock add dword ptr [rax], ecx" },
    { 64, "f001c8", NULL },
    { 64, "f00308", NULL },
    { 64, "f08908", NULL },
    { 64, "f08708", "lock xchg dword ptr [rax], ecx" },
    { 64, "f0480fc708", "lock cmpxchg16b xmmword ptr [rax]" },
    { 64, "f03908", NULL },
    /* strings */
    { 64, "48a5", "movs qword ptr es:[rdi], qword ptr ds:[rsi]" },
    { 64, "f3aa", "rep stos byte ptr es:[rdi], al" },
    { 64, "f2ae", "repnz scas al, byte ptr es:[rdi]" },
    { 64, "67f3a6", "repz cmps byte ptr ds:[esi], byte ptr es:[edi]" },
    { 16, "64ac", "lods al, byte ptr fs:[si]" },
    { 64, "f20f10c1", "movsd xmm0, xmm1" },
    /* x87 */
    { 64, "d8c1", "fadd st, st(1)" },
    { 64, "d8c0", "fadd st, st(0)" },
    { 64, "dcc1", "fadd st(1), st" },
    { 64, "d800", "fadd dword ptr [rax]" },
    { 64, "db28", "fld tbyte ptr [rax]" },
    { 64, "dbe3", "fninit" },
    { 64, "dfe0", "fnstsw ax" },
    { 64, "9b", "fwait" },
    /* no instructions */
    { 64, "0f0b", "ud2" },
    { 64, "0f04", NULL },
    { 64, "f0", NULL },
    { 64, "c4e17858c1", "vaddps xmm0, xmm0, xmm1" },
    { 32, "c5f858c1", "vaddps xmm0, xmm0, xmm1" },
    /* EVEX decorations, as Zydis prints them */
    { 64, "62f174c958c2", "vaddps zmm0 {k1} {z}, zmm1, zmm2" },
    { 64, "62f1745958c2", "vaddps zmm0 {k1}, zmm1, zmm2 {ru-sae}" },
    { 64, "62f174195800", "vaddps xmm0 {k1}, xmm1, dword ptr [rax] {1to4}" },
    { 64, "62f174d95800", "vaddps zmm0 {k1} {z}, zmm1, dword ptr [rax] {1to16}" },
    { 64, "62f1f5385800", "vaddpd ymm0, ymm1, qword ptr [rax] {1to4}" },
    { 64, "62f17c385a00", "vcvtps2pd ymm0, dword ptr [rax] {1to4}" },
    { 64, "62f16c59c2ca01", "vcmpps k1 {k1}, zmm2, zmm2 {sae}, 0x1" },
    { 64, "62f17c182ec1", "vucomiss xmm0, xmm1 {sae}" },
    { 64, "62f27d498b00", "vpcompressd dword ptr [rax] {k1}, zmm0" },
};

static void goldens_hold(void **state)
{
    unsigned failures = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
        const struct golden *golden = &goldens[i];
        struct insn insn;
        uint8_t bytes[32];
        char text[160] = "#UD";
        unsigned count = hex_bytes(golden->hex, bytes);
        enum decode_status status = decode(bytes, sizeof(bytes), golden->mode_bits, NULL, &insn);

        if (status == DECODE_OK)
            insn_format(&insn, AT, text, sizeof(text));
        if (strcmp(text, golden->text ? golden->text : "#UD") != 0 || (golden->text && insn.length != count)) {
            print_message("%s in %u-bit mode: '%s', not '%s'; length %u\n", golden->hex, golden->mode_bits, text,
                          golden->text ? golden->text : "#UD", insn.length);
            failures++;
        }
    }
    assert_int_equal(failures, 0);
}

static void lengths_end_at_15(void **state)
{
    uint8_t bytes[20];
    struct insn insn;

    (void)state;
    memset(bytes, 0x66, sizeof(bytes));
    bytes[14] = 0x90;
    assert_int_equal(decode(bytes, 15, 64, NULL, &insn), DECODE_OK);
    assert_int_equal(insn.length, 15);
    assert_int_equal(decode(bytes, 20, 64, NULL, &insn), DECODE_OK);
    assert_int_equal(decode(bytes, 14, 64, NULL, &insn), DECODE_MORE);
    bytes[14] = 0x01;
    assert_int_equal(decode(bytes, 20, 64, NULL, &insn), DECODE_TOO_LONG);
    assert_int_equal(decode(bytes, 15, 64, NULL, &insn), DECODE_TOO_LONG);
    memset(bytes, 0xF0, sizeof(bytes));
    assert_int_equal(decode(bytes, 20, 64, NULL, &insn), DECODE_TOO_LONG);
    assert_int_equal(decode(bytes, 15, 16, NULL, &insn), DECODE_TOO_LONG);
    assert_int_equal(decode(bytes, 14, 16, NULL, &insn), DECODE_MORE);
}

/* A row whose feature the model lacks does not exist. */
static void features_choose_rows(void **state)
{
    uint64_t features[(ISA_FEATURE_COUNT + 63) / 64] = { 0 };
    struct insn insn;

    (void)state;
    assert_int_equal(decode_hex(64, "f30fbcc1", features, &insn), DECODE_OK);
    assert_string_equal(insn.row->mnemonic, "BSF");
    assert_int_equal(insn.rep, 0xF3);
    assert_int_equal(decode_hex(64, "f30fb8c1", features, &insn), DECODE_UD);
    assert_int_equal(decode_hex(64, "01c8", features, &insn), DECODE_OK);
    features[ISA_FEATURE_POPCNT / 64] |= 1ull << (ISA_FEATURE_POPCNT % 64);
    assert_int_equal(decode_hex(64, "f30fb8c1", features, &insn), DECODE_OK);
    assert_string_equal(insn.row->mnemonic, "POPCNT");
    assert_int_equal(insn.rep, 0);
}

static void fields_are_filled_in(void **state)
{
    struct insn insn;

    (void)state;
    /* add qword ptr fs:[r12+r13*8-0x80], rax under LOCK */
    assert_int_equal(decode_hex(64, "f0644b0144ec80", NULL, &insn), DECODE_OK);
    assert_true(insn.lock && insn.has_modrm && insn.has_memory);
    assert_int_equal(insn.length, 7);
    assert_int_equal(insn.operand_bits, 64);
    assert_int_equal(insn.address_bits, 64);
    assert_int_equal(insn.segment, FS);
    assert_int_equal(insn.base, R12);
    assert_int_equal(insn.index, R13);
    assert_int_equal(insn.scale, 3);
    assert_true(insn.displacement == -0x80);
    assert_int_equal(insn.rex, 0x4B);
    assert_int_equal(insn.opcode, 0x01);
    assert_int_equal(insn.modrm, 0x44);
    assert_int_equal(insn.operand[0].kind, OPERAND_MEMORY);
    assert_int_equal(insn.operand[0].bytes, 8);
    assert_int_equal(insn.operand[1].number, RAX);

    assert_int_equal(decode_hex(64, "008424f0ffffff", NULL, &insn), DECODE_OK); /* add byte ptr [rsp-0x10], al */
    assert_int_equal(insn.operand_bits, 8);
    assert_int_equal(insn.segment, SS);
    assert_int_equal(decode_hex(64, "410004244190", NULL, &insn), DECODE_OK); /* R12 is no stack pointer */
    assert_int_equal(insn.segment, DS);

    assert_int_equal(decode_hex(64, "f366a5", NULL, &insn), DECODE_OK);
    assert_int_equal(insn.rep, 0xF3);
    assert_int_equal(insn.operand_bits, 16);
    assert_false(insn.has_memory);

    assert_int_equal(decode_hex(64, "f30f58c1", NULL, &insn), DECODE_OK);
    assert_int_equal(insn.rep, 0);
    assert_int_equal(insn.vector_bytes, 16);
    assert_int_equal(insn.operand[1].bytes, 4);

    assert_int_equal(decode_hex(64, "c8341285", NULL, &insn), DECODE_OK);
    assert_true(insn.immediate == 0x1234 && insn.immediate2 == 0x85);
    assert_int_equal(decode_hex(32, "9a785634122143", NULL, &insn), DECODE_OK);
    assert_true(insn.immediate == 0x12345678 && insn.immediate2 == 0x4321);
    assert_int_equal(decode_hex(64, "e6f0", NULL, &insn), DECODE_OK); /* out 0xf0, al */
    assert_true(insn.immediate == 0xF0 && insn.operand_bits == 8);
    assert_int_equal(decode_hex(64, "ee", NULL, &insn), DECODE_OK); /* out dx, al */
    assert_int_equal(insn.operand_bits, 8);
    assert_int_equal(decode_hex(64, "48ef", NULL, &insn), DECODE_OK); /* out dx, eax: there is no 64-bit form */
    assert_int_equal(insn.operand_bits, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goldens_hold),
        cmocka_unit_test(lengths_end_at_15),
        cmocka_unit_test(features_choose_rows),
        cmocka_unit_test(fields_are_filled_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
