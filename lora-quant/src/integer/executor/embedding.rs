//! The embedding sum `e = Word[id] + Position[pos] + TokenType`, which is no column.

use lorica_cells::Slice;
use lorica_circuits::families::encoder::columns;

use super::Run;

impl Run<'_> {
    /// Packed rows of `e` by channel block.
    pub(super) fn embed(&self) -> Vec<Vec<i64>> {
        let architecture = &self.model.architecture;
        let (width, words) = (architecture.block, 1usize << architecture.vocab_bits());
        let table = |column| self.model.columns[column].as_slice();
        let (word, position, token_type) = (table(columns::WORD), table(columns::POSITION), table(columns::TOKEN_TYPE));
        let row = |table: Slice<'_>, index: usize, sum: &mut [i64]| {
            table.range(index * width..(index + 1) * width).add_to(sum);
        };
        (0..architecture.hidden_blocks())
            .map(|block| {
                let mut rows = vec![0; self.rows() * width];
                let ids = self.requests.iter().flat_map(|request| request.ids.iter().enumerate());
                for (sum, (pos, &id)) in rows.chunks_exact_mut(width).zip(ids) {
                    row(word, block * words + id as usize, sum);
                    row(position, block * architecture.max_tokens + pos, sum);
                    row(token_type, block, sum);
                }
                rows
            })
            .collect()
    }
}
