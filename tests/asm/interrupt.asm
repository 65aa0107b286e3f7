; Interrupts in 64-bit mode: gates and IF, the STI shadow, HLT, priorities, TPR and CR8, self-IPIs, NMI blocking, the
; 8254 through the 8259s and through the I/O APIC, the local APIC's timer in its three modes.
%include "test.inc"
%include "apic.inc"

main:
    ; an interrupt gate clears IF, a trap gate leaves it; IRET brings it back
    mov qword [handler], look_at_if
    sti
    int 0x70
    CHECK_FLAGS IF, IF
    CHECK [data], 0
    mov byte [idt + 0x70 * 16 + 5], 0xEF
    int 0x70
    CHECK [data], IF
    cli
    int 0x70
    CHECK [data], 0
    CHECK_FLAGS IF, 0
    mov byte [idt + 0x70 * 16 + 5], 0xEE

    call apic_start
    ; pending with IF clear; taken behind the instruction after STI
    CLEAR_LOG
    SELF 0x61
    nop
    nop
    CHECK32 [interrupt_count], 0
    LAPIC_READ IRR + 0x30
    CHECK rax, 2
    xor eax, eax
    sti
    inc eax
.taken1:
    inc eax
    cli
    CHECK32 [interrupt_count], 1
    CHECK [interrupt_rip], .taken1
    CHECK32 eax, 2
    LAPIC_READ IRR + 0x30
    CHECK rax, 0
    ; STI, CLI: nothing gets in between
    CLEAR_LOG
    SELF 0x62
    sti
    cli
    nop
    nop
    CHECK32 [interrupt_count], 0
    ; POPF has no shadow
    push 0x202
    popfq
.taken2:
    nop
    cli
    CHECK32 [interrupt_count], 1
    CHECK [interrupt_rip], .taken2
    CHECK8 [interrupt_log], 0x62
    mov rax, [interrupt_flags]
    and eax, IF
    CHECK rax, IF
    ; a second STI does not make the shadow longer
    CLEAR_LOG
    SELF 0x63
    sti
    sti
.taken3:
    nop
    nop
    cli
    CHECK32 [interrupt_count], 1
    CHECK [interrupt_rip], .taken3
    ; IRET that opens interrupts: at its target
    CLEAR_LOG
    SELF 0x64
    mov rcx, rsp
    push DATA64
    push rcx
    push 0x202
    push CODE64
    push .taken4
    iretq
.taken4:
    nop
    cli
    CHECK32 [interrupt_count], 1
    CHECK [interrupt_rip], .taken4
    ; MOV SS shadows one instruction
    CLEAR_LOG
    SELF 0x65
    mov edx, ss
    mov ebx, 0
    sti
    mov ss, edx
    ; the shadow of STI ends here and that of MOV SS has begun
    inc ebx
    inc ebx
    cli
    CHECK32 [interrupt_count], 1

    ; STI and HLT: a pending interrupt does not get lost, and HLT is left behind itself
    CLEAR_LOG
    SELF 0x66
    sti
    hlt
.taken6:
    cli
    CHECK32 [interrupt_count], 1
    CHECK [interrupt_rip], .taken6

    ; two pending: the higher class first, whatever the order of arrival; the second is taken after the first's EOI
    CLEAR_LOG
    SELF 0x61
    SELF 0x92
    SELF 0x75
    sti
    nop
    nop
    nop
    cli
    CHECK32 [interrupt_count], 3
    CHECK16 [interrupt_log], 0x7592
    CHECK8 [interrupt_log + 2], 0x61
    ; the same vector twice while pending is taken once
    CLEAR_LOG
    SELF 0x61
    SELF 0x61
    sti
    nop
    nop
    cli
    CHECK32 [interrupt_count], 1
    ; without EOI only a higher class gets through; ISR and PPR show it
    CLEAR_LOG
    mov dword [eoi_wanted], 0
    SELF 0x71
    sti
    nop
    cli
    LAPIC_READ ISR + 0x30
    CHECK rax, 0x20000
    LAPIC_READ PPR
    CHECK rax, 0x70
    SELF 0x7F
    SELF 0x6F
    SELF 0x80
    sti
    nop
    nop
    cli
    CHECK32 [interrupt_count], 2
    CHECK8 [interrupt_log + 1], -0x80
    mov dword [eoi_wanted], 1
    LAPIC_WRITE EOI, 0 ; of 80H
    LAPIC_WRITE EOI, 0 ; of 71H
    sti
    nop
    nop
    nop
    cli
    CHECK32 [interrupt_count], 4
    CHECK16 [interrupt_log + 2], 0x6F7F
    LAPIC_READ PPR
    CHECK rax, 0

    ; CR8 is TPR[7:4]; it holds back its own class and those below
    mov eax, 6
    mov cr8, rax
    LAPIC_READ TPR
    CHECK rax, 0x60
    LAPIC_WRITE TPR, 0x75
    mov rax, cr8
    CHECK rax, 7
    LAPIC_READ PPR
    CHECK rax, 0x75
    CLEAR_LOG
    SELF 0x7A
    SELF 0x81
    sti
    nop
    nop
    CHECK32 [interrupt_count], 1
    CHECK8 [interrupt_log], -0x7F
    mov eax, 6
    mov cr8, rax
    nop
    nop
    cli
    CHECK32 [interrupt_count], 2
    xor eax, eax
    mov cr8, rax
%ifndef QEMU ; QEMU 7.2 drops the reserved bits
    mov eax, 0x10
    mov qword [handler], 0
    FAULTS 13, 0, mov cr8, rax
    mov qword [handler], interrupt_taken
%endif

    ; NMI: masked by nothing, not nested until IRET, is delivered with IF clear
    mov qword [handler], nmi_taken
    mov dword [nmis], 0
    LAPIC_READ ID
    LAPIC_WRITE ICR_HIGH, eax
    LAPIC_WRITE ICR_LOW, 0x4400
    mov ecx, 10
.nmi_wait:
    dec ecx
    jnz .nmi_wait
    CHECK32 [nmis], 2          ; the second was sent by the first's handler ...
    CHECK32 [nmi_depth_max], 1 ; ... and waited for its IRET
    mov qword [handler], interrupt_taken

    ; a reserved vector in an IPI: error in ESR (send illegal vector, bit 5)
%ifndef QEMU ; QEMU 7.2 delivers it
    LAPIC_WRITE ESR, 0
    LAPIC_WRITE ICR_LOW, 0x44005
    LAPIC_WRITE ESR, 0
    LAPIC_READ ESR
    and eax, 0x20
    CHECK rax, 0x20
    LAPIC_WRITE ESR, 0
%endif

    ; the 8254 through the 8259s: LINT0 as ExtINT, channel 0 in mode 2 at about 1 kHz
    call pic_start
    LAPIC_WRITE LVT_LINT0, 0x700
    mov al, 0x34
    out 0x43, al
    mov al, 0xA9
    out 0x40, al
    mov al, 4
    out 0x40, al
    mov al, 0xFE
    out 0x21, al
    CLEAR_LOG
    AWAIT 5
    mov al, 0xFF
    out 0x21, al
    CHECK32 [interrupt_log], 0x20202020
    ; mode 0: once
    mov al, 0x30
    out 0x43, al
    mov al, 0x00
    out 0x40, al
    mov al, 2
    out 0x40, al
    mov al, 0xFE
    out 0x21, al
    CLEAR_LOG
    AWAIT 1
    mov al, 0xFF
    out 0x21, al
    LAPIC_WRITE LVT_LINT0, 0x10000

    ; the same through the I/O APIC: pin 2, edge, to this processor
    LAPIC_READ ID
    IOAPIC_WRITE 0x15, eax
    IOAPIC_WRITE 0x14, 0x63
    mov al, 0x34
    out 0x43, al
    mov al, 0xA9
    out 0x40, al
    mov al, 4
    out 0x40, al
    CLEAR_LOG
    AWAIT 3
    IOAPIC_WRITE 0x14, 0x10063
    CHECK16 [interrupt_log], 0x6363
    mov al, 0x30
    out 0x43, al
    ; the version register: at least 24 pins
    mov ecx, IOAPIC
    mov dword [rcx], 1
    mov eax, [rcx + 0x10]
    shr eax, 16
    and eax, 0xFF
    cmp eax, 23
    CHECK_IF ae

    ; the UART's transmitter-empty interrupt by pin 4
    LAPIC_READ ID
    IOAPIC_WRITE 0x19, eax
    IOAPIC_WRITE 0x18, 0x64
    CLEAR_LOG
    mov dx, 0x3FC
    mov al, 8 ; OUT2
    out dx, al
    mov dx, 0x3F9
    mov al, 2
    out dx, al
    AWAIT 1
    mov dx, 0x3FA
    in al, dx
    mov dx, 0x3F9
    mov al, 0
    out dx, al
    CHECK8 [interrupt_log], 0x64
    IOAPIC_WRITE 0x18, 0x10064

    ; the local timer: one shot, divided by 16; the count runs down and stays at zero
    LAPIC_WRITE TIMER_DIVIDE, 3
    LAPIC_WRITE LVT_TIMER, 0x65
    CLEAR_LOG
    LAPIC_WRITE TIMER_INITIAL, 1000
    LAPIC_READ TIMER_CURRENT
    cmp eax, 1000
    CHECK_IF be
    AWAIT 1
    LAPIC_READ TIMER_CURRENT
    CHECK rax, 0
    CHECK8 [interrupt_log], 0x65
    ; masked: it counts but does not interrupt
    LAPIC_WRITE LVT_TIMER, 0x10065
    CLEAR_LOG
    LAPIC_WRITE TIMER_INITIAL, 100
.count:
    LAPIC_READ TIMER_CURRENT
    test eax, eax
    jnz .count
    sti
    nop
    nop
    cli
    CHECK32 [interrupt_count], 0
    ; periodic
    LAPIC_WRITE LVT_TIMER, 0x20066
    LAPIC_WRITE TIMER_INITIAL, 2000
    AWAIT 4
    LAPIC_WRITE TIMER_INITIAL, 0
    CHECK32 [interrupt_log], 0x66666666
    CLEAR_LOG
    sti
    mov ecx, 100000
.still:
    dec ecx
    jnz .still
    cli
    cmp dword [interrupt_count], 1 ; one may have been on its way
    CHECK_IF be
    ; TSC-deadline
    mov eax, 1
    cpuid
    bt ecx, 24
    jnc .no_deadline
    LAPIC_WRITE LVT_TIMER, 0x40067
    CLEAR_LOG
    rdtsc
    shl rdx, 32
    or rax, rdx
    add rax, 100000
    mov rbx, rax
    mov rdx, rax
    shr rdx, 32
    mov ecx, 0x6E0
    wrmsr
    rdmsr
    shl rdx, 32
    or rax, rdx
    CHECK rax, rbx
    AWAIT 1
    rdtsc
    shl rdx, 32
    or rax, rdx
    cmp rax, rbx
    CHECK_IF ae
    mov ecx, 0x6E0
    rdmsr
    or eax, edx
    CHECK rax, 0 ; disarmed
    ; a deadline in the past fires at once; zero disarms
    CLEAR_LOG
    mov eax, 1
    xor edx, edx
    mov ecx, 0x6E0
    wrmsr
    AWAIT 1
    CLEAR_LOG
    rdtsc
    add eax, 1000000
    adc edx, 0
    mov ecx, 0x6E0
    wrmsr
    xor eax, eax
    xor edx, edx
    wrmsr
    sti
    mov ecx, 3000000
.disarmed:
    dec ecx
    jnz .disarmed
    cli
    CHECK32 [interrupt_count], 0
.no_deadline:
%ifndef QEMU ; QEMU 7.2 leaves the mask bits alone (SDM Vol. 3A, 10.4.7.2)
    ; a disabled local APIC has its LVTs masked
    LAPIC_WRITE SVR, 0xFF
    LAPIC_READ LVT_TIMER
    and eax, 0x10000
    CHECK rax, 0x10000
%endif
    PASS

look_at_if:
    pushfq
    pop rax
    and eax, IF
    mov [data], rax
    add rsp, 16
    iretq
nmi_taken:
    push rax
    push rcx
    inc dword [nmis]
    inc dword [nmi_depth]
    mov eax, [nmi_depth]
    cmp eax, [nmi_depth_max]
    jbe .deep
    mov [nmi_depth_max], eax
.deep:
    cmp dword [nmis], 1
    jne .second
    LAPIC_WRITE ICR_LOW, 0x4400
    mov ecx, 10
.wait:
    dec ecx
    jnz .wait
.second:
    dec dword [nmi_depth]
    pop rcx
    pop rax
    add rsp, 16
    iretq
nmis: dd 0
nmi_depth: dd 0
nmi_depth_max: dd 0
END
