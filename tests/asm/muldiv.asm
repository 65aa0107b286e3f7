; MUL, IMUL in its three forms, DIV, IDIV: all widths, 128-bit operands, #DE with nothing changed.
%include "test.inc"

; MUL and IMUL with one operand: low and high half, CF = OF = "the high half matters"; SF, ZF, AF, PF are undefined.
%macro MULTIPLY 6 ; operation, a, b, low, high, CF
    mov rax, %2
    mov rbx, %3
    mov rdx, 0x7777777777777777
    %1 rbx
    CHECK_FLAGS CF | OF, %6 * (CF | OF)
    CHECK64 rax, %4
    CHECK64 rdx, %5
    mov rax, %2
    mov [data], rbx
    %1 qword [data]
    CHECK_FLAGS CF | OF, %6 * (CF | OF)
    CHECK64 rax, %4
    CHECK64 rdx, %5
%endmacro
%macro MULTIPLY32 6
    mov rax, 0x5555555500000000 | (%2)
    mov rbx, 0xAAAAAAAA00000000 | (%3)
    mov rdx, -1
    %1 ebx
    CHECK_FLAGS CF | OF, %6 * (CF | OF)
    CHECK64 rax, %4
    CHECK64 rdx, %5
%endmacro
%macro MULTIPLY16 6
    mov rax, 0x5555555555550000 | (%2)
    mov rbx, 0xAAAAAAAAAAAA0000 | (%3)
    mov rdx, -1
    %1 bx
    CHECK_FLAGS CF | OF, %6 * (CF | OF)
    CHECK64 rax, 0x5555555555550000 | (%4)
    CHECK64 rdx, 0xFFFFFFFFFFFF0000 | (%5)
%endmacro
%macro MULTIPLY8 5 ; operation, a, b, AX, CF
    mov rax, 0x5555555555555500 | (%2)
    mov bh, %3
    %1 bh
    CHECK_FLAGS CF | OF, %5 * (CF | OF)
    CHECK64 rax, 0x5555555555550000 | (%4)
%endmacro
; Division: rdx:rax by rbx.
%macro DIVIDE 6 ; operation, high, low, divisor, quotient, remainder
    mov rdx, %2
    mov rax, %3
    mov rbx, %4
    %1 rbx
    CHECK64 rax, %5
    CHECK64 rdx, %6
    mov rdx, %2
    mov rax, %3
    mov [data], rbx
    %1 qword [data]
    CHECK64 rax, %5
    CHECK64 rdx, %6
%endmacro
%macro DIVIDE32 6
    mov rdx, 0x1111111100000000 | ((%2) & 0xFFFFFFFF)
    mov rax, 0x2222222200000000 | ((%3) & 0xFFFFFFFF)
    mov rbx, 0x3333333300000000 | ((%4) & 0xFFFFFFFF)
    %1 ebx
    CHECK64 rax, (%5) & 0xFFFFFFFF
    CHECK64 rdx, (%6) & 0xFFFFFFFF
%endmacro
%macro DIVIDE16 6
    mov rdx, 0x1111111111110000 | ((%2) & 0xFFFF)
    mov rax, 0x2222222222220000 | ((%3) & 0xFFFF)
    mov ecx, (%4) & 0xFFFF
    %1 cx
    CHECK64 rax, 0x2222222222220000 | ((%5) & 0xFFFF)
    CHECK64 rdx, 0x1111111111110000 | ((%6) & 0xFFFF)
%endmacro
%macro DIVIDE8 5 ; operation, AX, divisor, AL, AH
    mov rax, 0x2222222222220000 | ((%2) & 0xFFFF)
    mov ch, %3
    %1 ch
    CHECK64 rax, 0x2222222222220000 | ((%5) & 0xFF) << 8 | ((%4) & 0xFF)
%endmacro
; #DE: a fault, with everything as before.
%macro REFUSED 4+ ; high, low, divisor (in rbx), instruction
    mov rdx, %1
    mov rax, %2
    mov rbx, %3
    cmp rax, rax
    stc
    FAULTS 0, 0, %4
    CHECK_FLAGS STATUS, CF | ZF | PF
    mov rcx, %1
    CHECK rdx, rcx
    mov rcx, %2
    CHECK rax, rcx
%endmacro

main:
    MULTIPLY mul, 0, -1, 0, 0, 0
    MULTIPLY mul, 1, -1, -1, 0, 0
    MULTIPLY mul, -1, -1, 1, -2, 1
    MULTIPLY mul, 0x8000000000000000, 2, 0, 1, 1
    MULTIPLY mul, 0x100000000, 0xFFFFFFFF, 0xFFFFFFFF00000000, 0, 0
    MULTIPLY mul, 0x123456789ABCDEF0, 0x0FEDCBA987654321, 0x2236D88FE5618CF0, 0x0121FA00AD77D742, 1
    MULTIPLY imul, -1, -1, 1, 0, 0
    MULTIPLY imul, -1, 1, -1, -1, 0
    MULTIPLY imul, 0x8000000000000000, -1, 0x8000000000000000, 0, 1
    MULTIPLY imul, 0x8000000000000000, 0x8000000000000000, 0, 0x4000000000000000, 1
    MULTIPLY imul, 0x7FFFFFFFFFFFFFFF, 2, -2, 0, 1
    MULTIPLY imul, 0x4000000000000000, -2, 0x8000000000000000, -1, 0
    MULTIPLY32 mul, 0xFFFFFFFF, 0xFFFFFFFF, 1, 0xFFFFFFFE, 1
    MULTIPLY32 mul, 0xFFFF, 0x10001, 0xFFFFFFFF, 0, 0
    MULTIPLY32 imul, 0xFFFFFFFF, 0xFFFFFFFF, 1, 0, 0
    MULTIPLY32 imul, 0x80000000, 1, 0x80000000, 0xFFFFFFFF, 0
    MULTIPLY32 imul, 0x80000000, 0xFFFFFFFF, 0x80000000, 0, 1
    MULTIPLY16 mul, 0xFFFF, 0xFFFF, 1, 0xFFFE, 1
    MULTIPLY16 mul, 0xFF, 0x101, 0xFFFF, 0, 0
    MULTIPLY16 imul, 0xFFFF, 0x7FFF, 0x8001, 0xFFFF, 0
    MULTIPLY16 imul, 0x8000, 0x8000, 0, 0x4000, 1
    MULTIPLY8 mul, 0xFF, 0xFF, 0xFE01, 1
    MULTIPLY8 mul, 0x0F, 0x11, 0x00FF, 0
    MULTIPLY8 imul, 0xFF, 0x7F, 0xFF81, 0
    MULTIPLY8 imul, 0x80, 0x80, 0x4000, 1
    MULTIPLY8 imul, 0x80, 1, 0xFF80, 0

    ; two and three operands
    mov rax, 0x123456789
    mov rbx, -3
    imul rax, rbx
    CHECK_FLAGS CF | OF, 0
    CHECK64 rax, -0x369D0369B
    mov rax, 0x4000000000000000
    mov ebx, 2
    imul rax, rbx
    CHECK_FLAGS CF | OF, CF | OF
    CHECK64 rax, 0x8000000000000000
    mov rax, -1
    mov ebx, 0x10000
    imul ebx, ebx
    CHECK_FLAGS CF | OF, CF | OF
    CHECK rbx, 0
    mov rbx, -1
    imul ax, bx, -0x8000
    CHECK_FLAGS CF | OF, CF | OF
    CHECK64 rax, 0xFFFFFFFFFFFF8000
    imul eax, ebx, 7
    CHECK_FLAGS CF | OF, 0
    CHECK64 rax, 0xFFFFFFF9
    imul r9, rbx, -128
    CHECK r9, 128
    imul r9, r9, 0x12345678
    CHECK64 r9, 0x12345678 * 128
    mov qword [data], 0x10001
    imul rcx, [data], 0x10001
    CHECK64 rcx, 0x100020001
    imul ecx, [data], 0x10001
    CHECK_FLAGS CF | OF, CF | OF
    CHECK64 rcx, 0x20001
    imul cx, [data], 3
    CHECK64 rcx, 0x20003
    imul rcx, [data]
    CHECK64 rcx, 0x20003 * 0x10001

    DIVIDE div, 0, 100, 7, 14, 2
    DIVIDE div, 0, -1, 1, -1, 0
    DIVIDE div, 1, 0, 2, 0x8000000000000000, 0
    DIVIDE div, 0xFFFFFFFFFFFFFFFE, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFE
    DIVIDE div, 0x0121FA00AD77D742, 0x2236D88FE5618CF5, 0x123456789ABCDEF0, 0x0FEDCBA987654321, 5
    DIVIDE idiv, -1, -100, 7, -14, -2
    DIVIDE idiv, 0, 100, -7, -14, 2
    DIVIDE idiv, -1, -100, -7, 14, -2
    DIVIDE idiv, -1, 0x8000000000000000, 1, 0x8000000000000000, 0
    DIVIDE idiv, -1, 0x8000000000000001, -1, 0x7FFFFFFFFFFFFFFF, 0
    DIVIDE idiv, 0xC000000000000001, 5, 0x7FFFFFFFFFFFFFFF, 0x8000000000000002, 0x8000000000000007
    DIVIDE32 div, 0, 100, 7, 14, 2
    DIVIDE32 div, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE
    DIVIDE32 idiv, -1, -100, 7, -14, -2
    DIVIDE32 idiv, -1, 0x80000000, 1, 0x80000000, 0
    DIVIDE32 idiv, 0, 0x7FFFFFFF, -1, -0x7FFFFFFF, 0
    DIVIDE16 div, 1, 0x0001, 0x10, 0x1000, 1
    DIVIDE16 idiv, -1, -100, 7, -14, -2
    DIVIDE16 idiv, -1, 0x8000, 1, 0x8000, 0
    DIVIDE8 div, 0xFEFF, 0xFF, 0xFF, 0xFE
    DIVIDE8 div, 100, 7, 14, 2
    DIVIDE8 idiv, -100, 7, -14, -2
    DIVIDE8 idiv, -128, 1, -128, 0
    DIVIDE8 idiv, 127, -1, -127, 0
    mov rax, 0x1234567800000064
    mov r9d, 7
    xor edx, edx
    div r9d
    CHECK rax, 14

    REFUSED 0, 5, 0, div rbx
    REFUSED 0, 5, 0, idiv rbx
    REFUSED 1, 0, 1, div rbx
    REFUSED -1, 0, -1, div rbx
    REFUSED 0, 0x8000000000000000, 1, idiv rbx
    REFUSED -1, 0x8000000000000000, -1, idiv rbx
    REFUSED -1, 0x7FFFFFFFFFFFFFFF, 1, idiv rbx
    REFUSED 0x4000000000000000, 0, 0x7FFFFFFFFFFFFFFF, idiv rbx
    REFUSED 0x8000000000000000, 0, -1, idiv rbx
    REFUSED 0xC000000000000000, 0, 0x7FFFFFFFFFFFFFFF, idiv rbx
    REFUSED 0, 5, 0xFFFFFFFF00000000, div ebx
    REFUSED 1, 0, 1, div ebx
    REFUSED 0xFFFFFFFF, 0x80000000, -1, idiv ebx
    REFUSED 0x1111, 0x2222, 0x1111, div bx
    REFUSED 0xFFFF, 0x8000, -1, idiv bx
    REFUSED 9, 0x1234, 0x12, div bl
    REFUSED 9, 0x1234, 0, div bl
    REFUSED 9, 0x0080, 1, idiv bl
    REFUSED 9, 0xFF80, 0xFF, idiv bl
    REFUSED 9, 0x8000, 0xFF, idiv bl
    mov qword [data], 0
    REFUSED 3, 4, data, div qword [rbx]
    ; the divisor's page fault comes before the division
    mov rbx, 0x40000000
    FAULTS 14, 0, div qword [rbx]
    FAULTS 14, 0, imul rcx, [rbx], 3
    FAULTS 14, 0, mul byte [rbx]

    ; MULX: no flags
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, 8
    jnc .no_bmi2
    mov rdx, -1
    mov rbx, -1
    stc
    mulx rax, rcx, rbx
    CHECK_FLAGS CF, CF
    CHECK rax, -2
    CHECK rcx, 1
.no_bmi2:
    PASS
END
