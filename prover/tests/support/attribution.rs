//! Indexes that nobody wrote, batches that are attributed by them, and the columns of one request's attribution, computed
//! anew from any of its stages: a forger's, who follows his lie through.

#![allow(dead_code, reason = "each test file uses its own part")]

use lorica_circuits::column::Column;
use lorica_circuits::families::encoder::columns as c;
use lorica_circuits::shape::{CONTRIBUTORS, OutputKind, PLACES, Shape};
use lorica_quant::index::IndexCells;
use lorica_verifier::protocol::proof::Share;

use super::{LOG_TILE, Run, World};

/// Room of the indexes.
pub const RECORDS: usize = 1 << 11;

/// A small deterministic generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
    fn cell(&mut self, bits: u32) -> i16 {
        ((self.next() % (1 << bits)) as i64 - (1 << (bits - 1))) as i16
    }
}

/// Random records: every label, some contributors without records.
pub fn random_index(hidden: usize, count: usize, contributors: u64) -> IndexCells {
    let mut random = Random(5);
    let classes = (0..count).map(|_| {
        let mut class = [0; 16];
        class[random.next() as usize % 16] = (1 + random.next() % 240) as u8;
        class
    });
    let classes = classes.collect();
    IndexCells {
        hidden_size: hidden,
        count,
        features: (0..count * hidden).map(|_| random.cell(15)).collect(),
        classes,
        slots: (0..count).map(|_| (7 + 3 * (random.next() % contributors)) as u16).collect(),
        inverse: (0..hidden * hidden).map(|_| random.cell(16)).collect(),
        bias: (0..hidden).map(|_| random.cell(16)).collect(),
        corner: random.cell(16),
    }
}

/// Records with an influence of 1 on every answer, so that a score is a weight: each with its slot and its weight in every
/// class.
pub fn flat_index(hidden: usize, records: &[(u16, u8)]) -> IndexCells {
    IndexCells {
        hidden_size: hidden,
        count: records.len(),
        features: vec![0; records.len() * hidden],
        classes: records.iter().map(|&(_, weight)| [weight; 16]).collect(),
        slots: records.iter().map(|&(slot, _)| slot).collect(),
        inverse: vec![0; hidden * hidden],
        bias: vec![0; hidden],
        // y = floor((2^14·8 + 2^15)/2^16) = 2, a = floor(2·2^14·2/2^16) = 1
        corner: 8,
    }
}

/// A batch of requests with these tokens and adapters that is attributed.
pub fn attributed(world: &World, requests: &[(usize, Option<usize>)]) -> Run {
    let texts: Vec<(Vec<u32>, Option<usize>)> = requests
        .iter()
        .enumerate()
        .map(|(i, &(tokens, adapter))| (world.synthetic.ids(7 + i as u64, tokens), adapter))
        .collect();
    let shape = Shape::fitting(texts.len(), 16, LOG_TILE, OutputKind::Classify).and_then(|s| s.attributing(RECORDS));
    world.run_shape(shape.expect("a shape"), &texts)
}

/// 16 bits to a limb; what is beyond the last one's, or negative, is in it.
fn limbs(value: i128, count: usize) -> Vec<i64> {
    let limb = |i: usize| if i + 1 < count { (value >> (16 * i)) & 0xffff } else { value >> (16 * i) };
    (0..count).map(|i| i64::try_from(limb(i)).expect("a limb")).collect()
}

/// The columns of one request's attribution.
pub struct Own<'r> {
    pub run: &'r mut Run,
    pub request: usize,
}

impl Own<'_> {
    fn requests(&self) -> usize {
        self.run.statement.shape.requests
    }
    fn column(&mut self, column: Column) -> &mut Vec<i64> {
        self.run.columns.get_mut(&column).expect("a column")
    }
    /// The request's cells in a block of a column whose blocks have `width` cells for each request.
    pub fn row(&self, column: Column, width: usize) -> Vec<i64> {
        self.run.columns[&column][self.request * width..(self.request + 1) * width].to_vec()
    }
    pub fn set_row(&mut self, column: Column, block: usize, values: &[i64]) {
        let at = (block * self.requests() + self.request) * values.len();
        self.column(column)[at..at + values.len()].copy_from_slice(values);
    }
    pub fn cell(&self, column: Column, width: usize, at: usize) -> i64 {
        self.run.columns[&column][self.request * width + at]
    }
    /// One cell of a block.
    pub fn set(&mut self, column: Column, width: usize, block: usize, at: usize, value: i64) {
        let at = (block * self.requests() + self.request) * width + at;
        self.column(column)[at] = value;
    }
    pub fn place(&self, column: Column, place: usize) -> i64 {
        self.run.columns[&column][place * self.requests() + self.request]
    }
    pub fn set_place(&mut self, column: Column, place: usize, value: i64) {
        let at = place * self.requests() + self.request;
        self.column(column)[at] = value;
    }
    pub fn sums(&self) -> Vec<i64> {
        self.row(c::SUM, CONTRIBUTORS)
    }
    /// The listed slots, in the order of the list.
    pub fn listed(&self) -> Vec<usize> {
        (0..PLACES).map(|place| self.place(c::PLACE_SLOT, place) as usize).collect()
    }
    fn key(&self, slot: usize) -> i128 {
        (i128::from(self.cell(c::SUM, CONTRIBUTORS, slot)) << 10)
            - i128::from(self.run.columns[&c::CONTRIBUTOR_NUMBER][slot])
    }
    pub fn total(&self) -> i128 {
        self.sums().iter().map(|sum| i128::from(*sum)).sum()
    }

    /// Influences, and what follows from them, of the request's y; scores of this class, none for a request that does not
    /// attribute.
    pub fn follow_query(&mut self, index: &IndexCells, label: Option<usize>) {
        let hidden = index.hidden_size;
        let both =
            |low: Vec<i64>, high: Vec<i64>| low.iter().zip(high).map(|(l, h)| l + (h << 16)).collect::<Vec<i64>>();
        let y = both(self.row(c::QUERY_LOW, hidden), self.row(c::QUERY_HIGH, hidden));
        let constant = both(self.row(c::QUERY_BIAS_LOW, 1), self.row(c::QUERY_BIAS_HIGH, 1))[0] << 14;
        for record in 0..RECORDS {
            let own = if record < index.count { index.row(record) } else { &[] };
            let doubled = 2 * (own.iter().zip(&y).map(|(h, y)| i64::from(*h) * y).sum::<i64>() + constant);
            self.set(c::INFLUENCE, RECORDS, 0, record, doubled >> 16);
            self.set(c::INFLUENCE_REMAINDER, RECORDS, 0, record, doubled & 0xffff);
        }
        self.follow_influences(index, label);
    }

    /// Sizes, scores and what follows from the request's influences.
    pub fn follow_influences(&mut self, index: &IndexCells, label: Option<usize>) {
        for record in 0..RECORDS {
            let a = self.cell(c::INFLUENCE, RECORDS, record);
            for (limb, value) in limbs(a.abs().into(), c::SIZE_LIMBS).into_iter().enumerate() {
                self.set(c::INFLUENCE_SIZE, RECORDS, limb, record, value);
            }
        }
        self.follow_sizes(index, label);
    }

    /// Scores and what follows from influences and sizes.
    pub fn follow_sizes(&mut self, index: &IndexCells, label: Option<usize>) {
        let blocks = self.requests() * RECORDS;
        for record in 0..RECORDS {
            let a = self.cell(c::INFLUENCE, RECORDS, record);
            let size = (0..c::SIZE_LIMBS)
                .map(|limb| {
                    self.run.columns[&c::INFLUENCE_SIZE][limb * blocks + self.request * RECORDS + record] << (16 * limb)
                })
                .sum::<i64>();
            let class = index.classes.get(record).and_then(|class| Some(i64::from(class[label?]))).unwrap_or(0);
            assert_eq!(class * (a + size) % 2, 0);
            self.set(c::SCORE, RECORDS, 0, record, class * (a + size) / 2);
        }
        self.follow_scores(index);
    }

    /// Sums and what follows from scores.
    pub fn follow_scores(&mut self, index: &IndexCells) {
        let mut sums = vec![0; CONTRIBUTORS];
        for (record, score) in self.row(c::SCORE, RECORDS).into_iter().enumerate() {
            sums[usize::from(index.slots.get(record).copied().unwrap_or(0))] += score;
        }
        self.set_row(c::SUM, 0, &sums);
        self.follow_sums();
    }

    /// The list and what follows from sums.
    pub fn follow_sums(&mut self) {
        let mut order: Vec<usize> = (0..CONTRIBUTORS).collect();
        order.sort_by_key(|&slot| std::cmp::Reverse(self.key(slot)));
        let last = order[PLACES - 1];
        order.truncate(PLACES);
        order.sort_unstable();
        self.follow_list(&order, last);
    }

    /// Everything that follows from a list, with the key of a slot as threshold.
    pub fn follow_list(&mut self, listed: &[usize], threshold: usize) {
        self.set_row(c::THRESHOLD_SUM, 0, &[self.cell(c::SUM, CONTRIBUTORS, threshold)]);
        let number = self.run.columns[&c::CONTRIBUTOR_NUMBER][threshold];
        self.set_row(c::THRESHOLD_SLOT, 0, &[number]);
        let mut chosen = vec![0; CONTRIBUTORS];
        listed.iter().for_each(|slot| chosen[*slot] += 1);
        self.set_row(c::CHOSEN, 0, &chosen);
        self.follow_threshold();
        for (place, &slot) in listed.iter().enumerate() {
            self.set_place(c::PLACE_SLOT, place, slot as i64);
            self.set_place(c::PLACE_SUM, place, self.cell(c::SUM, CONTRIBUTORS, slot));
            self.set_place(c::PLACE_GAP, place, listed.get(place + 1).map_or(0, |next| *next as i64 - slot as i64 - 1));
        }
        self.follow_places(self.total());
    }

    /// The slacks, from sums, counts and the threshold: `2·e·(key - threshold) - (key - threshold) + e - 1`.
    pub fn follow_threshold(&mut self) {
        let threshold =
            (i128::from(self.cell(c::THRESHOLD_SUM, 1, 0)) << 10) - i128::from(self.cell(c::THRESHOLD_SLOT, 1, 0));
        for slot in 0..CONTRIBUTORS {
            let (e, above) = (i128::from(self.cell(c::CHOSEN, CONTRIBUTORS, slot)), self.key(slot) - threshold);
            self.set_slack(slot, 2 * e * above - above + e - 1);
        }
    }

    pub fn slack(&self, slot: usize) -> i128 {
        let limb = |i: usize| {
            let at = (i * self.requests() + self.request) * CONTRIBUTORS + slot;
            i128::from(self.run.columns[&c::CHOSEN_SLACK][at]) << c::chosen_limb_bits(i)
        };
        (0..c::CHOSEN_LIMBS).map(limb).sum()
    }

    pub fn set_slack(&mut self, slot: usize, slack: i128) {
        let mut own = limbs(slack, c::CHOSEN_LIMBS - 1);
        let above = own[c::CHOSEN_LIMBS - 2];
        own[c::CHOSEN_LIMBS - 2] = above.min(0xffff);
        own.push((above - 0xffff).max(0));
        for (limb, value) in own.into_iter().enumerate() {
            self.set(c::CHOSEN_SLACK, CONTRIBUTORS, limb, slot, value);
        }
    }

    /// Shares of the listed sums in a total, and the words.
    pub fn follow_places(&mut self, total: i128) {
        for place in 0..PLACES {
            let share = (i128::from(self.place(c::PLACE_SUM, place)) << 16).div_euclid(total + 1);
            self.set_share(place, i64::try_from(share).expect("a share"), total);
        }
        self.state();
    }

    /// A share with the remainders that follow from it; [`Self::state`] is still owed.
    pub fn set_share(&mut self, place: usize, share: i64, total: i128) {
        self.set_place(c::SHARE, place, share);
        let remainder = (i128::from(self.place(c::PLACE_SUM, place)) << 16) - i128::from(share) * (total + 1);
        self.set_remainder(place, remainder);
        self.set_room(place, total - remainder);
    }

    pub fn remainder(&self, place: usize) -> i128 {
        let of = |limb: usize| i128::from(self.place(c::SHARE_REMAINDER, limb * PLACES + place)) << (16 * limb);
        (0..c::SHARE_LIMBS).map(of).sum()
    }

    pub fn set_remainder(&mut self, place: usize, remainder: i128) {
        for (limb, value) in limbs(remainder, c::SHARE_LIMBS).into_iter().enumerate() {
            self.set_place(c::SHARE_REMAINDER, limb * PLACES + place, value);
        }
    }

    /// What a remainder is below the total.
    pub fn set_room(&mut self, place: usize, room: i128) {
        for (limb, value) in limbs(room, c::SHARE_LIMBS).into_iter().enumerate() {
            self.set_place(c::SHARE_SLACK, limb * PLACES + place, value);
        }
    }

    /// Publishes what the columns say.
    pub fn state(&mut self) {
        let share =
            |place| Share { slot: self.place(c::PLACE_SLOT, place) as u16, share: self.place(c::SHARE, place) as u16 };
        let shares: Vec<Share> = (0..PLACES).map(share).collect();
        if let Some(request) = self.run.statement.requests.get_mut(self.request) {
            request.shares = shares;
        }
    }
}
