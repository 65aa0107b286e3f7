; Far transfers in IA-32e mode: JMP, CALL, RET to the same and to an outer privilege level, 64-bit call gates, IRET to 64-bit
; and compatibility code, at CPL 0 and 3, conforming code, and what all of them refuse.
%include "test.inc"

%define SELECTOR(n) (FREE_SELECTOR + (n) * 8)
; A far pointer in memory: 64-bit offset and selector.
%macro POINTER 2 ; selector, offset
    mov rax, %2
    mov [data], rax
    mov word [data + 8], %1
%endmacro
; Call gate n (two entries): selector, offset, access byte.
%macro CALL_GATE 4
    mov rax, %3
    mov rdx, rax
    mov [gdt + SELECTOR(%1)], ax
    mov word [gdt + SELECTOR(%1) + 2], %2
    mov word [gdt + SELECTOR(%1) + 4], (%4) << 8
    shr rax, 16
    mov [gdt + SELECTOR(%1) + 6], ax
    shr rdx, 32
    mov [gdt + SELECTOR(%1) + 8], rdx
%endmacro

main:
    mov r15, rsp
    ; JMP m16:64, m16:32; far pointers in the instruction do not exist here
    POINTER CODE64, .jumped
    o64 jmp far [data]
    FAIL
.jumped:
    mov dword [data], .jumped32
    mov word [data + 4], CODE64
    jmp far dword [data]
    FAIL
.jumped32:
    CHECK rsp, r15
    ; CALL and RETF: CS and RIP in 8 bytes each, 4 each, 2 each
    POINTER CODE64, .called64
    o64 call far [data]
.back64:
    CHECK rsp, r15
    mov dword [data], .called32
    mov word [data + 4], CODE64
    call far dword [data]
.back32:
    CHECK rsp, r15
    ; RETF with bytes released
    push 1
    push 2
    push CODE64
    push .ret16
    o64 retf 16
.ret16:
    CHECK rsp, r15
    ; to compatibility mode and back by every way
    mov dword [data], .compat
    mov word [data + 4], CODE32
    jmp far dword [data]
CODE_BITS 32
.compat:
    mov eax, cs
    CHECK eax, CODE32
    mov ebx, 0x12345678
    dec ebx ; 48H-4FH are INC and DEC here
    CHECK ebx, 0x12345677
    call CODE64:.called_from_compat
    CHECK eax, 77
    push CODE64
    push .long
    retf
CODE_BITS 64
.called_from_compat:
    mov eax, 77
    retf ; 4-byte operands, as they were pushed
.long:
    mov eax, cs
    CHECK rax, CODE64
    mov rsp, r15

    ; what is refused, and with which error
%macro REFUSED 3 ; vector, error, selector
    POINTER %3, .never
    FAULTS %1, %2, {o64 jmp far [data]}
    FAULTS %1, %2, {o64 call far [data]}
    CHECK rsp, r15
    push %3
    push .never
    mov rbx, rsp
    FAULTS %1, %2, o64 retf
    CHECK rsp, rbx
    mov rsp, r15
    push DATA64
    push r15
    push 2
    push %3
    push .never
    mov rbx, rsp
    FAULTS %1, %2, iretq
    CHECK rsp, rbx
    mov rsp, r15
%endmacro
    REFUSED 13, 0, 0
    REFUSED 13, DATA64, DATA64
    REFUSED 13, 0x800, 0x800
    REFUSED 13, 0x0C, 0x0C
    mov dword [gdt + SELECTOR(0)], 0xFFFF
    mov dword [gdt + SELECTOR(0) + 4], 0x00AF1B00
    REFUSED 11, SELECTOR(0), SELECTOR(0)   ; absent
%ifndef QEMU ; QEMU 7.2 does not look
    mov dword [gdt + SELECTOR(0) + 4], 0x00EF9B00
    REFUSED 13, SELECTOR(0), SELECTOR(0)   ; L and D
%endif
    mov dword [gdt + SELECTOR(0) + 4], 0x00AFFB00
    POINTER SELECTOR(0), .never
    FAULTS 13, SELECTOR(0), {o64 jmp far [data]} ; DPL 3 from CPL 0
    FAULTS 13, SELECTOR(0), {o64 call far [data]}
    mov dword [gdt + SELECTOR(0) + 4], 0x00AF9B00
    POINTER SELECTOR(0) | 3, .rpl
    FAULTS 13, SELECTOR(0), {o64 jmp far [data]} ; RPL above CPL
    mov dword [gdt + SELECTOR(0) + 4], 0x00AF9F00
    o64 jmp far [data] ; conforming: RPL is not looked at, CPL stays
.rpl:
    mov eax, cs
    CHECK rax, SELECTOR(0)
    o64 jmp far [to_code64]
.code64:
%ifndef QEMU ; QEMU 7.2 does not look
    POINTER CODE64, 0x800000000000
    FAULTS 13, 0, {o64 jmp far [data]}
    FAULTS 13, 0, {o64 call far [data]}
%endif

    ; 64-bit call gates: the same privilege
    CALL_GATE 0, CODE64, .gate_same, 0x8C
    POINTER SELECTOR(0), 0x123456 ; the offset is ignored
    o64 call far [data]
.back_gate:
    CHECK rsp, r15
    mov rax, .gate_jump
    mov [gdt + SELECTOR(0)], ax
    o64 jmp far [data]
    FAIL
.gate_jump:
    CHECK rsp, r15
    ; refused: absent, to data, to 32-bit code, the upper half's type field not zero
    mov byte [gdt + SELECTOR(0) + 5], 0x0C
    FAULTS 11, SELECTOR(0), {o64 call far [data]}
    mov byte [gdt + SELECTOR(0) + 5], 0x8C
    mov word [gdt + SELECTOR(0) + 2], DATA64
    FAULTS 13, DATA64, {o64 call far [data]}
    mov word [gdt + SELECTOR(0) + 2], CODE32
    FAULTS 13, CODE32, {o64 call far [data]}
    mov word [gdt + SELECTOR(0) + 2], 0
    FAULTS 13, 0, {o64 call far [data]}
    mov word [gdt + SELECTOR(0) + 2], CODE64
    mov byte [gdt + SELECTOR(0) + 13], 0x0C
    FAULTS 13, SELECTOR(0), {o64 call far [data]}
    mov byte [gdt + SELECTOR(0) + 13], 0
    mov byte [gdt + SELECTOR(0) + 5], 0x85 ; a task gate
    FAULTS 13, SELECTOR(0), {o64 call far [data]}
    POINTER TSS64, 0
    FAULTS 13, TSS64, {o64 jmp far [data]} ; nor are there tasks

    ; from CPL 3 to CPL 0 by a gate, and back by RETF; the gate's DPL counts
    USER_PAGES
    CALL_GATE 0, CODE64, .gate_inner, 0xEC
    CALL_GATE 2, CODE64, .gate_inner, 0x8C
    TO_USER 0x202
    mov r8, rsp
    POINTER SELECTOR(2) | 3, 0
    FAULTS 13, SELECTOR(2), {o64 call far [data]}
    POINTER SELECTOR(0) | 3, 0
    FAULTS 13, CODE64, {o64 jmp far [data]} ; JMP does not change the privilege
    push 0x1111
    o64 call far [data]
.back_inner:
    CHECK rsp, r8 ; RETF 8 released the pushed word on this stack, too
    mov eax, cs
    CHECK rax, USER_CODE
    mov eax, ss
    CHECK rax, USER_DATA
    CHECK_FLAGS IF, IF
    ; direct transfers at CPL 3
    POINTER CODE64, 0
    FAULTS 13, CODE64, {o64 call far [data]}
    POINTER CODE64 | 3, 0
    FAULTS 13, CODE64, {o64 jmp far [data]}
    POINTER USER_CODE, .user_far
    o64 call far [data]
    POINTER USER_CODE & ~3, .user_far ; RPL becomes CPL
    o64 call far [data]
    mov eax, cs
    CHECK rax, USER_CODE
    ; to 32-bit user code and back
    push USER_CODE32
    push .user32
    o64 retf
CODE_BITS 32
.user32:
    mov eax, cs
    CHECK eax, USER_CODE32
    jmp USER_CODE:.user64
CODE_BITS 64
.user64:
    mov rsp, r8
    ; an inner RETF or IRET is refused
    push CODE64
    push .never
    FAULTS 13, CODE64, o64 retf
    mov rsp, r8
    push DATA64
    push r8
    push 2
    push CODE64
    push .never
    FAULTS 13, CODE64, iretq
    mov rsp, r8
    TO_KERNEL

    ; IRET at CPL 0: always pops SS and RSP; to CPL 3 with a bad SS it faults at CPL 0
    mov rbx, rsp
    and rsp, -16
    push DATA64
    push r15
    push 0x8D7
    push CODE64
    push .iret1
    iretq
.iret1:
    CHECK_FLAGS STATUS, STATUS
    CHECK rsp, r15
    ; a null SS is fine for 64-bit code below CPL 3
    push 0
    push r15
    push 2
    push CODE64
    push .iret2
    iretq
.iret2:
    CHECK rsp, r15
    mov eax, ss
    CHECK rax, 0
    mov eax, DATA64
    mov ss, eax
%macro IRET_FAULTS 4 ; vector, error, SS, CS
    push %3
    push r15
    push 2
    push %4
    push .never
    FAULTS %1, %2, iretq
    mov rsp, r15
%endmacro
    IRET_FAULTS 13, 0, 0, USER_CODE         ; null with RPL 0 to CPL 3
    IRET_FAULTS 13, 0, 3, USER_CODE
    IRET_FAULTS 13, DATA64, DATA64, USER_CODE
    IRET_FAULTS 13, USER_DATA & ~3, USER_DATA, CODE64
    IRET_FAULTS 13, CODE64, CODE64, CODE64
    IRET_FAULTS 13, 0x800, 0x800, CODE64
    mov dword [gdt + SELECTOR(4)], 0xFFFF
    mov dword [gdt + SELECTOR(4) + 4], 0x00CF7300
%ifndef QEMU ; QEMU 7.2 raises #NP
    IRET_FAULTS 12, SELECTOR(4), SELECTOR(4) | 3, USER_CODE
    ; and does not look at this
    push DATA64
    push r15
    push 2
    push CODE64
    mov rax, 0x800000000000
    push rax
    FAULTS 13, 0, iretq
    mov rsp, r15
%endif
    ; IRETD and IRETW in 64-bit mode: 4- and 2-byte frames
    mov rbx, rsp
    sub rsp, 20
    mov dword [rsp], .iretd
    mov dword [rsp + 4], CODE64
    mov dword [rsp + 8], 0x8D7
    mov dword [rsp + 12], r15d
    mov dword [rsp + 16], DATA64
    iretd
.iretd:
    CHECK rsp, r15
    CHECK_FLAGS STATUS, STATUS
    ; to compatibility mode by IRETQ, with RF and IF as popped
    push DATA64
    push r15
    push 0x10202
    push CODE32
    push .iret32
    iretq
CODE_BITS 32
.iret32:
    CHECK_FLAGS IF, IF
    cli
    mov eax, cs
    CHECK eax, CODE32
    ; in compatibility mode IRETD pops SS and ESP only to an outer level
    mov ebx, esp
    pushfd
    push CODE64
    push .iret64
    iretd
CODE_BITS 64
.iret64:
    CHECK rsp, rbx
    mov rsp, r15
    ; compatibility-mode user code through int 0x80; DS must be one that CPL 3 may keep
    mov eax, USER_DATA
    mov ds, eax
    push USER_DATA
    push user_stack_top
    push 2
    push USER_CODE32
    push .compat_user
    iretq
CODE_BITS 32
.compat_user:
    mov eax, cs
    CHECK eax, USER_CODE32
    FAULTS 13, 0, cli
    FAULTS 6, 0, ud2
    mov dword [handler], .from_compat_user
    int 0x80
CODE_BITS 64
.from_compat_user:
    mov qword [handler], 0
    CHECK [fault_cs], USER_CODE32
    mov rsp, r15
    mov eax, DATA64
    mov ss, eax
    PASS
.never:
    NEXT_CHECK
    FAIL

.called64:
    mov rax, [rsp]
    mov rcx, .back64
    CHECK rax, rcx
    mov rax, [rsp + 8]
    CHECK rax, CODE64
    lea rax, [rsp + 16]
    CHECK rax, r15
    o64 retf
.called32:
    mov eax, [rsp]
    CHECK rax, .back32
    mov eax, [rsp + 4]
    CHECK rax, CODE64
    lea rax, [rsp + 8]
    CHECK rax, r15
    retf
.gate_same: ; a 64-bit gate pushes 8-byte values
    mov rax, [rsp]
    CHECK rax, .back_gate
    lea rax, [rsp + 16]
    CHECK rax, r15
    o64 retf
.gate_inner:
    lea rax, [rsp + 32]
    CHECK rax, stack_top - 0x1000 ; RSP0; no parameters are copied
    mov rax, [rsp + 8]
    CHECK rax, USER_CODE
    mov rax, [rsp + 24]
    CHECK rax, USER_DATA
    mov rax, [rsp + 16]
    lea rcx, [r8 - 8]
    CHECK rax, rcx
    mov eax, ss
    CHECK rax, 0
    mov eax, cs
    CHECK rax, CODE64
    CHECK_FLAGS IF, IF ; a call gate does not touch IF
    ; RETF 8 takes 8 bytes from both stacks: put them in front of the outer RSP
    mov rax, [rsp]
    mov rcx, [rsp + 8]
    mov rdx, [rsp + 16]
    mov rbx, [rsp + 24]
    push rbx
    push rdx
    push 0
    push rcx
    push rax
    o64 retf 8
.user_far:
    o64 retf

align 8
to_code64:
    dq main.code64
    dw CODE64
END
