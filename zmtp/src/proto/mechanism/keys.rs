//! The keys of CURVE: Curve25519, 32 octets each, written as 40 characters of Z85.
//!
//! A secret key is wiped when dropped and shows itself to nobody who does not call a method for it.

use std::{fmt, str::FromStr};

use zeroize::Zeroizing;

use super::z85;

/// A public key: the identity of a peer. Printed as Z85.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// A secret key.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; 32]>);

/// A secret key and its public one.
#[derive(Clone, Debug)]
pub struct KeyPair {
    public: PublicKey,
    secret: SecretKey,
}

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key: 40 characters of Z85 are needed, as `zmq_curve_keypair` makes them")]
pub struct NotAKey;

/// The system has no random octets to give.
#[derive(Debug, thiserror::Error)]
#[error("no random octets from the system: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

impl PublicKey {
    /// The key of these octets.
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// Its octets.
    pub fn as_octets(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        z85::decode(text).map(Self).ok_or(NotAKey)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&z85::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl SecretKey {
    /// The key of these octets.
    pub fn from_octets(octets: [u8; 32]) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The key as Z85, to be written where only its owner can read it.
    pub fn to_z85(&self) -> Zeroizing<String> {
        Zeroizing::new(z85::encode(&self.0))
    }

    /// The Curve25519 function of both keys; `None` for a public key that gives the same with every secret one.
    pub(super) fn agree(&self, theirs: &PublicKey) -> Option<x25519_dalek::SharedSecret> {
        let secret = x25519_dalek::StaticSecret::from(*self.0);
        let shared = secret.diffie_hellman(&theirs.0.into());
        shared.was_contributory().then_some(shared)
    }
}

impl FromStr for SecretKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        z85::decode(text).map(Self::from_octets).ok_or(NotAKey)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl KeyPair {
    /// A new pair, from the system's random octets (libzmq: `zmq_curve_keypair`).
    ///
    /// # Errors
    /// The system has none to give.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut octets = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *octets)?;
        Ok(SecretKey(octets).into())
    }

    /// The public key.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret key.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

impl From<SecretKey> for KeyPair {
    /// The pair of a secret key.
    fn from(secret: SecretKey) -> Self {
        let public = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*secret.0));
        Self { public: PublicKey(public.to_bytes()), secret }
    }
}

/// Random octets for one handshake: a key that lives as long as the connection, a nonce, a cookie.
///
/// Made outside so that a connection stays a value; using the same twice gives the secrecy of both connections away.
pub struct Fresh {
    pub(super) ephemeral: KeyPair,
    pub(super) nonce: [u8; 16],
    pub(super) cookie: [u8; 96],
}

impl Fresh {
    /// What one handshake uses up.
    pub const OCTETS: usize = 32 + 16 + 96;

    /// From the system's random octets.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut octets = Zeroizing::new([0; Self::OCTETS]);
        getrandom::fill(&mut *octets)?;
        Ok(Self::from_octets(&octets))
    }

    /// From given octets, for tests that must repeat: the secret key, the nonce, the cookie.
    pub fn from_octets(octets: &[u8; Self::OCTETS]) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        let (mut nonce, mut cookie) = ([0; 16], [0; 96]);
        secret.copy_from_slice(&octets[..32]);
        nonce.copy_from_slice(&octets[32..48]);
        cookie.copy_from_slice(&octets[48..]);
        Self { ephemeral: SecretKey(secret).into(), nonce, cookie }
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fresh(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_as_text_and_back() {
        let keys = KeyPair::generate().unwrap();
        let again = KeyPair::from(keys.secret().to_z85().parse::<SecretKey>().unwrap());
        assert_eq!(again.public(), keys.public());
        assert_eq!(keys.public().to_string().parse(), Ok(keys.public()));
        assert_ne!(KeyPair::generate().unwrap().public(), keys.public());
    }

    #[test]
    fn the_pair_of_the_documentation_of_zmq_curve() {
        // zmq_curve(7), "Test key values".
        let keys = KeyPair::from("D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs".parse::<SecretKey>().unwrap());
        assert_eq!(keys.public().to_string(), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
    }

    #[test]
    fn no_secret_is_printed() {
        let keys = KeyPair::generate().unwrap();
        let shown = format!("{:?} {:?}", keys, Fresh::generate().unwrap());
        assert!(!shown.contains(&**keys.secret().to_z85()));
        assert!(shown.contains("SecretKey(..)"));
    }

    #[test]
    fn a_key_that_proves_nothing_is_refused() {
        let keys = KeyPair::generate().unwrap();
        assert!(keys.secret().agree(&PublicKey([0; 32])).is_none());
    }
}
