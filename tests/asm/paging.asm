; 4-level paging: accessed and dirty bits, stale translations, rights and error codes, page crossings, CPL 3.
%include "test.inc"

%define BASE 0x40000000 ; second GiB: pdpt[1] -> pd1 -> pt0

%macro MAP 2 ; index in pt0, entry
    mov rax, %2
    mov [pt0 + (%1) * 8], rax
%endmacro

main:
    mov qword [pdpt + 8], pd1 + 7
    mov qword [pd1], pt0 + 7
    MAP 0, data + 3
    MAP 1, data + 0x1000 + 3
    MAP 2, data + 0x2000 + 1         ; read-only
    MAP 3, data + 0x3000 + 7         ; user
    MAP 4, data + 0x4000 + 5         ; user, read-only
    mov rbx, BASE

    ; a read sets A, a write sets D; both at the last level only on use
    mov rcx, [rbx]
    CHECK [pt0], data + 0x23
    mov [rbx], rcx
    CHECK [pt0], data + 0x63
    ; a changed mapping is seen at once
    mov qword [data], 111
    mov qword [data + 0x1000], 222
    CHECK [rbx], 111
    mov qword [pt0], data + 0x1000 + 3
    invlpg [rbx]
    CHECK [rbx], 222
    mov qword [pt0], data + 3
    invlpg [rbx]
    CHECK [rbx], 111

    ; not present, read-only under CR0.WP, write faults set no bit
    FAULTS 14, 0, mov rcx, [rbx + 0x5000]
    CHECK [fault_cr2], BASE + 0x5000
    FAULTS 14, 2, mov [rbx + 0x5123], rcx
    CHECK [fault_cr2], BASE + 0x5123
    FAULTS 14, 3, mov [rbx + 0x2008], rcx
    CHECK [pt0 + 16], data + 0x2000 + 1
    mov rcx, [rbx + 0x2000]
    CHECK [pt0 + 16], data + 0x2000 + 0x21
    FAULTS 14, 3, add [rbx + 0x2008], rcx
    CHECK [pt0 + 16], data + 0x2000 + 0x21
    ; without WP the supervisor may write
    mov rax, cr0
    and rax, ~CR0_WP
    mov cr0, rax
    mov [rbx + 0x2008], rcx
    CHECK [pt0 + 16], data + 0x2000 + 0x61
    or rax, CR0_WP
    mov cr0, rax
    FAULTS 14, 3, mov [rbx + 0x2008], rcx

    ; crossing into an absent page: nothing is written, CR2 is the second page
    mov qword [data + 0x4FF8], -1
    MAP 4, data + 0x4000 + 3
    FAULTS 14, 2, mov [rbx + 0x4FFC], rcx
    CHECK [fault_cr2], BASE + 0x5000
    CHECK [data + 0x4FF8], -1
    ; crossing between two mapped pages that are not neighbours
    MAP 5, data + 0x3000 + 3
    mov rcx, 0x1122334455667788
    mov [rbx + 0x4FFC], rcx
    CHECK32 [data + 0x4FFC], 0x55667788
    CHECK32 [data + 0x3000], 0x11223344
    mov rdx, [rbx + 0x4FFC]
    CHECK rdx, rcx

    ; reserved bits
%ifndef QEMU ; QEMU 7.2 gives error 8: it leaves out P (SDM Vol. 3A, 4.7: P is 1 if the fault is a reserved bit's)
    mov rax, 1 << 51 | 3
    mov [pt0 + 6 * 8], rax
    FAULTS 14, 9, mov rcx, [rbx + 0x6000]
    mov qword [pd1 + 8], 0x200000 + 0x83 + 0x2000 ; 2 MiB page with a reserved address bit
    FAULTS 14, 9, mov rcx, [rbx + 0x200000]
%endif
    mov qword [pd1 + 8], 0x83
    mov rcx, [rbx + 0x200000 + data - 0]
    CHECK rcx, [data]

    ; NX
    mov ecx, 0xC0000080
    rdmsr
    or eax, 1 << 11
    wrmsr
    mov byte [data], 0xC3
    mov qword [pt0], data + 3
    bts qword [pt0], 63
    mov rdi, rbx
    mov rbp, rsp
    FAULTS_RIP 14, 0x11, rdi, call rdi
    mov rsp, rbp
    CHECK [fault_cr2], BASE
    mov qword [pt0], data + 3
    invlpg [rbx]
    call rdi

    ; non-canonical addresses are #GP, on the stack #SS
    mov rax, 1 << 47
    FAULTS 13, 0, mov rcx, [rax]
    mov rsi, rsp
    mov rsp, rax
    mov byte [idt + 12 * 16 + 4], 1 ; #SS on IST1: its handler needs a stack
%ifndef QEMU ; QEMU 7.2 raises #GP here, too (SDM Vol. 1, 3.3.7.1: implied stack references fault with #SS)
    FAULTS_RSP 12, 0, rsi, pop rcx
%endif
    mov rsp, rsi

    ; CPL 3: its own rights, and the error code's U bit
    mov qword [pml4], pdpt + 7
    or qword [pdpt], 4
    mov rax, [pd0]
    or rax, 4
    mov [pd0], rax                   ; the first 2 MiB, code and stack, for the user as well
    mov rax, cr3
    mov cr3, rax
    MAP 0, data + 3                  ; supervisor
    MAP 3, data + 0x3000 + 7
    mov [saved_rsp], rsp
    push USER_DATA
    lea rax, [rsp - 256]
    push rax
    push 2
    push USER_CODE
    mov rax, user
    push rax
    iretq
user:
    mov rcx, [rbx + 0x3000]
    FAULTS 14, 5, mov rcx, [rbx]
    FAULTS 14, 7, mov [rbx], rcx
    FAULTS 14, 4, mov rcx, [rbx + 0x7000]
    FAULTS 14, 6, mov [rbx + 0x7000], rcx
    FAULTS 13, 0, mov rax, cr0
    FAULTS 13, 0, hlt
    FAULTS 13, 0, wrmsr
    FAULTS 13, 0, in al, 0x80
    FAULTS 13, 0, cli
    mov ax, cs
    movzx eax, ax
    CHECK rax, USER_CODE
    ; back to CPL 0 by a handler of its own
    mov qword [handler], back
    int 0x80
back:
    mov qword [handler], 0
    mov rsp, [saved_rsp]
    mov ax, cs
    movzx eax, ax
    CHECK rax, CODE64
    PASS

saved_rsp: dq 0
align 4096
pd1: times 512 dq 0
END
