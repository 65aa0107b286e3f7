; x2APIC mode: switching, registers as MSRs, ICR as one 64-bit MSR, self-IPI, the timer, reserved bits, what is gone.
%include "test.inc"
%include "apic.inc"

X2 equ 0x800
%macro WRMSR 2 ; index, value
    push rax
    push rcx
    push rdx
    mov ecx, %1
    mov rax, %2
    mov rdx, rax
    shr rdx, 32
    wrmsr
    pop rdx
    pop rcx
    pop rax
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
%macro RDMSR_FAULTS 1
    mov ecx, %1
    FAULTS 13, 0, rdmsr
%endmacro

main:
    mov eax, 1
    cpuid
    bt ecx, 21
    jc .present
    PASS
.present:
    shr ebx, 24
    mov [apic_id], ebx
    call apic_start
    mov qword [handler], 0
    ; in xAPIC mode the MSRs are not there
    RDMSR_FAULTS X2 + 2
    WRMSR_FAULTS X2 + 0xB, 0
    ; EN and EXTD: EXTD without EN is invalid
    RDMSR 0x1B
    mov [base], rax
    and rax, ~0xC00
    or rax, 0x400
    mov rdx, rax
    shr rdx, 32
    mov ecx, 0x1B
    FAULTS 13, 0, wrmsr
    mov rbx, [base]
    or rbx, 0x400
    WRMSR 0x1B, rbx
    RDMSR 0x1B
    CHECK rax, rbx
    ; not back to xAPIC directly
    mov rax, [base]
    mov rdx, rax
    shr rdx, 32
    mov ecx, 0x1B
    FAULTS 13, 0, wrmsr
    ; registers
    RDMSR X2 + 2
    CHECK32 eax, [apic_id]
    RDMSR X2 + 0xD ; LDR: cluster and bit from the ID
    mov edx, [apic_id]
    mov ecx, edx
    and ecx, 15
    mov ebx, 1
    shl ebx, cl
    shr edx, 4
    shl edx, 16
    or ebx, edx
    CHECK rax, rbx
    RDMSR X2 + 0xF
    and eax, 0x1FF
    CHECK rax, 0x1FF
    WRMSR X2 + 8, 0x20
    RDMSR X2 + 8
    CHECK rax, 0x20
    mov rax, cr8
    CHECK rax, 2
    WRMSR X2 + 8, 0
    ; read-only, write-only, absent and reserved
    WRMSR_FAULTS X2 + 2, 0
    WRMSR_FAULTS X2 + 3, 0
    RDMSR_FAULTS X2 + 0xB
    WRMSR_FAULTS X2 + 0xB, 1 ; EOI takes zero only
    RDMSR_FAULTS X2 + 0xE    ; no DFR
    RDMSR_FAULTS X2 + 0x31   ; no ICR2
    RDMSR_FAULTS X2 + 0x3F   ; SELF IPI is write-only
    WRMSR_FAULTS X2 + 8, 0x100
    WRMSR_FAULTS X2 + 8, 0x100000000
    WRMSR_FAULTS X2 + 0x28, 1
    WRMSR_FAULTS X2 + 0x32, 1 << 20
    WRMSR_FAULTS X2 + 0x10, 0
    RDMSR_FAULTS X2 + 0x40

    mov qword [handler], x2_taken
    ; SELF IPI and the ICR
    CLEAR_LOG
    WRMSR X2 + 0x3F, 0x61
    sti
    nop
    nop
    cli
    CHECK32 [interrupt_count], 1
    CHECK8 [interrupt_log], 0x61
    mov eax, [apic_id]
    shl rax, 32
    or rax, 0x4062
    WRMSR X2 + 0x30, rax
    WRMSR X2 + 0x30, 0x44063
    sti
    nop
    nop
    nop
    cli
    CHECK32 [interrupt_count], 3
    CHECK16 [interrupt_log + 1], 0x6263 ; 63H is in the same class but higher
    RDMSR X2 + 0x30
    CHECK rax, 0x44063
    RDMSR X2 + 0x23 ; IRR
    CHECK rax, 0
    ; the timer
    WRMSR X2 + 0x3E, 3
    WRMSR X2 + 0x32, 0x65
    CLEAR_LOG
    WRMSR X2 + 0x38, 1000
    RDMSR X2 + 0x39
    cmp rax, 1000
    CHECK_IF be
    AWAIT 1
    CHECK8 [interrupt_log], 0x65
    WRMSR X2 + 0x32, 0x20066
    CLEAR_LOG
    WRMSR X2 + 0x38, 1000
    AWAIT 3
    WRMSR X2 + 0x38, 0
    CHECK16 [interrupt_log], 0x6666
    mov eax, 1
    cpuid
    bt ecx, 24
    jnc .no_deadline
    WRMSR X2 + 0x32, 0x40067
    CLEAR_LOG
    rdtsc
    shl rdx, 32
    or rax, rdx
    add rax, 10000
    WRMSR 0x6E0, rax
    AWAIT 1
    CHECK8 [interrupt_log], 0x67
.no_deadline:
    ; off, and on again as xAPIC
    mov rax, [base]
    and rax, ~0xC00
    WRMSR 0x1B, rax
    mov qword [handler], 0
    RDMSR_FAULTS X2 + 2
    mov eax, 1
    cpuid
    bt edx, 9
    CHECK_IF nc ; CPUID's APIC bit follows
    mov rax, [base]
    WRMSR 0x1B, rax
    LAPIC_READ ID
    shr eax, 24
    CHECK32 eax, [apic_id]
    PASS

x2_taken: ; handler
    push rax
    push rcx
    push rdx
    mov ecx, [interrupt_count]
    mov eax, [rsp + 24]
    and ecx, 0xFF
    mov [interrupt_log + rcx], al
    inc dword [interrupt_count]
    xor eax, eax
    xor edx, edx
    mov ecx, X2 + 0xB
    wrmsr
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq
apic_id: dd 0
base: dq 0
END
