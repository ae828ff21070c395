#!/usr/bin/env bash
# Ours beside others in one run, and what one registration costs. Figures are printed; only ratios within the run are
# judged, never times: a shared machine must not fail a check.
set -u
. "$(dirname "$0")/lib.sh"
need cc:gcc valgrind:valgrind /usr/include/sofia-sip-1.12/sofia-sip/sip.h:libsofia-sip-ua-dev pkg-config:pkg-config || exit 1
cd "$root" || exit 1
status=0
peers=$target/peers
# An idle core to itself, where there are two.
pin=()
[ "$(nproc)" -gt 1 ] && command -v taskset >/dev/null && pin=(taskset -c 1)

# step NAME: the seconds of what ends here.
since=$SECONDS
step() {
    printf -- '-- bench: %s: %d s\n' "$1" $((SECONDS - since))
    since=$SECONDS
}

# least FILE TEXT K: of the lines that hold TEXT (spaces folded), the least of the K-th figures from the right.
least() {
    sed 's/  */ /g' "$1" | grep -F "$2" | awk -v k="$3" '{ v = $(NF - k) + 0; if (m == "" || v < m) m = v } END { print m + 0 }'
}

# peer NAME FOLDER OURS: a bench of other parsers, copied with a module of ours; it becomes a member of one workspace with the others.
members=()
peer() {
    shared "peers/$2/Cargo.toml" || return
    rm -rf "${peers:?}/$1" && mkdir -p "$peers/$1" && cp -r "$IMSREG_SHARED/peers/$2/." "$peers/$1" && chmod -R u+w "$peers/$1"
    cp "benches/peers/$3.rs" "$peers/$1/src/ours.rs"
    # A profile counts in the root of a workspace only: it is the same for all.
    sed -n '/^\[profile/,/^$/p' "$peers/$1/Cargo.toml" >"$peers/profile.toml"
    sed -i -e '/^\[profile/,/^$/d' -e '/^\[workspace\]$/d' "$peers/$1/Cargo.toml"
    members+=("$1")
}
if peer sip sip-parse-bench sip_parse_ours; then
    sed -i -e "/^\[dependencies\]/a imsreg = { path = \"$root\", default-features = false, optional = true }" \
        -e 's/^default = \[/default = ["ours", /' -e '/^rsip = \["dep/i ours = ["dep:imsreg"]' "$peers/sip/Cargo.toml"
    sed -i 's/^mod peers;/mod ours;\nmod peers;/' "$peers/sip/src/main.rs"
    # Before the last line of all(), which returns `v`.
    awk '{ line[NR] = $0; if ($0 == "    v") last = NR } END { for (i = 1; i <= NR; i++) { if (i == last) {
        print "    v.push(Peer { name: \"imsreg\", depth: \"frame\", run: crate::ours::frame });"
        print "    v.push(Peer { name: \"imsreg\", depth: \"typed\", run: crate::ours::typed });" }
        print line[i] } }' "$peers/sip/src/peers.rs" >"$peers/sip/peers.new" && mv "$peers/sip/peers.new" "$peers/sip/src/peers.rs"
fi
if peer cx diameter-bench maa_ours; then
    sed -i "/^\[dependencies\]/a imsreg = { path = \"$root\", default-features = false }" "$peers/cx/Cargo.toml"
    sed -i '0,/^use /s//mod ours;\nuse /' "$peers/cx/src/main.rs"
    # At the end of main, the last `}` at the margin whose function is main.
    awk '{ line[NR] = $0; if ($0 ~ /^fn main/) inside = 1; if (inside && $0 == "}") { last = NR; inside = 0 } } END { for (i = 1; i <= NR; i++) {
        if (i == last) {
            print "    ours::check(&wire);"
            print "    let mut ours_out = Vec::new();"
            print "    time(\"imsreg build+encode\", || ours::encode(black_box(&mut ours_out)));"
            print "    time(\"imsreg decode typed\", || { black_box(ours::decode(black_box(&wire))); });" }
        print line[i] } }' "$peers/cx/src/main.rs" >"$peers/cx/main.new" && mv "$peers/cx/main.new" "$peers/cx/src/main.rs"
fi
if [ ${#members[@]} -gt 0 ]; then
    { printf '[workspace]\nresolver = "3"\nmembers = [%s]\n\n' "$(printf '"%s", ' "${members[@]}")" && cat "$peers/profile.toml"; } >"$peers/Cargo.toml"
    rm -f "$peers"/build/release/{sip-parse-bench,diameter-bench}
    (cd "$peers" && CARGO_TARGET_DIR=$peers/build cargo build -q --release --workspace --keep-going)
fi
step "peers built"
for member in "${members[@]}"; do
    out=$peers/$member.txt
    : >"$out"
    case $member in
    sip)
        # shellcheck disable=SC2046
        if [ -x "$peers/build/release/sip-parse-bench" ] &&
            cc -O2 "$peers/sip/c/sofia_bench.c" $(pkg-config --cflags --libs sofia-sip-ua) -o "$peers/sofia_bench"; then
            for _ in 1 2 3; do
                "${pin[@]}" "$peers/build/release/sip-parse-bench" "$peers"/sip/corpus/*.sip >>"$out"
                "${pin[@]}" "$peers/sofia_bench" "$peers"/sip/corpus/*.sip >>"$out"
            done
            awk '/^#/ { if (seen++ > 1) exit } { print }' "$out"
            ratio "SIP framing against rsipstack" "$(least "$out" 'imsreg frame' 2)" "$(least "$out" 'rsipstack 0.7 frame' 2)" 0.5 || status=1
            ratio "SIP typed against sofia-sip" "$(least "$out" 'imsreg typed' 2)" "$(least "$out" 'sofia-sip (C) typed' 1)" 0.5 || status=1
        else
            failure "the SIP peers do not build"
            status=1
        fi
        ;;
    cx)
        if [ -x "$peers/build/release/diameter-bench" ]; then
            for _ in 1 2 3; do "${pin[@]}" "$peers/build/release/diameter-bench" >>"$out"; done
            sort -u -k1,2 "$out"
            ratio "MAA decode, typed, against diameter" "$(least "$out" 'imsreg decode typed' 1)" "$(least "$out" 'diameter 0.7 decode+get' 1)" 0.34 || status=1
        else
            failure "the Diameter peer does not build"
            status=1
        fi
        ;;
    esac
done
step "peers"
# Our benches, built side by side.
cargo bench -q --no-run --bench esp --bench registration --bench traces --bench sockets || { failure "the benches do not build"; exit 1; }
step "our benches built"
newest() { ls -t "$target"/release/deps/"$1"-* | grep -v '\.d$' | head -1; }

# Sealing against what openssl takes for the same algorithms, and what ESP adds to a registration.
if ! command -v openssl >/dev/null; then
    not_run "needs openssl (Debian package)"
elif out=$peers/esp.txt && mkdir -p "$peers" && "${pin[@]}" cargo bench -q --bench esp >"$out"; then
    cat "$out"
    for name in "aes-cbc and hmac-sha-1-96:2" "null and hmac-md5-96:2" "aes-gcm:2"; do
        ratio "ESP ${name%%:*}, seal against openssl" \
            "$(awk -v k="ESP ${name%%:*}," 'index($0, k) == 1 { sub(/.*octets: */, ""); print $1 }' "$out")" \
            "$(awk -v k="algorithms of ${name%%:*}," 'index($0, k) { sub(/.*encrypting: */, ""); print $1 }' "$out")" "${name##*:}" || status=1
    done
else
    failure "the ESP bench"
    status=1
fi

step esp
# Its assertions (every registration ends with its 200) are what can fail here.
if cargo bench -q --bench registration; then passed 1; else
    failure "the registration bench"
    status=1
fi
step registration
# Traces: messages a second of CPU, the goal is 50,000 (docs/performance.md); its assertions are what can fail here.
if "${pin[@]}" cargo bench -q --bench traces; then passed 1; else
    failure "the traces bench"
    status=1
fi
step traces
# A network of its own, so that no port is taken; the load is no part of what is measured.
if cargo build -q --release; then
    step "release built"
    alone bash "$(dirname "$0")/bench-sockets.sh" "$(newest sockets)" || status=1
    step sockets
    bash "$(dirname "$0")/bench-esp.sh" || status=1
    step "esp over sockets"
    # Peak memory over 4 GB through a pipe, and drawing apart from judging.
    "${pin[@]}" cargo bench -q --bench traces -- pipe "$((${IMSREG_TRACE_OCTETS:-4000000000} / 1000000))" "$target/release/imsreg" && passed 1 ||
        { failure "a long trace through a pipe"; status=1; }
    "${pin[@]}" cargo bench -q --bench traces -- draw 1000 "$target/release/imsreg" || status=1
else
    failure "imsreg does not build"
    status=1
fi
step "long traces"
# Instructions are what a change is judged by: the same binary counts the same on every run.
instructions() { valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" 2>&1 >/dev/null | awk '/Collected/ { print $NF }'; }
# each BENCH FEW MANY ARGUMENT ...: for one more of what is counted, start and end left out.
each() {
    local bench=$1 few=$2 many=$3 a b
    shift 3
    a=$(instructions "$bench" once "$few" "$@") b=$(instructions "$bench" once "$many" "$@")
    echo $(((${b:-0} - ${a:-0}) / (many - few)))
}
bench=$(newest registration)
registration=$(each "$bench" 200 400)
if [ "$registration" -gt 0 ]; then
    passed 1
    echo "instructions per registration, recorded with its UE and played back: $registration"
else
    failure "callgrind counted nothing"
    status=1
fi
# Three refreshes of each UE; a refresh is one of the two REGISTERs of a registration.
refresh=$((($(each "$bench" 200 400 refresh) - registration) / 3))
echo "instructions per refresh: $refresh"
ratio "instructions of a refresh beside those of a registration" "$refresh" "$registration" 0.55 || status=1
step "instructions of a registration"
# What grows with the square of a trace or of a life would cost ten times as much for each message.
bench=$(newest traces)
work=$(mktemp -d "$target/traces.XXXXXX")
for what in "write:100:1000:registrations" "write-life:50:500:refreshes of one UE" "write-life:50:500:refreshes of one UE, each challenged:challenged"; do
    IFS=: read -r command few many name kind <<<"$what"
    cost=()
    for count in "$few" "$many"; do
        "$bench" "$command" "$count" "$work/trace" $kind >/dev/null
        messages=$("$bench" read "$work/trace" rules | awk '{ print $1 }')
        cost+=($(($(instructions "$bench" read "$work/trace" rules) / ${messages:-1})))
    done
    echo "instructions for each message of a trace, $few and $many $name: ${cost[*]}"
    ratio "a message of $many $name beside one of $few" "${cost[1]}" "${cost[0]}" 1.5 || status=1
done
rm -rf "$work"
step "instructions of traces"
exit $status
