use super::*;

/// Numbers that look random and are the same everywhere (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn cell(&mut self) -> i16 {
        self.next().to_le_bytes()[..2].try_into().map(i16::from_le_bytes).unwrap()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn random(numbers: &mut Numbers, count: usize, hidden_size: usize, contributors: u64) -> IndexCells {
    let classes = (0..count)
        .map(|_| {
            let mut class = [0; LABELS];
            class[numbers.below(16) as usize] = numbers.below(256) as u8;
            class
        })
        .collect();
    IndexCells {
        hidden_size,
        count,
        features: (0..count * hidden_size).map(|_| numbers.cell()).collect(),
        classes,
        slots: (0..count).map(|_| numbers.below(contributors) as u16).collect(),
        inverse: (0..hidden_size * hidden_size).map(|_| numbers.cell()).collect(),
        bias: (0..hidden_size).map(|_| numbers.cell()).collect(),
        corner: numbers.cell(),
    }
}

/// `⌊a/b⌋` by the definition, `b > 0`.
fn floor(a: i128, b: i128) -> i128 {
    let quotient = a / b;
    if quotient * b > a { quotient - 1 } else { quotient }
}

/// Scores from the formulas, with the constant 1 as a column and a row like any other.
fn naive_scores(cells: &IndexCells, pooled: &[i16], label: usize) -> Vec<u64> {
    let n = cells.hidden_size;
    let with_one = |row: &[i16]| row.iter().map(|&x| i128::from(x)).chain([1 << 14]).collect::<Vec<i128>>();
    let g = |j: usize, k: usize| -> i128 {
        match (j == n, k == n) {
            (false, false) => cells.inverse[j * n + k].into(),
            (false, true) => cells.bias[j].into(),
            (true, false) => cells.bias[k].into(),
            (true, true) => cells.corner.into(),
        }
    };
    let h = with_one(pooled);
    let y: Vec<i128> = (0..=n).map(|j| floor((0..=n).map(|k| g(j, k) * h[k]).sum::<i128>() + 32_768, 65_536)).collect();
    (0..cells.count)
        .map(|i| {
            let row = with_one(&cells.features[i * n..(i + 1) * n]);
            let a = floor(2 * row.iter().zip(&y).map(|(h, y)| h * y).sum::<i128>(), 65_536);
            u64::try_from(i128::from(cells.classes[i][label]) * a.max(0)).unwrap()
        })
        .collect()
}

/// Shares from the formulas: the largest is taken 32 times.
fn naive_shares(cells: &IndexCells, scores: &[u64]) -> Vec<(u16, u16)> {
    let mut sums = vec![0i128; 1_024];
    for (slot, score) in cells.slots.iter().zip(scores) {
        sums[usize::from(*slot)] += i128::from(*score);
    }
    let total: i128 = sums.iter().sum();
    let mut chosen = std::collections::BTreeMap::new();
    for _ in 0..32 {
        let mut best: Option<usize> = None;
        for slot in 0..1_024 {
            if !chosen.contains_key(&slot) && best.is_none_or(|b| sums[slot] > sums[b]) {
                best = Some(slot);
            }
        }
        let slot = best.unwrap();
        chosen.insert(slot, floor(65_536 * sums[slot], total + 1));
    }
    chosen.into_iter().map(|(slot, share)| (slot as u16, u16::try_from(share).unwrap())).collect()
}

fn listed(shares: &Shares) -> Vec<(u16, u16)> {
    shares.entries.iter().map(|entry| (entry.slot, entry.share)).collect()
}

fn check(cells: &IndexCells, pooled: &[i16], label: usize) -> Shares {
    cells.validate().unwrap();
    let scores = cells.scores(pooled, label);
    assert_eq!(scores, naive_scores(cells, pooled, label));
    let shares = cells.shares(&scores);
    assert_eq!(listed(&shares), naive_shares(cells, &scores));
    assert_eq!(u128::from(shares.total), scores.iter().map(|&s| u128::from(s)).sum());
    let paid: u32 = shares.entries.iter().map(|entry| u32::from(entry.share)).sum();
    assert_eq!(paid + u32::from(shares.tail), 65_535);
    shares
}

#[test]
fn scores_and_shares_are_the_formulas() {
    let mut numbers = Numbers(1);
    for (count, hidden_size, contributors) in [(1, 1, 1), (40, 16, 3), (127, 32, 33), (300, 17, 1_024)] {
        for _ in 0..8 {
            let cells = random(&mut numbers, count, hidden_size, contributors);
            let pooled: Vec<i16> = (0..hidden_size).map(|_| numbers.cell()).collect();
            check(&cells, &pooled, numbers.below(16) as usize);
        }
    }
}

/// All cells at either end of 16 bits: nothing overflows, and scores of pooled values as the tanh table has them stay below
/// their stated bound.
#[test]
fn extremes_have_scores() {
    for g in [i16::MIN, i16::MAX] {
        for h in [i16::MIN, i16::MAX] {
            for q in [i16::MIN, i16::MAX, -(1 << 14), 1 << 14] {
                let cells = IndexCells {
                    hidden_size: 384,
                    count: 40,
                    features: vec![h; 40 * 384],
                    classes: vec![[255; LABELS]; 40],
                    slots: (0..40).collect(),
                    inverse: vec![g; 384 * 384],
                    bias: vec![g; 384],
                    corner: g,
                };
                check(&cells, &vec![q; 384], 15);
                let scores = cells.scores(&vec![q; 384], 15);
                let bound = if q.unsigned_abs() > 1 << 14 { 39.2f64 } else { 38.2 };
                assert!(scores.iter().all(|&s| (s as f64) < bound.exp2()), "{}", scores[0]);
            }
        }
    }
}

/// Records whose scores are what the test wants: one channel, features that are multiples of a score's unit.
fn with_scores(scores: &[(u16, u64)]) -> (IndexCells, Vec<u64>) {
    let cells = IndexCells {
        hidden_size: 1,
        count: scores.len(),
        features: vec![0; scores.len()],
        classes: vec![[1; LABELS]; scores.len()],
        slots: scores.iter().map(|s| s.0).collect(),
        inverse: vec![0],
        bias: vec![0],
        corner: 0,
    };
    (cells, scores.iter().map(|s| s.1).collect())
}

#[test]
fn no_influence_is_all_tail() {
    let (cells, scores) = with_scores(&[(7, 0), (900, 0)]);
    let shares = cells.shares(&scores);
    assert_eq!((shares.total, shares.tail), (0, 65_535));
    assert_eq!(listed(&shares), (0..32).map(|slot| (slot, 0)).collect::<Vec<_>>());
    // Negative influence is none: relu per record.
    let cells = IndexCells { features: vec![-5_000; 2], inverse: vec![32_767], ..cells };
    assert_eq!(cells.scores(&[16_384], 3), [0, 0]);
    assert!(cells.scores(&[-16_384], 3)[0] > 0);
}

#[test]
fn one_contributor_has_all_but_the_rounding() {
    let (cells, scores) = with_scores(&[(1_023, 65_535)]);
    let shares = cells.shares(&scores);
    assert_eq!(shares.entries[31], Share { slot: 1_023, share: 65_535 });
    assert_eq!(shares.tail, 0);
    let (cells, scores) = with_scores(&[(1_023, 65_534)]);
    assert_eq!(cells.shares(&scores).entries[31].share, 65_534);
}

/// At the border of the 32 places the lower slot wins, in both orders of the records.
#[test]
fn ties_go_to_the_lower_slot() {
    let mut list: Vec<(u16, u64)> = (0..31).map(|i| (500 + i, 1_000)).collect();
    list.extend([(40, 10), (30, 10), (35, 10)]);
    for _ in 0..2 {
        let (cells, scores) = with_scores(&list);
        let shares = cells.shares(&scores);
        assert_eq!(listed(&shares), naive_shares(&cells, &scores));
        assert_eq!(shares.entries[0].slot, 30);
        assert_eq!(shares.entries[1].slot, 500);
        let share = (1_000u32 << 16) / 31_031;
        assert_eq!(u32::from(shares.tail), 65_535 - 31 * share - (10 << 16) / 31_031);
        list.reverse();
    }
    // One unit more displaces it.
    list[0] = (35, 11);
    let list: Vec<_> = list.into_iter().filter(|l| l.0 != 35 || l.1 == 11).chain([(40, 10), (30, 10)]).collect();
    let (cells, scores) = with_scores(&list);
    assert_eq!(listed(&cells.shares(&scores)), naive_shares(&cells, &scores));
}

/// The sum of a contributor counts, not its largest record.
#[test]
fn records_of_a_contributor_are_summed() {
    let (cells, scores) = with_scores(&[(3, 5), (4, 9), (3, 5)]);
    let shares = cells.shares(&scores);
    assert_eq!(shares.entries[3], Share { slot: 3, share: (10u32 << 16).div_euclid(20) as u16 });
    assert_eq!(shares.entries[4].share, ((9u32 << 16) / 20) as u16);
}

#[test]
fn cells_of_other_lengths_are_no_index() {
    let good = random(&mut Numbers(2), 3, 4, 5);
    let length = |what, expected, got| Err(IndexError::Length { what, expected, got });
    assert_eq!(good.validate(), Ok(()));
    assert_eq!(IndexCells { features: vec![0; 11], ..good.clone() }.validate(), length("features", 12, 11));
    assert_eq!(IndexCells { classes: vec![], ..good.clone() }.validate(), length("classes", 3, 0));
    assert_eq!(IndexCells { slots: vec![0; 4], ..good.clone() }.validate(), length("slots", 3, 4));
    assert_eq!(IndexCells { inverse: vec![0; 4], ..good.clone() }.validate(), length("inverse", 16, 4));
    assert_eq!(IndexCells { bias: vec![0; 5], ..good.clone() }.validate(), length("bias", 4, 5));
    assert_eq!(IndexCells { count: 0, ..good.clone() }.validate(), Err(IndexError::Count(0)));
    assert_eq!(IndexCells { count: 65_537, ..good.clone() }.validate(), Err(IndexError::Count(65_537)));
    let slots = vec![0, 1_024, 3];
    assert_eq!(IndexCells { slots, ..good }.validate(), Err(IndexError::Slot { record: 1, slot: 1_024 }));
}
