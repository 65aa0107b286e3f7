; BMI1, BMI2, LZCNT, TZCNT, MOVBE and ADX with known answers worked out from the manual, in 64-bit code and in
; compatibility mode, where VEX.W and VEX.vvvv[3] mean nothing; their flags; what they refuse and what they do not need
; (no vector state: not CR4.OSXSAVE, not CR0.TS).
; options: --cpu x86-64-v4
%include "test.inc"

; An instruction with all status flags clear, and with all set before; a result in rAX; flags it defines.
%macro GIVES 4+ ; result, mask of flags, flags, instruction
    push 2
    popfx
    %4
    CHECK_FLAGS %2, (%3) & (%2)
    RESULT %1
    push STATUS | 2
    popfx
    %4
    CHECK_FLAGS %2, (%3) & (%2)
    RESULT %1
%endmacro
%macro GIVES64 4+ ; the same with a result of 64 bits
    push STATUS | 2
    popfq
    %4
    CHECK_FLAGS %2, (%3) & (%2)
    CHECK64 rax, %1
%endmacro
; No flag changes. -> a result in rAX
%macro KEEPS 2+
    push 2
    popfx
    %2
    CHECK_FLAGS STATUS, 0
    push STATUS | 2
    popfx
    %2
    CHECK_FLAGS STATUS, STATUS
    RESULT %1
%endmacro
%macro RESULT 1 ; zero-extended to rAX
    NEXT_CHECK
    pushfx
    push xbx
    mov ebx, %1
    cmp xax, xbx
    pop xbx
    je %%ok
    FAIL
%%ok:
    popfx
%endmacro
ARITHMETIC equ OF | SF | ZF | CF ; what ANDN, BLSI, BLSR, BLSMSK and BZHI define
EXTRACT equ OF | ZF | CF
%ifdef QEMU ; QEMU 7.2 leaves an old CF to BLSI, BLSMSK and BLSR
LOWEST equ OF | SF | ZF
%else
LOWEST equ ARITHMETIC
%endif

; The same lines for 64-bit code and for compatibility mode: operands of 32 bits.
%macro OPERANDS_32 0
    mov ecx, 0xF0F0F0F0
    mov edx, 0x12345678
    mov dword [data], 0x12345678
    GIVES 0x02040608, ARITHMETIC, 0, {andn eax, ecx, edx}
    GIVES 0x02040608, ARITHMETIC, 0, {andn eax, ecx, [data]}
    GIVES 0xE0C0A080, ARITHMETIC, SF, {andn eax, edx, ecx}
    GIVES 0, ARITHMETIC, ZF, {andn eax, ecx, ecx}
    ; BEXTR: start in bits 7:0, length in 15:8, the rest of the control ignored
    mov ebx, 0xABCD0804
    GIVES 0x67, EXTRACT, 0, {bextr eax, edx, ebx}
    GIVES 0x67, EXTRACT, 0, {bextr eax, [data], ebx}
    mov ebx, 0x2000
    GIVES 0x12345678, EXTRACT, 0, {bextr eax, edx, ebx}
    mov ebx, 0xFF1C
    GIVES 0xF, EXTRACT, 0, {bextr eax, ecx, ebx}
    mov ebx, 0x0420 ; a start beyond the operand
    GIVES 0, EXTRACT, ZF, {bextr eax, ecx, ebx}
    mov ebx, 0x00FF
    GIVES 0, EXTRACT, ZF, {bextr eax, ecx, ebx}
    mov ebx, 0x0004 ; length 0
    GIVES 0, EXTRACT, ZF, {bextr eax, ecx, ebx}
    ; the lowest one: alone, and the mask up to it, and without it; CF tells whether there is one
    xor ebx, ebx
    GIVES 0x10, LOWEST, CF, {blsi eax, ecx}
    GIVES 0x8, LOWEST, CF, {blsi eax, [data]}
    GIVES 0, LOWEST, ZF, {blsi eax, ebx}
    GIVES 0x1F, LOWEST, 0, {blsmsk eax, ecx}
    GIVES 0xF, LOWEST, 0, {blsmsk eax, [data]}
    GIVES 0xFFFFFFFF, LOWEST, SF | CF, {blsmsk eax, ebx}
    GIVES 0xF0F0F0E0, LOWEST, SF, {blsr eax, ecx}
    GIVES 0x12345670, LOWEST, 0, {blsr eax, [data]}
    GIVES 0, LOWEST, ZF | CF, {blsr eax, ebx}
    mov ebx, 0x80000000
    GIVES 0x80000000, LOWEST, SF | CF, {blsi eax, ebx}
    GIVES 0xFFFFFFFF, LOWEST, SF, {blsmsk eax, ebx}
    GIVES 0, LOWEST, ZF, {blsr eax, ebx}
    ; BZHI: index in bits 7:0; CF: no bit was beyond it
    mov ebx, 0xFF0C
    GIVES 0x678, ARITHMETIC, 0, {bzhi eax, edx, ebx}
    GIVES 0x678, ARITHMETIC, 0, {bzhi eax, [data], ebx}
    mov ebx, 0x20
    GIVES 0xF0F0F0F0, ARITHMETIC, SF | CF, {bzhi eax, ecx, ebx}
    mov ebx, 0x1F
    GIVES 0x70F0F0F0, ARITHMETIC, 0, {bzhi eax, ecx, ebx}
    mov ebx, 0x100
    GIVES 0, ARITHMETIC, ZF, {bzhi eax, ecx, ebx}
    ; PDEP spreads the low bits over the mask's ones, PEXT gathers them; no flags
    mov ebx, 0x0000ABCD
    KEEPS 0xA0B0C0D0, {pdep eax, ebx, ecx}
    KEEPS 0x02145068, {pdep eax, ebx, [data]}
    KEEPS 0x1357, {pext eax, edx, ecx}
    ; 12345678H has its ones at 3 to 6, 9, 10, 12, 14, 18, 20, 21, 25 and 28; of F0F0F0F0H those at 4, 5, 6, 12, 14, 20, 21
    ; and 28 are set: bits 1, 2, 3, 6, 7, 9, 10 and 12 of the result
    KEEPS 0x16CE, {pext eax, ecx, [data]}
    mov ebx, 0
    KEEPS 0, {pdep eax, ecx, ebx}
    KEEPS 0, {pext eax, ecx, ebx}
    mov ebx, -1
    KEEPS 0xF0F0F0F0, {pdep eax, ecx, ebx}
    KEEPS 0xF0F0F0F0, {pext eax, ecx, ebx}
    ; shifts without flags; the count is masked by 31
    mov ebx, 0xFFFFFF24
    KEEPS 0x23456780, {shlx eax, edx, ebx}
    KEEPS 0x01234567, {shrx eax, [data], ebx}
    KEEPS 0xFF0F0F0F, {sarx eax, ecx, ebx}
    KEEPS 0x81234567, {rorx eax, [data], 36}
    ; MULX: EDX is a factor; the high half wins where both go to one register
    mov ebx, 0x80000001
    KEEPS 0x091A2B3C, {mulx eax, ebp, ebx}
    CHECK32 ebp, 0x12345678
    KEEPS 0x091A2B3C, {mulx eax, eax, ebx}
    KEEPS 0x014B66DC, {mulx eax, ebp, [data]} ; 12345678H squared
    CHECK32 ebp, 0x1DF4D840
    CHECK32 edx, 0x12345678
    ; counts of zeros
    xor ebx, ebx
    GIVES 4, CF | ZF, 0, {tzcnt eax, ecx}
    GIVES 3, CF | ZF, 0, {lzcnt eax, [data]}
    GIVES 32, CF | ZF, CF, {tzcnt eax, ebx}
    GIVES 32, CF | ZF, CF, {lzcnt eax, ebx}
    GIVES 0, CF | ZF, ZF, {lzcnt eax, ecx}
    mov eax, -1
    mov ebx, 0x10
    tzcnt ax, bx
    CHECK32 eax, 0xFFFF0004
    lzcnt ax, bx
    CHECK32 eax, 0xFFFF000B
    ; MOVBE
    KEEPS 0x78563412, {movbe eax, [data]}
    movbe [data + 4], edx
    CHECK32 [data + 4], 0x78563412
    mov eax, 0xAAAAAAAA
    movbe ax, [data]
    CHECK32 eax, 0xAAAA7856
    movbe [data + 9], dx
    CHECK16 [data + 9], 0x7856
    ; ADCX knows CF alone, ADOX OF alone
%macro ADDS 6+ ; a, flags before, sum, flags after, mask of what may change, instruction
    mov eax, %1
    push %2 | 2
    popfx
    %6
    CHECK_FLAGS STATUS, (%2) & ~(%5) | (%4)
    RESULT %3
%endmacro
    mov ebx, 0xFFFFFFFF
    mov dword [data + 16], 0x80000000
    ADDS 1, 0, 0, CF, CF, {adcx eax, ebx}
    ADDS 1, STATUS, 1, CF, CF, {adcx eax, ebx}
    ADDS 0, STATUS & ~CF, 0xFFFFFFFF, 0, CF, {adcx eax, ebx}
    ADDS 0x80000000, CF, 1, CF, CF, {adcx eax, [data + 16]}
    ADDS 0x7FFFFFFF, OF, 0xFFFFFFFF, 0, CF, {adcx eax, [data + 16]}
    ADDS 1, 0, 0, OF, OF, {adox eax, ebx}
    ADDS 1, STATUS, 1, OF, OF, {adox eax, ebx}
    ADDS 0, STATUS & ~OF, 0xFFFFFFFF, 0, OF, {adox eax, ebx}
    ADDS 0x80000000, OF, 1, OF, OF, {adox eax, [data + 16]}
    ADDS 0x7FFFFFFF, CF, 0xFFFFFFFF, 0, OF, {adox eax, [data + 16]}
%unmacro ADDS 6+
%endmacro

; Of 32-bit code: the registers that the 64-bit code's prefixes would name.
main:
    mov rax, cr0
    or rax, 8 ; TS: these are not vector instructions
    mov cr0, rax
    mov r15, rsp
    OPERANDS_32
    ; results of 32 bits clear the upper half
    mov rcx, 0x11111111F0F0F0F0
    mov rdx, 0x2222222212345678
    mov rax, -1
    andn eax, ecx, edx
    CHECK rax, 0x02040608
    mov rax, -1
    pext eax, edx, ecx
    CHECK rax, 0x1357
%ifndef QEMU ; QEMU 7.2 adds all 64 bits
    mov rax, 0x1111111100000001
    mov ebx, 0xFFFFFFFF
    clc
    adcx eax, ebx
    CHECK rax, 0
%endif

    ; operands of 64 bits
    mov rcx, 0xF0F0F0F0F0F0F0F0
    mov rdx, 0x123456789ABCDEF0
    mov [data], rdx
    mov [data + 24], rcx
    GIVES64 0x020406080A0C0E00, ARITHMETIC, 0, {andn rax, rcx, rdx}
    GIVES64 0x020406080A0C0E00, ARITHMETIC, 0, {andn rax, rcx, [data]}
    GIVES64 0xE0C0A08060402000, ARITHMETIC, SF, {andn rax, rdx, rcx}
    mov r9, 0x2004
    GIVES64 0x89ABCDEF, EXTRACT, 0, {bextr rax, rdx, r9}
    mov r9, 0x0838
    GIVES64 0x12, EXTRACT, 0, {bextr rax, [data], r9}
    mov r9, 0xFF40
    GIVES64 0, EXTRACT, ZF, {bextr rax, rcx, r9}
    mov r9, 0x4000
    GIVES64 0x123456789ABCDEF0, EXTRACT, 0, {bextr rax, rdx, r9}
    mov r9, 0x8000000000000000
    GIVES64 0x8000000000000000, LOWEST, SF | CF, {blsi rax, r9}
    GIVES64 -1, LOWEST, SF, {blsmsk rax, r9}
    GIVES64 0, LOWEST, ZF, {blsr rax, r9}
    GIVES64 0x10, LOWEST, CF, {blsi rax, [data]}
    GIVES64 0x1F, LOWEST, 0, {blsmsk rax, [data]}
    GIVES64 0x123456789ABCDEE0, LOWEST, 0, {blsr rax, [data]}
    mov r9, 0x2C
    GIVES64 0x0000067 << 36 | 0x89ABCDEF0, ARITHMETIC, 0, {bzhi rax, [data], r9}
    mov r9, 0x40
    GIVES64 0x123456789ABCDEF0, ARITHMETIC, CF, {bzhi rax, rdx, r9}
    mov r9, 0x3C
    GIVES64 0x023456789ABCDEF0, ARITHMETIC, 0, {bzhi rax, rdx, r9}
    mov r9, 0x89ABCDEF
    GIVES64 0x8090A0B0C0D0E0F0, STATUS, STATUS, {pdep rax, r9, rcx}
    GIVES64 0x13579BDF, STATUS, STATUS, {pext rax, rdx, rcx}
    GIVES64 0x13579BDF, STATUS, STATUS, {pext rax, rdx, [data + 24]}
    mov r9, 0x44
    GIVES64 0x23456789ABCDEF00, STATUS, STATUS, {shlx rax, [data], r9}
    GIVES64 0x0123456789ABCDEF, STATUS, STATUS, {shrx rax, rdx, r9}
    GIVES64 0xFF0F0F0F0F0F0F0F, STATUS, STATUS, {sarx rax, rcx, r9}
    GIVES64 0x0123456789ABCDEF, STATUS, STATUS, {rorx rax, [data], 4}
    mov r9, 0x8000000000000001
    GIVES64 0x091A2B3C4D5E6F78, STATUS, STATUS, {mulx rax, r10, r9}
    CHECK64 r10, 0x123456789ABCDEF0
    GIVES64 4, CF | ZF, 0, {tzcnt rax, [data]}
    GIVES64 3, CF | ZF, 0, {lzcnt rax, rdx}
    mov r9, 0
    GIVES64 64, CF | ZF, CF, {tzcnt rax, r9}
    GIVES64 64, CF | ZF, CF, {lzcnt rax, r9}
    GIVES64 0xF0DEBC9A78563412, STATUS, STATUS, {movbe rax, [data]}
    movbe [data + 8], rdx
    CHECK64 [data + 8], 0xF0DEBC9A78563412
    mov rax, 1
    mov r9, -1
    push STATUS & ~CF | 2
    popfq
    adcx rax, r9
    CHECK rax, 0
    CHECK_FLAGS STATUS, STATUS
    mov rax, 1
    adox rax, [data] ; OF is set
    CHECK64 rax, 0x123456789ABCDEF2
    CHECK_FLAGS STATUS, STATUS & ~OF
    ; two chains side by side
    xor eax, eax
    mov rax, -1
    mov rbx, -1
    adcx rax, rax
    adox rbx, [data]
    CHECK64 rax, -2
    CHECK64 rbx, 0x123456789ABCDEEF
    CHECK_FLAGS CF | OF | ZF | SF, CF | OF | ZF

    ; what is not there: VEX.L, a prefix before VEX, vvvv where it is not used, LOCK, the other members of group 17
    FAULTS 6, 0, {db 0xC4, 0xE2, 0x64, 0xF2, 0xC1}
    FAULTS 6, 0, {db 0x66, 0xC4, 0xE2, 0x60, 0xF2, 0xC1}
    FAULTS 6, 0, {db 0xF3, 0xC4, 0xE2, 0x60, 0xF2, 0xC1}
    FAULTS 6, 0, {db 0xF0, 0xC4, 0xE2, 0x60, 0xF2, 0x00}
    FAULTS 6, 0, {db 0x48, 0xC4, 0xE2, 0x60, 0xF2, 0xC1}
%ifndef QEMU ; QEMU 7.2 does not look at it
    FAULTS 6, 0, {db 0xC4, 0xE3, 0x63, 0xF0, 0xC1, 1}
%endif
    FAULTS 6, 0, {db 0xC4, 0xE2, 0x78, 0xF3, 0xC1}
    FAULTS 6, 0, {db 0xC4, 0xE2, 0x78, 0xF3, 0xE1}
    FAULTS 6, 0, {db 0xF0, 0x66, 0x0F, 0x38, 0xF6, 0x00}
    FAULTS 6, 0, {db 0xF0, 0x0F, 0x38, 0xF1, 0x00}
    FAULTS 6, 0, {db 0x0F, 0x38, 0xF0, 0xC0} ; MOVBE with a register
    ; memory operands are checked like any other
    mov rbx, 0x800000000000
    FAULTS 13, 0, {andn rax, rcx, [rbx]}
    FAULTS 12, 0, {pdep rax, rcx, [rbx + rsp]}
    mov ebx, 0x7FFFFFF0
    FAULTS 14, 0, {blsr rax, [rbx]}
    CHECK [fault_cr2], 0x7FFFFFF0
    FAULTS 14, 0, {adcx rax, [rbx]}

    TO_COMPAT
    OPERANDS_32
    ; VEX.W and the highest bit of vvvv (inverted) have no meaning: ANDN EAX, ECX, EDX by C4 E2 F0, and with vvvv 9 by 30
    mov ecx, 0xF0F0F0F0
    mov edx, 0x12345678
    db 0xC4, 0xE2, 0xF0, 0xF2, 0xC2
    CHECK eax, 0x02040608
    xor eax, eax
    db 0xC4, 0xE2, 0x30, 0xF2, 0xC2
    CHECK eax, 0x02040608
    FAULTS 6, 0, {db 0xC4, 0xE2, 0x74, 0xF2, 0xC2}
    FAULTS 6, 0, {db 0x66, 0xC4, 0xE2, 0x70, 0xF2, 0xC2}
    ; 16-bit addressing behind VEX
    mov ebx, 0xFFFF0600
    mov dword [0x604], 0x12345678
    db 0x67, 0xC4, 0xE2, 0x70, 0xF2, 0x47, 0x04 ; andn eax, ecx, [bx + 4]
    CHECK eax, 0x02040608
    TO_64
    PASS
END
