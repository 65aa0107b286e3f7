; IN, OUT, INS, OUTS: forms and widths, the I/O bitmap at CPL 3, REP with faults, ports that nobody answers.
%include "test.inc"

main:
    ; an absent port reads all ones, in every width; the upper half of RAX as for a MOV
    mov rax, 0x1122334455667788
    mov dx, 0x5000
    in al, dx
    CHECK64 rax, 0x11223344556677FF
    in ax, dx
    CHECK64 rax, 0x112233445566FFFF
    mov rax, 0x1122334455667788
    in eax, dx
    CHECK64 rax, 0xFFFFFFFF
    out dx, al
    out dx, ax
    out dx, eax
    ; immediate ports
    out 0x80, al
    out 0x80, ax
    in al, 0x80
    ; a register that keeps its value: the UART's scratch register
    mov dx, 0x3FF
    mov al, 0x5A
    out dx, al
    xor eax, eax
    in al, dx
    CHECK rax, 0x5A
    mov rdx, 0x12340000000003FF ; DX alone counts
    xor eax, eax
    in al, dx
    CHECK rax, 0x5A
    mov rdx, 0x3FF
    ; flags stay
    stc
    in al, dx
    CHECK_FLAGS CF, CF

    ; OUTSB and INSB, DF, RCX, and REP
    mov dword [data], 0x44332211
    mov rsi, data
    outsb
    CHECK rsi, data + 1
    in al, dx
    CHECK8 al, 0x11
    mov ecx, 3
    rep outsb
    CHECK rsi, data + 4
    CHECK rcx, 0
    in al, dx
    CHECK8 al, 0x44
    mov rdi, data + 0x100
    mov ecx, 5
    rep insb
    CHECK rdi, data + 0x105
    CHECK32 [data + 0x100], 0x44444444
    std
    insb
    CHECK rdi, data + 0x104
    cld
    mov rdi, data + 0x200
    mov dx, 0x5000
    mov ecx, 2
    rep insd
    CHECK rdi, data + 0x208
    CHECK [data + 0x200], -1
    insw
    CHECK rdi, data + 0x20A
    outsw
    outsd
    xor ecx, ecx
    rep insb
    rep outsd
    CHECK rdi, data + 0x20A
    ; a fault in the middle
    mov rdi, data
    mov qword [pdpt + 8], pd1 + 3
    mov qword [pd1], pt0 + 3
    mov qword [pt0], data + 0x3000 + 3
    mov rdi, 0x40000FFE
    mov ecx, 5
    FAULTS 14, 2, rep insb
    CHECK rcx, 3
    CHECK64 rdi, 0x40001000
    mov rsi, 0x40000FFE
    mov ecx, 5
    FAULTS 14, 0, rep outsb
    CHECK rcx, 3
    CHECK64 rsi, 0x40001000

    ; CPL 3: without a bitmap in the TSS's limit nothing goes
    USER_PAGES
    mov dx, 0x3FF
    TO_USER
    FAULTS 13, 0, in al, dx
    FAULTS 13, 0, out dx, al
    FAULTS 13, 0, in al, 0x80
    mov rdi, data
    FAULTS 13, 0, insb
    mov ecx, 1
    FAULTS 13, 0, rep outsb
    CHECK rcx, 1
    xor ecx, ecx
    FAULTS 13, 0, rep insb ; a count of zero does not help
    TO_KERNEL
    ; IOPL 3 opens all
    TO_USER 0x3002
    in al, dx
    CHECK8 al, 0x44
    TO_KERNEL
    ; a bitmap: 3FFH open, 3FEH closed; 80H to 83H open, 84H closed; the limit ends it at 407H
    mov rdi, tss + 104
    mov ecx, 0x81
    mov al, 0xFF
    rep stosb
    and byte [tss + 104 + 0x7F], 0x7F
    and byte [tss + 104 + 0x10], 0xF0
    mov word [gdt + TSS64], 104 + 0x80
    and byte [gdt + TSS64 + 5], ~2
    mov eax, TSS64
    ltr ax
    mov dx, 0x3FF
    TO_USER
    in al, dx
    CHECK8 al, 0x44
    FAULTS 13, 0, in ax, dx ; 400H is closed
    dec edx
    FAULTS 13, 0, in al, dx
    FAULTS 13, 0, in ax, dx
    in al, 0x83
    in ax, 0x82
    in eax, 0x80
    FAULTS 13, 0, in eax, 0x81
    FAULTS 13, 0, in ax, 0x83
    mov dx, 0x80
    out dx, eax
    mov dx, 0xFFFF
    FAULTS 13, 0, in al, dx
    mov rdi, data
    mov dx, 0x3FF
    mov ecx, 2
    rep insb
    CHECK16 [data], 0x4444
    TO_KERNEL
    ; the bitmap is read as two bytes: both must be in the limit
    and byte [tss + 104 + 0x7F], 0
    mov word [gdt + TSS64], 104 + 0x7F
    and byte [gdt + TSS64 + 5], ~2
    mov eax, TSS64
    ltr ax
    mov dx, 0x3F8
    TO_USER
    FAULTS 13, 0, in al, dx
    mov dx, 0x3F7
    FAULTS 13, 0, in al, dx
    TO_KERNEL
    PASS

align 4096
pd1: times 512 dq 0
END
