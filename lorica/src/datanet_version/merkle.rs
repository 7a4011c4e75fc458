//! The Merkle tree of a datanet's records, as OpenZeppelin's `StandardMerkleTree` builds it and its `MerkleProof` checks it.
//!
//! Leaves are digests of digests, so that no inner node is a leaf, and stand in ascending order at the end of an array of `2n − 1`
//! nodes, the first leaf last; node `i` is the digest of nodes `2i + 1` and `2i + 2`, the smaller first.

use lorica_chain::alloy_primitives::{B256, keccak256};

/// A tree over at least one leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    nodes: Vec<B256>,
    /// Of each leaf, in the order given, its node.
    places: Vec<usize>,
}

/// A leaf: `keccak256(keccak256(words))`, the words being the ABI encoding of values of 32 bytes each.
#[must_use]
pub fn leaf(words: &[[u8; 32]]) -> B256 {
    keccak256(keccak256(words.as_flattened()))
}

fn pair(a: B256, b: B256) -> B256 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    keccak256([low.0, high.0].as_flattened())
}

impl MerkleTree {
    /// The tree of these leaves; `None` without any.
    #[must_use]
    pub fn new(leaves: &[B256]) -> Option<Self> {
        let size = (2 * leaves.len()).checked_sub(1)?;
        let mut order: Vec<usize> = (0..leaves.len()).collect();
        order.sort_by_key(|&index| (leaves[index], index));
        let mut nodes = vec![B256::ZERO; size];
        let mut places = vec![0; leaves.len()];
        for (rank, &index) in order.iter().enumerate() {
            places[index] = size - 1 - rank;
            nodes[places[index]] = leaves[index];
        }
        for node in (0..leaves.len() - 1).rev() {
            nodes[node] = pair(nodes[2 * node + 1], nodes[2 * node + 2]);
        }
        Some(Self { nodes, places })
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.nodes.first().copied().unwrap_or_default()
    }

    /// The siblings from a leaf to the root; `None` if there is no such leaf.
    #[must_use]
    pub fn path(&self, leaf: usize) -> Option<Vec<B256>> {
        let mut node = *self.places.get(leaf)?;
        let mut path = Vec::new();
        while node > 0 {
            let sibling = if node % 2 == 1 { node + 1 } else { node - 1 };
            path.push(self.nodes[sibling]);
            node = (node - 1) / 2;
        }
        Some(path)
    }
}

/// Whether a path leads from a leaf to a root, as `MerkleProof.verify` computes it.
#[must_use]
pub fn leads_to(root: B256, leaf: B256, path: &[B256]) -> bool {
    path.iter().fold(leaf, |node, &sibling| pair(node, sibling)) == root
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(hex_digits: &str) -> [u8; 32] {
        let mut word = [0; 32];
        hex::decode_to_slice(format!("{hex_digits:0>64}"), &mut word).unwrap();
        word
    }

    /// The example in the documentation of `@openzeppelin/merkle-tree`: two addresses with an amount each.
    #[test]
    fn the_root_is_openzeppelins() {
        let row = |digit: &str, amount: u64| leaf(&[word(&digit.repeat(40)), word(&format!("{amount:x}"))]);
        let tree =
            MerkleTree::new(&[row("1", 5_000_000_000_000_000_000), row("2", 2_500_000_000_000_000_000)]).unwrap();
        let root = "0xd4dee0beab2d53f2cc83e567171bd2820e49898130a22622b10ead383e90bd77";
        assert_eq!(tree.root().to_string(), root);
    }

    /// Three leaves by hand: the largest two make the inner node beside the smallest... as the array says.
    #[test]
    fn three_leaves_by_hand() {
        let leaves: Vec<B256> = [3u8, 1, 2].iter().map(|&byte| B256::repeat_byte(byte)).collect();
        let hash = |a: B256, b: B256| keccak256([a.as_slice(), b.as_slice()].concat());
        // Nodes: 0 root, 1, 2 = largest, 3 = middle, 4 = smallest; node 1 is over 3 and 4.
        let (one, two, three) = (leaves[1], leaves[2], leaves[0]);
        let inner = hash(one, two);
        let root = if inner < three { hash(inner, three) } else { hash(three, inner) };
        let tree = MerkleTree::new(&leaves).unwrap();
        assert_eq!(tree.root(), root);
        assert_eq!(tree.path(0), Some(vec![inner]));
        assert_eq!(tree.path(1), Some(vec![two, three]));
        assert_eq!(tree.path(2), Some(vec![one, three]));
        assert_eq!(tree.path(3), None);
    }

    #[test]
    fn every_path_leads_to_the_root_and_no_other_leaf_does() {
        assert_eq!(MerkleTree::new(&[]), None);
        for count in [1, 2, 3, 4, 5, 31, 32, 33, 100] {
            let leaves: Vec<B256> = (0..count).map(|i: u64| leaf(&[word(&format!("{i:x}"))])).collect();
            let tree = MerkleTree::new(&leaves).unwrap();
            for (index, &own) in leaves.iter().enumerate() {
                let path = tree.path(index).unwrap();
                assert!(leads_to(tree.root(), own, &path));
                assert!(!leads_to(tree.root(), leaf(&[word("ff"), word("1")]), &path));
                let other = leaves[(index + 1) % leaves.len()];
                assert!(count == 1 || count == 2 || !leads_to(tree.root(), other, &path) || other == own);
            }
        }
    }
}
