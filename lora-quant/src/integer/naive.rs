//! The reference executor: `docs/protocol/integers.md` line by line, in `i128`, cell by cell, padding included.
//!
//! It shares nothing with the [`executor`](super::executor) but the models, the column descriptions and the tables,
//! and serves as its test. Slow by design.

use std::collections::BTreeMap;

use lorica_circuits::axis::Axis;
use lorica_circuits::column::{Column as C, ColumnSpec, Lookup};
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::families::encoder::columns;
use lorica_circuits::families::encoder::table_values;
use lorica_circuits::region::Region;
use lorica_circuits::shape::{LABELS, OutputKind, Shape};

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
    let specs: BTreeMap<_, _> = columns::columns(a, &shape).into_iter().map(|spec| (spec.column, spec)).collect();
    let witness = specs.values().filter(|spec| spec.region == Region::WITNESS);
    let columns = witness.map(|spec| (spec.column, vec![0; spec.len()])).collect();
    let mut naive = Naive {
        model,
        a,
        adapter: &null,
        shape,
        specs,
        columns,
        request: 0,
        n: 0,
        exp: table_values(columns::TABLE_EXP, a).unwrap_or_default(),
        activation: table_values(columns::TABLE_ACTIVATION, a).unwrap_or_default(),
        tanh: table_values(columns::TABLE_TANH, a).unwrap_or_default(),
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
    Ok(Trace { columns: naive.columns.into_iter().collect(), outputs })
}

fn check(model: &BaseModel, input: &BatchInput) -> Result<(), ExecuteError> {
    input.shape.validate()?;
    let most = model.architecture.max_tokens;
    if input.shape.tokens > most {
        return Err(CircuitError::Tokens { most, got: input.shape.tokens }.into());
    }
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
            let place = axes.zip(index.iter().copied()).filter(|p| p.0 != Axis::REQUEST).collect();
            let value = value.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            return Err(RangeError { column, request: self.request, place, value, bounds: (low, high) });
        }
        let offset = self.offset(column, index);
        self.columns.entry(column).or_default()[offset] = value as i64;
        Ok(value)
    }

    /// A cell of a base column.
    fn base(&self, column: C, index: &[usize]) -> i128 {
        self.model.columns[column].at(self.offset(column, index)).into()
    }

    /// A cell of the request's adapter.
    fn lora(&self, column: C, index: &[usize]) -> i128 {
        self.adapter.columns[column].at(self.offset(column, index)).into()
    }

    /// Index of a channel cell of a token.
    fn at(&self, digits: &[usize], token: usize, channel: usize) -> Vec<usize> {
        [digits, &[channel / self.a.block, self.request, token, channel % self.a.block]].concat()
    }

    fn run(&mut self, ids: &[u32]) -> Result<RequestOutput, RangeError> {
        let (hidden, tokens, layers) = (self.a.hidden, self.shape.tokens, self.a.layers);
        let mut residual: Vec<Row> = Vec::new();
        for t in 0..tokens {
            // Padding tokens repeat token and position of row 0.
            let (id, position) = if t < self.n { (ids[t] as usize, t) } else { (ids[0] as usize, 0) };
            let sum = |c: usize| {
                self.base(columns::WORD, &[c / self.a.block, id, c % self.a.block])
                    + self.base(columns::POSITION, &[c / self.a.block, position, c % self.a.block])
                    + self.base(columns::TOKEN_TYPE, &[c / self.a.block, c % self.a.block])
            };
            let e: Row = (0..hidden).map(sum).collect();
            residual.push(self.norm(0, t, &e, columns::RESIDUAL, 0)?);
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
        let q = self.linear(l, 0, residual, columns::QKV_REMAINDER, Some(columns::QKV))?;
        let k = self.linear(l, 1, residual, columns::QKV_REMAINDER, Some(columns::QKV))?;
        let v = self.linear(l, 2, residual, columns::QKV_REMAINDER, Some(columns::QKV))?;
        let context = self.attention(l, &q, &k, &v)?;
        let attended = self.linear(l, 3, &context, columns::ATTENTION_REMAINDER, Some(columns::ATTENTION))?;
        let j = self.a.layers + 1 + l;
        let mut mid = Vec::new();
        for (t, (x, o)) in residual.iter().zip(&attended).enumerate() {
            mid.push(self.norm(j, t, &self.align(j, x, o), columns::MID, l)?);
        }
        let keys = self.linear(l, 4, &mid, columns::INTERMEDIATE_REMAINDER, Some(columns::INTERMEDIATE))?;
        let mut activated = vec![Row::new(); keys.len()];
        for (t, keys) in keys.iter().enumerate() {
            for (c, key) in keys.iter().enumerate() {
                let value = self.activation[(key + 32768) as usize].into();
                activated[t].push(self.put(columns::ACTIVATED, &self.at(&[l], t, c), value)?);
            }
        }
        let out = self.linear(l, 5, &activated, columns::OUTPUT_REMAINDER, None)?;
        let j = l + 1;
        let mut next = Vec::new();
        for (t, (x, out)) in mid.iter().zip(&out).enumerate() {
            for (c, &o) in out.iter().enumerate() {
                self.put(columns::OUTPUT_HIGH, &self.at(&[l], t, c), o.div_euclid(1 << 16))?;
                self.put(columns::OUTPUT_LOW, &self.at(&[l], t, c), o.rem_euclid(1 << 16))?;
            }
            next.push(self.norm(j, t, &self.align(j, x, out), columns::RESIDUAL, j)?);
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
        self.put(columns::NORM_SQUARES, &[j, m, t], q)?;
        self.put(columns::NORM_VARIANCE, &[j, m, t], v)?;
        self.put(columns::NORM_ROOT, &[j, m, t], root)?;
        let slacks = [c - root * root * v, (root + 1) * (root + 1) * v - 1 - c];
        for limb in 0..10 {
            let value = (slacks[limb / 5] >> (16 * (limb % 5))) % (1 << 16);
            self.put(columns::NORM_SLACK, &[limb, j, m, t], value)?;
        }
        let mut outputs = Row::new();
        for (channel, x) in r.iter().enumerate() {
            let acc = (n * x - s) * root * (1 << (32 - scale.shift));
            let (z, rest) = round(acc, 32);
            self.put(columns::NORM_VALUE, &self.at(&[j], t, channel), z)?;
            self.put(columns::NORM_VALUE_REMAINDER, &self.at(&[0, j], t, channel), rest % (1 << 16))?;
            self.put(columns::NORM_VALUE_REMAINDER, &self.at(&[1, j], t, channel), rest / (1 << 16))?;
            let index = [j, channel / self.a.block, channel % self.a.block];
            let (y, rest) = round(z * self.base(columns::GAMMA, &index) + self.base(columns::BETA, &index), 16);
            self.put(columns::NORM_REMAINDER, &self.at(&[j], t, channel), rest)?;
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
                5 => self.lora(columns::LORA_A_OUTPUT, &[l, i / self.a.block, k, i % self.a.block]),
                _ => self.lora(columns::LORA_A, &[l, site, i / self.a.block, k, i % self.a.block]),
            };
            let weights: Row = (0..inputs).map(a).collect();
            for (t, x) in x.iter().enumerate() {
                let (value, rest) = round(dot(x, &weights), 16);
                h[t].push(self.put(columns::LORA_HIDDEN, &[l, site, self.request, t, k], value)?);
                self.put(columns::LORA_HIDDEN_REMAINDER, &[l, site, self.request, t, k], rest)?;
            }
        }
        let outputs = if site == 4 { self.a.intermediate } else { self.a.hidden };
        let mut rows = vec![Row::new(); x.len()];
        for o in 0..outputs {
            let (block, c) = (o / self.a.block, o % self.a.block);
            let weight = |i: usize| match site {
                3 => self.base(columns::WEIGHT_ATTENTION, &[l, block, i / self.a.block, c, i % self.a.block]),
                4 => self.base(columns::WEIGHT_INTERMEDIATE, &[l, block, i / self.a.block, c, i % self.a.block]),
                5 => self.base(columns::WEIGHT_OUTPUT, &[l, block, i / self.a.block, c, i % self.a.block]),
                kind => self.base(columns::WEIGHT_QKV, &[l, kind, block, i / self.a.block, c, i % self.a.block]),
            };
            let bias = match site {
                3 => self.base(columns::BIAS_ATTENTION, &[l, block, c]),
                4 => self.base(columns::BIAS_INTERMEDIATE, &[l, block, c]),
                5 => self.base(columns::BIAS_OUTPUT, &[l, block, c]),
                kind => self.base(columns::BIAS_QKV, &[l, kind, block, c]),
            };
            let b = |k: usize| match site {
                4 => self.lora(columns::LORA_B_INTERMEDIATE, &[l, block, c, k]),
                5 => self.lora(columns::LORA_B, &[l, 4, block, c, k]),
                _ => self.lora(columns::LORA_B, &[l, site, block, c, k]),
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
                self.put(columns::MAX, &[l, block, m, inner, t], max)?;
                let lowest = scores.iter().position(|s| s.0 == max);
                let mut exps = Vec::new();
                for (key, (s, rest)) in scores.iter().enumerate() {
                    let gap = self.put(columns::GAP, &cell(key), max - s)?;
                    self.put(columns::SCORE_REMAINDER, &cell(key), *rest)?;
                    let value = self.exp[gap as usize].into();
                    exps.push(self.put(columns::EXP, &cell(key), value)?);
                    self.put(columns::ATTAIN, &cell(key), (lowest == Some(key)).into())?;
                }
                let d: i128 = exps[..n].iter().sum();
                let (r, u) = ((1i128 << 38) / d, (1i128 << 38) % d);
                for (column, value) in [
                    (columns::RECIPROCAL, r),
                    (columns::RECIPROCAL_REMAINDER, u),
                    (columns::RECIPROCAL_SLACK, d - 1 - u),
                ] {
                    self.put(column, &[0, l, block, m, inner, t], value % (1 << 16))?;
                    self.put(column, &[1, l, block, m, inner, t], value >> 16)?;
                }
                let mut probs = Vec::new();
                for (key, e) in exps.iter().enumerate() {
                    let (p, rest) = round(e * r * (1 << 9), 32);
                    probs.push(self.put(columns::PROB, &cell(key), p)?);
                    let [a, b, c, d, e, f] = cell(key);
                    self.put(columns::PROB_REMAINDER, &[0, a, b, c, d, e, f], rest % (1 << 16))?;
                    self.put(columns::PROB_REMAINDER, &[1, a, b, c, d, e, f], rest / (1 << 16))?;
                }
                for c in channels.clone() {
                    let sum: i128 = (0..n).map(|key| probs[key] * v[key][c]).sum();
                    let (value, rest) = round(2 * sum, 16);
                    context[t].push(self.put(columns::CONTEXT, &self.at(&[l], t, c), value)?);
                    self.put(columns::CONTEXT_REMAINDER, &self.at(&[l], t, c), rest)?;
                }
            }
        }
        Ok(context)
    }

    fn classify(&mut self, first: &Row) -> Result<RequestOutput, RangeError> {
        let m = self.request;
        let mut h = Row::new();
        for k in 0..self.a.r_max {
            let a = |i: usize| self.lora(columns::LORA_A_POOLER, &[i / self.a.block, k, i % self.a.block]);
            let weights: Row = (0..self.a.hidden).map(a).collect();
            let (value, rest) = round(dot(first, &weights), 16);
            h.push(self.put(columns::POOLER_HIDDEN, &[m, k], value)?);
            self.put(columns::POOLER_HIDDEN_REMAINDER, &[m, k], rest)?;
        }
        let mut pooled = Row::new();
        for o in 0..self.a.hidden {
            let (block, c) = (o / self.a.block, o % self.a.block);
            let weight = |i: usize| self.base(columns::WEIGHT_POOLER, &[block, i / self.a.block, c, i % self.a.block]);
            let products: i128 = first.iter().enumerate().map(|(i, x)| x * weight(i)).sum();
            let b = |k: usize| self.lora(columns::LORA_B_POOLER, &[block, c, k]);
            let update: i128 = h.iter().enumerate().map(|(k, h)| h * b(k)).sum();
            let (key, rest) = round(products + update + self.base(columns::BIAS_POOLER, &[block, c]), 16);
            self.put(columns::POOLER_KEY, &[block, m, c], key)?;
            self.put(columns::POOLER_REMAINDER, &[block, m, c], rest)?;
            let value = self.tanh[(key + 32768) as usize].into();
            pooled.push(self.put(columns::POOLED, &[block, m, c], value)?);
        }
        let mut logits = [0i64; LABELS];
        for (j, logit) in logits.iter_mut().enumerate() {
            let weight = |i: usize| self.lora(columns::CLASSIFIER, &[i / self.a.block, j, i % self.a.block]);
            let sum: i128 = pooled.iter().enumerate().map(|(i, x)| x * weight(i)).sum();
            *logit = (sum + self.lora(columns::CLASSIFIER_BIAS, &[j])) as i64;
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
        let specs: Vec<ColumnSpec> = self.specs.values().filter(|s| s.region == Region::WITNESS).cloned().collect();
        for spec in specs {
            let Lookup::Key { table, .. } = spec.lookup else { continue };
            let cells = self.columns[&spec.column].clone();
            let tables = columns::tables(self.shape.output);
            let Some(own) = tables.iter().find(|own| own.table == table) else { continue };
            let counts = self.columns.entry(own.multiplicities).or_default();
            for cell in cells {
                counts[(cell + spec.lookup.offset()) as usize] += 1;
            }
        }
    }
}
