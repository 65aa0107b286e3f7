; Segments: loading null, absent, wrong and privileged descriptors; limits, expand-down and write protection in
; compatibility mode; LAR, LSL, VERR, VERW; SGDT, SIDT, SLDT, STR, LGDT, LIDT, LLDT, LTR, UMIP.
%include "test.inc"

; Sets descriptor n (0 to 7) of the test's own.
%macro DESCRIPTOR 2 ; n, value
    mov rax, %2
    mov [gdt + FREE_SELECTOR + (%1) * 8], rax
%endmacro
%define SELECTOR(n) (FREE_SELECTOR + (n) * 8)

LDT equ 0x80000 ; free low memory
; base, limit, access byte, flags (G, D/B, L, AVL in bits 7 to 4)
%define SEGMENT(base, limit, access, flags) (((base) & 0xFF000000) << 32 | ((base) & 0xFFFFFF) << 16 | ((limit) & 0xF0000) << 32 | ((limit) & 0xFFFF) | (access) << 40 | (flags) << 48)

%macro LOAD_FAULTS 4 ; vector, error, register, selector
    mov ecx, %4
    FAULTS %1, %2, {mov %3, ecx}
%endmacro

main:
    ; null selectors: any data register in 64-bit mode, SS as well below CPL 3
    xor ecx, ecx
    mov ds, ecx
    mov es, ecx
    mov fs, ecx
    mov gs, ecx
    mov ecx, 3
    mov ds, ecx
    mov eax, ds
    CHECK rax, 3
    db 0x3E
    mov rax, [data] ; ignored in 64-bit mode
    mov ecx, DATA64
    mov ds, ecx
    mov es, ecx
    FAULTS 6, 0, {db 0x8E, 0xC8} ; MOV to CS
    FAULTS 6, 0, {db 0x8E, 0xF0} ; MOV to segment register 6
    FAULTS 6, 0, {db 0x8C, 0xF8}

    ; each kind of descriptor for a data register: code must be readable, DPL >= max(CPL, RPL) but for conforming code
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0x13, 0xC0) ; absent data
    LOAD_FAULTS 11, SELECTOR(0), ds, SELECTOR(0)
    LOAD_FAULTS 11, SELECTOR(0), fs, SELECTOR(0)
    LOAD_FAULTS 12, SELECTOR(0), ss, SELECTOR(0)
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0x99, 0xC0) ; execute-only
    LOAD_FAULTS 13, SELECTOR(0), es, SELECTOR(0)
    LOAD_FAULTS 13, SELECTOR(0), ss, SELECTOR(0)
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0x9B, 0xC0) ; readable code
    mov ecx, SELECTOR(0)
    mov es, ecx
    LOAD_FAULTS 13, SELECTOR(0), ss, SELECTOR(0)
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0x91, 0xC0) ; read-only data
    mov es, ecx
    LOAD_FAULTS 13, SELECTOR(0), ss, SELECTOR(0)
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0xF3, 0xC0) ; DPL 3
    mov es, ecx
    LOAD_FAULTS 13, SELECTOR(0), ss, SELECTOR(0)     ; SS: DPL = RPL = CPL
    LOAD_FAULTS 13, SELECTOR(0), ss, SELECTOR(0) | 3
    mov ecx, SELECTOR(0) | 3
    mov es, ecx
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0x93, 0xC0)
    LOAD_FAULTS 13, SELECTOR(0), es, SELECTOR(0) | 1 ; RPL above DPL
    LOAD_FAULTS 13, SELECTOR(0), ss, SELECTOR(0) | 3
    DESCRIPTOR 0, SEGMENT(0, 0x67, 0x89, 0) ; a system segment
    LOAD_FAULTS 13, SELECTOR(0), gs, SELECTOR(0)
    LOAD_FAULTS 13, 0x800, ds, 0x800            ; beyond the GDT
    LOAD_FAULTS 13, 0x0C, ds, 0x0C              ; no LDT
    LOAD_FAULTS 13, 0x0C, ss, 0x0C
    ; the last descriptor must lie in the limit as a whole
    lgdt [short_gdt]
    LOAD_FAULTS 13, SELECTOR(0), es, SELECTOR(0)
    lgdt [gdt_register]
    ; a failed load leaves the register alone; a good one sets the accessed bit
    mov ecx, DATA64
    mov es, ecx
    LOAD_FAULTS 13, 0x800, es, 0x800
    mov eax, es
    CHECK rax, DATA64
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0x92, 0xC0)
    mov ecx, SELECTOR(0)
    mov es, ecx
    CHECK8 [gdt + SELECTOR(0) + 5], -0x6D
    ; the selector is read from 16 bits of memory or register; a store clears or keeps the upper part
    mov word [data], DATA64
    mov word [data + 2], -1
    mov es, [data]
    mov rax, -1
    mov eax, es
    CHECK rax, DATA64
    mov rax, -1
    mov ax, es
    CHECK rax, -0x10000 | DATA64
    mov rax, -1
    mov rax, es
    CHECK rax, DATA64
    mov dword [data], -1
    mov [data], es
    CHECK32 [data], 0xFFFF0000 | DATA64

    ; LAR, LSL: ZF and the destination; nothing changes when ZF = 0
%macro LAR_IS 2 ; selector, rights or -1
    mov ecx, %1
    mov rax, 0x5555555555555555
    lar eax, ecx
%if %2 == -1
    CHECK_FLAGS ZF, 0
    CHECK64 rax, 0x5555555555555555
%else
    CHECK_FLAGS ZF, ZF
    and rax, ~0xF0000 ; these bits are undefined
    CHECK64 rax, (%2) & ~0xF0000
%endif
%endmacro
%macro LSL_IS 2
    mov ecx, %1
    mov rax, 0x5555555555555555
    lsl eax, ecx
%if %2 == -1
    CHECK_FLAGS ZF, 0
    CHECK64 rax, 0x5555555555555555
%else
    CHECK_FLAGS ZF, ZF
    CHECK64 rax, %2
%endif
%endmacro
    DESCRIPTOR 0, SEGMENT(0x12345678, 0xABCDE, 0xF3, 0xD0)
    LAR_IS SELECTOR(0), 0xDAF300
    LSL_IS SELECTOR(0), 0xABCDEFFF
    DESCRIPTOR 0, SEGMENT(0, 0xABCDE, 0x9B, 0x40)
    LSL_IS SELECTOR(0), 0xABCDE
    LAR_IS 0, -1
    LSL_IS 3, -1
    LAR_IS 0x800, -1
    LAR_IS 0x0C, -1
    LSL_IS TSS64, 0x67
    LAR_IS TSS64, 0x008B00
    DESCRIPTOR 0, SEGMENT(0, 0, 0x8C, 0)
    DESCRIPTOR 1, 0
    LAR_IS SELECTOR(0), 0x8C00 ; a 64-bit call gate has rights ...
    LSL_IS SELECTOR(0), -1     ; ... but no limit
    DESCRIPTOR 0, SEGMENT(0, 0, 0x8E, 0)
    LAR_IS SELECTOR(0), -1     ; an interrupt gate neither
%ifndef QEMU ; QEMU 7.2 allows them
    DESCRIPTOR 0, SEGMENT(0, 0, 0x84, 0)
    LAR_IS SELECTOR(0), -1     ; 16-bit types are gone in IA-32e mode
%endif
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0x93, 0xC0)
    LAR_IS SELECTOR(0) | 3, -1 ; RPL counts
    mov rax, -1
    mov ecx, DATA64
    lar ax, cx
    CHECK64 rax, 0xFFFFFFFFFFFF9300
    lsl ax, cx
    CHECK rax, -1
    mov word [data], DATA64
    lar rax, [data]
    and rax, ~0xF0000
    CHECK64 rax, 0xC09300

    ; VERR, VERW
%macro VERIFY 3 ; selector, readable, writable
    mov ecx, %1
    verr cx
    CHECK_FLAGS ZF, (%2) * ZF
    verw cx
    CHECK_FLAGS ZF, (%3) * ZF
%endmacro
    VERIFY DATA64, 1, 1
    VERIFY CODE64, 1, 0
    VERIFY 0, 0, 0
    VERIFY 0x800, 0, 0
    VERIFY TSS64, 0, 0
    VERIFY DATA64 | 3, 0, 0
    DESCRIPTOR 0, SEGMENT(0, 0, 0x99, 0)
    VERIFY SELECTOR(0), 0, 0
    DESCRIPTOR 0, SEGMENT(0, 0, 0x9F, 0) ; conforming and readable: for any RPL
    VERIFY SELECTOR(0) | 3, 1, 0
    DESCRIPTOR 0, SEGMENT(0, 0, 0x91, 0)
    VERIFY SELECTOR(0), 1, 0
    mov word [data], USER_DATA
    verw [data]
    CHECK_FLAGS ZF, ZF

    ; the tables
    sgdt [data]
    mov rax, [gdt_register]
    CHECK [data], rax
    mov ax, [gdt_register + 8]
    CHECK16 [data + 8], ax
    sidt [data]
    mov rax, [idt_register]
    CHECK [data], rax
    str rax
    CHECK rax, TSS64
    mov rax, -1
    str ax
    CHECK64 rax, 0xFFFFFFFFFFFF0000 | TSS64
    mov dword [data], -1
    str [data]
    CHECK32 [data], 0xFFFF0000 | TSS64
    sldt eax
    CHECK rax, 0
    mov rcx, 0x1000000000000000
    mov [data + 2], rcx
    mov word [data], 0xFF
%ifndef QEMU ; QEMU 7.2 does not look
    FAULTS 13, 0, lgdt [data] ; a non-canonical base
    FAULTS 13, 0, lidt [data]
%endif
    mov rdx, 0x40000000
    FAULTS 14, 0, lgdt [rdx]
    FAULTS 14, 2, sgdt [rdx]

    ; an LDT: a 16-byte descriptor in 64-bit mode
    mov rax, SEGMENT(0, 0x1234, 0x93, 0x40)
    mov [LDT + 8], rax
    xor eax, eax
    mov [LDT], rax
    mov [LDT + 16], rax
    mov [LDT + 24], rax
    DESCRIPTOR 0, SEGMENT(LDT, 31, 0x82, 0)
    DESCRIPTOR 1, 0
    mov ecx, SELECTOR(0)
    lldt cx
    sldt rax
    CHECK rax, SELECTOR(0)
    mov ecx, 0x0C
    mov es, ecx
    LSL_IS 0x0C, 0x1234
    LOAD_FAULTS 13, 0x24, es, 0x24 ; beyond its limit
    LOAD_FAULTS 13, 0x04, es, 0x04 ; entry 0 of an LDT is not null, just empty
    xor ecx, ecx
    lldt cx
    LOAD_FAULTS 13, 0x0C, ds, 0x0C
    mov ecx, DATA64
    mov es, ecx
    ; what LLDT and LTR refuse
    mov ecx, 0x0C
    FAULTS 13, 0x0C, lldt cx
    FAULTS 13, 0x0C, ltr cx
    mov ecx, DATA64
    FAULTS 13, DATA64, lldt cx
    FAULTS 13, DATA64, ltr cx
%ifndef QEMU ; QEMU 7.2 takes a null selector
    xor ecx, ecx
    FAULTS 13, 0, ltr cx
%endif
    mov ecx, TSS64
    FAULTS 13, TSS64, ltr cx ; busy
    DESCRIPTOR 0, SEGMENT(LDT, 31, 0x02, 0)
    mov ecx, SELECTOR(0)
    FAULTS 11, SELECTOR(0), lldt cx
    DESCRIPTOR 0, SEGMENT(0, 0x67, 0x09, 0)
    FAULTS 11, SELECTOR(0), ltr cx
%ifndef QEMU ; QEMU 7.2 does not look
    DESCRIPTOR 0, SEGMENT(LDT, 31, 0x82, 0)
    DESCRIPTOR 1, 0x8000
    FAULTS 13, SELECTOR(0), lldt cx ; a non-canonical base
%endif
    DESCRIPTOR 1, 0
    ; LTR marks the descriptor busy
    DESCRIPTOR 0, [gdt + TSS64]
    btr rax, 41
    mov [gdt + SELECTOR(0)], rax
    ltr cx
    CHECK8 [gdt + SELECTOR(0) + 5], -0x75
    btr qword [gdt + TSS64], 41
    mov ecx, TSS64
    ltr cx

    ; CPL 3: what may be loaded and seen
    USER_PAGES
    DESCRIPTOR 0, SEGMENT(0, 0xFFFFF, 0xF3, 0xC0)
    TO_USER
    LOAD_FAULTS 13, DATA64, ds, DATA64
    LOAD_FAULTS 13, 0, ss, 0
    LOAD_FAULTS 13, DATA64, ss, DATA64
    mov ecx, SELECTOR(0)
    mov ds, ecx
    mov ecx, SELECTOR(0) | 3
    mov ss, ecx
    xor ecx, ecx
    mov es, ecx
    LAR_IS DATA64, -1
    LAR_IS USER_DATA, 0xCFF300
    LAR_IS CODE64, -1
    VERIFY CODE64, 0, 0
    sgdt [data] ; without UMIP anyone may look
    smsw ax
    str ax
    FAULTS 13, 0, lgdt [data]
    FAULTS 13, 0, lidt [data]
    FAULTS 13, 0, ltr ax
    TO_KERNEL
    mov ecx, DATA64
    mov ds, ecx
    ; a return to CPL 0..3 nulls data registers that the outer level may not use: IRET to CPL 3
    mov ecx, DATA64
    mov es, ecx
    TO_USER
    mov eax, es
    CHECK rax, 0
    mov eax, ds
    CHECK rax, 0
    TO_KERNEL
    mov ecx, DATA64
    mov ds, ecx
    mov es, ecx

    TO_COMPAT
    mov ecx, FREE_SELECTOR
%ifndef QEMU ; QEMU 7.2 checks neither limits nor types at the access
    ; limits, in bytes and in pages, at the border and across
    mov dword [gdt + FREE_SELECTOR], 0x0FFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00409200 ; data, base 0, limit FFFH: base set next
    mov eax, data
    mov [gdt + FREE_SELECTOR + 2], ax
    shr eax, 16
    mov [gdt + FREE_SELECTOR + 4], al
    mov ecx, FREE_SELECTOR
    mov es, ecx
    mov dword [data + 0xFFC], 0x12345678
    mov eax, [es:0xFFC]
    CHECK eax, 0x12345678
    mov al, [es:0xFFF]
    CHECK8 al, 0x12
    FAULTS 13, 0, mov eax, [es:0xFFD]
    FAULTS 13, 0, mov eax, [es:0x1000]
    FAULTS 13, 0, mov al, [es:0x1000]
    FAULTS 13, 0, mov ax, [es:0xFFF]
    FAULTS 13, 0, mov [es:0xFFFFFFFF], al
    FAULTS 13, 0, mov [es:0xFFFFFFFE], eax
    mov edi, 0xFFE
    mov ecx, 8
    xor eax, eax
    FAULTS 13, 0, rep stosb ; two bytes fit
    CHECK ecx, 6
    CHECK edi, 0x1000
    ; #SS for the stack segment
    mov edx, FREE_SELECTOR
    mov ebx, esp
    mov ebp, 0xFFD
    mov ss, edx
    mov esp, 0x800
    FAULTS 12, 0, mov eax, [ebp]
    FAULTS 12, 0, mov eax, [ss:0x1000]
    mov eax, DATA64
    mov ss, eax
    mov esp, ebx
    ; read-only
    mov byte [gdt + FREE_SELECTOR + 5], 0x91
    mov ecx, FREE_SELECTOR
    mov es, ecx
    mov eax, [es:0]
    FAULTS 13, 0, mov [es:0], eax
    FAULTS 13, 0, add [es:0], eax
    FAULTS 13, 0, mov [cs:data], eax ; code is never writable
    mov eax, [cs:data]
    ; expand-down: valid above the limit, up to FFFFH or FFFFFFFFH
    mov byte [gdt + FREE_SELECTOR + 5], 0x97
    mov byte [gdt + FREE_SELECTOR + 6], 0
    mov es, ecx
    mov eax, [es:0x1000]
    mov eax, [es:0xFFFC]
    FAULTS 13, 0, mov eax, [es:0xFFF]
    FAULTS 13, 0, mov al, [es:0]
    FAULTS 13, 0, mov eax, [es:0xFFFD]
    FAULTS 13, 0, mov eax, [es:0x10000]
    mov byte [gdt + FREE_SELECTOR + 6], 0x40
    mov es, ecx
    mov eax, [es:0x10000]
    FAULTS 13, 0, mov eax, [es:0xFFF]
    ; null: loads, but does not serve
    xor eax, eax
    mov es, eax
    FAULTS 13, 0, mov eax, [es:0]
%endif
    xor eax, eax
    FAULTS 13, 0, mov ss, eax
    ; the address wraps at 4 GiB when a base is added
    mov dword [gdt + FREE_SELECTOR], 0x0000FFFF
    mov dword [gdt + FREE_SELECTOR + 4], 0xF0CF9300 ; base F0000000H
    mov es, ecx
    mov eax, [data]
    mov edx, [es:data + 0x10000000]
    CHECK eax, edx
    ; LDS, LES, LFS, LGS, LSS
    mov dword [data], 0x11223344
    mov word [data + 4], DATA64
    mov word [data + 6], 0
    les ebx, [data]
    CHECK ebx, 0x11223344
    mov eax, es
    CHECK eax, DATA64
    lfs edx, [data]
    CHECK edx, 0x11223344
    mov eax, fs
    CHECK eax, DATA64
    mov edx, -1
    mov dword [data + 8], FREE_SELECTOR << 16 | 0x5566
    mov dword [data + 16], 0x0BADCAFE
    lfs dx, [data + 8] ; a 16-bit offset; the base is the descriptor's
    CHECK edx, 0xFFFF5566
    CHECK [fs:data + 0x10000010], 0x0BADCAFE
    mov dword [data + 8], 3 << 16 ; null, whatever RPL
    lfs dx, [data + 8]
    CHECK edx, 0xFFFF0000
    mov eax, fs
    CHECK eax, 3
    ; LSS: stack pointer and selector at once
    mov ecx, esp
    mov [data + 8], esp
    mov dword [data + 12], DATA64
    mov esp, 0x12345
    lss esp, [data + 8]
    CHECK esp, ecx
    mov eax, ss
    CHECK eax, DATA64
    lss edx, [data] ; any register
    CHECK edx, 0x11223344
    FAULTS 13, 0x1120, lgs cx, [data]
    FAULTS 13, 0x1120, lss cx, [data]
    FAULTS 6, 0, {db 0xC4, 0xC0} ; LES of a register
    FAULTS 6, 0, {db 0x0F, 0xB2, 0xC0}
    FAULTS 6, 0, {db 0x0F, 0xB4, 0xC0}
%ifndef QEMU
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xB2, 0x02} ; LOCK
%endif
    ; what SS refuses: null, RPL other than CPL, not writable, absent; nothing has changed then
    mov edx, 0x87654321
    mov dword [data + 12], 0
    FAULTS 13, 0, lss edx, [data + 8]
    mov dword [data + 12], DATA64 | 3
    FAULTS 13, DATA64, lss edx, [data + 8]
    mov dword [data + 12], CODE32
    FAULTS 13, CODE32, lss edx, [data + 8]
    mov dword [gdt + FREE_SELECTOR + 8], 0x0000FFFF
    mov dword [gdt + FREE_SELECTOR + 12], 0x00CF1300
    mov dword [data + 12], FREE_SELECTOR + 8
    FAULTS 12, FREE_SELECTOR + 8, lss edx, [data + 8]
    FAULTS 11, FREE_SELECTOR + 8, lfs edx, [data + 8]
    FAULTS 14, 0, lss edx, [0x7FFFFFF0]
    CHECK edx, 0x87654321
    mov eax, ss
    CHECK eax, DATA64
    mov eax, fs
    CHECK eax, 3
    mov word [data + 4], 0x800
    FAULTS 13, 0x800, lds ebx, [data]
    CHECK ebx, 0x11223344
    TO_64
%ifndef QEMU ; QEMU 7.2 ignores REX.W, as AMD's processors do
    ; 64-bit forms
    mov rax, 0x1122334455667788
    mov [data], rax
    mov word [data + 8], DATA64
    o64 lgs r9, [data]
    CHECK64 r9, 0x1122334455667788
    mov eax, gs
    CHECK rax, DATA64
    o64 lfs r10, [data]
    CHECK64 r10, 0x1122334455667788
    mov eax, fs
    CHECK rax, DATA64
    mov rcx, rsp
    mov [data], rsp
    xor esp, esp
    o64 lss rsp, [data]
    CHECK rsp, rcx
    ; in 64-bit code of CPL 0 SS may be null
    mov word [data + 8], 0
    o64 lss rax, [data]
    CHECK rax, rcx
    mov eax, ss
    CHECK rax, 0
    mov eax, DATA64
    mov ss, eax
%endif
    PASS

short_gdt:
    dw FREE_SELECTOR + 6
    dq gdt
END
