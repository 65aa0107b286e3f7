; Old forms in 32- and 16-bit code: ENTER with levels on 32- and 16-bit stacks, x87 environments in their four formats, which
; instructions of these modes take LOCK, segment overrides and size prefixes, the limit of 15 bytes; in real mode BOUND, decimal
; adjustment, LOCK and the length limit with the vectors they raise there.
%include "test32.inc"

RESULTS equ 0x7000
%define FOURTEEN 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66

; In real mode: keeps a 32-bit register for a check afterwards. DS is 0.
%assign result_number 0
%macro KEEP 1
%assign result_number result_number + 1
    mov dword [RESULTS + result_number * 4], %1
%endmacro
%macro KEPT 1
%assign kept_number kept_number + 1
    CHECK [RESULTS + kept_number * 4], %1
%endmacro
%assign kept_number 0

main:
    ; ENTER on a 32-bit stack
    mov [saved_esp], esp
    mov esp, data + 0x1000
    mov ebp, data + 0x2000
    mov dword [ebp - 4], 0x111
    mov dword [ebp - 8], 0x222
    mov dword [ebp - 12], 0x333
    enter 0x20, 0
    CHECK ebp, data + 0xFFC
    CHECK esp, data + 0xFDC
    CHECK [data + 0xFFC], data + 0x2000
    leave
    CHECK ebp, data + 0x2000
    CHECK esp, data + 0x1000
    enter 3, 1
    CHECK ebp, data + 0xFFC
    CHECK esp, data + 0xFFC - 4 - 3
    CHECK [data + 0xFF8], data + 0xFFC
    leave
    enter 8, 4
    CHECK ebp, data + 0xFFC
    CHECK esp, data + 0xFFC - 16 - 8
    CHECK [data + 0xFF8], 0x111
    CHECK [data + 0xFF4], 0x222
    CHECK [data + 0xFF0], 0x333
    CHECK [data + 0xFEC], data + 0xFFC
    leave
    enter 0, 31 ; the most levels
    CHECK esp, data + 0xFFC - 31 * 4
    CHECK [data + 0xFFC - 31 * 4], data + 0xFFC
    leave
    enter 0, 0xE0 | 2 ; modulo 32
    CHECK esp, data + 0xFFC - 8
    CHECK [data + 0xFF8], 0x111
    leave
    o16 enter 4, 2 ; BP and words; ESP keeps its 32 bits
    CHECK esp, data + 0xFFE - 4 - 4
    mov eax, data + 0x2000
    CHECK16 [data + 0xFFE], ax
    mov eax, data + 0xFFE
    CHECK16 bp, ax
    CHECK16 [data + 0xFFA], ax
    CHECK16 [data + 0xFFC], 0 ; the word at the old EBP - 2
    o16 leave
    mov eax, data + 0x2000
    CHECK16 bp, ax
    ; the place of the new top must be writable; nothing has changed then
    mov dword [gdt + FREE_SELECTOR], 0x0000FFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00409300
    mov ebp, 0x800
    mov eax, FREE_SELECTOR
    mov ss, eax
    mov esp, 0x900
    ; (the frame of the fault goes to this stack, too; checks need the usual one)
    FAULT_BEGIN .after_enter
.enter:
    enter 0x2000, 0
.after_enter:
    mov ebx, esp
    mov eax, DATA
    mov ss, eax
    mov esp, data + 0x1000
    FAULT_END 12, 0, .enter
    CHECK ebx, 0x900
    CHECK ebp, 0x800
    ; a 16-bit stack: SP and BP address it, ESP's upper half stays and goes to EBP with 32-bit operands
    mov eax, DATA16
    mov ss, eax
    mov esp, 0x12348000
    mov ebp, 0x00019000
    mov dword [0x8FFC], 0x444
    mov dword [0x8FF8], 0x555
    enter 0x10, 3
    mov ebx, esp
    mov ecx, ebp
    leave
    mov edx, esp
    mov esi, DATA
    mov ss, esi
    mov esp, data + 0x1000
    CHECK ebx, 0x12348000 - 4 - 12 - 0x10
    CHECK ecx, 0x12347FFC
    CHECK [0x7FFC], 0x00019000
    CHECK [0x7FF8], 0x444
    CHECK [0x7FF4], 0x555
    CHECK [0x7FF0], 0x12347FFC
    CHECK edx, 0x12348000
    CHECK ebp, 0x00019000
    mov eax, DATA16
    mov ss, eax
    mov esp, 0x12340000 ; SP wraps around
    mov ebp, 0x56789000
    enter 2, 0
    mov ebx, esp
    mov ecx, ebp
    mov esp, data + 0x1000
    mov eax, DATA
    mov ss, eax
    mov esp, data + 0x1000
    CHECK ebx, 0x1234FFFA
    CHECK ecx, 0x1234FFFC
    mov esp, [saved_esp]

    ; x87 environments: loaded in the 32-bit format, stored in each
    fninit
    fldenv [environment]
    fnstenv [data]
    CHECK [data], 0xFFFF037F
    CHECK [data + 4], 0xFFFF2800
    CHECK [data + 8], 0xFFFFFFFF
    CHECK [data + 12], 0x12345678
    CHECK [data + 16], 0x07FF0000 ; FCS is saved as 0
    CHECK [data + 20], 0x9ABCDEF0
    CHECK [data + 24], 0xFFFF0000
    mov dword [data + 0x4E], 0x77777777
    o16 fnstenv [data + 0x40]
    CHECK [data + 0x40], 0x2800037F
    CHECK [data + 0x44], 0x5678FFFF
    CHECK [data + 0x48], 0xDEF00000
    CHECK16 [data + 0x4C], 0
    CHECK [data + 0x4E], 0x77777777 ; 14 bytes and no more
    ; FNSAVE of 94 bytes: the registers behind 14; FRSTOR
    fninit
    fldpi
    fld1
    mov dword [data + 0x9E], 0x77777777
    o16 fnsave [data + 0x40]
    CHECK [data + 0x40], 0x3000037F
    CHECK16 [data + 0x44], 0x0FFF
    CHECK [data + 0x4E], 0
    CHECK [data + 0x52], 0x80000000
    CHECK16 [data + 0x56], 0x3FFF
    CHECK [data + 0x5C], 0xC90FDAA2
    CHECK16 [data + 0x60], 0x4000
    CHECK16 [data + 0x9C], 0
    CHECK [data + 0x9E], 0x77777777
    fnstsw ax
    CHECK16 ax, 0
    o16 frstor [data + 0x40]
    fnsave [data + 0x100]
    CHECK [data + 0x100], 0xFFFF037F
    CHECK [data + 0x104], 0xFFFF3000
    CHECK [data + 0x108], 0xFFFF0FFF
    CHECK [data + 0x120], 0x80000000
    CHECK16 [data + 0x124], 0x3FFF
    CHECK16 [data + 0x12E], 0x4000
    frstor [data + 0x100]
    o16 fldenv [data + 0x40]
    fnstsw ax
    CHECK16 ax, 0x3000
    fninit

    ; LOCK: what only these modes have
    mov byte [data], 5
    db 0xF0, 0x82, 0x05 ; ADD [data], 3 by opcode 82H
    dd data
    db 3
    CHECK8 [data], 8
    db 0xF0, 0x82, 0x35 ; XOR
    dd data
    db 0xFF
    CHECK8 [data], 0xF7
%macro LOCK_UD 1+
    FAULTS 6, 0, {db 0xF0, %1}
%endmacro
%ifndef QEMU
    FAULTS 6, 0, {db 0xF0, 0x82, 0x3D, 0, 0, 0x20, 0, 0} ; CMP
    LOCK_UD 0x27                   ; DAA
    LOCK_UD 0x2F
    LOCK_UD 0x37
    LOCK_UD 0x3F
    LOCK_UD 0xD4, 10
    LOCK_UD 0xD5, 10
    LOCK_UD 0x40                   ; INC EAX
    LOCK_UD 0x4B                   ; DEC EBX
    LOCK_UD 0x60                   ; PUSHA
    LOCK_UD 0x61
    LOCK_UD 0x62, 0x00             ; BOUND
    LOCK_UD 0x63, 0x00             ; ARPL
    LOCK_UD 0x06                   ; PUSH ES
    LOCK_UD 0xC4, 0x00             ; LES
    LOCK_UD 0xC5, 0x00
    LOCK_UD 0x9A, 0, 0, 0, 0, 8, 0 ; CALL far
    LOCK_UD 0xEA, 0, 0, 0, 0, 8, 0
    LOCK_UD 0xCE                   ; INTO
    LOCK_UD 0xC8, 0, 0, 0          ; ENTER
    LOCK_UD 0xA0, 0, 0, 0x20, 0    ; MOV AL, moffs
    LOCK_UD 0xD6                   ; SALC
    LOCK_UD 0xE4, 0x80             ; IN
    LOCK_UD 0xD9, 0x00             ; FLD
    LOCK_UD 0x0F, 0x6F, 0x00       ; MOVQ
    LOCK_UD 0x0F, 0x22, 0xC0       ; MOV CR0, EAX
%endif

    ; prefixes: the last segment override counts, each of 66H and 67H once, whatever their order and number
    mov dword [gdt + FREE_SELECTOR], 0x0000FFFF
    mov dword [gdt + FREE_SELECTOR + 4], 0x00CF9300
    mov eax, data + 0x400
    mov [gdt + FREE_SELECTOR + 2], ax
    shr eax, 16
    mov [gdt + FREE_SELECTOR + 4], al
    mov eax, FREE_SELECTOR
    mov fs, eax
    mov dword [data + 0x410], 0xAABBCCDD
    mov dword [0x10], 0x01020304
    mov eax, 0x10
    db 0x26, 0x2E, 0x64, 0x8B, 0x08 ; ES, CS, FS: MOV ECX, FS:[EAX]
    CHECK ecx, 0xAABBCCDD
    db 0x64, 0x3E, 0x8B, 0x08       ; FS, DS
    CHECK ecx, 0x01020304
    xor ecx, ecx
    db 0x66, 0x64, 0x66, 0x8B, 0x08 ; 66H twice is 66H
    CHECK ecx, 0xCCDD
    mov ebx, 0xFFFF0010
    db 0x67, 0x66, 0x67, 0x64, 0x8B, 0x0F ; [BX] is ModRM.rm 7
    CHECK ecx, 0xCCDD
    mov esi, 0x10
    mov ecx, 3
    db 0x64, 0xF3, 0x26, 0x64, 0xAC ; REP LODSB from FS
    CHECK ecx, 0
    CHECK8 al, 0xBB
    mov edi, data + 0x500
    mov esi, data + 0x500
    mov ecx, 2
    db 0xF2, 0xF3, 0xA6 ; the last counts: REPE CMPSB
    CHECK ecx, 0
    mov esi, data + 0x500
    mov edi, data + 0x500
    mov ecx, 2
    db 0xF3, 0xF2, 0xA6 ; REPNE
    CHECK ecx, 1
    mov eax, 0x1234
    db 0xF2, 0xF3, 0x66, 0x40 ; INC AX with repeats that mean nothing
    CHECK eax, 0x1235
    ; 15 bytes at most
    mov eax, 1
    times 14 db 0x66
    inc eax
    CHECK eax, 2
    FAULTS 13, 0, {db FOURTEEN, 0x66, 0x90}
    FAULTS 13, 0, {db 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x3E, 0x81, 0x05, 0, 0, 0x20, 0, 0x78, 0x56, 0x34, 0x12}
    mov dword [data + 0x600], 1
    times 5 db 0x3E
    add dword [data + 0x600], 0x12345678
    CHECK [data + 0x600], 0x12345679

    ; real mode
    COPY_LOW low_code, low_code_end
    fldenv [environment]
    mov [saved_esp], esp
    lidt [real_idt_register]
    jmp CODE16:AT_LOW(low_code)
back_protected:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov esp, [saved_esp]
    lidt [idt_register]
    KEPT 0x2800037F ; x87: the 16-bit format with linear addresses of 20 bits
    KEPT 0x5678FFFF
    KEPT 0xDEF047FF
    KEPT 0x7777C000
    KEPT 0xFFFF037F ; the 32-bit one
    KEPT 0x00005678
    KEPT 0x012347FF
    KEPT 0x0000DEF0
    KEPT 0x09ABC000
    KEPT 0x00000000 ; loaded back from the 16-bit one: 20 bits are left
    KEPT 0x000047FF
    KEPT 0x0000C000
    KEPT 0x00000102 ; AAA
    KEPT 0x00000143 ; DAA
    KEPT 0x00000207 ; AAM
    KEPT 0x00000027 ; AAD
    KEPT 0          ; BOUND inside
    KEPT 5          ; and outside
    KEPT 5          ; with 32-bit operands
    KEPT 0x100      ; #DE of AAM 0
    KEPT 6          ; LOCK
    KEPT 13         ; 16 bytes
    KEPT 0x00008000 - 2 - 6 - 2 ; ENTER: SP
    KEPT 0x00007FFE ; BP
    KEPT 0x0ACE0BAD ; the two words copied
    PASS

saved_esp: dd 0
environment: dd 0x037F, 0x2800, 0xFFFF, 0x12345678, 0x07FF0023, 0x9ABCDEF0, 0x0000002B

CODE_BITS 16
align 16
low_code: ; 16-bit protected mode: leave it
    mov eax, DATA16
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    mov eax, cr0
    and al, 0xFE
    mov cr0, eax
    jmp 0:AT_LOW(.real)
.real:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x6000
    mov word [0 * 4], AT_LOW(.vector0)
    mov word [5 * 4], AT_LOW(.vector5)
    mov word [6 * 4], AT_LOW(.vector6)
    mov word [13 * 4], AT_LOW(.vector13)
    mov word [0 * 4 + 2], 0
    mov word [5 * 4 + 2], 0
    mov word [6 * 4 + 2], 0
    mov word [13 * 4 + 2], 0

    mov dword [0x600E], 0x77777777
    fnstenv [0x6000]
    mov eax, [0x6000]
    KEEP eax
    mov eax, [0x6004]
    KEEP eax
    mov eax, [0x6008]
    KEEP eax
    mov eax, [0x600C]
    KEEP eax
    o32 fnstenv [0x6040]
    mov eax, [0x6040]
    KEEP eax
    mov eax, [0x604C]
    KEEP eax
    mov eax, [0x6050]
    KEEP eax
    mov eax, [0x6054]
    KEEP eax
    mov eax, [0x6058]
    KEEP eax
    fldenv [0x6000]
    o32 fnstenv [0x6080]
    mov eax, [0x608C]
    and eax, 0xFFFF0000
    KEEP eax
    mov eax, [0x6090]
    KEEP eax
    mov eax, [0x6098]
    KEEP eax
    fninit

    xor eax, eax
    mov al, 0x0C
    aaa
    KEEP eax
    xor eax, eax
    mov ax, 0x013D
    daa
    KEEP eax
    mov ax, 27
    aam
    KEEP eax
    mov ax, 0x0309
    aad
    KEEP eax

%macro RAISES 1+
    xor ebx, ebx
    mov word [0x6100], AT_LOW(%%behind)
    %1
%%behind:
    KEEP ebx
%endmacro
    mov word [0x6104], -2
    mov word [0x6106], 5
    mov ax, 5
    RAISES bound ax, [0x6104]
    mov ax, -3
    RAISES bound ax, [0x6104]
    mov dword [0x6108], 0
    mov dword [0x610C], 0x10000
    mov eax, 0x10001
    RAISES bound eax, [0x6108]
    RAISES aam 0
    RAISES db 0xF0, 0x27
    RAISES db FOURTEEN, 0x66, 0x90

    mov bp, 0x7F00
    mov word [0x7EFE], 0x0ACE
    mov word [0x7EFC], 0x0BAD
    mov esp, 0x8000
    mov ebp, 0x7F00
    mov ecx, 0
    mov word [0x7FFC], 0
    enter 2, 3
    xor eax, eax
    mov ax, sp
    KEEP eax
    mov ax, bp
    KEEP eax
    mov ax, [0x7FFC]
    shl eax, 16
    mov ax, [0x7FFA]
    KEEP eax
    leave

    o32 lgdt [cs:AT_LOW(.low_gdt)]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword CODE:back_protected

.vector0:
    mov bx, 0x100 ; told from no vector at all
    jmp .taken
.vector5:
    mov bx, 5
    jmp .taken
.vector6:
    mov bx, 6
    jmp .taken
.vector13:
    mov bx, 13
.taken:
    add sp, 2
    push word [0x6100]
    iret
.low_gdt:
    dw gdt_end - gdt - 1
    dd gdt
low_code_end:
CODE_BITS 32
END
