#!/usr/bin/env python3
"""The output digest of an embedding, from the embedding: Poseidon over BN254 written out, nothing of Lorica's.

Reads one JSON object, `{"salt": "31 bytes in hexadecimal", "length": tokens, "sums": [integers]}`, and prints the digest
that a settlement shows. Poseidon and its sponge: docs/protocol/poseidon.md; the words: docs/protocol/README.md.
"""

import json
import sys

R = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
FULL, PARTIAL = 8, 57
DOMAIN_EMBEDDING = 0x6C6F726963610005


def grain():
    fields = [(1, 2), (0, 4), (254, 12), (3, 12), (FULL, 10), (PARTIAL, 10), ((1 << 30) - 1, 30)]
    state = [int(bit) for value, bits in fields for bit in f"{value:0{bits}b}"]

    def step():
        bit = state[62] ^ state[51] ^ state[38] ^ state[23] ^ state[13] ^ state[0]
        state.append(bit)
        state.pop(0)
        return bit

    for _ in range(160):
        step()
    while True:
        counts, bit = step(), step()
        if counts:
            yield bit


BITS = grain()


def integer():
    return int("".join(str(next(BITS)) for _ in range(254)), 2)


def below_r():
    while (value := integer()) >= R:
        pass
    return value


CONSTANTS = [[below_r() for _ in range(3)] for _ in range(FULL + PARTIAL)]
POINTS = [integer() % R for _ in range(6)]
MATRIX = [[pow(x + y, -1, R) for y in POINTS[3:]] for x in POINTS[:3]]


def permute(state):
    for index, constants in enumerate(CONSTANTS):
        state = [(s + c) % R for s, c in zip(state, constants)]
        full = not FULL // 2 <= index < FULL // 2 + PARTIAL
        state = [pow(s, 5, R) if full or i == 0 else s for i, s in enumerate(state)]
        state = [sum(m * s for m, s in zip(row, state)) % R for row in MATRIX]
    return state


def digest(domain, elements):
    state = [4 * domain, 0, 0]
    blocks = [elements[i : i + 2] for i in range(0, len(elements), 2)]
    for block in blocks:
        tag = len(block) if block is blocks[-1] else 3
        first, second = block + [0] * (2 - len(block))
        state = permute([(state[0] + tag) % R, (state[1] + first) % R, (state[2] + second) % R])
    return state[1]


def embedding_digest(salt, length, sums):
    if not 0 <= salt < 2**248:
        raise ValueError("the salt has 31 bytes")
    if not 2 <= length <= 256:
        raise ValueError(f"a text has 2 to 256 tokens, not {length}")
    if not sums or len(sums) % 64:
        raise ValueError(f"an embedding has a multiple of 64 sums, not {len(sums)}")
    # Only within these bounds do two embeddings have two digests.
    shifted = [total + 2**23 for total in sums]
    for channel, total in enumerate(shifted):
        if not 0 <= total < 2**24:
            raise ValueError(f"sum {channel} is out of range: {sums[channel]}")
    words = [sum(s << 24 * j for j, s in enumerate(shifted[i : i + 8])) for i in range(0, len(shifted), 8)]
    return digest(DOMAIN_EMBEDDING, [salt, length] + words)


if __name__ == "__main__":
    embedding = json.load(sys.stdin)
    salt = int.from_bytes(bytes.fromhex(embedding["salt"]), "big")
    try:
        print(f"0x{embedding_digest(salt, embedding['length'], embedding['sums']):064x}")
    except ValueError as error:
        sys.exit(f"embedding_digest.py: {error}")
