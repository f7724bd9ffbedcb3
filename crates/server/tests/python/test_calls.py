"""Every call of every service, and what it answers when all is well."""

import datetime

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from support import *

SERVICES = [
    "ledger.v1.LedgerService",
    "ledger.v1.LedgerStreaming",
    "ledger.v1.LedgerConsumers",
    "grpc.health.v1.Health",
]


def tearDownModule():
    """What the daemon says that it can do must have been asked for by some test above."""
    described = ProtoReflectionDescriptorDatabase(grpc.insecure_channel(ADDRESS))
    pool = descriptor_pool.DescriptorPool(described)
    names = [name for name in described.get_services() if not name.startswith("grpc.reflection.")]
    assert set(SERVICES) <= set(names), names
    calls = set()
    for name in names:
        calls |= {f"/{name}/{method.name}" for method in pool.FindServiceByName(name).methods}
    assert len(calls) >= 18, calls
    assert calls <= recorder.called, f"calls without a test: {sorted(calls - recorder.called)}"


class Service(StoreTest):
    def test_append_answers_the_ids_of_what_it_wrote(self):
        entry = pb.EntryInput(payload=b"\x00not json\xff", dedup_key="d")
        answer = service.Append(pb.AppendRequest(stream="s", entries=[entry, entry]), **self.to)
        self.assertEqual(list(answer.ids), ["1"])
        self.assertEqual([(skipped.index, skipped.id) for skipped in answer.duplicates], [(1, "1")])
        self.assertEqual(answer.durability, pb.DURABILITY_SYNCED)
        again = service.Append(pb.AppendRequest(stream="s", entries=[entry]), **self.to)
        self.assertEqual(list(again.ids), [])
        elsewhere = service.Append(pb.AppendRequest(stream="other", entries=[entry]), **self.to)
        self.assertEqual(len(elsewhere.ids), 1)
        nothing = service.Append(pb.AppendRequest(stream="s"), **self.to)
        self.assertEqual(list(nothing.ids), [])

    def test_read_gives_an_entry_back(self):
        # The sample of the specification (5.7).
        entry = pb.EntryInput(
            payload=b'{"a":1}', order_key="o", schema_version=3, metadata={"k": "v"}, tags=["t"]
        )
        before = datetime.datetime.now(datetime.timezone.utc)
        service.Append(pb.AppendRequest(stream="s1", entries=[entry]), **self.to)
        after = datetime.datetime.now(datetime.timezone.utc)
        [read] = self.read("s1")
        created = read.created_at.ToDatetime(datetime.timezone.utc)
        slack = datetime.timedelta(milliseconds=1)
        self.assertTrue(before - slack <= created <= after + slack, created)
        self.assertFalse(read.HasField("updated_at"))
        read.ClearField("created_at")
        expected = pb.Entry(
            id="1", stream="s1", payload=b'{"a":1}', order_key="o", schema_version=3, metadata={"k": "v"}, tags=["t"]
        )
        self.assertEqual(read, expected)

    def test_read_honours_cursor_limit_and_order(self):
        self.append("s", b"a", b"b", b"c", b"d")
        self.append("other", b"x")
        self.assertEqual(self.payloads("s"), [b"a", b"b", b"c", b"d"])
        self.assertEqual(self.payloads("s", after="2"), [b"c", b"d"])
        self.assertEqual(self.payloads("s", limit=2), [b"a", b"b"])
        self.assertEqual(self.payloads("s", limit=-1), [b"a", b"b", b"c", b"d"])
        self.assertEqual(self.payloads("s", after="3", desc=True), [b"b", b"a"])
        self.assertEqual(self.payloads("unknown"), [])

    def test_read_honours_every_filter(self):
        for payload, attributes in [
            (b"1", {"order_key": "a", "tags": ["x"], "metadata": {"k": "1"}}),
            (b"2", {"order_key": "a", "tags": ["x", "y"], "metadata": {"k": "2"}}),
            (b"3", {"order_key": "b", "tags": ["y"]}),
        ]:
            entry = pb.EntryInput(payload=payload, **attributes)
            service.Append(pb.AppendRequest(stream="s", entries=[entry]), **self.to)
        annotate = pb.SetAnnotationsRequest(stream="s", id="3", set={"n": "v"})
        service.SetAnnotations(annotate, **self.to)
        self.assertEqual(self.payloads("s", order_key="a"), [b"1", b"2"])
        self.assertEqual(self.payloads("s", tag="y"), [b"2", b"3"])
        self.assertEqual(self.payloads("s", all_tags=["x", "y"]), [b"2"])
        self.assertEqual(self.payloads("s", metadata_filters={"k": "1"}), [b"1"])
        self.assertEqual(self.payloads("s", annotation_filters={"n": "v"}), [b"3"])
        self.assertEqual(self.payloads("s", order_key="a", tag="y", metadata_filters={"k": "1"}), [])

    def test_a_page_has_100_entries_unless_told_otherwise(self):
        self.append("s", *[b"x"] * 150)
        self.assertEqual(len(self.read("s")), 100)
        self.assertEqual(len(self.read("s", limit=150)), 150)

    def test_count_and_stat(self):
        self.append("s", b"a", b"b")
        self.assertEqual(service.Count(pb.CountRequest(stream="s"), **self.to).count, 2)
        self.assertEqual(service.Count(pb.CountRequest(stream="unknown"), **self.to).count, 0)
        stat = service.Stat(pb.StatRequest(stream="s"), **self.to)
        self.assertEqual(stat, pb.StatResponse(stream="s", count=2, first_id="1", last_id="2"))
        stat = service.Stat(pb.StatRequest(stream="unknown"), **self.to)
        self.assertEqual(stat, pb.StatResponse(stream="unknown"))

    def test_set_tags_replaces_and_clears(self):
        entry = pb.EntryInput(payload=b"a", tags=["old"])
        service.Append(pb.AppendRequest(stream="s", entries=[entry]), **self.to)
        service.SetTags(pb.SetTagsRequest(stream="s", id="1", tags=["b", "a", "b"]), **self.to)
        [entry] = self.read("s")
        self.assertEqual(list(entry.tags), ["b", "a", "b"])
        self.assertTrue(entry.HasField("updated_at"))
        service.SetTags(pb.SetTagsRequest(stream="s", id="1"), **self.to)
        self.assertEqual(list(self.read("s")[0].tags), [])

    def test_set_annotations_sets_and_deletes_and_deleting_wins(self):
        self.append("s", b"a")
        change = pb.SetAnnotationsRequest(stream="s", id="1", set={"a": "1", "b": "2", "c": ""}, delete=["b", "z"])
        service.SetAnnotations(change, **self.to)
        self.assertEqual(dict(self.read("s")[0].annotations), {"a": "1", "c": ""})
        service.SetAnnotations(pb.SetAnnotationsRequest(stream="s", id="1", delete=["a"]), **self.to)
        self.assertEqual(dict(self.read("s")[0].annotations), {"c": ""})

    def test_trim_deletes_up_to_an_id(self):
        self.append("s", b"a", b"b", b"c")
        trim = pb.TrimRequest(stream="s", before_id="2")
        self.assertEqual(service.Trim(trim, **self.to).deleted, 2)
        self.assertEqual(service.Trim(trim, **self.to).deleted, 0)
        self.assertEqual(self.payloads("s"), [b"c"])
        unknown = pb.TrimRequest(stream="unknown", before_id="not even an id")
        self.assertEqual(service.Trim(unknown, **self.to).deleted, 0)

    def test_list_stream_ids_pages_by_name(self):
        for stream in ["z-b", "z-a", "z-c"]:
            self.append(stream, b"x")
        names = lambda **page: list(service.ListStreamIDs(pb.ListStreamIDsRequest(**page), **self.to).stream_ids)
        self.assertEqual(names(), ["z-a", "z-b", "z-c"])
        self.assertEqual(names(after="z-a"), ["z-b", "z-c"])
        self.assertEqual(names(limit=1), ["z-a"])
        self.assertEqual(names(limit=-1), ["z-a", "z-b", "z-c"])

    def test_rename_stream_takes_the_entries_along(self):
        self.append("old", b"a")
        service.RenameStream(pb.RenameStreamRequest(name="old", new_name="new"), **self.to)
        [entry] = self.read("new")
        self.assertEqual((entry.stream, entry.payload), ("new", b"a"))
        self.assertEqual(self.payloads("old"), [])
        self.append("old", b"b")
        self.assertEqual(self.payloads("old"), [b"b"])
        self.assertEqual(self.payloads("new"), [b"a"])

    def test_search_looks_into_one_stream_or_all(self):
        self.append("a", b'{"event":"Login"}', b'{"event":"logout"}')
        self.append("b", b'{"event":"LOGIN"}')
        search = lambda **what: [
            (entry.id, entry.stream) for entry in service.Search(pb.SearchRequest(**what), **self.to).entries
        ]
        self.assertEqual(search(stream="a", query="login"), [("1", "a")])
        self.assertEqual(search(query="login"), [("1", "a"), ("3", "b")])
        self.assertEqual(search(query="log", options=pb.ReadOptions(desc=True, limit=2)), [("3", "b"), ("2", "a")])
        self.assertEqual(search(query="l_gin"), [])
        self.assertEqual(search(stream="unknown", query="login"), [])

    def test_health_is_ok(self):
        self.assertEqual(service.Health(pb.HealthRequest(), timeout=TIMEOUT).status, "ok")


class Streaming(StoreTest):
    def session(self, requests):
        return streaming.AppendSession(iter(requests), **self.to)

    def request(self, sequence, payload, **fields):
        append = pb.AppendRequest(stream="s", entries=[pb.EntryInput(payload=payload)], **fields)
        return pb.AppendSessionRequest(sequence=sequence, append=append)

    def test_a_session_answers_every_request_in_order(self):
        count = 1000
        requests = [self.request(n, str(n).encode()) for n in range(count)]
        requests[300] = self.request(300, b"refused", expect_empty=True)
        requests[600] = pb.AppendSessionRequest(sequence=600, append=pb.AppendRequest())
        answers = list(self.session(requests))
        self.assertEqual([answer.sequence for answer in answers], list(range(count)))
        errors = {answer.sequence: answer.error for answer in answers if answer.HasField("error")}
        self.assertEqual(sorted(errors), [300, 600])
        self.assertEqual(errors[300].code, grpc.StatusCode.ABORTED.value[0])
        self.assertEqual(errors[300].detail.conflict.actual_last_id, answers[299].appended.ids[0])
        self.assertEqual(errors[600].code, grpc.StatusCode.INVALID_ARGUMENT.value[0])
        self.assertEqual(errors[600].message, "stream must not be empty")
        written = [(id, str(answer.sequence).encode()) for answer in answers for id in answer.appended.ids]
        self.assertEqual([(entry.id, entry.payload) for entry in self.read("s", limit=count)], written)
        self.assertEqual(len(written), count - 2)

    def test_a_session_is_a_conversation(self):
        requests = Requests()
        answers = self.session(requests)
        for n in range(3):
            requests.send(self.request(n, b"x"))
            self.assertEqual(next(answers).sequence, n)
        # All sent before any answer is taken.
        for n in range(3, 50):
            requests.send(self.request(n, b"x"))
        requests.end()
        self.assertEqual([answer.sequence for answer in answers], list(range(3, 50)))

    def subscribe(self, **where):
        return streaming.Subscribe(pb.SubscribeRequest(stream="s", **where), metadata=self.to["metadata"])

    @staticmethod
    def events(subscription):
        """Everything but heartbeats, as (position, kind, payloads)."""
        for message in subscription:
            kind = message.WhichOneof("event")
            if kind != "heartbeat":
                yield message.position, kind, [entry.payload for entry in message.entries.entries]

    def test_a_subscription_catches_up_follows_and_is_resumed(self):
        self.append("s", b"a", b"b")
        subscription = self.subscribe()
        events = self.events(subscription)
        self.assertEqual(next(events), ("2", "entries", [b"a", b"b"]))
        self.assertEqual(next(events), ("2", "caught_up", []))
        self.append("s", b"c")
        position, kind, payloads = next(events)
        self.assertEqual((position, kind, payloads), ("3", "entries", [b"c"]))
        subscription.cancel()
        self.append("s", b"d")
        self.append("other", b"x")
        events = self.events(self.subscribe(after=position))
        self.assertEqual(next(events), ("4", "entries", [b"d"]))
        self.assertEqual(next(events), ("4", "caught_up", []))

    def test_a_subscription_from_now_has_only_what_is_new(self):
        self.append("s", b"old")
        events = self.events(self.subscribe(position=pb.SubscribeRequest.POSITION_NOW))
        self.assertEqual(next(events), ("1", "caught_up", []))
        self.append("s", b"new")
        self.assertEqual(next(events), ("2", "entries", [b"new"]))

    def test_a_silent_subscription_has_a_heartbeat(self):
        self.append("s", b"a")
        kinds = (message.WhichOneof("event") for message in self.subscribe())
        self.assertEqual([next(kinds), next(kinds), next(kinds)], ["entries", "caught_up", "heartbeat"])


class Consumers(StoreTest):
    def cursor(self, name):
        answer = consumers.GetCursor(pb.GetCursorRequest(name=name), **self.to)
        return answer.position if answer.HasField("position") else None

    def move(self, name, position):
        return consumers.SetCursor(pb.SetCursorRequest(name=name, position=position), **self.to).moved

    def test_a_cursor_moves_forward_only(self):
        self.assertIsNone(self.cursor("c"))
        self.assertTrue(self.move("c", "9"))
        self.assertTrue(self.move("c", "10"), "numbers compare as numbers")
        self.assertFalse(self.move("c", "10"))
        self.assertFalse(self.move("c", "9"))
        self.assertEqual(self.cursor("c"), "10")
        self.assertIsNone(self.cursor("other"))

    def test_find_by_source_finds_the_copy(self):
        append = pb.AppendRequest(stream="s", entries=[pb.EntryInput(payload=b"a", source_id="src-7")])
        session = streaming.AppendSession(iter([pb.AppendSessionRequest(append=append)]), **self.to)
        [id] = next(session).appended.ids
        find = lambda **what: consumers.FindBySource(pb.FindBySourceRequest(**what), **self.to)
        self.assertEqual(find(stream="s", source_id="src-7").id, id)
        self.assertFalse(find(stream="s", source_id="src-8").HasField("id"))
        self.assertFalse(find(stream="other", source_id="src-7").HasField("id"))


class Probes(unittest.TestCase):
    stub = health_pb2_grpc.HealthStub(channel)

    def test_check_answers_for_the_daemon_and_for_each_service(self):
        for name in ["", *SERVICES[:3]]:
            answer = self.stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT)
            self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING, name)
        with self.assertRaises(grpc.RpcError) as failed:
            self.stub.Check(health_pb2.HealthCheckRequest(service="unknown"), timeout=TIMEOUT)
        self.assertEqual(failed.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_watch_tells_the_status_at_once(self):
        watch = self.stub.Watch(health_pb2.HealthCheckRequest())
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        watch.cancel()
