//! Z85 (RFC 32): 4 octets as 5 printable characters, the form in which keys are written.

/// `octets`, a multiple of 4 of them, as text.
pub(super) fn encode(octets: &[u8; 32]) -> String {
    let mut text = String::with_capacity(TEXT);
    for group in octets.chunks_exact(4) {
        let value = group.iter().fold(0, |value, octet| value << 8 | u32::from(*octet));
        for power in POWERS {
            text.push(char::from(ALPHABET[(value / power % 85) as usize]));
        }
    }
    text
}

/// The 32 octets of a text of 40 characters; `None` for any other text.
pub(super) fn decode(text: &str) -> Option<[u8; 32]> {
    let mut octets = [0; 32];
    if text.len() != TEXT {
        return None;
    }
    for (group, to) in text.as_bytes().chunks_exact(5).zip(octets.chunks_exact_mut(4)) {
        let mut value = 0u64;
        for character in group {
            value = value * 85 + ALPHABET.iter().position(|known| known == character)? as u64;
        }
        to.copy_from_slice(&u32::try_from(value).ok()?.to_be_bytes());
    }
    Some(octets)
}

/// Characters of 32 octets.
const TEXT: usize = 40;
const POWERS: [u32; 5] = [85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1];
const ALPHABET: &[u8; 85] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_test_case_of_the_rfc() {
        // RFC 32 gives 8 octets; four times over they are the size of a key.
        let octets: [u8; 8] = [0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b];
        let key: [u8; 32] = octets.repeat(4).try_into().unwrap();
        assert_eq!(encode(&key), "HelloWorld".repeat(4));
        assert_eq!(decode(&"HelloWorld".repeat(4)), Some(key));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "HelloWorld".repeat(4);
        for text in ["", "HelloWorld", &long[1..], &format!("{long}0"), &long.replace('H', "~"), &"#".repeat(40)] {
            assert_eq!(decode(text), None, "{text}");
        }
        // 40 octets, but not 40 characters.
        assert_eq!(decode(&"é".repeat(20)), None);
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(octets in any::<[u8; 32]>()) {
            prop_assert_eq!(decode(&encode(&octets)), Some(octets));
        }
    }
}
