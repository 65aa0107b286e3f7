-- Floats, bits, strings and FFI memory in LuaJIT: loops long enough that the compiler translates them.
local bit, ffi = require("bit"), require("ffi")
local function show(...)
    local t = {...}
    for i = 1, #t do
        t[i] = type(t[i]) == "number" and string.format("%.17g", t[i]) or tostring(t[i])
    end
    print(table.concat(t, " "))
end

-- Mandelbrot
local inside = 0
for row = 0, 79 do
    for column = 0, 79 do
        local cr, ci, zr, zi = column / 40 - 1.5, row / 40 - 1, 0, 0
        local n = 0
        while n < 60 and zr * zr + zi * zi < 4 do
            zr, zi = zr * zr - zi * zi + cr, 2 * zr * zi + ci
            n = n + 1
        end
        inside = inside + n * (row + 1)
    end
end
show("mandelbrot", inside)

-- Spectral norm
local function a(i, j) return 1 / ((i + j) * (i + j + 1) / 2 + i + 1) end
local function times(v, transposed)
    local r = {}
    for i = 1, #v do
        local s = 0
        for j = 1, #v do
            s = s + v[j] * (transposed and a(j - 1, i - 1) or a(i - 1, j - 1))
        end
        r[i] = s
    end
    return r
end
local u, v = {}, nil
for i = 1, 60 do u[i] = 1 end
for _ = 1, 6 do
    v = times(times(u), true)
    u = times(times(v), true)
end
local uv, vv = 0, 0
for i = 1, #u do uv, vv = uv + u[i] * v[i], vv + v[i] * v[i] end
show("spectral", math.sqrt(uv / vv))

-- Bits and FFI
local words, x = ffi.new("uint32_t[1024]"), 123456789
for i = 0, 1023 do
    x = bit.bxor(x, bit.lshift(x, 13))
    x = bit.bxor(x, bit.rshift(x, 17))
    x = bit.bxor(x, bit.lshift(x, 5))
    words[i] = bit.rol(x, i) + bit.bswap(i)
end
local sum, wide = 0, 1ULL
for round = 1, 40 do
    for i = 0, 1023 do
        sum = bit.tobit(sum * 31 + words[i])
        wide = wide * 6364136223846793005ULL + words[i]
    end
end
show("bits", bit.tohex(sum), wide, wide % 1000003ULL, tonumber(wide / 3ULL))
local f = ffi.new("float[256]")
for i = 0, 255 do f[i] = math.sin(i) * 1e3 end
local s = 0
for _ = 1, 50 do for i = 1, 255 do s = s + f[i] * f[i - 1] end end
show("float", s)

-- Library functions, rounding, number formats
for i = -3, 3 do
    local y = i * 1.7 + 0.3
    show(y, math.sin(y), math.cos(y), math.exp(y), math.floor(y), math.ceil(y), math.fmod(y, 1.1), math.abs(y) ^ 0.7,
         math.log(math.abs(y)), math.atan2(y, 3))
end
print(1e15, 2 ^ 53, -0.1, 1 / 3, 1e300 * 10, tostring(0 / 0):gsub("-", ""), 0x1p-1074)

-- Strings and patterns
local parts = {}
for i = 1, 2000 do parts[i] = string.format("%d:%s", i * 7919 % 2003, string.char(97 + i % 26):rep(i % 5)) end
table.sort(parts)
local text = table.concat(parts, ",")
local count = 0
for number, letters in text:gmatch("(%d+):(%a*)") do count = count + #letters * number end
print("strings", #text, count, (text:gsub("%d+:(a+)", "<%1>")):sub(1, 70))
