#!/usr/bin/env bash
# python-diameter as the peer of our HSS: capabilities exchange, watchdog, UAR, MAR, SAR, LIR, disconnect.
set -u
. "$(dirname "$0")/lib.sh"
need_python || exit 0
work=$(mktemp -d "$target/pydiam.XXXXXX")
trap 'stop_imsreg; rm -rf "$work"' EXIT
realm=ims.mnc001.mcc001.3gppnetwork.org
start_imsreg "$work/hss.log" serve --only hss --realm $realm --diameter 127.0.0.1:3868 || { failure "imsreg serve --only hss"; exit 1; }
if "$python" "$(dirname "$0")/python_diameter.py" 127.0.0.1 3868 $realm; then passed 1; else failure "python-diameter"; exit 1; fi
stop_imsreg || { failure "imsreg serve --only hss did not stop in order"; exit 1; }
