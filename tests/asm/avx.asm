; What AVX adds beside arithmetic, as system software sees it: when VEX instructions exist (CR4.OSXSAVE, XCR0, CR0.TS and
; CR0.EM, prefixes, modes), upper halves, VLDMXCSR and VSTMXCSR, and the stores that a mask thins out: MASKMOVQ,
; MASKMOVDQU, VMASKMOVDQU, with their faults.
; options: --cpu x86-64-v4
%include "test.inc"

%macro SET 2-3 ; xmm register, low, high
    mov rax, %2
    movq %1, rax
%if %0 == 3
    mov rax, %3
    movq xmm15, rax
    punpcklqdq %1, xmm15
%endif
%endmacro
%macro YMM_IS 5 ; register, four quadwords, the lowest first
    vmovups [data + 0xF00], %1
    CHECK64 [data + 0xF00], %2
    CHECK64 [data + 0xF08], %3
    CHECK64 [data + 0xF10], %4
    CHECK64 [data + 0xF18], %5
%endmacro
%macro FILL 1 ; 64 bytes at data, and the pages behind that are written to
    mov rax, 0x0101010101010101 * %1
    mov rdi, data
    mov ecx, 8
    rep stosq
%endmacro

main:
    ; without CR4.OSXSAVE there is no VEX, but for BMI
    FAULTS 6, 0, {vldmxcsr [data]}
    FAULTS 6, 0, {vxorps xmm0, xmm0, xmm0}
    FAULTS 6, 0, {vaddpd zmm0, zmm0, zmm0}
    FAULTS 6, 0, {kmovw eax, k1}
    mov rax, cr4
    bts rax, 18
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 3
    xsetbv
    FAULTS 6, 0, {vldmxcsr [data]}
    FAULTS 6, 0, {vmaskmovdqu xmm0, xmm1}
    mov eax, 7
    xsetbv
    vxorps xmm0, xmm0, xmm0
%ifndef QEMU ; which has no AVX-512
    FAULTS 6, 0, {vaddpd zmm0, zmm0, zmm0}
    FAULTS 6, 0, {kmovw eax, k1}
    mov eax, 0xE7
    xsetbv
    kmovw eax, k1
    vaddpd zmm0, zmm0, zmm0
%endif

    ; VLDMXCSR and VSTMXCSR are LDMXCSR and STMXCSR
    mov dword [data], 0x1F80
    vldmxcsr [data]
    mov dword [data + 4], 0x7FA5
    vldmxcsr [data + 4]
    stmxcsr [data + 8]
    CHECK32 [data + 8], 0x7FA5
    mov dword [data + 4], 0x9FC0
    ldmxcsr [data + 4]
    mov qword [data + 8], -1
    vstmxcsr [data + 9]
    CHECK64 [data + 8], 0xFFFFFF00009FC0FF
    mov dword [data + 4], 0x10000
    FAULTS 13, 0, {vldmxcsr [data + 4]}
    vstmxcsr [data + 8]
    CHECK32 [data + 8], 0x9FC0
    vldmxcsr [data]
    FAULTS 6, 0, {db 0xC5, 0xFC, 0xAE, 0x10} ; VEX.L
    FAULTS 6, 0, {db 0xC5, 0xF0, 0xAE, 0x10} ; vvvv
    FAULTS 6, 0, {db 0xC5, 0xF9, 0xAE, 0x10} ; VEX.pp
    FAULTS 6, 0, {db 0xC5, 0xF8, 0xAE, 0xD0} ; a register
    FAULTS 6, 0, {db 0xC5, 0xF4, 0xAE, 0x18}
    mov ebx, 0x7FFFFFF0
    FAULTS 14, 0, {vldmxcsr [rbx]}
    FAULTS 14, 2, {vstmxcsr [rbx]}
    ; the rounding it sets is the one that counts: 1 / 3 upwards ends in AB
    mov dword [data + 4], 0x5F80
    vldmxcsr [data + 4]
    mov dword [data + 16], 0x3F800000
    mov dword [data + 20], 0x40400000
    movss xmm1, [data + 16]
    vdivss xmm1, xmm1, [data + 20]
    movd eax, xmm1
    CHECK32 eax, 0x3EAAAAAB
    mov dword [data + 4], 0x3F80
    vldmxcsr [data + 4]
    movss xmm1, [data + 16]
    vdivss xmm1, xmm1, [data + 20]
    movd eax, xmm1
    CHECK32 eax, 0x3EAAAAAA
    vstmxcsr [data + 8]
    CHECK32 [data + 8], 0x3FA0 ; and PE
    vldmxcsr [data]

    ; upper halves: VEX clears them, legacy SSE leaves them alone, VZEROUPPER clears those of 16 registers
    vpcmpeqd ymm1, ymm1, ymm1
    vpcmpeqd ymm9, ymm9, ymm9
    SET xmm1, 0x1122334455667788
    YMM_IS ymm1, 0x1122334455667788, 0, -1, -1
    pxor xmm9, xmm9
    YMM_IS ymm9, 0, 0, -1, -1
    vmovaps xmm1, xmm1
    YMM_IS ymm1, 0x1122334455667788, 0, 0, 0
%ifndef QEMU ; which has no AVX-512
    vpternlogd zmm17, zmm17, zmm17, 0xFF
%endif
    vzeroupper
    YMM_IS ymm9, 0, 0, 0, 0
%ifndef QEMU ; which has no AVX-512
    YMM_IS ymm17, -1, -1, -1, -1
%endif
    vzeroall
    YMM_IS ymm1, 0, 0, 0, 0
%ifndef QEMU ; which has no AVX-512
    YMM_IS ymm17, -1, -1, -1, -1
%endif

    ; prefixes before VEX and EVEX; vvvv where nothing uses it
    FAULTS 6, 0, {db 0x66, 0xC5, 0xF8, 0x28, 0xC1}
    FAULTS 6, 0, {db 0xF2, 0xC5, 0xF8, 0x28, 0xC1}
    FAULTS 6, 0, {db 0xF3, 0xC5, 0xF8, 0x28, 0xC1}
    FAULTS 6, 0, {db 0xF0, 0xC5, 0xF8, 0x28, 0xC1}
    FAULTS 6, 0, {db 0x40, 0xC5, 0xF8, 0x28, 0xC1}
    FAULTS 6, 0, {db 0xC5, 0xF0, 0x28, 0xC1}
    FAULTS 6, 0, {db 0x66, 0x62, 0xF1, 0x7C, 0x48, 0x28, 0xC1}
    FAULTS 6, 0, {db 0x4F, 0x62, 0xF1, 0x7C, 0x48, 0x28, 0xC1}
    FAULTS 6, 0, {db 0x62, 0xF1, 0x78, 0x48, 0x28, 0xC1} ; the bit of EVEX that is 1
    FAULTS 6, 0, {db 0x62, 0xF9, 0x7C, 0x48, 0x28, 0xC1} ; a reserved bit beside the map
    FAULTS 6, 0, {db 0x62, 0xF1, 0x7C, 0x68, 0x28, 0xC1} ; L'L = 3
    FAULTS 6, 0, {db 0x62, 0xF1, 0x7C, 0xC8, 0x28, 0xC1} ; zeroing without a mask
    FAULTS 6, 0, {db 0x62, 0xF1, 0x7C, 0x58, 0x28, 0xC1} ; EVEX.b where there is nothing to round
    FAULTS 6, 0, {db 0x62, 0xF1, 0x7C, 0x40, 0x28, 0xC1} ; V' without a second operand
    db 0x3E, 0xC5, 0xF8, 0x28, 0xC1 ; a segment prefix is none of those
    ; CR0.TS: #NM; CR0.EM does not concern VEX
    mov rax, cr0
    or rax, 8
    mov cr0, rax
    FAULTS 7, 0, {vmovaps xmm0, xmm1}
    FAULTS 7, 0, {vldmxcsr [data]}
    FAULTS 7, 0, {vmaskmovdqu xmm0, xmm1}
%ifndef QEMU ; which has no AVX-512
    FAULTS 7, 0, {kmovw eax, k1}
%endif
    FAULTS 7, 0, {maskmovq mm0, mm1}
    FAULTS 6, 0, {db 0x66, 0xC5, 0xF8, 0x28, 0xC1} ; #UD comes first
    mov rax, cr0
    and rax, ~8
    mov cr0, rax

    ; MASKMOVQ: the top bits of the mask's bytes choose; DS:RDI may be aligned as it likes
    fninit
    FILL 0xAA
    mov rax, 0x8877665544332211
    movq mm0, rax
    mov rax, 0x807F00FF01800080
    movq mm1, rax
    mov rdi, data + 3
    maskmovq mm0, mm1
    CHECK64 [data], 0x55AA33AA11AAAAAA
    CHECK64 [data + 8], 0xAAAAAAAAAA88AAAA
    CHECK rdi, data + 3
    ; it is an MMX instruction: the top of the stack is 0 then and no register is empty
    emms
    fld1
    maskmovq mm0, mm1
    fnstenv [data + 64]
    CHECK16 [data + 68], 0
    CHECK16 [data + 72], 0x155A ; tags: 7 holds 1.0, 2 to 6 zeros, 0 and 1 the exponent FFFFH
    emms
    ; nothing chosen, nothing written
    FILL 0xAA
    movq mm2, [zeros]
    mov rdi, data
    maskmovq mm0, mm2
    emms
    CHECK64 [data], 0xAAAAAAAAAAAAAAAA
    ; the address: a segment's base, an address size of 32 bits
    mov ecx, 0xC0000100 ; FS base
    mov eax, 0x20
    xor edx, edx
    wrmsr
    fs maskmovq mm0, mm1
    CHECK64 [data + 0x20], 0x88AAAA55AA33AA11
    mov rax, 0x1111111100000000 + data + 8
    mov rdi, rax
    db 0x67
    maskmovq mm0, mm1
    emms
    CHECK64 [data + 8], 0x88AAAA55AA33AA11
    ; memory forms do not exist, nor does LOCK
    FAULTS 6, 0, {db 0x0F, 0xF7, 0x01}
    FAULTS 6, 0, {db 0x66, 0x0F, 0xF7, 0x01}
    FAULTS 6, 0, {db 0xC5, 0xF9, 0xF7, 0x01}
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xF7, 0xC1}
    FAULTS 6, 0, {db 0xC5, 0xFD, 0xF7, 0xC1} ; VEX.L
    FAULTS 6, 0, {db 0xC5, 0xF1, 0xF7, 0xC1} ; vvvv
    FAULTS 6, 0, {db 0xC5, 0xF8, 0xF7, 0xC1} ; VEX.pp

    ; VMASKMOVDQU and MASKMOVDQU
%macro MASKED_16 1 ; the instruction
    FILL 0xAA
    SET xmm1, 0x8000000000000080, 0xFF7F010000FF8080
    SET xmm10, 0x1716151413121110, 0x1F1E1D1C1B1A1918
    mov rdi, data + 5
    %1 xmm10, xmm1
    CHECK64 [data], 0xAAAA10AAAAAAAAAA
    CHECK64 [data + 8], 0x1A191817AAAAAAAA
    CHECK64 [data + 16], 0xAAAAAA1FAAAAAAAA
    CHECK rdi, data + 5
    db 0x64 ; FS
    %1 xmm10, xmm1
    CHECK64 [data + 0x20], 0xAAAA10AAAAAAAAAA
    mov rax, 0x1111111100000000 + data
    mov rdi, rax
    db 0x67
    %1 xmm10, xmm1
    CHECK64 [data], 0x17AA10AAAAAAAA10
    CHECK64 [data + 8], 0x1F191817AA1A1918
    FILL 0xAA
    pxor xmm1, xmm1
    mov rdi, data
    %1 xmm10, xmm1
    CHECK64 [data], 0xAAAAAAAAAAAAAAAA
    CHECK64 [data + 8], 0xAAAAAAAAAAAAAAAA
    ; into a page that is absent: no byte is written, not even those of the page before
    mov qword [0x3FFFF8], 0x5555
    SET xmm1, -1, -1
    mov edi, 0x3FFFFFF8
    FAULTS 14, 2, {%1 xmm10, xmm1}
    CHECK64 [fault_cr2], 0x40000000
    CHECK [0x3FFFF8], 0x5555
    mov rdi, 0x7FFFFFFFFFF8
    FAULTS 14, 2, {%1 xmm10, xmm1}
    CHECK64 [fault_cr2], 0x7FFFFFFFFFF8
    mov rdi, 0x800000000000
    FAULTS 13, 0, {%1 xmm10, xmm1}
    ; and one that stops short of it
    SET xmm1, -1, 0
    mov edi, 0x3FFFFFF8
    %1 xmm10, xmm1
    CHECK64 [0x3FFFF8], 0x1716151413121110
%endmacro
    mov qword [pd0 + 511 * 8], 0x200083 ; the last 2 MiB below what is absent
    mov rax, cr3
    mov cr3, rax
    MASKED_16 maskmovdqu
    MASKED_16 vmaskmovdqu
    ; MASKMOVQ that faults has not entered the MMX state
    mov qword [0x3FFFF8], 0x5555
    emms
    fld1
    mov edi, 0x3FFFFFFA
    FAULTS 14, 2, {maskmovq mm0, mm1}
    CHECK64 [fault_cr2], 0x40000000
    CHECK [0x3FFFF8], 0x5555
    fnstsw ax
    CHECK16 ax, 0x3800
    fninit

    ; compatibility mode: limits
    mov dword [data + 0x100], 0x1F80
    TO_COMPAT
    mov dword [gdt + FREE_SELECTOR], 0x0000000F
    mov dword [gdt + FREE_SELECTOR + 4], 0x00409300
    mov eax, FREE_SELECTOR
    mov es, eax
    vpcmpeqd xmm1, xmm1, xmm1
    mov edi, 1
    FAULTS 13, 0, {es vmaskmovdqu xmm0, xmm1}
    FAULTS 13, 0, {es maskmovdqu xmm0, xmm1}
    mov edi, 0xD
    FAULTS 13, 0, {es vldmxcsr [edi]}
    FAULTS 13, 0, {es vstmxcsr [edi]}
    vldmxcsr [data + 0x100]
    vstmxcsr [data + 0x104]
    CHECK [data + 0x104], 0x1F80
    TO_64
    PASS

align 8
zeros: dq 0
END
