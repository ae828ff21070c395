"""res.py LOG COUNT: judges the log of register.xml or life.xml.

Every one of COUNT subscribers must have its 200; every 403 must have a RES with a zero octet in it, recomputed here from
K (ASCII "K" and the IMSI), OP (ASCII 0123456789abcdef) and the RAND of the nonce (TS 35.206).
"""

import base64
import re
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0])
from milenage import Milenage

OP = b"0123456789abcdef"


def main():
    lines = [m.groups() for m in re.finditer(r"(200|403|gave-up) (\d{15}) (\S+)", open(sys.argv[1]).read())]
    registered = {imsi for what, imsi, _ in lines if what == "200"}
    cut, wrong = 0, []
    for what, imsi, nonce in lines:
        if what == "403":
            value = Milenage(b"K" + imsi.encode(), OP).res(base64.b64decode(nonce)[:16])
            if 0 in value:
                cut += 1
            else:
                wrong.append("%s: 403 although RES %s has no zero octet" % (imsi, value.hex()))
    print("%d of %s registered; %d refused once because SIPp cut a RES at its zero octet" % (len(registered), sys.argv[2], cut))
    for line in wrong[:10]:
        print(line)
    sys.exit(len(registered) != int(sys.argv[2]) or bool(wrong))


main()
