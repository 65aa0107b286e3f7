; Legacy 32-bit paging: 4 KiB and 4 MiB pages, accessed and dirty bits, rights with and without CR0.WP, error codes, CPL 3,
; PSE-36, reserved bits, global pages, paging off and on again.
%include "test32.inc"

BASE equ 0x40000000 ; mapped page by page through table1

%macro ENTRY 2 ; index in table1, entry
    mov dword [table1 + (%1) * 4], %2
    invlpg [BASE + (%1) * 0x1000]
%endmacro

main:
    ; identity map of the first 16 MiB by 4 MiB pages
    mov eax, cr4
    or eax, 0x10
    mov cr4, eax
    mov dword [table0], 0x000087
    mov dword [table0 + 4], 0x400087
    mov dword [table0 + 8], 0x800087
    mov dword [table0 + 12], 0xC00087
    mov dword [table0 + (BASE >> 22) * 4], table1 + 7
    mov eax, table0
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80010000
    mov cr0, eax
    jmp .paged
.paged:
    push eax
    pop eax
    ; A and D of a 4 MiB page and of a 4 KiB page; A of the directory entry
    mov eax, [table0]
    and eax, 0x60
    CHECK eax, 0x60 ; code, stack and data lie there
    mov eax, [0x400000]
    CHECK [table0 + 4], 0x4000A7
    mov [0x400000], eax
    CHECK [table0 + 4], 0x4000E7
    CHECK [table0 + 8], 0x800087
    ENTRY 0, data + 3
    ENTRY 1, data + 0x1000 + 1
    ENTRY 2, data + 0x2000 + 7
    ENTRY 3, data + 0x3000 + 5
    mov ebx, BASE
    CHECK [table0 + (BASE >> 22) * 4], table1 + 7
    mov eax, [ebx]
    CHECK [table0 + (BASE >> 22) * 4], table1 + 0x27
    CHECK [table1], data + 0x23
    mov dword [ebx], 0x1234
    CHECK [table1], data + 0x63
    CHECK [data], 0x1234
    FAULTS 14, 3, mov [ebx + 0x1000], eax
    CHECK [fault_cr2], BASE + 0x1000
    CHECK [table1 + 4], data + 0x1001
    FAULTS 14, 0, mov eax, [ebx + 0x4000]
    FAULTS 14, 2, mov [ebx + 0x4000], eax
    FAULTS 14, 0, mov eax, [ebx + 0x3FFD] ; across the border of a present and an absent page
    CHECK [fault_cr2], BASE + 0x4000
    FAULTS 14, 0, mov eax, [0x50000000]
    ; without WP the supervisor writes anywhere
    mov eax, cr0
    and eax, ~0x10000
    mov cr0, eax
    mov [ebx + 0x1000], eax
    CHECK [table1 + 4], data + 0x1061
    or eax, 0x10000
    mov cr0, eax
    FAULTS 14, 3, mov [ebx + 0x1000], eax

    ; CPL 3: U/S and R/W of both levels are combined
    mov dword [data + 0x2000], 0xABCD
    TO_USER32
    mov ebx, BASE
    mov eax, [ebx + 0x2000]
    CHECK eax, 0xABCD
    mov [ebx + 0x2004], eax
    mov eax, [ebx + 0x3000]
    FAULTS 14, 7, mov [ebx + 0x3000], eax
    FAULTS 14, 5, mov eax, [ebx]
    FAULTS 14, 7, mov [ebx], eax
    FAULTS 14, 4, mov eax, [ebx + 0x4000]
    FAULTS 14, 6, mov [ebx + 0x4000], eax
    TO_KERNEL32
    mov dword [table0 + (BASE >> 22) * 4], table1 + 5
    mov eax, cr3
    mov cr3, eax
    TO_USER32
    FAULTS 14, 7, mov [BASE + 0x2000], eax
    mov eax, [BASE + 0x2000]
    TO_KERNEL32
    FAULTS 14, 3, mov [BASE + 0x2000], eax
    mov dword [table0 + (BASE >> 22) * 4], table1 + 3
    mov eax, cr3
    mov cr3, eax
    TO_USER32
    FAULTS 14, 5, mov eax, [BASE + 0x2000]
    TO_KERNEL32
    mov dword [table0 + (BASE >> 22) * 4], table1 + 7

    ; bit 21 of a 4 MiB entry is reserved
    mov dword [table0 + 8], 0xA00087
%ifndef QEMU ; QEMU 7.2 gives error 8
    FAULTS 14, 9, mov eax, [0x800000]
%endif
    mov dword [table0 + 8], 0x800087
    ; the PAT bit of a 4 KiB entry (7) and of a 4 MiB entry (12) are not reserved
    ENTRY 0, data + 0x83
    mov eax, [BASE]
    CHECK eax, 0x1234
    mov dword [table0 + 12], 0xC01087
    mov eax, [0xC00000]
    ; without PSE, PS is ignored: the entry names a table
    mov dword [table0 + (BASE >> 22) * 4], table1 + 0x87
    mov eax, cr4
    and eax, ~0x10
    mov ecx, cr0
    mov edx, ecx
    btr edx, 31
    mov cr0, edx ; paging off: the identity map needs PSE
    mov cr4, eax
    mov dword [table0], table2 + 7 ; 4 KiB pages for the code meanwhile
    mov edi, table2
    mov eax, 7
.fill:
    stosd
    add eax, 0x1000
    cmp eax, 0x400000
    jb .fill
    mov cr0, ecx
    jmp .no_pse
.no_pse:
    mov eax, [BASE]
    CHECK eax, 0x1234

    ; a changed table after a reload of CR3; a global page survives it (or not: only its contents are certain)
    mov eax, cr4
    or eax, 0x80
    mov cr4, eax
    ENTRY 5, data + 0x103
    mov eax, [BASE + 0x5000]
    CHECK eax, 0x1234
    mov dword [table1 + 20], data + 0x2103
    invlpg [BASE + 0x5000]
    mov eax, [BASE + 0x5000]
    CHECK eax, 0xABCD
    mov dword [table1 + 20], data + 0x103
    mov eax, cr4
    and eax, ~0x80
    mov cr4, eax
    mov eax, [BASE + 0x5000]
    CHECK eax, 0x1234
    ; paging off: physical addresses again
    mov eax, cr0
    btr eax, 31
    mov cr0, eax
    mov eax, [data]
    CHECK eax, 0x1234
    bts dword [data + 0x100], 1
    mov eax, cr0
    bts eax, 31
    mov cr0, eax
    ; a segment base wraps the linear address at 4 GiB before it is translated
    mov dword [gdt + FREE_SELECTOR], (((BASE - 0x1000) << 16) & 0xFFFF0000) | 0xFFFF
    mov dword [gdt + FREE_SELECTOR + 4], ((BASE - 0x1000) & 0xFF000000) | 0x00CF9200 | (((BASE - 0x1000) >> 16) & 0xFF)
    mov eax, FREE_SELECTOR
    mov es, eax
    mov eax, [es:0x1000]
    CHECK eax, 0x1234
    mov eax, [es:data + 0x1000 - BASE]
    CHECK eax, 0x1234
    PASS
END
