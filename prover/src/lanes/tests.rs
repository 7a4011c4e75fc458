//! Both implementations against field arithmetic.

use lorica_circuits::bn254::{Field, Fr};
use lorica_verifier::protocol::multilinear::integer;

use super::portable::Portable;
use super::{LANES, Lanes, SMALL_TERMS, WIDE_TERMS};

/// Eight elements, small and large ones and the extremes among them.
fn elements(seed: u64) -> [Fr; LANES] {
    std::array::from_fn(|lane| match (seed + lane as u64) % 11 {
        0 => Fr::ZERO,
        1 => -Fr::ONE,
        2 => Fr::from(seed),
        _ => (Fr::from(seed * 8 + lane as u64 + 3).square() + Fr::from(7)).invert().unwrap_or(Fr::ONE),
    })
}

fn check<V: Lanes>() {
    let zip = |left: [Fr; LANES], right: [Fr; LANES], operation: fn(Fr, Fr) -> Fr| -> [Fr; LANES] {
        std::array::from_fn(|lane| operation(left[lane], right[lane]))
    };
    for seed in 0..300 {
        let values: [[Fr; LANES]; 4] = std::array::from_fn(|i| elements(seed * 4 + i as u64));
        let [a, b, c, d] = values.map(|values| V::from_lanes(&values));
        let [x, y, z, w] = values;
        assert_eq!(V::load(&a.store()).to_lanes(), x);
        assert_eq!(a.minus(b).to_lanes(), zip(x, y, |x, y| x - y));
        assert_eq!(a.times(b).to_lanes(), zip(x, y, |x, y| x * y));
        let dot = zip(zip(x, y, |x, y| x * y), zip(z, w, |z, w| z * w), |x, y| x + y);
        assert_eq!(V::dot(a, b, c, d).to_lanes(), dot);
        let (e, f) = (zip(x, y, |x, y| x - y), zip(z, w, |z, w| z - w));
        let twice = zip(e, f, |e, f| e * f + f * e);
        assert_eq!(V::dot(a.minus(b), c.minus(d), c.minus(d), a.minus(b)).to_lanes(), twice);
        assert_eq!(V::broadcast(&V::scalar(&x[3])).to_lanes(), [x[3]; LANES]);
        // Long chains stay within their bounds.
        let (mut fold, mut expected) = (a, x);
        for _ in 0..20 {
            fold = V::load(&fold.plus_product(b.minus(fold), c).store());
            expected = std::array::from_fn(|l| expected[l] + (y[l] - expected[l]) * z[l]);
            assert_eq!(fold.to_lanes(), expected);
        }
        let mut sum = V::wide();
        for _ in 0..WIDE_TERMS {
            V::accumulate(&mut sum, V::dot(a.minus(b), c.minus(d), c.minus(d), a.minus(b)), fold);
        }
        let sum = V::reduce(sum).times(d).to_lanes();
        let many = Fr::from(WIDE_TERMS as u64);
        assert_eq!(sum, std::array::from_fn(|l| twice[l] * expected[l] * w[l] * many));
        let rows: [[i64; LANES]; LANES] = std::array::from_fn(|row| {
            std::array::from_fn(|column| {
                let value = (seed as i64 * 64 + row as i64 * 8 + column as i64) * 1_234_567_891 % (1 << 40);
                if column % 2 == 0 { value } else { -value }
            })
        });
        assert!(rows.iter().flatten().all(|value| V::is_small(*value)));
        let extremes = std::array::from_fn(|lane| [(1 << 40) - 1, -(1 << 40), seed as i64][lane % 3]);
        let (mut small, integers) = (V::small_sum(), V::load_integers(&extremes));
        for _ in 0..SMALL_TERMS {
            V::add_small(&mut small, integers, &V::small(&x[1]));
        }
        let many = Fr::from(SMALL_TERMS as u64) * x[1];
        let expected = extremes.map(|value| many * (integer(value) + integer(V::BIAS)));
        assert_eq!(V::reduce_small(small).to_lanes(), expected);
        for (column, integers) in V::integers(rows.each_ref()).into_iter().enumerate() {
            let constant: [Fr; LANES] = std::array::from_fn(|l| x[l] + y[0] * integer(V::BIAS));
            let result = V::from_lanes(&constant).minus_small(integers, &V::small(&y[0])).to_lanes();
            assert_eq!(result, std::array::from_fn(|row| x[row] - y[0] * integer(rows[row][column])));
        }
    }
}

#[test]
fn portable_lanes_are_field_elements() {
    check::<Portable>();
}

#[cfg(target_arch = "x86_64")]
#[test]
fn ifma_lanes_are_field_elements() {
    if super::ifma::is_available() {
        check::<super::ifma::Ifma>();
        for value in [1i64 << 40, -(1 << 40) - 1, i64::MAX, i64::MIN] {
            assert!(!super::ifma::Ifma::is_small(value));
        }
    }
}
