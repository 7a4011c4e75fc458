//! API keys: `lrk_<16 hexadecimal digits of the id>_<64 of the secret>`. The store has the secret's SHA-256 only.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::store::{ApiKey, Millis};

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Answers without a proof.
    Infer,
    /// Asking for proofs, and giving them up.
    Prove,
    /// Reading the tenant's proofs, checking proofs, reading which models are served.
    Read,
    /// Handing in requests that an escrow pays.
    Settle,
    /// Seeing what the service does for all tenants, without their texts: an operator's.
    Operate,
    /// Proving for the service on another machine: it shows the texts of all tenants. A key with it has no other scope.
    Work,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Infer, Self::Prove, Self::Read, Self::Settle, Self::Operate, Self::Work];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Infer => "infer",
            Self::Prove => "prove",
            Self::Read => "read",
            Self::Settle => "settle",
            Self::Operate => "operate",
            Self::Work => "work",
        }
    }

    pub(crate) fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// The secret form of a key, shown once.
pub(crate) struct Secret {
    pub id: [u8; 8],
    pub secret: [u8; 32],
}

impl Secret {
    pub fn random() -> Result<Self, getrandom::Error> {
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        Ok(Self { id, secret })
    }

    pub fn text(&self) -> String {
        format!("lrk_{}_{}", hex::encode(self.id), hex::encode(self.secret))
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix("lrk_")?.split_once('_')?;
        let mut key = Self { id: [0; 8], secret: [0; 32] };
        hex::decode_to_slice(id, &mut key.id).ok()?;
        hex::decode_to_slice(secret, &mut key.secret).ok()?;
        Some(key)
    }

    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// Whether it is this key and holds now. The comparison's time does not depend on the secret.
    pub fn opens(&self, key: &ApiKey, now: Millis) -> bool {
        let same = self.sha256().ct_eq(&key.secret_sha256);
        bool::from(same) && key.id == self.id && key.expires.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written_and_nothing_else_is() {
        let secret = Secret { id: [0xab; 8], secret: [0x12; 32] };
        let read = Secret::parse(&secret.text()).expect("a key");
        let key = |expires| ApiKey {
            id: secret.id,
            tenant: "a".into(),
            secret_sha256: secret.sha256(),
            scopes: 1,
            created: 0,
            expires,
        };
        assert!(read.opens(&key(None), 5) && read.opens(&key(Some(6)), 5));
        assert!(!read.opens(&key(Some(5)), 5), "it has expired");
        assert!(!Secret { secret: [0x13; 32], ..read }.opens(&key(None), 5));
        for wrong in ["", "lrk_", "lrk__", "lrk_ab_cd", &secret.text()[1..], &format!("{}0", secret.text())] {
            assert!(Secret::parse(wrong).is_none(), "{wrong}");
        }
    }
}
