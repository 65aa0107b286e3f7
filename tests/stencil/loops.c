/*
 * Hot loops as a compiler writes them. Memory between 2 and 4 MiB is theirs.
 */
#include "tests/stencil/loops.h"

/* clang-format off */
#define LOOP(name, code)                                                                                               \
    __asm__(".pushsection .rodata\n.intel_syntax noprefix\nloop_" #name ":\n" code "\nloop_" #name "_end:\n"          \
            ".att_syntax\n.popsection");                                                                              \
    extern const uint8_t loop_##name[], loop_##name##_end[];

/* The inner loop of a sieve: a store, an addition, a fused compare and jump back. */
LOOP(sieve, "mov edi, 0x200000\n"
            "1: mov ecx, 3\n"
            "2: mov eax, ecx\n"
            "3: mov byte ptr [rdi + rax], 1\n"
            "add rax, rcx\n"
            "cmp rax, 0x10000\n"
            "jb 3b\n"
            "add ecx, 2\n"
            "cmp ecx, 200\n"
            "jb 2b\n"
            "jmp 1b")
/* CRC-32 by table: dependent loads. */
LOOP(crc, "mov ebx, 0x300000\n"
          "1: mov esi, 0x200000\n"
          "mov edi, 0x201000\n"
          "2: movzx edx, byte ptr [rsi]\n"
          "xor edx, eax\n"
          "movzx edx, dl\n"
          "shr eax, 8\n"
          "xor eax, dword ptr [rbx + rdx * 4]\n"
          "add rsi, 1\n"
          "cmp rsi, rdi\n"
          "jne 2b\n"
          "jmp 1b")
/* Copying by words. */
LOOP(copy, "mov esi, 0x200000\n"
           "mov edi, 0x300000\n"
           "1: xor ecx, ecx\n"
           "2: mov rax, [rsi + rcx]\n"
           "mov [rdi + rcx], rax\n"
           "add rcx, 8\n"
           "cmp rcx, 0x8000\n"
           "jne 2b\n"
           "jmp 1b")
/* Registers only: what is left when nothing is accessed. */
LOOP(mix, "mov eax, 1\n"
          "1: mov rdx, rax\n"
          "shl rdx, 13\n"
          "xor rax, rdx\n"
          "mov rdx, rax\n"
          "shr rdx, 7\n"
          "xor rax, rdx\n"
          "mov rdx, rax\n"
          "shl rdx, 17\n"
          "xor rax, rdx\n"
          "lea rbx, [rbx + rax]\n"
          "dec ecx\n"
          "jnz 1b\n"
          "jmp 1b")
/* A function that is called, saves registers and has a branch inside: blocks of a few instructions, as most code has. */
LOOP(calls, "mov esp, 0x280000\n"
            "mov edi, 0x200000\n"
            "1: call 2f\n"
            "add rbx, rax\n"
            "jmp 1b\n"
            "2: push rbx\n"
            "push rbp\n"
            "mov rbp, rsp\n"
            "mov eax, [rdi + 16]\n"
            "test al, 1\n"
            "jz 3f\n"
            "mov eax, [rdi + 32]\n"
            "3: add eax, 1\n"
            "mov [rdi + 16], eax\n"
            "and ebx, 0xff\n"
            "cmp ebx, 128\n"
            "jae 4f\n"
            "add dword ptr [rdi + 64], 1\n"
            "4: pop rbp\n"
            "pop rbx\n"
            "ret")

#define ROW(name) { #name, loop_##name, loop_##name##_end }
const struct loop loops[] = { ROW(sieve), ROW(crc), ROW(copy), ROW(mix), ROW(calls) };
/* clang-format on */
const unsigned loop_count = sizeof(loops) / sizeof(loops[0]);
