//! The embedding sum `e = Word[id] + Position[pos] + TokenType`, which is no column.

use lorica_circuits::architecture::BLOCK;
use lorica_circuits::column::Column;

use super::Run;

impl Run<'_> {
    /// Packed rows of `e` by channel block.
    pub(super) fn embed(&self) -> Vec<Vec<i64>> {
        let architecture = &self.model.architecture;
        let words = 1usize << architecture.vocab_bits();
        let (word, position) = (&self.model.columns[&Column::Word], &self.model.columns[&Column::Position]);
        let token_type = &self.model.columns[&Column::TokenType];
        let row = |table: &[i64], index: usize| -> Vec<i64> { table[index * BLOCK..(index + 1) * BLOCK].to_vec() };
        (0..architecture.hidden_blocks())
            .map(|block| {
                let mut rows = Vec::with_capacity(self.rows() * BLOCK);
                let kind = &token_type[block * BLOCK..(block + 1) * BLOCK];
                for request in &self.requests {
                    for (pos, &id) in request.ids.iter().enumerate() {
                        let w = row(word, block * words + id as usize);
                        let p = row(position, block * POSITIONS + pos);
                        rows.extend(w.iter().zip(&p).zip(kind).map(|((w, p), k)| w + p + k));
                    }
                }
                rows
            })
            .collect()
    }
}

/// Rows of the position table.
const POSITIONS: usize = lorica_circuits::architecture::MAX_TOKENS;
