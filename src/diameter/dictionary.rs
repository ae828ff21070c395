//! Codes, vendors, types and M bits of RFC 6733, RFC 4590 and TS 29.229.
