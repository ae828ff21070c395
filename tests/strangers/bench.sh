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

# least FILE TEXT K: of the lines that hold TEXT (spaces folded), the least of the K-th figures from the right.
least() {
    sed 's/  */ /g' "$1" | grep -F "$2" | awk -v k="$3" '{ v = $(NF - k) + 0; if (m == "" || v < m) m = v } END { print m + 0 }'
}

if shared peers/sip-parse-bench/Cargo.toml; then
    rm -rf "$peers/sip" && mkdir -p "$peers/sip" && cp -r "$IMSREG_SHARED"/peers/sip-parse-bench/. "$peers/sip" && chmod -R u+w "$peers/sip"
    cp benches/peers/sip_parse_ours.rs "$peers/sip/src/ours.rs"
    sed -i -e "/^\[dependencies\]/a imsreg = { path = \"$root\", default-features = false, optional = true }" \
        -e 's/^default = \[/default = ["ours", /' -e '/^rsip = \["dep/i ours = ["dep:imsreg"]' "$peers/sip/Cargo.toml"
    sed -i 's/^mod peers;/mod ours;\nmod peers;/' "$peers/sip/src/main.rs"
    # Before the last line of all(), which returns `v`.
    awk '{ line[NR] = $0; if ($0 == "    v") last = NR } END { for (i = 1; i <= NR; i++) { if (i == last) {
        print "    v.push(Peer { name: \"imsreg\", depth: \"frame\", run: crate::ours::frame });"
        print "    v.push(Peer { name: \"imsreg\", depth: \"typed\", run: crate::ours::typed });" }
        print line[i] } }' "$peers/sip/src/peers.rs" >"$peers/sip/peers.new" && mv "$peers/sip/peers.new" "$peers/sip/src/peers.rs"
    out=$peers/sip.txt
    # shellcheck disable=SC2046
    if (cd "$peers/sip" && CARGO_TARGET_DIR=$peers/build cargo build -q --release) &&
        cc -O2 "$peers/sip/c/sofia_bench.c" $(pkg-config --cflags --libs sofia-sip-ua) -o "$peers/sofia_bench"; then
        : >"$out"
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
fi

if shared peers/diameter-bench/Cargo.toml; then
    rm -rf "$peers/cx" && mkdir -p "$peers/cx" && cp -r "$IMSREG_SHARED"/peers/diameter-bench/. "$peers/cx" && chmod -R u+w "$peers/cx"
    cp benches/peers/maa_ours.rs "$peers/cx/src/ours.rs"
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
    out=$peers/cx.txt
    if (cd "$peers/cx" && CARGO_TARGET_DIR=$peers/build cargo build -q --release); then
        : >"$out"
        for _ in 1 2 3; do "${pin[@]}" "$peers/build/release/diameter-bench" >>"$out"; done
        sort -u -k1,2 "$out"
        ratio "MAA decode, typed, against diameter" "$(least "$out" 'imsreg decode typed' 1)" "$(least "$out" 'diameter 0.7 decode+get' 1)" 0.34 || status=1
    else
        failure "the Diameter peer does not build"
        status=1
    fi
fi

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

# Its assertions (every registration ends with its 200) are what can fail here.
if cargo bench -q --bench registration; then passed 1; else
    failure "the registration bench"
    status=1
fi
# A network of its own, so that no port is taken; the load is no part of what is measured.
if cargo build -q --release && cargo bench -q --bench sockets --no-run; then
    load=$(ls -t "$target"/release/deps/sockets-* | grep -v '\.d$' | head -1)
    alone bash "$(dirname "$0")/bench-sockets.sh" "$load" || status=1
    bash "$(dirname "$0")/bench-esp.sh" || status=1
else
    failure "the load generator does not build"
    status=1
fi
# Instructions are what a change is judged by: the same binary counts the same on every run.
bench=$(ls -t "$target"/release/deps/registration-* | grep -v '\.d$' | head -1)
counted_instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" once "$1" 2>&1 >/dev/null | awk '/Collected/ { print $NF }'
}
few=$(counted_instructions 200) many=$(counted_instructions 400)
if [ -n "$few" ] && [ -n "$many" ]; then
    passed 1
    echo "instructions per registration, recorded with its UE and played back: $(((many - few) / 200))"
else
    failure "callgrind counted nothing"
    status=1
fi
exit $status
