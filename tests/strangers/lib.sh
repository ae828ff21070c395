# Shared by check.sh and the scripts beside this file; sourced, not run.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export IMSREG_SHARED=${IMSREG_SHARED:-$(cd "$root/../shared" 2>/dev/null && pwd || true)}
target=$(cd "$root" && cargo metadata --format-version 1 --no-deps --offline 2>/dev/null |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
target=${target:-$root/target}
imsreg=${IMSREG_BIN:-$target/release/imsreg} # another build can be judged: IMSREG_BIN=PATH

mkdir -p "$target"
# One file gathers the counts of all parts and scripts of one run of check.sh; a script run alone counts nothing.
IMSREG_TALLY=${IMSREG_TALLY:-/dev/null}

passed() { echo "ran $1" >>"$IMSREG_TALLY"; }
failure() { echo "ran 1" >>"$IMSREG_TALLY"; echo "failed 1 $1" >>"$IMSREG_TALLY"; echo "FAILED: $1" >&2; }
not_run() { echo "not_run 1 $1" >>"$IMSREG_TALLY"; echo "not run: $1"; }
# ratio NAME OURS THEIRS LIMIT: fails unless OURS <= LIMIT * THEIRS.
ratio() {
    if awk -v a="$2" -v b="$3" -v l="$4" 'BEGIN { exit !(a > 0 && b > 0 && a <= l * b) }'; then
        passed 1
        awk -v n="$1" -v a="$2" -v b="$3" -v l="$4" 'BEGIN { printf "%s: %.2f of the peer (at most %.2f)\n", n, a / b, l }'
    else
        failure "$1: $2 against $3, wanted at most $4 of it"
        return 1
    fi
}
tally() { awk -v k="$1" '$1 == k { n += $2 } END { print n + 0 }' "$IMSREG_TALLY"; }
# What failed, by name: a log that is cut from its beginning still says it.
faults() { sed -n 's/^\(failed [0-9]*\|name\) \(..*\)/  failed: \2/p' "$IMSREG_TALLY"; }
reasons() { sed -n 's/^not_run 1 /  not run: /p' "$IMSREG_TALLY" | sort | uniq -c | sed 's/^ *\([0-9]*\)   not run: /  not run, \1 x: /'; }

# Runs cargo test, shows it, and counts tests. One that says `not run: ...` has passed for cargo, but not for us.
counted() {
    local log status
    log=$(mktemp "$target/log.XXXXXX")
    "$@" -- --nocapture >"$log" 2>&1
    status=$?
    # cargo test -q writes its dots before what a test prints.
    awk '/^test result:/ { p += $4; f += $6; i += $8 }
         sub(/^[.iF]*not run: /, "") { s++; print "not_run 1 " $0 }
         # Each program ends with the names of what failed in it, indented, below a line `failures:`.
         /^failures:/ { names = 1; next }
         names && /^    [^ ]+$/ { print "name " $1; next }
         /^test result:/ { names = 0 }
         /^error: could not compile|^error\[/ { if (!told++) print "name " $0 }
         END { printf "ran %d\nfailed %d\n", p + f - s, f
         for (n = 0; n < i; n++) print "not_run 1 an ignored test" }' "$log" >>"$IMSREG_TALLY"
    if [ $status -ne 0 ]; then cat "$log"; else
        awk '/^test result:/ { p += $4; n++ } END { printf "%d tests in %d programs passed\n", p, n }' "$log"
    fi
    rm -f "$log"
    return $status
}

# has COMMAND|FILE:PACKAGE ...: installs what is missing where it may. Sets missing: the packages still wanted.
has() {
    local pair
    missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || [ -e "${pair%%:*}" ] || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        echo "installing ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1 &&
            return 0
    fi
    return 1
}

# The same, and what depends on it is counted as not run.
need() { has "$@" || { not_run "needs ${missing[*]} (Debian packages)"; return 1; }; }

# Packages of the scripts beside this file, by what they bring.
sipp=sipp:sip-tester tshark=tshark:tshark ss=ss:iproute2
kamailio_modules=$(echo /usr/lib/*/kamailio/modules)
kamailio=(kamailio:kamailio "$kamailio_modules/ims_icscf.so:kamailio-ims-modules"
    "$kamailio_modules/presence.so:kamailio-presence-modules")
freediameter=(freeDiameterd:freediameterd /usr/lib/freeDiameter/acl_wl.fdx:freediameter-extensions openssl:openssl)
linphone=linphonec:linphone-cli baresip=baresip:baresip-core

# Runs a command in a network namespace of its own where that is allowed, so that no port is taken.
alone() {
    local unshare
    for unshare in 'unshare -n' 'unshare -rn'; do
        if command -v ip >/dev/null && $unshare ip link set lo up 2>/dev/null; then
            $unshare sh -c 'ip link set lo up && exec "$@"' alone "$@"
            return
        fi
    done
    "$@"
}

# An address outside 127/8, which some strangers want, in $address: in a namespace of our own loopback has one more.
own_address() {
    if [ "$(ip -o link | wc -l)" -eq 1 ]; then
        address=192.0.2.1
        ip address add $address/32 dev lo
    else
        address=$(ip -4 -o address show scope global | sed -n '1s/.* inet \([0-9.]*\).*/\1/p')
        [ -n "$address" ]
    fi || { not_run "an address outside 127/8"; return 1; }
}

# Starts `imsreg ARGS` in the background, waits for its `ready` line. Sets imsreg_pid and ready.
start_imsreg() {
    local log=$1
    shift
    : >"$log"
    "$imsreg" "$@" >"$log" 2>&1 &
    imsreg_pid=$!
    local i
    for i in $(seq 100); do
        ready=$(grep -m1 -E '^ready|"event": ?"ready"' "$log") && return 0
        kill -0 "$imsreg_pid" 2>/dev/null || break
        sleep 0.1
    done
    cat "$log" >&2
    return 1
}

# serve_two_phones DIGEST ARGUMENT ...: a core at $core for two phones with passwords, alice and bob, whose subscribers
# have this `digest` ({} for the defaults); what it writes goes to $work.
serve_two_phones() {
    local digest=$1
    shift
    cat >"$work/subscribers.yaml" <<YAML
subscribers:
  - {impus: ["sip:alice@ims.test"], password: secret-of-alice, digest: $digest}
  - {impus: ["sip:bob@ims.test"], password: secret-of-bob, digest: $digest}
YAML
    start_imsreg "$work/serve.log" serve --profile lab --realm ims.test --sip $core:5060 --sec-agree offered --json \
        --set icscf.listen=[$core:4060] --set scscf.listen=[$core:6060] --set pcscf.core=$core:5060 --set pcscf.trusted=[$core] \
        --hss-data "$work/subscribers.yaml" --control "$work/ctl" --capture "$work/all.pcapng" "$@" || { failure "imsreg serve"; exit 1; }
}

# What Kamailio's P-, I- and S-CSCF and our HSS read, in $work: at $p, $i, $s and $h.
kamailio_chain() {
    pids=()
    p=127.0.2.1 i=127.0.2.2 s=127.0.2.3 h=127.0.2.4
    fill() { # fill SOURCE NAME
        sed -e "s/@PCSCF_IP@/$p/g;s/@ICSCF_IP@/$i/g;s/@SCSCF_IP@/$s/g;s/@HSS_IP@/$h/g;s#@RUN@#$work#g;s/@DEBUG@/-1/g" \
            -e "s/@CHILDREN@/1/g;s/@NOTCP@/yes/g;s/@WORKERS@/1/g;s/@QUEUE@/16/g;s/@NAME@/$2/g" "$1"
    }
    kamailio_files=$IMSREG_SHARED/peers/kamailio
    for role in pcscf icscf scscf; do
        fill "$kamailio_files/$role.cfg" $role >"$work/$role.cfg"
        fill "$kamailio_files/cdp.xml" $role >"$work/$role.xml"
    done
    mkdir "$work/icscf-db"
    printf 'id(int) name(string) s_cscf_uri(string)\n1:scscf:sip\\:%s\\:6060\n' $s >"$work/icscf-db/s_cscf"
    printf 'id(int) id_s_cscf(int) capability(int)\n1:1:1\n' >"$work/icscf-db/s_cscf_capabilities"
    printf 'id(int) trusted_domain(string)\n1:ims.test\n' >"$work/icscf-db/nds_trusted_domains"
    printf 'table_name(string) table_version(int)\ns_cscf:6\ns_cscf_capabilities:6\nnds_trusted_domains:6\n' >"$work/icscf-db/version"

    cat >"$work/subscribers.yaml" <<YAML
subscribers:
  - {imsi: "001010000001000", range: 100, realm: ims.test, k: "4b{imsi}", op: 30313233343536373839616263646566}
YAML
}

# start_kamailio ROLE ...: ready when its I-CSCF and S-CSCF have opened their Diameter connections.
start_kamailio() {
    local role peers=0
    for role in "$@"; do
        kamailio -DD -m 512 -M 16 -f "$work/$role.cfg" -P "$work/$role.pid" -w "$work" >"$work/$role.log" 2>&1 &
        pids+=($!)
        [ "$role" = pcscf ] || peers=$((peers + 1))
    done
    for _ in $(seq 100); do
        [ "$(ss -Htn state established "src $h:3868" 2>/dev/null | wc -l)" -ge $peers ] && break
        read -rt 0.2 <> <(:) || :
    done
}

# Ends what start_kamailio started, by its ids.
stop_kamailio() {
    local pid
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    pids=()
}

# verdicts REPORT: one line for each case of a report of `imsreg check --json`: its verdict, its id, what was found where it failed.
verdicts() {
    "${python:-python3}" - "$1" <<'PY'
import json, sys
for line in open(sys.argv[1]):
    event = json.loads(line)
    if event["event"] == "case":
        found = "; ".join(failure["found"] for failure in event.get("failures", []))
        print("%-14s %s%s" % (event["verdict"], event["id"], ": " + found if found else ""))
PY
}

# differing GOLDEN VERDICTS: the cases whose verdicts are others, as --only takes them. A packet may be lost on the way to a peer and
# a machine may stand still: such a case is played once more, and nothing else is.
differing() {
    LC_ALL=C comm -3 <(LC_ALL=C sort "$1") <(LC_ALL=C sort "$2") | sed -nE 's/^\t?[a-z-]+ +([^: ]+).*/\1/p' | LC_ALL=C sort -u | paste -sd,
}

# renewed VERDICTS AGAIN: puts the verdicts of AGAIN in the place of those of the same cases, and tells of it.
renewed() {
    local verdict id rest
    while read -r verdict id rest; do
        echo "played again: ${id%:}: $(grep -E "^[a-z-]+ +${id%:}(:|\$)" "$1" | cut -d' ' -f1), now $verdict"
    done <"$2"
    awk '{ id = $2; sub(/:$/, "", id) } NR == FNR { new[id] = $0; next } id in new { print new[id]; next } { print }' "$2" "$1" >"$1.new" && mv "$1.new" "$1"
}

# as_golden WHO GOLDEN VERDICTS LEAST PAGE: the verdicts are those of a golden file, so many of them judged at least, and a page
# explains each failure.
as_golden() {
    local judged differs id status=0
    judged=$(grep -cE '^(passed|failed) ' "$3")
    if [ "$judged" -ge "$4" ] && differs=$(diff "$2" "$3"); then
        passed "$judged"
        echo "$(grep -c ^passed "$3") cases passed, $(grep -c ^failed "$3") failed as explained"
    else
        failure "$1: another report than $2: $judged judged; $(echo "$differs" | head -5)"
        status=1
    fi
    for id in $(sed -n 's/^failed  *\([^:]*\):.*/\1/p' "$2"); do
        grep -qF "\`$id\`" "$5" || { failure "$5 does not explain $id"; status=1; }
    done
    return $status
}

# credentials WHAT CAPTURE FILTER LEAST: so many requests of a capture, at least, have what the filter of tshark wants.
credentials() {
    local found
    found=$(tshark -r "$2" -Y "$3" -T fields -e sip.CSeq 2>/dev/null | wc -l)
    if [ "$found" -ge "$4" ]; then passed 1; echo "$1: $found requests"; else failure "$1: $found requests, wanted $4"; return 1; fi
}

# Ends what start_imsreg started, by its id, and waits for its exit status.
stop_imsreg() {
    [ -n "${imsreg_pid:-}" ] || return 0
    kill -TERM "$imsreg_pid" 2>/dev/null
    wait "$imsreg_pid"
    local status=$?
    imsreg_pid=
    return $status
}

# A virtual environment under target/ with what the Python checks need; its interpreter in $python.
has_python() {
    python=$target/venv/bin/python
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        has python3:python3 || return
        python3 -m venv --clear "$target/venv" >/dev/null 2>&1 ||
            { has /no/such/file:python3-venv && python3 -m venv --clear "$target/venv"; } >/dev/null 2>&1 || return
    fi
    "$python" -c 'import cryptography, yaml, diameter' 2>/dev/null ||
        "$python" -m pip install -q --disable-pip-version-check 'python-diameter==0.9.0' cryptography pyyaml
}

# The same, and what depends on it is counted as not run.
need_python() { has_python || { not_run "Python with venv, python-diameter, cryptography and pyyaml"; return 1; }; }

# shared PATH: the folder of test material, or not run.
shared() {
    [ -e "$IMSREG_SHARED/$1" ] && return 0
    not_run "$1 of the shared test material is absent"
    return 1
}

# Counts what a probe suite wrote: PASS passed, FAIL failed, SKIP not run.
count_probes() {
    "$python" - "$1" "$2" >>"$IMSREG_TALLY" <<'PY'
import json, sys
r = json.load(open(sys.argv[2]))
print("ran", r["pass"] + r["fail"])
print("failed", r["fail"])
for p in r["probes"]:
    if p["verdict"] == "FAIL":
        print("name %s %s: %s" % (sys.argv[1], p["id"], p["detail"]))
    if p["verdict"] == "SKIP":
        print("not_run 1 %s %s: %s" % (sys.argv[1], p["id"], p["detail"]))
PY
}

# Runs a probe suite with --json and counts it.
probe_suite() {
    local name=$1 out status
    shift
    out=$(mktemp "$target/probe.XXXXXX")
    "$@" --quiet --json "$out"
    status=$?
    count_probes "$name" "$out"
    rm -f "$out"
    return $status
}
