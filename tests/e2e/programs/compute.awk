# Floating point by busybox's awk, which is built without a mathematics library.
BEGIN {
    for (i = 1; i <= 20000; i++)
        s += 1 / (i * i)
    printf "%.17g %.17g %d %e %g\n", s, s * s / 3, s * 1e9, s / 3e-300, s * 1e70
    for (i = 0; i < 5; i++) {
        x = x * 2.5 + 1 / 3
        r = x
        for (j = 0; j < 20; j++)
            r = (r + x / r) / 2
        printf "%.15g %.15g %.3f %x\n", x, r, x - r * r, x * 1000
    }
    for (i = 0; i < 300; i++)
        n[substr("abcdefghij", i * i % 10 + 1, 1)] += length(i * 3.5)
    for (i = 1; i <= 10; i++)
        printf "%s", n[substr("abcdefghij", i, 1)] " "
    print toupper("end"), index("needle in hay", "in"), match("foo123", /[0-9]+/), 7 % 3.5, -7 % 3
}
