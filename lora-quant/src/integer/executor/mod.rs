//! The executor: from token ids to every witness column, or to the answer alone.
//!
//! All requests of a batch go through a layer together, as packed rows of their real tokens; a tensor is a list of
//! channel blocks, as the columns are.
//!
//! * `embedding`, `norm`, `linear`, `attention`, `output`: the stages, in the document's order
//! * `rounding`, `kernel`: the linear rounding; exact products
//! * `recorder`: the checked way into the columns

mod attention;
mod embedding;
mod kernel;
mod linear;
mod norm;
mod output;
mod recorder;
mod rounding;

use std::sync::Arc;

use lorica_cells::watch::{Unwatched, Watch};
use lorica_circuits::column::Column;
use lorica_circuits::error::CircuitError;
use lorica_circuits::families::encoder::Architecture;
use lorica_circuits::families::encoder::columns;
use lorica_circuits::families::encoder::columns::SITES;
use lorica_circuits::families::encoder::table_values;
use lorica_circuits::shape::{MAX_REQUESTS, OutputKind, Shape};

use super::batch::{BatchInput, Pooled, RequestOutput, Trace};
use super::error::{ExecuteError, ModelError, RangeError};
use super::model::{AdapterModel, BaseModel};
use linear::Linear;
use recorder::Recorder;

/// Runs one base model: a validated model and its lookup tables. Cheap to share between threads.
#[derive(Debug)]
pub struct Executor {
    base: Arc<BaseModel>,
    tables: Tables,
}

#[derive(Debug)]
struct Tables {
    exp: Vec<i64>,
    activation: Vec<i64>,
    tanh: Vec<i64>,
}

impl Tables {
    fn new(architecture: &Architecture) -> Self {
        let values = |column| table_values(column, architecture).unwrap_or_default();
        Self {
            exp: values(columns::TABLE_EXP),
            activation: values(columns::TABLE_ACTIVATION),
            tanh: values(columns::TABLE_TANH),
        }
    }
    /// Value at a signed key that has been checked.
    fn activation(&self, key: i64) -> i64 {
        signed_entry(&self.activation, key)
    }
    /// Value at a signed key that has been checked.
    fn tanh(&self, key: i64) -> i64 {
        signed_entry(&self.tanh, key)
    }
}

fn signed_entry(values: &[i64], key: i64) -> i64 {
    usize::try_from(key + (1 << 15)).ok().and_then(|k| values.get(k)).copied().unwrap_or(0)
}

/// One request: its place among the packed rows.
struct Request<'a> {
    ids: &'a [u32],
    first: usize,
    length: usize,
    adapter: Option<&'a AdapterModel>,
}

/// One run over a batch.
struct Run<'a> {
    model: &'a BaseModel,
    tables: &'a Tables,
    requests: Vec<Request<'a>>,
    recorder: Recorder,
}

impl Executor {
    /// Validates the model once and builds its tables.
    ///
    /// # Errors
    /// [`ModelError`] if the model could overflow or its columns do not fit its architecture.
    pub fn new(base: Arc<BaseModel>) -> Result<Self, ModelError> {
        base.validate()?;
        let tables = Tables::new(&base.architecture);
        Ok(Self { base, tables })
    }

    /// The model.
    #[must_use]
    pub fn base(&self) -> &Arc<BaseModel> {
        &self.base
    }

    /// Computes a batch and keeps every witness column.
    ///
    /// # Errors
    /// [`ExecuteError`]: an input that does not fit, or a value outside its column's range.
    pub fn execute(&self, input: &BatchInput) -> Result<Trace, ExecuteError> {
        self.execute_watched(input, &Unwatched)
    }

    /// [`execute`](Self::execute), which can be stopped before each layer.
    ///
    /// # Errors
    /// As [`execute`](Self::execute), or [`ExecuteError::Cancelled`].
    pub fn execute_watched(&self, input: &BatchInput, watch: &dyn Watch) -> Result<Trace, ExecuteError> {
        let requests: Vec<_> = input.requests.iter().map(|r| (r.ids.as_slice(), r.adapter.as_deref())).collect();
        let mut run = self.start(&requests, &input.shape, true)?;
        let outputs = run.run(input.shape.output, watch)?;
        Ok(Trace { columns: run.recorder.finish(), outputs })
    }

    /// Computes the answer to one request and nothing else. It fails exactly where [`execute`](Self::execute) does.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn infer(
        &self,
        ids: &[u32],
        adapter: Option<&AdapterModel>,
        output: OutputKind,
    ) -> Result<RequestOutput, ExecuteError> {
        let shape = Shape { requests: 1, tokens: self.base.architecture.max_tokens, log_tile: 20, output, records: 0 };
        let mut outputs = self.start(&[(ids, adapter)], &shape, false)?.run(output, &Unwatched)?;
        outputs.pop().ok_or(ExecuteError::Requests { most: 1, got: 0 })
    }

    /// Computes the pooled vectors and the answers of up to [`MAX_REQUESTS`] texts under one adapter, without a trace. It
    /// fails exactly where [`execute`](Self::execute) does for a classification.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn pooled(&self, texts: &[&[u32]], adapter: &AdapterModel) -> Result<Vec<Pooled>, ExecuteError> {
        let tokens = self.base.architecture.max_tokens;
        let output = OutputKind::Classify;
        let shape = Shape { requests: MAX_REQUESTS, tokens, log_tile: 20, output, records: 0 };
        let requests: Vec<_> = texts.iter().map(|&ids| (ids, Some(adapter))).collect();
        let mut run = self.start(&requests, &shape, false)?;
        let last = run.last_layer(&Unwatched)?;
        Ok(run.pooled_and_labels(&last)?)
    }

    fn start<'a>(
        &'a self,
        inputs: &[(&'a [u32], Option<&'a AdapterModel>)],
        shape: &Shape,
        record: bool,
    ) -> Result<Run<'a>, ExecuteError> {
        shape.validate()?;
        let most = self.base.architecture.max_tokens;
        if shape.tokens > most {
            return Err(CircuitError::Tokens { most, got: shape.tokens }.into());
        }
        if inputs.is_empty() || inputs.len() > shape.requests {
            return Err(ExecuteError::Requests { most: shape.requests, got: inputs.len() });
        }
        let classify = shape.output == OutputKind::Classify;
        if classify && !self.base.meta.has_pooler {
            return Err(ExecuteError::NoPooler);
        }
        let vocab = self.base.architecture.vocab;
        let mut requests: Vec<Request<'a>> = Vec::with_capacity(inputs.len());
        let mut first = 0;
        for (request, &(ids, adapter)) in inputs.iter().enumerate() {
            if ids.len() < 2 || ids.len() > shape.tokens {
                return Err(ExecuteError::Length { request, most: shape.tokens, got: ids.len() });
            }
            if let Some(position) = ids.iter().position(|&id| id as usize >= vocab) {
                return Err(ExecuteError::Vocabulary { request, position, id: ids[position], vocab });
            }
            // An adapter that the request before has too is valid by now.
            let before = requests.last().and_then(|before| before.adapter);
            if let Some(adapter) = adapter.filter(|&own| !before.is_some_and(|before| std::ptr::eq(before, own))) {
                adapter
                    .validate(&self.base.architecture)
                    .map_err(|source| ExecuteError::Adapter { request, source })?;
            }
            if classify && !adapter.is_some_and(|a| a.has_head) {
                return Err(ExecuteError::NoHead { request });
            }
            requests.push(Request { ids, first, length: ids.len(), adapter });
            first += ids.len();
        }
        let lengths = requests.iter().map(|r| r.length).collect();
        let recorder = Recorder::new(&self.base.architecture, shape, lengths, record);
        Ok(Run { model: &self.base, tables: &self.tables, requests, recorder })
    }
}

impl Run<'_> {
    /// Packed rows of the batch.
    fn rows(&self) -> usize {
        self.requests.last().map_or(0, |r| r.first + r.length)
    }

    fn run(&mut self, kind: OutputKind, watch: &dyn Watch) -> Result<Vec<RequestOutput>, ExecuteError> {
        let last = self.last_layer(watch)?;
        Ok(self.outputs(&last, kind)?)
    }

    /// The last residual slot.
    fn last_layer(&mut self, watch: &dyn Watch) -> Result<Vec<Vec<i64>>, ExecuteError> {
        let blocks = self.model.architecture.hidden_blocks();
        let mut residual = self.norm(0, &self.embed())?;
        self.recorder.store_blocks(columns::RESIDUAL, 0, &residual)?;
        for layer in 0..self.model.architecture.layers {
            watch.check()?;
            residual = self.layer(layer, residual)?;
            self.recorder.store_blocks(columns::RESIDUAL, (layer + 1) * blocks, &residual)?;
        }
        Ok(residual)
    }

    /// One encoder layer: from residual slot `layer` to slot `layer + 1`.
    fn layer(&mut self, layer: usize, residual: Vec<Vec<i64>>) -> Result<Vec<Vec<i64>>, RangeError> {
        let (layers, hidden, ffn) = {
            let a = &self.model.architecture;
            (a.layers, a.hidden_blocks(), a.ffn_blocks())
        };

        let inputs = linear::inputs(&residual);
        let mut qkv = Vec::with_capacity(3 * hidden);
        for kind in 0..3 {
            let block = (layer * 3 + kind) * hidden;
            let linear = self.part(layer, kind, columns::WEIGHT_QKV, columns::BIAS_QKV, layer * 3 + kind, layers * 3);
            let y = self.linear(&linear, &inputs)?;
            self.recorder.store_blocks(columns::QKV, block, &y.values)?;
            self.record_blocks(columns::QKV_REMAINDER, block, &y.remainders)?;
            qkv.extend(y.values);
        }
        let context = self.attention(layer, &qkv)?;
        self.recorder.store_blocks(columns::CONTEXT, layer * hidden, &context.values)?;
        self.record_blocks(columns::CONTEXT_REMAINDER, layer * hidden, &context.remainders)?;

        let linear = self.part(layer, 3, columns::WEIGHT_ATTENTION, columns::BIAS_ATTENTION, layer, layers);
        let attended = self.linear(&linear, &linear::inputs(&context.values))?;
        self.recorder.store_blocks(columns::ATTENTION, layer * hidden, &attended.values)?;
        self.record_blocks(columns::ATTENTION_REMAINDER, layer * hidden, &attended.remainders)?;

        let norm = layers + 1 + layer;
        let mid = self.norm(norm, &self.align(norm, &residual, &attended.values))?;
        self.recorder.store_blocks(columns::MID, layer * hidden, &mid)?;

        let linear = self.part(layer, 4, columns::WEIGHT_INTERMEDIATE, columns::BIAS_INTERMEDIATE, layer, layers);
        let keys = self.linear(&linear, &linear::inputs(&mid))?;
        self.recorder.store_blocks(columns::INTERMEDIATE, layer * ffn, &keys.values)?;
        self.record_blocks(columns::INTERMEDIATE_REMAINDER, layer * ffn, &keys.remainders)?;
        let tables = self.tables;
        let activated: Vec<Vec<i64>> =
            keys.values.iter().map(|b| b.iter().map(|&k| tables.activation(k)).collect()).collect();
        self.record_blocks(columns::ACTIVATED, layer * ffn, &activated)?;

        let linear = self.part(layer, 5, columns::WEIGHT_OUTPUT, columns::BIAS_OUTPUT, layer, layers);
        let out = self.linear(&linear, &linear::inputs(&activated))?;
        self.store_output(layer * hidden, &out.values)?;
        self.record_blocks(columns::OUTPUT_REMAINDER, layer * hidden, &out.remainders)?;
        let norm = layer + 1;
        self.norm(norm, &self.align(norm, &mid, &out.values))
    }

    /// The feed-forward output has 18 bits: `out = high·2^16 + low`.
    fn store_output(&mut self, first: usize, blocks: &[Vec<i64>]) -> Result<(), RangeError> {
        for (i, block) in blocks.iter().enumerate() {
            let high: Vec<i64> = block.iter().map(|&o| o >> 16).collect();
            self.recorder.store(columns::OUTPUT_HIGH, first + i, &high)?;
            let low: Vec<i64> = block.iter().map(|&o| o & 0xffff).collect();
            self.record(columns::OUTPUT_LOW, first + i, &low)?;
        }
        Ok(())
    }

    fn record_blocks(&mut self, column: Column, first: usize, blocks: &[Vec<i64>]) -> Result<(), RangeError> {
        if self.recorder.records() { self.recorder.store_blocks(column, first, blocks) } else { Ok(()) }
    }
}

impl<'a> Run<'a> {
    /// Part `index` of `parts` equal parts of a weight and a bias column.
    fn part(&self, layer: usize, site: usize, weight: Column, bias: Column, index: usize, parts: usize) -> Linear<'a> {
        debug_assert!(site < SITES);
        let model: &'a BaseModel = self.model;
        let part = |column: Column| {
            let cells = model.columns[column].as_slice();
            let size = cells.len() / parts;
            cells.range(index * size..(index + 1) * size)
        };
        Linear { layer, site, weight: part(weight), bias: part(bias) }
    }
}
