; A flat 64-bit guest (sim run --entry flat): entered in 64-bit mode at 1 MiB; prints a line and ends with status 64.
bits 64
org 0x100000

    mov esi, text
    mov edx, 0x3F8
.next:
    lodsb
    test al, al
    jz .end
    out dx, al
    jmp .next
.end:
    out 0xF4, al
    hlt

text: db "Hello from a flat guest", 10, 0
