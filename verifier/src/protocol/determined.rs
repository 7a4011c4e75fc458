//! Every scalar that enters the field part from outside, with what determines it before the first challenge that
//! depends on it is drawn.
//!
//! # Soundness
//! The errors beside the draws hold for values that the prover has fixed before them. A scalar that reaches the
//! transcript only inside of a sum with others is *not* fixed by it: the sum is, and whoever knows the challenges moves
//! the scalars within it. Embedding settlements were forged so until kind 0 was withdrawn: ten sums were packed into one
//! element of the output digest, and nothing in the field part bounded them. The list is data from which settlement
//! keys are made, so an input without an entry does not compile; `verifier/tests/private_inputs.rs` follows every scalar
//! through the field part and compares what it sees with what stands here.

use lorica_circuits::layout::Layout;

use crate::protocol::field::{Messages, message_shape};
use crate::protocol::index::{INDEX_SHAPE_WORDS, IndexInputs};
use crate::protocol::lookup::{LayerMessages, LookupMessages};
use crate::protocol::mercury::{Evaluations, MercuryMessages};
use crate::protocol::rows::{ROW_SHAPE_WORDS, RowInputs, RowTextInputs};
use crate::protocol::statement::{ID_BITS, Inputs, RequestInputs, shape_words};

/// What determines a scalar. Labels are those of the transcript, checks those of [`crate::protocol::arithmetic::Arithmetic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Determined {
    /// An element of the transcript by itself, before the first draw.
    Absorbed(&'static str),
    /// An element by itself of a digest that is absorbed before the first draw.
    Hashed {
        /// Label of the digest.
        digest: &'static str,
    },
    /// Shares an element of such a digest with others, each in a range of `2^bits` that `check` makes sure of and at a
    /// distance of `2^bits` or more.
    Ranged {
        /// Label of the digest.
        digest: &'static str,
        /// The decomposition that bounds it.
        check: &'static str,
        /// Bits of the range.
        bits: usize,
    },
    /// Zero by an equality.
    Zero {
        /// The equality.
        check: &'static str,
    },
    /// A prover message: an element of the transcript by itself, `challenge` being the next that is drawn.
    Message {
        /// Its own label.
        label: &'static str,
        /// The challenge that it must precede.
        challenge: &'static str,
    },
}

/// Every scalar of statement and proof under a layout, with what determines it.
#[must_use]
pub fn determined(layout: &Layout) -> (Inputs<Determined>, Messages<Determined>) {
    use Determined::{Absorbed, Hashed};
    let shape = &layout.shape;
    let request = RequestInputs {
        ids: ids(layout),
        length: Hashed { digest: "input digest" },
        salt: Hashed { digest: "input digest" },
        outputs: vec![Hashed { digest: "output digest" }; layout.program.output.scalars],
        label: Absorbed("label"),
        shares: vec![Absorbed("shares"); layout.program.output.shares],
    };
    let inputs = Inputs {
        architecture: Absorbed("architecture"),
        shape: shape_words(shape).iter().map(|_| Absorbed("shape")).collect(),
        srs: Absorbed("srs"),
        base: Absorbed("base"),
        adapters: Absorbed("adapters"),
        regions: layout.program.further_regions().map(|_| Absorbed("region")).collect(),
        attributing: (layout.program.output.shares > 0).then_some(Absorbed("attributing")),
        count: Absorbed("count"),
        context: Absorbed("context"),
        witness: Absorbed("witness"),
        prover_salt: Absorbed("prover salt"),
        scales: vec![Hashed { digest: "scales" }; layout.program.scales],
        requests: vec![request; shape.requests],
    };

    (inputs, messages(layout))
}

/// Every scalar of statement and proof of an index proof, with what determines it: its statement has no text, so that each
/// of its scalars is an element of the transcript by itself.
#[must_use]
pub fn index_determined(layout: &Layout) -> (IndexInputs<Determined>, Messages<Determined>) {
    use Determined::Absorbed;
    let inputs = IndexInputs {
        architecture: Absorbed("architecture"),
        shape: vec![Absorbed("shape"); INDEX_SHAPE_WORDS],
        srs: Absorbed("srs"),
        index: Absorbed("index"),
        count: Absorbed("count"),
        context: Absorbed("context"),
        witness: Absorbed("witness"),
        prover_salt: Absorbed("prover salt"),
    };
    (inputs, messages(layout))
}

/// Every scalar of statement and proof of a row proof, with what determines it.
#[must_use]
pub fn row_determined(layout: &Layout) -> (RowInputs<Determined>, Messages<Determined>) {
    use Determined::{Absorbed, Hashed};
    let row = RowTextInputs {
        ids: ids(layout),
        length: Hashed { digest: "input digest" },
        salt: Hashed { digest: "input digest" },
        word: Absorbed("row"),
    };
    let inputs = RowInputs {
        architecture: Absorbed("architecture"),
        shape: vec![Absorbed("shape"); ROW_SHAPE_WORDS],
        srs: Absorbed("srs"),
        base: Absorbed("base"),
        adapter: Absorbed("adapter"),
        index: Absorbed("index"),
        records: Absorbed("records"),
        count: Absorbed("count"),
        context: Absorbed("context"),
        witness: Absorbed("witness"),
        prover_salt: Absorbed("prover salt"),
        scales: vec![Hashed { digest: "scales" }; layout.program.scales],
        rows: vec![row; layout.shape.requests],
    };
    (inputs, messages(layout))
}

/// Token ids of a request.
fn ids(layout: &Layout) -> Vec<Determined> {
    use Determined::{Ranged, Zero};
    let id = Ranged { digest: "input digest", check: "statement: id is below the vocabulary", bits: ID_BITS };
    let beyond = Zero { check: "statement: ids beyond T are zero" };
    let limit = layout.program.text.map_or(0, |text| text.limit);
    (0..limit).map(|t| if t < layout.shape.tokens { id } else { beyond }).collect()
}

/// The messages of a program.
fn messages(layout: &Layout) -> Messages<Determined> {
    use Determined::Message;
    let own = message_shape(layout);
    let message = |label, challenge| Message { label, challenge };
    let children = |label| message(label, "lookup fold");
    let round = |label| message(label, label);
    let layer = |depth| LayerMessages {
        rounds: vec![[round("lookup round"); 2]; depth],
        children: [children("lookup children"); 4],
    };
    let evaluation = message("mercury evaluation", "mercury beta");
    Messages {
        lookup: LookupMessages { root: [children("lookup root"); 4], layers: (1..=own.layers).map(layer).collect() },
        forms: vec![message("form values", "relation combine"); own.forms],
        rounds: vec![[round("relation round"); 3]; own.rounds],
        operands: vec![message("operand values", "reduction combine"); own.operands],
        reduction: vec![[round("reduction round"); 2]; own.reduction],
        value: message("mercury value", "mercury alpha"),
        mercury: MercuryMessages {
            d_h: message("mercury D(h)", "mercury alpha"),
            d_qg: message("mercury D(q,g)", "mercury gamma"),
            d_sd: message("mercury D(s,d)", "mercury zeta"),
            evaluations: Evaluations {
                g: evaluation,
                g_inverse: evaluation,
                h: evaluation,
                h_inverse: evaluation,
                s: evaluation,
                s_inverse: evaluation,
            },
            d_quot: message("mercury D(quot)", "mercury beta"),
            d_w: message("mercury D(W)", "mercury z"),
        },
    }
}
