import ClusterCore
import Generation
@testable import Wire

/// Valid values of everything that travels, drawn from a seeded generator.
extension SeededGenerator {
    mutating func control() -> [ControlMessage] {
        workerMessages().map { .worker(envelope(), $0) } + coordinatorMessages().map { .coordinator(envelope(), $0) }
            + registeredMessages() + [.heartbeatHello(worker()), .ping(ping()), .pong(pong())]
    }

    mutating func kvSending() -> [KVSending] {
        let blocks = kvBlocks(count: int(1...3))
        return [
            .hello(KVHello(worker: worker(), epoch: epoch(), modelHash: text(0...64))),
            .message(.open(kvOpen())), .message(.commit(kvCommit())), .message(.abort(epoch(), attempt())),
            .blocks(blocks, payload(of: blocks, byteCount: int(1...200))),
        ]
    }

    mutating func kvReceiving() -> [KVReceiving] {
        [
            .welcome(KVWelcome(worker: worker(), epoch: epoch(), modelHash: text(0...64), isRegistered: flag())),
            .reply(.credit(epoch(), attempt(), limit: int(0...Int(Int32.max)), held: int(0...Int(Int32.max)))),
            .reply(.missing(epoch(), attempt(), (0..<int(0...5)).map { _ in range(count: int(1...9)) })),
            .reply(.complete(epoch(), attempt())), .reply(.refused(epoch(), attempt(), text(0...200))),
        ]
    }

    mutating func client() -> [ClientMessage] {
        [.text(text(0...300)), .tokens(tokens(0...100))].map { .submit(key: next(), submission($0)) }
            + [.hello(clientName: text(0...100)), .cancel(key: next()), .ping, .status, .watch]
    }

    mutating func server() -> [ServerMessage] {
        let events: [ServerMessage] = eventKinds().map {
            .event(ClusterEvent(time: microseconds(), request: flag() ? request() : nil, kind: $0))
        }
        let failures: [ServerMessage] = RequestFailure.Code.allCases.map {
            .failed(key: next(), RequestFailure(code: $0, message: text(0...200)))
        }
        let statuses: [ServerMessage] = (0...3).map { .status(status(workerCount: $0)) }
        let hello = ServerHello(epoch: epoch(), modelName: text(0...100), maxModelLength: count())
        return events + failures + statuses + [
            .hello(hello), .accepted(key: next(), Acceptance(request: request(), seed: next(), promptCount: index(), choices: Int32(int(1...128)))),
            .tokens(key: next(), choice: index(), firstIndex: index(), tokens: scored(0...40), text: text(0...100)),
            .prompt(key: next(), first: index(), scored(0...40)),
            .finished(key: next(), choice: index(), completion()), .pong(epoch()), .unknownClient(epoch()),
        ]
    }

    // MARK: Control

    private mutating func workerMessages() -> [WorkerMessage] {
        let failures: [WorkFailure] = [.transferLost, .evicted, .refused(text(0...150)), .computation(text(0...150))]
        return [
            .register(registration()), .prefillStarted(attempt(), cachedCount: count()), .transferFinished(attempt()), .kvWhole(attempt()),
            .embedded(attempt(), row: count()), .left(attempt(), row: count()), .leaving, .parked(attempt()),
            .tokens((0..<int(0...40)).map { _ in tokenEvent() }),
            .promptForked(attempt(), (0..<int(0...40)).map { _ in tokenEvent() }),
            .prefixesChanged(PrefixChanges(evicted: prefixNames(), stored: prefixNames())),
            .promptScored(
                attempt(), PromptScores(first: count(), tokens: (0..<int(0...40)).map { _ in logprobs() })),
        ] + [tokenEvent()].map { .prefillFinished($0.attempt, $0) }
            + failures.map { .prefillFailed(attempt(), $0) } + failures.map { .decodeFailed(attempt(), $0) }
    }

    private mutating func coordinatorMessages() -> [CoordinatorMessage] {
        [
            .registrationRefused(text(0...300)), .registerAgain,
            .prefill(PrefillOrder(sequence: sequence(), destination: flag() ? destination() : nil)),
            .retarget(from: attempt(), to: attempt(), destination()),
            .grant(Grant(sequence: sequence(), budget: count())), .cancel(attempt()), .preempt(attempt()),
            .resume(attempt(), budget: count()), .releaseGroup(GroupID(next())),
        ]
    }

    /// The epochs that are granted are those of the envelope.
    private mutating func registeredMessages() -> [ControlMessage] {
        let envelope = envelope()
        return [.coordinator(envelope, .registered(envelope.clusterEpoch, envelope.workerEpoch))]
    }

    private mutating func registration() -> Registration {
        Registration(
            worker: worker(), role: pick(WorkerRole.allCases), bootNonce: next(), endpoint: text(0...80),
            numerics: NumericsClass(
                modelHash: text(0...30), weightFormat: text(0...15), kvFormat: text(0...15), kernelFamily: text(0...15),
                canary: next()),
            geometry: geometry(), blockCount: count(), maxSequences: int(1...1_000_000), maxModelLength: count())
    }

    private mutating func sequence() -> SequenceOrder {
        let tokens = tokens(1...100)
        return SequenceOrder(
            attempt: attempt(), tokens: tokens, promptCount: int(1...tokens.count), sampling: sampling(),
            stop: StopConditions(maxTokens: index(), minTokens: index(), endTokens: self.tokens(0...8)),
            logprobs: flag() ? int(0...20) : nil,
            scoring: flag() ? PromptScoring(top: int(0...20), first: int(1...Int(Int32.max))) : nil,
            constraint: constraint(),
            forks: (0..<int(0...5)).map { _ in Fork(attempt: attempt(), choice: UInt32(truncatingIfNeeded: next())) },
            cacheSalt: text(0...30),
            group: flag() ? GroupMembership(group: GroupID(next() | 1), prefixCount: int(1...Int(Int32.max))) : nil,
            priority: pick(Priority.allCases), precedence: Int64(bitPattern: next()))
    }

    private mutating func destination() -> KVDestination { KVDestination(worker: worker(), endpoint: text(0...80)) }

    private mutating func ping() -> Ping {
        Ping(clusterEpoch: epoch(), workerEpoch: WorkerEpoch(next()), sequence: next(), controlSent: next())
    }

    private mutating func pong() -> Pong {
        Pong(
            worker: worker(), clusterEpoch: epoch(), workerEpoch: WorkerEpoch(next()), sequence: next(),
            controlSent: next(), load: load())
    }

    // MARK: KV

    mutating func kvBlocks(count: Int) -> KVBlocks {
        KVBlocks(epoch: epoch(), attempt: attempt(), tokenCount: self.count(), range: range(count: count))
    }

    /// Owned bytes as they would have arrived.
    mutating func payload(of blocks: KVBlocks, byteCount: Int) -> KVPayload {
        let bytes = (0..<blocks.range.count * byteCount).map { _ in UInt8(truncatingIfNeeded: next()) }
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
        memory.copyBytes(from: bytes)
        let parts = (0..<blocks.range.count).map {
            UnsafeRawBufferPointer(rebasing: memory[$0 * byteCount..<($0 + 1) * byteCount])
        }
        let lent = KVPayload(lending: parts, of: blocks, modelHash: "m", release: {})
        defer { memory.deallocate() }
        // Whether neighbours share a frame is the sender's choice.
        let together = next() % 2 == 0
        let frames = together ? lent.frames.map { Frame($0.bytes) } : parts.map { Frame([UInt8]($0)) }
        return KVPayload(frames: frames, blockByteCount: byteCount, checksum: lent.checksum)
    }

    private mutating func kvOpen() -> KVOpen {
        KVOpen(
            epoch: epoch(), attempt: attempt(), modelHash: text(0...30), geometry: geometry(), tokenCount: count(),
            sent: count())
    }

    private mutating func kvCommit() -> KVCommit {
        KVCommit(
            epoch: epoch(), attempt: attempt(), tokenCount: count(), index: index(),
            next: (0..<int(0...128)).map { _ in NextToken(request: request(), token: index()) })
    }

    private mutating func range(count: Int) -> LayerBlockRange {
        LayerBlockRange(layer: int(0...500), first: self.count(), count: count)
    }

    private mutating func geometry() -> KVGeometry {
        KVGeometry(
            layerCount: int(1...4096), blockSize: int(1...4096), keyValueHeads: int(1...4096),
            headDimension: int(1...4096), bytesPerElement: int(1...8), bytesPerScale: int(0...8))
    }

    // MARK: Clients

    mutating func submission(_ prompt: Prompt) -> Submission {
        Submission(
            prompt: prompt, sampling: sampling(), seed: nil, maxTokens: flag() ? index() : nil, minTokens: index(),
            stopStrings: (0..<int(0...16)).map { _ in text(0...30) }, includesStopString: flag(),
            stopTokens: tokens(0...64), ignoreEndTokens: flag(), keptTokens: tokens(0...16), choices: Int32(int(1...128)),
            logprobs: flag() ? Int32(int(0...20)) : nil, promptLogprobs: flag() ? Int32(int(0...20)) : nil,
            constraint: constraint(),
            priority: pick(Priority.allCases), cacheSalt: text(0...30),
            group: flag() ? PrefixGroup(id: next(), prefixCount: index() | 1, memberCount: index() | 1) : nil, timeout: flag() ? .milliseconds(int(0...1 << 40)) : nil
        ).seeded(flag())
    }

    private mutating func status(workerCount: Int) -> ClusterStatus {
        ClusterStatus(
            epoch: epoch(), modelName: text(0...100), waiting: count(), running: count(), draining: flag(),
            workers: (0..<workerCount).map { _ in
                WorkerStatus(
                    worker: worker(), role: pick(WorkerRole.allCases), state: pick(WorkerStatus.State.allCases),
                    endpoint: text(0...80), blockCount: count(), maxSequences: count(), load: load(), reports: next())
            },
            groups: GroupCounters(sizes: (0..<int(0...GroupCounters.bounds.count + 1)).map { _ in next() }, members: next()))
    }

    private mutating func eventKinds() -> [ClusterEvent.Kind] {
        let failures: [ClusterEvent.Kind] = RequestFailure.Code.allCases.map { .failed($0) }
        return failures + [
            .submitted(promptCount: count(), pick(Priority.allCases)), .assigned(prefill: worker(), decode: worker()),
            .prefillStarted(worker()), .firstToken(worker()), .kvWhole(worker()), .embedded(worker(), row: count()),
            .token(index: index()), .left(worker(), row: count()), .parked(worker()), .resumed(worker()), .retried(text(0...150)), .finished(.stop),
            .finished(.length), .workerJoined(worker(), .prefill), .workerJoined(worker(), .decode),
            .workerLost(worker(), text(0...150)),
        ]
    }

    private mutating func completion() -> Completion {
        Completion(
            reason: pick(FinishReason.allCases), text: text(0...60), tokenCount: index(), cachedTokenCount: index(),
            timings: Timings(
                queue: microseconds(), prefill: microseconds(), transfer: microseconds(),
                timeToFirstToken: microseconds(), timePerOutputToken: microseconds()),
            prefillWorker: worker(), decodeWorker: flag() ? worker() : nil, attempts: UInt32(truncatingIfNeeded: next()))
    }

    // MARK: Common

    private mutating func envelope() -> Envelope {
        Envelope(clusterEpoch: epoch(), workerEpoch: WorkerEpoch(next()), sequence: next())
    }

    private mutating func tokenEvent() -> TokenEvent {
        TokenEvent(attempt: attempt(), index: index(), token: index(), logprobs: flag() ? logprobs() : nil)
    }

    private mutating func logprobs() -> TokenLogprobs {
        TokenLogprobs(
            logprob: -.random(in: 0...40, using: &self),
            top: (0..<int(0...20)).map { _ in TokenLogprob(token: index(), logprob: pick([0, -1.5, -.infinity])) })
    }

    private mutating func scored(_ range: ClosedRange<Int>) -> [ScoredToken] {
        (0..<int(range)).map { _ in ScoredToken(index(), flag() ? logprobs() : nil) }
    }

    private mutating func constraint() -> Constraint? {
        flag() ? Constraint(kind: pick(Constraint.Kind.allCases), source: text(0...200)) : nil
    }

    private mutating func load() -> WorkerLoad {
        WorkerLoad(
            referencedBlocks: count(), rows: count(), waiting: count(),
            iterationTime: flag() ? .microseconds(int(1...1 << 30)) : nil,
            rowLimit: flag() ? int(1...1 << 30) : nil, isMemoryShort: flag(),
            parking: ParkingLoad(
                queries: count(), memoryBytes: int(0...1 << 40), fileBytes: int(0...1 << 40), parks: next(), resumes: next(),
                migrations: next(), parkTime: duration(), resumeTime: duration()),
            transfers: TransferCounters(
                bytes: next(), time: .microseconds(int(0...1 << 50)),
                buckets: (0..<int(0...TransferCounters.bounds.count + 1)).map { _ in next() }),
            work: WorkCounters(
                steps: next(), sharedSteps: next(), prefillTokens: next(), decodeTokens: next(),
                idle: IdleCounters(padding: next(), finishedRows: next(), waitingRows: next()), batch: batchCounters()),
            prefixCache: PrefixCacheCounters(
                queriedTokens: next(), hitTokens: next(), hitLevels: (0..<int(0...PrefixCacheCounters.levelCount)).map { _ in next() },
                transferBlocks: next(), heldBlocks: next(), evictions: next(),
                prematureEvictions: next(), cachedBlocks: count(), pinnedBlocks: count()),
            coreLeases: CoreLeaseCounters(
                borrowed: next(), borrowedNanoseconds: next(), waits: next(), waitNanoseconds: next(), overdueWaits: next()),
            scheduling: flag() ? pick(Scheduling.allCases) : nil)
    }

    private mutating func prefixNames() -> [PrefixName] { (0..<int(0...40)).map { _ in PrefixName(next()) } }

    private mutating func batchCounters() -> BatchCounters {
        BatchCounters(
            embeds: next(), removals: next(), waits: next(), stall: duration(), firstTokenDelay: duration(),
            firstTokens: next(), longestFirstTokenDelay: duration(), shapingTime: duration(), shapings: next(),
            blocksCopied: next(), bytesCopied: next(), lent: duration(), removalTime: duration(), removalEnds: next(), yields: next())
    }

    private mutating func duration() -> Duration { .nanoseconds(Int64(next() >> 1)) }

    private mutating func sampling() -> SamplingParameters {
        SamplingParameters(
            temperature: .random(in: 0...2, using: &self), topP: .random(in: 0...1, using: &self), topK: index(),
            minP: .random(in: 0...1, using: &self), repetitionPenalty: .random(in: 0...2, using: &self),
            presencePenalty: .random(in: -2...2, using: &self), frequencyPenalty: .random(in: -2...2, using: &self),
            logitBias: (0..<int(0...20)).map { _ in TokenBias(token: index(), bias: .random(in: -100...100, using: &self)) },
            seed: next(), choice: UInt32(truncatingIfNeeded: next()))
    }

    private mutating func epoch() -> ClusterEpoch { ClusterEpoch(next()) }
    private mutating func attempt() -> AttemptID {
        AttemptID(request: request(), ordinal: UInt32(truncatingIfNeeded: next()))
    }
    private mutating func request() -> RequestID { RequestID(next() | 1) }
    private mutating func worker() -> WorkerID { WorkerID(text(1...60)) }
    private mutating func index() -> Int32 { Int32(count()) }
    private mutating func tokens(_ range: ClosedRange<Int>) -> [TokenID] { (0..<int(range)).map { _ in index() } }
    private mutating func microseconds() -> Duration { .microseconds(int(0...1 << 60)) }

    /// Often at the ends of what is allowed, where mistakes live.
    private mutating func count() -> Int { pick([0, 1, 127, 128, Int(Int32.max), int(0...Int(Int32.max))]) }

    /// Text of up to that many characters, of 1 to 4 bytes each.
    private mutating func text(_ range: ClosedRange<Int>) -> String {
        String((0..<int(range)).map { _ in pick(["a", "Z", "0", " ", "\u{0}", "é", "字", "🥢"] as [Character]) })
    }

    private mutating func flag() -> Bool { .random(using: &self) }
    mutating func int(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &self) }
    private mutating func pick<Value>(_ values: [Value]) -> Value { values[int(0...values.count - 1)] }
}

extension Submission {
    /// A stated seed is the one inside the sampling parameters.
    fileprivate func seeded(_ isSeeded: Bool) -> Submission {
        var copy = self
        copy.seed = isSeeded ? sampling.seed : nil
        return copy
    }
}
