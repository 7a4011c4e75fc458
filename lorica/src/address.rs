//! Addresses as people write them.

use lorica_chain::alloy_primitives::Address;

/// Whether the case of an address' digits, without `0x`, is its checksum (EIP-55). Digits of one case carry none.
#[must_use]
pub fn has_right_checksum(address: Address, digits: &str) -> bool {
    let has = |is: fn(&u8) -> bool| digits.as_bytes().iter().any(is);
    let carries = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    !carries || address.to_checksum(None).trim_start_matches("0x") == digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_mistyped_digit_is_noticed() {
        // The first example of EIP-55.
        let right = "5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let address: Address = right.parse().expect("an address");
        assert!(has_right_checksum(address, right));
        assert!(has_right_checksum(address, &right.to_lowercase()));
        assert!(has_right_checksum(address, &right.to_uppercase()));
        let wrong = right.replace("aA", "Aa");
        assert!(!has_right_checksum(wrong.parse().expect("an address"), &wrong));
    }
}
