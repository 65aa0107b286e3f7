; RDFSBASE and its kin under CR4.FSGSBASE, at both privilege levels and in compatibility mode; RDPID.
; options: --cpu x86-64-v4
%include "test.inc"

NOT_CANONICAL equ 0x0000800000000000

main:
    FAULTS 6, 0, rdfsbase rax
    FAULTS 6, 0, rdgsbase rax
    FAULTS 6, 0, wrfsbase rax
    FAULTS 6, 0, wrgsbase rax
    mov rax, cr4
    bts rax, 16
    mov cr4, rax

    mov rbx, 0xFFFF8123456789AB
    wrfsbase rbx
    rdfsbase rcx
    CHECK rcx, rbx
    rdgsbase rcx
    CHECK rcx, 0
    mov ecx, 0xC0000100 ; the MSR is the same register
    rdmsr
    CHECK32 eax, 0x456789AB
    CHECK32 edx, 0xFFFF8123
    ; 32 bits: the upper half is cleared
    mov rcx, -1
    rdfsbase ecx
    CHECK64 rcx, 0x456789AB
    wrfsbase ebx
    rdfsbase rcx
    CHECK64 rcx, 0x456789AB
    ; an address that is not canonical: nothing changes
    mov rdx, NOT_CANONICAL
    FAULTS 13, 0, wrfsbase rdx
    FAULTS 13, 0, wrgsbase rdx
    rdfsbase rcx
    CHECK64 rcx, 0x456789AB
    ; operands go through the new base at once; SWAPGS sees it
    mov rax, data
    mov qword [rax + 8], 77
    wrfsbase rax
    CHECK [fs:8], 77
    wrgsbase rax
    CHECK [gs:8], 77
    swapgs
    rdgsbase rcx
    CHECK rcx, 0
    swapgs
    rdgsbase rcx
    CHECK rcx, rax
    ; a selector load takes the descriptor's
    mov eax, DATA64
    mov fs, ax
    rdfsbase rcx
    CHECK rcx, 0
    ; flags stay; LOCK, 66H
    stc
    rdgsbase rcx
    CHECK_IF c
    FAULTS 6, 0, {db 0xF0, 0xF3, 0x0F, 0xAE, 0xC0}

    mov ecx, 0xC0000103
    mov eax, 0x12345678
    xor edx, edx
    wrmsr
    TO_COMPAT
    rdpid edx
    CHECK edx, 0x12345678
    FAULTS 6, 0, {db 0xF3, 0x0F, 0xAE, 0xC0}
    FAULTS 6, 0, {db 0xF3, 0x0F, 0xAE, 0xD9}
    TO_64

    mov ecx, 0xC0000103
    mov eax, 0x89ABCDEF
    xor edx, edx
    wrmsr
    mov rax, -1
    rdpid rax
    CHECK64 rax, 0x89ABCDEF

    USER_PAGES
    TO_USER
    mov rax, data + 64
    wrgsbase rax
    rdgsbase rbx
    CHECK rbx, rax
    wrfsbase rbx
    rdfsbase rcx
    CHECK rcx, rax
    mov rdx, NOT_CANONICAL
    FAULTS 13, 0, wrgsbase rdx
    rdpid rcx
    CHECK64 rcx, 0x89ABCDEF
    TO_KERNEL
    PASS
END
