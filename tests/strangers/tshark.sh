#!/usr/bin/env bash
# tshark.sh CAPTURE SIP CX: tshark finds at least so many SIP and Cx messages in CAPTURE, nothing malformed, and no
# unknown AVP but 659 to 666, which its dictionary lacks (tests/diameter_vectors.rs checks those).
set -u
. "$(dirname "$0")/lib.sh"
capture=$1
ports="-d tcp.port==4060,sip -d tcp.port==6060,sip -d udp.port==4060,sip -d udp.port==6060,sip -d tcp.port==6100,sip -d udp.port==6100,sip"
# shellcheck disable=SC2086
read -r sip cx < <(tshark -r "$capture" $ports -T fields -e sip.CSeq -e diameter.cmd.code 2>/dev/null |
    awk -F'\t' '{ s += gsub(/REGISTER/, "", $1) } { n = split($2, c, ","); for (i = 1; i <= n; i++) if (c[i] >= 300 && c[i] <= 305) d++ } END { print s + 0, d + 0 }')
# shellcheck disable=SC2086
bad=$(tshark -r "$capture" $ports -Y '_ws.malformed || (_ws.expert.severity == error)' 2>/dev/null | head -5)
# shellcheck disable=SC2086
unknown=$(tshark -r "$capture" $ports -Y 'diameter.avp.unknown' -T fields -e diameter.avp.code 2>/dev/null |
    tr ',' '\n' | sort -un | awk '$1 < 659 || $1 > 666' | head -5)
echo "tshark: $sip SIP and $cx Cx messages"
if [ "$sip" -ge "$2" ] && [ "$cx" -ge "$3" ] && [ -z "$bad" ]; then
    passed 1
else
    failure "tshark: wanted $2 SIP and $3 Cx messages and nothing malformed. ${bad}"
    exit 1
fi
