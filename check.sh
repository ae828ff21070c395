#!/usr/bin/env bash
# The one check script, for people and CI.
#
#   ./check.sh            fmt lint test lib fuzz deny strangers guest
#   ./check.sh all        the same and bench
#   ./check.sh PART ...   only these parts
#
#   fmt        cargo fmt --check
#   lint       clippy on all targets and the documentation, warnings denied
#   test       cargo test, on loopback sockets and in virtual time
#   lib        the library and its tests without feature `live`
#   fuzz       fuzz targets build and run for a few seconds each over their corpus
#   deny       licences, bans and sources of dependencies
#   strangers  ESP between two network namespaces; SIPp, Kamailio, freeDiameter, linphone, baresip, tshark, python-diameter and black-box suites against the release binary
#   guest      what takes a kernel with SCTP or ESP, in a guest of its own (User Mode Linux); Kamailio's P-CSCF with kernel SAs
#   bench      instruction counts, CPU and memory per registration, ours beside other parsers in one run
#
# Missing tools are installed where this is Debian and we are root; otherwise they are named. A check that could not run
# is counted as not run, never as passed; with IMSREG_REQUIRE_ALL=1 it is a failure.
set -u
cd "$(dirname "$0")"
. tests/strangers/lib.sh
IMSREG_TALLY=$(mktemp "$target/tally.XXXXXX")
export IMSREG_TALLY
trap 'rm -f "$IMSREG_TALLY"' EXIT

parts=("$@")
[ ${#parts[@]} -eq 0 ] && parts=(fmt lint test lib fuzz deny strangers guest)
[ "${parts[0]}" = all ] && parts=(fmt lint test lib fuzz deny strangers guest bench)

check_fmt() { cargo fmt --check; }

check_lint() {
    cargo clippy -q --all-targets -- -D warnings &&
        cargo clippy -q --lib --no-default-features -- -D warnings &&
        RUSTDOCFLAGS="-D warnings" cargo doc -q --no-deps --document-private-items
}

check_test() {
    has "$tshark" # one test reads its capture with it, or says that it did not run
    counted cargo test -q --no-fail-fast
}

check_lib() { counted cargo test -q --no-fail-fast --no-default-features --lib; }

check_fuzz() { tests/strangers/fuzz.sh; }

check_deny() {
    if ! command -v cargo-deny >/dev/null && [ ! -x target/tools/bin/cargo-deny ]; then
        cargo install -q --locked --debug --root target/tools cargo-deny@^0.20 ||
            { not_run "cargo-deny could not be installed"; return; }
    fi
    cargo fetch -q --locked || return # also what other platforms want
    PATH="$PWD/target/tools/bin:$PATH" cargo deny --offline check licenses bans sources
}

check_strangers() {
    cargo build -q --release || return 1
    # The scripts have no network: what they need is installed here, and what still lacks is named by the script that wants it.
    local needed=() list script status=0 start
    while read -r list; do eval "needed+=($list)"; done < <(sed -nE 's/^(\[.*\|\| )?need ([^|]*)(\|\|.*)?$/\2/p' tests/strangers/[0-9]*.sh | sort -u)
    has "${needed[@]}"
    has_python
    for script in tests/strangers/[0-9]*.sh; do
        printf -- '-- %s\n' "$(basename "$script" .sh)"
        start=$SECONDS
        alone bash "$script" || status=1
        printf -- '-- %s: %d s\n' "$(basename "$script" .sh)" $((SECONDS - start))
    done
    return $status
}

check_guest() {
    cargo build -q --release && bash tests/guest/run.sh
}

check_bench() { tests/strangers/bench.sh; }

failed=()
start_all=$SECONDS
for part in "${parts[@]}"; do
    declare -F "check_$part" >/dev/null || { echo "check.sh: no part '$part'; see the head of this file" >&2; exit 2; }
    printf '== %s\n' "$part"
    start=$SECONDS lines=$(wc -l <"$IMSREG_TALLY") before=$(tally failed)
    if "check_$part"; then
        verdict=ok
        # A part that counts nothing itself is one check.
        [ "$(wc -l <"$IMSREG_TALLY")" -gt "$lines" ] || passed 1
    else
        verdict=FAILED failed+=("$part")
        [ "$(tally failed)" -gt "$before" ] || failure "$part"
    fi
    printf '== %s: %s, %d s\n' "$part" "$verdict" $((SECONDS - start))
done

ran=$(tally ran) failures=$(tally failed) skipped=$(tally not_run)
printf '\n%d parts in %d s: %d checks passed, %d failed, %d not run\n' \
    ${#parts[@]} $((SECONDS - start_all)) "$((ran - failures))" "$failures" "$skipped"
[ "$skipped" -gt 0 ] && reasons
if [ ${#failed[@]} -gt 0 ]; then
    faults
    echo "failed: ${failed[*]}"
    exit 1
fi
if [ "$skipped" -gt 0 ] && [ -n "${IMSREG_REQUIRE_ALL:-}" ]; then
    echo "IMSREG_REQUIRE_ALL is set and $skipped checks did not run"
    exit 1
fi
exit 0
