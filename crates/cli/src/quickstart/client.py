import sys

import grpc
from ledger.v1 import ledger_pb2, ledger_pb2_grpc

with grpc.insecure_channel(sys.argv[1]) as channel:
    ledger = ledger_pb2_grpc.LedgerServiceStub(channel)
    store = [("x-ledger-store", "ledger_entries")]
    entry = ledger_pb2.EntryInput(payload=b'{"type":"quickstart","text":"hello from Python"}')
    appended = ledger.Append(ledger_pb2.AppendRequest(stream="events", entries=[entry]), metadata=store)
    stat = ledger.Stat(ledger_pb2.StatRequest(stream="events"), metadata=store)
    print(f"appended entry {appended.ids[0]}; the stream has {stat.count}")
