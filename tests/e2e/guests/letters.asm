; A small guest that obeys letters: flat 64-bit code at 1 MiB (sim run --entry flat).
;
; It prints "letters> ", halts until the serial port interrupts, echoes each letter it receives and obeys it:
;
;   x C  writes C to the debug-exit port      p  powers off by ACPI         r  resets by port CF9H
;   t    triple fault                         h  halts for ever             s  spins for ever
;   i    lets the timer tick and idles        w  works: 10,000 loops that write to RAM, then a prompt
;   l    prints 200 lines
bits 64
org 0x100000

COM1 equ 0x3F8
IDT  equ 0x110000
WORK equ 0x120000

start:
    mov rsp, 0x9000
    ; gates: 20H the timer, 24H COM1, 30H..37H nothing there
    mov rdi, IDT + 0x20 * 16
    mov rax, on_timer
    call set_gate
    mov rdi, IDT + 0x24 * 16
    mov rax, on_serial
    call set_gate
    lidt [idt_register]
    ; 8259s: vectors 20H and 28H, only IRQ 4 open
    mov al, 0x11
    out 0x20, al
    out 0xA0, al
    mov al, 0x20
    out 0x21, al
    mov al, 0x28
    out 0xA1, al
    mov al, 4
    out 0x21, al
    mov al, 2
    out 0xA1, al
    mov al, 1
    out 0x21, al
    out 0xA1, al
    mov al, 0xEF
    out 0x21, al
    mov al, 0xFF
    out 0xA1, al
    ; UART: FIFO with interrupt at one byte, received data interrupts, OUT2
    mov dx, COM1 + 2
    mov al, 1
    out dx, al
    mov dx, COM1 + 1
    out dx, al
    mov dx, COM1 + 4
    mov al, 0x0B
    out dx, al
    mov rsi, prompt
    call print
wait_for_interrupt:
    sti
    hlt
    jmp wait_for_interrupt

; RDI: gate, RAX: handler below 4 GiB
set_gate:
    mov [rdi], ax
    mov word [rdi + 2], 0x10
    mov word [rdi + 4], 0x8E00
    shr rax, 16
    mov [rdi + 6], ax
    mov dword [rdi + 8], 0
    mov dword [rdi + 12], 0
    ret

; RSI: text with a zero behind it
print:
    mov dx, COM1
.next:
    lodsb
    test al, al
    jz .done
    out dx, al
    jmp .next
.done:
    ret

on_timer:
    push rax
    inc qword [WORK]
    mov al, 0x20
    out 0x20, al
    pop rax
    iretq

on_serial:
    mov al, 0x20
    out 0x20, al
.more:
    mov dx, COM1 + 5
    in al, dx
    test al, 1
    jz .done
    mov dx, COM1
    in al, dx
    out dx, al
    call obey
    jmp .more
.done:
    iretq

obey:
    cmp byte [waits_for_code], 0
    jne .exit
    cmp al, 'x'
    je .exit_next
    cmp al, 'p'
    je .power_off
    cmp al, 'r'
    je .reset
    cmp al, 't'
    je .triple
    cmp al, 'h'
    je .halt
    cmp al, 's'
    je $
    cmp al, 'i'
    je .idle
    cmp al, 'w'
    je .work
    cmp al, 'l'
    je .lines
    ret
.exit_next:
    mov byte [waits_for_code], 1
    ret
.exit:
    out 0xF4, al
    ret
.power_off:
    mov dx, 0x604
    mov ax, 0x3400 ; SLP_EN, SLP_TYP 5
    out dx, ax
    ret
.reset:
    mov dx, 0xCF9
    mov al, 2
    out dx, al
    mov al, 6
    out dx, al
    ret
.triple:
    lidt [no_idt]
    ud2
.halt:
    cli
    hlt
    jmp .halt
.idle:
    mov al, 0x34 ; counter 0, rate generator, 18.2 Hz
    out 0x43, al
    xor al, al
    out 0x40, al
    out 0x40, al
    mov al, 0xEE
    out 0x21, al
    ret
.work:
    mov ecx, 10000
    mov eax, [seed]
.loop:
    imul eax, eax, 1664525
    add eax, 1013904223
    mov edx, eax
    shr edx, 16
    mov [WORK + rdx], eax
    dec ecx
    jnz .loop
    mov [seed], eax
    mov rsi, prompt
    jmp print
.lines:
    mov ebx, 200
.line:
    mov rsi, line
    call print
    dec ebx
    jnz .line
    mov rsi, prompt
    jmp print

prompt: db 13, 10, "letters> ", 0
line: db 13, 10, "all work and no play makes a dull guest", 0
waits_for_code: db 0
align 4
seed: dd 1
align 8
idt_register:
    dw 0xFFF
    dq IDT
no_idt:
    dw 0
    dq 0
