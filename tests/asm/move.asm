; Data movement: MOV in all forms, MOVZX, MOVSX, MOVSXD, XCHG, BSWAP, LEA, moffs, CMOVcc, SETcc, CBW.. CQO, XLAT, MOVBE.
%include "test.inc"

%macro CONDITION 1 ; r15: the flags; r14: which conditions hold
    push r15
    mov rbx, -1
    popfq
    db 0x0F, 0x90 + %1, 0xC3 ; SETcc bl
    movzx ecx, bl
    mov edx, r14d
    shr edx, %1
    and edx, 1
    CHECK rcx, rdx
    or rcx, ~0xFF
    CHECK rbx, rcx
    push r15
    mov byte [data + 0x400], 0x77
    mov rax, 0x1111111111111111
    mov rbx, 0x2222222222222222
    popfq
    db 0x0F, 0x90 + %1, 0x04, 0x25 ; SETcc [data + 400H]
    dd data + 0x400
    db 0x48, 0x0F, 0x40 + %1, 0xC3 ; CMOVcc rax, rbx
    pushfq
    CHECK8 [data + 0x400], dl
    mov rcx, 0x1111111111111111
    lea r9, [rcx + rcx]
    test edx, edx
    cmovnz rcx, r9
    CHECK rax, rcx
    pop rcx
    and ecx, STATUS | 2
    CHECK rcx, r15 ; no flag changed
    push r15
    mov rax, 0x1111111111111111
    popfq
    db 0x0F, 0x40 + %1, 0xC3 ; CMOVcc eax, ebx: the upper half becomes zero in either case
    mov ecx, 0x11111111
    mov r9d, 0x22222222
    test edx, edx
    cmovnz ecx, r9d
    CHECK rax, rcx
    push r15
    mov rax, 0x1111111111111111
    popfq
    db 0x66, 0x0F, 0x40 + %1, 0xC3 ; CMOVcc ax, bx
    mov rcx, 0x1111111111111111
    test edx, edx
    mov r9, 0x1111111111112222
    cmovnz rcx, r9
    CHECK rax, rcx
    push r15
    xor ecx, ecx
    popfq
    db 0x70 + %1, 2 ; Jcc short over the JMP
    jmp short %%no
    inc ecx
%%no:
    CHECK rcx, rdx
    push r15
    xor ecx, ecx
    popfq
    db 0x0F, 0x80 + %1 ; Jcc near
    dd 2
    jmp short %%no2
    inc ecx
%%no2:
    CHECK rcx, rdx
%endmacro

main:
    ; what each width leaves of the destination
    mov rax, 0x1122334455667788
    mov rcx, -1
    mov cl, al
    CHECK64 rcx, 0xFFFFFFFFFFFFFF88
    mov ch, ah
    CHECK64 rcx, 0xFFFFFFFFFFFF7788
    mov cx, ax
    mov ecx, eax
    CHECK64 rcx, 0x55667788
    mov rcx, rax
    CHECK rcx, rax
    mov edx, 0xAABBCCDD
    mov dh, cl
    CHECK32 edx, 0xAABB88DD
    mov bh, dh
    mov bl, ch
    CHECK16 bx, -0x7789
    mov sil, 0x5A
    mov r12, -1
    mov r12b, sil
    CHECK r12, -0xA6
    mov r12d, r12d
    CHECK64 r12, 0xFFFFFF5A
    mov r12w, 0x1234
    CHECK64 r12, 0xFFFF1234
    ; the same encodings with and without REX name different registers
    mov eax, 0x0000BB00
    mov ecx, 0
    db 0x88, 0xE1       ; mov cl, ah
    CHECK rcx, 0xBB
    mov rbp, 0x66
    db 0x40, 0x88, 0xE9 ; mov cl, bpl
    CHECK rcx, 0x66
    ; both directions of the register form
    mov eax, 0x11
    db 0x48, 0x89, 0xC3 ; mov rbx, rax
    CHECK rbx, 0x11
    mov eax, 0x22
    db 0x48, 0x8B, 0xD8 ; mov rbx, rax
    CHECK rbx, 0x22
    db 0xC6, 0xC3, 0x77 ; mov bl, 77H
    CHECK rbx, 0x77
    db 0x66, 0xC7, 0xC3, 0x34, 0x12 ; mov bx, 1234H
    CHECK rbx, 0x1234
    db 0x48, 0xC7, 0xC3, 0xFF, 0xFF, 0xFF, 0xFF ; mov rbx, -1
    CHECK rbx, -1
    db 0xC7, 0xC3, 0xFF, 0xFF, 0xFF, 0xFF ; mov ebx, -1
    CHECK64 rbx, 0xFFFFFFFF
    mov r15, 0x8877665544332211
    CHECK64 r15, 0x8877665544332211
%ifndef QEMU ; QEMU 7.2 obeys a REX prefix that does not directly precede the opcode (SDM Vol. 2A, 2.2.1: ignored)
    db 0x48, 0x66, 0xB8, 0x34, 0x12 ; mov ax, 1234H, not mov rax
    CHECK16 ax, 0x1234
%endif

    ; memory: every width, immediates, segment override without effect, neighbours untouched
    mov rbx, data + 64
    mov rcx, -1
    mov [rbx - 8], rcx
    mov [rbx], rcx
    mov [rbx + 8], rcx
    mov byte [rbx + 1], 0x12
    mov word [rbx + 3], 0x3456
    CHECK64 [rbx], 0xFFFFFF3456FF12FF
    mov dword [rbx + 6], 0x789ABCDE
    CHECK64 [rbx], 0xBCDEFF3456FF12FF
    CHECK64 [rbx + 8], 0xFFFFFFFFFFFF789A
    mov qword [rbx + 8], -5
    CHECK [rbx + 8], -5
    mov eax, 0x1234ABCD
    mov [rbx + 2], ah
    CHECK64 [rbx], 0xBCDEFF3456AB12FF
    db 0x2E ; CS override
    mov rdx, [rbx + 8]
    CHECK rdx, -5
    db 0x3E
    mov rdx, [rbx]
    CHECK64 rdx, 0xBCDEFF3456AB12FF
    mov dl, [rbx + 2]
    CHECK64 rdx, 0xBCDEFF3456AB12AB
    mov dh, [rbx + 1]
    mov r9, -1
    mov r9w, [rbx + 6]
    CHECK64 r9, 0xFFFFFFFFFFFFBCDE
    mov r9d, [rbx + 4]
    CHECK64 r9, 0xBCDEFF34

    ; addressing: every base, index and scale, no base, no index, RIP-relative, 32-bit address size
    mov qword [data + 0x100], 0x100
    mov qword [data + 0x128], 0x128
    mov rdx, [data + 0x100]
    CHECK rdx, 0x100
    mov rdx, [rel data + 0x128]
    CHECK rdx, 0x128
%macro BASES 1-*
%rep %0
    mov %1, data + 0x80
    mov rdx, [%1 + 0x80]
    CHECK rdx, 0x100
    mov %1, data + 0x100
    mov rdx, [%1]
    CHECK rdx, 0x100
    mov %1, data + 0x1100
    mov rdx, [%1 - 0x1000]
    CHECK rdx, 0x100
%rotate 1
%endrep
%endmacro
    BASES rax, rbx, rcx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
%macro INDICES 1-*
%rep %0
    mov %1, 0x28
    mov rdx, [data + 0x100 + %1]
    CHECK rdx, 0x128
    mov %1, 0x14
    mov rdx, [rbx + %1 * 2]
    CHECK rdx, 0x128
    mov %1, -0xA
    mov rdx, [rbx + %1 * 4 + 0x50]
    CHECK rdx, 0x128
    mov %1, 5
    mov rdx, [data + 0x100 + %1 * 8]
    CHECK rdx, 0x128
    mov rdx, [rbx + %1 * 8]
    CHECK rdx, 0x128
%rotate 1
%endrep
%endmacro
    mov rbx, data + 0x100
    INDICES rax, rcx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
    mov rax, rsp
    lea rsp, [data + 0x100]
    mov rdx, [rsp]
    mov rcx, [rsp + 0x28]
    mov esi, 5
    mov rdi, [rsp + rsi * 8]
    mov rsp, rax
    CHECK rdx, 0x100
    CHECK rcx, 0x128
    CHECK rdi, 0x128
    db 0x48, 0x8B, 0x14, 0x23 ; mov rdx, [rbx] by SIB with index 4: none
    CHECK rdx, 0x100
    db 0x48, 0x8B, 0x14, 0xE3 ; and a scale that means nothing
    CHECK rdx, 0x100
    mov rbx, 0xFFFFFFFF00000000 + data + 0x100
    mov rdx, [ebx]
    CHECK rdx, 0x100
    mov rsi, 0x1234567800000005
    mov rdx, [ebx + esi * 8]
    CHECK rdx, 0x128
    mov rbx, -0x100
    mov edx, [ebx + data + 0x200] ; wraps at 4 GiB
    CHECK rdx, 0x100
    db 0x67
    mov rdx, [rel $ + 7 + data + 0x100 - $ - 7] ; EIP-relative
    CHECK rdx, 0x100

    ; MOFFS: 64- and 32-bit addresses, AL to RAX
    mov rax, 0x1122334455667788
    mov [abs qword data + 0x200], rax
    mov eax, 0
    mov rax, [abs qword data + 0x200]
    CHECK64 rax, 0x1122334455667788
    mov eax, [abs qword data + 0x204]
    CHECK64 rax, 0x11223344
    mov ax, [abs qword data + 0x200]
    CHECK64 rax, 0x11227788
    mov al, [abs qword data + 0x203]
    CHECK64 rax, 0x11227755
    db 0x67, 0xA0 ; mov al, [disp32]
    dd data + 0x207
    CHECK64 rax, 0x11227711
    db 0x67, 0x66, 0xA3 ; mov [disp32], ax
    dd data + 0x200
    CHECK64 [data + 0x200], 0x1122334455667711
    mov [abs qword data + 0x201], al
    CHECK64 [data + 0x200], 0x1122334455661111

    ; MOVZX, MOVSX, MOVSXD
    mov rax, 0xFFFFFFFFFFFF8081
    movzx ecx, al
    CHECK rcx, 0x81
    movzx ecx, ah
    CHECK rcx, 0x80
    mov rcx, -1
    movzx cx, al
    CHECK64 rcx, 0xFFFFFFFFFFFF0081
    movzx rcx, ax
    CHECK rcx, 0x8081
    movzx ecx, ax
    CHECK rcx, 0x8081
    movsx ecx, al
    CHECK64 rcx, 0xFFFFFF81
    movsx rcx, al
    CHECK rcx, -0x7F
    xor ecx, ecx
    movsx cx, ah
    CHECK rcx, 0xFF80
    movsx ecx, ax
    CHECK64 rcx, 0xFFFF8081
    movsx rcx, ax
    CHECK rcx, -0x7F7F
    mov eax, 0x80000001
    movsxd rcx, eax
    CHECK rcx, -0x7FFFFFFF
    mov eax, 0x7FFFFFFF
    movsxd rcx, eax
    CHECK rcx, 0x7FFFFFFF
    mov rcx, -1
    db 0x63, 0xC8 ; movsxd ecx, eax: a plain MOV
    CHECK rcx, 0x7FFFFFFF
    mov rcx, -1
    db 0x66, 0x63, 0xC8 ; movsxd cx, ax
    CHECK rcx, -1
    mov qword [data + 0x300], 0x807F
    movzx edx, byte [data + 0x301]
    CHECK rdx, 0x80
    movsx rdx, byte [data + 0x301]
    CHECK rdx, -0x80
    movsx edx, byte [data + 0x300]
    CHECK rdx, 0x7F
    movzx rdx, word [data + 0x300]
    CHECK rdx, 0x807F
    movsx rdx, word [data + 0x300]
    CHECK rdx, -0x7F81
    mov qword [data + 0x300], -2
    movsxd rdx, dword [data + 0x300]
    CHECK rdx, -2
    db 0x66, 0x0F, 0xB7, 0xC8 ; movzx cx, ax
    CHECK16 cx, -1

    ; XCHG
    mov rax, 0x1111111111111111
    mov rbx, 0x2222222222222222
    xchg al, bh
    CHECK64 rax, 0x1111111111111122
    CHECK64 rbx, 0x2222222222221122
    xchg ax, bx
    CHECK64 rax, 0x1111111111111122
    CHECK64 rbx, 0x2222222222221122
    xchg eax, ebx
    CHECK64 rax, 0x22221122
    CHECK64 rbx, 0x11111122
    xchg rbx, r10
    xchg rax, r10
    CHECK64 rax, 0x11111122
    CHECK64 r10, 0x22221122
    mov rax, -1
    db 0x90 ; NOP, not xchg eax, eax
    CHECK rax, -1
    db 0x87, 0xC0 ; xchg eax, eax: zero-extends
    CHECK64 rax, 0xFFFFFFFF
    mov rax, -1
    mov r8, 5
    db 0x41, 0x90 ; xchg eax, r8d
    CHECK rax, 5
    CHECK64 r8, 0xFFFFFFFF
    xchg ah, al
    CHECK rax, 0x500
    mov qword [data], 7
    xchg [data], rax
    CHECK rax, 7
    CHECK [data], 0x500
    xchg [data + 1], al
    CHECK [data], 0x700
    lock xchg [data], ecx

    ; BSWAP
    mov rax, 0x1122334455667788
    bswap rax
    CHECK64 rax, 0x8877665544332211
    bswap eax
    CHECK64 rax, 0x11223344
    mov r11, 0x1122334455667788
    bswap r11
    CHECK64 r11, 0x8877665544332211
    bswap r11d
    CHECK64 r11, 0x11223344

    ; LEA: no access, no fault, address size and operand size apart
    mov rax, 0x8000000000000000
    lea rcx, [rax]
    CHECK rcx, rax
    mov rax, 0xFFFFFFFF
    lea rcx, [rax + rax]
    CHECK64 rcx, 0x1FFFFFFFE
    lea ecx, [rax + rax]
    CHECK64 rcx, 0xFFFFFFFE
    lea rcx, [eax + eax]
    CHECK64 rcx, 0xFFFFFFFE
    mov rcx, -1
    lea cx, [rax + 2]
    CHECK64 rcx, 0xFFFFFFFFFFFF0001
    lea rcx, [rel main]
    CHECK rcx, main
    lea rcx, [eax + 1]
    CHECK rcx, 0
    mov ebx, 3
    lea r8, [rbx + rbx * 8 - 100]
    CHECK r8, -73
    lea r8, [rbx * 4 + 0x7FFFFFFF]
    CHECK64 r8, 0x8000000B
    lea r8, [-1]
    CHECK r8, -1
    lea r8, [r13 + r12 * 2]
    db 0x36, 0x48, 0x8D, 0x03 ; a segment override is ignored
    CHECK rax, 3
    FAULTS 6, 0, {db 0x48, 0x8D, 0xC0} ; LEA of a register

    ; CBW, CWDE, CDQE, CWD, CDQ, CQO
    mov rax, 0x1122334455667780
    cbw
    CHECK64 rax, 0x112233445566FF80
    cwde
    CHECK64 rax, 0xFFFFFF80
    cdqe
    CHECK rax, -0x80
    mov rdx, 0x1111111111111111
    cwd
    CHECK64 rdx, 0x111111111111FFFF
    cdq
    CHECK64 rdx, 0xFFFFFFFF
    cqo
    CHECK rdx, -1
    mov eax, 0x7FFF7FFF
    cwd
    CHECK64 rdx, 0xFFFFFFFFFFFF0000
    cqo
    CHECK rdx, 0
    mov edx, 5
    mov rax, 0x80000000
    cqo
    CHECK rdx, 0
    cdq
    CHECK64 rdx, 0xFFFFFFFF

    ; XLAT
    mov rbx, data
    mov qword [rbx + 0xF8], -3
    mov rax, 0x1234567890ABCDFF
    xlatb
    CHECK64 rax, 0x1234567890ABCDFF
    mov byte [rbx + 0xFF], 0x42
    xlatb
    CHECK64 rax, 0x1234567890ABCD42
    mov al, 0xFF
    mov rbx, 0x1100000000 + data
    db 0x67, 0xD7
    CHECK64 rax, 0x1234567890ABCD42

    ; CMOVcc and SETcc: every condition under every combination of OF, SF, ZF, PF, CF; the table holds one word a
    ; combination, bit n for condition n
    xor ebp, ebp
.combination:
    mov rsi, rbp
    DETAIL rbp
    mov eax, ebp ; OF SF ZF PF CF -> bits 11, 7, 6, 2, 0
    and eax, 1
    mov ecx, ebp
    and ecx, 2
    lea eax, [rax + rcx * 2]
    mov ecx, ebp
    and ecx, 0xC
    shl ecx, 4
    or eax, ecx
    mov ecx, ebp
    and ecx, 0x10
    shl ecx, 7
    or eax, ecx
    or eax, 2
    mov r15, rax
    movzx r14d, word [conditions + rbp * 2]
%assign c 0
%rep 16
    CONDITION c
%assign c c + 1
%endrep
    inc ebp
    cmp ebp, 32
    jb .combination
    DETAIL 0
    ; the source is read even if the condition is false
    mov rdx, 0x40000000
    xor eax, eax
    FAULTS 14, 0, cmovnz rcx, [rdx]
    FAULTS 14, 2, setnz [rdx]
    ; a faulting load changes nothing
    mov rcx, 0x1234
    FAULTS 14, 0, mov rcx, [rdx]
    FAULTS 14, 0, movzx ecx, byte [rdx]
    FAULTS 14, 0, movsxd rcx, dword [rdx]
    CHECK rcx, 0x1234
    FAULTS 14, RMW, xchg [rdx], rcx
    CHECK rcx, 0x1234

    ; MOVBE
    mov eax, 1
    cpuid
    bt ecx, 22
    jnc .no_movbe
    mov rdx, 0x1122334455667788
    movbe [data], rdx
    CHECK64 [data], 0x8877665544332211
    movbe ecx, [data]
    CHECK64 rcx, 0x11223344
    mov rcx, -1
    movbe cx, [data]
    CHECK64 rcx, 0xFFFFFFFFFFFF1122
    movbe rcx, [data]
    CHECK rcx, rdx
    movbe [data], dx
    CHECK64 [data], 0x8877665544338877
.no_movbe:
    PASS

; Condition codes 0 to 15 (O NO B NB Z NZ BE NBE S NS P NP L NL LE NLE) for flags OF SF ZF PF CF = 00000b to 11111b.
conditions:
%assign flags 0
%rep 32
%assign o (flags >> 4) & 1
%assign s (flags >> 3) & 1
%assign z (flags >> 2) & 1
%assign p (flags >> 1) & 1
%assign k flags & 1
%assign even o | k << 2 | z << 4 | (k | z) << 6 | s << 8 | p << 10 | (s ^ o) << 12 | ((s ^ o) | z) << 14
    dw even | (even ^ 0x5555) << 1
%assign flags flags + 1
%endrep
END
