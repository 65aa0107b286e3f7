#!/bin/sh
# Without KVM everything else works, and what needs it says why it was skipped:
#
#   tests/without_kvm.sh SIM FOLDER      FOLDER: where the build puts tests and guests
#
# In a mount namespace of its own /dev/kvm is no device, then it is not there; then it may not be opened (as another
# user, if this one may do that). Exit status 77 if the host has no namespaces for us.
set -u
case ${3:-} in
'')
    unshare -m true 2>/dev/null && exec unshare -m "$0" "$@" "root"
    unshare -rm true 2>/dev/null && exec unshare -rm "$0" "$@" "user"
    echo "skipped: no mount namespace is to be had"
    exit 77
    ;;
esac
sim=$1 folder=$2
work=$(mktemp -d) || exit 99
failed=0

# The case, the reason that is expected, then a command that must be skipped for it.
skipped() {
    what=$1 reason=$2
    shift 2
    "$@" >"$work/out" 2>&1 </dev/null
    status=$?
    if [ $status != 77 ] || ! grep -q "$reason" "$work/out"; then
        echo "$what: $* ended with status $status, expected 77 and \"$reason\":"
        head -c 2000 "$work/out"
        failed=1
    fi
}

all_skipped() {
    skipped "$1" "$2" "$sim" host
    skipped "$1" "$2" "$sim" compare "$work/log"
    skipped "$1" "$2" "$sim" difftest --reference kvm --count 1
    skipped "$1" "$2" "$folder/test_kvm_vcpu"
    skipped "$1" "$2" "$folder/test_cosim_skip"
}

# The case, then a command that must end with this status.
works() {
    what=$1 want=$2
    shift 2
    "$@" >"$work/out" 2>&1 </dev/null
    status=$?
    [ $status = "$want" ] && return
    echo "$what: $* ended with status $status, expected $want:"
    head -c 2000 "$work/out"
    failed=1
}

all_works() {
    works "$1" 64 "$sim" record --quiet --force --output "$work/log" --kernel "$folder/hello.bin" --entry flat
    works "$1" 0 "$sim" replay --quiet --verify "$work/log"
    works "$1" 0 "$sim" difftest --replay "$(dirname "$0")/vectors/lockstep.txt"
}

chmod 755 "$work"
[ -e /dev/kvm ] && mount --bind /dev/null /dev/kvm
all_works "/dev/kvm is something else"
if [ -e /dev/kvm ]; then
    all_skipped "/dev/kvm is something else" "is no KVM"
    umount /dev/kvm
fi
if [ -e /dev/kvm ] && [ "$3" = root ] && [ "$(stat -c %a /dev/kvm)" = 600 ] && command -v setpriv >/dev/null &&
    setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$sim"; then
    chmod 644 "$work/log"
    sim_as_other="setpriv --reuid=65534 --regid=65534 --clear-groups $sim"
    skipped "no permission" "no permission to open /dev/kvm" $sim_as_other host
    skipped "no permission" "no permission to open /dev/kvm" $sim_as_other compare "$work/log"
fi
mkdir "$work/dev"
touch "$work/dev/null"
mount --bind /dev/null "$work/dev/null"
mount --bind "$work/dev" /dev
all_skipped "no /dev/kvm" "no /dev/kvm"
all_works "no /dev/kvm"
umount /dev
umount "$work/dev/null"
rm -rf "$work"
exit $failed
