import Wire

private let notText: [UInt8] = [0x61, 0xC3]
/// A header with `body` as field number `field`.
private func header(_ field: UInt64, _ body: (inout RawHeader) -> Void = { _ in }) -> [UInt8] {
    RawHeader.with { $0.message(field, body) }
}

private func attempt(_ header: inout RawHeader) { header.varint(1, 5) }

private func pong(
    batch: (inout RawHeader) -> Void = { _ in }, load: (inout RawHeader) -> Void = { _ in }
) -> [UInt8] {
    header(42) {
        $0.data(1, [0x77])
        $0.message(4) {
            load(&$0)
            $0.message(9)
            $0.message(10, batch)
        }
    }
}

extension Refusal {
    static let ofHeaders: [Refusal] = Family.allCases.flatMap { family in
        let name = family.name
        let frameCount = WireError.frameCount(message: name, expected: 1, actual: 0)
        let message = family == .kvSending ? "KV message" : name
        return [
            Refusal(family, "no frame", [], frameCount),
            Refusal(family, "nothing in it", [[]], .version(ours: 1, theirs: 0)),
            Refusal(family, "another version", [RawHeader.with(version: 2) { _ in }], .version(ours: 1, theirs: 2)),
            Refusal(family, "no body", [RawHeader.with { _ in }], .missing(message: message, field: "body")),
            Refusal(
                family, "4097 bytes", [[UInt8](repeating: 8, count: 4097)], .headerTooLong(message: name, byteCount: 4097)),
            Refusal(family, "not protobuf", [[0xFF, 0xFF, 0xFF]], .malformedHeader(message: name)),
            Refusal(family, "cut within a field", [[0x08]], .malformedHeader(message: name)),
            Refusal(family, "a length beyond the end", [[0x08, 1, 0x52, 100, 1]], .malformedHeader(message: name)),
            Refusal(
                family, "a length of 2^64 - 1", [[0x08, 1, 0x52] + [UInt8](repeating: 0xFF, count: 9) + [1]],
                .malformedHeader(message: name)),
            Refusal(
                family, "an unknown field in the body", [header(family.anyBody) { $0.varint(1000, 1) }],
                .unknownFields(message: name)),
        ]
    }

    static let ofControl: [Refusal] = [
        control("no attempt", header(16) { $0.varint(2, 1) }, .missing(message: worker, field: "attempt")),
        control("no geometry", header(10) { registration(&$0, geometry: nil) }, .missing(message: worker, field: "geometry")),
        control("no numerics", header(10) { $0.varint(2, 1) }, .missing(message: worker, field: "numerics")),
        control("role 4", header(10) { $0.varint(2, 4) }, value(worker, "role", 4)),
        control("no role", header(10), value(worker, "role", 0)),
        control("no layers", header(10) { registration(&$0, geometry: [0, 1, 1, 1, 1]) }, value(worker, "layer_count", 0)),
        control(
            "blocks of 4097", header(10) { registration(&$0, geometry: [1, 4097, 1, 1, 1]) },
            value(worker, "block_size", 4097)),
        control(
            "2^32 - 1 heads", header(10) { registration(&$0, geometry: [1, 1, 0xFFFF_FFFF, 1, 1]) },
            value(worker, "key_value_heads", 0xFFFF_FFFF)),
        control(
            "elements of 9 bytes", header(10) { registration(&$0, geometry: [1, 1, 1, 1, 9]) },
            value(worker, "bytes_per_element", 9)),
        control(
            "scales of 9 bytes", header(10) { registration(&$0, geometry: [1, 1, 1, 1, 1, 9]) },
            value(worker, "bytes_per_scale", 9)),
        control(
            "no sequences", header(10) { registration(&$0, geometry: [1, 1, 1, 1, 1]) }, value(worker, "max_sequences", 0)),
        control(
            "2^31 blocks",
            header(10) {
                registration(&$0, geometry: [1, 1, 1, 1, 1])
                $0.varint(7, 1 << 31)
            }, value(worker, "block_count", 1 << 31)),
        control("a name that is no text", header(10) { $0.data(1, notText) }, .notText(message: worker, field: "worker")),
        control(
            "a name of 257 bytes", header(10) { $0.data(1, [UInt8](repeating: 97, count: 257)) },
            .value(message: worker, field: "worker", value: "text of 257 bytes")),
        control("failure 5", header(14) { failure(&$0, 5) }, value(worker, "kind", 5)),
        control(
            "a failure's text that is none",
            header(19) {
                failure(&$0, 3)
                $0.data(3, notText)
            }, .notText(message: worker, field: "text")),
        control("tokens without a frame", header(17), .frameCount(message: worker, expected: 2, actual: 0)),
        Refusal(
            .control, "tokens cut short", [header(17) { $0.varint(1, 2) }, [UInt8](repeating: 0, count: 39), []],
            .payloadLength(message: "tokens", expected: 40, actual: 39)),
        Refusal(
            .control, "2^32 - 1 tokens", [header(17) { $0.varint(1, 0xFFFF_FFFF) }, [], []],
            .payloadLength(message: "tokens", expected: 20 * 0xFFFF_FFFF, actual: 0)),
        Refusal(
            .control, "a negative token", [header(17) { $0.varint(1, 1) }, [UInt8](repeating: 0xFF, count: 20), []],
            .value(message: "tokens", field: "record", value: "index -1, token -1")),
        Refusal(
            .control, "half a log-probability", [header(17) { $0.varint(1, 1) }, record, [1, 0]],
            .payloadLength(message: "tokens", expected: 4, actual: 2)),
        Refusal(
            .control, "22 log-probabilities", [header(17) { $0.varint(1, 1) }, record, words(22)],
            .value(message: "tokens", field: "logprobs", value: "22 entries")),
        Refusal(
            .control, "a log-probability above 0", [header(17) { $0.varint(1, 1) }, record, words(1, Float(1).bitPattern)],
            .value(message: "tokens", field: "logprobs", value: "1.0")),
        Refusal(
            .control, "a log-probability that is no number",
            [header(17) { $0.varint(1, 1) }, record, words(1, Float.nan.bitPattern)],
            .value(message: "tokens", field: "logprobs", value: "nan")),
        Refusal(
            .control, "a probable token 2^31", [header(17) { $0.varint(1, 1) }, record, words(2, 0, 1 << 31, 0)],
            .value(message: "tokens", field: "logprobs", value: "token 2147483648")),
        Refusal(
            .control, "log-probabilities cut short", [header(17) { $0.varint(1, 1) }, record, words(2, 0, 1)],
            .payloadLength(message: "tokens", expected: 16, actual: 12)),
        Refusal(
            .control, "more log-probabilities than tokens", [header(17) { $0.varint(1, 1) }, record, words(0, 0)],
            .payloadLength(message: "tokens", expected: 4, actual: 8)),
        Refusal(
            .control, "scores of 513 tokens", [header(23) { $0.message(1, attempt); $0.varint(3, 513) }, []],
            value(worker, "count", 513)),
        Refusal(
            .control, "scores without any", [header(23) { $0.message(1, attempt); $0.varint(3, 1) }, []],
            .missing(message: worker, field: "logprobs")),
        Refusal(
            .control, "leaving with a payload", [header(20), []], .frameCount(message: worker, expected: 0, actual: 1)),
        Refusal(.control, "ping with a payload", [header(41), []], .frameCount(message: "control", expected: 0, actual: 1)),
        control("pong without load", header(42), .missing(message: "control", field: "load")),
        control("load without counters", header(42) { $0.message(4) }, .missing(message: "control", field: "idle")),
        control(
            "17 buckets", pong(load: { $0.message(24) { for _ in 0..<17 { $0.varint(3, 1) } } }),
            .value(message: "control", field: "buckets", value: "17 buckets")),
        control("scheduling 7", pong(load: { $0.varint(8, 7) }), value("control", "scheduling", 7)),
        control(
            "a stall of 2^63 ns", pong(batch: { $0.varint(4, 1 << 63) }),
            .value(message: "control", field: "stall", value: "9223372036854775808")),
        control(
            "an unknown field three levels down", header(12) { $0.message(1) { $0.varint(1000, 1) } },
            .unknownFields(message: "control")),
        control("retarget from nothing", header(34), .missing(message: coordinator, field: "from")),
        control("prefill of nothing", header(33), .missing(message: coordinator, field: "sequence")),
        Refusal(
            .control, "no prompt", [header(33) { $0.message(1) }, [], [], [], []], value(coordinator, "token_count", 0)),
        Refusal(
            .control, "a prompt beyond the tokens", [sequence(tokens: 1, prompt: 2), [1, 0, 0, 0], [], [], []],
            value(coordinator, "prompt_count", 2)),
        Refusal(
            .control, "fewer tokens than said", [sequence(tokens: 2, prompt: 1), [1, 0, 0, 0], [], [], []],
            .payloadLength(message: coordinator, expected: 8, actual: 4)),
        Refusal(
            .control, "2^28 + 1 tokens", [sequence(tokens: 1 << 28 + 1, prompt: 1), [], [], [], []],
            value(coordinator, "token_count", 1 << 28 + 1)),
        Refusal(
            .control, "half a bias", [granted, [1, 0, 0, 0], [1, 2, 3, 4], [], []],
            .payloadLength(message: coordinator, expected: 0, actual: 4)),
        Refusal(
            .control, "a bias without end", [granted, [1, 0, 0, 0], words(3, Float.infinity.bitPattern), [], []],
            .value(message: coordinator, field: "logit_bias", value: "inf for token 3")),
        Refusal(
            .control, "129 choices", [granted, [1, 0, 0, 0], [], [UInt8](repeating: 0, count: 129 * 16), []],
            .payloadLength(message: "forks", expected: 128 * 16, actual: 129 * 16)),
        Refusal(
            .control, "a constraint that is no text", [granted, [1, 0, 0, 0], [], [], notText],
            .notText(message: coordinator, field: "constraint")),
    ]

    static let ofKV: [Refusal] = [
        Refusal(.kvSending, "open of nothing", [header(11)], .missing(message: kv, field: "attempt")),
        Refusal(
            .kvSending, "open without geometry",
            [RawHeader.with {
                $0.message(3, attempt)
                $0.message(11)
            }], .missing(message: kv, field: "geometry")),
        Refusal(.kvSending, "commit of nothing", [header(13)], .missing(message: kv, field: "attempt")),
        Refusal(.kvSending, "abort of nothing", [header(14)], .missing(message: kv, field: "attempt")),
        Refusal(.kvSending, "abort with a payload", [abort, [1]], .frameCount(message: kv, expected: 0, actual: 1)),
        Refusal(.kvSending, "blocks of nothing", [header(12)], .missing(message: kv, field: "range")),
        Refusal(.kvSending, "no block", [blocks(count: 0, bytes: 1)], value(kv, "count", 0)),
        Refusal(.kvSending, "2^31 blocks", [blocks(count: 1 << 31, bytes: 1), [1]], value(kv, "count", 1 << 31)),
        Refusal(.kvSending, "a block missing", [blocks(count: 2, bytes: 1), [1]], .frameCount(message: kv, expected: 2, actual: 1)),
        Refusal(.kvSending, "empty blocks", [blocks(count: 1, bytes: 0), []], value(kv, "byte_count", 0)),
        Refusal(
            .kvSending, "blocks of different lengths", [blocks(count: 2, bytes: 2), [1, 2], [1, 2, 3]],
            .payloadLength(message: kv, expected: 2, actual: 3)),
        Refusal(
            .kvSending, "a block too many in a frame", [blocks(count: 2, bytes: 1), [1, 2, 3]],
            .frameCount(message: kv, expected: 2, actual: 3)),
        Refusal(
            .kvSending, "a frame of nothing", [blocks(count: 2, bytes: 1), [1, 2], []],
            .payloadLength(message: kv, expected: 1, actual: 0)),
        Refusal(
            .kvSending, "a hash that is no text", [header(10) { $0.data(2, notText) }],
            .notText(message: kv, field: "model_hash")),
        Refusal(.kvReceiving, "credit for nothing", [header(21)], .missing(message: "KV reply", field: "attempt")),
        Refusal(
            .kvReceiving, "too much credit", [RawHeader.with {
                $0.message(3, attempt)
                $0.message(21) { $0.varint(1, 1 << 31) }
            }], value("KV reply", "limit", 1 << 31)),
        Refusal(
            .kvReceiving, "an empty range",
            [header(22) { $0.message(1) { $0.varint(1, 1) } }], value("KV reply", "count", 0)),
        Refusal(
            .kvReceiving, "an unknown field in a list",
            [header(22) { $0.message(1) { $0.varint(1000, 1) } }], .unknownFields(message: "KV reply")),
    ]

    static let ofClients: [Refusal] = [
        Refusal(.client, "no sampling", [header(11), [97], [], []], .missing(message: client, field: "sampling")),
        Refusal(.client, "no prompt", [submit()], .frameCount(message: client, expected: 3, actual: 0)),
        Refusal(.client, "two prompts", [submit(), [97], [97]], .frameCount(message: client, expected: 3, actual: 2)),
        Refusal(.client, "a prompt that is no text", [submit(), notText, [], []], .notText(message: client, field: "prompt")),
        Refusal(.client, "prompt of kind 2", [submit { $0.varint(2, 2) }, [97], [], []], value(client, "prompt_kind", 2)),
        Refusal(
            .client, "half a token", [submit { $0.varint(2, 1) }, [1, 0], [], []],
            .payloadLength(message: client, expected: 0, actual: 2)),
        Refusal(.client, "priority 2", [submit { $0.varint(8, 4) }, [97], [], []], value(client, "priority", 2)),
        Refusal(.client, "2^31 tokens", [submit { $0.varint(5, 1 << 31); $0.varint(11, 1) }, [97], [], []], value(client, "max_tokens", 1 << 31)),
        Refusal(.client, "no choice", [submit { $0.varint(15, 0) }, [97], [], []], value(client, "choices", 0)),
        Refusal(.client, "129 choices", [submit { $0.varint(15, 129) }, [97], [], []], value(client, "choices", 129)),
        Refusal(
            .client, "21 log-probabilities", [submit { $0.varint(15, 1); $0.varint(16, 1); $0.varint(17, 21) }, [97], [], []],
            value(client, "logprobs", 21)),
        Refusal(
            .client, "65 end tokens", [submit { for _ in 0..<65 { $0.varint(14, 1) } }, [97], [], []],
            .value(message: client, field: "stop_tokens", value: "65 tokens")),
        Refusal(
            .client, "17 kept tokens", [submit { for _ in 0..<17 { $0.varint(26, 1) } }, [97], [], []],
            .value(message: client, field: "kept_tokens", value: "17 tokens")),
        Refusal(.client, "a kept token of 2^31", [submit { $0.varint(26, 1 << 31) }, [97], [], []], value(client, "kept_tokens", 1 << 31)),
        Refusal(
            .client, "1025 biases", [submit(), [97], [UInt8](repeating: 0, count: 1025 * 8), []],
            .payloadLength(message: client, expected: 1024 * 8, actual: 1025 * 8)),
        Refusal(
            .client, "a constraint of kind 9", [submit { $0.varint(15, 1); $0.varint(20, 9) }, [97], [], []],
            value(client, "constraint_kind", 9)),
        Refusal(
            .client, "a constraint of 256 KiB and a byte",
            [submit { $0.varint(15, 1); $0.varint(20, 3) }, [97], [], [UInt8](repeating: 97, count: 256 << 10 | 1)],
            .value(message: client, field: "constraint", value: "text of 262145 bytes")),
        Refusal(
            .client, "17 stop strings", [submit { for _ in 0..<17 { $0.text(6, "a") } }, [97], [], []],
            .value(message: client, field: "stop_strings", value: "17 strings")),
        Refusal(
            .client, "a stop string of 129 bytes", [submit { $0.data(6, [UInt8](repeating: 97, count: 129)) }, [97], [], []],
            .value(message: client, field: "stop_strings", value: "text of 129 bytes")),
        Refusal(
            .client, "a stop string that is no text", [submit { $0.data(6, notText) }, [97], [], []],
            .notText(message: client, field: "stop_strings")),
        Refusal(
            .client, "a timeout beyond all bounds", [submit { $0.varint(9, 1); $0.varint(10, 1 << 40 + 1) }, [97], [], []],
            .value(message: client, field: "timeout", value: "\(1 << 40 + 1) ms")),
        Refusal(
            .client, "a name that is no text", [header(10) { $0.data(1, notText) }],
            .notText(message: client, field: "client_name")),
    ]

    static let ofServers: [Refusal] = [
        Refusal(.server, "tokens alone", [header(12)], .frameCount(message: server, expected: 3, actual: 0)),
        Refusal(
            .server, "tokens cut short", [header(12), [1, 2, 3], [], []],
            .payloadLength(message: "tokens", expected: 0, actual: 3)),
        Refusal(.server, "tokens' text that is none", [header(12), [], [], notText], .notText(message: "tokens", field: "text")),
        Refusal(.server, "finished without times", [header(13), []], .missing(message: server, field: "timings")),
        Refusal(.server, "finished for no reason", [header(13) { $0.message(4) }, []], value(server, "reason", 0)),
        Refusal(
            .server, "an unknown failure", [header(14) { $0.text(2, "bored") }],
            .value(message: server, field: "code", value: "\"bored\"")),
        Refusal(.server, "an event of no kind", [header(17)], .missing(message: "event", field: "kind")),
        Refusal(
            .server, "an event's role 9", [header(17) { $0.message(21) { $0.varint(2, 9) } }], value(server, "role", 9)),
        Refusal(
            .server, "an event's priority", [header(17) { $0.message(10) { $0.varint(2, 3) } }],
            value(server, "priority", -2)),
        Refusal(
            .server, "a worker in no state", [header(16), RawHeader().bytes],
            .value(message: server, field: "state", value: "\"\"")),
        Refusal(
            .server, "a worker without load", [header(16), workerStatus(unknownField: nil)], .missing(message: server, field: "load")),
        Refusal(
            .server, "a worker with an unknown field", [header(16), workerStatus(unknownField: 1000)],
            .unknownFields(message: "worker status")),
    ]

    // MARK: Parts

    private static let worker = "worker message"
    private static let coordinator = "coordinator message"
    private static let kv = "KV message"
    private static let client = "client message"
    private static let server = "server message"

    private static func control(_ title: String, _ header: [UInt8], _ error: WireError) -> Refusal {
        Refusal(.control, title, [header], error)
    }

    private static func value(_ message: String, _ field: String, _ value: Int) -> WireError {
        .value(message: message, field: field, value: "\(value)")
    }

    private static func registration(_ header: inout RawHeader, geometry: [UInt64]?) {
        header.varint(2, 1)
        header.message(5)
        guard let geometry else { return }
        header.message(6) { for (index, value) in geometry.enumerated() { $0.varint(UInt64(index + 1), value) } }
    }

    private static func failure(_ header: inout RawHeader, _ kind: UInt64) {
        header.message(1, attempt)
        header.varint(2, kind)
    }

    private static func sequence(tokens: UInt64, prompt: UInt64) -> [UInt8] {
        header(33) {
            $0.message(1) {
                $0.varint(2, tokens)
                $0.varint(3, prompt)
            }
        }
    }

    /// A grant's header of one token, as far as its other frames.
    private static var granted: [UInt8] {
        header(35) {
            $0.message(1) {
                $0.message(1, attempt)
                $0.varint(2, 1)
                $0.varint(3, 1)
                $0.message(4)
            }
        }
    }

    /// Of token 1.
    private static let record = words(1, 0, 1, 1, 1)

    private static func words(_ words: UInt32...) -> [UInt8] {
        words.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } }
    }

    private static var abort: [UInt8] {
        RawHeader.with {
            $0.message(3, attempt)
            $0.message(14)
        }
    }

    private static func blocks(count: UInt64, bytes: UInt64) -> [UInt8] {
        RawHeader.with {
            $0.message(3, attempt)
            $0.message(12) {
                $0.message(2) { $0.varint(3, count) }
                $0.varint(3, bytes)
            }
        }
    }

    private static func submit(_ fill: (inout RawHeader) -> Void = { _ in }) -> [UInt8] {
        header(11) {
            $0.message(3)
            $0.varint(15, 1)
            fill(&$0)
        }
    }

    private static func workerStatus(unknownField: UInt64?) -> [UInt8] {
        var status = RawHeader()
        status.varint(2, 1)
        status.text(3, "ready")
        if let unknownField { status.varint(unknownField, 1) }
        return status.bytes
    }
}

extension Family {
    /// A field of the header that holds a message without required parts.
    fileprivate var anyBody: UInt64 {
        switch self {
        case .control: 20
        case .kvSending: 14
        case .kvReceiving: 23
        case .client: 13
        case .server: 15
        }
    }
}
