//! Eight scalars at once by AVX-512's 52-bit multiply-add.
//!
//! In registers an element is five limbs of 52 bits per lane, `x·2^260 mod r`; in memory four words per lane, word by
//! word. Elements are **loose**: any representative below 2.001r. r < 2^253.6, so 2^260 > 84r, and Montgomery reduction
//! of a sum of products below `n·r²` gives less than `(n/84 + 1)r`:
//! * factors are loose or differences of loose ones plus 3r, hence below 5.01r: `a·b + c·d` is below 1.6r;
//! * 256 products of such a result by a factor reduce to less than 26r, which is a factor again.
//!
//! # Safety
//! Methods use the instructions wherever they are inlined. Whoever names [`Ifma`] must have seen [`is_available`], and
//! calls kernels through [`Lanes::run`] so that the instructions are compiled in place. Loops go by index: a closure
//! that is not inlined would be compiled without them.

#![expect(clippy::needless_range_loop, reason = "see above")]

use core::arch::x86_64::*;
use std::sync::LazyLock;

use lorica_circuits::bn254::{Field, Fr};

use super::{LANES, Lanes};

const LIMBS: usize = 5;
/// The low 52 bits.
const MASK: u64 = (1 << 52) - 1;
/// r.
const MODULUS_WORDS: [u64; 4] = [0x43e1f593f0000001, 0x2833e84879b97091, 0xb85045b68181585d, 0x30644e72e131a029];
/// r.
const MODULUS: [u64; LIMBS] = limbs(MODULUS_WORDS);
/// 2r.
const TWICE_MODULUS: [u64; LIMBS] = multiple(MODULUS, 2);
/// 3r.
const THRICE_MODULUS: [u64; LIMBS] = multiple(MODULUS, 3);
/// −1/r modulo 2^52.
const NEGATED_INVERSE: u64 = 0xc2e1f593efffffff & MASK;

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

const fn multiple(limbs: [u64; LIMBS], factor: u64) -> [u64; LIMBS] {
    let mut result = [0; LIMBS];
    let mut carry = 0;
    let mut limb = 0;
    while limb < LIMBS {
        let value = limbs[limb] * factor + carry;
        result[limb] = value & MASK;
        carry = value >> 52;
        limb += 1;
    }
    result
}

static AVAILABLE: LazyLock<bool> = LazyLock::new(|| {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma") && layout_is_as_assumed()
});

/// Whether the processor can.
pub(crate) fn is_available() -> bool {
    *AVAILABLE
}

/// The only thing that this module assumes about `Fr`: four words, lowest first, of x·2^256 mod r.
fn layout_is_as_assumed() -> bool {
    let doubled = (0..256).fold(from_words([1, 0, 0, 0]), |value, _| value.double());
    words(doubled) == words(Fr::ONE)
        && words(Fr::ZERO) == [0; 4]
        && words(-from_words([1, 0, 0, 0]))
            == [MODULUS_WORDS[0] - 1, MODULUS_WORDS[1], MODULUS_WORDS[2], MODULUS_WORDS[3]]
}

fn words(element: Fr) -> [u64; 4] {
    // SAFETY: the compiler checks that the sizes are equal, so Fr has no padding, and any bits are valid as words.
    unsafe { core::mem::transmute::<Fr, [u64; 4]>(element) }
}

fn from_words(words: [u64; 4]) -> Fr {
    // SAFETY: as above; Fr holds four words and no other invariant of the type system.
    unsafe { core::mem::transmute::<[u64; 4], Fr>(words) }
}

/// The representative below r of words below 2^256.
fn canonical(mut value: [u64; 4]) -> Fr {
    loop {
        let mut less = [0u64; 4];
        let mut borrow = false;
        for ((less, value), modulus) in less.iter_mut().zip(value).zip(MODULUS_WORDS) {
            let (difference, first) = value.overflowing_sub(modulus);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            (*less, borrow) = (difference, first | second);
        }
        if borrow {
            return from_words(value);
        }
        value = less;
    }
}

/// Runs a kernel compiled for the instructions.
#[target_feature(enable = "avx512f,avx512ifma")]
fn run_with_features<R>(kernel: impl FnOnce() -> R) -> R {
    kernel()
}

/// Eight loose elements in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Packed([[u64; LANES]; 4]);

/// Eight elements in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ifma([__m512i; LIMBS]);

#[inline(always)]
fn zero() -> __m512i {
    // SAFETY: see the module.
    unsafe { _mm512_setzero_si512() }
}

#[inline(always)]
fn splat(limbs: &[u64; LIMBS]) -> [__m512i; LIMBS] {
    let mut result = [zero(); LIMBS];
    for i in 0..LIMBS {
        // SAFETY: see the module.
        result[i] = unsafe { _mm512_set1_epi64(limbs[i] as i64) };
    }
    result
}

/// Carries of signed limbs whose sum is not negative.
#[inline(always)]
fn carry(mut limbs: [__m512i; LIMBS]) -> [__m512i; LIMBS] {
    // SAFETY: see the module.
    unsafe {
        let mask = _mm512_set1_epi64(MASK as i64);
        for limb in 1..LIMBS {
            let over = _mm512_srai_epi64::<52>(limbs[limb - 1]);
            limbs[limb - 1] = _mm512_and_si512(limbs[limb - 1], mask);
            limbs[limb] = _mm512_add_epi64(limbs[limb], over);
        }
    }
    limbs
}

/// A loose element of uncarried limbs below 4r: 2r less if the highest limb alone says that there is as much.
#[inline(always)]
fn loosen(mut limbs: [__m512i; LIMBS]) -> Ifma {
    // SAFETY: see the module.
    unsafe {
        let bound = _mm512_set1_epi64((TWICE_MODULUS[LIMBS - 1] + 1) as i64);
        let large = _mm512_cmpge_epi64_mask(limbs[LIMBS - 1], bound);
        let modulus = splat(&TWICE_MODULUS);
        for i in 0..LIMBS {
            limbs[i] = _mm512_mask_sub_epi64(limbs[i], large, limbs[i], modulus[i]);
        }
    }
    Ifma(carry(limbs))
}

#[inline(always)]
fn add_product(sum: &mut [__m512i; 2 * LIMBS], left: &[__m512i; LIMBS], right: &[__m512i; LIMBS]) {
    for i in 0..LIMBS {
        for j in 0..LIMBS {
            // SAFETY: see the module.
            unsafe {
                sum[i + j] = _mm512_madd52lo_epu64(sum[i + j], left[i], right[j]);
                sum[i + j + 1] = _mm512_madd52hi_epu64(sum[i + j + 1], left[i], right[j]);
            }
        }
    }
}

/// `sum·2^-260` modulo r, by Montgomery's method; uncarried limbs.
#[inline(always)]
fn montgomery(mut sum: [__m512i; 2 * LIMBS]) -> [__m512i; LIMBS] {
    let modulus = splat(&MODULUS);
    // SAFETY: see the module.
    unsafe {
        let negated_inverse = _mm512_set1_epi64(NEGATED_INVERSE as i64);
        for i in 0..LIMBS {
            let quotient = _mm512_madd52lo_epu64(zero(), sum[i], negated_inverse);
            for j in 0..LIMBS {
                sum[i + j] = _mm512_madd52lo_epu64(sum[i + j], quotient, modulus[j]);
                sum[i + j + 1] = _mm512_madd52hi_epu64(sum[i + j + 1], quotient, modulus[j]);
            }
            sum[i + 1] = _mm512_add_epi64(sum[i + 1], _mm512_srli_epi64::<52>(sum[i]));
        }
    }
    [sum[5], sum[6], sum[7], sum[8], sum[9]]
}

#[inline(always)]
fn product(left: &Ifma, right: &Ifma) -> [__m512i; 2 * LIMBS] {
    let mut sum = [zero(); 2 * LIMBS];
    add_product(&mut sum, &left.0, &right.0);
    sum
}

#[inline(always)]
fn load_words(words: &[u64; LANES]) -> __m512i {
    // SAFETY: 64 bytes are read, from an array of 64; and see the module.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline(always)]
fn to_limbs(words: &[[u64; LANES]; 4]) -> [__m512i; LIMBS] {
    let [w_0, w_1, w_2, w_3] =
        [load_words(&words[0]), load_words(&words[1]), load_words(&words[2]), load_words(&words[3])];
    // SAFETY: see the module.
    unsafe {
        let mask = _mm512_set1_epi64(MASK as i64);
        [
            _mm512_and_si512(w_0, mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<52>(w_0), _mm512_slli_epi64::<12>(w_1)), mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<40>(w_1), _mm512_slli_epi64::<24>(w_2)), mask),
            _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64::<28>(w_2), _mm512_slli_epi64::<36>(w_3)), mask),
            _mm512_srli_epi64::<16>(w_3),
        ]
    }
}

#[inline(always)]
fn from_limbs(limbs: &[__m512i; LIMBS]) -> [[u64; LANES]; 4] {
    let [l_0, l_1, l_2, l_3, l_4] = *limbs;
    let mut result = [[0u64; LANES]; 4];
    // SAFETY: 64 bytes are written each time, to arrays of 64; and see the module.
    unsafe {
        let words = [
            _mm512_or_si512(l_0, _mm512_slli_epi64::<52>(l_1)),
            _mm512_or_si512(_mm512_srli_epi64::<12>(l_1), _mm512_slli_epi64::<40>(l_2)),
            _mm512_or_si512(_mm512_srli_epi64::<24>(l_2), _mm512_slli_epi64::<28>(l_3)),
            _mm512_or_si512(_mm512_srli_epi64::<36>(l_3), _mm512_slli_epi64::<16>(l_4)),
        ];
        for i in 0..4 {
            _mm512_storeu_si512(result[i].as_mut_ptr().cast(), words[i]);
        }
    }
    result
}

impl Lanes for Ifma {
    type Packed = Packed;
    type Scalar = [u64; LIMBS];
    /// `x·2^312`: one step of Montgomery's reduction divides by 2^52.
    type Small = [u64; LIMBS];
    type Wide = [__m512i; 2 * LIMBS];
    type Integers = __m512i;
    type SmallSum = [__m512i; LIMBS + 1];
    const BIAS: i64 = 1 << 40;

    #[inline(always)]
    fn run<R>(kernel: impl FnOnce() -> R) -> R {
        // SAFETY: see the module.
        unsafe { run_with_features(kernel) }
    }
    fn scalar(value: &Fr) -> [u64; LIMBS] {
        limbs(words(value * Fr::from(16)))
    }
    fn small(value: &Fr) -> [u64; LIMBS] {
        limbs(words(value * Fr::from(1 << 56)))
    }
    #[inline(always)]
    fn broadcast(value: &[u64; LIMBS]) -> Self {
        Self(splat(value))
    }
    #[inline(always)]
    fn from_lanes(values: &[Fr; LANES]) -> Self {
        let lanes = values.map(words);
        let words: [[u64; LANES]; 4] = std::array::from_fn(|word| std::array::from_fn(|lane| lanes[lane][word]));
        // x·2^256 by 2^264.
        Self(to_limbs(&words)).times(Self(splat(&limbs(self::words(Fr::from(256))))))
    }
    #[inline(always)]
    fn to_lanes(self) -> [Fr; LANES] {
        // x·2^260 by 2^256.
        let words = from_limbs(&self.times(Self(splat(&limbs(self::words(Fr::ONE))))).0);
        std::array::from_fn(|lane| canonical([words[0][lane], words[1][lane], words[2][lane], words[3][lane]]))
    }
    #[inline(always)]
    fn load(packed: &Packed) -> Self {
        Self(to_limbs(&packed.0))
    }
    #[inline(always)]
    fn store(self) -> Packed {
        Packed(from_limbs(&self.0))
    }
    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        let modulus = splat(&THRICE_MODULUS);
        let mut result = self.0;
        for i in 0..LIMBS {
            // SAFETY: see the module.
            result[i] = unsafe { _mm512_add_epi64(_mm512_sub_epi64(result[i], other.0[i]), modulus[i]) };
        }
        Self(carry(result))
    }
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        Self(carry(montgomery(product(&self, &other))))
    }
    #[inline(always)]
    fn plus_product(self, left: Self, right: Self) -> Self {
        let mut result = montgomery(product(&left, &right));
        for i in 0..LIMBS {
            // SAFETY: see the module.
            result[i] = unsafe { _mm512_add_epi64(result[i], self.0[i]) };
        }
        loosen(result)
    }
    #[inline(always)]
    fn dot(a: Self, b: Self, c: Self, d: Self) -> Self {
        let mut sum = product(&a, &b);
        add_product(&mut sum, &c.0, &d.0);
        Self(carry(montgomery(sum)))
    }
    #[inline(always)]
    fn wide() -> Self::Wide {
        [zero(); 2 * LIMBS]
    }
    #[inline(always)]
    fn accumulate(sum: &mut Self::Wide, left: Self, right: Self) {
        // A limb of the sum gets at most ten numbers below 2^52 from each product.
        add_product(sum, &left.0, &right.0);
    }
    #[inline(always)]
    fn reduce(sum: Self::Wide) -> Self {
        Self(carry(montgomery(sum)))
    }
    #[inline(always)]
    fn integers(rows: [&[i64; LANES]; LANES]) -> [__m512i; LANES] {
        // SAFETY: 64 bytes are read, from arrays of 64; and see the module.
        unsafe {
            let mut loaded = [zero(); LANES];
            for i in 0..LANES {
                loaded[i] = _mm512_loadu_si512(rows[i].as_ptr().cast());
            }
            transpose(loaded)
        }
    }
    #[inline(always)]
    fn is_small(value: i64) -> bool {
        // Below 2^41 with the bias.
        (value.wrapping_add(Self::BIAS) as u64) >> 41 == 0
    }
    #[inline(always)]
    fn load_integers(integers: &[i64; LANES]) -> __m512i {
        // SAFETY: 64 bytes are read, from an array of 64; and see the module.
        unsafe { _mm512_loadu_si512(integers.as_ptr().cast()) }
    }
    #[inline(always)]
    fn small_sum() -> Self::SmallSum {
        [zero(); LIMBS + 1]
    }
    #[inline(always)]
    fn add_small(sum: &mut Self::SmallSum, integers: __m512i, factor: &[u64; LIMBS]) {
        let factor = splat(factor);
        // The integers are below 2^41. A limb of the sum gets less than 2^52 + 2^41. SAFETY: see the module.
        unsafe {
            let integers = _mm512_add_epi64(integers, _mm512_set1_epi64(Self::BIAS));
            for i in 0..LIMBS {
                sum[i] = _mm512_madd52lo_epu64(sum[i], integers, factor[i]);
                sum[i + 1] = _mm512_madd52hi_epu64(sum[i + 1], integers, factor[i]);
            }
        }
    }
    #[inline(always)]
    fn reduce_small(sum: Self::SmallSum) -> Self {
        // 2048 products are below 2^52·r.
        loosen(small_step(sum))
    }
    #[inline(always)]
    fn minus_small(self, integers: __m512i, factor: &[u64; LIMBS]) -> Self {
        let mut sum = Self::small_sum();
        Self::add_small(&mut sum, integers, factor);
        // Below 1.001r.
        let (sum, added) = (small_step(sum), splat(&TWICE_MODULUS));
        let mut result = self.0;
        for i in 0..LIMBS {
            // SAFETY: see the module.
            result[i] = unsafe { _mm512_add_epi64(_mm512_sub_epi64(result[i], sum[i]), added[i]) };
        }
        loosen(result)
    }
}

/// `sum·2^-52` modulo r: at most `sum·2^-52 + r`; uncarried limbs.
#[inline(always)]
fn small_step(mut sum: [__m512i; LIMBS + 1]) -> [__m512i; LIMBS] {
    let modulus = splat(&MODULUS);
    // SAFETY: see the module.
    unsafe {
        let quotient = _mm512_madd52lo_epu64(zero(), sum[0], _mm512_set1_epi64(NEGATED_INVERSE as i64));
        for i in 0..LIMBS {
            sum[i] = _mm512_madd52lo_epu64(sum[i], quotient, modulus[i]);
            sum[i + 1] = _mm512_madd52hi_epu64(sum[i + 1], quotient, modulus[i]);
        }
        sum[1] = _mm512_add_epi64(sum[1], _mm512_srli_epi64::<52>(sum[0]));
    }
    [sum[1], sum[2], sum[3], sum[4], sum[5]]
}

/// Rows to columns.
#[inline(always)]
fn transpose(rows: [__m512i; LANES]) -> [__m512i; LANES] {
    let [r_0, r_1, r_2, r_3, r_4, r_5, r_6, r_7] = rows;
    // SAFETY: see the module.
    unsafe {
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
}

/// Rows to columns, for rows of four 128-bit halves of lanes.
#[inline(always)]
fn transpose_halves(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    // SAFETY: see the module.
    unsafe {
        let (even_low, even_high) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0x88>(c, d));
        let (odd_low, odd_high) = (_mm512_shuffle_i64x2::<0xdd>(a, b), _mm512_shuffle_i64x2::<0xdd>(c, d));
        [
            _mm512_shuffle_i64x2::<0x88>(even_low, even_high),
            _mm512_shuffle_i64x2::<0x88>(odd_low, odd_high),
            _mm512_shuffle_i64x2::<0xdd>(even_low, even_high),
            _mm512_shuffle_i64x2::<0xdd>(odd_low, odd_high),
        ]
    }
}
