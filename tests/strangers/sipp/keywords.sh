# Fields 1 and 2 of SIPp's users; sourced, with $realm set.

aka() { echo "[authentication username=$1@$realm aka_K=K$1 aka_OP=0123456789abcdef aka_AMF=0x8000]"; }
digest() { echo "[authentication username=$1@$realm password=$2]"; }

# Authorization of a first REGISTER: who it is (TS 24.229 clause 5.1.1.2.2).
claim() { echo "Authorization: Digest username=\"$1@$realm\",realm=\"$realm\",nonce=\"\",uri=\"sip:$realm\",response=\"\""; }
