#!/usr/bin/env bash
# Kamailio on loopback, with our HSS and our UE in each row: its P-, I- and S-CSCF; its I- and S-CSCF behind our P-CSCF,
# with and without a security agreement; our S-CSCF behind its P- and I-CSCF. Every UE registers and de-registers.
set -u
. "$(dirname "$0")/lib.sh"
need "${kamailio[@]}" "$ss" "$tshark" || exit 0
shared peers/kamailio/pcscf.cfg || exit 0
work=$(mktemp -d "$target/kamailio.XXXXXX")
trap 'stop_kamailio; stop_imsreg; rm -rf "$work"' EXIT
kamailio -v | sed -n '1s/^version: \(.*\) (.*/\1/p'

kamailio_chain

status=0 next_ue=0
# row WHAT "KAMAILIO-ROLE ..." "ARGUMENT ..." "UE-ARGUMENT ...": starts our elements and Kamailio's, then three UEs.
row() {
    local what=$1 roles=$2 ours=$3 ue=$4 role n registered=0
    # shellcheck disable=SC2086
    start_imsreg "$work/imsreg.log" serve --profile lab --realm ims.test --diameter $h:3868 --set hss.origin_host=$h \
        --hss-data "$work/subscribers.yaml" --control "$work/ctl" --capture "$work/imsreg.pcapng" --set core_transport=udp $ours ||
        { failure "imsreg serve: $what"; exit 1; }
    # shellcheck disable=SC2086
    start_kamailio $roles
    for n in 0 1 2; do
        local imsi k
        imsi=$(printf '00101%010d' $((1000 + next_ue)))
        k=$(printf 'K%s' "$imsi" | od -An -tx1 | tr -d ' \n')
        # shellcheck disable=SC2086
        if "$imsreg" register --pcscf $p:5060 --source 127.0.2.$((10 + next_ue)) --imsi "$imsi" --k "$k" \
            --op 30313233343536373839616263646566 --realm ims.test --timeout 20 --deregister --capture "$work/ue$n.pcapng" $ue >"$work/ue.log" 2>&1; then
            passed 1
            registered=$((registered + 1))
        else
            failure "$what: $(tail -1 "$work/ue.log")"
            for role in $roles; do tail -5 "$work/$role.log" >&2; done
            tail -5 "$work/imsreg.log" >&2
            status=1
        fi
        next_ue=$((next_ue + 1))
    done
    echo "$registered of 3 UEs registered and de-registered: $what"
    stop_kamailio
    stop_imsreg || { failure "imsreg serve did not stop in order: $what"; status=1; }
    # Kamailio's S-CSCF puts the Call-ID into its SAR, as AVP 494 of vendor 50, which no dictionary has.
    bash "$(dirname "$0")/tshark.sh" "$work/imsreg.pcapng" 0 24 '^Unknown (AVP 494 [(]vendor=Optical|Vendor)' || status=1
    bash "$(dirname "$0")/tshark.sh" "$work/ue0.pcapng" 6 0 || status=1
}

row "Kamailio P-, I- and S-CSCF, our HSS" "scscf icscf pcscf" "--only hss" "--sec-agree off"
for agree in off required; do
    row "our P-CSCF (sec-agree $agree), Kamailio I- and S-CSCF, our HSS" "scscf icscf" \
        "--only pcscf,hss --sip $p:5060 --set pcscf.next_hop=[$i:4060] --set pcscf.core=$p:5060 --sec-agree $agree --ipsec none" \
        "--sec-agree $agree --ipsec none"
done
row "Kamailio P- and I-CSCF, our S-CSCF and HSS" "icscf pcscf" \
    "--only scscf,hss --sip $s:6060 --set scscf.name=sip:$s:6060" "--sec-agree off"
exit $status
