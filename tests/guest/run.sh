#!/usr/bin/env bash
# Runs the scripts beside this one in a guest whose kernel has what the machine's own may lack (SCTP, ESP).
set -u
. "$(dirname "$0")/../strangers/lib.sh"
shared tools/uml-run || exit 0
need linux.uml:user-mode-linux depmod:kmod ip:iproute2 || exit 0
# There is no network in the guest: what its scripts want is fetched here, and they say what still lacks.
has "${kamailio[@]}" "$tshark" "$ss" tcpdump:tcpdump
has_python
guest=$IMSREG_SHARED/tools/uml-run
if ! "$guest" true >/dev/null 2>&1; then
    has cc:gcc && cc -shared -fPIC -O1 -o "$target/xstate.so" "$root/tests/guest/xstate.c" -ldl &&
        export LD_PRELOAD=$target/xstate.so && "$guest" true >/dev/null 2>&1 ||
        { not_run "the guest kernel does not start here"; exit 0; }
fi
status=0
for script in "$root"/tests/guest/*.sh; do
    name=$(basename "$script" .sh)
    [ "$name" = run ] && continue
    start=$SECONDS
    printf -- '-- guest: %s\n' "$name"
    UML_TIMEOUT=1200 "$guest" env -u LD_PRELOAD IMSREG_TALLY="$IMSREG_TALLY" IMSREG_BIN="$imsreg" IMSREG_SHARED="$IMSREG_SHARED" \
        CARGO_TARGET_DIR="$target" PATH="$PATH" bash "$script"
    code=$?
    [ $code -eq 0 ] || status=1
    [ $code -eq 125 ] && failure "the guest did not come up for $name"
    printf -- '-- guest: %s: %d s\n' "$name" $((SECONDS - start))
done
exit $status
