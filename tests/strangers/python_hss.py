"""python_hss.py REALM IMSI UE-COMMAND ...: an HSS made of python-diameter's codec, for our I-CSCF and S-CSCF.

It waits for both, starts the UE with the command, answers UAR, MAR and SAR, changes the profile (PPR), takes the
registration away (RTR), and judges what it is asked: AVPs that TS 29.229 clause 6.1 wants, one session a request.
K of the subscriber is ASCII "K" and the IMSI, OP is ASCII 0123456789abcdef.
"""

import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time

from diameter.message import Avp, Message

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from milenage import Milenage

CX, TGPP = 16777216, 10415
REALM, IMSI, UE = sys.argv[1], sys.argv[2], sys.argv[3:]
IMPI = IMSI + "@" + REALM
IMPU = "sip:" + IMPI
USIM = Milenage(b"K" + IMSI.encode(), b"0123456789abcdef")
NAMES = {257: "CER", 280: "DWR", 282: "DPR", 300: "UAR", 301: "SAR", 302: "LIR", 303: "MAR"}
COMMON = [263, 260, 277, 264, 296, 283]
WANTED = {300: COMMON + [1, 601, 600], 303: COMMON + [1, 601, 612, 607, 602], 301: COMMON + [1, 601, 602, 614, 624],
          257: [264, 296, 257, 266, 269, 260], 280: [264, 296], 282: [264, 296, 273]}
PATIENCE = 20


def avp(code, value, vendor=0):
    return Avp.new(code, vendor, value=value)


def value(message, code):
    return next((a.value for a in message.avps if a.code == code), None)


def profile(display):
    return ("<?xml version='1.0' encoding='UTF-8'?><IMSSubscription><PrivateID>%s</PrivateID><ServiceProfile>"
            "<PublicIdentity><Identity>%s</Identity><Extension><IdentityType>0</IdentityType><Extension><DisplayName>%s"
            "</DisplayName></Extension></Extension></PublicIdentity></ServiceProfile></IMSSubscription>"
            % (IMPI, IMPU, display)).encode()


class Hss:
    def __init__(self):
        self.peers, self.asked, self.faults, self.types = {}, [], [], []
        self.answers, self.server, self.serial, self.sessions = queue.Queue(), None, 0, set()
        self.lock = threading.Condition()

    def serve(self, connection):
        host = "?"
        while True:
            data = self.read(connection)
            if not data:
                break
            message = Message.from_bytes(data)
            if not message.header.is_request:
                self.answers.put(message)
                continue
            with self.lock:
                code = message.header.command_code
                self.asked.append(NAMES.get(code, str(code)))
                for wanted in WANTED.get(code, []):
                    if value(message, wanted) is None:
                        self.faults.append("%s without AVP %d" % (NAMES[code], wanted))
                session = value(message, 263)
                if session in self.sessions:
                    self.faults.append("session %s twice: each pair is a session of its own (TS 29.229 clause 5.3)" % session)
                self.sessions.update([session] if session else [])
                if code == 257:
                    host = value(message, 264).decode()
                    self.peers[host] = connection
                connection.sendall(self.answer(message).as_bytes())
                self.lock.notify_all()
            if code == 282:
                break
        with self.lock:
            self.peers.pop(host, None)
            self.lock.notify_all()
        connection.close()

    @staticmethod
    def read(connection):
        data = b""
        while len(data) < 4 or len(data) < int.from_bytes(data[1:4], "big"):
            # One message at a time: the header says how much belongs to it.
            want = 4 - len(data) if len(data) < 4 else int.from_bytes(data[1:4], "big") - len(data)
            try:
                more = connection.recv(want)
            except OSError:
                return b""
            if not more:
                return b""
            data += more
        return data

    def message(self, code, application, is_request, avps):
        message = Message()
        message.header.command_code = code
        message.header.application_id = application
        message.header.is_request = is_request
        message.header.is_proxyable = application != 0
        for item in avps:
            message.append_avp(item)
        return message

    def me(self):
        return [avp(264, b"hss." + REALM.encode()), avp(296, REALM.encode())]

    def cx(self):
        return [avp(260, [avp(266, TGPP), avp(258, CX)]), avp(277, 1)]

    def answer(self, request):
        code = request.header.command_code
        if code == 257:
            avps = [avp(268, 2001)] + self.me() + [avp(257, "127.0.0.1"), avp(266, TGPP), avp(269, "python-diameter"),
                    avp(265, TGPP), avp(260, [avp(266, TGPP), avp(258, CX)])]
        elif code in (280, 282):
            avps = [avp(268, 2001)] + self.me()
        else:
            avps = [avp(263, value(request, 263))] + self.cx() + self.me() + getattr(self, NAMES[code].lower())(request)
        answer = self.message(code, request.header.application_id, False, avps)
        answer.header.hop_by_hop_identifier = request.header.hop_by_hop_identifier
        answer.header.end_to_end_identifier = request.header.end_to_end_identifier
        return answer

    def uar(self, request):
        if self.server:
            return [avp(297, [avp(266, TGPP), avp(298, 2002)]), avp(602, self.server, TGPP)]
        return [avp(297, [avp(266, TGPP), avp(298, 2001)])]

    def mar(self, request):
        self.serial += 1
        rand = os.urandom(16)
        autn, xres, ck, ik = USIM.vector(rand, (self.serial * 32).to_bytes(6, "big"))
        self.server = value(request, 602)
        item = [avp(613, 1, TGPP), avp(608, "Digest-AKAv1-MD5", TGPP), avp(609, rand + autn, TGPP), avp(610, xres, TGPP),
                avp(625, ck, TGPP), avp(626, ik, TGPP)]
        return [avp(268, 2001), avp(1, IMPI), avp(601, IMPU, TGPP), avp(607, 1, TGPP), avp(612, item, TGPP)]

    def sar(self, request):
        self.types.append(value(request, 614))
        more = [avp(606, profile("python"), TGPP)] if value(request, 614) in (1, 2) else []
        return [avp(268, 2001), avp(1, IMPI)] + more

    def ask(self, host, code, application, avps):
        """Sends a request and returns the answer, which must be the answer to it."""
        self.serial += 1
        request = self.message(code, application, True, avps)
        request.header.hop_by_hop_identifier = request.header.end_to_end_identifier = 0x60000000 + self.serial
        with self.lock:
            self.peers[host].sendall(request.as_bytes())
        answer = self.answers.get(timeout=PATIENCE)
        assert answer.header.hop_by_hop_identifier == request.header.hop_by_hop_identifier, "hop-by-hop id of another request"
        assert answer.header.command_code == code, "answer of another command"
        return answer

    def tell(self, host, code, avps):
        session = "hss.%s;1;%d" % (REALM, self.serial)
        answer = self.ask(host, code, CX, [avp(263, session)] + self.cx() + self.me() + [
            avp(293, host.encode()), avp(283, REALM.encode()), avp(1, IMPI)] + avps)
        assert value(answer, 263) == session, "Session-Id of the answer"
        assert value(answer, 268) == 2001, "Result-Code %s" % value(answer, 268)

    def until(self, what, condition):
        with self.lock:
            if not self.lock.wait_for(condition, PATIENCE):
                sys.exit("python HSS: %s: not within %d s; asked: %s" % (what, PATIENCE, " ".join(self.asked)))


class Ue:
    """The UE's events, one JSON object a line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.events = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.events.put(json.loads(line))

    def until(self, name):
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                sys.exit("the UE does not say `%s` within %d s" % (name, PATIENCE))
            if event["event"] == name:
                return event


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", 3868))
listener.listen()
print("listening", flush=True)
hss = Hss()


def accept():
    while True:
        threading.Thread(target=hss.serve, args=(listener.accept()[0],), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
hss.until("I-CSCF and S-CSCF as peers", lambda: len(hss.peers) == 2)
scscf = next(host for host in hss.peers if host.startswith("scscf"))
for host in list(hss.peers):
    assert value(hss.ask(host, 280, 0, hss.me()), 268) == 2001, "DWA"
ue = Ue(UE)
try:
    ue.until("registered")
    assert hss.types == [1], "Server-Assignment-Type of the first SAR: %s" % hss.types
    hss.tell(scscf, 305, [avp(606, profile("changed"), TGPP)])
    hss.tell(scscf, 304, [avp(601, IMPU, TGPP), avp(615, [avp(616, 0, TGPP), avp(617, "moved", TGPP)], TGPP)])
    print("the UE is told: %s" % ue.until("deregistered").get("cause"))
    hss.server = None
    unknown = hss.ask(scscf, 304, CX, [avp(263, "hss.%s;2;1" % REALM)] + hss.cx() + hss.me() + [
        avp(293, scscf.encode()), avp(283, REALM.encode()), avp(1, "nobody@" + REALM), avp(615, [avp(616, 0, TGPP)], TGPP)])
    assert value(unknown, 268) is not None or value(unknown, 297) is not None, "RTA without result"
    print("ready to stop", flush=True)
    hss.until("DWR and DPR of both", lambda: hss.asked.count("DPR") == 2)
finally:
    ue.process.terminate()
    ue.process.wait(timeout=10)
print(" ".join("%s %d" % (name, hss.asked.count(name)) for name in NAMES.values() if name in hss.asked) + ", PPR 1, RTR 2 by us")
for fault in hss.faults:
    print(fault)
sys.exit(bool(hss.faults))
