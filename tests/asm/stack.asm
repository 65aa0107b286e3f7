; PUSH, POP, PUSHF, POPF in all sizes, ENTER with levels, LEAVE, near CALL and RET with immediates; PUSHA and POPA, pushes of
; segment registers and 16-bit stacks in compatibility mode.
%include "test.inc"

main:
    mov r15, rsp
    mov rsp, data + 0x1000
    ; registers, by both encodings
    mov rax, 0x1122334455667788
    push rax
    CHECK rsp, data + 0xFF8
    CHECK64 [data + 0xFF8], 0x1122334455667788
    pop rbx
    CHECK rbx, rax
    CHECK rsp, data + 0x1000
    db 0xFF, 0xF0 ; push rax
    db 0x8F, 0xC1 ; pop rcx
    CHECK rcx, rax
    push r12
    push r9
    pop r8
    pop r13
    CHECK r8, r9
    CHECK r13, r12
    push ax
    CHECK rsp, data + 0xFFE
    CHECK16 [data + 0xFFE], 0x7788
    mov rdx, -1
    pop dx
    CHECK64 rdx, 0xFFFFFFFFFFFF7788
    ; immediates are sign-extended
    push strict byte -2
    push strict dword -3
    push strict dword 0x7FFFFFFF
    pop rax
    pop rcx
    pop rdx
    CHECK rax, 0x7FFFFFFF
    CHECK rcx, -3
    CHECK rdx, -2
    db 0x66, 0x6A, 0x80 ; push word -80H
    db 0x66, 0x68, 0x34, 0x12 ; push word 1234H
    CHECK rsp, data + 0xFFC
    mov eax, [rsp]
    CHECK64 rax, 0xFF801234
    ; memory operands
    mov rsp, data + 0x1000
    mov qword [data], 77
    push qword [data]
    pop qword [data + 8]
    CHECK [data + 8], 77
    push word [data]
    CHECK rsp, data + 0xFFE
    pop word [data + 2]
    CHECK64 [data], 77 << 16 | 77
    ; PUSH RSP pushes the old value, POP RSP loads the popped one; a memory operand based on RSP: PUSH before the
    ; decrement, POP after the increment
    push rsp
    CHECK [rsp + 8], data + 0x1000
    pop rsp
    CHECK rsp, data + 0x1000
    mov qword [rsp - 16], 123
    mov qword [rsp], 5
    push qword [rsp]
    CHECK32 [data + 0xFF8], 5
    mov qword [rsp], 6
    pop qword [rsp + 8]
    CHECK [data + 0x1008], 6
    ; a fault leaves RSP alone
    mov rdx, 0x40000000
    FAULTS 14, 0, push qword [rdx]
    CHECK rsp, data + 0x1000
    FAULTS 14, 2, pop qword [rdx]
    CHECK rsp, data + 0x1000
    mov byte [idt + 14 * 16 + 4], 1 ; #PF on IST1
    lea rsp, [rdx + 8]
    FAULTS_RSP 14, 2, data + 0x1000, push rax
    CHECK64 [fault_rsp], 0x40000008
    lea rsp, [rdx]
    FAULTS_RSP 14, 0, data + 0x1000, pop rax
    CHECK64 [fault_rsp], 0x40000000
    lea rsp, [rdx]
    FAULTS_RSP 14, 0, data + 0x1000, ret
    lea rsp, [rdx + 8]
    FAULTS_RSP 14, 2, data + 0x1000, call main
    CHECK64 [fault_rsp], 0x40000008
    lea rsp, [rdx + 8]
    FAULTS_RSP 14, 2, data + 0x1000, pushfq
    FAULTS 14, 0, call [rdx]
    CHECK rsp, data + 0x1000
    mov byte [idt + 14 * 16 + 4], 0

    ; PUSHF: VM and RF read as zero; POPF with 16 bits leaves the rest
    push 0x8D7
    popfq
    pushfq
    pop rax
    CHECK rax, 0x8D7
    pushfw
    CHECK rsp, data + 0xFFE
    pop ax
    CHECK16 ax, 0x8D7
    cmp rax, rax
    push word 1
    popfw
    pushfq
    pop rax
    CHECK rax, 3

    ; ENTER and LEAVE
    mov rbp, data + 0x2000
    enter 0x20, 0
    CHECK rbp, data + 0xFF8
    CHECK rsp, data + 0xFD8
    CHECK [data + 0xFF8], data + 0x2000
    leave
    CHECK rbp, data + 0x2000
    CHECK rsp, data + 0x1000
    enter 16, 1
    CHECK rbp, data + 0xFF8
    CHECK rsp, data + 0xFF8 - 8 - 16
    CHECK [data + 0xFF0], data + 0xFF8
    leave
    mov qword [data + 0x2000 - 8], 0x111
    mov qword [data + 0x2000 - 16], 0x222
    mov qword [data + 0x2000 - 24], 0x333
    enter 8, 4 ; copies three frame pointers
    CHECK rbp, data + 0xFF8
    CHECK rsp, data + 0xFF8 - 32 - 8
    CHECK [data + 0xFF0], 0x111
    CHECK [data + 0xFE8], 0x222
    CHECK [data + 0xFE0], 0x333
    CHECK [data + 0xFD8], data + 0xFF8
    mov rsp, data ; LEAVE does not look at RSP
    leave
    CHECK rsp, data + 0x1000
    CHECK rbp, data + 0x2000
    enter 0, 32 + 1 ; the level is taken modulo 32
    CHECK rsp, data + 0xFF0
    leave
    o16 enter 2, 0
    CHECK rsp, data + 0xFFC
    mov eax, data + 0xFFE
    CHECK16 bp, ax
    mov rsp, data + 0x1000

    ; CALL and RET: relative, indirect through register and memory, with bytes released
    mov rbp, r15
    call .near
    CHECK rsp, data + 0x1000
    CHECK rax, 1
    mov rcx, .near
    call rcx
    CHECK rax, 2
    mov [data], rcx
    call [data]
    CHECK rax, 3
    push 7
    push 8
    call .release
    CHECK rsp, data + 0x1000
    push .back
    ret
.back:
    ; the address is read from the stack before RSP moves: CALL through [RSP]
    push .near
    call [rsp]
    CHECK rax, 4
    add rsp, 8
    ; a return to a non-canonical address: #GP at the RET, RSP unchanged
%ifndef QEMU ; QEMU 7.2 faults at the fetch, with RIP already there
    mov rcx, 0x8000000000000000
    push rcx
    FAULTS 13, 0, ret
    CHECK rsp, data + 0xFF8
    FAULTS 13, 0, ret 8
    CHECK rsp, data + 0xFF8
    FAULTS 13, 0, call rcx
    CHECK rsp, data + 0xFF8
    FAULTS 13, 0, jmp rcx
    FAULTS 13, 0, call [rsp]
    CHECK rsp, data + 0xFF8
%endif
    mov rsp, r15

    ; not in 64-bit mode
    FAULTS 6, 0, {db 0x60}
    FAULTS 6, 0, {db 0x61}
    FAULTS 6, 0, {db 0x06}
    FAULTS 6, 0, {db 0x07}
    FAULTS 6, 0, {db 0x0E}
    FAULTS 6, 0, {db 0x16}
    FAULTS 6, 0, {db 0x1E}
    ; FS and GS stay: 8 bytes, zero-extended
    mov rax, -1
    push rax
    pop rax
    push fs
    pop rax
    CHECK rax, 0
    mov ecx, DATA64
    push rcx
    pop gs
    push gs
    pop rax
    CHECK rax, DATA64
    push word 0
    o16 pop gs
    CHECK rsp, r15
    mov eax, gs
    CHECK rax, 0

    TO_COMPAT
    mov eax, DATA64
    mov fs, ax
    mov gs, ax
    mov esp, data + 0x1000
    mov eax, 0x11111111
    mov ecx, 0x22222222
    mov edx, 0x33333333
    mov ebx, 0x44444444
    mov ebp, 0x55555555
    mov esi, 0x66666666
    mov edi, 0x77777777
    pushad
    CHECK esp, data + 0xFE0
    CHECK [data + 0xFFC], 0x11111111
    CHECK [data + 0xFF8], 0x22222222
    CHECK [data + 0xFF4], 0x33333333
    CHECK [data + 0xFF0], 0x44444444
    CHECK [data + 0xFEC], data + 0x1000
    CHECK [data + 0xFE8], 0x55555555
    CHECK [data + 0xFE4], 0x66666666
    CHECK [data + 0xFE0], 0x77777777
    mov dword [data + 0xFEC], 0 ; POPAD skips ESP
    mov dword [data + 0xFE0], 0x88888888
    xor eax, eax
    xor ebx, ebx
    xor esi, esi
    popad
    CHECK esp, data + 0x1000
    CHECK eax, 0x11111111
    CHECK ebx, 0x44444444
    CHECK esi, 0x66666666
    CHECK edi, 0x88888888
    pushaw
    CHECK esp, data + 0xFF0
    CHECK [data + 0xFFC], 0x11112222
    popaw
    CHECK esp, data + 0x1000
    ; segment registers: 4 bytes of stack, or 2
    mov dword [data + 0xFFC], -1
    push ds
    CHECK esp, data + 0xFFC
    mov eax, [esp]
    CHECK16 ax, DATA64
    push es
    push ss
    push cs
    push fs
    push gs
    pop gs
    pop fs
    pop eax
    CHECK16 ax, CODE32
    pop ss
    pop es
    pop ds
    CHECK esp, data + 0x1000
    o16 push ds
    CHECK esp, data + 0xFFE
    o16 pop es
    push -5
    push word -6
    CHECK esp, data + 0xFFA
    pop ax
    pop ecx
    CHECK16 ax, -6
    CHECK ecx, -5
    ; a stack segment with B = 0 uses SP alone
    mov ecx, esp
    mov dword [gdt + FREE_SELECTOR], 0x0000FFFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00009300
    mov eax, data + 0x10000
    mov [gdt + FREE_SELECTOR + 2], ax
    shr eax, 16
    mov [gdt + FREE_SELECTOR + 4], al
    mov eax, FREE_SELECTOR
    mov ss, eax
    mov esp, 0x12340000
    push dword 0x99AABBCC
    mov edx, esp
    pop eax
    mov ebx, esp
    mov eax, DATA64
    mov ss, eax
    mov esp, ecx
    CHECK edx, 0x1234FFFC
    CHECK ebx, 0x12340000
    CHECK [data + 0x1FFFC], -0x66554434
    TO_64
    mov rsp, r15
    PASS

.near:
    inc qword [counter]
    mov rax, [counter]
    ret
.release:
    mov rax, [rsp + 8]
    CHECK rax, 8
    ret 16
counter: dq 0
END
