; MOVS, STOS, LODS, CMPS, SCAS: all widths and prefixes, both directions, RCX = 0, overlaps, 32-bit addresses, page faults in
; the middle with the registers of that iteration.
%include "test.inc"

%define HOLE 0x40000000 ; two pages mapped from here, the third is absent

%macro FILL 3 ; address, count, byte pattern step
    mov rdi, %1
    mov ecx, %2
    xor eax, eax
%%next:
    mov [rdi], al
    add al, %3
    inc rdi
    dec ecx
    jnz %%next
%endmacro

main:
    mov qword [pdpt + 8], pd1 + 3
    mov qword [pd1], pt0 + 3
    mov qword [pt0], data + 0x10000 + 3
    mov qword [pt0 + 8], data + 0x11000 + 3

    ; one at a time
    FILL data, 256, 1
%macro ONE 3 ; letter, bytes, whole value at data + 8 as seen by this width
    mov rsi, data + 8
    mov rdi, data + 0x100
    mov qword [rdi], 0
    movs%1
    CHECK rsi, data + 8 + %2
    CHECK rdi, data + 0x100 + %2
    CHECK64 [data + 0x100], %3
    std
    movs%1
    CHECK rsi, data + 8
    CHECK rdi, data + 0x100
    cld
    mov rax, -1
    lods%1
    CHECK rsi, data + 8 + %2
%if %2 == 4
    CHECK64 rax, %3
%elif %2 == 8
    CHECK64 rax, %3
%else
    CHECK64 rax, (-1 << (%2 * 8)) | (%3)
%endif
    mov qword [rdi], 0
    mov rax, 0x1122334455667788
    stos%1
    CHECK rdi, data + 0x100 + %2
    CHECK64 [data + 0x100], 0x1122334455667788 & (-1 >> (64 - %2 * 8))
    mov rdi, data + 0x100
    scas%1
    CHECK_FLAGS STATUS, ZF | PF
    CHECK rdi, data + 0x100 + %2
    std
    inc rax
    mov rdi, data + 0x100
    scas%1
    CHECK_FLAGS STATUS, 0
    CHECK rdi, data + 0x100 - %2
    cld
    mov rsi, data + 0x80
    mov rdi, data + 0x81
    mov byte [data + 0x81 + %2 - 1], 0xFF ; the most significant byte of the second operand
    cmps%1
    CHECK_FLAGS CF | ZF, CF
    CHECK rsi, data + 0x80 + %2
    CHECK rdi, data + 0x81 + %2
    mov byte [data + 0x81 + %2 - 1], 0x81 + %2 - 1
%endmacro
    ONE b, 1, 0x08
    ONE w, 2, 0x0908
    ONE d, 4, 0x0B0A0908
    ONE q, 8, 0x0F0E0D0C0B0A0908

    ; REP with RCX = 0: nothing moves, no flag changes, nothing is accessed
    mov rsi, HOLE + 0x2000
    mov rdi, HOLE + 0x2000
    xor ecx, ecx
    stc
    rep movsb
    rep stosq
    rep lodsw
    repe cmpsb
    repne scasd
    CHECK_FLAGS STATUS, CF | ZF | PF
    CHECK rsi, HOLE + 0x2000
    CHECK rdi, HOLE + 0x2000
    CHECK rcx, 0
    CHECK [pt0 + 16], 0

    ; REP MOVS, forward and backward, every width
%macro MOVE 3 ; letter, bytes, count
    FILL data, 0x1000, 7
    mov rdi, data + 0x2000
    xor eax, eax
    mov ecx, 0x1000
    rep stosb
    mov rsi, data + 3
    mov rdi, data + 0x2005
    mov ecx, %3
    rep movs%1
    CHECK rcx, 0
    CHECK rsi, data + 3 + %2 * %3
    CHECK rdi, data + 0x2005 + %2 * %3
    CHECK8 [rdi], 0
    CHECK8 [data + 0x2004], 0
    mov rsi, data + 3
    mov rdi, data + 0x2005
    mov ecx, %2 * %3
    repe cmpsb
    CHECK_FLAGS ZF, ZF
    CHECK rcx, 0
    std
    mov rsi, data + 3 + %2 * (%3 - 1)
    mov rdi, data + 0x2105 + %2 * (%3 - 1)
    mov ecx, %3
    rep movs%1
    CHECK rsi, data + 3 - %2
    CHECK rdi, data + 0x2105 - %2
    cld
    mov rsi, data + 3
    mov rdi, data + 0x2105
    mov ecx, %2 * %3
    repe cmpsb
    CHECK rcx, 0
    CHECK_FLAGS ZF, ZF
%endmacro
    MOVE b, 1, 201
    MOVE w, 2, 101
    MOVE d, 4, 57
    MOVE q, 8, 31

    ; overlapping: a forward copy to the next byte repeats it, by qwords repeats the qword
    FILL data, 64, 1
    mov byte [data], 0x55
    mov rsi, data
    mov rdi, data + 1
    mov ecx, 40
    rep movsb
    CHECK64 [data + 33], 0x5555555555555555
    CHECK8 [data + 41], 41
    mov rax, 0x1122334455667788
    mov [data], rax
    mov rsi, data
    mov rdi, data + 8
    mov ecx, 7
    rep movsq
    CHECK64 [data + 56], 0x1122334455667788
    mov rsi, data
    mov rdi, data + 3
    mov ecx, 4
    rep movsq
    CHECK64 [data + 3], 0x1122334455667788
    CHECK64 [data + 11], 0x1122334455112233
    ; the backward copy over itself is a true move
    FILL data, 64, 1
    std
    mov rsi, data + 39
    mov rdi, data + 40
    mov ecx, 40
    rep movsb
    cld
    CHECK64 [data + 1], 0x0706050403020100
    CHECK64 [data + 33], 0x2726252423222120
    ; a backward copy upwards repeats, too
    FILL data, 64, 1
    std
    mov rsi, data + 40
    mov rdi, data + 39
    mov ecx, 40
    rep movsb
    cld
    CHECK64 [data], 0x2828282828282828

    ; STOS and LODS
    mov rdi, data + 0x101
    mov rax, 0x1122334455667788
    mov ecx, 1000
    rep stosd
    CHECK rdi, data + 0x101 + 4000
    CHECK64 [data + 0x101 + 3992], 0x5566778855667788
    std
    mov rdi, data + 0x1FFE
    mov ecx, 0x800
    rep stosw
    cld
    CHECK rdi, data + 0xFFE
    CHECK64 [data + 0x1000], 0x7788778877887788
    FILL data, 256, 1
    mov rsi, data
    mov ecx, 10
    rep lodsb
    CHECK8 al, 9
    CHECK rsi, data + 10
    ; a REP without meaning is ignored: NOP with F3 is PAUSE; F2 with MOVS acts as REP
    mov rsi, data
    mov rdi, data + 0x200
    mov ecx, 4
    db 0xF2
    movsb
    CHECK rcx, 0
    CHECK32 [data + 0x200], 0x03020100

    ; REPE/REPNE: where they stop, flags of the last comparison
    mov rdi, data
    mov ecx, 256
    mov al, 100
    repne scasb
    CHECK_FLAGS STATUS, ZF | PF
    CHECK rdi, data + 101
    CHECK rcx, 155
    mov rdi, data
    mov ecx, 50
    repne scasb
    CHECK_FLAGS STATUS, PF
    CHECK rcx, 0
    CHECK rdi, data + 50
    mov rdi, data
    mov ecx, 5
    xor eax, eax
    repe scasb
    CHECK rcx, 3
    CHECK_FLAGS STATUS, CF | AF | SF | PF
    mov rsi, data
    mov rdi, data + 0x200
    mov ecx, 10
    repe cmpsb
    CHECK_FLAGS ZF, 0
    CHECK rcx, 5
    CHECK rsi, data + 5
    mov rsi, data + 1
    mov rdi, data
    mov ecx, 10
    repne cmpsw
    CHECK rcx, 0
    CHECK_FLAGS CF | ZF, 0

    ; a page fault in the middle: done iterations count, RIP is the instruction's own
%macro INTERRUPTED 7+ ; error, cr2, rcx, rsi, rdi, flags under STATUS (-1: any), instruction
    FAULTS 14, %1, %7
    CHECK64 [fault_cr2], %2
    CHECK rcx, %3
    CHECK rsi, %4
    CHECK rdi, %5
%if %6 != -1
    CHECK_FLAGS STATUS, %6
%endif
%endmacro
    FILL data, 256, 1
    cmp rax, rax
    mov rsi, data
    mov rdi, HOLE + 0x2000 - 10
    mov ecx, 100
    INTERRUPTED 2, HOLE + 0x2000, 90, data + 10, HOLE + 0x2000, ZF | PF, rep movsb
    CHECK64 [data + 0x12000 - 8], 0x0908070605040302
    mov rsi, HOLE + 0x2000 - 12
    mov rdi, data + 0x400
    mov ecx, 10
    INTERRUPTED 0, HOLE + 0x2000, 7, HOLE + 0x2000, data + 0x40C, -1, rep movsd
    ; an element that crosses into the hole is not written in part
    mov qword [data + 0x12000 - 8], 0
    mov rdi, HOLE + 0x2000 - 12
    mov rax, -1
    mov ecx, 10
    mov esi, 5
    INTERRUPTED 2, HOLE + 0x2000, 9, 5, HOLE + 0x2000 - 4, -1, rep stosq
    CHECK64 [data + 0x12000 - 8], 0xFFFFFFFF
    mov rsi, HOLE + 0x2000 - 6
    mov ecx, 5
    mov edi, 5
    INTERRUPTED 0, HOLE + 0x2000, 2, HOLE + 0x2000, 5, -1, rep lodsw
    ; backward into the page below the mapping
    mov qword [pd0 + 511 * 8], 0
    mov rax, cr3
    mov cr3, rax
    std
    mov rdi, HOLE + 7
    mov ecx, 100
    mov rsi, data
    INTERRUPTED 2, HOLE - 1, 92, data, HOLE - 1, -1, rep stosb
    cld
    cmp ecx, ecx
    mov rdi, HOLE + 0x2000 - 5
    mov al, 1
    mov ecx, 0xFFFF
    mov byte [data + 0x12000 - 1], 0
    mov rsi, data
    mov dword [data + 0x12000 - 5], 0
    cmp ecx, 0
    INTERRUPTED 0, HOLE + 0x2000, 0xFFFA, data, HOLE + 0x2000, -1, repne scasb
    mov dword [data], 0
    mov rsi, HOLE + 0x2000 - 4
    mov rdi, data
    mov ecx, 9
    mov dword [data + 0x12000 - 4], 0
    INTERRUPTED 0, HOLE + 0x2000, 5, HOLE + 0x2000, data + 4, -1, repe cmpsb
    ; and it can be resumed: map the page in the handler, return to the same instruction
    mov qword [handler], map_hole
    FILL data, 256, 3
    mov rsi, data
    mov rdi, HOLE + 0x2000 - 100
    mov ecx, 200
    rep movsb
    mov qword [handler], 0
    CHECK rcx, 0
    mov rsi, data
    mov rdi, HOLE + 0x2000 - 100
    mov ecx, 200
    repe cmpsb
    CHECK rcx, 0
    CHECK_FLAGS ZF, ZF

    ; the source of MOVS is read before the destination is written: both absent
    mov rsi, HOLE + 0x4000
    mov rdi, HOLE + 0x5000
    FAULTS 14, 0, movsb
    CHECK64 [fault_cr2], HOLE + 0x4000
    CHECK64 rsi, HOLE + 0x4000

    ; across a border of pages that are not neighbours in memory
    mov qword [pt0 + 8 * 8], data + 0x20000 + 3
    mov qword [pt0 + 9 * 8], data + 0x30000 + 3
    mov rsi, data
    mov rdi, HOLE + 0x8FFB
    mov ecx, 20
    rep movsw
    mov rsi, data
    mov rdi, HOLE + 0x8FFB
    mov ecx, 40
    repe cmpsb
    CHECK rcx, 0
    CHECK_FLAGS ZF, ZF
    CHECK8 [data + 0x30000], 15

    ; 32-bit address size: ECX, ESI, EDI count, and become zero-extended; RCX's upper half does not count
    mov rsi, 0x5500000000 + data
    mov rdi, 0x6600000000 + data + 0x300
    mov rcx, 0x7700000000 + 5
    db 0x67
    rep movsb
    CHECK rcx, 0
    CHECK rsi, data + 5
    CHECK rdi, data + 0x305
    CHECK32 [data + 0x300], 0x09060300
    mov rcx, 0x7700000000
    mov rdi, 0x6600000000 + data
    db 0x67
    rep stosb
    ; 64-bit: the whole of RCX counts. 2^32 iterations would not end; the fault ends them
    mov rcx, 0x100000000
    mov rdi, HOLE + 0x9000 + 0xFFF
    mov al, 0x77
    FAULTS 14, 2, rep stosb
    CHECK64 rcx, 0xFFFFFFFF
    CHECK8 [data + 0x30FFF], 0x77

    ; a segment override acts on the source alone: GS base for it
    mov ecx, 0xC0000101
    mov eax, data
    xor edx, edx
    wrmsr
    mov esi, 5
    mov rdi, data + 0x300
    gs movsb
    CHECK8 [data + 0x300], 15
    mov esi, 6
    gs lodsb
    CHECK8 al, 18
    mov esi, 7
    mov rdi, data + 7
    gs cmpsb
    CHECK_FLAGS ZF, ZF
    mov edi, data
    gs stosb ; not on the destination
    CHECK8 [data], 18

    ; big: several pages, all kinds
    mov rdi, data + 0x40000
    mov rax, 0x0123456789ABCDEF
    mov ecx, 0x4000
    rep stosq
    mov rsi, data + 0x40000
    mov rdi, data + 0x60001
    mov ecx, 0x20000
    rep movsb
    mov rsi, data + 0x40000
    mov rdi, data + 0x60001
    mov ecx, 0x4000
    repe cmpsq
    CHECK rcx, 0
    CHECK_FLAGS ZF, ZF
    mov rdi, data + 0x60001
    mov ecx, 0x4001
    repe scasq
    CHECK_FLAGS ZF, 0
    CHECK rcx, 0
    PASS

map_hole: ; handler: the stack is vector, error, frame
    mov qword [pt0 + 16], data + 0x12000 + 3
    add rsp, 16
    iretq

align 4096
pd1: times 512 dq 0
END
