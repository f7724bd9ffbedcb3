#!/usr/bin/env python3
"""Write an arbitrarily large, deterministic, realistic `ledger.jsonl`.

Every line is one compact JSON object followed by a single LF, in the shape the
ledger format defines (see `src/line.rs`): turn, stamp, compaction,
relationship, tool_result_event and user_turn lines, interleaved the way a
session-by-session ingest writes them.

    gen_ledger_jsonl.py --bytes 1.5G --seed 7 --out ledger.jsonl --summary counts.json

Same arguments -> same bytes (Python 3.8+).  The output stops at the first line
that makes the file at least --bytes long, so the size is exact to within one
line and the file always ends with LF.

--summary writes a JSON file with the row counts and totals that a correct
archive built from the file must contain, so large builds can be checked
without running anything else over the data.

Sizes: K/M/G are powers of 1000; KiB/MiB/GiB are powers of 1024; plain digits
are bytes.
"""
import argparse
import json
import random
import sys

SIZE_UNITS = {
    "": 1, "B": 1,
    "K": 1000, "KB": 1000, "M": 1000 ** 2, "MB": 1000 ** 2, "G": 1000 ** 3, "GB": 1000 ** 3,
    "KIB": 1024, "MIB": 1024 ** 2, "GIB": 1024 ** 3,
}


def parse_size(text):
    t = text.strip()
    i = 0
    while i < len(t) and (t[i].isdigit() or t[i] == "."):
        i += 1
    unit = t[i:].strip().upper()
    if i == 0 or unit not in SIZE_UNITS:
        raise argparse.ArgumentTypeError("bad size: %r" % text)
    return int(float(t[:i]) * SIZE_UNITS[unit])


def js(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- vocab ------------------------------------------------------------------

DIRS = ["src", "lib", "packages/core/src", "packages/web/app", "crates/engine/src", "internal/api",
        "tests/unit", "docs/guide", "scripts", "cmd/server", "app/models", "módulos/señal", "ソース/共通"]
STEMS = ["index", "server", "client", "parser", "router", "store", "config", "worker", "schema", "session",
         "ledger", "billing", "auth", "cache", "queue", "metrics", "übersicht", "отчёт", "設定", "README"]
EXTS = [".ts", ".tsx", ".rs", ".py", ".go", ".md", ".json", ".sql"]
COMMANDS = [
    "ls -la", "git status --short", "git diff --stat HEAD~1", "npm test -- --runInBand",
    "cargo test -p engine -- --nocapture", "pytest -q tests/unit", "rg -n \"TODO|FIXME\" src",
    "sed -n '1,200p' src/index.ts", "docker compose up -d && docker compose logs -f api",
    "node -e \"console.log(process.version)\"", "find . -name '*.snap' -newer package.json",
    "psql -c 'select count(*) from events where ts > now() - interval ''1 day'''",
    "git commit -m \"fix: handle empty \\\"selector\\\" objects\"", "make -j8 check",
    "kubectl -n prod get pods -o wide", "grep -rn 'naïve café' docs/",
]
MODELS = {
    "claude-code": ["claude-sonnet-4-6", "claude-opus-4-7", "claude-haiku-4-5"],
    "codex": ["gpt-5.4", "gpt-5.3-codex"],
    "opencode": ["anthropic/claude-sonnet-4-6", "openai/gpt-5.4", "hf:zai-org/GLM-4.6"],
}
TOOLS = {
    "claude-code": ["Read", "Edit", "Bash", "Grep", "Glob", "Write", "Task", "WebFetch", "TodoWrite", "relaywash__Search"],
    "codex": ["exec_command", "apply_patch", "read_file", "shell", "spawn_agent"],
    "opencode": ["read", "edit", "bash", "grep", "task", "skill"],
}
ACTIVITIES = ["coding", "debugging", "exploration", "testing", "planning", "delegation", "review", "git",
              "build-deploy", "docs", "refactoring", "feature", "conversation", "reasoning", "verification"]
SUBAGENTS = ["Explore", "code-reviewer", "general-purpose", "investigator"]
DESCRIPTIONS = ["Research the codebase", "find auth-flow regressions", "Überprüfe die Tests", "調査: ビルド失敗",
                "summarise \"flaky\" suites", "map call graph\nand report"]
COVERAGE_KEYS = ["hasInputTokens", "hasOutputTokens", "hasReasoningTokens", "hasCacheReadTokens",
                 "hasCacheCreateTokens", "hasToolCalls", "hasToolResultEvents", "hasSessionRelationships",
                 "hasRawContent"]


def fidelity(granularity, flags, cls):
    cov = {k: (f == "1") for k, f in zip(COVERAGE_KEYS, flags)}
    return js({"granularity": granularity, "coverage": cov, "class": cls})


FID = {
    "claude-code": fidelity("per-turn", "110111111", "full"),
    "codex": fidelity("per-turn", "111101111", "full"),
    "opencode": fidelity("per-message", "111111111", "full"),
    "usage-only": fidelity("per-turn", "110110001", "usage-only"),
    "partial": fidelity("per-turn", "100001000", "partial"),
    "aggregate-only": fidelity("per-session-aggregate", "110000000", "aggregate-only"),
    "cost-only": fidelity("cost-only", "000000000", "cost-only"),
}

HMS = ["%02d:%02d:%02d" % (s // 3600, s // 60 % 60, s % 60) for s in range(86400)]


class Clock:
    """Epoch milliseconds -> ISO-8601 with milliseconds and Z, quickly."""

    def __init__(self):
        self.days = {}

    def iso(self, ms):
        secs, milli = divmod(ms, 1000)
        day, rest = divmod(secs, 86400)
        d = self.days.get(day)
        if d is None:
            # civil-from-days (proleptic Gregorian)
            z = day + 719468
            era = z // 146097
            doe = z - era * 146097
            yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
            doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
            mp = (5 * doy + 2) // 153
            dd = doy - (153 * mp + 2) // 5 + 1
            mm = mp + 3 if mp < 10 else mp - 9
            yy = yoe + era * 400 + (1 if mm <= 2 else 0)
            d = "%04d-%02d-%02dT" % (yy, mm, dd)
            self.days[day] = d
        return "%s%s.%03dZ" % (d, HMS[rest], milli)


class Session:
    __slots__ = ("source", "sid", "turns", "left", "ts", "model", "proj", "path", "events", "prev",
                 "stamped", "sub", "cache", "uuid_n", "root_done", "in_table")


class Generator:
    def __init__(self, args, sink):
        self.a = args
        self.r = random.Random(args.seed)
        self.sink = sink
        self.clock = Clock()
        self.now = args.start_ms
        self.seq = 0
        self.recent = []
        r = self.r
        # pre-serialised tool targets: file paths and shell commands, a few of them long
        self.paths = []
        for _ in range(3000):
            p = "/home/dev/work/%s/%s%d%s" % (r.choice(DIRS), r.choice(STEMS), r.randrange(400), r.choice(EXTS))
            self.paths.append(js(p))
        self.cmds = []
        for i in range(1500):
            c = r.choice(COMMANDS)
            if i % 5 == 0:
                c = c + " && " + r.choice(COMMANDS) + " # " + str(r.randrange(10 ** 6))
            if i % 60 == 0:
                c = c + "\n" + "\n".join("echo \"step %d: %s\"" % (k, r.choice(STEMS)) for k in range(r.randrange(20, 90)))
            self.cmds.append(js(c))
        self.projects = []
        for i in range(60):
            name = "%s-%d" % (r.choice(["api", "web", "infra", "données", "mobile", "研究"]), i)
            path = "/home/dev/work/" + name
            key = "github.com/acme/" + name if i % 4 else None
            self.projects.append((js(path), js(key) if key else None, path.replace("/", "-").replace(".", "-")))
        self.c = dict(
            lines=0, bytes=0, turnLines=0, turns=0, toolCalls=0, toolResultEventLines=0, toolResultEvents=0,
            userTurnLines=0, userTurns=0, relationshipLines=0, relationships=0, compactionLines=0, compactions=0,
            stampLines=0, wildcardStampLines=0, malformedLines=0, duplicateLines=0, sessions=0,
            idHashes=0, turnsWithWorkflow=0, turnsWithSubagent=0, turnsWithReplacedTools=0,
        )
        self.sums = dict(input=0, output=0, reasoning=0, cacheRead=0, cacheCreate5m=0, cacheCreate1h=0)
        self.by_source = {}
        self.by_model = {}
        self.by_fid = {}
        self.by_activity = {}
        self.active = []

    # -- emit ---------------------------------------------------------------

    def out(self, line):
        """Write one line; returns False once the target size is reached."""
        n = len(line) + 1 if line.isascii() else len(line.encode("utf-8")) + 1
        self.sink.append(line)
        self.c["lines"] += 1
        self.c["bytes"] += n
        return self.c["bytes"] < self.a.bytes

    def full(self):
        return self.c["bytes"] >= self.a.bytes

    # -- sessions -----------------------------------------------------------

    def new_session(self):
        r = self.r
        s = Session()
        x = r.random()
        s.source = "claude-code" if x < 0.68 else ("codex" if x < 0.88 else "opencode")
        h = "%032x" % r.getrandbits(128)
        self.seq += 1
        if s.source == "claude-code":
            s.sid = "%s-%s-4%s-%s-%s%04x" % (h[:8], h[8:12], h[13:16], h[16:20], h[20:28], self.seq & 0xFFFF)
        elif s.source == "codex":
            s.sid = "sess_%s%x" % (h[:24], self.seq)
        else:
            s.sid = "ses_%s%x" % (h[:20], self.seq)
        s.turns = 0
        s.left = int(min(900, max(3, r.lognormvariate(3.6, 1.1))))
        self.now += r.randrange(500, 60000)
        s.ts = self.now
        s.model = r.choice(MODELS[s.source])
        s.proj = r.choice(self.projects)
        s.path = js("/home/dev/.agent/%s/%s/%s.jsonl" % (s.source, s.proj[2], s.sid))
        s.events = 0
        s.prev = None
        s.stamped = False
        s.sub = None
        s.cache = 0
        s.uuid_n = 0
        s.root_done = False
        s.in_table = False
        return s

    # -- one batch of a session, in the order an ingest pass writes it ------

    def batch(self, s):
        r, iso = self.r, self.clock.iso
        n = min(s.left, 1 + int(r.expovariate(0.12)))
        turns, events, users, comps, rels = [], [], [], [], []
        start_stamp = not s.root_done and r.random() < 0.35
        if start_stamp and not self.stamp(s):
            return
        if not s.root_done:
            s.root_done = True
            ver = ',"sourceVersion":"2.1.%d"' % r.randrange(120) if s.source == "claude-code" else ""
            rels.append('{"v":1,"kind":"relationship","record":{"v":1,"source":"%s","sessionId":"%s",'
                        '"relationshipType":"root","ts":"%s"%s}}' % (s.source, s.sid, iso(s.ts), ver))
        tools = TOOLS[s.source]
        for _ in range(n):
            s.ts += r.randrange(800, 45000)
            ts = iso(s.ts)
            self.seq += 1
            rid = r.getrandbits(64)
            mid = ("msg_%016x%x" if s.source != "codex" else "turn_%016x%x") % (rid, self.seq)
            # tool calls
            k = r.randrange(0, 10)
            k = 0 if k < 2 else (1 if k < 6 else (2 if k < 8 else r.randrange(3, 7)))
            calls = []
            touched = []
            fails = 0
            for ci in range(k):
                name = tools[r.randrange(len(tools))]
                tid = "toolu_%012x%x_%d" % (rid >> 16, self.seq, ci)
                low = name.lower()
                tail = ""
                if low in ("read", "edit", "write", "read_file", "apply_patch"):
                    tgt = self.paths[r.randrange(3000)]
                    tail = ',"target":' + tgt
                    if low in ("edit", "apply_patch"):
                        tail += ',"editPreHash":"%016x","editPostHash":"%016x"' % (r.getrandbits(64), r.getrandbits(64))
                    touched.append(tgt)
                elif low in ("bash", "exec_command", "shell"):
                    tail = ',"target":' + self.cmds[r.randrange(1500)]
                elif low in ("task", "spawn_agent"):
                    tail = ',"target":"%s"' % SUBAGENTS[r.randrange(4)]
                elif low == "skill":
                    tail = ',"skillName":"release-notes"'
                elif low == "relaywash__search":
                    tail = ',"replacedTools":["Glob","Grep","Read"],"collapsedCalls":%d' % r.randrange(1, 15)
                err = r.random() < 0.06
                if err:
                    fails += 1
                    tail += ',"isError":true'
                calls.append('{"id":"%s","name":"%s","argsHash":"%016x"%s}' % (tid, name, r.getrandbits(64), tail))
                # matching tool-result event
                eagent = ""
                if low in ("task", "spawn_agent"):
                    eagent = ',"agentId":"agent-%x"' % (self.seq)
                events.append((
                    '{"v":1,"kind":"tool_result_event","record":{"v":1,"source":"%s","sessionId":"%s","toolUseId":"%s",'
                    '"callIndex":%d,"eventIndex":%d,"status":"%s","eventSource":"%s","messageId":"%s","ts":"%s",'
                    '"contentLength":%d,"contentHash":"%016x"%s%s}}'
                    % (s.source, s.sid, tid, 0, s.events, "errored" if err else "completed",
                       "function_call_output" if s.source == "codex" else "tool_result",
                       "u-%016x" % (rid ^ 0x5555), iso(s.ts + 400 + ci), int(r.lognormvariate(6.5, 1.8)),
                       r.getrandbits(64), ',"isError":true' if err else "", eagent), True))
                s.events += 1
            # usage
            s.cache = 0 if r.random() < 0.01 else min(180000, s.cache + r.randrange(50, 4000))
            inp = r.randrange(2, 4000)
            outp = int(r.lognormvariate(5.5, 1.0))
            reas = r.randrange(0, 900) if s.source == "codex" else 0
            cc5 = r.randrange(0, 6000) if s.source == "claude-code" and r.random() < 0.7 else 0
            cc1 = r.randrange(0, 6000) if s.source == "claude-code" and r.random() < 0.1 else 0
            x = r.random()
            if x < 0.90:
                fid, cls = FID[s.source], "full"
            elif x < 0.93:
                fid, cls = FID["usage-only"], "usage-only"
            elif x < 0.95:
                fid, cls = FID["partial"], "partial"
            elif x < 0.96:
                fid, cls = FID["aggregate-only"], "aggregate-only"
            elif x < 0.965:
                fid, cls = FID["cost-only"], "cost-only"
            else:
                fid, cls = None, "unknown"
            model = s.model if r.random() < 0.97 else r.choice(MODELS[s.source])
            extra = ""
            if r.random() < 0.5 and touched:
                extra += ',"filesTouched":[%s]' % ",".join(touched)
            if s.source == "claude-code":
                if s.sub is None and r.random() < 0.02:
                    s.sub = ("agent-%x" % self.seq, "toolu_spawn_%x" % self.seq, SUBAGENTS[r.randrange(4)],
                             js(DESCRIPTIONS[r.randrange(len(DESCRIPTIONS))]))
                    rels.append('{"v":1,"kind":"relationship","record":{"v":1,"source":"native-claude","sessionId":"%s",'
                                '"relationshipType":"subagent","agentId":"%s","relatedSessionId":"%s","parentToolUseId":"%s",'
                                '"subagentType":"%s","description":%s,"ts":"%s"}}'
                                % (s.sid, s.sub[0], s.sid, s.sub[1], s.sub[2], s.sub[3], ts))
                elif s.sub is not None and r.random() < 0.15:
                    s.sub = None
                if s.sub is not None:
                    extra += (',"subagent":{"isSidechain":true,"agentId":"%s","parentToolUseId":"%s","subagentType":"%s",'
                              '"description":%s,"parentAgentId":"%s"}' % (s.sub[0], s.sub[1], s.sub[2], s.sub[3], s.sid))
            if r.random() < 0.9:
                extra += ',"stopReason":"%s"' % ("tool_use" if k else "end_turn")
            if fid:
                extra += ',"fidelity":' + fid
            act = None
            if r.random() < 0.97:
                act = ACTIVITIES[r.randrange(15)]
                extra += ',"activity":"%s","retries":%d,"hasEdits":%s' % (
                    act, fails if r.random() < 0.5 else 0, "true" if touched else "false")
            proj = ',"project":' + s.proj[0]
            if s.proj[1]:
                proj += ',"projectKey":' + s.proj[1]
            turns.append((
                '{"v":1,"kind":"turn","record":{"v":1,"source":"%s","sessionId":"%s","messageId":"%s","turnIndex":%d,'
                '"ts":"%s","model":"%s","usage":{"input":%d,"output":%d,"reasoning":%d,"cacheRead":%d,"cacheCreate5m":%d,'
                '"cacheCreate1h":%d},"toolCalls":[%s],"sessionPath":%s%s%s}}'
                % (s.source, s.sid, mid, s.turns, ts, model, inp, outp, reas, s.cache, cc5, cc1,
                   ",".join(calls), s.path, proj, extra),
                (model, inp, outp, reas, s.cache, cc5, cc1, k, cls, act,
                 '"subagent":{' in extra, any("replacedTools" in c for c in calls))))
            # user turn feeding this turn
            if r.random() < 0.8:
                s.uuid_n += 1
                blocks = []
                if r.random() < 0.25 or not k:
                    bl = int(r.lognormvariate(4.5, 1.2)) + 1
                    blocks.append('{"kind":"text","byteLen":%d,"approxTokens":%d}' % (bl, bl // 4 + 1))
                for ci in range(k):
                    bl = int(r.lognormvariate(6.5, 1.8))
                    blocks.append('{"kind":"tool_result","toolUseId":"toolu_%012x%x_%d","byteLen":%d,"approxTokens":%d}'
                                  % (rid >> 16, self.seq, ci, bl, bl // 4 + 1))
                users.append('{"v":1,"kind":"user_turn","record":{"v":1,"source":"%s","sessionId":"%s","userUuid":"u-%016x-%d",'
                             '"ts":"%s","blocks":[%s]%s,"followingMessageId":"%s"}}'
                             % (s.source, s.sid, rid ^ 0x3333, s.uuid_n, iso(s.ts - 300), ",".join(blocks),
                                ',"precedingMessageId":"%s"' % s.prev if s.prev else "", mid))
            if r.random() < 0.004 and s.source != "opencode":
                comps.append('{"v":1,"kind":"compaction","record":{"v":1,"source":"%s","sessionId":"%s","ts":"%s",'
                             '"precedingMessageId":"%s","tokensBeforeCompact":%d}}'
                             % (s.source, s.sid, iso(s.ts + 1), mid, s.cache))
                s.cache = 0
            s.prev = mid
            s.turns += 1
        s.left -= n
        if s.ts > self.now:
            self.now = s.ts - r.randrange(0, 600000) if r.random() < 0.5 else self.now + 1000
        c = self.c
        for line, t in turns:
            model, inp, outp, reas, cr, cc5, cc1, k, cls, act, sub, rep = t
            c["turnLines"] += 1
            c["turns"] += 1
            c["idHashes"] += 1
            c["toolCalls"] += k
            if sub:
                c["turnsWithSubagent"] += 1
            if rep:
                c["turnsWithReplacedTools"] += 1
            if s.stamped:
                c["turnsWithWorkflow"] += 1
            if not s.in_table:
                s.in_table = True
                c["sessions"] += 1
            su = self.sums
            su["input"] += inp
            su["output"] += outp
            su["reasoning"] += reas
            su["cacheRead"] += cr
            su["cacheCreate5m"] += cc5
            su["cacheCreate1h"] += cc1
            self.by_source[s.source] = self.by_source.get(s.source, 0) + 1
            self.by_model[model] = self.by_model.get(model, 0) + 1
            self.by_fid[cls] = self.by_fid.get(cls, 0) + 1
            self.by_activity[act or "(none)"] = self.by_activity.get(act or "(none)", 0) + 1
            self.emitted_turns[s.sid] = self.emitted_turns.get(s.sid, 0) + 1
            if not self.out(line):
                return
            if self.a.dup_rate and r.random() < self.a.dup_rate:
                # the same turn line again, byte for byte: the archive must upsert it
                c["turnLines"] += 1
                c["duplicateLines"] += 1
                if not self.out(line):
                    return
            if self.a.malformed_rate and r.random() < self.a.malformed_rate:
                c["malformedLines"] += 1
                if not self.out(line[: r.randrange(1, len(line) - 1)].replace("\n", " ")):
                    return
        for kind, rows in (("compaction", comps), ("relationship", rels)):
            for line in rows:
                c[kind + "Lines"] += 1
                c[kind + "s"] += 1
                c["idHashes"] += 1
                if not self.out(line):
                    return
        for line, _ in events:
            c["toolResultEventLines"] += 1
            c["toolResultEvents"] += 1
            c["idHashes"] += 1
            if not self.out(line):
                return
        for line in users:
            c["userTurnLines"] += 1
            c["userTurns"] += 1
            c["idHashes"] += 1
            if not self.out(line):
                return
        if s.stamped and r.random() < 0.05:
            self.stamp(s)

    def stamp(self, s):
        """A session-scoped stamp. Later stamps of a session have later timestamps."""
        r = self.r
        self.seq += 1
        enrich = {"workflowId": "wf-%d" % r.randrange(500), "persona": r.choice(["eng", "qa", "réviseur", "設計"]),
                  "tier": r.choice(["best", "fast", "cheap"])}
        if r.random() < 0.5:
            enrich["agentId"] = "ag-%x" % self.seq
        if r.random() < 0.3:
            enrich["stepId"] = "step-%d" % r.randrange(40)
        if not s.stamped:
            s.stamped = True
            # a session stamp also covers the turns that came before it
            self.c["turnsWithWorkflow"] += self.emitted_turns.get(s.sid, 0)
        self.c["stampLines"] += 1
        ts = self.clock.iso(max(s.ts, self.now) + 5)
        s.ts += 10
        return self.out('{"v":1,"kind":"stamp","ts":"%s","selector":{"sessionId":"%s"},"enrichment":%s}'
                        % (ts, s.sid, js(enrich)))

    def wildcard_stamp(self):
        """A stamp with no sessionId: by message id, or by time range. Kept rare on purpose."""
        r = self.r
        s = r.choice(self.active)
        self.c["stampLines"] += 1
        self.c["wildcardStampLines"] += 1
        if s.prev and r.random() < 0.7:
            sel = {"messageId": s.prev}
        else:
            sel = {"range": {"fromTs": self.clock.iso(s.ts - 60000), "toTs": self.clock.iso(s.ts)}}
        return self.out('{"v":1,"kind":"stamp","ts":"%s","selector":%s,"enrichment":{"note":"n-%d"}}'
                        % (self.clock.iso(self.now), js(sel), r.randrange(1000)))

    def run(self):
        self.emitted_turns = {}
        r = self.r
        marks = []
        for i in range(self.a.wildcard_stamps):
            marks.append(int(self.a.bytes * (i + 1) / (self.a.wildcard_stamps + 1)))
        while not self.full():
            while len(self.active) < self.a.active_sessions:
                self.active.append(self.new_session())
            i = r.randrange(len(self.active))
            s = self.active[i]
            self.batch(s)
            if s.left <= 0:
                self.active[i] = self.new_session()
                self.emitted_turns.pop(s.sid, None)
            while marks and not self.full() and self.c["bytes"] >= marks[0]:
                marks.pop(0)
                self.wildcard_stamp()
        return self.summary()

    def summary(self):
        out = dict(self.c)
        out["seed"] = self.a.seed
        out["targetBytes"] = self.a.bytes
        out["usageSums"] = self.sums
        out["turnsBySource"] = dict(sorted(self.by_source.items()))
        out["turnsByModel"] = dict(sorted(self.by_model.items()))
        out["fidelityHistogram"] = dict(sorted(self.by_fid.items()))
        out["turnsByActivity"] = dict(sorted(self.by_activity.items()))
        return out


class Sink:
    def __init__(self, fh):
        self.fh = fh
        self.buf = []
        self.n = 0

    def append(self, line):
        self.buf.append(line)
        self.n += len(line)
        if self.n > 4_000_000:
            self.flush()

    def flush(self):
        if self.buf:
            self.buf.append("")
            self.fh.write("\n".join(self.buf).encode("utf-8"))
            self.buf = []
            self.n = 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bytes", type=parse_size, required=True, help="target size, e.g. 50M, 1.5G")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--out", required=True, help="output path, or - for stdout")
    p.add_argument("--summary", help="write expected counts as JSON to this path")
    p.add_argument("--dup-rate", type=float, default=0.0005, help="chance that a turn line is written twice")
    p.add_argument("--malformed-rate", type=float, default=0.0, help="chance of a truncated (invalid) line after a turn")
    p.add_argument("--wildcard-stamps", type=int, default=4,
                   help="number of stamps without a sessionId (each one is matched against every turn)")
    p.add_argument("--active-sessions", type=int, default=48)
    p.add_argument("--start-ms", type=int, default=1767225600000, help="first timestamp, epoch ms (2026-01-01Z)")
    args = p.parse_args()
    fh = sys.stdout.buffer if args.out == "-" else open(args.out, "wb", buffering=0)
    sink = Sink(fh)
    gen = Generator(args, sink)
    summary = gen.run()
    sink.flush()
    fh.flush()
    if args.out != "-":
        fh.close()
    text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    if args.summary:
        with open(args.summary, "w", encoding="utf-8") as f:
            f.write(text)
    else:
        sys.stderr.write(text)


if __name__ == "__main__":
    main()
