; DAA, DAS, AAA, AAS, AAM, AAD, BOUND, ARPL, INTO, SALC and the other instructions that 64-bit mode lost; 82H group.
%include "test32.inc"

; instruction, AX before, flags before (CF, AF), AX after, flags after, mask of defined flags
%macro DECIMAL 6
    mov eax, 0x12340000 | (%2)
    push dword (%3) | 2
    popfd
    %1
    CHECK_FLAGS (%6), (%5)
    CHECK eax, 0x12340000 | (%4)
%endmacro
DA_MASK equ STATUS & ~OF
AA_MASK equ CF | AF
AM_MASK equ SF | ZF | PF

main:
    DECIMAL daa, 0x0000, 0, 0x0000, ZF | PF, DA_MASK
    DECIMAL daa, 0x000A, 0, 0x0010, AF, DA_MASK
    DECIMAL daa, 0x0009, 0, 0x0009, PF, DA_MASK
    DECIMAL daa, 0x0002, AF, 0x0008, AF, DA_MASK
    DECIMAL daa, 0x00AE, 0, 0x0014, CF | AF | PF, DA_MASK
    DECIMAL daa, 0x009A, 0, 0x0000, CF | AF | ZF | PF, DA_MASK
    DECIMAL daa, 0x0099, 0, 0x0099, SF | PF, DA_MASK
    DECIMAL daa, 0x0099, CF, 0x00F9, CF | SF | PF, DA_MASK
    DECIMAL daa, 0x0042, CF, 0x00A2, CF | SF, DA_MASK
    DECIMAL daa, 0x00FF, 0, 0x0065, CF | AF | PF, DA_MASK
    DECIMAL das, 0x0000, 0, 0x0000, ZF | PF, DA_MASK
    DECIMAL das, 0x000F, 0, 0x0009, AF | PF, DA_MASK
    DECIMAL das, 0x00EE, AF, 0x0088, CF | AF | SF | PF, DA_MASK
    DECIMAL das, 0x0003, AF, 0x00FD, CF | AF | SF, DA_MASK
    DECIMAL das, 0x009A, 0, 0x0034, CF | AF, DA_MASK
    DECIMAL das, 0x0099, 0, 0x0099, SF | PF, DA_MASK
    DECIMAL das, 0x00A0, CF, 0x0040, CF, DA_MASK
    DECIMAL aaa, 0x0009, 0, 0x0009, 0, AA_MASK
    DECIMAL aaa, 0x000A, 0, 0x0100, CF | AF, AA_MASK
    DECIMAL aaa, 0x00FA, 0, 0x0200, CF | AF, AA_MASK ; AX + 106H: the carry out of AL counts
    DECIMAL aaa, 0x0033, AF, 0x0109, CF | AF, AA_MASK
    DECIMAL aaa, 0xFF35, CF, 0xFF05, 0, AA_MASK
    DECIMAL aas, 0x0209, 0, 0x0209, 0, AA_MASK
    DECIMAL aas, 0x020B, 0, 0x0105, CF | AF, AA_MASK
    DECIMAL aas, 0x0205, AF, 0x000F, CF | AF, AA_MASK ; AX - 6 - 100H, AL & 0FH: the borrow out of AL counts
    DECIMAL aas, 0x02F5, 0, 0x0205, 0, AA_MASK
    DECIMAL aam, 0x0063, 0, 0x0909, PF, AM_MASK
    DECIMAL aam, 0x0000, 0, 0x0000, ZF | PF, AM_MASK
    DECIMAL aam, 0x55FF, 0, 0x1905, PF, AM_MASK
    DECIMAL aam 16, 0x00A7, 0, 0x0A07, 0, AM_MASK
    DECIMAL aam 1, 0x00FF, 0, 0xFF00, ZF | PF, AM_MASK
    DECIMAL aam 255, 0x00FE, 0, 0x00FE, SF, AM_MASK
    DECIMAL aad, 0x0909, 0, 0x0063, PF, AM_MASK
    DECIMAL aad, 0x0000, 0, 0x0000, ZF | PF, AM_MASK
    DECIMAL aad, 0xFFFF, 0, 0x00F5, SF | PF, AM_MASK
    DECIMAL aad 16, 0x1A07, 0, 0x00A7, SF, AM_MASK
    ; AAM 0: #DE, nothing changed
    mov eax, 0x12345678
    FAULTS 0, 0, aam 0
    CHECK eax, 0x12345678
    aad 0
    CHECK eax, 0x12340078

    ; a sum in packed decimal
    mov esi, 0x12345678
    mov edi, 0x87654321
    clc
    mov ecx, 4
    mov [data], esi
    mov [data + 4], edi
    xor ebx, ebx
.digits:
    mov al, [data + ebx]
    adc al, [data + ebx + 4]
    daa
    mov [data + ebx], al
    inc ebx
    dec ecx
    jnz .digits
    CHECK_FLAGS CF, 0
    CHECK [data], 0x99999999

    ; the alias 82H of group 1, SALC, one-byte INC and DEC
    mov eax, 0x10
    db 0x82, 0xC0, 0xF0 ; add al, F0H
    CHECK_FLAGS CF | ZF, CF | ZF
    CHECK eax, 0
    stc
    db 0xD6 ; SALC
    CHECK eax, 0xFF
    clc
    db 0xD6
    CHECK eax, 0
    stc
    db 0x40
    CHECK eax, 1
    db 0x48, 0x48
    CHECK_FLAGS STATUS, CF | SF | PF | AF
    CHECK eax, -1
    db 0x66, 0x40
    CHECK eax, 0xFFFF0000

    ; BOUND: inclusive, signed; #BR is a fault
    mov dword [data], -5
    mov dword [data + 4], 10
    mov eax, -5
    bound eax, [data]
    mov eax, 10
    bound eax, [data]
    mov eax, 11
    FAULTS 5, 0, bound eax, [data]
    mov eax, -6
    FAULTS 5, 0, bound eax, [data]
    mov dword [data], 0x00058000 ; words: -8000H to 5
    mov ax, 5
    bound ax, [data]
    mov ax, 6
    FAULTS 5, 0, bound ax, [data]
    FAULTS 6, 0, {db 0x62, 0xC0}
    ; INTO traps only with OF
    xor eax, eax
    into
    mov al, 0x7F
    inc al
    TRAPS 4, into
    ; ARPL
    mov eax, 0x1230
    mov ecx, 0x0002
    arpl ax, cx
    CHECK_FLAGS ZF, ZF
    CHECK eax, 0x1232
    mov ecx, 1
    arpl ax, cx
    CHECK_FLAGS ZF, 0
    CHECK eax, 0x1232
    mov word [data], 0x4440
    mov ecx, 3
    arpl [data], cx
    CHECK16 [data], 0x4443

    ; 16-bit operands and addresses in 32-bit code: every form of ModRM
    mov ebx, 0x11110010
    mov esi, 0x22220020
    mov ebp, 0x33330030
    mov edi, 0x44440040
    mov eax, -1
%macro LEA16 2 ; address, want
    a16 lea eax, [%1]
    CHECK eax, %2
%endmacro
    LEA16 bx + si, 0x30
    LEA16 bx + di, 0x50
    LEA16 bp + si, 0x50
    LEA16 bp + di, 0x70
    LEA16 si, 0x20
    LEA16 di, 0x40
    LEA16 bx, 0x10
    LEA16 0x1234, 0x1234
    LEA16 bx + si - 0x31, 0xFFFF
    LEA16 bp + di + 0x7F, 0xEF
    LEA16 bp - 1, 0x2F
    LEA16 bx - 0x10, 0
    LEA16 si + 0x1000, 0x1020
    mov ax, -1
    lea ax, [ebx + esi]
    CHECK eax, 0x0030
    mov dword [0x600], 0xCAFEBABE
    mov ebx, 0xFFFF0600
    a16 mov eax, [bx]
    CHECK eax, 0xCAFEBABE
    mov bp, 0x5F0
    a16 mov ax, [bp + 0x10]
    CHECK eax, 0xCAFEBABE
    a16 mov al, [0x603]
    CHECK eax, 0xCAFEBACA
    ; LES and LDS take the place of VEX here
    mov dword [data], 0x12345678
    mov dword [data + 4], DATA
    les ecx, [data]
    CHECK ecx, 0x12345678
    lds edx, [data]
    CHECK edx, 0x12345678
    PASS
END
