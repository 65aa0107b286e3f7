; PAE paging in 32-bit protected mode: PDPTEs are registers, loaded by MOV to CR3; reserved bits in them are #GP; 4 KiB and
; 2 MiB pages, NX, error codes, CPL 3.
%include "test32.inc"

BASE equ 0x40000000 ; entry 1 of the PDPT

%macro ENTRY 2-3 0 ; index in table3, low half, high half
    mov dword [table3 + (%1) * 8], %2
    mov dword [table3 + (%1) * 8 + 4], %3
    invlpg [BASE + (%1) * 0x1000]
%endmacro

main:
    ; PDPT in table0 (32-byte aligned), directories in table1 (first GiB) and table2 (BASE), 4 KiB pages by table3
    mov dword [table0 + 0x20], table1 + 1
    mov dword [table0 + 0x28], table2 + 1
    mov eax, 0x87
    mov edi, table1
.fill:
    mov [edi], eax
    add edi, 8
    add eax, 0x200000
    cmp eax, 0x1000087
    jb .fill
    mov dword [table2], table3 + 7
    mov eax, cr4
    or eax, 0x20
    mov cr4, eax
    mov eax, table0 + 0x20
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
    jmp .paged
.paged:
    mov eax, cr3
    CHECK eax, table0 + 0x20
    ; PDPTEs have no accessed bit
%ifndef QEMU ; QEMU 7.2 sets one, and reads the PDPT at each access
    CHECK [table0 + 0x20], table1 + 1
%endif
    ENTRY 0, data + 3
    ENTRY 1, data + 0x1000 + 1
    ENTRY 2, data + 0x2000 + 7
    mov dword [data], 0x1234
    mov dword [data + 0x2000], 0xABCD
    mov eax, [BASE]
    CHECK eax, 0x1234
    CHECK [table3], data + 0x23
    CHECK [table2], table3 + 0x27
%ifndef QEMU
    CHECK [table0 + 0x28], table2 + 1
%endif
    mov [BASE], eax
    CHECK [table3], data + 0x63
    FAULTS 14, 3, mov [BASE + 0x1000], eax
    FAULTS 14, 0, mov eax, [BASE + 0x5000]
    FAULTS 14, 0, mov eax, [0x80000000] ; PDPTE not present
    FAULTS 14, 2, mov [0xC0000000], eax
    ; a change of the PDPT in memory shows only after MOV to CR3
    mov dword [table0 + 0x30], table2 + 1
%ifndef QEMU
    FAULTS 14, 0, mov eax, [0x80000000]
%endif
    mov eax, cr3
    mov cr3, eax
    mov eax, [0x80000000]
    CHECK eax, 0x1234
%ifndef QEMU
    mov dword [table0 + 0x30], 0
    mov eax, [0x80000000]
    CHECK eax, 0x1234
%endif
    ; a reserved bit in any present PDPTE: #GP at the MOV, nothing changed; in an absent one it does not matter
    mov dword [table0 + 0x30], 0x1E6
    mov eax, cr3
    mov cr3, eax
    mov dword [table0 + 0x30], table2 + 3
%ifndef QEMU
    FAULTS 13, 0, mov cr3, eax
    FAULTS 14, 0, mov eax, [0x80000000]
%endif
    mov dword [table0 + 0x30], 0
    mov eax, cr3
    mov cr3, eax

    ; NX
    mov ecx, 0xC0000080
    rdmsr
    or eax, 1 << 11
    wrmsr
    mov byte [data], 0xC3
    ENTRY 0, data + 3, 0x80000000
    mov eax, BASE
    mov ebx, esp
    FAULTS_RIP 14, 0x11, eax, call eax
    mov esp, ebx
    CHECK [fault_cr2], BASE
    ENTRY 0, data + 3
    mov eax, BASE
    call eax
    mov ecx, 0xC0000080
    rdmsr
    and eax, ~(1 << 11)
    wrmsr
%ifndef QEMU ; QEMU 7.2 gives error 8
    ENTRY 0, data + 3, 0x80000000 ; without NXE the bit is reserved
    FAULTS 14, 9, mov eax, [BASE]
    ENTRY 0, data + 3, 0x00100000 ; bits above the physical width are as well
    FAULTS 14, 9, mov eax, [BASE]
    mov dword [table2 + 8], 0x2087 ; a 2 MiB page with an address bit below 21
    FAULTS 14, 9, mov eax, [BASE + 0x200000]
%endif
    mov dword [table2 + 8], 0x87
    mov eax, [BASE + 0x200000 + data + 0x2000]
    CHECK eax, 0xABCD
    ENTRY 0, data + 3
    ; CPL 3: the PDPTE has no U/S and R/W; the others combine
    TO_USER32
    mov eax, [BASE + 0x2000]
    CHECK eax, 0xABCD
    mov [BASE + 0x2000], eax
    FAULTS 14, 5, mov eax, [BASE]
    FAULTS 14, 7, mov [BASE], eax
    FAULTS 14, 4, mov eax, [BASE + 0x6000]
    TO_KERNEL32
    ; memory above 4 GiB can be named (what is there depends on the machine)
    ENTRY 7, 0x3, 0x1
    mov eax, [BASE + 0x7000]
    CHECK [table3 + 7 * 8], 0x23
    ; a page crossing between pages with different frames
    ENTRY 8, data + 0x4000 + 3
    ENTRY 9, data + 0x9000 + 3
    mov dword [BASE + 0x8FFE], 0x11223344
    CHECK16 [data + 0x4FFE], 0x3344
    CHECK16 [data + 0x9000], 0x1122
    ; CR4.PAE cannot change what is loaded without paging off: switch to legacy paging and back
    mov eax, cr0
    btr eax, 31
    mov cr0, eax
    mov edi, table3
    mov ecx, 1024
    mov eax, 7
.fill4k:
    stosd
    add eax, 0x1000
    loop .fill4k
    mov edi, table2
    mov dword [edi], table3 + 7
    mov eax, cr4
    and eax, ~0x20
    mov cr4, eax
    mov cr3, edi
    mov eax, cr0
    bts eax, 31
    mov cr0, eax
    jmp .legacy
.legacy:
    FAULTS 14, 0, mov eax, [BASE]
    mov eax, [data + 0x2000]
    CHECK eax, 0xABCD
    PASS
END
