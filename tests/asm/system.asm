; System instructions: MSRs, control and debug register checks, CPUID, RDTSC, SYSCALL/SYSRET, SYSENTER/SYSEXIT, SWAPGS,
; FS and GS bases, LMSW, SMSW, XSETBV, RDRAND, RDSEED, RSM, CLFLUSH, hints, INVLPG, INVPCID, privileges.
%include "test.inc"

STAR equ 0xC0000081
LSTAR equ 0xC0000082
CSTAR equ 0xC0000083
SFMASK equ 0xC0000084
EFER equ 0xC0000080
FS_BASE equ 0xC0000100
GS_BASE equ 0xC0000101
KERNEL_GS_BASE equ 0xC0000102
SYSENTER_CS equ 0x174
SYSENTER_ESP equ 0x175
SYSENTER_EIP equ 0x176

%macro WRMSR 2 ; index, value
    mov ecx, %1
    mov rax, %2
    mov rdx, rax
    shr rdx, 32
    wrmsr
%endmacro
%macro RDMSR 1 ; index -> rax
    mov ecx, %1
    rdmsr
    shl rdx, 32
    or rax, rdx
%endmacro
%macro WRMSR_FAULTS 2
    mov ecx, %1
    mov rax, %2
    mov rdx, rax
    shr rdx, 32
    FAULTS 13, 0, wrmsr
%endmacro
%macro KEEPS 2 ; an MSR keeps the value
    WRMSR %1, %2
    RDMSR %1
    CHECK64 rax, %2
%endmacro

main:
    ; CPUID: the upper halves become zero; leaf 0 holds the maximum and the vendor
    mov rax, 0xFFFFFFFF00000000
    mov rbx, -1
    mov rcx, -1
    mov rdx, -1
    stc
    cpuid
    CHECK_FLAGS CF, CF
    CHECK_IF c
    mov r8, rax
    CHECK32 ebx, 'Genu'
    CHECK32 edx, 'ineI'
    CHECK32 ecx, 'ntel'
    shr rbx, 32
    CHECK rbx, 0
    cmp r8d, 7
    CHECK_IF ae
    mov eax, 1
    cpuid
    mov r14d, ecx
    mov r15d, edx
    and edx, 0x0780AB71 ; FPU TSC MSR PAE CX8 APIC SEP PGE CMOV MMX FXSR SSE SSE2
    CHECK32 edx, 0x0780AB71
    mov eax, 0x80000000
    cpuid
    mov r13d, eax
    cmp eax, 0x80000008
    CHECK_IF ae
    mov eax, 0x80000001
    cpuid
    mov r12d, edx
    and edx, 1 << 29 | 1 << 20 | 1 << 11 ; LM, NX, SYSCALL
    CHECK32 edx, 1 << 29 | 1 << 20 | 1 << 11
    mov eax, 0x80000008
    cpuid
    mov [physical_bits], al
    CHECK8 ah, 48
    cmp al, 36
    CHECK_IF ae
    cmp r8d, 0x15
    jb .no_15
    mov eax, 0x15 ; TSC / crystal ratio
    cpuid
    test eax, eax
    jz .no_15
    test ebx, ebx
    CHECK_IF nz
.no_15:
    ; a leaf above the maximum answers, but does not fault; unknown subleaves of 7 are zero
    mov eax, 0x3FFFFFFF
    cpuid
    mov eax, 7
    mov ecx, 0x1000
    cpuid
    or eax, ebx
    or eax, edx
    CHECK32 eax, 0

    ; RDTSC never goes back, and MSR 10H is the same clock
    mov ebp, 100
    xor rbx, rbx
.tsc:
    rdtsc
    shl rdx, 32
    or rax, rdx
    cmp rax, rbx
    CHECK_IF ae
    mov rbx, rax
    dec ebp
    jnz .tsc
%ifndef QEMU ; QEMU 7.2 has no such MSR
    RDMSR 0x10
    cmp rax, rbx
    CHECK_IF ae
%endif
    bt r12d, 27
    jnc .no_rdtscp
    WRMSR 0xC0000103, 0x12345678
    rdtscp
    CHECK32 ecx, 0x12345678
.no_rdtscp:
    ; CR4.TSD forbids it to the user
    mov rax, cr4
    or rax, 4
    mov cr4, rax
    rdtsc
    USER_PAGES
    TO_USER
    FAULTS 13, 0, rdtsc
    TO_KERNEL
    mov rax, cr4
    and rax, ~4
    mov cr4, rax
    TO_USER
    rdtsc
    cpuid
    FAULTS 13, 0, rdmsr
    FAULTS 13, 0, wrmsr
    FAULTS 13, 0, rdpmc
    TO_KERNEL

    ; MSRs: unknown ones fault, canonical ones check, reserved bits fault
%ifndef QEMU ; QEMU 7.2 lets every MSR be
    mov ecx, 0x12345
    FAULTS 13, 0, rdmsr
    FAULTS 13, 0, wrmsr
    mov ecx, 0xC0010000 + 0x999
    FAULTS 13, 0, rdmsr
%endif
    KEEPS FS_BASE, 0x00007FFFFFFFFFFF
    KEEPS GS_BASE, 0xFFFF800000000000
    KEEPS KERNEL_GS_BASE, 0xFFFFFFFFFFFFFFFF
    KEEPS LSTAR, 0xFFFFFFFF80000000
    KEEPS STAR, 0x0023001000000000
    KEEPS SFMASK, 0x47700
    KEEPS SYSENTER_CS, 0x10
    KEEPS SYSENTER_ESP, 0x0000123456789ABC
    KEEPS SYSENTER_EIP, 0xFFFF812345678900
%ifndef QEMU ; QEMU 7.2 takes any value for most MSRs
    WRMSR_FAULTS FS_BASE, 0x0000800000000000
    WRMSR_FAULTS GS_BASE, 0x8000000000000000
    WRMSR_FAULTS KERNEL_GS_BASE, 0xFFFF7FFFFFFFFFFF
    WRMSR_FAULTS LSTAR, 0x0000800000000000
    WRMSR_FAULTS SYSENTER_ESP, 0x0000800000000000
    WRMSR_FAULTS SYSENTER_EIP, 0x0000800000000000
    WRMSR_FAULTS EFER, 1 << 63
    WRMSR_FAULTS EFER, 0xD03
    WRMSR_FAULTS 0x277, 0x0007040600070206 ; PAT: type 2 is reserved
    WRMSR_FAULTS 0x1B, 1 << 62 | 0xFEE00900
%endif
    RDMSR FS_BASE
    CHECK64 rax, 0x00007FFFFFFFFFFF
    RDMSR EFER
    CHECK rax, 0x501
%ifndef QEMU
    ; LME cannot be changed under paging; LMA is read-only
    WRMSR_FAULTS EFER, 0x401
%endif
    WRMSR EFER, 0xD01
    RDMSR EFER
    CHECK rax, 0xD01
    WRMSR EFER, 0x901 ; without LMA: ignored
    RDMSR EFER
    CHECK rax, 0xD01
    KEEPS 0x277, 0x0007040600070406
    RDMSR 0x1B
    and eax, 0xFFFFF900
    CHECK64 rax, 0xFEE00900

    ; segment bases: with FS and GS overrides, as the selector leaves them
    WRMSR FS_BASE, data
    WRMSR GS_BASE, data + 0x100
    mov qword [data + 8], 11
    mov qword [data + 0x108], 22
    mov rax, [fs:8]
    CHECK rax, 11
    mov rax, [gs:8]
    CHECK rax, 22
    mov rbx, -0xF8
    mov rax, [gs:rbx]
    CHECK rax, 11
    lea rax, [gs:8] ; LEA does not add it
    CHECK rax, 8
    ; a 32-bit address is cut off before the base is added
    mov rbx, 0xFFFFFFFF00000008
    mov rax, [fs:ebx]
    CHECK rax, 11
    ; DS, ES, SS, CS have base zero in 64-bit mode even if the descriptor has another
    mov dword [gdt + FREE_SELECTOR], 0x1234FFFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x12CF9356
    mov eax, FREE_SELECTOR
    mov ds, eax
    mov es, eax
    mov rax, [data + 8]
    CHECK rax, 11
    mov eax, FREE_SELECTOR
    mov fs, eax
    RDMSR FS_BASE ; but FS and GS take the descriptor's 32 bits
    CHECK64 rax, 0x12561234
    mov eax, DATA64
    mov ds, eax
    mov es, eax
    mov gs, eax
    RDMSR GS_BASE
    CHECK rax, 0
    ; SWAPGS
    WRMSR GS_BASE, data
    WRMSR KERNEL_GS_BASE, data + 0x100
    swapgs
    mov rax, [gs:8]
    CHECK rax, 22
    RDMSR KERNEL_GS_BASE
    CHECK rax, data
    swapgs
    mov rax, [gs:8]
    CHECK rax, 11
    ; RDFSBASE and friends need CR4.FSGSBASE
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, 0
    jnc .no_fsgsbase
    FAULTS 6, 0, rdfsbase rax
    mov rax, cr4
    or rax, 1 << 16
    mov cr4, rax
    mov rbx, 0x7FFF12345678
    wrfsbase rbx
    rdfsbase rax
    CHECK rax, rbx
    rdfsbase eax
    CHECK64 rax, 0x12345678
    wrgsbase ebx
    rdgsbase rcx
    CHECK64 rcx, 0x12345678
%ifndef QEMU
    mov rbx, 0x800000000000
    FAULTS 13, 0, wrgsbase rbx
%endif
    WRMSR GS_BASE, data
.no_fsgsbase:

    ; control registers
    mov rax, cr0
    mov rbx, rax
    mov rcx, cr4
%ifndef QEMU ; QEMU 7.2 checks none of these
    ; PG without PE, NW without CD
    and rax, ~1
    FAULTS 13, 0, mov cr0, rax
    mov rax, rbx
    or rax, 1 << 29
    FAULTS 13, 0, mov cr0, rax
    mov rax, 1 << 32
    or rax, rbx
    FAULTS 13, 0, mov cr0, rax
    ; paging cannot be switched off in 64-bit code, nor PAE in long mode
    mov rax, rbx
    btr rax, 31
    FAULTS 13, 0, mov cr0, rax
    mov rax, cr4
    mov rcx, rax
    and rax, ~0x20
    FAULTS 13, 0, mov cr4, rax
    bts rax, 5
    bts rax, 31
    FAULTS 13, 0, mov cr4, rax
    mov rax, rcx
    bts rax, 63
    FAULTS 13, 0, mov cr4, rax
%endif
    mov rax, cr4
    CHECK rax, rcx
    mov rax, cr0
    CHECK rax, rbx
%ifndef QEMU ; QEMU 7.2 keeps them
    ; reserved bits of CR0 below 32 read as zero, ET as one
    mov rax, rbx
    or rax, 1 << 28 | 1 << 15
    btr rax, 4
    mov cr0, rax
    mov rax, cr0
    CHECK rax, rbx
%endif
    ; CR3: bits above the physical width fault
    mov rdx, cr3
%ifndef QEMU
    mov cl, [physical_bits]
    mov eax, 1
    shl rax, cl
    or rax, rdx
    FAULTS 13, 0, mov cr3, rax
%endif
    mov rax, rdx
    or rax, 0x18 ; PCD and PWT stay
    mov cr3, rax
    mov rax, cr3
    mov rbx, rdx
    or rbx, 0x18
    CHECK rax, rbx
    mov cr3, rdx
    ; CR2 is plain storage
    mov rax, 0x123456789ABCDEF0
    mov cr2, rax
    mov rbx, cr2
    CHECK rbx, rax
    FAULTS 6, 0, {db 0x0F, 0x20, 0xC8} ; CR1
    FAULTS 6, 0, {db 0x0F, 0x22, 0xE8} ; CR5
    FAULTS 6, 0, {db 0x44, 0x0F, 0x20, 0xC8} ; CR9
    ; the ModRM mode bits are ignored
    db 0x0F, 0x20, 0x03 ; mov rbx, cr0
    mov rax, cr0
    CHECK rax, rbx
    ; LMSW sets PE but never clears it; SMSW
    smsw rax
    mov rbx, cr0
    CHECK rax, rbx
    smsw eax
    CHECK32 eax, ebx
    mov rax, -1
    smsw ax
    mov rcx, -0x10000
    mov cx, bx
    CHECK rax, rcx
    mov qword [data], 0
    smsw [data]
    movzx ecx, bx
    CHECK [data], rcx
    mov eax, 8 ; TS, everything else clear
    lmsw ax
    mov rcx, cr0
    mov rax, rbx
    and rax, ~0xE
    or rax, 8
    CHECK rcx, rax
    lmsw bx
    clts
    mov rcx, cr0
    CHECK rcx, rbx

    ; debug registers: DR4 and DR5 are DR6 and DR7 without CR4.DE; reserved bits
    mov rax, 0x12345678
    mov dr0, rax
    mov dr3, rax
    mov rbx, dr0
    CHECK rbx, rax
    mov rbx, dr3
    CHECK rbx, rax
    xor eax, eax
    mov dr6, rax
    mov rbx, dr6
    CHECK64 rbx, 0xFFFF0FF0
    mov rbx, dr4
    CHECK64 rbx, 0xFFFF0FF0
    mov eax, 0x300
    mov dr7, rax
    mov rbx, dr7
    CHECK64 rbx, 0x700
    mov rbx, dr5
    CHECK64 rbx, 0x700
    mov rax, 1 << 32
    FAULTS 13, 0, mov dr7, rax
    FAULTS 13, 0, mov dr6, rax
    mov rax, cr4
    or rax, 8
    mov cr4, rax
    FAULTS 6, 0, mov rbx, dr4
    FAULTS 6, 0, mov dr5, rbx
    and rax, ~8
    mov cr4, rax
    mov eax, 0x400
    mov dr7, rax

    ; SYSCALL and SYSRET
    WRMSR STAR, 0x0020001000000000
    WRMSR LSTAR, syscall_entry
    WRMSR SFMASK, 0x47701
    WRMSR EFER, 0xD00
    FAULTS 6, 0, syscall ; without SCE
    FAULTS 6, 0, {db 0x48, 0x0F, 0x07}
    WRMSR EFER, 0xD01
    TO_USER 0x3202
    mov r8, rsp
    mov rcx, -1
    mov r11, -1
    stc
    syscall
.after_syscall:
    CHECK_FLAGS CF | IF, CF | IF
    CHECK rcx, .after_syscall
    CHECK rsp, r8
    mov eax, cs
    CHECK rax, USER_CODE
    mov eax, ss
    CHECK rax, USER_DATA
    mov rax, [data]
    CHECK rax, CODE64
    mov rax, [data + 8]
    CHECK rax, DATA64
    mov rax, [data + 16]
    and eax, 0x47701
    CHECK rax, 0
    mov rax, [data + 24]
    and eax, 0x13203
    CHECK rax, 0x3203
    TO_KERNEL
%ifndef QEMU ; QEMU 7.2 does not look
    ; SYSRET to a non-canonical RCX: #GP at CPL 0
    mov rcx, 0x800000000000
    mov r11d, 2
    FAULTS 13, 0, {db 0x48, 0x0F, 0x07}
%endif

    ; SYSENTER and SYSEXIT
    bt r15d, 11
    jnc .no_sep
    WRMSR SYSENTER_CS, 0
    FAULTS 13, 0, sysenter
    FAULTS 13, 0, sysexit
    WRMSR SYSENTER_CS, CODE64 | 3 ; RPL is ignored
    WRMSR SYSENTER_ESP, data + 0x800
    WRMSR SYSENTER_EIP, .sysenter_entry
    TO_USER 0x202
    mov r8, rsp
    sysenter
.never:
    NEXT_CHECK
    FAIL
.sysenter_entry:
    mov r9, rsp
    mov rsp, stack_top - 0x3000
    CHECK r9, data + 0x800
    CHECK_FLAGS IF, 0
    mov eax, cs
    CHECK rax, CODE64
    mov eax, ss
    CHECK rax, DATA64
    mov rdx, .after_sysexit
    mov rcx, r8
    o64 sysexit
.after_sysexit:
    CHECK rsp, r8
    mov eax, cs
    CHECK rax, CODE64 + 35
    mov eax, ss
    CHECK rax, CODE64 + 43
    TO_KERNEL
%ifndef QEMU
    mov rdx, 0x800000000000
    mov rcx, data
    FAULTS 13, 0, o64 sysexit
%endif
.no_sep:

    ; RDRAND sets CF (or gives zero), clears the rest; destination sizes
    bt r14d, 30
    jnc .no_rdrand
    mov rax, -1
    cmp rax, rax
.again:
    rdrand eax
    jnc .again
    CHECK_FLAGS STATUS & ~CF, 0
    shr rax, 32
    CHECK rax, 0
    rdrand rbx
    rdrand rcx
    cmp rbx, rcx
    CHECK_IF nz
    mov rbx, -1
    rdrand bx
    shr rbx, 16
    CHECK64 rbx, 0xFFFFFFFFFFFF
.no_rdrand:
    ; XSETBV and XGETBV need CR4.OSXSAVE
    FAULTS 6, 0, xgetbv
    bt r14d, 26
    jnc .no_xsave
    mov rax, cr4
    or rax, 1 << 18
    mov cr4, rax
    mov eax, 1
    cpuid
    bt ecx, 27
    CHECK_IF c
    xor ecx, ecx
    xgetbv
    CHECK32 eax, 1
    CHECK32 edx, 0
    mov eax, 3
    xsetbv
    mov eax, 0
    xgetbv
    CHECK32 eax, 3
    mov eax, 2 ; x87 is not optional
    FAULTS 13, 0, xsetbv
    mov ecx, 1
    mov eax, 3
    FAULTS 13, 0, xsetbv
    mov rax, cr4
    btr rax, 18
    mov cr4, rax
.no_xsave:
    ; hints do nothing; UD0..2 aside, these are NOPs with operands that are never touched
    mov rdx, 0x40000000
    nop dword [rdx]
    nop word [rdx + rdx]
    prefetcht0 [rdx]
    prefetchnta [rdx]
    db 0x0F, 0x0D, 0x0A ; PREFETCHW [RDX]
    db 0xF3, 0x0F, 0x1E, 0xFA ; ENDBR64
    pause
    lfence
    sfence
    mfence
    clflush [data]
%ifndef QEMU
    FAULTS 14, 0, clflush [rdx]
%endif
    wbinvd
    invlpg [rdx]
    mov rdx, 0x8000000000000000
    invlpg [rdx] ; a non-canonical address does nothing
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
    PASS

syscall_entry:
    mov [data + 24], r11
    mov eax, cs
    mov [data], rax
    mov eax, ss
    mov [data + 8], rax
    mov r9, rsp
    mov rsp, stack_top - 0x3000
    pushfq
    pop qword [data + 16]
    mov rsp, r9
    o64 sysret

physical_bits: db 0
END
