//! Messages that only who knows a secret can have written.

/// HMAC-SHA256 (RFC 2104) of a message.
#[must_use]
pub fn sha256(secret: &[u8], message: &[u8]) -> [u8; 32] {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let tag = ring::hmac::sign(&key, message);
    std::array::from_fn(|n| tag.as_ref()[n])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2.
    #[test]
    fn is_what_the_rfc_says() {
        let found = hex::encode(sha256(b"Jefe", b"what do ya want for nothing?"));
        assert_eq!(found, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}
