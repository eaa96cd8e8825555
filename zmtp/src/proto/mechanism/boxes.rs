//! The boxes of CURVE: what two keys seal, only the same two open (NaCl's `crypto_box`: X25519, XSalsa20, Poly1305).
//!
//! A box is a tag of 16 octets and then as many octets as were put in. The 24 octets of its nonce are never used twice
//! with the same keys: RFC 26 gives each kind of command a prefix and each command a number, or 16 random octets.

use std::fmt;

use crypto_secretbox::{AeadInPlace as _, Kdf as _, KeyInit as _, XSalsa20Poly1305};
use zeroize::{Zeroize as _, Zeroizing};

use super::keys::{PublicKey, SecretKey};

/// What one side's secret key and the other's public key have in common.
pub(super) struct SharedKey(XSalsa20Poly1305);

/// A nonce of a box.
pub(super) type Nonce = [u8; 24];

impl SharedKey {
    /// Octets of a tag.
    pub(super) const TAG: usize = 16;

    /// `None` for a public key that proves nothing.
    pub(super) fn new(ours: &SecretKey, theirs: &PublicKey) -> Option<Self> {
        let shared = ours.agree(theirs)?;
        let mut key = XSalsa20Poly1305::kdf(shared.as_bytes().into(), &Default::default());
        let new = Self(XSalsa20Poly1305::new(&key));
        key.as_mut_slice().zeroize();
        Some(new)
    }

    /// `plain` in a box.
    pub(super) fn seal(&self, nonce: &Nonce, plain: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; Self::TAG];
        sealed.extend_from_slice(plain);
        let (tag, octets) = sealed.split_at_mut(Self::TAG);
        tag.copy_from_slice(&self.seal_in_place(nonce, octets));
        sealed
    }

    /// What is in a box; `None` when these are not its keys, or it was altered.
    pub(super) fn open(&self, nonce: &Nonce, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (tag, octets) = sealed.split_first_chunk()?;
        let mut plain = Zeroizing::new(octets.to_vec());
        self.open_in_place(nonce, tag, &mut plain).then_some(plain)
    }

    /// Seals octets where they are; returns the tag.
    pub(super) fn seal_in_place(&self, nonce: &Nonce, octets: &mut [u8]) -> [u8; Self::TAG] {
        match self.0.encrypt_in_place_detached(nonce.into(), b"", octets) {
            Ok(tag) => tag.into(),
            // There are no associated octets, the only thing refused. If that changes, nothing leaves unsealed.
            Err(_) => {
                octets.fill(0);
                [0; Self::TAG]
            }
        }
    }

    /// Opens octets where they are. False, and they are of no use, when the tag does not fit.
    pub(super) fn open_in_place(&self, nonce: &Nonce, tag: &[u8; Self::TAG], octets: &mut [u8]) -> bool {
        self.0.decrypt_in_place_detached(nonce.into(), b"", octets, tag.into()).is_ok()
    }
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

/// A nonce of a command that is numbered.
pub(super) fn numbered(prefix: &[u8; 16], number: u64) -> Nonce {
    let mut nonce = [0; 24];
    nonce[..16].copy_from_slice(prefix);
    nonce[16..].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// A nonce with 16 octets drawn at random.
pub(super) fn drawn(prefix: &[u8; 8], octets: &[u8; 16]) -> Nonce {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(prefix);
    nonce[8..].copy_from_slice(octets);
    nonce
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::mechanism::keys::KeyPair;

    #[test]
    fn the_other_side_opens_it_and_nobody_else() {
        let [a, b, c] = [(); 3].map(|()| KeyPair::generate().unwrap());
        let nonce = numbered(b"CurveZMQMESSAGEC", 3);
        let sealed = SharedKey::new(a.secret(), &b.public()).unwrap().seal(&nonce, b"hello");
        assert_eq!(sealed.len(), SharedKey::TAG + 5);
        let theirs = SharedKey::new(b.secret(), &a.public()).unwrap();
        assert_eq!(theirs.open(&nonce, &sealed).unwrap().as_slice(), b"hello");
        assert!(theirs.open(&numbered(b"CurveZMQMESSAGEC", 4), &sealed).is_none());
        assert!(SharedKey::new(c.secret(), &a.public()).unwrap().open(&nonce, &sealed).is_none());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(theirs.open(&nonce, &altered).is_none());
            assert!(theirs.open(&nonce, &sealed[..at]).is_none());
        }
    }
}
