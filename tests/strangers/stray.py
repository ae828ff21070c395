#!/usr/bin/env python3
"""stray.py KEYS ue|pcscf <SETS: as this end of each set would, sends a TCP segment of a connection that does not exist
through its two SAs towards the other end. SETS is what `imsreg sa --json` says, KEYS a file in the form of esp_sa; sets
whose algorithms are not HMAC and null are left out. Prints how many were sent."""
import csv, hashlib, hmac, ipaddress, json, socket, struct, sys

DATA = b"of nobody's connection"


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(source, destination, ports):
    ends = b"".join(ipaddress.ip_address(a).packed for a in (source, destination))
    header = lambda check: struct.pack("!HHIIBBHHH", *ports, 4711, 815, 5 << 4, 0x18, 65535, check, 0)
    pseudo = ends + struct.pack("!II", 20 + len(DATA), socket.IPPROTO_TCP)
    return header(checksum(pseudo + header(0) + DATA)) + DATA


def esp(spi, key, hash, payload):
    pad = -(len(payload) + 2) % 4
    # Far beyond what the peer has sent so far.
    packet = struct.pack("!II", spi, 1_000_000) + payload + bytes(range(1, pad + 1)) + bytes([pad, socket.IPPROTO_TCP])
    return packet + hmac.new(key, packet, hash).digest()[:12]


keys = {}
for _, _, destination, spi, encryption, _, integrity, key in csv.reader(open(sys.argv[1])):
    if encryption == "NULL":
        hash = hashlib.md5 if "MD5" in integrity else hashlib.sha1
        keys[destination, int(spi, 16)] = bytes.fromhex(key[2:]), hash
sent = 0
for s in json.load(sys.stdin)["sets"]:
    here, there = (s["ue"], s["pcscf"]) if sys.argv[2] == "ue" else (s["pcscf"], s["ue"])
    for ours, theirs in ("c", "s"), ("s", "c"):
        spi = there["spi_" + theirs]
        if (there["address"], spi) not in keys:
            continue
        family = socket.AF_INET6 if ":" in here["address"] else socket.AF_INET
        inner = segment(here["address"], there["address"], (here["port_" + ours], there["port_" + theirs]))
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ESP) as raw:
            raw.bind((here["address"], 0))
            raw.sendto(esp(spi, *keys[there["address"], spi], inner), (there["address"], 0))
        sent += 1
print(sent)
