/*
 * The guest's code (difftest_guest.h), in the assembler's words. It is copied, so nothing in it may refer to anything
 * outside of it but by the constants of the header.
 */
#include "kvm/difftest_guest.h"

#if defined(__x86_64__)

/* clang-format off */
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
/* A page of the driver's, and a variable, relative to RIP: they lie behind its code. */
#define PAGE(name) "difftest_driver + " TEXT(name) "(%rip)"
#define VAR(name)  "difftest_driver + " TEXT(GUEST_VARIABLES) " + " TEXT(name) "(%rip)"
#define STACK_END  "difftest_driver + " TEXT(GUEST_STACK) " + 4096(%rip)"
#define AT(name)   TEXT(name) "(%rbx)"

#define PUSH_ALL                                                                                                       \
    "  push %rax; push %rcx; push %rdx; push %rbx; push %rbp; push %rsi; push %rdi\n"                                  \
    "  push %r8; push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15\n"
#define POP_ALL                                                                                                        \
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8\n"                                 \
    "  pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rdx; pop %rcx; pop %rax\n"

/* Data against what they were, gathered in registers 0 to 3; 64 or 128 bytes a round. */
#define COMPARE16(n) "  movdqa " #n "*16(%rsi), %xmm4; pxor " #n "*16(%rdi), %xmm4; por %xmm4, %xmm" #n "\n"
#define COMPARE32(n) "  vmovaps " #n "*32(%rsi), %ymm4; vxorps " #n "*32(%rdi), %ymm4, %ymm4; vorps %ymm4, %ymm" #n ", %ymm" #n "\n"

__asm__(
    "  .pushsection .rodata\n"
    "  .balign 64\n"
    "  .globl difftest_driver, difftest_driver_end, difftest_driver_ran, difftest_driver_finish\n"
    "difftest_driver:\n"
    "next:\n"
    "  lea " STACK_END ", %rsp\n"
    "  cmpq $0, " VAR(VAR_COUNT) "\n"
    "  je finish\n"
    "  decq " VAR(VAR_COUNT) "\n"
    "  mov " VAR(VAR_CURRENT) ", %rbx\n"
    "  lea " AT(RECORD_CODE) ", %rsi\n"
    "  mov " AT(RECORD_AT) ", %rdi\n"
    "  mov " AT(RECORD_WRITE) ", %rcx\n"
    "  rep movsb\n"
    "  mov " VAR(VAR_MASK) ", %eax\n"
    "  xor %edx, %edx\n"
    "  xrstor64 " AT(RECORD_IMAGE) "\n"
    "  lea " AT(RECORD_GPR) ", %rsp\n"
    POP_ALL
    "  iretq\n"
    /* The test has run: nothing but MOV, PUSH and LEA until flags and registers are safe. */
    "difftest_driver_ran:\n"
    "  mov %rsp, " VAR(VAR_RSP) "\n"
    "  mov " VAR(VAR_OUT_TOP) ", %rsp\n"
    "  pushfq\n"
    PUSH_ALL
    "  mov " VAR(VAR_CURRENT) ", %rbx\n"
    "  mov " VAR(VAR_RSP) ", %rax\n"
    "  mov %rax, " AT(RECORD_RSP) "\n"
    "  movq $" TEXT(RECORD_RAN) ", " AT(RECORD_VECTOR) "\n"
    "  jmp saved\n"
    /* The handlers return here. */
    "trapped:\n"
    "  mov " VAR(VAR_OUT_TOP) ", %rsp\n"
    "  push $0\n"
    PUSH_ALL
    "  mov " VAR(VAR_CURRENT) ", %rbx\n"
    "  lea " PAGE(GUEST_KSTACK) ", %rsi\n"
    "  mov " TEXT(KSTACK_CR2) "(%rsi), %rax; mov %rax, " AT(RECORD_CR2) "\n"
    "  mov " TEXT(KSTACK_VECTOR) "(%rsi), %rax; mov %rax, " AT(RECORD_VECTOR) "\n"
    "  mov " TEXT(KSTACK_ERROR) "(%rsi), %rax; mov %rax, " AT(RECORD_ERROR) "\n"
    "  mov " TEXT(KSTACK_RIP) "(%rsi), %rax; mov %rax, " AT(RECORD_RIP) "\n"
    "  mov " TEXT(KSTACK_RSP) "(%rsi), %rax; mov %rax, " AT(RECORD_RSP) "\n"
    "  mov " TEXT(KSTACK_FLAGS) "(%rsi), %rax; mov %rax, " TEXT(RECORD_OUT_TOP) " - 8(%rbx)\n"
    "saved:\n"
    "  lea " STACK_END ", %rsp\n"
    "  push $2\n" /* clears DF, AC, NT, TF */
    "  popfq\n"
    "  mov " VAR(VAR_MASK) ", %eax\n"
    "  xor %edx, %edx\n"
    "  xsave64 " AT(RECORD_IMAGE) "\n"
    "  mov " AT(RECORD_AT) ", %rdi\n"
    "  mov " AT(RECORD_REMOVE) ", %rcx\n"
    "  mov $0xCC, %eax\n"
    "  rep stosb\n"
    "  mov $0x20000000, %esi\n" /* DIFFTEST_DATA */
    "  lea " PAGE(GUEST_PRISTINE) ", %rdi\n"
    "  cmpq $0, " VAR(VAR_AVX) "\n"
    "  je 2f\n"
    "  mov $8192/128, %ecx\n"
    "  vzeroall\n"
    "1:\n"
    COMPARE32(0) COMPARE32(1) COMPARE32(2) COMPARE32(3)
    "  sub $-128, %rsi\n"
    "  sub $-128, %rdi\n"
    "  dec %ecx\n"
    "  jnz 1b\n"
    "  vorps %ymm1, %ymm0, %ymm0; vorps %ymm3, %ymm2, %ymm2; vorps %ymm2, %ymm0, %ymm0\n"
    "  vextractf128 $1, %ymm0, %xmm1\n"
    "  vzeroupper\n"
    "  jmp 4f\n"
    "2: mov $8192/64, %ecx\n"
    "  pxor %xmm0, %xmm0; pxor %xmm1, %xmm1; pxor %xmm2, %xmm2; pxor %xmm3, %xmm3\n"
    "3:\n"
    COMPARE16(0) COMPARE16(1) COMPARE16(2) COMPARE16(3)
    "  add $64, %rsi\n"
    "  add $64, %rdi\n"
    "  dec %ecx\n"
    "  jnz 3b\n"
    "  por %xmm3, %xmm2; por %xmm2, %xmm0\n"
    "4: por %xmm1, %xmm0; pxor %xmm1, %xmm1\n"
    "  pcmpeqb %xmm1, %xmm0\n"
    "  pmovmskb %xmm0, %eax\n"
    "  xor $0xFFFF, %eax\n"
    "  mov %rax, " AT(RECORD_CHANGED) "\n"
    "  jz 5f\n"
    "  mov $0x20000000, %esi\n"
    "  mov " VAR(VAR_DATA) ", %rdi\n"
    "  mov $1024, %ecx\n"
    "  rep movsq\n"
    "  lea " PAGE(GUEST_PRISTINE) ", %rsi\n"
    "  mov $0x20000000, %edi\n"
    "  mov $1024, %ecx\n"
    "  rep movsq\n"
    "5: addq $" TEXT(RECORD_BYTES) ", " VAR(VAR_CURRENT) "\n"
    "  addq $" TEXT(RECORD_BYTES) ", " VAR(VAR_OUT_TOP) "\n"
    "  addq $8192, " VAR(VAR_DATA) "\n"
    "  jmp next\n"
    "finish:\n"
    "  int3\n"
    "difftest_driver_finish:\n"
    "  jmp next\n"
    "difftest_driver_end:\n"

    /* --- CPL 0 --- */
    "  .balign 64\n"
    "  .globl difftest_handlers, difftest_handlers_end\n"
    "difftest_handlers:\n"
    "  .set vector, 0\n"
    "  .rept 32\n"
    "  .balign " TEXT(DIFFTEST_STUB_BYTES) "\n"
    /* #DF, #TS, #NP, #SS, #GP, #PF, #AC push an error code */
    "  .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)\n"
    "  pushq $0\n"
    "  .endif\n"
    "  pushq $vector\n"
    "  .if vector == 3\n"
    "  jmp breakpoint\n"
    "  .else\n"
    "  jmp trap\n"
    "  .endif\n"
    "  .set vector, vector + 1\n"
    "  .endr\n"
    "  .balign " TEXT(DIFFTEST_STUB_BYTES) "\n"
    "breakpoint:\n"
    "  push %rax\n"
    "  mov finish_address(%rip), %rax\n"
    "  cmp %rax, 24(%rsp)\n"
    "  pop %rax\n"
    "  jne trap\n"
    "  out %al, $0x55\n"
    "  add $16, %rsp\n"
    "  iretq\n"
    "trap:\n"
    "  push %rax\n"
    "  mov %cr2, %rax\n"
    "  push %rax\n"
    "  mov 8(%rsp), %rax\n"
    "  pushq $0x2B\n"
    "  pushq $0\n"
    "  pushq $0x202\n"
    "  pushq $0x33\n"
    "  pushq trapped_address(%rip)\n"
    "  iretq\n"
    "  .balign 8\n"
    "finish_address: .quad " TEXT(GUEST_DRIVER) " + difftest_driver_finish - difftest_driver\n"
    "trapped_address: .quad " TEXT(GUEST_DRIVER) " + trapped - difftest_driver\n"
    "difftest_handlers_end:\n"
    "  .popsection\n");
/* clang-format on */

#endif
