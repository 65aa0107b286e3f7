; BT, BTS, BTR, BTC with bit strings in memory, BSF, BSR, POPCNT, LZCNT, TZCNT, CRC32, ADCX, ADOX.
%include "test.inc"

main:
    ; registers: the bit number is taken modulo the width
%macro REG 5 ; operation, value, bit, want for 64 bits, CF
    mov rax, %2
    mov rcx, %3
    %1 rax, rcx
    CHECK_FLAGS CF, %5
    CHECK64 rax, %4
    mov rax, %2
    %1 rax, (%3) & 63
    CHECK_FLAGS CF, %5
    CHECK64 rax, %4
%endmacro
    REG bt, 0x8000000000000001, 0, 0x8000000000000001, 1
    REG bt, 0x8000000000000001, 1, 0x8000000000000001, 0
    REG bt, 0x8000000000000001, 63, 0x8000000000000001, 1
    REG bt, 0x8000000000000001, 64, 0x8000000000000001, 1
    REG bt, 0x8000000000000001, -1, 0x8000000000000001, 1
    REG bts, 0, 63, 0x8000000000000000, 0
    REG bts, -1, 5, -1, 1
    REG bts, 0, 0x7FFFFFFFFFFFFFC3, 8, 0
    REG btr, -1, 63, 0x7FFFFFFFFFFFFFFF, 1
    REG btr, -1, 0, -2, 1
    REG btr, 0, 33, 0, 0
    REG btc, -1, 32, 0xFFFFFFFEFFFFFFFF, 1
    REG btc, 0, 32, 0x100000000, 0
    mov rax, -1
    mov ecx, 32 + 4
    btr eax, ecx
    CHECK64 rax, 0xFFFFFFEF
    mov rax, -1
    bt eax, ecx ; BT writes nothing, not even zeros
    CHECK rax, -1
    btr ax, cx
    CHECK64 rax, 0xFFFFFFFFFFFFFFEF
    btc ax, 15
    CHECK64 rax, 0xFFFFFFFFFFFF7FEF
    bts eax, 15
    CHECK64 rax, 0xFFFFFFEF
    ; ZF does not change
    xor edx, edx
    bts eax, 1
    CHECK_FLAGS ZF, ZF
    ; an immediate is taken modulo the width, for memory, too
    mov qword [data + 64], 0
    mov qword [data + 72], 0
    bts dword [data + 64], 33
    CHECK [data + 64], 2
    bts qword [data + 64], 65 + 3
    CHECK [data + 64], 0x12
    bts word [data + 64], 16 + 15
    CHECK [data + 64], 0x8012
    CHECK [data + 72], 0

    ; bit strings: a register's bit number reaches from -2^63 to 2^63-1 bits
    mov rbx, data + 0x800
    mov rdi, data
    mov ecx, 512
    xor eax, eax
    rep stosq
    mov rax, -1
    bts [rbx], rax
    CHECK_FLAGS CF, 0
    CHECK8 [rbx - 1], -0x80
    bts [rbx], rax
    CHECK_FLAGS CF, CF
    mov eax, -1
    btr [rbx], eax
    CHECK_FLAGS CF, CF
    CHECK [rbx - 8], 0
    mov eax, -1
    bts [rbx], ax
    CHECK_FLAGS CF, 0
    CHECK8 [rbx - 1], -0x80
    btc [rbx], ax
    CHECK [rbx - 8], 0
    mov rcx, -0x4000 ; bits: 800H bytes below
    bts [rbx], rcx
    CHECK [data], 1
    mov rcx, 0x3FFF
    bts [rbx], rcx
    CHECK8 [data + 0xFFF], -0x80
    mov ecx, 100
    btc [rbx], ecx
    CHECK32 [rbx + 12], 0x10
    bt [rbx], rcx
    CHECK_FLAGS CF, CF
    lock btr [rbx], rcx
    CHECK_FLAGS CF, CF
    bt [rbx], cx
    CHECK_FLAGS CF, 0
    mov rcx, 0xFFFFFFFF00000064 ; a 32-bit operand sees the lower half only
    bts [rbx], ecx
    CHECK32 [rbx + 12], 0x10
    mov rcx, 0x7FFF0000 + 100 ; and a 16-bit one 16 bits
    btr [rbx], cx
    CHECK32 [rbx + 12], 0
    ; with a 32-bit address size the effective address wraps there
    mov rsi, 0x100000000 + data + 0x800
    mov ecx, 8
    bts [esi], ecx
    CHECK8 [rbx + 1], 1
    ; the address that faults is that of the operand's unit
    mov rdx, 0x40000000
    mov rcx, 64 * 3 + 5
    stc
    FAULTS 14, 0, bt [rdx], rcx
    CHECK64 [fault_cr2], 0x40000018
    FAULTS 14, 0, bt [rdx], ecx
    CHECK64 [fault_cr2], 0x40000018
    mov ecx, 32 * 7 + 5
    FAULTS 14, RMW, bts [rdx], ecx
    CHECK64 [fault_cr2], 0x4000001C
    FAULTS 14, RMW, btr dword [rdx], 31
    CHECK64 [fault_cr2], 0x40000000
    CHECK_FLAGS CF, CF
    FAULTS 6, 0, {db 0x0F, 0xBA, 0xC0, 1} ; group 8 has no /0

    ; BSF, BSR: ZF is defined; a source of zero leaves the destination as it was (documented by AMD, true on Intel)
%macro SCAN 4 ; operation, source, want, ZF
    mov rbx, %2
    mov rax, 0x1122334455667788
    %1 rax, rbx
    CHECK_FLAGS ZF, %4
    CHECK64 rax, %3
    mov [data], rbx
    mov rax, 0x1122334455667788
    %1 rax, [data]
    CHECK_FLAGS ZF, %4
    CHECK64 rax, %3
%endmacro
    SCAN bsf, 1, 0, 0
    SCAN bsf, 0x8000000000000000, 63, 0
    SCAN bsf, 0x8000000010000000, 28, 0
    SCAN bsf, -1, 0, 0
    SCAN bsf, 0, 0x1122334455667788, ZF
    SCAN bsr, 1, 0, 0
    SCAN bsr, 0x8000000000000000, 63, 0
    SCAN bsr, 0x7FFFFFFFFFFFFFFF, 62, 0
    SCAN bsr, -1, 63, 0
    SCAN bsr, 0, 0x1122334455667788, ZF
    mov rbx, 0xFFFFFFFF00000000
    mov rax, 0x1122334455667788
    bsf eax, ebx
    CHECK_FLAGS ZF, ZF
    mov rbx, 0xFFFFFFFF00010000
    mov rax, -1
    bsf eax, ebx
    CHECK rax, 16
    mov rax, -1
    bsr eax, ebx
    CHECK rax, 16
    mov rax, -1
    bsf ax, bx
    CHECK_FLAGS ZF, ZF
    CHECK rax, -1
    mov bx, 0x0100
    bsf ax, bx
    CHECK64 rax, 0xFFFFFFFFFFFF0008
    bsr r10w, bx
    CHECK16 r10w, 8

    mov eax, 1
    cpuid
    mov r15d, ecx
    bt r15d, 23
    jnc .no_popcnt
%macro COUNT 4 ; operation, source, want, flags
    mov rbx, %2
    mov rax, -1
    %1 rax, rbx
    CHECK_FLAGS STATUS, %4
    CHECK rax, %3
%endmacro
    COUNT popcnt, 0, 0, ZF
    COUNT popcnt, -1, 64, 0
    COUNT popcnt, 0x8000000000000001, 2, 0
    mov rax, -1
    mov rbx, 0xFFFFFFFF000000F0
    stc
    popcnt eax, ebx
    CHECK_FLAGS STATUS, 0
    CHECK rax, 4
    mov rax, -1
    mov word [data], 0x0101
    popcnt ax, [data]
    CHECK64 rax, 0xFFFFFFFFFFFF0002
.no_popcnt:

    ; CRC32: the polynomial of iSCSI; "123456789" gives E3069283H
    bt r15d, 20
    jnc .no_crc32
    mov eax, -1
    mov rsi, text
    mov ecx, 9
.byte:
    crc32 eax, byte [rsi]
    inc rsi
    dec ecx
    jnz .byte
    not eax
    CHECK64 rax, 0xE3069283
    mov eax, -1
    crc32 eax, word [text]
    crc32 eax, word [text + 2]
    crc32 eax, dword [text + 4]
    crc32 rax, byte [text + 8]
    not eax
    CHECK64 rax, 0xE3069283
    mov rax, -1
    crc32 rax, qword [text]
    crc32 eax, byte [text + 8]
    not eax
    CHECK64 rax, 0xE3069283
    ; register forms, high byte, and the upper half which becomes zero
    mov rax, -1
    mov ebx, '12'
    stc
    crc32 eax, bl
    crc32 eax, bh
    CHECK_FLAGS CF, CF
    mov rdx, rax
    mov rax, -1
    crc32 rax, bl
    mov ebx, ebx
    shr ebx, 8
    crc32 eax, bl
    CHECK rax, rdx
    mov rax, -1
    mov ebx, '12'
    crc32 eax, bx
    CHECK rax, rdx
.no_crc32:

    mov eax, 0x80000001
    cpuid
    bt ecx, 5
    jnc .no_lzcnt
    mov ebx, 1
    lzcnt rax, rbx
    CHECK_FLAGS CF | ZF, 0
    CHECK rax, 63
    xor ebx, ebx
    lzcnt eax, ebx
    CHECK_FLAGS CF | ZF, CF
    CHECK rax, 32
.no_lzcnt:
    mov eax, 7
    xor ecx, ecx
    cpuid
    bt ebx, 3
    jnc .no_bmi1
    mov rbx, 0
    tzcnt rax, rbx
    CHECK_FLAGS CF | ZF, CF
    CHECK rax, 64
    mov ebx, 0x10000
    tzcnt ax, bx
    CHECK_FLAGS CF | ZF, CF
    CHECK16 ax, 16
    tzcnt rax, rbx
    CHECK_FLAGS CF | ZF, 0
    CHECK rax, 16
    mov ebx, 1
    tzcnt eax, ebx
    CHECK_FLAGS CF | ZF, ZF
    jmp .bmi1_end
.no_bmi1: ; then F3 is ignored and it is BSF
    mov ebx, 0x10000
    tzcnt eax, ebx
    CHECK rax, 16
    xor ebx, ebx
    tzcnt rax, rbx
    CHECK_FLAGS ZF, ZF
    CHECK rax, 16
.bmi1_end:
    PASS

text: db "123456789"
END
