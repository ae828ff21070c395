//! Digest responses: MD5, SHA-256, SHA-512-256, AKAv1 and AKAv2 (docs/aka.md).

/// An `algorithm` of digest authentication.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameter")]
pub enum Algorithm {
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
    Sha512_256,
    Sha512_256Sess,
    AkaV1Md5,
    AkaV1Sha256,
    AkaV2Md5,
    AkaV2Sha256,
}

impl Algorithm {
    /// Reads the token, any case.
    pub fn from_token(_token: &str) -> Option<Self> {
        todo!()
    }

    /// As written.
    pub const fn as_str(self) -> &'static str {
        todo!()
    }
}

/// What a digest is computed over; texts exactly as they appear in the header.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Inputs<'a> {
    pub algorithm: Algorithm,
    pub username: &'a str,
    pub realm: &'a str,
    pub nonce: &'a str,
    pub uri: &'a str,
    pub method: &'a str,
    /// `auth` or `auth-int`, with nc and cnonce; `None`: RFC 2069 form.
    pub qop: Option<Qop<'a>>,
    /// Hashed with `auth-int` only.
    pub body: &'a [u8],
}

/// qop with what it brings.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the names are those of the parameters")]
pub struct Qop<'a> {
    pub auth_int: bool,
    pub nc: &'a str,
    pub cnonce: &'a str,
}

/// A digest in lower-case hex, on the stack.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Response {
    hex: [u8; 64],
    len: u8,
}

impl Response {
    /// 32 or 64 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.hex[..usize::from(self.len)]).expect("hex digits")
    }

    /// Compares with a received response in constant time; the case of the digits does not count.
    pub fn matches(&self, _received: &str) -> bool {
        todo!()
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands for the password.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    /// A password as text.
    Password(&'a [u8]),
    /// HA1 in hex, from the HSS.
    Ha1(&'a str),
    /// RES with IK and CK: AKAv1 uses RES, AKAv2 all three.
    Aka {
        /// RES or XRES.
        res: &'a [u8],
        /// IK
        ik: &'a [u8; 16],
        /// CK
        ck: &'a [u8; 16],
    },
}

/// The `response` parameter.
pub fn response(_inputs: &Inputs<'_>, _secret: Secret<'_>) -> Response {
    todo!()
}

/// The `rspauth` parameter of Authentication-Info.
pub fn rspauth(_inputs: &Inputs<'_>, _secret: Secret<'_>) -> Response {
    todo!()
}
