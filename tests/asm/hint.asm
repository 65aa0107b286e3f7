; Instructions that do nothing to registers and flags: reserved hints and prefetches in every form, with operands that are
; never touched; ENDBR; INVD; RSM outside of system management mode; and the LSS, LFS, LGS forms, RDSEED.
%include "test.inc"

; One hint in all its forms, with an address that nothing can access. Only LOCK is refused.
%macro HINT 3 ; second opcode byte, first and last value of ModRM.reg
%assign reg %2
%rep %3 - %2 + 1
    db 0x0F, %1, 0x02 | reg << 3             ; [rDX]
    db 0x66, 0x0F, %1, 0x02 | reg << 3
    db 0x0F, %1, 0x42 | reg << 3, 0x7F       ; [rDX + 7F]
    db 0x0F, %1, 0x84 | reg << 3, 0x12
    dd 0x10                                  ; [rDX + rDX + 10]
%ifndef QEMU ; QEMU 7.2 has no register forms of 0F 0D
    db 0x0F, %1, 0xC0 | reg << 3             ; rAX
    db 0x66, 0x0F, %1, 0xC7 | reg << 3       ; DI
%endif
    db 0xF2, 0x0F, %1, 0x02 | reg << 3
%if __?BITS?__ == 64
    db 0x48, 0x0F, %1, 0x02 | reg << 3
%ifndef QEMU
    db 0x4D, 0x0F, %1, 0xC0 | reg << 3
%endif
    db 0x0F, %1, 0x05 | reg << 3
    dd 0x40000000                            ; [RIP + 40000000]
%endif
%ifndef QEMU ; QEMU 7.2 lets LOCK through
    FAULTS 6, 0, {db 0xF0, 0x0F, %1, 0x02 | reg << 3}
%endif
%assign reg reg + 1
%endrep
%endmacro
%macro HINTS 0
    push STATUS | 2
    popfx
    HINT 0x0D, 0, 7 ; PREFETCH, PREFETCHW, PREFETCHWT1, reserved
    HINT 0x18, 0, 7 ; PREFETCHNTA, T0, T1, T2, reserved
    HINT 0x19, 0, 7
    HINT 0x1A, 0, 7
    HINT 0x1B, 0, 7
    HINT 0x1C, 0, 7 ; CLDEMOTE and reserved
    HINT 0x1D, 0, 7
    HINT 0x1E, 0, 7
    HINT 0x1F, 0, 7
    db 0xF3, 0x0F, 0x1E, 0xFA ; ENDBR64
    db 0xF3, 0x0F, 0x1E, 0xFB ; ENDBR32
    db 0xF3, 0x0F, 0x1E, 0xC8 ; RDSSPD EAX: nothing without CET
    db 0xF3, 0x0F, 0x1E, 0xF8
    CHECK_FLAGS STATUS, STATUS
    CHECK xax, 0x12345678
    CHECK xdi, 0x87654
%endmacro
%define xdx rdx
%define xdi rdi

main:
    mov rax, 0x12345678
    mov rdi, 0x87654
    mov rdx, 0x7FFFFFF0 ; not mapped
    HINTS
    mov rdx, 1 << 47 ; not canonical
    HINTS
    ; LSS, LFS, LGS from memory: the offset by operand size, the selector behind it
    mov rax, 0x1122334455667788
    mov [data], rax
    mov word [data + 4], DATA64
    mov rbx, -1
    lss ebx, [data]
    CHECK64 rbx, 0x55667788
    mov ecx, ss
    CHECK32 ecx, DATA64
    mov rbx, -1
    mov word [data + 2], USER_DATA
    lfs bx, [data]
    CHECK64 rbx, 0xFFFFFFFFFFFF7788
    mov ecx, fs
    CHECK32 ecx, USER_DATA
    mov dword [data], 0xAABBCCDD
    lgs r15d, [data]
    CHECK64 r15, 0xAABBCCDD
    mov ecx, gs
    CHECK32 ecx, DATA64
    mov word [data + 4], 0
    lfs ecx, [data] ; null is welcome
    mov ecx, fs
    CHECK32 ecx, 0
    lss ecx, [data] ; for SS, too, in 64-bit mode at CPL 0
    mov ecx, ss
    CHECK32 ecx, 0
    mov ecx, DATA64
    mov ss, ecx
    ; refused: a code segment for SS, an absent one, a register; the destination keeps its value
    mov word [data + 4], CODE64
    FAULTS 13, CODE64, {lss ebx, [data]}
    CHECK64 rbx, 0xFFFFFFFFFFFF7788
    mov word [data + 4], FREE_SELECTOR
    mov dword [gdt + FREE_SELECTOR], 0xFFFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00CF1300 ; data, not present
    FAULTS 12, FREE_SELECTOR, {lss ebx, [data]}
    FAULTS 11, FREE_SELECTOR, {lfs ebx, [data]}
    FAULTS 6, 0, {db 0x0F, 0xB2, 0xC0}
    FAULTS 6, 0, {db 0x0F, 0xB4, 0xC0}
    FAULTS 6, 0, {db 0x0F, 0xB5, 0xC0}
    ; the selector lies in a page that is not there
    mov qword [pdpt + 8], pd1 + 7
    mov qword [pd1], pt0 + 7
    mov qword [pt0], data + 3
    mov rdx, 0x40000000
    FAULTS 14, 0, {lfs ebx, [rdx + 0xFFC]}
    CHECK [fault_cr2], 0x40001000
    CHECK64 rbx, 0xFFFFFFFFFFFF7788
    mov dword [data + 0xFFA], 0x01020304
    mov word [data + 0xFFE], DATA64
    lfs ebx, [rdx + 0xFFA]
    CHECK64 rbx, 0x01020304

    ; INVD: data that was written stays; privileged
    mov dword [data + 0x20], 0x13579BDF
    invd
    CHECK32 [data + 0x20], 0x13579BDF
%ifndef QEMU
    FAULTS 6, 0, {db 0xF0, 0x0F, 0x08}
%endif
    ; RSM: #UD outside of system management mode
    FAULTS 6, 0, rsm
    ; RDSEED: always there here; CF set, the other status flags clear; 16 bits leave the rest alone
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, 18
    jnc .no_rdseed
%macro SEED 1
%%again:
    push STATUS & ~CF | 2
    popfq
    rdseed %1
    jnc %%again
    CHECK_FLAGS STATUS, CF
%endmacro
    mov rbx, -1
    SEED ebx
    mov rcx, rbx
    shr rcx, 32
    CHECK rcx, 0
    mov rbx, 0xFFFFFFFFFFFF0000
    SEED bx
    mov rcx, rbx
    sar rcx, 16
    CHECK rcx, -1
    ; 64-bit draws differ
    SEED rbx
    SEED rcx
    NEXT_CHECK
    cmp rbx, rcx
    jne .differ
    FAIL
.differ:
    FAULTS 6, 0, {db 0xF3, 0x0F, 0xC7, 0x38} ; a memory form: nothing there, VMXON aside
%ifndef QEMU
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xC7, 0xF8}
%endif
.no_rdseed:
    USER_PAGES
    TO_USER
    FAULTS 13, 0, invd
    FAULTS 6, 0, rsm
    TO_KERNEL
    mov eax, DATA64 ; IRETQ to CPL 3 has made DS null
    mov ds, eax
    mov es, eax

    ; compatibility mode: the same bytes (without REX), INC for 48H; 16-bit addresses
    mov edx, 0x7FFFFFF0
    mov eax, 0x12345678
    mov edi, 0x87654
    TO_COMPAT
%define xdx edx
%define xdi edi
    HINTS
    db 0x67, 0x0F, 0x1F, 0x87 ; NOP [BX + 8000]
    dw 0x8000
    db 0x67, 0x0F, 0x18, 0x06 ; PREFETCHNTA [1234]
    dw 0x1234
    CHECK eax, 0x12345678
    mov dword [data], 0x99AABBCC
    mov dword [data + 4], 0xFFFF0000 | DATA64
    lss ebx, [data]
    CHECK ebx, 0x99AABBCC
    mov ecx, ss
    CHECK ecx, DATA64
    lgs ebx, [ds:data]
    mov ecx, gs
    CHECK ecx, DATA64
    mov word [data + 4], 0
    FAULTS 13, 0, {lss ecx, [data]} ; no null selector for SS here
    lfs ecx, [data]
    CHECK ecx, 0x99AABBCC
    FAULTS 13, 0, {mov eax, [fs:data]}
    FAULTS 6, 0, rsm
    invd
    TO_64
    PASS

align 4096
pd1: times 512 dq 0
END
