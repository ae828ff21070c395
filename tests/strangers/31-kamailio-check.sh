#!/usr/bin/env bash
# `imsreg check pcscf` against Kamailio's P-, I- and S-CSCF (which know of no security agreement) with our HSS: its report is
# that of tests/golden/interop/kamailio-plain.txt, whose failures docs/interop-kamailio.md explains by clause. What Kamailio
# is not configured for here (TCP, requests other than REGISTER) is not asked. KEEP=1 keeps a new report as the golden one.
set -u
. "$(dirname "$0")/lib.sh"
need "${kamailio[@]}" "$ss" || exit 0
shared peers/kamailio/pcscf.cfg || exit 0
work=$(mktemp -d "$target/kamailio-check.XXXXXX")
trap 'stop_kamailio; stop_imsreg; rm -rf "$work"' EXIT
cd "$root" || exit 1
golden=tests/golden/interop/kamailio-plain.txt
kamailio -v | sed -n '1s/^version: \(.*\) (.*/\1/p'
kamailio_chain
start_imsreg "$work/imsreg.log" serve --profile lab --realm ims.test --diameter $h:3868 --set hss.origin_host=$h \
    --hss-data "$work/subscribers.yaml" --control "$work/ctl" --set core_transport=udp --only hss || { failure "imsreg serve"; exit 1; }
start_kamailio scscf icscf pcscf
# play NAME CASES: their verdicts are in $work/NAME, a line each.
play() {
    "$imsreg" check pcscf $p:5060 --source 127.0.2.10 --subscriber "$work/subscribers.yaml" --realm ims.test --sec-agree off \
        --fast --json --only "$2" >"$work/$1.report" 2>"$work/errors"
    verdicts "$work/$1.report" >"$work/$1"
}
play verdicts challenge,expiry,identity,leak,lifecycle,refusal
[ -n "${KEEP:-}" ] && cp "$work/verdicts" "$golden"
differ=$(differing "$golden" "$work/verdicts")
if [ -n "$differ" ]; then
    play again "$differ"
    renewed "$work/verdicts" "$work/again"
fi
as_golden "kamailio" "$golden" "$work/verdicts" 85 docs/interop-kamailio.md || { tail -1 "$work/errors" >&2; exit 1; }
