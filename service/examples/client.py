"""Asks a Lorica service for an answer and its proof, with plain grpcio.

    pip install grpcio grpcio-tools
    python -m grpc_tools.protoc -I service/proto --python_out=. --grpc_python_out=. \
        lorica/v1/types.proto lorica/v1/inference_service.proto lorica/v1/model_service.proto
    python service/examples/client.py 127.0.0.1:7443 "a library for spreadsheets in Python" answer.proof

The key, if the service wants one, is in LORICA_API_KEY. The proof is checked with `lorica verify`, with keys from your own source.
"""

import os
import sys
import uuid

import grpc
from lorica.v1 import inference_service_pb2 as inference
from lorica.v1 import inference_service_pb2_grpc, model_service_pb2, model_service_pb2_grpc, types_pb2


def main(address: str, text: str, path: str) -> None:
    key = os.environ.get("LORICA_API_KEY")
    metadata = [("authorization", f"Bearer {key}")] if key else []
    with grpc.insecure_channel(address) as channel:
        models = model_service_pb2_grpc.ModelServiceStub(channel)
        adapters = models.ListAdapters(model_service_pb2.ListAdaptersRequest(), timeout=10, metadata=metadata).adapters
        base = models.ListBases(model_service_pb2.ListBasesRequest(), timeout=10, metadata=metadata).bases[0].name
        service = inference_service_pb2_grpc.InferenceServiceStub(channel)

        # The same request_id may be sent again after a failure: it gives the same proof.
        request = inference.CreateProofRequest(
            request_id=str(uuid.uuid4()),
            base=base,
            adapter=adapters[0].name if adapters else "",
            input=types_pb2.Input(text=text),
        )
        proof = service.CreateProof(request, timeout=10, metadata=metadata).proof
        print(proof.name, proof.answer)

        # Each change, and all of it at the end. A watch that breaks is resumed after the last sequence.
        watch = inference.WatchProofRequest(name=proof.name, view=inference.PROOF_VIEW_FULL)
        for change in service.WatchProof(watch, timeout=300, metadata=metadata):
            proof = change.proof
            print(proof.sequence, types_pb2.ProofState.Name(proof.state))
        if proof.state != types_pb2.PROOF_STATE_PROVEN:
            sys.exit(f"no proof: {proof.failure.reason}")
        with open(path, "wb") as file:
            file.write(proof.inference_proof)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: client.py ADDRESS TEXT FILE")
    main(*sys.argv[1:])
