/*
 * The DSDT: what ACPI cannot find out by itself about the board of docs/devices.md.
 *
 * There is no keyboard and no mouse device, for nothing is plugged into the i8042. NCPU is filled in by acpi.c.
 */
DefinitionBlock ("", "DSDT", 2, "SIM", "SIMBOARD", 0x00000001)
{
    /* SLP_TYP of power-off. */
    Name (_S5, Package () { 0x05, 0x00, 0x00, 0x00 })

    Scope (_SB)
    {
        Device (PCI0)
        {
            Name (_HID, EisaId ("PNP0A03"))
            Name (_UID, 0)
            Name (_BBN, 0)
            Name (_CRS, ResourceTemplate ()
            {
                WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
                    0x0000, 0x0000, 0x0000, 0x0000, 0x0001)
                IO (Decode16, 0x0CF8, 0x0CF8, 0x01, 0x08)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0000, 0x0CF7, 0x0000, 0x0CF8)
                WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
                    0x0000, 0x0D00, 0xFFFF, 0x0000, 0xF300)
                DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
                    0x00000000, 0xC0000000, 0xFEBFFFFF, 0x00000000, 0x3EC00000)
            })

            /* Pins INTA to INTD of a slot: I/O APIC inputs 16 to 19, turned by one from slot to slot. */
            Name (_PRT, Package ()
            {
                Package () { 0x0001FFFF, 0, 0, 17 }, Package () { 0x0001FFFF, 1, 0, 18 },
                Package () { 0x0001FFFF, 2, 0, 19 }, Package () { 0x0001FFFF, 3, 0, 16 },
                Package () { 0x0002FFFF, 0, 0, 18 }, Package () { 0x0002FFFF, 1, 0, 19 },
                Package () { 0x0002FFFF, 2, 0, 16 }, Package () { 0x0002FFFF, 3, 0, 17 },
                Package () { 0x0003FFFF, 0, 0, 19 }, Package () { 0x0003FFFF, 1, 0, 16 },
                Package () { 0x0003FFFF, 2, 0, 17 }, Package () { 0x0003FFFF, 3, 0, 18 },
                Package () { 0x0004FFFF, 0, 0, 16 }, Package () { 0x0004FFFF, 1, 0, 17 },
                Package () { 0x0004FFFF, 2, 0, 18 }, Package () { 0x0004FFFF, 3, 0, 19 },
                Package () { 0x0005FFFF, 0, 0, 17 }, Package () { 0x0005FFFF, 1, 0, 18 },
                Package () { 0x0005FFFF, 2, 0, 19 }, Package () { 0x0005FFFF, 3, 0, 16 },
                Package () { 0x0006FFFF, 0, 0, 18 }, Package () { 0x0006FFFF, 1, 0, 19 },
                Package () { 0x0006FFFF, 2, 0, 16 }, Package () { 0x0006FFFF, 3, 0, 17 },
                Package () { 0x0007FFFF, 0, 0, 19 }, Package () { 0x0007FFFF, 1, 0, 16 },
                Package () { 0x0007FFFF, 2, 0, 17 }, Package () { 0x0007FFFF, 3, 0, 18 },
                Package () { 0x0008FFFF, 0, 0, 16 }, Package () { 0x0008FFFF, 1, 0, 17 },
                Package () { 0x0008FFFF, 2, 0, 18 }, Package () { 0x0008FFFF, 3, 0, 19 }
            })

            Device (RTC0)
            {
                Name (_HID, EisaId ("PNP0B00"))
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
                    IRQNoFlags () { 8 }
                })
            }

            Device (COM1)
            {
                Name (_HID, EisaId ("PNP0501"))
                Name (_UID, 1)
                Name (_CRS, ResourceTemplate ()
                {
                    IO (Decode16, 0x03F8, 0x03F8, 0x01, 0x08)
                    IRQNoFlags () { 4 }
                })
            }
        }

        Name (NCPU, 0xFE)
        Method (PSTA, 1, NotSerialized)
        {
            If (LLess (Arg0, NCPU)) { Return (0x0F) }
            Return (0x00)
        }

        /* _UID is that of the MADT's entry. */
        Device (CP00) { Name (_HID, "ACPI0007") Name (_UID, 0) Method (_STA) { Return (PSTA (0)) } }
        Device (CP01) { Name (_HID, "ACPI0007") Name (_UID, 1) Method (_STA) { Return (PSTA (1)) } }
        Device (CP02) { Name (_HID, "ACPI0007") Name (_UID, 2) Method (_STA) { Return (PSTA (2)) } }
        Device (CP03) { Name (_HID, "ACPI0007") Name (_UID, 3) Method (_STA) { Return (PSTA (3)) } }
        Device (CP04) { Name (_HID, "ACPI0007") Name (_UID, 4) Method (_STA) { Return (PSTA (4)) } }
        Device (CP05) { Name (_HID, "ACPI0007") Name (_UID, 5) Method (_STA) { Return (PSTA (5)) } }
        Device (CP06) { Name (_HID, "ACPI0007") Name (_UID, 6) Method (_STA) { Return (PSTA (6)) } }
        Device (CP07) { Name (_HID, "ACPI0007") Name (_UID, 7) Method (_STA) { Return (PSTA (7)) } }
        Device (CP08) { Name (_HID, "ACPI0007") Name (_UID, 8) Method (_STA) { Return (PSTA (8)) } }
        Device (CP09) { Name (_HID, "ACPI0007") Name (_UID, 9) Method (_STA) { Return (PSTA (9)) } }
        Device (CP0A) { Name (_HID, "ACPI0007") Name (_UID, 10) Method (_STA) { Return (PSTA (10)) } }
        Device (CP0B) { Name (_HID, "ACPI0007") Name (_UID, 11) Method (_STA) { Return (PSTA (11)) } }
        Device (CP0C) { Name (_HID, "ACPI0007") Name (_UID, 12) Method (_STA) { Return (PSTA (12)) } }
        Device (CP0D) { Name (_HID, "ACPI0007") Name (_UID, 13) Method (_STA) { Return (PSTA (13)) } }
        Device (CP0E) { Name (_HID, "ACPI0007") Name (_UID, 14) Method (_STA) { Return (PSTA (14)) } }
        Device (CP0F) { Name (_HID, "ACPI0007") Name (_UID, 15) Method (_STA) { Return (PSTA (15)) } }
    }
}
