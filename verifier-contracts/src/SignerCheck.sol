// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// Signatures of accounts (ECDSA, 65 bytes, low s) and of contract wallets (ERC-1271).
library SignerCheck {
    /// Gas that a contract wallet may use.
    uint256 internal constant WALLET_GAS = 200_000;

    /// An account that has delegated its code (EIP-7702) signs with its key or as its code says.
    function hasSigned(address signer, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        (address recovered, ECDSA.RecoverError failure,) = ECDSA.tryRecoverCalldata(digest, signature);
        if (failure == ECDSA.RecoverError.NoError && recovered == signer) return true;
        if (signer.code.length == 0) return false;
        return _walletAgrees(signer, abi.encodeCall(IERC1271.isValidSignature, (digest, signature)));
    }

    /// Copies one word of what the wallet returns, however much it is.
    function _walletAgrees(address wallet, bytes memory data) private view returns (bool agrees) {
        uint256 word;
        bool ok;
        assembly ("memory-safe") {
            mstore(0, 0)
            ok := staticcall(WALLET_GAS, wallet, add(data, 0x20), mload(data), 0, 0x20)
            ok := and(ok, gt(returndatasize(), 0x1f))
            word := mload(0)
        }
        return ok && word == uint256(bytes32(IERC1271.isValidSignature.selector));
    }
}
