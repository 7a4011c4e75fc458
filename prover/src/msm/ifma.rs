//! Eight affine additions at once, by AVX-512's 52-bit multiply-add.
//!
//! A coordinate x lies in memory as `x·2^256 mod p` in four words. Here it is five limbs of 52 bits, one lane a point,
//! and a product is `multiply(A, B) = A·B·2^-260 mod p`. The four missing powers of two are never multiplied in: the
//! slopes' common factor is chosen so that they cancel. Write `A = a·2^e`; a product has `e = e₁ + e₂ − 260`, and
//! * denominators have e = 256: each one multiplied to a product lowers its e by 4. The inverse of all, freed of the
//!   later ones and multiplied by the product of the earlier ones, has the same e at every place: the one inversion
//!   sets it to 262;
//! * hence slopes have 258 and their squares 256, the e of a coordinate;
//! * `λ(x₁ − x₃)` would have 254: `x₁ − x₃` enters four times larger.
//!
//! Bounds: p < 2^253.6, so a product of factors below 8p and 2p is below `(16p/2^260 + 1)p < 1.2p`.

use core::arch::x86_64::*;
use std::sync::LazyLock;

use lorica_circuits::bn254::{Field, Fq, G1Affine};

use super::point::Point;
use super::portable::{self, Pair, Slopes};

/// Limbs of a field element.
const LIMBS: usize = 5;
/// The low 52 bits.
const MASK: u64 = (1 << 52) - 1;
/// Points that are added at once.
const LANES: usize = 8;
/// Groups of eight that share an inversion.
const GROUPS: usize = 256;
/// Independent chains of products: the multiplications of one wait for each other.
const CHAINS: usize = 2;

/// p.
const MODULUS_WORDS: [u64; 4] = [0x3c208c16d87cfd47, 0x97816a916871ca8d, 0xb85045b68181585d, 0x30644e72e131a029];
/// p.
const MODULUS: [u64; LIMBS] = limbs(MODULUS_WORDS);
/// 2p.
const TWICE_MODULUS: [u64; LIMBS] =
    limbs([0x7841182db0f9fa8e, 0x2f02d522d0e3951a, 0x70a08b6d0302b0bb, 0x60c89ce5c2634053]);
/// −1/p modulo 2^52.
const NEGATED_INVERSE: u64 = 0x87d20782e4866389 & MASK;
/// 2^260 modulo p: 1 with e = 260.
const ONE_WORDS: [u64; 4] = [0x45520880f6fce4b4, 0x49890849baa989a8, 0x85a9201d818f014a, 0x1f16424e1bb7724f];
/// 2^260 modulo p.
const ONE: [u64; LIMBS] = limbs(ONE_WORDS);

/// Four words as five limbs.
const fn limbs(words: [u64; 4]) -> [u64; LIMBS] {
    [
        words[0] & MASK,
        (words[0] >> 52 | words[1] << 12) & MASK,
        (words[1] >> 40 | words[2] << 24) & MASK,
        (words[2] >> 28 | words[3] << 36) & MASK,
        words[3] >> 16,
    ]
}

/// Eight field elements, limb by limb.
type Element = [__m512i; LIMBS];

/// Memory reused between calls.
#[derive(Default)]
pub(super) struct Lanes {
    /// Per group: its denominators, and the product of its chain's denominators before them.
    slopes: Vec<(Element, Element)>,
    specials: Vec<Pair>,
}

static AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma") && layout_is_as_assumed()
});

/// Whether the processor can.
pub(super) fn is_available() -> bool {
    *AVAILABLE
}

/// The only thing that this module assumes about `Fq`: four words, lowest first, of x·2^256 mod p.
fn layout_is_as_assumed() -> bool {
    let sixteenth = Fq::from(16).invert().unwrap_or(Fq::ZERO);
    words(from_words(ONE_WORDS) * sixteenth) == words(Fq::ONE)
        && words(Fq::ZERO) == [0; 4]
        && words(-from_words([1, 0, 0, 0]))
            == [MODULUS_WORDS[0] - 1, MODULUS_WORDS[1], MODULUS_WORDS[2], MODULUS_WORDS[3]]
}

fn words(element: Fq) -> [u64; 4] {
    // SAFETY: the compiler checks that the sizes are equal, so Fq has no padding, and any bits are valid as words.
    unsafe { core::mem::transmute::<Fq, [u64; 4]>(element) }
}

fn from_words(words: [u64; 4]) -> Fq {
    // SAFETY: as above; Fq holds four words and no other invariant of the type system.
    unsafe { core::mem::transmute::<[u64; 4], Fq>(words) }
}

/// Asks for the one or two cache lines of a base.
pub(super) fn prefetch(base: &G1Affine) {
    let first: *const i8 = core::ptr::from_ref(base).cast();
    // SAFETY: a hint to the cache reads nothing, and both addresses are inside the base.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(first);
        _mm_prefetch::<_MM_HINT_T0>(first.add(size_of::<G1Affine>() - 1));
    }
}

/// `target[into] = source[left] + source[right]` for all pairs.
pub(super) fn add_pairs(source: &[Point], target: &mut [Point], pairs: &[Pair], lanes: &mut Lanes) {
    assert!(is_available(), "the caller checks this");
    let whole = pairs.len() / LANES * LANES;
    let (groups, rest) = pairs.split_at(whole);
    lanes.specials.clear();
    for batch in groups.chunks(GROUPS * LANES) {
        // SAFETY: the features were detected.
        unsafe { add_batch(source, target, batch, lanes) };
    }
    lanes.specials.extend_from_slice(rest);
    if !lanes.specials.is_empty() {
        portable::add_pairs(source, target, &lanes.specials, &mut Slopes::default());
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn add_batch(source: &[Point], target: &mut [Point], pairs: &[Pair], lanes: &mut Lanes) {
    let Lanes { slopes, specials } = lanes;
    slopes.clear();
    let mut products = [splat(ONE); CHAINS];
    for (index, group) in pairs.chunks_exact(LANES).enumerate() {
        let left = load(source, group, |pair| pair.left);
        let right = load(source, group, |pair| pair.right);
        let mut run = sub_plus_p(&to_limbs(&right.x), &to_limbs(&left.x));
        let special = any_special(&left, &right);
        if special != 0 {
            specials
                .extend(group.iter().enumerate().filter(|(lane, _)| special >> lane & 1 == 1).map(|(_, pair)| *pair));
            let one = splat(ONE);
            for (limb, one) in run.iter_mut().zip(one) {
                *limb = _mm512_mask_blend_epi64(special, *limb, one);
            }
        }
        let product = &mut products[index % CHAINS];
        slopes.push((run, *product));
        *product = multiply(product, &run);
    }
    let mut inverses = invert(&products);
    for (index, (group, (run, before))) in pairs.chunks_exact(LANES).zip(slopes.iter()).enumerate().rev() {
        let left = load(source, group, |pair| pair.left);
        let right = load(source, group, |pair| pair.right);
        let (x_1, y_1) = (to_limbs(&left.x), to_limbs(&left.y));
        let (x_2, y_2) = (to_limbs(&right.x), to_limbs(&right.y));
        let inverse = &mut inverses[index % CHAINS];
        let lambda = multiply(&multiply(inverse, before), &sub_plus_p(&y_2, &y_1));
        *inverse = multiply(inverse, run);
        let square = multiply(&lambda, &lambda);
        // Below 1.2p + 2p.
        let x_3 = reduce(&less_both_plus_2p(&square, &x_1, &x_2));
        let y_3 = multiply(&lambda, &four_times_difference_plus_p(&x_1, &x_3));
        let y_3 = reduce(&sub_plus_p(&y_3, &y_1));
        store(target, group, &from_limbs(&x_3), &from_limbs(&y_3));
    }
}

/// Eight points' coordinates, word by word.
struct Points {
    x: [__m512i; 4],
    y: [__m512i; 4],
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(source: &[Point], group: &[Pair], index: impl Fn(&Pair) -> u32) -> Points {
    let mut rows = [_mm512_setzero_si512(); LANES];
    for (row, pair) in rows.iter_mut().zip(group) {
        let point: *const Point = &source[index(pair) as usize];
        // SAFETY: a Point is 64 bytes, aligned to 64, all of them initialised.
        *row = unsafe { _mm512_load_si512(point.cast()) };
    }
    let [x_0, x_1, x_2, x_3, y_0, y_1, y_2, y_3] = transpose(&rows);
    Points { x: [x_0, x_1, x_2, x_3], y: [y_0, y_1, y_2, y_3] }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(target: &mut [Point], group: &[Pair], x: &[__m512i; 4], y: &[__m512i; 4]) {
    let rows = transpose(&[x[0], x[1], x[2], x[3], y[0], y[1], y[2], y[3]]);
    for (row, pair) in rows.iter().zip(group) {
        let point: *mut Point = &mut target[pair.into as usize];
        // SAFETY: a Point is 64 bytes, aligned to 64, and holds any words.
        unsafe { _mm512_store_si512(point.cast(), *row) };
    }
}

/// Rows to columns.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose(rows: &[__m512i; LANES]) -> [__m512i; LANES] {
    let [r_0, r_1, r_2, r_3, r_4, r_5, r_6, r_7] = *rows;
    let [w_0, w_2, w_4, w_6] = transpose_halves(
        _mm512_unpacklo_epi64(r_0, r_1),
        _mm512_unpacklo_epi64(r_2, r_3),
        _mm512_unpacklo_epi64(r_4, r_5),
        _mm512_unpacklo_epi64(r_6, r_7),
    );
    let [w_1, w_3, w_5, w_7] = transpose_halves(
        _mm512_unpackhi_epi64(r_0, r_1),
        _mm512_unpackhi_epi64(r_2, r_3),
        _mm512_unpackhi_epi64(r_4, r_5),
        _mm512_unpackhi_epi64(r_6, r_7),
    );
    [w_0, w_1, w_2, w_3, w_4, w_5, w_6, w_7]
}

/// Rows to columns, for rows of four 128-bit halves of lanes.
#[target_feature(enable = "avx512f")]
#[inline]
fn transpose_halves(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let (even_low, even_high) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0x88>(c, d));
    let (odd_low, odd_high) = (_mm512_shuffle_i64x2::<0xdd>(a, b), _mm512_shuffle_i64x2::<0xdd>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(even_low, even_high),
        _mm512_shuffle_i64x2::<0x88>(odd_low, odd_high),
        _mm512_shuffle_i64x2::<0xdd>(even_low, even_high),
        _mm512_shuffle_i64x2::<0xdd>(odd_low, odd_high),
    ]
}

/// Lanes where the slope is none: equal x, or a point that may be the identity.
#[target_feature(enable = "avx512f")]
#[inline]
fn any_special(left: &Points, right: &Points) -> __mmask8 {
    let differences = [
        _mm512_xor_si512(left.x[0], right.x[0]),
        _mm512_xor_si512(left.x[1], right.x[1]),
        _mm512_xor_si512(left.x[2], right.x[2]),
        _mm512_xor_si512(left.x[3], right.x[3]),
    ];
    zero_lanes(&differences) | zero_lanes(&left.x) | zero_lanes(&right.x)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn zero_lanes(words: &[__m512i; 4]) -> __mmask8 {
    let any = _mm512_or_si512(_mm512_or_si512(words[0], words[1]), _mm512_or_si512(words[2], words[3]));
    _mm512_cmpeq_epi64_mask(any, _mm512_setzero_si512())
}

#[target_feature(enable = "avx512f")]
#[inline]
fn splat(limbs: [u64; LIMBS]) -> Element {
    let [l_0, l_1, l_2, l_3, l_4] = limbs;
    [
        _mm512_set1_epi64(l_0 as i64),
        _mm512_set1_epi64(l_1 as i64),
        _mm512_set1_epi64(l_2 as i64),
        _mm512_set1_epi64(l_3 as i64),
        _mm512_set1_epi64(l_4 as i64),
    ]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn to_limbs(words: &[__m512i; 4]) -> Element {
    let mask = _mm512_set1_epi64(MASK as i64);
    let [w_0, w_1, w_2, w_3] = *words;
    [
        _mm512_and_si512(w_0, mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<52>(w_0), _mm512_slli_epi64::<12>(w_1)), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<40>(w_1), _mm512_slli_epi64::<24>(w_2)), mask),
        _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<28>(w_2), _mm512_slli_epi64::<36>(w_3)), mask),
        _mm512_srli_epi64::<16>(w_3),
    ]
}

#[target_feature(enable = "avx512f")]
#[inline]
fn from_limbs(limbs: &Element) -> [__m512i; 4] {
    let [l_0, l_1, l_2, l_3, l_4] = *limbs;
    [
        _mm512_or_si512(l_0, _mm512_slli_epi64::<52>(l_1)),
        _mm512_or_si512(_mm512_srli_epi64::<12>(l_1), _mm512_slli_epi64::<40>(l_2)),
        _mm512_or_si512(_mm512_srli_epi64::<24>(l_2), _mm512_slli_epi64::<28>(l_3)),
        _mm512_or_si512(_mm512_srli_epi64::<36>(l_3), _mm512_slli_epi64::<16>(l_4)),
    ]
}

/// Carries of signed limbs, so that all but the highest are below 2^52 and that one has the sign of the whole.
#[target_feature(enable = "avx512f")]
#[inline]
fn carry(limbs: &mut Element) {
    let mask = _mm512_set1_epi64(MASK as i64);
    for limb in 1..LIMBS {
        let over = _mm512_srai_epi64::<52>(limbs[limb - 1]);
        limbs[limb - 1] = _mm512_and_si512(limbs[limb - 1], mask);
        limbs[limb] = _mm512_add_epi64(limbs[limb], over);
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn combine(left: &Element, right: &Element, limb: impl Fn(__m512i, __m512i) -> __m512i) -> Element {
    let mut result = *left;
    for (result, right) in result.iter_mut().zip(right) {
        *result = limb(*result, *right);
    }
    result
}

/// `left − right + p`.
#[target_feature(enable = "avx512f")]
#[inline]
fn sub_plus_p(left: &Element, right: &Element) -> Element {
    let modulus = splat(MODULUS);
    let mut result =
        combine(&combine(left, right, |l, r| _mm512_sub_epi64(l, r)), &modulus, |l, r| _mm512_add_epi64(l, r));
    carry(&mut result);
    result
}

/// `4 (left − right + p)`.
#[target_feature(enable = "avx512f")]
#[inline]
fn four_times_difference_plus_p(left: &Element, right: &Element) -> Element {
    let modulus = splat(MODULUS);
    let mut result = combine(&combine(left, right, |l, r| _mm512_sub_epi64(l, r)), &modulus, |l, r| {
        _mm512_slli_epi64::<2>(_mm512_add_epi64(l, r))
    });
    carry(&mut result);
    result
}

/// `value − left − right + 2p`.
#[target_feature(enable = "avx512f")]
#[inline]
fn less_both_plus_2p(value: &Element, left: &Element, right: &Element) -> Element {
    let both = combine(left, right, |l, r| _mm512_add_epi64(l, r));
    let raised = combine(value, &splat(TWICE_MODULUS), |l, r| _mm512_add_epi64(l, r));
    let mut result = combine(&raised, &both, |l, r| _mm512_sub_epi64(l, r));
    carry(&mut result);
    result
}

/// The representative below p of a value below 4p.
#[target_feature(enable = "avx512f")]
#[inline]
fn reduce(value: &Element) -> Element {
    subtract_if_larger(&subtract_if_larger(value, &splat(TWICE_MODULUS)), &splat(MODULUS))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn subtract_if_larger(value: &Element, multiple: &Element) -> Element {
    let mut less = combine(value, multiple, |l, r| _mm512_sub_epi64(l, r));
    carry(&mut less);
    let negative = _mm512_cmplt_epi64_mask(less[LIMBS - 1], _mm512_setzero_si512());
    combine(&less, value, |less, value| _mm512_mask_blend_epi64(negative, less, value))
}

/// `left · right · 2^-260` modulo p, by Montgomery's method, one limb of `left` after the other.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn multiply(left: &Element, right: &Element) -> Element {
    let zero = _mm512_setzero_si512();
    let modulus = splat(MODULUS);
    let negated_inverse = _mm512_set1_epi64(NEGATED_INVERSE as i64);
    let mut sum = [zero; LIMBS];
    for limb in left {
        for (sum, right) in sum.iter_mut().zip(right) {
            *sum = _mm512_madd52lo_epu64(*sum, *limb, *right);
        }
        let quotient = _mm512_madd52lo_epu64(zero, sum[0], negated_inverse);
        for (sum, modulus) in sum.iter_mut().zip(&modulus) {
            *sum = _mm512_madd52lo_epu64(*sum, quotient, *modulus);
        }
        // The lowest limb is 0 modulo 2^52: what is above moves on, and all limbs move down.
        let over = _mm512_srli_epi64::<52>(sum[0]);
        sum = [_mm512_add_epi64(sum[1], over), sum[2], sum[3], sum[4], zero];
        for ((sum, right), modulus) in sum.iter_mut().zip(right).zip(&modulus) {
            *sum = _mm512_madd52hi_epu64(*sum, *limb, *right);
            *sum = _mm512_madd52hi_epu64(*sum, quotient, *modulus);
        }
    }
    carry(&mut sum);
    sum
}

/// The inverses of the chains' products, with e such that every slope gets 258.
///
/// A product A of K denominators is `Π·2^(260 − 4K)`; wanted is `Π⁻¹·2^(258 + 4K) = A⁻¹·2^518`. The words of A, read as
/// an `Fq`, have the inverse `A⁻¹·2^512`: 64 times that.
#[target_feature(enable = "avx512f")]
fn invert(products: &[Element; CHAINS]) -> [Element; CHAINS] {
    let values: Vec<Fq> = products.iter().flat_map(|product| scalars(&reduce(product))).collect();
    let mut before = Vec::with_capacity(values.len());
    let mut product = Fq::ONE;
    for value in &values {
        before.push(product);
        product *= value;
    }
    let mut inverse = product.invert().expect("no denominator is zero") * Fq::from(64);
    let mut inverses = [[0u64; 4]; CHAINS * LANES];
    for ((target, value), before) in inverses.iter_mut().zip(&values).zip(&before).rev() {
        *target = words(inverse * before);
        inverse *= value;
    }
    let mut result = [splat([0; LIMBS]); CHAINS];
    for (chain, inverses) in result.iter_mut().zip(inverses.chunks_exact(LANES)) {
        let lane = |word: usize| {
            let values: [i64; LANES] = std::array::from_fn(|lane| inverses[lane][word] as i64);
            // SAFETY: 64 bytes are read, from an array of 64.
            unsafe { _mm512_loadu_si512(values.as_ptr().cast()) }
        };
        *chain = to_limbs(&[lane(0), lane(1), lane(2), lane(3)]);
    }
    result
}

/// The lanes of an element below p, as field elements.
#[target_feature(enable = "avx512f")]
fn scalars(element: &Element) -> [Fq; LANES] {
    let rows = from_limbs(element).map(|row| {
        let mut lanes = [0u64; LANES];
        // SAFETY: 64 bytes are written, to an array of 64.
        unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), row) };
        lanes
    });
    std::array::from_fn(|lane| from_words([rows[0][lane], rows[1][lane], rows[2][lane], rows[3][lane]]))
}

#[cfg(test)]
mod tests {
    use lorica_circuits::bn254::{Curve, Fr};

    use super::*;

    /// Points, with repetitions, opposites and identities among them.
    fn points(count: u64) -> Vec<Point> {
        (0..count)
            .map(|index| {
                let point: G1Affine = (G1Affine::generator() * Fr::from(index % 97).square()).to_affine();
                Point::from(if index % 5 == 0 { -point } else { point })
            })
            .collect()
    }

    #[test]
    fn lanes_agree_with_the_portable_code() {
        if !is_available() {
            return;
        }
        let source = points(700);
        for count in [8, 9, 16, 64, 65, 2048, 2049, 5000] {
            let pairs: Vec<Pair> = (0..count)
                .map(|index| Pair { left: index * 7 % 700, right: (index * index + 3) % 700, into: count - 1 - index })
                .collect();
            let mut lanes = vec![Point::IDENTITY; count as usize];
            let mut expected = lanes.clone();
            add_pairs(&source, &mut lanes, &pairs, &mut Lanes::default());
            portable::add_pairs(&source, &mut expected, &pairs, &mut Slopes::default());
            assert_eq!(lanes, expected, "{count} pairs");
        }
    }
}
