; SHL, SHR, SAR, ROL, ROR, RCL, RCR, SHLD, SHRD: every width, counts around 0, 1, the width, 31, 32, 63, 64 and above, by
; CL, by immediate and by 1, registers and memory. Results and flags come from the definitions, worked out by the
; assembler; undefined flags are masked.
%include "test.inc"

%define PARITY(r) ((~(0x6996 >> (((r) ^ ((r) >> 4)) & 15)) & 1) << 2)
%define SZP(r) (PARITY(r) | (((r) >> (W - 1)) & 1) << 7 | ((r) == 0) << 6)
%define TOP(x) (((x) >> (W - 1)) & 1)

; Rows of 48 bytes: value, count as given, flags before, result, flags after, mask of defined flags. Before: everything
; set or everything clear, so that what must stay is seen.
%macro EMIT 3 ; result, CF, mask of defined flags
%assign r (%1) & MASK
    dq value, count, before, r
%assign after SZP(r) | (%2) | OFLAG << 11
%if c == 0
    dq before, STATUS
%else
    dq after, %3
%endif
%endmacro
; SHL and SHR: CF is undefined from a count of the width on; OF is defined for a count of 1 only.
%macro ROW_shl 0
%assign OFLAG TOP(value << 1) ^ TOP(value)
    EMIT value << c, (c && c < W ? (value >> (W - c)) & 1 : 0), SF | ZF | PF | (c < W) | (c == 1) << 11
%endmacro
%macro ROW_shr 0
%assign OFLAG TOP(value)
    EMIT value >> c, (c && c < W ? (value >> (c - 1)) & 1 : 0), SF | ZF | PF | (c < W) | (c == 1) << 11
%endmacro
%macro ROW_sar 0
%assign OFLAG 0
%assign s value | (TOP(value) ? ~MASK : 0)
    EMIT s >>> c, (c ? (s >>> (c - 1)) & 1 : 0), SF | ZF | PF | CF | (c == 1) << 11
%endmacro
; Rotates leave SF, ZF, PF and AF alone.
%macro EMIT_ROTATE 2 ; result, CF
%assign r (%1) & MASK
    dq value, count, before, r
%if c == 0
    dq before, STATUS
%else
    dq (before & ~(CF | OF)) | (%2) | OFLAG << 11, STATUS & ~OF | (c == 1) << 11
%endif
%endmacro
%macro ROW_rol 0
%assign k c & (W - 1)
%assign r value
%if k
%assign r ((value << k) | (value >> (W - k))) & MASK
%endif
%assign OFLAG TOP(r) ^ (r & 1)
    EMIT_ROTATE r, r & 1
%endmacro
%macro ROW_ror 0
%assign k c & (W - 1)
%assign r value
%if k
%assign r ((value >> k) | (value << (W - k))) & MASK
%endif
%assign OFLAG TOP(r) ^ TOP(r << 1)
    EMIT_ROTATE r, TOP(r)
%endmacro
%macro ROW_rcl 0
%assign c c % (W + 1)
%assign r value
%assign k before & CF
%if c
%assign r ((value << c) | k << (c - 1) | (c > 1 ? value >> (W + 1 - c) : 0)) & MASK
%assign k (value >> (W - c)) & 1
%endif
%assign OFLAG TOP(r) ^ k
    EMIT_ROTATE r, k
%endmacro
%macro ROW_rcr 0
%assign c c % (W + 1)
%assign r value
%assign k before & CF
%assign OFLAG TOP(value) ^ k
%if c
%assign r ((value >> c) | k << (W - c) | (c > 1 ? value << (W + 1 - c) : 0)) & MASK
%assign k (value >> (c - 1)) & 1
%endif
    EMIT_ROTATE r, k
%endmacro
%macro COUNTS 1-*
%define op %1
%rotate 1
%rep %0 - 1
%assign count %1
%assign c count & (W == 64 ? 63 : 31)
    ROW_%[op]
%rotate 1
%endrep
%endmacro
%macro ROWS 2 ; operation, width
%assign W %2
%assign MASK -1 >> (64 - W)
align 8
rows_%1_%2:
%assign before STATUS
%rep 2
%assign value 0x123456789ABCDEF1 & MASK
    COUNTS %1, 0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 0x80, 0xFF
%assign value 0x8000000000000001 >> (64 - W) | 1
    COUNTS %1, 0, 1, 3, 7, 8, 9, 15, 16, 18, 31, 32, 63, 0xE1
%assign value MASK
    COUNTS %1, 1, 7, 8, 31, 63
%assign value 0
    COUNTS %1, 1, 2, 31
%assign value MASK >> 1
    COUNTS %1, 0x20, 1, 4, 0x21
%assign before 0
%endrep
rows_%1_%2_end:
%endmacro

; Double shifts: rows of 56 bytes, with the second operand in front.
%macro DOUBLE_ROW 2 ; left or right, count
%assign count %2
%assign c count & (W == 64 ? 63 : 31)
%if c <= W
%assign r value
%assign k 0
%ifidn %1, left
%if c == W
%assign r second
%assign k value & 1
%elif c
%assign r ((value << c) | second >> (W - c)) & MASK
%assign k (value >> (W - c)) & 1
%endif
%else
%if c == W
%assign r second
%assign k TOP(value)
%elif c
%assign r ((value >> c) | second << (W - c)) & MASK
%assign k (value >> (c - 1)) & 1
%endif
%endif
    dq second
%assign OFLAG TOP(r) ^ TOP(value)
    EMIT r, k, SF | ZF | PF | CF | (c == 1) << 11
%endif
%endmacro
%macro DOUBLE_ROWS 2 ; left or right, width
%assign W %2
%assign MASK -1 >> (64 - W)
align 8
rows_%1_%2:
%assign before STATUS
%rep 2
%assign value 0x123456789ABCDEF1 & MASK
%assign second 0xFEDCBA9876543210 & MASK
%rep 2
    DOUBLE_ROW %1, 0
    DOUBLE_ROW %1, 1
    DOUBLE_ROW %1, 7
    DOUBLE_ROW %1, 15
    DOUBLE_ROW %1, 16
    DOUBLE_ROW %1, 31
    DOUBLE_ROW %1, 32
    DOUBLE_ROW %1, 33
    DOUBLE_ROW %1, 63
    DOUBLE_ROW %1, 64
    DOUBLE_ROW %1, 65
    DOUBLE_ROW %1, 0xFF
%assign value MASK >> 1
%assign second MASK ^ 1
%endrep
%assign before 0
%endrep
rows_%1_%2_end:
%endmacro

%define A_8 al
%define A_16 ax
%define A_32 eax
%define A_64 rax
%define B_16 bx
%define B_32 ebx
%define B_64 rbx
%define R_8 r9b
%define R_16 r9w
%define R_32 r9d
%define R_64 r9
%define SIZE_8 byte
%define SIZE_16 word
%define SIZE_32 dword
%define SIZE_64 qword
%define PATTERN 0x5A5A5A5A5A5A5A5A

%macro VERIFY 2 ; width, 1: a register. rdx: the destination's whole register or memory; flags pushed; rsi: the row
    pop r8
    mov r11, [rsi + 24]
%if %1 == 8 || %1 == 16 || (%1 == 32 && %2 == 0)
    mov r10, (PATTERN >> %1) << %1
    or r11, r10
%endif
    xor r8, [rsi + 32]
    and r8, [rsi + 40]
    NEXT_CHECK
    cmp rdx, r11
    jne %%bad
    test r8d, STATUS
    jz %%ok
%%bad:
    FAIL
%%ok:
%endmacro
%macro PREPARE 1
    mov rax, [rsi]
%if %1 < 64
    mov rdx, (PATTERN >> %1) << %1
    or rax, rdx
%endif
    mov r9, rax
    mov [memory], rax
    mov ecx, [rsi + 8]
    push qword [rsi + 16]
    popfq
%endmacro
%macro TEST 2 ; operation, width
    mov rsi, rows_%1_%2
%%next:
    DETAIL rsi
    PREPARE %2
    %1 A_%2, cl
    pushfq
    mov rdx, rax
    VERIFY %2, 1
    PREPARE %2
    %1 R_%2, cl
    pushfq
    mov rdx, r9
    VERIFY %2, 1
    PREPARE %2
    %1 SIZE_%2 [memory], cl
    pushfq
    mov rdx, [memory]
    VERIFY %2, 0
    cmp ecx, 1
    jne %%not_one
    PREPARE %2
    %1 A_%2, 1 ; D0 and D1
    pushfq
    mov rdx, rax
    VERIFY %2, 1
    PREPARE %2
    %1 SIZE_%2 [memory], 1
    pushfq
    mov rdx, [memory]
    VERIFY %2, 0
%%not_one:
%assign n 0
%rep 11 ; C0 and C1 with some counts
%assign i (n == 0 ? 0 : n == 1 ? 1 : n == 2 ? 7 : n == 3 ? 8 : n == 4 ? 9 : n == 5 ? 16 : n == 6 ? 31 : n == 7 ? 32 : n == 8 ? 33 : n == 9 ? 63 : 0xFF)
    cmp cl, i
    jne %%not_%[n]
    PREPARE %2
    %1 A_%2, strict byte i
    pushfq
    mov rdx, rax
    VERIFY %2, 1
    PREPARE %2
    %1 SIZE_%2 [memory], strict byte i
    pushfq
    mov rdx, [memory]
    VERIFY %2, 0
%%not_%[n]:
%assign n n + 1
%endrep
    add rsi, 48
    cmp rsi, rows_%1_%2_end
    jb %%next
%endmacro
%macro TEST_DOUBLE 3 ; operation, width, table
    mov rsi, rows_%3_%2
%%next:
    DETAIL rsi
    mov rbx, [rsi]
    add rsi, 8
    PREPARE %2
    %1 A_%2, B_%2, cl
    pushfq
    mov rdx, rax
    VERIFY %2, 1
    PREPARE %2
    %1 [memory], B_%2, cl
    pushfq
    mov rdx, [memory]
    VERIFY %2, 0
%assign n 0
%rep 7
%assign i (n == 0 ? 0 : n == 1 ? 1 : n == 2 ? 7 : n == 3 ? 16 : n == 4 ? 31 : n == 5 ? 33 : 63)
    cmp cl, i
    jne %%not_%[n]
    PREPARE %2
    %1 R_%2, B_%2, i
    pushfq
    mov rdx, r9
    VERIFY %2, 1
    PREPARE %2
    %1 [memory], B_%2, i
    pushfq
    mov rdx, [memory]
    VERIFY %2, 0
%%not_%[n]:
%assign n n + 1
%endrep
    add rsi, 48
    cmp rsi, rows_%3_%2_end
    jb %%next
%endmacro
%macro ALL 1
    TEST %1, 8
    TEST %1, 16
    TEST %1, 32
    TEST %1, 64
%endmacro

main:
    ALL shl
    ALL shr
    ALL sar
    ALL rol
    ALL ror
    ALL rcl
    ALL rcr
    TEST_DOUBLE shld, 16, left
    TEST_DOUBLE shld, 32, left
    TEST_DOUBLE shld, 64, left
    TEST_DOUBLE shrd, 16, right
    TEST_DOUBLE shrd, 32, right
    TEST_DOUBLE shrd, 64, right
    DETAIL 0
    ; /6 is an alias of SHL
    mov eax, 0x81
    db 0xC0, 0xF0, 1
    CHECK_FLAGS CF | OF, CF | OF
    CHECK rax, 2
    mov cl, 2
    db 0xD2, 0xF0
    CHECK rax, 8
    db 0xD1, 0xF0
    CHECK rax, 16
    ; high bytes; the count register as the destination
    mov eax, 0x8001
    rol ah, 1
    CHECK rax, 0x101
    mov ecx, 0x0304
    shl ch, cl
    CHECK rcx, 0x3004
    mov rcx, 0x8000000000000004
    sar rcx, cl
    CHECK64 rcx, 0xF800000000000000
    mov ecx, 4
    ror cl, cl
    CHECK rcx, 0x40
    ; a count of zero reads and writes memory all the same, so it can fault
    mov rdx, 0x40000000
    xor ecx, ecx
    stc
    FAULTS 14, RMW, shl byte [rdx], cl
    FAULTS 14, RMW, rcr qword [rdx], 1
    FAULTS 14, RMW, shld [rdx], rax, cl
    CHECK_FLAGS CF, CF

    ; BMI2 and friends, if the processor has them
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, 8
    jnc .no_bmi2
    mov rbx, 0x8000000000000001
    mov ecx, 0x41
    stc
    shlx rax, rbx, rcx
    CHECK rax, 2
    shrx rax, rbx, rcx
    CHECK64 rax, 0x4000000000000000
    sarx rax, rbx, rcx
    CHECK64 rax, 0xC000000000000000
    rorx rax, rbx, 1
    CHECK64 rax, 0xC000000000000000
    CHECK_FLAGS CF, CF
.no_bmi2:
    PASS

%macro ALL_ROWS 1
    ROWS %1, 8
    ROWS %1, 16
    ROWS %1, 32
    ROWS %1, 64
%endmacro
    ALL_ROWS shl
    ALL_ROWS shr
    ALL_ROWS sar
    ALL_ROWS rol
    ALL_ROWS ror
    ALL_ROWS rcl
    ALL_ROWS rcr
    DOUBLE_ROWS left, 16
    DOUBLE_ROWS left, 32
    DOUBLE_ROWS left, 64
    DOUBLE_ROWS right, 16
    DOUBLE_ROWS right, 32
    DOUBLE_ROWS right, 64
memory: dq 0
END
