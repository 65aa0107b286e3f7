; RFLAGS: PUSHF and POPF at CPL 0 and 3 with IOPL, LAHF and SAHF, CLC, STC, CMC, CLD, STD, the ID and AC bits, reserved bits.
%include "test.inc"

main:
    ; at CPL 0 every flag but VM, RF, VIF, VIP can be set
    push 0x24FCFF ; not TF, IF, VM, VIF, VIP
    popfq
    pushfq
    pop rax
    push 2
    popfq
    CHECK rax, 0x247CD7
    push 0
    popfq
    pushfq
    pop rax
    CHECK rax, 2 ; bit 1 is always set, bits 3, 5, 15 never
    push 0x8028
    popfq
    pushfq
    pop rax
    CHECK rax, 2
    ; PUSHF shows RF and VM as zero; POPF clears RF
    push 0x10002
    popfq
    pushfq
    pop rax
    CHECK rax, 2
    ; the 16-bit form touches the lower half only
    push 0x240002
    popfq
    push word 0x0D5
    popfw
    pushfq
    pop rax
    CHECK rax, 0x2400D7
    push 2
    popfq
    ; ID toggles: CPUID is there; AC toggles
    pushfq
    btc qword [rsp], 21
    popfq
    pushfq
    pop rax
    CHECK rax, 0x200002
    push 2
    popfq

    ; LAHF and SAHF: SF ZF AF PF CF; OF stays
    mov eax, 0x80000001
    cpuid
    bt ecx, 0
    jnc .no_lahf
    mov eax, 0x11110011
    stc
    lahf
    CHECK32 eax, 0x11110311
    mov ah, 0xFF
    sahf
    lahf
    CHECK8 ah, -0x29 ; D7H
    CHECK_FLAGS STATUS, CF | PF | AF | ZF | SF
    mov al, 0x7F
    inc al
    mov ah, 0
    sahf
    lahf
    CHECK8 ah, 2
    CHECK_FLAGS STATUS, OF
.no_lahf:
    ; single flags leave the others alone
    push 0x8D7
    popfq
    clc
    CHECK_FLAGS STATUS, STATUS & ~CF
    cmc
    CHECK_FLAGS STATUS, STATUS
    cmc
    CHECK_FLAGS STATUS, STATUS & ~CF
    stc
    CHECK_FLAGS STATUS, STATUS
    std
    CHECK_FLAGS STATUS | DF, STATUS | DF
    cld
    CHECK_FLAGS STATUS | DF, STATUS
    ; lazily kept flags survive what does not write them
    mov al, 0x80
    add al, al
    mov ecx, 5
    lea rdx, [rcx + 1]
    not rcx
    mov rbx, rcx
    push rax
    pop rax
    xchg rbx, rcx
    movzx ebx, cl
    bswap ebx
    CHECK_FLAGS STATUS, CF | OF | ZF | PF
    ; partial writers in a row
    mov al, 1
    sub al, 2       ; CF SF AF PF
    inc al          ; CF kept, ZF PF AF
    CHECK_FLAGS STATUS, CF | ZF | PF | AF
    rol al, 1       ; CF and OF only
    CHECK_FLAGS STATUS & ~OF, ZF | PF | AF
    bt eax, 0
    stc
    dec al
    CHECK_FLAGS STATUS, CF | SF | PF | AF
    setc bl
    adc bl, 0
    CHECK8 bl, 2

    ; CLI, STI, IF by POPF at CPL 0
    sti
    CHECK_FLAGS IF, IF
    cli
    CHECK_FLAGS IF, 0
    push 0x202
    popfq
    CHECK_FLAGS IF, IF
    push 2
    popfq
    CHECK_FLAGS IF, 0

    ; CPL 3, IOPL 0: POPF changes neither IOPL nor IF, without a fault; CLI and STI fault
    USER_PAGES
    TO_USER 0x202
    push 0x3002
    popfq
    pushfq
    pop rax
    CHECK rax, 0x202
    FAULTS 13, 0, cli
    FAULTS 13, 0, sti
    push 0x240CD7
    popfq
    pushfq
    pop rax
    CHECK rax, 0x240ED7
    push 0x200
    popfq
    TO_KERNEL
    ; CPL 3, IOPL 3: IF changes, IOPL does not
    TO_USER 0x3002
    push 0x202
    popfq
    pushfq
    pop rax
    CHECK rax, 0x3202
    cli
    CHECK_FLAGS IF, 0
    sti
    CHECK_FLAGS IF, IF
    cli
    push 0
    popfq
    pushfq
    pop rax
    CHECK rax, 0x3002
    in al, 0x80 ; IOPL lets ports through, too
    TO_KERNEL
    ; IOPL 2 is not enough for CPL 3
    TO_USER 0x2202
    push 0x2002
    popfq
    CHECK_FLAGS IF, IF
    FAULTS 13, 0, cli
    TO_KERNEL
    ; IRET at CPL 3 obeys the same rules
    TO_USER 0x202
    mov rcx, rsp
    push USER_DATA
    push rcx
    push 0x3CD7
    push USER_CODE
    push .after_iret
    iretq
.after_iret:
    pushfq
    pop rax
    CHECK rax, 0xED7
    push 2
    popfq
    TO_KERNEL
    ; NT in 64-bit mode: IRET faults
    push 0x4002
    popfq
    mov rcx, rsp
    push DATA64
    push rcx
    push 2
    push CODE64
    push .never
    FAULTS 13, 0, iretq
    mov rsp, rcx
    push 2
    popfq
    PASS
.never:
    NEXT_CHECK
    FAIL
END
