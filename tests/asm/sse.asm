; SSE and SSE2 as system software sees them: moves of all kinds, alignment, MXCSR and #XM, arithmetic and conversions with
; known bits, compares and flags, integer operations the kernel uses, MMX, FXSAVE and FXRSTOR, XSAVE, CR4.OSFXSR.
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
%macro XMM_IS 3 ; register, low, high
    movups [data + 0xF00], %1
    CHECK64 [data + 0xF00], %2
    CHECK64 [data + 0xF08], %3
%endmacro
%macro MXCSR 1
    mov dword [data + 0xF10], %1
    ldmxcsr [data + 0xF10]
%endmacro
%macro MXCSR_IS 1
    stmxcsr [data + 0xF14]
    CHECK32 [data + 0xF14], %1
%endmacro
IE equ 1
DE equ 2
ZE equ 4
OE equ 8
UE equ 0x10
PE equ 0x20
MASKED equ 0x1F80

main:
    MXCSR MASKED
    ; moves
    SET xmm0, 0x1122334455667788, 0x99AABBCCDDEEFF00
    movaps xmm1, xmm0
    XMM_IS xmm1, 0x1122334455667788, 0x99AABBCCDDEEFF00
    movaps [data], xmm0
    movups [data + 0x11], xmm0
    CHECK64 [data + 0x11], 0x1122334455667788
    movdqu xmm2, [data + 1]
    CHECK64 [data + 0x19], 0x99AABBCCDDEEFF00
    pxor xmm3, xmm3
    movups xmm3, [data + 0x11]
    XMM_IS xmm3, 0x1122334455667788, 0x99AABBCCDDEEFF00
    movss xmm1, [data] ; from memory: the rest becomes zero
    XMM_IS xmm1, 0x55667788, 0
    movsd xmm1, [data + 8]
    XMM_IS xmm1, 0x99AABBCCDDEEFF00, 0
    movaps xmm1, xmm0
    pxor xmm2, xmm2
    movss xmm1, xmm2 ; from a register: the rest stays
    XMM_IS xmm1, 0x1122334400000000, 0x99AABBCCDDEEFF00
    movsd xmm1, xmm2
    XMM_IS xmm1, 0, 0x99AABBCCDDEEFF00
    movlps xmm1, [data + 8]
    XMM_IS xmm1, 0x99AABBCCDDEEFF00, 0x99AABBCCDDEEFF00
    movhps xmm1, [data]
    XMM_IS xmm1, 0x99AABBCCDDEEFF00, 0x1122334455667788
    movhlps xmm2, xmm1
    XMM_IS xmm2, 0x1122334455667788, 0
    movlhps xmm2, xmm1
    XMM_IS xmm2, 0x1122334455667788, 0x99AABBCCDDEEFF00
    movhpd [data + 0x20], xmm1
    CHECK64 [data + 0x20], 0x1122334455667788
    movq xmm1, [data]
    XMM_IS xmm1, 0x1122334455667788, 0
    movq xmm1, xmm0
    XMM_IS xmm1, 0x1122334455667788, 0
    mov rax, -1
    movd xmm1, eax
    XMM_IS xmm1, 0xFFFFFFFF, 0
    movq rbx, xmm0
    CHECK64 rbx, 0x1122334455667788
    mov rbx, -1
    movd ebx, xmm0
    CHECK64 rbx, 0x55667788
    movntdq [data + 0x30], xmm0
    CHECK64 [data + 0x38], 0x99AABBCCDDEEFF00
    movnti [data + 0x40], rbx
    CHECK64 [data + 0x40], 0x55667788
    movmskps eax, xmm0
    CHECK rax, 12
    movmskpd eax, xmm0
    CHECK rax, 2
    pmovmskb eax, xmm0
    CHECK rax, 0xFE01
    ; REX names xmm8 to xmm15
    movaps xmm9, xmm0
    movaps xmm1, xmm9
    XMM_IS xmm1, 0x1122334455667788, 0x99AABBCCDDEEFF00

    ; alignment: #GP for what must be aligned, whatever CR0.AM; a fault changes nothing
    FAULTS 13, 0, {movaps xmm1, [data + 8]}
    FAULTS 13, 0, {movdqa [data + 1], xmm1}
    FAULTS 13, 0, {movntps [data + 8], xmm1}
%ifndef QEMU ; QEMU 7.2 checks moves only
    FAULTS 13, 0, {paddd xmm1, [data + 4]}
    FAULTS 13, 0, {addps xmm1, [data + 4]}
    FAULTS 13, 0, {xorps xmm1, [data + 1]}
%endif
    XMM_IS xmm1, 0x1122334455667788, 0x99AABBCCDDEEFF00
    addss xmm1, [data + 1]
    mov rdx, 0x40000000
    FAULTS 14, 0, {movaps xmm1, [rdx]}
    FAULTS 14, 2, {movups [rdx], xmm1}
    FAULTS 13, 0, {movaps xmm1, [rdx + 8]} ; before the page fault

    ; two moves in a row whose addresses differ in displacement: the second may fault behind the first, and may overlap it
    mov qword [pdpt + 8], pair_pd + 3
    mov qword [pair_pd], pair_pt + 3
    mov qword [pair_pt], data + 0x2003
    mov rdx, 0x40000FF0
    SET xmm0, 0x1111111111111111, 0x2222222222222222
    SET xmm1, 0x3333333333333333, 0x4444444444444444
    movups [rdx - 16], xmm0
    movups [rdx], xmm1
    FAULT_BEGIN .load_after
    movups xmm2, [rdx - 16]
    movups xmm3, [rdx]
    movups xmm4, [rdx]
.load_second:
    movups xmm5, [rdx + 1]
    FAIL
.load_after:
    FAULT_END 14, 0, .load_second
    XMM_IS xmm2, 0x1111111111111111, 0x2222222222222222
    XMM_IS xmm4, 0x3333333333333333, 0x4444444444444444
    FAULT_BEGIN .store_after
    movups [rdx], xmm0
.store_second:
    movups [rdx + 16], xmm1
    FAIL
.store_after:
    FAULT_END 14, 2, .store_second
    CHECK64 [data + 0x2FF8], 0x2222222222222222
    FAULT_BEGIN .aligned_after
    movaps [rdx - 16], xmm1
.aligned_second:
    movaps [rdx - 8], xmm0
    FAIL
.aligned_after:
    FAULT_END 13, 0, .aligned_second
    CHECK64 [data + 0x2FE8], 0x4444444444444444
    movups [rdx - 64], xmm0
    movups [rdx - 56], xmm1
    CHECK64 [data + 0x2FB0], 0x1111111111111111
    CHECK64 [data + 0x2FB8], 0x3333333333333333
    movups xmm2, [rdx - 64]
    movups xmm2, [rdx - 56]
    XMM_IS xmm2, 0x3333333333333333, 0x4444444444444444
    ; the second begins in the page before, which is another page of RAM, or absent
    mov qword [pair_pt + 8], data + 0x5003
    mov rdx, 0x40001000
    movups [rdx - 8], xmm0
    movups [rdx], xmm1
    movups [rdx - 8], xmm0
    CHECK64 [data + 0x2FF8], 0x1111111111111111
    CHECK64 [data + 0x5000], 0x2222222222222222
    CHECK64 [data + 0x5008], 0x4444444444444444
    movups xmm2, [rdx]
    movups xmm3, [rdx - 8]
    XMM_IS xmm3, 0x1111111111111111, 0x2222222222222222
    mov qword [pair_pt], 0
    invlpg [rdx - 8]
    FAULT_BEGIN .down_after
    movups xmm2, [rdx]
.down_second:
    movups xmm3, [rdx - 8]
    FAIL
.down_after:
    FAULT_END 14, 0, .down_second
    mov qword [pdpt + 8], 0
    mov rax, cr3
    mov cr3, rax
    mov rdx, 0x40000000

    ; arithmetic
    MXCSR MASKED
    SET xmm0, 0x3FF0000000000000, 0x4000000000000000 ; 1.0, 2.0
    SET xmm1, 0x4008000000000000, 0xBFE0000000000000 ; 3.0, -0.5
    movaps xmm2, xmm0
    addpd xmm2, xmm1
    XMM_IS xmm2, 0x4010000000000000, 0x3FF8000000000000
    movaps xmm2, xmm0
    subsd xmm2, xmm1
    XMM_IS xmm2, 0xC000000000000000, 0x4000000000000000
    movaps xmm2, xmm0
    mulpd xmm2, xmm1
    XMM_IS xmm2, 0x4008000000000000, 0xBFF0000000000000
    MXCSR_IS MASKED
    movaps xmm2, xmm0
    divsd xmm2, xmm1
    XMM_IS xmm2, 0x3FD5555555555555, 0x4000000000000000
    MXCSR_IS MASKED | PE
    MXCSR MASKED | 0x4000 ; round up
    movaps xmm2, xmm0
    divsd xmm2, xmm1
    XMM_IS xmm2, 0x3FD5555555555556, 0x4000000000000000
    MXCSR MASKED
    sqrtsd xmm2, xmm1
    XMM_IS xmm2, 0x3FFBB67AE8584CAA, 0x4000000000000000
    mov dword [data], 0x40490FDB ; 3.1415927
    movss xmm3, [data]
    addss xmm3, xmm3
    XMM_IS xmm3, 0x40C90FDB, 0
    rcpps xmm4, xmm3
    ; special values: NaN operands, 0/0, x/0, infinities
    MXCSR MASKED
    SET xmm0, 0, 0
    SET xmm1, 0, 0
    divsd xmm0, xmm1
    XMM_IS xmm0, 0xFFF8000000000000, 0
    MXCSR_IS MASKED | IE
    MXCSR MASKED
    SET xmm0, 0x3FF0000000000000
    divsd xmm0, xmm1
    XMM_IS xmm0, 0x7FF0000000000000, 0
    MXCSR_IS MASKED | ZE
    MXCSR MASKED
    SET xmm0, 0x7FF0000000000001 ; a signaling NaN becomes quiet
    SET xmm1, 0x7FF8000000000002
    addsd xmm0, xmm1
%ifndef QEMU ; QEMU 7.2 gives the quiet one (SDM Vol. 1, table 4-7: the first)
    XMM_IS xmm0, 0x7FF8000000000001, 0
%endif
    MXCSR_IS MASKED | IE
    MXCSR MASKED
    SET xmm0, 0x7FF8000000000003
    addsd xmm0, xmm1 ; the first operand's
    XMM_IS xmm0, 0x7FF8000000000003, 0
    MXCSR_IS MASKED
    SET xmm0, 0x3FF0000000000000
    minsd xmm0, xmm1 ; MIN and MAX give the second operand for any NaN
    XMM_IS xmm0, 0x7FF8000000000002, 0
    MXCSR_IS MASKED | IE
    MXCSR MASKED
    SET xmm0, 0x8000000000000000
    SET xmm1, 0
    maxsd xmm0, xmm1
    XMM_IS xmm0, 0, 0
    ; overflow, underflow, denormals, DAZ and FTZ
    SET xmm0, 0x7FEFFFFFFFFFFFFF
    addsd xmm0, xmm0
    XMM_IS xmm0, 0x7FF0000000000000, 0
    MXCSR_IS MASKED | OE | PE
    MXCSR MASKED
    SET xmm0, 0x0010000000000000
    SET xmm1, 0x3FE0000000000000
    mulsd xmm0, xmm1
    XMM_IS xmm0, 0x0008000000000000, 0
    MXCSR_IS MASKED ; exact: no UE while masked
    SET xmm0, 0x0010000000000001
    mulsd xmm0, xmm1
    MXCSR_IS MASKED | UE | PE
    MXCSR MASKED | 0x8000 ; FTZ
    SET xmm0, 0x0010000000000001
    mulsd xmm0, xmm1
    XMM_IS xmm0, 0, 0
    MXCSR MASKED
    SET xmm0, 1
    addsd xmm0, xmm0
    XMM_IS xmm0, 2, 0
%ifndef QEMU ; QEMU 7.2 knows DE only where it flushes
    MXCSR_IS MASKED | DE
%endif
    MXCSR MASKED | 0x40 ; DAZ
    SET xmm0, 1
    addsd xmm0, xmm0
    XMM_IS xmm0, 0, 0
%ifndef QEMU
    MXCSR_IS MASKED | 0x40
%endif
    MXCSR MASKED

    ; compares: UCOMISD and COMISD set ZF, PF, CF and clear the rest
%macro COMPARES 3 ; a, b, flags
    SET xmm0, %1
    SET xmm1, %2
    mov al, 0x7F
    inc al ; OF, SF, AF
    ucomisd xmm0, xmm1
    CHECK_FLAGS STATUS, %3
    comisd xmm0, xmm1
    CHECK_FLAGS STATUS, %3
%endmacro
    COMPARES 0x3FF0000000000000, 0x4000000000000000, CF
    COMPARES 0x4000000000000000, 0x3FF0000000000000, 0
    COMPARES 0x8000000000000000, 0, ZF
    COMPARES 0x7FF8000000000000, 0, ZF | PF | CF
    MXCSR_IS MASKED | IE ; COMISD does not like quiet NaNs
    MXCSR MASKED
    SET xmm0, 0x7FF8000000000000
    ucomisd xmm0, xmm0
    MXCSR_IS MASKED
    SET xmm0, 0x3FF0000000000000, 0x7FF8000000000000
    movaps xmm1, xmm0
    cmppd xmm1, xmm0, 0
    XMM_IS xmm1, 0xFFFFFFFFFFFFFFFF, 0
    movaps xmm1, xmm0
    cmppd xmm1, xmm0, 4
    XMM_IS xmm1, 0, 0xFFFFFFFFFFFFFFFF
    movaps xmm1, xmm0
    cmppd xmm1, xmm0, 3
    XMM_IS xmm1, 0, 0xFFFFFFFFFFFFFFFF

    ; conversions, with rounding and the integer indefinite
    MXCSR MASKED
    SET xmm0, 0x4004000000000000 ; 2.5
    cvtsd2si eax, xmm0
    CHECK rax, 2
    cvttsd2si rax, xmm0
    CHECK rax, 2
    MXCSR_IS MASKED | PE
    MXCSR MASKED | 0x4000
    cvtsd2si rax, xmm0
    CHECK rax, 3
    MXCSR MASKED
    SET xmm0, 0xC1E0000000200000 ; -2147483649.0
    cvtsd2si eax, xmm0
    CHECK64 rax, 0x80000000
    MXCSR_IS MASKED | IE
    MXCSR MASKED
    cvtsd2si rax, xmm0
    CHECK64 rax, -2147483649
    SET xmm0, 0x7FF8000000000000
    cvttsd2si rax, xmm0
    CHECK64 rax, 0x8000000000000000
    mov rax, -7
    cvtsi2sd xmm0, rax
    XMM_IS xmm0, 0xC01C000000000000, 0
    cvtsi2ss xmm1, eax
    mov rax, 0x7FFFFFFFFFFFFFFF
    MXCSR MASKED
    cvtsi2sd xmm0, rax
    XMM_IS xmm0, 0x43E0000000000000, 0
    MXCSR_IS MASKED | PE
    pxor xmm1, xmm1
    cvtsd2ss xmm1, xmm0
    XMM_IS xmm1, 0x5F000000, 0
    cvtss2sd xmm2, xmm1
    SET xmm0, 0xFFFFFFFE00000003
    cvtdq2pd xmm1, xmm0
    XMM_IS xmm1, 0x4008000000000000, 0xC000000000000000
    cvtdq2ps xmm1, xmm0
    XMM_IS xmm1, 0xC000000040400000, 0

%ifndef QEMU ; QEMU 7.2 has no #XM
    ; #XM: unmasked exceptions, the destination unchanged, the flag set; without OSXMMEXCPT #UD
    MXCSR MASKED & ~0x200 ; ZM
    SET xmm0, 0x3FF0000000000000, 5
    SET xmm1, 0, 0
    FAULTS 19, 0, {divsd xmm0, xmm1}
    XMM_IS xmm0, 0x3FF0000000000000, 5
    MXCSR_IS (MASKED & ~0x200) | ZE
    SET xmm1, 0, 0x4000000000000000
    FAULTS 19, 0, {divpd xmm0, xmm1} ; one element is enough
    XMM_IS xmm0, 0x3FF0000000000000, 5
    mov rax, cr4
    and rax, ~(1 << 10)
    mov cr4, rax
    FAULTS 6, 0, {divsd xmm0, xmm1}
    or rax, 1 << 10
    mov cr4, rax
    ; a flag that is set already raises nothing when it is unmasked
    MXCSR (MASKED & ~0x80) | IE
    addsd xmm0, xmm0
    FAULTS 13, 0, {ldmxcsr [big_mxcsr]} ; reserved bits
%endif
    MXCSR MASKED

    ; integer operations
    SET xmm0, 0x00FF00FF7FFF8000, 0x0102030405060708
    SET xmm1, 0x0001000100010001, 0x1010101010101010
    movaps xmm2, xmm0
    paddw xmm2, xmm1
    XMM_IS xmm2, 0x0100010080008001, 0x1112131415161718
    movaps xmm2, xmm0
    paddsw xmm2, xmm1
    XMM_IS xmm2, 0x010001007FFF8001, 0x1112131415161718
    movaps xmm2, xmm0
    paddq xmm2, xmm1
    XMM_IS xmm2, 0x0100010080008001, 0x1112131415161718
    movaps xmm2, xmm0
    psubusb xmm2, xmm1
    XMM_IS xmm2, 0x00FE00FE7FFE8000, 0x0000000000000000
    movaps xmm2, xmm0
    pmuludq xmm2, xmm0
    pcmpeqb xmm3, xmm3
    XMM_IS xmm3, 0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF
    pandn xmm3, xmm0
    XMM_IS xmm3, 0, 0
    SET xmm0, 0x3333333322222222, 0x5555555544444444
    pshufd xmm1, xmm0, 0x1B
    XMM_IS xmm1, 0x4444444455555555, 0x2222222233333333
    movaps xmm1, xmm0
    pslldq xmm1, 4
    XMM_IS xmm1, 0x2222222200000000, 0x4444444433333333
    psrldq xmm1, 5
    XMM_IS xmm1, 0x4433333333222222, 0x0000000000444444
    movaps xmm1, xmm0
    psllq xmm1, 4
    XMM_IS xmm1, 0x3333333222222220, 0x5555555444444440
    movaps xmm1, xmm0
    psrad xmm1, 40
    XMM_IS xmm1, 0, 0
    movaps xmm1, xmm0
    punpckldq xmm1, xmm0
    XMM_IS xmm1, 0x2222222222222222, 0x3333333333333333
    ; MASKMOVDQU writes selected bytes
    mov rdi, data + 0x800
    mov qword [rdi], 0
    mov qword [rdi + 8], 0
    SET xmm1, 0x8000000000000080, 0x7F00000000000000
    maskmovdqu xmm0, xmm1
    CHECK64 [data + 0x800], 0x3300000000000022
    CHECK64 [data + 0x808], 0

    ; MMX shares the x87 registers: tags become valid, TOP zero; EMMS empties
    fninit
    mov rax, 0x1122334455667788
    movq mm3, rax
    paddb mm3, mm3
    movq rbx, mm3
    CHECK64 rbx, 0x22446688AACCEE10
    fxsave [data + 0x400]
    CHECK8 [data + 0x404], -1
%ifndef QEMU ; QEMU 7.2 does not set the exponent to ones
    fnstenv [data + 0x900]
    mov rax, [data + 0x908]
    and eax, 0xC0
    CHECK rax, 0x80 ; special
%endif
    emms
    fnstenv [data + 0x900]
    CHECK16 [data + 0x908], -1
    movq2dq xmm0, mm3
    XMM_IS xmm0, 0x22446688AACCEE10, 0

    ; FXSAVE and FXRSTOR
    fninit
    fld1
    MXCSR 0x1FA0
    SET xmm7, 0x0707070707070707, 0x7070707070707070
    SET xmm15, 0xF0F0F0F0F0F0F0F0
    o64 fxsave [data + 0x400]
    CHECK16 [data + 0x400], 0x37F
    CHECK16 [data + 0x402], 0x3800
    CHECK8 [data + 0x404], -0x80
    CHECK32 [data + 0x418], 0x1FA0
    CHECK64 [data + 0x420], 0x8000000000000000
    CHECK16 [data + 0x428], 0x3FFF
    CHECK64 [data + 0x400 + 160 + 7 * 16], 0x0707070707070707
    CHECK64 [data + 0x400 + 160 + 15 * 16], 0xF0F0F0F0F0F0F0F0
    fninit
    pxor xmm7, xmm7
    MXCSR MASKED
    o64 fxrstor [data + 0x400]
    XMM_IS xmm7, 0x0707070707070707, 0x7070707070707070
    MXCSR_IS 0x1FA0
    fnstsw ax
    CHECK16 ax, 0x3800
    fstp qword [data + 0x300]
    CHECK64 [data + 0x300], 0x3FF0000000000000
    FAULTS 13, 0, fxsave [data + 0x408]
    FAULTS 13, 0, fxrstor [data + 0x401]
%ifndef QEMU
    mov dword [data + 0x418], 0x11F80
    FAULTS 13, 0, fxrstor [data + 0x400]
%endif
    mov dword [data + 0x418], MASKED
    mov rdx, 0x40000000
    FAULTS 14, 2, fxsave [rdx]
    FAULTS 14, 0, fxrstor [rdx]

    ; XSAVE and XRSTOR
    mov eax, 1
    cpuid
    bt ecx, 26
    jnc .no_xsave
    mov rax, cr4
    or rax, 1 << 18
    mov cr4, rax
    xor ecx, ecx
    xor edx, edx
    mov eax, 3
    xsetbv
    mov rdi, data + 0x1000
    mov ecx, 128
    xor eax, eax
    rep stosq
    SET xmm7, 0x0707070707070707, 0x7070707070707070
    mov eax, 3
    xor edx, edx
    xsave [data + 0x1000]
    CHECK64 [data + 0x1000 + 160 + 7 * 16], 0x0707070707070707
    mov rax, [data + 0x1200]
    and eax, 2
    CHECK rax, 2
    pxor xmm7, xmm7
    mov eax, 2
    xor edx, edx
    xrstor [data + 0x1000]
    XMM_IS xmm7, 0x0707070707070707, 0x7070707070707070
    ; a component whose bit is clear in XSTATE_BV gets its initial state
    and qword [data + 0x1200], ~2
    mov eax, 2
    xor edx, edx
    xrstor [data + 0x1000]
    XMM_IS xmm7, 0, 0
    mov eax, 3
    FAULTS 13, 0, xsave [data + 0x1010]
    mov qword [data + 0x1200], 0x100
%ifndef QEMU ; QEMU 7.2 does not look
    FAULTS 13, 0, xrstor [data + 0x1000]
%endif
    mov qword [data + 0x1200], 3
    mov qword [data + 0x1210], 1
    FAULTS 13, 0, xrstor [data + 0x1000]
.no_xsave:
    ; without OSFXSR: #UD; with TS: #NM; with EM: #UD
    mov rax, cr4
    and rax, ~(1 << 9)
    mov cr4, rax
    FAULTS 6, 0, {movaps xmm0, xmm1}
    FAULTS 6, 0, {pxor xmm0, xmm1}
    pxor mm0, mm1
    or rax, 1 << 9
    mov cr4, rax
    mov rax, cr0
    or rax, 8
    mov cr0, rax
    FAULTS 7, 0, {pxor xmm0, xmm1}
    FAULTS 7, 0, {pxor mm0, mm1}
    FAULTS 7, 0, fxsave [data + 0x400]
    FAULTS 7, 0, {ldmxcsr [data]}
    FAULTS 7, 0, {movaps xmm0, [data + 1]} ; before the alignment's #GP
    movnti [data], rax
    lfence
    prefetcht0 [data]
    clts
    PASS
align 4
big_mxcsr: dd 0x11F80
align 4096
pair_pd: times 512 dq 0
pair_pt: times 512 dq 0
END
