#!/bin/sh
# Runs one test guest, as ctest does and by hand:
#
#   tests/run_asm.sh run SIM IMAGE [OPTIONS OF SIM RUN]      passes if the guest ends with status 64
#   tests/run_asm.sh replay SIM IMAGE [OPTIONS]              records it, then verifies the log
#   tests/run_asm.sh soft SIM IMAGE [OPTIONS]                records it by host arithmetic and by --fp soft: equal logs
#   tests/run_asm.sh expect SIM IMAGE FILE [OPTIONS]         run, and the console is compared with FILE
#   tests/run_asm.sh qemu NAME                               second opinion: tests/asm/NAME.asm under QEMU
#
# A failure prints what the guest printed, and for qemu and run the exit status.
set -u
mode=$1
shift
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT INT TERM

# Complains unless the status of the last command is 64: the guest wrote 0 to the debug-exit port.
passed() {
    [ "$1" = 64 ] && return 0
    echo "the guest ended with status $1, expected 64; it printed:"
    head -c 4096 "$work/console"
    exit 1
}

case $mode in
run)
    sim=$1 image=$2
    shift 2
    "$sim" run --quiet --kernel "$image" "$@" >"$work/console" 2>&1 </dev/null
    passed $?
    ;;
replay)
    sim=$1 image=$2
    shift 2
    "$sim" record --quiet --output "$work/log" --mark-every 100000 --kernel "$image" "$@" >"$work/console" 2>&1 </dev/null
    passed $?
    "$sim" replay --verify "$work/log" >"$work/replay" 2>&1 </dev/null
    status=$?
    [ $status = 0 ] || {
        echo "the replay ended with status $status:"
        head -c 4096 "$work/replay"
        exit 1
    }
    ;;
soft)
    sim=$1 image=$2
    shift 2
    for fp in host soft; do
        "$sim" record --quiet --output "$work/$fp" --fp "$fp" --seed 1 --mark-every 100000 --kernel "$image" "$@" \
            >"$work/console" 2>&1 </dev/null
        passed $?
    done
    cmp "$work/host" "$work/soft" || {
        "$sim" replay --verify --fp soft "$work/host" 2>&1 </dev/null
        exit 1
    }
    ;;
expect)
    sim=$1 image=$2 want=$3
    shift 3
    "$sim" run --quiet --kernel "$image" "$@" >"$work/console" 2>&1 </dev/null
    passed $?
    tr -d '\r' <"$work/console" | diff "$want" - || exit 1
    ;;
qemu)
    here=$(dirname "$0")/asm
    nasm -O1 -f bin -DQEMU -I "$here/" -o "$work/image" "$here/$1.asm" || exit 1
    timeout 60 qemu-system-x86_64 -cpu max,vendor=GenuineIntel,-la57 -kernel "$work/image" -display none -serial stdio \
        -device isa-debug-exit,iobase=0xf4,iosize=1 -no-reboot </dev/null
    [ $? = 1 ] || exit 1
    ;;
*)
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
