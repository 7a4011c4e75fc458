//! From nova's batched opening to Lorica's.
//!
//! With `t_p` the quotient of p less its claimed values by the vanishing polynomial of the points where p is opened, both
//! protocols send a combination W of `t_g, t_h, t_s, t_d`, and with the same coefficients a combination of quotients W':
//! ```text
//! nova    W  = t_g + β t_h + β² t_s + β³ t_d
//! Lorica  W  = (β/ζ) (t_g + β t_h + β² t_s + ζ β³ t_d)
//!         W' = β (t'_g + β t'_h + β² t'_s + ζ β³ t'_d)
//! ```
//! Lorica's denominator is `(X − ζ)(ζX − 1)(X − α)`, nova's `(X − ζ)(X − 1/ζ)(X − α)`; hence the ζ. Lorica's f − … enters
//! the pairing with weight 1, so the batch starts at β. nova's W and W' at four values of β determine the four t.

use lorica_circuits::bn254::{Curve, Field, Fr, G1, G1Affine};
use lorica_verifier::protocol::group::combine;

/// W and W' as Lorica weights them for β and ζ, from what nova sends for four other values of β.
///
/// # Panics
/// If two of the four values are equal.
pub fn as_lorica_weights(beta: &Fr, zeta: &Fr, nova: &[(Fr, G1Affine, G1Affine); 4]) -> (G1Affine, G1Affine) {
    let zeta_inverse = zeta.invert().expect("zeta is a random challenge");
    // Σ_k weight_k p(β_k) = p_0 + β p_1 + β² p_2 + ζ β³ p_3 = p(β) + (ζ − 1) β³ p_3 for any cubic p.
    let top = (zeta - Fr::ONE) * beta.square() * beta;
    let mut w = Vec::new();
    let mut w_prime = Vec::new();
    for (own, (node, nova_w, nova_w_prime)) in nova.iter().enumerate() {
        let others = nova.iter().enumerate().filter(|(index, _)| *index != own).map(|(_, (other, _, _))| other);
        let (mut numerator, mut denominator) = (Fr::ONE, Fr::ONE);
        for other in others {
            numerator *= beta - other;
            denominator *= node - other;
        }
        // Lagrange's polynomial of this node: its value at β, and its leading coefficient 1/denominator.
        let weight = (numerator + top) * denominator.invert().expect("four different values");
        w.push((weight * beta * zeta_inverse, *nova_w));
        w_prime.push((weight * beta, *nova_w_prime));
    }
    let affine = |sum: G1| sum.to_affine();
    (affine(combine(w)), affine(combine(w_prime)))
}
