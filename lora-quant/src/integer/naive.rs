//! The reference executor: `docs/protocol/integers.md` line by line, in `i128`, cell by cell, padding included.
//!
//! It shares nothing with the [`executor`](super::executor) but the models, the column descriptions and the tables,
//! and serves as its test. Slow by design.

use std::collections::BTreeMap;

use lorica_circuits::architecture::{Architecture, BLOCK, LABELS, OutputKind, Shape};
use lorica_circuits::column::{Axis, Column as C, ColumnSpec, Lookup, Region};
use lorica_circuits::table;

use super::batch::{BatchInput, RequestOutput, Trace};
use super::error::{ExecuteError, RangeError};
use super::model::{AdapterModel, BaseModel};

/// Runs a batch as [`Executor::execute`](super::Executor::execute) does.
///
/// # Errors
/// The same cases, though of several errors another may be met first.
pub fn execute(model: &BaseModel, input: &BatchInput) -> Result<Trace, ExecuteError> {
    check(model, input)?;
    let shape = input.shape;
    let null = AdapterModel::null(&model.architecture);
    let a = &model.architecture;
    let regions = [Region::Base, Region::Adapter, Region::Witness];
    let specs: BTreeMap<_, _> =
        regions.iter().flat_map(|&r| C::all(r, shape.output)).map(|c| (c, c.spec(a, &shape))).collect();
    let columns = C::all(Region::Witness, shape.output).into_iter().map(|c| (c, vec![0; specs[&c].len()])).collect();
    let mut naive = Naive {
        model,
        a,
        adapter: &null,
        shape,
        specs,
        columns,
        request: 0,
        n: 0,
        exp: table::values(C::TableExp, a).unwrap_or_default(),
        activation: table::values(C::TableActivation, a).unwrap_or_default(),
        tanh: table::values(C::TableTanh, a).unwrap_or_default(),
    };
    let mut outputs = Vec::new();
    for request in 0..shape.requests {
        let own = input.requests.get(request).unwrap_or(&input.requests[0]);
        naive.adapter = own.adapter.as_deref().unwrap_or(&null);
        (naive.request, naive.n) = (request, own.ids.len());
        let output = naive.run(&own.ids)?;
        if request < input.requests.len() {
            outputs.push(output);
        }
    }
    naive.multiplicities();
    Ok(Trace { columns: naive.columns, outputs })
}

fn check(model: &BaseModel, input: &BatchInput) -> Result<(), ExecuteError> {
    input.shape.validate()?;
    model.validate().map_err(ExecuteError::Base)?;
    let classify = input.shape.output == OutputKind::Classify;
    if input.requests.is_empty() || input.requests.len() > input.shape.requests {
        return Err(ExecuteError::Requests { most: input.shape.requests, got: input.requests.len() });
    }
    if classify && !model.meta.has_pooler {
        return Err(ExecuteError::NoPooler);
    }
    let vocab = model.architecture.vocab;
    for (request, own) in input.requests.iter().enumerate() {
        if own.ids.len() < 2 || own.ids.len() > input.shape.tokens {
            return Err(ExecuteError::Length { request, most: input.shape.tokens, got: own.ids.len() });
        }
        if let Some(position) = own.ids.iter().position(|&id| id as usize >= vocab) {
            return Err(ExecuteError::Vocabulary { request, position, id: own.ids[position], vocab });
        }
        if let Some(adapter) = &own.adapter {
            adapter.validate(&model.architecture).map_err(|source| ExecuteError::Adapter { request, source })?;
        }
        if classify && !own.adapter.as_ref().is_some_and(|a| a.has_head) {
            return Err(ExecuteError::NoHead { request });
        }
    }
    Ok(())
}

/// A row of channels.
type Row = Vec<i128>;

struct Naive<'a> {
    model: &'a BaseModel,
    a: &'a Architecture,
    adapter: &'a AdapterModel,
    shape: Shape,
    specs: BTreeMap<C, ColumnSpec>,
    columns: BTreeMap<C, Vec<i64>>,
    request: usize,
    /// Real tokens of the request.
    n: usize,
    exp: Vec<i64>,
    activation: Vec<i64>,
    tanh: Vec<i64>,
}

/// Floor division of `x + 2^(bits-1)` by `2^bits`, and the rest.
fn round(x: i128, bits: u32) -> (i128, i128) {
    let (x, divisor) = (x + (1 << (bits - 1)), 1 << bits);
    (x.div_euclid(divisor), x.rem_euclid(divisor))
}

/// The largest `ρ` with `ρ²·v <= c`, by bisection.
fn reciprocal_root(c: i128, v: i128) -> i128 {
    let (mut low, mut high) = (0i128, 1i128 << 41);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if (middle * middle).checked_mul(v).is_some_and(|x| x <= c) { low = middle } else { high = middle }
    }
    low
}

/// Values and weights have at most 64 bits each.
fn dot(x: &[i128], w: &[i128]) -> i128 {
    x.iter().zip(w).map(|(&x, &w)| i128::from(x as i64) * i128::from(w as i64)).sum()
}

impl Naive<'_> {
    /// Row-major offset of a cell: digits, then low axes.
    fn offset(&self, column: C, index: &[usize]) -> usize {
        let spec = &self.specs[&column];
        let digits = spec.digits.iter().copied();
        let axes = digits.chain(spec.lows.iter().map(|&(axis, bits)| (axis, 1usize << bits)));
        assert_eq!(index.len(), spec.digits.len() + spec.lows.len(), "{column:?}");
        axes.zip(index).fold(0, |offset, ((_, size), &i)| offset * size + i)
    }

    /// Writes a witness cell, if it is in range.
    fn put(&mut self, column: C, index: &[usize], value: i128) -> Result<i128, RangeError> {
        let spec = &self.specs[&column];
        if let Some((low, high)) = spec.lookup.bounds()
            && (value < low.into() || value > high.into())
        {
            let axes = spec.digits.iter().map(|d| d.0).chain(spec.lows.iter().map(|l| l.0));
            let place = axes.zip(index.iter().copied()).filter(|p| p.0 != Axis::Request).collect();
            let value = value.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            return Err(RangeError { column, request: self.request, place, value, bounds: (low, high) });
        }
        let offset = self.offset(column, index);
        self.columns.entry(column).or_default()[offset] = value as i64;
        Ok(value)
    }

    /// A cell of a base column.
    fn base(&self, column: C, index: &[usize]) -> i128 {
        self.model.columns[&column][self.offset(column, index)].into()
    }

    /// A cell of the request's adapter.
    fn lora(&self, column: C, index: &[usize]) -> i128 {
        self.adapter.columns[&column][self.offset(column, index)].into()
    }

    /// Index of a channel cell of a token.
    fn at(&self, digits: &[usize], token: usize, channel: usize) -> Vec<usize> {
        [digits, &[channel / BLOCK, self.request, token, channel % BLOCK]].concat()
    }

    fn run(&mut self, ids: &[u32]) -> Result<RequestOutput, RangeError> {
        let (hidden, tokens, layers) = (self.a.hidden, self.shape.tokens, self.a.layers);
        let mut residual: Vec<Row> = Vec::new();
        for t in 0..tokens {
            // Padding tokens repeat token and position of row 0.
            let (id, position) = if t < self.n { (ids[t] as usize, t) } else { (ids[0] as usize, 0) };
            let sum = |c: usize| {
                self.base(C::Word, &[c / BLOCK, id, c % BLOCK])
                    + self.base(C::Position, &[c / BLOCK, position, c % BLOCK])
                    + self.base(C::TokenType, &[c / BLOCK, c % BLOCK])
            };
            let e: Row = (0..hidden).map(sum).collect();
            residual.push(self.norm(0, t, &e, C::Residual, 0)?);
        }
        for l in 0..layers {
            residual = self.layer(l, &residual)?;
        }
        match self.shape.output {
            OutputKind::Embed => {
                let sum = |c: usize| residual[..self.n].iter().map(|row| row[c] as i64).sum();
                Ok(RequestOutput::Embed { sums: (0..hidden).map(sum).collect(), length: self.n })
            }
            OutputKind::Classify => self.classify(&residual[0]),
        }
    }

    fn layer(&mut self, l: usize, residual: &[Row]) -> Result<Vec<Row>, RangeError> {
        let q = self.linear(l, 0, residual, C::QkvRemainder, Some(C::Qkv))?;
        let k = self.linear(l, 1, residual, C::QkvRemainder, Some(C::Qkv))?;
        let v = self.linear(l, 2, residual, C::QkvRemainder, Some(C::Qkv))?;
        let context = self.attention(l, &q, &k, &v)?;
        let attended = self.linear(l, 3, &context, C::AttentionRemainder, Some(C::Attention))?;
        let j = self.a.layers + 1 + l;
        let mut mid = Vec::new();
        for (t, (x, o)) in residual.iter().zip(&attended).enumerate() {
            mid.push(self.norm(j, t, &self.align(j, x, o), C::Mid, l)?);
        }
        let keys = self.linear(l, 4, &mid, C::IntermediateRemainder, Some(C::Intermediate))?;
        let mut activated = vec![Row::new(); keys.len()];
        for (t, keys) in keys.iter().enumerate() {
            for (c, key) in keys.iter().enumerate() {
                let value = self.activation[(key + 32768) as usize].into();
                activated[t].push(self.put(C::Activated, &self.at(&[l], t, c), value)?);
            }
        }
        let out = self.linear(l, 5, &activated, C::OutputRemainder, None)?;
        let j = l + 1;
        let mut next = Vec::new();
        for (t, (x, out)) in mid.iter().zip(&out).enumerate() {
            for (c, &o) in out.iter().enumerate() {
                self.put(C::OutputHigh, &self.at(&[l], t, c), o.div_euclid(1 << 16))?;
                self.put(C::OutputLow, &self.at(&[l], t, c), o.rem_euclid(1 << 16))?;
            }
            next.push(self.norm(j, t, &self.align(j, x, out), C::Residual, j)?);
        }
        Ok(next)
    }

    /// `2^stream·x + 2^branch·o`.
    fn align(&self, j: usize, x: &Row, o: &Row) -> Row {
        let scale = self.model.scales.norms[j];
        x.iter().zip(o).map(|(x, o)| (x << scale.stream) + (o << scale.branch)).collect()
    }

    fn norm(&mut self, j: usize, t: usize, r: &[i128], target: C, slot: usize) -> Result<Row, RangeError> {
        let scale = self.model.scales.norms[j];
        let (n, m) = (r.len() as i128, self.request);
        let s: i128 = r.iter().sum();
        let q: i128 = r.iter().map(|x| x * x).sum();
        let v = n * q - s * s + i128::from(scale.epsilon);
        let c = 1i128 << scale.root;
        let root = reciprocal_root(c, v);
        self.put(C::NormSquares, &[j, m, t], q)?;
        self.put(C::NormVariance, &[j, m, t], v)?;
        self.put(C::NormRoot, &[j, m, t], root)?;
        let slacks = [c - root * root * v, (root + 1) * (root + 1) * v - 1 - c];
        for limb in 0..10 {
            let value = (slacks[limb / 5] >> (16 * (limb % 5))) % (1 << 16);
            self.put(C::NormSlack, &[limb, j, m, t], value)?;
        }
        let mut outputs = Row::new();
        for (channel, x) in r.iter().enumerate() {
            let acc = (n * x - s) * root * (1 << (32 - scale.shift));
            let (z, rest) = round(acc, 32);
            self.put(C::NormValue, &self.at(&[j], t, channel), z)?;
            self.put(C::NormValueRemainder, &self.at(&[0, j], t, channel), rest % (1 << 16))?;
            self.put(C::NormValueRemainder, &self.at(&[1, j], t, channel), rest / (1 << 16))?;
            let index = [j, channel / BLOCK, channel % BLOCK];
            let (y, rest) = round(z * self.base(C::Gamma, &index) + self.base(C::Beta, &index), 16);
            self.put(C::NormRemainder, &self.at(&[j], t, channel), rest)?;
            outputs.push(self.put(target, &self.at(&[slot], t, channel), y)?);
        }
        Ok(outputs)
    }

    /// A linear layer on all tokens: outermost the output channel, so that its weights are gathered once.
    fn linear(
        &mut self,
        l: usize,
        site: usize,
        x: &[Row],
        remainder: C,
        target: Option<C>,
    ) -> Result<Vec<Row>, RangeError> {
        let inputs = x[0].len();
        let mut h = vec![Row::new(); x.len()];
        for k in 0..self.a.r_max {
            let a = |i: usize| match site {
                5 => self.lora(C::LoraAOutput, &[l, i / BLOCK, k, i % BLOCK]),
                _ => self.lora(C::LoraA, &[l, site, i / BLOCK, k, i % BLOCK]),
            };
            let weights: Row = (0..inputs).map(a).collect();
            for (t, x) in x.iter().enumerate() {
                let (value, rest) = round(dot(x, &weights), 16);
                h[t].push(self.put(C::LoraHidden, &[l, site, self.request, t, k], value)?);
                self.put(C::LoraHiddenRemainder, &[l, site, self.request, t, k], rest)?;
            }
        }
        let outputs = if site == 4 { self.a.intermediate } else { self.a.hidden };
        let mut rows = vec![Row::new(); x.len()];
        for o in 0..outputs {
            let (block, c) = (o / BLOCK, o % BLOCK);
            let weight = |i: usize| match site {
                3 => self.base(C::WeightAttention, &[l, block, i / BLOCK, c, i % BLOCK]),
                4 => self.base(C::WeightIntermediate, &[l, block, i / BLOCK, c, i % BLOCK]),
                5 => self.base(C::WeightOutput, &[l, block, i / BLOCK, c, i % BLOCK]),
                kind => self.base(C::WeightQkv, &[l, kind, block, i / BLOCK, c, i % BLOCK]),
            };
            let bias = match site {
                3 => self.base(C::BiasAttention, &[l, block, c]),
                4 => self.base(C::BiasIntermediate, &[l, block, c]),
                5 => self.base(C::BiasOutput, &[l, block, c]),
                kind => self.base(C::BiasQkv, &[l, kind, block, c]),
            };
            let b = |k: usize| match site {
                4 => self.lora(C::LoraBIntermediate, &[l, block, c, k]),
                5 => self.lora(C::LoraB, &[l, 4, block, c, k]),
                _ => self.lora(C::LoraB, &[l, site, block, c, k]),
            };
            let weights: Row = (0..inputs).map(weight).collect();
            let updates: Row = (0..self.a.r_max).map(b).collect();
            let digits: &[usize] = if site < 3 { &[l, site] } else { &[l] };
            for (t, x) in x.iter().enumerate() {
                let (y, rest) = round(dot(x, &weights) + bias + dot(&h[t], &updates), 16);
                self.put(remainder, &self.at(digits, t, o), rest)?;
                if let Some(column) = target {
                    self.put(column, &self.at(digits, t, o), y)?;
                }
                rows[t].push(y);
            }
        }
        Ok(rows)
    }

    fn attention(&mut self, l: usize, q: &[Row], k: &[Row], v: &[Row]) -> Result<Vec<Row>, RangeError> {
        let (n, m, tokens, dim, shift) =
            (self.n, self.request, self.shape.tokens, self.a.head_dim(), self.model.scales.scores[l]);
        let mut context = vec![Row::new(); tokens];
        for head in 0..self.a.heads {
            let (block, inner) = (head / self.a.heads_per_block(), head % self.a.heads_per_block());
            let channels = head * dim..(head + 1) * dim;
            for t in 0..tokens {
                let cell = |key: usize| [l, block, m, inner, t, key];
                let dot = |key: usize| channels.clone().map(|c| q[t][c] * k[key][c]).sum::<i128>();
                let scores: Vec<_> = (0..tokens).map(|key| round(dot(key) * (1 << (16 - shift)), 16)).collect();
                let max = scores[..n].iter().map(|s| s.0).max().unwrap_or(0);
                self.put(C::Max, &[l, block, m, inner, t], max)?;
                let lowest = scores.iter().position(|s| s.0 == max);
                let mut exps = Vec::new();
                for (key, (s, rest)) in scores.iter().enumerate() {
                    let gap = self.put(C::Gap, &cell(key), max - s)?;
                    self.put(C::ScoreRemainder, &cell(key), *rest)?;
                    let value = self.exp[gap as usize].into();
                    exps.push(self.put(C::Exp, &cell(key), value)?);
                    self.put(C::Attain, &cell(key), (lowest == Some(key)).into())?;
                }
                let d: i128 = exps[..n].iter().sum();
                let (r, u) = ((1i128 << 38) / d, (1i128 << 38) % d);
                for (column, value) in
                    [(C::Reciprocal, r), (C::ReciprocalRemainder, u), (C::ReciprocalSlack, d - 1 - u)]
                {
                    self.put(column, &[0, l, block, m, inner, t], value % (1 << 16))?;
                    self.put(column, &[1, l, block, m, inner, t], value >> 16)?;
                }
                let mut probs = Vec::new();
                for (key, e) in exps.iter().enumerate() {
                    let (p, rest) = round(e * r * (1 << 9), 32);
                    probs.push(self.put(C::Prob, &cell(key), p)?);
                    let [a, b, c, d, e, f] = cell(key);
                    self.put(C::ProbRemainder, &[0, a, b, c, d, e, f], rest % (1 << 16))?;
                    self.put(C::ProbRemainder, &[1, a, b, c, d, e, f], rest / (1 << 16))?;
                }
                for c in channels.clone() {
                    let sum: i128 = (0..n).map(|key| probs[key] * v[key][c]).sum();
                    let (value, rest) = round(2 * sum, 16);
                    context[t].push(self.put(C::Context, &self.at(&[l], t, c), value)?);
                    self.put(C::ContextRemainder, &self.at(&[l], t, c), rest)?;
                }
            }
        }
        Ok(context)
    }

    fn classify(&mut self, first: &Row) -> Result<RequestOutput, RangeError> {
        let m = self.request;
        let mut pooled = Row::new();
        for o in 0..self.a.hidden {
            let (block, c) = (o / BLOCK, o % BLOCK);
            let weight = |i: usize| self.base(C::WeightPooler, &[block, i / BLOCK, c, i % BLOCK]);
            let products: i128 = first.iter().enumerate().map(|(i, x)| x * weight(i)).sum();
            let (key, rest) = round(products + self.base(C::BiasPooler, &[block, c]), 16);
            self.put(C::PoolerKey, &[block, m, c], key)?;
            self.put(C::PoolerRemainder, &[block, m, c], rest)?;
            let value = self.tanh[(key + 32768) as usize].into();
            pooled.push(self.put(C::Pooled, &[block, m, c], value)?);
        }
        let mut logits = [0i64; LABELS];
        for (j, logit) in logits.iter_mut().enumerate() {
            let weight = |i: usize| self.lora(C::Classifier, &[i / BLOCK, j, i % BLOCK]);
            let sum: i128 = pooled.iter().enumerate().map(|(i, x)| x * weight(i)).sum();
            *logit = (sum + self.lora(C::ClassifierBias, &[j])) as i64;
        }
        let mut label = 0;
        for j in 1..LABELS {
            if logits[j] > logits[label] {
                label = j;
            }
        }
        Ok(RequestOutput::Classify { logits, label })
    }

    fn multiplicities(&mut self) {
        let specs: Vec<ColumnSpec> = self.specs.values().filter(|s| s.region == Region::Witness).cloned().collect();
        for spec in specs {
            let Lookup::Key { table, .. } = spec.lookup else { continue };
            let cells = self.columns[&spec.column].clone();
            let counts = self.columns.entry(table.multiplicities()).or_default();
            for cell in cells {
                counts[(cell + spec.lookup.offset()) as usize] += 1;
            }
        }
    }
}
