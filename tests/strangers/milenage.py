"""Milenage (TS 35.206) with the constants that everybody uses."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


class Milenage:
    def __init__(self, k, op):
        self.k = k
        self.opc = xor(self.encrypt(op), op)

    def encrypt(self, block):
        return Cipher(algorithms.AES(self.k), modes.ECB()).encryptor().update(block)

    def out(self, rand, rotation, constant):
        block = xor(self.encrypt(xor(rand, self.opc)), self.opc)
        block = block[rotation:] + block[:rotation]
        return xor(self.encrypt(xor(block, bytes(15) + bytes([constant]))), self.opc)

    def res(self, rand):
        return self.out(rand, 0, 1)[8:]

    def mac(self, rand, sqn, amf):
        block = xor((sqn + amf) * 2, self.opc)
        mixed = xor(self.encrypt(xor(rand, self.opc)), block[8:] + block[:8])
        return xor(self.encrypt(mixed), self.opc)[:8]

    def vector(self, rand, sqn, amf=b"\x80\0"):
        """AUTN, XRES, CK, IK."""
        ak = self.out(rand, 0, 1)[:6]
        return xor(sqn, ak) + amf + self.mac(rand, sqn, amf), self.res(rand), self.out(rand, 4, 2), self.out(rand, 8, 4)
