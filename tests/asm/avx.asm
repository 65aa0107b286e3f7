; AVX as system software sees it: what must be switched on, #NM, alignment, upper halves, VLDMXCSR and VSTMXCSR, VMASKMOVDQU and
; MASKMOVQ, VZEROUPPER and VZEROALL, AVX-512's opmask state, the same in compatibility mode.
; options: --cpu x86-64-v4
%include "test.inc"

%macro XCR0 1
    xor ecx, ecx
    xor edx, edx
    mov eax, %1
    xsetbv
%endmacro
; The four quadwords of a YMM register, lowest first.
%macro YMM_IS 5
    vmovdqu [data + 0xF00], %1
    CHECK64 [data + 0xF00], %2
    CHECK64 [data + 0xF08], %3
    CHECK64 [data + 0xF10], %4
    CHECK64 [data + 0xF18], %5
%endmacro

; Byte-masked stores; DS:rDI, or another segment. For 32- and 64-bit code. xmm0: 00 01 .. 0F; xmm1: top bits of bytes 1, 2, 8, 15.
%macro MASKED_STORES 0
    mov xdi, data + 0x100
    mov dword [data + 0x100], -1
    mov dword [data + 0x104], -1
    mov dword [data + 0x108], -1
    mov dword [data + 0x10C], -1
    vmovdqu xmm0, [numbers]
    vmovdqu xmm1, [selection]
    vmaskmovdqu xmm0, xmm1
    CHECK32 [data + 0x100], 0xFF0201FF
    CHECK32 [data + 0x104], 0xFFFFFFFF
    CHECK32 [data + 0x108], 0xFFFFFF08
    CHECK32 [data + 0x10C], 0x0FFFFFFF
    mov dword [data + 0x100], -1
    mov dword [data + 0x10C], -1
    maskmovdqu xmm1, xmm0 ; no top bit: nothing is stored
    CHECK32 [data + 0x100], 0xFFFFFFFF
    vpcmpeqb xmm2, xmm2, xmm2
    maskmovdqu xmm0, xmm2 ; everything, at any address
    inc xdi
    maskmovdqu xmm0, xmm2
    CHECK32 [data + 0x100], 0x02010000
    CHECK32 [data + 0x10D], 0x0F0E0D0C
    dec xdi
    ; MMX
    mov dword [data + 0x100], -1
    mov dword [data + 0x104], -1
    movq mm0, [numbers]
    movq mm1, [selection]
    maskmovq mm0, mm1
    CHECK32 [data + 0x100], 0xFF0201FF
    CHECK32 [data + 0x104], 0xFFFFFFFF
    pcmpeqb mm2, mm2
    inc xdi
    maskmovq mm0, mm2
    CHECK32 [data + 0x101], 0x03020100
    CHECK32 [data + 0x105], 0x07060504
    fnstenv [data + 0x200] ; an MMX instruction: no tag empty, those written special, the others zero; TOP 0
    CHECK16 [data + 0x208], 0x556A
    mov ax, [data + 0x204]
    and eax, 0x3800
    CHECK32 eax, 0
    emms
    ; only registers; VEX.128 with vvvv 1111 only
    FAULTS 6, 0, {db 0x0F, 0xF7, 0x07}
    FAULTS 6, 0, {db 0x66, 0x0F, 0xF7, 0x07}
    FAULTS 6, 0, {db 0xC5, 0xF9, 0xF7, 0x07}
    FAULTS 6, 0, {db 0xC5, 0xFD, 0xF7, 0xC1}
    FAULTS 6, 0, {db 0xC5, 0xF1, 0xF7, 0xC1}
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xF7, 0xC1}
%endmacro

%macro MXCSR_FORMS 0
    mov dword [data], 0x5F80
    vldmxcsr [data]
    stmxcsr [data + 4]
    CHECK32 [data + 4], 0x5F80
    mov dword [data + 4], 0
    vstmxcsr [data + 4]
    CHECK32 [data + 4], 0x5F80
    mov dword [data], 0x11F80 ; a reserved bit
    FAULTS 13, 0, {vldmxcsr [data]}
    FAULTS 13, 0, {ldmxcsr [data]}
    vstmxcsr [data + 4]
    CHECK32 [data + 4], 0x5F80
    mov dword [data], 0x1F80
    vldmxcsr [data]
    FAULTS 6, 0, {db 0xC5, 0xF8, 0xAE, 0xD0} ; a register
    FAULTS 6, 0, {db 0xC5, 0xFC, 0xAE, 0x10} ; VEX.256
    FAULTS 6, 0, {db 0xC5, 0xF0, 0xAE, 0x10} ; VEX.vvvv
    FAULTS 6, 0, {db 0xC5, 0xFC, 0xAE, 0x18}
    FAULTS 6, 0, {db 0xC5, 0xF0, 0xAE, 0x18}
%endmacro
%define xdi rdi

main:
    ; not before CR4.OSXSAVE, nor before XCR0 says so
    FAULTS 6, 0, {vpxor xmm0, xmm1, xmm2}
    mov rax, cr4
    bts rax, 18
    mov cr4, rax
    FAULTS 6, 0, {vpxor xmm0, xmm1, xmm2}
    XCR0 3
    FAULTS 6, 0, {vpxor xmm0, xmm1, xmm2}
    FAULTS 6, 0, vzeroupper
    FAULTS 6, 0, {kmovw k1, k2}
    XCR0 7
    vpxor xmm0, xmm1, xmm2
    FAULTS 6, 0, {kmovw k1, k2}
    FAULTS 6, 0, {vpxord xmm0, xmm1, xmm2}
    FAULTS 6, 0, {vmovdqu32 zmm0, zmm1}
    XCR0 0xE7
    kmovw k1, k2
    vpxord xmm16, xmm1, xmm2
    ; CR0.TS: #NM, where the encoding is right; without CR4.OSFXSR VEX works, legacy SSE does not
    mov rax, cr0
    or rax, 8
    mov cr0, rax
    FAULTS 7, 0, {vpxor xmm0, xmm1, xmm2}
    FAULTS 7, 0, {vpxord zmm0, zmm1, zmm2}
    FAULTS 7, 0, {kmovw k1, k2}
    FAULTS 7, 0, {vldmxcsr [data]}
    FAULTS 6, 0, {db 0xC5, 0xFC, 0xAE, 0x10}
    clts
    mov rax, cr4
    btr rax, 9
    mov cr4, rax
%ifndef QEMU
    vpxor xmm0, xmm1, xmm2
%endif
    FAULTS 6, 0, {pxor xmm0, xmm1}
    bts rax, 9
    mov cr4, rax
    mov rax, cr0
    or rax, 4 ; CR0.EM is for the legacy forms
    mov cr0, rax
    FAULTS 6, 0, {pxor xmm0, xmm1}
%ifndef QEMU
    vpxor xmm0, xmm1, xmm2
%endif
    and rax, ~4
    mov cr0, rax

    ; a VEX.128 result clears what is above, a legacy one leaves it
    vpcmpeqd ymm1, ymm1, ymm1
    vpxor xmm2, xmm2, xmm2
    YMM_IS ymm2, 0, 0, 0, 0
    vmovdqa ymm3, ymm1
    pxor xmm3, xmm3
    YMM_IS ymm3, 0, 0, -1, -1
    vmovdqa xmm3, xmm1
    YMM_IS ymm3, -1, -1, 0, 0
    vmovdqa ymm3, ymm1
    vzeroupper
    YMM_IS ymm3, -1, -1, 0, 0
    vzeroall
    YMM_IS ymm1, 0, 0, 0, 0
    vpternlogd zmm20, zmm20, zmm20, 0xFF
    vzeroall ; not registers 16 to 31
    vextracti64x4 ymm4, zmm20, 1
    YMM_IS ymm4, -1, -1, -1, -1
    vpternlogd zmm5, zmm5, zmm5, 0xFF
    vmovdqa ymm5, ymm5 ; VEX.256 clears bits 511:256
    vextracti64x4 ymm4, zmm5, 1
    YMM_IS ymm4, 0, 0, 0, 0

    ; alignment: only where the name says so, by the whole length
    mov rbx, data + 0x410
    vmovaps xmm0, [rbx]
    FAULTS 13, 0, {vmovaps ymm0, [rbx]}
    FAULTS 13, 0, {vmovaps [rbx], ymm0}
    FAULTS 13, 0, {vmovntdq [rbx], ymm0}
    FAULTS 13, 0, {vmovdqa64 zmm0, [rbx + 0x10]}
    vmovups ymm0, [rbx + 1]
    vpaddd xmm0, xmm1, [rbx + 3]
    FAULTS 13, 0, {paddd xmm0, [rbx + 3]}
    mov rbx, 1 << 47
    FAULTS 13, 0, {vmovups ymm0, [rbx - 31]}

    ; masked loads and stores touch no page they need not
    mov qword [pdpt + 8], pd1 + 7
    mov qword [pd1], pt0 + 7
    mov qword [pt0], data + 0x1003
    mov rbx, 0x40000000
    mov dword [data + 0x1FFC], 0x11223344
    vmovdqu xmm1, [first_lane]
    vmaskmovps xmm0, xmm1, [rbx + 0xFFC]
    YMM_IS ymm0, 0x11223344, 0, 0, 0
    vmaskmovps [rbx + 0xFFC], xmm1, xmm1
    CHECK32 [data + 0x1FFC], 0x80000000
    mov eax, 1
    kmovw k1, eax
    vmovdqu32 zmm0{k1}{z}, [rbx + 0xFFC]
    YMM_IS ymm0, 0x80000000, 0, 0, 0
    mov eax, 2
    kmovw k1, eax
    FAULTS 14, 0, {vmovdqu32 zmm0{k1}{z}, [rbx + 0xFFC]}
    CHECK64 [fault_cr2], 0x40001000
    FAULTS 14, 2, {vmovdqu32 [rbx + 0xFFC]{k1}, zmm0}
    xor eax, eax
    kmovw k1, eax
    vmovdqu32 zmm0{k1}, [rbx + 0x1000]

    MXCSR_FORMS
    MASKED_STORES
    ; unmasked and in the way: #XM with nothing written
    mov dword [data], 0x1F00 ; IM clear
    vldmxcsr [data]
    vmovdqu xmm1, [signalling]
    vmovdqu xmm2, [numbers]
    FAULTS 19, 0, {vaddps xmm2, xmm1, xmm1}
    vstmxcsr [data]
    CHECK32 [data], 0x1F01
    mov dword [data], 0x1F80
    vldmxcsr [data]
    YMM_IS ymm2, 0x0706050403020100, 0x0F0E0D0C0B0A0908, 0, 0
    ; a segment override and a 32-bit address for the masked stores
    mov ecx, 0xC0000100
    mov eax, 0x1000
    xor edx, edx
    wrmsr ; FS.base
    mov rdi, data + 0x300 - 0x1000
    bts rdi, 40
    vmovdqu xmm0, [numbers]
    vpcmpeqb xmm1, xmm1, xmm1
    db 0x64, 0x67, 0xC5, 0xF9, 0xF7, 0xC1 ; VMASKMOVDQU with FS and EDI
    CHECK64 [data + 0x300], 0x0706050403020100
    movq mm0, [selection]
    pcmpeqb mm1, mm1
    db 0x64, 0x67, 0x0F, 0xF7, 0xC1 ; MASKMOVQ
    emms
    CHECK64 [data + 0x300], 0x000000017FFF8000
    mov rdi, 0x40000FFC ; the page behind is not there
    FAULTS 14, 2, {vmaskmovdqu xmm0, xmm1}
%ifndef QEMU
    CHECK64 [fault_cr2], 0x40001004 ; the upper half comes first
%endif
    FAULTS 14, 2, {maskmovq mm0, mm1}
    emms

    TO_COMPAT
%define xdi edi
    MXCSR_FORMS
    MASKED_STORES
    ; eight registers: VEX.R, X as for 64-bit code make LDS and LES
    vpcmpeqd ymm7, ymm7, ymm7
    vpaddb ymm6, ymm7, ymm7
    vmovdqu [data], ymm6
    CHECK [data + 28], 0xFEFEFEFE
    vpaddd zmm6, zmm7, zmm7
    vmovdqu64 [data], zmm6
    CHECK [data], 0xFFFFFFFE
    CHECK [data + 32], 0
    kmovd k1, eax
    TO_64
    PASS

numbers: db 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
selection: db 0, 0x80, 0xFF, 0x7F, 1, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0xC0
first_lane: dd 0x80000000, 0x7FFFFFFF, 0, 0
signalling: dd 0x7F800001, 0, 0, 0
align 4096
pd1: times 512 dq 0
END
