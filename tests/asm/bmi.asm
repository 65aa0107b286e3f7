; BMI1, BMI2, ADX: known answers and flags with 32 bits in 64-bit and in compatibility mode, with 64 bits, with operands in
; memory; what VEX refuses.
; options: --cpu x86-64-v4
%include "test.inc"

BMI equ CF | ZF | SF | OF ; AF and PF are undefined

%macro FLAGS 1 ; status flags before
    push %1 | 2
    popfx
%endmacro
; One instruction with ECX and EDX (or memory) as sources, with all flags set before and with all clear.
%macro CASE32 5+ ; ECX, EDX, EAX after, flags after, instruction
    mov dword [data], %1
    mov dword [data + 4], %2
    mov ecx, %1
    mov edx, %2
    mov eax, 0x5A5A5A5A
    FLAGS STATUS
    %5
    CHECK_FLAGS BMI, %4
    CHECK32 eax, %3
    mov ecx, %1
    mov edx, %2
    FLAGS 0
    %5
    CHECK_FLAGS BMI, %4
    CHECK32 eax, %3
%endmacro
%macro CASE64 5+ ; RCX, RDX, RAX after, flags after, instruction
    mov rcx, %1
    mov rdx, %2
    mov [data], rcx
    mov [data + 8], rdx
    FLAGS STATUS
    %5
    CHECK_FLAGS BMI, %4
    CHECK64 rax, %3
    FLAGS 0
    %5
    CHECK_FLAGS BMI, %4
    CHECK64 rax, %3
%endmacro
; Instructions that change no flags.
%macro KEEPS32 4+ ; ECX, EDX, EAX after, instruction
    mov dword [data], %1
    mov dword [data + 4], %2
    mov ecx, %1
    mov edx, %2
    FLAGS STATUS
    %4
    CHECK_FLAGS STATUS, STATUS
    CHECK32 eax, %3
    FLAGS 0
    %4
    CHECK_FLAGS STATUS, 0
    CHECK32 eax, %3
%endmacro
%macro KEEPS64 4+ ; RCX, RDX, RAX after, instruction
    mov rcx, %1
    mov rdx, %2
    mov [data], rcx
    mov [data + 8], rdx
    FLAGS STATUS
    %4
    CHECK_FLAGS STATUS, STATUS
    CHECK64 rax, %3
    FLAGS 0
    %4
    CHECK_FLAGS STATUS, 0
    CHECK64 rax, %3
%endmacro

; The 32-bit forms, for any mode.
%macro FORMS32 0
    CASE32 0xFF00FF00, 0x87654321, 0x00650021, 0, {andn eax, ecx, edx}
    CASE32 0, 0x80000000, 0x80000000, SF, {andn eax, ecx, edx}
    CASE32 0x12345678, 0x12345678, 0, ZF, {andn eax, ecx, edx}
    CASE32 0xF0F0F0F0, 0xFFFF0000, 0x0F0F0000, 0, {andn eax, ecx, [data + 4]}
    ; BEXTR: the start in bits 7:0 of the control, the length in 15:8
    CASE32 0x12345678, 0x00000C04, 0x567, 0, {bextr eax, ecx, edx}
    CASE32 0x12345678, 0xABCDFF08, 0x00123456, 0, {bextr eax, ecx, edx}
    CASE32 0x12345678, 0x00000820, 0, ZF, {bextr eax, ecx, edx}
    CASE32 0x12345678, 0x00000004, 0, ZF, {bextr eax, ecx, edx}
    CASE32 0x12345678, 0x000020FF, 0, ZF, {bextr eax, ecx, edx}
    CASE32 0x12345678, 0x00002000, 0x12345678, 0, {bextr eax, [data], edx}
    CASE32 0x80000010, 0, 0x80000000, SF, {blsr eax, ecx}
    CASE32 1, 0, 0, ZF, {blsr eax, ecx}
    CASE32 0, 0, 0, ZF | CF, {blsr eax, ecx}
    CASE32 0x30, 0, 0x20, 0, {blsr eax, [data]}
    CASE32 0x50, 0, 0x1F, 0, {blsmsk eax, ecx}
    CASE32 0x80000000, 0, 0xFFFFFFFF, SF, {blsmsk eax, ecx}
    CASE32 0, 0, 0xFFFFFFFF, SF | CF, {blsmsk eax, [data]}
%ifndef QEMU ; QEMU 7.2 inverts BLSI's CF
    CASE32 0x50, 0, 0x10, CF, {blsi eax, ecx}
    CASE32 0x80000000, 0, 0x80000000, SF | CF, {blsi eax, ecx}
    CASE32 0, 0, 0, ZF, {blsi eax, [data]}
%endif
    ; BZHI: bits 7:0 of the index; CF says that it was beyond the operand
    CASE32 0x12345678, 12, 0x678, 0, {bzhi eax, ecx, edx}
    CASE32 0x92345678, 32, 0x92345678, CF | SF, {bzhi eax, ecx, edx}
    CASE32 0x92345678, 0x10000FF, 0x92345678, CF | SF, {bzhi eax, ecx, edx}
    CASE32 0x12345678, 0x100, 0, ZF, {bzhi eax, [data], edx}
    CASE32 0x92345678, 31, 0x12345678, 0, {bzhi eax, ecx, edx}
    KEEPS32 0x000000F5, 0x0F0F0F0F, 0x00000F05, {pdep eax, ecx, edx}
    KEEPS32 0xFFFFFFFF, 0x80000001, 0x80000001, {pdep eax, ecx, [data + 4]}
    KEEPS32 0x00000002, 0x80000001, 0x80000000, {pdep eax, ecx, edx}
    KEEPS32 0x12345678, 0x0F0F0F0F, 0x2468, {pext eax, ecx, edx}
    KEEPS32 0x80000000, 0x80000001, 2, {pext eax, ecx, edx}
    KEEPS32 0x12345678, 0xFFFF0000, 0x1234, {pext eax, ecx, [data + 4]}
    KEEPS32 0x80000000, 36, 0xF8000000, {sarx eax, ecx, edx}
    KEEPS32 0x12345678, 0xFFFFFFE8, 0x34567800, {shlx eax, ecx, edx}
    KEEPS32 0x92345678, 4, 0x09234567, {shrx eax, [data], edx}
    KEEPS32 0x12345678, 0, 0x78123456, {rorx eax, ecx, 8}
    KEEPS32 0x12345678, 0, 0x12345678, {rorx eax, [data], 32}
    KEEPS32 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE, {mulx eax, ebx, ecx}
    CHECK32 ebx, 1
    KEEPS32 0x10000, 0x30002, 3, {mulx eax, eax, [data]} ; one destination: the upper half
    ; ADCX and ADOX: one chain in CF, the other in OF; no other flag changes
    mov ecx, 1
    mov eax, 0xFFFFFFFF
    FLAGS STATUS & ~CF
    adcx eax, ecx
    CHECK_FLAGS STATUS, STATUS
    CHECK32 eax, 0
    adcx eax, ecx
    CHECK_FLAGS STATUS, STATUS & ~CF
    CHECK32 eax, 2
    mov dword [data], 0xFFFFFFFF
    FLAGS CF
    adcx eax, [data]
    CHECK_FLAGS STATUS, CF
    CHECK32 eax, 2
    mov eax, 0xFFFFFFFF
    FLAGS STATUS & ~OF
    adox eax, ecx
    CHECK_FLAGS STATUS, STATUS
    CHECK32 eax, 0
    adox eax, ecx
    CHECK_FLAGS STATUS, STATUS & ~OF
    CHECK32 eax, 2
    FLAGS OF
    adox eax, [data]
    CHECK_FLAGS STATUS, OF
    CHECK32 eax, 2
    mov eax, 0x7FFFFFFF ; OF is a carry, not an overflow
    FLAGS 0
    adox eax, ecx
    CHECK_FLAGS STATUS, 0
    CHECK32 eax, 0x80000000
    ; refused: LOCK, 66H, F3H before VEX; VEX.L; group 17's other members; VEX.vvvv where it names nothing
    FAULTS 6, 0, {db 0xF0, 0xC4, 0xE2, 0x70, 0xF2, 0xC2}
    FAULTS 6, 0, {db 0x66, 0xC4, 0xE2, 0x70, 0xF2, 0xC2}
    FAULTS 6, 0, {db 0xF3, 0xC4, 0xE2, 0x70, 0xF2, 0xC2}
    FAULTS 6, 0, {db 0xC4, 0xE2, 0x74, 0xF2, 0xC2}
    FAULTS 6, 0, {db 0xC4, 0xE2, 0x78, 0xF3, 0xC1}
    FAULTS 6, 0, {db 0xC4, 0xE2, 0x78, 0xF3, 0xE1}
%ifndef QEMU ; QEMU 7.2 does not look
    FAULTS 6, 0, {db 0xC4, 0xE3, 0x73, 0xF0, 0xC1, 1}
%endif
    FAULTS 6, 0, {db 0xF0, 0x66, 0x0F, 0x38, 0xF6, 0xC1}
    FAULTS 6, 0, {db 0xF2, 0x0F, 0x38, 0xF6, 0xC1}
%endmacro

main:
    FORMS32
    ; a 32-bit result clears the upper half
    mov rax, -1
    mov ecx, 0x50
    blsi eax, ecx
    CHECK rax, 0x10
    mov rax, -1
    xor ecx, ecx
%ifndef QEMU ; QEMU 7.2 sets TF when ADCX stands behind BLSI
    clc
    adcx eax, ecx
    CHECK64 rax, 0xFFFFFFFF
%endif
    ; the opposite: W1 and all registers
    CASE64 0xFF00FF00FF00FF00, 0x8765432112345678, 0x0065002100340078, 0, {andn rax, rcx, rdx}
    CASE64 0, 0x8000000000000000, 0x8000000000000000, SF, {andn rax, rcx, [data + 8]}
    CASE64 0x123456789ABCDEF0, 0x2010, 0x56789ABC & 0xFFFFFFFF, 0, {bextr rax, rcx, rdx}
    CASE64 0x123456789ABCDEF0, 0xFF3C, 1, 0, {bextr rax, [data], rdx}
    CASE64 0x123456789ABCDEF0, 0x0140, 0, ZF, {bextr rax, rcx, rdx}
    CASE64 0x8000000100000000, 0, 0x8000000000000000, SF, {blsr rax, rcx}
    CASE64 0, 0, 0, ZF | CF, {blsr rax, [data]}
    CASE64 0x0000010000000000, 0, 0x000001FFFFFFFFFF, 0, {blsmsk rax, rcx}
    CASE64 0, 0, 0xFFFFFFFFFFFFFFFF, SF | CF, {blsmsk rax, [data]}
%ifndef QEMU
    CASE64 0xFFFFFF0000000000, 0, 0x0000010000000000, CF, {blsi rax, rcx}
    CASE64 0x8000000000000000, 0, 0x8000000000000000, SF | CF, {blsi rax, [data]}
%endif
    CASE64 0xFFFFFFFFFFFFFFFF, 40, 0x000000FFFFFFFFFF, 0, {bzhi rax, rcx, rdx}
    CASE64 0xFFFFFFFFFFFFFFFF, 64, 0xFFFFFFFFFFFFFFFF, CF | SF, {bzhi rax, [data], rdx}
    KEEPS64 0x00000000000000FF, 0x8080808080808080, 0x8080808080808080, {pdep rax, rcx, rdx}
    KEEPS64 0x81, 0x8080808080808080, 0x8000000000000080, {pdep rax, rcx, [data + 8]}
    KEEPS64 0x123456789ABCDEF0, 0xF0F0F0F0F0F0F0F0, 0x13579BDF, {pext rax, rcx, rdx}
    KEEPS64 0x8000000000000000, 0x8000000000000000, 1, {pext rax, rcx, [data + 8]}
    KEEPS64 0x8000000000000000, 0x44, 0xF800000000000000, {sarx rax, rcx, rdx}
    KEEPS64 1, 0x7F, 0x8000000000000000, {shlx rax, rcx, rdx}
    KEEPS64 0x8000000000000000, 63, 1, {shrx rax, [data], rdx}
    KEEPS64 0x123456789ABCDEF0, 0, 0xF0123456789ABCDE, {rorx rax, rcx, 72}
    KEEPS64 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFE, {mulx rax, rbx, rcx}
    CHECK rbx, 1
    mov r8, 0xFFFFFFFF00000000
    mov r9, -1
    mov r15, 0xAAAA
    andn r15, r8, r9
    CHECK64 r15, 0x00000000FFFFFFFF
    ; two chains at once: (2^128 - 1) + 1 by CF, (2^128 - 1) + 0 with a carry in by OF
    mov rax, -1
    mov rbx, -1
    mov r8, -1
    mov r9, -1
    mov ecx, 1
    xor edx, edx
    FLAGS OF
    adcx rax, rcx
    adox r8, rdx
    adcx rbx, rdx
    adox r9, rdx
    CHECK_FLAGS STATUS, CF | OF
    CHECK rax, 0
    CHECK rbx, 0
    CHECK r8, 0
    CHECK r9, 0
    ; a page that is not there, and a non-canonical address
    mov rbx, 0x40000000
    FAULTS 14, 0, {pdep rax, rcx, [rbx]}
    FAULTS 14, 0, {bextr rax, [rbx], rcx}
    FAULTS 14, 0, {adcx rax, [rbx]}
    mov rbx, 1 << 47
    FAULTS 13, 0, {blsi rax, [rbx]}
    ; VEX needs no XSAVE here, and TS does not matter
    mov rax, cr0
    or rax, 8
    mov cr0, rax
    mov ecx, 0x50
    blsi eax, ecx
    CHECK32 eax, 0x10
    clts

    ; compatibility mode: the same, VEX.W and VEX.B are ignored
    TO_COMPAT
    FORMS32
    mov ecx, 0xFF00FF00
    mov edx, 0x87654321
    db 0xC4, 0xE2, 0xF0, 0xF2, 0xC2 ; ANDN EAX, ECX, EDX with W1
    CHECK32 eax, 0x00650021
    xor eax, eax
    db 0xC4, 0xC2, 0x70, 0xF2, 0xC2 ; with VEX.B, which names EDX all the same
    CHECK32 eax, 0x00650021
    ; C4 with bits 7:6 of the next byte not both set is LES
    mov dword [data], 0x11223344
    mov dword [data + 4], DATA64
    push es
    les eax, [data]
    pop es
    CHECK eax, 0x11223344
    ; 16-bit code: VEX is there, its operands have 32 bits, its addresses 16
    mov esi, code16
    mov edi, 0x80000
    mov ecx, code16_end - code16
    rep movsb
    mov dword [0x8010], 0x50
    mov dword [gdt + FREE_SELECTOR], 0x0000FFFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00009B08 ; base 80000H
    mov ebx, 0xFFFF8000
    mov ecx, 0x12345678
    call FREE_SELECTOR:0
    CHECK eax, 0x10
    CHECK edx, 0x78123456
    TO_64
    PASS

CODE_BITS 16
code16:
    blsi eax, [bx + 0x10]
    rorx edx, ecx, 8
    o32 retf
code16_end:
CODE_BITS 64
END
