// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// A settlement key is a data contract; its circuit id is the Keccak-256 of its content: 32-byte big-endian words at these
// byte offsets, then the occupied tiles of the base region and of the table region, ceil(tiles / 256) words each: tile t
// of the region is bit t mod 256, from the lowest, of word t / 256. Nothing follows.
//
// The key of a circuit that attributes has the index region's two words before the witness region's: everything from there on
// is KEY_INDEX_BYTES later.

bytes32 constant KEY_MAGIC_VALUE = "lorica settlement key 3";

uint256 constant KEY_MAGIC = 0x000;
// log2 of the rows.
uint256 constant KEY_LOG_ROWS = 0x020;
// 1 / rows.
uint256 constant KEY_ROWS_INVERSE = 0x040;
// Generator of the rows' domain.
uint256 constant KEY_OMEGA = 0x060;
// ω^-6: the row of l_last.
uint256 constant KEY_OMEGA_LAST = 0x080;
// Public words: 18 + 3 M + tile index bits, or 20 + 7 M + tile index bits if the circuit attributes.
uint256 constant KEY_INSTANCES = 0x0a0;
// halo2's digest of the constraint system.
uint256 constant KEY_TRANSCRIPT = 0x0c0;
// [τ]₂: x.c1, x.c0, y.c1, y.c0.
uint256 constant KEY_TAU_G2 = 0x0e0;
uint256 constant KEY_ARCHITECTURE = 0x160;
// M.
uint256 constant KEY_REQUESTS = 0x180;
// T.
uint256 constant KEY_TOKENS = 0x1a0;
// 1 classify, 2 embed; 0 is withdrawn and refused (OutputKind.sol).
uint256 constant KEY_OUTPUT_KIND = 0x1c0;
// log2 of the records of the index by which the circuit attributes: 11, 14 or 16. 0: it attributes nothing.
uint256 constant KEY_ATTRIBUTION = 0x1e0;
// τ.
uint256 constant KEY_LOG_TILE = 0x200;
// Length of ρ_hi.
uint256 constant KEY_TILE_BITS = 0x220;
// First tile and number of tiles of each region; the adapter region is one request's, the witness region is without
// the mask tile that follows it. All tiles of the adapter and of the index region are occupied.
uint256 constant KEY_BASE = 0x240;
uint256 constant KEY_TABLE = 0x280;
uint256 constant KEY_ADAPTER = 0x2c0;
uint256 constant KEY_WITNESS = 0x300;
uint256 constant KEY_INDEX = 0x300;
uint256 constant KEY_INDEX_BYTES = 0x40;
// v, s, q1, q2, qa, qb, qc, qd.
uint256 constant KEY_FIXED = 0x340;
// a, b, c, d, e.
uint256 constant KEY_SIGMA = 0x540;
// End of what Halo2Verifier reads.
uint256 constant KEY_OCCUPIED = 0x680;

uint256 constant FIXED_COLUMNS = 8;
uint256 constant PERMUTED_COLUMNS = 5;

/// Whether an index may have room for 2^n records.
function isIndexSize(uint256 n) pure returns (bool) {
    return n == 11 || n == 14 || n == 16;
}
