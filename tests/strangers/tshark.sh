#!/usr/bin/env bash
# tshark.sh CAPTURE SIP CX [THEIRS]: tshark finds at least so many SIP and Cx messages in CAPTURE, nothing malformed, no
# wrong checksum and nothing that it warns of; no unknown AVP but 659 to 666, which its dictionary lacks
# (tests/diameter_vectors.rs checks those).
# THEIRS: remarks on what a stranger sends that we capture, as a regular expression.
set -u
. "$(dirname "$0")/lib.sh"
capture=$1
# Our ports are not among those that tshark takes for SIP and Diameter.
decode=(-d tcp.port==3869-3872,diameter)
for ports in 4060 6060 6100 5100-5163; do decode+=(-d "tcp.port==$ports,sip" -d "udp.port==$ports,sip"); done
checksums=(-o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -o tcp.check_checksum:TRUE)
read_fields() { tshark -r "$capture" "${checksums[@]}" "${decode[@]}" -T fields -E 'aggregator=|' "$@" 2>"$capture.err"; }

counts=$(read_fields -e sip.CSeq.method -e diameter.cmd.code) || { failure "tshark: $(tail -1 "$capture.err")"; exit 1; }
read -r sip cx < <(awk -F'\t' '{ if ($1 != "") s += split($1, a, "|")
    n = split($2, c, "|"); for (i = 1; i <= n; i++) if (c[i] >= 300 && c[i] <= 305) d++ } END { print s + 0, d + 0 }' <<<"$counts")

# Severities and messages are parallel lists; 0x600000 is a warning.
remarks=$(read_fields -Y '_ws.malformed || _ws.expert.severity >= 0x600000' -e frame.number -e _ws.malformed \
    -e _ws.expert.severity -e _ws.expert.message) || { failure "tshark: $(tail -1 "$capture.err")"; exit 1; }
bad=$(awk -F'\t' -v theirs="${4:-^$}" '$1 != "" { if ($2 != "") print "frame " $1 ": malformed"
    split($3, severity, "|"); n = split($4, m, "|")
    for (i = 1; i <= n; i++)
        if (severity[i] >= 6291456 && m[i] !~ /^Unknown AVP (659|66[0-6]) / && m[i] !~ theirs)
            print "frame " $1 ": " m[i] }' <<<"$remarks" | head -5)

echo "tshark: $sip SIP and $cx Cx messages, $([ -z "$bad" ] && echo nothing || echo something) malformed or unknown"
if [ "$sip" -ge "$2" ] && [ "$cx" -ge "$3" ] && [ -z "$bad" ]; then
    passed 1
else
    failure "tshark: wanted $2 SIP and $3 Cx messages and nothing malformed or unknown. $bad"
    exit 1
fi
