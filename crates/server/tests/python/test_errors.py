"""How calls fail: the rows of the specification, section 5.5, and the checks of 5.4.

A closed store and one that may only be read are rows that a daemon has to be brought to from inside: see the tests in
`src/grpc/tests.rs`.
"""

import sqlite3
import time

import grpc
from support import *

NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Errors(StoreTest):
    def call(self, method, request):
        return lambda: getattr(service, method)(request, **self.to)

    def test_what_must_not_be_empty_is_named(self):
        for method, request, field in [
            ("Append", pb.AppendRequest(), "stream"),
            ("Read", pb.ReadRequest(), "stream"),
            ("Count", pb.CountRequest(), "stream"),
            ("Stat", pb.StatRequest(), "stream"),
            ("SetTags", pb.SetTagsRequest(id="1"), "stream"),
            ("SetTags", pb.SetTagsRequest(stream="s"), "id"),
            ("SetAnnotations", pb.SetAnnotationsRequest(id="1"), "stream"),
            ("SetAnnotations", pb.SetAnnotationsRequest(stream="s"), "id"),
            ("Trim", pb.TrimRequest(before_id="1"), "stream"),
            ("Trim", pb.TrimRequest(stream="s"), "before_id"),
            ("RenameStream", pb.RenameStreamRequest(name="s"), "name and new_name"),
            ("RenameStream", pb.RenameStreamRequest(new_name="s"), "name and new_name"),
            ("Search", pb.SearchRequest(stream="s"), "query"),
        ]:
            self.assert_fails(self.call(method, request), INVALID, f"{field} must not be empty")
        for method, request, field in [
            ("GetCursor", pb.GetCursorRequest(), "name"),
            ("SetCursor", pb.SetCursorRequest(position="1"), "name"),
            ("SetCursor", pb.SetCursorRequest(name="c"), "position"),
            ("FindBySource", pb.FindBySourceRequest(source_id="1"), "stream"),
            ("FindBySource", pb.FindBySourceRequest(stream="s"), "source_id"),
        ]:
            call = lambda: getattr(consumers, method)(request, **self.to)
            self.assert_fails(call, INVALID, f"{field} must not be empty")

    def test_an_entry_that_is_not_there(self):
        self.append("s", b"a")
        self.append("other", b"b")
        for id in ["2", "77"]:
            tags = self.call("SetTags", pb.SetTagsRequest(stream="s", id=id))
            self.assert_fails(tags, NOT_FOUND, "entry not found")
            annotate = self.call("SetAnnotations", pb.SetAnnotationsRequest(stream="s", id=id))
            self.assert_fails(annotate, NOT_FOUND, "entry not found")

    def test_a_stream_that_is_not_there(self):
        said = f'ledger: stream not found: "s" in store "{self.store}"'
        for method, request in [
            ("SetTags", pb.SetTagsRequest(stream="s", id="1")),
            ("SetAnnotations", pb.SetAnnotationsRequest(stream="s", id="1")),
            ("RenameStream", pb.RenameStreamRequest(name="s", new_name="t")),
        ]:
            self.assert_fails(self.call(method, request), NOT_FOUND, said)

    def test_a_name_that_is_taken(self):
        self.append("a", b"1")
        self.append("b", b"2")
        rename = self.call("RenameStream", pb.RenameStreamRequest(name="a", new_name="b"))
        said = f'ledger: stream already exists: "b" in store "{self.store}"'
        self.assert_fails(rename, grpc.StatusCode.ALREADY_EXISTS, said)

    def test_an_id_that_is_none(self):
        self.append("s", b"a")
        for method, request in [
            ("Read", pb.ReadRequest(stream="s", options=pb.ReadOptions(after="x1"))),
            ("Search", pb.SearchRequest(query="a", options=pb.ReadOptions(after="x1"))),
            ("SetTags", pb.SetTagsRequest(stream="s", id="x1")),
            ("SetAnnotations", pb.SetAnnotationsRequest(stream="s", id="x1")),
            ("Trim", pb.TrimRequest(stream="s", before_id="x1")),
        ]:
            call = self.call(method, request)
            self.assert_fails(call, INVALID, "ledger: invalid cursor type: expected ", contains=True)
            self.assert_fails(call, INVALID, 'got "x1"', contains=True)

    def test_a_store_name_that_is_none(self):
        for name in ["bad name", "1a", "a;b", "a" * 46]:
            self.to["metadata"] = (("x-ledger-store", name),)
            said = f'ledger: invalid table/collection name: "{name[:45]}'
            self.assert_fails(lambda: self.append("s", b"a"), INVALID, said, contains=True)
            self.assert_fails(self.call("Count", pb.CountRequest(stream="s")), INVALID, said, contains=True)

    def test_a_message_that_is_too_large(self):
        # The daemon of this test takes 1 MiB. The connection lives on.
        too_large = lambda: self.append("s", b"x" * (1 << 20))
        self.assert_fails(too_large, grpc.StatusCode.RESOURCE_EXHAUSTED, "", contains=True)
        self.assertEqual(list(self.append("s", b"small").ids), ["1"])

    def test_a_call_that_there_is_not(self):
        call = channel.unary_unary("/ledger.v1.LedgerService/Nonsense")
        self.assert_fails(lambda: call(b"", timeout=TIMEOUT), grpc.StatusCode.UNIMPLEMENTED, "", contains=True)

    def test_a_request_that_cannot_be_decoded(self):
        call = channel.unary_unary("/ledger.v1.LedgerService/Append")
        bad = lambda: call(b"\xff\xff\xff", **self.to)
        self.assert_fails(bad, grpc.StatusCode.INTERNAL, "", contains=True)
        self.assertEqual(list(self.append("s", b"fine").ids), ["1"])

    def test_a_database_that_fails_keeps_its_words_to_itself(self):
        self.append("s", b"a")
        with sqlite3.connect(DATABASE) as database:
            database.execute(f"DROP TABLE {self.store}")
        with self.assertRaises(grpc.RpcError) as failed:
            self.read("s")
        self.assertEqual(failed.exception.code(), grpc.StatusCode.INTERNAL)
        said = failed.exception.details()
        self.assertTrue(said.startswith("internal error: "), said)
        for secret in [self.store, "no such table", "ledger.db"]:
            self.assertNotIn(secret, said)

    def append_while_the_database_is_locked(self, act):
        """Does something to an append that cannot end, then lets it."""
        self.append("s", b"before")
        locked = sqlite3.connect(DATABASE, isolation_level=None)
        locked.execute("BEGIN IMMEDIATE")
        entry = pb.EntryInput(payload=b"late", dedup_key="once")
        request = pb.AppendRequest(stream="s", entries=[entry])
        try:
            act(request)
        finally:
            locked.execute("ROLLBACK")
            locked.close()
        # The daemon serves on, and the entry is there once at the most; a retry makes it so.
        service.Append(request, **self.to)
        self.assertEqual(self.payloads("s"), [b"before", b"late"])

    def test_a_deadline_that_passes(self):
        def act(request):
            started = time.monotonic()
            late = lambda: service.Append(request, metadata=self.to["metadata"], timeout=0.2)
            self.assert_fails(late, grpc.StatusCode.DEADLINE_EXCEEDED, "", contains=True)
            self.assertLess(time.monotonic() - started, TIMEOUT)

        self.append_while_the_database_is_locked(act)

    def test_a_call_that_is_cancelled(self):
        def act(request):
            call = service.Append.future(request, **self.to)
            self.assertTrue(call.cancel())
            self.assertEqual(call.code(), grpc.StatusCode.CANCELLED)

        self.append_while_the_database_is_locked(act)


class Metadata(StoreTest):
    """Section 5.3."""

    def read_with(self, *metadata):
        return lambda: service.Read(pb.ReadRequest(stream="s"), metadata=metadata, timeout=TIMEOUT)

    def test_the_store_is_needed_for_everything_but_health(self):
        said = "missing x-ledger-store metadata header"
        for method, request in [
            ("Append", pb.AppendRequest(stream="s")),
            ("Read", pb.ReadRequest(stream="s")),
            ("Count", pb.CountRequest(stream="s")),
            ("Stat", pb.StatRequest(stream="s")),
            ("SetTags", pb.SetTagsRequest(stream="s", id="1")),
            ("SetAnnotations", pb.SetAnnotationsRequest(stream="s", id="1")),
            ("Trim", pb.TrimRequest(stream="s", before_id="1")),
            ("ListStreamIDs", pb.ListStreamIDsRequest()),
            ("RenameStream", pb.RenameStreamRequest(name="s", new_name="t")),
            ("Search", pb.SearchRequest(query="x")),
        ]:
            self.assert_fails(lambda: getattr(service, method)(request, timeout=TIMEOUT), INVALID, said)
        cursor = lambda: consumers.GetCursor(pb.GetCursorRequest(name="c"), timeout=TIMEOUT)
        self.assert_fails(cursor, INVALID, said)
        subscribe = lambda: next(streaming.Subscribe(pb.SubscribeRequest(stream="s"), timeout=TIMEOUT))
        self.assert_fails(subscribe, INVALID, said)
        session = lambda: next(streaming.AppendSession(iter([]), timeout=TIMEOUT))
        self.assert_fails(session, INVALID, said)
        self.assertEqual(service.Health(pb.HealthRequest(), timeout=TIMEOUT).status, "ok")

    def test_the_first_of_several_stores_wins(self):
        self.append("s", b"a")
        first = ("x-ledger-store", self.store)
        entries = self.read_with(first, ("x-ledger-store", "bad name"))().entries
        self.assertEqual([entry.payload for entry in entries], [b"a"])
        self.assert_fails(
            self.read_with(("x-ledger-store", "bad name"), first),
            INVALID,
            'ledger: invalid table/collection name: "bad name"',
            contains=True,
        )

    def test_a_store_that_is_not_there_is_empty_and_reading_does_not_make_it(self):
        self.assertEqual(self.payloads("s"), [])
        with sqlite3.connect(DATABASE) as database:
            tables = database.execute("SELECT count(*) FROM sqlite_master WHERE name = ?", (self.store,))
            self.assertEqual(tables.fetchone(), (0,))
