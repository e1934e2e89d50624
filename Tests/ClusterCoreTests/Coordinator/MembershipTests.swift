import ClusterCore
import Generation
import Testing

@Suite struct MembershipTests {
    @Test func aWorkerOfAnotherClassIsRefusedNamingBoth() throws {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        var other = SchedulerHarness.registration("q", .prefill)
        other.numerics.kernelFamily = "another"
        let actions = cluster.join(other)
        guard case .registrationRefused(let text)? = actions.orders(to: "q").first else {
            Issue.record("\(actions)")
            return
        }
        #expect(text.contains("another") && text.contains("\"test\""))
        var shape = SchedulerHarness.registration("q", .prefill)
        shape.geometry.blockSize = 8
        guard case .registrationRefused? = cluster.join(shape).orders(to: "q").first else {
            Issue.record("another geometry was accepted")
            return
        }
    }

    /// Every field of numerics class and geometry counts, and the refusal shows both values.
    @Test func aWorkerThatDiffersInAnyFieldIsRefused() throws {
        let numerics: [(WritableKeyPath<NumericsClass, String>, String)] = [
            (\.modelHash, "other-model"), (\.weightFormat, "int4"), (\.kvFormat, "int8"), (\.kernelFamily, "other-family"),
        ]
        let shapes: [WritableKeyPath<KVGeometry, Int>] = [
            \.layerCount, \.blockSize, \.keyValueHeads, \.headDimension, \.bytesPerElement, \.bytesPerScale,
        ]
        var others: [(Registration, String, String)] = numerics.map { field, value in
            var other = SchedulerHarness.registration("q", .decode)
            let ours = other.numerics[keyPath: field]
            other.numerics[keyPath: field] = value
            return (other, ours, value)
        }
        others += shapes.map { field in
            var other = SchedulerHarness.registration("q", .decode)
            let ours = other.geometry[keyPath: field]
            other.geometry[keyPath: field] = ours + 7
            return (other, "\(ours)", "\(ours + 7)")
        }
        var canary = SchedulerHarness.registration("q", .decode)
        canary.numerics.canary += 1
        others.append((canary, "canary: 1", "canary: 2"))
        for (other, ours, theirs) in others {
            var cluster = SchedulerHarness()
            cluster.join("p", .prefill)
            guard case .registrationRefused(let text)? = cluster.join(other).orders(to: "q").first else {
                Issue.record("\(other) was accepted")
                continue
            }
            #expect(text.contains(ours) && text.contains(theirs), "\(text)")
            #expect(cluster.scheduler.status.workers.count == 1)
        }
    }

    @Test func repetitionChangesNothingAndRestartLosesTheOldOne() {
        var cluster = SchedulerHarness()
        let first = SchedulerHarness.registration("p", .prefill, nonce: 5)
        let welcome = cluster.join(first).orders(to: "p")
        #expect(cluster.join(first).orders(to: "p") == welcome)
        cluster.join("d", .decode)
        cluster.submit(1)
        // The same process, having started over.
        #expect(cluster.join(first, ordinal: 2).orders(to: "d").count == 2)
        #expect(cluster.join(first, ordinal: 1).isEmpty)
        // Another process.
        let again = SchedulerHarness.registration("p", .prefill, nonce: 6)
        #expect(cluster.join(again).orders(to: "d").first == .cancel(AttemptID(request: RequestID(1), ordinal: 2)))
    }

    @Test func silenceMakesSuspectThenLost() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.wait(.milliseconds(1000), alive: ["p"])
        #expect(cluster.scheduler.status.workers.map(\.state) == [.suspect, .ready])
        #expect(cluster.submit(1).grants.isEmpty)
        cluster.wait(.milliseconds(2500), alive: ["p"])
        #expect(cluster.scheduler.status.workers.map(\.state) == [.lost, .ready])
        cluster.wait(.seconds(61), alive: ["p"])
        #expect(cluster.scheduler.status.workers.count == 1)
    }

    @Test func aSuspectThatAnswersIsTrustedAgain() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.join("d", .decode)
        cluster.wait(.seconds(1), alive: ["p"])
        cluster.submit(1)
        #expect(!cluster.wait(.milliseconds(300), alive: ["p", "d"]).grants.isEmpty)
    }

    @Test func anAnswerToAPingThatWasNeverSentSaysNothing() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.wait(.milliseconds(300), alive: ["p"])
        // The first registration of a cluster has worker epoch 1.
        cluster.handle(.pong(Pong(
            worker: WorkerID("p"), clusterEpoch: cluster.scheduler.clusterEpoch, workerEpoch: WorkerEpoch(1),
            sequence: .max, controlSent: 0, load: WorkerLoad(rows: 99))))
        cluster.wait(.seconds(1), alive: ["p"])
        cluster.scheduler.checkInvariants()
        #expect(cluster.scheduler.status.workers.map(\.state) == [.ready])
        #expect(cluster.scheduler.status.workers.allSatisfy { $0.load.rows != 99 })
    }

    @Test func theCoordinatorsOwnPauseIsNotTheWorkers() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        cluster.wait(.seconds(1), alive: ["p"])
        cluster.now = cluster.now + .seconds(20)
        cluster.handle(.tick)
        #expect(cluster.scheduler.status.workers.map(\.state) != [.lost])
        cluster.wait(.seconds(4))
        #expect(cluster.scheduler.status.workers.map(\.state) == [.lost])
    }

    @Test func aHoleInTheLinkLosesTheWorker() {
        var cluster = SchedulerHarness()
        _ = cluster.startDecoding()
        _ = cluster.links["d"]!.stamp()  // Sent, but never arrives.
        let actions = cluster.say("d", .tokens([]))
        #expect(actions.orders(to: "d") == [.registerAgain])
        #expect(cluster.scheduler.status.workers.first?.state == .lost)
    }

    @Test func aHoleAtTheEndIsFoundByHeartbeats() {
        var cluster = SchedulerHarness()
        cluster.join("p", .prefill)
        _ = cluster.links["p"]!.stamp()
        cluster.wait(.seconds(2), alive: ["p"])
        #expect(cluster.scheduler.status.workers.first?.state == .lost)
    }

    @Test func whoeverSpeaksWithAnOldEpochIsSentBack() {
        var cluster = SchedulerHarness()
        let a = cluster.startDecoding()
        cluster.wait(.seconds(4), alive: ["p"])
        #expect(cluster.say("d", .left(a, row: 0)).orders(to: "d") == [.registerAgain])
        var old = cluster.links["p"]!
        cluster.join("p", .prefill)
        let envelope = old.stamp()
        let stale = cluster.handle(
            .workerMessage(SchedulerHarness.connection("p"), envelope, .transferFinished(a)))
        #expect(stale == [.send(SchedulerHarness.connection("p"), envelope, .registerAgain)])
    }
}
