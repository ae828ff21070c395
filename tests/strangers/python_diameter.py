"""python_diameter.py HOST PORT REALM: a Cx client made of python-diameter's codec, against an HSS.

Its typed Multimedia-Auth class has the AVP codes of RFC 4740, so every AVP is given by code and vendor.
"""

import socket
import sys

from diameter.message import Avp, Message

CX, TGPP = 16777216, 10415
HOST, PORT, REALM = sys.argv[1], int(sys.argv[2]), sys.argv[3]
IMPI = "001010000000001@" + REALM
IMPU = "sip:" + IMPI


def avp(code, value, vendor=0):
    return Avp.new(code, vendor, value=value)


class Peer:
    def __init__(self):
        self.socket = socket.create_connection((HOST, PORT), timeout=5)
        self.serial = 0

    def ask(self, command, application, avps):
        self.serial += 1
        message = Message()
        message.header.command_code = command
        message.header.application_id = application
        message.header.is_request = True
        message.header.is_proxyable = application != 0
        message.header.hop_by_hop_identifier = self.serial
        message.header.end_to_end_identifier = 0x50000000 + self.serial
        for item in avps:
            message.append_avp(item)
        self.socket.sendall(message.as_bytes())
        answer = Message.from_bytes(self.read())
        assert answer.header.hop_by_hop_identifier == self.serial, "hop-by-hop id of another request"
        return answer

    def read(self):
        data = b""
        while len(data) < 4 or len(data) < int.from_bytes(data[1:4], "big"):
            more = self.socket.recv(65536)
            assert more, "the HSS closed the connection"
            data += more
        return data

    def cx(self, command, avps):
        common = [
            avp(263, "probe;1;%d" % self.serial),
            avp(260, [avp(266, TGPP), avp(258, CX)]),
            avp(277, 1),
            avp(264, b"client." + REALM.encode()),
            avp(296, REALM.encode()),
            avp(283, REALM.encode()),
        ]
        return self.ask(command, CX, common + avps)


def found(answer, code, vendor=0):
    for item in answer.avps:
        if item.code == code and item.vendor_id == vendor:
            return item.value
    raise AssertionError("no AVP %d in the answer to %d" % (code, answer.header.command_code))


def result(answer):
    for item in answer.avps:
        if item.code == 268:
            return item.value
        if item.code == 297:
            return ("experimental", [a.value for a in item.value if a.code == 298][0])
    raise AssertionError("no result")


def expect(what, answer, wanted):
    assert result(answer) == wanted, "%s: %s, expected %s" % (what, result(answer), wanted)
    print("%-4s %s" % (what, wanted))
    return answer


peer = Peer()
me = [avp(264, b"client." + REALM.encode()), avp(296, REALM.encode())]
expect("CER", peer.ask(257, 0, me + [
    avp(257, "127.0.0.1"), avp(266, TGPP), avp(269, "python-diameter"), avp(265, TGPP),
    avp(260, [avp(266, TGPP), avp(258, CX)])]), 2001)
expect("DWR", peer.ask(280, 0, me), 2001)
server = "sip:scscf.%s:6060" % REALM
expect("UAR", peer.cx(300, [avp(1, IMPI), avp(601, IMPU, TGPP), avp(600, REALM.encode(), TGPP)]), ("experimental", 2001))
maa = expect("MAR", peer.cx(303, [
    avp(1, IMPI), avp(601, IMPU, TGPP), avp(607, 1, TGPP), avp(602, server, TGPP),
    avp(612, [avp(608, "Digest-AKAv1-MD5", TGPP)], TGPP)]), 2001)
item = {a.code: a.value for a in found(maa, 612, TGPP)}
assert len(item[609]) == 32 and len(item[610]) == 8 and len(item[625]) == 16 and len(item[626]) == 16, "vector"
saa = expect("SAR", peer.cx(301, [avp(1, IMPI), avp(601, IMPU, TGPP), avp(602, server, TGPP), avp(614, 1, TGPP), avp(624, 0, TGPP)]), 2001)
assert b"<IMSSubscription" in found(saa, 606, TGPP), "user data"
lia = expect("LIR", peer.cx(302, [avp(601, IMPU, TGPP)]), 2001)
assert found(lia, 602, TGPP) == server, "Server-Name"
expect("SAR", peer.cx(301, [avp(1, IMPI), avp(601, IMPU, TGPP), avp(602, server, TGPP), avp(614, 5, TGPP), avp(624, 1, TGPP)]), 2001)
expect("DPR", peer.ask(282, 0, me + [avp(273, 0)]), 2001)
