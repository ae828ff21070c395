"""res.py LOG COUNT: judges the log of register-aka.xml.

Every one of COUNT subscribers must have its 200; every 403 must have a RES with a zero octet in it, recomputed here from
K (ASCII "K" and the IMSI), OP (ASCII 0123456789abcdef) and the RAND of the nonce (TS 35.206).
"""

import base64
import re
import sys

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

OP = b"0123456789abcdef"


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def encrypt(key, block):
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)


def res(imsi, rand):
    k = b"K" + imsi.encode()
    opc = xor(encrypt(k, OP), OP)
    temp = encrypt(k, xor(rand, opc))
    return xor(encrypt(k, xor(xor(temp, opc), bytes(15) + b"\1")), opc)[8:]


def main():
    lines = [m.groups() for m in re.finditer(r"(200|403|gave-up) (\d{15}) (\S+)", open(sys.argv[1]).read())]
    registered = {imsi for what, imsi, _ in lines if what == "200"}
    cut, wrong = 0, []
    for what, imsi, nonce in lines:
        if what == "403":
            value = res(imsi, base64.b64decode(nonce)[:16])
            if 0 in value:
                cut += 1
            else:
                wrong.append("%s: 403 although RES %s has no zero octet" % (imsi, value.hex()))
    print("%d of %s registered; %d refused once because SIPp cut a RES at its zero octet" % (len(registered), sys.argv[2], cut))
    for line in wrong[:10]:
        print(line)
    sys.exit(len(registered) != int(sys.argv[2]) or bool(wrong))


main()
