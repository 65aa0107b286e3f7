; CR4.PCIDE: when it may be set, what CR3 then takes; INVPCID and what it refuses.
; options: --cpu x86-64-v4
%include "test.inc"

BASE equ 0x40000000

main:
    mov qword [pdpt + 8], pd1 + 3
    mov qword [pd1], pt0 + 3
    mov qword [pt0], data + 3
    mov qword [data], 11
    mov qword [data + 0x1000], 22
    mov rbx, BASE

    ; PCIDE asks for CR3[11:0] = 0
    mov rax, cr3
    or rax, 8
    mov cr3, rax
    mov rdx, cr4
    bts rdx, 17
    FAULTS 13, 0, mov cr4, rdx
    and rax, ~0xFFF
    mov r14, rax ; the table
    mov cr3, rax
    ; bit 63 is reserved without it
    mov rcx, rax
    bts rcx, 63
    FAULTS 13, 0, mov cr3, rcx
    mov cr4, rdx
    mov rcx, cr4
    CHECK rcx, rdx
    ; with it: 12 bits of PCID, and bit 63 does not stay
    mov rcx, r14
    or rcx, 0xABC
    mov cr3, rcx
    mov rax, cr3
    CHECK rax, rcx
    CHECK [rbx], 11
    mov rcx, r14
    or rcx, 5
    bts rcx, 63
    mov cr3, rcx
    mov rax, cr3
    lea rcx, [r14 + 5]
    CHECK rax, rcx
    CHECK [rbx], 11
    bts rcx, 62
    FAULTS 13, 0, mov cr3, rcx
    ; paging cannot be turned off while PCIDE is set, from compatibility mode either
    mov rax, cr0
    btr rax, 31
    FAULTS 13, 0, mov cr0, rax

    ; INVPCID: after it the changed entry counts
    mov rdi, descriptor
%macro INVALIDATE 1 ; type
    xor qword [pt0], 0x1000 ; data is aligned to 8 KiB or not: see `even`
    mov eax, %1
    invpcid rax, [rdi]
    mov rcx, [even]
    xor rcx, 11 ^ 22
    mov [even], rcx
    CHECK [rbx], rcx
%endmacro
    test dword [pt0], 0x1000
    jz .aligned
    mov qword [pt0], data + 0x1000 + 3 ; so that flipping bit 12 leads to the next page
    mov qword [data + 0x1000], 11
    mov qword [data + 0x2000], 22
    mov rax, [pt0]
    and rax, 0x1000
    CHECK rax, 0
.aligned:
    mov rcx, [rbx]
    mov qword [descriptor], 5
    mov [descriptor + 8], rbx
    INVALIDATE 0
    INVALIDATE 1
    INVALIDATE 2
    INVALIDATE 3
    mov qword [descriptor], 0xFFF
    INVALIDATE 0

    ; refused: types from 4 on, reserved bits of the descriptor, addresses that are not canonical (type 0 alone)
    mov rax, 4
    FAULTS 13, 0, {invpcid rax, [rdi]}
    mov rax, 1 << 32
    FAULTS 13, 0, {invpcid rax, [rdi]}
    mov qword [descriptor], 0x1000
    mov eax, 2
    FAULTS 13, 0, {invpcid rax, [rdi]}
    mov qword [descriptor], 1
    mov rcx, 1 << 47
    mov [descriptor + 8], rcx
    mov eax, 0
    FAULTS 13, 0, {invpcid rax, [rdi]}
    mov eax, 1
    invpcid rax, [rdi]
    ; the descriptor is an operand in memory: faults, and pages may be crossed
    mov rsi, BASE + 0x5000
    FAULTS 14, 0, {invpcid rax, [rsi]}
    FAULTS 6, 0, {db 0x66, 0x0F, 0x38, 0x82, 0xC0}
    FAULTS 6, 0, {db 0x0F, 0x38, 0x82, 0x07}

    ; without PCIDE a PCID other than 0 is refused for types 0 and 1
    mov rax, r14
    mov cr3, rax
    mov rdx, cr4
    btr rdx, 17
    mov cr4, rdx
    mov [descriptor + 8], rbx
    xor eax, eax
    FAULTS 13, 0, {invpcid rax, [rdi]}
    inc eax
    FAULTS 13, 0, {invpcid rax, [rdi]}
    inc eax
    invpcid rax, [rdi]
    inc eax
    invpcid rax, [rdi]
    mov qword [descriptor], 0
    xor eax, eax
    invpcid rax, [rdi]

    ; compatibility mode: a 32-bit register; bits above do not count
    mov rax, 0x100000002
    TO_COMPAT
    invpcid eax, [descriptor]
    TO_64
    USER_PAGES
    TO_USER
    FAULTS 13, 0, {invpcid rax, [rdi]}
    TO_KERNEL
    PASS

align 16
descriptor: dq 0, 0
even: dq 11
align 4096
pd1: times 512 dq 0
END
