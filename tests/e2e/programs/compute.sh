#!/bin/sh
# What tests/e2e/programs.py has computed, by Debian's programs, in the guest and on the host: everything printed is a
# function of nothing but this folder. Runs in the root that scripts/guests makes, where this folder is /compute.
export PATH=/usr/bin:/bin HOME=/ LC_ALL=C PYTHONHASHSEED=0 PERL_HASH_SEED=0 OPENSSL_CONF=/nothing
work=/tmp/compute.$$
mkdir -p "$work" && cd "$work" || exit 1
b=/bin/busybox
echo "programs: begin"

# Prints what a command prints, with its name in front of each line, and the status if it is not 0.
say() {
    name=$1
    shift
    "$@" >out 2>&1
    status=$?
    $b sed "s|^|$name: |" out
    [ $status = 0 ] || echo "$name: status $status"
}
sum() { $b md5sum | $b cut -c 1-32; }

# --- data: text, and bytes that look random ---
$b seq 1 7 28000 | $b awk '{ print $1, "the quick brown fox", $1 * $1 % 9973, "jumps over", $1 % 17 }' >text
$b dd if=/compute/compute.py of=zeros bs=60000 seek=1 count=0 2>err
openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 0123456789abcdef0123456789abcdef -in zeros -out noise
echo "data: $($b md5sum <text) $($b md5sum <noise)"

# --- hashes, ciphers, key derivation ---
for hash in md5 sha1 sha224 sha256 sha384 sha512 sha512-256 sha3-256 sha3-512 shake128 blake2s256 blake2b512 sm3; do
    say "openssl $hash" openssl dgst -r -$hash noise
done
for hash in md5sum sha1sum sha256sum sha512sum sha3sum md5sum crc32; do
    say "busybox $hash" $b $hash noise text
done
for cipher in aes-128-cbc aes-256-cbc aes-192-ctr aes-256-ofb aes-128-cfb8 chacha20 camellia-256-cbc aria-128-ctr sm4-cbc \
    des-ede3-cbc; do
    openssl enc -$cipher -K 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f -iv 0f0e0d0c0b0a09080706050403020100 \
        -in noise -out enciphered 2>err
    say "openssl $cipher" $b md5sum enciphered
done
say "openssl hmac" openssl dgst -r -sha256 -hmac secret noise
say "openssl cmac" openssl mac -cipher AES-128-CBC -macopt hexkey:00112233445566778899aabbccddeeff -in noise CMAC
say "openssl gmac" openssl mac -cipher AES-128-GCM -macopt hexkey:00112233445566778899aabbccddeeff \
    -macopt hexiv:000102030405060708090a0b -in noise GMAC
say "openssl poly1305" openssl mac -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f \
    -in noise POLY1305
say "openssl pbkdf2" openssl kdf -keylen 32 -kdfopt digest:SHA512 -kdfopt pass:secret -kdfopt salt:salty -kdfopt iter:3000 PBKDF2
say "openssl scrypt" openssl kdf -keylen 32 -kdfopt pass:secret -kdfopt salt:salty -kdfopt n:1024 -kdfopt r:8 -kdfopt p:1 SCRYPT

# --- big integers and elliptic curves: keys made of chosen numbers, signatures that draw no random numbers, or their check ---
say "python keys" python3.11 -S /compute/keys.py
for curve in prime256v1 secp384r1 secp521r1 secp256k1 brainpoolP256r1; do
    say "openssl $curve" openssl ec -inform DER -in $curve.a.der -pubout -outform PEM -out $curve.a.pub
    say "openssl $curve" openssl ec -inform DER -in $curve.b.der -pubout -outform PEM -out $curve.b.pub
    say "openssl $curve" $b cat $curve.a.pub
    for pair in a:b b:a; do
        openssl pkeyutl -derive -keyform DER -inkey $curve.${pair%:*}.der -peerkey $curve.${pair#*:}.pub -out shared 2>err
        say "openssl $curve shared" $b md5sum shared
    done
    openssl dgst -sha256 -keyform DER -sign $curve.a.der -out signature noise
    say "openssl $curve verify" openssl dgst -sha256 -verify $curve.a.pub -signature signature noise
done
for curve in x25519 x448; do
    for one in a b; do
        openssl pkey -inform DER -in $curve.$one.der -pubout -out $curve.$one.pub
    done
    for pair in a:b b:a; do
        openssl pkeyutl -derive -keyform DER -inkey $curve.${pair%:*}.der -peerkey $curve.${pair#*:}.pub -out shared
        say "openssl $curve shared" $b md5sum shared
    done
done
for curve in ed25519 ed448; do
    openssl pkeyutl -sign -rawin -keyform DER -inkey $curve.a.der -in text -out signature
    say "openssl $curve" $b md5sum signature
done
say "openssl rsa" openssl rsa -inform DER -in rsa.der -check -noout
openssl dgst -sha256 -keyform DER -sign rsa.der -out signature noise
say "openssl rsa sign" $b md5sum signature
for number in 170141183460469231731687303715884105727 170141183460469231731687303715884105725 \
    6864797660130609714981900799081393217269435300143305409394463459185543183397656052122559640661454554977296311391480858037121987999716643812574028291115057151; do
    say "openssl prime" openssl prime $number
done
say bc bc -lq /compute/compute.bc

# --- compression: each way there and back; sizes and contents ---
for level in 1 9; do
    for file in text noise; do
        $b gzip -$level -c $file >packed.gz
        echo "gzip -$level $file: $($b gzip -dc packed.gz | sum) $($b wc -c <packed.gz) $($b tail -c +9 packed.gz | sum)"
    done
done
for file in text noise; do
    $b bzip2 -c $file >packed.bz2
    echo "bzip2 $file: $($b bzip2 -dc packed.bz2 | sum) $(sum <packed.bz2)"
done

# --- text, regular expressions, numbers by the shell's tools ---
say "grep" $b grep -cE '^[0-9]*([13579])\1? .*(fox|dog) [0-9]+3 ' text
say "sed" sh -c "$b sed -E 's/([a-z])([a-z]+)/\\2\\1/g; s/([0-9]+) *\$/<\\1>/; 5q' text"
say "sort" sh -c "$b sort -k6,6n -k1,1r text | $b md5sum"
say "awk" $b awk -f /compute/compute.awk
say "perl" perl /compute/compute.pl
say "python" python3.11 -S /compute/compute.py
say "sqlite3" sqlite3 :memory: '.read /compute/compute.sql'
say "luajit" luajit /compute/compute.lua
say "luajit -joff" luajit -joff /compute/compute.lua

cd / && $b rm -rf "$work"
echo "programs: end"
