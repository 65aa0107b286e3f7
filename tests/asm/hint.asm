; Instructions that do nothing on this machine: the reserved hints 0F 0D and 0F 18 to 0F 1F, PREFETCHh, PREFETCHW, ENDBR32
; and ENDBR64 without CET, INVD. In every shape and operand size they change neither registers nor flags, and a memory
; operand is no access: no fault for what is absent, not canonical, or beyond a segment's limit.
%include "test.inc"

; The opcodes of one ModRM byte (and what it needs behind it), with the prefixes that leave a hint a hint.
%macro SHAPE 1+ ; ModRM, SIB, displacement
%assign %%opcode 0x18
%rep 9
%if %%opcode == 0x20
%assign %%opcode 0x0D
%endif
    db 0x0F, %%opcode, %1
    db 0x66, 0x0F, %%opcode, %1
%if __?BITS?__ == 64
    db 0x48, 0x0F, %%opcode, %1
%endif
%assign %%opcode %%opcode + 1
%endrep
%endmacro

; Registers that point nowhere, and flags all set; then the same again.
%macro SET_ALL 0
%if __?BITS?__ == 64
    mov rax, 0x8000000000000000 ; not canonical
    mov rbx, 0x7FFFFFFFFFF0
%else
    mov eax, 0xFFFFFFF0
    mov ebx, 0x7FFFFFF0
%endif
    mov ecx, 0x11111111
    mov edx, 0x22222222
    mov esi, 0x33333333
    mov edi, 0x44444444
    mov ebp, 0xFFFFFFFC
    push STATUS | 2
    popfx
%endmacro
%macro SAME_ALL 0
    CHECK_FLAGS STATUS, STATUS
%if __?BITS?__ == 64
    CHECK64 rax, 0x8000000000000000
    CHECK64 rbx, 0x7FFFFFFFFFF0
    CHECK rsp, r15
%else
    CHECK eax, 0xFFFFFFF0
    CHECK ebx, 0x7FFFFFF0
%endif
    CHECK32 ecx, 0x11111111
    CHECK32 edx, 0x22222222
    CHECK32 esi, 0x33333333
    CHECK32 edi, 0x44444444
    CHECK xword [fault_count], 0
%endmacro

; All reg fields of ModRM, in registers and through rAX and rBX.
%macro ALL_SHAPES 0
%assign reg 0
%rep 8
%ifndef QEMU ; QEMU 7.2 refuses 0F 18 and 0F 0D of a register
    SHAPE 0xC3 | reg << 3
%endif
    SHAPE reg << 3                                ; [rax]
    SHAPE 0x43 | reg << 3, 0x7F                   ; [rbx + 7FH]
    SHAPE 0x84 | reg << 3, 0x98, 0, 0, 0, 0x80    ; [rax + rbx * 4 - 80000000H]
    SHAPE 0x05 | reg << 3, 0xFF, 0xFF, 0xFF, 0x7F ; [rip + 7FFFFFFFH], [7FFFFFFFH]
%assign reg reg + 1
%endrep
    ; F2 and F3 mean nothing here; F3 0F 1E FA and FB are ENDBR64 and ENDBR32, which without CET are hints as well
    db 0xF3, 0x0F, 0x19, 0x00
    db 0xF2, 0x0F, 0x1F, 0xC0
    db 0xF3, 0x0F, 0x1C, 0x03
    db 0xF3, 0x0F, 0x1E, 0xC8 ; RDSSPD
    db 0xF3, 0x0F, 0x1E, 0xFA
    db 0xF3, 0x0F, 0x1E, 0xFB
%endmacro

main:
    mov r15, rsp
    SET_ALL
    ALL_SHAPES
    ; by their names, at addresses with and without a page
    prefetchnta [rax]
    prefetcht0 [rax]
    prefetcht1 [rax]
    prefetcht2 [rax]
    prefetchw [rax]
    prefetcht1 [data]
    prefetcht2 [data + 0xFFF]
    endbr32
    endbr64
    SAME_ALL
    ; not #SS either
    db 0x36, 0x0F, 0x18, 0x03 ; prefetchnta [ss:rbx]
    ; LOCK is refused, whatever the ModRM byte
%ifndef QEMU ; QEMU 7.2 takes LOCK before hints, and says #UD where an instruction is too long
    FAULTS 6, 0, {db 0xF0, 0x0F, 0x1F, 0x00}
    FAULTS 6, 0, {db 0xF0, 0x0F, 0x18, 0x00}
    FAULTS 6, 0, {db 0xF0, 0x0F, 0x0D, 0x08}
    FAULTS 6, 0, {db 0xF0, 0x0F, 0x1E, 0xC0}
    FAULTS 6, 0, {db 0xF0, 0xF3, 0x0F, 0x1E, 0xFB}
    ; 15 bytes are the longest hint, 16 are #GP
    times 7 db 0x66
    db 0x0F, 0x1F, 0x84, 0x00, 0, 0, 0, 0
    FAULTS 13, 0, {db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0F, 0x1F, 0x84, 0x00, 0, 0, 0, 0}
%endif
    mov qword [fault_count], 0

    ; caches hold nothing here, so INVD loses nothing
    mov dword [data], 0x12345678
    invd
    CHECK32 [data], 0x12345678

    TO_COMPAT
    SET_ALL
    ALL_SHAPES
    prefetcht1 [eax]
    prefetcht2 [eax]
    prefetchw [eax]
    endbr32
    endbr64
    SAME_ALL
    ; 16-bit addressing
    db 0x67, 0x0F, 0x18, 0x57, 0x80       ; prefetcht1 [bx - 128]
    db 0x67, 0x0F, 0x18, 0x9E, 0xFF, 0x7F ; prefetcht2 [bp + 7FFFH]
    db 0x67, 0x0F, 0x1F, 0x06, 0xFF, 0xFF ; nop [FFFFH]
    SAME_ALL
    ; beyond the limit of a segment, and by the null selector
    mov dword [gdt + FREE_SELECTOR], 0x00000FFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00409300
    push es
    mov ecx, FREE_SELECTOR
    mov es, ecx
    FAULTS 13, 0, mov ecx, [es:0x1000]
    mov dword [fault_count], 0
    prefetcht1 [es:0x1000]
    nop dword [es:0x1000]
    xor ecx, ecx
    mov es, ecx
    prefetcht2 [es:0]
    nop dword [es:0]
    pop es
    invd
%ifndef QEMU ; QEMU 7.2 does not look at limits
    CHECK [fault_count], 0
    FAULTS 6, 0, {db 0xF0, 0x0F, 0x1F, 0x00}
%endif
    TO_64

    ; at CPL 3 hints are free, INVD is not
    USER_PAGES
    TO_USER
    prefetcht1 [0]
    db 0x0F, 0x1B, 0x00
    endbr32
    FAULTS 13, 0, invd
    PASS
END
