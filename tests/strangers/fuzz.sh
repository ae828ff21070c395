#!/usr/bin/env bash
# Builds every fuzz target and runs each over its corpus. A check gives the same verdict for the same code, so it takes a fixed
# seed and a number of inputs; with FUZZ_SECONDS=N each target searches anew for so long, and keeps what it found in target/.
set -u
. "$(dirname "$0")/lib.sh"
need g++:g++ || exit 0
cd "$root/fuzz" || exit 1
# Coverage and AddressSanitizer want unstable flags: nightly where it is, else the bootstrap switch of this toolchain.
if rustup run nightly rustc --version >/dev/null 2>&1; then cargo=(rustup run nightly cargo); else
    cargo=(cargo)
    export RUSTC_BOOTSTRAP=1
fi
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$target/fuzz
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Zsanitizer=address" \
    "${cargo[@]}" build -q --release --target "$host" || exit 1
if [ -n "${FUZZ_SECONDS:-}" ]; then how=(-max_total_time="$FUZZ_SECONDS"); else how=(-seed=1 -runs=60000); fi
status=0
for source in fuzz_targets/*.rs; do
    name=$(basename "$source" .rs)
    if [ -n "${FUZZ_SECONDS:-}" ]; then corpus=$target/fuzz/corpus/$name; else corpus=$(mktemp -d "$target/fuzz/$name.XXXXXX"); fi
    mkdir -p "$corpus"
    [ -d "corpus/$name" ] && seeds=("corpus/$name") || seeds=()
    if "$CARGO_TARGET_DIR/$host/release/$name" "${how[@]}" -max_len=4096 -verbosity=0 \
        -artifact_prefix="$target/fuzz/$name-" "$corpus" "${seeds[@]}" >"$target/fuzz/$name.log" 2>&1; then
        passed 1
        echo "$name: $(ls "$corpus" | wc -l) inputs, nothing found"
    else
        tail -30 "$target/fuzz/$name.log" >&2
        failure "fuzz target $name"
        status=1
    fi
    [ -n "${FUZZ_SECONDS:-}" ] || rm -rf "$corpus"
done
exit $status
