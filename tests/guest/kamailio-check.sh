#!/usr/bin/env bash
# `imsreg check pcscf` with ESP against Kamailio's P-CSCF with the ESP of this kernel (ims_ipsec_pcscf): its report is that of
# tests/golden/interop/kamailio-ipsec.txt, whose failures docs/interop-kamailio.md explains by clause. Plane userspace plays
# all that is asked, plane kernel some of it, with the same verdicts. KEEP=1 keeps a new report as the golden one.
set -u
. "$(dirname "$0")/../strangers/lib.sh"
. "$(dirname "$0")/kamailio.lib"
shared peers/kamailio/pcscf-ipsec.cfg || exit 0
need "${kamailio[@]}" ip:iproute2 "$ss" || exit 0
core=kamc-p phones=kamc-u work=$(mktemp -d "$target/kamailio-esp.XXXXXX")
trap esp_finish EXIT
cd "$root" || exit 1
golden=tests/golden/interop/kamailio-ipsec.txt
kamailio -v | sed -n '1s/^version: \(.*\) (.*/\1/p'
esp_network || exit 1
for n in 1.{2..241} 2.{2..21}; do echo "addr add 10.93.$n/16 dev kam1"; done | ip -n $phones -batch -
esp_core || { failure "imsreg serve"; exit 1; }

# play NAME PLANE ADDRESS COUNT CASES: plays them; their verdicts are in $work/NAME, a line each. Every UE has an address of its
# own, from ADDRESS on: it keeps the SAs of one. It takes a first REGISTER from port 5060 only, and of several pairs of algorithms the last.
play() {
    local begun=$SECONDS
    ip netns exec $phones "$own" check pcscf $p:5060 --ipsec "$2" --source $3:5060 --addresses $4 --subscriber "$work/subscribers.yaml" \
        --realm ims.test --sec-agree offered --set 'ue.algorithms=[hmac-sha-1-96/aes-cbc]' --fast --json --only "$5" \
        >"$work/$1.report" 2>"$work/$1.errors"
    verdicts "$work/$1.report" | grep -v ^not-applicable >"$work/$1"
    echo "plane $2: $(wc -l <"$work/$1") cases in $((SECONDS - begun)) s, $(ip -n $core xfrm policy | grep -oE 'port 5[12][0-9]{2}' | sort -u | wc -l) of $pairs pairs of ports taken"
}
# In three parts, each against a Kamailio that has just started: it never takes back the ports of a set that was to replace
# another at a re-registration or a de-registration, which most cases end with. Without IPv6 half as many processes do. What
# is played is what the golden file has; for a new one, these.
pairs=96
parts=(
    challenge-form,challenge-resynchronisation,challenge-auts-wrong-mac,challenge-wrong-response,challenge-response-missing,challenge-other-nonce,challenge-first-nonce-again,challenge-retransmitted,challenge-answer-retransmitted,challenge-claimed-with-response,wrong-sa,event-sound,event-fetch,event-deregistered,identity-other-answers,identity-changes-impu,identity-preferred
    verify-alg,verify-ealg,verify-spi-c,verify-spi-s,verify-port-c,verify-port-s,verify-missing,verify-equal-white-space,verify-equal-case,verify-equal-leading-zero,verify-client-alg,verify-client-ealg,verify-client-spi-s,verify-client-port-s,verify-client-missing,life-reregister,life-reregister-without-client,life-reregister-without-verify,life-reregister-no-credentials,life-reregister-verify-differs,life-deregister,life-deregister-all,life-deregister-by-parameter,life-again-at-once,leak
    offer,refusal,expiry
)
groups=('challenge|sa|event|identity' 'verify|life|leak' 'offer|refusal|expiry')
status=0
start() {
    local begun=$SECONDS
    esp_kamailio $pairs '/fd93::/d' || { failure "kamailio did not start: $(tail -1 "$work/pcscf.log")"; exit 1; }
    echo "kamailio started in $((SECONDS - begun)) s"
}
for part in 0 1 2; do
    start
    cases=$(sed -nE "s/^[a-z-]+ +((${groups[$part]})-[^: ]*).*/\1/p" $golden | paste -sd,)
    [ -n "${KEEP:-}" ] && cases=${parts[$part]}
    play part.$part userspace 10.93.1.2 120 "$cases"
    [ $part -ne 1 ] || play kernel kernel 10.93.2.2 10 challenge-form,verify-alg,verify-missing,sa-answer-in-clear
    grep -q 'No free .* port' "$work/pcscf.log" && { failure "kamailio had no more ports"; status=1; }
    esp_stop_kamailio
done
# By name: where a case stands in its file says nothing.
LC_ALL=C sort -k2 "$work"/part.? >"$work/verdicts"
[ -n "${KEEP:-}" ] && cp "$work/verdicts" "$golden"
differ=$(differing $golden "$work/verdicts")
if [ -n "$differ" ]; then
    start
    play again userspace 10.93.1.2 120 "$differ"
    renewed "$work/verdicts" "$work/again"
    esp_stop_kamailio
fi
as_golden "kamailio with ESP" "$golden" "$work/verdicts" 70 docs/interop-kamailio.md || status=1
if [ "$(wc -l <"$work/kernel")" -eq 4 ] && ! grep -vxFf "$golden" "$work/kernel" >"$work/differs"; then
    passed 4
else
    failure "kamailio: plane kernel finds otherwise: $(cat "$work/differs") $(tail -1 "$work/kernel.errors")"
    status=1
fi
exit $status
