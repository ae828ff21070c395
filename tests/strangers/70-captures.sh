#!/usr/bin/env bash
# Captures whose truth is known, written by others: `validate` and `diagnose` must say of each what its catalogue says.
set -u
. "$(dirname "$0")/lib.sh"
need_python || exit 0
shared probes/captures/score.py || exit 0
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d "$target/captures.XXXXXX")
trap 'rm -rf "$work"' EXIT
"$python" "$IMSREG_SHARED/probes/captures/score.py" --imsreg "$imsreg" --list >"$work/said" || {
    failure "score.py"
    tail -n 5 "$work/said" >&2
    exit 1
}
status=0
# The response of f018 is a -sess variant over a cnonce that its Authorization does not carry (RFC 7616 clause 3.4.2): nobody can
# calculate it again, so it fits no variant (DIAG-RES, likely, and its text says so).
undecidable='f018-response-sess-variant.pcapng first DIAG-RES, expected DIAG-AKA-VARIANT'
# A line for each capture: its name, and "as expected" or what differs.
sed '/^== rules/,$d' "$work/said" | grep -E '\.(pcapng|txt) ' >"$work/lines"
while read -r name found; do
    if [ "$found" = "as expected" ] || [ "${name##*/} $found" = "$undecidable" ]; then passed 1; else
        failure "$name: $found"
        status=1
    fi
done <"$work/lines"
[ -s "$work/lines" ] || { failure "score.py judged no capture"; exit 1; }
sed -n '/^== summary/,$p' "$work/said"
grep -q '^runs that broke.*: 0$' "$work/said" || { failure "a run of imsreg broke"; status=1; }
exit $status
