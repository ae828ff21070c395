#!/usr/bin/env bash
# SIP digest over TLS: a phone on OpenSSL at our P-CSCF, the certificate and its authority made by openssl.
set -u
. "$(dirname "$0")/lib.sh"
here=$(dirname "$0")
need openssl:openssl python3:python3 "$tshark" || exit 0
work=$(mktemp -d "$target/tls.XXXXXX")
trap 'stop_imsreg; rm -rf "$work"' EXIT
status=0 core=127.0.6.3
openssl version

# An authority and a certificate of it, as an operator has them.
{
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=lab authority" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign \
        -keyout "$work/ca.key" -out "$work/ca.pem" &&
        openssl req -newkey rsa:2048 -nodes -subj "/CN=pcscf" -keyout "$work/pcscf.key" -out "$work/pcscf.csr" &&
        printf 'subjectAltName=DNS:pcscf.ims.example.org,IP:%s\n' "$core" >"$work/names" &&
        openssl x509 -req -days 2 -in "$work/pcscf.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial \
            -extfile "$work/names" -out "$work/pcscf.pem"
} >"$work/openssl.log" 2>&1 || { cat "$work/openssl.log" >&2; failure "openssl makes no certificate"; exit 1; }

start_imsreg "$work/serve.log" serve --profile digest-tls --sip $core:5060 --set icscf.listen=[$core:4060] \
    --set scscf.listen=[$core:6060] --diameter $core:3868 --set "pcscf.tls.listen='$core:5061'" \
    --set "pcscf.tls.certificate=$work/pcscf.pem" --set "pcscf.tls.key=$work/pcscf.key" \
    --control "$work/ctl" --capture "$work/all.pcapng" || { failure "imsreg serve with TLS"; exit 1; }
python3 "$here/tls_phone.py" $core 5061 5060 "$work/ca.pem" >"$work/phone.log" 2>&1
failures=$?
cat "$work/phone.log"
passed "$(grep -c '^holds: ' "$work/phone.log")"
[ $failures -eq 0 ] || { failure "a phone on OpenSSL: $failures of its checks"; status=1; }
# And our own phone, which believes that authority too.
if "$imsreg" register --profile digest-tls --pcscf $core:5061 --source 127.0.6.4 --tls-trust "$work/ca.pem" \
    --impu sip:alice@ims.example.org --password secret-of-alice --deregister >"$work/register.log" 2>&1; then
    passed 1
    echo "imsreg register believes the authority that openssl made"
else
    cat "$work/register.log" >&2
    failure "imsreg register over TLS"
    status=1
fi
stop_imsreg || { failure "imsreg serve did not stop in order"; status=1; }
# No key is in what was written, and what was encrypted can be read in the capture.
if grep -qs 'PRIVATE KEY' "$work/serve.log" "$work/all.pcapng"; then failure "a private key was written"; status=1; else passed 1; fi
credentials "SIP over TLS, read by tshark" "$work/all.pcapng" 'sip.Via.transport == "TLS" && sip.CSeq.method == "REGISTER" && tcp.port == 5061' 4 || status=1
bash "$here/tshark.sh" "$work/all.pcapng" 20 8 || status=1
exit $status
