//! What a prover says that it would do a request for, before there is one: signed, so that whoever compares provers can tell what
//! each of them said. No contract knows quotes; what binds a prover is its acceptance.

use alloy_primitives::{B256, Signature};
use alloy_sol_types::SolStruct;

use super::escrow::Escrow;
use crate::keys::{KeyError, PrivateKey};

alloy_sol_types::sol! {
    /// A prover's offer for requests like one. It speaks of no text.
    #[derive(Debug, PartialEq, Eq)]
    struct Quote {
        /// Who is to be named and paid.
        address prover;
        /// The base's id.
        uint256 base;
        /// The adapter's id, zero for none.
        uint256 adapter;
        /// Number of the kind of output.
        uint8 kind;
        /// The most tokens of the text.
        uint32 tokens;
        /// What is paid in; zero is the chain's gas token.
        address token;
        /// Gas of the consumer's call.
        uint32 consumerGas;
        /// The least fee at present, in the token's smallest unit.
        uint256 fee;
        /// Seconds that must be left until the deadline when the request is locked.
        uint64 needed;
        /// Routes of which the request must name one, as bits of their ordinals.
        uint256 routes;
        /// Until when it is meant, Unix time.
        uint64 expires;
    }
}

impl Quote {
    /// The digest that the prover signs, under the domain of the escrow's requests.
    #[must_use]
    pub fn digest(&self, escrow: Escrow) -> B256 {
        self.eip712_signing_hash(&escrow.domain())
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`KeyError::Digits`], which no key and digest are known to give.
    pub fn sign(&self, escrow: Escrow, key: &PrivateKey) -> Result<Signature, KeyError> {
        key.sign_digest(self.digest(escrow))
    }

    /// Whether the prover that it names has signed it.
    #[must_use]
    pub fn is_signed(&self, escrow: Escrow, signature: &[u8]) -> bool {
        let signature = Signature::try_from(signature);
        let signer = signature.and_then(|own| own.recover_address_from_prehash(&self.digest(escrow)));
        signer.is_ok_and(|signer| signer == self.prover)
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, U256};

    use super::*;
    use crate::contracts::Contract;
    use crate::contracts::escrow::Funding;
    use crate::contracts::router::Router;

    /// Each field is signed, and chain and escrow are.
    #[test]
    fn every_field_is_signed() {
        let key = PrivateKey::parse(&"11".repeat(32)).expect("a key");
        let place = |chain_id, address| {
            let contract = Contract { chain_id, address: Address::repeat_byte(address) };
            Escrow { contract, router: Router(contract), funding: Funding::Locked }
        };
        let escrow = place(1, 9);
        let own = Quote {
            prover: key.account(),
            base: U256::from(1),
            adapter: U256::from(2),
            kind: 1,
            tokens: 32,
            token: Address::repeat_byte(3),
            consumerGas: 4,
            fee: U256::from(5),
            needed: 6,
            routes: U256::from(7),
            expires: 8,
        };
        let signature = own.sign(escrow, &key).expect("a signature").as_bytes();
        assert!(own.is_signed(escrow, &signature));
        let changes: [fn(&mut Quote); 11] = [
            |own| own.prover = Address::repeat_byte(1),
            |own| own.base += U256::ONE,
            |own| own.adapter += U256::ONE,
            |own| own.kind += 1,
            |own| own.tokens += 1,
            |own| own.token = Address::ZERO,
            |own| own.consumerGas += 1,
            |own| own.fee -= U256::ONE,
            |own| own.needed -= 1,
            |own| own.routes += U256::ONE,
            |own| own.expires += 1,
        ];
        for (field, change) in changes.iter().enumerate() {
            let mut other = own.clone();
            change(&mut other);
            assert!(!other.is_signed(escrow, &signature), "field {field}");
        }
        for other in [place(2, 9), place(1, 8), Escrow { funding: Funding::Prepaid, ..escrow }] {
            assert!(!own.is_signed(other, &signature));
        }
        for malformed in [&signature[..64], &[0; 65], &[]] {
            assert!(!own.is_signed(escrow, malformed));
        }
    }
}
