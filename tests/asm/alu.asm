; ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT: every width, every pair of edge values, all operand
; forms. The assembler works out results and flags from the definitions; the guest compares.
%include "test.inc"

; Rows of 40 bytes: a, b, CF before, result, flags after.
%define PARITY(r) ((~(0x6996 >> (((r) ^ ((r) >> 4)) & 15)) & 1) << 2) ; a set bit of 6996H: an odd nibble
%define TOP(x) (((x) >> (WIDTH - 1)) & 1)
%define SZP(r) (PARITY(r) | TOP(r) << 7 | ((r) == 0) << 6)
; A sum of a, e and a carry; with e = ~b and the carry inverted it is a difference, whose borrow is the inverted carry.
%macro SUM 5 ; a, b, e, carry in, 1 for a difference; CF before is set if the sum of the two last is 1
%assign a (%1) & MASK
%assign e (%3) & MASK
%assign r (a + e + %4) & MASK
    dq a, (%2) & MASK, (%4) ^ (%5), r
    dq SZP(r) | (TOP((a & e) | ((a | e) & ~r)) ^ (%5)) | ((a ^ %2 ^ r) & AF) | TOP((a ^ r) & (e ^ r)) << 11
%endmacro
%macro ROW_add 2
    SUM %1, %2, %2, 0, 0
%endmacro
%macro ROW_adc 2
    SUM %1, %2, %2, 0, 0
    SUM %1, %2, %2, 1, 0
%endmacro
%macro ROW_sub 2
    SUM %1, %2, ~(%2), 1, 1
%endmacro
%macro ROW_sbb 2
    SUM %1, %2, ~(%2), 1, 1
    SUM %1, %2, ~(%2), 0, 1
%endmacro
%macro LOGIC 3 ; a, b, result
%assign r (%3) & MASK
    dq (%1) & MASK, (%2) & MASK, 1, r, SZP(r)
%endmacro
%macro ROW_and 2
    LOGIC %1, %2, (%1) & (%2)
%endmacro
%macro ROW_or 2
    LOGIC %1, %2, (%1) | (%2)
%endmacro
%macro ROW_xor 2
    LOGIC %1, %2, (%1) ^ (%2)
%endmacro
%macro ROWS_A 2 ; operation, a: with every edge value
    ROW_%1 %2, 0
    ROW_%1 %2, 1
    ROW_%1 %2, 0x0F
    ROW_%1 %2, 0x7F
    ROW_%1 %2, 0x80
    ROW_%1 %2, MASK >> 1
    ROW_%1 %2, (MASK >> 1) + 1
    ROW_%1 %2, MASK
    ROW_%1 %2, 0x1234567890ABCDEF
%endmacro
%macro ROWS 2 ; operation, width
%assign WIDTH %2
%assign MASK -1 >> (64 - WIDTH)
align 8
rows_%1_%2:
    ROWS_A %1, 0
    ROWS_A %1, 1
    ROWS_A %1, 0xF
    ROWS_A %1, MASK >> 1
    ROWS_A %1, (MASK >> 1) + 1
    ROWS_A %1, MASK
    ROWS_A %1, 0xFEDCBA9876543210
rows_%1_%2_end:
%endmacro

%define A_8 al
%define A_16 ax
%define A_32 eax
%define A_64 rax
%define B_8 bl
%define B_16 bx
%define B_32 ebx
%define B_64 rbx
%define R_8 r9b
%define R_16 r9w
%define R_32 r9d
%define R_64 r9

; Upper bits of the destination hold a pattern: they stay for 8 and 16 bits and become zero for 32.
%define PATTERN 0xA5A5A5A5A5A5A5A5
%macro EXPECT 2 ; width, 1: destination written. rdx: want. The destination's whole register is in rcx, flags pushed
    pop r8
    and r8d, STATUS
%if %2
    mov r11, rdx
%else
    mov r11, [rsi]
%endif
%if %1 == 8 || %1 == 16
    mov r10, (PATTERN >> %1) << %1
    or r11, r10
%elif %1 == 32 && %2 == 0
    mov r10, (PATTERN >> 32) << 32
    or r11, r10
%endif
    NEXT_CHECK
    cmp rcx, r11
    jne %%bad
    cmp r8, [rsi + 32]
    je %%ok
%%bad:
    FAIL
%%ok:
%endmacro
%macro SETUP 1 ; width: rax and r9 = pattern with a, rbx = b, carry
    mov rax, [rsi]
%if %1 < 64
    mov rcx, (PATTERN >> %1) << %1
    or rax, rcx
%endif
    mov r9, rax
    mov [memory], rax
    mov rbx, [rsi + 8]
    mov rdx, [rsi + 24]
    bt dword [rsi + 16], 0
%endmacro

%macro TEST 5 ; operation, width, 1: writes, row table, commutes with operands swapped (1)
    mov rsi, rows_%4_%2
%%next:
    DETAIL rsi
    SETUP %2
    %1 A_%2, B_%2 ; r, r
    pushfq
    mov rcx, rax
    EXPECT %2, %3
    SETUP %2
    %1 R_%2, B_%2 ; a REX register
    pushfq
    mov rcx, r9
    EXPECT %2, %3
    SETUP %2
    %1 [memory], B_%2 ; m, r
    pushfq
    mov rcx, [memory]
%if %2 == 32 && %3 ; a memory operand is not extended
    mov ecx, ecx
%endif
    EXPECT %2, %3
    SETUP %2
    mov [memory], rbx
    %1 A_%2, [memory] ; r, m
    pushfq
    mov rcx, rax
    EXPECT %2, %3
%if %3 && %2 != 8
    SETUP %2
    lock %1 [memory], B_%2
    pushfq
    mov rcx, [memory]
%if %2 == 32
    mov ecx, ecx
%endif
    EXPECT %2, %3
%endif
    add rsi, 40
    cmp rsi, rows_%4_%2_end
    jb %%next
%endmacro
%macro TEST_WIDTHS 4
    TEST %1, 8, %2, %3, %4
    TEST %1, 16, %2, %3, %4
    TEST %1, 32, %2, %3, %4
    TEST %1, 64, %2, %3, %4
%endmacro

; An immediate form: the value and the flags as literals.
%macro IMM 5 ; operation, destination, source, result of the destination's whole register, flags
    %1 %2, %3
    CHECK_FLAGS STATUS, %5
    CHECK64 rax, %4
%endmacro

main:
    TEST_WIDTHS add, 1, add, 1
    TEST_WIDTHS adc, 1, adc, 1
    TEST_WIDTHS sub, 1, sub, 0
    TEST_WIDTHS sbb, 1, sbb, 0
    TEST_WIDTHS and, 1, and, 1
    TEST_WIDTHS or, 1, or, 1
    TEST_WIDTHS xor, 1, xor, 1
    TEST_WIDTHS cmp, 0, sub, 0
    TEST_WIDTHS test, 0, and, 1
    DETAIL 0

    ; immediates: the accumulator forms, sign-extended bytes, sign-extended 32 bits
    mov rax, 0x1111111111111111
    IMM add, al, 0xFF, 0x1111111111111110, CF | AF
    IMM add, ax, 0x8000, 0x1111111111119110, SF
    IMM add, eax, strict dword 0x80000000, 0x91119110, SF
    mov rax, -1
    IMM add, rax, 1, 0, CF | ZF | PF | AF
    IMM sub, rax, strict byte 1, -1, CF | AF | SF | PF
    IMM and, rax, -0x80000000, 0xFFFFFFFF80000000, SF | PF
    IMM or, eax, strict byte -1, 0xFFFFFFFF, SF | PF
    IMM xor, rax, strict byte -1, 0xFFFFFFFF00000000, SF | PF
    stc
    IMM adc, rax, strict byte -1, 0xFFFFFFFF00000000, CF | AF | SF | PF
    stc
    IMM sbb, ax, strict byte -1, 0xFFFFFFFF00000000, CF | AF | ZF | PF
    IMM cmp, eax, 0x80000000, 0xFFFFFFFF00000000, CF | OF | SF | PF
    IMM cmp, al, 0x80, 0xFFFFFFFF00000000, CF | OF | SF
    IMM test, eax, strict dword 0x80000000, 0xFFFFFFFF00000000, ZF | PF
    IMM test, al, 0, 0xFFFFFFFF00000000, ZF | PF
    mov rax, 0x8000000000000000
    IMM test, rax, -0x80000000, 0x8000000000000000, SF | PF
    mov r9, 0x8000000000000000
    test r9, -0x80000000
    CHECK_FLAGS STATUS, SF | PF
    ; the byte at 82H is the alias of 80H only outside 64-bit mode
    FAULTS 6, 0, {db 0x82, 0xC0, 0x01}

    ; immediates to memory, all widths, byte neighbours untouched
    mov rbx, data
    mov rax, 0x1122334455667788
    mov [rbx], rax
    add byte [rbx + 1], 0x89
    CHECK_FLAGS STATUS, CF | PF | ZF | AF
    CHECK64 [rbx], 0x1122334455660088
    sub word [rbx + 2], 0x5567
    CHECK_FLAGS STATUS, CF | SF | AF | PF
    CHECK64 [rbx], 0x11223344FFFF0088
    xor dword [rbx + 4], strict byte -1
    CHECK_FLAGS STATUS, SF | PF
    CHECK64 [rbx], 0xEEDDCCBBFFFF0088
    or qword [rbx], 0x70000000
    CHECK_FLAGS STATUS, SF | PF
    CHECK64 [rbx], 0xEEDDCCBBFFFF0088
    and qword [rbx], strict byte 0x0F
    CHECK_FLAGS STATUS, 0
    CHECK [rbx], 8
    cmp qword [rbx], 8
    CHECK_FLAGS STATUS, ZF | PF
    test byte [rbx], 8
    CHECK_FLAGS STATUS, 0

    ; high-byte registers, and the low bytes that REX puts in their place
    mov eax, 0x11223344
    mov ebx, 0x55667788
    mov ecx, 0x99AABBCC
    mov edx, 0xDDEEFF00
    add ah, bl
    CHECK32 eax, 0x1122BB44
    add dl, ch
    CHECK32 edx, 0xDDEEFFBB
    sub dh, dh
    CHECK32 edx, 0xDDEE00BB
    xor bh, ah
    CHECK32 ebx, 0x5566CC88
    adc ch, bh
    CHECK32 ecx, 0x99AA87CC
    cmp ch, 0x87
    CHECK_FLAGS ZF, ZF
    mov esi, 0x12345601
    mov edi, 0x89ABCD02
    add sil, dil
    CHECK32 esi, 0x12345603
    add dil, al
    CHECK32 edi, 0x89ABCD46
    or bpl, 0xFF
    CHECK8 bpl, -1
    add r15b, al

    ; multi-precision chains
    mov rax, -1
    mov rbx, -1
    mov rcx, 0
    add rax, 1
    adc rbx, 0
    adc rcx, 0
    CHECK rax, 0
    CHECK rbx, 0
    CHECK rcx, 1
    sub rax, 1
    sbb rbx, 0
    sbb rcx, 0
    CHECK rax, -1
    CHECK rbx, -1
    CHECK rcx, 0
    CHECK_FLAGS STATUS, ZF | PF
    sbb rcx, 1
    CHECK_FLAGS STATUS, CF | AF | SF | PF
    sbb rdx, rdx
    CHECK rdx, -1
    ; a long sum with INC and DEC in the loop: they keep CF
    mov rdi, data
    mov ecx, 16
    mov rax, -1
    rep stosq
    xor ebx, ebx
    mov ecx, 16
    stc
.chain:
    adc qword [data + rbx * 8], 0
    inc rbx
    dec ecx
    jnz .chain
    CHECK_FLAGS CF, CF
    xor ecx, ecx
    mov rdi, data
    xor eax, eax
    mov ecx, 16
    repe scasq
    CHECK rcx, 0
    CHECK_FLAGS ZF, ZF

    ; INC and DEC
%macro INCDEC 5 ; operation, operand, before, after (operand's width, sign-extended), flags but CF
    mov %2, %3
    stc
    %1 %2
    CHECK_FLAGS STATUS, (%5) | CF
    CHECK_OPERAND %2, %4
    mov %2, %3
    clc
    %1 %2
    CHECK_FLAGS STATUS, %5
%endmacro
%macro CHECK_OPERAND 2
    NEXT_CHECK
    pushfq
    cmp %1, %2
    je %%ok
    FAIL
%%ok:
    popfq
%endmacro
    INCDEC inc, al, 0x7F, -0x80, OF | SF | AF
    INCDEC inc, bh, -1, 0, ZF | PF | AF
    INCDEC inc, cx, 0x7FFF, -0x8000, OF | SF | AF | PF
    INCDEC inc, r9d, 0x7FFFFFFF, 0x80000000, OF | SF | AF | PF
    INCDEC inc, r10, 0x0F, 0x10, AF
    INCDEC inc, eax, -1, 0, ZF | PF | AF
    INCDEC inc, eax, 1, 2, 0
    INCDEC dec, al, -0x80, 0x7F, OF | AF
    INCDEC dec, dh, 0, -1, SF | PF | AF
    INCDEC dec, si, -0x8000, 0x7FFF, OF | AF | PF
    INCDEC dec, eax, 1, 0, ZF | PF
    INCDEC dec, r11, 0, -1, SF | PF | AF
    INCDEC dec, rdi, 2, 1, 0
    INCDEC inc, byte [data], 0x7F, -0x80, OF | SF | AF
    INCDEC inc, word [data + 1], 0x7FFF, -0x8000, OF | SF | AF | PF
    INCDEC dec, dword [data + 3], -0x80000000, 0x7FFFFFFF, OF | AF | PF
    INCDEC dec, qword [data + 5], 0, -1, SF | PF | AF
    mov rax, -1
    inc eax
    CHECK rax, 0
    mov rax, 0x100000000
    dec eax
    CHECK64 rax, 0xFFFFFFFF
    mov rax, -1
    inc ax
    CHECK rax, -0x10000

    ; NEG: CF is "was not zero"; NOT changes no flag
%macro NEGATE 4 ; operand, before, after, flags
    mov %1, %2
    neg %1
    CHECK_FLAGS STATUS, %4
    CHECK_OPERAND %1, %3
%endmacro
    NEGATE al, 0, 0, ZF | PF
    NEGATE al, 1, -1, CF | SF | PF | AF
    NEGATE ah, -0x80, -0x80, CF | OF | SF
    NEGATE cx, -0x8000, -0x8000, CF | OF | SF | PF
    NEGATE edx, 0x10, 0xFFFFFFF0, CF | SF | PF
    NEGATE r8d, -0x80000000, -0x80000000, CF | OF | SF | PF
    NEGATE r8, -1, 1, CF | AF
    NEGATE qword [data], 0x7FFFFFFF, -0x7FFFFFFF, CF | SF | AF
    mov rbx, 0x8000000000000000
    neg rbx
    CHECK_FLAGS STATUS, CF | OF | SF | PF
    CHECK64 rbx, 0x8000000000000000
    mov rax, -1
    neg eax
    CHECK rax, 1
    mov rcx, 0x0123456789ABCDEF
    cmp rax, rax
    not cl
    CHECK64 rcx, 0x0123456789ABCD10
    not ch
    CHECK64 rcx, 0x0123456789AB3210
    not cx
    CHECK64 rcx, 0x0123456789ABCDEF
    not rcx
    CHECK64 rcx, 0xFEDCBA9876543210
    not ecx
    CHECK64 rcx, 0x89ABCDEF
    CHECK_FLAGS STATUS, ZF | PF
    mov qword [data], 0
    not byte [data + 1]
    CHECK [data], 0xFF00
    lock not qword [data]
    CHECK [data], ~0xFF00
    lock neg qword [data]
    CHECK [data], 0xFF01
    lock inc byte [data]
    lock dec word [data + 1]
    CHECK [data], 0xFE02

    ; operands that fault leave registers and flags alone
    mov rdx, 0x40000000 ; not mapped
    mov eax, 5
    xor ecx, ecx
    FAULTS 14, 0, add rax, [rdx]
    CHECK rax, 5
    CHECK_FLAGS STATUS, ZF | PF
    FAULTS 14, RMW, add [rdx], rax
    CHECK_FLAGS STATUS, ZF | PF
    FAULTS 14, RMW, inc dword [rdx + 4]
    CHECK [fault_cr2], 0x40000004
    FAULTS 14, 0, cmp [rdx], al
    CHECK_FLAGS STATUS, ZF | PF
    FAULTS 14, 0, test byte [rdx], 1
    CHECK_FLAGS STATUS, ZF | PF
    FAULTS 14, RMW, not word [rdx]
    FAULTS 14, RMW, lock xor [rdx], al
    PASS

ROWS add, 8
ROWS add, 16
ROWS add, 32
ROWS add, 64
ROWS adc, 8
ROWS adc, 16
ROWS adc, 32
ROWS adc, 64
ROWS sub, 8
ROWS sub, 16
ROWS sub, 32
ROWS sub, 64
ROWS sbb, 8
ROWS sbb, 16
ROWS sbb, 32
ROWS sbb, 64
ROWS and, 8
ROWS and, 16
ROWS and, 32
ROWS and, 64
ROWS or, 8
ROWS or, 16
ROWS or, 32
ROWS or, 64
ROWS xor, 8
ROWS xor, 16
ROWS xor, 32
ROWS xor, 64
memory: dq 0
END
