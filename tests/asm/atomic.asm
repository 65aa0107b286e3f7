; CMPXCHG, CMPXCHG8B, CMPXCHG16B, XADD, XCHG, and which instructions take LOCK.
%include "test.inc"

main:
    ; CMPXCHG: flags are those of CMP accumulator, destination; on a miss the accumulator is loaded
    mov rax, 5
    mov rbx, 7
    mov rcx, 5
    cmpxchg rcx, rbx
    CHECK_FLAGS STATUS, ZF | PF
    CHECK rcx, 7
    CHECK rax, 5
    cmpxchg rcx, rbx
    CHECK_FLAGS STATUS, CF | SF | AF
    CHECK rax, 7
    CHECK rcx, 7
    mov qword [data], 0x80
    mov eax, 0x17F
    mov edx, 0x55
    cmpxchg [data], dl
    CHECK_FLAGS STATUS, CF | OF | SF | PF
    CHECK rax, 0x180
    CHECK [data], 0x80
    cmpxchg [data], dl
    CHECK_FLAGS STATUS, ZF | PF
    CHECK [data], 0x55
    mov rax, -1
    mov word [data + 2], -1
    cmpxchg [data + 2], dx
    CHECK [data], 0x550055
    ; 32 bits: the accumulator's upper half becomes zero only when it is loaded; a register destination's likewise
    mov rax, 0xAAAAAAAA00000055
    mov rcx, 0xBBBBBBBB00000056
    mov edx, 1
    cmpxchg ecx, edx
    CHECK rax, 0x56
    mov rax, 0xAAAAAAAA00000056
    mov rcx, 0xBBBBBBBB00000056
    cmpxchg ecx, edx
    CHECK_FLAGS ZF, ZF
    CHECK rcx, 1
    CHECK64 rax, 0xAAAAAAAA00000056
    mov rax, 1
    mov qword [data], 1
    mov r9, -1
    lock cmpxchg [data], r9
    CHECK [data], -1
    lock cmpxchg [data + 3], r9w
    CHECK rax, 0xFFFF
    ; a miss writes the old value back: a fault on a read-only page in either case
    mov qword [pdpt + 8], pd1 + 3
    mov qword [pd1], pt0 + 3
    mov qword [pt0], data + 0x3000 + 1
    mov rbx, 0x40000000
    mov eax, 99
    FAULTS 14, 3, cmpxchg [rbx], rdx
    CHECK rax, 99
    FAULTS 14, 3, lock xadd [rbx], rdx
    CHECK rdx, 1
    mov qword [pt0], data + 0x3000 + 3
    invlpg [rbx]
    cmpxchg [rbx], rdx ; a miss, and D is set all the same
    CHECK rax, 0
    CHECK [pt0], data + 0x3063

    ; XADD: flags of ADD; the source gets the old value
    mov rax, 0x7FFFFFFFFFFFFFFF
    mov rbx, 1
    xadd rbx, rax
    CHECK_FLAGS STATUS, OF | SF | AF | PF
    CHECK64 rbx, 0x8000000000000000
    CHECK rax, 1
    mov rax, -1
    mov rcx, -1
    xadd ecx, eax
    CHECK_FLAGS STATUS, CF | SF | AF
    CHECK64 rcx, 0xFFFFFFFE
    CHECK64 rax, 0xFFFFFFFF
    mov rax, 3
    xadd rax, rax
    CHECK rax, 6
    mov qword [data], 0xFF01
    mov edx, 0x12FF
    lock xadd [data + 1], dl
    CHECK [data], 0xFE01
    CHECK rdx, 0x12FF
    mov edx, 0x1234
    lock xadd [data], dx
    CHECK [data], 0x1035
    CHECK rdx, 0xFE01
    xadd dh, dl
    CHECK rdx, 0xFFFE

    ; CMPXCHG8B and CMPXCHG16B: only ZF changes
    mov rax, 0x1122334455667788
    mov [data], rax
    mov edx, 0x11223344
    mov eax, 0x55667788
    mov ecx, 0xAABBCCDD
    mov ebx, 0x99887766
    xor esi, esi
    cmp esi, 1 ; CF, SF, AF, PF
    cmpxchg8b [data]
%ifndef QEMU ; QEMU 7.2 loses the other flags if they were not worked out yet
    CHECK_FLAGS STATUS, CF | SF | AF | PF | ZF
%endif
    CHECK64 [data], 0xAABBCCDD99887766
    mov rax, -1
    mov rdx, -1
    cmp rsi, 1
    lock cmpxchg8b [data]
%ifndef QEMU
    CHECK_FLAGS STATUS, CF | SF | AF | PF
%endif
    CHECK64 rdx, 0xAABBCCDD
    CHECK64 rax, 0x99887766
    ; a hit leaves the upper halves of RAX and RDX alone
    mov rdx, 0x55555555AABBCCDD
    mov rcx, 0x6666666699887766
    mov rax, rcx
    cmpxchg8b [data]
    CHECK64 rdx, 0x55555555AABBCCDD
    CHECK rax, rcx
    mov eax, 1
    cpuid
    bt ecx, 13
    jnc .no_cx16
    mov qword [data + 16], 1
    mov qword [data + 24], 2
    mov eax, 1
    mov edx, 2
    mov rbx, 0x1111111111111111
    mov rcx, 0x2222222222222222
    lock cmpxchg16b [data + 16]
    CHECK_FLAGS ZF, ZF
    CHECK [data + 16], rbx
    CHECK [data + 24], rcx
    cmpxchg16b [data + 16]
    CHECK_FLAGS ZF, 0
    CHECK rax, rbx
    CHECK rdx, rcx
    ; a misaligned operand is #GP before any page fault
    FAULTS 13, 0, cmpxchg16b [data + 8]
    FAULTS 13, 0, lock cmpxchg16b [data + 17]
    mov rdi, 0x40001008
    FAULTS 13, 0, cmpxchg16b [rdi]
    FAULTS 14, RMW, cmpxchg16b [rdi - 8]
.no_cx16:
    FAULTS 6, 0, {db 0x0F, 0xC7, 0xC8} ; CMPXCHG8B of a register

    ; LOCK: these take it with a memory destination
    mov qword [data], 3
    mov eax, 1
    xor ebx, ebx
    lock add [data], eax
    lock or [data], eax
    stc
    lock adc [data], eax
    lock sbb dword [data], 1
    lock and [data], eax
    lock sub [data], ebx
    lock xor [data], ebx
    lock not dword [data]
    lock neg dword [data]
    lock inc byte [data]
    lock dec word [data]
    lock bts dword [data], 5
    lock btr [data], ebx
    lock btc [data], ebx
    lock xchg [data], ebx
    ; ... and nothing else does, nor with a register destination
    FAULTS 6, 0, {db 0xF0, 0x01, 0xC0} ; add eax, eax
    FAULTS 6, 0, {db 0xF0, 0x03, 0x00} ; add eax, [rax]
    FAULTS 6, 0, {db 0xF0, 0x39, 0x04, 0x25, 0, 0, 0x20, 0} ; cmp [200000H], eax
%ifndef QEMU ; QEMU 7.2 ignores LOCK before most instructions that cannot take it
    FAULTS 6, 0, {db 0xF0, 0x85, 0x04, 0x25, 0, 0, 0x20, 0} ; test
    FAULTS 6, 0, {db 0xF0, 0x89, 0x04, 0x25, 0, 0, 0x20, 0} ; mov
    FAULTS 6, 0, {db 0xF0, 0x87, 0xC0}       ; xchg eax, eax
    FAULTS 6, 0, {db 0xF0, 0x90}             ; nop
    FAULTS 6, 0, {db 0xF0, 0xFF, 0xC0}       ; inc eax
    FAULTS 6, 0, {db 0xF0, 0xFF, 0x34, 0x25, 0, 0, 0x20, 0} ; push
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xA3, 0x04, 0x25, 0, 0, 0x20, 0} ; bt
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xBA, 0x24, 0x25, 0, 0, 0x20, 0, 1} ; bt imm
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xAB, 0xC0} ; bts eax, eax
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xB1, 0xC0} ; cmpxchg eax, eax
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xC1, 0xC0} ; xadd eax, eax
    FAULTS 6, 0, {db 0xF0, 0xD1, 0x24, 0x25, 0, 0, 0x20, 0} ; shl
    FAULTS 6, 0, {db 0xF0, 0xA4}             ; movsb
    FAULTS 6, 0, {db 0xF0, 0xEB, 0xFE}       ; jmp
    FAULTS 6, 0, {db 0xF0, 0xF4}             ; hlt
    FAULTS 6, 0, {db 0xF0, 0xF6, 0x04, 0x25, 0, 0, 0x20, 0, 1} ; test imm
    FAULTS 6, 0, {db 0xF0, 0xF7, 0x24, 0x25, 0, 0, 0x20, 0} ; mul
    FAULTS 6, 0, {db 0xF0, 0x0F, 0xA2}       ; cpuid
    FAULTS 6, 0, {db 0xF0, 0x8D, 0x00}       ; lea
%endif
    ; XACQUIRE and XRELEASE are hints
    xor eax, eax
    db 0xF2
    lock add [data], eax
    db 0xF3
    lock add [data], eax
    db 0xF3
    mov [data], eax
    ; LOCK across a page border and a cache line
    mov dword [data + 0x1FFE], 0xFFFF
    mov eax, 1
    lock add [data + 0x1FFE], eax
    CHECK32 [data + 0x1FFE], 0x10000
    lock xadd [data + 0x3D], rax
    CHECK rax, 0
    CHECK [data + 0x3D], 1
    PASS

align 4096
pd1: times 512 dq 0
END
