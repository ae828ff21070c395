"""A phone that speaks TLS by OpenSSL and SIP by itself: SIP digest over TLS with Security-Client: tls.

tls_phone.py ADDRESS PORT CLEAR-PORT TRUSTED.pem: prints what holds, exits with the number of things that do not.
"""

import hashlib
import re
import socket
import ssl
import sys
import uuid

HOST, TLS_PORT, CLEAR_PORT, TRUSTED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
REALM, USER, PASSWORD = "ims.example.org", "alice@ims.example.org", "secret-of-alice"
AGREE = ["Require: sec-agree", "Proxy-Require: sec-agree", "Security-Client: tls"]
VERIFY = AGREE + ["Security-Verify: tls"]
failed = 0


def check(what, holds, text=""):
    global failed
    print(("holds: " if holds else "FAILS: ") + what + ("" if holds else "\n" + text))
    failed += not holds


def header(text, name):
    found = re.search(rf"^{name}: *(.*)\r$", text, re.M | re.I)
    return found.group(1) if found else None


def status(text):
    return int(text.split(" ")[1]) if text.startswith("SIP/2.0 ") else 0


class Phone:
    def __init__(self):
        context = ssl.create_default_context(cafile=TRUSTED)
        self.socket = context.wrap_socket(socket.create_connection((HOST, TLS_PORT), timeout=10), server_hostname=HOST)
        self.call_id, self.cseq, self.count, self.nonce, self.rest = uuid.uuid4().hex, 0, 0, "", b""

    def credentials(self, password):
        if not self.nonce:
            return f'Digest username="{USER}",realm="{REALM}",uri="sip:{REALM}",nonce="",response=""'
        md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
        self.count += 1
        nc, cnonce = f"{self.count:08x}", uuid.uuid4().hex[:16]
        ha1, ha2 = md5(f"{USER}:{REALM}:{password}"), md5(f"REGISTER:sip:{REALM}")
        response = md5(f"{ha1}:{self.nonce}:{nc}:{cnonce}:auth:{ha2}")
        return (f'Digest username="{USER}",realm="{REALM}",uri="sip:{REALM}",nonce="{self.nonce}",'
                f'response="{response}",algorithm=MD5,qop=auth,nc={nc},cnonce="{cnonce}"')

    def register(self, lines, expires=600, transport="TLS", password=PASSWORD):
        self.cseq += 1
        own = "%s:%d" % self.socket.getsockname()[:2]
        return "\r\n".join([
            f"REGISTER sip:{REALM} SIP/2.0", f"Via: SIP/2.0/{transport} {own};branch=z9hG4bK{uuid.uuid4().hex};rport",
            "Max-Forwards: 70", f"From: <sip:{USER}>;tag={self.call_id[:8]}", f"To: <sip:{USER}>",
            f"Call-ID: {self.call_id}", f"CSeq: {self.cseq} REGISTER", f"Contact: <sip:alice@{own};transport=tls>",
            f"Expires: {expires}", f"Authorization: {self.credentials(password)}", *lines, "Content-Length: 0", "", ""])

    def receive(self):
        while b"\r\n\r\n" not in self.rest:
            octets = self.socket.recv(65536)
            if not octets:
                return ""
            self.rest += octets
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        length = int(header(head.decode() + "\r\n", "Content-Length") or 0)
        while len(self.rest) < length:
            self.rest += self.socket.recv(65536)
        self.rest = self.rest[length:]
        return head.decode() + "\r\n"

    def ask(self, lines, **more):
        self.socket.sendall(self.register(lines, **more).encode())
        while status(text := self.receive()) == 100:
            pass
        if challenge := header(text, "WWW-Authenticate"):
            self.nonce, self.count = re.search('nonce="([^"]*)"', challenge).group(1), 0
        return text


print("python", sys.version.split()[0] + ",", ssl.OPENSSL_VERSION)
try:
    stranger = ssl.create_default_context()
    stranger.wrap_socket(socket.create_connection((HOST, TLS_PORT), timeout=10), server_hostname=HOST)
    check("a certificate of nobody known is not believed", False)
except ssl.SSLCertVerificationError:
    check("a certificate of nobody known is not believed", True)

phone = Phone()
print("session", phone.socket.version(), phone.socket.cipher()[0])
text = phone.ask(AGREE)
check("401 with Security-Server: tls", status(text) == 401 and header(text, "Security-Server") == "tls", text)
text = phone.ask(VERIFY)
check("200 to the answer", status(text) == 200, text)
text = phone.ask(VERIFY)
check("200 to a refresh over the same session", status(text) == 200, text)
text = phone.ask(AGREE)
check("494 without Security-Verify", status(text) == 494 and header(text, "Security-Server") == "tls", text)

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as clear:
    clear.settimeout(10)
    clear.sendto(phone.register([], transport="UDP").encode(), (HOST, CLEAR_PORT))
    text = clear.recv(65536).decode()
    check("494 or 421 in clear", status(text) in (421, 494), text)

other = Phone()
other.nonce, other.count = phone.nonce, phone.count
text = other.ask(AGREE)
check("494 over another session with credentials of the first", status(text) == 494, text)
other.socket.close()

text = phone.ask(VERIFY, expires=0)
check("200 to the de-registration", status(text) == 200, text)
check("the session is closed behind it", phone.receive() == "")

phone = Phone()
phone.ask(AGREE)
text = phone.ask(VERIFY, password="guessed")
check("a wrong password is refused", status(text) in (401, 403), text)
if status(text) == 403:
    check("the session is closed behind it", phone.receive() == "")
sys.exit(failed)
