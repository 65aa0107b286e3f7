; Exceptions in 64-bit mode: what raises each vector, error codes, RF, the frame, stacks by IST and by privilege change,
; double faults, nesting, priorities. Debug exceptions are in debug.asm, floating point in sse.asm and x87.asm.
%include "test.inc"

%ifdef QEMU ; QEMU 7.2 counts in units of 16 bytes (SDM Vol. 3A, 6.13: the index is the vector)
%define IDT_ERROR(vector, bits) (vector) * 16 + bits
EXT equ 0 ; nor does it set EXT
%else
EXT equ 1
%define IDT_ERROR(vector, bits) (vector) * 8 + bits
%endif
IST1 equ stack_top - 0x2000
IST2 equ data + 0x8000
RSP0 equ stack_top - 0x1000

main:
    mov qword [pdpt + 8], pd1 + 3
    mov qword [pd1], pt0 + 3
    mov r15, rsp

    ; #DE, #BP, #UD, #NM, #GP, #PF: error codes and RF (set for faults, clear for traps)
    xor edx, edx
    xor ecx, ecx
    FAULTS 0, 0, div ecx
%macro RF_IS 1
    mov rax, [fault_rflags]
    and eax, RF
    CHECK rax, %1
%endmacro
%ifndef QEMU ; QEMU 7.2 never pushes RF
    RF_IS RF
%endif
    TRAPS 3, int3
    RF_IS 0
    TRAPS 3, {int 3}
    TRAPS 0x55, int 0x55
    FAULTS 6, 0, ud2
%ifndef QEMU
    RF_IS RF
%endif
    FAULTS 6, 0, {db 0x0F, 0xFF, 0xC0} ; UD0 with ModRM
    FAULTS 6, 0, {db 0x0F, 0xB9, 0xC0} ; UD1
    FAULTS 6, 0, {db 0x0F, 0x04}
    FAULTS 6, 0, {db 0xCE}             ; INTO
    FAULTS 6, 0, {db 0xD6}
    FAULTS 6, 0, {db 0x27}             ; DAA
    FAULTS 6, 0, {db 0x9A, 0, 0, 0, 0, 0, 0} ; CALL far
    FAULTS 6, 0, {db 0xEA, 0, 0, 0, 0, 0, 0} ; JMP far
    FAULTS 6, 0, {db 0xFF, 0xF8}       ; group 5 /7
    FAULTS 6, 0, {db 0xFE, 0xD0}       ; group 4 /2
    FAULTS 6, 0, {db 0xFF, 0xD8}       ; CALL far through a register
    FAULTS 6, 0, {db 0xC5, 0xF8, 0xFF, 0xC0}
    FAULTS 6, 0, {db 0x0F, 0x20, 0xC8} ; MOV from CR1
    mov rax, cr0
    or rax, 8
    mov cr0, rax
    FAULTS 7, 0, fnop
    FAULTS 7, 0, {movaps xmm0, xmm1}
    mov rbx, 0x40000000
    FAULTS 7, 0, fld qword [rbx] ; #NM before the operand's #PF
    clts
    fnop
    mov rax, cr0
    or rax, 4
    mov cr0, rax
    FAULTS 7, 0, fnop
    FAULTS 6, 0, {movaps xmm0, xmm1}
    and rax, ~4
    mov cr0, rax

    ; the frame: SS, RSP aligned down to 16, RFLAGS, CS, RIP
    mov qword [handler], frame_check
    mov rax, r15
    and rsp, -16
    sub rsp, 8
    cmp rax, rax
    stc
    int 0x40
    mov qword [handler], 0
    mov rsp, r15
    CHECK [data], 0x40
    mov rax, r15
    and rax, -16
    sub rax, 8
    CHECK [data + 8], rax          ; the interrupted RSP
    and rax, -16
    sub rax, 40
    CHECK [data + 16], rax         ; where RIP lies
    CHECK [data + 24], DATA64
    CHECK [data + 32], CODE64
    mov rax, [data + 40]
    and eax, STATUS
    CHECK rax, CF | ZF | PF
    ; the gate was an interrupt gate: IF, TF, NT, RF are clear inside
    mov rax, [data + 48]
    and eax, IF | TF | RF | 0x4000
    CHECK rax, 0

    ; #NP, #GP for gates: error code = vector * 8 + 2 (IDT), + 1 if from outside the program
    mov byte [idt + 0x50 * 16 + 5], 0x6E ; not present
    FAULTS 11, IDT_ERROR(0x50, 2), int 0x50
    mov byte [idt + 0x50 * 16 + 5], 0x85 ; a task gate: not in 64-bit mode
    FAULTS 13, IDT_ERROR(0x50, 2), int 0x50
    mov byte [idt + 0x50 * 16 + 5], 0xEC ; a call gate
    FAULTS 13, IDT_ERROR(0x50, 2), int 0x50
    mov byte [idt + 0x50 * 16 + 5], 0xE6 ; a 16-bit interrupt gate
    FAULTS 13, IDT_ERROR(0x50, 2), int 0x50
    mov byte [idt + 0x50 * 16 + 5], 0xEE
    mov word [idt + 0x50 * 16 + 2], DATA64
    FAULTS 13, DATA64, int 0x50
    mov word [idt + 0x50 * 16 + 2], 0
    FAULTS 13, 0, int 0x50
    mov word [idt + 0x50 * 16 + 2], CODE32 ; a gate must lead to 64-bit code
    FAULTS 13, CODE32, int 0x50
    mov word [idt + 0x50 * 16 + 2], 0x700 ; beyond the GDT
    FAULTS 13, 0x700, int 0x50
    mov dword [gdt + FREE_SELECTOR], 0xFFFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00AF1B00 ; 64-bit code, not present
    mov word [idt + 0x50 * 16 + 2], FREE_SELECTOR
    FAULTS 11, FREE_SELECTOR, int 0x50
    mov dword [gdt + FREE_SELECTOR + 4], 0x00AFFB00 ; DPL 3: not from CPL 0
    FAULTS 13, FREE_SELECTOR, int 0x50
    mov word [idt + 0x50 * 16 + 2], CODE64
    ; beyond the IDT's limit
    lidt [short_idt]
    FAULTS 13, IDT_ERROR(0x80, 2), int 0x80
    lidt [idt_register]
    ; a non-canonical handler: #GP(0)
%ifndef QEMU ; QEMU 7.2 does not look
    mov dword [idt + 0x50 * 16 + 8], 0x12345678
    FAULTS 13, 0, int 0x50
    mov dword [idt + 0x50 * 16 + 8], 0
%endif

    ; #SS(0): a non-canonical address by RBP; #GP(0) by others
    mov rbp, 0x8000000000000000
%ifndef QEMU ; QEMU 7.2 raises #GP
    FAULTS 12, 0, mov rax, [rbp]
    FAULTS 12, 0, mov rax, [rsp + rbp]
%endif
    FAULTS 13, 0, mov rax, [rbx + rbp]
%ifndef QEMU ; QEMU 7.2 looks at the first byte only
    mov rcx, 0x00007FFFFFFFFFFD
    FAULTS 13, 0, mov rax, [rcx]
%endif

    ; #PF: the error code's P, W, U, RSVD and I bits (paging.asm has more); CR2 is the first byte that faults
    mov qword [pt0], data + 0x3000 + 3
    mov rbx, 0x40000FFC
    FAULTS 14, 0, mov rax, [rbx]
    CHECK64 [fault_cr2], 0x40001000
    FAULTS 14, 2, mov [rbx], rax
    CHECK64 [fault_cr2], 0x40001000
    FAULTS 14, 0, mov rax, [rbx + 8]
    CHECK64 [fault_cr2], 0x40001004

    ; #AC: CPL 3, CR0.AM, EFLAGS.AC; the error code is 0
    USER_PAGES
%ifndef QEMU ; QEMU 7.2 has no #AC
    mov rax, cr0
    bts rax, 18
    mov cr0, rax
    TO_USER 0x40002
    mov rax, [data]
    FAULTS 17, 0, mov rax, [data + 1]
    FAULTS 17, 0, mov [data + 4], rax
    FAULTS 17, 0, mov eax, [data + 2]
    FAULTS 17, 0, mov ax, [data + 1]
    mov al, [data + 1]
    mov eax, [data + 4]
    mov ax, [data + 2]
    mov rcx, rsp
    lea rsp, [rcx - 4]
    FAULTS_RSP 17, 0, rcx, push rax
    FAULTS 17, 0, add [data + 1], rax
    FAULTS 17, 0, {movss xmm0, [data + 1]}
    FAULTS 17, 0, fld tword [data + 4]
    movups xmm0, [data + 1]
    movdqu [data + 8], xmm0
    ; it comes before the page fault (the manual leaves the order open; so do Intel's and AMD's processors)
    mov rdx, 0x40002001
    FAULTS 17, 0, mov rax, [rdx]
    TO_KERNEL
    mov rax, [data + 1] ; at CPL 0 never
    mov rax, cr0
    btr rax, 18
    mov cr0, rax
%endif
    TO_USER 0x40002
    mov rax, [data + 1] ; nor without CR0.AM
    ; from CPL 3 the handler runs on RSP0, whatever RSP was
    mov rcx, rsp
    mov rsp, 0x123456789
    FAULTS_RSP 6, 0, rcx, ud2
    CHECK64 [fault_rsp], 0x123456789
    CHECK [fault_cs], USER_CODE
    ; INT n needs DPL >= CPL; INT3 likewise
    mov byte [idt + 0x50 * 16 + 5], 0x8E
    FAULTS 13, IDT_ERROR(0x50, 2), int 0x50
    mov byte [idt + 3 * 16 + 5], 0x8E
    FAULTS 13, IDT_ERROR(3, 2), int3
    mov byte [idt + 3 * 16 + 5], 0xEE
    ; but an exception does not look at the gate's DPL
    mov byte [idt + 6 * 16 + 5], 0x8E
    FAULTS 6, 0, ud2
    ; where RIP, RSP, CS were: the frame at RSP0
    mov qword [handler], user_frame
    int 0x40
user_frame:
    lea rax, [rsp + 56]
    CHECK rax, RSP0
    mov rax, [rsp + 48]
    CHECK rax, USER_DATA
    mov eax, ss
    CHECK rax, 0 ; a null selector with RPL 0 after a change to CPL 0
    mov eax, cs
    CHECK rax, CODE64
    mov qword [handler], 0
    mov rsp, r15
    mov eax, DATA64
    mov ss, eax
    ; the target's code segment: conforming code runs at the interrupted CPL, RPL of the gate's selector is ignored
    mov word [idt + 0x50 * 16 + 2], CODE64 + 3
    TRAPS 0x50, int 0x50
    mov word [idt + 0x50 * 16 + 2], CODE64

    ; IST: the stack changes even without a change of privilege
    mov qword [tss + 44], IST2
    mov byte [idt + 6 * 16 + 4], 2
    mov qword [handler], ist_check
    ud2
ist_back:
    mov qword [handler], 0
    mov byte [idt + 6 * 16 + 4], 0
    CHECK [data], IST2 - 40
    CHECK [data + 8], r15

    ; a double fault: #PF whose handler's stack is absent; on IST 2
    mov byte [idt + 8 * 16 + 4], 2
    mov rsp, 0x40002008
    mov qword [handler], df_check
    mov rbx, 0x40003000
df_at:
    mov rax, [rbx]
    FAIL
df_check:
    mov rsp, r15
    mov qword [handler], 0
    CHECK [fault_vector], 8
    CHECK [fault_error], 0
    mov rax, cr2
    and rax, ~0xFFF
    CHECK64 rax, 0x40001000 ; of the push; the manual does not say of which byte
    ; #GP with an absent #GP gate, then #NP: contributory after contributory
    mov byte [idt + 13 * 16 + 5], 0x6E
    mov qword [handler], df2_check
    mov rax, 0x8000000000000000
    mov rbx, [rax]
    FAIL
df2_check:
    mov rsp, r15
    CHECK [fault_vector], 8
    CHECK [fault_error], 0
    ; #UD (benign) with an absent gate: #NP as itself, with EXT set
    mov byte [idt + 13 * 16 + 5], 0xEE
    mov qword [handler], 0
    mov byte [idt + 6 * 16 + 5], 0x6E
    FAULTS 11, IDT_ERROR(6, EXT + 2), ud2
    mov byte [idt + 6 * 16 + 5], 0xEE
    ; #PF with an absent gate: a double fault
    mov byte [idt + 14 * 16 + 5], 0x6E
    mov qword [handler], df3_check
    mov rbx, 0x40003000
    mov rax, [rbx]
    FAIL
df3_check:
    mov rsp, r15
    mov qword [handler], 0
    CHECK [fault_vector], 8
    mov byte [idt + 14 * 16 + 5], 0xEE
    ; INT n with an absent gate is no fault of an exception's delivery: EXT clear
    mov byte [idt + 0x40 * 16 + 5], 0x6E
    FAULTS 11, IDT_ERROR(0x40, 2), int 0x40
    mov byte [idt + 0x40 * 16 + 5], 0xEE

    ; nested: a handler that faults itself and returns
    mov qword [handler], outer
    mov rcx, 1
    mov rbx, 0x40000FFC
    mov rax, [rbx]
    CHECK64 rax, 0x5555555500000000
    mov qword [handler], 0

    ; priorities: #UD of a bad opcode before #GP of privilege; the fetch's #PF before both; #GP before #PF of the operand
    TO_USER
    FAULTS 6, 0, {db 0x0F, 0x00, 0x30} ; group 6 /6
    FAULTS 13, 0, {db 0x0F, 0x01, 0x10} ; LGDT [RAX], RAX = anything: CPL first
    FAULTS 13, 0, {mov cr3, rax}
    FAULTS 13, 0, {mov dr0, rax}
    FAULTS 13, 0, clts
    FAULTS 13, 0, invlpg [rax]
    FAULTS 13, 0, rdmsr
    FAULTS 13, 0, {ltr ax}
    FAULTS 13, 0, {lldt ax}
    FAULTS 13, 0, {lmsw ax}
    FAULTS 13, 0, swapgs
    FAULTS 13, 0, wbinvd
    FAULTS 13, 0, invd
    FAULTS 13, 0, {db 0x48, 0x0F, 0x07} ; SYSRET
    FAULTS 13, 0, {db 0x0F, 0x35} ; SYSEXIT
    TO_KERNEL
    ; 15 bytes are the limit: 14 prefixes and NOP run, 15 do not
    times 14 db 0x66
    nop
    FAULTS 13, 0, {db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90}
    ; the 16th byte is fetched before the length is found to be too long: its page fault wins (seen on a processor)
    mov rdi, data + 0x4000 - 16
    mov al, 0x66
    mov ecx, 16
    rep stosb
    mov qword [pt0 + 8], data + 0x3000 + 3
    mov rdx, 0x40002000 - 14
    invlpg [rdx]
    FAULTS_RIP 14, 0, rdx, jmp rdx
    CHECK64 [fault_cr2], 0x40002000
    dec rdx
    FAULTS_RIP 14, 0, rdx, jmp rdx
    CHECK64 [fault_cr2], 0x40002000
    dec rdx
    FAULTS_RIP 13, 0, rdx, jmp rdx
    PASS

frame_check:
    mov rax, [rsp]
    mov [data], rax
    mov rax, [rsp + 40]
    mov [data + 8], rax
    lea rax, [rsp + 16]
    mov [data + 16], rax
    mov rax, [rsp + 48]
    mov [data + 24], rax
    mov rax, [rsp + 24]
    mov [data + 32], rax
    mov rax, [rsp + 32]
    mov [data + 40], rax
    pushfq
    pop qword [data + 48]
    add rsp, 16
    iretq
ist_check:
    lea rax, [rsp + 16]
    mov [data], rax
    mov rax, [rsp + 40]
    mov [data + 8], rax
    mov rax, ist_back
    mov [rsp + 16], rax
    add rsp, 16
    iretq
outer: ; the page fault's handler maps the page, but first divides by zero
    mov qword [handler], inner
    push rdx
    xor edx, edx
    push rax
    push rcx
    xor ecx, ecx
    div ecx
    pop rcx
    pop rax
    pop rdx
    mov qword [handler], 0
    mov qword [pt0 + 8], data + 0x5000 + 3
    mov dword [data + 0x5000], 0x55555555
    mov dword [data + 0x3FFC], 0
    add rsp, 16
    iretq
inner: ; skip the DIV
    add qword [rsp + 16], 2
    add rsp, 16
    iretq

short_idt:
    dw 0x80 * 16 - 1
    dq idt
align 4096
pd1: times 512 dq 0
END
